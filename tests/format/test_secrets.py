"""What is found, what is not, and that a mark is all that is left of it."""

import base64
import json
import random
import re
import string
import time
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError
from gitstate.format import secret_tokens
from gitstate.format.secret_formats import FORMATS
from gitstate.format.secret_spans import encoded, mark
from gitstate.format.secret_values import CUT_AT_LEAST, Page
from gitstate.format.secrets import KINDS, Found, FoundIn, Redactor
from gitstate.values.canonical import Value
from tests import credentials
from tests.credentials import (
    credential,
    drawn,
    every_token,
    harmless,
    in_context,
    key_block,
    ordinary,
    putty_key,
    web_token,
)
from tests.values.strategies import VALUES

REDACTOR = Redactor()
ANY = st.integers(0, 2**32)


def test_every_format_is_found_with_each_of_its_beginnings() -> None:
    for seed in range(20):
        for kind, token in every_token(random.Random(seed)):
            assert REDACTOR.text(f"x {token} y") == f"x {mark(kind)} y"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_found_in_many_contexts(kind: str) -> None:
    for seed in range(120):
        text, secret = credential(kind, seed)
        rng = random.Random(seed)
        around = in_context(text, rng)
        redacted = REDACTOR.text(around)
        before, _, after = around.partition(secret)
        assert redacted == before + mark(kind) + after, around
        assert REDACTOR.text(redacted) == redacted


def test_a_kind_of_credentials_has_a_name_that_a_mark_can_have() -> None:
    assert all(re.fullmatch("[a-z0-9][a-z0-9-]{0,39}", kind) for kind in KINDS)
    assert credentials.KINDS.keys() | {entry.kind for entry in FORMATS} == KINDS.keys()


@pytest.mark.parametrize("kind", sorted(credentials.HARMLESS))
def test_text_without_credentials_stays_as_it_is(kind: str) -> None:
    """At most one in a megabyte of what may be in an output; the generator makes more of what is odd than there is."""
    text = harmless(random.Random(kind), kind, 500_000)
    assert REDACTOR.find(text) == []


@pytest.mark.parametrize("line", ordinary())
def test_what_programs_print_every_day_stays_as_it_is(line: str) -> None:
    assert REDACTOR.find(line) == []
    assert REDACTOR.find(json.dumps({"output": line})) == []


@given(ANY, st.lists(st.one_of(st.sampled_from(sorted(KINDS)), st.text(max_size=30)), max_size=6))
def test_what_was_redacted_once_stays_as_it_is(seed: int, parts: list[str]) -> None:
    rng = random.Random(seed)
    text = rng.choice(["", " ", "\n", ": "]).join(
        in_context(credential(part, seed)[0], rng) if part in KINDS and rng.random() < 0.9 else part for part in parts
    )
    redacted = REDACTOR.text(text)
    assert REDACTOR.text(redacted) == redacted
    for part in parts:
        if part in KINDS and credential(part, seed)[0] in text:
            assert credential(part, seed)[1] not in redacted or credential(part, seed)[1] in mark(part)


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert REDACTOR.text(text) is text or REDACTOR.find(text)


@given(st.binary(max_size=300))
def test_any_bytes_come_back_as_they_were(data: bytes) -> None:
    token = credential("github-token", 1)[0].encode()
    assert REDACTOR.data(data + b" " + token + b" " + data) == REDACTOR.data(
        data + b" "
    ) + b"[redacted: github-token]" + (b" " + data)


@given(st.text(alphabet="ghp_skeyJ.-:/@ \n\"'=aA1AKI[redacted: jwt]BEGINPRVT" + string.digits, max_size=400))
def test_odd_pieces_of_formats_do_no_harm(text: str) -> None:
    redacted = REDACTOR.text(text)
    assert REDACTOR.text(redacted) == redacted


@given(st.lists(st.tuples(st.sampled_from([b"a", b"-", b" ", b"~"]), st.integers(1, 40)), max_size=30))
def test_long_words_are_found_across_the_pieces_in_which_a_text_is_read(runs: list[tuple[bytes, int]]) -> None:
    data = b"".join(letter * times for letter, times in runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret_tokens, "_AT_ONCE", 32)
        assert list(secret_tokens._long_words(data)) == [
            found.span() for found in re.finditer(rb"[A-Za-z0-9_-]{18,}", data)
        ]


@pytest.mark.parametrize("length", [299, 300])
def test_a_token_that_was_cut_off_may_be_as_long_as_what_is_looked_at(length: int) -> None:
    token = "ghp_" + drawn(random.Random(1), length - 4)  # longer than a whole one
    assert REDACTOR.value({"tail": f"here: {token}"}) == {"tail": f"here: {mark('github-token')}"}


