"""The three-way merge of whole trees: documents as values, by the rules of their collection, and other files by path.

What only one side changed is taken as that side has it. A document that both changed is merged place by place; what
cannot be merged there stays as ours has it, and is reported as data. A change survives a deletion.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gitstate.engine import trees
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.trees import Changes, Edited
from gitstate.errors import CorruptionError, UnstorableError
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.file_rules import FILE_RULES
from gitstate.store.reader import Reader
from gitstate.values.canonical import Value
from gitstate.values.merge import ABSENT, Conflict, Side, Slot, merge3

__all__ = ["MergedDocument", "MergedRoots", "RootMerge", "merge_roots", "rewritten", "value_of"]


@dataclass(frozen=True)
class MergedDocument:
    """A document that both sides changed, or that theirs changed.

    ``changes`` are the files, by their paths from the root, in which the merge differs from the tree that it is made
    on; ``conflicts`` are the places that stayed as ours has them; ``note`` says what else was decided, "" if nothing.
    """

    collection: Collection
    document: str
    changes: Changes
    conflicts: tuple[Conflict, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class MergedRoots:
    """What came of a merge of whole trees.

    Args:
        onto: The tree that the changes are to be made on: ours, but theirs when only they moved all documents.
        documents: What was decided of documents.
        files: The changes of other files.
        clashes: The paths of other files that both sides changed, each in its way; they stayed as ours has them.
    """

    onto: ObjectId
    documents: tuple[MergedDocument, ...]
    files: Changes
    clashes: tuple[str, ...] = ()

    def edit(self, reader: Reader) -> Edited:
        """Return the merged tree, with the objects that it has and the tree it is made on had not."""
        changes = dict(self.files)
        for merged in self.documents:
            changes |= merged.changes
        return trees.edit(reader.source, self.onto, changes)


def merge_roots(
    reader: Reader, collections: Iterable[Collection], base: ObjectId, ours: ObjectId, theirs: ObjectId
) -> MergedRoots:
    """Merge two root trees that came of one.

    Documents of other collections than these count as files.

    Raises:
        CorruptionError: A tree is missing or damaged. A document that cannot be read is no error but a conflict.
        UnsupportedError: One of the trees is no store's.
    """
    collections = list(collections)
    merge = RootMerge(reader, base, ours, theirs, onto=_made_on(reader, base, ours, theirs))
    documents = [merged for collection in collections for merged in merge.documents(collection)]
    files, clashes = merge.files(collections)
    return MergedRoots(merge.root(merge.onto), tuple(documents), files, tuple(clashes))


def _made_on(reader: Reader, base: ObjectId, ours: ObjectId, theirs: ObjectId) -> Side:
    """Return the side on whose tree a merge is made: ours, but theirs when only they moved all documents."""
    formats = [reader.format(root) for root in (base, ours, theirs)]
    return "theirs" if formats[1] == formats[0] != formats[2] else "ours"


@dataclass
class RootMerge:
    """A merge of whole trees at work, on ``onto``, which is one of the two sides.

    ``wins`` is the side whose files stand where both sides changed one, each in its way.
    """

    reader: Reader
    base: ObjectId
    ours: ObjectId
    theirs: ObjectId
    onto: Side
    wins: Side = "ours"

    def __post_init__(self) -> None:
        self._folders: set[str] = set()  # of the documents that were looked at, in each of the trees

    def root(self, side: Side) -> ObjectId:
        """Return the root tree of a side."""
        return self.ours if side == "ours" else self.theirs

    def differing(self, collection: Collection) -> Iterator[tuple[str, bool, bool]]:
        """Yield the documents that a side changed, and whether ours and theirs did."""
        here, there = (
            {document for document, _, _ in self.reader.differing(collection, self.base, side)}
            for side in (self.ours, self.theirs)
        )
        folders = [self.reader.format(root).fanout for root in (self.base, self.ours, self.theirs)]
        for document in sorted(here | there):
            self._folders.update(collection.folder(document, fanout) for fanout in set(folders))
            yield document, document in here, document in there

    def documents(self, collection: Collection) -> Iterator[MergedDocument]:
        """Yield what is to be changed of the documents of a collection, and which are in conflict."""
        for document, here, there in self.differing(collection):
            if here and there:
                merged = self._both(collection, document)
                if merged.changes or merged.conflicts or merged.note:
                    yield merged
            else:
                changes = self.taken(collection, document, "ours" if here else "theirs")
                if changes:
                    yield MergedDocument(collection, document, changes)

    def files(self, collections: Sequence[Collection]) -> tuple[Changes, list[str]]:
        """Return the changes of the files that belong to no document, and which of them clash."""
        # Documents that lie elsewhere in one of the trees: then nothing in their collections counts.
        moved = len({self.reader.format(root) for root in (self.base, self.ours, self.theirs)}) > 1
        tops = tuple(f"{collection.name}/" for collection in collections) if moved else ()
        other: Side = "ours" if self.onto == "theirs" else "theirs"
        changes: dict[str, bytes | TreeEntry | None] = {}
        clashes: dict[str, None] = {}
        for path, before, after in trees.diff(self.reader.source, self.base, self.root(other), leaving=self._folders):
            if tops and path.startswith(tops):
                continue
            standing, instead = self._standing(path)
            if instead is None and standing == before:
                changes[path] = after
            elif (both := self._of_both(path, standing, after)) is not None:
                changes[path] = both
            elif instead is not None or standing != after:
                clashes[instead or path] = None
                if other == self.wins:
                    changes[path] = after
        return changes, sorted(clashes)

    def _of_both(self, path: str, standing: TreeEntry | None, after: TreeEntry | None) -> bytes | None:
        """Return what a file becomes that has a rule; None: it has none, or cannot be read."""
        rule = FILE_RULES.get(path)
        if rule is None or standing == after or any(each and each.is_directory for each in (standing, after)):
            return None
        found = [self.reader.source.read(each.id, "blob") for each in (standing, after) if each is not None]
        return rule(found[0], found[-1])

    def _standing(self, path: str) -> tuple[TreeEntry | None, str | None]:
        """Return what stands at a path, and the path of a file that stands where it needs a folder."""
        root = self.root(self.onto)
        parts = path.split("/")
        for count in range(1, len(parts)):
            above = trees.find(self.reader.source, root, "/".join(parts[:count]))
            if above is None:
                return None, None
            if not above.is_directory:
                return None, "/".join(parts[:count])
        return trees.find(self.reader.source, root, path), None

    def taken(self, collection: Collection, document: str, side: Side) -> Changes:
        """Return the changes that put what stands in a document's place on a side, whether it is one or not."""
        if side == self.onto:
            return {}
        roots = (self.root(self.onto), self.root(side))
        onto, folder = (self.reader.folder(root, collection, document) for root in roots)
        return {onto: trees.find(self.reader.source, roots[1], folder)}

    def snapshot(self, collection: Collection, document: str, root: ObjectId) -> Snapshot | None:
        """Return a document as it stands in one of the trees, or None."""
        return self.reader.snapshot_in(collection, document, root, root)

    def _both(self, collection: Collection, document: str) -> MergedDocument:
        """Merge a document that both sides changed."""
        ours, theirs = (self.snapshot(collection, document, root) for root in (self.ours, self.theirs))
        if ours is None or theirs is None:
            if ours is theirs:
                return MergedDocument(collection, document, {})  # both deleted it
            note = "it was deleted and changed: the change survives"
            kept = self.taken(collection, document, "theirs" if ours is None else "ours")
            return MergedDocument(collection, document, kept, note=note)
        base = self.snapshot(collection, document, self.base)
        return self._values(collection, document, base, ours, theirs)

    def _values(
        self, collection: Collection, document: str, base: Snapshot | None, ours: Snapshot, theirs: Snapshot
    ) -> MergedDocument:
        standing = theirs if self.onto == "theirs" else ours
        changes: Changes
        note = ""
        try:
            merge = merge3(value_of(base), ours.content().value, theirs.content().value, collection.rules)
            value: dict[str, Value] = merge.value  # type: ignore[assignment]  # objects merge to an object
            if not merge.conflicts:
                collection.check(value)
            changes, conflicts = collection.layout.changes(value, standing.content().value), merge.conflicts
        except (CorruptionError, UnstorableError) as error:  # one of them is no state, or both together are none
            changes = {} if standing is ours else rewritten(ours, theirs)
            conflicts, note = (Conflict("", ABSENT, ABSENT, ABSENT),), error.message
        attached, clashes = self.attached(base, ours, theirs, lambda _: "ours")
        placed = self.placed(collection, document, {**changes, **attached})
        return MergedDocument(collection, document, placed, (*conflicts, *clashes), note)

    def placed(self, collection: Collection, document: str, changes: Changes) -> Changes:
        """Return changes in a document's folder as changes of the tree that the merge is made on."""
        folder = self.reader.folder(self.root(self.onto), collection, document)
        return {f"{folder}/{path}": content for path, content in changes.items()}

    def attached(
        self, base: Snapshot | None, ours: Snapshot, theirs: Snapshot, wins: Callable[[str], Side]
    ) -> tuple[Changes, list[Conflict]]:
        """Return the changes of the files in a document's folder that are no part of its value, and those that clash.

        What belongs to the document, such as the output of an attempt, is taken a folder at a time, so that none holds
        the files of two attempts, and never clashes: what does not stand there is in the history. ``wins`` says of a
        path whose file stands where both sides changed what is there.
        """
        standing, other = (theirs, ours) if self.onto == "theirs" else (ours, theirs)
        others: Side = "ours" if other is ours else "theirs"
        here, there = (self._unowned(base, side) for side in (standing, other))
        changes: dict[str, bytes | TreeEntry | None] = {}
        clashes: list[Conflict] = []
        for place, after in there.items():
            before = here.get(place, {})
            if before and before != after:
                if place in after:  # a file of its own
                    clashes.append(Conflict(f"/{place}", ABSENT, ABSENT, ABSENT))
                if wins(next(iter(after))) != others:
                    continue
                root = None if base is None else base.tree
                changes |= {path: trees.find(self.reader.source, root, path) for path in before}
            changes |= after
        return changes, clashes

    def _unowned(self, base: Snapshot | None, side: Snapshot) -> dict[str, dict[str, TreeEntry | None]]:
        """Return the files in a document's folder that a side changed and that are no part of the value: by the folder
        of those that belong to the document, and else each by its own path.
        """
        layout = side.collection.layout
        found: dict[str, dict[str, TreeEntry | None]] = {}
        for path, _, after in trees.diff(self.reader.source, None if base is None else base.tree, side.tree):
            if not layout.owns(path):
                place = path.rpartition("/")[0] if layout.attached(path) else path
                found.setdefault(place, {})[path] = after
        return found


def value_of(snapshot: Snapshot | None) -> Slot:
    """Return the value that both sides came of; a document that was none was not there."""
    try:
        return ABSENT if snapshot is None else snapshot.content().value
    except CorruptionError:
        return ABSENT


def rewritten(wanted: Snapshot, standing: Snapshot) -> Changes:
    """Return the changes that put the files of one value in the place of another's, unread."""
    owns = wanted.collection.layout.owns
    files = {path: entry for path, entry in wanted.files().items() if owns(path)}
    return {**{path: None for path in standing.files() if owns(path)}, **files}
