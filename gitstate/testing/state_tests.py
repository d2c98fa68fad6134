"""States: what comes back after a save, for whom, and in which order."""

import logging
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gitstate.backends.base import StateBackend
from gitstate.backends.models import SheetState
from gitstate.backends.statuses import JobStatus, SheetStatus
from gitstate.errors import StateCorruptionError
from gitstate.testing.harness import Harness, loaded

__all__ = ["StateTests"]

_FREE: dict[str, Any] = {
    "integers": [0, -1, 2**63, 10**40],
    "floats": [1.0, -0.0, 0.1 + 0.2, 1e300, 5e-324],
    "texts": ["", "line\r\nbreak", "\u2028", "🙂", "\ud800", "\x00"],
    "nested": {"b": {"": None}, "a": [[], {}, True, None]},
}


class StateTests(Harness):
    """What holds for load, save, delete and list_jobs."""

    async def test_an_unknown_job_has_no_state(self, backend: StateBackend) -> None:
        """None, no error."""
        assert await backend.load("nobody") is None

    async def test_every_field_comes_back(self, backend: StateBackend) -> None:
        """Types and bits included."""
        time = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        sheet = SheetState(
            sheet_num=2,
            status=SheetStatus.FAILED,
            started_at=time,
            completed_at=time + timedelta(hours=1),
            attempt_count=2,
            exit_code=-9,
            exit_signal=9,
            exit_reason="killed",
            error_message="no\nroute",
            error_category="network",
            error_code="E1",
            validation_passed=False,
            validation_details=[{"check": "size", "passed": False, "limit": 1.0}],
            execution_duration_seconds=1.0,
            stdout_tail="out",
            stderr_tail="err",
            output_truncated=True,
            metadata=_FREE,
        )
        state = self.job(
            config_hash="abc",
            config_snapshot=_FREE,
            config_path="/config.yaml",
            created_at=time,
            started_at=time,
            completed_at=time,
            last_completed_sheet=1,
            current_sheet=2,
            status=JobStatus.PAUSED_AT_CHAIN,
            sheets={2: sheet},
            pid=1,
            host="elsewhere",
            error_message="stopped",
            total_retry_count=3,
            rate_limit_waits=4,
            metadata=_FREE,
        )
        await backend.save(state)
        assert _exact((await loaded(backend)).model_dump()) == _exact(state.model_dump())

    async def test_a_second_save_replaces_the_first(self, backend: StateBackend) -> None:
        """Fields that are None again, too."""
        state = self.job(error_message="an error")
        await backend.save(state)
        state.error_message = None
        state.mark_sheet_completed(1)
        await backend.save(state)
        found = await loaded(backend)
        assert (found.error_message, found.sheets[1].status) == (None, "completed")

    async def test_a_save_sets_the_time_on_the_callers_object(self, backend: StateBackend) -> None:
        """Now, aware."""
        state = self.job(updated_at=datetime(2000, 1, 1, tzinfo=UTC))
        before = datetime.now(UTC)
        await backend.save(state)
        assert before <= state.updated_at <= datetime.now(UTC)
        assert (await loaded(backend)).updated_at == state.updated_at

    async def test_a_saved_object_that_changes_later_does_not_change_the_store(self, backend: StateBackend) -> None:
        """At any depth."""
        state = self.job(metadata={"list": [1]})
        state.mark_sheet_started(1)
        await backend.save(state)
        state.metadata["list"].append(2)
        state.sheets[1].error_message = "changed"
        state.status = JobStatus.FAILED
        found = await loaded(backend)
        assert (found.metadata, found.sheets[1].error_message, found.status) == ({"list": [1]}, None, "running")

    async def test_a_loaded_object_that_changes_does_not_change_the_store(self, backend: StateBackend) -> None:
        """Neither do those that list_jobs returned."""
        state = self.job(metadata={"list": [1]})
        state.mark_sheet_started(1)
        await backend.save(state)
        for found in (await loaded(backend), (await backend.list_jobs())[0]):
            found.metadata["list"].append(2)
            found.sheets[1].error_message = "changed"
            found.status = JobStatus.FAILED
        again = await loaded(backend)
        assert (again.metadata, again.sheets[1].error_message, again.status) == ({"list": [1]}, None, "running")

    async def test_sheets_that_vanished_are_gone(self, backend: StateBackend) -> None:
        """After the next load."""
        state = self.job(sheets={number: SheetState(sheet_num=number) for number in (1, 2, 3)})
        await backend.save(state)
        del state.sheets[2]
        await backend.save(state)
        assert sorted((await loaded(backend)).sheets) == [1, 3]

    async def test_fields_that_the_model_does_not_know_survive(self, backend: StateBackend) -> None:
        """In the job and in its sheets: a newer writer's data is not lost by an older reader."""
        sheet: dict[str, Any] = {"sheet_num": 1, "novel": [1.0]}
        await backend.save(self.job(sheets={1: sheet}, novel={"deep": "🙂"}))
        found = await loaded(backend)
        found.mark_sheet_started(1)
        await backend.save(found)
        await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
        again = await loaded(backend)
        assert again.model_extra == {"novel": {"deep": "🙂"}}
        assert again.sheets[1].model_extra == {"novel": [1.0]}

    async def test_a_deleted_job_is_gone_and_can_be_made_anew(self, backend: StateBackend) -> None:
        """True the first time, False the second; nothing of it is left in the new one."""
        await backend.save(self.job(sheets={1: SheetState(sheet_num=1)}))
        assert await backend.delete("nightly") is True
        assert await backend.delete("nightly") is False
        assert await backend.load("nightly") is None
        assert await backend.list_jobs() == []
        await backend.save(self.job())
        assert (await loaded(backend)).sheets == {}

    async def test_jobs_are_listed_newest_first(self, backend: StateBackend) -> None:
        """By ``updated_at``; a mark counts as an update."""
        assert await backend.list_jobs() == []
        for job_id in ("b", "c", "a"):
            await backend.save(self.job(job_id))
        await backend.mark_sheet_status("c", 1, SheetStatus.COMPLETED)
        listed = await backend.list_jobs()
        assert [state.job_id for state in listed] == ["c", "a", "b"]
        assert listed[0].sheets[1].status == "completed"

    async def test_a_running_job_whose_process_is_dead_here_is_shown_as_paused(self, backend: StateBackend) -> None:
        """With an explanation, by load and by list_jobs; what is stored stays RUNNING."""
        await backend.save(self.job(status="running", pid=_dead_pid(), host=socket.gethostname()))
        for found in (await loaded(backend), (await backend.list_jobs())[0], await loaded(backend)):
            assert found.status == JobStatus.PAUSED
            assert found.error_message

    async def test_a_running_job_of_a_living_process_or_another_host_runs(self, backend: StateBackend) -> None:
        """A pid of another host says nothing."""
        await backend.save(self.job("here", status="running", pid=os.getpid(), host=socket.gethostname()))
        await backend.save(self.job("there", status="running", pid=_dead_pid(), host="a-host-elsewhere"))
        await backend.save(self.job("nowhere", status="running"))
        for job_id in ("here", "there", "nowhere"):
            assert (await loaded(backend, job_id)).status == JobStatus.RUNNING

    async def test_a_damaged_state_is_an_error_that_names_the_job(self, backend: StateBackend) -> None:
        """Never None, never half a state. Needs the hook ``corrupt``."""
        await backend.save(self.job("broken"))
        await self.corrupt(backend, "broken")
        with pytest.raises(StateCorruptionError, match="broken"):
            await backend.load("broken")
        with pytest.raises(StateCorruptionError, match="broken"):
            await backend.get_next_sheet("broken")

    async def test_a_damaged_job_is_left_out_of_the_list_and_reported(
        self, backend: StateBackend, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It never fails the list, and is never lost. Needs the hook ``corrupt``."""
        await backend.save(self.job("broken"))
        await backend.save(self.job("whole"))
        await self.corrupt(backend, "broken")
        with caplog.at_level(logging.WARNING):
            assert [state.job_id for state in await backend.list_jobs()] == ["whole"]
        assert any("broken" in record.getMessage() for record in caplog.records)
        with pytest.raises(StateCorruptionError):
            await backend.load("broken")


def _exact(value: Any) -> Any:
    """Return what differs when types or bits do (1, 1.0 and True; 0.0 and -0.0), whatever the order of keys."""
    if isinstance(value, dict):
        return {(type(key), key): _exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])  # our own interpreter
    process.wait()
    return process.pid
