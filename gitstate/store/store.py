"""The door to a store: open it, read documents at any revision, submit writes, look at their history.

Methods import what not every program needs (docs/design/0008-start-up.md).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from weakref import finalize

from gitstate.engine import graph, refs
from gitstate.engine.base import Engine
from gitstate.engine.git import GitEngine
from gitstate.engine.repository import DEFAULT_BRANCH, Repository, open_repository
from gitstate.errors import InvalidInputError, StoreNotFoundError, UnsupportedError, UnsupportedFormatError
from gitstate.format.version import FormatVersion
from gitstate.store import lifetime
from gitstate.store.documents import Collection, Edit, Revision
from gitstate.store.reconcile import Reconciler
from gitstate.store.syncing import SyncingStore
from gitstate.store.views import Views
from gitstate.store.worktree import Worktree
from gitstate.store.writer import Redact, Refused, Stamp, Writer

if TYPE_CHECKING:
    from gitstate.engine.upkeep import GcReport
    from gitstate.store.batch import MergeEdit
    from gitstate.store.folder_edits import FolderEdits
    from gitstate.store.proposals import Proposals
    from gitstate.store.purging import Purging
    from gitstate.store.rescues import Rescues
    from gitstate.store.reshard import Resharded
    from gitstate.store.verify import Report, Validate

__all__ = ["Store"]


class Store(SyncingStore):
    """One git repository under our care. Synchronous, and safe to use from any thread.

    Make one with :meth:`open` or :meth:`in_memory`. A store that is forgotten finishes its writes and refreshes the
    worktree when the program ends; one that came along in a fork says that it is closed.
    """

    def __init__(
        self,
        engine: Engine,
        worktree: Worktree | None = None,
        repository: Repository | None = None,
        *,
        prompt: bool = True,
    ) -> None:
        super().__init__(engine, repository)
        self._worktree = worktree
        self._views = views = Views(
            engine,
            worktree,
            repository,
            follow=lambda: writer.follow(),
            is_judged=lambda: not writer.is_behind(),
            prompt=prompt,
        )
        reconciler = None if repository is None else Reconciler(repository, views.sights, self._collections)
        self._told.append(views.written)
        collections = self._collections
        self._writer = writer = Writer(engine, self._reader, self._told, reconciler, lambda: tuple(collections))
        self.created = False  # whether this object made the store
        self.taken_over: str | None = None  # the remote's branch, such as origin/gitstate, that it made the branch of
        self._closing = threading.Lock()
        self._forgotten = finalize(self, lifetime.shut_elsewhere, writer, self._indexes, views, self._exact, engine)
        self._forgotten.atexit = False  # those that are still there when the program ends are closed below
        lifetime.note(self)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        branch: str = DEFAULT_BRANCH,
        create: bool = True,
        worktree: bool = True,
        durability: str = "full",
    ) -> Self:
        """Open the store at ``path``; make it where there is nothing, an empty folder or an empty repository.

        Args:
            path: The folder of the store, or a bare repository.
            branch: The branch that holds it. One that is not ``main`` may be made beside the branches of a project;
                where a remote has a branch of this name, it is made at that.
            create: Whether to make a store where there is none.
            worktree: Whether the files are shown in the folder. Without it a new repository is bare, and the folder of
                one that is not is brought up to date when the store is closed or flushed, and not after each write.
            durability: ``"full"``: a write that was answered survives a cut of the power. ``"normal"``: it survives
                the death of any process; what was written in the last seconds before a cut of the power may be lost,
                and :attr:`recovered` then names it (docs/concepts/durability.md).

        Raises:
            StoreNotFoundError: There is no store and ``create`` is False.
            InvalidInputError: An argument makes no sense, or the path is a file.
            UnsupportedError: What is there is not ours; it was left alone.
            StorageError: The disk refused.
        """
        if durability not in ("full", "normal"):
            raise InvalidInputError(f"there is no durability {durability!r}", hint='use "full" or "normal"')
        if not os.fspath(path):  # which pathlib takes for the current folder
            raise InvalidInputError("the path of a store is empty", hint='name a folder; "." is the current one')
        repository = open_repository(Path(path), branch=branch, create=create, bare=not worktree)
        engine = GitEngine(repository, durable=durability == "full")
        view = Worktree(repository, engine) if repository.worktree is not None else None
        store = cls(engine, view, repository, prompt=worktree)
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
                where, _, branch = self.identity.rpartition(":")
                raise StoreNotFoundError(
                    f"there is no store on the branch {branch} of {where}: it has no commits",
                    hint=self._hint() or "`gitstate init` makes one",
                )
            self._make()
            self._views.show()  # a person's first commit in there must not take the new store's own file back
        try:
            self.head()
        except UnsupportedFormatError:
            raise
        except UnsupportedError as error:
            raise UnsupportedError(error.message, hint=self._hint() or error.hint) from None

    def _make(self) -> None:
        """Make the branch: that of a remote, if one has it."""
        from gitstate.store import branches

        if self._repository is not None:
            self.taken_over = branches.take_over(self._repository, self._engine, self._reader)
            if self._repository.branch == DEFAULT_BRANCH:
                refs.refuse_a_project(self._repository)
        self.created = self.taken_over is None and self._writer.create(FormatVersion()) is not None

    def _hint(self) -> str:
        from gitstate.store import branches

        return "" if self._repository is None else branches.hint(self._repository, self._engine)

    @property
    def path(self) -> Path | None:
        """The folder in which the files are shown; None for a bare store or one in memory."""
        return self._worktree.path if self._worktree is not None else None

    def redact_with(self, redact: Redact) -> None:
        """Let the message of every commit be what a function makes of it."""
        self._writer.redact = redact

    def stamp_with(self, stamp: Stamp) -> None:
        """Let every commit from now on carry some trailers more; see :data:`gitstate.store.writer.Stamp`."""
        self._writer.stamp = stamp

    def when_answered(self, call: Callable[[], None]) -> None:
        """Let something be called in the writer's thread each time that the futures of a batch are done."""
        self._writer.answered.append(call)

    def submit(
        self, collection: Collection, document: str, edit: Edit, refused: Refused | None = None
    ) -> Future[Revision | None]:
        """Queue a write; see :data:`gitstate.store.documents.Edit` and :meth:`gitstate.store.writer.Writer.submit`.

        Raises:
            ClosedError: The store is closed. All other errors come through the future.
        """
        self._check_open()
        self.serve(collection)
        return self._writer.submit(collection, document, edit, refused)

    def serve(self, collection: Collection) -> None:
        """Keep the index of a collection up from now on, and merge its documents as values where people commit."""
        self._collections[collection.name] = collection
        self._indexes.of(collection)

    def submit_merge(self, edit: MergeEdit) -> Future[Revision | None]:
        """Queue a write that joins another history to the store's own, as a commit with two parents.

        Raises as :meth:`submit` does.
        """
        self._check_open()
        return self._writer.submit_merge(edit)

    @property
    def purging(self) -> Purging:
        """What removes documents and values from all of the history; UnsupportedError for a store in memory."""
        from gitstate.store.purging import Purging

        self._check_open()
        self._writer.drain()
        return Purging(self._engine, self._reader, self._repository, self._views)

    @property
    def proposals(self) -> Proposals:
        """The branches of changes that were proposed."""
        from gitstate.store.proposals import Proposals

        self._check_open()
        return Proposals(self._engine, self._reader)

    def rescues(self, collection: Collection) -> Rescues:
        """Return the states of a collection's documents that were refused, or lost a merge, and are kept aside.

        Also while the store is being closed: what it refuses then is kept as well.
        """
        from gitstate.store.rescues import Rescues

        return Rescues(self._engine, self._reader, collection, self._writer.stamp)

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
        for collection in collections:
            self.serve(collection)
        told: list[Resharded] = []
        edit = reshard.reshard(levels, collections, told.append)
        if dry_run:
            edit(self._reader, graph.read(self._engine, self.head()).tree)
            return told[-1] if told else None
        revision = self._writer.submit_root(edit).result()
        return None if revision is None else replace(told[-1], revision=revision)

    def name_branch(self) -> None:
        """Let the repository's own configuration name the branch, so that the command line finds it from then on.

        Raises:
            BusyError: A living git, or another writer, holds a lock.
            UnsupportedError: The configuration cannot be read.
            StorageError: The disk refused; the configuration is as it was.
        """
        from gitstate.engine import files, settings

        self._check_open()
        if self._repository is not None:
            with files.storage_errors(self._repository.common_dir / "config"), self._engine.lock():
                settings.name_branch(self._repository)

    @property
    def folder(self) -> FolderEdits:
        """What people edit in the folder that shows the head."""
        from gitstate.store.folder_edits import FolderEdits

        self._check_open()
        private = None if self._repository is None else self._repository.private
        return FolderEdits(self._reader, self._writer, self._worktree, self._views, private)

    def flush(self) -> None:
        """Wait for all writes submitted so far, and bring the worktree to the head."""
        self._check_open()
        self._writer.drain()
        self._views.show()

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
        if repair:
            self.purging.finish()
        return verify.check_repository(self._repository, collections, validate, repair=repair, worktree=self._worktree)

    def gc(self) -> GcReport:
        """Pack all objects anew, so that they take less room, while others go on to read and write. No object is
        dropped, whether anything reaches it or not. Raises as :meth:`gitstate.engine.base.Engine.gc` does.
        """
        self._check_open()
        self._writer.drain()
        return self._engine.gc()

    def close(self) -> None:
        """Finish all writes, sync what waits to be synced in the background for the last time, bring the worktree to
        the head, let go of everything. Idempotent.
        """
        try:
            self._end_syncs()
        finally:
            self._shut()

    def _shut(self) -> None:
        self._closed = self._closed or "the store is closed"
        self._stop.set()
        with self._closing:  # who comes second waits until it is done
            if self._forgotten.detach() is not None:
                self._forget_others()
                lifetime.shut(self._writer, self._indexes, self._views, self._exact, self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def forked(self) -> None:
        """In a forked child: say that this store is closed, whose threads and descriptors are the parent's."""
        self._closed = "this store was opened by the process that forked this one"
        self._forgotten.detach()
        self._closing = threading.Lock()
        self._writer.abandon(self._closed)
        self._indexes.forked()
        self._forked_from_others()
