"""Reads documents at a commit: where they lie, what they hold, which there are."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from itertools import islice

from gitstate.engine import graph, trees
from gitstate.engine.base import Engine, Source
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.refs import BESIDE
from gitstate.errors import CorruptionError, StoreNotFoundError, UnsupportedError
from gitstate.format import names
from gitstate.format.version import FormatVersion
from gitstate.store.content import ContentCache
from gitstate.store.documents import Collection, Revision, Snapshot
from gitstate.store.trails import Known
from gitstate.values import canonical

__all__ = ["FORMAT_FILE", "Reader"]

FORMAT_FILE = "gitstate.json"
_AT_ONCE = 1000  # folders whose trees are read in bulk


@dataclass
class _Met:
    """What was read before: formats by the ids of their files, that of the root tree that was asked for last (None: it
    is no store's), and the last head that was found to be a store's, with its root tree.
    """

    formats: dict[ObjectId, FormatVersion] = field(default_factory=dict)
    last: tuple[ObjectId, FormatVersion | None] = ("", None)
    head: tuple[ObjectId, ObjectId] = ("", "")


class Reader:
    """Finds documents in the trees of one engine. Safe to use from any thread.

    Args:
        engine: The engine.
        contents: What is known of documents; None: nothing.
    """

    def __init__(self, engine: Engine, contents: ContentCache | None = None) -> None:
        self.engine = engine
        self.source: Source = engine
        self.contents = ContentCache() if contents is None else contents
        self._met = _Met()
        self.index: Callable[[Collection], Known | None] = lambda _: None
        """Gives the index of a collection, if there is one."""

    def over(self, source: Source) -> "Reader":
        """Return a reader of what another source holds, with the same memory."""
        reader = copy(self)
        reader.source = source
        return reader

    def head(self) -> ObjectId:
        """Return the commit at which the store stands.

        Raises:
            StoreNotFoundError: The branch, or the whole repository, is gone: that is not a store without documents.
            UnsupportedError: A commit that is no store's, or a store's of a newer format, is there now.
        """
        head = self.engine.head()
        if head is None:
            raise StoreNotFoundError(
                f"the branch of {self.engine.identity} is gone",
                hint="`git reflog` of the branch shows where it stood; put it back, or choose a new folder",
            )
        if head != self._met.head[0]:
            root = graph.root(self.source, head)
            self.format(root)
            self._met.head = head, root
        return head

    def root(self, commit_id: ObjectId) -> ObjectId:
        """Return the root tree of a commit, that of the head without reading it again."""
        head, root = self._met.head
        return root if commit_id == head else graph.root(self.source, commit_id)

    def format(self, root: ObjectId) -> FormatVersion:
        """Return how a root tree is to be read; each commit's own ``gitstate.json`` says so.

        Raises:
            UnsupportedError: The tree is no store's, or a store's of a newer format.
        """
        found = self._format(root)
        if found is None:
            raise UnsupportedError(
                f"{self.engine.identity} is a git branch, but no store: {FORMAT_FILE} is missing",
                hint=BESIDE,
            )
        return found

    def _format(self, root: ObjectId) -> FormatVersion | None:
        known, version = self._met.last
        if known != root:
            entry = trees.find(self.source, root, FORMAT_FILE)
            if entry is not None and entry.id not in self._met.formats:
                self._met.formats[entry.id] = FormatVersion.parse(self.source.read(entry.id, "blob"))
            version = None if entry is None else self._met.formats[entry.id]
            self._met.last = root, version
        return version

    def folder(self, root: ObjectId, collection: Collection, document: str) -> str:
        """Return the path of a document's folder in a root tree, whether it is there or not."""
        return collection.folder(document, self.format(root).fanout)

    def locate(self, root: ObjectId, collection: Collection, document: str) -> ObjectId | None:
        """Return the id of a document's own tree in a root tree, or None if there is no document."""
        levels = self._levels(root)
        entry = None if levels is None else trees.find(self.source, root, collection.folder(document, levels))
        if entry is None or not entry.is_directory:
            return None
        return entry.id if self._holds_document(collection, entry.id) else None

    def snapshot(self, collection: Collection, document: str, commit_id: ObjectId) -> Snapshot | None:
        """Return a document as it stands in a commit, or None."""
        return self.snapshot_in(collection, document, commit_id, self.root(commit_id))

    def after(self, collection: Collection, document: str, revision: Revision) -> Snapshot | None:
        """Return a document as it stood after one of its revisions, without a look at all that stood beside it where it
        is known which tree it was. That is a hint: where there is no such tree, the way to it is gone.
        """
        if revision.tree is not None:
            with suppress(CorruptionError):
                trees.read(self.source, revision.tree)
                return self.snapshot_of(collection, document, revision.id, revision.tree)
        return self.snapshot(collection, document, revision.id)

    def snapshot_in(
        self, collection: Collection, document: str, commit_id: ObjectId, root: ObjectId
    ) -> Snapshot | None:
        """Return a document as it stands in a commit whose root tree is known, or None."""
        tree = self.locate(root, collection, document)
        return None if tree is None else self.snapshot_of(collection, document, commit_id, tree)

    def snapshot_if(
        self, collection: Collection, document: str, commit_id: ObjectId, tree: ObjectId | None
    ) -> Snapshot | None:
        """Return a document whose folder is this tree; None: there is no folder, or no document in it."""
        if tree is None or not self._holds_document(collection, tree):
            return None
        return self.snapshot_of(collection, document, commit_id, tree)

    def snapshot_of(self, collection: Collection, document: str, commit_id: ObjectId, tree: ObjectId) -> Snapshot:
        """Return a document whose own tree is known."""
        return Snapshot(collection, document, commit_id, tree, self.source, self.contents)

    def documents(self, collection: Collection, commit_id: ObjectId) -> Iterator[Snapshot]:
        """Yield every document of a collection in a commit, in the order of their folders."""
        for document, _, tree in self.places(collection, graph.read(self.source, commit_id).tree):
            yield self.snapshot_of(collection, document, commit_id, tree)

    def places(
        self, collection: Collection, root: ObjectId, before: ObjectId | None = None
    ) -> Iterator[tuple[str, str, ObjectId]]:
        """Yield the id, the path and the own tree of every document in a root tree, in the order of their folders.

        The trees are read in bulk. Folders that are the same in the root tree ``before``, with the same fanout, are
        left out.
        """
        top, levels = trees.find(self.source, root, collection.name), self._levels(root)
        if levels is None or top is None or not top.is_directory:
            return
        was = trees.find(self.source, before, collection.name) if before and self._levels(before) == levels else None
        folders = self._folders(top.id, levels, known=was)
        while several := list(islice(folders, _AT_ONCE)):
            deque(self.engine.bulk([tree for _, _, tree in several]), maxlen=0)
            for fan, name, tree in several:
                document = self._document_in(collection, fan, name, tree, levels)
                if document is not None:
                    yield document, f"{collection.name}/{fan}/{name}" if fan else f"{collection.name}/{name}", tree

    def differing(
        self, collection: Collection, before: ObjectId | None, after: ObjectId
    ) -> Iterator[tuple[str, ObjectId | None, ObjectId | None]]:
        """Yield the id of each document that differs between two root trees (None: an empty one), and its own tree in
        both, or None where it is not. Folders that are the same in both are not read.
        """
        was: dict[str, ObjectId] = {}
        now: dict[str, ObjectId] = {}
        levels = self._levels(after)
        if before is None or levels is None or self._levels(before) != levels:
            was, now = ({} if root is None else self._trees(collection, root) for root in (before, after))
        else:
            tops = [trees.find(self.source, root, collection.name) for root in (before, after)]
            folders = [entry.id if entry is not None and entry.is_directory else None for entry in tops]
            for fan, name, *both in self._differing_folders(folders[0], folders[1], levels):
                for side, tree in zip((was, now), both, strict=True):
                    document = None if tree is None else self._document_in(collection, fan, name, tree, levels)
                    if tree is not None and document is not None:
                        side[document] = tree
        for document in was | now:
            if was.get(document) != now.get(document):
                yield document, was.get(document), now.get(document)

    def _levels(self, root: ObjectId) -> int | None:
        """Return the levels of folders under which documents lie; None: the tree is no store's, and there are none.

        A person's slip that was put right leaves such a tree in the history, and no more than that.
        """
        found = self._format(root)
        return None if found is None else found.fanout

    def _trees(self, collection: Collection, root: ObjectId) -> dict[str, ObjectId]:
        return {document: tree for document, _, tree in self.places(collection, root)}

    def _differing_folders(
        self, before: ObjectId | None, after: ObjectId | None, levels: int, fan: str = ""
    ) -> Iterator[tuple[str, str, ObjectId | None, ObjectId | None]]:
        if before == after:
            return
        old, new = (trees.read(self.source, tree) for tree in (before, after))
        for name in old.differing(new):
            was, now = (entry.id if (entry := side.get(name)) and entry.is_directory else None for side in (old, new))
            if was != now and levels:
                yield from self._differing_folders(was, now, levels - 1, f"{fan}/{name}" if fan else name)
            elif was != now:
                yield fan, name, was, now

    def _document_in(self, collection: Collection, fan: str, name: str, tree: ObjectId, levels: int) -> str | None:
        """Return the id of the document in a folder; None: it holds none, or no reader looks for one there."""
        document = self._document_id(collection, name, tree)
        if document is None or (names.fan(document, levels) != fan and names.encode(document) == name):
            return None
        return document if self._holds_document(collection, tree) else None

    def _folders(
        self, tree: ObjectId, levels: int, fan: str = "", known: TreeEntry | None = None
    ) -> Iterator[tuple[str, str, ObjectId]]:
        same = trees.read(self.source, known.id if known is not None and known.is_directory else None)
        for name, entry in trees.read(self.source, tree).items():
            if not entry.is_directory or same.get(name) == entry:
                continue
            if levels:
                yield from self._folders(entry.id, levels - 1, f"{fan}/{name}" if fan else name, same.get(name))
            else:
                yield fan, name, entry.id

    def _document_id(self, collection: Collection, name: str, tree: ObjectId) -> str | None:
        """Return the id that a folder's name stands for; None for a folder that is not ours."""
        document = names.decode(name)
        if document is None and names.is_cut(name):
            # The root file tells; where it cannot, the name of the folder says at least which document is broken.
            document = self._id_in_root_file(collection, name, tree) or name
        return document

    def _id_in_root_file(self, collection: Collection, name: str, tree: ObjectId) -> str | None:
        """Return the id that stands in a document, if its folder has the name of that."""
        try:
            entry = trees.find(self.source, tree, collection.layout.root)
            value = None if entry is None else canonical.loads(self.source.read(entry.id, "blob"))
        except CorruptionError:
            return None
        document = value.get(collection.id_field) if isinstance(value, dict) else None
        return document if isinstance(document, str) and document and names.encode(document) == name else None

    def _holds_document(self, collection: Collection, tree: ObjectId) -> bool:
        """Whether a folder holds a document: a file of its value, the root file as a rule, and not only others'."""
        try:
            entries = trees.read(self.source, tree)
            return collection.layout.root in entries or any(
                collection.layout.owns(path) for path, _ in trees.files(self.source, tree)
            )
        except CorruptionError:
            return True  # it cannot be read, and whoever asks for it shall be told so
