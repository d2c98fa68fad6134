"""The three-way merge of values: pure and total; what cannot be merged is reported as data.

At every place, from the top down: equal on both sides, that; unchanged on one side, the other; then the rule for the
place, if it has one and the rule has an opinion; then objects key by key; and only then is it a conflict. Lists are
atoms unless a rule unites them. A counter alone is not settled by being equal: in two changes that differ elsewhere,
one more here and one more there are two.

What merged stays merged; where there is a conflict the value has what the side that ``wins`` has there, ours as a rule,
or the change where that side removed the place. Nothing else depends on which side is called ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from gitstate.values.canonical import Value, equal
from gitstate.values.pointer import Parts, fits, parse, to_text
from gitstate.values.shape import ABSENT, Absent, Slot

__all__ = [
    "ABSENT",
    "NO_RULES",
    "Absent",
    "Conflict",
    "Merge",
    "Place",
    "Rule",
    "Rules",
    "Side",
    "Slot",
    "add_deltas",
    "merge3",
    "same",
]


Side: TypeAlias = Literal["ours", "theirs"]
"""One of the two values that are merged."""


@dataclass(frozen=True)
class Conflict:
    """A place that both sides changed and no rule can join."""

    pointer: str
    base: Slot
    ours: Slot
    theirs: Slot


@dataclass(frozen=True)
class Merge:
    """What came of a merge. ``value`` shares its parts with the three sides: none of them is to be changed in place."""

    value: Slot
    conflicts: tuple[Conflict, ...] = ()


def merge3(
    base: Slot,
    ours: Slot,
    theirs: Slot,
    rules: "Rules | None" = None,
    *,
    wins: Side = "ours",
    removes: bool = False,
) -> Merge:
    """Merge two changes of one base. ABSENT on a side says that the whole value is not there.

    Args:
        base: What both began with.
        ours: One change.
        theirs: The other.
        rules: What to do where both changed something.
        wins: The side that the value has at each place that is in conflict.
        removes: Whether it wins also where it removed what the other side changed.
    """
    return Place(base, ours, theirs, rules or NO_RULES, wins=wins, removes=removes).merge()


@dataclass(frozen=True)
class Place:
    """One place of a merge with what stands there on the three sides; what a rule is given.

    ``around`` is the object that holds the place. ``prefer`` is the side that is right where nothing else decides, so
    that nothing is in conflict; ``wins`` and ``removes`` say what the value has where something is.
    """

    base: Slot
    ours: Slot
    theirs: Slot
    rules: "Rules"
    parts: Parts = ()
    around: "Place | None" = None
    prefer: Side | None = None
    wins: Side = "ours"
    removes: bool = False

    def side(self, side: Side) -> Slot:
        """Return what stands there on one side."""
        return self.ours if side == "ours" else self.theirs

    def merge(self) -> Merge:
        """Merge the place by the order of the module's docstring."""
        if same(self.base, self.theirs):
            return Merge(self.ours)
        if same(self.base, self.ours):
            return Merge(self.theirs)
        if same(self.ours, self.theirs) and self.rules.rule is not add_deltas:
            return Merge(self.ours)
        ruled = self.rules.rule(self) if self.rules.rule is not None else None
        return self.keywise() if ruled is None else ruled

    def keywise(self) -> Merge:
        """Merge two objects key by key; what is no object on both sides is undecided."""
        if not isinstance(self.ours, dict) or not isinstance(self.theirs, dict):
            return self.undecided()
        value: dict[str, Value] = {}
        conflicts: list[Conflict] = []
        base = self.base if isinstance(self.base, dict) else {}
        for key in dict.fromkeys((*base, *self.ours, *self.theirs)):
            merge = self.entry(key).merge()
            if merge.value is not ABSENT:
                value[key] = merge.value
            conflicts += merge.conflicts
        return Merge(value, tuple(conflicts))

    def undecided(self) -> Merge:
        """Take the preferred side if there is one, else report a conflict."""
        if self.prefer is not None:
            return Merge(self.side(self.prefer))
        conflict = Conflict(to_text(self.parts), self.base, self.ours, self.theirs)
        kept = self.side(self.wins)
        if kept is ABSENT and not self.removes:
            kept = self.side("theirs" if self.wins == "ours" else "ours")
        return Merge(kept, (conflict,))

    def entry(self, key: str) -> "Place":
        """Return the place of one key of this object."""
        return Place(
            _get(self.base, key),
            _get(self.ours, key),
            _get(self.theirs, key),
            rules=self.rules.entry(key),
            parts=(*self.parts, key),
            around=self,
            prefer=self.prefer,
            wins=self.wins,
            removes=self.removes,
        )

    def aligned(self, keys: tuple[str, ...], side: Side) -> "Place":
        """Return this place with some keys of both objects as one side has them, for keys that belong together."""
        winner = self.side(side)
        chosen = {key: item for key in keys if (item := _get(winner, key)) is not ABSENT}
        return replace(self, ours=_with(self.ours, keys, chosen), theirs=_with(self.theirs, keys, chosen))

    def preferring(self, side: Side | None) -> "Place":
        """Return this place with another preference, for itself and all that it holds."""
        return replace(self, prefer=side)


Rule: TypeAlias = Callable[[Place], "Merge | None"]
"""Decides a place that both sides changed, each in its way. None: no opinion."""


def add_deltas(place: Place) -> Merge | None:
    """Count what both sides counted; never less than what the lower one has. A counter that is not there stands at 0.

    Where both are below the base, what they have was made anew, and what the base counted is not taken away twice.
    """
    base, ours, theirs = (0 if slot is ABSENT else slot for slot in (place.base, place.ours, place.theirs))
    if type(base) is int and type(ours) is int and type(theirs) is int:
        return Merge(max(ours + theirs - base, min(ours, theirs)))
    return None


@dataclass
class Rules:
    """The rules of a place and of the places in it: a tree, made from a table by :meth:`of`."""

    rule: Rule | None = None
    exact: dict[str, "Rules"] = field(default_factory=dict)
    patterns: dict[str, "Rules"] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Mapping[str, Rule]) -> "Rules":
        """Return the rules of a table from pointers to rules.

        ``*`` in a segment of a pointer stands for any text: ``/sheets/*/status``, ``/*_history``. Among the segments
        that fit, the one with the most text counts, and only the rules below that one.
        """
        top = cls()
        for pointer, rule in table.items():
            node = top
            for part in parse(pointer):
                node = (node.patterns if "*" in part else node.exact).setdefault(part, cls())
            node.rule = rule
        return top

    def entry(self, key: str) -> "Rules":
        """Return the rules of one key."""
        if key in self.exact:
            return self.exact[key]
        fitting = [part for part in self.patterns if fits(part, key)]
        return self.patterns[max(fitting, key=len)] if fitting else NO_RULES


NO_RULES: Final = Rules()


def same(a: Slot, b: Slot) -> bool:
    """Tell whether two sides are equal: both absent, or values that are equal to the bit."""
    return a is b if a is ABSENT or b is ABSENT else equal(a, b)


def _get(value: Slot, key: str) -> Slot:
    return value.get(key, ABSENT) if isinstance(value, dict) else ABSENT


def _with(value: Slot, keys: tuple[str, ...], chosen: dict[str, Any]) -> Slot:
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if key not in keys} | chosen
