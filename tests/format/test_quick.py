import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitstate.errors import CorruptionError
from gitstate.format import quick
from gitstate.values import canonical
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
_WRITERS = st.sampled_from(
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


def outcome(loads: Any, data: bytes) -> tuple[str, Any]:
    try:
        return "value", loads(data)
    except CorruptionError as error:
        return "error", error.message


def same(data: bytes) -> bool:
    (how, ours), (truly, value) = outcome(quick.loads, data), outcome(canonical.loads, data)
    return how == truly and (ours == value if how == "error" else canonical.equal(ours, value))


@given(texts() | _SOUPS | _SOUPS.map(lambda text: f'{{"a": 1, {text}}}'))
@example('{"a": 1, "a": 2}')
@example('{"a" : 1, "a"\n:\n2, "b": "\\": "}')
@example('{"\\\\": 1, "\\\\": 1, "c": "\\": \\":"}')
@example('{"\\u0061": 1, "a": 2, "c": ":", "d": "\\":"}')
@example("[" * 128 + "]" * 128)
@example("[" * 129 + "]" * 129)
@example('{"a":' * 129 + "1" + "}" * 129)
@example("[1e999]")
def test_it_reads_and_refuses_what_the_exact_reader_does(text: str) -> None:
    assert same(text.encode("utf-8", "surrogatepass"))


@given(texts().map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=20), st.data())
def test_no_byte_makes_a_difference_between_them(data: bytes, chosen: st.DataObject) -> None:
    at = chosen.draw(st.integers(0, len(data)))
    assert same(data[:at] + chosen.draw(st.binary(max_size=3)) + data[at + 1 :])


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.integers(-(10**400), 10**400))
def test_numbers_are_exact(number: float) -> None:
    data = repr(number).encode()
    found = quick.loads(data)
    assert type(found) is type(number) and repr(found) == repr(number)


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,30})\.[0-9]{1,40}([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_decimals_are_rounded_alike(text: str) -> None:
    assert same(text.encode())


@pytest.mark.parametrize(
    "value",
    [
        {"sheet_num": 1, "stdout_tail": '12:00 read: "part": 3\n' * 9, "metadata": {"prompt": "a: b"}},
        {"stdout_tail": json.dumps({"a": "é", "b": [{"c": 1.5, "a": None}]}), "metadata": {"path\\": "C:\\"}},
        {"stdout_tail": "naïve “quotes” 😀", "list": [{"a": 1}, {"a": 2}]},
    ],
)
def test_usual_texts_are_read_once(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = canonical.dumps(value)
    monkeypatch.setattr(canonical, "loads", lambda _: pytest.fail("it was read by the other"))
    assert quick.loads(data) == value
