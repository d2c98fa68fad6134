"""Two heads joined to one: what becomes of documents, who went back, and what the commit says."""

from dataclasses import replace
from typing import Any

import pytest

from gitstate.engine import graph
from gitstate.errors import ConflictError, DivergedError, UnsupportedError
from gitstate.format.message import Message
from gitstate.format.version import FormatVersion
from gitstate.store.histories import DocumentConflict, OnConflict, told
from gitstate.values.merge import Conflict, Rules, add_deltas
from tests.store.worlds import JUDGED, NOTED, T0, T1, T2, T3, World, both_ways, fork, results


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
