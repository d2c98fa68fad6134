"""Looking after a store through a backend: what is valid depends on its model, and jobs go on meanwhile."""

import asyncio
from pathlib import Path

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, SheetStatus
from tests.git import fsck, git


class Strict(CheckpointState):
    """A model that wants more than ours does."""

    owner: str


def job(job_id: str, **fields: object) -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name=job_id, total_sheets=3, **fields)


async def test_each_state_is_checked_against_the_model(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state") as backend:
        await backend.save(job("nightly"))
        await backend.save(job("owned", owner="me"))
        report = await backend.verify()
        assert (report.ok, report.documents, report.revisions) == (True, 2, 3)
    async with GitStateBackend(tmp_path / "state", model=Strict) as backend:
        (problem,) = (await backend.verify()).problems
        assert problem.place.startswith("jobs/nightly at revision") and "owner" in problem.what


async def test_a_backend_in_memory_can_be_checked_too() -> None:
    async with InMemoryStateBackend() as backend:
        await backend.save(job("nightly"))
        assert await backend.reshard(1) and not await backend.reshard(1)
        assert await backend.load("nightly") is not None
        assert (await backend.verify()).problems == ()


async def test_saves_of_states_from_before_a_move_are_merged_as_ever(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state") as mine, GitStateBackend(tmp_path / "state") as other:
        await mine.save(job("nightly"))
        state = await mine.load("nightly")
        assert state is not None
        assert await other.reshard(2)
        await other.mark_sheet_status("nightly", 2, SheetStatus.COMPLETED)
        state.mark_sheet_started(1)
        await mine.save(state)
        merged = await other.load("nightly")
        assert merged is not None
        assert [merged.sheets[number].status.value for number in (1, 2)] == ["in_progress", "completed"]
        assert [point.event for point in await mine.history("nightly")] == ["merged", "sheet", "created"]
        assert await mine.record_execution("nightly", 1, 1, "prompt", "output", 0, 1.0)
        assert await mine.get_execution_history_count("nightly") == 1


async def test_a_store_in_use_is_found_whole_at_any_moment(tmp_path: Path) -> None:
    """One process saves, packs and moves, another checks: no moment looks damaged."""
    path = tmp_path / "state"

    async def work(backend: GitStateBackend) -> None:
        for number in range(6):
            jobs = [job(f"job {number}.{n}") for n in range(20)]
            await asyncio.gather(*(backend.save(each) for each in jobs))
            if number % 2:
                await asyncio.to_thread(backend.store.gc)
            await backend.reshard(number % 3)

    async with GitStateBackend(path) as mine, GitStateBackend(path) as other:
        await mine.save(job("nightly"))
        working = asyncio.create_task(work(mine))
        checks = 0
        while not working.done():
            report = await other.verify()
            assert report.problems == ()
            checks += 1
        await working
        assert checks > 1
        assert (await other.verify()).documents == 121
    fsck(path)
    assert git(path, "status", "--porcelain") == ""
