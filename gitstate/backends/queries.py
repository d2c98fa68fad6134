"""What dashboards ask: which jobs there are, by what they say of themselves, and the numbers of one job."""

import base64
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from types import SimpleNamespace
from typing import Any, TypedDict

from gitstate import clock
from gitstate.backends import executions
from gitstate.backends.states import cause_of_death
from gitstate.backends.statuses import JobStatus
from gitstate.backends.summaries import HIDDEN
from gitstate.errors import InvalidInputError, StateCorruptionError
from gitstate.store.answers import Answers
from gitstate.store.documents import Collection
from gitstate.store.selection import ORDERS, Selected, Selection, facts_of
from gitstate.values.joins import instant

__all__ = ["JobFilters", "JobPage", "count", "matching", "page", "silence", "since_when", "standing", "statistics"]

_log = logging.getLogger("gitstate")

_MANY = 2**31  # so many sheets has no job, and so many jobs no store
_LONG = 10_000  # characters of a pattern


class JobFilters(TypedDict, total=False):
    """Which jobs are asked for, and in which order; all of these at once.

    Keys:
        status: A status or several; they count by their values, so any enum works. A job whose process is gone counts
            as paused.
        name: A pattern that the id or the name matches: ``*``, ``?`` and ``[abc]``.
        since: Saved then or later: a datetime, or ISO 8601.
        until: Saved before.
        failed: With at least so many sheets that failed.
        stale: Recorded as running, and not saved for so long (seconds, or a timedelta); also with its process gone.
        error: With this text in an error of the job or of one of its sheets that failed (20 at most), in either case.
        order: ``"saved"`` or ``"created"``, newest first, or ``"name"`` or ``"id"``.
        reverse: The other way round.
    """

    status: "str | Iterable[str] | None"
    name: str | None
    since: "str | datetime | None"
    until: "str | datetime | None"
    failed: int | None
    stale: "float | timedelta | None"
    error: str | None
    order: str
    reverse: bool


@dataclass(frozen=True)
class JobPage:
    """Some of the jobs that were asked for; ``cursor`` leads to those that follow, None if there are none.

    A job is a dictionary with ``id, name, status, total_sheets, last_completed_sheet, created_at, updated_at,
    completed_at, error_message``, times as they are stored (ISO 8601), and ``done_sheets`` (completed or skipped) and
    ``failed_sheets``.
    """

    jobs: list[dict[str, Any]]
    cursor: str | None


def page(store: Answers, jobs: Collection, filters: JobFilters, limit: int | None, cursor: str | None) -> JobPage:
    """Return the first jobs that are asked for, or those behind a cursor. Raises as :func:`matching` does."""
    rows = list(islice(matching(store, jobs, filters, limit, cursor), _and_one(limit)))
    if limit is None or len(rows) <= limit:
        return JobPage([shown(each) for each in rows], None)
    return JobPage([shown(each) for each in rows[:limit]], _cursor(filters, rows[limit - 1]))


def matching(
    store: Answers, jobs: Collection, filters: JobFilters, limit: int | None = None, cursor: str | None = None
) -> Iterator[Selected]:
    """Yield the jobs that are asked for, behind a cursor if there is one.

    A job that cannot be read is told of in the log and left out. ``limit`` says how many are needed as a rule.

    Raises:
        InvalidInputError: A filter, or the cursor, is none.
    """
    statuses = _statuses(filters.get("status"))
    selection = _selection(filters, statuses)
    if limit == 0:
        raise InvalidInputError("a page has one job at least, not 0")
    if cursor is not None:
        selection = replace(selection, after=_place(filters, cursor))
    at_once = _and_one(limit)
    selection = replace(selection, limit=at_once)
    while True:
        rows, unreadable = store.select(jobs, selection)
        if selection.after is None:
            for job_id, reason in unreadable:
                error = StateCorruptionError(reason)
                if (snapshot := store.load(jobs, job_id)) is not None:
                    error = store.attributed(snapshot, StateCorruptionError(reason, hint=snapshot.corrupt("").hint))
                _log.warning("left out of the list: %s", error)
        if statuses is None:
            yield from rows
        else:
            yield from (row for row in rows if str((_settled(row.text) or shown(row))["status"]) in statuses)
        if at_once is None or len(rows) < at_once:
            return
        selection = replace(selection, after=rows[-1].place)


def _and_one(limit: int | None) -> int | None:
    """Return how many jobs tell whether more follow than a page has; None: all."""
    return None if limit is None or limit >= _MANY else limit + 1


def shown(row: Selected) -> dict[str, Any]:
    """Return a job as people see it: one whose process is gone is paused."""
    settled = _settled(row.text)
    return _shown(row.text) if settled is None else settled.copy()


@lru_cache(maxsize=4096)
def _settled(text: str) -> dict[str, Any] | None:
    """Return a job as people see it, of which a copy is the caller's own; None: it must be looked at again, for it may
    have a process that is gone, or it holds lists or objects.
    """
    facts, job = facts_of(text), _shown(text)
    may_change = _may_be_dead(facts) or any(isinstance(each, list | dict) for each in job.values())
    return None if may_change else job


def _shown(text: str) -> dict[str, Any]:
    job: dict[str, Any] = json.loads(text)
    job["status"], job["error_message"] = standing(job)
    return {name: value for name, value in job.items() if name not in HIDDEN}


