"""Rules from which merge tables are built, beside ``add_deltas`` of :mod:`gitstate.values.merge`.

All are symmetric: swapping the sides gives the same value.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from gitstate import clock
from gitstate.values.canonical import Value, dumps
from gitstate.values.merge import ABSENT, NO_RULES, Merge, Place, Rule, Side, Slot

__all__ = ["earlier", "follow", "free", "higher", "instant", "later", "members", "newer", "number", "unite"]

Chooser: TypeAlias = Callable[[Place], Side]
"""Says which side of an object wins."""


def instant(value: Slot) -> datetime | None:
    """Return the moment that an ISO 8601 text names, or None. A text without an offset is UTC."""
    if not isinstance(value, str):
        return None
    try:
        return clock.aware(datetime.fromisoformat(value))
    except ValueError:
        return None


def number(value: Slot) -> int | float | None:
    """Return a number, or None. A bool is none."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def later(place: Place) -> Merge | None:
    """Take the later of two times."""
    return _outermost(place, instant, max)


def earlier(place: Place) -> Merge | None:
    """Take the earlier of two times."""
    return _outermost(place, instant, min)


def higher(place: Place) -> Merge | None:
    """Take the higher of two numbers that both grew. No opinion if a side went back: that was on purpose."""
    base = number(place.base)
    sides = [number(place.ours), number(place.theirs)]
    if base is not None and any(side is not None and side < base for side in sides):
        return None
    return _outermost(place, number, max)


def follow(chooser: Chooser) -> Rule:
    """Return the rule that takes a field from the side that wins the object around it."""

    def rule(place: Place) -> Merge | None:
        return None if place.around is None else Merge(place.side(chooser(place.around)))

    return rule


def newer(time_field: str) -> Chooser:
    """Return the choice of the side whose object has the later time in a field; a tie goes to the larger bytes."""

    def chooser(place: Place) -> Side:
        ours, theirs = _moment(place.ours, time_field), _moment(place.theirs, time_field)
        if ours != theirs:
            return "ours" if theirs is None or (ours is not None and ours > theirs) else "theirs"
        return "ours" if _bytes(place.ours) > _bytes(place.theirs) else "theirs"

    return chooser


def free(place: Place) -> Merge:
    """Merge key by key, without the preference of the object around it: a real conflict here is reported."""
    return place.preferring(None).keywise()


def unite(id_field: str = "id") -> Rule:
    """Return the rule that unites lists of records.

    A record is known by its ``id_field``, else it is itself its identity. What one side removed is gone, what a side
    changed is merged, what they added follows. No opinion if a list holds a record twice.
    """

    def rule(place: Place) -> Merge | None:
        base = [] if place.base is ABSENT or place.base is None else place.base
        records = [_records(side, id_field) for side in (base, place.ours, place.theirs)]
        known = [side for side in records if side is not None]
        return _united(place, *known) if len(known) == len(records) else None

    return rule


def members(place: Place) -> Merge | None:
    """Unite two sets, which are lists without order: what a side removed is gone, what either added is there."""
    merge = unite()(place)
    if merge is None or not isinstance(merge.value, list):
        return merge
    return Merge(sorted(merge.value, key=dumps), merge.conflicts)


_Records: TypeAlias = dict[bytes, Value]  # by identity


def _records(value: Slot, id_field: str) -> _Records | None:
    if not isinstance(value, list):
        return None
    found = {}
    for item in value:
        named = isinstance(item, dict) and item.get(id_field) is not None
        found[dumps({id_field: item[id_field]}) if named else dumps(item)] = item  # type: ignore[call-overload,index]  # named: an object
    return found if len(found) == len(value) else None


def _united(place: Place, base: _Records, ours: _Records, theirs: _Records) -> Merge:
    united: list[Value] = []
    clean = True
    # The base's records stay where they were; what is new comes in blocks, ordered by content and not by side.
    first, second = sorted([key for key in side if key not in base] for side in (ours, theirs))
    for key in dict.fromkeys((*base, *first, *second)):
        b, o, t = (side.get(key, ABSENT) for side in (base, ours, theirs))
        merge = replace(place, base=b, ours=o, theirs=t, rules=NO_RULES, around=None).merge()
        if merge.value is not ABSENT:
            united.append(merge.value)
        clean = clean and not merge.conflicts
    # A record has no pointer that means the same on all sides, so the list is what conflicts.
    return Merge(united, () if clean else place.undecided().conflicts)


def _outermost(place: Place, measure: Callable[[Slot], Any], choose: Callable[..., Any]) -> Merge | None:
    """Take the highest or lowest side; what is not there, or None, loses to what is."""
    present = [slot for slot in (place.ours, place.theirs) if slot is not ABSENT and slot is not None]
    measured = [(measure(slot), dumps(slot), slot) for slot in present]
    if not measured or any(key is None for key, _, _ in measured):
        return None
    return Merge(choose(measured, key=lambda each: each[:2])[2])


def _moment(value: Slot, time_field: str) -> datetime | None:
    return instant(value.get(time_field)) if isinstance(value, dict) else None


def _bytes(value: Slot) -> bytes:
    return b"" if value is ABSENT else dumps(value)
