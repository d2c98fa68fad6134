import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError
from gitstate.values.pointer import Parts, fits, get, parse, read, to_text
from gitstate.values.shape import ABSENT, Slot


# The examples of RFC 6901, section 5.
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("/foo", ("foo",)),
        ("/foo/0", ("foo", "0")),
        ("/", ("",)),
        ("/a~1b", ("a/b",)),
        ("/c%d", ("c%d",)),
        ("/i\\j", ("i\\j",)),
        ("/ ", (" ",)),
        ("/m~0n", ("m~n",)),
    ],
)
def test_the_examples_of_the_rfc(text: str, parts: Parts) -> None:
    assert parse(text) == parts
    assert to_text(parts) == text


@given(st.lists(st.text("a/~01é", max_size=4)).map(tuple))
def test_parts_and_text_are_inverse(parts: Parts) -> None:
    assert parse(to_text(parts)) == parts


@pytest.mark.parametrize("text", ["a", "a/b", "/a~", "/a~2b"])
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="no JSON pointer"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("/sheets/3/status", ("sheets", "3", "status")),
        ("sheets.3.status", ("sheets", "3", "status")),
        ("status", ("status",)),
        ("/a.b", ("a.b",)),
        ("a/b.c~1", ("a/b", "c~1")),
    ],
)
def test_a_place_is_named_by_a_pointer_or_with_dots(text: str, parts: Parts) -> None:
    assert read(text) == parts


@pytest.mark.parametrize("text", [".", "a..b", ".a", "a.", "/a~2"])
def test_what_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/list/0", "x"),
        ("/list/1/deep", None),
        ("/list/2", ABSENT),
        ("/list/-1", ABSENT),
        ("/list/00", ABSENT),
        ("/list/\u0661", ABSENT),
        ("/0", "key"),
        ("/0/0", ABSENT),
        ("/none", ABSENT),
    ],
)
def test_what_stands_at_a_place(text: str, found: Slot) -> None:
    assert get({"list": ["x", {"deep": None}], "0": "key"}, parse(text)) is found


def test_nothing_holds_nothing() -> None:
    assert get(ABSENT, ("a",)) is ABSENT
    assert get({"a": 1}, ()) == {"a": 1}


def test_a_pattern_means_any_text_in_its_place() -> None:
    assert fits("*", "") and fits("*", "a\nb") and fits("a*c", "a\nc") and fits("a*c", "ac")
    assert not fits("a*c", "a\ncd") and not fits("a.c", "abc") and not fits("", "a")
