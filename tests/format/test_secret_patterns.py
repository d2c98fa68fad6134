"""What callers say of credentials: patterns of their own, what is allowed, and kinds that are left alone."""

import re
from typing import Any

import pytest

from gitstate.errors import InvalidInputError
from gitstate.format.secret_spans import mark
from gitstate.format.secrets import Redactor
from tests.credentials import credential


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


def test_a_pattern_hides_the_group_that_it_names_secret_if_that_took_part() -> None:
    redactor = Redactor(patterns=[("acme-pin", re.compile("pin (?:(?P<secret>[0-9]+)|none)"))])
    assert redactor.text("pin 1234, pin none, pin 77") == f"pin {mark('acme-pin')}, pin none, pin {mark('acme-pin')}"
    assert redactor.data(b"\xff pin 1234") == b"\xff pin " + mark("acme-pin").encode()
