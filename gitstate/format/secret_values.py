"""Credentials in values: each text in them is read as a line of one text, behind the key under which it stands.

So what is told by its name, as a password is, is found as it would be in the file; and a key block of which each line
is an item of a list is found whole.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import accumulate, zip_longest
from typing import NamedTuple, TypeAlias

from gitstate.format.secret_spans import Span, decoded, encoded, replaced
from gitstate.values.canonical import Value

__all__ = ["CUT_AT_LEAST", "Changes", "Line", "Page", "rewritten"]

_SHORTEST_KEY = 9  # characters of a key that is looked at for itself: no credential is shorter
_BEHIND_KEY = ": "  # before the text that it names
_BEHIND_LINE = "\n"

CUT_AT_LEAST = 40
"""Characters of a text that may have been cut off."""

Changes: TypeAlias = Mapping[tuple[tuple[str, ...], bool], str]
"""New texts, by the place of the old one, and whether it was the last key of the place or what stands there."""


class Line(NamedTuple):
    """A text in a value: where it stands, and whether it is the last key of this place, or what stands there."""

    place: tuple[str, ...]
    is_key: bool
    text: str


class Page:
    """The texts of a value as lines of one.

    Args:
        value: The value.
        keep: The fields at its top that are left out.
        names: Whether the names of the others are looked at for themselves, and not only for what their texts are.
    """

    def __init__(self, value: Value, keep: Container[str], *, names: bool) -> None:
        self._value, self._keep, self._names = value, keep, names
        self._parts: list[str] = []
        self._long: list[tuple[int, int]] = []  # the number of a part, and how many of its characters may have been cut
        _gather(value, self._parts, self._long, keep, names=names)
        self.data = encoded("".join(self._parts))

    @cached_property
    def ends(self) -> list[int]:
        """Where in the data the texts end that may have been cut."""
        if not self._long:
            return []
        starts = [0, *accumulate(map(_size, self._parts))]
        return [starts[number] + _size(self._parts[number][:length]) for number, length in self._long]

    @cached_property
    def lines(self) -> list[Line]:
        """The texts, each with its place."""
        return list(_lines(self._value, self._keep, names=self._names))

    @cached_property
    def _bounds(self) -> tuple[list[int], list[int]]:
        """Where the lines begin, and where they end."""
        starts, ends = [0], list[int]()
        for line, after in zip_longest(self.lines, self.lines[1:]):
            ends.append(starts[-1] + len(encoded(line.text)))
            is_before_its_text = after is not None and after.place == line.place
            starts.append(ends[-1] + len(_BEHIND_KEY if is_before_its_text else _BEHIND_LINE))
        return starts[:-1], ends

    def touched(self, start: int, end: int) -> list[int]:
        """Return the numbers of the lines in which something lies."""
        starts, ends = self._bounds
        return list(range(bisect_right(ends, start), bisect_left(starts, end)))

    def redacted(self, spans: Iterable[Span]) -> Iterator[tuple[Line, str]]:
        """Yield each line in which something is replaced, and its new text."""
        by_line: dict[int, list[Span]] = {}
        for start, end, kind in spans:
            for number in self.touched(start, end):
                first, last = (bounds[number] for bounds in self._bounds)
                by_line.setdefault(number, []).append((max(start, first) - first, min(end, last) - first, kind))
        for number, inner in by_line.items():
            first, last = (bounds[number] for bounds in self._bounds)
            yield self.lines[number], decoded(replaced(self.data[first:last], inner))


def _size(text: str) -> int:
    """Return how many bytes a text takes."""
    return len(text) if text.isascii() else len(encoded(text))


def _gather(
    item: Value, parts: list[str], long: list[tuple[int, int]], keep: Container[str] = (), *, names: bool = True
) -> None:
    """Add the texts that :func:`_lines` yields, each with what stands behind it; a text is one part with its key."""
    nested: list[Value] = []
    if isinstance(item, dict):
        for key in sorted(item):
            entry = item[key]
            if key in keep:
                continue
            if isinstance(entry, str):
                line = f"{key}{_BEHIND_KEY}{entry}{_BEHIND_LINE}"
                if len(key) >= CUT_AT_LEAST:
                    long.append((len(parts), len(key)))
                if len(entry) >= CUT_AT_LEAST:
                    long.append((len(parts), len(line) - len(_BEHIND_LINE)))
                parts.append(line)
                continue
            if names and len(key) >= _SHORTEST_KEY:
                _add(key, parts, long)
            if entry and isinstance(entry, (dict, list)):
                nested.append(entry)
    elif isinstance(item, list):
        for entry in item:
            if isinstance(entry, str):
                _add(entry, parts, long)
            elif entry and isinstance(entry, (dict, list)):
                nested.append(entry)
    elif isinstance(item, str):
        _add(item, parts, long)
    for entry in nested:
        _gather(entry, parts, long)


def _add(text: str, parts: list[str], long: list[tuple[int, int]]) -> None:
    if len(text) >= CUT_AT_LEAST:
        long.append((len(parts), len(text)))
    parts.append(text + _BEHIND_LINE)


def _lines(
    item: Value, keep: Container[str] = (), place: tuple[str, ...] = (), *, names: bool = True
) -> Iterator[Line]:
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
            if names and len(key) >= _SHORTEST_KEY:
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
    taken, numbers = set(names), Counter[str]()
    for key in sorted(item.keys() - names.keys()):
        name = wanted = changes[(*place, key), True]
        while name in taken:
            numbers[wanted] += 1
            name = f"{wanted} ({numbers[wanted] + 1})"
        taken.add(name)
        names[key] = name
    return names
