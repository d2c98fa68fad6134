"""A part of an older state, put into the state of now, on the plain values of jobs of any model.

What follows from the sheets is then made right: the fields are those that both our model and others know, and no other
field is touched.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitstate import clock
from gitstate.backends.rewound import Planner, Rewound, refuse_if_running, short
from gitstate.backends.statuses import RESULT_FIELDS, JobStatus, SheetStatus
from gitstate.backends.subjects import message_for, progress
from gitstate.errors import CorruptionError, InvalidInputError, JobNotFoundError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.content import Content
from gitstate.store.documents import Draft, Snapshot
from gitstate.values import pointer
from gitstate.values.canonical import Value, equal
from gitstate.values.joins import instant
from gitstate.values.merge import ABSENT, Slot, same
from gitstate.values.pointer import Parts

if TYPE_CHECKING:
    from gitstate.format.codec import Codec

__all__ = ["Wanted", "checked", "followed", "now_text", "numbered", "put", "reopened", "repaired", "reset", "restore"]

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_KEY = re.compile(r"[0-9]{1,18}")
_PROCESS = ("pid", "host")
_ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
_ATTEMPT = ("attempt_count", "started_at", *RESULT_FIELDS)


@dataclass(frozen=True)
class Wanted:
    """What is to be restored: the numbers of sheets, and places."""

    sheets: tuple[int, ...]
    places: tuple[Parts, ...]

    @classmethod
    def of(cls, sheets: str | Iterable[int] | None, pointers: str | Iterable[str] | None) -> "Wanted":
        """Return what a caller asks for.

        Args:
            sheets: Numbers, or a text such as ``5-9,12``.
            pointers: Places: ``/sheets/3/status`` or ``sheets.3.status``.

        Raises:
            InvalidInputError: Nothing is asked for, or something that makes no sense.
        """
        try:
            named = [pointers] if isinstance(pointers, str) else list(pointers or ())
        except TypeError as error:
            raise InvalidInputError(f"places are named by lists or texts: {error}") from error
        numbers = numbered(sheets or ())
        if not all(isinstance(place, str) for place in named):
            raise InvalidInputError(f"a place is a text, not as in {named!r}", hint="write /sheets/3/status")
        places = [pointer.read(place) for place in named]
        if () in places or not (numbers or places):
            raise InvalidInputError(
                "it was not said what to restore", hint="name sheets (5-9,12) or places; a rollback brings all back"
            )
        return cls(numbers, tuple(dict.fromkeys(places)))

    def __str__(self) -> str:
        sheets = ",".join(map(str, self.sheets))
        words = [f"sheet{'s' if len(self.sheets) > 1 else ''} {sheets}"] if sheets else []
        return ", ".join([*words, *map(pointer.to_text, self.places)])


def restore(
    codec: "Codec[Any]", job_id: str, wanted: Wanted, older: Snapshot, source: str, *, note: str, force: bool
) -> Planner:
    """Return the plan that brings a part of an older snapshot back into a job whose states ``codec`` encodes."""

    def plan(current: Snapshot | None) -> tuple[Rewound, Draft | None]:
        if current is None:
            raise JobNotFoundError(f"there is no job {job_id!r} now", hint="`gitstate undelete` brings it back")
        refuse_if_running(job_id, current, force=force)
        event, before = Event.RESTORED, current.content().value
        after = _with_part(job_id, wanted, older.content().value, before)
        done = Rewound(job_id, event.value, source, current.revision, before, after)
        if equal(after, before):
            return done, None
        after = checked(codec, job_id, followed(before, after))
        told = f"restored {wanted} from {short(source)}"
        trailers = ((message.SOURCE, source),)
        draft = Draft(message_for(job_id, event, told, after, body=note, trailers=trailers), value=Content(value=after))
        return Rewound(job_id, event.value, source, current.revision, before, after), draft

    return plan


def numbered(sheets: str | Iterable[int]) -> tuple[int, ...]:
    """Return the numbers of sheets that a caller names, each once: a list of them, or a text such as ``5-9,12``.

    Raises:
        InvalidInputError: They name no sheets.
    """
    try:
        numbers = list(_numbers(sheets) if isinstance(sheets, str) else sheets)
    except TypeError as error:
        raise InvalidInputError(f"sheets are named by lists or texts: {error}") from error
    wrong = next((n for n in numbers if isinstance(n, bool) or not isinstance(n, int) or n < 1), None)
    if wrong is not None:
        raise InvalidInputError(f"there is no sheet {wrong!r}", hint="sheets are numbered from 1")
    return tuple(dict.fromkeys(numbers))


def checked(codec: "Codec[Any]", job_id: str, value: dict[str, Value]) -> dict[str, Value]:
    """Return a value that was put together, if it is a state. Raises InvalidInputError: it is none."""
    try:
        codec.check(value, {})
    except CorruptionError as error:
        raise InvalidInputError(
            f"this would make no state of job {job_id!r}, so nothing was changed: {error.message}",
            hint="choose other sheets or places; --dry-run shows what would change",
        ) from error
    return value


def followed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as changed now, and with what follows from sheets that have another status or attempt."""
    job = repaired(after) if not equal(_runs(before), _runs(after)) else dict(after)
    return job | ({"updated_at": now_text()} if "updated_at" in job else {})


