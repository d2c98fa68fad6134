"""Two heads joined to one: what becomes of documents and files, and that every machine comes to the same tree."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate import clock
from gitstate.backends.joining import JOB_JOINING
from gitstate.backends.rules import JOB_RULES
from gitstate.engine import graph
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.errors import ConflictError, CorruptionError, DivergedError, UnsupportedError
from gitstate.format.message import Message
from gitstate.format.version import FormatVersion
from gitstate.store import histories
from gitstate.store.histories import DocumentConflict, JoinedHistories, OnConflict, told
from gitstate.values.merge import Conflict, Rules, add_deltas
from tests.store.worlds import NOTED, World
from tests.stores import JOBS

T0, T1, T2, T3 = (f"2026-01-01T1{hour}:00:00Z" for hour in range(4))


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


def test_a_head_that_follows_the_other_is_taken_as_it_is() -> None:
    world = World()
    start = world.begin({"a": {"n": 1}, "b": {"n": 1}, "c": {"n": 1}})
    head = world.save(world.save(start, {"a": {"n": 2}, "b": None}), {"d": {"n": 1}}, {"README": b"mine"})
    joined = world.join(start, head)
    assert (joined.is_fast_forward, joined.is_up_to_date, joined.objects) == (True, False, [])
    assert joined.tree == graph.read(world.source, head).tree
    assert results(joined) == {"a": "fast-forwarded", "b": "deleted", "d": "created"}
    for theirs in (start, head):
        joined = world.join(head, theirs)
        assert (joined.is_fast_forward, joined.is_up_to_date, joined.outcomes) == (False, True, ())
        assert joined.tree == graph.read(world.source, head).tree


def test_what_each_side_did_alone_is_taken() -> None:
    world = World()
    start = world.begin({name: {"n": 1} for name in "abcdef"})
    here = world.save(start, {"a": {"n": 2}, "b": None, "e": {"n": 3}, "f": None, "g": {"n": 1}})
    there = world.save(start, {"c": {"n": 2}, "d": None, "e": {"n": 3}, "f": None, "h": {"n": 1}})
    joined = both_ways(world, here, there)
    assert results(joined) == {
        "a": "up to date",
        "b": "up to date",
        "c": "fast-forwarded",
        "d": "deleted",
        "e": "up to date",
        "f": "deleted",
        "g": "up to date",
        "h": "created",
    }
    assert {name: value["n"] for name, value in world.values(joined.tree).items()} == {
        "a": 2,
        "c": 2,
        "e": 3,
        "g": 1,
        "h": 1,
    }
    assert not joined.is_fast_forward
    assert (joined.losers, joined.clashes) == ((), ())


def test_two_changes_of_one_document_are_merged_and_a_place_in_conflict_is_as_saved_later() -> None:
    world = World()
    joined = fork(
        world,
        {"a": {"saved": T0, "x": 0, "y": 0, "z": {"p": 0}}, "b": {"x": 0, "y": 0}},
        {"a": {"saved": T2, "x": 1, "y": 1, "z": {"p": 0, "q": 1}}, "b": {"x": 1, "y": 0}},
        {"a": {"saved": T1, "x": 2, "y": 0, "z": {"p": 1}}, "b": {"x": 0, "y": 1}},
    )
    found = world.values(joined.tree)
    assert found["a"] == {"id": "a", "saved": T2, "x": 1, "y": 1, "z": {"p": 1, "q": 1}}
    assert found["b"] == {"id": "b", "x": 1, "y": 1}
    assert results(joined) == {"a": "parked", "b": "merged"}
    (outcome, _) = joined.outcomes
    assert [each.pointer for each in outcome.conflicts] == ["/saved", "/x"]
    assert outcome.author == "Ben"
    (loser,) = joined.losers
    assert (loser.document, loser.side, loser.conflicts) == ("a", "theirs", outcome.conflicts)
    assert world.values(loser.revision)["a"]["x"] == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "wins"),
    [
        ({"saved": T1}, {"saved": T1}, 2),  # the later commit
        ({"saved": T1}, {}, 1),  # one that says when
        ({"saved": "soon"}, {}, 2),  # nobody says when
        ({"saved": "2026-01-01T12:00:00+02:00"}, {"saved": "2026-01-01T11:00:00+00:00"}, 2),
    ],
)
def test_which_side_is_later(ours: dict[str, Any], theirs: dict[str, Any], wins: int) -> None:
    joined = fork(world := World(), {"a": {"x": 0}}, {"a": {**ours, "x": 1}}, {"a": {**theirs, "x": 2}})
    assert world.values(joined.tree)["a"]["x"] == wins


def test_of_two_that_were_saved_at_once_the_larger_bytes_win() -> None:
    for here, there in ((1, 2), (2, 1)):
        world = World()
        start = world.begin({"a": {"x": 0}})
        heads = [world.save(start, {"a": {"x": x}}, tick=0) for x in (here, there)]
        assert world.values(both_ways(world, *heads).tree)["a"]["x"] == 2


@pytest.mark.parametrize(("way", "x", "lost"), [("ours", 1, "theirs"), ("theirs", 2, "ours")])
def test_a_side_can_be_preferred(way: OnConflict, x: int, lost: str) -> None:
    world = World()
    start = world.begin({"a": {"x": 0, "y": 0}}, {"f": b"0"})
    here = world.save(start, {"a": {"saved": T2 if x == 2 else T1, "x": 1}}, {"f": b"1"})
    there = world.save(start, {"a": {"saved": T1 if x == 2 else T2, "x": 2, "y": 0, "z": 1}}, {"f": b"2"})
    joined = world.join(here, there, way)
    found = world.values(joined.tree)["a"]
    assert (found["x"], found["z"]) == (x, 1)
    assert world.file(joined.tree, "f") == b"%d" % x
    assert [each.side for each in joined.losers] == [lost], "nothing is lost in silence"
    assert joined.clashes == ("f",)


def test_nothing_is_made_where_a_conflict_shall_fail() -> None:
    world = World()
    start = world.begin({"a": {"x": 0}, "b": {"x": 0}, "c": {"x": 0}}, {"f": b"0"})
    here = world.save(start, {"a": {"x": 1}, "b": {"x": 1}, "c": None}, {"f": b"1"})
    there = world.save(start, {"a": {"x": 2}, "b": {"x": 0, "y": 1}, "c": {"x": 1}}, {"f": b"2"})
    with pytest.raises(ConflictError, match="'a' at /x, f") as caught:
        world.join(here, there, "fail")
    conflicts = caught.value.conflicts
    assert all(isinstance(each, DocumentConflict) for each in conflicts)
    assert [(each.collection, each.document, each.pointer) for each in conflicts] == [
        ("notes", "a", "/x"),
        ("", "f", ""),
    ]
    there = world.save(start, {"b": {"x": 0, "y": 1}})
    assert world.join(here, there, "fail").tree == world.join(here, there).tree


def test_a_change_survives_a_deletion() -> None:
    world = World()
    start = {name: {"n": 1} for name in "ab"}
    joined = fork(world, start, {"a": None, "b": {"n": 2}}, {"a": {"n": 2}, "b": None})
    assert {name: value["n"] for name, value in world.values(joined.tree).items()} == {"a": 2, "b": 2}
    assert {each.document: each.detail for each in joined.outcomes} == {
        "a": "deleted here and changed there: the change survives",
        "b": "deleted there and changed here: the change survives",
    }
    assert joined.losers == ()


def test_a_place_that_one_side_removed_and_the_other_changed_survives_and_the_removal_is_told() -> None:
    world = World()
    joined = fork(
        world,
        {"a": {"saved": T0, "sheets": {"1": {"n": 1}, "2": {"n": 1}}, "x": 0}},
        {"a": {"saved": T0, "sheets": {"1": {"n": 2}, "2": {"n": 1}}, "x": 1}},
        {"a": {"saved": T3, "sheets": {"2": {"n": 1}}, "x": 2}},
    )
    assert world.values(joined.tree)["a"] == {
        "id": "a",
        "saved": T3,
        "sheets": {"1": {"n": 2}, "2": {"n": 1}},
        "x": 2,
    }
    assert [each.side for each in joined.losers] == ["ours", "theirs"], "each lost a place"
    assert "both were put aside" in joined.outcomes[0].detail


def test_one_document_that_both_made_is_merged_as_far_as_it_goes() -> None:
    world = World()
    joined = fork(world, {}, {"a": {"saved": T2, "x": 1, "y": 1}}, {"a": {"saved": T1, "x": 1, "y": 2, "z": 2}})
    assert world.values(joined.tree)["a"] == {"id": "a", "saved": T2, "x": 1, "y": 1, "z": 2}
    assert (results(joined), [each.side for each in joined.losers]) == ({"a": "parked"}, ["theirs"])


def test_stores_that_have_nothing_in_common_are_not_joined() -> None:
    world = World()
    one = world.begin({"a": {}})
    world.time += 1
    other = world.begin({"b": {}})
    with pytest.raises(DivergedError, match="no history in common") as caught:
        world.join(one, other)
    assert "gitstate import" in caught.value.hint


def test_a_head_that_is_no_store_is_refused() -> None:
    world = World()
    start = world.begin({"a": {}})
    gone = world.save(start, None, {"gitstate.json": None})
    newer = world.save(start, None, {"gitstate.json": b'{"format": 99}'})
    for theirs in (gone, newer):
        with pytest.raises(UnsupportedError):
            world.join(start, theirs)
        with pytest.raises(UnsupportedError):
            world.join(theirs, start)


def test_a_slip_in_the_history_does_no_harm() -> None:
    world = World()
    slip = world.save(world.begin({"a": {"x": 0}}), None, {"gitstate.json": None})
    right = FormatVersion().to_bytes()
    here = world.save(world.save(slip, None, {"gitstate.json": right}), {"a": {"x": 0, "y": 1}})
    there = world.save(world.save(slip, None, {"gitstate.json": right}), {"a": {"x": 1}})
    assert world.values(both_ways(world, here, there).tree)["a"] == {"id": "a", "x": 1, "y": 1}


# Histories that were merged into each other


def crossed(world: World, one: ObjectId, other: ObjectId) -> tuple[ObjectId, ObjectId]:
    """Return the heads of two machines that took in each other at once."""
    return world.sync(one, other), world.sync(other, one)


def test_bases_of_crossed_histories_are_merged_first() -> None:
    counted = replace(NOTED, rules=Rules.of({"/n": add_deltas}))
    world = World(counted)
    start = world.begin({"a": {"saved": T0, "n": 0, "x": 0}})
    one = world.save(start, {"a": {"saved": T1, "n": 1, "x": 1}})
    other = world.save(start, {"a": {"saved": T2, "n": 1, "x": 2}})
    for _ in range(5):
        one, other = crossed(world, one, other)
        assert graph.read(world.source, one).tree == graph.read(world.source, other).tree
        assert one != other
    value = world.values(one)["a"]
    assert (value["n"], value["x"]) == (2, 2)
    one = world.save(one, {"a": {**value, "n": 3}})
    other = world.save(other, {"a": {**value, "n": 3, "y": 1}})
    joined = both_ways(world, one, other)
    assert world.values(joined.tree)["a"] == {"id": "a", "saved": T2, "n": 4, "x": 2, "y": 1}
    assert joined.losers == ()


def test_crossings_that_never_agree_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> dict[str, Any]:
        world = World(replace(NOTED, rules=Rules.of({"/n": add_deltas})))
        one = other = world.begin({"a": {"n": 0}})
        for number in range(1, 31):
            value = world.values(one)["a"], world.values(other)["a"]
            one = world.save(one, {"a": {**value[0], "n": value[0]["n"] + 1, "p": number}})
            other = world.save(other, {"a": {**value[1], "n": value[1]["n"] + 1, "q": number}})
            kept = other
            other = world.sync(other, one)
            one = world.sync(one, kept)
            other = world.save(other, {"a": {**world.values(other)["a"], "r": number}})
        return world.values(both_ways(world, one, other).tree)["a"]

    assert run()["n"] == 60
    monkeypatch.setattr(histories, "_DEEP", 2)
    run()  # the numbers may be wrong then; it ends, and both come to the same


def test_more_than_two_bases() -> None:
    world = World(replace(NOTED, rules=Rules.of({"/n": add_deltas})))
    start = world.begin({"a": {"n": 0}})
    sides = [world.save(start, {"a": {"n": 1, name: 1}}) for name in "pqr"]
    one = world.sync(world.sync(sides[0], sides[1]), sides[2])
    other = world.sync(world.sync(sides[2], sides[0]), sides[1])
    three = world.sync(sides[1], sides[2])
    joined = both_ways(world, world.sync(one, three), other)
    assert world.values(joined.tree)["a"] == {"id": "a", "n": 3, "p": 1, "q": 1, "r": 1}


# Documents that are no states


def checking(value: dict[str, Any]) -> None:
    if value.get("bad"):
        raise CorruptionError("it is bad")
    if value.get("m", 0) + value.get("n", 0) > 1:
        raise CorruptionError("m and n are too much")


JUDGED = replace(NOTED, check=checking)


def test_their_document_that_is_no_state_keeps_ours_and_says_who_made_it_so() -> None:
    world = World(JUDGED)
    start = world.begin({"a": {"x": 0}, "b": {"x": 0}, "c": {"x": 0}})
    here = world.save(start, {"a": {"x": 1}})
    bad = world.save(start, {"a": {"bad": 1}}, by="Mallory")
    worse = world.save(bad, {"b": {"bad": 1}}, by="Trudy")
    there = world.save(worse, {"c": {"x": 2}, "new": {"bad": 1}}, {"notes/a/mine": b"x"})
    joined = world.join(here, there)
    assert {name: value.get("x") for name, value in world.values(joined.tree).items()} == {
        "a": 1,
        "b": 0,
        "c": 2,
        "new": None,
    }
    assert results(joined) == {"a": "invalid", "b": "invalid", "c": "fast-forwarded", "new": "invalid"}
    makers = {each.document: (each.revision, each.author) for each in joined.outcomes if each.result == "invalid"}
    assert makers == {"a": (bad, "Mallory"), "b": (worse, "Trudy"), "new": (there, "somebody")}
    assert [(each.document, each.side, each.conflicts) for each in joined.losers] == [
        ("a", "theirs", ()),
        ("b", "theirs", ()),
    ]
    assert "it is bad" in joined.outcomes[0].detail
    assert world.join(here, there, "fail").tree == joined.tree, "what is no state is no conflict"


def test_a_head_that_follows_ours_is_judged_as_well() -> None:
    world = World(JUDGED)
    start = world.begin({"a": {"x": 0}, "b": {"x": 0}})
    there = world.save(start, {"a": {"bad": 1}, "b": {"x": 1}}, by="Mallory")
    joined = world.join(start, there)
    assert not joined.is_fast_forward
    assert {name: value["x"] for name, value in world.values(joined.tree).items()} == {"a": 0, "b": 1}
    assert [(each.document, each.revision) for each in joined.losers] == [("a", there)]
    merged = world.commit(joined.tree, (start, there), {}, {})
    assert world.join(there, merged).is_fast_forward, "their machine follows"
    again = world.join(merged, world.save(merged, {"b": {"x": 2}}))
    assert again.is_fast_forward
    assert again.losers == ()


def test_what_was_no_state_before_is_none_of_our_business() -> None:
    world = World(JUDGED)
    start = world.begin({"a": {"bad": 1}, "b": {"bad": 1}, "c": {"bad": 1}})
    there = world.save(start, {"b": {"bad": 2}, "c": {"x": 1}}, {"notes/a/executions/1/output.txt": b"x"})
    joined = world.join(start, there)
    assert joined.is_fast_forward
    assert results(joined) == {"a": "fast-forwarded", "b": "invalid", "c": "fast-forwarded"}
    assert joined.losers == ()


def test_of_two_versions_the_one_that_is_a_state_stands_whoever_has_it() -> None:
    world = World(JUDGED)
    joined = fork(world, {"a": {"x": 0}}, {"a": {"x": 1}}, {"a": {"bad": 1}})
    assert (results(joined), world.values(joined.tree)["a"]["x"]) == ({"a": "invalid"}, 1)
    assert [each.side for each in joined.losers] == ["theirs"]
    joined = fork(World(JUDGED), {"a": {"x": 0}}, {"a": {"bad": 1}}, {"a": {"bad": 2}})
    assert (results(joined), [each.side for each in joined.losers]) == ({"a": "invalid"}, ["ours"])


def test_two_states_that_are_none_together_are_parked() -> None:
    world = World(JUDGED)
    start = world.begin({"a": {"m": 0, "n": 0}})
    here, there = world.save(start, {"a": {"m": 1, "n": 0}}), world.save(start, {"a": {"m": 0, "n": 1}})
    joined = both_ways(world, here, there)
    assert world.values(joined.tree)["a"] == {"id": "a", "m": 0, "n": 1}
    assert [(each.side, each.conflicts[0].pointer) for each in joined.losers] == [("ours", "")]
    assert "too much" in joined.outcomes[0].detail
    with pytest.raises(ConflictError, match="'a' at the top"):
        world.join(here, there, "fail")


@pytest.mark.parametrize("broken", [b"{ no json", b"[]", b'{"id": "z"}', b"", b"{}" + b"[" * 500])
def test_a_file_that_is_no_json(broken: bytes) -> None:
    world = World(JUDGED)
    start = world.begin({"a": {"x": 0}, "b": {"x": 0}})
    here = world.save(start, {"a": {"x": 1}, "b": {"x": 0}})
    there = world.save(start, None, {"notes/a/job.json": broken, "notes/b/job.json": broken}, by="Mallory")
    joined = world.join(here, there)
    assert {name: value["x"] for name, value in world.values(joined.tree).items()} == {"a": 1, "b": 0}
    assert [each.result for each in joined.outcomes] == ["invalid", "invalid"]
    assert {each.author for each in joined.outcomes} == {"Mallory"}
    assert world.file(joined.losers[0].revision, "notes/a/job.json") == broken


def test_machines_of_which_one_has_what_is_no_state_come_to_what_is_one() -> None:
    world = World(JUDGED)
    start = world.begin({"a": {"x": 0}, "b": {"x": 0}})
    here, there = crossed(world, world.save(start, {"a": {"x": 1}}), world.save(start, {"b": {"bad": 1}}))
    assert world.values(there)["b"] == {"id": "b", "bad": 1}, "what they have is theirs until somebody else is asked"
    here, there = crossed(world, here, there)
    assert world.values(here) == world.values(there) == {"a": {"id": "a", "x": 1}, "b": {"id": "b", "x": 0}}


# Files of no document, and folders


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


# Who went back


def test_nothing_goes_forward_over_a_rollback() -> None:
    world = World(replace(NOTED, rules=Rules.of({"/n": add_deltas})))
    start = world.begin({"a": {"saved": T2, "n": 5, "sheets": {"1": {"n": 1}, "2": {"n": 1}}, "x": 0}})
    work = world.save(start, {"a": {"saved": T3, "n": 6, "sheets": {"1": {"n": 1}, "2": {"n": 2}}, "x": 0}})
    back = world.save(start, {"a": {"saved": T0, "n": 1, "sheets": {"1": {"n": 1}}, "x": 0}}, event="rolled-back")
    noted = replace(NOTED.joining, rewind_rules=Rules())
    world.collections = (replace(world.collection, joining=noted),)
    joined = both_ways(world, work, back)
    assert world.values(joined.tree)["a"] == {"id": "a", "saved": T0, "n": 1, "sheets": {"1": {"n": 1}}, "x": 0}
    assert results(joined) == {"a": "parked"}
    assert [(each.side, each.revision) for each in joined.losers] == [("ours", work)]
    later = world.save(work, {"a": {"saved": T3, "n": 7, "sheets": {"1": {"n": 1}, "2": {"n": 2}}, "x": 0}})
    joined = both_ways(world, back, later)
    assert world.values(joined.tree)["a"]["sheets"]["2"] == {"n": 2}, "who came last is right, whatever it says itself"
    other = world.save(start, {"b": {"x": 1}})
    assert both_ways(world, other, back).losers == (), "a rollback that nobody contradicts is taken"


def test_what_was_restored_in_part_is_merged_with_other_work_place_by_place() -> None:
    counting = replace(NOTED, rules=Rules.of({"/n": add_deltas}))
    world = World(replace(counting, joining=replace(NOTED.joining, rewind_rules=Rules())))
    start = world.begin({"a": {"saved": T2, "n": 5, "sheets": {"1": {"n": 1}, "2": {"n": 1}}}})
    work = world.save(start, {"a": {"saved": T3, "n": 6, "sheets": {"1": {"n": 1}, "2": {"n": 2}, "3": {"n": 1}}}})
    back = world.save(start, {"a": {"saved": T2, "n": 4, "sheets": {"1": {"n": 0}}}}, event="restored")
    joined = both_ways(world, work, back)
    assert world.values(joined.tree)["a"] == {
        "id": "a",
        "saved": T3,
        "n": 4,  # nothing is counted over that
        "sheets": {"1": {"n": 0}, "3": {"n": 1}},  # and what was removed and changed is as who came last has it
    }
    assert [(each.side, [c.pointer for c in each.conflicts]) for each in joined.losers] == [
        ("ours", ["/n", "/sheets/2"])
    ]


# The commit


def test_the_message_says_what_was_decided() -> None:
    world = World(JUDGED)
    joined = fork(
        world,
        {"a": {"x": 0}, "b": {"x": 0}, "c": {"x": 0}, "d": {"x": 0}},
        {"a": {"x": 1}, "b": {"y": 1, "x": 0}, "c": {"x": 1}},
        {"a": {"x": 2}, "b": {"z": 1, "x": 0}, "c": {"bad": 1}, "d": {"x": 1}},
    )
    body, trailers = told(replace(joined, clashes=("README",)))
    said = Message("merged", body, trailers)
    assert said.all("Gitstate-Note") == ["a", "b", "c"]
    assert said.get("Gitstate-Event") == "merged"
    for words in ("a: parked at /x", "of Ada", "b: merged", "c: invalid", "it is bad", "of Ben", "README"):
        assert words in body
    assert "d" not in body.split(": ")[0]


def test_a_message_is_no_larger_than_what_others_take_in() -> None:
    world = World()
    start = world.begin({"a": {"x": 0}})
    joined = world.join(world.save(start, {"a": {"x": 1}}), world.save(start, {"a": {"y": 1}}))
    (outcome,) = joined.outcomes
    long = Conflict("/" + "k" * 2_000_000 + "\n\nGitstate-Note: b", 0, 1, 2)
    outcomes = (outcome._replace(conflicts=(long,)), *(outcome._replace(document=f"{n:0100}") for n in range(9000)))
    body, trailers = told(replace(joined, outcomes=outcomes))
    said = Message("merged", body, trailers)
    assert len(said.to_bytes()) < 2**19
    assert Message.parse(said.to_bytes()) == said
    assert said.get("Gitstate-Event") == "merged" and len(said.all("Gitstate-Note")) > 2000
    assert "\n\n" not in body


# Laws


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["save", "save", "delete", "file", "sync", "cross"]),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from("ab"),
        st.dictionaries(st.sampled_from(["n", "x", "y"]), st.integers(0, 3)),
        st.integers(-1, 2),
    ),
    max_size=12,
)


@given(STEPS)
def test_every_machine_comes_to_the_same_tree(steps: list[Any]) -> None:
    world = World(replace(NOTED, rules=Rules.of({"/n": add_deltas})))
    heads = [world.begin({"a": {"n": 0}})] * 3
    for what, one, other, name, fields, tick in steps:
        world.time += tick
        if what == "save":
            value = {**world.values(heads[one]).get(name, {}), **fields}
            heads[one] = world.save(heads[one], {name: value}, tick=tick)
        elif what == "delete" and name in world.values(heads[one]):
            heads[one] = world.save(heads[one], {name: None}, tick=tick)
        elif what == "file":
            heads[one] = world.save(heads[one], None, {f"notes/{name}/executions/{other}/output.txt": b"%d" % tick})
        elif what == "sync":
            heads[one] = world.sync(heads[one], heads[other])
        elif what == "cross":
            both_ways(world, heads[one], heads[other])
            heads[one], heads[other] = crossed(world, heads[one], heads[other])
    for one in (0, 1, 2, 0, 1):
        joined = both_ways(world, heads[one], heads[(one + 1) % 3])
        heads[(one + 1) % 3] = world.sync(heads[(one + 1) % 3], heads[one])
        merged = world.sync(heads[one], heads[(one + 1) % 3])
        assert graph.read(world.source, merged).tree == joined.tree
        assert world.join(heads[one], merged).is_fast_forward or merged == heads[one]
        assert world.join(merged, heads[one]).is_up_to_date
    heads = [world.sync(head, heads[2]) for head in heads]
    assert len({graph.read(world.source, head).tree for head in heads}) == 1


JUST_JOBS = replace(JOBS, rules=JOB_RULES, joining=JOB_JOINING)


@pytest.mark.parametrize("seed", range(40))
def test_three_machines_count_and_keep_what_each_of_them_did(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_clock() -> None:
        raise AssertionError("a merge looked at a clock")

    monkeypatch.setattr(clock, "now", no_clock)
    chance, world = random.Random(seed), World(JUST_JOBS)
    fleet = _Fleet(world, chance)
    for _ in range(25):
        chance.choices([fleet.work, fleet.sync, fleet.cross], [6, 2, 2])[0]()
    for _ in range(2):
        for mine, theirs in ((0, 1), (1, 2), (2, 0)):
            fleet.heads[mine] = world.sync(fleet.heads[mine], fleet.heads[theirs])
    # Each machine sees all, in an order of its own; then they see what came of that.
    lasts = [
        world.sync(fleet.heads[one], world.sync(fleet.heads[(one + 1) % 3], fleet.heads[(one + 2) % 3]))
        for one in range(3)
    ]
    for last in [*lasts, *crossed(world, lasts[0], lasts[1]), world.sync(lasts[2], lasts[0])]:
        values = world.values(last)
        assert {name: value["total_retry_count"] for name, value in values.items()} == fleet.counts
        assert {name: {each["id"] for each in value["run_history"]} for name, value in values.items()} == fleet.records
        for name, sheets in fleet.furthest.items():
            attempts = {sheet: each["attempt_count"] for sheet, each in values[name]["sheets"].items()}
            assert attempts == sheets
    one, other = crossed(world, *lasts[:2])
    third = world.sync(lasts[2], one)
    for _ in range(3):
        both_ways(world, one, other)
        one, other = world.sync(one, other), world.sync(other, third)
        third = world.sync(third, one)
    assert len({graph.read(world.source, world.sync(head, third)).tree for head in (one, other, third)}) == 1


class _Fleet:
    """Three machines that work on the same jobs."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world, self.chance = world, chance
        job = {
            "job_name": "j",
            "total_sheets": 3,
            "status": "running",
            "updated_at": T0,
            "total_retry_count": 0,
            "run_history": [],
        }
        self.heads = [world.begin({"j1": job, "j2": job})] * 3
        self.counts = {"j1": 0, "j2": 0}
        self.records: dict[str, set[int]] = {"j1": set(), "j2": set()}
        self.furthest: dict[str, dict[str, int]] = {"j1": {}, "j2": {}}
        self.hour = 0

    def work(self) -> None:
        machine, name, sheet = self.chance.randrange(3), self.chance.choice(["j1", "j2"]), self.chance.choice("123")
        self.hour += 1
        value = world_value(self.world, self.heads[machine], name)
        attempt = value["sheets"].get(sheet, {}).get("attempt_count", 0) + 1
        self.counts[name] += 1
        self.records[name].add(self.hour)
        self.furthest[name][sheet] = max(self.furthest[name].get(sheet, 0), attempt)
        value |= {
            "total_retry_count": value["total_retry_count"] + 1,
            "updated_at": f"2026-01-{1 + self.hour // 24:02}T{self.hour % 24:02}:00:00Z",
            "run_history": [*value["run_history"], {"id": self.hour}],
            "metadata": {**value.get("metadata", {}), self.chance.choice("pq"): self.chance.randrange(4)},
        }
        status = self.chance.choice(["in_progress", "completed", "failed"])
        value["sheets"] = value["sheets"] | {
            sheet: {"sheet_num": int(sheet), "status": status, "attempt_count": attempt}
        }
        tick = self.chance.choice([0, 1, 1, -3])
        self.heads[machine] = self.world.save(self.heads[machine], {name: value}, tick=tick)

    def sync(self) -> None:
        one, other = self.chance.sample(range(3), 2)
        self.heads[one] = self.world.sync(self.heads[one], self.heads[other])

    def cross(self) -> None:
        one, other = self.chance.sample(range(3), 2)
        both_ways(self.world, self.heads[one], self.heads[other])
        self.heads[one], self.heads[other] = crossed(self.world, self.heads[one], self.heads[other])


def world_value(world: World, head: ObjectId, name: str) -> dict[str, Any]:
    value = dict(world.values(head)[name])
    del value["job_id"]
    return {"sheets": {}, **value}
