"""Looks for the revisions of a document that set a value, and for the first one whose value is as somebody asks.

Only the files that hold what is asked for are read, and each of their contents once.
"""

import logging
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from gitstate.engine import trees
from gitstate.engine.base import Source
from gitstate.engine.objects import ObjectId
from gitstate.errors import StateCorruptionError
from gitstate.format.layout import Layout
from gitstate.store.documents import Collection, Revision, Snapshot
from gitstate.store.store import Store
from gitstate.values import pointer
from gitstate.values.canonical import Value
from gitstate.values.merge import same
from gitstate.values.pointer import Parts
from gitstate.values.shape import ABSENT, Slot

__all__ = ["First", "blame", "first"]

_log = logging.getLogger("gitstate")

_KEPT = 4096  # contents of files


class First(NamedTuple):
    """The first revision that was looked for, None if there is none; the one before it; and how many were looked at."""

    found: Revision | None
    before: Revision | None
    looked_at: int


def blame(
    store: Store, collection: Collection, document: str, place: Parts, at: str | None = None
) -> Iterator[tuple[Revision, Slot]]:
    """Yield the revisions that set what stands at a place, and what they set, newest first.

    One that removed it has ABSENT; one that merged two sides counts if it took neither's. Revisions that cannot be read
    are passed over, and told of in the log.
    """
    values = _Values(store, collection, document, [place])

    def slot(revision: ObjectId) -> tuple[Slot] | None:
        """Return what stands there at a revision, which may be null; None instead of it where that cannot be read."""
        try:
            value = values.at(revision)
        except StateCorruptionError as error:
            _log.warning("passed over: %s", error.message)
            return None
        return (ABSENT if value is None else pointer.get(value, place),)

    def readable(revision: ObjectId) -> Slot:
        """Return what stands there at a revision, or at the last one before it that can be read."""
        if (found := slot(revision)) is not None:
            return found[0]
        slots = (slot(older.id) for older in store.history(collection, document, revision))
        return next((found[0] for found in slots if found is not None), ABSENT)

    for revision in store.history(collection, document, at):
        found = slot(revision.id)
        if found is None:
            continue
        (here,) = found
        if here is ABSENT and not revision.parents:
            continue
        if not any(same(here, before) for before in map(readable, revision.parents)):
            yield revision, here


def first(
    store: Store,
    collection: Collection,
    document: str,
    holds: Callable[[dict[str, Value]], bool],
    places: Iterable[Parts] | None = None,
    at: str | None = None,
) -> First:
    """Return the first revision of a document whose value is as asked for.

    All are looked at, from the oldest on, so it need not stay so afterwards. Revisions that cannot be read are passed
    over, and told of in the log.

    Args:
        store: Where the document is.
        collection: Its collection.
        document: Its id.
        holds: Is asked about values that have at least all that stands at the places.
        places: The places that it looks at, ``*`` in a key for any text; None: at any.
        at: The revision to end at; None is the head.
    """
    values = _Values(store, collection, document, places)
    before: Revision | None = None
    looked_at = 0
    for revision in reversed(list(store.history(collection, document, at))):
        try:
            value = values.at(revision.id)
        except StateCorruptionError as error:
            _log.warning("passed over: %s", error.message)
            continue
        if value is None:
            continue
        looked_at += 1
        if holds(value):
            return First(revision, before, looked_at)
        before = revision
    return First(None, before, looked_at)


class _Values:
    """The values of a document at its revisions, with all that stands at some places."""

    def __init__(self, store: Store, collection: Collection, document: str, places: Iterable[Parts] | None) -> None:
        self._store = store
        self._collection = collection
        self._document = document
        self._files = _files_of(collection.layout, places)
        self._last: tuple[tuple[object, ...], dict[str, Value]] | None = None
        self._source: _Remembering | None = None

    def at(self, revision: ObjectId) -> dict[str, Value] | None:
        """Return the value at a revision, the same object as before where nothing changed; None without a document."""
        snapshot = self._store.snapshot(self._collection, self._document, revision)
        if snapshot is None:
            return None
        key = self._key(snapshot)
        if self._last is None or self._last[0] != key:
            self._source = self._source or _Remembering(snapshot.source)
            self._last = key, replace(snapshot, source=self._source).part(self._files)
        return self._last[1]

    def _key(self, snapshot: Snapshot) -> tuple[object, ...]:
        if isinstance(self._files, _All):
            return (snapshot.value_id,)
        return tuple(trees.find(snapshot.source, snapshot.tree, path) for path in sorted(self._files))


class _All(Container[str]):
    def __contains__(self, path: object) -> bool:
        return True


def _files_of(layout: Layout, places: Iterable[Parts] | None) -> frozenset[str] | _All:
    """Return the paths of the files that hold some places."""
    if places is None:
        return _All()
    paths: set[str] = set()
    for place in places:
        if any("*" in part for part in place[:2]) or not place or (len(place) == 1 and layout.is_part(place[0])):
            return _All()
        paths.add(layout.path_of(place))
    return frozenset(paths)


class _Remembering:
    """A source that keeps the files that were read last."""

    def __init__(self, below: Source) -> None:
        self.read = lru_cache(maxsize=_KEPT)(below.read)
        self.tree = below.tree
        self.commits = below.commits
