"""The door to a store: open it, read documents at any revision, submit writes, look at their history.

Methods import what not every program needs (docs/design/0008-start-up.md).
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gitstate.engine import graph, refs, trees
from gitstate.engine.base import Engine, Settled
from gitstate.engine.git import GitEngine
from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import Repository, open_repository
from gitstate.errors import (
    ClosedError,
    InvalidInputError,
    StoreNotFoundError,
)
from gitstate.format.version import FormatVersion
from gitstate.store import history, naming, walks
from gitstate.store.documents import Collection, Edit, Revision, Snapshot
from gitstate.store.index.indexes import Indexes
from gitstate.store.index.summaries import Facts
from gitstate.store.pins import Pins
from gitstate.store.reader import Reader
from gitstate.store.selection import Selected, Selection
from gitstate.store.trails import Span, Trail
from gitstate.store.worktree import Worktree, show
from gitstate.store.writer import Writer

if TYPE_CHECKING:
    from gitstate.engine.upkeep import GcReport
    from gitstate.store.reshard import Resharded
    from gitstate.store.verify import Report, Validate
    from gitstate.store.watching import Watcher

__all__ = ["Store"]

_DEFAULT_BRANCH = "main"


class Store:
    """One git repository under our care. Synchronous, and safe to use from any thread.

    Make one with :meth:`open` or :meth:`in_memory`. A store that is forgotten finishes its writes and refreshes the
    worktree when the program ends; one that came along in a fork says that it is closed.
    """

    def __init__(self, engine: Engine, worktree: Worktree | None = None, repository: Repository | None = None) -> None:
        self._engine = engine
        self._repository = repository
        self._worktree = worktree
        self._reader = Reader(engine)
        private = None if repository is None else repository.private
        self._indexes = Indexes(private, "" if repository is None else repository.branch, self._reader)
        self._reader.index = self._indexes.revisions
        self._writer = Writer(engine, self._reader, self._indexes.written)
        self._closed = ""
        self.created = False  # whether this object made the store
        self._closing = threading.Lock()
        self._forgotten = weakref.finalize(self, _shut_elsewhere, self._writer, self._indexes, worktree, engine)
        self._forgotten.atexit = False  # those that are still there when the program ends are closed below
        _open_stores.add(self)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        branch: str = _DEFAULT_BRANCH,
        create: bool = True,
        worktree: bool = True,
        durability: str = "full",
    ) -> Self:
        """Open the store at ``path``; make it where there is nothing, an empty folder or an empty repository.

        Args:
            path: The folder of the store, or a bare repository.
            branch: The branch that holds it. One that is not ``main`` may be made beside the branches of a project.
            create: Whether to make a store where there is none.
            worktree: Whether a new store shows its files in the folder; without it the repository is bare.
            durability: ``"full"``: a write that was answered survives a cut of the power. ``"normal"``: it survives
                the death of any process; what was written in the last seconds before a cut of the power may be lost,
                and :attr:`recovered` then names it (docs/concepts/durability.md).

        Raises:
            StoreNotFoundError: There is no store and ``create`` is False.
            InvalidInputError: An argument cannot be meant, or the path is a file.
            UnsupportedError: What is there is not ours; it was left alone.
            StorageError: The disk refused.
        """
        if durability not in ("full", "normal"):
            raise InvalidInputError(f"there is no durability {durability!r}", hint='use "full" or "normal"')
        repository = open_repository(Path(path), branch=branch, create=create, bare=not worktree)
        if create and branch == _DEFAULT_BRANCH:
            refs.refuse_a_project(repository)
        engine = GitEngine(repository, durable=durability == "full")
        store = cls(engine, Worktree(repository, engine) if repository.worktree is not None else None, repository)
        try:
            store._make_or_check(create)
        except BaseException:
            store._forgotten.detach()
            engine.close()
            raise
        return store

    @classmethod
    def in_memory(cls) -> Self:
        """Make a store that is gone with the process."""
        from gitstate.engine.memory import MemoryEngine

        store = cls(MemoryEngine())
        store._make_or_check(create=True)
        return store

    def _make_or_check(self, create: bool) -> None:
        if self._engine.head() is None:
            if not create:
                raise StoreNotFoundError(
                    f"there is no store on the branch of {self.identity}: it has no commits",
                    hint="`gitstate init` makes one",
                )
            self.created = self._writer.create(FormatVersion()) is not None
            show(self._worktree)  # a person's first commit in there must not take the new store's own file back
        self.head()

    @property
    def identity(self) -> str:
        """Tells this store from every other one that this machine sees: its path and branch."""
        return self._engine.identity

    @property
    def path(self) -> Path | None:
        """The folder in which the files are shown; None for a bare store or one in memory."""
        return self._worktree.path if self._worktree is not None else None

    @property
    def recovered(self) -> Sequence[Settled]:
        """What became of branches that this object found as a cut of the power, or damage, had left them."""
        return tuple(self._engine.settled)

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

    def documents(self, collection: Collection, at: str | None = None) -> Iterator[Snapshot]:
        """Yield every document of a collection."""
        return self._reader.documents(collection, self.resolve(at))

    def select(self, collection: Collection, selection: Selection) -> tuple[list[Selected], list[str]]:
        """Return the documents that are asked for by what they say of themselves, and a sentence of each that cannot be
        read.

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
        known = self._indexes.of(collection).revisions.deleted()
        return walks.deleted(self._reader, collection, self.head()) if known is None else iter(known)

    def history(
        self,
        collection: Collection,
        document: str,
        at: str | None = None,
        *,
        part: history.Part | None = None,
        until: ObjectId | None = None,
        key: str | None = None,
        value: str | None = None,
    ) -> Iterator[Revision]:
        """Yield the revisions of a document, newest first, its deletions and earlier lives too.

        Args:
            collection: Its collection.
            document: Its id.
            at: The revision to begin at, the head by default.
            part: Tells apart what snapshots hold of a part of it: then only revisions that changed this part.
            until: The last of its revisions that is yielded.
            key: Only revisions with such a trailer.
            value: And with that value.
        """
        start = self.resolve(at, collection, document)
        return history.revisions(self._reader, Trail(collection, document, start, until, key, value), part)

    def values(self, collection: Collection, document: str, key: str, span: Span) -> list[str]:
        """Return what the revisions in a life of a document say with a trailer, that of the newest first."""
        self._check_open()
        return history.values(self._reader, Trail(collection, document, *span, key))

    def life(self, collection: Collection, document: str, at: str | None = None) -> Span | None:
        """Return the last life that a document had at a revision: its newest revision and the one that began it."""
        start = self.resolve(at, collection, document)
        return next(iter(history.lives(self._reader, Trail(collection, document, start))), None)

    def pins(self, collection: Collection, document: str) -> Pins:
        """Return the names that revisions of a document have, to be looked at and changed."""
        self._check_open()
        return Pins(self._engine, collection, document)

    def snapshot(self, collection: Collection, document: str, revision: ObjectId) -> Snapshot | None:
        """Return a document as it stood at a revision that :meth:`history` gave."""
        self._check_open()
        return self._reader.snapshot(collection, document, revision)

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

    def submit(self, collection: Collection, document: str, edit: Edit) -> Future[Revision | None]:
        """Queue a write; see :data:`gitstate.store.documents.Edit` and :meth:`gitstate.store.writer.Writer.submit`.

        Raises:
            ClosedError: The store is closed. All other errors come through the future.
        """
        self._check_open()
        self._indexes.of(collection)  # so that it is kept up
        return self._writer.submit(collection, document, edit)

    def reshard(self, levels: int, *collections: Collection, dry_run: bool = False) -> Resharded | None:
        """Move all documents under so many levels of folders (0 to 4) in one commit; None if they lie so already.

        Args:
            levels: A folder for each of the first hex digits of the SHA-256 of a document's id.
            collections: All that the store has; no reader finds the documents of others any more.
            dry_run: Write nothing, but tell, or refuse, what would be done.

        Raises:
            ExistsError: Something that is no document lies where a document shall be; nothing was written.
            CorruptionError: It cannot be told which document a folder is; nothing was written.
            InvalidInputError: There cannot be so many levels.
        """
        from gitstate.store import reshard

        self._check_open()
        told: list[Resharded] = []
        edit = reshard.reshard(levels, collections, told.append)
        if dry_run:
            edit(self._reader, graph.read(self._engine, self.head()).tree)
            return told[-1] if told else None
        revision = self._writer.submit_root(edit).result()
        return None if revision is None else replace(told[-1], revision=revision)

    def flush(self) -> None:
        """Wait for all writes submitted so far, and bring the worktree to the head."""
        self._check_open()
        self._writer.drain()
        show(self._worktree)

    def verify(self, *collections: Collection, validate: Validate = lambda _: None, repair: bool = False) -> Report:
        """Check every object of every revision that the branch and our other refs reach, and every document there.

        Args:
            collections: The collections whose documents are checked.
            validate: Is asked about each document that can be read; raises CorruptionError if it is not valid.
            repair: Whether to mend what is derived or left behind by dead processes. History is never touched.

        Raises:
            BusyError: A repair needs the lock, and another process did not let go of it in time.
            StorageError: The disk refused.
        """
        from gitstate.store import verify

        self._check_open()
        if self._repository is None:
            return verify.check(self._engine, {"": self.head()}, collections, validate)
        return verify.check_repository(self._repository, collections, validate, repair=repair, worktree=self._worktree)

    def gc(self) -> GcReport:
        """Pack all objects anew, so that they take less room, while others go on to read and write. No object is
        dropped, whether anything reaches it or not. Raises as :meth:`gitstate.engine.base.Engine.gc` does.
        """
        self._check_open()
        self._writer.drain()
        return self._engine.gc()

    def close(self) -> None:
        """Finish all writes, bring the worktree to the head, let go of everything. Idempotent."""
        self._closed = self._closed or "the store is closed"
        with self._closing:  # who comes second waits until it is done
            if self._forgotten.detach() is not None:
                _shut(self._writer, self._indexes, self._worktree, self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(self._closed, hint="open the store again")

    def _forked(self) -> None:
        self._closed = "this store was opened by the process that forked this one"
        self._forgotten.detach()
        self._closing = threading.Lock()
        self._writer.abandon(self._closed)
        self._indexes.forked()


def _shut(writer: Writer, indexes: Indexes, worktree: Worktree | None, engine: Engine) -> None:
    writer.close()
    indexes.close()
    show(worktree)
    engine.close()


def _shut_elsewhere(writer: Writer, indexes: Indexes, worktree: Worktree | None, engine: Engine) -> None:
    """Shut a store that was forgotten, in a thread of its own: garbage is collected in anybody's, under any lock."""
    threading.Thread(target=_shut, args=(writer, indexes, worktree, engine), name="gitstate-shut").start()


_open_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _at_exit() -> None:
    """Finish the writes of stores that nobody closed, and bring their worktrees to the head."""
    for store in list(_open_stores):
        store.close()


def _after_fork_in_child() -> None:
    for store in list(_open_stores):
        store._forked()


atexit.register(_at_exit)

os.register_at_fork(after_in_child=_after_fork_in_child)
