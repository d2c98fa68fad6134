"""Sheets that a person decides about: those that are not to be run, and those that shall run once more."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gitstate.backends.restoring import checked, followed, refuse_beyond, reopened
from gitstate.backends.rewound import Planner, Rewound, standing
from gitstate.backends.statuses import SheetStatus
from gitstate.backends.subjects import listed, message_for, sheets_of, status_of
from gitstate.errors import InvalidInputError
from gitstate.format.message import Event
from gitstate.store.content import Content
from gitstate.store.documents import Draft, Snapshot
from gitstate.values.canonical import equal

if TYPE_CHECKING:
    from gitstate.format.codec import Codec

__all__ = ["reset", "skip"]


def skip(codec: "Codec[Any]", job_id: str, numbers: tuple[int, ...], *, note: str, force: bool) -> Planner:
    """Return the plan that skips sheets of a job whose states ``codec`` encodes."""
    from gitstate.backends import marks

    def skipped(before: dict[str, Any]) -> dict[str, Any]:
        after = before
        for number in numbers:
            status = _status(after, number)
            if status == SheetStatus.COMPLETED:
                raise InvalidInputError(
                    f"sheet {number} of job {job_id!r} is completed; nothing was changed",
                    hint="leave it out; or `gitstate reset` makes it pending first",
                )
            if status != SheetStatus.SKIPPED:
                after = marks.mark_sheet(after, number, SheetStatus.SKIPPED, note or None)
        return after

    return _plan(codec, job_id, numbers, Event.SKIPPED, skipped, note, force=force)


def reset(codec: "Codec[Any]", job_id: str, numbers: tuple[int, ...], *, note: str, force: bool) -> Planner:
    """Return the plan that makes sheets of a job pending again."""
    return _plan(codec, job_id, numbers, Event.RESET, lambda before: reopened(before, numbers), note, force=force)


def _plan(
    codec: "Codec[Any]",
    job_id: str,
    numbers: tuple[int, ...],
    event: Event,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    note: str,
    *,
    force: bool,
) -> Planner:
    if not numbers:
        raise InvalidInputError("it was not said which sheets", hint="name them: 5-9,12")

    def plan(current: Snapshot | None) -> tuple[Rewound, Draft | None]:
        current = standing(job_id, current, force=force)
        before: dict[str, Any] = current.content().value
        refuse_beyond(job_id, numbers, before)
        after = change(before)
        if equal(after, before):
            return Rewound(job_id, event.value, None, current.revision, before, after), None
        after = checked(codec, job_id, followed(before, after))
        text = f"{event.value} sheet{'s' if len(numbers) > 1 else ''} {listed(sorted(numbers))}"
        draft = Draft(message_for(job_id, event, text, after, body=note), value=Content(value=after))
        return Rewound(job_id, event.value, None, current.revision, before, after), draft

    return plan


def _status(value: dict[str, Any], number: int) -> str | None:
    """Return the status of a sheet; a job without records has completed all up to its last completed one."""
    sheets = sheets_of(value)
    last = value.get("last_completed_sheet")
    if not sheets and isinstance(last, int) and number <= last:
        return SheetStatus.COMPLETED
    return status_of(sheets.get(str(number)))
