"""Many callers in one process: tasks that save at the same time."""

import asyncio

from tests.bench.crowd import add, together
from tests.bench.langgraph import LangGraph
from tests.bench.peers import GitState, GitStateNormal, JsonFile, Peer, Sqlite
from tests.bench.rounds import Run

__all__ = ["measure"]

_PEERS: tuple[type[Peer], ...] = (GitState, GitStateNormal, JsonFile, Sqlite, LangGraph)


def measure(run: Run) -> None:
    """Let every peer serve one caller, and many."""
    callers, saves = run.sizes.callers, run.sizes.saves_of_a_caller
    for turn in run.rounds("callers"):
        for kind in run.rotated(_PEERS, turn):
            for count, each in ((1, 2 * saves), (callers, saves)):
                saved = asyncio.run(together(kind(run.fresh()), count, each))
                add(run, turn, f"{count} caller{'s' if count > 1 else ''}", kind, saved)
