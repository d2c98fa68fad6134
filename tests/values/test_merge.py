import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.values.canonical import Value, equal
from gitstate.values.joins import earlier, follow, free, higher, later, members, newer, unite
from gitstate.values.merge import (
    ABSENT,
    NO_RULES,
    Conflict,
    Merge,
    Place,
    Rule,
    Rules,
    Side,
    Slot,
    add_deltas,
    merge3,
    same,
)
from gitstate.values.pointer import get, parse

from .strategies import VALUES

SLOTS = VALUES | st.just(ABSENT)
# Few keys and leaves, so that the three sides meet often.
LEAVES = st.sampled_from([0, 1, 2, True, "", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00", None])
TREES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(st.sampled_from("abt"), inner) | st.lists(inner, max_size=2), max_leaves=8
)
RULES = Rules.of(
    {
        "/a": add_deltas,
        "/b": later,
        "/*/a": higher,
        "/*/b": unite(),
        "/t/a": follow(newer("b")),
        "/t/t": earlier,
        "/b/t": free,
    }
)


def mirrored(merge: Merge) -> set[str]:
    return {repr((each.pointer, each.base, each.theirs, each.ours)) for each in merge.conflicts}


def told(merge: Merge) -> set[str]:
    return {repr((each.pointer, each.base, each.ours, each.theirs)) for each in merge.conflicts}


@given(SLOTS, SLOTS)
def test_no_change_one_change_and_the_same_change_are_taken(base: Slot, changed: Slot) -> None:
    assert merge3(changed, changed, changed, RULES) == Merge(changed)
    for merge in (
        merge3(base, changed, base, RULES),
        merge3(base, base, changed, RULES),
        merge3(base, changed, changed, RULES),
    ):
        assert same(merge.value, changed)
        assert not merge.conflicts


@given(TREES, TREES, TREES)
def test_swapping_the_sides_swaps_only_their_names(base: Value, ours: Value, theirs: Value) -> None:
    merge, swapped = merge3(base, ours, theirs, RULES), merge3(base, theirs, ours, RULES)
    assert told(merge) == mirrored(swapped)
    if not merge.conflicts:
        assert same(merge.value, swapped.value)


@given(SLOTS | TREES, SLOTS | TREES, SLOTS | TREES, st.sampled_from(["ours", "theirs"]), st.booleans())
def test_whoever_wins_has_the_same_value_on_both_machines(
    base: Slot, ours: Slot, theirs: Slot, wins: Side, removes: bool
) -> None:
    other: Side = "theirs" if wins == "ours" else "ours"
    merge = merge3(base, ours, theirs, RULES, wins=wins, removes=removes)
    swapped = merge3(base, theirs, ours, RULES, wins=other, removes=removes)
    assert same(merge.value, swapped.value)
    assert told(merge) == mirrored(swapped) == told(merge3(base, ours, theirs, RULES))
    for conflict in merge.conflicts:
        found = get(merge.value, parse(conflict.pointer))
        wanted, lost = conflict.ours, conflict.theirs
        if wins == "theirs":
            wanted, lost = lost, wanted
        if not isinstance(wanted, list):  # of lists that a rule unites, one record conflicts
            assert same(found, lost if wanted is ABSENT and not removes else wanted)


@given(st.dictionaries(st.sampled_from("abcd"), LEAVES), st.data())
def test_disjoint_changes_are_both_applied(base: dict[str, Value], data: st.DataObject) -> None:
    def change(keys: str) -> dict[str, Slot]:
        return data.draw(st.dictionaries(st.sampled_from(keys), LEAVES | st.just(ABSENT)))

    def applied(value: dict[str, Value], changes: dict[str, Slot]) -> dict[str, Value]:
        return {key: item for key, item in (value | changes).items() if item is not ABSENT}

    ours, theirs = change("ab"), change("cd")
    merge = merge3(base, applied(base, ours), applied(base, theirs))
    assert same(merge.value, applied(applied(base, ours), theirs))
    assert not merge.conflicts


def test_objects_merge_key_by_key_and_only_the_rest_conflicts() -> None:
    base: Value = {"a": {"x": 1, "y": 1}, "l": [1], "gone": 1}
    ours: Value = {"a": {"x": 2, "y": 1, "new": 1}, "l": [1, 2]}
    theirs: Value = {"a": {"x": 3, "y": 4}, "l": [1, 3], "gone": 1, "n/w": 0}
    merge = merge3(base, ours, theirs)
    assert merge.value == {"a": {"x": 2, "y": 4, "new": 1}, "l": [1, 2], "n/w": 0}
    assert merge.conflicts == (Conflict("/a/x", 1, 2, 3), Conflict("/l", [1], [1, 2], [1, 3]))


def test_types_and_bits_are_changes() -> None:
    assert merge3({"a": 1}, {"a": True}, {"a": 1}).value == {"a": True}
    assert len(merge3({"a": 1}, {"a": True}, {"a": 1.0}).conflicts) == 1


@pytest.mark.parametrize("swap", [False, True])
def test_a_change_survives_a_removal_and_is_reported(swap: bool) -> None:
    removed: dict[str, Value] = {}
    changed: dict[str, Value] = {"a": {"x": 2}}
    sides = (changed, removed) if swap else (removed, changed)
    merge = merge3({"a": {"x": 1}}, *sides)
    assert merge.value == changed
    assert [conflict.pointer for conflict in merge.conflicts] == ["/a"]
    assert ABSENT in (merge.conflicts[0].ours, merge.conflicts[0].theirs)


def test_two_sides_that_add_the_same_object_merge_it() -> None:
    assert merge3({}, {"a": {"x": 1}}, {"a": {"y": 2}}) == Merge({"a": {"x": 1, "y": 2}})


def test_the_segment_with_the_most_text_chooses_the_rule() -> None:
    def mark(text: str) -> Rule:
        return lambda place: Merge(text)

    rules = Rules.of(
        {
            "/*": mark("any"),
            "/*g": mark("g"),
            "/*_log": mark("log"),
            "/a_log": mark("exact"),
            "/o/x~1y": mark("escaped"),
        }
    )
    names = ("b", "b_log", "a_log")
    base: dict[str, Value] = {**dict.fromkeys(names, 0), "o": {"x/y": 0}}
    ours: dict[str, Value] = {**dict.fromkeys(names, 1), "o": {"x/y": 1}}
    theirs: dict[str, Value] = {**dict.fromkeys(names, 2), "o": {"x/y": 2}}
    merge = merge3(base, ours, theirs, rules)
    assert merge.value == {"b": "any", "b_log": "log", "a_log": "exact", "o": {"x/y": "escaped"}}


def place(base: Slot, ours: Slot, theirs: Slot) -> Place:
    return Place(base, ours, theirs, Rules())


def united(place: Place) -> Merge | None:
    return unite()(place)


def united_by_n(place: Place) -> Merge | None:
    return unite("n")(place)


@pytest.mark.parametrize(
    ("rule", "base", "ours", "theirs", "expected"),
    [
        (add_deltas, 5, 7, 6, 8),
        (add_deltas, 5, 4, 7, 6),
        (add_deltas, 1, 0, 0, 0),  # both made anew what has it
        (add_deltas, 9, ABSENT, 2, 0),
        (add_deltas, ABSENT, 2, 3, 5),
        (add_deltas, 5, 7, 6.0, None),
        (add_deltas, 0, True, 2, None),
        (higher, 1, 3, 2, 3),
        (higher, ABSENT, 3, 2, 3),
        (higher, 1, 1.0, 2, 2),  # it did not go back
        (higher, ABSENT, True, 2, None),
        (higher, 5, 2, 6, None),  # one side was rolled back
        (later, ABSENT, "2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00Z", "2026-01-01T09:00:00Z"),
        (earlier, ABSENT, "2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00Z", "2026-01-01T10:00:00+02:00"),
        (later, ABSENT, "2026-01-01T09:00:00.5Z", "2026-01-01T09:00:00.25Z", "2026-01-01T09:00:00.5Z"),
        (later, ABSENT, "2026-01-01T09:00:00", "2026-01-01T08:59:00+00:00", "2026-01-01T09:00:00"),
        (later, "2026-01-01T09:00:00Z", ABSENT, "2026-01-01T08:00:00Z", "2026-01-01T08:00:00Z"),
        (later, "2026-01-01T09:00:00Z", None, "2026-01-01T08:00:00Z", "2026-01-01T08:00:00Z"),
        (later, ABSENT, "2026-01-01T10:00:00+02:00", "2026-01-01T08:00:00Z", "2026-01-01T10:00:00+02:00"),  # a tie
        (earlier, ABSENT, "2026-01-01T10:00:00+02:00", "2026-01-01T08:00:00Z", "2026-01-01T08:00:00Z"),
        (later, ABSENT, "yesterday", "2026-01-01T08:00:00Z", None),
        (later, ABSENT, 5, "2026-01-01T08:00:00Z", None),
        (later, 1, ABSENT, None, None),
        (united, [1, 2], [1, 2, 3], [2, 4], [2, 3, 4]),
        (united, ABSENT, [{"id": 1, "x": 1}], [{"id": 1, "y": 2}], [{"id": 1, "x": 1, "y": 2}]),
        (united_by_n, [], [{"n": "b"}], [{"n": "a"}], [{"n": "a"}, {"n": "b"}]),
        (united, None, [1], [2], [1, 2]),
        (united, [1], [1, True], [1, 1.0], [1, 1.0, True]),
        (united, [], [1, 1], [2], None),  # which of the two ones?
        (united, [], {"a": 1}, [2], None),
        (members, ["c", "b"], ["a", "b", "c"], ["b", "d"], ["a", "b", "d"]),
        (members, [], ["b", 2, None], [True, 1.5, {"a": 1}], ["b", 1.5, 2, None, True, {"a": 1}]),
        (members, [], [1, 1], [2], None),
        (members, ABSENT, "x", ["y"], None),
    ],
)
def test_what_rules_decide(rule: Rule, base: Slot, ours: Slot, theirs: Slot, expected: Slot) -> None:
    for sides in ((ours, theirs), (theirs, ours)):
        merge = rule(place(base, *sides))
        if expected is None:
            assert merge is None
        else:
            assert merge is not None
            assert same(merge.value, expected)
            assert not merge.conflicts


COUNTS = st.integers(-20, 20) | st.just(ABSENT)


@given(COUNTS, COUNTS, COUNTS)
def test_a_counter_adds_and_never_falls_below_both_sides(base: Slot, ours: Slot, theirs: Slot) -> None:
    merge = add_deltas(place(base, ours, theirs))
    assert merge == add_deltas(place(base, theirs, ours))
    assert merge is not None
    start, one, other = (0 if slot is ABSENT else slot for slot in (base, ours, theirs))
    if one >= start or other >= start:  # type: ignore[operator]  # these are integers
        assert merge.value == one + other - start  # type: ignore[operator]  # as above
    assert merge.value >= min(one, other)  # type: ignore[operator, type-var]  # as above
    if min(start, one, other) >= 0:  # type: ignore[operator, type-var]  # as above
        assert merge.value >= 0  # type: ignore[operator]  # as above


def test_a_record_that_both_changed_is_a_conflict_of_its_list() -> None:
    base, ours, theirs = ({"l": [{"id": 7, "x": x}]} for x in (0, 1, 2))
    merge = merge3(base, ours, theirs, Rules.of({"/l": unite()}))  # type: ignore[arg-type]  # lists are invariant
    assert [conflict.pointer for conflict in merge.conflicts] == ["/l"]


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_side_that_is_preferred_has_what_conflicts_and_nothing_else(side: Side) -> None:
    base: Value = {"a": {"x": 0, "y": 0, "z": 0}}
    ours: Value = {"a": {"x": 1, "y": 1, "z": 0}}
    theirs: Value = {"a": {"x": 2, "y": 0, "z": 2}}
    merge = Place(base, ours, theirs, rules=NO_RULES, prefer=side).merge()
    assert merge == Merge({"a": {"x": 1 if side == "ours" else 2, "y": 1, "z": 2}})


@pytest.mark.parametrize("wins", ["ours", "theirs"])
@pytest.mark.parametrize("removes", [True, False])
def test_who_wins_has_each_place_that_conflicts_and_a_removal_if_it_may(wins: Side, removes: bool) -> None:
    base: Value = {"a": {"b": {"x": 0, "y": 0}}}
    ours: Value = {"a": {"b": {"x": 1}}}
    theirs: Value = {"a": {"b": {"x": 2, "y": 2}}}
    merge = merge3(base, ours, theirs, wins=wins, removes=removes)
    kept: dict[str, int] = {"x": 1 if wins == "ours" else 2} | ({} if wins == "ours" and removes else {"y": 2})
    assert merge.value == {"a": {"b": kept}}
    assert [conflict.pointer for conflict in merge.conflicts] == ["/a/b/x", "/a/b/y"]


def test_a_rule_of_a_list_is_none_of_the_records_in_it() -> None:
    rules = Rules.of({"/l": unite(), "/l/n": add_deltas, "/s": members})
    base, ours, theirs = ({"l": [{"id": 7, "n": n}], "s": [{"id": 7, "n": n}]} for n in (0, 1, 2))
    merge = merge3(base, ours, theirs, rules)  # type: ignore[arg-type]  # lists are invariant
    assert [conflict.pointer for conflict in merge.conflicts] == ["/l", "/s"]
    assert merge.value == {"l": [{"id": 7, "n": 1}], "s": [{"id": 7, "n": 1}]}


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (ABSENT, {"x": 1}, "theirs"),
        ({"x": 1}, ABSENT, "ours"),
        (ABSENT, 5, "theirs"),
        ("b", "a", "ours"),
        (["a"], {"t": "2026-01-01"}, "theirs"),
        ({"t": "2026-01-01"}, None, "ours"),
    ],
)
def test_what_has_no_time_is_older_and_what_is_not_there_the_smallest(ours: Slot, theirs: Slot, expected: Side) -> None:
    assert newer("t")(place(ABSENT, ours, theirs)) == expected


