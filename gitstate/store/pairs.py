"""A document that two sides changed, and what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from gitstate.engine.trees import Changes
from gitstate.errors import CorruptionError, UnstorableError
from gitstate.store.documents import Snapshot, WentBack
from gitstate.store.merging import rewritten
from gitstate.values.canonical import Value, dumps, equal
from gitstate.values.joins import instant
from gitstate.values.merge import ABSENT, Conflict, Side, merge3, same
from gitstate.values.pointer import get, parse

if TYPE_CHECKING:
    from gitstate.store.joining import SettledMerge

__all__ = ["SIDES", "Decided", "Pair", "other"]

SIDES: Final[tuple[Side, ...]] = ("ours", "theirs")
_NEVER = datetime.min.replace(tzinfo=UTC)


def other(side: Side) -> Side:
    """Return the side that is not this one."""
    return "theirs" if side == "ours" else "ours"


class Decided(NamedTuple):
    """What the value of a document becomes: that of a side, its bytes unread, or a new one.

    ``whole`` is the side whose folder is taken as it is, ``wins`` the one that has the places that are in conflict,
    ``invalid`` the one that is no state.
    """

    value: Side | dict[str, Value]
    conflicts: tuple[Conflict, ...] = ()
    wins: Side = "ours"
    whole: Side | None = None
    invalid: Side | None = None
    detail: str = ""

    def loser(self, conflict: Conflict) -> Side:
        """Return the side whose version of a place in conflict is not there: not the one that wins, unless that had
        removed what the other side changed.
        """
        if conflict.ours is conflict.theirs is ABSENT:
            return other(self.wins)  # it is a file beside the value
        if isinstance(self.value, str):
            return other(self.value)
        lost = conflict.theirs if self.wins == "ours" else conflict.ours
        return self.wins if same(get(self.value, parse(conflict.pointer)), lost) else other(self.wins)


@dataclass
class Pair:
    """A document that both sides changed, and neither deleted."""

    merge: "SettledMerge"
    base: Snapshot | None
    ours: Snapshot
    theirs: Snapshot

    def of(self, side: Side) -> Snapshot:
        """Return the document as a side has it."""
        return self.ours if side == "ours" else self.theirs

    @cached_property
    def went_back(self) -> WentBack:
        """How far somebody went back with it since."""
        heads = self.merge.heads.values()
        return max(head.went_back(self.ours.collection, self.ours.document) for head in heads)

    @cached_property
    def later(self) -> Side:
        """The side that is preferred, or else was saved later."""
        if self.merge.prefer is not None:
            return self.merge.prefer
        ages = {side: self._age(side) for side in SIDES}
        if ages["ours"] == ages["theirs"]:
            ages |= {side: (dumps(self._known(side)), self.of(side).tree) for side in SIDES}
        return max(SIDES, key=lambda side: ages[side])

    def _age(self, side: Side) -> tuple[object, ...]:
        time_field = self.ours.collection.joining.time_field
        saved = instant(self._known(side).get(time_field)) or _NEVER
        made = self.merge.heads[side].time(self.ours.collection, self.ours.document)
        # Who goes back brings back the time as well at which that state was saved.
        return (made, saved) if self.went_back else (saved, made)

    def _known(self, side: Side) -> dict[str, Value]:
        """Return the value of a side, or an empty one where it cannot be read."""
        value = self.merge.slot(self.of(side))
        return value if isinstance(value, dict) else {}

    def latest(self, path: str) -> Side:
        """Return the side whose file beside the value stands where both changed what is there."""
        values = (self.merge.slot(self.ours), self.merge.slot(self.theirs))
        return self.ours.collection.joining.latest(path, *values) or self.later

    def decide(self) -> Decided:
        """Return what becomes of the value."""
        ours, theirs, base = self.ours.value_id, self.theirs.value_id, self.base and self.base.value_id
        if ours == theirs or theirs == base:
            return Decided("ours")
        if ours == base:
            flaw = self.merge.flaw(self.theirs)
            if flaw is not None and self.merge.flaw(self.ours) is None:
                return Decided("ours", whole="ours", invalid="theirs", detail=flaw)
            return Decided("theirs")
        try:
            return self._merged()
        except (CorruptionError, UnstorableError) as error:
            return self._settled_whole(error.message)

    def _merged(self) -> Decided:
        collection, joining = self.ours.collection, self.ours.collection.joining
        base, ours, theirs = self.merge.slot(self.base), self.merge.value(self.ours), self.merge.value(self.theirs)
        rules = (joining.rewind_rules if self.went_back else None) or collection.rules
        merge = merge3(base, ours, theirs, rules)
        if merge.conflicts and self.went_back == "whole":
            return Decided(self.later, merge.conflicts, self.later, whole=self.later)
        if merge.conflicts:
            merge = merge3(base, ours, theirs, rules, wins=self.later, removes=bool(self.went_back))
        value: dict[str, Value] = merge.value  # type: ignore[assignment]  # objects merge to an object
        wins = self.later if merge.conflicts else "ours"
        alike = [side for side in self._in_order() if equal(value, ours if side == "ours" else theirs)]
        if not alike:
            value = joining.repaired(value, ours, theirs)
        if self.merge.judges:
            collection.check(value)
        return Decided(alike[0] if alike else value, merge.conflicts, wins)

    def _in_order(self) -> Sequence[Side]:
        """Return the sides, the same one first on each machine."""
        return SIDES if self.merge.wins == "ours" else SIDES[::-1]

    def _settled_whole(self, reason: str) -> Decided:
        """Take one side whole: one of them is no state, or both together are none."""
        flaws = {side: flaw for side in SIDES if (flaw := self.merge.flaw(self.of(side))) is not None}
        if len(flaws) == 1:
            bad = next(iter(flaws))
            return Decided(other(bad), whole=other(bad), invalid=bad, detail=flaws[bad])
        kept, lost = self.later, other(self.later)
        if flaws:
            return Decided(kept, whole=kept, invalid=lost, detail=f"{flaws[lost]}; the other one is no state either")
        conflict = Conflict("", *(self.merge.slot(side) for side in (self.base, self.ours, self.theirs)))
        return Decided(kept, (conflict,), kept, whole=kept, detail=f"both together are no state: {reason}")

    def changes(self, decided: Decided) -> Changes:
        """Return the changes of the value's files in the folder that the merge is made on."""
        standing = self.of(self.merge.onto)
        if isinstance(decided.value, dict):
            return standing.collection.layout.changes(decided.value, self.merge.value(standing))
        return {} if decided.value == self.merge.onto else rewritten(self.of(decided.value), standing)
