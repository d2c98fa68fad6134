import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError
from gitstate.values.pointer import Parts, parse, to_text


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
