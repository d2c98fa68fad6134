"""Loads of a job and lists of many, known to the process and read for the first time."""

import asyncio
from collections.abc import Awaitable

from tests.bench.langgraph import LangGraph
from tests.bench.peers import GitState, JsonFile, Peer, Sqlite
from tests.bench.rounds import Run, timed
from tests.bench.work import state_of

__all__ = ["FIRST", "KNOWN", "OPENED", "measure"]

FIRST = "load, first of a state"
"""In a store that is open and has loaded another one: files are found, read, checked and validated."""
KNOWN = "load, known"
OPENED = "open a store and load"
"""What is done once, and takes most of the time of a process that looks at one job and ends."""

_PEERS: tuple[type[Peer], ...] = (GitState, JsonFile, Sqlite, LangGraph)
_SHEETS = 20
_LOADS = 20
_OPENINGS = 5  # in a round
_FIRSTS = 10  # jobs that are loaded for the first time after each of them, all over the store


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
    """What is read for the first time comes first after opening, and makes the same known."""

    async def note(work: str, *calls: Awaitable[object]) -> None:
        run.results.add(work, peer.name, turn, [await timed(call) for call in calls])

    jobs = [f"job-{number}" for number in range(1, run.sizes.listed, -(-run.sizes.listed // _FIRSTS))]
    for _ in range(_OPENINGS):
        await note(OPENED, _open_and_load(peer, "job-0"))
        await note(FIRST, *map(peer.load, jobs))
        await note(KNOWN, *[peer.load("job-0") for _ in range(_LOADS)])
        await peer.close()
    await peer.open()
    for which in ("cold", "known"):
        await note(f"list of {run.sizes.listed:,} jobs, {which}", peer.list_jobs())
    await peer.close()


async def _open_and_load(peer: Peer, job: str) -> None:
    await peer.open()
    await peer.load(job)
