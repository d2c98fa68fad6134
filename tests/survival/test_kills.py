"""A process that dies at any system call: what was acknowledged is there, nothing blocks, nothing is left behind."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from gitstate import GitStateBackend
from tests.git import fsck
from tests.survival.calls import Call, Calls, Fate
from tests.survival.checks import copy, survived
from tests.survival.forks import Work, fork_small
from tests.survival.workloads import Answer, big_state, one_save

KILLED = 9
FSCK_EVERY = 10  # kills


class Death(Fate):
    """Ends the process before its ``number``-th change of a file, or with that write half done."""

    def __init__(self, number: int, *, torn: bool) -> None:
        self._left = number
        self._torn = torn
        self._dies = False
        self.kinds: list[str] = []

    def before(self, call: Call) -> int | None:
        if call.name in ("open", "flock") or (self._torn and call.size < 2):
            return None
        self.kinds.append(call.kind)
        self._left -= 1
        if self._left:
            return None
        if not self._torn:
            os._exit(KILLED)
        self._dies = True
        return call.size // 2

    def after(self, call: Call) -> None:
        if self._dies:
            os._exit(KILLED)


def moments(kinds: Sequence[str], known: Sequence[str] = ()) -> list[int]:
    """Return at which calls to kill so that each kind of call, after each other kind, comes up at the ends of its row.

    Thirty packs that are removed one by one are one row. What comes up in ``known`` is killed there, and here
    at every fourth place.
    """
    chosen: dict[tuple[str, ...], list[int]] = {}
    for number in range(len(kinds)):
        chosen.setdefault(tuple(kinds[max(0, number - 1) : number + 1]), []).append(number + 1)
    for number, pair in enumerate(dict.fromkeys(pairwise(known))):
        if number % 4:
            chosen.pop(pair, None)
    return sorted({number for row in chosen.values() for number in (row[0], row[-1])})


def run_until(death: Death, folder: Path, work: Work) -> tuple[bool, list[str]]:
    """Work in a child; return whether it was killed, and what it was answered before."""
    status, acknowledged = fork_small(death, folder, work)
    assert status in (0, KILLED)
    return status == KILLED, acknowledged


def calls_of(prepared: Path, scratch: Path, work: Work, *, torn: bool) -> list[str]:
    """Return the kinds of calls at which work that nobody kills can be killed."""
    healthy = Death(0, torn=torn)
    folder = fresh(prepared, scratch / "healthy")
    with Calls(scratch, healthy):
        work(folder, lambda commit: None)
    if folder.exists():
        shutil.rmtree(folder)
    return healthy.kinds


def survive_kills(prepared: Path, scratch: Path, work: Work, *, torn: bool, known: Sequence[str] | None = None) -> int:
    """Kill the work at its changes in turn, each time on a fresh copy, and check what is left; return how often.

    ``known`` are the calls of work that was killed too, see :func:`moments`; None: kill at every call.
    """
    kinds = calls_of(prepared, scratch, work, torn=torn)
    numbers = range(1, len(kinds) + 1) if known is None else moments(kinds, known)
    kills = 0
    for number in numbers:
        folder = fresh(prepared, scratch / str(number))
        killed, acknowledged = run_until(Death(number, torn=torn), folder, work)
        survived(folder, acknowledged)
        if number % FSCK_EVERY == 0:
            fsck(folder)
        shutil.rmtree(folder)
        kills += killed
    return kills


def fresh(prepared: Path, folder: Path) -> Path:
    return copy(prepared, folder) if prepared.exists() else folder


def saving(count: int) -> Work:
    return partial(save_jobs, count)


def save_jobs(count: int, folder: Path, answered: Answer) -> None:
    async def save() -> None:
        async with GitStateBackend(folder) as backend:
            for number in range(count):
                await one_save(backend, f"job-{number}", number)
                answered(backend.store.head())

    asyncio.run(save())


def saving_together(folder: Path, answered: Answer) -> None:
    async def save() -> None:
        async with GitStateBackend(folder) as backend:
            await asyncio.gather(*(one_save(backend, f"job-{number % 3}", number) for number in range(4)))
            answered(backend.store.head())

    asyncio.run(save())


def saving_a_large_state(folder: Path, answered: Answer) -> None:
    async def save() -> None:
        async with GitStateBackend(folder) as backend:
            await backend.save(big_state("large", 500_000))
            answered(backend.store.head())

    asyncio.run(save())


def prepare(folder: Path, saves: int) -> Path:
    """Make a store; with no saves there is nothing at all."""
    if saves:
        saving(saves)(folder, lambda commit: None)
    return folder


WORKS = {
    "one": (2, saving(1)),
    "group": (2, saving_together),
    "large": (2, saving_a_large_state),
    "first": (0, saving(1)),
    "fold": (31, saving(2)),
}


@pytest.mark.parametrize("torn", [False, True], ids=["before", "torn"])
@pytest.mark.parametrize("name", WORKS)
def test_a_process_that_dies_at_a_call_loses_nothing_and_blocks_nobody(
    tmp_path: Path, scratch: Path, name: str, torn: bool
) -> None:
    before, work = WORKS[name]
    prepared = prepare(tmp_path / "prepared", before)
    known: list[str] = []
    if name != "one":  # where one save is a part of the work, another test kills that
        saves, one = WORKS["one"]
        known = calls_of(prepare(tmp_path / "known", saves), scratch, one, torn=torn)
    assert survive_kills(prepared, scratch, work, torn=torn, known=known) >= (4 if torn else 15)


@pytest.mark.long
@pytest.mark.parametrize("torn", [False, True], ids=["before", "torn"])
@pytest.mark.parametrize("name", WORKS)
def test_a_process_that_dies_at_any_call_at_all(tmp_path: Path, scratch: Path, name: str, torn: bool) -> None:
    before, work = WORKS[name]
    prepared = prepare(tmp_path / "prepared", before)
    assert survive_kills(prepared, scratch, work, torn=torn) >= (4 if torn else 20)
