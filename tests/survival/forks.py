"""Processes that do some work and may die in it, each a fork: to start Python each time takes longer than all the rest.

A fork takes the longer the more memory a process has, and one that has run hundreds of tests has a lot: two thirds of
the time of a kill went into that. So one small process, which has run nothing but one save, forks for all of them.
"""

import asyncio
import atexit
import gc
import importlib
import os
import pickle
import pkgutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.survival.calls import Calls, Fate
from tests.survival.workloads import Answer, one_save

__all__ = ["Work", "fork", "fork_small"]

Work = Callable[[Path, Answer], None]

_PROJECT = Path(__file__).parents[2]


def fork(fate: Fate, folder: Path, work: Work) -> tuple[int, list[str]]:
    """Work in a child, which meets its fate; return how it ended, and what it was answered before."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        gc.disable()  # it would look through, and so copy, all that the tests before have left in memory
        status = 1
        try:
            with Calls(folder.parent, fate):
                work(folder, lambda commit: os.write(writing, commit.encode() + b"\n"))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading) as answers:
        acknowledged = answers.read().split()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), acknowledged


def fork_small(fate: Fate, folder: Path, work: Work) -> tuple[int, list[str]]:
    """Do the same in a fork of a small process; fate and work are sent to it, so they have to be known by name."""
    requests, answers = _server()
    pickle.dump((fate, folder, work), requests)
    requests.flush()
    status, acknowledged = pickle.load(answers)
    return status, acknowledged


@cache
def _server() -> tuple[IO[bytes], IO[bytes]]:
    """Start the process, which ends with this one."""
    command = [sys.executable, "-m", "tests.survival.forks"]
    server = subprocess.Popen(command, cwd=_PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(server.communicate)
    assert server.stdin is not None and server.stdout is not None
    return server.stdin, server.stdout


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    import gitstate

    for module in pkgutil.walk_packages(gitstate.__path__, "gitstate."):
        if module.name.startswith(("gitstate.engine", "gitstate.store", "gitstate.backends")):
            importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_save(Path(folder, "state")))  # what is imported late is shared with the children too
    while True:
        try:
            request: tuple[Any, ...] = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(fork(*request), answers)
        answers.flush()


async def _save(folder: Path) -> None:
    from gitstate import GitStateBackend

    async with GitStateBackend(folder) as backend:
        await one_save(backend, "job", 0)


if __name__ == "__main__":
    _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a child prints is no answer
    _serve(sys.stdin.buffer, _answers)