def test_an_address_of_which_the_user_is_one() -> None:
    assert REDACTOR.text("smtp://ada@x.org:b9f3kk@mail") == f"smtp://ada@x.org:{mark('url-password')}@mail"


@pytest.mark.parametrize("name", ["api_key", "GITEA_TOKEN", "PRIVATE-TOKEN"])
def test_hexadecimal_digits_that_are_named(name: str) -> None:
    """Only sixteen characters are drawn from, so there are fewer kinds of them."""
    for seed in range(200):
        assert REDACTOR.text(f"{name}: {random.Random(seed).randbytes(20).hex()}") == f"{name}: {mark('password')}"


def test_places_count_characters_in_a_text_and_bytes_in_bytes() -> None:
    token = credential("github-token", 3)[0]
    assert REDACTOR.find(f"ä {token}") == [Found("github-token", 2, 2 + len(token))]
    assert REDACTOR.find(f"ä {token}".encode()) == [Found("github-token", 3, 3 + len(token))]


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=40), st.binary(max_size=40))
def test_every_kind_is_found_among_any_bytes(kind: str, before: bytes, after: bytes) -> None:
    text, _ = credential(kind, 1)
    found = REDACTOR.find(before + b"\n\n" + text.encode() + b"\n\n" + after)
    assert kind in [each.kind for each in found]


def test_placeholders_are_no_credentials() -> None:
    for text in (
        "ghp_" + "x" * 36,
        "sk-ant-api03-" + "your-key-here" * 4,
        "AKIA" + "IOSFODNN7" + "EXAMPLE",
        "https://user:password@host/ https://$USER:$PASS@host https://{user}:{pw}@host ftp://x:***@y",
        "x://%s:%s@h x://%(u)s:%(p)s@h x://%U%:%PW%@h",
        "Authorization: Bearer <token>, Authorization: Bearer $TOKEN, Authorization: required",
        "password=None password: str, password=os.environ['X'] --password PASSWORD password=hunter",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "docker://registry:5000@sha256:12",
        "eyJub3QiOiJhIHRva2VuIn0.eyJhIjoxfQ.c2ln",
    ):
        assert REDACTOR.find(text) == [], text


