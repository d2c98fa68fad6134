"""What was purged from a store, as its ``purged.json`` tells; and that no history brings it back."""

from collections.abc import Collection, Iterator, Mapping, Set

from gitstate.engine import graph, trees
from gitstate.engine.base import Source
from gitstate.engine.beyond import beyond, is_in_history
from gitstate.engine.check import Problem
from gitstate.engine.objects import ObjectId
from gitstate.errors import CorruptionError, GitStateError, UntrustedError
from gitstate.format.purged import PURGED_FILE, Purged
from gitstate.store.reader import Reader

__all__ = ["back", "purged_at", "refuse_brought_back", "refuse_purged", "was_purged"]

_HOW = "docs/how-to/remove-a-secret-from-history.md"


def purged_at(source: Source, root: ObjectId) -> Purged:
    """Return what was purged, as a root tree tells.

    Raises:
        CorruptionError: It cannot be read.
        UnsupportedFormatError: It is newer than this release.
    """
    entry = trees.find(source, root, PURGED_FILE)
    if entry is None:
        return Purged()
    if entry.is_directory:
        raise CorruptionError(f"{PURGED_FILE} is a folder and not a file")
    return Purged.parse(source.read(entry.id, "blob"))


def refuse_purged(reader: Reader, ours: ObjectId, theirs: ObjectId) -> None:
    """Raise an error if one of two histories has what was purged from the other one.

    Only the commits that one of them has and the other has not are looked at, and these only if anything was purged.

    Args:
        reader: Reads both of them: what was fetched may be on top of what is here.
        ours: The head of the store.
        theirs: The commit that shall be merged with it, or follow it.

    Raises:
        UntrustedError: One history has it; the message says which, and what is to be done.
        CorruptionError: A commit is missing or damaged.
    """
    mine, foreign = purged_at(reader.source, graph.root(reader.source, ours)), _told(reader, theirs)
    _refuse(reader, mine, ours, [theirs])
    left = foreign.commits.intersection(beyond(reader.source, ours, [theirs])) if foreign.entries else frozenset()
    if left:
        raise UntrustedError(
            "this store has in its history what was purged where that was fetched from, so the two cannot be joined",
            problems=_problems(left),
            hint="purge the same here, which gives the same commits, or clone anew, see " + _HOW,
        )


def refuse_brought_back(reader: Reader, head: ObjectId, others: Collection[ObjectId]) -> None:
    """Raise an error if commits of rescues and pins have what was purged from a history.

    Raises:
        UntrustedError: One of them has it in its history, or it cannot be read what was purged.
        CorruptionError: A commit is missing or damaged.
    """
    if others:
        _refuse(reader, _told(reader, head), head, others)


def _told(reader: Reader, theirs: ObjectId) -> Purged:
    try:
        return purged_at(reader.source, graph.root(reader.source, theirs))
    except GitStateError as error:
        raise UntrustedError(f"what was fetched does not say what was purged there: {error.message}") from error


def _refuse(reader: Reader, purged: Purged, head: ObjectId, others: Collection[ObjectId]) -> None:
    come = {
        each
        for other in (others if purged.entries else ())
        for each in purged.commits.intersection(beyond(reader.source, other, [head]))
    }
    if come:
        raise UntrustedError(
            "what was fetched has in its history what was purged here, so nothing of it was taken in",
            problems=_problems(come),
            hint="where it comes from the same must be purged, or its branch be replaced by this one's, see " + _HOW,
        )


def _problems(commits: Set[ObjectId]) -> list[Problem]:
    what = "it has what was purged, and so has all that follows it"
    return [Problem("purged", f"revision {commit[:12]}", what, revision=commit) for commit in sorted(commits)]


def was_purged(reader: Reader, document: str, revision: ObjectId) -> bool:
    """Whether a document was purged after a revision, of which it is known that it was there.

    Raises:
        GitStateError: The head cannot be read.
    """
    head = reader.head()
    if not purged_at(reader.source, reader.root(head)).has(document):
        return False
    try:
        return not is_in_history(reader.source, revision, head)
    except CorruptionError:
        return True  # the revision is gone from the disk


def back(source: Source, tip: ObjectId, pinned: Mapping[str, ObjectId] | None = None) -> Iterator[Problem]:
    """Yield what is wrong with the ``purged.json`` of a commit: that it cannot be read, or that what it says was purged
    is in the commit's own history, or that a pin leads to it: a fetch brings tags along.
    """
    again = f"purge the same once more, see {_HOW}"
    try:
        purged = purged_at(source, graph.root(source, tip))
        for commit in sorted(purged.commits):
            if _has(source, tip, commit):
                what = "it was purged from the store, and is in its history again"
                yield Problem("purged", f"revision {commit[:12]}", what, again)
                continue
            for name, pin in (pinned or {}).items():
                if _has(source, pin, commit):
                    yield Problem("purged", name, f"it leads to {commit[:12]}, which was purged from the store", again)
    except GitStateError as error:
        yield Problem("purged", f"{PURGED_FILE} at revision {tip[:12]}", error.message, error.hint)


def _has(source: Source, tip: ObjectId, commit: ObjectId) -> bool:
    try:
        source.read(commit, "commit")  # nearly never, and this is quicker
        return is_in_history(source, commit, tip)
    except CorruptionError:
        return False  # it is not even in the repository
