"""Erases a value from files and messages: each place that holds it gets a mark, and JSON stays JSON.

A value is also found as JSON escapes it, however deep one text was put into another: ``\\"``, ``\\u00e9``, ``\\/``. It
is not found where it was compressed, encrypted, cut in two or written in another encoding, such as Base64.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring  # in C
from typing import Any

from gitstate.errors import InvalidInputError

__all__ = ["MARK", "Eraser", "joined", "of_pattern", "of_redactor", "of_value"]

MARK = "[purged]"
"""What stands in the place of what was erased."""

_SHORTEST = 4  # characters of a value: shorter ones stand everywhere
_SHORT_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_SPECIAL = re.compile(r'["\\/\x00-\x1f\ud800-\udfff]')
_UNUSUAL = re.compile(rb"\\u(?!00[01][0-9a-fA-F])")  # an escape of what nobody has to escape
_LONE = re.compile(r"[\ud800-\udfff]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)
_COLON = re.compile(r"\s*:")
_JSON_TRAILER = re.compile(r'^([A-Za-z0-9-]+: )("(?:[^"\\\n]|\\.)*")$', re.MULTILINE)


def _always(_: bytes) -> bool:
    return True


def _never(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Eraser:
    """Erases something.

    Args:
        replace: Gives a text without it.
        may_hold: Whether bytes may hold it, quickly: only those are looked into.
        is_number: Whether a number in JSON, as it is written, is what is to be erased.
    """

    replace: Callable[[str], str]
    may_hold: Callable[[bytes], bool] = _always
    is_number: Callable[[str], bool] = _never

    def in_text(self, text: str) -> bool:
        """Whether a text holds it."""
        return self.replace(text) != text

    def file(self, data: bytes) -> bytes:
        """Return the content of a file without it: of a JSON text the strings and numbers, else the whole text."""
        if not self.may_hold(data):
            return data
        if data.lstrip()[:1] in (b"{", b"[", b'"'):
            try:
                text = data.decode()
                pairs = json.loads(text, object_pairs_hook=_Pairs)
            except (ValueError, RecursionError):
                pass
            else:
                return self._json(text, pairs, data)
        return self._plain(data)

    def message(self, data: bytes) -> bytes:
        """Return the message of a commit or tag, or a part of its header, without it."""
        if not self.may_hold(data):
            return data
        text = data.decode("utf-8", "surrogateescape")
        told = self.replace(_JSON_TRAILER.sub(lambda found: found[1] + self._string(found[2]), text))
        return data if told == text else told.encode("utf-8", "surrogateescape")

    def _plain(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogateescape")
        replaced = self.replace(text)
        return data if replaced == text else replaced.encode("utf-8", "surrogateescape")

    def _json(self, text: str, value: Any, data: bytes) -> bytes:
        keys = False

        def token(found: re.Match[str]) -> str:
            nonlocal keys
            old = found[0]
            if not old.startswith('"'):
                return f'"{MARK}"' if self.is_number(old) else old
            new = self._string(old)
            keys = keys or (new != old and _COLON.match(text, found.end()) is not None)
            return new

        told = _TOKEN.sub(token, text)
        if keys:  # two of them may be one by now, and those of free objects stand in an order
            told = json.dumps(self._renamed(value), indent=2, ensure_ascii=False) + "\n"
        return data if told == text else told.encode("utf-8", "backslashreplace")

    def _string(self, token: str) -> str:
        """Return a string of JSON without it."""
        try:
            content: str = json.loads(token, strict=False)
        except ValueError:  # a person's words in a message, which look like one
            return token
        replaced = self.replace(content)
        if replaced == content:
            return token

        def written(lone: re.Match[str]) -> str:  # as it was: an escape, or in a message a byte that is no text
            return lone[0] if lone[0] in token else f"\\u{ord(lone[0]):04x}"

        return _LONE.sub(written, encode_basestring(replaced))

    def _renamed(self, value: Any) -> Any:
        """Return a value without it, in which every key is there once."""
        if isinstance(value, _Pairs):
            keys = [key for key, _ in value]
            there, numbers = set(keys), Counter[str]()
            told: dict[str, Any] = {}
            for key, item in value:
                name = replaced = self.replace(key)
                while name in told or (name != key and name in there):
                    numbers[replaced] += 1
                    name = f"{replaced} {numbers[replaced] + 1}"
                told[name] = self._renamed(item)
            return dict(sorted(told.items())) if keys == sorted(keys) else told
        if isinstance(value, list):
            return [self._renamed(item) for item in value]
        if isinstance(value, str):
            return self.replace(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and self.is_number(repr(value))
        return MARK if is_number else value


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON, of which a key may stand there twice."""