def test_a_checksum_tells_a_token_in_the_middle_of_a_word() -> None:
    drawn = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=30))
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number, checksum = zlib.crc32(drawn.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        checksum = digits[digit] + checksum
    for head, kind in (("ghp_", "github-token"), ("npm_", "npm-token")):
        assert REDACTOR.text(f"x{head}{drawn}{checksum}") == f"x{mark(kind)}"
        wrong = f"x{head}{drawn}{checksum[::-1]}"
        assert REDACTOR.text(wrong) == wrong


@pytest.mark.parametrize(
    "kind", ["github-token", "jwt", "telegram-token", "url-password", "private-key", "authorization", "password"]
)
def test_large_texts_are_looked_into_everywhere(kind: str) -> None:
    text, secret = credential(kind, 1)
    for place in (2**20 - 3, 2**20 - len(text), 2**20 - 64, 2**21 + 1):
        before = ("some words and a line\n" * (place // 22 + 1))[: place - 1] + "\n"
        assert REDACTOR.find(f"{before}{text}\n{before[:100]}") == [
            Found(kind, place + text.index(secret), place + text.index(secret) + len(secret))
        ]


class TestCutOff:
    def test_the_end_of_a_token(self) -> None:
        for kind in ("github-token", "anthropic-key", "gitlab-token", "slack-token"):
            for seed in range(20):
                token = credential(kind, seed)[0]
                text = "a tail that was cut somewhere in what it said, namely here: " + token[: len(token) * 2 // 3]
                assert token[:20] not in REDACTOR.text(text), kind

    def test_the_end_of_a_web_token(self) -> None:
        token = web_token(random.Random(1))
        for length in (45, 60, len(token) - 5):
            assert REDACTOR.text(f"cookie: {token[:length]}") == f"cookie: {mark('jwt')}"

    def test_the_beginning_of_a_web_token(self) -> None:
        token = web_token(random.Random(1))
        assert REDACTOR.text(f"{token[12:]}; path=/") == f"{mark('jwt')}; path=/"

    @pytest.mark.parametrize("name", ["PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
    @pytest.mark.parametrize("line_break", ["\n", "\r\n", "\\n", "\\\\n", '",\n    "', "\n    "])
    def test_key_blocks(self, name: str, line_break: str) -> None:
        block = key_block(random.Random(name), name).replace("\n", line_break)
        assert REDACTOR.text(f"before\n{block}\nafter") == f"before\n{mark('private-key')}\nafter"
        assert REDACTOR.text(f"before\n{block[:400]}").rstrip(' ",\n') == f"before\n{mark('private-key')}"
        assert REDACTOR.text(f"{block[100:]}\nafter") == f"{mark('private-key')}\nafter"

    @pytest.mark.parametrize("length", [44, 48, 128, 180, 192, 194])
    def test_keys_of_putty(self, length: int) -> None:
        text, secret = putty_key(random.Random(length), length)
        told = text.replace(secret, mark("private-key"))
        assert REDACTOR.text(text) == told
        assert REDACTOR.text(text.replace("\n", "\r\n")) == told.replace("\n", "\r\n")
        assert REDACTOR.text(json.dumps(text)) == json.dumps(told)
        cut = text[: text.index(secret) + len(secret) - 4]
        assert REDACTOR.text(cut).endswith(f"{mark('private-key')}")

    def test_key_blocks_with_headers(self) -> None:
        block = key_block(random.Random(1)).replace(
            "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,1\n\n", 1
        )
        for cut in (block, block[:500]):
            assert REDACTOR.text(f"a\n{cut}") == f"a\n{mark('private-key')}"

    def test_several_key_blocks_are_apart(self) -> None:
        one, two = key_block(random.Random(1)), key_block(random.Random(2), "PRIVATE KEY")
        text = REDACTOR.text(f"{one}\nbetween\n{two[:300]}\n{one}\nafter")
        assert text == "[redacted: private-key]\nbetween\n[redacted: private-key]\n[redacted: private-key]\nafter"


class TestOwn:
    def test_patterns_of_the_caller(self) -> None:
        redactor = Redactor(
            patterns=[("acme-key", r"acme_[0-9a-f]{32}"), ("pin", re.compile(r"PIN (?P<secret>\d{4})"))]
        )
        assert redactor.text("ü acme_" + "0af1" * 8 + " PIN 1234 ö") == "ü [redacted: acme-key] PIN [redacted: pin] ö"
        assert redactor.data(b"\xff PIN 1234 \xfe") == b"\xff PIN [redacted: pin] \xfe"

    def test_a_pattern_does_not_match_its_own_mark(self) -> None:
        redactor = Redactor(patterns=[("acme", r"acme.*")])
        once = redactor.text("x acme 1\nacme 2")
        assert once == "x [redacted: acme]\n[redacted: acme]"
        assert redactor.text(once) == once
        assert Redactor(patterns=[("all", r"(?s).+")]).text(once) == "[redacted: all]" + once[2:].replace(
            "\n", "[redacted: all]"
        )

    def test_what_is_allowed_stays(self) -> None:
        one, two = credential("github-token", 1)[0], credential("github-token", 2)[0]
        assert Redactor(allow=[one]).text(f"{one} {two}") == f"{one} [redacted: github-token]"
        assert Redactor(allow=[re.compile(r"gh._.*")]).text(f"{one} {two}") == f"{one} {two}"

    def test_a_kind_that_is_left_alone(self) -> None:
        assert Redactor(skip=["url-password"]).text("x://a:b9f3@c") == "x://a:b9f3@c"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"patterns": [("acme", "(")]}, "no regular expression"),
            ({"patterns": [("acme", "a*")]}, "everywhere"),
            ({"patterns": [("Acme key", "a")]}, "cannot be named"),
            ({"patterns": [("acme", b"a")]}, "no expression of text"),
            ({"patterns": ["acme"]}, "a name and an expression"),
            ({"patterns": "acme"}, "is a list"),
            ({"allow": "acme"}, "is a list"),
            ({"allow": [3]}, "not 3"),
            ({"skip": ["github"]}, "no kind of credentials 'github'"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, arguments: dict[str, Any], said: str) -> None:
        with pytest.raises(InvalidInputError, match=said):
            Redactor(**arguments)

    def test_equal_ones_are_equal(self) -> None:
        assert Redactor() == Redactor(patterns=[]) != Redactor(patterns=[("a", "b")]) == Redactor(patterns=[("a", "b")])
        assert Redactor.of(True) == Redactor()
        assert Redactor.of(False) is None
        with pytest.raises(InvalidInputError):
            Redactor.of("yes")  # type: ignore[arg-type]


class TestValues:
    def test_texts_at_any_depth(self) -> None:
        token, other = credential("github-token", 1)[0], credential("jwt", 2)[0]
        value: Any = {"a": token, "b": {"c": [1, None, f"x {other}"], "d": {"e": "f"}}, "job_id": token}
        redacted: Any = REDACTOR.value(value, keep=("job_id",))
        assert redacted == {
            "a": "[redacted: github-token]",
            "b": {"c": [1, None, "x [redacted: jwt]"], "d": {"e": "f"}},
            "job_id": token,
        }
        assert redacted["b"]["d"] is value["b"]["d"]
        assert REDACTOR.value(redacted, keep=("job_id",)) is redacted

    def test_what_is_told_by_its_key(self) -> None:
        secret = credential("aws-secret-key", 1)[1]
        value: Value = {
            "env": {"AWS_SECRET_ACCESS_KEY": secret, "password": "hunter22", "Authorization": "Basic bWU6eW91MQ=="}
        }
        assert REDACTOR.value(value) == {
            "env": {
                "AWS_SECRET_ACCESS_KEY": "[redacted: aws-secret-key]",
                "password": "[redacted: password]",
                "Authorization": "Basic [redacted: authorization]",
            }
        }

    def test_a_key_block_of_which_each_line_is_an_item(self) -> None:
        lines: list[Value] = ["before", *key_block(random.Random(1)).split("\n"), "after"]
        redacted = REDACTOR.value({"lines": lines})
        assert redacted == {"lines": ["before", *["[redacted: private-key]"] * (len(lines) - 2), "after"]}

    def test_keys_become_marks_and_stay_apart(self) -> None:
        tokens = sorted(credential("github-token", seed)[0] for seed in range(3))
        value: Value = {
            "calls": {tokens[2]: 3, tokens[0]: 1, tokens[1]: {"x": 2}},
            "sheets": {tokens[0]: {tokens[1]: 1}},
        }
        redacted: Any = REDACTOR.value(value, fixed=("sheets",))
        assert redacted == {
            "calls": {
                "[redacted: github-token]": 1,
                "[redacted: github-token] (2)": {"x": 2},
                "[redacted: github-token] (3)": 3,
            },
            "sheets": {tokens[0]: {"[redacted: github-token]": 1}},
        }
        assert list(redacted["calls"].values()) == [3, 1, {"x": 2}]

    def test_a_credential_is_found_where_it_stands(self) -> None:
        token, secret = credential("github-token", 1)[0], credential("aws-secret-key", 1)[1]
        value: Value = {"a": {"b": [1, f"x {token}"]}, "env": {"AWS_SECRET_ACCESS_KEY": secret}, "job_id": token}
        assert REDACTOR.find_in_value(value, keep=("job_id",)) == [
            FoundIn("github-token", ("a", "b", "1"), token),
            FoundIn("aws-secret-key", ("env", "AWS_SECRET_ACCESS_KEY"), secret),
        ]

    def test_fields_keep_their_names(self) -> None:
        token = credential("github-token", 1)[0]
        assert REDACTOR.value({token: {token: 1}}) == {token: {"[redacted: github-token]": 1}}

    def test_a_text_that_was_cut_off(self) -> None:
        token = credential("github-token", 1)[0]
        message = "the request was refused, and this is what was sent: " + token[:20]
        value: Value = {"error_message": message, "z": "more"}
        redacted: Any = REDACTOR.value(value)
        assert token[:12] not in redacted["error_message"]

    @given(
        st.recursive(
            st.one_of(
                st.none(), st.integers(), st.text(), st.sampled_from(sorted(KINDS)).map(lambda k: credential(k, 1)[0])
            ),
            lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
            max_leaves=8,
        )
    )
    def test_what_was_redacted_once_stays_as_it_is(self, value: Value) -> None:
        redacted = REDACTOR.value(value)
        assert REDACTOR.value(redacted) is redacted
        assert REDACTOR.find_in_value(redacted) == []


HOSTILE = [
    *(
        "sk-",
        "eyJ",
        "-eyJ",
        "ghp_",
        "_hf_A",
        "task-",
        "-AKIA",
        "://",
        "://a:b",
        "@",
        "/@",
        "A",
        "a1",
        "\\n",
        "[redacted: ",
    ),
    *(
        "password=",
        "secret_",
        "secretsecret",
        "authorization: ",
        "Bearer ",
        "-----BEGIN PRIVATE KEY-----",
        "PRIVATE KEY",
    ),
    *(
        "-----END PRIVATE KEY-----",
        "AccountKey=",
        "&sig=A",
        "pypi-AgE",
        ".SG.",
        "8Q~",
        "123456789:AA",
        "/webhooks/",
        "\0",
    ),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    """Twice as much takes about twice as long, whatever it is made of; what grows with the square takes four times."""
    short, long = ((unit * (size // len(unit))).encode() for size in (100_000, 400_000))
    took = [min(_took(data) for _ in range(3)) for data in (short, long)]
    assert took[1] < 10 * took[0] + 0.01


def _took(data: bytes) -> float:
    start = time.process_time()
    REDACTOR.data(data)
    return time.process_time() - start


def test_the_secret_of_an_aws_key_is_found_beside_its_id() -> None:
    secret = credentials.credential("aws-secret-key", 4)[1]
    key_id = credentials.credential("aws-access-key-id", 4)[1]
    for text in (
        f"{key_id} {secret}",
        f"{key_id},\n{secret}\n",
        f"{secret}:{key_id}",
        f"[{key_id}]{'.' * 200}{secret}",
    ):
        found = [text[start:end] for kind, start, end in REDACTOR.find(text) if kind == "aws-secret-key"]
        assert found == [secret], text
    for text in (f"{key_id}{' ' * 300}{secret}", f"{key_id} {'deadbeef' * 5}", f"{key_id} {secret}x", secret):
        assert "aws-secret-key" not in [found.kind for found in REDACTOR.find(text)], text


def test_a_key_block_that_is_longer_than_any_loses_what_may_be_a_key() -> None:
    block = key_block(random.Random(1))
    begin, *lines, end = block.splitlines()
    text = "\n".join([begin, *lines, "", "not a key any more: " + "words, " * 10_000, end])
    redacted = REDACTOR.text(text)
    assert lines[0] not in redacted and lines[-1] not in redacted
    assert redacted.startswith(mark("private-key")) and "words, words" in redacted


def test_a_basic_header_has_its_password_wherever_the_colon_is() -> None:
    for user in ("ann", "a" * 19, "a" * 21, "a" * 60):
        value = base64.b64encode(f"{user}:b".encode()).decode()
        assert REDACTOR.text(f"Authorization: Basic {value}") == f"Authorization: Basic {mark('authorization')}"


@pytest.mark.parametrize("value", ["YWRhbG92ZWxhY2U", "nodelim=", "A=======", "x.y.z.1.2.3"])
def test_a_basic_header_without_a_password_stays_as_it_is(value: str) -> None:
    assert REDACTOR.find(f"Authorization: Basic {value}") == []


@given(VALUES)
def test_a_page_is_made_of_its_lines(value: Value) -> None:
    page = Page(value, ())
    place = 0
    ends: list[int] = []
    for number, (line, after) in enumerate(pairwise([*page.lines, None])):
        assert line is not None
        text = encoded(line.text)
        assert page.data[place : place + len(text)] == text
        assert page.touched(place, place + len(text)) == ([number] if text else [])
        is_named = line.is_key and after is not None and not after.is_key and after.place == line.place
        place += len(text)
        ends += [place] if len(line.text) >= CUT_AT_LEAST else []
        assert page.data[place : place + (2 if is_named else 1)] == (b": " if is_named else b"\n")
        place += 2 if is_named else 1
    assert place == len(page.data)
    assert sorted(page.ends) == ends


@given(
    st.sampled_from(sorted(KINDS)),
    ANY,
    st.integers(5, 400),
    st.lists(st.sampled_from([*"aB1-_./:\n\t\"'\\é =", "token", "Bearer ", "\ud800", "x" * 40]), max_size=6),
    st.sampled_from(["", "\n", " ", '"', "\\", "é", "x"]),
    st.sampled_from(["tail", "api token", '"key"', "é", "x" * 40]),
)
def test_a_quick_look_at_a_value_misses_nothing(
    kind: str, seed: int, length: int, before: list[str], after: str, key: str
) -> None:
    text = "".join(before) + credential(kind, seed)[0][:length] + after
    whole = Redactor(patterns=[("none", "(?!)")])  # with a pattern of one's own there is no quick look
    values: list[Value] = [{key: text}, {"a": [text, {text: 1}]}, [key, {"a": text}], text, {text: {text: [text]}}]
    for value in values:
        assert REDACTOR.value(value) == whole.value(value)
        assert REDACTOR.find_in_value(value) == whole.find_in_value(value)
    data = encoded(text)
    assert REDACTOR.data(data) == data or not REDACTOR.finds_none({"tail": "nothing"}, [b"nothing", data])


def test_a_pattern_hides_the_group_that_it_names_secret_if_that_took_part() -> None:
    redactor = Redactor(patterns=[("acme-pin", re.compile("pin (?:(?P<secret>[0-9]+)|none)"))])
    assert redactor.text("pin 1234, pin none, pin 77") == f"pin {mark('acme-pin')}, pin none, pin {mark('acme-pin')}"
    assert redactor.data(b"\xff pin 1234") == b"\xff pin " + mark("acme-pin").encode()
