"""The disk's share of a save before and after maintenance, and what maintenance does to the next saves."""

import asyncio
from pathlib import Path

from tests.bench.langgraph import LangGraph
from tests.bench.peers import GitCommand, GitState, Peer
from tests.bench.results import Unit
from tests.bench.rounds import WARM_UP, Run, timed
from tests.bench.work import change, state_of

__all__ = ["allocated", "measure"]

_SHEETS = 20
_SHARE = 10  # peers that take much time or disk do a tenth of the saves


def measure(run: Run) -> None:
    """Save a job many times, look at the disk, collect the garbage, and save again."""
    saves = run.sizes.history
    for turn in run.rounds("disk", share=4):
        asyncio.run(_collected(run, turn, saves))
        asyncio.run(_kept(run, turn, LangGraph(run.fresh()), "", max(1, saves // _SHARE)))
        asyncio.run(_kept(run, turn, GitCommand(run.fresh()), ".git/objects", max(1, saves // _SHARE)))


def allocated(folder: Path) -> int:
    """Return the bytes that the file system gave to a folder and all that is in it."""
    return sum(path.lstat().st_blocks * 512 for path in (folder, *folder.rglob("*")))


async def _kept(run: Run, turn: int, peer: Peer, part: str, saves: int) -> None:
    await peer.open()
    state = state_of("nightly", _SHEETS)
    await peer.save(state, 1)
    before = allocated(peer.folder / part)
    for step in range(saves):
        await peer.save(state, change(state, step))
    run.results.add("disk", peer.name, turn, [(allocated(peer.folder / part) - before) / saves], Unit.KB)
    await peer.close()


async def _collected(run: Run, turn: int, saves: int) -> None:
    peer = GitState(run.fresh())
    objects = peer.folder / ".git" / "objects"
    await peer.open()
    state = state_of("nightly", _SHEETS)
    await peer.save(state, 1)
    before = allocated(objects)
    taken = [await timed(peer.save(state, change(state, step))) for step in range(saves)]
    last = max(WARM_UP, saves // _SHARE)
    run.results.add("save before gc", peer.name, turn, taken[-last:])
    run.results.add("disk", peer.name, turn, [(allocated(objects) - before) / saves], Unit.KB)
    run.results.add(
        f"gc after {saves:,} saves", peer.name, turn, [await timed(asyncio.to_thread(peer.backend.store.gc))]
    )
    run.results.add("disk after gc", peer.name, turn, [(allocated(objects) - before) / saves], Unit.KB)
    taken = [await timed(peer.save(state, change(state, saves + step))) for step in range(last)]
    run.results.add("save after gc", peer.name, turn, taken)
    await peer.close()
