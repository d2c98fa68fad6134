"""Credentials at the edges: how little is enough to be one, how much more is needed, and what beside them stays."""

import base64
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError
from gitstate.format.secret_formats import is_random, looks_drawn
from gitstate.format.secret_spans import Span, apart, joined, mark
from gitstate.format.secrets import Found, FoundIn, Redactor, excerpt
from gitstate.values.canonical import Value
from tests.credentials import coded, credential, drawn, key_block, putty_key, web_token

REDACTOR = Redactor()
TOKEN = credential("github-token", 1)[0]
KEY_ID = credential("aws-access-key-id", 1)[0]  # of twenty characters
MARK = mark("github-token")
BASIC = base64.b64encode(b"me:you1").decode()

_EDGES = st.lists(st.integers(0, 30), unique=True, max_size=8).map(sorted)


@given(_EDGES, _EDGES)
def test_what_is_apart_from_marks_is_all_that_lies_in_spans_alone(one: list[int], other: list[int]) -> None:
    spans: list[Span] = [(*pair, f"kind-{pair[0]}") for pair in zip(one[::2], one[1::2], strict=False)]
    marks = list(zip(other[::2], other[1::2], strict=False))
    found = list(apart(spans, marks))
    inside = [(place, kind) for start, end, kind in found for place in range(start, end)]
    assert inside == [
        (place, kind)
        for start, end, kind in spans
        for place in range(start, end)
        if not any(first <= place < last for first, last in marks)
    ]
    assert all(start < end for start, end, _ in found)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(5, 8, "jwt"), (0, 5, "password")], [(0, 5, "password"), (5, 8, "jwt")]),
        ([(0, 10, "password"), (5, 9, "jwt")], [(0, 10, "password")]),  # the longest
        ([(0, 10, "password"), (0, 10, "jwt")], [(0, 10, "jwt")]),  # which says more
        ([(0, 10, "jwt"), (0, 10, "password")], [(0, 10, "jwt")]),
        ([(0, 10, "jwt"), (0, 10, "npm-token")], [(0, 10, "jwt")]),
        ([(0, 4, "jwt"), (2, 12, "npm-token"), (3, 9, "password")], [(0, 12, "npm-token")]),
        (
            [(1, 3, "jwt"), (2, 9, "password"), (8, 20, "npm-token"), (20, 21, "jwt")],
            [(1, 20, "npm-token"), (20, 21, "jwt")],
        ),
        (
            [(9, 12, "jwt"), (0, 30, "password"), (40, 41, "password"), (40, 41, "jwt")],
            [(0, 30, "password"), (40, 41, "jwt")],
        ),
        ([(30, 33, "password"), (31, 34, "jwt")], [(30, 34, "jwt")]),
    ],
)
def test_what_overlaps_is_one_of_the_kind_that_tells_most(spans: list[Span], expected: list[Span]) -> None:
    assert joined(spans) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("aabbccaa", True),
        ("aabbaabb", False),
        ("abcabca", True),  # of seven two are enough
        ("aaaaaab", True),
        ("aaaaaaa", False),
        ("1g2h3k4m" * 9, True),  # eight are enough for any length
        ("1g2h3k4" * 9, False),
        ("1g2h3k4mexample", False),
    ],
)
def test_how_many_kinds_of_characters_may_be_drawn(text: str, expected: bool) -> None:
    assert is_random(text.encode()) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0123456789" * 4, False),  # no letter
        ("abcdefghijklmnopqrstuvwxyz", False),  # no digit
        ("0a1b2c3d4e" * 4, True),  # hexadecimal, of ten kinds
        ("0a1b2c3d4" * 4, False),
        ("0g1h2i3j4k5l6m" * 4, True),  # of fourteen
        ("0g1h2i3j4k5l6" * 4, False),
        ("a1b2c3", True),  # a third of the length and one more
        ("a1b" * 2, True),
        ("a1" * 3, False),
        ("a1b2" * 3 + "c", True),
        ("a1b2" * 3, False),
        ("value_1/of_2.something", False),  # words
    ],
)
def test_how_many_kinds_of_characters_look_drawn(text: str, expected: bool) -> None:
    assert looks_drawn(text.encode()) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Authorization: Token k3Jv8sQx0Lm2", "Authorization: Token [redacted: authorization]"),
        ("Authorization: Token aaaaaaa1", None),  # nobody draws that
        ("Authorization: Token kfJvwsQxzLmn", None),  # nor is a word with no digit in it more than one
        ("authorization=k3Jv8sQx0Lm2", "authorization=[redacted: authorization]"),
        ("authorization=request.k3Jv8sQx0.Lm2", None),  # a name in a program
        ("authorization=kfJvwsQxzLmn", None),
        (f"Authorization: Basic {BASIC}", "Authorization: Basic [redacted: authorization]"),
        (f"Authorization: Basic {BASIC[:11]}", "Authorization: Basic [redacted: authorization]"),
        (f"Authorization: Basic {BASIC[:2]}", None),
    ],
)
def test_what_an_authorization_says(header: str, expected: str | None) -> None:
    assert REDACTOR.text(header) == (expected or header)
    assert REDACTOR.text(f"x\n{header}\ny") == f"x\n{expected or header}\ny"


