"""What a store tells: its documents at any revision, which there are, and their histories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitstate.engine import graph, trees
from gitstate.engine.base import NotAtHandError
from gitstate.errors import ClosedError, CorruptionError, StateCorruptionError
from gitstate.store import history, naming, walks
from gitstate.store.bulk import read_ahead
from gitstate.store.index.indexes import Indexes
from gitstate.store.pins import Pins
from gitstate.store.reader import Reader
from gitstate.store.trails import Life, Trail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitstate.engine.base import Engine
    from gitstate.engine.objects import ObjectId
    from gitstate.engine.repository import Repository
    from gitstate.store.documents import Collection, Revision, Snapshot
    from gitstate.store.history import Part
    from gitstate.store.index.summaries import Facts
    from gitstate.store.selection import Selected, Selection
    from gitstate.store.trails import Said
    from gitstate.store.watching import Watcher

__all__ = ["ReadingStore"]


class ReadingStore:
    """The half of :class:`gitstate.store.store.Store` that writes nothing."""

    def __init__(self, engine: Engine, repository: Repository | None) -> None:
        self._engine = engine
        self._reader = Reader(engine)
        private = None if repository is None else repository.private
        self._indexes = Indexes(private, "" if repository is None else repository.branch, self._reader)
        self._reader.index = self._indexes.revisions
        self._closed = ""

    @property
    def identity(self) -> str:
        """Tells this store from every other one that this machine sees: its path and branch."""
        return self._engine.identity

    @property
    def reader(self) -> Reader:
        """Finds documents in the trees of the repository, whichever branch they are of."""
        return self._reader

    def head(self) -> ObjectId:
        """Return the commit at which the store stands.

        Raises:
            StoreNotFoundError: The branch, or the whole repository, is gone.
            UnsupportedError: A commit that is no store's is there now.
        """
        self._check_open()
        return self._reader.head()

    def resolve(self, at: str | None, collection: Collection | None = None, document: str = "") -> ObjectId:
        """Return the commit that ``at`` names; None names the head. Names that count the revisions of a document, such
        as ``~1``, and its pins need one; see :mod:`gitstate.store.naming`.

        Raises:
            RevisionNotFoundError: No revision answers to the name, or several do; the message lists candidates.
            InvalidInputError: It is no text, or needs a document.
            StoreNotFoundError: The branch, or the whole repository, is gone.
        """
        self._check_open()
        if at is None:
            return self._reader.head()
        if collection is None:
            return naming.resolve(self._reader, at)
        return naming.Names(self._reader, collection, document).resolve(at)

    def load(self, collection: Collection, document: str, at: str | None = None) -> Snapshot | None:
        """Return a document as it stands at the head, or stood ``at`` a revision; None when there is none."""
        return self._reader.snapshot(collection, document, self.resolve(at, collection, document))

    def at_hand(self, collection: Collection, document: str) -> Snapshot | None:
        """Return a document as it stands if it is in memory, and None if it is not, or there is none. Nothing is read
        but the branch, so that an event loop needs no thread for this.
        """
        self._check_open()
        try:
            reader = self._reader.over(self._engine.at_hand())
            found = reader.snapshot(collection, document, reader.head())
            if found is None or found.known() is None:
                return None
        except NotAtHandError:
            return None
        return self._reader.snapshot_of(collection, document, found.revision, found.tree)

    def documents(self, collection: Collection, at: str | None = None, *, whole: bool = False) -> Iterator[Snapshot]:
        """Yield every document of a collection; ``whole`` says that what each holds will be asked for."""
        found = self._reader.documents(collection, self.resolve(at))
        return read_ahead(self._engine, found) if whole else found

    def select(self, collection: Collection, selection: Selection) -> tuple[list[Selected], list[tuple[str, str]]]:
        """Return the documents that are asked for by what they say of themselves, and those that cannot be read, each
        with a sentence that says why.

        Raises:
            CorruptionError: A commit or tree is missing or damaged.
            StoreNotFoundError: The branch, or the whole repository, is gone.
        """
        self._check_open()
        return self._indexes.select(collection, selection)

    def facts(self, collection: Collection, document: str) -> Facts:
        """Return what a document says of itself: nothing if there is none, None if it cannot be read. Raises as
        :meth:`select` does.
        """
        self._check_open()
        return self._indexes.facts(collection, document)

    def deleted(self, collection: Collection) -> Iterator[tuple[str, Revision]]:
        """Yield each document that is there no more, with the revision that removed it, the newest first."""
        self._check_open()
        known = self._indexes.revisions(collection).deleted()
        return walks.deleted(self._reader, collection, self.head()) if known is None else iter(known)

    def history(
        self,
        collection: Collection,
        document: str,
        at: str | None = None,
        *,
        until: ObjectId | None = None,
        key: str | None = None,
        value: str | None = None,
    ) -> Iterator[Revision]:
        """Yield the revisions of a document, newest first, its deletions and earlier lives too.

        Args:
            collection: Its collection.
            document: Its id.
            at: The revision to begin at, the head by default.
            until: The last of its revisions that is yielded.
            key: Only revisions with such a trailer.
            value: And with that value.
        """
        start = self.resolve(at, collection, document)
        return history.revisions(self._reader, Trail(collection, document, start, until, key, value))

    def history_of_part(
        self, collection: Collection, document: str, part: Part, at: str | None = None
    ) -> Iterator[Revision]:
        """Yield the revisions that changed a part of a document, newest first; ``part`` tells it apart."""
        start = self.resolve(at, collection, document)
        return history.of_part(self._reader, collection, document, start, part)

    def said(self, collection: Collection, document: str, life: Life, *keys: str) -> list[Said]:
        """Return what the revisions in a life of a document that have the first of some trailers say with these, that
        of the newest first.
        """
        self._check_open()
        return history.said(self._reader, Trail(collection, document, life.newest, life.began.id, keys[0]), keys)

    def life(self, collection: Collection, document: str, start: ObjectId) -> Life | None:
        """Return the last life that a document had at a commit; None if it had none."""
        self._check_open()
        return next(iter(history.lives(self._reader, Trail(collection, document, start))), None)

    def pins(self, collection: Collection, document: str) -> Pins:
        """Return the names that revisions of a document have, to be looked at and changed."""
        self._check_open()
        return Pins(self._engine, collection, document)

    def snapshot(self, collection: Collection, document: str, revision: ObjectId) -> Snapshot | None:
        """Return a document as it stood at a revision that :meth:`history` gave."""
        self._check_open()
        return self._reader.snapshot(collection, document, revision)

    def attributed(self, snapshot: Snapshot, error: CorruptionError) -> StateCorruptionError:
        """Return the error of a document that cannot be read, which says as well who made it so; never raises."""
        from gitstate.store import makers

        return makers.attributed(self._reader, snapshot, error)

    def walk(self, *holding: bytes, start: ObjectId | None = None) -> Iterator[Revision]:
        """Yield every revision that ``start``, or the head, has in its history, or those whose message holds one of
        these, newest first.
        """
        return walks.walk(self._engine, start or self.head(), holding=holding)

    def changed(self, collection: Collection, revision: Revision) -> list[str]:
        """Return the documents that a revision made, changed or deleted."""
        return walks.changed(self._reader, collection, revision)

    def watch(self, collection: Collection, since: str | None = None, document: str = "") -> Watcher:
        """Return what tells of each revision that comes ``since`` one, the head by default.

        ``since`` is the text of a :class:`gitstate.store.watching.Cursor`, with which a watcher goes on where another
        one stopped, or names a revision as :meth:`resolve` takes it, of a document if one is named. Raises as that
        does, also when a commit of the cursor's is gone.
        """
        from gitstate.store.watching import Cursor, Watcher

        cursor = Cursor.parse(since) if isinstance(since, str) else None
        if cursor is None:
            cursor = Cursor((self.resolve(since, collection if document else None, document),))
        for commit_id in cursor.commits:
            self.resolve(commit_id)
        return Watcher(self._reader, collection, cursor)

    def paths(self, at: str | None = None) -> Iterator[str]:
        """Yield the path of every file in the committed tree."""
        root = graph.read(self._engine, self.resolve(at)).tree
        yield from (path for path, _ in trees.files(self._engine, root))

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(self._closed, hint="open the store again")
