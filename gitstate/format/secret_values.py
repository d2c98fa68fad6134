"""Credentials in values: each text in them is read as a line of one text, behind the key under which it stands.

So what is told by its name, as a password is, is found as it would be in the file; and a key block of which each line
is an item of a list is found whole.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from gitstate.format.secret_spans import Span, decoded, encoded, replaced
from gitstate.values.canonical import Value

__all__ = ["Changes", "Line", "Page", "rewritten"]

_SHORTEST_KEY = 9  # characters of a key that is looked at for itself: no credential is shorter

Changes: TypeAlias = Mapping[tuple[tuple[str, ...], bool], str]
"""New texts, by the place of the old one, and whether it was the last key of the place or what stands there."""


class Line(NamedTuple):
    """A text in a value: where it stands, and whether it is the last key of this place, or what stands there."""

    place: tuple[str, ...]
    is_key: bool
    text: str


class Page:
    """The texts of a value as lines of one text: ``data``. Each ends at one of ``ends``."""

    def __init__(self, value: Value, keep: Container[str]) -> None:
        self.lines = list(_lines(value, keep))
        self._starts: list[int] = []
        self.ends: list[int] = []
        parts: list[bytes] = []
        place = 0
        for line in self.lines:
            part = encoded(line.text)
            self._starts.append(place)
            place += len(part)
            parts.append(part)
            self.ends.append(place)
            separator = b": " if line.is_key else b"\n"
            parts.append(separator)
            place += len(separator)
        self.data = b"".join(parts)

    def touched(self, start: int, end: int) -> list[int]:
        """Return the numbers of the lines in which something lies."""
        return list(range(bisect_right(self.ends, start), bisect_left(self._starts, end)))

    def redacted(self, spans: Iterable[Span]) -> Iterator[tuple[int, str]]:
        """Yield the number and the new text of each line in which something is replaced."""
        by_line: dict[int, list[Span]] = {}
        for start, end, kind in spans:
            for number in self.touched(start, end):
                first, last = self._starts[number], self.ends[number]
                by_line.setdefault(number, []).append((max(start, first) - first, min(end, last) - first, kind))
        for number, inner in by_line.items():
            part = self.data[self._starts[number] : self.ends[number]]
            yield number, decoded(replaced(part, inner))


def _lines(item: Value, keep: Container[str] = (), place: tuple[str, ...] = ()) -> Iterator[Line]:
    """Yield the texts of a value; fields of ``keep`` at its top are left out. A key comes before what stands there.

    The order does not depend on that of the keys. Of an object, its own texts come before those of what it holds.
    """
    nested: list[tuple[str, Value]] = []
    if isinstance(item, dict):
        for key in sorted(item):
            entry = item[key]
            if key in keep:
                continue
            if isinstance(entry, str):
                spot = (*place, key)
                yield Line(spot, True, key)
                yield Line(spot, False, entry)
                continue
            if len(key) >= _SHORTEST_KEY:
                yield Line((*place, key), True, key)
            if entry and isinstance(entry, (dict, list)):
                nested.append((key, entry))
    elif isinstance(item, list):
        for number, entry in enumerate(item):
            if isinstance(entry, str):
                yield Line((*place, str(number)), False, entry)
            elif entry and isinstance(entry, (dict, list)):
                nested.append((str(number), entry))
    elif isinstance(item, str):
        yield Line(place, False, item)
    for key, entry in nested:
        yield from _lines(entry, (), (*place, key))


def rewritten(value: Value, changes: Changes) -> Value:
    """Return a value with other texts in some places. What lies in no such place is the same object.

    Where two keys become the same, the later one, by what it was, gets a number.
    """
    within = {place[:depth] for place, _ in changes for depth in range(len(place) + 1)}
    return _rewritten(value, (), changes, within)


def _rewritten(item: Value, place: tuple[str, ...], changes: Changes, within: Container[tuple[str, ...]]) -> Value:
    if place not in within:
        return item
    if isinstance(item, list):
        return [_rewritten(entry, (*place, str(number)), changes, within) for number, entry in enumerate(item)]
    if isinstance(item, dict):
        names = _renamed(item, place, changes)
        return {names[key]: _rewritten(entry, (*place, key), changes, within) for key, entry in item.items()}
    return changes.get((place, False), item)


def _renamed(item: dict[str, Value], place: tuple[str, ...], changes: Changes) -> dict[str, str]:
    """Return the new names of an object's keys."""
    names = {key: key for key in item if ((*place, key), True) not in changes}
    taken = set(names)
    for key in sorted(item.keys() - names.keys()):
        name = wanted = changes[(*place, key), True]
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted} ({number})"
        taken.add(name)
        names[key] = name
    return names
