"""What a job says of itself, so that jobs are listed, filtered and counted without a look at their states.

The job's own fields come from its root file; how many sheets are done, failed or skipped from the trailers of its last
commit. Of a job that somebody changed with git, who writes no trailers, the state is read.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gitstate.backends.statuses import SheetStatus
from gitstate.backends.subjects import progress, sheets_in, unlisted
from gitstate.errors import CorruptionError
from gitstate.format import message
from gitstate.format.message import Message
from gitstate.store.documents import Snapshot
from gitstate.store.selection import Summary
from gitstate.values import canonical
from gitstate.values.joins import instant

__all__ = ["COUNTED", "FIELDS", "HIDDEN", "error_of_sheet", "summarize"]

FIELDS = {
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
COUNTED = ("done_sheets", "failed_sheets")
"""And how many of its sheets are done, and failed."""
_FIELDS_TOO = ("total_retry_count", "pid", "host")
HIDDEN = ("skipped_sheets", *_FIELDS_TOO)
"""What else is known of a job, and not shown."""
_ERRORS = 20  # sheets that failed whose errors are found


class _Counts(NamedTuple):
    done: int
    failed: list[int]
    skipped: list[int]


def summarize(snapshot: Snapshot, said: Message | None) -> Summary:
    """Return the summary of a job; ``said`` is what its last commit says of it, if that is known.

    Raises:
        StateCorruptionError: The job cannot be read.
    """
    job = _root(snapshot)
    counts = (None if said is None else _told(said)) or _counted(snapshot)
    facts: dict[str, Any] = {key: job.get(field) for key, field in FIELDS.items()}
    facts |= {"done_sheets": counts.done, "failed_sheets": len(counts.failed), "skipped_sheets": len(counts.skipped)}
    facts |= {name: job.get(name) for name in _FIELDS_TOO}
    sheets = (error_of_sheet(snapshot, number) for number in counts.failed[:_ERRORS])
    return Summary(
        facts=facts,
        name=str(job.get("job_name") or ""),
        state=None if job.get("status") is None else str(job["status"]),
        saved=_seconds(job.get("updated_at")),
        created=_seconds(job.get("created_at")),
        failed=len(counts.failed),
        errors=tuple(str(error) for error in (job.get("error_message"), *sheets) if error),
    )


def error_of_sheet(snapshot: Snapshot, number: int) -> str | None:
    """Return the error of a sheet, None if it has none or cannot be read; of the state only its file is read."""
    try:
        known = snapshot.known()
        if known is not None:
            sheet = known.value.get("sheets", {}).get(str(number))  # type: ignore[union-attr]  # an object, or it raises
        else:
            text = snapshot.read(snapshot.collection.layout.path_of(("sheets", str(number))))
            sheet = None if text is None else canonical.loads(text)
    except (CorruptionError, AttributeError):
        return None
    error = sheet.get("error_message") if isinstance(sheet, dict) else None
    return error if isinstance(error, str) else None


def _root(snapshot: Snapshot) -> Mapping[str, Any]:
    known = snapshot.known()
    value: dict[str, Any] = snapshot.part(()) if known is None else known.value
    return value | {"job_id": snapshot.document}


def _told(said: Message) -> _Counts | None:
    """Return what a commit says of the sheets; None: it does not, or not in a way that can be read."""
    done = (said.get(message.PROGRESS) or "").partition("/")[0]
    failed, skipped = (
        [] if text is None else unlisted(text) for text in (said.get(message.FAILED), said.get(message.SKIPPED))
    )
    if not (done.isascii() and done.isdecimal() and len(done) < 10) or failed is None or skipped is None:
        return None
    return _Counts(int(done), failed, skipped)


def _counted(snapshot: Snapshot) -> _Counts:
    value = snapshot.content().value
    failed, skipped = (sheets_in(value, status.value) for status in (SheetStatus.FAILED, SheetStatus.SKIPPED))
    return _Counts(progress(value)[0], failed, skipped)


def _seconds(time: Any) -> float:
    moment = instant(time)
    return 0.0 if moment is None else moment.timestamp()
