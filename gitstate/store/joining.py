"""Two root trees joined so that no question is left: what cannot be merged is settled, and what lost is named.

Nothing here depends on a clock, nor, unless somebody prefers a side, on which of the two is called ours: so two
machines that join the same heads at once make the same tree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

from gitstate.engine import graph, trees
from gitstate.engine.base import Source
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.staging import Staging
from gitstate.engine.trees import Changes
from gitstate.errors import CorruptionError
from gitstate.store.bulk import fill
from gitstate.store.content import Key
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.makers import reason_of
from gitstate.store.merging import RootMerge
from gitstate.store.pairs import SIDES, Decided, Pair
from gitstate.store.since import Since
from gitstate.values.canonical import Value, loads
from gitstate.values.merge import ABSENT, Conflict, Side, Slot
from gitstate.words import counted

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
            self.reader.snapshot_in(collection, document, self.heads[side].head, self.root(side)) for side in SIDES
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
        pair = Pair(self, base, ours, theirs)
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

    def _tell_decided(self, pair: Pair, decided: Decided) -> None:
        if not self.judges:
            return  # nobody is told of this merge
        if decided.invalid:
            side = decided.invalid
            self._tell_invalid(side, pair.of(side), decided.detail, loses=True)
            return
        collection, document = pair.ours.collection, pair.ours.document
        if not decided.conflicts:
            self.tell(collection, document, "merged", decided.detail)
            return
        losing = [side for side in SIDES if side in map(decided.loser, decided.conflicts)]
        for side in losing:
            self._lose(side, pair.of(side), decided.conflicts)
        last = self.heads[losing[0]].last(pair.of(losing[0]))
        kept = "it was put aside whole" if len(losing) == 1 else "both were put aside whole"
        places = counted(len(decided.conflicts), "place")
        detail = decided.detail or f"{' and '.join(losing)} lost at {places}; {kept}"
        self.tell(collection, document, "parked", detail, decided.conflicts, last)

    def flaw(self, snapshot: Snapshot) -> str | None:
        """Return why a snapshot is no state; None: it is one."""
        try:
            value = self.value(snapshot)
            if self.judges:
                snapshot.collection.check(value)
        except CorruptionError as error:
            return reason_of(error)
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
