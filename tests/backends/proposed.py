"""A store with two jobs, and short ways to propose changes of them, to change them meanwhile and to apply."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gitstate import CheckpointState, GitStateBackend
from gitstate.backends.proposing import AppliedProposal
from gitstate.store.history import walked
from gitstate.store.trails import Trail
from tests.git import fsck, git

__all__ = [
    "Change",
    "apply",
    "branches",
    "change",
    "propose",
    "proposing",
    "reset",
    "roll_back",
    "run_sheet_4",
    "skip",
    "state_of",
    "two_jobs",
]

Change = Callable[[GitStateBackend], Awaitable[Any]]


async def two_jobs(tmp_path: Path) -> AsyncIterator[Path]:
    """A store with two jobs: ``nightly``, 3 of 6 sheets done and one failed, and ``weekly``, complete."""
    path = tmp_path / "state"
    async with GitStateBackend(path) as backend:
        nightly = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=6)
        await backend.save(nightly)
        for sheet in (1, 2, 3):
            nightly.mark_sheet_started(sheet)
            nightly.mark_sheet_completed(sheet)
            await backend.save(nightly)
        nightly.mark_sheet_started(4)
        nightly.mark_sheet_failed(4, "out of memory")
        nightly.mark_job_paused()
        await backend.save(nightly)
        weekly = CheckpointState(job_id="weekly", job_name="Weekly", total_sheets=2)
        for sheet in (1, 2):
            weekly.mark_sheet_started(sheet)
            weekly.mark_sheet_completed(sheet)
        await backend.save(weekly)
    yield path
    fsck(path)
    async with GitStateBackend(path) as backend:
        for job in ("nightly", "weekly", "fresh"):  # the index answers as a plain walk does
            told = [each.id for each in backend.store.history(backend._jobs, job)]
            plain = [each.id for each in walked(backend.store.reader, Trail(backend._jobs, job, backend.store.head()))]
            assert told == plain
        assert (await backend.verify()).ok
    assert git(path, "status", "--porcelain") == ""


@asynccontextmanager
async def proposing(path: Path, name: str = "x") -> AsyncIterator[GitStateBackend]:
    async with GitStateBackend(path, branch=f"proposals/{name}", create=False) as backend:
        yield backend


async def propose(path: Path, *changes: Change, name: str = "x") -> None:
    async with GitStateBackend(path) as backend:
        await backend.propose(name)
    async with proposing(path, name) as backend:
        for change in changes:
            await change(backend)


async def state_of(path: Path, job: str = "nightly", branch: str = "main") -> CheckpointState:
    async with GitStateBackend(path, branch=branch) as backend:
        state = await backend.load(job)
        assert state is not None
        return state


def skip(*sheets: int) -> Change:
    return lambda backend: backend.skip_sheets("nightly", sheets)


def reset(*sheets: int) -> Change:
    return lambda backend: backend.reset_sheets("nightly", sheets)


async def roll_back(backend: GitStateBackend) -> None:
    await backend.rollback("nightly", "~2")


async def run_sheet_4(backend: GitStateBackend) -> None:
    state = await backend.load("nightly")
    assert state is not None
    state.mark_sheet_started(4)
    await backend.save(state)
    state.mark_sheet_completed(4)
    state.mark_job_paused()
    await backend.save(state)


async def change(path: Path, *changes: Change) -> None:
    async with GitStateBackend(path) as backend:
        for each in changes:
            await each(backend)


async def apply(path: Path, name: str = "x", **options: Any) -> AppliedProposal:
    async with GitStateBackend(path) as backend:
        return await backend.apply_proposal(name, **options)


def branches(path: Path) -> list[str]:
    return git(path, "branch", "--format=%(refname:short)").split()
