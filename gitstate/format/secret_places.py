"""Finds credentials that are told by where they stand: key blocks, addresses with passwords, headers, assignments.

Each kind has a literal word without which it cannot be there; these are looked for first, at the speed of memory, and
only where one is found is an expression made and asked.
"""

import re
from binascii import Error as BadBase64
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from functools import cache

from gitstate.format.secret_formats import is_random, looks_drawn
from gitstate.format.secret_spans import Span, searcher

__all__ = ["beside_ids", "may_stand_somewhere", "places"]

_WORDS = "(?i:secret|passw|authorization)|PRIVATE KEY|Private-Lines"
_SIGNS = rf"{_WORDS}|Key=|sig=|:/|:\\"
"""Without one of these in a text, there is nothing here to find in it."""

_searcher = cache(searcher)
_LONGEST_WORD = 13
_AT_ONCE = 1 << 16  # bytes in which they are looked for at a time

_MARKER = rb"-{4,5} ?(BEGIN|END) (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
_LONGEST_BLOCK = 1 << 16
_KEY_LINE = rb"[A-Za-z0-9+/]{40}"
_BETWEEN = rb"(?:\\+[nrt]|[\s\x00\"',>|+#*])"
_SEPARATING = b" \t\r\n\"',>|#*\0"
_CUT_BODY = (  # headers, whole lines, and what is left of the last one
    _BETWEEN + rb"{0,40}+(?:[A-Z][A-Za-z-]{2,20}: [^\r\n\\]{0,100}" + _BETWEEN + rb"{1,8}+){0,4}+"
    rb"(?:[A-Za-z0-9+/=]{16,}+" + _BETWEEN + rb"{0,40}+)*+[A-Za-z0-9+/=]*+"
)
_WHOLE_LINE, _REST = rb"[A-Za-z0-9+/=]{64}", rb"(?!Private-MAC)[A-Za-z0-9+/=]{2,63}+"
_APART = _BETWEEN + rb"{1,40}+"
_PUTTY = (  # the lines of a file of PuTTY's, of which the last one may be short
    rb"Private-Lines: [0-9]{1,3}%b((?:%b(?:%b%b)*+)(?:%b%b)?|[A-Za-z0-9+/=]{30,63}+)"
    % (_APART, _WHOLE_LINE, _APART, _WHOLE_LINE, _APART, _REST)
)
_TURNED = rb"[\\\s\x00\"',>|+#*]"
_HEADLESS_BODY = (  # read from its end: the last lines, which may be short, and those before
    _TURNED + rb"{0,40}+(?:[A-Za-z0-9+/=]{1,80}+" + _TURNED + rb"{1,40}+){0,3}"
    rb"(?:[A-Za-z0-9+/=]{30,}+" + _TURNED + rb"{0,40}+)++(?:[A-Za-z0-9+/=]++\Z)?"
)

_ADDRESS = rb"://[^\x00-\x20/:?#\"'<>`\\]{0,100}+:([^\x00-\x20/\"'<>`\\]{1,190})@"
_ESCAPED_ADDRESS = _ADDRESS.replace(b"://", rb":\\/\\/")
_FAR = 300  # bytes from the beginning of an address to the end of the password in it
_SLASHES = (b"://", b":\\/\\/")
_RARE = 100  # bytes to one of a sign
_NO_PASSWORD = (
    rb"(?s:[${<(\[*].*)|%(?:[a-z]|\(\w+\)[a-z]|[A-Z_]+%)|[xX]+|\.+|\*+"
    rb"|(?i:your.*|my.*|pass(?:word)?|passwd|pwd|secret|token|user)|[0-9]{1,5}"
)

_HEADER = (
    rb"(?:uthorization|UTHORIZATION)[\"'\\\]]{0,4}[ \t]{0,3}(?:=>|[:=,])[ \t]{0,3}[\"'\\\[]{0,4}[ \t]{0,3}"
    rb"(?:([A-Za-z][A-Za-z0-9_-]{2,20})[ \t]{1,3})?([A-Za-z0-9._~+/=|-]{8,}+)"
)
_DOTTED_NAME = rb"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)++"