def test_a_field_follows_the_newer_object_and_a_tie_the_larger_bytes() -> None:
    rules = Rules.of({"/t": later, "/x": follow(newer("t"))})
    early, late = "2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00Z"
    assert merge3({}, {"t": early, "x": 9}, {"t": late, "x": 1}, rules).value == {"t": late, "x": 1}
    assert merge3({}, {"t": late, "x": 9}, {"t": early, "x": 1}, rules).value == {"t": late, "x": 9}
    top = Rules.of({"": follow(newer("t"))})
    assert merge3(1, 2, 3, top).conflicts == (Conflict("", 1, 2, 3),), "nothing is around it"
    for sides in (({"x": 9}, {"x": 1}), ({"x": 1}, {"x": 9})):
        assert equal(merge3({"x": 0}, *sides, rules).value, {"x": 9})  # type: ignore[arg-type]  # no side is absent


def test_equal_counters_of_different_changes_are_added() -> None:
    rules = Rules.of({"/n": add_deltas})
    assert merge3({"n": 1}, {"n": 2, "a": 1}, {"n": 2, "b": 1}, rules).value == {"n": 3, "a": 1, "b": 1}
    assert merge3({"n": 1}, {"n": 2}, {"n": 2}, rules).value == {"n": 2}  # one change that reached both sides


