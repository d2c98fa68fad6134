"""The text of a git configuration, changed where it must be and nowhere else.

Syntax: https://git-scm.com/docs/git-config#_syntax.
"""

import re
from collections.abc import Iterator, Mapping

__all__ = ["section", "sections", "without_remote"]

# One line of a configuration, with those that it goes on in: quoted text, escapes, comments, all else.
_LINE = re.compile(
    rb'(?:"(?:\\(?s:.)|[^"\\\n])*"|\\(?s:.)|[#;][^\n]*|[^\n"\\#;])*(?:\n|\Z)',
)
_HEADER = re.compile(rb'\s*\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:\\.|[^"\\\n])*)")?\s*\]')
_KEY = re.compile(rb"\s*([A-Za-z][A-Za-z0-9-]*)")


def section(name: bytes, sub: bytes, values: Mapping[bytes, bytes]) -> bytes:
    """Return a section as git writes it."""
    quoted = sub.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    lines = [b'[%b "%b"]\n' % (name, quoted), *(b"\t%b = %b\n" % (key, _value(each)) for key, each in values.items())]
    return b"".join(lines)


def _value(value: bytes) -> bytes:
    """Return a value as git writes it."""
    escaped = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\t", b"\\t").replace(b"\n", b"\\n")
    return b'"%b"' % escaped if value != value.strip(b" ") or set(b"#;") & set(value) else escaped


def without_remote(content: bytes, name: bytes) -> bytes:
    """Return a configuration without a remote, and without what says that branches follow it, as git does it."""
    kept: list[bytes] = []
    for header, lines in sections(content):
        section, sub = header
        if (section, sub) == (b"remote", name):
            continue
        if section == b"branch" and sub is not None:
            lines = _unfollowed(lines, name)
        elif header == (b"remote", None):
            lines = _without_keys(lines, {b"pushdefault": name})
        kept += lines
    return b"".join(kept)


def _unfollowed(lines: list[bytes], name: bytes) -> list[bytes]:
    left = _without_keys(lines, {b"remote": name})
    if len(left) < len(lines):
        left = _without_keys(left, {b"merge": None})
    return _without_keys(left, {b"pushremote": name})


def _without_keys(lines: list[bytes], keys: dict[bytes, bytes | None]) -> list[bytes]:
    """Return the lines of a section without some keys that have a value (None: any); nothing if no other is left."""

    def goes(line: bytes) -> bool:
        key = _KEY.match(line)
        if key is None or key[1].lower() not in keys:
            return False
        wanted = keys[key[1].lower()]
        return wanted is None or line[key.end() :].strip().removeprefix(b"=").strip().strip(b'"') == wanted

    left = [line for number, line in enumerate(lines) if not number or not goes(line)]
    if len(left) == len(lines):
        return lines
    header = _HEADER.match(left[0])
    is_empty = header is not None and not any(line.strip() for line in [left[0][header.end() :], *left[1:]])
    return [] if is_empty else left


def sections(content: bytes) -> Iterator[tuple[tuple[bytes, bytes | None], list[bytes]]]:
    """Yield the sections of a configuration, by the names in their headers, with their lines; first what is before."""
    current: tuple[bytes, bytes | None] = (b"", None)
    lines: list[bytes] = []
    at = 0
    while at < len(content):
        found = _LINE.match(content, at)
        line = found[0] if found and found[0] else content[at:]
        at += len(line)
        header = _HEADER.match(line)
        if header is not None:
            yield current, lines
            name, lines = header[2], []
            current = (header[1].lower(), None if name is None else re.sub(rb"\\(.)", rb"\1", name))
        lines.append(line)
    yield current, lines
