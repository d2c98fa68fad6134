"""What people edit in the folder of a store: found, committed file by file, put aside, and taken out of the way."""

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from gitstate import clock
from gitstate.engine import files, graph
from gitstate.engine.objects import TreeEntry
from gitstate.store import edited
from gitstate.store.documents import Collection, Revision
from gitstate.store.edited import FolderState
from gitstate.store.edits import Edit
from gitstate.store.reader import Reader
from gitstate.store.views import Views
from gitstate.store.worktree import Worktree
from gitstate.store.writer import Writer

__all__ = ["FolderEdits"]

_log = logging.getLogger("gitstate")


class FolderEdits:
    """The edits in a folder that nobody committed yet.

    Args:
        reader: Reads the store.
        writer: Writes to it.
        worktree: The folder; None: there is none, and nothing is edited.
        views: Bring it to the head.
        private: Where what is put aside is kept; None: nowhere.
    """

    def __init__(
        self, reader: Reader, writer: Writer, worktree: Worktree | None, views: Views, private: Path | None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._worktree = worktree
        self._views = views
        self._private = private

    def find(self, collection: Collection) -> FolderState:
        """Bring the folder to the head, and return what people edited in it.

        Raises:
            CorruptionError: git's index or an object is damaged.
            UnsupportedError: git's index is of a kind that only C git reads, and there is none.
            StorageError: The disk refused.
        """
        with files.storage_errors("the folder" if self._worktree is None else self._worktree.path):
            return edited.look(self._reader, self._worktree, collection)

    def alone(self) -> AbstractContextManager[None]:
        """Keep all others who commit or drop edits out while the block runs. Raises BusyError: it took too long."""
        return nullcontext() if self._worktree is None else self._worktree.editing()

    def commit_files(self, edits: Iterable[Edit], body: str = "", *, dry_run: bool = False) -> Revision | None:
        """Commit edited files that belong to no document; ``body`` says why. None: there was nothing to write.

        In a ``dry_run`` nothing is written, but refused what would be.

        Raises:
            InvalidInputError: No store may hold that.
            ConflictError: The head moved under an edit.
        """
        edit = edited.files_edit(edits, body)
        if dry_run:
            edit(self._reader, graph.read(self._reader.source, self._reader.head()).tree)
            return None
        return self._writer.submit_root(edit, given=True).result()

    def put_aside(self, edits: Iterable[Edit]) -> Path | None:
        """Keep what stands in edited files in a private folder, and return that; None: there is nothing to keep.

        Raises:
            StorageError: The disk refused.
        """
        if self._private is None:
            return None
        with files.storage_errors(self._private):
            return edited.put_aside(self._private, edits, self._read, clock.now())

    def take(self, edits: Iterable[Edit]) -> None:
        """Bring edited files to the head: what stands in them was committed, or put aside. One that changed since
        stays.
        """
        edits = list(edits)
        try:
            if self._worktree is not None:  # where an edit goes on, what was taken is what it began at
                self._worktree.keep(edit.data for edit in edits if edit.data is not None)
        except OSError as error:
            _log.warning("what stood in edited files cannot be kept, so they stay as they are: %s", error)
            edits = []
        self._views.show(edited.taken(edits))

    def _read(self, entry: TreeEntry) -> bytes:
        return self._reader.source.read(entry.id, "blob")
