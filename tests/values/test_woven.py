"""The order of keys that values agree on."""

from hypothesis import given
from hypothesis import strategies as st

from gitstate.values.canonical import dumps
from gitstate.values.shape import ABSENT, ANY, Shape
from gitstate.values.woven import woven

_KNOWN = Shape(fields=("c", "b", "a"), inner={"b": Shape(fields=("y", "x"))})
_KEYS = st.lists(st.sampled_from("abcdef"), unique=True)


def order(*objects: str, known: Shape = ANY) -> str:
    return "".join(woven([dict.fromkeys(each) for each in objects], known).fields)


def test_the_order_of_the_values_counts_and_a_known_shape_where_they_leave_a_choice() -> None:
    assert order("zc", "za") == "zac"
    assert order("zc", "za", known=_KNOWN) == "zca"
    assert order("ca", "ba", known=_KNOWN) == "cba"
    assert order("ac", "bc", known=_KNOWN) == "bac", "what comes after several waits for all of them"
    assert order("ab", "ba") == "ab", "in a circle the known order counts"
    assert order("ab", "ba", known=_KNOWN) == "ba"
    assert woven([ABSENT, None, 3, "text"]) is ANY


def test_it_goes_into_objects_and_lists() -> None:
    shape = woven([{"b": {"x": 1}, "l": [{"q": 1, "p": 2}]}, {"b": {"y": 1}, "l": [{"p": 1, "o": 1}]}], _KNOWN)
    assert shape.inner["b"].fields == ("y", "x")
    assert shape.inner["l"].each is not None and shape.inner["l"].each.fields == ("q", "p", "o")
    known = Shape(inner={"l": Shape(each=Shape(fields=("q", "p")))})
    each = woven([{"l": [{"p": 1}, {"q": 1}]}], known).inner["l"].each
    assert each is not None and each.fields == ("q", "p"), "where items leave a choice too"
    assert b'"q": 3,\n      "p": 2,\n      "o": 1' in dumps({"l": [{"o": 1, "p": 2, "q": 3}]}, shape)


@given(st.lists(_KEYS), st.sampled_from([ANY, _KNOWN]))
def test_every_key_comes_once_and_a_single_order_is_kept(objects: list[list[str]], known: Shape) -> None:
    shape = woven([dict.fromkeys(each, 1) for each in objects], known)
    assert sorted(shape.fields) == sorted({key for each in objects for key in each})
    for each in objects[:1]:
        assert list(woven([dict.fromkeys(each, 1)], known).fields) == each


@given(st.permutations("abcdef"), st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_values_that_agree_are_followed(total: list[str], one: set[str], other: set[str]) -> None:
    sides = [[key for key in total if key in side] for side in (one, other)]
    found = woven([dict.fromkeys(each, 1) for each in sides]).fields
    for side in sides:
        assert [key for key in found if key in side] == side
