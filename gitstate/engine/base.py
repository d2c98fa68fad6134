"""What the store asks of git: read objects by id, and publish new ones behind one ref.

An engine knows no jobs and no JSON. :class:`gitstate.engine.git.GitEngine` keeps objects in a repository,
:class:`gitstate.engine.memory.MemoryEngine` in dictionaries; one suite of tests holds for both.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gitstate.engine.objects import Commit, GitObject, Kind, ObjectId, Signature, Tree

if TYPE_CHECKING:
    from gitstate.engine.upkeep import GcReport

__all__ = ["Arrival", "Brought", "Engine", "NotAtHandError", "Settled", "Source", "Step"]


class NotAtHandError(LookupError):
    """An object is not in memory."""


class Source(Protocol):
    """Where objects are read from: an engine, or what is about to be published on top of one."""

    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        """Return the body of an object, checked against its id; raises CorruptionError."""

    def read_all(self, ids: Sequence[ObjectId], kind: Kind) -> list[bytes]:
        """Return the bodies of several objects of a kind, in their order; raises as :meth:`read` does."""
        return [self.read(object_id, kind) for object_id in ids]

    def tree(self, tree_id: ObjectId) -> Tree:
        """Return a tree; raises CorruptionError."""

    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        """Yield the commits that ``start`` has in its history, about from the newest to the oldest, read in bulk.

        Each comes with its body, in which the lines of the message may be indented. Nothing is checked, and it may end
        early or yield nothing: what a walk does not find here it reads.
        """


class Step(NamedTuple):
    """A commit on the line of first parents: its id and body, checked against it, and what it says; and the files in
    which it differs from its first parent, by path, and what they are now (None: gone); None where nobody looked.

    ``folders`` are those with such files that are there, with their trees.
    """

    id: ObjectId
    body: bytes
    commit: Commit
    files: Mapping[str, ObjectId | None] | None
    folders: Mapping[str, ObjectId]


class Brought(NamedTuple):
    """A file that a commit brought: its path, its object, None where it is gone, and those that were in its place."""

    path: str
    after: ObjectId | None
    before: tuple[ObjectId, ...]


class Arrival(NamedTuple):
    """A commit and the files that it brought; of a merge, those that are in none of its parents as they are in it."""

    commit: ObjectId
    files: Sequence[Brought]


@dataclass(frozen=True)
class Settled:
    """What became of a ref after a restart of the machine.

    ``was`` is where it stood (None: nobody can tell), ``now`` where it stands, ``lost`` the commits that had been there
    and are not whole.
    """

    ref: str
    was: ObjectId | None
    now: ObjectId
    lost: tuple[ObjectId, ...] = ()


class Engine(ABC):
    """One branch of one repository. Every method may be called from any thread."""

    identity: str
    """Tells this repository and branch from every other one that this machine sees."""
    settled: Sequence[Settled]
    """What this object found as a cut of the power, or damage, had left it, and made good."""

    @abstractmethod
    def head(self) -> ObjectId | None:
        """Return the commit that the branch stands at, or None before the first one.

        Raises:
            CorruptionError: The ref is there and cannot be read.
        """

    @abstractmethod
    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        """Return the body of an object, checked against its id.

        Raises:
            CorruptionError: The object is missing, damaged or of another kind; the message names it.
        """

    def read_all(self, ids: Sequence[ObjectId], kind: Kind) -> list[bytes]:
        """See :meth:`Source.read_all`."""
        return [self.read(object_id, kind) for object_id in ids]

    @abstractmethod
    def tree(self, tree_id: ObjectId) -> Tree:
        """Return a tree. Raises as :meth:`read` does, and when the bytes are no tree."""

    @abstractmethod
    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        """See :meth:`Source.commits`."""

    @abstractmethod
    def at_hand(self) -> Source:
        """Return what is in memory. It raises NotAtHandError for anything else, and never waits for a disk."""

    @abstractmethod
    def bulk(self, ids: Sequence[ObjectId]) -> Iterator[GitObject]:
        """Yield many objects, read at once and checked against their ids; trees are then at hand for :meth:`tree`.

        What is at hand already is left out. It may end early or yield nothing: what is missing or damaged, :meth:`read`
        tells.
        """

    def bodies(self, groups: Sequence[Sequence[ObjectId]], kind: Kind) -> Iterator[dict[ObjectId, bytes]]:
        """Yield the bodies of the objects of each group, all of one kind, by their ids, which they are checked against.

        What is missing or damaged is left out: what is wrong with it, :meth:`read` tells. Each may hold more than the
        objects of its group.
        """
        del kind
        return ({} for _ in groups)

    @abstractmethod
    def line(self, start: ObjectId, until: ObjectId | None) -> Iterator[Step]:
        """Yield the commits on the line of first parents from ``start`` on, newest first, read in bulk.

        It ends before the first commit that ``until`` has in its history. It may yield nothing: then each must be read.
        """

    @abstractmethod
    def arrivals(self, tips: Sequence[ObjectId], without: Sequence[ObjectId]) -> Iterator[Arrival]:
        """Yield what :func:`gitstate.engine.brought.arrivals` does, read in bulk where that can be done."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Keep every other writer out, in this process and in others, while the block runs. Not re-entrant.

        Raises:
            BusyError: Another process did not let go in time.
        """

    @abstractmethod
    def publish(self, objects: Sequence[GitObject], *, expected: ObjectId | None, new: ObjectId, note: str) -> None:
        """Make ``objects`` durable, then move the branch from ``expected`` to ``new``; call it under :meth:`lock`.

        ``expected`` None means that the branch does not exist yet. ``note`` is one line for the reflog. Killed
        before the branch moved, nothing happened; after it, everything did.

        Raises:
            StaleError: The branch is not at ``expected`` (a person's git moved it); nothing was published.
            BusyError: Somebody else's git holds the branch's lock file.
            StorageError: The disk refused; the branch did not move.
        """

    @abstractmethod
    def find(self, prefix: str) -> list[ObjectId]:
        """Return the ids of the commits that begin with ``prefix`` (at least four lower-case hexadecimal digits)."""

    @abstractmethod
    def ref(self, name: str) -> ObjectId | None:
        """Return the commit that a ref other than the branch stands at, that of a tag of a commit too; else None."""

    @abstractmethod
    def peeled(self, object_id: ObjectId) -> ObjectId | None:
        """Return the commit that an object is, or that a tag is of; None for anything else, and what is not here."""

    @abstractmethod
    def refs(self, below: str) -> list[str]:
        """Return the names of all refs below a prefix that ends with a slash, sorted."""

    @abstractmethod
    def create_ref(self, name: str, commit_id: ObjectId, *, objects: Sequence[GitObject] = (), note: str = "") -> None:
        """Make a ref that is not there yet, durably, at a commit that is there, or is one of the ``objects``.

        These become durable first. Killed before the ref is there, nothing happened; after it, everything did. With a
        ``note``, one line, a log begins with it, as that of a branch does. It is never called under :meth:`lock`.

        Raises:
            StaleError: It is there.
            UnsupportedError: Another ref's name stands in the way.
            BusyError: Another process did not let go in time.
            StorageError: The disk refused; there is no ref, or it may be lost by a cut of the power.
        """

    @abstractmethod
    def move_ref(self, name: str, *, expected: ObjectId | None, new: ObjectId, note: str) -> None:
        """Move a ref other than the branch from ``expected`` (None: it is not there) to a commit that is there.

        It is done durably, and never under :meth:`lock`. ``note`` is one line for its log.

        Raises:
            StaleError: It is elsewhere; it was not moved.
            UnsupportedError: Another ref's name stands in the way.
            BusyError: Another process did not let go in time.
        """

    @abstractmethod
    def delete_ref(self, name: str, *, expected: ObjectId) -> None:
        """Remove a ref that stands at a commit, durably, with its log.

        Raises:
            StaleError: It is not there, or elsewhere.
            BusyError: Another process did not let go in time.
        """

    @abstractmethod
    def checked_out(self, name: str) -> str | None:
        """Return a folder in which a branch, by its full name, is checked out; None if it is nowhere."""

    @abstractmethod
    def signature(self) -> Signature:
        """Return who commits, from git's configuration or else user and host, at the present moment."""

    @abstractmethod
    def gc(self) -> "GcReport":
        """Pack all objects anew, so that they take less room; see :func:`gitstate.engine.upkeep.gc`. Drops nothing.

        Raises:
            BusyError: Another process does upkeep, or writes, for too long.
            StorageError: The disk refused, or git failed; every object is still there.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of files and locks. Idempotent."""
