"""Why a run goes on with this sheet: the rule of :func:`gitstate.backends.models.next_sheet`, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitstate.backends.statuses import PASSED_OVER, JobStatus, SheetStatus, next_sheet, runs_here
from gitstate.words import counted

__all__ = ["NextSheet", "PassedOver", "explain"]

_OWN_RULE = "the rule of the job's own model says so"


@dataclass(frozen=True)
class PassedOver:
    """A sheet with a lower number, or any one of a job that is over, and why it is not the next."""

    sheet: int
    status: str | None
    reason: str


@dataclass(frozen=True)
class NextSheet:
    """The sheet that a run of a job processes next, None if there is none, why, and what it passes over, by number."""

    job_id: str
    sheet: int | None
    reason: str
    passed_over: tuple[PassedOver, ...] = ()


def explain(job_id: str, state: Any) -> NextSheet:
    """Return which sheet of a state is next and why; a model's own rule counts, if it has one.

    Args:
        job_id: The job.
        state: A model of the shape that :func:`next_sheet` asks for.
    """
    own = getattr(state, "get_next_sheet", None)
    number = own() if callable(own) else next_sheet(state)
    if callable(own) and not _is_of_our_shape(state):
        return NextSheet(job_id, number, _OWN_RULE)
    sheets = getattr(state, "sheets", None) or {}
    reason = _reason(state, number, sheets) if number == next_sheet(state) else _OWN_RULE
    below = range(1, number or state.total_sheets + 1)
    return NextSheet(job_id, number, reason, tuple(_passed_over(state, number, sheets, each) for each in below))


def _is_of_our_shape(state: Any) -> bool:
    """Whether our rule can be asked about a state of a model that has a rule of its own."""
    sheets = getattr(state, "sheets", None) or {}
    if not isinstance(getattr(state, "total_sheets", None), int) or not isinstance(sheets, Mapping):
        return False
    return all(hasattr(sheet, "status") for sheet in sheets.values())


def _reason(state: Any, number: int | None, sheets: Any) -> str:
    status = _text(getattr(state, "status", None))
    if number is None and status in (JobStatus.COMPLETED, JobStatus.CANCELLED):
        return f"the job is {status}"
    if number is None:
        return "every sheet is completed, skipped or cancelled" if sheets else "all sheets are completed"
    if not sheets:
        return "no sheet has a record, and those before are completed" if number > 1 else "no sheet was ever begun"
    standing, attempts = _standing(sheets, number)
    if standing == SheetStatus.IN_PROGRESS and runs_here(state):
        return f"it is in progress: process {state.pid} of this host is at work on it"
    if standing == SheetStatus.IN_PROGRESS:
        return f"it was interrupted in its attempt {attempts}" if attempts else "it was interrupted"
    if standing == SheetStatus.FAILED:
        return f"it failed, after {counted(attempts, 'attempt')}, and is tried again"
    return f"it is the lowest that is not completed, skipped or cancelled: it is {standing or 'not begun'}"


def _passed_over(state: Any, chosen: int | None, sheets: Any, number: int) -> PassedOver:
    status, _ = _standing(sheets, number)
    last = getattr(state, "last_completed_sheet", 0) or 0
    if not sheets and number <= last:
        return PassedOver(number, SheetStatus.COMPLETED.value, f"the last completed sheet is {last}")
    if status in PASSED_OVER:
        said = getattr(sheets[number], "error_message", None) if status != SheetStatus.COMPLETED else None
        return PassedOver(number, status, f"it is {status}" + (f": {said}" if said else ""))
    waits = f"sheet {chosen} comes first" if chosen is not None else "the job is over"
    return PassedOver(number, status, waits)


def _standing(sheets: Any, number: int) -> tuple[str | None, int]:
    sheet = sheets.get(number)
    attempts = getattr(sheet, "attempt_count", 0)
    return _text(getattr(sheet, "status", None)), attempts if isinstance(attempts, int) else 0


def _text(status: Any) -> str | None:
    return None if status is None else str(getattr(status, "value", status))
