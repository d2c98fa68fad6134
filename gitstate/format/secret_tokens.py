"""Finds credentials that are one long word: tokens with a beginning of their own, and what stands behind ``Bearer``.

Prose and logs have few words of eighteen characters. Where they are is found at the speed of memory, and all else looks
at these words alone. No character is looked at more than a bounded number of times.
"""

import json
import re
from base64 import urlsafe_b64decode
from binascii import crc32
from collections.abc import Container, Iterator

from gitstate.format.secret_formats import BEGINNINGS, has_head_inside, looks_drawn, token_at, token_behind
from gitstate.format.secret_spans import Span

__all__ = ["tokens"]

_WORD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_NONE = b"\0"
_CLASSES = bytes(ord("w") if byte in _WORD else 0 for byte in range(256))
_LONG = b"w" * 18
_WHOLE = _LONG + _NONE  # is found twice as fast as a run of one letter
_LOWER = b"abcdefghijklmnopqrstuvwxyz_-"  # in what is made of these alone no token begins
_NO_WORD = re.compile(rb"[^A-Za-z0-9_-]")
_AT_ONCE = 1 << 15  # bytes whose classes are in memory at a time, in that of the processor
_LONGEST_WORD = 512  # in longer ones, which are data, no token begins in the middle

_VALUE = re.compile(rb"[A-Za-z0-9._~+/=-]+")
_CODED = re.compile(rb"u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[0-7]{3}")
_COLOUR = re.compile(rb"[0-9]{0,3}m")
_DOTTED = dict.fromkeys((b"pt.", b"st.", b"sa.", b"ct."), 6) | {b"SG.": 3, b"AQ.": 3, b"29.": 5, b"xe.": 5}
_DOTTED |= dict.fromkeys((b"vs.", b"vb.", b"vr."), 4)
"""The last characters before a word that a token goes on with, and how far back it begins."""
_AIRTABLE = 18  # from the beginning of its token to the long word in it
_DOPPLER = re.compile(rb"dp\.(?:pt|st|sa|ct)\.[a-z0-9_-]{2,35}\.\Z")
_INSIDE = re.compile(rb"[A-Za-z0-9]\Z")
_ESCAPE = re.compile(
    rb"(?:\\(?:[nrtbf]|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[0-7]{3})|%(?:25)?[0-9A-Fa-f]{2}|[\[;][0-9]{0,3}m)\Z"
)

_TOKEN = re.compile(  # encrypted, of five parts, or signed, of three
    rb"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]++){3}|\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]*+)"
)
_CUT_TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?")
_HEADLESS = re.compile(rb"(eyJ[A-Za-z0-9_-]{8,}+)\.[A-Za-z0-9_-]{40,}+")
_LONGEST_HEADER = 4096

_CHECKED = re.compile(rb"(?:gh[opsur]|npm)_([A-Za-z0-9]{36})")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_BOT = re.compile(rb"(?<![0-9])[0-9]{8,10}:\Z")
_TEAM = "T[A-Z0-9]{6,14}"
_HOOK = re.compile(
    rf"/(?:(services/{_TEAM}/B[A-Z0-9]{{6,14}}|workflows/{_TEAM}/A[A-Z0-9]{{6,14}}/[0-9]{{10,20}}"
    rf"|triggers/{_TEAM}/[0-9]{{10,20}})|webhooks/[0-9]{{15,22}})/\Z".encode("ascii")
)
_HOOKED = 72  # from the path of a webhook to its secret
_CLIENT_SECRET = re.compile(rb"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~-])")
_NAME = re.compile(
    rb"(?:(?:api|access|secret|private|gitea|forgejo|auth|client|bearer|refresh|deploy|bot|admin|app|master|signing|encryption)"
    rb"[_.-]?(?:key|token|secret)|apikey|passw(?:or)?d|passphrase)"
    rb"[\"'\]\\]{0,3}[ \t]{0,3}(?:=>|[:=])[ \t]{0,3}[\"'\\]{0,2}\Z"
)
_NAMES_END = frozenset(
    case(end) for end in (b"ey", b"en", b"et", b"rd", b"wd", b"se", b"er") for case in (bytes.lower, bytes.upper)
)
"""The last characters of these names, and of ``Bearer``."""
_SEPARATING = b"\"'\\]=>: \t"
_LAST = frozenset([*_SEPARATING, *(end[-1] for end in _NAMES_END)])
_ASSIGNING = frozenset(b"\"'=: ")
_BACKSLASH, _PERCENT, _DOT, _COLON, _TILDE, _SLASH = b"\\%.:~/"
_ESCAPING = frozenset(b"\\%[;")
_CONTINUING = frozenset(b".:~/")
_TELLING = _ESCAPING.union(_ASSIGNING, _CONTINUING)
_DEVOPS = 84  # the length of a token of Azure DevOps


