"""Taking back what a person did, and keeping what the job did since."""

import subprocess

import pytest

from gitstate import BusyError, CheckpointState, ConflictError, GitStateBackend, JobNotFoundError, SheetStatus
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import InvalidInputError, NotFoundError, StateCorruptionError
from gitstate.store.documents import Draft


async def made(backend: RewindBackend, job_id: str = "nightly") -> list[str]:
    """Complete two of five sheets; return the revisions, the oldest first."""
    await backend.save(CheckpointState(job_id=job_id, job_name=job_id, total_sheets=5))
    for number in (1, 2):
        await backend.mark_sheet_status(job_id, number, SheetStatus.COMPLETED)
    return [checkpoint.revision for checkpoint in await backend.history(job_id)][::-1]


async def value(backend: RewindBackend, job_id: str = "nightly") -> dict[str, object] | None:
    state = await backend.load(job_id)
    return None if state is None else state.model_dump(mode="json")


async def test_undo_takes_a_rollback_back_and_undo_again_brings_it_back(backend: RewindBackend) -> None:
    revisions = await made(backend)
    before = await value(backend)
    rolled = await backend.rollback("nightly", revisions[0])
    after = await value(backend)
    undone = await backend.undo("nightly", message="it was right")
    assert await value(backend) == before
    assert (undone.source, undone.previous) == (rolled.revision, rolled.revision)
    now = (await backend.history("nightly"))[0]
    assert (now.event, now.message, now.progress) == ("undone", "it was right", "2/5")
    assert rolled.revision is not None and now.subject.startswith(f"nightly: undid {rolled.revision[:10]}, rolled-back")
    await backend.undo("nightly")
    assert await value(backend) == after
    await backend.undo("nightly")
    assert await value(backend) == before


async def test_progress_made_since_is_kept(backend: RewindBackend) -> None:
    revisions = await made(backend)
    await backend.restore("nightly", revisions[0], sheets="2")
    await backend.mark_sheet_status("nightly", 4, SheetStatus.COMPLETED)
    await backend.undo("nightly")
    state = await backend.load("nightly")
    assert state is not None and state.sheets.keys() == {1, 2, 4}
    assert (state.last_completed_sheet, state.get_next_sheet()) == (4, 3)


async def test_undo_that_completes_the_job_says_so(backend: RewindBackend) -> None:
    revisions = await made(backend)
    await backend.restore("nightly", revisions[0], sheets="2")
    for number in (3, 4, 5):
        await backend.mark_sheet_status("nightly", number, SheetStatus.COMPLETED)
    await backend.undo("nightly")
    state = await backend.load("nightly")
    assert state is not None and (state.status, state.get_progress()) == ("completed", (5, 5))
    assert state.completed_at is not None


async def test_progress_on_the_same_sheet_is_a_conflict(backend: RewindBackend) -> None:
    revisions = await made(backend)
    await backend.rollback("nightly", revisions[1])
    await backend.mark_sheet_status("nightly", 2, SheetStatus.IN_PROGRESS)
    before = await value(backend)
    with pytest.raises(ConflictError) as caught:
        await backend.undo("nightly")
    pointers = {conflict.pointer for conflict in caught.value.conflicts}
    assert {"/sheets/2/status", "/sheets/2/attempt_count"} <= pointers or "/sheets/2" in pointers
    assert await value(backend) == before


async def test_a_deletion_and_an_undelete_are_taken_back(backend: RewindBackend) -> None:
    revisions = await made(backend)
    await backend.record_execution("nightly", 2, 1, "do it", "done")
    before = await value(backend)
    await backend.delete("nightly")
    await backend.undo("nightly")
    assert await value(backend) == before
    snapshot = backend.store.load(backend._jobs, "nightly")
    assert snapshot is not None and snapshot.read("executions/0002/prompt.txt") == b"do it"
    await backend.delete("nightly")
    await backend.undelete("nightly", revisions[-1])
    undone = await backend.undo("nightly")
    assert await value(backend) is None and undone.after is None
    with pytest.raises(NotFoundError):
        await backend.save(CheckpointState(job_id="other", job_name="other", total_sheets=1))
        await backend.undo("other")


