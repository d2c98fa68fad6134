"""One reflog: what was written into it, by git and by us; and what others did since we wrote last.

A line is ``<before> <after> <who> <time> <zone>\\t<note>``, https://git-scm.com/docs/git-reflog. Our notes begin with
``gitstate: ``, as git's begin with its command: ``commit: ``, ``reset: ``, ``merge topic: ``.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from gitstate.engine import files
from gitstate.engine.objects import NO_ID, ObjectId, Signature

__all__ = ["Move", "append", "expire", "forget", "last_time", "line", "logged", "moves", "since"]

_OURS = b"gitstate: "
_LINE = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) [^\n]*\n")
_TIME = re.compile(rb"> ([0-9]{1,12}) [+-][0-9]{4}(?:\t|\Z)")
_ID = re.compile(rb"[0-9a-f]{40}")
_RECENT = 500  # lines of a log that a cut of the power may have made wrong
_TAIL = 2**16  # bytes: so far back we look for what others did since we wrote
_PAST = 2**24  # and since another moment: we may have written much
_NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class Move(NamedTuple):
    """A line: from which commit (None: the ref was not there) to which, and why, as git says it."""

    before: ObjectId | None
    after: ObjectId
    note: str


def line(before: ObjectId | None, after: ObjectId, who: Signature, note: str) -> bytes:
    """Return the line that says that we moved a ref."""
    text = " ".join(note.split()).encode("utf-8", "backslashreplace")
    return b"%s %s %s\t%s%s\n" % ((before or NO_ID).encode(), after.encode(), who.to_bytes(), _OURS, text)


def append(log: str, text: bytes, written: list[tuple[str, int]]) -> None:
    """Append a line to a log, which is made if need be; note the log and the size that it had, first."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        fd = os.open(log, flags, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        fd = os.open(log, flags, 0o644)
    try:
        written.append((log, os.fstat(fd).st_size))
        files.write_all(fd, text)
    finally:
        os.close(fd)


def moves(log: str) -> list[Move]:
    """Return what others did since we wrote last, oldest first, as far as the end of the log tells."""
    found: list[Move] = []
    for move in reversed(_tail(log, 0, _TAIL)):
        if move is None:
            break
        found.append(move)
    return found[::-1]


def since(log: str, start: int) -> list[Move]:
    """Return what others did since the log had so many bytes, oldest first, as far as the end of the log tells."""
    return [move for move in _tail(log, start, _PAST) if move is not None]


def _tail(log: str, start: int, most: int) -> list[Move | None]:
    """Return the lines at the end of a log: what others did, and None for each line of ours or torn one."""
    return [_move(text) for text in _end(log, start, most).splitlines(keepends=True)]


def _end(log: str, start: int, most: int) -> bytes:
    try:
        fd = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except _NO_FILE:
        return b""
    try:
        size = os.fstat(fd).st_size
        first = max(size - most, start if start <= size else 0, 0)  # of a log that was expired since, all counts
        return os.pread(fd, size - first, first)  # Python makes room for as much as is asked for
    finally:
        os.close(fd)


def _move(text: bytes) -> Move | None:
    match, note = _LINE.fullmatch(text), text.partition(b"\t")[2].rstrip(b"\n")
    if match is None or note.startswith(_OURS):
        return None
    before, after = (match[side].decode("ascii") for side in (1, 2))
    return Move(None if before == NO_ID else before, after, note.decode("utf-8", "replace"))


def last_time(log: str) -> int | None:
    """Return when the ref was moved last, in seconds since 1970; None: the log does not say."""
    lines = _end(log, 0, _TAIL).splitlines()
    found = _TIME.search(lines[-1]) if lines else None
    return None if found is None else int(found[1])


def logged(log: str) -> Iterator[ObjectId]:
    """Yield the commits at which the ref stood, newest first; lines without one are left out."""
    try:
        lines = files.read(log).splitlines()
    except _NO_FILE:
        return
    for text in reversed(lines):
        commit = text[41:81]
        if text[40:41] == b" " and _ID.fullmatch(commit) and commit != NO_ID.encode():
            yield commit.decode("ascii")


def forget(log: str, is_lost: Callable[[ObjectId], bool]) -> None:
    """Remove what is torn, and of the last lines those that name lost commits: git stumbles there."""
    try:
        lines = files.read(log).splitlines(keepends=True)
    except _NO_FILE:
        return
    recent = [text for text in lines[-_RECENT:] if _LINE.match(text)]
    named = {text[start : start + 40].decode() for text in recent for start in (0, 41)} - {NO_ID}
    lost = {commit.encode() for commit in named if is_lost(commit)}
    kept = [text for text in lines if _LINE.match(text) and not (text[:40] in lost or text[41:81] in lost)]
    if kept != lines:
        files.replace(log, b"".join(kept))


def expire(log: str, gone: Collection[ObjectId], instead: bytes | None) -> None:
    """Remove the lines of a log that name commits that are gone, and what is torn.

    ``instead`` stands in the place of the last of them and of all before it; None: what is before stays.
    """
    try:
        lines = files.read(log).splitlines(keepends=True)
    except _NO_FILE:
        return
    stays = [
        _LINE.match(text) is not None and text[:40].decode() not in gone and text[41:81].decode() not in gone
        for text in lines
    ]
    kept = [text for text, is_kept in zip(lines, stays, strict=True) if is_kept]
    if instead is not None and not all(stays):
        last = max(number for number, is_kept in enumerate(stays) if not is_kept)
        kept = [instead, *lines[last + 1 :]]
    if kept != lines:
        files.replace(log, b"".join(kept))