@pytest.mark.parametrize("slashes", ["://", ":\\/\\/"])
def test_a_password_in_an_address_also_as_json_writes_it(slashes: str) -> None:
    text = f"see https{slashes}user:b9f3kx@host and http{slashes}host/a@b"
    assert REDACTOR.text(text) == text.replace("b9f3kx", mark("url-password"))


def test_a_secret_of_aws_is_of_many_letters_of_all_kinds() -> None:
    secret = credential("aws-secret-key", 1)[1]
    for text in (secret.lower(), secret.upper(), re.sub("[0-9]", "x", secret), (secret[:15] * 3)[:40], "A1" + "b" * 38):
        found = REDACTOR.find(f"aws_secret_access_key = {text}\n{KEY_ID}")
        assert "aws-secret-key" not in [one.kind for one in found]
    sixteen = "acegikmoACEGIKM1" * 2 + "acegikmo"
    assert [found.kind for found in REDACTOR.find(f"aws_secret_access_key = {sixteen}")] == ["aws-secret-key"]


def test_what_stands_around_a_cut_key_block_stays() -> None:
    begin, *lines, end = key_block(random.Random(1)).splitlines()
    told = mark("private-key")
    before = "12:00 Some words of a log, and no key: 1/2\nmore of them\n"
    assert REDACTOR.text(before + "\n".join([*lines, end]) + "\nafter") == f"{before.rstrip()}{told}\nafter"
    assert REDACTOR.text(before + "\n".join([lines[0][::-1], end]) + "\nafter") == f"{before.rstrip()}{told}\nafter"
    for text in (f"{begin}\nshort", f"{begin}\n", f"{before}{end}\n", f"{begin}\n{end}\n"):
        assert REDACTOR.text(text) == text


@pytest.mark.parametrize("turned", [False, True])
def test_lines_of_a_key_are_found_whatever_the_order_of_the_keys_that_hold_them(turned: bool) -> None:
    begin, *lines, end = key_block(random.Random(1), "PRIVATE KEY").splitlines()
    texts: dict[str, Value] = {"1": begin, "2": "\n".join(lines), "3": end}
    text, secret = putty_key(random.Random(1), 128)
    lists: dict[str, Value] = {"a": [text[: text.index(secret) - 1]], "b": [*secret.split("\n")]}
    if turned:
        texts, lists = (dict(reversed(each.items())) for each in (texts, lists))
    told = mark("private-key")
    redacted = REDACTOR.value({"x": texts})["x"]  # type: ignore[index,call-overload]  # an object, as it was
    assert [*redacted.values()] == [told] * 3  # type: ignore[union-attr]
    assert REDACTOR.value(lists) == {**lists, "b": [told] * len(secret.split("\n"))}


