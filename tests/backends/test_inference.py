"""States inferred and recovered from output files, on our backends: where they look, and what they make of it."""

from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, InvalidInputError, SheetStatus, errors
from gitstate.backends.rewind import RewindBackend
from tests.git import git

PATTERN = "sheet*-report.md"


def fill(folder: Path, *numbers: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"sheet{number}-report.md").write_text(f"report {number}\n")
    return folder


def commit_all(folder: Path) -> None:
    for words in (["add", "."], ["commit", "-qm", "results"]):
        git(folder, *words)


def clone_bare(folder: Path) -> None:
    git(folder, "clone", "-q", "--bare", "state", "bare.git")


async def test_the_highest_number_found_is_the_last_sheet(backend: RewindBackend, tmp_path: Path) -> None:
    workspace = fill(tmp_path / "work", 1, 2, 10)
    assert await backend.infer_state_from_artifacts("nightly", str(workspace), PATTERN) == 10
    assert await backend.infer_state_from_artifacts("nightly", str(workspace), "nothing*") is None
    assert await backend.infer_state_from_artifacts("nightly", str(tmp_path / "missing"), PATTERN) is None


@pytest.mark.parametrize("pattern", ["", "/etc/*", "../*", "a/../../*"])
async def test_patterns_that_leave_the_workspace_are_refused(
    backend: RewindBackend, tmp_path: Path, pattern: str
) -> None:
    for workspace in (tmp_path, tmp_path / "missing", Path("missing")):
        with pytest.raises(InvalidInputError, match="pattern"):
            await backend.infer_state_from_artifacts("nightly", str(workspace), pattern)


@pytest.mark.parametrize("workspace", [None, 5, b"work"])
async def test_a_workspace_that_is_no_path_is_refused(backend: RewindBackend, workspace: str) -> None:
    with pytest.raises(InvalidInputError, match="workspace"):
        await backend.infer_state_from_artifacts("nightly", workspace, PATTERN)


async def test_a_relative_workspace_is_the_current_folders_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with GitStateBackend(tmp_path / "state") as backend:
        fill(tmp_path / "state/work", 7)
        assert await backend.infer_state_from_artifacts("nightly", "work", PATTERN) == 7  # beside the state
        fill(tmp_path / "work", 3)
        assert await backend.infer_state_from_artifacts("nightly", "work", PATTERN) == 3


async def test_without_a_worktree_the_committed_tree_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with GitStateBackend(tmp_path / "state") as backend:
        fill(tmp_path / "state/results/deep", 4)
        fill(tmp_path / "state", 2)
        commit_all(tmp_path / "state")
    clone_bare(tmp_path)
    async with GitStateBackend(tmp_path / "bare.git") as backend:
        assert await backend.infer_state_from_artifacts("nightly", "results", "**/" + PATTERN) == 4
        assert await backend.infer_state_from_artifacts("nightly", "results/deep/", PATTERN) == 4
        assert await backend.infer_state_from_artifacts("nightly", "res", PATTERN) is None
        assert await backend.infer_state_from_artifacts("nightly", "/results/deep", PATTERN) is None


async def test_a_job_without_state_goes_on_after_what_is_found(tmp_path: Path) -> None:
    workspace = fill(tmp_path / "work", 1, 2, 3)
    async with GitStateBackend(tmp_path / "state", artifacts=(str(workspace), PATTERN)) as backend:
        assert await backend.get_next_sheet("nightly") == 4
        await backend.save(CheckpointState(job_id="nightly", job_name="n", total_sheets=9))
        assert await backend.get_next_sheet("nightly") == 1  # the state knows better
    async with InMemoryStateBackend(artifacts=(str(tmp_path / "none"), PATTERN)) as in_memory:
        assert await in_memory.get_next_sheet("nightly") == 1


async def test_recover_completes_what_is_found_and_leaves_gaps_pending(backend: RewindBackend, tmp_path: Path) -> None:
    workspace = fill(tmp_path / "work", 1, 2, 4)
    state = await backend.recover("nightly", str(workspace), PATTERN, 5, "Nightly")
    assert (state.job_id, state.job_name, state.total_sheets) == ("nightly", "Nightly", 5)
    assert [number for number, sheet in state.sheets.items() if sheet.status is SheetStatus.COMPLETED] == [1, 2, 4]
    assert state.get_next_sheet() == 3
    assert await backend.load("nightly") == state
    (point,) = await backend.history("nightly")
    assert (point.event, point.progress) == ("recovered", "3/5")
    with pytest.raises(errors.ExistsError, match="nightly"):
        await backend.recover("nightly", str(workspace), PATTERN, 5)
    assert len(await backend.history("nightly")) == 1


async def test_recover_of_everything_is_a_completed_job(backend: RewindBackend, tmp_path: Path) -> None:
    state = await backend.recover("nightly", str(fill(tmp_path / "work", 1, 2)), PATTERN, 2)
    assert (state.job_name, state.status) == ("nightly", "completed")
    assert await backend.get_next_sheet("nightly") is None


async def test_recover_of_nothing_is_a_fresh_job(backend: RewindBackend, tmp_path: Path) -> None:
    state = await backend.recover("nightly", str(tmp_path / "missing"), PATTERN, 2)
    assert (state.status, state.sheets) == ("pending", {})


async def test_recover_for_a_model_that_asks_for_more_says_so() -> None:
    class Owned(CheckpointState):
        owner: str

    async with InMemoryStateBackend(model=Owned) as backend:
        with pytest.raises(InvalidInputError, match="Owned needs: /owner"):
            await backend.recover("nightly", ".", PATTERN, 2)
        assert await backend.load("nightly") is None


@pytest.mark.parametrize("total", [0, -1, 2, True, None, "3"])
async def test_recover_refuses_sheets_that_the_job_does_not_have(
    backend: RewindBackend, tmp_path: Path, total: int
) -> None:
    workspace = fill(tmp_path / "work", 1, 3)
    with pytest.raises(InvalidInputError, match="nightly"):
        await backend.recover("nightly", str(workspace), PATTERN, total)
    assert await backend.load("nightly") is None
