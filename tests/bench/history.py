"""Looking back in a store of many commits: log, diff, show and blame beside the git commands that come nearest."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from gitstate import GitStateBackend
from tests.bench import stores
from tests.bench.rounds import Run, timed
from tests.git import git

__all__ = ["ASKED", "WORKS", "measure"]

WORKS = ("log", "diff", "show", "blame")
ASKED = "git, or 67 ms"
"""The peer of the targets: three times git, or 200 ms, whichever is more."""

_GOOD_ENOUGH = 0.2 / 3  # seconds
_CALLS = 5
_JOB = "job-000"
_SHEET = 11  # the first that changes


def measure(run: Run) -> None:
    """Make the store, and let git, the library and the command line take turns at looking back in it."""
    folder = stores.to_look_back_in(run)
    revisions = git(folder, "log", "--format=%H", "--", f"jobs/{_JOB}").split()
    old, back = revisions[len(revisions) // 2], f"~{len(revisions) // 2}"
    peers = (_measure_git, _measure_library, _measure_command)
    for turn in run.rounds("history", share=2):
        for peer in run.rotated(peers, turn):
            peer(run, turn, folder, old, back)


def _measure_git(run: Run, turn: int, folder: Path, old: str, _: str) -> None:
    job, sheet = f"jobs/{_JOB}", f"jobs/{_JOB}/sheets/{_SHEET:04d}.json"
    commands = {
        "log": ("log", "--format=%H %ct %an %B", "--", job),
        "diff": ("diff", old, "HEAD", "--", job),
        "show": ("show", f"{old}:{job}/job.json"),
        "blame": ("blame", "HEAD", "--", sheet),
    }
    for work, command in commands.items():
        taken = [_seconds(partial(git, folder, *command)) for _ in range(_CALLS)]
        run.results.add(work, "git", turn, taken)
        run.results.add(work, ASKED, turn, [max(each, _GOOD_ENOUGH) for each in taken])


def _measure_library(run: Run, turn: int, folder: Path, _: str, back: str) -> None:
    calls: dict[str, Callable[[GitStateBackend], Awaitable[object]]] = {
        "log": lambda backend: backend.history(_JOB),
        "diff": lambda backend: backend.diff(_JOB, back),
        "show": lambda backend: backend.load(_JOB, at=back),
        "blame": lambda backend: backend.blame(_JOB, f"/sheets/{_SHEET}/status"),
    }

    async def session(work: str) -> None:
        async with GitStateBackend(folder, create=False) as backend:
            run.results.add(work, "gitstate, just opened", turn, [await timed(calls[work](backend))])
            taken = [await timed(calls[work](backend)) for _ in range(_CALLS)]
            run.results.add(work, "gitstate", turn, taken)

    for work in WORKS:
        asyncio.run(session(work))


def _measure_command(run: Run, turn: int, folder: Path, _: str, back: str) -> None:
    commands = {
        "log": ("log", _JOB),
        "diff": ("diff", _JOB, back),
        "show": ("show", _JOB, "--at", back),
        "blame": ("blame", _JOB, f"sheets.{_SHEET}.status"),
    }
    for work, command in commands.items():
        words = [sys.executable, "-m", "gitstate.cli.main", *command, "--store", str(folder)]
        taken = [_seconds(partial(subprocess.run, words, check=True, stdout=subprocess.DEVNULL))]
        run.results.add(work, "gitstate, its command", turn, taken)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
