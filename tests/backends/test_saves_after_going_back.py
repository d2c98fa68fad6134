"""A save that was loaded before somebody went back, and comes after it: never forward over what was taken back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate import CheckpointState, ConflictError, GitStateBackend, SheetStatus
from gitstate.backends.rewind import RewindBackend


async def two_done(backend: RewindBackend) -> tuple[list[str], CheckpointState]:
    """Complete two of four sheets; return the revisions, the oldest first, and the state as a runner has it."""
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=4)
    await backend.save(state)
    for number in (1, 2):
        state.mark_sheet_started(number)
        state.mark_sheet_completed(number)
        await backend.save(state)
    return [checkpoint.revision for checkpoint in await backend.history("nightly")][::-1], state


async def stored(backend: RewindBackend) -> CheckpointState:
    state = await backend.load("nightly")
    assert state is not None
    return state


def goes_on(state: CheckpointState) -> None:
    state.mark_sheet_started(3)
    state.mark_sheet_completed(3)


def tries_again(state: CheckpointState) -> None:
    state.mark_sheet_started(2)


def ends(state: CheckpointState) -> None:
    state.status = "completed"  # type: ignore[assignment]


def counts(state: CheckpointState) -> None:
    state.total_retry_count += 1
    state.last_completed_sheet = 3


@pytest.mark.parametrize("change", [goes_on, tries_again, ends, counts])
async def test_progress_on_what_was_rolled_back_is_a_conflict(
    backend: RewindBackend, change: Callable[[CheckpointState], None]
) -> None:
    made, runner = await two_done(backend)
    await backend.rollback("nightly", made[0])
    change(runner)
    with pytest.raises(ConflictError) as caught:
        await backend.save(runner)
    assert caught.value.conflicts
    assert (await stored(backend)).sheets == {}


async def test_the_status_of_a_job_does_not_win_because_it_is_terminal(backend: RewindBackend) -> None:
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=4)
    await backend.save(state)
    state.status = "running"  # type: ignore[assignment]
    await backend.save(state)
    first = (await backend.history("nightly"))[-1].revision
    await backend.rollback("nightly", first)
    state.mark_job_failed("no disk")
    with pytest.raises(ConflictError) as caught:
        await backend.save(state)
    assert "/status" in [conflict.pointer for conflict in caught.value.conflicts]


async def test_what_the_rollback_did_not_touch_is_merged(backend: RewindBackend) -> None:
    made, runner = await two_done(backend)
    await backend.rollback("nightly", made[1])
    runner.metadata["note"] = "seen"
    await backend.save(runner)
    now = await stored(backend)
    assert now.metadata == {"note": "seen"} and now.sheets.keys() == {1}


async def test_a_restored_sheet_is_not_overruled(backend: RewindBackend) -> None:
    made, runner = await two_done(backend)
    runner.mark_sheet_started(3)
    await backend.save(runner)
    await backend.restore("nightly", made[-1], sheets="3", force=True)
    runner.mark_sheet_completed(3)
    with pytest.raises(ConflictError):
        await backend.save(runner)
    assert 3 not in (await stored(backend)).sheets


async def test_a_state_that_was_loaded_after_it_goes_on(backend: RewindBackend) -> None:
    made, _ = await two_done(backend)
    await backend.rollback("nightly", made[1])
    state = await stored(backend)
    other = await stored(backend)
    other.metadata["other"] = 1
    await backend.save(other)
    goes_on(state)
    await backend.save(state)  # merged with the other's by the rules for jobs: nobody went back since
    now = await stored(backend)
    assert now.last_completed_sheet == 3 and now.metadata == {"other": 1}
    assert (await backend.history("nightly"))[0].event == "merged"


async def test_going_back_with_another_job_says_nothing_of_this_one(backend: RewindBackend) -> None:
    _, runner = await two_done(backend)
    other = CheckpointState(job_id="weekly", job_name="Weekly", total_sheets=1)
    await backend.save(other)
    first = (await backend.history("weekly"))[0].revision
    await backend.mark_sheet_status("weekly", 1, SheetStatus.COMPLETED)
    await backend.rollback("weekly", first)
    await backend.mark_sheet_status("nightly", 3, SheetStatus.COMPLETED)
    runner.mark_sheet_completed(4)
    await backend.save(runner)
    assert (await stored(backend)).status == "completed"


async def test_it_holds_across_processes_that_share_a_store(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state") as one, GitStateBackend(tmp_path / "state") as two:
        made, runner = await two_done(one)
        await two.rollback("nightly", made[0])
        tries_again(runner)
        with pytest.raises(ConflictError):
            await one.save(runner)
