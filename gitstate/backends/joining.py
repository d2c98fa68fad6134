"""What jobs tell of themselves when two histories of them become one."""

import re
from datetime import UTC, datetime
from typing import Any

from gitstate.backends.invariants import contradictions
from gitstate.backends.rewound import GOES_BACK
from gitstate.backends.rules import REWIND_RULES
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store.documents import Joining, WentBack
from gitstate.values.canonical import Value
from gitstate.values.joins import instant
from gitstate.values.merge import Side, Slot

__all__ = ["JOB_JOINING"]

_BEGINNING = datetime.fromtimestamp(0, UTC)  # of a job that does not say when it was saved: a merge has no clock
_OF_SHEET = re.compile(r"executions/0*([0-9]+)/")


def _went_back(said: Message) -> WentBack:
    """Return how much of an older state came back with a commit; a proposal that was applied relied on what it saw."""
    event = said.get(message.EVENT)
    if event == Event.ROLLED_BACK:
        return "whole"
    return "part" if event in GOES_BACK or said.get(message.PROPOSAL) is not None else ""


def _repaired(value: dict[str, Value], ours: Slot, theirs: Slot) -> dict[str, Value]:
    """Make right how a job contradicts itself that neither side contradicted."""
    known = {kind for side in (ours, theirs) if isinstance(side, dict) for kind in contradictions(side)}
    if contradictions(value).keys() <= known:
        return value
    from gitstate.backends.restoring import repaired

    return repaired(value, now=instant(value.get("updated_at")) or _BEGINNING)


def _latest(path: str, ours: Slot, theirs: Slot) -> Side | None:
    """Return the side that attempted a sheet last, by the number of its attempts."""
    found = _OF_SHEET.match(path)
    if found is None:
        return None
    here, there = (_attempts(side, found[1]) for side in (ours, theirs))
    return None if here == there else ("ours" if here > there else "theirs")


def _attempts(job: Any, sheet: str) -> int:
    try:
        attempts = job["sheets"][sheet]["attempt_count"]
    except (KeyError, TypeError):
        return 0
    return attempts if isinstance(attempts, int) else 0


JOB_JOINING = Joining(
    time_field="updated_at",
    went_back=_went_back,
    rewind_rules=REWIND_RULES,
    repaired=_repaired,
    latest=_latest,
)
"""That of the collection of jobs."""
