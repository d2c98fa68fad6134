"""Which revisions of a document are asked for, and who may know them without a walk."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from gitstate.engine.objects import ObjectId
from gitstate.format.message import Message
from gitstate.store.documents import Collection, Revision

__all__ = ["Known", "Life", "Said", "Trail"]


class Trail(NamedTuple):
    """The revisions of a document that ``start`` has in its history, down to ``until``, with which its last life began.

    With a ``key`` only those whose message has such a trailer of the document, with that ``value`` if there is one.
    ``limit`` says how many are needed as a rule; None: all. With ``is_line`` they are only of use if each of them
    follows from the one after it. ``attached`` asks as well for the files beside the value that each changed.
    """

    collection: Collection
    document: str
    start: ObjectId
    until: ObjectId | None = None
    key: str | None = None
    value: str | None = None
    limit: int | None = None
    is_line: bool = False
    attached: bool = False

    def holds(self, said: Message) -> bool:
        """Whether a message is one of those that are asked for."""
        if self.key is None:
            return True
        if said.get(self.collection.trailer) != self.document:
            return False
        return said.get(self.key) is not None if self.value is None else self.value in said.all(self.key)


Said: TypeAlias = Mapping[str, str]
"""What a message says: the first value of each key."""


class Life(NamedTuple):
    """A life of a document: the commit from which on its revisions are found, the one that began it, and whether it has
    ended.

    ``said`` is what those of its revisions say that have the first of the trailers that were asked for, that of the
    newest first.
    """

    end: ObjectId
    began: Revision
    ended: bool
    said: Sequence[Said] = ()


class Known(Protocol):
    """What an index answers; None: it cannot, and the history is walked."""

    def revisions(self, trail: Trail) -> Iterator[Revision] | None:
        """Return the revisions of a trail, newest first."""

    def lives(self, trail: Trail, keys: Sequence[str]) -> list[Life] | None:
        """Return the last life that the document had at the start of a trail; an empty list if it had none.

        With what it says of some trailers, if any are given.
        """
