"""Bits that flipped and files that were cut, anywhere in the repository: an error that says so, or the right answer."""

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.errors import GitStateError
from tests.survival.checks import copy, history
from tests.survival.workloads import new_state

SAVES = 6
HARMLESS = (  # nothing that counts is read from these; a file of the ring is the branch itself
    *("logs/", "index", "gitstate/journal", "gitstate/lock", "gitstate/queue", "gitstate/keep", "gitstate/view/"),
)


async def make(folder: Path, damaged: Path) -> list[str]:
    """Make a store, and a copy of it while it is at work: some saves are on the disk, the last are in the journal."""
    async with GitStateBackend(folder) as backend:
        state = new_state("a")
        for number in range(SAVES // 2):
            state.metadata["saves"] = number
            await backend.save(state)
    async with GitStateBackend(folder) as backend:
        for number in range(SAVES // 2, SAVES):
            state.metadata["saves"] = number
            await backend.save(state)
        head = backend.store.head()
        copy(folder, damaged)
    return history(folder, head)


async def ask(folder: Path) -> tuple[str, list[CheckpointState | None]]:
    """Look at a store in every way, and save to it; return its head and the states that it gave."""
    async with GitStateBackend(folder) as backend:
        head = backend.store.head()
        states = [await backend.load("a"), *(await backend.list_jobs())]
        await backend.history("a")
        await backend.save(new_state("b"))
        states.append(await backend.load("a"))
        return head, states


def hurt(path: Path, chance: random.Random) -> str:
    """Flip a bit of a file, or cut it; return what was done."""
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    path.chmod(0o644)
    if chance.random() < 0.3:
        path.write_bytes(data[:place])
        return f"cut at {place}"
    data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return f"flipped at {place}"


def damage_and_ask(prepared: Path, scratch: Path, made: list[str], count: int, seed: int) -> int:
    """Damage a file, ask, and compare, again and again; return how often that was answered with an error."""
    chance = random.Random(seed)
    files = [
        os.path.relpath(os.path.join(here, name), prepared)
        for here, _, names in os.walk(prepared / ".git")
        for name in names
        if os.path.getsize(os.path.join(here, name))
    ]
    told = 0
    for number in range(count):
        folder = copy(prepared, scratch / str(number))
        name = sorted(files)[number % len(files)]
        done = f"{name} {hurt(folder / name, chance)}"
        try:
            head, states = asyncio.run(ask(folder))
        except GitStateError as error:
            told += 1
            assert not name.removeprefix(".git/").startswith(HARMLESS), f"{done}: {error}"
        else:
            assert head in made, f"{done}: another head"
            for state in states:
                assert state is not None and state.metadata == {"saves": SAVES - 1 - made.index(head)}, done
        shutil.rmtree(folder)
    return told


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, list[str]]:
    made = asyncio.run(make(tmp_path / "whole", tmp_path / "prepared"))
    return tmp_path / "prepared", made


def test_damage_is_told_or_does_not_matter(prepared: tuple[Path, list[str]], scratch: Path) -> None:
    assert damage_and_ask(prepared[0], scratch, prepared[1], count=80, seed=1) > 5


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_much_damage_is_told_or_does_not_matter(prepared: tuple[Path, list[str]], scratch: Path, seed: int) -> None:
    assert damage_and_ask(prepared[0], scratch, prepared[1], count=1000, seed=seed) > 50
