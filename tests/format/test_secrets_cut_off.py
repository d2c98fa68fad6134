"""Credentials of which a part was cut off, and blocks of keys."""

import json
import random

import pytest

from gitstate.format.secret_spans import mark
from tests.credentials import credential, drawn, key_block, putty_key, web_token
from tests.format.test_secrets import REDACTOR


@pytest.mark.parametrize("length", [299, 300])
def test_a_token_that_was_cut_off_may_be_as_long_as_what_is_looked_at(length: int) -> None:
    token = "ghp_" + drawn(random.Random(1), length - 4)  # longer than a whole one
    assert REDACTOR.value({"tail": f"here: {token}"}) == {"tail": f"here: {mark('github-token')}"}


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


def test_a_key_block_that_is_longer_than_any_loses_what_may_be_a_key() -> None:
    block = key_block(random.Random(1))
    begin, *lines, end = block.splitlines()
    text = "\n".join([begin, *lines, "", "not a key any more: " + "words, " * 10_000, end])
    redacted = REDACTOR.text(text)
    assert lines[0] not in redacted and lines[-1] not in redacted
    assert redacted.startswith(mark("private-key")) and "words, words" in redacted
