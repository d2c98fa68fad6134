"""Proposals that are applied while others save: what runs goes on, and nothing is changed unseen."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gitstate import GitStateBackend, SheetStatus
from gitstate.backends.proposing import AppliedProposal
from gitstate.errors import BusyError, ConflictError, StaleError
from tests.backends.proposed import propose, proposing, reset, two_jobs
from tests.git import git

store = pytest.fixture(two_jobs)


async def test_a_running_job_is_skipped_in_part_and_not_changed_as_a_whole(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        state = await backend.load("nightly")
        assert state is not None
        state.mark_sheet_started(4)
        state.pid, state.host = os.getpid(), socket.gethostname()
        await backend.save(state)
    async with GitStateBackend(store) as backend:
        await backend.propose("part")
        await backend.propose("whole")
    async with proposing(store, "part") as backend:
        await backend.skip_sheets("nightly", [6], force=True)
    async with proposing(store, "whole") as backend:
        await backend.rollback("nightly", "~2", force=True)
    async with GitStateBackend(store) as backend:
        job = await backend.load("nightly")
        assert job is not None
        part, whole = [await backend.review_proposal(name) for name in ("part", "whole")]
        assert (part.state, part.running, whole.state, whole.running) == (
            *("applicable", ("nightly",)),
            *("busy", ("nightly",)),
        )
        with pytest.raises(BusyError):
            await backend.apply_proposal("whole")
        await backend.apply_proposal("part")
        job.mark_sheet_completed(4)
        await backend.save(job)  # the process that runs it goes on
        merged = await backend.load("nightly")
        assert merged is not None
        assert (merged.sheets[4].status, merged.sheets[6].status) == (SheetStatus.COMPLETED, SheetStatus.SKIPPED)
        assert merged.get_next_sheet() == 5


async def test_what_was_applied_is_not_overruled_by_a_save_that_began_before(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        job = await backend.load("nightly")
        assert job is not None
        await propose(store, reset(3))
        await backend.save(job)  # so that the commits of the proposal are older than what this object knows
        await backend.apply_proposal("x")
        job.mark_sheet_started(3)
        job.mark_sheet_completed(3)
        with pytest.raises(ConflictError):
            await backend.save(job)
        state = await backend.load("nightly")
        assert state is not None and state.sheets[3].status == SheetStatus.PENDING


async def test_what_holds_is_looked_at_under_the_lock(store: Path) -> None:
    """Whoever is first, a job that moves while a rollback of it is applied is never rolled back unseen."""
    outcomes = set()
    async with GitStateBackend(store) as backend, GitStateBackend(store) as other:
        for number in range(8):
            name = f"race-{number}"
            await backend.propose(name)
            async with proposing(store, name) as drafting:
                await drafting.rollback("nightly", "~1")
            state = await other.load("nightly")
            assert state is not None
            state.metadata["number"] = number
            applied, saved = await asyncio.gather(
                backend.apply_proposal(name), other.save(state), return_exceptions=True
            )
            now = await backend.load("nightly")
            assert now is not None
            if saved is None:  # it came first, so that the rollback was refused; or it was merged with that
                assert now.metadata["number"] == number
            else:
                assert isinstance(saved, ConflictError) and isinstance(applied, AppliedProposal), (saved, applied)
            outcomes.add(type(applied))
            if isinstance(applied, StaleError):
                assert [each.place for each in applied.moved] == ["/metadata/number"] or number == 0
                await backend.drop_proposal(name)
            else:
                assert isinstance(applied, AppliedProposal), applied
    assert outcomes


SAVES = """
import asyncio, sys
from gitstate import CheckpointState, GitStateBackend

async def main(path, job):
    async with GitStateBackend(path) as backend:
        state = CheckpointState(job_id=job, job_name=job, total_sheets=20)
        print("ready", flush=True)
        for sheet in range(1, 21):
            state.mark_sheet_started(sheet)
            state.mark_sheet_completed(sheet)
            await backend.save(state)

asyncio.run(main(*sys.argv[1:]))
"""


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def test_two_processes_write_while_proposals_are_applied(store: Path) -> None:
    for number in (1, 2, 3, 4):
        await propose(store, reset(number), name=f"x{number}")
    command = [sys.executable, "-c", SAVES, str(store)]
    writers = [start([*command, job]) for job in ("one", "two")]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        async with GitStateBackend(store) as backend:
            # Each was made in view of a watermark that the one before it moved: it follows from the sheets anew.
            done = [await backend.apply_proposal(f"x{number}") for number in (4, 3, 1, 2)]
            assert all(each.revision for each in done)
            assert [writer.wait(60) for writer in writers] == [0, 0]
            for job in ("one", "two"):
                state = await backend.load(job)
                assert state is not None and state.get_progress() == (20, 20)
            state = await backend.load("nightly")
            assert state is not None and state.get_progress() == (0, 6) and state.last_completed_sheet == 0
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    merges = git(store, "log", "--merges", "--first-parent", "--format=%s", "main").splitlines()
    assert len(merges) == 4
