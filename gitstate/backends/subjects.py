"""What a commit of a job says: the subject that a reviewer wants in ``git log --oneline``, and the trailers."""

from collections.abc import Mapping
from typing import Any

from gitstate.backends.models import DONE, SheetStatus
from gitstate.format import message
from gitstate.format.message import Event, Message

__all__ = ["message_for", "progress", "told"]

_DONE = tuple(status.value for status in DONE)
_LISTED = 3  # so many changed sheets are named one by one
_NAMED = 60  # so many characters of a job id are shown; the trailer has it whole


def progress(value: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many sheets of a job are completed or skipped, and how many it has."""
    sheets = _sheets(value)
    statuses = [sheet.get("status") for sheet in sheets.values() if isinstance(sheet, dict)]
    done = sum(map(statuses.count, _DONE)) if sheets else _number(value.get("last_completed_sheet"))
    return done, _number(value.get("total_sheets"))


def told(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """Say in a few words what a save changed: sheets with another status or attempt first, the job's status else."""
    old, new = _sheets(before or {}), _sheets(after)
    differing = [key for key, sheet in new.items() if sheet is not old.get(key)]
    changed = [key for key in differing if _status(new[key]) is not None and _moved(old.get(key), new[key])]
    if before is None:
        started = [key for key in changed if _status(new[key]) != SheetStatus.PENDING.value]
        return "created" if not started else f"created, {_sheets_told(started, new)}"
    if changed:
        return _sheets_told(changed, new)
    status = after.get("status")
    return str(status) if status != before.get("status") and status is not None else "saved"


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
        done, total = progress(value)
        subject += f" ({done}/{total} done)"
        if value.get("status") is not None:
            facts.append((message.STATUS, str(value["status"])))
        facts.append((message.PROGRESS, f"{done}/{total}"))
    return Message(subject, body, (*facts, *trailers))


def _moved(before: Any, after: Any) -> bool:
    """Whether a sheet has another status; or another attempt: one that was interrupted is in progress once more."""
    return (_status(before), _attempt(before)) != (_status(after), _attempt(after))


def _sheets_told(keys: list[str], sheets: Mapping[str, Any]) -> str:
    if len(keys) == 1:
        sheet = sheets[keys[0]]
        attempt = _attempt(sheet)
        return f"sheet {keys[0]} {_status(sheet)}" + (f", attempt {attempt}" if attempt > 1 else "")
    statuses = {_status(sheets[key]) for key in keys}
    if len(statuses) > 1:
        return f"{len(keys)} sheets changed"
    listed = ", ".join(keys) if len(keys) <= _LISTED else f"{keys[0]} to {keys[-1]}"
    return f"sheets {listed} {statuses.pop()}"


def _sheets(value: Mapping[str, Any]) -> dict[str, Any]:
    sheets = value.get("sheets")
    return sheets if isinstance(sheets, dict) else {}


def _status(sheet: Any) -> str | None:
    status = sheet.get("status") if isinstance(sheet, dict) else None
    return status if isinstance(status, str) else None


def _attempt(sheet: Any) -> int:
    return _number(sheet.get("attempt_count")) if isinstance(sheet, dict) else 0


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
