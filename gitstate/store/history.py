"""The revisions of a document."""

from collections.abc import Iterator

from gitstate.engine import graph
from gitstate.engine.objects import Commit, ObjectId
from gitstate.format.message import Message
from gitstate.store.documents import Collection, Revision
from gitstate.store.reader import Reader

__all__ = ["revisions"]


def revisions(reader: Reader, collection: Collection, document: str, start: ObjectId | None) -> Iterator[Revision]:
    """Yield the revisions of a document that ``start`` has in its history, newest first, deletions among them.

    They are found by walking, so the time grows with all commits of the store, not only with the document's own.
    """

    said = f"{collection.trailer}: ".encode()
    own = Message("", trailers=((collection.trailer, document),)).to_bytes().rpartition(b"\n\n")[2]

    def locate(root: ObjectId) -> ObjectId | None:
        return reader.locate(root, collection, document)

    def is_elsewhere(text: bytes) -> bool:
        return said in text and own not in text

    def claims(commit: Commit) -> bool:
        return Message.parse(commit.message).get(collection.trailer) == document

    if start is not None:
        for commit_id, commit in graph.history(reader.engine, start, graph.Place(locate, is_elsewhere, claims)):
            yield Revision.of(commit_id, commit)
