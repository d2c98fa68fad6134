"""Edits of people are committed with what was saved since, as a checkpoint, or refused whole."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from pydantic import ConfigDict

from gitstate import CheckpointState, GitStateBackend, JobStatus, SheetStatus
from gitstate.errors import ConflictError, InvalidInputError, NotFoundError
from tests.backends.editing import JOB, clean, edit, matching, names, sheet, two_jobs
from tests.git import git

backend = pytest.fixture(two_jobs)


async def test_a_commit_is_a_checkpoint(backend: GitStateBackend, folder: Path) -> None:
    edit(folder / sheet(2), status="skipped", error_message=None)
    edit(folder / JOB, status="paused")
    before = git(folder, "show", "HEAD:" + JOB)
    [done] = await backend.commit_edits(message="Not worth another try")
    assert (done.job_id, done.event, done.merged) == ("nightly", "edited", False)
    [newest] = await backend.history("nightly", 1)
    assert newest.revision == done.revision
    assert (newest.event, newest.subject) == ("edited", "nightly: sheet 2 skipped, edited (2/4 done)")
    assert (newest.message, newest.status, newest.progress, newest.author) == (
        "Not worth another try",
        "paused",
        "2/4",
        "A Tester",
    )
    state = await backend.load("nightly")
    assert state is not None and state.sheets[2].status is SheetStatus.SKIPPED
    updated = json.loads(git(folder, "show", "HEAD:" + JOB))["updated_at"]
    assert updated > json.loads(before)["updated_at"]  # it is a save of now
    assert clean(folder)  # in the form that all files have
    await backend.undo("nightly")
    state = await backend.load("nightly")
    assert state is not None and state.sheets[2].status is SheetStatus.FAILED


async def test_attempts_that_ended_by_hand_are_told(backend: GitStateBackend, folder: Path) -> None:
    await backend.mark_sheet_status("nightly", 3, SheetStatus.IN_PROGRESS)
    await backend.flush()
    edit(folder / sheet(3), status="completed")
    await backend.commit_edits("nightly")
    [newest] = await backend.history("nightly", 1)
    assert [(ended.sheet, ended.status) for ended in newest.ended] == [(3, "completed")]


@pytest.mark.parametrize("shown", [False, True])
async def test_saves_since_the_edit_began_are_kept(backend: GitStateBackend, folder: Path, shown: bool) -> None:
    edit(folder / JOB, config_path="by-hand.yaml")
    edit(folder / sheet(2), error_message="looked at by hand")
    state = await backend.load("nightly")
    assert state is not None
    for number in (3, 4):  # sheets come, and the job's list and status with them
        state.mark_sheet_started(number)
        state.mark_sheet_completed(number)
        state.total_retry_count += 1
        await backend.save(state)
        if shown:
            await backend.flush()
    found = (await backend.edits()).jobs[0]
    assert (found.moved, found.conflicts, found.problem) == (True, (), "")
    assert found.diff is not None and {change.pointer for change in found.diff.changes} == {
        "/config_path",
        "/sheets/2/error_message",
    }
    [done] = await backend.commit_edits()
    assert done.merged
    merged = await backend.load("nightly")
    assert merged is not None and merged.config_path == "by-hand.yaml" and merged.total_retry_count == 3
    assert merged.sheets[4].status is SheetStatus.COMPLETED and merged.sheets[2].error_message == "looked at by hand"
    assert clean(folder) and json.loads((folder / JOB).read_bytes())["total_retry_count"] == 3
    assert await backend.commit_edits() == []


async def test_a_counter_counts_an_edit_once(backend: GitStateBackend, folder: Path) -> None:
    edit(folder / JOB, total_retry_count=5)
    state = await backend.load("nightly")
    assert state is not None
    state.total_retry_count = 2
    await backend.save(state)
    await backend.commit_edits()
    await backend.commit_edits()
    merged = await backend.load("nightly")
    assert merged is not None and merged.total_retry_count == 6  # 1, and 4, and 1


async def test_conflicts_leave_everything_as_it_is(backend: GitStateBackend, folder: Path) -> None:
    edit(folder / JOB, config_path="mine.yaml")
    edit(folder / sheet(1, "weekly"), error_message="fine")
    state = await backend.load("nightly")
    assert state is not None
    state.config_path = "theirs.yaml"
    await backend.save(state)
    await backend.flush()
    head = git(folder, "rev-parse", "HEAD")
    found = (await backend.edits()).jobs[0]
    assert found.conflicts == ("/config_path",) and "/config_path" in found.problem
    with pytest.raises(ConflictError, match="/config_path") as caught:
        await backend.commit_edits()
    assert [conflict.pointer for conflict in caught.value.conflicts] == ["/config_path"]
    assert git(folder, "rev-parse", "HEAD") == head
    assert json.loads((folder / JOB).read_bytes())["config_path"] == "mine.yaml"
    assert list(await names(backend)) == ["nightly", "weekly"]
    await backend.commit_edits("weekly")
    edit(folder / JOB, config_path="theirs.yaml", job_name="mine")  # the person makes it fit
    await backend.commit_edits()
    merged = await backend.load("nightly")
    assert merged is not None and (merged.config_path, merged.job_name) == ("theirs.yaml", "mine")


async def test_nobody_who_went_back_is_overruled(backend: GitStateBackend, folder: Path) -> None:
    await backend.mark_sheet_status("nightly", 3, SheetStatus.IN_PROGRESS)
    await backend.flush()
    edit(folder / sheet(3), status="completed")
    await backend.rollback("nightly", "~1", force=True)
    with pytest.raises(ConflictError):
        await backend.commit_edits()


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [
        (sheet(2), b'{"status": "almost"}', "sheets/0002.json: .*sheets/2/sheet_num"),
        (sheet(2), b"<<<<<<< HEAD\n", "jobs/nightly/sheets/0002.json: "),
        (JOB, b"{", "jobs/nightly/job.json: "),
        (JOB, b'{"job_id": "weekly", "job_name": "x", "total_sheets": 1}', "0001.json is there, but job.json does not"),
        ("jobs/third/job.json", b'{"job_id": "x", "job_name": "x", "total_sheets": 1}', "folder is that of 'third'"),
        ("jobs/third/sheets/0001.json", b"{}", "job.json is missing"),
        ("gitstate.json", b"{}", "gitstate.json"),
        ("gitstate.json", b'{"format": 1, "fanout": 2}', "not edited by hand"),
    ],
)
async def test_what_is_no_state_is_refused_whole(
    backend: GitStateBackend, folder: Path, path: str, content: bytes, says: str
) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)
    edit(folder / sheet(1, "weekly"), error_message="fine")
    head = git(folder, "rev-parse", "HEAD")
    told = await backend.edits()
    assert told.problem or next(job.problem for job in told.jobs if job.job_id != "weekly")
    with pytest.raises(InvalidInputError, match=says):
        await backend.commit_edits()
    assert git(folder, "rev-parse", "HEAD") == head
    assert (folder / path).read_bytes() == content


async def test_sheets_added_and_removed_by_hand(backend: GitStateBackend, folder: Path) -> None:
    shutil.copy(folder / sheet(2), folder / sheet(3))
    edit(folder / sheet(3), sheet_num=3)
    (folder / sheet(1)).unlink()
    await backend.commit_edits()
    state = await backend.load("nightly")
    assert state is not None and sorted(state.sheets) == [2, 3]
    assert clean(folder)


async def test_files_that_are_no_part_of_the_state(backend: GitStateBackend, folder: Path) -> None:
    await backend.record_execution("nightly", 2, 1, "prompt", "output", 1)
    await backend.flush()
    output = folder / "jobs/nightly/executions/0002/output.txt"
    output.write_text("redacted")
    (folder / "README.md").write_text("of the store")
    (folder / "jobs/nightly/notes.md").write_text("notes")
    git(folder, "add", "README.md", "jobs/nightly/notes.md")
    (folder / "README.md").write_text("of the store, in full")
    done = await backend.commit_edits()
    assert [(each.job_id, [file.path for file in each.files]) for each in done] == [
        ("nightly", ["jobs/nightly/executions/0002/output.txt", "jobs/nightly/notes.md"]),
        (None, ["README.md"]),
    ]
    assert git(folder, "log", "-2", "--format=%s") == "README.md: edited\nnightly: edited (1/4 done)\n"
    assert git(folder, "show", "HEAD:README.md") == "of the store, in full"
    assert git(folder, "show", "HEAD:jobs/nightly/executions/0002/output.txt") == "redacted"
    assert clean(folder)


async def test_what_was_staged_and_is_not_committed_is_kept(
    backend: GitStateBackend, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shown = (folder / sheet(2)).read_bytes()
    edit(folder / sheet(2), status="skipped")
    git(folder, "add", sheet(2))
    staged = (folder / sheet(2)).read_bytes()
    (folder / sheet(2)).write_bytes(shown)
    [done] = await backend.commit_edits()
    assert done.revision is None and clean(folder)
    [kept] = matching(folder, ".git/gitstate/discarded/*/" + sheet(2) + ".staged")
    assert kept.read_bytes() == staged and "what was staged" in caplog.text


async def test_files_that_moved_on_are_refused(backend: GitStateBackend, folder: Path) -> None:
    await backend.record_execution("nightly", 2, 1, "prompt", "output", 1)
    await backend.flush()
    (folder / "jobs/nightly/executions/0002/output.txt").write_text("redacted")
    await backend.record_execution("nightly", 2, 2, "prompt", "other output", 1)
    with pytest.raises(ConflictError, match=r"0002/output\.txt"):
        await backend.commit_edits()
    assert "0002/output.txt" in (await backend.edits()).jobs[0].problem


async def test_some_edits_by_name(backend: GitStateBackend, folder: Path) -> None:
    for path in (JOB, sheet(1), sheet(1, "weekly")):
        edit(folder / path, error_message="mine")
    await backend.commit_edits([sheet(1), "./jobs/weekly/"])
    assert await names(backend) == {"nightly": [JOB]}
    with pytest.raises(NotFoundError, match="nothing was edited at 'weekly'"):
        await backend.commit_edits(["weekly"])
    (folder / "other.txt").write_text("x")
    with pytest.raises(InvalidInputError, match=r"other\.txt is not a file of the store"):
        await backend.commit_edits("other.txt")


async def test_a_job_that_runs_is_merged_with(backend: GitStateBackend, folder: Path) -> None:
    state = await backend.load("nightly")
    assert state is not None
    state.status, state.pid, state.host = JobStatus.RUNNING, os.getpid(), socket.gethostname()
    await backend.save(state)
    await backend.flush()
    edit(folder / JOB, config_path="new.yaml")
    await backend.commit_edits()
    state.mark_sheet_started(3)
    await backend.save(state)  # the process goes on with what it has
    merged = await backend.load("nightly")
    assert merged is not None and merged.config_path == "new.yaml" and 3 in merged.sheets


async def test_a_deletion_by_hand_beside_a_save(backend: GitStateBackend, folder: Path) -> None:
    shutil.rmtree(folder / "jobs/nightly")
    await backend.mark_sheet_status("nightly", 3, SheetStatus.IN_PROGRESS)
    with pytest.raises(ConflictError, match="was saved since its files were removed"):
        await backend.commit_edits()
    await backend.discard_edits("nightly")
    assert clean(folder)


async def test_an_edit_of_a_job_that_was_deleted(backend: GitStateBackend, folder: Path) -> None:
    edit(folder / sheet(2), status="skipped")
    await backend.delete("nightly")
    with pytest.raises(ConflictError, match="was deleted since it was edited"):
        await backend.commit_edits()
    await backend.undelete("nightly")
    await backend.commit_edits()
    state = await backend.load("nightly")
    assert state is not None and state.sheets[2].status is SheetStatus.SKIPPED
    assert clean(folder)


class Strict(CheckpointState):
    """A model that does not keep what it does not know."""

    model_config = ConfigDict(extra="ignore")


async def test_a_field_that_no_state_has_is_told(
    backend: GitStateBackend, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(folder / JOB, statsu="paused")
    async with GitStateBackend(folder, model=Strict) as strict:
        assert (await strict.edits()).jobs[0].unknown == ("/statsu",)
        await strict.commit_edits()
    assert "no state has /statsu: in job 'nightly' it means nothing" in caplog.text


async def test_a_broken_head_is_mended_by_hand(backend: GitStateBackend, folder: Path) -> None:
    good = (folder / JOB).read_bytes()
    (folder / JOB).write_bytes(b"<<<<<<< HEAD\n")
    git(folder, "commit", "-qam", "oops")
    (folder / JOB).write_bytes(good)
    [job] = (await backend.edits()).jobs
    assert (job.problem, job.diff) == ("", None)
    await backend.commit_edits()
    assert (await backend.load("nightly")) is not None
    [newest] = await backend.history("nightly", 1)
    assert newest.message == "Replaces a state that could not be read." and clean(folder)
