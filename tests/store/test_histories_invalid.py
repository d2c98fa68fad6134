"""Documents of a joined history that are no states: whose version stands, and who made it so."""

import pytest

from gitstate.errors import ConflictError
from tests.store.worlds import JUDGED, World, both_ways, crossed, fork, results


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
