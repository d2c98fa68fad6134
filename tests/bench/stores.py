"""Stores of many commits that several parts use: each is made once in a run, by whichever part asks first."""

import asyncio
import multiprocessing
import resource
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from gitstate import CheckpointState, GitStateBackend
from tests.bench.results import Unit
from tests.bench.rounds import Run
from tests.bench.work import change, state_of

__all__ = ["LARGE", "LATER", "LINES", "MAPPED", "MOST", "SHEETS", "memory_after", "to_ask", "to_look_back_in"]

SHEETS = 20
LINES = 2  # of output in a sheet, where there are 100,000 commits
LARGE = "job-0000"
"""The job whose executions have large prompts and outputs, where there are 100,000 commits."""

MAPPED = "gitstate, mapped files too"
"""Who has what the system can take back at any time counted with what is the process's own."""
LATER = "memory after later saves, at most"
"""After the saves of each of the last five tenths."""
MOST = "memory for a moment"
"""The most that there ever was, mapped files too."""

_LINES_TO_LOOK_AT = 8
_CALLERS = 8
_EVERY = 5  # so many commits of a job are an execution and the saves before it
_PAYLOAD = 12 * 1024  # bytes of a prompt, and of an output
_TENTHS = 10
_KINDS = ("RssAnon:", "RssFile:", "RssShmem:")
_MOST = "VmHWM:"
_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


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
            *used, most = pool.submit(_fill_to_ask, folder, commits, jobs).result()
        after = {memory_after(commits * tenth // _TENTHS): memory for tenth, memory in enumerate(used, 1)}
        later = used[_TENTHS // 2 :]
        after[LATER] = _Memory(max(memory.own for memory in later), max(memory.all for memory in later))
        for name, memory in after.items():
            run.results.add(name, "gitstate", 0, [memory.own], Unit.MB)
            run.results.add(name, MAPPED, 0, [memory.all], Unit.MB)
        run.results.add(MOST, MAPPED, 0, [most.all], Unit.MB)

    return run.once(f"a store of {commits:,} commits", make)


def memory_after(saves: int) -> str:
    """Return what the memory of a process is called that saved so often."""
    return f"memory after {saves:,} saves"


class _Memory(NamedTuple):
    """What is in memory of a process: bytes of its own, and with those of files that it has mapped."""

    own: int
    all: int


def _fill_to_ask(folder: Path, commits: int, jobs: int) -> list[_Memory]:
    """Make the store, and return what is in memory after each tenth of the saves, and the most that ever was."""
    return asyncio.run(_filled_to_ask(folder, commits // _CALLERS, jobs))


async def _filled_to_ask(folder: Path, steps: int, jobs: int) -> list[_Memory]:
    states = [state_of(f"job-{number:04d}", SHEETS, LINES) for number in range(jobs)]
    used = []
    async with GitStateBackend(folder, durability="normal", worktree=False) as backend:
        for tenth in range(_TENTHS):
            part = range(steps * tenth // _TENTHS, steps * (tenth + 1) // _TENTHS)
            await _advance(backend, states, part, LINES, executions=True)
            used.append(_memory())
        used.append(_most_memory())
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


def _memory() -> _Memory:
    """Return what is in memory of this process; where the system does not tell, the most that ever was."""
    sizes = _sizes()
    return _Memory(sizes["RssAnon:"], sum(sizes[kind] for kind in _KINDS)) if sizes else _most_memory()


def _most_memory() -> _Memory:
    """Return the most that ever was; no system tells what of it was the process's own.

    Linux's own answer to this question begins with that of whoever started the process, so another one is asked.
    """
    most = _sizes().get(_MOST) or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    return _Memory(most, most)


def _sizes() -> dict[str, int]:
    """Return what the system tells of this process's memory, in bytes; nothing where it does not."""
    try:
        lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) * 1024 for words in lines if words[0] in (*_KINDS, _MOST)}
