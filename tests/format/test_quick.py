import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitstate.errors import CorruptionError
from gitstate.format import quick
from gitstate.values import canonical
from gitstate.values.shape import Value
from tests.values.strategies import VALUES

_TOKENS = [
    *("{", "}", "[", "]", ":", ",", " ", "\n", "\t", "\r", "\x0c", "\0", '"', "\\", "\ufeff", "\u00a0"),
    *('"a"', '"a":', '"a" :', '"b":1', '"a":1,', '"a\\"":', '"\\\\":', '"\\\\\\"":', '": "', '":"', '"\\u0061":1'),
    *('"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\x"', '"\\/"', '"é😀"', '"\x1f"', '"\x7f"'),
    *("0", "-0", "-0.0", "01", "1.", ".5", "1e5", "1E+5", "-1e-400", "1e999", "-1e999", "1_0", "+1", "0x1", "1" * 4301),
    *(
        "123456789012345678901234567890",
        "9007199254740993.0",
        "0.1",
        "2.2250738585072011e-308",
        "1.7976931348623159e308",
    ),
    *("true", "false", "null", "True", "NaN", "Infinity", "-Infinity", "nul"),
]
_SOUPS = st.lists(st.sampled_from(_TOKENS), max_size=12).map("".join)
_WRITERS: st.SearchStrategy[Callable[[Value], str]] = st.sampled_from(
    [
        lambda value: canonical.dumps(value).decode(),
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False, indent="\t", separators=(" , ", " : ")),
        lambda value: json.dumps(value, separators=(",", ":")),
    ]
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A text that is JSON, or was: something is left out of it, or put into it, or stands there twice."""
    text = draw(_WRITERS)(draw(VALUES))
    for _ in range(draw(st.integers(0, 3))):
        start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        text = text[:start] + draw(st.sampled_from(["", text[start:end] * 2, draw(_SOUPS)])) + text[end:]
    return text


def are_read(*texts: bytes) -> bool:
    try:
        for text in texts:
            canonical.loads(text)
    except CorruptionError:
        return False
    return True


@given(texts() | _SOUPS | _SOUPS.map(lambda text: f'{{"a": 1, {text}}}'))
@example('{"a": 1, "a": 2}')
@example('{"a" : 1, "a"\n:\n2, "b": "\\": "}')
@example('{"\\\\": 1, "\\\\": 1, "c": "\\": \\":"}')
@example('{"\\u0061": 1, "a": 2, "c": ":", "d": "\\":"}')
@example("[" * 128 + "]" * 128)
@example("[" * 129 + "]" * 129)
@example('{"a":' * 129 + "1" + "}" * 129)
@example("[1e999]")
def test_it_takes_no_text_that_the_exact_reader_refuses(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    assert not quick.are_values([data]) or are_read(data)


@given(texts().map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=20), st.data())
def test_no_byte_makes_it_take_one(data: bytes, chosen: st.DataObject) -> None:
    at = chosen.draw(st.integers(0, len(data)))
    data = data[:at] + chosen.draw(st.binary(max_size=3)) + data[at + 1 :]
    assert not quick.are_values([data]) or are_read(data)


@given(st.lists(_SOUPS.map(str.encode) | VALUES.map(canonical.dumps), max_size=3))
@example([b'{"a": 1, "a": 2}', b'"\\": "'])
@example([b'{"a": 1', b'"b": 2}'])
def test_no_text_hides_what_is_wrong_with_another(several: list[bytes]) -> None:
    assert not quick.are_values(several) or are_read(*several)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [{"sheet_num": 1, "stdout_tail": '12:00 read: "part": 3\n' * 9, "metadata": {"prompt": "a: b"}}],
        [{"stdout_tail": json.dumps({"a": "é", "b": [{"c": 1.5, "a": None}]}), "metadata": {"path\\": "C:\\"}}],
        [{"stdout_tail": "naïve “quotes” 😀", "list": [{"a": 1}, {"a": 2}]}, {"a": -0.0, "b": 10**30}] * 300,
        [[1.5, [2.5]], 1e300, "text", None, True],
    ],
)
def test_usual_texts_are_taken(values: Any) -> None:
    assert quick.are_values([canonical.dumps(value) for value in values])