_AWS_SECRET = (
    rb"(?:ecret|ECRET)[A-Za-z_.-]{0,30}+[\"'\\\]]{0,3}[ \t]{0,4}(?:=>|[:=,]|[ \t])[ \t]{0,4}[\"'\\]{0,2}"
    rb"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
)
_FORTY = rb"(?<![A-Za-z0-9/+=_-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=_-])"
_NEAR = 256  # bytes between a key id and its secret
_MANY_KINDS = rb"(?=.*[a-z])(?=.*[A-Z]).*[0-9]"

_AZURE_KEY = rb"(?:ccount|ccess)Key=([A-Za-z0-9+/]{42,90}={0,2})"
_AZURE_SIGNATURE = rb"[?&;]sig=([A-Za-z0-9%+/]{43,80}=?)"

_PASSWORD = (
    rb"(?:assword|ASSWORD|asswd|ASSWD)[\"'\]\\]{0,3}[ \t]{0,2}(?:=>|[:=])[ \t]{0,2}"
    rb"(?:\\?\"([^\"\s\\]{6,80})\\?\"|'([^'\s\\]{6,80})'|([!#-&*-+.-9:=?-Z^_a-z~-]{6,80}+)(?=[\x00-\x20\"'`,;&\\]|\Z))"
)
_UNQUOTED = 3  # the group of a password without quotes
_MEMBER = rb"[A-Za-z_]+[0-9]{0,2}(?:\.[A-Za-z_]+[0-9]{0,2})++"  # as programs write one, such as `t.password1`
_NO_SECRET = rb"(?s:[$%{<(\[*/~].*|.*[(\[{].*)|[!&][A-Za-z_]+|(?i:none|null|true|false|[a-z_.-]+|[0-9.:-]+)"


def places(data: bytes) -> Iterator[Span]:
    """Yield the credentials that are told by where they stand in a text."""
    if _has_one(_WORDS, data):
        yield from _beside_words(data)
    if _may_have_address(data):
        yield from _addresses(data)
    if _has_azure_key(data):
        yield from ((*found.span(1), "azure-storage-key") for found in re.finditer(_AZURE_KEY, data))
    if _has_azure_signature(data):
        yield from ((*found.span(1), "azure-sas") for found in re.finditer(_AZURE_SIGNATURE, data))


def may_stand_somewhere(data: bytes) -> bool:
    """Whether :func:`places` may yield anything; this is asked of every text."""
    return _has_one(_SIGNS, data)


def _has_azure_key(data: bytes) -> bool:
    return b";" in data and b"Key=" in data  # a single character is found ten times as fast


def _has_azure_signature(data: bytes) -> bool:
    return b"&" in data and b"sig=" in data


def _has_one(words: str, data: bytes) -> bool:
    """Whether one of some words is in a text: 20 KB take 1 us, and searches for each took 40."""
    is_in = _searcher(words)
    if len(data) <= _AT_ONCE:
        return is_in(data.decode("ascii" if data.isascii() else "latin-1"))
    starts = range(0, len(data), _AT_ONCE - _LONGEST_WORD)
    return any(is_in(data[start : start + _AT_ONCE].decode("latin-1")) for start in starts)


def _beside_words(data: bytes) -> Iterator[Span]:
    lower = data.lower()
    if b"PRIVATE KEY" in data:
        yield from _key_blocks(data)
    if b"Private-Lines" in data:
        yield from ((*found.span(1), "private-key") for found in re.finditer(_PUTTY, data))
    if b"authorization" in lower:
        yield from _headers(data)
    if b"secret" in lower:
        yield from _aws_secrets(data)
    if b"passw" in lower:
        yield from _passwords(data)


def beside_ids(data: bytes, ids: Sequence[Span]) -> Iterator[Span]:
    """Yield the secrets that stand beside ids of AWS keys, in their order."""
    looked = 0
    for start, end, _ in ids:
        for found in re.compile(_FORTY).finditer(data, max(start - _NEAR, looked), end + _NEAR):
            if _is_aws_secret(found[0]):
                yield *found.span(), "aws-secret-key"
        looked = end


