"""What a store answers out of its index: with whatever that takes, or only if it is at hand."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from gitstate.engine.base import NotAtHandError
from gitstate.store import history
from gitstate.store.trails import Life, Trail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitstate.engine.base import Source
    from gitstate.engine.objects import ObjectId
    from gitstate.errors import CorruptionError, StateCorruptionError
    from gitstate.store.documents import Collection, Revision, Snapshot
    from gitstate.store.index.indexes import Indexes, IndexesAtHand
    from gitstate.store.index.summaries import Facts
    from gitstate.store.reader import Reader
    from gitstate.store.selection import Selected, Selection

__all__ = ["Answers", "AtHand"]


class Answers(ABC):
    """What can be asked without a thread, if it is at hand."""

    _reader: Reader
    _indexes: Indexes | IndexesAtHand

    @abstractmethod
    def _check_open(self) -> None:
        """Raise ClosedError if the store is closed."""

    def head(self) -> ObjectId:
        """Return the commit at which the store stands.

        Raises:
            StoreNotFoundError: The branch, or the whole repository, is gone.
            UnsupportedError: A commit that is no store's is there now.
        """
        self._check_open()
        return self._reader.head()

    @abstractmethod
    def resolve(self, at: str | None, collection: Collection | None = None, document: str = "") -> ObjectId:
        """Return the commit that ``at`` names; None names the head. Names that count the revisions of a document, such
        as ``~1``, and its pins need one; see :mod:`gitstate.store.naming`.

        Raises:
            RevisionNotFoundError: No revision answers to the name, or several do; the message lists candidates.
            InvalidInputError: It is no text, or needs a document.
            StoreNotFoundError: The branch, or the whole repository, is gone.
        """

    @abstractmethod
    def load(self, collection: Collection, document: str, at: str | None = None) -> Snapshot | None:
        """Return a document as it stands at the head, or stood ``at`` a revision; None when there is none."""

    @abstractmethod
    def attributed(self, snapshot: Snapshot, error: CorruptionError) -> StateCorruptionError:
        """Return the error of a document that cannot be read, which says as well who made it so; never raises."""

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

    def history(
        self,
        collection: Collection,
        document: str,
        at: str | None = None,
        *,
        until: ObjectId | None = None,
        key: str | None = None,
        value: str | None = None,
        limit: int | None = None,
        attached: bool = False,
    ) -> Iterator[Revision]:
        """Yield the revisions of a document, newest first, its deletions and earlier lives too.

        Args:
            collection: Its collection.
            document: Its id.
            at: The revision to begin at, the head by default.
            until: The revision with which its last life began, the last one that is yielded.
            key: Only revisions with such a trailer.
            value: And with that value.
            limit: How many are needed as a rule; all are yielded to who goes on.
            attached: Whether :attr:`Revision.attached` is of use.
        """
        start = self.resolve(at, collection, document)
        return history.revisions(
            self._reader, Trail(collection, document, start, until, key, value, limit, attached=attached)
        )

    def life(self, collection: Collection, document: str, start: ObjectId, *keys: str) -> Life | None:
        """Return the last life that a document had at a commit, None if it had none; and what its revisions that have
        the first of some trailers say with these.
        """
        self._check_open()
        return next(iter(history.lives(self._reader, Trail(collection, document, start), keys)), None)


class AtHand(Answers):
    """What a store answers at once: it reads the branch, and else only what is in memory and an index that is up to
    date. So an event loop needs no thread for it. For anything else it raises NotAtHandError.

    Args:
        whole: The store.
        source: What is in memory.
        indexes: Its indexes.
    """

    def __init__(self, whole: Answers, source: Source, indexes: Indexes) -> None:
        self._whole = weakref.proxy(whole)  # which has this one
        self._reader = whole._reader.over(source)
        self._indexes: IndexesAtHand = indexes.at_hand(self._reader)
        self._reader.index = self._indexes.revisions

    @property
    def reader(self) -> Reader:
        """Reads documents that are in memory."""
        return self._reader

    def _check_open(self) -> None:
        self._whole._check_open()

    def resolve(self, at: str | None, collection: Collection | None = None, document: str = "") -> ObjectId:
        """See :meth:`Answers.resolve`; a name may stand for anything, which must be looked for."""
        del collection, document
        if at is not None:
            raise NotAtHandError(at)
        return self.head()

    def load(self, collection: Collection, document: str, at: str | None = None) -> Snapshot | None:
        """See :meth:`Answers.load`; it may have to be read."""
        del collection, at
        raise NotAtHandError(document)

    def attributed(self, snapshot: Snapshot, error: CorruptionError) -> StateCorruptionError:
        """See :meth:`Answers.attributed`; the history has to be read."""
        raise NotAtHandError(snapshot.document) from error
