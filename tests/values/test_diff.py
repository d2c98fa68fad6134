"""Diffs lead from one value to the other and back, to the bit, and say no more than they must."""

import time
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError
from gitstate.values.canonical import Value, dumps, equal
from gitstate.values.diff import Change, apply, diff, invert
from gitstate.values.merge import same
from gitstate.values.patch import patch
from gitstate.values.pointer import parse
from gitstate.values.shape import ABSENT, Slot

from .strategies import SCALARS, VALUES

RECORDS = st.lists(st.fixed_dictionaries({"id": st.integers(0, 4) | st.none()}, optional={"n": VALUES}), max_size=6)
FEW = st.lists(st.sampled_from([0, 1, 1.0, True, "a", [0], [1]]), max_size=6)  # so that items repeat
LISTS = FEW | RECORDS
SLOTS = VALUES | LISTS | st.fixed_dictionaries({"list": LISTS}, optional={"a": VALUES}) | st.just(ABSENT)
IDENTITIES = {"": "id", "/l*t": "id", "/*/*": "id"}


@given(SLOTS, SLOTS)
@example(1, 1.0)
@example(1, True)
@example([0.0], [-0.0])
@example({"a": None}, {})
@example([{"id": 1}, {"id": 1, "n": 2}], [{"id": 1}])
@example({"list": [{"id": 1, "n": 1}, {"id": 2}]}, {"list": [{"id": 2}, {"id": 1, "n": 2}]})
def test_a_diff_leads_there_and_back(a: Slot, b: Slot) -> None:
    for identities in ({}, IDENTITIES):
        changes = diff(a, b, identities)
        assert same(apply(changes, a), b)
        assert same(apply(invert(changes), b), a)
        assert bool(changes) is not same(a, b)


@given(SLOTS)
def test_equal_values_have_no_diff(a: Slot) -> None:
    assert diff(a, a, IDENTITIES) == ()
    assert diff(a, apply((), a), IDENTITIES) == (), "a copy is equal too"


@given(VALUES, SCALARS, st.data())
def test_one_leaf_that_differs_is_one_change(a: Value, leaf: Value, data: st.DataObject) -> None:
    parts, before = data.draw(st.sampled_from(list(_leaves((), a))))
    assume(not equal(before, leaf))
    change = Change(parts, before, leaf)
    assert diff(a, apply([change], a)) == (change,)


@given(FEW, st.integers(0, 6), st.sampled_from([0, 1, "a", "new", {"id": 7}]))
def test_one_more_item_is_one_change(items: list[Value], at: int, item: Value) -> None:
    longer = [*items[:at], item, *items[at:]]
    assert len(diff(items, longer)) == len(diff(longer, items)) == 1


def _leaves(parts: tuple[str, ...], value: Value) -> Any:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [leaf for key, item in entries for leaf in _leaves((*parts, str(key)), item)]
    return inner or [(parts, value)]


def test_a_record_is_known_by_its_field_wherever_it_stands() -> None:
    before: Value = [{"id": 1, "n": 1}, {"id": 2, "n": 2}]
    after: Value = [{"id": 0}, {"id": 1, "n": 1}, {"id": 2, "n": 3}]
    assert diff({"log": before}, {"log": after}, {"/log": "id"}) == (
        Change(("log", "0"), ABSENT, {"id": 0}),
        Change(("log", "2", "n"), 2, 3),
    )
    another = diff({"b": [{"id": 1, "n": 1}]}, {"b": [{"id": 2, "n": 1}]}, {"/log": "id", "/b/*": "id"})
    assert another == (Change(("b", "0", "id"), 1, 2),), "another list has no such field"
    other = diff([{"id": 1, "n": 1}], [{"id": 2, "n": 1}], {"": "id"})
    assert other == (Change(("0",), {"id": 1, "n": 1}, ABSENT), Change(("0",), ABSENT, {"id": 2, "n": 1}))


def test_a_diff_says_in_which_place_what_was_before() -> None:
    before: Value = {"a": 1, "b": {"c": [1, 2, 3]}, "gone": None}
    after: Value = {"a": 1, "b": {"c": [1, 5, 3]}, "~/": {}}
    assert diff(before, after) == (
        Change(("b", "c", "1"), 2, 5),
        Change(("gone",), None, ABSENT),
        Change(("~/",), ABSENT, {}),
    )
    assert diff(before, after)[2].pointer == "/~0~1"


def test_what_is_given_stays_as_it_is() -> None:
    before: Value = {"a": [{"b": 1}]}
    after: Value = {"a": [{"b": 2}], "new": {"x": [1]}}
    changes = diff(before, after)
    made = apply(changes, before)
    assert isinstance(made, dict) and isinstance(made["new"], dict)
    made["new"]["x"] = "changed in place"
    assert before == {"a": [{"b": 1}]} and after == {"a": [{"b": 2}], "new": {"x": [1]}}


