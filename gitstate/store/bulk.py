"""Reads many documents at once: to read their files one by one takes four times as long."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from gitstate.engine import trees
from gitstate.engine.base import Engine, Source
from gitstate.engine.objects import Kind, ObjectId, Tree
from gitstate.engine.staging import Staging
from gitstate.errors import CorruptionError
from gitstate.store.documents import Snapshot

__all__ = ["fill", "read_ahead"]

_AT_ONCE = 1000  # documents: whose trees are read, and whose files are asked for
_LOOKED_AT = 10  # documents: so few that git, which reads ahead as much as a pipe holds, need not wait


class _Files(Source):
    """Files that were read ahead, by their ids, and all else from the source that they were read from."""

    def __init__(self, below: Source, bodies: Mapping[ObjectId, bytes]) -> None:
        self._below = below
        self._bodies = bodies

    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        """See :meth:`Source.read`."""
        return self._below.read(object_id, kind)

    def tree(self, tree_id: ObjectId) -> Tree:
        """See :meth:`Source.tree`."""
        return self._below.tree(tree_id)

    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        """See :meth:`Source.commits`."""
        return self._below.commits(start)

    def read_all(self, ids: Sequence[ObjectId], kind: Kind) -> list[bytes]:
        """See :meth:`Source.read_all`."""
        try:
            return [self._bodies[each] for each in ids] if kind == "blob" else self._below.read_all(ids, kind)
        except KeyError:
            return self._below.read_all(ids, kind)


def read_ahead(engine: Engine, snapshots: Iterable[Snapshot]) -> Iterator[Snapshot]:
    """Yield snapshots with the files of their values at hand, as far as they can be read and are not known anyway."""
    snapshots = iter(snapshots)
    while several := list(islice(snapshots, _AT_ONCE)):
        deque(engine.bulk([each for snapshot in several for each in _found(_folders, snapshot)]), maxlen=0)
        groups = [several[start : start + _LOOKED_AT] for start in range(0, len(several), _LOOKED_AT)]
        wanted = [[each for snapshot in group for each in _found(_files, snapshot)] for group in groups]
        for group, bodies in zip(groups, engine.bodies(wanted, "blob"), strict=True):
            ahead = _Files(engine, bodies)
            yield from [snapshot.over(ahead) for snapshot in group] if bodies else group


def fill(ahead: Staging, engine: Engine, snapshots: Sequence[Snapshot]) -> None:
    """Put the files of the values of snapshots on top of what they are read from, as far as they can be had in bulk."""
    for look in (_folders, _files):
        wanted = (object_id for snapshot in snapshots for object_id in _found(look, snapshot))
        ahead.add(engine.bulk(list(dict.fromkeys(wanted))))


def _found(look: Callable[[Snapshot], Iterator[ObjectId]], snapshot: Snapshot) -> list[ObjectId]:
    try:
        return list(look(snapshot)) if snapshot.known() is None else []
    except CorruptionError:  # who reads it is told so
        return []


def _folders(snapshot: Snapshot) -> Iterator[ObjectId]:
    """Yield the folders in which the files of a value lie."""
    entries = trees.read(snapshot.source, snapshot.tree)
    found = (entries.get(name) for name in snapshot.collection.layout.top_names)
    return (entry.id for entry in found if entry is not None and entry.is_directory)


def _files(snapshot: Snapshot) -> Iterator[ObjectId]:
    return iter(snapshot.value_files.values())
