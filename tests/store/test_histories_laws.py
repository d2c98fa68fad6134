"""However machines take in each other's histories, all of them come to the same tree, and nobody's work is lost."""

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
from gitstate.engine.objects import ObjectId
from gitstate.store import histories
from gitstate.values.merge import Rules, add_deltas
from tests.store.worlds import NOTED, T0, T1, T2, World, both_ways, crossed
from tests.stores import JOBS

# Histories that were merged into each other


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