def test_all_beside_what_is_kept_or_found_is_looked_at_and_stays() -> None:
    value: Value = {
        "a": TOKEN,
        "b": [["x", f"é {TOKEN} tail"], [], {}],
        "c": {KEY_ID: 1, "short": {KEY_ID: [f"{TOKEN}, {TOKEN}"]}},
        "d": f"{TOKEN} and more",
        TOKEN: None,
        KEY_ID: {},
    }
    key = mark("aws-access-key-id")
    assert REDACTOR.value(value, keep=("a",)) == {
        "a": TOKEN,
        "b": [["x", f"é {MARK} tail"], [], {}],
        "c": {key: 1, "short": {key: [f"{MARK}, {MARK}"]}},
        "d": f"{MARK} and more",
        TOKEN: None,  # a field's name
        KEY_ID: {},
    }
    assert REDACTOR.find_in_value({KEY_ID: 1}) == [FoundIn("aws-access-key-id", (KEY_ID,), KEY_ID)]
    assert REDACTOR.find_in_value({"a": {KEY_ID: 1}}) == [FoundIn("aws-access-key-id", ("a", KEY_ID), KEY_ID)]
    singles: list[Value] = [{TOKEN: 1}, {"a": {KEY_ID: 1}}, [[KEY_ID]], {"a": [{"b": TOKEN}]}]
    for single in singles:
        assert REDACTOR.find_in_value(single) != []


def test_a_block_over_several_texts_is_told_once_where_it_begins() -> None:
    lines = key_block(random.Random(1)).split("\n")
    found = REDACTOR.find_in_value({"lines": ["x", *lines]})
    assert [(one.kind, one.place) for one in found] == [("private-key", ("lines", "1"))]


def test_a_token_that_was_cut_off_at_the_end_of_one_text_of_several() -> None:
    web = web_token(random.Random(1))
    cut: dict[str, Value] = {"a": "this is what was sent to the server: " + web[:60], "b": "x", "c": "more"}
    assert REDACTOR.value(cut) == {**cut, "a": "this is what was sent to the server: " + mark("jwt")}
    assert REDACTOR.find_in_value(cut) == [FoundIn("jwt", ("a",), web[:60])]
    assert not REDACTOR.finds_none(cut) and REDACTOR.finds_none({"a": "x"}, [b"y"])


@pytest.mark.parametrize(
    "data", [b"\xed\xa0\x80 PIN 1234 PIN 5678", b"\xff PIN 1234 \xc3\xa9 PIN 5678", "é PIN 1234 PIN 5678".encode()]
)
def test_a_pattern_of_the_caller_is_put_in_its_place_among_any_bytes(data: bytes) -> None:
    redactor = Redactor(patterns=[("pin", r"(?<=PIN )\d+|(?=X)")])
    assert redactor.data(data + b" X") == re.sub(rb"\d{4}", b"[redacted: pin]", data) + b" X"
    assert redactor.text("\ud800 PIN 1234 X") == "\ud800 PIN [redacted: pin] X"
    assert redactor.find("\ud800é PIN 1234") == [Found("pin", 7, 11)]


def test_what_is_allowed_may_hold_any_bytes() -> None:
    assert Redactor(allow=[TOKEN]).find(TOKEN) == [] == Redactor(skip=["github-token"]).find(TOKEN)
    redactor = Redactor(patterns=[("odd", r"odd.{3}")], allow=["odd\udcffab", re.compile("odd.cd")])
    assert redactor.data(b"odd\xffab odd\xfecd odd\xfeab") == b"odd\xffab odd\xfecd [redacted: odd]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"allow": 3}, "^allow is a list, not 3"),
        ({"skip": "all"}, "^skip is a list, not 'all'"),
        ({"patterns": {}.items}, "^patterns is a list"),
        ({"allow": [""]}, "not ''"),
        ({"allow": [re.compile(b"a")]}, "not re.compile"),
        ({"patterns": [("acme", re.compile(b"a"))]}, "no expression of text"),
        ({"patterns": ["ab"]}, "a name and an expression, not 'ab'"),
        ({"patterns": [3]}, "a name and an expression, not 3"),
        ({"patterns": [{"acme", "a"}]}, "a name and an expression"),
        ({"patterns": [("acme", "a", "b")]}, "a name and an expression"),
    ],
)
def test_arguments_that_mean_nothing_are_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Redactor(**arguments)


