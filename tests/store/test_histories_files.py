"""Two heads joined to one: what becomes of files of no document, and of folders that were moved."""

import json
from typing import Any

import pytest

from gitstate.engine import graph
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.format.version import FormatVersion
from tests.store.worlds import World, both_ways


def test_other_files_are_taken_from_who_changed_them_and_the_later_head_has_those_that_both_changed() -> None:
    world = World()
    start = world.begin({"a": {"n": 1}}, {"f": b"0", "g": b"0", "docs/h": b"0", "i": b"0"})
    here = world.save(start, None, {"f": b"1", "docs/h": b"1", "i": None, "new": b"1", "both": b"1", "dir": b"1"})
    there = world.save(start, None, {"g": b"2", "docs/h": b"2", "i": b"2", "both": b"2", "dir/x": b"2"})
    joined = both_ways(world, here, there)
    files = {path: world.file(joined.tree, path) for path in ("f", "g", "docs/h", "i", "new", "both", "dir/x", "dir")}
    assert files == {
        "f": b"1",
        "g": b"2",
        "docs/h": b"2",
        "i": b"2",
        "new": b"1",
        "both": b"2",
        "dir/x": b"2",
        "dir": None,
    }
    assert sorted(joined.clashes) == ["both", "dir", "docs/h", "i"]


def test_a_file_where_the_other_side_made_a_folder_is_told() -> None:
    world = World()
    start = world.begin()
    folder = world.save(start, None, {"dir/x": b"1", "dir/y": b"1"})
    file = world.save(start, None, {"dir": b"2"})
    joined = both_ways(world, folder, file)
    assert world.file(joined.tree, "dir") == b"2"
    assert joined.clashes == ("dir",)


@pytest.mark.parametrize("fanouts", [(0, 1, 0), (0, 0, 2), (0, 1, 1), (1, 2, 0), (2, 1, 0), (1, 0, 0)])
def test_documents_are_found_wherever_they_lie(fanouts: tuple[int, int, int]) -> None:
    world = World()
    names = [f"job-{number}" for number in range(8)]
    heads = []
    start = moved(world, world.begin({name: {"n": 0, "p": 0, "q": 0} for name in names}), fanouts[0])
    for field, fanout, side in (("p", fanouts[1], names[:6]), ("q", fanouts[2], names[2:])):
        head = moved(world, start, fanout)
        for name in side:
            head = world.save(head, {name: {"n": 0, "p": 0, "q": 0, field: 1}}, {f"notes/hello-{field}": b"x"})
        heads.append(head)
    joined = both_ways(world, *heads)
    assert {name: (value["p"], value["q"]) for name, value in world.values(joined.tree).items()} == {
        name: (int(name in names[:6]), int(name in names[2:])) for name in names
    }
    base, here, there = fanouts
    assert world.reader.format(joined.tree).fanout == (there if there != base else here)
    assert (joined.clashes == ("gitstate.json",)) == (len(set(fanouts)) == 3)


def moved(world: World, head: ObjectId, fanout: int) -> ObjectId:
    """Return a commit in which all documents lie under so many folders."""
    root = graph.read(world.source, head).tree
    if world.reader.format(root).fanout == fanout:
        return head
    changes: dict[str, Any] = {"gitstate.json": FormatVersion(fanout=fanout).to_bytes()}
    for name, path, tree in world.reader.places(world.collection, root):
        changes |= {path: None, world.collection.folder(name, fanout): TreeEntry(0o40000, tree)}
    return world.save(head, None, changes)


def test_what_either_side_purged_stays_purged() -> None:
    def purged(*commits: str, **more: Any) -> bytes:
        return json.dumps({"format": 1, "entries": [{"commits": [each * 40]} for each in commits], **more}).encode()

    world = World()
    start = world.begin(None, {"purged.json": purged("a")})
    here = world.save(start, None, {"purged.json": purged("a", "c")})
    there = world.save(start, None, {"purged.json": purged("b", "a")})
    joined = both_ways(world, here, there)
    found = json.loads(world.file(joined.tree, "purged.json") or b"")
    assert [each["commits"][0][0] for each in found["entries"]] == ["a", "b", "c"]
    assert joined.clashes == ()
    for odd in (b"no json", b"[]", b"{}", b'{"entries": 1}', purged("a", format=2)):
        joined = both_ways(world, here, world.save(start, None, {"purged.json": odd}))
        assert joined.clashes == ("purged.json",)
        assert world.file(joined.tree, "purged.json") == odd


def test_files_of_people_in_the_folder_of_a_document() -> None:
    world = World()
    start = world.begin({"a": {"x": 0}}, {"notes/a/README": b"0", "notes/a/mine": b"0"})
    here = world.save(start, {"a": {"x": 1}}, {"notes/a/README": b"1", "notes/a/new": b"1"})
    there = world.save(start, None, {"notes/a/README": b"2", "notes/a/mine": b"2"})
    joined = both_ways(world, here, there)
    files = {name: world.file(joined.tree, f"notes/a/{name}") for name in ("README", "mine", "new")}
    assert files == {"README": b"2", "mine": b"2", "new": b"1"}
    assert world.values(joined.tree)["a"]["x"] == 1
    assert [(each.side, each.conflicts[0].pointer) for each in joined.losers] == [("ours", "/README")]
