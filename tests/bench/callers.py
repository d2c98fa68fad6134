"""Many callers in one process: tasks that save at the same time."""

import asyncio

from tests.bench.crowd import add, together
from tests.bench.langgraph import LangGraph
from tests.bench.peers import GitState, GitStateNormal, JsonFile, Peer, Sqlite
from tests.bench.rounds import Run

__all__ = ["measure", "work"]

_PEERS: tuple[type[Peer], ...] = (GitState, GitStateNormal, JsonFile, Sqlite, LangGraph)


_SELDOM = 2  # what no target asks for is not measured each time


def work(count: int) -> str:
    """Return what so many callers are called."""
    return f"{count} caller{'s' if count > 1 else ''}"


def measure(run: Run) -> None:
    """Let every peer serve one caller, and more and more."""
    saves, asked = run.sizes.saves_of_a_caller, (1, run.sizes.crowd)
    for turn in run.rounds("callers"):
        for kind in run.rotated(_PEERS, turn):
            for count in run.sizes.callers:
                if count in asked or turn % _SELDOM == 0:
                    each = saves if count > 1 else 2 * saves
                    add(run, turn, work(count), kind, asyncio.run(together(kind(run.fresh()), count, each)))
