"""Callers that save at the same time, each its own job of 20 sheets, in one process or in several."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from tests.bench.peers import Peer
from tests.bench.results import Unit
from tests.bench.rounds import WARM_UP, Run, timed
from tests.bench.work import change, output, state_of

__all__ = ["SHEETS", "Saved", "add", "save_often", "together"]

SHEETS = 20


class Saved(NamedTuple):
    """What one caller did: from when to when, and the seconds of each save."""

    begin: float
    end: float
    taken: list[float]


def add(run: Run, turn: int, work: str, kind: type[Peer], saved: Sequence[Saved]) -> None:
    """Add what callers did at the same time to the results: their throughput and the time of each save."""
    taken = [seconds for each in saved for seconds in each.taken]
    seconds = max(each.end for each in saved) - min(each.begin for each in saved)
    run.results.add(f"throughput, {work}", kind.name, turn, [len(taken) / seconds], Unit.RATE)
    run.results.add(f"save, {work}", kind.name, turn, taken)


async def together(peer: Peer, callers: int, saves: int) -> list[Saved]:
    """Let callers save at the same time, in one process."""
    await peer.open()
    barrier = asyncio.Barrier(callers)
    saved = await asyncio.gather(*(save_often(peer, f"job-{number}", saves, barrier.wait) for number in range(callers)))
    await peer.close()
    return saved


async def save_often(peer: Peer, job_id: str, saves: int, ready: Callable[[], Awaitable[object]]) -> Saved:
    """Save a job until it is warm, wait until the others are ready too, and save it many times."""
    for step in range(WARM_UP + saves):
        output(step)
    state = state_of(job_id, SHEETS)
    await peer.save(state, 1)
    for step in range(WARM_UP):
        await peer.save(state, change(state, step))
    await ready()
    begin = time.perf_counter()
    taken = [await timed(peer.save(state, change(state, WARM_UP + step))) for step in range(saves)]
    return Saved(begin, time.perf_counter(), taken)
