"""Credentials are replaced by a mark that names their kind before they become part of a history.

A mark, ``[redacted: github-token]``, shows nothing of what it stands for, and is never taken for a credential again:
what was redacted once stays as it is. docs/concepts/secrets.md says what is found, and what is not.
"""

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gitstate.errors import InvalidInputError
from gitstate.format.secret_formats import FORMATS, OTHERS, cut_token
from gitstate.format.secret_places import beside_ids, may_stand_somewhere, places
from gitstate.format.secret_spans import OPENING, Span, apart, blanked, decoded, encoded, joined, replaced
from gitstate.format.secret_tokens import tokens
from gitstate.format.secret_values import CUT_AT_LEAST, Page, may_hold_credential, rewritten
from gitstate.values.canonical import Value

__all__ = ["KINDS", "Found", "FoundIn", "Redactor", "excerpt"]

KINDS = {entry.kind: entry.says.partition(":")[0] for entry in FORMATS} | OTHERS
"""The kinds of credentials that are known, and what each is."""

_KIND = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ROUNDS = 10  # what stands beside a credential may be one itself, once that is a mark
_SHOWN = 4  # characters of a credential that may be shown
_PREFIXED = {entry.kind for entry in FORMATS} | {"jwt", "private-key"}  # they begin with what everybody knows


class Found(NamedTuple):
    """A credential in a text: its kind, and where it begins and ends."""

    kind: str
    start: int
    end: int


class FoundIn(NamedTuple):
    """A credential in a value: its kind, the place of the text that holds it, and the credential itself."""

    kind: str
    place: tuple[str, ...]
    secret: str


@dataclass(frozen=True)
class Redactor:
    """Says what counts as a credential, and replaces it.

    Args:
        patterns: More kinds: a name such as ``acme-key`` (lower-case letters, digits and ``-``) and a regular
            expression. What it matches is replaced, or, if it has a group named ``secret``, what that matches.
        allow: What is no credential, though it looks like one: texts, or compiled expressions that match it whole.
        skip: Known kinds that are left alone.

    Raises:
        InvalidInputError: A pattern is no regular expression, or matches where there is nothing; a name is none; there
            is no such kind.
    """

    patterns: Sequence[tuple[str, "str | re.Pattern[str]"]] = ()
    allow: Sequence["str | re.Pattern[str]"] = ()
    skip: Sequence[str] = ()
    _allowed: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        allowed = _sequence("allow", self.allow)
        for entry in allowed:
            if not isinstance(entry, str | re.Pattern) or not entry or _is_of_bytes(entry):
                raise InvalidInputError(f"what is allowed is a text or a compiled expression of text, not {entry!r}")
        unknown = [kind for kind in _sequence("skip", self.skip) if kind not in KINDS]
        if unknown:
            raise InvalidInputError(f"there is no kind of credentials {unknown[0]!r}", hint=", ".join(sorted(KINDS)))
        object.__setattr__(self, "patterns", tuple(map(_pattern, _sequence("patterns", self.patterns))))
        object.__setattr__(self, "allow", allowed)
        object.__setattr__(self, "skip", tuple(self.skip))
        object.__setattr__(self, "_allowed", frozenset(entry for entry in allowed if isinstance(entry, str)))

    @classmethod
    def of(cls, redact: "bool | Redactor") -> "Redactor | None":
        """Return what an argument asks for: True is all known kinds, False nothing.

        Raises:
            InvalidInputError: It is neither, and no redactor.
        """
        if isinstance(redact, bool):
            return cls() if redact else None
        if not isinstance(redact, cls):
            raise InvalidInputError(f"redact is True, False or a Redactor, not {redact!r}")
        return redact

    def find(self, text: str | bytes) -> list[Found]:
        """Return the credentials in a text, in their order; where they begin and end counts its own items."""
        data = text if isinstance(text, bytes) else encoded(text)
        spans = self._spans(data, _end(data))
        if isinstance(text, bytes) or text.isascii():
            return [Found(kind, start, end) for start, end, kind in spans]
        founds: list[Found] = []
        at, count = 0, 0  # bytes, and the characters that they are
        for start, end, kind in spans:
            begin = count + len(decoded(data[at:start]))
            at, count = end, begin + len(decoded(data[start:end]))
            founds.append(Found(kind, begin, count))
        return founds

    def data(self, data: bytes) -> bytes:
        """Return bytes with a mark in the place of each credential; all others are as they were."""
        for _ in range(_ROUNDS):
            spans = self._spans(data, _end(data))
            if not spans:
                break
            data = replaced(data, spans)
        return data

    def text(self, text: str) -> str:
        """Return a text with a mark in the place of each credential."""
        data = encoded(text)
        redacted = self.data(data)
        return text if redacted is data else decoded(redacted)

    def finds_none(self, value: Value, beside: Sequence[bytes] = (), *, names: bool = False) -> bool:
        """Whether one look at a value and texts beside it tells that no credential is in any of them.

        ``names`` is as in :func:`may_hold_credential`.
        """
        return not self.patterns and not may_hold_credential(value, beside, names=names)

    def value(self, value: Value, *, keep: Container[str] = (), fixed: Container[str] = ()) -> Value:
        """Return a value with a mark in the place of each credential in its texts and keys.

        Args:
            value: The value; what holds no credential is shared with it.
            keep: The fields at its top that are left alone.
            fixed: The fields at its top whose keys are left alone, as those of the top are.
        """
        if self.finds_none(value):
            return value
        for _ in range(_ROUNDS):
            page = Page(value, keep)
            spans = self._spans(page.data, page.ends)
            changes = {}
            for (place, is_key, _), redacted in page.redacted(spans):
                if not is_key or (len(place) > 1 and not (len(place) == 2 and place[0] in fixed)):
                    changes[place, is_key] = redacted
            if not changes:
                break
            value = rewritten(value, changes)
        return value

    def find_in_value(self, value: Value, *, keep: Container[str] = ()) -> list[FoundIn]:
        """Return the credentials in the texts and keys of a value."""
        if self.finds_none(value, names=True):
            return []
        page = Page(value, keep)
        return [
            FoundIn(kind, page.lines[number].place, decoded(page.data[start:end]))
            for start, end, kind in self._spans(page.data, page.ends)
            for number in page.touched(start, end)[:1]
        ]

    def _spans(self, data: bytes, ends: Sequence[int]) -> list[Span]:
        """Return where credentials begin and end, in their order and apart from each other and from marks."""
        found = self._raw_spans(data, ends)
        if not found or OPENING not in data:
            return found
        data, marks = blanked(data)
        return list(apart(self._raw_spans(data, ends), marks))

    def _raw_spans(self, data: bytes, ends: Sequence[int]) -> list[Span]:
        found = tokens(data, ends)
        if found:
            found += beside_ids(data, [span for span in found if span[2] == "aws-access-key-id"])
        if may_stand_somewhere(data):
            found += places(data)
        found += list(_cut(data, ends, found)) if ends else ()
        if self.skip:
            found = [span for span in found if span[2] not in self.skip]
        if self.patterns:
            found += self._own(data)
        if self.allow:
            found = [span for span in found if not self._is_allowed(data[span[0] : span[1]])]
        return joined(found) if found else found

    def _own(self, data: bytes) -> Iterator[Span]:
        """Yield what the patterns of the caller match."""
        try:
            text, way = data.decode("utf-8", "surrogatepass"), "surrogatepass"
        except UnicodeDecodeError:
            text, way = data.decode("utf-8", "surrogateescape"), "surrogateescape"
        for kind, pattern in self.patterns:
            group = "secret" if isinstance(pattern, re.Pattern) and "secret" in pattern.groupindex else 0
            at, offset = 0, 0  # characters, and the bytes that they are
            for found in re.finditer(pattern, text):
                start, end = found.span(group)
                if at <= start < end:
                    start_offset = offset + len(text[at:start].encode("utf-8", way))
                    at, offset = end, start_offset + len(text[start:end].encode("utf-8", way))
                    yield start_offset, offset, kind

    def _is_allowed(self, data: bytes) -> bool:
        secret = data.decode("utf-8", "surrogateescape")
        if secret in self._allowed:
            return True
        return any(not isinstance(entry, str) and entry.fullmatch(secret) for entry in self.allow)