def of_value(value: str) -> Eraser:
    """Return what erases a text wherever it stands.

    Raises:
        InvalidInputError: It is so short that it stands everywhere, or is a part of the mark.
    """
    if not isinstance(value, str) or len(value) < _SHORTEST:
        raise InvalidInputError(
            f"a value to be purged has {_SHORTEST} characters or more",
            hint="a pattern can say where a short one counts",
        )
    if value in MARK:
        raise InvalidInputError(f"the value is a part of {MARK}, which stands in the place of what was purged")
    search = re.compile("".join(map(_any_form, value)))
    segments = sorted(_SPECIAL.split(value), key=len)
    needle = segments[-1].encode()

    def may_hold(data: bytes) -> bool:
        return needle in data or _UNUSUAL.search(data) is not None

    return Eraser(lambda text: search.sub(MARK, text), may_hold, lambda number: number == value)


def of_pattern(pattern: str) -> Eraser:
    """Return what erases whatever a regular expression of Python's matches.

    Raises:
        InvalidInputError: It is none, or matches nothing at all or the mark.
    """
    try:
        search = re.compile(pattern)
    except (re.error, TypeError, RecursionError, OverflowError):
        raise InvalidInputError(
            "the pattern is no regular expression", hint="it is one of Python's, as its module re has them"
        ) from None
    if search.search("") is not None or search.search(MARK) is not None:
        raise InvalidInputError(
            f"the pattern matches the empty text, or {MARK}, which stands in the place of what was purged",
            hint="let it say more of what it looks for",
        )
    return Eraser(lambda text: search.sub(MARK, text), is_number=lambda number: search.fullmatch(number) is not None)


def of_redactor(redact: Callable[[bytes], bytes]) -> Eraser:
    """Return what erases as a function from bytes to bytes does, text by text."""

    def replace(text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        redacted = redact(data)
        return text if redacted == data else redacted.decode("utf-8", "surrogatepass")

    return Eraser(replace)


def joined(erasers: Sequence[Eraser]) -> Eraser | None:
    """Return what erases as several do, one after another; None: there are none."""
    if len(erasers) < 2:
        return erasers[0] if erasers else None

    def replace(text: str) -> str:
        for eraser in erasers:
            text = eraser.replace(text)
        return text

    return Eraser(
        replace,
        lambda data: any(eraser.may_hold(data) for eraser in erasers),
        lambda number: any(eraser.is_number(number) for eraser in erasers),
    )


def _any_form(char: str) -> str:
    """Return a pattern that matches a character as it is, and as JSON escapes it, once or more often."""
    units = char.encode("utf-16-be", "surrogatepass")
    codes = [int.from_bytes(units[place : place + 2], "big") for place in range(0, len(units), 2)]
    escaped = "".join(r"\\+u" + "".join(_either_case(digit) for digit in f"{code:04x}") for code in codes)
    if char == "\\":
        return r"\\+(?:u005[cC])?"
    if char in '"/':
        return rf"(?:\\*{char}|{escaped})"
    if char == "\n":
        return r"(?:\r|\\+r|\\+u000[dD])?(?:\n|\\+n|\\+u000[aA])"
    if char in _SHORT_ESCAPES:
        return rf"(?:{re.escape(char)}|\\+{_SHORT_ESCAPES[char]}|{escaped})"
    as_bytes = char.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    forms = dict.fromkeys((char, as_bytes))  # a lone surrogate is three odd bytes in a text file
    return f"(?:{'|'.join(map(re.escape, forms))}|{escaped})"


def _either_case(digit: str) -> str:
    return f"[{digit}{digit.upper()}]" if digit.isalpha() else digit
