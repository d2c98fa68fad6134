import json
import math
import sys
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitstate.errors import CorruptionError, UnstorableError
from gitstate.values.canonical import MAX_DEPTH, Shape, Value, arranged, dumps, equal, loads

from .strategies import SHAPES, VALUES


def nested(levels: int) -> Value:
    value: Value = []
    for _ in range(levels - 1):
        value = [value]
    return value


class Colour(StrEnum):
    RED = "red"


@given(VALUES, SHAPES)
def test_what_is_written_is_read_back_to_the_bit(value: Value, shape: Shape) -> None:
    assert equal(loads(dumps(value, shape)), value)


@given(VALUES, VALUES, SHAPES)
@example({"a": 1}, {"a": True}, Shape())
@example([0.0], [-0.0], Shape())
@example([1], [1.0], Shape())
@example({"a": 1, "b": 2}, {"b": 2, "a": 1}, Shape(("b",)))
def test_values_are_equal_exactly_when_their_bytes_are(a: Value, b: Value, shape: Shape) -> None:
    assert equal(a, b) == (dumps(a, shape) == dumps(b, shape))


@given(VALUES, SHAPES)
def test_a_value_is_arranged_as_it_is_written(value: Value, shape: Shape) -> None:
    assert json.dumps(arranged(value, shape)) == json.dumps(loads(dumps(value, shape)))


@given(VALUES)
def test_the_form_is_that_of_the_json_module(value: Value) -> None:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    assert dumps(value) == text.encode(errors="backslashreplace")


def test_known_fields_come_first_at_every_level() -> None:
    sheet = Shape(fields=("sheet_num", "status"))
    shape = Shape(fields=("job_id", "sheets"), inner={"sheets": Shape(each=sheet)})
    value: Value = {"a": 1, "sheets": {"1": {"a": [], "status": "x", "sheet_num": 1}}, "Z": {}, "job_id": "n"}
    assert dumps(value, shape).decode() == (
        '{\n  "job_id": "n",\n  "sheets": {\n    "1": {\n      "sheet_num": 1,\n      "status": "x",\n      "a": []\n'
        '    }\n  },\n  "Z": {},\n  "a": 1\n}\n'
    )
    assert json.dumps(arranged(value, shape)) == json.dumps(json.loads(dumps(value, shape)))


def test_a_list_gives_its_items_a_shape() -> None:
    assert json.dumps(arranged([{"a": 1, "b": 2}], Shape(each=Shape(("b",))))) == '[{"b": 2, "a": 1}]'
    assert dumps([{"a": 1, "b": 2}], Shape(each=Shape(("b",)))) == b'[\n  {\n    "b": 2,\n    "a": 1\n  }\n]\n'


def test_a_lone_surrogate_is_escaped_and_other_text_is_utf_8() -> None:
    assert dumps(["é\udc80", "\u2028\x7f"]) == '[\n  "é\\udc80",\n  "\u2028\x7f"\n]\n'.encode()


@pytest.mark.parametrize(
    ("value", "pointer", "reason"),
    [
        (math.nan, "", "nan"),
        ({"a": [1, {"b/c": math.inf}]}, "/a/1/b~1c", "inf"),
        ({"a": "\ud83d\ude00"}, "/a", "surrogate pair"),
        ({"\ud83d\ude00": 1}, "", "surrogate pair"),
        ({"a": {1: "x"}}, "/a", "the key 1 is no text"),
        ({"a": {1: "x", "b": 2}}, "/a", "the key 1 is no text"),
        ({"a": (1, 2)}, "/a", "tuple"),
        ({"a": {1, 2}}, "/a", "set"),
        ([{"a": [1], "b": None}, {"c": {}}, {"d": ()}], "/2/d", "tuple"),
        ({"a": b"x"}, "/a", "bytes"),
        ({"a": Colour.RED}, "/a", "Colour"),
        ([0, 10 ** (sys.get_int_max_str_digits() + 1)], "/1", "too many digits"),
        (nested(MAX_DEPTH + 1), "/0" * MAX_DEPTH, "levels deep"),
    ],
)
def test_what_json_cannot_keep_is_refused_by_pointer(value: Value, pointer: str, reason: str) -> None:
    with pytest.raises(UnstorableError, match=reason) as caught:
        dumps(value)
    assert caught.value.pointer == pointer


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Value] = []
    value.append(value)
    with pytest.raises(UnstorableError, match="levels deep"):
        dumps(value)


def test_an_error_about_a_surrogate_can_be_printed() -> None:
    with pytest.raises(UnstorableError) as caught:
        dumps({"\ud800": math.nan})
    assert str(caught.value).encode()
    assert caught.value.pointer == "/\ud800"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "line 1, column 1"),
        (b'{\n  "a": nope\n}', "line 2, column 8"),
        (b"{} {}", "Extra data"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{\n  "a": "\xff"}', "not UTF-8 at line 2"),
        (b'\n{\n"a": "\xff",\n\n"b": 1}', "not UTF-8 at line 3, byte 9"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"a\nb"', "not JSON"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "out of range"),
        (b'{"a": {"b": 1, "b": 1}}', "'b' stands there twice"),
        (b'{"a": 1, "c": 2, "b": 3, "c": 4}', "'c' stands there twice"),
        (b"1" * 5000, "not a value"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper"),
        (b'{"a":' * MAX_DEPTH + b"[]" + b"}" * MAX_DEPTH, "nested deeper"),
        (b"[" * 100_000, "nested deeper|not JSON"),
    ],
)
def test_what_is_not_exactly_json_is_corrupt(data: bytes, reason: str) -> None:
    with pytest.raises(CorruptionError, match=reason):
        loads(data)


def test_a_key_that_is_there_twice_among_very_many_is_found_at_once() -> None:
    keys = ",".join(f'"{number}":1' for number in range(50_000))
    with pytest.raises(CorruptionError, match="'49999' stands there twice"):  # it took minutes
        loads(f'{{{keys},"49999":1}}'.encode())


def test_the_deepest_value_that_is_written_is_read() -> None:
    value = nested(MAX_DEPTH)
    assert equal(loads(dumps(value)), value)
    beside: Value = {"a": nested(MAX_DEPTH - 1), "b": [{}]}  # more brackets than levels
    assert equal(loads(dumps(beside)), beside)
    wide: Value = [[] for _ in range(2 * MAX_DEPTH)]
    assert equal(loads(dumps(wide)), wide)
    brackets = "[{" * MAX_DEPTH  # in a text they open nothing
    assert loads(dumps({brackets: [brackets]})) == {brackets: [brackets]}


@given(st.binary(max_size=30) | st.text('{}[]",:01e-.nul \\u', max_size=12).map(str.encode))
def test_any_bytes_are_a_value_or_corrupt(data: bytes) -> None:
    try:
        value = loads(data)
    except CorruptionError:
        return
    try:
        written = dumps(value)
    except UnstorableError:  # read escapes can make no pair, so nothing that is read is unstorable
        pytest.fail(f"{data!r} is read as {value!r} and cannot be written")
    assert equal(loads(written), value)


@pytest.mark.parametrize("value", [1, 1.5, True, None, "a", [1], {"a": 1}])
def test_what_is_no_value_equals_none(value: Value) -> None:
    other: Any = (1,)
    assert not equal(value, other)
    assert not equal(other, value)
