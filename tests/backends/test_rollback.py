"""Going back to an older checkpoint, and bringing a deleted job back."""

import os
import subprocess

import pytest

from gitstate import (
    BusyError,
    CheckpointState,
    GitStateBackend,
    JobNotFoundError,
    JobStatus,
    RevisionNotFoundError,
    SheetStatus,
    StateCorruptionError,
)
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import ExistsError, InvalidInputError


async def revisions(backend: RewindBackend, job_id: str = "nightly") -> list[str]:
    return [checkpoint.revision for checkpoint in await backend.history(job_id)]


async def three_done(backend: RewindBackend, sheets: int = 4) -> list[str]:
    """Save a job and complete three sheets of it; return the revisions, the oldest first."""
    await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=sheets))
    for number in (1, 2, 3):
        await backend.mark_sheet_status("nightly", number, SheetStatus.COMPLETED)
    return (await revisions(backend))[::-1]


async def value(backend: RewindBackend, at: str | None = None, job_id: str = "nightly") -> dict[str, object]:
    state = await backend.load(job_id, at=at)
    assert state is not None
    return state.model_dump(mode="json")


def git(backend: RewindBackend, *arguments: str) -> str:
    command = ["git", "-C", str(backend.store.path), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


async def test_rollback_is_a_new_revision_with_the_older_state(backend: RewindBackend) -> None:
    made = await three_done(backend)
    done = await backend.rollback("nightly", made[1], message="the input was wrong")
    now, *before = await backend.history("nightly")
    assert (done.revision, done.previous, done.source) == (now.revision, made[3], made[1])
    assert [checkpoint.revision for checkpoint in before] == made[::-1]
    assert (now.event, now.progress, now.message) == ("rolled-back", "1/4", "the input was wrong")
    assert now.subject == f"nightly: rolled back to {made[1][:10]} (1/4 done)"
    assert await value(backend) == await value(backend, made[1])
    assert done.before is not None and done.before["last_completed_sheet"] == 3
    assert done.after is not None and done.after["last_completed_sheet"] == 1


async def test_the_tree_is_that_of_the_older_revision_byte_for_byte(git_backend: GitStateBackend) -> None:
    made = await three_done(git_backend)
    await git_backend.rollback("nightly", made[2])
    first, second = git(git_backend, "rev-parse", "HEAD:jobs/nightly", f"{made[2]}:jobs/nightly").split()
    assert first == second


async def test_executions_stay_when_the_state_goes_back(backend: RewindBackend) -> None:
    made = await three_done(backend)
    await backend.record_execution("nightly", 3, 1, "do it", "done", 0, 1.5)
    await backend.rollback("nightly", made[0])
    (execution,) = await backend.get_execution_history("nightly")
    assert (execution["prompt"], execution["output"]) == ("do it", "done")


async def test_rollback_to_what_is_there_writes_nothing(backend: RewindBackend) -> None:
    made = await three_done(backend)
    done = await backend.rollback("nightly", made[-1])
    assert done.revision is None and done.before == done.after
    assert await revisions(backend) == made[::-1]


async def test_a_dry_run_writes_nothing_and_tells_what_would_change(backend: RewindBackend) -> None:
    made = await three_done(backend)
    done = await backend.rollback("nightly", made[0], dry_run=True)
    assert done.revision is None and done.before != done.after
    assert await revisions(backend) == made[::-1]


async def test_rollback_gets_past_a_state_that_cannot_be_read(git_backend: GitStateBackend) -> None:
    made = await three_done(git_backend)
    await git_backend.flush()
    folder = git_backend.store.path
    assert folder is not None
    (folder / "jobs/nightly/job.json").write_text("oops")
    (folder / "jobs/nightly/sheets/0009.json").write_text("{}")
    git(git_backend, "add", "-A")
    git(git_backend, "commit", "-qm", "Tidy up")
    with pytest.raises(StateCorruptionError):
        await git_backend.load("nightly")
    with pytest.raises(StateCorruptionError):
        await git_backend.rollback("nightly", (await revisions(git_backend))[0])
    done = await git_backend.rollback("nightly", made[-1])
    assert done.before is None
    assert await value(git_backend) == await value(git_backend, made[-1])


async def test_a_running_job_is_left_alone_unless_forced(backend: RewindBackend) -> None:
    made = await three_done(backend)
    state = await backend.load("nightly")
    assert state is not None
    state.mark_sheet_started(4)
    state.set_running_pid()
    await backend.save(state)
    with pytest.raises(BusyError, match=f"(?s)process {os.getpid()}.*--force"):
        await backend.rollback("nightly", made[0])
    told = await backend.rollback("nightly", made[0], dry_run=True)
    assert told.before is not None and told.before["pid"] == os.getpid()
    await backend.rollback("nightly", made[0], force=True)
    assert await value(backend) == await value(backend, made[0])


async def test_a_process_of_another_host_says_nothing(backend: RewindBackend) -> None:
    made = await three_done(backend)
    state = await backend.load("nightly")
    assert state is not None
    state.status, state.pid, state.host = JobStatus.RUNNING, os.getpid(), "elsewhere.example"
    await backend.save(state)
    await backend.rollback("nightly", made[0])
    assert await value(backend) == await value(backend, made[0])


async def test_files_in_the_place_of_folders_are_got_past(git_backend: GitStateBackend) -> None:
    made = await three_done(git_backend)
    await git_backend.flush()
    folder = git_backend.store.path
    assert folder is not None
    git(git_backend, "rm", "-qr", "jobs/nightly/sheets")
    (folder / "jobs/nightly/sheets").write_text("a file")
    (folder / "jobs/nightly/job.json").unlink()
    (folder / "jobs/nightly/job.json").symlink_to("sheets")
    git(git_backend, "add", "-A")
    git(git_backend, "commit", "-qm", "Tidy up")
    await git_backend.rollback("nightly", made[-1])
    assert await value(git_backend) == await value(git_backend, made[-1])


async def test_what_cannot_be_rolled_back_is_said(backend: RewindBackend) -> None:
    made = await three_done(backend)
    await backend.save(CheckpointState(job_id="later", job_name="Later", total_sheets=1))
    with pytest.raises(RevisionNotFoundError, match="no job 'later' at revision"):
        await backend.rollback("later", made[0])
    with pytest.raises(RevisionNotFoundError):
        await backend.rollback("nightly", "0123456789")
    with pytest.raises(InvalidInputError):
        await backend.rollback("nightly", made[0], message=3)  # type: ignore[arg-type]
    await backend.delete("nightly")
    with pytest.raises(JobNotFoundError, match="undelete"):
        await backend.rollback("nightly", made[0])


async def test_undelete_brings_the_last_state_and_its_executions_back(backend: RewindBackend) -> None:
    await three_done(backend)
    await backend.record_execution("nightly", 3, 1, "do it", "done", 0, 1.5)
    before = await value(backend)
    with pytest.raises(ExistsError, match="not deleted"):
        await backend.undelete("nightly", (await revisions(backend))[0])
    with pytest.raises(ExistsError, match="not deleted"):
        await backend.undelete("nightly")
    with pytest.raises(JobNotFoundError, match="never was"):
        await backend.undelete("none")
    await backend.delete("nightly")
    executed = (await revisions(backend))[1]
    done = await backend.undelete("nightly", message="that was a mistake")
    assert await value(backend) == before
    now = (await backend.history("nightly"))[0]
    assert (now.event, now.revision, now.message) == ("restored", done.revision, "that was a mistake")
    assert (done.source, done.before) == (executed, None)
    snapshot = backend.store.load(backend._jobs, "nightly")
    assert snapshot is not None and snapshot.read("executions/0003/output.txt") == b"done"


async def test_undelete_at_a_revision(backend: RewindBackend) -> None:
    made = await three_done(backend)
    await backend.delete("nightly")
    await backend.undelete("nightly", made[1])
    assert await value(backend) == await value(backend, made[1])
    with pytest.raises(ExistsError):
        await backend.undelete("nightly", made[1])
