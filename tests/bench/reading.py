"""Loads of a job and lists of many, known to the process and cold."""

import asyncio

from tests.bench.langgraph import LangGraph
from tests.bench.peers import GitState, JsonFile, Peer, Sqlite
from tests.bench.rounds import Run, timed
from tests.bench.work import state_of

__all__ = ["measure"]

_PEERS: tuple[type[Peer], ...] = (GitState, JsonFile, Sqlite, LangGraph)
_SHEETS = 20
_LOADS = 20


def measure(run: Run) -> None:
    """Let every peer make a store of many jobs, and read it."""
    folders = {kind: run.fresh() for kind in _PEERS}
    for kind, folder in folders.items():
        asyncio.run(_fill(kind(folder), run.sizes.listed))
    for turn in run.rounds("read", share=2):
        for kind in run.rotated(_PEERS, turn):
            asyncio.run(_read(run, turn, kind(folders[kind])))


async def _fill(peer: Peer, jobs: int) -> None:
    await peer.open()
    for number in range(jobs):
        await peer.save(state_of(f"job-{number}", _SHEETS), 1)
    await peer.close()


async def _read(run: Run, turn: int, peer: Peer) -> None:
    """What is cold comes first after opening, and makes the same known."""
    listing = f"list of {run.sizes.listed:,} jobs"
    for work, call, cold, known in (("load", lambda: peer.load("job-0"), 5, _LOADS), (listing, peer.list_jobs, 1, 1)):
        for _ in range(cold):
            await peer.open()
            run.results.add(f"{work}, cold", peer.name, turn, [await timed(call())])
            run.results.add(f"{work}, known", peer.name, turn, [await timed(call()) for _ in range(known)])
            await peer.close()