def _key_blocks(data: bytes) -> Iterator[Span]:
    last, begin = 0, None
    for marker in re.finditer(_MARKER, data):
        if marker[1] == b"BEGIN":
            if begin is not None:
                yield from _cut_block(data, begin, marker.start())
            last, begin = marker.end(), marker
            continue
        if begin is None:
            yield from _headless_block(data, max(last, marker.start() - _LONGEST_BLOCK), marker)
        elif marker.start() - begin.end() > _LONGEST_BLOCK:
            yield from _cut_block(data, begin, marker.start())
        elif re.search(_KEY_LINE, data[begin.end() : marker.start()]):
            yield begin.start(), marker.end(), "private-key"
        last, begin = marker.end(), None
    if begin is not None:
        yield from _cut_block(data, begin, len(data))


def _cut_block(data: bytes, begin: "re.Match[bytes]", limit: int) -> Iterator[Span]:
    """Yield the block of which the end was cut off."""
    body = re.match(_CUT_BODY, data[begin.end() : min(limit, begin.end() + _LONGEST_BLOCK)])
    if body is not None and re.search(_KEY_LINE, body[0]):
        yield begin.start(), begin.end() + len(body[0].rstrip(_SEPARATING)), "private-key"


def _headless_block(data: bytes, start: int, end: "re.Match[bytes]") -> Iterator[Span]:
    """Yield the block of which the beginning was cut off."""
    body = re.match(_HEADLESS_BODY, data[start : end.start()][::-1])
    if body is not None and re.search(_KEY_LINE, body[0]):
        yield end.start() - body.end(), end.end(), "private-key"


def _may_have_address(data: bytes) -> bool:
    """Whether an address may stand before an ``@``. Where that is rare, a look before each takes less time than to look
    for addresses.
    """
    at = data.find(b"@")
    if at >= 0 and data.count(b"@") * _RARE > len(data):
        return any(slashes in data for slashes in _SLASHES)
    while at >= 0:
        if any(data.find(slashes, max(0, at - _FAR), at) >= 0 for slashes in _SLASHES):
            return True
        at = data.find(b"@", at + 1)
    return False


def _addresses(data: bytes) -> Iterator[Span]:
    for pattern in (_ADDRESS, _ESCAPED_ADDRESS) if b":\\/\\/" in data else (_ADDRESS,):
        for found in re.finditer(pattern, data):
            if not re.fullmatch(_NO_PASSWORD, found[1]):
                yield *found.span(1), "url-password"


def _headers(data: bytes) -> Iterator[Span]:
    for found in re.finditer(_HEADER, data):
        scheme, whole = (found[1] or b"").lower(), found[2].rstrip(b".")
        value = whole[:200]
        if scheme == b"basic":
            is_one = _is_basic(value)
        elif scheme:
            is_one = is_random(value) and re.search(rb"[0-9]", value) is not None
        else:
            is_one = looks_drawn(value) and not re.fullmatch(_DOTTED_NAME, value)
        if is_one:
            yield (
                found.start(2),
                found.start(2) + len(whole),
                "bearer-token" if scheme == b"bearer" else "authorization",
            )


def _is_basic(value: bytes) -> bool:
    try:
        return b":" in a2b_base64(value[: len(value) // 4 * 4] or value)
    except (BadBase64, ValueError):
        return False


def _aws_secrets(data: bytes) -> Iterator[Span]:
    for found in re.finditer(_AWS_SECRET, data):
        if _is_aws_secret(found[1]):
            yield *found.span(1), "aws-secret-key"


def _is_aws_secret(text: bytes) -> bool:
    return len(set(text)) >= 16 and is_random(text) and re.match(_MANY_KINDS, text) is not None


def _passwords(data: bytes) -> Iterator[Span]:
    for found in re.finditer(_PASSWORD, data):
        number = found.lastindex or 1
        is_code = number == _UNQUOTED and re.fullmatch(_MEMBER, found[number]) is not None
        if not is_code and is_random(found[number]) and not re.fullmatch(_NO_SECRET, found[number]):
            yield *found.span(number), "password"
