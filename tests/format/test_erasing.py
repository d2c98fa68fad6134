"""Erasing: no form of the value is left, JSON stays JSON, and all else stays as it is."""

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError
from gitstate.format import erasing
from gitstate.format.erasing import MARK
from gitstate.format.message import Message
from gitstate.values import canonical

SECRETS = [
    "hunter2!",
    'a"b\\c/d',
    "é€𝄞ü",
    "line\nline",
    "tab\tand\rmore",
    "C:\\new\\table",
    "\x01\x1f\x7f~",
    "sk-ab/cd",
]
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PIECES = st.lists(st.sampled_from([*SECRETS, "SECRET"]) | PLAIN, max_size=5).map("".join)


def values(secret: str) -> st.SearchStrategy[Any]:
    texts = st.lists(st.just(secret) | PLAIN, max_size=4).map("".join)
    leaves = texts | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


def escaped(text: str, *, how: int) -> str:
    """Return a value as other programs write it."""
    if how == 0:
        return text
    if how == 1:
        return text.replace("/", "\\/")
    return "".join(f"\\u{ord(char):04X}" if char.isalpha() and char.isascii() and how == 2 else char for char in text)


def replaced(value: Any, secret: str) -> Any:
    if isinstance(value, str):
        return value.replace(secret, MARK)
    if isinstance(value, list):
        return [replaced(item, secret) for item in value]
    if isinstance(value, dict):
        return {replaced(key, secret): replaced(item, secret) for key, item in value.items()}
    return value


@settings(max_examples=200)
@given(st.data(), st.sampled_from(SECRETS))
def test_a_value_is_gone_from_json_and_nothing_else(data: st.DataObject, secret: str) -> None:
    value = data.draw(values(secret))
    eraser = erasing.of_value(secret)
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), canonical.dumps(value).decode()):
        made = eraser.file(text.encode("utf-8", "surrogatepass"))
        wanted = replaced(value, secret)
        found = json.loads(made)
        if len(json.dumps(wanted)) == len(json.dumps(found)):  # else two keys are one by now, and got numbers
            assert found == wanted
        assert secret not in json.dumps(found, ensure_ascii=False)
        assert json.dumps(secret)[1:-1] not in made.decode()
        assert eraser.file(made) == made
        if wanted == value:
            assert made == text.encode()


