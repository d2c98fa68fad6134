"""What dashboards ask: summaries of jobs and the numbers of one."""

import asyncio
import logging
import socket
from datetime import UTC, datetime, timedelta

import pytest

from gitstate import CheckpointState, GitStateBackend, JobStatus
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import InvalidInputError, StateCorruptionError
from tests.git import git
from tests.stores import leave_damaged


def job(job_id: str = "nightly", sheets: int = 4, **fields: object) -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name=f"The {job_id} job", total_sheets=sheets, **fields)


async def test_summaries_come_newest_first_with_the_fields_that_dashboards_know(backend: RewindBackend) -> None:
    nightly = job()
    nightly.mark_sheet_completed(1)
    await backend.save(nightly)
    await backend.save(job("weekly", status=JobStatus.FAILED, error_message="no space"))
    weekly, first = await backend.query_jobs()
    assert (weekly["id"], weekly["name"], weekly["status"], weekly["error_message"]) == (
        "weekly",
        "The weekly job",
        "failed",
        "no space",
    )
    assert list(first) == [
        "id",
        "name",
        "status",
        "total_sheets",
        "last_completed_sheet",
        "created_at",
        "updated_at",
        "completed_at",
        "error_message",
    ]
    assert (first["id"], first["total_sheets"], first["last_completed_sheet"], first["completed_at"]) == (
        "nightly",
        4,
        1,
        None,
    )
    assert datetime.fromisoformat(first["updated_at"]) == nightly.updated_at


async def test_summaries_are_filtered_by_status_time_and_number(backend: RewindBackend) -> None:
    for number in range(4):
        await backend.save(job(f"job-{number}", status=JobStatus.PAUSED if number % 2 else JobStatus.PENDING))
    middle = (await backend.load("job-2")).updated_at  # type: ignore[union-attr]  # it is there
    assert [each["id"] for each in await backend.query_jobs(status="paused")] == ["job-3", "job-1"]
    assert [each["id"] for each in await backend.query_jobs(status=JobStatus.PENDING)] == ["job-2", "job-0"]
    for since in (middle, middle.isoformat(), middle.astimezone(UTC).replace(tzinfo=None)):
        assert [each["id"] for each in await backend.query_jobs(since=since)] == ["job-3", "job-2"]
    assert [each["id"] for each in await backend.query_jobs(limit=1)] == ["job-3"]
    assert len(await backend.query_jobs(limit=None)) == 4
    assert await backend.query_jobs(since=datetime.now(UTC) + timedelta(days=1)) == []


async def test_a_job_whose_process_is_gone_is_paused_in_its_summary(backend: RewindBackend) -> None:
    state = job(status=JobStatus.RUNNING)
    state.pid, state.host = 2**22 + 1, socket.gethostname()
    await backend.save(state)
    (summary,) = await backend.query_jobs()
    assert summary["status"] == "paused" and "is gone" in summary["error_message"]


async def test_no_sheet_is_read_for_a_summary(git_backend: GitStateBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    state = job(sheets=50)
    for sheet in range(1, 51):
        state.mark_sheet_completed(sheet)
    await git_backend.save(state)
    path = git_backend.store.path
    assert path is not None
    async with GitStateBackend(path) as fresh:
        read: list[str] = []
        engine = fresh.store._engine
        before = engine.read

        def counting(object_id: str, kind: str) -> bytes:
            if kind == "blob":
                read.append(object_id)
            return before(object_id, kind)  # type: ignore[arg-type]  # as it was called

        monkeypatch.setattr(engine, "read", counting)
        (summary,) = await fresh.query_jobs()
        assert summary["last_completed_sheet"] == 50
        assert len(read) <= 2


async def test_one_that_cannot_be_read_is_told_of_and_left_out(
    git_backend: GitStateBackend, caplog: pytest.LogCaptureFixture
) -> None:
    await git_backend.save(job("good"))
    await git_backend.save(job("bad"))
    await git_backend.flush()
    path = git_backend.store.path
    assert path is not None
    (path / "jobs/bad/job.json").write_text("no JSON")
    git(path, "commit", "-qam", "spoil it")
    with caplog.at_level(logging.WARNING, "gitstate"):
        assert [each["id"] for each in await git_backend.query_jobs()] == ["good"]
    assert "'bad'" in caplog.text
    with pytest.raises(StateCorruptionError):
        await git_backend.get_job_statistics("bad")
    leave_damaged(path)


async def test_the_numbers_of_a_job(backend: RewindBackend) -> None:
    assert await backend.get_job_statistics("nightly") == {}
    state = job()
    state.mark_sheet_completed(1)
    state.mark_sheet_failed(2, "no")
    state.mark_sheet_skipped(3)
    await backend.save(state)
    assert await backend.get_job_statistics("nightly") == {
        "total_sheets": 4,
        "completed_sheets": 1,
        "success_rate": 25.0,
        "total_retries": 1,
        "total_executions": 0,
        "avg_duration_seconds": None,
        "successful_executions": 0,
    }
    await backend.record_execution("nightly", 1, 1, exit_code=0, duration_seconds=1.5)
    await backend.record_execution("nightly", 2, 1, exit_code=-9, duration_seconds=2.5)
    await backend.record_execution("nightly", 2, 2)
    numbers = await backend.get_job_statistics("nightly")
    assert (numbers["total_executions"], numbers["successful_executions"]) == (3, 1)
    assert numbers["avg_duration_seconds"] == 2.0
    await backend.delete("nightly")
    await backend.save(job())
    assert (await backend.get_job_statistics("nightly"))["total_executions"] == 0


async def test_a_job_that_only_counts_its_sheets(backend: RewindBackend) -> None:
    await backend.save(job(last_completed_sheet=3))
    numbers = await backend.get_job_statistics("nightly")
    assert (numbers["completed_sheets"], numbers["success_rate"]) == (3, 75.0)


@pytest.mark.parametrize("since", ["yesterday", 7, "2026-13-01"])
async def test_a_time_that_is_none_is_refused(backend: RewindBackend, since: object) -> None:
    with pytest.raises(InvalidInputError, match="is no time"):
        await backend.query_jobs(since=since)  # type: ignore[arg-type]  # what is wrong
    with pytest.raises(InvalidInputError):
        await backend.query_jobs(limit=-1)


async def test_summaries_beside_writers(backend: RewindBackend) -> None:
    async def write(number: int) -> None:
        state = job(f"job-{number}")
        for sheet in range(1, 5):
            state.mark_sheet_completed(sheet)
            await backend.save(state)
            assert f"job-{number}" in [each["id"] for each in await backend.query_jobs()]

    await asyncio.gather(*map(write, range(5)))
    assert {each["status"] for each in await backend.query_jobs()} == {"completed"}
