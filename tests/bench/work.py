"""The work that every peer does: jobs of realistic size, and what a step of a job changes.

A sheet that ran holds the end of what its process said, like those of the prototypes by which the targets were set: a
state has about 4 KB a sheet when half of the job is done, and a save changes one sheet and fields of the job.
"""

from functools import cache
from random import Random

from gitstate import CheckpointState, SheetState, SheetStatus

__all__ = ["LINES", "change", "execution", "mark", "mark_in", "output", "state_of"]

LINES = 100  # of output that a sheet keeps, of about 65 bytes; zlib makes a fifth of it


def state_of(job_id: str, sheets: int, lines: int = LINES) -> CheckpointState:
    """Return a job half of whose sheets are done, each with so many lines of output."""
    state = CheckpointState(job_id=job_id, job_name="Nightly review", total_sheets=sheets)
    for number in range(1, sheets + 1):
        state.sheets[number] = SheetState(sheet_num=number, metadata={"prompt": f"review part {number} of {job_id}"})
        if number <= sheets // 2:
            state.mark_sheet_started(number)
            state.mark_sheet_completed(number)
            state.sheets[number].stdout_tail = f"{job_id}, sheet {number}\n{output(number, lines)}"
    return state


def change(state: CheckpointState, turn: int, lines: int = LINES) -> int:
    """Do to a state what a step of a job does, and return the number of the sheet.

    A sheet of the second half is begun, and in the next turn it is completed and holds its output.
    """
    number, ends = _place(state.total_sheets, turn)
    if ends:
        state.mark_sheet_completed(number)
        state.sheets[number].stdout_tail = f"{state.job_id}, turn {turn}\n{output(turn, lines)}"
    else:
        state.mark_sheet_started(number)
    return number


def _place(sheets: int, turn: int) -> tuple[int, bool]:
    half = max(1, sheets // 2)
    return sheets - half + 1 + turn // 2 % half, bool(turn % 2)


@cache
def output(turn: int, lines: int = LINES) -> str:
    """Return what a process said. Kept, so that making it is no part of what is measured after the first time."""
    random = Random(turn)
    return "".join(
        f"12:{line // 60:02d}:{line % 60:02d} worker {random.randrange(8)}: module_{random.randrange(900)}.py "
        f"was read, {random.randrange(400)} lines, {random.randrange(9)} findings\n"
        for line in range(lines)
    )


def mark(sheets: int, turn: int) -> tuple[int, SheetStatus]:
    """Return which sheet to mark, and as what: each of the second half is begun, then completed."""
    number, ends = _place(sheets, turn)
    return number, SheetStatus.COMPLETED if ends else SheetStatus.IN_PROGRESS


def mark_in(state: CheckpointState, sheet: int, status: SheetStatus) -> None:
    """Mark a sheet of a state object, as those do who have no mark of their own."""
    if status is SheetStatus.COMPLETED:
        state.mark_sheet_completed(sheet)
    else:
        state.mark_sheet_started(sheet)


def execution(turn: int) -> tuple[str, str]:
    """Return the prompt (1 KB) and the output (6 KB) of an attempt."""
    return f"attempt {turn}\n" + "review this part of the code and say what is wrong\n" * 20, output(turn)
