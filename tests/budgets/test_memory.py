"""A program that saves for days takes no more memory than one that saved for a minute."""

import gc
import tracemalloc
from itertools import cycle
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.bench.work import change, state_of
from tests.budgets.work import LINES, still

_STRETCHES = (150, 150)  # saves; with the first of them all fills that is bounded
_GROWTH = 150_000  # bytes in the others: a kilobyte a save, where the state of one takes several
_ABOVE = 2_000_000  # bytes that are in use for a moment, more than at the end


async def test_saves_leave_nothing_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, tmp_path / "home")
    async with GitStateBackend(tmp_path / "state") as backend:
        engine = backend.store._engine
        engine._reader._known._limit = 1 << 16  # type: ignore[attr-defined]  # it is git's; full after some 1,000 saves
        backend._checked._limit = 32
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
