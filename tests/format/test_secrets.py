"""What is found, what is not, and that a mark is all that is left of it."""

import base64
import json
import random
import re
import string
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.format import secret_tokens
from gitstate.format.secret_formats import FORMATS
from gitstate.format.secret_spans import mark
from gitstate.format.secrets import KINDS, Found, Redactor
from tests import credentials
from tests.credentials import credential, every_token, harmless, in_context, ordinary

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


def test_a_basic_header_has_its_password_wherever_the_colon_is() -> None:
    for user in ("ann", "a" * 19, "a" * 21, "a" * 60):
        value = base64.b64encode(f"{user}:b".encode()).decode()
        assert REDACTOR.text(f"Authorization: Basic {value}") == f"Authorization: Basic {mark('authorization')}"


@pytest.mark.parametrize("value", ["YWRhbG92ZWxhY2U", "nodelim=", "A=======", "x.y.z.1.2.3"])
def test_a_basic_header_without_a_password_stays_as_it_is(value: str) -> None:
    assert REDACTOR.find(f"Authorization: Basic {value}") == []
