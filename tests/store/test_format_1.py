"""A repository of format 1, made by the first release that wrote it, is read by this one, and forever."""

import shutil
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend, SheetStatus
from tests.git import fsck, git

FIXTURE = Path(__file__).parent.parent / "fixtures" / "format-1.git"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the fixture: what is stored under ``tests`` is never touched."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "format-1.git"))


async def test_its_jobs_are_read(folder: Path) -> None:
    async with GitStateBackend(folder) as backend:
        ids = {state.job_id for state in await backend.list_jobs()}
        assert ids == {"nightly", "a/b", "A_B", ".git", "line\nbreak", "x" * 300}
        state = await backend.load("nightly")
        assert state is not None
        assert state.metadata == {"a": [1, None, "ü\ud800"], "b": 1.0, "big": 2**80}
        assert state.model_extra == {"newer_field": {"kept": True}}
        assert state.sheets[1].status is SheetStatus.COMPLETED
        assert (state.sheets[1].attempt_count, state.sheets[1].execution_duration_seconds) == (2, 0.25)
        assert (await backend.get_next_sheet("nightly"), await backend.load("gone")) == (2, None)


async def test_its_history_is_read(folder: Path) -> None:
    async with GitStateBackend(folder) as backend:
        points = await backend.history("nightly")
        assert [point.event for point in points] == [
            "saved",
            "execution",
            "saved",
            "saved",
            "execution",
            "saved",
            "created",
        ]
        assert points[0].subject == "nightly: sheet 1 completed, attempt 2 (1/3 done)"
        assert (points[0].author, points[0].status, points[0].progress) == ("A Writer", "running", "1/3")
        assert [point.event for point in await backend.history("gone")] == ["deleted", "created"]
        second, first = await backend.get_execution_history("nightly")
        assert (first["prompt"], first["output"], first["exit_code"]) == ("look\n", "nothing\n", 1)
        assert (second["prompt"], second["output"], second["duration_seconds"]) == ("look again\n", "found\n", 0.25)


async def test_a_save_writes_only_what_changed(folder: Path) -> None:
    """The bytes of format 1 do not move: files that say the same are the same."""
    async with GitStateBackend(folder) as backend:
        state = await backend.load("nightly")
        assert isinstance(state, CheckpointState)
        await backend.save(state)
    assert git(folder, "diff", "--numstat", "HEAD^", "HEAD") == "1\t1\tjobs/nightly/job.json\n"
    fsck(folder)
