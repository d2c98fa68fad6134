"""Many processes on one store, and processes that are killed: what was acknowledged is there."""

import asyncio
import gc
import json
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import pytest

from gitstate import CheckpointState, GitStateBackend, SheetStatus
from tests.git import fsck, git

# The children run nothing but a store of their own, which takes no lock of another thread of this process.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


async def mark(folder: Path, job_id: str, sheets: int, marks: int) -> None:
    async with GitStateBackend(folder) as backend:
        for number in range(marks):  # each mark counts an attempt, so one that is lost is missed
            await backend.mark_sheet_status(job_id, number % sheets + 1, SheetStatus.IN_PROGRESS)


def fork(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Do something in a process of its own; return its number.

    It is a fork of this one: to start Python again and again takes longer than all the rest.
    """
    process = os.fork()
    if process == 0:
        gc.disable()  # it would look through, and so copy, all that the tests before have left in memory
        status = 1
        signal.alarm(240)
        try:
            asyncio.run(work())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return process


def finish(processes: list[int]) -> None:
    assert [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes] == [0] * len(processes)


def commits(folder: Path) -> int:
    return int(git(folder, "rev-list", "--count", "HEAD"))


async def prepare(folder: Path, jobs: list[str], sheets: int) -> None:
    async with GitStateBackend(folder) as backend:
        for job_id in jobs:
            await backend.save(CheckpointState(job_id=job_id, job_name=job_id, total_sheets=sheets))


async def attempts(folder: Path, job_id: str) -> list[int]:
    async with GitStateBackend(folder) as backend:
        state = await backend.load(job_id)
        assert state is not None
        return [state.sheets[number].attempt_count for number in sorted(state.sheets)]


MARKS = pytest.mark.parametrize("marks", [40, pytest.param(400, marks=pytest.mark.long)])


@MARKS
def test_marks_of_one_job_from_eight_processes_all_survive(tmp_path: Path, marks: int) -> None:
    folder, sheets = tmp_path / "state", 5
    asyncio.run(prepare(folder, ["one"], sheets))
    before = commits(folder)
    finish([fork(partial(mark, folder, "one", sheets, marks)) for _ in range(8)])
    assert asyncio.run(attempts(folder, "one")) == [8 * marks // sheets] * sheets
    assert commits(folder) - before == 8 * marks
    fsck(folder)


@MARKS
def test_marks_of_many_jobs_from_eight_processes_all_survive(tmp_path: Path, marks: int) -> None:
    folder, sheets = tmp_path / "state", 5
    jobs = [f"job-{number}" for number in range(8)]
    asyncio.run(prepare(folder, jobs, sheets))
    before = commits(folder)
    finish([fork(partial(mark, folder, job_id, sheets, marks)) for job_id in jobs])
    for job_id in jobs:
        assert asyncio.run(attempts(folder, job_id)) == [marks // sheets] * sheets
    assert commits(folder) - before == 8 * marks
    fsck(folder)


def start_writer(folder: Path) -> tuple[int, TextIO]:
    """Save in a process without end; return its number, and what it says of each save that it was answered."""
    reading, writing = os.pipe()
    process = fork(partial(write, folder, writing))
    os.close(writing)
    return process, open(reading)


async def write(folder: Path, answers: int) -> None:
    async with GitStateBackend(folder) as backend:
        state = await backend.load("victim") or CheckpointState(job_id="victim", job_name="victim", total_sheets=9)
        while True:
            state.metadata["saves"] = state.metadata.get("saves", 0) + 1
            state.mark_sheet_started(state.metadata["saves"] % 9 + 1)
            await backend.save(state)
            os.write(answers, b"%d\n" % state.metadata["saves"])


def kill_at_random_moments(folder: Path, kills: int, seed: int) -> None:
    """Kill a writing process again and again; after each, what it acknowledged is there and nothing blocks."""
    moments = random.Random(seed)
    acknowledged = 0
    for _ in range(kills):
        process, answers = start_writer(folder)
        with answers:
            first = answers.readline()  # it has opened the store and saved at least once
            assert first
            time.sleep(moments.random() * 0.05)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            rest = answers.read()
        acknowledged = max([acknowledged, *map(int, [first, *rest.split("\n")[:-1]])])
        began = time.monotonic()
        state = asyncio.run(load(folder))
        assert time.monotonic() - began < 20, "it waited for the dead, who would be waited for 30 s"
        # One more than was acknowledged may be there: the process died before it could say so.
        assert state.metadata["saves"] in (acknowledged, acknowledged + 1)
        acknowledged = state.metadata["saves"]


async def load(folder: Path) -> CheckpointState:
    async with GitStateBackend(folder) as backend:
        state = await backend.load("victim")
        assert state is not None
        return state


def check_after_kills(folder: Path) -> None:
    asyncio.run(prepare(folder, ["after"], 1))  # nothing that was left behind blocks anyone
    fsck(folder)
    assert git(folder, "status", "--porcelain") == ""
    shown = json.loads((folder / "jobs/victim/job.json").read_text())
    assert shown["metadata"]["saves"] == asyncio.run(load(folder)).metadata["saves"]
    leftovers = [
        name for _, _, names in os.walk(folder / ".git") for name in names if name.endswith((".lock", ".keep"))
    ]
    assert leftovers == []


def test_a_killed_writer_loses_nothing_and_blocks_nobody(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path / "state", kills=25, seed=1)
    check_after_kills(tmp_path / "state")


@pytest.mark.long
def test_a_hundred_kills_of_each_of_four_stores(tmp_path: Path) -> None:
    for seed in range(4):
        folder = tmp_path / str(seed)
        kill_at_random_moments(folder, kills=100, seed=seed)
        check_after_kills(folder)