def repaired(value: Mapping[str, Any], *, now: datetime | None = None) -> dict[str, Any]:
    """Return a job with what follows from its sheets made right; ``now`` is when, if not at this moment.

    * ``last_completed_sheet`` is the highest sheet that is completed;
    * ``current_sheet`` is a sheet in progress, or none;
    * a job that was completed and has open sheets is paused, or pending if no sheet was ever begun; one whose sheets
      are all done is completed, unless it was cancelled;
    * the times when it began and ended are there if it did, and no process is named unless it runs;
    * the counter of retries is 0 when no sheet was ever begun.
    """
    job, sheets = dict(value), _sheets(value)
    if sheets:
        completed = [_number(key) for key, sheet in sheets.items() if sheet.get("status") == SheetStatus.COMPLETED]
        job["last_completed_sheet"] = max(completed, default=0)
    if sheets.get(str(job.get("current_sheet")), {}).get("status") != SheetStatus.IN_PROGRESS:
        job.pop("current_sheet", None)
    done, total = progress(job)
    begun = done > 0 or any(map(_was_begun, sheets.values()))
    status = job.get("status")
    if done == total and status not in (JobStatus.COMPLETED, JobStatus.CANCELLED):
        ends = [time for sheet in sheets.values() if (time := instant(sheet.get("completed_at"))) is not None]
        job |= {"status": JobStatus.COMPLETED.value, "completed_at": _text(max(ends, default=now or clock.now()))}
        job.pop("error_message", None)
    elif done != total and status in (JobStatus.COMPLETED, JobStatus.PAUSED, JobStatus.PENDING):
        if status == JobStatus.COMPLETED:
            job["status"] = (JobStatus.PAUSED if begun else JobStatus.PENDING).value
        job.pop("completed_at", None)
    if job.get("status") != JobStatus.RUNNING:
        job = _without(job, _PROCESS)
    return _with_beginning(job, sheets) if begun else _as_never_begun(job)


def reset(value: Mapping[str, Any], first: int) -> dict[str, Any]:
    """Return a job whose sheets from ``first`` on are pending, without what their attempts left behind.

    The job is paused, or pending if nothing is done any more. Other fields of the sheets stay, their metadata too.
    """
    job = _without(value, (*_PROCESS, "current_sheet", "completed_at", "error_message"))
    sheets = job.get("sheets")
    if isinstance(sheets, dict):
        opened = {key: _pending(sheet) for key, sheet in _sheets(job).items() if _number(key) >= first}
        job["sheets"] = sheets | opened
    job["last_completed_sheet"] = min(job.get("last_completed_sheet") or 0, first - 1)
    job["status"] = (JobStatus.PAUSED if progress(job)[0] else JobStatus.PENDING).value
    return repaired(job)


def reopened(value: Mapping[str, Any], numbers: Iterable[int]) -> dict[str, Any]:
    """Return a job some of whose sheets are pending again, without what their attempts left behind.

    A job that had ended is paused, or pending if no sheet is begun any more. The very same value comes back when none
    of these sheets was begun.
    """
    sheets = _records(value)
    chosen = [key for key in map(str, numbers) if key in sheets and _was_begun(sheets[key])]
    if not chosen:
        return dict(value)
    after = dict(value) | {"sheets": sheets | {key: _pending(sheets[key]) for key in chosen}}
    if after.get("status") in _ENDED:
        begun = any(map(_was_begun, _sheets(after).values()))
        after = _without(after, ("completed_at", "error_message"))
        after["status"] = (JobStatus.PAUSED if begun else JobStatus.PENDING).value
    return repaired(after)


