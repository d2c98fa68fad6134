"""One file of a job, merged by field: what git asks of a merge driver.

Git merges file by file. So a rule sees of a job what this file holds, and nothing of its other files: that a job is
complete when its last sheets were done on two sides, nobody can say here.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gitstate.backends.rules import JOB_RULES
from gitstate.errors import CorruptionError
from gitstate.format import names
from gitstate.format.layout import Layout
from gitstate.format.version import MAX_FANOUT
from gitstate.values import canonical, pointer
from gitstate.values.canonical import Shape, Value
from gitstate.values.merge import ABSENT, Conflict, Merge, Slot, merge3
from gitstate.values.pointer import Parts
from gitstate.values.woven import woven

__all__ = ["ID_FIELD", "FileMerge", "inner_path", "merge_file"]

ID_FIELD = "job_id"
"""Where a job's file says which job it is of. A conflict there is one of two jobs."""

_TOP = "jobs"
_LAYOUT = Layout()
_HEX = "0123456789abcdef"


@dataclass(frozen=True)
class FileMerge:
    """What came of a merge of files. Where there are conflicts, the lines of these fields have git's markers around
    them, and the file is no JSON until somebody decided.
    """

    data: bytes
    conflicts: tuple[Conflict, ...] = ()


def merge_file(
    path: str,
    base: bytes,
    ours: bytes,
    theirs: bytes,
    *,
    labels: tuple[str, str] = ("ours", "theirs"),
    marker_size: int = 7,
) -> FileMerge | None:
    """Merge two changes of one file by the rules of jobs; None: it is no file of a job's state, or no JSON.

    Args:
        path: Where it lies in the store.
        base: What both sides began with; empty where each of them made the file.
        ours: One side.
        theirs: The other side.
        labels: What markers call the two sides.
        marker_size: How many characters a marker has.
    """
    inner = inner_path(path)
    place = None if inner is None else _LAYOUT.place_of(inner)
    if place is None:
        return None
    try:
        sides = [_wrapped(place, _read(data, place)) for data in (base, ours, theirs)]
    except CorruptionError:
        return None
    if ABSENT in sides[1:]:
        return None
    merge = merge3(sides[0], sides[1], sides[2], JOB_RULES)
    shape = woven([pointer.get(side, place) for side in sides[1:]], _shape(place))
    if two_jobs := _of_other_jobs(sides):
        whole = [_written(side, place, shape) for side in sides[1:]]
        return FileMerge(b"".join(_marked(whole[0], whole[1], labels, marker_size)), (two_jobs,))
    if not merge.conflicts:
        return FileMerge(_written(merge.value, place, shape))
    both = [_written(_decided(merge, side), place, shape) for side in ("ours", "theirs")]
    return FileMerge(b"".join(_marked(both[0], both[1], labels, marker_size)), merge.conflicts)


def inner_path(path: str) -> str | None:
    """Return the path of a file in its job's folder, with whatever fanout; None for one that is part of no value."""
    top, *segments = path.split("/")
    for count in range(1, min(len(segments), MAX_FANOUT + 2)):
        *fan, name = segments[:count]
        inner = "/".join(segments[count:])
        if (
            top == _TOP
            and _LAYOUT.owns(inner)
            and _is_job(name)
            and all(len(each) == 1 and each in _HEX for each in fan)
        ):
            return inner
    return None


def _is_job(name: str) -> bool:
    return names.decode(name) is not None or names.is_cut(name)


def _shape(place: Parts) -> Shape:
    """Return what our own model says of a place."""
    from gitstate.backends.models import CheckpointState  # pydantic takes a while, and not every file gets so far
    from gitstate.format.shapes import shape_of

    shape = shape_of(CheckpointState)
    for part in place:
        shape = shape.entry(part)
    return shape


def _read(data: bytes, place: Parts) -> Slot:
    if not data:
        return ABSENT
    value = canonical.loads(data)
    if not isinstance(value, dict):
        raise CorruptionError("it holds no object")
    return value if place else _LAYOUT.opened(value)


def _wrapped(place: Parts, value: Slot) -> Slot:
    """Return a whole job of which only one place is known, so that the rules for the place are found."""
    if value is not ABSENT:
        for part in reversed(place):
            value = {part: value}
    return value


def _of_other_jobs(sides: Sequence[Slot]) -> Conflict | None:
    """Return the conflict of jobs that are not one: git takes a fork for a job that was renamed, if that is gone."""
    place = (ID_FIELD,)
    base, ours, theirs = (pointer.get(side, place) for side in sides)
    if len({each for each in (base, ours, theirs) if isinstance(each, str)}) < 2:
        return None
    return Conflict(pointer.to_text(place), base, ours, theirs)


def _written(job: Slot, place: Parts, shape: Shape) -> bytes:
    value: Any = pointer.get(job, place)
    return canonical.dumps(value if place else _LAYOUT.closed(value), shape)


def _decided(merge: Merge, side: str) -> Slot:
    """Return what was merged, with all that conflicts as one side has it."""
    value = merge.value
    for conflict in merge.conflicts:
        value = _with(value, pointer.parse(conflict.pointer), conflict.ours if side == "ours" else conflict.theirs)
    return value


def _with(value: Slot, parts: Parts, item: Slot) -> Slot:
    """Return a value with something else at a place; nothing is changed in place."""
    if not parts:
        return item
    held: dict[str, Value] = dict(value) if isinstance(value, dict) else {}
    inner = _with(held.get(parts[0], ABSENT), parts[1:], item)
    if inner is ABSENT:
        held.pop(parts[0], None)
    else:
        held[parts[0]] = inner
    return held


def _marked(ours: bytes, theirs: bytes, labels: tuple[str, str], size: int) -> Iterator[bytes]:
    """Yield the lines of two texts, with markers around those that differ."""
    a, b = ours.splitlines(keepends=True), theirs.splitlines(keepends=True)
    begin, end = (
        f"{mark * size} {label}\n".encode(errors="backslashreplace") for mark, label in zip("<>", labels, strict=True)
    )
    for kind, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from a[a1:a2]
        else:
            yield from (begin, *a[a1:a2], b"=" * size + b"\n", *b[b1:b2], end)
