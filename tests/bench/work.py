"""The work that every peer does: jobs of realistic size, and what a step of a job changes."""

from gitstate import CheckpointState, SheetState, SheetStatus

__all__ = ["change", "execution", "mark", "mark_in", "state_of"]


def state_of(job_id: str, sheets: int) -> CheckpointState:
    """Return a job half of whose sheets are done: about a kilobyte for each of those."""
    state = CheckpointState(job_id=job_id, job_name="Nightly review", total_sheets=sheets)
    for number in range(1, sheets + 1):
        state.sheets[number] = SheetState(sheet_num=number, metadata={"prompt": f"review part {number} of {job_id}"})
        if number <= sheets // 2:
            state.mark_sheet_started(number)
            state.mark_sheet_completed(number)
            state.sheets[number].stdout_tail = f"file {number} was read and found in order\n" * 12
    return state


def change(state: CheckpointState, turn: int) -> int:
    """Do to a state what a step of a job does, and return the number of the sheet."""
    number = state.total_sheets // 2 + 1 + turn % (state.total_sheets // 2)
    state.mark_sheet_started(number)
    state.sheets[number].stdout_tail = f"turn {turn}: " + "a line of output\n" * 25
    return number


def mark(sheets: int, turn: int) -> tuple[int, SheetStatus]:
    """Return which sheet to mark, and as what: each of the second half is begun, then completed."""
    number = sheets // 2 + 1 + turn // 2 % (sheets // 2)
    return number, SheetStatus.COMPLETED if turn % 2 else SheetStatus.IN_PROGRESS


def mark_in(state: CheckpointState, sheet: int, status: SheetStatus) -> None:
    """Mark a sheet of a state object, as those do who have no mark of their own."""
    if status is SheetStatus.COMPLETED:
        state.mark_sheet_completed(sheet)
    else:
        state.mark_sheet_started(sheet)


def execution(turn: int) -> tuple[str, str]:
    """Return the prompt (1 KB) and the output (4 KB) of an attempt; most lines are those of the attempt before."""
    prompt = f"attempt {turn}\n" + "review this part of the code and say what is wrong\n" * 20
    return prompt, f"attempt {turn}\n" + "".join(f"line {line}: nothing to be seen here\n" for line in range(110))
