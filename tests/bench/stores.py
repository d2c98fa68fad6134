"""Stores of many commits that several parts use: each is made once in a run, by whichever part asks first."""

import asyncio
import multiprocessing
import os
import resource
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from gitstate import CheckpointState, GitStateBackend
from tests.bench.results import Unit
from tests.bench.rounds import Run
from tests.bench.work import change, state_of

__all__ = ["LARGE", "LINES", "SHEETS", "memory_after", "to_ask", "to_look_back_in"]

SHEETS = 20
LINES = 2  # of output in a sheet, where there are 100,000 commits
LARGE = "job-0000"
"""The job whose executions have large prompts and outputs, where there are 100,000 commits."""

_LINES_TO_LOOK_AT = 8
_CALLERS = 8
_EVERY = 5  # so many commits of a job are an execution and the saves before it
_PAYLOAD = 12 * 1024  # bytes of a prompt, and of an output
_TENTHS = 10


def to_look_back_in(run: Run) -> Path:
    """Return the store of 20,000 commits and 200 jobs, with its view."""
    sizes = run.sizes

    async def fill(folder: Path) -> None:
        states = [state_of(f"job-{number:03d}", SHEETS, _LINES_TO_LOOK_AT) for number in range(sizes.jobs_of_history)]
        async with GitStateBackend(folder, durability="normal") as backend:
            await _advance(backend, states, range(sizes.commits // _CALLERS), _LINES_TO_LOOK_AT)

    return run.once(f"a store of {sizes.commits:,} commits", lambda folder: asyncio.run(fill(folder)))


def to_ask(run: Run) -> Path:
    """Return the store of 100,000 commits and 1,000 jobs; what memory its making took is a result of the run."""
    commits, jobs = run.sizes.queried, run.sizes.jobs_of_queries

    def make(folder: Path) -> None:
        # In a process of its own: what other parts left in this one is not measured.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            used = pool.submit(_fill_to_ask, folder, commits, jobs).result()
        for tenth, size in enumerate(used, 1):
            run.results.add(memory_after(commits * tenth // _TENTHS), "gitstate", 0, [size], Unit.MB)

    return run.once(f"a store of {commits:,} commits", make)


def memory_after(saves: int) -> str:
    """Return what the memory of a process is called that saved so often."""
    return f"memory after {saves:,} saves"


def _fill_to_ask(folder: Path, commits: int, jobs: int) -> list[int]:
    """Make the store, and return the bytes in memory after each tenth of the saves."""
    return asyncio.run(_filled_to_ask(folder, commits // _CALLERS, jobs))


async def _filled_to_ask(folder: Path, steps: int, jobs: int) -> list[int]:
    states = [state_of(f"job-{number:04d}", SHEETS, LINES) for number in range(jobs)]
    used = []
    async with GitStateBackend(folder, durability="normal", worktree=False) as backend:
        for tenth in range(_TENTHS):
            part = range(steps * tenth // _TENTHS, steps * (tenth + 1) // _TENTHS)
            await _advance(backend, states, part, LINES, executions=True)
            used.append(_memory())
        text = "".join(chr(97 + number * number % 23) for number in range(_PAYLOAD))
        for number in range(100):
            await backend.record_execution(LARGE, 2, number + 1, f"{number}{text}", f"{text}{number}", 0, 1.0)
    return used


async def _advance(
    backend: GitStateBackend, states: Sequence[CheckpointState], steps: range, lines: int, *, executions: bool = False
) -> None:
    """Let callers that have their own jobs do some steps, one commit each."""

    async def call(caller: int) -> None:
        mine = states[caller::_CALLERS]
        for step in steps:
            state, turn = mine[step % len(mine)], step // len(mine)
            if executions and turn % _EVERY == _EVERY - 1:
                await backend.record_execution(state.job_id, 1, turn, "a", "b", turn % 3, 1.5 * turn)
                continue
            if turn:
                change(state, turn - 1, lines)
            await backend.save(state)

    await asyncio.gather(*map(call, range(_CALLERS)))


def _memory() -> int:
    """Return the bytes of this process that are in memory; where the system does not tell, the most there ever were."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
