"""Sheets that a person skips, or makes pending again, and what follows from that for the job."""

import os
import socket

import pytest

from gitstate import CheckpointState, GitStateBackend, JobStatus, SheetStatus
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import BusyError, ConflictError, InvalidInputError, JobNotFoundError


async def saved(backend: RewindBackend, done: int = 2, total: int = 4, failed: int | None = None) -> CheckpointState:
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=total)
    for sheet in range(1, done + 1):
        state.mark_sheet_started(sheet)
        state.mark_sheet_completed(sheet, stdout_tail="fine")
    if failed is not None:
        state.mark_sheet_started(failed)
        state.mark_sheet_failed(failed, "out of memory")
        state.mark_job_failed("sheet failed")
    elif done < total:
        state.mark_job_paused()
    await backend.save(state)
    return state


async def loaded(backend: RewindBackend) -> CheckpointState:
    state = await backend.load("nightly")
    assert state is not None
    return state


async def test_skipped_sheets_are_passed_over_and_the_last_one_completes_the_job(backend: RewindBackend) -> None:
    await saved(backend)
    done = await backend.skip_sheets("nightly", [3], message="no such region any more")
    state = await loaded(backend)
    assert (state.sheets[3].status, state.sheets[3].error_message) == (SheetStatus.SKIPPED, "no such region any more")
    assert (state.status, state.get_next_sheet(), state.last_completed_sheet) == (JobStatus.PAUSED, 4, 2)
    [newest] = await backend.history("nightly", limit=1)
    assert (newest.revision, newest.event, newest.message) == (done.revision, "skipped", "no such region any more")
    assert newest.subject == "nightly: skipped sheet 3 (3/4 done)"
    await backend.skip_sheets("nightly", "3-4")
    state = await loaded(backend)
    assert (state.status, state.get_next_sheet()) == (JobStatus.COMPLETED, None)
    assert state.completed_at is not None and state.sheets[3].error_message == "no such region any more"


async def test_reset_sheets_run_once_more_without_what_was_left_behind(backend: RewindBackend) -> None:
    await saved(backend, done=4)
    done = await backend.reset_sheets("nightly", "2,4", message="wrong input")
    state = await loaded(backend)
    for sheet in (2, 4):
        assert state.sheets[sheet].status == SheetStatus.PENDING
        assert (state.sheets[sheet].attempt_count, state.sheets[sheet].stdout_tail) == (0, None)
    assert (state.status, state.completed_at, state.last_completed_sheet) == (JobStatus.PAUSED, None, 3)
    assert state.get_next_sheet() == 2 and state.sheets[3].stdout_tail == "fine"
    [newest] = await backend.history("nightly", limit=1)
    assert (newest.event, newest.subject) == ("reset", "nightly: reset sheets 2 4 (2/4 done)")
    assert (done.revision, done.source) == (newest.revision, None)
    await backend.undo("nightly")
    assert (await loaded(backend)).status == JobStatus.COMPLETED


async def test_a_job_that_failed_is_paused_when_its_sheet_is_reset(backend: RewindBackend) -> None:
    await saved(backend, failed=3)
    await backend.reset_sheets("nightly", [3])
    state = await loaded(backend)
    assert (state.status, state.error_message, state.get_next_sheet()) == (JobStatus.PAUSED, None, 3)


async def test_a_job_whose_sheets_are_all_reset_was_never_begun(backend: RewindBackend) -> None:
    await saved(backend, done=4)
    await backend.reset_sheets("nightly", "1-4")
    state = await loaded(backend)
    assert (state.status, state.started_at, state.last_completed_sheet) == (JobStatus.PENDING, None, 0)


async def test_a_job_that_only_counts_gets_records(backend: RewindBackend) -> None:
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=4, last_completed_sheet=3)
    await backend.save(state)
    with pytest.raises(InvalidInputError, match="is completed"):
        await backend.skip_sheets("nightly", [3])
    await backend.reset_sheets("nightly", [2])
    await backend.skip_sheets("nightly", [4])
    state = await loaded(backend)
    statuses = {number: sheet.status.value for number, sheet in state.sheets.items()}
    assert statuses == {1: "completed", 2: "pending", 3: "completed", 4: "skipped"}
    assert (state.get_next_sheet(), state.last_completed_sheet) == (2, 3)


async def test_what_is_so_already_writes_nothing(backend: RewindBackend) -> None:
    await saved(backend)
    await backend.skip_sheets("nightly", [3])
    before = backend.store.head()
    assert (await backend.skip_sheets("nightly", [3])).revision is None
    assert (await backend.reset_sheets("nightly", [4])).revision is None
    assert (await backend.reset_sheets("nightly", [1], dry_run=True)).revision is None
    assert backend.store.head() == before


@pytest.mark.parametrize("sheets", [[], "", [0], [5], "9-5", [True], "x", 3, ["1"]])
async def test_what_names_no_sheets_is_refused(backend: RewindBackend, sheets: object) -> None:
    await saved(backend)
    before = backend.store.head()
    for verb in (backend.skip_sheets, backend.reset_sheets):
        with pytest.raises(InvalidInputError):
            await verb("nightly", sheets)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(JobNotFoundError):
        await backend.skip_sheets("none", [1])
    assert backend.store.head() == before


async def test_a_completed_sheet_is_not_skipped(backend: RewindBackend) -> None:
    await saved(backend)
    with pytest.raises(InvalidInputError, match="sheet 2 of job 'nightly' is completed"):
        await backend.skip_sheets("nightly", [3, 2])


async def test_a_running_job_is_refused_and_its_next_save_does_not_overrule(git_backend: GitStateBackend) -> None:
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=4)
    state.mark_sheet_started(1)
    state.mark_sheet_completed(1)
    state.pid, state.host = os.getpid(), socket.gethostname()
    await git_backend.save(state)
    for verb in (git_backend.skip_sheets, git_backend.reset_sheets):
        with pytest.raises(BusyError):
            await verb("nightly", [1 if verb == git_backend.reset_sheets else 3])
    await git_backend.reset_sheets("nightly", [1], force=True)
    now = await loaded(git_backend)
    assert (now.status, now.pid) == (JobStatus.RUNNING, os.getpid())
    state.mark_sheet_started(1)
    state.mark_sheet_completed(1)
    with pytest.raises(ConflictError):
        await git_backend.save(state)
