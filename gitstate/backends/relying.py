"""What a change that was proposed relied on, and whether that is still so. Pure: values in, places out.

A proposal was made, and reviewed, in view of a state. Where the job has another value by now at a place that the
proposal changes, or a sheet that it changes has run since, nobody has seen what would come of it.
"""

from collections.abc import Iterator
from typing import Any

from gitstate.backends.invariants import contradictions
from gitstate.backends.rules import JOB_RULES
from gitstate.backends.subjects import sheets_of
from gitstate.values.merge import Conflict, Rules, add_deltas, same
from gitstate.values.pointer import Parts, get, is_meant, parse, to_text
from gitstate.values.shape import ABSENT, Slot

__all__ = ["changed_places", "is_whole", "moved_places", "unmet"]

_VOLATILE = tuple(map(parse, ("/updated_at", "/sheets/*/updated_at")))
"""What says when a state was saved, and nothing of the work. A process that changed is another run, so it counts."""

_RUN = ("status", "attempt_count")  # of a sheet

_FOLLOWING = {"watermark": ("last_completed_sheet",), "current": ("current_sheet",)}
"""What follows from the sheets of a job, by the contradiction that there is where it does not."""


def moved_places(base: Slot, now: Slot, wanted: Slot, *, whole: bool, rules: Rules = JOB_RULES) -> list[Conflict]:
    """Return the places on which a change from ``base`` to ``wanted`` relied, and which are no longer so; in each
    conflict ``ours`` is what is there now, and ``theirs`` what the change wants there.

    Args:
        base: A job's value as the change found it; ABSENT: there was none.
        now: The job's value now.
        wanted: What the change makes of it.
        whole: Whether the change is of the job as a whole, such as a rollback, and not of some places.
        rules: Those by which jobs are merged, which tell the counters.
    """
    if not changed_places(now, wanted):
        return []  # it is so already
    if whole or is_whole(base, wanted) or not isinstance(now, dict):
        return [_moved(place, base, now, wanted) for place in changed_places(base, now)]
    relied = [place for place in _relied(base, wanted) if not _holds(place, base, now, wanted, rules)]
    return [_moved(place, base, now, wanted) for place in dict.fromkeys(relied)]


def is_whole(base: Slot, wanted: Slot) -> bool:
    """Whether a change is always of a job as a whole: it makes the job, deletes it, or gives it another status."""
    there = isinstance(base, dict) and isinstance(wanted, dict)
    return not there or not same(get(base, ("status",)), get(wanted, ("status",)))


def unmet(base: Slot, merged: Slot, wanted: Slot) -> list[Conflict]:
    """Return the places at which a merge made something else of a change than it said."""
    following = _following(merged) & _following(wanted)
    return [
        Conflict(to_text(place), get(base, place), get(merged, place), get(wanted, place))
        for place in changed_places(base, wanted)
        if not same(get(merged, place), get(wanted, place)) and place not in following
    ]


def changed_places(before: Slot, after: Slot) -> list[Parts]:
    """Return the places in which two values differ, but for the volatile ones; lists are compared as a whole."""
    found = _differing((), before, after)
    return [place for place in found if not any(is_meant(pattern, place) for pattern in _VOLATILE)]


def _relied(base: Slot, wanted: Slot) -> Iterator[Parts]:
    """Yield the places that a change changes, and the run of each sheet that it changes.

    What follows from the sheets is left out: after a merge it follows from those that were merged.
    """
    following = _following(wanted)
    for place in changed_places(base, wanted):
        if place[0] == "sheets" and len(place) > 2:
            yield from ((*place[:2], name) for name in _RUN)
        if place not in following:
            yield place


def _following(value: Slot) -> set[Parts]:
    """Return the places of a job at which stands what follows from its sheets; none if it has no records of them."""
    if not isinstance(value, dict) or not sheets_of(value):
        return set()
    return {place for kind, place in _FOLLOWING.items() if kind not in contradictions(value)}


def _holds(place: Parts, base: Slot, now: Slot, wanted: Slot, rules: Rules) -> bool:
    """Whether a place is as the change found it, or as the change makes it. A counter is not made so twice."""
    found = get(now, place)
    return same(found, get(base, place)) or (same(found, get(wanted, place)) and not _is_counter(place, rules))


def _is_counter(place: Parts, rules: Rules) -> bool:
    for part in place:
        rules = rules.entry(part)
    return rules.rule is add_deltas


def _moved(place: Parts, base: Slot, now: Slot, wanted: Slot) -> Conflict:
    return Conflict(to_text(place), get(base, place), get(now, place), get(wanted, place))


def _differing(place: Parts, before: Slot, after: Slot) -> Iterator[Parts]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            was: Any = before.get(key, ABSENT)
            yield from _differing((*place, key), was, after.get(key, ABSENT))
    elif not same(before, after):
        yield place
