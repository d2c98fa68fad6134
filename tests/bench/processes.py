"""Many processes on one store, each its own job, beside as many tasks in one process; and whether anything was lost."""

import asyncio
import multiprocessing
import subprocess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from gitstate import CheckpointState
from tests.bench.crowd import SHEETS, Saved, add, save_often, together
from tests.bench.peers import GitState, Peer, Sqlite
from tests.bench.results import Unit
from tests.bench.rounds import WARM_UP, Run
from tests.bench.work import change, state_of

__all__ = ["measure", "together_in_one", "work"]

_PEERS: tuple[type[Peer], ...] = (GitState, Sqlite)
_PATIENCE = 120.0  # seconds for the slowest process to begin or to end


def together_in_one(count: int) -> str:
    """Return what so many tasks of one process are called."""
    return f"1 process of {count} tasks"


def work(count: int) -> str:
    """Return what so many processes are called."""
    return f"{count} process{'es' if count > 1 else ''}"


def measure(run: Run) -> None:
    """Let tasks of one process, and then processes, save at the same time."""
    saves, crowd = run.sizes.saves_of_a_caller, run.sizes.crowd
    ways = [(together_in_one(crowd), _in_one, crowd), *((work(count), _apart, count) for count in run.sizes.processes)]
    for turn in run.rounds("processes", share=2):
        for kind in run.rotated(_PEERS, turn):
            for name, way, count in run.rotated(ways, turn):
                folder = run.fresh()
                add(run, turn, name, kind, way(kind, folder, count, saves))
                if issubclass(kind, GitState):
                    lost = _lost(kind, folder, count, saves)
                    run.results.add(f"lost by {name}", kind.name, turn, [lost], Unit.COUNT)


def _in_one(kind: type[Peer], folder: Path, count: int, saves: int) -> list[Saved]:
    return asyncio.run(together(kind(folder), count, saves))


def _apart(kind: type[Peer], folder: Path, count: int, saves: int) -> list[Saved]:
    asyncio.run(_make(kind(folder)))
    context = multiprocessing.get_context("spawn")  # what a fork takes along is no business of this measurement
    barrier, results = context.Barrier(count), context.Queue()
    processes = [
        context.Process(target=_process, args=(kind, folder, f"job-{number}", saves, barrier, results))
        for number in range(count)
    ]
    for process in processes:
        process.start()
    try:
        return [results.get(timeout=_PATIENCE) for _ in processes]
    finally:
        for process in processes:
            process.join(_PATIENCE)


async def _make(peer: Peer) -> None:
    await peer.open()
    await peer.close()


def _process(
    kind: type[Peer], folder: Path, job_id: str, saves: int, barrier: Barrier, results: "Queue[Saved]"
) -> None:
    results.put(asyncio.run(_save(kind(folder), job_id, saves, barrier)))


async def _save(peer: Peer, job_id: str, saves: int, barrier: Barrier) -> Saved:
    await peer.open()
    saved = await save_often(peer, job_id, saves, lambda: asyncio.to_thread(barrier.wait, _PATIENCE))
    await peer.close()
    return saved


def _lost(kind: type[GitState], folder: Path, count: int, saves: int) -> int:
    """Return how many saves have no commit, and how many jobs are not what was saved last."""
    command = ["git", "rev-list", "--count", "main"]
    counted = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    commits = 1 + count * (1 + WARM_UP + saves)  # the store's own, and for each job those of its saves
    return commits - int(counted) + asyncio.run(_wrong(kind(folder), count, saves))


async def _wrong(peer: GitState, count: int, saves: int) -> int:
    await peer.open()
    wrong = 0
    for number in range(count):
        expected = state_of(f"job-{number}", SHEETS)
        for step in range(WARM_UP + saves):
            change(expected, step)
        wrong += _tails(await peer.load(f"job-{number}")) != _tails(expected)
    await peer.close()
    return wrong


def _tails(state: CheckpointState) -> list[str | None]:
    return [state.sheets[number].stdout_tail for number in sorted(state.sheets)]