@pytest.mark.parametrize(
    ("change", "value", "says"),
    [
        (Change(("a",), 1, 2), {"a": 1.0}, "/a does not fit the value: there is 1.0, and not 1"),
        (Change(("a",), ABSENT, 2), {"a": 1}, "there is 1, and not nothing"),
        (Change(("a",), 1, ABSENT), {}, "there is nothing, and not 1"),
        (Change(("a", "b"), 1, 2), {"a": "text"}, "nothing there holds it"),
        (Change(("0",), 1, 2), [], "there is nothing"),
        (Change(("2",), ABSENT, 2), [1], "the list has 1 items"),
        (Change(("x",), ABSENT, 2), [1], "the list has 1 items"),
        (Change((), "x" * 100, 2), ABSENT, "at the top does not fit"),
        (Change(("\x1b",), 1, 2), {}, r"/\\x1b does not fit"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(change: Change, value: Slot, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        apply([change], value)


def test_long_lists_take_no_long_time() -> None:
    before: Value = [f"line {number % 5}" for number in range(20_000)]
    after: Value = [f"line {number % 7}" for number in range(20_000)]
    started = time.process_time()
    changes = diff(before, after)
    assert time.process_time() - started < 5, "it would be minutes if each item were compared with each"
    assert len(changes) > 5000


@given(SLOTS, SLOTS)
@example({"a": [1, 2]}, {"a": [0, 1, 3]})
def test_a_patch_applies(a: Slot, b: Slot) -> None:
    assert same(_patched(patch(diff(a, b, IDENTITIES)), a), b)


def _patched(operations: Any, document: Any) -> Any:
    """Apply a JSON Patch as RFC 6902 has it."""
    document = apply((), document)  # a copy
    for operation in operations:
        *above, last = ("", *parse(operation["path"]))  # the document as the entry "" of an object
        holder = top = {"": document}
        for part in above:
            holder = holder[int(part) if isinstance(holder, list) else part]
        if isinstance(holder, list):
            at = int(last)
            assert 0 <= at < len(holder) + (operation["op"] == "add")
            holder[at : at + (operation["op"] != "add")] = [operation["value"]] if "value" in operation else []
        elif operation["op"] == "remove":
            del holder[last]
        else:
            assert operation["op"] == "add" or last in holder
            holder[last] = operation["value"]
        document = top.get("", ABSENT)
    return document


def test_operations_of_a_patch() -> None:
    changes = diff({"a": 1, "b": 2}, {"a": 3, "c/d": None})
    assert dumps(patch(changes)) == dumps(
        [
            {"op": "replace", "path": "/a", "value": 3},
            {"op": "remove", "path": "/b"},
            {"op": "add", "path": "/c~1d", "value": None},
        ]
    )


def test_a_change_from_nothing_to_nothing_changes_nothing() -> None:
    assert apply([Change(("0",), ABSENT, ABSENT)], [1]) == [1]
    assert apply([Change(("a",), ABSENT, ABSENT)], {"b": 1}) == {"b": 1}


@pytest.mark.parametrize("length", [59, 60, 61, 300])
def test_a_refusal_shows_the_beginning_of_what_is_there(length: int) -> None:
    text = "x" * (length - 2)  # and its quotes
    with pytest.raises(InvalidInputError) as refused:
        apply([Change(("a",), 1, 2)], {"a": text})
    shown = f"'{text}'" if length <= 60 else f"'{'x' * 58}…"
    assert f"there is {shown}, and not 1" in str(refused.value)


def test_a_change_of_the_whole_may_be_followed_by_others() -> None:
    assert apply([Change((), 1, {"a": 1}), Change(("b",), ABSENT, 2)], 1) == {"a": 1, "b": 2}


def _kept_at_most(before: list[Value], after: list[Value]) -> int:
    """Return how many items may stay, by the table that everybody knows."""
    row = [0] * (len(after) + 1)
    for item in before:
        above = list(row)
        for at, other in enumerate(after):
            row[at + 1] = above[at] + 1 if equal(item, other) else max(above[at + 1], row[at])
    return row[-1]


@given(*[st.lists(st.integers(0, 9), unique=True, max_size=10)] * 2)
def test_as_many_records_stay_as_can(before: list[int], after: list[int]) -> None:
    old: list[Value] = [{"id": each} for each in before]
    new: list[Value] = [{"id": each} for each in after]
    changes = diff(old, new, {"": "id"})
    assert len(changes) == len(old) + len(new) - 2 * _kept_at_most(old, new)
    applied = apply(changes, old)
    assert applied is not ABSENT and equal(applied, new)


def test_items_that_are_there_several_times_stay_several_times() -> None:
    assert diff([0, 7, 7, 7, 1], [2, 7, 7, 7, 3]) == (Change(("0",), 0, 2), Change(("4",), 1, 3))
    assert [each.before for each in diff([0, 7, 7, 7, 7, 1], [2, 7, 7, 7, 3])].count(7) == 1
    changes = diff([0, 7, 8, 7, 8, 7, 1], [2, 8, 7, 8, 7, 3])
    assert [each.before for each in changes] == [7, 0, ABSENT, 1], "of the sevens and eights only one goes"


@pytest.mark.parametrize(("before", "after"), [({"id": 1}, {"x": 1}), ({"x": 1}, {"id": 1}), (5, {"id": 1})])
def test_a_record_and_what_is_none_are_never_the_same_item(before: Value, after: Value) -> None:
    assert diff([before], [after], {"": "id"}) == (Change(("0",), before, ABSENT), Change(("0",), ABSENT, after))
