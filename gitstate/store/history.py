"""The revisions of a document, and the names that people give them."""

import re
from collections.abc import Iterator

from gitstate.engine import graph
from gitstate.engine.objects import Commit, ObjectId
from gitstate.errors import GitStateError, InvalidInputError, RevisionNotFoundError
from gitstate.format.message import Message
from gitstate.store.documents import Collection, Revision
from gitstate.store.reader import Reader

__all__ = ["resolve", "revisions"]

_PREFIX = re.compile(r"[0-9a-f]{4,40}", re.IGNORECASE)


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


def resolve(reader: Reader, name: str) -> ObjectId:
    """Return the commit that a name stands for: a commit id, or its first four or more digits when only one fits.

    Raises:
        RevisionNotFoundError: No revision answers to the name, or several do; the message lists them.
    """
    if not isinstance(name, str) or not name:
        raise InvalidInputError(
            f"a revision is named by a text, not by {name!r}", hint="give the first digits of its commit id"
        )
    found = reader.engine.find(name.lower()) if _PREFIX.fullmatch(name) else []
    if len(found) > 1:
        listed = ", ".join(commit_id[:12] for commit_id in found[:5])
        raise RevisionNotFoundError(f"revision {name!r} is ambiguous: {listed}", hint="give more digits")
    if not found:
        raise RevisionNotFoundError(
            f"there is no revision {name!r}", hint="name it by the first digits of its commit id; `git log` lists them"
        )
    try:
        reader.format(graph.read(reader.engine, found[0]).tree)
    except GitStateError as error:
        raise RevisionNotFoundError(f"commit {found[0][:12]} is no revision of this store: {error.message}") from error
    return found[0]
