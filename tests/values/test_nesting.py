"""How deep a text goes is told without making a value of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.values.nesting import is_deeper

VALUES = st.recursive(
    st.none() | st.integers() | st.text('[]{}"\\a\n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\', max_size=3), inner, max_size=3),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.integers(0, 6), st.booleans())
def test_it_is_as_deep_as_its_value(value: Any, levels: int, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii).encode()
    assert is_deeper(text, levels) == (depth(value) > levels)


@pytest.mark.parametrize(
    ("text", "levels", "deeper"),
    [
        (b"", 0, False),
        (b"[" * 11, 10, True),
        (b"[" * 10 + b"]" * 10 + b"[" * 5, 10, False),
        (b'"' + b"[" * 100, 10, False),
        (b'"\\"' + b"[" * 100, 10, False),
        (b'"\\\\"' + b"[" * 100, 10, True),
        (b'[{"a":' * 1_000_000, 10, True),
        (b'"\\' * 1_000_000 + b"[" * 11, 10, False),
    ],
)
def test_odd_texts(text: bytes, levels: int, deeper: bool) -> None:
    assert is_deeper(text, levels) == deeper
