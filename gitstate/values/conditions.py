"""Conditions: what an expression asks of a value, in a form that is tested.

:mod:`gitstate.values.expression` reads them from text, and says what they mean. An operand has slots, the values that a
comparison tries; a condition has a test. Neither raises, whatever the value.
"""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from gitstate.values.pointer import Parts, fits, get
from gitstate.values.shape import ABSENT, Slot, Value

__all__ = ["COMPARISONS", "Comparison", "Condition", "Count", "Joined", "Literal", "Not", "Operand", "Place"]


@dataclass(frozen=True)
class Literal:
    """A value that the expression says."""

    value: Value

    def slots(self, _: Value) -> list[Value]:
        """Return the literal."""
        return [self.value]


@dataclass(frozen=True)
class Place:
    """What stands at a place of the value, or at all places that a pattern means; null for what is not there."""

    parts: Parts

    def slots(self, value: Value) -> list[Value]:
        """Return what stands there: of a place without ``*`` always one, of a pattern as many as there are."""
        return [None if slot is ABSENT else slot for slot in _found(value, self.parts)]

    def test(self, value: Value) -> bool:
        """Tell whether something stands there that is not null, false, 0 or empty."""
        return any(self.slots(value))


@dataclass(frozen=True)
class Count:
    """How many entries a place has, or how many places a pattern finds that hold something, not null."""

    parts: Parts

    def slots(self, value: Value) -> list[Value]:
        """Return the number."""
        there = [slot for slot in _found(value, self.parts) if slot is not ABSENT and slot is not None]
        if there and isinstance(there[0], (list, dict)) and not any("*" in part for part in self.parts):
            return [len(there[0])]
        return [len(there)]

    def test(self, value: Value) -> bool:
        """Tell whether there are any."""
        return any(self.slots(value))


@dataclass(frozen=True)
class Comparison:
    """That some value of the left operand compares so with some value of the right one."""

    left: "Operand"
    compare: Callable[[Value, Value], bool]
    right: "Operand"

    def test(self, value: Value) -> bool:
        """Tell whether there are two such values."""
        rights = self.right.slots(value)
        return any(self.compare(left, right) for left in self.left.slots(value) for right in rights)


@dataclass(frozen=True)
class Not:
    """That a condition fails."""

    condition: "Condition"

    def test(self, value: Value) -> bool:
        """Tell whether it does."""
        return not self.condition.test(value)


@dataclass(frozen=True)
class Joined:
    """That any of the conditions holds, or all of them: ``join`` is the function ``any`` or ``all``."""

    join: Callable[[Iterable[bool]], bool]
    conditions: "tuple[Condition, ...]"

    def test(self, value: Value) -> bool:
        """Tell whether so many do."""
        return self.join(condition.test(value) for condition in self.conditions)


Operand: TypeAlias = Literal | Place | Count
Condition: TypeAlias = Place | Count | Comparison | Not | Joined


def _found(value: Value, parts: Parts) -> list[Slot]:
    slots: list[Slot] = [value]
    for part in parts:
        if "*" in part:
            slots = [item for slot in slots for key, item in _entries(slot) if fits(part, key)]
        else:
            slots = [get(slot, (part,)) for slot in slots]
    return slots


def _entries(slot: Slot) -> Iterable[tuple[str, Value]]:
    if isinstance(slot, dict):
        return slot.items()
    return ((str(at), item) for at, item in enumerate(slot)) if isinstance(slot, list) else ()


def _same(left: Value, right: Value) -> bool:
    pending = [(left, right)]
    while pending:  # a loop, so that no depth of the values exhausts the stack
        a, b = pending.pop()
        if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            pending.extend(zip(a, b, strict=True))
        elif isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            pending.extend((item, b[key]) for key, item in a.items())
        elif isinstance(a, (list, dict)) or isinstance(a, bool) is not isinstance(b, bool) or a != b:
            return False
    return True


def _contains(holder: Value, item: Value) -> bool:
    if isinstance(holder, list):
        return any(_same(each, item) for each in holder)
    if isinstance(holder, dict) and type(item) is int and abs(item) < 10**18:  # Python does not write any length
        item = str(item)
    return isinstance(holder, (str, dict)) and isinstance(item, str) and item in holder


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    return lambda left, right: _have_order(left, right) and compare(left, right)


def _have_order(left: Value, right: Value) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in ((int, float), str))


COMPARISONS: dict[str, Callable[[Value, Value], bool]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "contains": _contains,
}
"""What the signs of an expression mean, for a value on the left and one on the right."""
