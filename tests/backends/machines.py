"""Machines that share a bare repository: how they come to be and work, and what a sync did."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gitstate import CheckpointState, GitStateBackend
from gitstate.store.remote.outcomes import SyncReport
from tests.git import git

__all__ = [
    "RESCUES",
    "begun_by_somebody_else",
    "fates",
    "first",
    "head",
    "job",
    "parted",
    "refs",
    "rename",
    "results",
    "run_sheet",
    "two",
]

RESCUES = "refs/gitstate/rescue/"


def job(name: str = "nightly", sheets: int = 5) -> CheckpointState:
    return CheckpointState(job_id=name, job_name=name, total_sheets=sheets)


async def run_sheet(backend: GitStateBackend, sheet: int, name: str = "nightly") -> None:
    state = await backend.load(name)
    assert state is not None
    state.mark_sheet_started(sheet)
    state.mark_sheet_completed(sheet)
    await backend.save(state)


async def rename(backend: GitStateBackend, text: str, name: str = "nightly") -> None:
    """Change what two sides cannot both have."""
    state = await backend.load(name)
    assert state is not None
    state.job_name = text
    await backend.save(state)


def results(report: SyncReport) -> dict[str, str]:
    return {each.document: each.result for each in report.outcomes}


def fates(report: Any) -> list[str]:
    return [each.fate for each in report.companions]


def head(folder: Path, ref: str = "main") -> str:
    return git(folder, "rev-parse", ref).strip()


def refs(folder: Path, below: str) -> list[str]:
    return git(folder, "for-each-ref", "--format=%(refname)", below).split()


async def first(folder: Path, hub: Path, stack: AsyncExitStack, *jobs: str) -> GitStateBackend:
    """Make a store with some jobs, and bring it to the hub."""
    backend = await stack.enter_async_context(GitStateBackend(folder))
    for name in jobs or ("nightly",):
        await backend.save(job(name))
    await backend.add_remote("origin", str(hub))
    await backend.sync()
    return backend


def begun_by_somebody_else(folder: Path) -> Path:
    """Two stores that one person makes in one second begin with the very same commit."""
    git(folder.parent, "init", "-q", str(folder))
    git(folder, "config", "user.name", "Somebody Else")
    return folder


async def two(tmp_path: Path, hub: Path, stack: AsyncExitStack) -> tuple[GitStateBackend, GitStateBackend]:
    """Two machines that have the same."""
    one = await first(tmp_path / "one", hub, stack)
    other = await stack.enter_async_context(await GitStateBackend.clone(str(hub), tmp_path / "other"))
    return one, other


async def parted(tmp_path: Path, hub: Path, stack: AsyncExitStack) -> tuple[GitStateBackend, GitStateBackend]:
    """Two machines that changed what both cannot have; the hub knows that of the first."""
    one, other = await two(tmp_path, hub, stack)
    await rename(one, "as one has it")
    await one.sync()
    await rename(other, "as the other has it")
    return one, other
