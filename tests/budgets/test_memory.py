"""A program that saves for days takes no more memory than one that saved for a minute."""

import gc
import os
import sys
import tracemalloc
from itertools import cycle
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.backends import checked
from gitstate.engine import openpacks, packfolder
from gitstate.engine.git import GitEngine
from tests.bench.work import change, state_of
from tests.budgets.work import LINES, still
from tests.handles import open_below

_STRETCHES = (150, 150)  # saves; with the first of them all fills that is bounded
_GROWTH = 150_000  # bytes in the others: a kilobyte a save, where the state of one takes several
_CHECKPOINTS = 5
_SAVES = 40  # between two of them
_MAPPED = 1 << 20  # bytes of large files that are brought into memory until they are let go
_ABOVE = 2_000_000  # bytes that are in use for a moment, more than at the end


async def test_saves_leave_nothing_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, tmp_path / "home")
    async with GitStateBackend(tmp_path / "state") as backend:
        engine = backend.store._engine
        engine._reader._known._limit = 1 << 16  # type: ignore[attr-defined]  # it is git's; full after some 1,000 saves
        monkeypatch.setattr(checked, "_MOST", 32)
        state, turns = state_of("nightly", 6, LINES), cycle(range(6))
        tracemalloc.start()
        try:
            found = [await _stretch(backend, state, turns, saves) for saves in _STRETCHES]
        finally:
            tracemalloc.stop()
    left, heights = [each[0] for each in found], [each[1] for each in found]
    assert left[-1] - left[-2] < _GROWTH, left
    assert max(heights) - left[-1] < _ABOVE, heights


async def _stretch(
    backend: GitStateBackend, state: CheckpointState, turns: "cycle[int]", saves: int
) -> tuple[int, int]:
    """Save many times, do what is due in the background, and return how much memory is in use then, and was at most."""
    tracemalloc.reset_peak()
    store = backend.store
    for number in range(saves):
        change(state, next(turns), LINES)
        await backend.save(state)
        if number % 50 == 49:
            store._indexes._update()
            store._views.show()
            store._engine._tidy(False)  # type: ignore[attr-defined]
    store.gc()  # else there is one open pack more for every few saves
    gc.collect()
    return tracemalloc.get_traced_memory()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has open")
async def test_what_saves_and_checkpoints_leave_open_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    still(monkeypatch, tmp_path / "home")
    for module in (openpacks, packfolder):
        monkeypatch.setattr(module, "_MOST", _MAPPED)
    folder = os.fspath(tmp_path / "state")
    async with GitStateBackend(folder, durability="normal") as backend:
        engine = backend.store._engine
        assert isinstance(engine, GitEngine)
        engine._reader._known._limit = 1 << 12  # so that packs are read all the time
        backend.store._reader.contents._limit = 1
        states, turns = [state_of(f"job-{number}", 6, LINES) for number in range(10)], cycle(range(6))
        for _ in range(_CHECKPOINTS):
            for number in range(_SAVES):
                change(states[number % 10], next(turns), LINES)
                await backend.save(states[number % 10])
                await backend.load(f"job-{number * 7 % 10}")
            engine._tidy(False)
            packs = [name for name in os.listdir(engine._packs) if name.endswith(".pack")]
            assert not [path for path in _open_below(folder) if path.endswith("(deleted)")]
            # A pack has two files; we have each open and mapped once, and so have two object stores of dulwich.
            assert len([path for path in _open_below(folder) if "/pack/" in path]) <= 12 * len(packs)
            assert engine._reader._packs._touched <= _MAPPED
            assert all(store._touched <= _MAPPED for store in engine._reader._idle)
            assert len(engine._reader._idle) <= 2


def _open_below(folder: str) -> list[str]:
    """Return the files below a folder that this process has open or mapped, those too that were removed."""
    found = [line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if folder in line]
    return [*(path for path in found if path.startswith(folder)), *open_below(folder)]
