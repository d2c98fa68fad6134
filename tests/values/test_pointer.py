import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError, NotFoundError
from gitstate.values.canonical import Value, equal
from gitstate.values.pointer import get, parse, put, to_text

from .strategies import VALUES

# The examples of RFC 6901, section 5.
RFC: Value = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("", RFC),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_rfc(pointer: str, expected: Value) -> None:
    assert equal(get(RFC, pointer), expected)


@given(st.lists(st.text("a/~01é", max_size=4)).map(tuple))
def test_parts_and_text_are_inverse(parts: tuple[str, ...]) -> None:
    assert parse(to_text(parts)) == parts


@pytest.mark.parametrize("text", ["a", "a/b", "/a~", "/a~2b"])
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="no JSON pointer"):
        parse(text)


@pytest.mark.parametrize("pointer", ["/nope", "/foo/2", "/foo/01", "/foo/-1", "/foo/-", "/foo/x", "/foo/0/a", "/foo/²"])
def test_a_place_that_is_not_there(pointer: str) -> None:
    with pytest.raises(NotFoundError, match="nothing at"):
        get(RFC, pointer)
    with pytest.raises(NotFoundError, match="no place for"):
        put(RFC, pointer + "/b", 1)


@given(VALUES, st.lists(st.sampled_from(["a", "b", "", "0", "1"]), max_size=3).map(tuple), VALUES)
def test_what_is_put_is_got_and_the_old_value_stays(value: Value, parts: tuple[str, ...], item: Value) -> None:
    pointer, before = to_text(parts), copy.deepcopy(value)
    try:
        after = put(value, pointer, item)
    except NotFoundError:
        with pytest.raises(NotFoundError):
            get(value, pointer)
        return
    assert equal(get(after, pointer), item)
    assert equal(value, before)


def test_a_list_item_is_replaced_and_never_added() -> None:
    assert put(RFC, "/foo/1", "x")["foo"] == ["bar", "x"]  # type: ignore[index, call-overload]  # it is an object
    with pytest.raises(NotFoundError):
        put(RFC, "/foo/2", "x")
