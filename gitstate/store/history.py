"""The revisions of a document, all of them or those that somebody asks for: from the index, or by walking."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from gitstate.engine import graph
from gitstate.engine.objects import Commit, ObjectId
from gitstate.format.message import Message
from gitstate.store.documents import Collection, Revision, Snapshot
from gitstate.store.reader import Reader
from gitstate.store.trails import Life, Trail

__all__ = ["Part", "lives", "of_part", "revisions", "walked"]

Part: TypeAlias = Callable[[Snapshot], str | None]
"""Tells apart what a snapshot holds of a part of the document; None: nothing."""


def revisions(reader: Reader, trail: Trail) -> Iterator[Revision]:
    """Yield the revisions of a trail, newest first, deletions among them.

    The index knows them, if it can be had. Else they are found by walking, so that the time grows with all commits of
    the store, not only with the document's own.
    """
    index = reader.index(trail.collection)
    found = None if index is None else index.revisions(trail)
    return walked(reader, trail) if found is None else found


def of_part(reader: Reader, collection: Collection, document: str, start: ObjectId, part: Part) -> Iterator[Revision]:
    """Yield the revisions that changed a part of a document, and of those that were merged only what the merge took."""
    trail = Trail(collection, document, start, is_line=True)
    index = reader.index(collection)
    found = None if index is None else index.revisions(trail)
    return walked(reader, trail, part) if found is None else _of_part(reader, trail, found, part)


def lives(reader: Reader, trail: Trail, keys: Sequence[str] = ()) -> list[Life]:
    """Return the last life that a document had at the start of a trail; an empty list if it had none.

    A document's life ends where it was removed, and a later revision begins another one. With it comes what its
    revisions say that have the first of some trailers, if any are given.
    """
    index = reader.index(trail.collection)
    found = None if index is None else index.lives(trail, keys)
    if found is not None:
        return found

    def is_there(commit_id: ObjectId) -> bool:
        return reader.snapshot(trail.collection, trail.document, commit_id) is not None

    life = [each for each in walked(reader, trail, in_one_life=True) if is_there(each.id)]
    if not life:
        return []
    saying = trail._replace(key=keys[0] if keys else None)
    said = [each.message.first(keys) for each in life if keys and saying.holds(each.message)]
    has_ended = not is_there(trail.start)
    return [Life(life[0].id if has_ended else trail.start, life[-1], has_ended, said)]


def walked(reader: Reader, trail: Trail, part: Part | None = None, *, in_one_life: bool = False) -> Iterator[Revision]:
    """Yield the revisions of a trail as a walk over the commits finds them; of the last life alone, and the removals
    that ended it, if that is asked for or the trail goes down to where it began.
    """
    collection, document = trail.collection, trail.document
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
        return part is None and document in Message.parse(commit.message).all(collection.trailer)

    place = graph.Place(locate, is_elsewhere, claims, in_one_life or trail.until is not None, part is not None)
    for commit_id, commit in graph.history(reader.engine, trail.start, place):
        revision = Revision.of(commit_id, commit)
        if trail.holds(revision.message):
            yield revision
        if commit_id == trail.until:
            return


def _of_part(reader: Reader, trail: Trail, found: Iterator[Revision], part: Part) -> Iterator[Revision]:
    """Yield those of some revisions, each of which follows from the one after it, that changed a part."""

    def told(revision: Revision) -> str | None:
        snapshot = reader.after(trail.collection, trail.document, revision)
        return None if snapshot is None else part(snapshot)

    newer: Revision | None = None
    after: str | None = None
    for revision in found:
        now = told(revision)
        if newer is not None and after != now:
            yield newer
        newer, after = revision, now
    if newer is not None and after is not None:
        yield newer
