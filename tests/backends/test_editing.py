"""Edits that people made in the store's folder: which are found, and what else goes on there meanwhile."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, SheetStatus
from gitstate.backends import edited
from gitstate.errors import BusyError, InvalidInputError
from tests.backends.editing import JOB, clean, edit, matching, names, sheet, two_jobs
from tests.git import git

backend = pytest.fixture(two_jobs)


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
