"""A state that this process knows is loaded without a thread, and never an old one."""

from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import ClosedError


async def test_what_was_saved_or_loaded_here_needs_no_thread(backend: RewindBackend, threads: list[str]) -> None:
    state = CheckpointState(job_id="nightly", job_name="n", total_sheets=3)
    await backend.save(state)
    await backend.load("nightly")
    threads.clear()
    for sheet in range(1, 4):
        state.mark_sheet_completed(sheet)
        await backend.save(state)
        for _ in range(2):
            loaded = await backend.load("nightly")
            assert loaded == state and loaded is not state
    assert threads == []
    await backend.delete("nightly")
    assert await backend.load("nightly") is None
    await backend.close()
    with pytest.raises(ClosedError):
        await backend.load("nightly")


async def test_what_another_process_saved_is_loaded_anew(tmp_path: Path, threads: list[str]) -> None:
    async with GitStateBackend(tmp_path / "state") as ours, GitStateBackend(tmp_path / "state") as theirs:
        await ours.save(CheckpointState(job_id="nightly", job_name="n", total_sheets=3))
        for number in range(1, 4):
            state = await theirs.load("nightly")
            assert state is not None
            state.mark_sheet_completed(number)
            await theirs.save(state)
            threads.clear()
            loaded = await ours.load("nightly")
            assert loaded is not None and loaded.last_completed_sheet == number
            assert threads == ["_load"]
            assert await ours.load("nightly") == loaded
            assert threads == ["_load"]
