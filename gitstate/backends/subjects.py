"""What a commit of a job says: the subject that a reviewer wants in ``git log --oneline``, and the trailers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gitstate.backends.statuses import DONE, SheetStatus
from gitstate.format import message
from gitstate.format.message import Event, Message

__all__ = [
    "Told",
    "attempt_of",
    "listed",
    "message_for",
    "progress",
    "sheets_in",
    "sheets_of",
    "status_of",
    "told",
    "unlisted",
]

_LISTS = {message.FAILED: SheetStatus.FAILED.value, message.SKIPPED: SheetStatus.SKIPPED.value}
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_SPAN = re.compile(r"([1-9][0-9]{0,17})(?:-([1-9][0-9]{0,17}))?")
_MANY = 100_000  # sheets of a job
_DONE = tuple(status.value for status in DONE)
_LISTED = 3  # so many changed sheets are named one by one
_NAMED = 60  # so many characters of a job id are shown; the trailer has it whole


class Told(NamedTuple):
    """What a save changed: a few words, and the keys of the sheets that have another status or attempt."""

    text: str
    changed: list[str]


def progress(value: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many sheets of a job are completed or skipped, and how many it has."""
    return _progress(value, _statuses(value))


def _statuses(value: Mapping[str, Any]) -> list[Any]:
    """Return what the sheets of a job say of their status."""
    return [sheet.get("status") for sheet in sheets_of(value).values() if isinstance(sheet, dict)]


def _progress(value: Mapping[str, Any], statuses: list[Any]) -> tuple[int, int]:
    done = sum(map(statuses.count, _DONE)) if sheets_of(value) else _number(value.get("last_completed_sheet"))
    return done, _number(value.get("total_sheets"))


def told(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Told:
    """Say in a few words what a save changed: sheets with another status or attempt first, the job's status else."""
    old, new = sheets_of(before or {}), sheets_of(after)
    differing = [key for key, sheet in new.items() if sheet is not old.get(key)]
    changed = [key for key in differing if status_of(new[key]) is not None and _moved(old.get(key), new[key])]
    if before is None:
        started = [key for key in changed if status_of(new[key]) != SheetStatus.PENDING.value]
        return Told("created" if not started else f"created, {_sheets_told(started, new)}", changed)
    if changed:
        return Told(_sheets_told(changed, new), changed)
    status = after.get("status")
    return Told(str(status) if status != before.get("status") and status is not None else "saved", changed)


def message_for(
    job_id: str,
    event: Event,
    text: str,
    value: Mapping[str, Any] | None,
    *,
    body: str = "",
    trailers: tuple[tuple[str, str], ...] = (),
) -> Message:
    """Return the message of a commit: ``text`` says what happened, ``value`` is the state after it."""
    facts: list[tuple[str, str]] = [(message.JOB, job_id), (message.EVENT, event.value)]
    subject = f"{job_id if len(job_id) <= _NAMED else job_id[: _NAMED - 1] + '…'}: {text}"
    if value is not None:
        statuses = _statuses(value)
        done, total = _progress(value, statuses)
        subject += f" ({done}/{total} done)"
        if value.get("status") is not None:
            facts.append((message.STATUS, str(value["status"])))
        facts.append((message.PROGRESS, f"{done}/{total}"))
        for key, status in _LISTS.items():
            if status in statuses and (numbers := sheets_in(value, status)):
                facts.append((key, listed(numbers)))
    return Message(subject, body, (*facts, *trailers))


def sheets_in(value: Mapping[str, Any], status: str) -> list[int]:
    """Return the numbers of the sheets of a job that have a status, sorted."""
    # Without a call for each sheet: a job may have a thousand.
    found = [key for key, each in sheets_of(value).items() if isinstance(each, dict) and each.get("status") == status]
    return sorted(int(key) for key in found if _NUMBER.fullmatch(key))


def listed(numbers: Sequence[int]) -> str:
    """Return sorted numbers as people write them: ``3 7-9``."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = spans[-1][0], number
        else:
            spans.append((number, number))
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def unlisted(text: str) -> list[int] | None:
    """Return the numbers that such a text lists, None if it is none."""
    numbers: list[int] = []
    for part in text.split(" "):
        span = _SPAN.fullmatch(part)
        first, last = (0, 0) if span is None else (int(span[1]), int(span[2] or span[1]))
        # A forged text may name any number of them, and any of them again and again.
        if not (numbers[-1] if numbers else 0) < first <= last < first + _MANY - len(numbers):
            return None
        numbers += range(first, last + 1)
    return numbers


def sheets_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sheets of a job's value, none if it has no such field."""
    sheets = value.get("sheets")
    return sheets if isinstance(sheets, dict) else {}


def status_of(sheet: Any) -> str | None:
    """Return the status of a sheet, None if it has none."""
    status = sheet.get("status") if isinstance(sheet, dict) else None
    return status if isinstance(status, str) else None


def attempt_of(sheet: Any) -> int:
    """Return how many attempts at a sheet began, 0 if it does not say."""
    return _number(sheet.get("attempt_count")) if isinstance(sheet, dict) else 0


def _moved(before: Any, after: Any) -> bool:
    """Whether a sheet has another status; or another attempt: one that was interrupted is in progress once more."""
    return (status_of(before), attempt_of(before)) != (status_of(after), attempt_of(after))


def _sheets_told(keys: list[str], sheets: Mapping[str, Any]) -> str:
    if len(keys) == 1:
        sheet = sheets[keys[0]]
        attempt = attempt_of(sheet)
        return f"sheet {keys[0]} {status_of(sheet)}" + (f", attempt {attempt}" if attempt > 1 else "")
    statuses = {status_of(sheets[key]) for key in keys}
    if len(statuses) > 1:
        return f"{len(keys)} sheets changed"
    listed = ", ".join(keys) if len(keys) <= _LISTED else f"{keys[0]} to {keys[-1]}"
    return f"sheets {listed} {statuses.pop()}"


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
