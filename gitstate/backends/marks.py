"""A change of one sheet's status, on the plain value of a job of any model.

The rules are those of :class:`gitstate.backends.models.CheckpointState`. A state of another model is looked at through
it: only the fields that both know are read, and only those that the change touched are written back.
"""

from collections.abc import Set
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, PrivateAttr

from gitstate import clock
from gitstate.backends.checked import Checked
from gitstate.backends.endings import ended, ending_trailers
from gitstate.backends.models import CheckpointState, SheetState
from gitstate.backends.statuses import DONE, JobStatus, SheetStatus
from gitstate.backends.subjects import message_for, told
from gitstate.errors import CorruptionError, InvalidInputError, JobNotFoundError
from gitstate.format.codec import Codec
from gitstate.format.message import Event
from gitstate.store.content import Content
from gitstate.store.documents import Draft, Edit, Snapshot
from gitstate.values.canonical import equal

__all__ = ["edit_for", "mark_sheet", "sheet_status"]

_FREE = {"config_snapshot", "metadata", "validation_details"}  # no rule reads them, and other models may differ
_JOB_FIELDS = CheckpointState.model_fields.keys() - _FREE
_SHEET_FIELDS = SheetState.model_fields.keys() - _FREE


class _Excerpt(CheckpointState):
    """A job with no more than one of its sheets. The others are looked at when a rule asks whether all are done."""

    model_config = ConfigDict(validate_assignment=False)  # the rules assign what is right

    _others: dict[str, Any] = PrivateAttr(default_factory=dict)

    def _is_done(self) -> bool:
        # From the end: there most jobs have open sheets, and the first one settles it.
        return all(self._status(number) in DONE for number in range(self.total_sheets, 0, -1))

    def _status(self, number: int) -> Any:
        sheet = self._others.get(str(number))
        return sheet.get("status") if isinstance(sheet, dict) else getattr(self.sheets.get(number), "status", None)


_CODEC = Codec(_Excerpt)


def edit_for(
    codec: Codec[Any], checked: Checked, job_id: str, sheet_num: int, status: SheetStatus, error_message: str | None
) -> Edit:
    """Return the write that marks a sheet of a job whose states ``codec`` encodes.

    The write raises JobNotFoundError when there is no job, and InvalidInputError when the sheet cannot be marked so.
    """

    def edit(current: Snapshot | None) -> Draft:
        if current is None:
            raise JobNotFoundError(f"there is no job {job_id!r}", hint="save its state before its sheets")
        before = current.content().value
        value = mark_sheet(before, sheet_num, status, error_message)
        try:
            codec.check(value, before if current.value_id in checked else {})
        except CorruptionError as error:
            raise InvalidInputError(f"sheet {sheet_num} of job {job_id!r} cannot be marked: {error.message}") from error
        text, changed = told(before, value)
        trailers = ending_trailers(ended(before, value, changed))
        message = message_for(job_id, Event.SHEET, text, value, trailers=trailers)
        return Draft(message, value=Content(value=value), observer=checked)

    return edit


def sheet_status(status: Any) -> SheetStatus:
    """Return the status that a member of any enum, or a text, means by its value.

    Raises:
        InvalidInputError: No status has this value.
    """
    try:
        return SheetStatus(getattr(status, "value", status))
    except ValueError as error:
        known = ", ".join(SheetStatus)
        raise InvalidInputError(f"there is no sheet status {status!r}", hint=f"one of {known}") from error


def mark_sheet(value: dict[str, Any], sheet_num: int, status: SheetStatus, error_message: str | None) -> dict[str, Any]:
    """Return a job's value with the status of one sheet changed, and all that follows from it.

    Raises:
        InvalidInputError: The sheet number is out of range, the message is no text, or the value is not that of a job.
    """
    if error_message is not None and not isinstance(error_message, str):
        raise InvalidInputError(f"an error message is a text, not {error_message!r}")
    sheets = value.get("sheets")
    sheets = dict(sheets) if isinstance(sheets, dict) else {}
    job = _excerpt(value, sheets, str(sheet_num))
    before = _encoded(job)
    _apply(job, sheet_num, status, error_message)
    job.updated_at = clock.now()
    after = _encoded(job)
    seen, marked = before.pop("sheets"), after.pop("sheets")
    for key, sheet in marked.items():
        if key not in seen:
            sheets[key] = _without_defaults(sheet)
        elif not equal(seen[key], sheet):
            sheets[key] = _carried(sheets[key], seen[key], sheet)
    sheets[str(sheet_num)] = sheets[str(sheet_num)] | {"status": status.value}  # whatever it had
    return _carried(value, before, after) | {"sheets": sheets}


def _excerpt(value: dict[str, Any], sheets: dict[str, Any], key: str) -> _Excerpt:
    """Return what is known of a job, with one of its sheets: that of a key, or any, lest it seem to have no records."""
    shown = key if isinstance(sheets.get(key), dict) else next((k for k in sheets if isinstance(sheets[k], dict)), None)
    seen = {"job_name": ""} | _known(value, _JOB_FIELDS, JobStatus)
    seen["sheets"] = {} if shown is None else {shown: _known(sheets[shown], _SHEET_FIELDS, SheetStatus)}
    try:
        job = _CODEC.decode(seen)
    except CorruptionError as error:
        raise InvalidInputError(f"{value.get('job_id')!r} has not the shape of a job: {error.message}") from error
    job._others = sheets.copy()
    if shown is not None:
        del job._others[shown]
    return job


def _apply(job: CheckpointState, sheet_num: int, status: SheetStatus, error_message: str | None) -> None:
    if status is SheetStatus.COMPLETED:
        job.mark_sheet_completed(sheet_num)
    elif status is SheetStatus.FAILED:
        job.mark_sheet_failed(sheet_num, error_message or "")
    elif status is SheetStatus.IN_PROGRESS:
        job.mark_sheet_started(sheet_num)
    elif status is SheetStatus.SKIPPED:
        job.mark_sheet_skipped(sheet_num, error_message)
    else:
        sheet = job.sheet(sheet_num)
        sheet.status = status
        if error_message is not None:
            sheet.error_message = error_message


def _known(item: dict[str, Any], names: Set[str], statuses: type[StrEnum]) -> dict[str, Any]:
    """Return the fields that we know; a status of another model's own counts as the first one, pending."""
    known = {name: field for name, field in item.items() if name in names}
    if known.get("status") not in tuple(statuses):
        known.pop("status", None)
    return known


def _carried(value: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return ``value`` with what differs between ``before`` and ``after``."""
    changed = {name: field for name, field in after.items() if name not in before or not equal(before[name], field)}
    gone = before.keys() - after.keys()
    return {name: field for name, field in value.items() if name not in gone} | changed


def _encoded(job: CheckpointState) -> dict[str, Any]:
    # As the codec has it, but for what these fields never hold, in a tenth of the time.
    return job.model_dump(mode="json", exclude_none=True)


def _without_defaults(sheet: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a new sheet that say something; another model may not know the others."""
    known = SheetState(sheet_num=sheet["sheet_num"]).model_dump(mode="json")
    return {
        name: field for name, field in sheet.items() if name in ("sheet_num", "status") or not equal(known[name], field)
    }
