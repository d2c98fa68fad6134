"""The difference of two values: a list of changes that leads from one to the other, exact by types and bits.

Changes are applied one after the other, as the operations of a JSON Patch (RFC 6902) are: in a list, one without a
``before`` makes room at its index, and one without an ``after`` closes the gap. So a new item at the front of a list is
one change. Items of a list are matched by what they are: records by the field that identifies them, others by
themselves.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gitstate.errors import InvalidInputError
from gitstate.values.canonical import Value, dumps, equal
from gitstate.values.merge import same
from gitstate.values.pointer import Parts, get, index, is_meant, parse, to_text
from gitstate.values.shape import ABSENT, Slot

__all__ = ["Change", "Identities", "apply", "diff", "invert"]

Identities: TypeAlias = Mapping[str, str]
"""Which field identifies the records of a list, by the list's pointer; ``*`` in a segment stands for any text."""


@dataclass(frozen=True)
class Change:
    """One place where two values differ, and what stands there in each; ABSENT: nothing."""

    parts: Parts
    before: Slot
    after: Slot

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer."""
        return to_text(self.parts)


def diff(before: Slot, after: Slot, identities: Identities | None = None) -> tuple[Change, ...]:
    """Return the changes that lead from one value to another; none if they are equal.

    They share their parts with the two values, which are not to be changed in place.

    Args:
        before: A value, or ABSENT.
        after: A value, or ABSENT.
        identities: The lists whose items are records with an identity of their own. Such a record is changed where it
            stands; of other items, those that differ are replaced.
    """
    fields = [(parse(pattern), field) for pattern, field in (identities or {}).items()]
    return tuple(_Differ(fields).changes((), before, after))


def invert(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes that lead back."""
    return tuple(Change(change.parts, change.after, change.before) for change in reversed(list(changes)))


def apply(changes: Iterable[Change], value: Slot) -> Slot:
    """Return the value that changes lead to; the one that is given stays as it is.

    Raises:
        InvalidInputError: A change does not fit: what it says was there before is not.
    """
    result = _copied(value)
    for change in changes:
        if not change.parts:
            result = _replaced(change, result)
            continue
        *above, last = change.parts
        holder = get(result, tuple(above))
        if isinstance(holder, dict):
            slot = _replaced(change, holder.get(last, ABSENT))
            if slot is ABSENT:
                holder.pop(last, None)
            else:
                holder[last] = slot
        elif isinstance(holder, list):
            _apply_to_item(change, holder)
        else:
            raise _misfit(change, "nothing there holds it")
    return result


def _apply_to_item(change: Change, items: list[Value]) -> None:
    at = index(change.parts[-1])
    if at is None or at > len(items):
        raise _misfit(change, f"the list has {len(items)} items")
    if change.before is ABSENT:
        slot = _replaced(change, ABSENT)
        items[at:at] = [] if slot is ABSENT else [slot]
    else:
        slot = _replaced(change, items[at] if at < len(items) else ABSENT)
        items[at : at + 1] = [] if slot is ABSENT else [slot]


def _replaced(change: Change, found: Slot) -> Slot:
    if not same(found, change.before):
        raise _misfit(change, f"there is {_told(found)}, and not {_told(change.before)}")
    return _copied(change.after)


def _misfit(change: Change, reason: str) -> InvalidInputError:
    where = ascii(change.pointer)[1:-1] or "the top"
    return InvalidInputError(
        f"the change at {where} does not fit the value: {reason}", hint="apply changes to the value that they begin at"
    )


def _told(slot: Slot) -> str:
    text = "nothing" if slot is ABSENT else ascii(slot)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _copied(slot: Slot) -> Slot:
    if isinstance(slot, dict):
        return {key: _copied(item) for key, item in slot.items()}  # type: ignore[misc]  # no item is ABSENT
    if isinstance(slot, list):
        return [_copied(item) for item in slot]  # type: ignore[misc]  # as above
    return slot


