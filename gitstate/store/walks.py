"""Walks over all commits of a store, whichever document they are about."""

from collections.abc import Iterator, Sequence

from gitstate.engine import graph
from gitstate.engine.base import Source
from gitstate.engine.objects import ObjectId
from gitstate.store.documents import Collection, Revision
from gitstate.store.reader import Reader

__all__ = ["changed", "walk"]


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

    def trees(commit_id: ObjectId) -> dict[str, ObjectId]:
        root = graph.read(reader.source, commit_id).tree
        return {document: tree for document, _, tree in reader.places(collection, root)}

    now, before = trees(revision.id), trees(revision.parents[0]) if revision.parents else {}
    return sorted(document for document in now.keys() | before.keys() if now.get(document) != before.get(document))