@given(PIECES, st.sampled_from(SECRETS), st.integers(0, 3), st.integers(0, 2))
def test_it_is_found_however_deep_a_text_lies_in_another(around: str, secret: str, depth: int, how: int) -> None:
    assume(secret not in around)
    text = f"begin {secret} end"
    for level in range(depth):
        text = json.dumps({"text": text}, ensure_ascii=level % 2 == 0)
    file = json.dumps({"tail": text, "around": around}) if how == 0 else f"{text}\n{around}"
    eraser = erasing.of_value(secret)
    made = eraser.file(file.encode())
    assert MARK.encode() in made
    inner: Any = made.decode()
    if how == 0:
        inner = json.loads(made)["tail"]
        for _ in range(depth):
            inner = json.loads(inner)["text"]
        assert inner == f"begin {MARK} end"
        assert json.loads(made)["around"].replace(MARK, "") in around or MARK in json.loads(made)["around"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("how", [1, 2])
def test_escapes_of_other_programs_are_found(secret: str, how: int) -> None:
    text = json.dumps({"key": secret, "other": "stays/so"}, indent=1)
    eraser = erasing.of_value(secret)
    for written in (text.replace(json.dumps(secret)[1:-1], escaped(json.dumps(secret)[1:-1], how=1)), text):
        assert json.loads(eraser.file(written.encode())) == {"key": MARK, "other": "stays/so"}
    letters = "".join(f"\\u{ord(c):04X}" if ord(c) < 65536 else json.dumps(c)[1:-1] for c in secret)
    assert json.loads(eraser.file(f'{{"key": "{letters}"}}'.encode())) == {"key": MARK}


@pytest.mark.parametrize("secret", [*SECRETS, "lone\ud83done"])
@pytest.mark.parametrize("deep", [1, 2, 3])
def test_escapes_are_found_in_a_text_that_is_no_json(secret: str, deep: int) -> None:
    eraser = erasing.of_value(secret)
    units = secret.encode("utf-16-be", "surrogatepass").hex()
    codes = ["\\" * deep + "u" + units[place : place + 4] for place in range(0, len(units), 4)]
    for escapes in ("".join(codes), "".join(code[: deep + 1] + code[deep + 1 :].upper() for code in codes)):
        assert eraser.file(f"a log: {escapes} end\n".encode()) == b"a log: [purged] end\n"
    raw = secret.encode("utf-8", "surrogatepass")
    for line in (raw, raw.replace(b"\n", b"\r\n"), json.dumps(secret)[1:-1].encode()):
        assert eraser.file(b"a log: " + line + b" end\n") == b"a log: [purged] end\n"
    assert eraser.file(b"a log: \\u0041\\u0042\n") == b"a log: \\u0041\\u0042\n"


def test_lines_of_windows_are_found_as_escapes_too() -> None:
    eraser = erasing.of_value("line\nline")
    for end in ("\r\n", "\\r\\n", "\\u000d\\u000a", "\\u000D\\u000A", "\\\\u000d\\\\u000A"):
        assert eraser.file(f"a line{end}line b".encode()) == b"a [purged] b"


def test_the_bytes_beside_it_stay_as_they_are() -> None:
    before = b'{ "a" :\t1.50,\r\n"b": ["x SECRET y", 1e3, -0.0 ] }\n'
    assert erasing.of_value("SECRET").file(before) == before.replace(b"SECRET", MARK.encode())
    binary = b"\xff\xfe SECRET \x00\x80"
    assert erasing.of_value("SECRET").file(binary) == b"\xff\xfe [purged] \x00\x80"


def test_numbers_that_are_the_value_become_texts_and_others_stay() -> None:
    made = erasing.of_value("12345").file(b'{"pin": 12345, "time": 12345.5, "long": 9912345, "text": "no 12345."}')
    assert json.loads(made) == {"pin": MARK, "time": 12345.5, "long": 9912345, "text": f"no {MARK}."}


def test_json_is_known_by_its_beginning() -> None:
    eraser = erasing.joined([erasing.of_value("12345"), erasing.of_value("SECRET")])
    assert eraser is not None
    assert eraser.file(b'\n {"pin": 12345}') == b'\n {"pin": "[purged]"}'
    assert eraser.file(b"[12345, 7]\n") == b'["[purged]", 7]\n'
    assert eraser.file(b"12345 { 12345") == b"[purged] { [purged]"
    nothing = b'{"pin": 1234}'
    assert eraser.file(nothing) is nothing


def test_keys_that_become_one_are_told_apart_and_stand_in_order() -> None:
    text = canonical.dumps({"SECRET1": 1, "SECRET2": {"x": "SECRET3"}, "zeta": 12345, "[purged]": 0})
    made = erasing.of_pattern(r"SECRET\d").file(text)
    assert canonical.loads(made) == {f"{MARK} 2": 1, f"{MARK} 3": {"x": MARK}, "zeta": 12345, MARK: 0}
    assert canonical.dumps(canonical.loads(made)) == made


def test_beside_a_key_that_went_all_stays() -> None:
    """Keys in no order stay in theirs; what is not ASCII, lone surrogates and numbers stay what they are."""
    text = b'{"zeta": ["caf\xc3\xa9", "\\udc80", "a SECRET1", 7, 12345, true], '
    text += b'"SECRET2": 1.5, "alpha": {"SECRET3": false}}'
    made = erasing.of_pattern(r"SECRET\d|12345|True").file(text)
    assert made.decode() == (
        '{\n  "zeta": [\n    "caf\u00e9",\n    "\\udc80",\n    "a [purged]",\n    7,\n    "[purged]",\n    true\n  ],\n'
        '  "[purged]": 1.5,\n  "alpha": {\n    "[purged]": false\n  }\n}\n'
    )


def test_thousands_of_keys_become_one_without_a_look_at_all_of_them_for_each() -> None:
    text = canonical.dumps({f"SECRET{number}": number for number in range(10_000)})
    made = canonical.loads(erasing.of_pattern(r"SECRET\d+").file(text))
    assert isinstance(made, dict) and len(made) == 10_000 and f"{MARK} 10000" in made


def test_a_message_keeps_its_trailers() -> None:
    said = Message("a: SECRETé", "It said SECRETé.", (("Gitstate-Job", "a"), ("X-Note", 'é "SECRETé"')))
    made = erasing.of_value("SECRETé").message(said.to_bytes())
    assert Message.parse(made) == Message(
        f"a: {MARK}", f"It said {MARK}.", (("Gitstate-Job", "a"), ("X-Note", f'é "{MARK}"'))
    )
    assert erasing.of_value("nothing").message(said.to_bytes()) == said.to_bytes()


def test_words_in_a_message_that_look_like_json_are_words() -> None:
    """People write what they want behind a key; an escape of a lone surrogate, and a byte that is no text, stay one."""
    eraser = erasing.of_value("SECRET")
    for value in (
        rb'"C:\q SECRET"',
        rb'"\u12 SECRET"',
        b'"\ttab SECRET"',
        b'"\xff\\n SECRET"',
        rb'"\ud800 \udcff SECRET"',
    ):
        made = eraser.message(b"a: SECRET\n\nX-Note: " + value + b"\n")
        wanted = b"a: [purged]\n\nX-Note: " + value.replace(b"SECRET", b"[purged]").replace(b"\t", rb"\t") + b"\n"
        assert made == wanted


def test_a_function_erases_text_by_text() -> None:
    eraser = erasing.of_redactor(lambda data: data.replace(b"key=1", b"key=[purged]"))
    assert eraser.file(b'{"a": "key=1", "b": "key=2"}') == b'{"a": "key=[purged]", "b": "key=2"}'
    assert eraser.file(b'{"a": "key=1 \\udfff", "b": "\\ud800"}') == b'{"a": "key=[purged] \\udfff", "b": "\\ud800"}'
    assert eraser.file(b"key=1 \xff\n") == b"key=[purged] \xff\n"
    both = erasing.joined([eraser, erasing.of_value("key=2")])
    assert both is not None
    assert both.file(b'{"a": "key=1", "b": "key=2"}') == b'{"a": "key=[purged]", "b": "[purged]"}'
    assert erasing.joined([]) is None and erasing.joined([eraser]) is eraser


@pytest.mark.parametrize("value", ["", "abc", "purged", "[purged]"])
def test_values_that_stand_everywhere_are_refused(value: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        erasing.of_value(value)
    assert not value or value == "purged" or value in MARK or value not in str(refused.value)


@pytest.mark.parametrize("pattern", ["", "a*", "(", "pur", "[", "(?:x|)", "^$"])
def test_patterns_that_match_nothing_or_the_mark_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidInputError):
        erasing.of_pattern(pattern)


def test_numbers_go_too_where_several_are_erased() -> None:
    text = b'{"a": "key=1", "pin": 12345, "zip": 54321}'
    eraser = erasing.of_redactor(lambda data: data.replace(b"key=1", b"key=[purged]"))
    both = erasing.joined([eraser, erasing.of_value("12345")])
    assert both is not None
    assert both.file(text) == b'{"a": "key=[purged]", "pin": "[purged]", "zip": 54321}'
    assert eraser.file(text) == b'{"a": "key=[purged]", "pin": 12345, "zip": 54321}'
    assert both.in_text("12345") and not both.in_text("1234")


def test_a_message_that_cannot_hold_it_is_the_very_same() -> None:
    said = Message("a: fine", trailers=(("X-Note", 'é "b"'),)).to_bytes()
    assert erasing.of_value("SECRET").message(said) is said
    assert erasing.of_value("SECRET").message(b"a \xff SECRET\n") == b"a \xff [purged]\n"