class _Differ:
    """Finds changes; knows in which field the records of which lists have their identity."""

    def __init__(self, fields: list[tuple[Parts, str]]) -> None:
        self._fields = fields

    def changes(self, parts: Parts, before: Slot, after: Slot) -> Iterator[Change]:
        if isinstance(before, dict) and isinstance(after, dict):
            for key in dict.fromkeys((*before, *after)):
                was, now = before.get(key, ABSENT), after.get(key, ABSENT)
                if was is not now:  # most entries of values that share their parts
                    yield from self.changes((*parts, key), was, now)
        elif isinstance(before, list) and isinstance(after, list):
            if not equal(before, after):
                yield from self._items(parts, before, after)
        elif not same(before, after):
            yield Change(parts, before, after)

    def _items(self, parts: Parts, before: list[Value], after: list[Value]) -> Iterator[Change]:
        """Take away what is gone, from the end; put in what is new, from the front; then change what stayed."""
        field = self._field(parts)
        pairs = _paired(_keys(before, field), _keys(after, field))
        pairs = [*pairs, *_in_place(pairs, before, after, field)]
        kept_before, kept_after = {was for was, _ in pairs}, {now for _, now in pairs}
        for at in reversed(range(len(before))):
            if at not in kept_before:
                yield Change((*parts, str(at)), before[at], ABSENT)
        for at, item in enumerate(after):
            if at not in kept_after:
                yield Change((*parts, str(at)), ABSENT, item)
        for was, now in sorted(pairs):
            yield from self.changes((*parts, str(now)), before[was], after[now])

    def _field(self, parts: Parts) -> str | None:
        for pattern, field in self._fields:
            if is_meant(pattern, parts):
                return field
        return None


def _identity(item: Value, field: str | None) -> Value:
    return item.get(field) if isinstance(item, dict) and field is not None else None


def _keys(items: list[Value], field: str | None) -> list[bytes]:
    named = [_identity(item, field) for item in items]
    # No JSON text begins with "=".
    return [dumps(item) if name is None else b"=" + dumps(name) for item, name in zip(items, named, strict=True)]


def _paired(before: list[bytes], after: list[bytes]) -> list[tuple[int, int]]:
    """Pair the items with equal keys: those at both ends, and in between as many as can be without crossing."""
    shorter = min(len(before), len(after))
    front = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    shorter -= front
    back = next((at for at in range(shorter) if before[-1 - at] != after[-1 - at]), shorter)
    old, new = _numbered(before[front : len(before) - back]), _numbered(after[front : len(after) - back])
    return [
        *((at, at) for at in range(front)),
        *((front + was, front + now) for was, now in _longest(old, new)),
        *((len(before) - at, len(after) - at) for at in range(back, 0, -1)),
    ]


def _numbered(keys: list[bytes]) -> list[tuple[bytes, int]]:
    """Number equal keys, so that none is there twice."""
    seen: Counter[bytes] = Counter()
    numbered = []
    for key in keys:
        numbered.append((key, seen[key]))
        seen[key] += 1
    return numbered


def _longest(before: list[tuple[bytes, int]], after: list[tuple[bytes, int]]) -> list[tuple[int, int]]:
    """Return the longest rising sequence of pairs, by patience sorting: n log n, however long the lists are."""
    places = {key: at for at, key in enumerate(after)}
    tops: list[int] = []  # for each length the lowest place in `after` at which a sequence of it ends
    ends: list[int] = []  # and the number of the pair that ends it there
    pairs: list[tuple[int, int, int]] = []  # the third is the number of the pair before it
    for was, key in enumerate(before):
        if (now := places.get(key)) is not None:
            length = bisect_left(tops, now)
            tops[length : length + 1] = [now]
            ends[length : length + 1] = [len(pairs)]
            pairs.append((was, now, ends[length - 1] if length else -1))
    chosen = []
    number = ends[-1] if ends else -1
    while number >= 0:
        was, now, number = pairs[number]
        chosen.append((was, now))
    return chosen[::-1]


def _in_place(
    pairs: list[tuple[int, int]], before: list[Value], after: list[Value], field: str | None
) -> Iterator[tuple[int, int]]:
    """Pair the items between those that are paired, where as many went as came: they were changed where they stand."""
    last = (-1, -1)
    for was, now in (*pairs, (len(before), len(after))):
        if was - last[0] == now - last[1]:
            for step in range(1, was - last[0]):
                pair = last[0] + step, last[1] + step
                if _identity(before[pair[0]], field) is None and _identity(after[pair[1]], field) is None:
                    yield pair
        last = was, now
