"""What somebody commits with plain git is a checkpoint like any other; what is no state is reported with its author."""

import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend, JobStatus, SheetStatus, StateCorruptionError
from tests.git import git, loose, unpack
from tests.stores import leave_damaged

JOB = "jobs/nightly/job.json"
SHEET = "jobs/nightly/sheets/0002.json"


@pytest.fixture
async def backend(git_backend: GitStateBackend) -> GitStateBackend:
    """A store whose job has two checkpoints."""
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=3)
    await git_backend.save(state)
    for number in (1, 2):
        state.mark_sheet_started(number)
        state.mark_sheet_completed(number)
    await git_backend.save(state)
    await git_backend.flush()
    return git_backend


def change(folder: Path, path: str, old: str, new: str, *, subject: str = "by hand", author: str = "") -> str:
    text = (folder / path).read_text()
    assert old in text
    (folder / path).write_text(text.replace(old, new))
    git(folder, "commit", "-qam", subject, f"--author={author or 'An Editor <editor@example.org>'}")
    return git(folder, "rev-parse", "HEAD").strip()


def break_json(folder: Path) -> str:
    return change(folder, JOB, "{", "<<<<<<< HEAD\n{")


def break_model(folder: Path) -> str:
    return change(folder, SHEET, '"completed"', '"almost"')


def commit_conflict(folder: Path) -> str:
    """Merge a branch, and commit the marks that git leaves."""
    git(folder, "switch", "-qc", "side", "HEAD~1")
    change(folder, JOB, '"Nightly"', '"Side"')
    git(folder, "switch", "-q", "main")
    change(folder, JOB, '"Nightly"', '"Main"', author="A Tester <tester@example.org>")
    merge = ["git", "-c", "merge.conflictStyle=merge", "merge", "-q", "side"]
    assert subprocess.run(merge, cwd=folder, capture_output=True).returncode == 1
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=An Editor", "commit", "-qm", "merged, in a hurry")
    return git(folder, "rev-parse", "HEAD").strip()


BREAKERS = [break_json, break_model, commit_conflict]


@pytest.mark.parametrize("break_it", BREAKERS)
async def test_an_invalid_commit_is_told_with_its_author(
    backend: GitStateBackend, folder: Path, break_it: Callable[[Path], str], caplog: pytest.LogCaptureFixture
) -> None:
    await backend.load("nightly")
    commit = break_it(folder)
    if break_it is break_model:  # what does not change the state is not to blame
        await backend.record_execution("nightly", 2, 1, "prompt", "output", 0)
    by = f"made by {commit[:10]} of An Editor, "
    with pytest.raises(StateCorruptionError, match=by) as caught:
        await backend.load("nightly")
    assert (caught.value.revision, caught.value.author) == (commit, "An Editor")
    assert "'nightly'" in caught.value.message and ".json: " in caught.value.message
    report = await backend.verify()
    [problem] = [each for each in report.problems if each.severity == "error"]
    assert by in problem.what and (problem.revision, problem.author) == (commit, "An Editor")
    with caplog.at_level(logging.WARNING, "gitstate"):
        assert await backend.list_jobs() == []
    assert by in caplog.text
    if break_it is not break_model:  # a list looks at what a job says of itself, and not at each sheet
        caplog.clear()
        assert (await backend.job_page(10)).jobs == []
        assert by in caplog.text
    await backend.rollback("nightly", "~1")
    assert (await backend.load("nightly")) is not None


@pytest.mark.parametrize("break_it", BREAKERS)
@pytest.mark.parametrize("way", ["rollback", "undo"])
async def test_the_ways_back_get_past_it(
    backend: GitStateBackend, folder: Path, break_it: Callable[[Path], str], way: str
) -> None:
    break_it(folder)
    before = git(folder, "rev-parse", "HEAD^:jobs/nightly").strip()
    if way == "rollback":
        await backend.rollback("nightly", "~1")
    else:
        await backend.undo("nightly")
    assert git(folder, "rev-parse", "HEAD:jobs/nightly").strip() == before
    state = await backend.load("nightly")
    assert state is not None and state.sheets[2].status is SheetStatus.COMPLETED
    await backend.flush()
    assert git(folder, "status", "--porcelain") == ""


async def test_a_lost_file_is_no_commit_s_work(tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    async with GitStateBackend(folder) as backend:
        await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=3))
    unpack(folder)
    loose(folder, f"HEAD:{JOB}").unlink()
    leave_damaged(folder)
    async with GitStateBackend(folder) as backend:
        with pytest.raises(StateCorruptionError) as caught:
            await backend.load("nightly")
        assert "made by" not in caught.value.message and caught.value.revision == ""


async def test_a_revert_is_a_checkpoint(backend: GitStateBackend, folder: Path) -> None:
    git(folder, "revert", "--no-edit", "HEAD")
    state = await backend.load("nightly")
    assert state is not None and state.sheets == {} and state.status is JobStatus.PENDING
    [newest] = await backend.history("nightly", 1)
    assert (newest.event, newest.revision) == ("edited", git(folder, "rev-parse", "HEAD").strip())
    assert newest.subject.startswith('Revert "nightly: ')
    await backend.undo("nightly")
    state = await backend.load("nightly")
    assert state is not None and sorted(state.sheets) == [1, 2]


async def test_a_merge_commit_is_a_checkpoint(backend: GitStateBackend, folder: Path) -> None:
    git(folder, "switch", "-qc", "side")
    change(folder, JOB, '"Nightly"', '"Side"')
    git(folder, "switch", "-q", "main")
    await backend.mark_sheet_status("nightly", 3, SheetStatus.IN_PROGRESS)
    await backend.flush()
    git(
        folder,
        "-c",
        "merge.ff=false",
        "-c",
        "merge.conflictStyle=merge",
        "merge",
        "-q",
        "-X",
        "ours",
        "-m",
        "joined",
        "side",
    )
    state = await backend.load("nightly")
    assert state is not None and state.job_name == "Side" and state.sheets[3].status is SheetStatus.IN_PROGRESS
    history = await backend.history("nightly")
    assert (history[0].subject, history[0].event) == ("joined", "edited")
    assert {"by hand", "joined"} <= {each.subject for each in history if each.event == "edited"}
