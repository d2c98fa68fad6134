"""The three-way merge of whole trees: documents as values, by the rules of their collection, and other files by path.

What only one side changed is taken as that side has it. A document that both changed is merged place by place; what
cannot be merged there stays as ours has it, and is reported as data. A change survives a deletion.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gitstate.engine import trees
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.trees import Changes, Edited
from gitstate.errors import CorruptionError, UnstorableError
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.reader import Reader
from gitstate.values.canonical import Value
from gitstate.values.merge import ABSENT, Conflict, Slot, merge3

__all__ = ["MergedDocument", "MergedRoots", "merge_roots"]


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

    @property
    def is_clean(self) -> bool:
        """Whether nothing is in conflict."""
        return not self.clashes and not any(merged.conflicts for merged in self.documents)

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
    formats = [reader.format(root) for root in (base, ours, theirs)]
    moved = formats[1] == formats[0] != formats[2]
    merge = _Merge(reader, base, ours, theirs, onto=theirs if moved else ours)
    documents = [merged for collection in collections for merged in merge.documents(collection)]
    files, clashes = merge.files(list(collections), moved=len(set(formats)) > 1)
    return MergedRoots(merge.onto, tuple(documents), files, tuple(clashes))


@dataclass
class _Merge:
    """A merge at work. ``folders`` are those of the documents that were looked at, in each of the trees."""

    reader: Reader
    base: ObjectId
    ours: ObjectId
    theirs: ObjectId
    onto: ObjectId

    def __post_init__(self) -> None:
        self.folders: set[str] = set()

    def documents(self, collection: Collection) -> Iterator[MergedDocument]:
        """Yield what is to be changed of the documents of a collection, and which are in conflict."""
        here, there = (
            {document: (was, now) for document, was, now in self.reader.differing(collection, self.base, side)}
            for side in (self.ours, self.theirs)
        )
        for document in sorted(here.keys() | there.keys()):
            for root in (self.base, self.ours, self.theirs):
                self.folders.add(self.reader.folder(root, collection, document))
            if document in here and document in there:
                merged = self._both(collection, document)
                if merged.changes or merged.conflicts or merged.note:
                    yield merged
            elif document in (here if self.onto == self.theirs else there):
                side = self.ours if self.onto == self.theirs else self.theirs
                yield MergedDocument(collection, document, self._taken(collection, document, side))

    def files(self, collections: Sequence[Collection], *, moved: bool) -> tuple[Changes, list[str]]:
        """Return the changes of the files that belong to no document, and which of them clash.

        ``moved`` says that documents lie elsewhere in one of the trees: then nothing in their collections counts.
        """
        tops = {f"{collection.name}/" for collection in collections} if moved else set()
        other = self.ours if self.onto == self.theirs else self.theirs
        changes: dict[str, bytes | TreeEntry | None] = {}
        clashes: list[str] = []
        for path, before, after in trees.diff(self.reader.source, self.base, other):
            if path.startswith(tuple(tops)) or self._in_a_document(path):
                continue
            standing = trees.find(self.reader.source, self.onto, path)
            if standing == before:
                changes[path] = after
            elif standing != after:
                clashes.append(path)
                if other == self.ours:
                    changes[path] = after
        return changes, clashes

    def _in_a_document(self, path: str) -> bool:
        folder = path
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            if folder in self.folders:
                return True
        return False

    def _entry(self, root: ObjectId, collection: Collection, document: str) -> TreeEntry | None:
        """Return what stands in a document's place, whether it is one or not."""
        return trees.find(self.reader.source, root, self.reader.folder(root, collection, document))

    def _taken(self, collection: Collection, document: str, side: ObjectId) -> Changes:
        return {self.reader.folder(self.onto, collection, document): self._entry(side, collection, document)}

    def _both(self, collection: Collection, document: str) -> MergedDocument:
        """Merge a document that both sides changed."""
        ours, theirs = (self.reader.snapshot_in(collection, document, root, root) for root in (self.ours, self.theirs))
        if ours is None or theirs is None:
            if ours is theirs:
                return MergedDocument(collection, document, {})  # both deleted it
            kept = self.theirs if ours is None else self.ours
            note = "it was deleted and changed: the change survives"
            changes = {} if kept == self.onto else self._taken(collection, document, kept)
            return MergedDocument(collection, document, changes, note=note)
        base = self.reader.snapshot_in(collection, document, self.base, self.base)
        return self._values(collection, document, base, ours, theirs)

    def _values(
        self, collection: Collection, document: str, base: Snapshot | None, ours: Snapshot, theirs: Snapshot
    ) -> MergedDocument:
        standing = theirs if self.onto == self.theirs else ours
        changes: Changes
        note = ""
        try:
            merge = merge3(_slot(base), ours.content().value, theirs.content().value, collection.rules)
            value: dict[str, Value] = merge.value  # type: ignore[assignment]  # objects merge to an object
            if not merge.conflicts:
                collection.check(value)
            changes, conflicts = collection.layout.changes(value, standing.content().value), merge.conflicts
        except (CorruptionError, UnstorableError) as error:  # one of them is no state, or both together are none
            changes = {} if standing is ours else _rewritten(ours, theirs)
            conflicts, note = (Conflict("", ABSENT, ABSENT, ABSENT),), error.message
        attached, clashes = self._attached(base, ours, theirs, standing)
        folder = self.reader.folder(self.onto, collection, document)
        placed = {f"{folder}/{path}": content for path, content in {**changes, **attached}.items()}
        return MergedDocument(collection, document, placed, (*conflicts, *clashes), note)

    def _attached(
        self, base: Snapshot | None, ours: Snapshot, theirs: Snapshot, standing: Snapshot
    ) -> tuple[Changes, list[Conflict]]:
        """Return the changes of the files in a document's folder that are no part of its value.

        What belongs to the document, such as the output of an attempt, stays as ours has it where both changed it: the
        other one is in the history.
        """
        source, layout = self.reader.source, ours.collection.layout
        other = ours if standing is theirs else theirs
        changes: dict[str, bytes | TreeEntry | None] = {}
        clashes: list[Conflict] = []
        for path, before, after in trees.diff(source, None if base is None else base.tree, other.tree):
            if layout.owns(path):
                continue
            found = trees.find(source, standing.tree, path)
            if found == before or (found != after and other is ours):
                changes[path] = after
            if found not in (before, after) and not layout.attached(path):
                clashes.append(Conflict(f"/{path}", ABSENT, ABSENT, ABSENT))
        return changes, clashes


def _slot(snapshot: Snapshot | None) -> Slot:
    """Return the value that both sides came of; a document that was none was not there."""
    try:
        return ABSENT if snapshot is None else snapshot.content().value
    except CorruptionError:
        return ABSENT


def _rewritten(wanted: Snapshot, standing: Snapshot) -> Changes:
    """Return the changes that put the files of one value in the place of another's, unread."""
    owns = wanted.collection.layout.owns
    files = {path: entry for path, entry in wanted.files().items() if owns(path)}
    return {**{path: None for path in standing.files() if owns(path)}, **files}
