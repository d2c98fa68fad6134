"""Edits that people made in the store's folder: found, committed with what was saved since, or dropped."""

import asyncio
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, JobStatus, SheetStatus
from gitstate.backends import edited
from gitstate.errors import BusyError, ConflictError, InvalidInputError, NotFoundError
from tests.git import git

JOB = "jobs/nightly/job.json"


def sheet(number: int, job: str = "nightly") -> str:
    return f"jobs/{job}/sheets/{number:04}.json"


def edit(path: Path, **fields: Any) -> None:
    """Change fields of a JSON file, None to remove one, and write it in a form of its own."""
    value = json.loads(path.read_bytes()) | fields
    path.write_text(json.dumps({key: item for key, item in value.items() if item is not None}))


@pytest.fixture
async def backend(git_backend: GitStateBackend) -> GitStateBackend:
    """A store with two jobs, which its folder shows."""
    for job_id in ("nightly", "weekly"):
        state = CheckpointState(job_id=job_id, job_name=job_id, total_sheets=4)
        state.mark_sheet_started(1)
        state.mark_sheet_completed(1)
        state.mark_sheet_started(2)
        state.mark_sheet_failed(2, "no space")
        await git_backend.save(state)
    await git_backend.flush()
    return git_backend


def matching(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


def clean(folder: Path) -> bool:
    return git(folder, "status", "--porcelain") == ""


async def names(backend: GitStateBackend) -> dict[str, list[str]]:
    """Return the files that were edited, by job; those of no job under the empty name."""
    found = await backend.edits()
    told = {job.job_id: [file.path for file in job.files] for job in found.jobs}
    return told | ({"": [file.path for file in found.files]} if found.files else {})


# What is edited


async def test_nothing_was_edited(backend: GitStateBackend, folder: Path) -> None:
    found = await backend.edits()
    assert (found.path, found.behind, found.pending) == (folder, 0, "")
    assert (found.jobs, found.files, found.others) == ((), (), ())
    assert await backend.commit_edits() == []


async def test_edits_are_told_with_what_they_change(backend: GitStateBackend, folder: Path) -> None:
    edit(folder / sheet(2), status="skipped")
    (folder / "notes.txt").write_text("mine")
    (folder / "work").mkdir()
    (folder / "work/out.txt").write_text("out")
    (folder / "jobs/nightly/scratch").write_text("not of the job")
    found = await backend.edits()
    [job] = found.jobs
    assert job.diff is not None
    assert [
        (each.sheet, each.before and each.before.status, each.after and each.after.status) for each in job.diff.sheets
    ] == [("2", "failed", "skipped")]
    assert (job.job_id, job.event, job.problem, job.moved, job.unknown) == ("nightly", "edited", "", False, ())
    assert [(file.path, file.what, file.staged) for file in job.files] == [(sheet(2), "changed", False)]
    assert found.others == ("jobs/nightly/scratch", "notes.txt", "work/")


async def test_an_edit_that_no_time_tells(backend: GitStateBackend, folder: Path) -> None:
    """Same size, same moment: only the content tells."""
    path = folder / JOB
    data = path.read_bytes()
    path.write_bytes(data.replace(b"nightly", b"NIGHTLY", 2).replace(b'"job_id": "NIGHTLY"', b'"job_id": "nightly"'))
    assert path.stat().st_size == len(data)
    assert await names(backend) == {"nightly": [JOB]}


async def test_permissions_alone_are_no_edit(backend: GitStateBackend, folder: Path) -> None:
    (folder / JOB).chmod(0o755)
    assert await names(backend) == {}


@pytest.mark.parametrize("staged", [False, True])
async def test_new_and_removed_files(backend: GitStateBackend, folder: Path, staged: bool) -> None:
    shutil.rmtree(folder / "jobs/weekly")
    shutil.copytree(folder / "jobs/nightly", folder / "jobs/third")
    edit(folder / "jobs/third/job.json", job_id="third")
    (folder / "jobs/stray/executions").mkdir(parents=True)
    (folder / "jobs/stray/executions/x").write_text("no job is here")
    if staged:
        git(folder, "add", "-A", "jobs/weekly", "jobs/third")
    found = await backend.edits()
    assert [(job.job_id, job.event, job.files[0].what) for job in found.jobs] == [
        ("third", "created", "added"),
        ("weekly", "deleted", "deleted"),
    ]
    assert found.others == ("jobs/stray/executions/x",)
    done = await backend.commit_edits()
    assert [(each.job_id, each.event) for each in done] == [("third", "created"), ("weekly", "deleted")]
    assert await backend.load("weekly") is None
    assert (await backend.load("third")) is not None
    assert [(each.event, each.subject) for each in await backend.history("weekly", 1)] == [
        ("deleted", "weekly: deleted")
    ]
    assert git(folder, "status", "--porcelain") == "?? jobs/stray/\n"
    await backend.undo("weekly")
    assert (await backend.load("weekly")) is not None


async def test_a_job_with_a_name_that_was_cut(backend: GitStateBackend, folder: Path) -> None:
    long = "long" * 60
    await backend.save(CheckpointState(job_id=long, job_name="long", total_sheets=1))
    await backend.flush()
    [path] = matching(folder, "jobs/long*/job.json")
    edit(path, job_name="longer")
    assert list(await names(backend)) == [long]
    await backend.commit_edits(long)
    state = await backend.load(long)
    assert state is not None and state.job_name == "longer"


# Committing


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


# Discarding


@pytest.mark.parametrize("staged", [False, True])
async def test_edits_are_dropped_and_kept_aside(backend: GitStateBackend, folder: Path, staged: bool) -> None:
    edit(folder / sheet(2), status="skipped")
    mine = (folder / sheet(2)).read_bytes()
    (folder / JOB).unlink()
    (folder / sheet(3)).write_text("new")
    if staged:
        git(folder, "add", "-A", "jobs")
        edit(folder / sheet(2), status="completed")
    state = await backend.load("nightly")
    assert state is not None
    state.sheets[2].error_message = "saved meanwhile"
    await backend.save(state)
    done = await backend.discard_edits("nightly")
    assert [(file.path, file.what) for file in done.files] == [
        (JOB, "deleted"),
        (sheet(2), "changed"),
        (sheet(3), "added"),
    ]
    assert clean(folder) and done.left == ()
    assert "saved meanwhile" in (folder / sheet(2)).read_text()
    assert done.kept is not None and (done.kept / sheet(3)).read_text() == "new"
    assert (done.kept / (sheet(2) + ".staged" if staged else sheet(2))).read_bytes() == mine
    assert done.kept.parent == folder / ".git/gitstate/discarded"


async def test_what_is_not_ours_is_not_dropped(backend: GitStateBackend, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out/report.txt").write_text("x")
    for name in ("out", "out/report.txt"):
        with pytest.raises(InvalidInputError, match="not a file of the store"):
            await backend.discard_edits(name)
    with pytest.raises(NotFoundError):
        await backend.discard_edits("nightly")
    assert (await backend.discard_edits()).files == ()
    assert (folder / "out/report.txt").exists()


async def test_the_last_twenty_are_kept(backend: GitStateBackend, folder: Path) -> None:
    for number in range(22):
        (folder / JOB).write_text(f"{number}")
        await backend.discard_edits()
    kept = sorted((folder / ".git/gitstate/discarded").iterdir())
    assert [(each / JOB).read_text() for each in kept] == [str(number) for number in range(2, 22)]


@pytest.mark.parametrize("kind", ["link", "folder", "parent"])
async def test_what_is_no_file(backend: GitStateBackend, folder: Path, tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path = folder / sheet(2)
    path.unlink()
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "folder":
        path.mkdir()
        (path / "x").write_text("x")
    else:
        shutil.rmtree(path.parent)
        path.parent.write_text("a file")
    with pytest.raises(InvalidInputError, match=r"0002\.json|0001\.json"):
        await backend.commit_edits()
    if kind == "link":
        await backend.discard_edits()
        assert clean(folder) and not path.is_symlink()
    else:
        with pytest.raises(InvalidInputError, match="nothing was discarded"):
            await backend.discard_edits()
    assert victim.read_text() == "untouched"


# Where there is nothing to edit, or nobody can tell


async def test_stores_without_a_folder(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "bare", worktree=False) as bare, InMemoryStateBackend() as memory:
        for backend in (bare, memory):
            assert (await backend.edits()).path is None
            with pytest.raises(InvalidInputError, match="shows no files"):
                await backend.commit_edits()
            with pytest.raises(InvalidInputError, match="shows no files"):
                await backend.discard_edits("x")


async def test_another_branch_is_checked_out(backend: GitStateBackend, folder: Path) -> None:
    git(folder, "switch", "-qc", "elsewhere")
    found = await backend.edits()
    assert "another branch" in found.pending and found.jobs == ()
    with pytest.raises(BusyError, match="another branch"):
        await backend.commit_edits()
    git(folder, "switch", "-q", "main")


async def test_git_is_at_work_in_the_folder(backend: GitStateBackend, folder: Path) -> None:
    edit(folder / sheet(2), status="skipped")
    (folder / ".git/index.lock").write_bytes(b"")
    found = await backend.edits()
    assert "index" in found.pending and [job.job_id for job in found.jobs] == ["nightly"]
    with pytest.raises(BusyError):
        await backend.commit_edits()
    (folder / ".git/index.lock").unlink()
    await backend.commit_edits()
    assert clean(folder)


async def test_edits_survive_concurrent_saves(backend: GitStateBackend, folder: Path) -> None:
    edit(folder / JOB, config_path="mine.yaml")
    marks = [backend.mark_sheet_status("nightly", number, SheetStatus.IN_PROGRESS) for number in (3, 4)]
    await asyncio.gather(backend.commit_edits(), *marks)
    state = await backend.load("nightly")
    assert state is not None and state.config_path == "mine.yaml"
    assert {state.sheets[number].status for number in (3, 4)} == {SheetStatus.IN_PROGRESS}


@pytest.mark.parametrize("dropped", [False, True])
async def test_an_edit_goes_on_while_it_is_committed(
    backend: GitStateBackend, folder: Path, monkeypatch: pytest.MonkeyPatch, dropped: bool
) -> None:
    """It begins at what the file held then, which nobody committed in that form, and which git may drop one day."""
    take = edited._take

    def late(*of: Any) -> None:
        edit(folder / JOB, job_name="again")
        take(*of)

    edit(folder / JOB, total_sheets=5)
    with monkeypatch.context() as patch:
        patch.setattr(edited, "_take", late)
        await backend.commit_edits()
    if dropped:
        git(folder, "gc", "-q", "--prune=now")
    [job] = (await backend.edits()).jobs
    assert bool(job.problem) == dropped
    if dropped:
        assert (await backend.discard_edits()).left == ()
    else:
        await backend.commit_edits()
    state = await backend.load("nightly")
    assert state is not None
    assert (state.total_sheets, state.job_name) == (5, "nightly" if dropped else "again")
    assert clean(folder)


async def test_several_who_commit_count_an_edit_once(backend: GitStateBackend, folder: Path) -> None:
    edit(folder / JOB, total_retry_count=5)
    saved = await backend.load("nightly")
    assert saved is not None
    saved.total_retry_count = 2
    await backend.save(saved)
    async with GitStateBackend(folder) as other:
        done = await asyncio.gather(*(each.commit_edits() for each in (backend, other, backend, other)))
    assert sum(len(each) for each in done) == 1
    state = await backend.load("nightly")
    assert state is not None and state.total_retry_count == 6


async def test_a_store_with_more_folders(backend: GitStateBackend, folder: Path) -> None:
    await backend.reshard(2)
    await backend.flush()
    [path] = matching(folder, "jobs/*/*/nightly/job.json")
    edit(path, config_path="mine.yaml")
    assert list(await names(backend)) == ["nightly"]
    await backend.commit_edits("nightly")
    assert clean(folder)