def _with_part(job_id: str, wanted: Wanted, old: dict[str, Value], now: dict[str, Value]) -> dict[str, Value]:
    after: dict[str, Any] = dict(now)
    if wanted.sheets:
        total, then, sheets = now.get("total_sheets"), _records(old), _records(now)
        beyond = [number for number in wanted.sheets if isinstance(total, int) and number > total]
        if beyond:
            raise InvalidInputError(f"job {job_id!r} has no sheet {beyond[0]}", hint=f"its sheets are 1 to {total}")
        chosen = {key for key in map(str, wanted.sheets) if not same(then.get(key, ABSENT), sheets.get(key, ABSENT))}
        if chosen:  # else a job that only counts is left without records
            sheets = {key: sheet for key, sheet in sheets.items() if key not in chosen}
            after["sheets"] = sheets | {key: sheet for key, sheet in then.items() if key in chosen}
            if not after["sheets"]:
                after["last_completed_sheet"] = 0  # without records it would mean that all up to it are done
    for place in wanted.places:
        slot = pointer.get(old, place)
        if slot is ABSENT and pointer.get(now, place) is ABSENT:
            raise InvalidInputError(
                f"job {job_id!r} has nothing at {pointer.to_text(place)}, neither then nor now",
                hint="`gitstate show --json` shows which places there are",
            )
        after = put(after, place, slot, place)
    return after


def put(value: Any, parts: Parts, slot: Slot, place: Parts) -> Any:
    """Return a value with something else at a place; nothing is changed in place.

    Args:
        value: The value.
        parts: The place in it.
        slot: What shall stand there; ABSENT for nothing.
        place: The whole place, for the error.

    Raises:
        InvalidInputError: What holds the place is not there.
    """
    key, rest = parts[0], parts[1:]
    number = pointer.index(key) if isinstance(value, list) else None
    if isinstance(value, dict) and (not rest or key in value):
        after: Any = dict(value)
        at: Any = key
    elif number is not None and number < len(value):
        after, at = list(value), number
    else:
        raise InvalidInputError(
            f"what held {pointer.to_text(place)} is not there now",
            hint=f"restore {pointer.to_text(place[: len(place) - len(rest)])}",
        )
    if rest:
        after[at] = put(after[at], rest, slot, place)
    elif slot is not ABSENT:
        after[at] = slot
    elif isinstance(after, dict):
        after.pop(at, None)
    else:
        del after[at]
    return after


def _runs(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: [sheet.get("status"), sheet.get("attempt_count") or 0] for key, sheet in _records(value).items()}


def _records(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sheets of a job; one without any, but with a last completed sheet, has completed all up to that."""
    last = value.get("last_completed_sheet")
    return _sheets(value) or {
        str(number): {"sheet_num": number, "status": SheetStatus.COMPLETED.value}
        for number in range(1, (last if isinstance(last, int) else 0) + 1)
    }


def _sheets(value: Mapping[str, Any]) -> dict[str, Any]:
    sheets = value.get("sheets")
    return {key: sheet for key, sheet in sheets.items() if isinstance(sheet, dict)} if isinstance(sheets, dict) else {}


def _pending(sheet: Mapping[str, Any]) -> dict[str, Any]:
    from gitstate.backends.models import SheetState

    defaults = {name: SheetState.model_fields[name].default for name in _ATTEMPT if name in sheet}
    kept = _without(sheet, _ATTEMPT) | {name: default for name, default in defaults.items() if default is not None}
    return kept | {"status": SheetStatus.PENDING.value}


def _was_begun(sheet: Mapping[str, Any]) -> bool:
    return bool(sheet.get("attempt_count")) or sheet.get("status") not in (SheetStatus.PENDING, SheetStatus.READY)


def _with_beginning(job: dict[str, Any], sheets: Mapping[str, Any]) -> dict[str, Any]:
    begun = ((instant(sheet.get("started_at")), sheet.get("started_at")) for sheet in sheets.values())
    starts = [(moment, text) for moment, text in begun if moment is not None]
    return {**job, "started_at": min(starts)[1]} if starts and not job.get("started_at") else job


def _as_never_begun(job: dict[str, Any]) -> dict[str, Any]:
    return _without(job, ("started_at",)) | ({"total_retry_count": 0} if "total_retry_count" in job else {})


def _without(item: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: field for name, field in item.items() if name not in names}


def _number(key: str) -> int:
    return int(key) if _KEY.fullmatch(key) else 0


def _numbers(text: str) -> Iterator[int]:
    """Yield the numbers of a text such as ``5-9,12``."""
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None or int(match[1]) > int(match[2] or match[1]):
            raise InvalidInputError(f"{text!r} names no sheets", hint="write numbers and ranges: 5-9,12")
        yield from range(int(match[1]), int(match[2] or match[1]) + 1)


def now_text() -> str:
    """Return the present moment as states have it."""
    return _text(clock.now())


def _text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")  # as pydantic writes it
