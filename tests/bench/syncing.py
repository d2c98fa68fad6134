"""Sync and clone beside git: one new save on a store of many commits, over several transports; and a first clone."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from gitstate import GitStateBackend
from tests.bench import stores
from tests.bench.rounds import Run, timed
from tests.git import git
from tests.servers import bare, served

__all__ = ["CLONE", "CLONED", "PUSHED", "measure", "work"]

PUSHED = "git push"
CLONED = "git clone"
CLONE = "a first clone"
_CALLS = 5


def work(transport: str) -> str:
    """Return what the sync of a save is called."""
    return f"sync of a save, {transport}"


def measure(run: Run) -> None:
    """Make the store and a repository that both push to, and let git and sync take turns at it."""
    store, root = stores.to_look_back_in(run), run.fresh()
    served_by = []
    with ExitStack() as stack:
        for transport in run.sizes.transports:
            bare(root / f"{transport}.git", source=store / ".git")
            try:
                url = stack.enter_context(served(transport, root, run.fresh()))
            except pytest.skip.Exception as missing:
                print(f"sync, {transport}: left out, {missing}", file=sys.stderr)
                continue
            git(store, "remote", "add", transport, f"{url}/{transport}.git")
            served_by.append(transport)
        asyncio.run(_measure_saves(run, store, served_by))
        for turn in run.rounds("clone", share=4):
            for peer in run.rotated((_clone_by_git, _clone), turn):
                peer(run, turn, root / f"{run.sizes.transports[0]}.git")


async def _measure_saves(run: Run, store: Path, transports: Sequence[str]) -> None:
    async with GitStateBackend(store, create=False) as backend:
        state = await backend.load("job-000")
        assert state is not None

        async def save() -> None:
            state.metadata["bench"] = time.monotonic()
            await backend.save(state)

        async def pushed(transport: str) -> float:
            await save()
            return await timed(asyncio.to_thread(git, store, "push", "--quiet", transport, "main"))

        async def synced(transport: str) -> float:
            await save()
            return await timed(backend.sync(transport))

        for turn in run.rounds("sync", share=2):
            for transport in transports:
                await synced(transport)  # what the other ones' saves were
                for peer, call in run.rotated(((PUSHED, pushed), ("gitstate", synced)), turn):
                    run.results.add(work(transport), peer, turn, [await call(transport) for _ in range(_CALLS)])


def _clone_by_git(run: Run, turn: int, hub: Path) -> None:
    begin = time.perf_counter()
    subprocess.run(["git", "clone", "--quiet", "--no-local", str(hub), str(run.fresh())], check=True)
    run.results.add(CLONE, CLONED, turn, [time.perf_counter() - begin])


def _clone(run: Run, turn: int, hub: Path) -> None:
    async def clone() -> None:
        backend = await GitStateBackend.clone(str(hub), run.fresh())
        await backend.close()

    begin = time.perf_counter()
    asyncio.run(clone())
    run.results.add(CLONE, "gitstate", turn, [time.perf_counter() - begin])