def statistics(store: Answers, jobs: Collection, job_id: str) -> dict[str, Any]:
    """Return the numbers of a job; nothing for one that is not there.

    Raises:
        StateCorruptionError: Its state cannot be read.
    """
    facts: Any = store.facts(jobs, job_id)
    snapshot = store.load(jobs, job_id) if facts is None else None
    if snapshot is not None:
        snapshot.content()  # says what is wrong
    if not facts:
        return {}
    numbers = executions.numbers(store, jobs, job_id)
    total, completed = count(facts["total_sheets"]), facts["done_sheets"] - facts["skipped_sheets"]
    return {
        "total_sheets": total,
        "completed_sheets": completed,
        "success_rate": 100.0 * completed / total if total else 0.0,
        "total_retries": count(facts["total_retry_count"]),
        "total_executions": numbers.total,
        "avg_duration_seconds": numbers.seconds,
        "successful_executions": numbers.successful,
    }


def count(value: Any) -> int:
    """Return a number that other models may have as anything, 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else 0


def since_when(since: Any) -> datetime | None:
    """Return the time that a caller names, as a datetime or as ISO 8601; without an offset it is UTC."""
    time = instant(since) if isinstance(since, str) else since
    if since is not None and not isinstance(time, datetime):
        raise InvalidInputError(f"{since!r} is no time", hint="give a datetime, or write 2026-03-01T09:30:00Z")
    return None if time is None else clock.aware(time)


def _selection(filters: JobFilters, statuses: frozenset[str] | None) -> Selection:
    unknown = sorted(filters.keys() - JobFilters.__annotations__.keys())
    if unknown:
        raise InvalidInputError(
            f"jobs are not asked for by {unknown[0]!r}", hint=f"by {', '.join(JobFilters.__annotations__)}"
        )
    order, failed = filters.get("order", ORDERS[0]), filters.get("failed") or 0
    if order not in ORDERS:
        raise InvalidInputError(f"jobs are not sorted by {order!r}", hint=f"by one of {', '.join(ORDERS)}")
    if not isinstance(failed, int) or isinstance(failed, bool) or failed < 0:
        raise InvalidInputError(f"a number of failed sheets is one from 0 up, not {failed!r}")
    for key in ("name", "error"):
        text = filters.get(key)
        if not isinstance(text, str | None):
            raise InvalidInputError(f"the {key} of jobs is a text, not {text!r}")
        if len(text or "") > _LONG:
            raise InvalidInputError(f"the {key} of jobs is asked for by at most {_LONG:,} characters")
    states = statuses if statuses is None or JobStatus.PAUSED not in statuses else statuses | {JobStatus.RUNNING.value}
    until = since_when(filters.get("until"))
    stale = _silent(filters.get("stale"))
    if stale is not None:
        running = frozenset([JobStatus.RUNNING.value])
        states = running if states is None else running & states
        until = stale if until is None else min(until, stale)
    return Selection(
        states=None if states is None else tuple(sorted(states)),
        name=filters.get("name"),
        since=_seconds(since_when(filters.get("since"))),
        until=_seconds(until),
        failed=min(failed, _MANY),
        error=filters.get("error"),
        order=order,
        reverse=bool(filters.get("reverse", False)),
    )


def _statuses(status: Any) -> frozenset[str] | None:
    """Return the values of a status or of several; None: all."""
    if status is None:
        return None
    given = [status] if isinstance(status, str) or not isinstance(status, Iterable) else status
    return frozenset(str(getattr(each, "value", each)) for each in given)


def silence(stale: Any) -> timedelta:
    """Return for how long a job may be silent, as a caller says it: in seconds, or as a timedelta."""
    try:
        return stale if isinstance(stale, timedelta) else timedelta(seconds=stale)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(f"{stale!r} is no time to be silent", hint="give seconds, or a timedelta") from error


def _silent(stale: Any) -> datetime | None:
    try:
        return None if stale is None else clock.now() - silence(stale)
    except OverflowError as error:
        raise InvalidInputError(f"no job can be silent for {stale!r}", hint="give seconds, or a timedelta") from error


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def standing(facts: Any) -> tuple[str | None, str | None]:
    """Return the status and error of a job, after a look at its process."""
    reason = cause_of_death(SimpleNamespace(**facts)) if _may_be_dead(facts) else None
    return (facts["status"], facts["error_message"]) if reason is None else (JobStatus.PAUSED.value, reason)


def _may_be_dead(facts: Any) -> bool:
    return facts["status"] == JobStatus.RUNNING and facts["pid"] is not None


# A cursor tells the place of the last job, and the order in which that is.


def _cursor(filters: JobFilters, last: Selected) -> str:
    told = [filters.get("order", ORDERS[0]), bool(filters.get("reverse", False)), *last.place]
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def _place(filters: JobFilters, cursor: Any) -> tuple[float | str, str]:
    try:
        order, reverse, place, job_id = json.loads(base64.urlsafe_b64decode(cursor))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{str(cursor)[:80]!r} is no cursor of a page of jobs") from error
    kind = float if order in ("saved", "created") else str
    if not (isinstance(place, kind) and place == place and isinstance(job_id, str)):  # NaN is no place
        raise InvalidInputError(f"{cursor!r} is no cursor of a page of jobs")
    if (order, reverse) != (filters.get("order", ORDERS[0]), bool(filters.get("reverse", False))):
        raise InvalidInputError("this cursor is of another order", hint="ask in the order of the first page")
    return place, job_id
