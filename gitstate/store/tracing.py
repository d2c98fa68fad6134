"""Looks for the revisions of a document that set a value, and for the first one whose value is as somebody asks.

Only the files that hold what is asked for are read, and each of their contents once.
"""

import logging
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, TypeVar

from gitstate.engine import trees
from gitstate.engine.base import Source
from gitstate.engine.objects import Kind, ObjectId
from gitstate.errors import StateCorruptionError
from gitstate.format.layout import Layout
from gitstate.store.documents import Collection, Revision, Snapshot
from gitstate.store.store import Store
from gitstate.values import canonical, pointer
from gitstate.values.canonical import Value
from gitstate.values.merge import same
from gitstate.values.pointer import Parts
from gitstate.values.shape import ABSENT, Slot

__all__ = ["First", "blame", "first"]

_log = logging.getLogger("gitstate")

_T = TypeVar("_T")
_KEPT = 4096  # contents of files
_LARGE = 8192  # bytes: what is larger is not kept, such as a root file with a whole configuration


class First(NamedTuple):
    """The first revision that was looked for, None if there is none; the one before it; and how many were looked at."""

    found: Revision | None
    before: Revision | None
    looked_at: int


def blame(
    store: Store, collection: Collection, document: str, place: Parts, at: str | None = None
) -> Iterator[tuple[Revision, Slot]]:
    """Yield the revisions that set what stands at a place, and what they set, newest first.

    One that removed it has ABSENT. Of two sides that were merged only the one counts whose value was taken; a merge
    that took neither's counts too. Revisions that cannot be read are passed over, and told of in the log.
    """
    values = _Values(collection, [place])

    def told(snapshot: Snapshot) -> str | None:
        whole = _id_of_whole(snapshot, place)
        if whole is not None:
            return whole
        try:
            slot = pointer.get(values.of(snapshot), place)
        except StateCorruptionError:
            return f"cannot be read: {snapshot.tree}"
        return None if slot is ABSENT else canonical.dumps(slot).decode()

    def slot(revision: ObjectId) -> Slot:
        snapshot = store.snapshot(collection, document, revision)
        return ABSENT if snapshot is None else pointer.get(values.of(snapshot), place)

    def readable(revision: ObjectId) -> Slot:
        """Return what stands there at a revision, or at the last one before it that can be read."""
        with suppress(StateCorruptionError):
            return slot(revision)
        for older in store.history_of_part(collection, document, told, revision):
            with suppress(StateCorruptionError):
                return slot(older.id)
        return ABSENT

    for revision in store.history_of_part(collection, document, told, at):
        try:
            here = slot(revision.id)
        except StateCorruptionError as error:
            _log.warning("passed over: %s", error.message)
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
    values = _Values(collection, places)
    before: Revision | None = None
    looked_at = 0
    for revision in reversed(list(store.history(collection, document, at))):
        snapshot = store.after(collection, document, revision)
        if snapshot is None:
            continue
        try:
            value = values.of(snapshot)
        except StateCorruptionError as error:
            _log.warning("passed over: %s", error.message)
            continue
        looked_at += 1
        try:
            found = holds(value)
        except Exception as error:
            error.add_note(f"asked of {document!r} as it was at revision {revision.id[:12]}")
            raise
        if found:
            return First(revision, before, looked_at)
        before = revision
    return First(None, before, looked_at)


class _Values:
    """The values of a document's snapshots, with all that stands at some places."""

    def __init__(self, collection: Collection, places: Iterable[Parts] | None) -> None:
        self._root = collection.layout.root
        self._files = _files_of(collection.layout, places)
        self._last: tuple[tuple[object, ...], dict[str, Value]] | None = None
        self._source: _Remembering | None = None
        self._loads = _keeping(canonical.loads)

    def of(self, snapshot: Snapshot) -> dict[str, Value]:
        """Return the value of a snapshot, the same object as before where nothing changed.

        Raises:
            StateCorruptionError: It cannot be read.
        """
        key = self._key(snapshot)
        if self._last is None or self._last[0] != key:
            self._source = self._source or _Remembering(snapshot.source)
            self._last = key, replace(snapshot, source=self._source).part(self._files, self._loads)
        return self._last[1]

    def _key(self, snapshot: Snapshot) -> tuple[object, ...]:
        if isinstance(self._files, _All):
            return (snapshot.value_id,)
        entries = [trees.find(snapshot.source, snapshot.tree, path) for path in sorted(self._files)]
        if None in entries:  # the root file says whether one is lost, and holds what is in no file of its own
            entries.append(trees.find(snapshot.source, snapshot.tree, self._root))
        return tuple(entries)


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


def _id_of_whole(snapshot: Snapshot, place: Parts) -> str | None:
    """Return what git knows the value by, or all the entries of one that are files; None: it is another place."""
    if not place:
        return snapshot.value_id
    folders = [part.path.partition("/")[0] for part in snapshot.collection.layout.parts if place == (part.field,)]
    entry = trees.find(snapshot.source, snapshot.tree, folders[0]) if folders else None
    return None if entry is None else entry.id


def _keeping(make: Callable[..., _T]) -> Callable[..., _T]:
    """Return a function that keeps what is made of small files, or read of them."""
    kept: dict[tuple[object, ...], _T] = {}

    def get(*arguments: object) -> _T:
        if arguments in kept:
            return kept[arguments]
        made = make(*arguments)
        file = made if isinstance(made, bytes) else arguments[0]
        if isinstance(file, bytes) and len(file) <= _LARGE:
            if len(kept) == _KEPT:
                kept.clear()
            kept[arguments] = made
        return made

    return get


class _Remembering:
    """A source that keeps the files that were read last."""

    def __init__(self, below: Source) -> None:
        self.read = _keeping(below.read)
        self.tree = below.tree
        self.commits = below.commits

    def read_all(self, ids: Sequence[ObjectId], kind: Kind) -> list[bytes]:
        """See :meth:`Source.read_all`."""
        return [self.read(object_id, kind) for object_id in ids]
