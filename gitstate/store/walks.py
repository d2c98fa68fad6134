"""Walks over all commits of a store, whichever document they are about."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from gitstate.engine import graph
from gitstate.engine.base import Source
from gitstate.engine.objects import Commit, ObjectId
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store.documents import Collection, Revision
from gitstate.store.reader import Reader

__all__ = ["changed", "deleted", "touched", "walk"]

_REMOVING = tuple(f"{message.EVENT}: {event}".encode() for event in (Event.DELETED, Event.UNDONE))
"""What a message of ours says that may have removed a document: an undo takes back that it was made."""


def walk(
    source: Source, start: ObjectId, *, until: ObjectId | None = None, holding: Sequence[bytes] = ()
) -> Iterator[Revision]:
    """Yield the revisions that ``start`` has in its history, newest first, ``start`` among them.

    Args:
        source: Where the commits are.
        start: The commit to begin at.
        until: The commit to end before, as far as time tells in a history that is no line.
        holding: Only those whose message holds one of these; no other message is parsed.
    """
    for commit_id, sketch in graph.walk(source, start):
        if commit_id == until:
            return
        if not holding or any(words in sketch.text for words in holding):
            yield Revision.of(commit_id, graph.read(source, commit_id))


def changed(reader: Reader, collection: Collection, revision: Revision) -> list[str]:
    """Return the documents of a collection that a revision made, changed or deleted, as its first parent had them."""
    return _changed(reader, collection, graph.read(reader.source, revision.id))


def touched(reader: Reader, collection: Collection, commit: Commit, said: Message) -> list[str]:
    """Return the documents that a commit with this message made, changed or deleted.

    One that says which it is about is believed: to look into each takes a hundred times as long.
    """
    return said.all(collection.trailer) or _changed(reader, collection, commit)


def deleted(reader: Reader, collection: Collection, start: ObjectId) -> Iterator[tuple[str, Revision]]:
    """Yield each document that is gone at ``start``, with the revision that removed it, the newest first.

    A commit that says that it did something else to one document is believed to have removed none: to look into each
    takes a hundred times as long. So one of ours that a person amended, and removes another document, is not found.
    """
    root = graph.read(reader.source, start).tree
    met = {document for document, _, _ in reader.places(collection, root)}
    trailer = f"{collection.trailer}: ".encode()
    for commit_id, sketch in graph.walk(reader.source, start):
        if trailer in sketch.text and not any(words in sketch.text for words in _REMOVING):
            continue
        for document, before, after in _differing(reader, collection, graph.read(reader.source, commit_id)):
            if before is not None and after is None and document not in met:
                met.add(document)
                yield document, Revision.of(commit_id, graph.read(reader.source, commit_id))


_Difference: TypeAlias = tuple[str, ObjectId | None, ObjectId | None]  # a document, its tree before and after


def _changed(reader: Reader, collection: Collection, commit: Commit) -> list[str]:
    return sorted(document for document, _, _ in _differing(reader, collection, commit))


def _differing(reader: Reader, collection: Collection, commit: Commit) -> Iterator[_Difference]:
    """Yield the documents that are not as the first parent of a commit had them; None where there is none."""
    before = graph.root(reader.source, commit.parents[0]) if commit.parents else None
    yield from reader.differing(collection, before, commit.tree)
