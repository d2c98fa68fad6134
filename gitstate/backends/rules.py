"""How two changes of one job are merged: the table of ``JOB_RULES``, and the three decisions that need a whole object.

The *run* of a sheet is its attempt and status. When both sides moved the run, or the attempts differ, the fields that
tell of the run come from one side as a whole, so that no sheet says COMPLETED with the error of another attempt.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from gitstate.backends.statuses import DONE, RESULT_FIELDS, TERMINAL, JobStatus, SheetStatus
from gitstate.errors import InvalidInputError
from gitstate.values.canonical import Value
from gitstate.values.joins import earlier, follow, free, higher, later, newer, unite
from gitstate.values.merge import Conflict, Merge, Place, Rule, Rules, Side, Slot, add_deltas, same

__all__ = ["JOB_IDENTITIES", "JOB_RULES", "REWIND_RULES", "UNDO_RULES", "job_rules"]

_JOB_ENDED = tuple(status for status in JobStatus if status.is_terminal)
_SETTLED = (*DONE, SheetStatus.CANCELLED)  # a failed sheet is tried again; out of these, only a rollback leads
_FORWARD = tuple(status for status in SheetStatus if not status.is_terminal)  # in the order of their declaration
_PROCESS = ("pid", "host")  # a pid means something only with its host
_RUN = ("attempt_count", "status", "started_at", *RESULT_FIELDS)

# Membership is asked of tuples: a value that is no text, even a list, is simply not in them.
_Run: TypeAlias = tuple[int, Value]  # attempt and status
_newer = newer("updated_at")


def _job(place: Place) -> Merge | None:
    """Keep pid and host together, and complete the job when both sides together finished its sheets."""
    if not isinstance(place.ours, dict) or not isinstance(place.theirs, dict):
        return None
    process = [place.entry(key) for key in _PROCESS]
    moved_here = any(not same(entry.base, entry.ours) for entry in process)
    moved_there = any(not same(entry.base, entry.theirs) for entry in process)
    if moved_here and moved_there:
        place = place.aligned(_PROCESS, _newer(place))
    merge = place.keywise()
    job: Any = merge.value
    # Each side saw the other's last sheets open, so neither could say that the job is complete.
    if (
        job.get("status") == JobStatus.RUNNING
        and _finished(job)
        and not (_finished(place.ours) or _finished(place.theirs))
    ):
        job = {name: field for name, field in job.items() if name not in (*_PROCESS, "current_sheet")}
        job["status"] = JobStatus.COMPLETED.value
        job |= {"completed_at": job["updated_at"]} if "updated_at" in job else {}
    return Merge(job, merge.conflicts)


def _job_status(place: Place) -> Merge | None:
    """A job that ended stays ended; else the side that is newer knows better."""
    ours_ended, theirs_ended = (side in _JOB_ENDED for side in (place.ours, place.theirs))
    if ours_ended != theirs_ended:
        return Merge(place.ours if ours_ended else place.theirs)
    return follow(_newer)(place)


def _sheet(place: Place) -> Merge | None:
    """Let the run of a sheet go forward, and its other fields follow the side that won."""
    if not isinstance(place.ours, dict) or not isinstance(place.theirs, dict):
        return None
    base = _run(place.base) if isinstance(place.base, dict) else None
    ours, theirs = _run(place.ours), _run(place.theirs)
    if ours == theirs:
        return None
    both_moved = base not in (ours, theirs)
    mover: Side = "theirs" if ours == base else "ours"
    winner = _forward(base, ours, theirs) if both_moved else mover
    if winner is None:
        return _two_results(place)
    if both_moved or ours[0] != theirs[0]:
        place = place.aligned(_RUN, winner)
    return place.preferring(winner).keywise()


def _forward(base: _Run | None, ours: _Run, theirs: _Run) -> Side | None:
    """Return the side whose run is further, or None where that cannot be said."""
    if base is not None and (_went_back(base, ours) or _went_back(base, theirs)):
        return None
    if ours[0] != theirs[0]:
        return "ours" if ours[0] > theirs[0] else "theirs"
    ours_rank, theirs_rank = _rank(ours[1]), _rank(theirs[1])
    if ours_rank is None or theirs_rank is None or ours_rank == theirs_rank:
        return None
    return "ours" if ours_rank > theirs_rank else "theirs"


def _went_back(base: _Run, side: _Run) -> bool:
    """Tell whether a run was rolled back, which is never overruled by what came meanwhile."""
    left = base[1] in _SETTLED and side[1] not in TERMINAL
    return side[0] < base[0] or (side[0] == base[0] and left)


def _rank(status: Value) -> int | None:
    if status in TERMINAL:
        return len(_FORWARD)
    return _FORWARD.index(status) if status in _FORWARD else None


def _two_results(place: Place) -> Merge:
    """Report every field of the run that differs; the value has all of them as the side that wins has them."""
    merge = place.aligned(_RUN, place.wins).keywise()
    differing = [entry for entry in map(place.entry, _RUN) if not same(entry.ours, entry.theirs)]
    conflicts: list[Conflict] = [conflict for entry in differing for conflict in entry.undecided().conflicts]
    return Merge(merge.value, (*conflicts, *merge.conflicts))


def _one_run(place: Place) -> Merge | None:
    """Let no side win a run that both moved, and make none of pieces of two."""
    if not isinstance(place.ours, dict) or not isinstance(place.theirs, dict):
        return None
    run = [place.entry(key) for key in _RUN]
    moved_here = any(not same(entry.base, entry.ours) for entry in run)
    moved_there = any(not same(entry.base, entry.theirs) for entry in run)
    return _two_results(place) if moved_here and moved_there else None


def _of_now(place: Place) -> Merge:
    """Take what stands there now, which is ours."""
    return Merge(place.ours)


def _run(sheet: dict[str, Value]) -> _Run:
    attempt = sheet.get("attempt_count")
    return attempt if isinstance(attempt, int) else 0, sheet.get("status")


def _finished(job: Slot) -> bool:
    """Tell whether every sheet of a job is done."""
    sheets = job.get("sheets") if isinstance(job, dict) else None
    if not isinstance(job, dict) or not isinstance(sheets, dict):
        return False
    done = [sheet for sheet in sheets.values() if isinstance(sheet, dict) and sheet.get("status") in DONE]
    return len(done) == job.get("total_sheets")


JOB_IDENTITIES = dict.fromkeys(
    ("/*_history", "/*_results", "/sheets/*/validation_details", "/sheets/*/*_history"), "id"
)
"""The lists of records that a job's value holds, and the field that identifies a record."""

