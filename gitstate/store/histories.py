"""Two heads become one history: all that each side did since they met, joined.

Histories that were merged into each other by several machines met at more than one commit. These are merged first, to a
tree that nobody sees, as git's own recursive strategy does; so what the machines had agreed on stays so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gitstate.engine import graph, trees
from gitstate.engine.beyond import meeting
from gitstate.engine.objects import Commit, GitObject, ObjectId, Signature
from gitstate.engine.staging import Staging
from gitstate.errors import ConflictError, DivergedError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.documents import Collection
from gitstate.store.joining import DocumentOutcome, Loser, SettledMerge
from gitstate.store.reader import FORMAT_FILE, Reader
from gitstate.store.since import Since
from gitstate.values.merge import Conflict, Side
from gitstate.words import several, short

__all__ = ["DocumentConflict", "DocumentOutcome", "JoinedHistories", "Loser", "OnConflict", "join", "told"]

OnConflict: TypeAlias = Literal["park", "ours", "theirs", "fail"]
"""What becomes of a place that is in conflict: the side has it that was saved later, or ours, or theirs, and the other
state is named as a loser; or nothing is joined.
"""

_DEEP = 64  # so often may histories have been merged into each other, each time before the last merge was known
_LISTED = 10  # so many conflicts are named in the message of an error or a commit
_TOLD = 50  # so many documents in that of a commit; its trailers name all of them, if it has room
_LONGEST = 1000  # so many characters about each
_NAMED = 60  # so many characters of a document's id
_DECIDED = ("merged", "parked", "invalid")  # what a merge decided, and did not just take


@dataclass(frozen=True)
class DocumentConflict(Conflict):
    """A conflict of one document; of another file, by its path, if ``collection`` is empty."""

    collection: str = ""
    document: str = ""


@dataclass(frozen=True)
class JoinedHistories:
    """What came of two heads.

    Args:
        tree: The root tree of both together.
        objects: Those that it has and neither side has in the same place.
        outcomes: What became of each document that a side changed.
        losers: States that did not make it whole, to be put aside.
        clashes: Other files that both sides changed; those of the later head stand, the others are in the history.
        is_fast_forward: Whether theirs follows ours, and can be taken as it is: no merge commit is needed.
        is_up_to_date: Whether ours follows theirs, or is it: there is nothing to do.
    """

    tree: ObjectId
    objects: list[GitObject] = field(default_factory=list, repr=False)
    outcomes: tuple[DocumentOutcome, ...] = ()
    losers: tuple[Loser, ...] = ()
    clashes: tuple[str, ...] = ()
    is_fast_forward: bool = False
    is_up_to_date: bool = False


def join(
    reader: Reader, collections: Iterable[Collection], ours: ObjectId, theirs: ObjectId, *, on_conflict: OnConflict
) -> JoinedHistories:
    """Join two heads; nothing is written.

    With ``"park"`` the tree depends on the two commits alone, and not on which of them is ours.

    Args:
        reader: Reads both.
        collections: Those whose documents are merged as values; those of others count as files.
        ours: Our head.
        theirs: The other one.
        on_conflict: What becomes of a place that both sides changed, each in its way.

    Raises:
        ConflictError: Something is in conflict, and nothing is to be settled; ``conflicts`` has a DocumentConflict for
            each place.
        DivergedError: The histories have nothing in common.
        UnsupportedError: One of the heads is no store's, or a store's of a newer format.
        CorruptionError: A commit or tree is missing or damaged.
    """
    collections = tuple(collections)
    for head in (ours, theirs):
        reader.format(graph.root(reader.source, head))
    bases = meeting(reader.source, ours, theirs)
    if bases == (theirs,):
        return JoinedHistories(graph.root(reader.source, ours), is_up_to_date=True)
    if not bases:
        raise DivergedError(
            f"{ours[:12]} here and {theirs[:12]} there have no history in common: they are two stores, "
            "each begun for itself; nothing was merged",
            hint="clone the one that is to stay into a new folder, and `gitstate import` the jobs of the other into it",
        )
    joiner = _Joiner(reader, collections)
    prefer: Side | None = on_conflict if on_conflict in ("ours", "theirs") else None
    merge = joiner.merge(joiner.base(bases), ours, theirs, prefer)
    edited, clashes = merge.run(collections)
    if on_conflict == "fail":
        _refuse(merge.outcomes, clashes)
    followed = bases == (ours,) and edited.id == merge.theirs
    return JoinedHistories(
        edited.id,
        edited.objects,
        tuple(merge.outcomes),
        tuple(merge.losers),
        tuple(clashes),
        is_fast_forward=followed,
    )


def told(joined: JoinedHistories) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return what the commit of a merge says besides its subject: a body, and trailers.

    The trailers name the documents about which the merge decided something: it is a part of their history. What only
    one side did is told by the commits of that side.
    """
    decided = [each for each in joined.outcomes if each.result in _DECIDED]
    lines = [_line(each) for each in decided[:_TOLD]]
    if len(decided) > _TOLD:
        lines.append(f"and {len(decided) - _TOLD} more")
    if joined.clashes:
        files = several(joined.clashes, _LISTED)
        lines.append(f"Files that both sides had changed, taken from the later one: {files}")
    trailers = tuple((each.collection.trailer, each.document) for each in decided)
    body = "\n".join(" ".join(line.split())[:_LONGEST] for line in lines)
    return body, (*message.fitting(trailers), (message.EVENT, Event.MERGED.value))


