"""Two root trees joined so that no question is left: what cannot be merged is settled, and what lost is named.

Nothing here depends on a clock, nor, unless somebody prefers a side, on which of the two is called ours: so two
machines that join the same heads at once make the same tree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

from gitstate.engine import graph, trees
from gitstate.engine.base import Source
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.staging import Staging
from gitstate.engine.trees import Changes
from gitstate.errors import CorruptionError, StateCorruptionError, UnstorableError
from gitstate.store.bulk import fill
from gitstate.store.content import Key
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.merging import RootMerge, rewritten
from gitstate.store.since import Since
from gitstate.values.canonical import Value, dumps, equal, loads
from gitstate.values.joins import instant
from gitstate.values.merge import ABSENT, Conflict, Side, Slot, merge3

__all__ = ["DocumentOutcome", "Loser", "Result", "SettledMerge"]

Result: TypeAlias = Literal["created", "fast-forwarded", "merged", "up to date", "parked", "invalid", "deleted"]


class Loser(NamedTuple):
    """A document whose state on one side, as it is at ``revision``, did not make it whole.

    ``conflicts`` are the places that were settled; none where the state is not valid.
    """

    collection: Collection
    document: str
    revision: ObjectId
    conflicts: tuple[Conflict, ...]
    side: Side


class DocumentOutcome(NamedTuple):
    """What became of a document that one of the sides changed.

    ``result`` is one of ``created``, ``fast-forwarded`` and ``deleted`` (as they did it), ``merged``, ``up to date``
    (nothing changed here), ``parked`` (places were in conflict: the side that was saved later has them) and ``invalid``
    (a side is no state). ``detail`` says more; ``revision`` and ``author`` are those of the commit that lost a place,
    or made what is no state.
    """

    collection: Collection
    document: str
    result: Result
    detail: str = ""
    conflicts: tuple[Conflict, ...] = ()
    revision: ObjectId = ""
    author: str = ""


@dataclass
class SettledMerge(RootMerge):
    """A merge of whole trees in which everything is decided.

    Args:
        heads: What each side did since the two met.
        prefer: The side that has each place that is in conflict; None: the one whose document was saved later.
        judges: Whether states are checked, as is needed if people see what comes of it.
    """

    heads: Mapping[Side, Since] = field(kw_only=True)
    prefer: Side | None = field(kw_only=True)
    judges: bool = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.outcomes: list[DocumentOutcome] = []
        self.losers: list[Loser] = []
        self._parsed: dict[bytes, Value] = {}  # files of the documents that are looked at
        self._read: dict[Key, dict[str, Value]] = {}

    def run(self, collections: Sequence[Collection]) -> tuple[trees.Edited, list[str]]:
        """Return the tree of both, and the paths of other files that both sides changed, each in its way."""
        changes: dict[str, bytes | TreeEntry | None] = {}
        for collection in collections:
            differing = self.differing(collection)
            while several := list(islice(differing, _AT_ONCE)):
                for threesome in self._read_ahead([self._three(collection, *each) for each in several]):
                    changes |= self._document(threesome)
        files, clashes = self.files(collections)
        return trees.edit(self.reader.source, self.root(self.onto), {**changes, **files}), clashes

    def _three(self, collection: Collection, document: str, here: bool, there: bool) -> "_Three":
        """Return a document that a side changed, as it is on all sides that matter."""
        if not there:
            return _Three(collection, document, here, there)
        ours, theirs = (
            self.reader.snapshot_in(collection, document, self.heads[side].head, self.root(side)) for side in _SIDES
        )
        base = self.snapshot(collection, document, self.base) if here else ours
        return _Three(collection, document, here, there, base, ours, theirs)

    def _read_ahead(self, several: Sequence["_Three"]) -> list["_Three"]:
        """Return documents with the files of their values at hand, as far as somebody will look at them."""
        ahead = Staging(self.reader.source)
        over = [one.over(ahead) for one in several]
        fill(ahead, self.reader.engine, [each for one in over for each in one.looked_at()])
        self._parsed, self._read = {}, {}
        return over

    def value(self, snapshot: Snapshot) -> dict[str, Value]:
        """Return the value of a document. What is the same in several of them is one object.

        Raises:
            StateCorruptionError: It cannot be read.
        """
        if snapshot.key not in self._read:
            self._read[snapshot.key] = snapshot.parsed(self._loads)
        return self._read[snapshot.key]

    def slot(self, snapshot: Snapshot | None) -> Slot:
        """Return the value of a document; ABSENT where there is none, or none that can be read."""
        try:
            return ABSENT if snapshot is None else self.value(snapshot)
        except CorruptionError:
            return ABSENT

    def _loads(self, data: bytes) -> Value:
        if data not in self._parsed:
            self._parsed[data] = loads(data)
        return self._parsed[data]

    def _document(self, three: "_Three") -> Changes:
        collection, document, here, there, base, ours, theirs = three
        if not there:
            self.tell(collection, document, "up to date", "changed only here")
            return self.taken(collection, document, "ours")
        if not here:
            return self._theirs_alone(collection, document, ours, theirs)
        if ours is not None and theirs is not None:
            return self._both_there(base, ours, theirs)
        if theirs is ours:
            self.tell(collection, document, "deleted", "on both sides")
            return {}
        if theirs is None:
            self.tell(collection, document, "merged", "deleted there and changed here: the change survives")
            return self.taken(collection, document, "ours")
        self._judge_alone(theirs, "merged", "deleted here and changed there: the change survives")
        return self.taken(collection, document, "theirs")

    def _theirs_alone(
        self, collection: Collection, document: str, ours: Snapshot | None, theirs: Snapshot | None
    ) -> Changes:
        """Take what only they changed, if it is a state."""
        if theirs is None:
            self.tell(collection, document, "deleted")
        elif ours is None:
            self._judge_alone(theirs, "created")
        elif ours.value_id == theirs.value_id or (flaw := self.flaw(theirs)) is None:
            self.tell(collection, document, "fast-forwarded")
        elif self.flaw(ours) is not None:
            self._tell_invalid("theirs", theirs, f"{flaw}; ours is no state either, so theirs was taken")
        else:
            self._tell_invalid("theirs", theirs, flaw, loses=True)
            return self.taken(collection, document, "ours")
        return self.taken(collection, document, "theirs")

    def _judge_alone(self, theirs: Snapshot, result: Result, detail: str = "") -> None:
        """Tell what becomes of a document that is not here."""
        flaw = self.flaw(theirs)
        if flaw is None:
            self.tell(theirs.collection, theirs.document, result, detail)
        else:
            self._tell_invalid("theirs", theirs, f"{flaw}; there is no other version, so it was taken")

    def _both_there(self, base: Snapshot | None, ours: Snapshot, theirs: Snapshot) -> Changes:
        collection, document = ours.collection, ours.document
        if ours.tree == theirs.tree:
            self.tell(collection, document, "up to date", "changed alike on both sides")
            return {}
        pair = _Pair(self, base, ours, theirs)
        decided = pair.decide()
        if decided.whole:
            self._tell_decided(pair, decided)
            return self.taken(collection, document, decided.whole)
        changes = pair.changes(decided)
        attached, clashes = self.attached(base, ours, theirs, pair.latest)
        if clashes:
            decided = decided._replace(conflicts=(*decided.conflicts, *clashes), wins=pair.later)
        self._tell_decided(pair, decided)
        return self.placed(collection, document, {**changes, **attached})

    def _tell_decided(self, pair: "_Pair", decided: "_Decided") -> None:
        if decided.invalid:
            side = decided.invalid
            self._tell_invalid(side, pair.of(side), decided.detail, loses=True)
            return
        collection, document = pair.ours.collection, pair.ours.document
        if not decided.conflicts:
            self.tell(collection, document, "merged", decided.detail)
            return
        losing = [side for side in _SIDES if any(pair.loses(side, each, decided.wins) for each in decided.conflicts)]
        for side in losing:
            self._lose(side, pair.of(side), decided.conflicts)
        last = self.heads[losing[0]].last(pair.of(losing[0]))
        kept = "it was put aside whole" if len(losing) == 1 else "both were put aside whole"
        detail = decided.detail or f"{' and '.join(losing)} lost at {len(decided.conflicts)} places; {kept}"
        self.tell(collection, document, "parked", detail, decided.conflicts, last)

    def flaw(self, snapshot: Snapshot) -> str | None:
        """Return why a snapshot is no state; None: it is one."""
        try:
            value = self.value(snapshot)
            if self.judges:
                snapshot.collection.check(value)
        except CorruptionError as error:
            return error.reason if isinstance(error, StateCorruptionError) else error.message
        return None

    def tell(
        self,
        collection: Collection,
        document: str,
        result: Result,
        detail: str = "",
        conflicts: tuple[Conflict, ...] = (),
        revision: ObjectId = "",
    ) -> None:
        """Note what became of a document."""
        author = graph.read(self.reader.source, revision).author.name if revision else ""
        self.outcomes.append(DocumentOutcome(collection, document, result, detail, conflicts, revision, author))

    def _tell_invalid(self, side: Side, snapshot: Snapshot, detail: str, *, loses: bool = False) -> None:
        maker = self.heads[side].maker(snapshot)
        self.tell(snapshot.collection, snapshot.document, "invalid", detail, (), maker)
        if loses:
            self._lose(side, snapshot, ())

    def _lose(self, side: Side, snapshot: Snapshot, conflicts: tuple[Conflict, ...]) -> None:
        revision = self.heads[side].last(snapshot)
        self.losers.append(Loser(snapshot.collection, snapshot.document, revision, conflicts, side))


_SIDES: tuple[Side, ...] = ("ours", "theirs")
_NEVER = datetime.min.replace(tzinfo=UTC)
_AT_ONCE = 250  # documents: what they hold is in memory until the last of them was looked at


class _Three(NamedTuple):
    """A document that a side changed: whether we did, whether they did, and as it is on the three sides."""

    collection: Collection
    document: str
    here: bool
    there: bool
    base: Snapshot | None = None
    ours: Snapshot | None = None
    theirs: Snapshot | None = None

    def looked_at(self) -> list[Snapshot]:
        """Return the snapshots whose values are needed, as a rule."""
        if self.base and self.theirs and self.base.value_id == self.theirs.value_id:
            return []
        sides = (self.base, self.ours, self.theirs) if self.here and self.ours else (self.theirs,)
        return [side for side in sides if side is not None]

    def over(self, source: Source) -> "_Three":
        """Return the same, read from elsewhere."""
        return self._replace(
            **{
                name: side and side.over(source)
                for name in ("base", "ours", "theirs")
                for side in [getattr(self, name)]
            }
        )


class _Decided(NamedTuple):
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


@dataclass
class _Pair:
    """A document that both sides changed, and neither deleted."""

    merge: SettledMerge
    base: Snapshot | None
    ours: Snapshot
    theirs: Snapshot

    def of(self, side: Side) -> Snapshot:
        return self.ours if side == "ours" else self.theirs

    @cached_property
    def went_back(self) -> bool:
        """Whether somebody went back with it since."""
        heads = self.merge.heads.values()
        return any(head.went_back(self.ours.collection, self.ours.document) for head in heads)

    @cached_property
    def later(self) -> Side:
        """The side that is preferred, or else was saved later."""
        if self.merge.prefer is not None:
            return self.merge.prefer
        ages = {side: self._age(side) for side in _SIDES}
        if ages["ours"] == ages["theirs"]:
            ages |= {side: (dumps(self._known(side)), self.of(side).tree) for side in _SIDES}
        return max(_SIDES, key=lambda side: ages[side])

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

    def loses(self, side: Side, conflict: Conflict, wins: Side) -> bool:
        """Whether the value has, at a place that is in conflict, not what a side has there."""
        kept = conflict.ours if wins == "ours" else conflict.theirs
        survives = kept is ABSENT and conflict.base is not ABSENT and not self.went_back
        return (side == wins) if survives else (side != wins)

    def decide(self) -> _Decided:
        """Return what becomes of the value."""
        ours, theirs, base = self.ours.value_id, self.theirs.value_id, self.base and self.base.value_id
        if ours == theirs or theirs == base:
            return _Decided("ours")
        if ours == base:
            flaw = self.merge.flaw(self.theirs)
            if flaw is not None and self.merge.flaw(self.ours) is None:
                return _Decided("ours", whole="ours", invalid="theirs", detail=flaw)
            return _Decided("theirs")
        try:
            return self._merged()
        except (CorruptionError, UnstorableError) as error:
            return self._settled_whole(error.message)

    def _merged(self) -> _Decided:
        collection, joining = self.ours.collection, self.ours.collection.joining
        base, ours, theirs = self.merge.slot(self.base), self.merge.value(self.ours), self.merge.value(self.theirs)
        rules = (joining.rewind_rules if self.went_back else None) or collection.rules
        merge = merge3(base, ours, theirs, rules, removes=self.went_back)
        if merge.conflicts:
            merge = merge3(base, ours, theirs, rules, wins=self.later, removes=self.went_back)
        value: dict[str, Value] = merge.value  # type: ignore[assignment]  # objects merge to an object
        wins = self.later if merge.conflicts else "ours"
        same = [side for side in self._in_order() if equal(value, ours if side == "ours" else theirs)]
        if not same:
            value = joining.repaired(value, ours, theirs)
        if self.merge.judges:
            collection.check(value)
        return _Decided(same[0] if same else value, merge.conflicts, wins)

    def _in_order(self) -> Sequence[Side]:
        """Return the sides, the same one first on each machine."""
        return _SIDES if self.merge.wins == "ours" else _SIDES[::-1]

    def _settled_whole(self, reason: str) -> _Decided:
        """Take one side whole: one of them is no state, or both together are none."""
        flaws = {side: flaw for side in _SIDES if (flaw := self.merge.flaw(self.of(side))) is not None}
        if len(flaws) == 1:
            bad = next(iter(flaws))
            other: Side = "ours" if bad == "theirs" else "theirs"
            return _Decided(other, whole=other, invalid=bad, detail=flaws[bad])
        kept = self.later
        lost: Side = "ours" if kept == "theirs" else "theirs"
        if flaws:
            return _Decided(kept, whole=kept, invalid=lost, detail=f"{flaws[lost]}; the other one is no state either")
        conflict = Conflict("", *(self.merge.slot(side) for side in (self.base, self.ours, self.theirs)))
        return _Decided(kept, (conflict,), kept, whole=kept, detail=f"both together are no state: {reason}")

    def changes(self, decided: _Decided) -> Changes:
        """Return the changes of the value's files in the folder that the merge is made on."""
        standing = self.of(self.merge.onto)
        if isinstance(decided.value, dict):
            return standing.collection.layout.changes(decided.value, self.merge.value(standing))
        return {} if decided.value == self.merge.onto else rewritten(self.of(decided.value), standing)
