"""Whether a job contradicts itself: its status, its sheets and its counters, on plain values of any model.

Only fields that both our model and others know are looked at, and only what
:func:`gitstate.backends.restoring.repaired` would make right.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gitstate.backends.statuses import DONE, JobStatus, SheetStatus
from gitstate.backends.subjects import listed, progress, sheets_in, sheets_of, status_of

__all__ = ["contradictions", "contradicts_anew", "new_contradictions"]

_NUMBER = re.compile(r"[0-9]{1,18}")
_OF_STATUS = {"open", "done", "process", "idle"}  # kinds of contradictions of the job's status with the rest
_OPEN_JOB = (JobStatus.PENDING, JobStatus.RUNNING, JobStatus.PAUSED)


def new_contradictions(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """Return the sentences on how a job contradicts itself as it did not before: what was odd already may stay so."""
    known = contradictions(before or {})
    return [sentence for kind, sentence in contradictions(after).items() if kind not in known]


def contradicts_anew(value: Mapping[str, Any], *sides: Mapping[str, Any]) -> bool:
    """Whether a job that was merged contradicts itself as none of its sides did that has its status.

    A side says that status together with its own sheets: one that is running with all sheets done is about to end. For
    another side's status that is no excuse.
    """
    known: set[str] = set()
    for side in sides:
        has_status = side.get("status") == value.get("status")
        known |= {kind for kind in contradictions(side) if has_status or kind not in _OF_STATUS}
    return not contradictions(value).keys() <= known


def contradictions(value: Mapping[str, Any]) -> dict[str, str]:
    """Return how a job contradicts itself: a sentence for each kind of contradiction."""
    found = (*_of_status(value), *_of_sheets(value), *_of_marks(value))
    return dict(found)


def _of_status(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    done, total = progress(value)
    status = value.get("status")
    if status == JobStatus.COMPLETED and done < total:
        yield "open", f"the job is completed, and {total - done} of its {total} sheets are not done"
    if status in _OPEN_JOB and total > 0 and done == total:
        yield "done", f"all {total} sheets are done, and the job is {status}"
    if value.get("pid") is not None and status != JobStatus.RUNNING:
        yield "process", f"process {value['pid']} is said to run the job, and the job is {status}"


def _of_sheets(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    total = value.get("total_sheets")
    for key, sheet in sheets_of(value).items():
        number = sheet.get("sheet_num") if isinstance(sheet, dict) else None
        if number is not None and str(number) != key:
            yield "number", f"sheet {key} says that it is sheet {number}"
        if isinstance(total, int) and _NUMBER.fullmatch(key) and not 1 <= int(key) <= total:
            yield "range", f"there is a sheet {key}, and the job has {total}"


def _of_marks(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    sheets = sheets_of(value)
    if not sheets:
        return
    completed = sheets_in(value, SheetStatus.COMPLETED)
    last, highest = value.get("last_completed_sheet") or 0, max(completed, default=0)
    if last != highest:
        yield "watermark", f"last_completed_sheet is {last}, and the last sheet that is completed is {highest}"
    current = value.get("current_sheet")
    status = status_of(sheets.get(str(current)))
    if current is not None and status in (*DONE, SheetStatus.PENDING):
        yield "current", f"current_sheet is {current}, and that sheet is {status}"
    idle = sheets_in(value, SheetStatus.IN_PROGRESS)
    if idle and value.get("status") in (JobStatus.COMPLETED, JobStatus.PENDING):
        yield "idle", f"sheet {listed(idle)} is in progress, and the job is {value['status']}"