def test_a_free_field_of_an_object_of_which_a_side_is_preferred_is_still_a_conflict() -> None:
    rules = Rules.of({"/job": lambda place: place.preferring("theirs").keywise(), "/job/notes": free})
    base: Value = {"job": {"at": "2026-01-01T00:00:00Z", "who": "a", "notes": {"x": 1, "y": 1}}}
    ours: Value = {"job": {"at": "2026-01-02T00:00:00Z", "who": "b", "notes": {"x": 2, "y": 2}}}
    theirs: Value = {"job": {"at": "2026-01-03T00:00:00Z", "who": "c", "notes": {"x": 3, "y": 1}}}
    merge = merge3(base, ours, theirs, rules)
    assert merge.conflicts == (Conflict("/job/notes/x", 1, 2, 3),)
    assert merge.value == {"job": {"at": "2026-01-03T00:00:00Z", "who": "c", "notes": {"x": 2, "y": 2}}}


def test_keys_that_belong_together_are_aligned_in_objects_alone() -> None:
    place = Place(ABSENT, {"a": 1, "b": 2, "c": 3}, {"a": 4, "d": 5}, rules=NO_RULES)
    aligned = place.aligned(("a", "b"), "theirs")
    assert (aligned.ours, aligned.theirs) == ({"c": 3, "a": 4}, {"d": 5, "a": 4})
    aligned = place.aligned(("a", "b"), "ours")
    assert (aligned.ours, aligned.theirs) == ({"a": 1, "b": 2, "c": 3}, {"d": 5, "a": 1, "b": 2})
    other = Place(ABSENT, {"a": 1}, "text", rules=NO_RULES).aligned(("a",), "ours")
    assert (other.ours, other.theirs) == ({"a": 1}, "text")
    assert Place(ABSENT, {"a": 1}, ABSENT, rules=NO_RULES).aligned(("a",), "theirs").ours == {}