_TABLE: Mapping[str, Rule] = {
    **{pointer: unite(field) for pointer, field in JOB_IDENTITIES.items()},
    "": _job,
    "/status": _job_status,
    "/current_sheet": follow(_newer),
    "/pid": follow(_newer),
    "/host": follow(_newer),
    "/error_message": follow(_newer),
    "/created_at": earlier,
    "/started_at": earlier,
    "/updated_at": later,
    "/completed_at": later,
    "/last_completed_sheet": higher,
    "/total_retry_count": add_deltas,
    "/rate_limit_waits": add_deltas,
    "/sheets/*": _sheet,
    "/sheets/*/started_at": earlier,
    "/sheets/*/completed_at": later,
    "/sheets/*/metadata": free,
}


def job_rules(own: Mapping[str, Rule] | None = None) -> Rules:
    """Return the merge rules of jobs, with rules of a model's own, which go before ours.

    Raises:
        InvalidInputError: One is at no pointer, or is no rule.
    """
    for place, rule in (own or {}).items():
        if not isinstance(place, str) or not callable(rule):
            raise InvalidInputError(
                f"{place!r} with {rule!r} is no rule for a merge", hint='write {"/cost_cents": gitstate.rules.add}'
            )
    return Rules.of({**_TABLE, **(own or {})})


JOB_RULES = job_rules()
"""The merge rules of a job's value: a CheckpointState, or any model that has its field names."""

REWIND_RULES = Rules.of({"/updated_at": later, "/sheets/*": _one_run})
"""The rules where somebody went back since the base: that is never overruled, so what both sides changed conflicts."""

UNDO_RULES = Rules.of(
    {
        "/updated_at": later,
        "/last_completed_sheet": _of_now,  # made right after the merge
        "/current_sheet": _of_now,
        "/pid": _of_now,
        "/host": _of_now,
        "/started_at": earlier,
        "/total_retry_count": add_deltas,
        "/rate_limit_waits": add_deltas,
        "/sheets/*": _one_run,
    }
)
"""The rules for taking an operation back: base is the job after it, ours the job now, theirs the job before it."""
