"""What three clones of a store must hold: each job as a few plain fields, merged as a child would merge them."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["COUNTER", "NAME", "TIME", "Fields", "Jobs", "disagreed", "fits"]

COUNTER = "counter"
NAME = "name"
TIME = "saved at"
Fields: TypeAlias = dict[str, Any]
"""A job: what each clone wrote last, by the clone's name, statuses of sheets, a counter and a name that all change, and
the time of its last save: to mark a sheet as it is marked is a save, too, which survives a deletion.
"""
Jobs: TypeAlias = dict[str, Fields]


@dataclass
class Clone:
    """What a clone holds, and what it and the remote agreed on last."""

    jobs: Jobs = field(default_factory=dict)
    agreed: Jobs = field(default_factory=dict)


def disagreed(base: Jobs, ours: Jobs, theirs: Jobs) -> set[str]:
    """Return the jobs in which both sides changed the same field, each in its way; a counter counts both, and the later
    time is that of both.
    """
    found = set()
    for job in ours.keys() & theirs.keys():
        was = base.get(job, {})
        names = ours[job].keys() | theirs[job].keys() | was.keys()
        sides = [(was.get(name), ours[job].get(name), theirs[job].get(name)) for name in names - {COUNTER, TIME}]
        if any(one != other and first not in (one, other) for first, one, other in sides):
            found.add(job)
    return found


def fits(base: Jobs, ours: Jobs, theirs: Jobs, found: Jobs, loose: set[str]) -> str:
    """Return what is wrong with a merge, "" if nothing: a field that one side changed is as it has it, one that both
    changed is as one of them has it, counters count both, and a change survives a deletion.

    A job in ``loose``, which went back to an older state, may be one side's as a whole, and so may a counter.
    """
    for job in base.keys() | ours.keys() | theirs.keys() | found.keys():
        was, one, other, now = (side.get(job) for side in (base, ours, theirs, found))
        if one == was or other == was:
            wanted = other if one == was else one
            if now != wanted:
                return f"{job}: only one side changed it, to {wanted}, and it is {now}"
        elif one is None or other is None:
            if now != (one or other):
                return f"{job}: it was deleted and changed, to {one or other}, and is {now}"
        elif now is None:
            return f"{job}: both changed it, and it is gone"
        elif job in loose and now in (one, other):
            continue
        elif wrong := _fields(was or {}, one, other, now, is_loose=job in loose):
            return f"{job}: {wrong}"
    return ""


def _fields(base: Fields, ours: Fields, theirs: Fields, found: Fields, *, is_loose: bool) -> str:
    for name in base.keys() | ours.keys() | theirs.keys() | found.keys():
        sides: list[Any] = [side.get(name) for side in (base, ours, theirs, found)]
        was, one, other, now = sides
        allowed = [other] if one == was else [one] if other == was else [one, other]
        if name == COUNTER:
            start = was or 0
            summed = max(start + (one - start) + (other - start), min(one, other))
            allowed = [*allowed, summed] if is_loose else [summed]
        elif name == TIME and not is_loose:
            allowed = [max(one, other)]
        if now not in allowed:
            return f"{name} was {was}, became {one} and {other}, and is {now}"
    return ""
