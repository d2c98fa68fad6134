"""Marks of sheets, the next sheet, and many callers at once."""

import asyncio
from enum import Enum

import pytest

from gitstate.backends.base import StateBackend
from gitstate.backends.models import SheetState
from gitstate.backends.statuses import JobStatus, SheetStatus
from gitstate.errors import InvalidInputError, JobNotFoundError
from gitstate.testing.harness import Harness, loaded

__all__ = ["MarkTests"]

_CALLERS = 50
_THREADS = 8


class MarkTests(Harness):
    """What holds for mark_sheet_status and get_next_sheet, alone and side by side."""

    @pytest.mark.parametrize("status", SheetStatus)
    async def test_every_status_acts(self, backend: StateBackend, status: SheetStatus) -> None:
        """None is silently ignored, from whichever status the sheet comes."""
        for before in (None, SheetStatus.PENDING, SheetStatus.IN_PROGRESS, SheetStatus.COMPLETED):
            sheets = {} if before is None else {2: SheetState(sheet_num=2, status=before)}
            await backend.save(self.job(sheets=sheets))
            await backend.mark_sheet_status("nightly", 2, status)
            assert (await loaded(backend)).sheets[2].status == status

    async def test_a_status_counts_by_its_value(self, backend: StateBackend) -> None:
        """Another package's enum works."""

        class Theirs(Enum):
            DONE = "completed"

        await backend.save(self.job())
        await backend.mark_sheet_status("nightly", 1, Theirs.DONE)  # type: ignore[arg-type]  # the point of the test
        assert (await loaded(backend)).sheets[1].status == SheetStatus.COMPLETED

    async def test_an_unknown_status_is_an_error(self, backend: StateBackend) -> None:
        """And nothing changes."""
        await backend.save(self.job())
        with pytest.raises(ValueError, match="asleep"):
            await backend.mark_sheet_status("nightly", 1, "asleep")  # type: ignore[arg-type]  # the point of the test
        assert (await loaded(backend)).sheets == {}

    async def test_a_mark_of_an_unknown_job_is_an_error(self, backend: StateBackend) -> None:
        """Which is also a ValueError and a LookupError, and makes no job."""
        with pytest.raises(JobNotFoundError, match="nobody"):
            await backend.mark_sheet_status("nobody", 1, SheetStatus.COMPLETED)
        assert await backend.load("nobody") is None

    @pytest.mark.parametrize("status", [SheetStatus.PENDING, SheetStatus.COMPLETED])
    @pytest.mark.parametrize("number", [0, -1, 4])
    async def test_a_mark_out_of_range_is_an_error(
        self, backend: StateBackend, number: int, status: SheetStatus
    ) -> None:
        """Below 1 or above ``total_sheets``; nothing changes."""
        await backend.save(self.job(total_sheets=3))
        with pytest.raises(InvalidInputError):
            await backend.mark_sheet_status("nightly", number, status)
        assert (await loaded(backend)).sheets == {}

    async def test_the_message_is_kept(self, backend: StateBackend) -> None:
        """For failures; a new attempt clears it."""
        await backend.save(self.job())
        await backend.mark_sheet_status("nightly", 1, SheetStatus.FAILED, "no route")
        found = await loaded(backend)
        assert (found.sheets[1].error_message, found.total_retry_count) == ("no route", 1)
        await backend.mark_sheet_status("nightly", 1, SheetStatus.IN_PROGRESS)
        found = await loaded(backend)
        assert (found.sheets[1].error_message, found.sheets[1].attempt_count) == (None, 1)
        assert found.status == JobStatus.RUNNING

    async def test_marks_move_the_job_on(self, backend: StateBackend) -> None:
        """The last completed sheet rises and never falls; the job completes with its last sheet."""
        await backend.save(self.job(total_sheets=3))
        for number, last, following in ((3, 3, 1), (1, 3, 2), (2, 3, None)):
            await backend.mark_sheet_status("nightly", number, SheetStatus.COMPLETED)
            found = await loaded(backend)
            assert (found.last_completed_sheet, await backend.get_next_sheet("nightly")) == (last, following)
        assert found.status == JobStatus.COMPLETED
        assert found.completed_at is not None

    async def test_a_mark_keeps_what_a_last_sheet_set_by_hand_means(self, backend: StateBackend) -> None:
        """With no records, all up to it are done, also after the first record came."""
        await backend.save(self.job(total_sheets=5, last_completed_sheet=2))
        assert await backend.get_next_sheet("nightly") == 3
        await backend.mark_sheet_status("nightly", 4, SheetStatus.COMPLETED)
        assert await backend.get_next_sheet("nightly") == 3

    async def test_a_mark_changes_nothing_else(self, backend: StateBackend) -> None:
        """Other sheets and what the user keeps stay."""
        state = self.job(metadata={"kept": [1.0]})
        state.mark_sheet_started(1)
        state.sheets[1].metadata["kept"] = True
        state.sheets[2] = SheetState(sheet_num=2, stdout_tail="kept")
        await backend.save(state)
        await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
        found = await loaded(backend)
        assert (found.metadata, found.sheets[1].metadata) == ({"kept": [1.0]}, {"kept": True})
        assert found.sheets[2].model_dump() == state.sheets[2].model_dump()
        assert found.updated_at > state.updated_at

    @pytest.mark.parametrize(
        ("status", "sheets", "following"),
        [
            ("pending", {}, 1),
            ("running", {1: "completed"}, 2),
            ("running", {1: "failed", 2: "completed"}, 1),
            ("running", {1: "pending", 3: "in_progress"}, 3),
            ("paused", {1: "skipped", 2: "cancelled"}, 3),
            ("failed", {1: "completed", 2: "failed"}, 2),
            ("running", {1: "completed", 2: "completed", 3: "completed"}, None),
            ("completed", {}, None),
            ("cancelled", {1: "in_progress"}, None),
        ],
    )
    async def test_the_next_sheet(
        self, backend: StateBackend, status: str, sheets: dict[int, str], following: int | None
    ) -> None:
        """An interrupted one first, else the lowest that is not done; none is passed over."""
        records = {number: {"sheet_num": number, "status": text} for number, text in sheets.items()}
        await backend.save(self.job(status=status, sheets=records))
        assert await backend.get_next_sheet("nightly") == following

    async def test_an_unknown_job_begins_at_the_beginning(self, backend: StateBackend) -> None:
        """Sheet 1."""
        assert await backend.get_next_sheet("nobody") == 1

    # Many callers

    async def test_concurrent_marks_of_one_job_all_survive(self, backend: StateBackend) -> None:
        """From tasks."""
        await backend.save(self.job(total_sheets=_CALLERS))
        await asyncio.gather(*(self._complete(backend, "nightly", number) for number in _numbers()))
        found = await loaded(backend)
        assert {number for number, sheet in found.sheets.items() if sheet.status == "completed"} == set(_numbers())
        assert found.status == JobStatus.COMPLETED

    async def test_concurrent_marks_of_many_jobs_all_survive(self, backend: StateBackend) -> None:
        """From tasks."""
        await asyncio.gather(*(backend.save(self.job(f"job {number}")) for number in _numbers()))
        await asyncio.gather(*(self._complete(backend, f"job {number}", 2) for number in _numbers()))
        listed = await backend.list_jobs()
        assert sorted(state.job_id for state in listed) == sorted(f"job {number}" for number in _numbers())
        assert all(state.sheets[2].status == "completed" for state in listed)

    async def test_marks_from_threads_all_survive(self, backend: StateBackend) -> None:
        """Each thread with an event loop of its own."""
        await backend.save(self.job(total_sheets=_THREADS))
        calls = (
            asyncio.to_thread(asyncio.run, self._complete(backend, "nightly", number))
            for number in range(1, _THREADS + 1)
        )
        await asyncio.gather(*calls)
        assert len((await loaded(backend)).sheets) == _THREADS

    async def test_a_save_and_marks_by_others_all_survive(self, backend: StateBackend) -> None:
        """A caller's save keeps the sheets that others marked since it loaded."""
        await backend.save(self.job(total_sheets=5))
        state = await loaded(backend)
        await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
        state.mark_sheet_completed(2)
        await asyncio.gather(backend.save(state), self._complete(backend, "nightly", 3))
        assert {number for number, sheet in (await loaded(backend)).sheets.items() if sheet.status == "completed"} == {
            *(1, 2, 3)
        }

    async def _complete(self, backend: StateBackend, job_id: str, number: int) -> None:
        await backend.mark_sheet_status(job_id, number, SheetStatus.COMPLETED)


def _numbers() -> range:
    return range(1, _CALLERS + 1)