async def test_a_job_that_moved_on_is_not_deleted_by_an_undo(backend: RewindBackend) -> None:
    await made(backend)
    await backend.fork("nightly", "second")
    await backend.mark_sheet_status("second", 3, SheetStatus.COMPLETED)
    with pytest.raises(ConflictError, match="the job as a whole"):
        await backend.undo("second")
    await backend.fork("nightly", "third")
    await backend.undo("third")
    assert await value(backend, "third") is None


async def test_without_a_job_the_last_operation_on_any_counts(backend: RewindBackend) -> None:
    first, second = await made(backend), await made(backend, "weekly")
    before = await value(backend)
    await backend.rollback("weekly", second[0])
    await backend.rollback("nightly", first[0])
    await backend.mark_sheet_status("weekly", 5, SheetStatus.COMPLETED)
    assert (await backend.undo()).job_id == "nightly"
    assert await value(backend) == before


async def test_what_was_committed_with_git_is_taken_back(git_backend: GitStateBackend) -> None:
    await made(git_backend)
    before = await value(git_backend)
    await git_backend.flush()
    commit(git_backend, {"jobs/nightly/job.json": "oops"})
    with pytest.raises(StateCorruptionError):
        await git_backend.load("nightly")
    done = await git_backend.undo()
    assert (done.job_id, done.before) == ("nightly", None)
    assert await value(git_backend) == before


async def test_one_commit_with_git_that_changed_several_jobs_asks_for_a_name(git_backend: GitStateBackend) -> None:
    await made(git_backend)
    await made(git_backend, "weekly")
    before = await value(git_backend)
    await git_backend.flush()
    commit(git_backend, {"jobs/nightly/job.json": "oops", "jobs/weekly/job.json": "oops"})
    with pytest.raises(InvalidInputError, match="'nightly', 'weekly'"):
        await git_backend.undo()
    await git_backend.undo("nightly")
    await git_backend.undo("weekly")
    assert await value(git_backend) == before


def commit(backend: GitStateBackend, files: dict[str, str]) -> None:
    folder = backend.store.path
    assert folder is not None
    for path, text in files.items():
        (folder / path).write_text(text)
    subprocess.run(["git", "-C", folder, "commit", "-qam", "Tidy up"], check=True)


async def test_a_dry_run_writes_nothing(backend: RewindBackend) -> None:
    revisions = await made(backend)
    await backend.rollback("nightly", revisions[0])
    told = await backend.undo(dry_run=True)
    assert told.revision is None and told.after is not None and told.after["last_completed_sheet"] == 2
    assert len(await backend.history("nightly")) == 4


async def test_what_cannot_be_undone_is_said(backend: RewindBackend) -> None:
    with pytest.raises(NotFoundError, match="in the store"):
        await backend.undo()
    with pytest.raises(JobNotFoundError):
        await backend.undo("nightly")
    revisions = await made(backend)
    with pytest.raises(NotFoundError, match="to job 'nightly'"):
        await backend.undo("nightly")
    await backend.rollback("nightly", revisions[0])
    state = await backend.load("nightly")
    assert state is not None
    state.mark_sheet_started(5)
    state.set_running_pid()
    await backend.save(state)
    with pytest.raises(BusyError, match="--force"):
        await backend.undo("nightly")
    await backend.undo("nightly", force=True)


async def test_a_trailer_about_a_job_that_did_not_change_does_not_count(backend: RewindBackend) -> None:
    revisions = await made(backend)
    await made(backend, "weekly")
    rolled = await backend.rollback("nightly", revisions[0])
    assert rolled.revision is not None
    said = next(iter(backend.store.history(backend._jobs, "nightly"))).message
    backend.store.submit(backend._jobs, "weekly", lambda _: Draft(said, attachments={"executions/x": b""})).result()
    assert (await backend.undo()).source == rolled.revision