def _line(outcome: DocumentOutcome) -> str:
    places = several([each.pointer or "the whole" for each in outcome.conflicts], _LISTED)
    at = f" at {places}" if places else ""
    detail = f": {outcome.detail}" if outcome.detail else ""
    by = f" ({short(outcome.revision)} of {outcome.author})" if outcome.revision else ""
    return f"{outcome.document[:_NAMED]}: {outcome.result}{at}{detail}{by}"


def _refuse(outcomes: Iterable[DocumentOutcome], clashes: Iterable[str]) -> None:
    """Raise ConflictError if something is in conflict."""
    conflicts = [
        DocumentConflict(each.pointer, each.base, each.ours, each.theirs, outcome.collection.name, outcome.document)
        for outcome in outcomes
        for each in outcome.conflicts
    ]
    places = [f"{each.document!r} at {each.pointer or 'the top'}" for each in conflicts] + list(clashes)
    if not places:
        return
    files = [DocumentConflict("", None, None, None, "", path) for path in clashes]
    raise ConflictError(
        f"both sides changed {several(places, _LISTED)}; nothing was merged",
        conflicts=[*conflicts, *files],
        hint="let the later change win and keep the other one aside (park), or choose ours or theirs",
    )


class _Joiner:
    """Merges heads, and the commits at which they met."""

    def __init__(self, reader: Reader, collections: Sequence[Collection]) -> None:
        self._staging = Staging(reader.source)
        self._reader = reader.over(self._staging)
        self._collections = collections
        self._known: dict[tuple[ObjectId, ObjectId], ObjectId] = {}  # two bases, and the commit that joins them

    def merge(
        self, base: ObjectId, ours: ObjectId, theirs: ObjectId, prefer: Side | None, *, judges: bool = True
    ) -> SettledMerge:
        """Return the merge of two heads that came of the root tree ``base``."""
        here, there = (graph.root(self._reader.source, head) for head in (ours, theirs))
        base, wins = self._as_store(base, here), prefer or self._later(ours, theirs)
        return SettledMerge(
            self._reader,
            base,
            here,
            there,
            self._onto(base, here, there, wins),
            wins,
            heads={"ours": Since(self._reader, ours, theirs), "theirs": Since(self._reader, theirs, ours)},
            prefer=prefer,
            judges=judges,
        )

    def _onto(self, base: ObjectId, ours: ObjectId, theirs: ObjectId, wins: Side) -> Side:
        """Return the side on whose tree a merge is made: one that alone moved all documents, or changed anything."""
        formats = [self._reader.format(root) for root in (base, ours, theirs)]
        for was, here, there in (map(str, formats), (base, ours, theirs)):
            if was in (here, there) and here != there:
                return "theirs" if was == here else "ours"
        return wins

    def _later(self, ours: ObjectId, theirs: ObjectId) -> Side:
        return "ours" if self._age(ours) > self._age(theirs) else "theirs"

    def _age(self, commit_id: ObjectId) -> tuple[int, ObjectId]:
        return graph.read(self._reader.source, commit_id).committer.time, commit_id

    def _as_store(self, root: ObjectId, like: ObjectId) -> ObjectId:
        """Return a tree as that of a store; a person's slip that was put right leaves one in a history that is none."""
        source = self._reader.source
        if trees.find(source, root, FORMAT_FILE) is not None:
            return root
        return self._edit(root, {FORMAT_FILE: trees.find(source, like, FORMAT_FILE)})

    def _edit(self, root: ObjectId, changes: trees.Changes) -> ObjectId:
        edited = trees.edit(self._reader.source, root, changes)
        self._staging.add(edited.objects)
        return edited.id

    def base(self, commits: Sequence[ObjectId], depth: int = 0) -> ObjectId:
        """Return the root tree from which two sides began that met at some commits last: all of these, merged."""
        first, *others = sorted(commits, key=self._age)
        roots = {graph.root(self._reader.source, commit) for commit in commits}
        if len(roots) > 1 and depth < _DEEP:
            for other in others:
                first = self._joined(first, other, depth)
        return graph.root(self._reader.source, first)

    def _joined(self, one: ObjectId, other: ObjectId, depth: int) -> ObjectId:
        """Return a commit that nobody sees, of two heads."""
        if (one, other) not in self._known:
            bases = meeting(self._reader.source, one, other)
            base = self.base(bases, depth + 1) if bases else trees.EMPTY
            edited, _ = self.merge(base, one, other, None, judges=False).run(self._collections)
            nobody = Signature("nobody", "", max(self._age(each)[0] for each in (one, other)))
            made = Commit(edited.id, (one, other), nobody, nobody, b"").to_object()
            self._staging.add([*edited.objects, made])
            self._known[one, other] = made.id
        return self._known[one, other]
