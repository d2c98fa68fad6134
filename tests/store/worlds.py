"""Histories in memory, as several machines make them: a machine is a head, and all of them share their objects."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gitstate.engine import graph, trees
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Commit, ObjectId, Signature
from gitstate.engine.staging import Staging
from gitstate.errors import CorruptionError
from gitstate.format.message import EVENT, Message
from gitstate.format.version import FormatVersion
from gitstate.store.documents import Collection, Joining, WentBack
from gitstate.store.histories import JoinedHistories, OnConflict, join
from gitstate.store.reader import Reader
from tests.stores import NOTES

__all__ = ["JUDGED", "NOTED", "T0", "T1", "T2", "T3", "World", "both_ways", "crossed", "fork", "results"]

Value = dict[str, Any]

T0, T1, T2, T3 = (f"2026-01-01T1{hour}:00:00Z" for hour in range(4))
BACK: dict[str, WentBack] = {"rolled-back": "whole", "restored": "part"}
NOTED = replace(
    NOTES,
    joining=Joining(time_field="saved", went_back=lambda said: BACK.get(said.get(EVENT) or "", "")),
)


def checking(value: dict[str, Any]) -> None:
    if value.get("bad"):
        raise CorruptionError("it is bad")
    if value.get("m", 0) + value.get("n", 0) > 1:
        raise CorruptionError("m and n are too much")


JUDGED = replace(NOTED, check=checking)


class World:
    """Commits that nobody keeps."""

    def __init__(self, *collections: Collection) -> None:
        self.collections = collections or (NOTED,)
        self.collection = self.collections[0]
        self.source = Staging(MemoryEngine())
        self.reader = Reader(MemoryEngine()).over(self.source)
        self.time = 1_700_000_000

    def begin(self, values: Mapping[str, Value] | None = None, files: trees.Changes | None = None) -> ObjectId:
        """Return the first commit of a store."""
        first = trees.edit(self.source, None, {"gitstate.json": FormatVersion().to_bytes()})
        self.source.add(first.objects)
        return self.commit(first.id, (), values or {}, files or {})

    def save(
        self,
        head: ObjectId,
        values: Mapping[str, Value | None] | None = None,
        files: trees.Changes | None = None,
        *,
        event: str = "saved",
        by: str = "somebody",
        tick: int = 1,
        trailers: Sequence[tuple[str, str]] = (),
    ) -> ObjectId:
        """Return a commit on top of a head; None removes a document."""
        self.time += tick
        root = graph.read(self.source, head).tree
        return self.commit(root, (head,), values or {}, files or {}, event, by, trailers)

    def commit(
        self,
        root: ObjectId,
        parents: tuple[ObjectId, ...],
        values: Mapping[str, Value | None],
        files: trees.Changes,
        event: str = "saved",
        by: str = "somebody",
        trailers: Sequence[tuple[str, str]] = (),
    ) -> ObjectId:
        changes: dict[str, Any] = dict(files)
        for document, value in values.items():
            folder = self.reader.folder(root, self.collection, document)
            standing = self.reader.snapshot_in(self.collection, document, root, root)
            if standing is not None:
                changes |= {f"{folder}/{path}": None for path in standing.files() if self.collection.layout.owns(path)}
            if value is not None:
                split = self.collection.layout.split({self.collection.id_field: document, **value})
                changes |= {f"{folder}/{path}": data for path, data in split.items()}
        edited = trees.edit(self.source, root, changes)
        named = [(self.collection.trailer, document) for document in values]
        said = Message("something", "", (*named, *([(EVENT, event)] if values else []), *trailers))
        who = Signature(by, f"{by}@example.org", self.time)
        made = Commit(edited.id, parents, who, who, said.to_bytes()).to_object()
        self.source.add([*edited.objects, made])
        return made.id

    def join(self, ours: ObjectId, theirs: ObjectId, on_conflict: OnConflict = "park") -> JoinedHistories:
        """Join two heads; the objects are kept."""
        joined = join(self.reader, self.collections, ours, theirs, on_conflict=on_conflict)
        self.source.add(joined.objects)
        return joined

    def sync(self, ours: ObjectId, theirs: ObjectId, on_conflict: OnConflict = "park") -> ObjectId:
        """Return the head of a machine after it took in that of another one."""
        joined = self.join(ours, theirs, on_conflict)
        if joined.is_up_to_date:
            return ours
        if joined.is_fast_forward:
            return theirs
        self.time += 1
        return self.commit(joined.tree, (ours, theirs), {}, {})

    def values(self, root: ObjectId) -> dict[str, Value]:
        """Return all documents of a root tree, or of a commit's."""
        if self._is_commit(root):
            root = graph.read(self.source, root).tree
        places = self.reader.places(self.collection, root)
        found = {name: self.reader.snapshot_of(self.collection, name, root, tree) for name, _, tree in places}
        return {name: snapshot.content().value for name, snapshot in found.items()}

    def file(self, root: ObjectId, path: str) -> bytes | None:
        """Return a file of a root tree, or of a commit's."""
        if self._is_commit(root):
            root = graph.read(self.source, root).tree
        entry = trees.find(self.source, root, path)
        return None if entry is None or entry.is_directory else self.source.read(entry.id, "blob")

    def _is_commit(self, object_id: ObjectId) -> bool:
        found = {each.id: each.kind for each in self.source.objects}
        return found[object_id] == "commit"


def results(joined: JoinedHistories) -> dict[str, str]:
    return {each.document: each.result for each in joined.outcomes}


def both_ways(world: World, ours: ObjectId, theirs: ObjectId) -> JoinedHistories:
    """Join two heads, and see that the other machine comes to the same tree."""
    joined, mirrored = world.join(ours, theirs), world.join(theirs, ours)
    assert joined.tree == mirrored.tree
    swapped = {"ours": "theirs", "theirs": "ours"}
    assert {(each.document, each.revision, each.side) for each in joined.losers} == {
        (each.document, each.revision, swapped[each.side]) for each in mirrored.losers
    }
    assert joined.clashes == mirrored.clashes
    return joined


def fork(world: World, values: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> JoinedHistories:
    """Join two changes of some documents; ours is the earlier commit."""
    start = world.begin(values)
    here, there = world.save(start, ours, by="Ada"), world.save(start, theirs, by="Ben")
    return both_ways(world, here, there)


def crossed(world: World, one: ObjectId, other: ObjectId) -> tuple[ObjectId, ObjectId]:
    """Return the heads of two machines that took in each other at once."""
    return world.sync(one, other), world.sync(other, one)