def excerpt(kind: str, secret: str) -> str:
    """Return what may be shown of a credential: how those of its kind begin, and nothing of what was drawn."""
    return (secret[:_SHOWN] if kind in _PREFIXED else "") + "…"


def _end(data: bytes) -> tuple[int, ...]:
    """Return the end of a text if it may have been cut off there."""
    return (len(data),) if len(data) >= CUT_AT_LEAST else ()


def _cut(data: bytes, ends: Sequence[int], found: list[Span]) -> Iterator[Span]:
    """Yield the tokens that were cut off at the end of a text, and that nothing was ``found`` of."""
    for end in ends:
        cut = cut_token(data, end)
        if cut is not None and not any(start < end and cut[0] < last for start, last, _ in found):
            yield cut[0], end, cut[1]


def _sequence(name: str, entries: Any) -> tuple[Any, ...]:
    """Return several entries. Raises InvalidInputError: it is a text, or cannot be gone through."""
    if isinstance(entries, str | bytes) or not isinstance(entries, Iterable):
        raise InvalidInputError(f"{name} is a list, not {entries!r}", hint=f"write {name}=[...]")
    return tuple(entries)


def _pattern(entry: Any) -> tuple[str, "re.Pattern[str]"]:
    """Return a pattern of the caller's as its kind and the compiled expression."""
    if not isinstance(entry, Sequence) or isinstance(entry, str) or len(entry) != 2:
        raise InvalidInputError(
            f"a pattern is a name and an expression, not {entry!r}", hint='("acme-key", r"acme_\\w{32}")'
        )
    kind, pattern = entry
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InvalidInputError(
            f"a kind of credentials cannot be named {kind!r}", hint="use lower-case letters, digits and '-', 40 at most"
        )
    if not isinstance(pattern, str | re.Pattern) or _is_of_bytes(pattern):
        raise InvalidInputError(f"the pattern of {kind!r} is no expression of text: {pattern!r}")
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidInputError(f"the pattern of {kind!r} is no regular expression: {error}") from error
    if compiled.search("") is not None:
        raise InvalidInputError(
            f"the pattern of {kind!r} matches where there is nothing, and so everywhere",
            hint="let it ask for at least one character",
        )
    return kind, compiled


def _is_of_bytes(entry: "str | re.Pattern[Any]") -> bool:
    return isinstance(entry, re.Pattern) and isinstance(entry.pattern, bytes)
