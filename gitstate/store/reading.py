"""What a store tells: its documents at any revision, which there are, and their histories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitstate.engine import graph, trees
from gitstate.engine.base import NotAtHandError
from gitstate.errors import ClosedError, CorruptionError, InvalidInputError, StateCorruptionError
from gitstate.store import history, naming, walks
from gitstate.store.answers import Answers, AtHand
from gitstate.store.bulk import read_ahead
from gitstate.store.content import ContentCache
from gitstate.store.exactness import Exactness
from gitstate.store.index.indexes import Indexes
from gitstate.store.pins import Pins
from gitstate.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gitstate.engine.base import Engine, Settled
    from gitstate.engine.objects import ObjectId
    from gitstate.engine.project import Project
    from gitstate.engine.repository import Repository
    from gitstate.format.secrets import Redactor
    from gitstate.store.documents import Collection, Revision, Snapshot
    from gitstate.store.history import Part
    from gitstate.store.scanning import ScanReport
    from gitstate.store.watching import Watcher

__all__ = ["ReadingStore"]

_GIVEN = 1000  # documents


class ReadingStore(Answers):
    """The half of :class:`gitstate.store.store.Store` that writes nothing."""

    def __init__(self, engine: Engine, repository: Repository | None) -> None:
        self._engine = engine
        self._repository = repository
        private, branch = (None, "") if repository is None else (repository.private, repository.branch)
        self._exact = Exactness(private)
        self._reader = Reader(engine, ContentCache(exactness=self._exact))
        self._indexes: Indexes = Indexes(private, branch, self._reader)
        self._reader.index = self._indexes.revisions
        self._closed = ""
        self._given: dict[str, Snapshot] = {}  # by at_hand, to who may ask again before anything is saved
        self.answers = AtHand(self, engine.at_hand(), self._indexes)
        """What it answers without waiting for anything."""

    @property
    def identity(self) -> str:
        """Tells this store from every other one that this machine sees: its path and branch."""
        return self._engine.identity

    @property
    def branch(self) -> str:
        """The branch that holds it; "" for a store in memory."""
        return "" if self._repository is None else self._repository.branch

    @property
    def project(self) -> Project | None:
        """The project in whose own repository the store lies, beside what is checked out there; None: in none."""
        from gitstate.store import branches

        return None if self._repository is None else branches.project(self._repository, self._engine)

    @property
    def home(self) -> Project | None:
        """The store's own repository, as one that may have the commits of a project."""
        from gitstate.engine.project import Project

        return None if self._repository is None else Project(self._repository)

    @property
    def recovered(self) -> Sequence[Settled]:
        """What became of branches that this object found as a cut of the power, or damage, had left them."""
        return tuple(self._engine.settled)

    @property
    def reader(self) -> Reader:
        """Finds documents in the trees of the repository, whichever branch they are of."""
        return self._reader

    def resolve(self, at: str | None, collection: Collection | None = None, document: str = "") -> ObjectId:
        """See :meth:`Answers.resolve`."""
        self._check_open()
        if at is None:
            return self._reader.head()
        if collection is None:
            return naming.resolve(self._reader, at)
        return naming.Names(self._reader, collection, document).resolve(at)

    def load(self, collection: Collection, document: str, at: str | None = None) -> Snapshot | None:
        """See :meth:`Answers.load`."""
        return self._reader.snapshot(collection, document, self.resolve(at, collection, document))

    def at_hand(self, collection: Collection, document: str) -> Snapshot | None:
        """Return a document as it stands if it is in memory, and None if it is not, or there is none. Nothing is read
        but the branch, so that an event loop needs no thread for this.
        """
        self._check_open()
        try:
            reader = self.answers.reader
            head = reader.head()
            lately = self._given.get(document)
            if lately is not None and lately.revision == head and lately.collection is collection:
                return None if lately.known() is None else lately
            found = reader.snapshot(collection, document, head)
            if found is None or found.known() is None:
                return None
        except NotAtHandError:
            return None
        if len(self._given) >= _GIVEN:
            self._given.clear()
        self._given[document] = given = self._reader.snapshot_of(collection, document, head, found.tree)
        return given

    def documents(self, collection: Collection, at: str | None = None, *, whole: bool = False) -> Iterator[Snapshot]:
        """Yield every document of a collection; ``whole`` says that what each holds will be asked for."""
        found = self._reader.documents(collection, self.resolve(at))
        return read_ahead(self._engine, found) if whole else found

    def deleted(self, collection: Collection) -> Iterator[tuple[str, Revision]]:
        """Yield each document that is there no more, with the revision that removed it, the newest first."""
        self._check_open()
        known = self._indexes.revisions(collection).deleted()
        return walks.deleted(self._reader, collection, self.head()) if known is None else iter(known)

    def authors(self, collection: Collection) -> dict[str, str]:
        """Return who changed each document last, by its id; those are left out of which that takes a walk."""
        self._check_open()
        return self._indexes.revisions(collection).authors() or {}

    def history_of_part(
        self, collection: Collection, document: str, part: Part, at: str | None = None
    ) -> Iterator[Revision]:
        """Yield the revisions that changed a part of a document, newest first; ``part`` tells it apart."""
        start = self.resolve(at, collection, document)
        return history.of_part(self._reader, collection, document, start, part)

    def pins(self, collection: Collection, document: str) -> Pins:
        """Return the names that revisions of a document have, to be looked at and changed."""
        self._check_open()
        return Pins(self._engine, collection, document)

    def snapshot(self, collection: Collection, document: str, revision: ObjectId) -> Snapshot | None:
        """Return a document as it stood at a commit."""
        self._check_open()
        return self._reader.snapshot(collection, document, revision)

    def after(self, collection: Collection, document: str, revision: Revision) -> Snapshot | None:
        """Return a document as it stood after a revision that :meth:`history` gave for it."""
        self._check_open()
        return self._reader.after(collection, document, revision)

    def attributed(self, snapshot: Snapshot, error: CorruptionError) -> StateCorruptionError:
        """See :meth:`Answers.attributed`."""
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

    def scan(
        self,
        *collections: Collection,
        redactor: Redactor,
        at: str | None = None,
        since: str | None = None,
        everything: bool = False,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> ScanReport:
        """Look for credentials in each file and each message of the history of all that the store keeps: the branch,
        pins, proposals and rescues.

        Args:
            collections: Those whose documents are named.
            redactor: Says what is a credential.
            at: Look only into the files that stand at this revision, and into its message.
            since: Look only into what came after this revision.
            everything: Look into the history of every ref of the repository.
            progress: Is told how many files and messages were looked at, and of how many.

        Raises:
            InvalidInputError: These exclude one another.
            RevisionNotFoundError: There is no such revision.
            CorruptionError: A commit or a tree is missing or damaged.
        """
        from gitstate.store import scanning

        self._check_open()
        if at is not None and (since is not None or everything):
            raise InvalidInputError("what stands at one revision has no beginning, and is on no ref")
        only = None if at is None else self.resolve(at)
        tips = [only] if only else scanning.tips_of(self._engine, collections, self.head(), everything=everything)
        without = [] if since is None else [self.resolve(since)]
        return scanning.scan(self._engine, collections, redactor, tips, without, only=only, progress=progress)

    def paths(self, at: str | None = None) -> Iterator[str]:
        """Yield the path of every file in the committed tree."""
        root = graph.read(self._engine, self.resolve(at)).tree
        yield from (path for path, _ in trees.files(self._engine, root))

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(self._closed, hint="open the store again")
