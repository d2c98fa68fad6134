"""Credentials in values: each text in them is read as a line of one text, behind the key under which it stands.

So what is told by its name, as a password is, is found as it would be in the file; and a key block of which each line
is an item of a list is found whole.
"""

import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

from gitstate.format.secret_formats import TAIL, cut_token
from gitstate.format.secret_places import may_stand_somewhere, places
from gitstate.format.secret_spans import Span, decoded, encoded, replaced
from gitstate.format.secret_tokens import tokens
from gitstate.values.canonical import Value

__all__ = ["CUT_AT_LEAST", "Changes", "Line", "Page", "may_hold_credential", "rewritten"]

_SHORTEST_KEY = 9  # characters of a key that is looked at for itself: no credential is shorter
_BEHIND_KEY = ": "  # before the text that it names
_BEHIND_LINE = "\n"
_ANYWHERE = range(sys.maxsize)

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
    """The texts of a value as lines of one; the fields of ``keep`` at its top are left out."""

    def __init__(self, value: Value, keep: Container[str]) -> None:
        self.lines = list(_lines(value, keep))
        self._starts: list[int] = []
        self._ends: list[int] = []
        parts: list[bytes] = []
        at = 0
        for line, after in zip_longest(self.lines, self.lines[1:]):
            text = encoded(line.text)
            is_before_its_text = after is not None and after.place == line.place
            behind = encoded(_BEHIND_KEY if is_before_its_text else _BEHIND_LINE)
            self._starts.append(at)
            self._ends.append(at + len(text))
            parts += (text, behind)
            at += len(text) + len(behind)
        self.data = b"".join(parts)

    @property
    def ends(self) -> list[int]:
        """Where in the data the texts end that may have been cut."""
        return [end for line, end in zip(self.lines, self._ends, strict=True) if len(line.text) >= CUT_AT_LEAST]

    def touched(self, start: int, end: int) -> list[int]:
        """Return the numbers of the lines in which something lies."""
        return list(range(bisect_right(self._ends, start), bisect_left(self._starts, end)))

    def redacted(self, spans: Iterable[Span]) -> Iterator[tuple[Line, str]]:
        """Yield each line in which something is replaced, and its new text."""
        by_line: dict[int, list[Span]] = {}
        for start, end, kind in spans:
            for number in self.touched(start, end):
                first, last = self._starts[number], self._ends[number]
                by_line.setdefault(number, []).append((max(start, first) - first, min(end, last) - first, kind))
        for number, inner in by_line.items():
            text = self.data[self._starts[number] : self._ends[number]]
            yield self.lines[number], decoded(replaced(text, inner))


def may_hold_credential(value: Value, beside: Sequence[bytes] = (), *, names: bool = True) -> bool:
    """Whether a value, or a text beside it, may hold a credential. Most hold none, and to see that takes half of what a
    page takes; to look at several things at once takes little longer than to look at the longest.

    Args:
        value: The value.
        beside: The texts.
        names: Whether the names of what is at the top of the value are looked at for themselves.
    """
    lines: list[str] = []
    _add(value, lines, names=names)
    data = b"\n".join([encoded("".join(lines)), *beside])
    if tokens(data, _ANYWHERE):
        return True
    if may_stand_somewhere(data) and (b"PRIVATE KEY" in data or b"Private-Lines" in data or any(places(data))):
        return True  # of a key each line may be a text of its own, and then their order counts
    ends = [encoded(line[-TAIL - 1 : -1]) for line in lines if len(line) > CUT_AT_LEAST]
    return any(cut_token(text, len(text)) for text in [*ends, *beside])


def _add(item: Value, lines: list[str], *, names: bool = True) -> None:
    """Add the texts of a value, in any order, each as a line behind its key. Keys that name none are lines, too."""
    nested: Iterable[Value] = ()
    if isinstance(item, dict):
        lines += [f"{key}{_BEHIND_KEY}{entry}{_BEHIND_LINE}" for key, entry in item.items() if isinstance(entry, str)]
        if names or len(max(item, key=len, default="")) >= CUT_AT_LEAST:
            lines += [key + _BEHIND_LINE for key in item if len(key) >= _SHORTEST_KEY]
        nested = item.values()
    elif isinstance(item, list):
        lines += [entry + _BEHIND_LINE for entry in item if isinstance(entry, str)]
        nested = item
    elif isinstance(item, str):
        lines.append(item + _BEHIND_LINE)
    for entry in nested:
        if entry and isinstance(entry, (dict, list)):
            _add(entry, lines)


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
    taken, numbers = set(names), Counter[str]()
    for key in sorted(item.keys() - names.keys()):
        name = wanted = changes[(*place, key), True]
        while name in taken:
            numbers[wanted] += 1
            name = f"{wanted} ({numbers[wanted] + 1})"
        taken.add(name)
        names[key] = name
    return names
