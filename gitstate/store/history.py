"""The revisions of a document."""

from collections.abc import Callable, Iterator

from gitstate.engine import graph
from gitstate.engine.objects import Commit, ObjectId
from gitstate.format.message import Message
from gitstate.store.documents import Collection, Revision, Snapshot
from gitstate.store.reader import Reader

__all__ = ["revisions"]


def revisions(
    reader: Reader,
    collection: Collection,
    document: str,
    start: ObjectId | None,
    part: Callable[[Snapshot], str | None] | None = None,
) -> Iterator[Revision]:
    """Yield the revisions of a document that ``start`` has in its history, newest first, deletions among them.

    The index knows them, if it can be had. Else they are found by walking, so that the time grows with all commits of
    the store, not only with the document's own.

    Args:
        reader: Where the commits are.
        collection: The document's collection.
        document: Its id.
        start: The commit to begin at; None: there is none.
        part: Tells apart what a snapshot holds of a part of the document (None: nothing). Only revisions that changed
            the part are yielded, and of those that were merged only what the merge took. None: the whole document.
    """

    if start is None:
        return
    known = reader.indexed(collection, document, start)
    if known is not None:
        yield from known if part is None else _of_part(reader, collection, document, known, part)
        return
    said = f"{collection.trailer}: ".encode()
    own = Message("", trailers=((collection.trailer, document),)).to_bytes().rpartition(b"\n\n")[2]

    def locate(root: ObjectId) -> str | None:
        tree = reader.locate(root, collection, document)
        if tree is None or part is None:
            return tree
        return part(reader.snapshot_of(collection, document, root, tree))

    def is_elsewhere(text: bytes) -> bool:
        return said in text and own not in text

    def claims(commit: Commit) -> bool:
        return part is None and Message.parse(commit.message).get(collection.trailer) == document

    for commit_id, commit in graph.history(reader.engine, start, graph.Place(locate, is_elsewhere, claims)):
        yield Revision.of(commit_id, commit)


def _of_part(
    reader: Reader,
    collection: Collection,
    document: str,
    known: Iterator[Revision],
    part: Callable[[Snapshot], str | None],
) -> Iterator[Revision]:
    """Yield those of some revisions, each of which follows from the one before, that changed a part."""

    def told(commit_id: ObjectId) -> str | None:
        snapshot = reader.snapshot(collection, document, commit_id)
        return None if snapshot is None else part(snapshot)

    for revision in known:
        if told(revision.id) != (told(revision.parents[0]) if revision.parents else None):
            yield revision
