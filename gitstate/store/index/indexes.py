"""The indexes of a store, one for each collection: made when they are asked for, kept up, closed."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from gitstate.engine.background import Background
from gitstate.errors import GitStateError
from gitstate.format import names
from gitstate.store.documents import Collection
from gitstate.store.index import revisions, summaries
from gitstate.store.index.database import Database
from gitstate.store.index.revisions import Revisions
from gitstate.store.index.summaries import Facts, Summaries
from gitstate.store.reader import Reader
from gitstate.store.selection import Selected, Selection

__all__ = ["Index", "Indexes", "IndexesAtHand"]

T = TypeVar("T")

_VERSION = 8
_DELAY = 1.0  # seconds from a write to when the indexes are brought to the head
_AT_MOST = 2000  # commits that are new, in a fifth of a second; more are left to who asks


class Index:
    """The index of one collection.

    Args:
        path: The file; None: in memory.
        reader: Where the commits are.
        collection: Whose documents it knows.
    """

    def __init__(self, path: Path | None, reader: Reader, collection: Collection) -> None:
        self.database = Database(path, f"{revisions.SCHEMA};{summaries.SCHEMA}", _VERSION)
        self.revisions = Revisions(self.database, reader, collection)
        self.summaries = Summaries(self.revisions, reader, collection)


class IndexAtHand:
    """An index for those who cannot wait: whatever it does not know at once raises NotAtHandError.

    Args:
        index: The index.
        reader: What is in memory.
        collection: Whose documents it knows.
    """

    def __init__(self, index: Index, reader: Reader, collection: Collection) -> None:
        self.database = index.database.at_hand()
        self.revisions = Revisions(self.database, reader, collection)
        self.summaries = Summaries(self.revisions, reader, collection, may_write=False)


class Indexes:
    """The indexes of a store.

    Args:
        folder: Where the files are; None: in memory.
        branch: The branch that holds the store.
        reader: Where the commits are.
    """

    def __init__(self, folder: Path | None, branch: str, reader: Reader) -> None:
        self._folder = folder
        self._branch = branch
        self._reader = reader
        self._indexes: dict[str, Index] = {}
        self._spares: dict[str, Index] = {}  # in memory, for those whose file cannot be had
        self._keeper = Background(lambda _: self._update(), "gitstate-index")

    def of(self, collection: Collection) -> Index:
        """Return the index of a collection."""
        return self._kept(self._indexes, collection, self._folder)

    def select(self, collection: Collection, selection: Selection) -> tuple[list[Selected], list[tuple[str, str]]]:
        """Return the documents that are asked for, and those that cannot be read, with what is said of them.

        Raises:
            CorruptionError: A commit or tree is missing or damaged.
            StoreNotFoundError: The branch, or the whole repository, is gone.
        """
        return self._answer(collection, lambda index, connection: index.summaries.select(connection, selection))

    def facts(self, collection: Collection, document: str) -> Facts:
        """Return what a document says of itself: nothing if there is none, None if it cannot be read. Raises as
        :meth:`select` does.
        """
        return self._answer(collection, lambda index, connection: (index.summaries.facts(connection, document),))[0]

    def _answer(self, collection: Collection, question: Callable[[Index, sqlite3.Connection], T]) -> T:
        """Return the answer from the file, or from memory if that cannot be had."""
        index = self.of(collection)
        found = index.database.ask(lambda connection: question(index, connection))
        if found is None:
            spare = self._kept(self._spares, collection, None)
            with spare.database.open() as connection:
                found = question(spare, connection)
        return found

    def _kept(self, kept: dict[str, Index], collection: Collection, folder: Path | None) -> Index:
        found = kept.get(collection.name)
        if found is None:
            path = None if folder is None else folder / self._name(collection)
            found = kept.setdefault(collection.name, Index(path, self._reader, collection))
        return found

    def revisions(self, collection: Collection) -> Revisions:
        """Return what is known of the revisions in a collection."""
        return self.of(collection).revisions

    def _name(self, collection: Collection) -> str:
        return f"index-{names.ref_encode(self._branch)}-{names.ref_encode(collection.name)}.db"

    def written(self) -> None:
        """Say that something was written: a moment later the indexes are brought to the head, off the write path."""
        if self._folder is not None:
            self._keeper.due_in(_DELAY)

    def at_hand(self, reader: Reader) -> "IndexesAtHand":
        """Return the indexes for those who cannot wait; ``reader`` reads what is in memory."""
        return IndexesAtHand(self, reader)

    def close(self) -> None:
        """Do what is due, and close all files for good."""
        self._keeper.stop()
        for index in [*self._indexes.values(), *self._spares.values()]:
            index.database.close(for_good=True)

    def _update(self) -> None:
        for index in list(self._indexes.values()):
            with suppress(sqlite3.Error, OSError, GitStateError), index.database.open() as connection:
                index.revisions.update(connection, at_most=_AT_MOST)

    def forked(self) -> None:
        """In a forked child: the connections are the parent's."""
        for index in list(self._indexes.values()):
            index.database.forked()


class IndexesAtHand:
    """The indexes of a store for those who cannot wait; see :class:`IndexAtHand`."""

    def __init__(self, whole: Indexes, reader: Reader) -> None:
        self._whole = whole
        self._reader = reader
        self._indexes: dict[str, IndexAtHand] = {}

    def select(self, collection: Collection, selection: Selection) -> tuple[list[Selected], list[tuple[str, str]]]:
        """See :meth:`Indexes.select`."""
        index = self._of(collection)
        return index.database.ask(lambda connection: index.summaries.select(connection, selection))

    def facts(self, collection: Collection, document: str) -> Facts:
        """See :meth:`Indexes.facts`."""
        index = self._of(collection)
        return index.database.ask(lambda connection: (index.summaries.facts(connection, document),))[0]

    def revisions(self, collection: Collection) -> Revisions:
        """See :meth:`Indexes.revisions`."""
        return self._of(collection).revisions

    def _of(self, collection: Collection) -> IndexAtHand:
        found = self._indexes.get(collection.name)
        if found is None:
            made = IndexAtHand(self._whole.of(collection), self._reader, collection)
            found = self._indexes.setdefault(collection.name, made)
        return found