def test_lists_are_taken_over_so_that_what_is_compared_stays() -> None:
    patterns, allow, skip = [("a", "b")], [TOKEN], ["jwt"]
    redactor = Redactor(patterns=patterns, allow=allow, skip=skip)
    for given_list in (patterns, allow, skip):
        given_list.clear()
    assert redactor == Redactor(patterns=[("a", "b")], allow=(TOKEN,), skip=("jwt",))
    assert (redactor.allow, redactor.skip) == ((TOKEN,), ("jwt",))
    assert hash(redactor) == hash(Redactor(patterns=[("a", "b")], allow=[TOKEN], skip=["jwt"]))


def test_an_excerpt_shows_how_those_of_a_kind_begin_and_no_more() -> None:
    assert excerpt("github-token", TOKEN) == TOKEN[:4] + "…"
    assert excerpt("password", "hunter22") == "…"


def web(header: dict[str, object], rng: random.Random) -> list[str]:
    """Return the three parts of a web token."""
    return [coded(header), coded({"sub": "me"}), drawn(rng, 43)]


@pytest.mark.parametrize("length", range(1, 21))
def test_a_web_token_with_a_header_of_any_length_also_in_the_middle_of_a_word_far_into_a_text(length: int) -> None:
    token = ".".join(web({"kid": "k" * length, "alg": "HS256"}, random.Random(length)))
    jwt = mark("jwt")
    assert REDACTOR.text(token) == jwt
    before = "eyJ is how they begin. " * 30
    assert REDACTOR.text(f"{before}my-{token} and on") == f"{before}my-{jwt} and on"


@pytest.mark.parametrize("header", [{"alg": "HS256"}, {"typ": "JWT"}, {"kid": "12345678"}])
def test_a_web_token_that_ends_with_the_text_in_its_header_alone(header: dict[str, object]) -> None:
    begun = web({**header, "more": "x" * 20}, random.Random(1))[0][:-3]
    said = "this is the cookie that was sent: "
    assert REDACTOR.text(said + begun) == said + mark("jwt")
    assert REDACTOR.text(f"{said}{begun} and more") == f"{said}{begun} and more"
    other = web({"x": "HS256HS256HS256HS256"}, random.Random(1))
    for text in (said + other[0][:-3], said + ".".join(other[:2])):
        assert REDACTOR.text(text) == text


@pytest.mark.parametrize("left", ["", "a", "ab", "abc", "-_9"])
@pytest.mark.parametrize("before", ["", " ", "said: "])
def test_a_web_token_that_lost_the_beginning_of_its_header(before: str, left: str) -> None:
    rest = ".".join(["", *web({}, random.Random(1))[1:]])
    told = mark("jwt") if before or left else rest  # that is no word that goes on
    assert REDACTOR.text(f"{before}{left}{rest}, and on") == f"{before}{told}, and on"


def test_of_what_stands_before_a_web_token_only_so_much_is_its_header() -> None:
    rest = ".".join(["", *web({}, random.Random(1))[1:]])
    assert REDACTOR.text("w" * 5000 + rest) == "w" * (5001 - 4096) + mark("jwt")


def test_a_token_behind_a_hyphen_wherever_the_word_stands() -> None:
    token, told = credential("gitlab-token", 1)[0], mark("gitlab-token")
    for before in ("", "some words, " * 60):
        assert REDACTOR.text(f"{before}my-{token} end") == f"{before}my-{told} end"
        for letter in "a9":
            assert REDACTOR.find(f"{before}{letter}hvs.{drawn(random.Random(1), 30)}") == []
        assert [one.kind for one in REDACTOR.find(f"{before}hvs.{drawn(random.Random(1), 30)}")] == ["vault-token"]


def test_what_stands_behind_bearer_and_behind_a_name_of_a_secret() -> None:
    word = drawn(random.Random(2), 24)
    assert REDACTOR.text(f"sent Bearer {word}.") == f"sent Bearer {mark('bearer-token')}."
    assert REDACTOR.text(f"api_key={word}.") == f"api_key={mark('password')}."
    for text in (f"a bear {word}", f"a_key of={word}", "Bearer of_something_with_words_1"):
        assert REDACTOR.text(text) == text