def tokens(data: bytes, ends: Container[int]) -> list[Span]:
    """Return the tokens in a text, in their order. ``ends`` are the places at which it may have been cut."""
    spans: list[Span] = []
    for start, end in _long_words(data):
        last = spans[-1][1] if spans else 0
        if end > last and _may_hold_one(data, start, end):
            spans += _in_word(data, max(start, last), end, ends)
    return spans


def _long_words(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each long word begins and ends."""
    done = 0
    for offset in range(0, len(data), _AT_ONCE):
        begin = max(done, offset - len(_LONG) + 1)  # what of a long word lies before is not long, or was seen
        classes = data[begin : offset + _AT_ONCE].translate(_CLASSES)
        start = 0
        while (found := classes.find(_WHOLE, start)) >= 0:
            done = begin + found + len(_LONG)
            yield begin + (classes.rfind(_NONE, start, found) + 1 or start), done
            start = found + len(_LONG)
        if classes.endswith(_LONG):  # it may go on
            beyond = _NO_WORD.search(data, begin + len(classes))
            done = len(data) if beyond is None else beyond.start()
            yield begin + (classes.rfind(_NONE, start) + 1 or start), done


def _may_hold_one(data: bytes, start: int, end: int) -> bool:
    """Whether a closer look at a long word may find something. This is asked of every one."""
    if data[start : start + 2] in BEGINNINGS or (end - start >= _DEVOPS and data.startswith(b"JQQJ99", end - 32)):
        return True
    before = data[start - 1] if start else 0
    if before in _TELLING and _is_told(data, start, before):
        return True
    if data.find(b"_", start, end) < 0 and data.find(b"-", start, end) < 0:
        return False
    return bool(data[start:end].translate(None, _LOWER)) and has_head_inside(data, start, end)


def _is_told(data: bytes, start: int, before: int) -> bool:
    """Whether what stands before a word may say something of it."""
    if before in _ASSIGNING:
        if before == _COLON and data.startswith(b"AA", start):
            return True
        return data[start - 2] in _LAST and data[max(start - 12, 0) : start].rstrip(_SEPARATING)[-2:] in _NAMES_END
    if before == _DOT:
        is_airtable = data.startswith(b"pat", max(start - _AIRTABLE, 0))
        return is_airtable or data[start - 3 : start] in _DOTTED or data.find(b"dp.", max(start - 45, 0), start) >= 0
    if before == _SLASH:
        return data.startswith(b"//", start - 2) or data.find(b"s/", max(start - _HOOKED, 0), start) >= 0
    if before == _TILDE:
        return data.startswith(b"Q", start - 2)
    begin = start + _escaped(data, start, before)
    return data[begin : begin + 2] in BEGINNINGS


def _in_word(data: bytes, start: int, end: int, ends: Container[int]) -> list[Span]:
    """Return the tokens that begin in a long word, or shortly before it."""
    before = data[start - 1] if start else 0
    spans: list[Span] = []
    if before in _ESCAPING:
        start += _escaped(data, start, before)
    elif before in _CONTINUING:
        spans += _continued(data, start, end, before)
    if not spans:
        spans += _whole(data, start, end, ends)
    if not spans and before in _ASSIGNING:
        spans += _told(data, start)
    if spans:
        start = spans[-1][1]
    if data.find(b"-", start, end) >= 0 or data.find(b"_", start, end) >= 0:
        spans += _behind(data, start, end, ends)
    return spans


def _escaped(data: bytes, start: int, before: int) -> int:
    """Return how many characters at the beginning of a word belong to an escape sequence."""
    if before == _BACKSLASH:
        found = _CODED.match(data, start)
        return 1 if found is None else len(found[0])  # JSON and many languages write a line break so
    if before == _PERCENT:
        return 4 if data.startswith(b"25", start) else 2
    colour = _COLOUR.match(data, start)  # terminals are told colours so
    return 0 if colour is None else len(colour[0])


def _whole(data: bytes, start: int, end: int, ends: Container[int]) -> Iterator[Span]:
    """Yield the token that begins where a word does."""
    found = token_at(data, start)
    if found is not None:
        yield start, *found
    elif data.startswith(b"eyJ", start):
        yield from _web_token(data, start, ends)
    elif end - start >= _DEVOPS and data.startswith(b"JQQJ99", end - 32):
        yield end - _DEVOPS, end, "azure-devops-token"


def _behind(data: bytes, start: int, end: int, ends: Container[int]) -> Iterator[Span]:
    """Yield the tokens that begin in the middle of a word."""
    if end - start > 40:
        yield from _glued(data, start, end)
    while end - start < _LONGEST_WORD and (found := token_behind(data, start, end)) is not None:
        yield found
        start = found[1]
    inner = data.find(b"eyJ", start + 1, end)
    if inner >= 0 and data[inner - 1] in b"-_":
        yield from _web_token(data, inner, ends)


def _continued(data: bytes, start: int, end: int, before: int) -> Iterator[Span]:
    """Yield the token of which a long word is not the beginning."""
    if before == _DOT:
        for back in _dotted(data, start):
            yield from _begun(data, start - back)
    elif before == _COLON:
        found = _BOT.search(data, max(start - 12, 0), start) if end - start == 35 else None
        if found is not None:
            yield found.start(), end, "telegram-token"
    elif before == _TILDE:
        found = _CLIENT_SECRET.match(data, max(start - 6, 0))
        if found is not None:
            yield *found.span(), "azure-client-secret"
    elif before == _SLASH and data.startswith(b"//", max(start - 2, 0)):
        yield from _begun(data, max(start - 3, 0))
    elif before == _SLASH:
        hook = _HOOK.search(data, max(start - _HOOKED, 0), start)
        if hook is not None:
            yield start, end, "discord-webhook" if hook[1] is None else "slack-webhook"


def _dotted(data: bytes, start: int) -> Iterator[int]:
    """Yield how far before a word with a dot before it its token may begin."""
    back = _DOTTED.get(data[start - 3 : start])
    if back is not None and back <= start:
        yield back
    elif data.startswith(b"pat", max(start - _AIRTABLE, 0)):
        yield _AIRTABLE
    if data.find(b"dp.", max(start - 45, 0), start) >= 0:
        named = _DOPPLER.search(data, max(start - 45, 0), start)
        if named is not None:
            yield len(named[0])


def _begun(data: bytes, start: int) -> Iterator[Span]:
    found = token_at(data, start)
    if found is not None and _is_beginning(data, start):
        yield start, *found


def _is_beginning(data: bytes, place: int) -> bool:
    """Whether a word can begin at a place: there is no other before it, or only an escape sequence."""
    first = max(place - 6, 0)
    return not _INSIDE.search(data, first, place) or _ESCAPE.search(data, first, place) is not None


def _told(data: bytes, start: int) -> Iterator[Span]:
    """Yield the value that a word begins if what stands before it says that it is a secret."""
    said = data[max(start - 40, 0) : start].lower()
    kind = "bearer-token" if said.endswith(b"bearer ") else "password"
    if kind == "password" and _NAME.search(said) is None:
        return
    found = _VALUE.match(data, start)
    value = b"" if found is None else found[0].rstrip(b".")
    if looks_drawn(value[:200]):
        yield start, start + len(value), kind


def _web_token(data: bytes, start: int, ends: Container[int]) -> Iterator[Span]:
    """Yield the JSON web token that begins at a place, also one that is cut off at its end or has lost its head."""
    found = _TOKEN.match(data, start)
    if found is None or not _is_header(found[0]):
        found = _CUT_TOKEN.match(data, start)
        if found is not None and (found.end() not in ends or not _is_header(found[0])):
            found = None
    if found is not None:
        yield start, found.end(), "jwt"
        return
    found = _HEADLESS.match(data, start)
    if found is not None and start > 1 and data[start - 1] == _DOT and _object(found[1]) is not None:
        begin = start - 1
        while begin and start - begin < _LONGEST_HEADER and data[begin - 1] in _WORD:
            begin -= 1
        yield begin, found.end(), "jwt"


def _is_header(token: bytes) -> bool:
    header, dot, _ = token[:_LONGEST_HEADER].partition(b".")
    if not dot:  # it ends in the middle of the header
        return header.startswith((b"eyJhbGciOi", b"eyJ0eXAiOi", b"eyJraWQiOi"))
    told = _object(header)
    return told is not None and isinstance(told.get("alg"), str)


def _object(text: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(urlsafe_b64decode(text[:_LONGEST_HEADER] + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _glued(data: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield tokens that stand in the middle of a word, of issuers that put a checksum at their end."""
    found = _CHECKED.search(data, start, end)
    if found is not None and found[1][30:] == _checksum(found[1][:30]):
        yield found.start(), found.end(), "npm-token" if found[0].startswith(b"npm") else "github-token"


def _checksum(drawn: bytes) -> bytes:
    """Return the checksum of what was drawn: its CRC-32, in six digits to the base of 62."""
    number, digits = crc32(drawn), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits.encode("ascii")
