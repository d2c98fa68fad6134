"""What dashboards ask: a summary of each job, read from its root file alone, and the numbers of one job."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from gitstate.backends import executions
from gitstate.backends.states import cause_of_death
from gitstate.backends.statuses import JobStatus, SheetStatus
from gitstate.errors import InvalidInputError, StateCorruptionError
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.store import Store
from gitstate.values.joins import instant

__all__ = ["since_when", "statistics", "summaries"]

_log = logging.getLogger("gitstate")

_FIELDS = {
    "id": "job_id",
    "name": "job_name",
    "status": "status",
    "total_sheets": "total_sheets",
    "last_completed_sheet": "last_completed_sheet",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "completed_at": "completed_at",
    "error_message": "error_message",
}
"""The keys of a summary, and the fields of a job that they show."""


def summaries(
    store: Store, jobs: Collection, *, status: Any = None, since: datetime | None = None
) -> list[dict[str, Any]]:
    """Return a summary of each job with a status and saved since a time, the one that was saved last first.

    A job that cannot be read is told of in the log and left out.
    """
    wanted = getattr(status, "value", status)
    found = [
        each
        for each in map(_summary, _roots(store, jobs))
        if (wanted is None or each["status"] == wanted) and (since is None or _saved(each) >= since)
    ]
    return sorted(found, key=_saved, reverse=True)


def statistics(store: Store, jobs: Collection, job_id: str) -> dict[str, Any]:
    """Return the numbers of a job; nothing for one that is not there.

    Raises:
        StateCorruptionError: Its state cannot be read.
    """
    snapshot = store.load(jobs, job_id)
    if snapshot is None:
        return {}
    job: Any = snapshot.content().value
    told = [executions.facts(job_id, each) for _, each in executions.recorded(store, jobs, job_id)]
    durations = [each["duration_seconds"] for each in told if each["duration_seconds"] is not None]
    total, completed = job.get("total_sheets") or 0, _completed(job)
    return {
        "total_sheets": total,
        "completed_sheets": completed,
        "success_rate": 100.0 * completed / total if total else 0.0,
        "total_retries": job.get("total_retry_count") or 0,
        "total_executions": len(told),
        "avg_duration_seconds": sum(durations) / len(durations) if durations else None,
        "successful_executions": sum(each["exit_code"] == 0 for each in told),
    }


def since_when(since: Any) -> datetime | None:
    """Return the time that a caller names, as a datetime or as ISO 8601; without an offset it is UTC."""
    time = instant(since) if isinstance(since, str) else since
    if since is not None and not isinstance(time, datetime):
        raise InvalidInputError(f"{since!r} is no time", hint="give a datetime, or write 2026-03-01T09:30:00Z")
    return time if time is None or time.tzinfo is not None else time.replace(tzinfo=UTC)


def _roots(store: Store, jobs: Collection) -> Iterator[dict[str, Any]]:
    for snapshot in store.documents(jobs):
        try:
            yield _root(snapshot)
        except StateCorruptionError as error:
            _log.warning("left out of the list: %s", error)


def _root(snapshot: Snapshot) -> dict[str, Any]:
    known = snapshot.known()
    value: dict[str, Any] = snapshot.part(()) if known is None else known.value
    return value | {"job_id": snapshot.document}


def _summary(job: dict[str, Any]) -> dict[str, Any]:
    summary = {key: job.get(field) for key, field in _FIELDS.items()}
    reason = cause_of_death(SimpleNamespace(**{name: job.get(name) for name in ("status", "pid", "host")}))
    return summary if reason is None else summary | {"status": JobStatus.PAUSED.value, "error_message": reason}


def _saved(summary: dict[str, Any]) -> datetime:
    return instant(summary["updated_at"]) or datetime.min.replace(tzinfo=UTC)


def _completed(job: dict[str, Any]) -> int:
    sheets = job.get("sheets")
    if not isinstance(sheets, dict) or not sheets:
        last = job.get("last_completed_sheet")
        return last if isinstance(last, int) else 0
    return sum(isinstance(each, dict) and each.get("status") == SheetStatus.COMPLETED for each in sheets.values())
