"""Counts the work that the product does: calls of the system, bytes, hashes, statements, calls of functions.

A count is the same on every machine and each time, whoever else uses the machine; a time is not.
"""

import builtins
import fcntl
import hashlib
import io
import os
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from gitstate.engine import packs

__all__ = ["KINDS", "Meter", "Work"]

KINDS = ("calls", "syncs", "written", "read", "objects", "raw", "hashed", "deflate", "inflate", "sql", "python")
"""What is counted: calls of the system; those of them that wait for the disk; bytes to and from files; git's objects
that are made, and the bytes of their bodies; bytes given to SHA-1, to zlib and by it; statements of SQL; calls of
Python's functions.
"""

_CALLS = (
    *("open", "close", "read", "write", "pread", "pwrite", "lseek", "fsync", "fdatasync", "posix_fadvise"),
    *("ftruncate", "truncate", "rename", "replace", "link", "symlink", "readlink", "unlink", "remove", "mkdir"),
    *("rmdir", "utime", "chmod", "fchmod", "stat", "lstat", "fstat", "access", "listdir", "scandir"),
)
_SYNCS = {"fsync", "fdatasync"}
_DURABLE = os.O_DSYNC | os.O_SYNC
_HERE = os.path.abspath(__file__)
_AROUND = ("asyncio", "concurrent", "selectors.py", "threading.py", "queue.py")
"""Whose calls depend on which thread comes first."""
_OTHERS = ("subprocess.py", "shutil.py", "engine/wire/connections.py")
"""Whose calls of the system are other ones in each version of Python, or are as many as a pipe has pieces."""
_INLINED = ("<listcomp>", "<dictcomp>", "<setcomp>")
"""What is a function in some versions of Python, and in others none."""


class Work:
    """What was done, by kind, and by who asked for it."""

    def __init__(self) -> None:
        self._details: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}

    def __getitem__(self, kind: str) -> int:
        return sum(self._details[kind].values())

    def note(self, kind: str, number: int, what: str) -> None:
        details = self._details[kind]  # no Counter: what it does in Python would be counted
        details[what] = details.get(what, 0) + number

    def told(self, kind: str) -> str:
        """Return what a count is made of, a line each, the largest first."""
        found = sorted(self._details[kind].items(), key=lambda item: (-item[1], item[0]))
        return "\n".join(f"{number:12,}  {what}" for what, number in found[:60])


class Meter:
    """Counts in all threads, those that are begun while it is there; what is done in other processes it does not see.

    Args:
        patches: What takes the counters out again.
    """

    def __init__(self, patches: pytest.MonkeyPatch) -> None:
        self._work: Work | None = None
        self._lock = threading.RLock()
        self._durable: set[int] = set()  # descriptors whose writes wait for the disk
        self._ours: dict[Any, str | None] = {}
        for name in _CALLS:
            patches.setattr(os, name, self._call(name, getattr(os, name)))
        patches.setattr(fcntl, "flock", self._call("flock", fcntl.flock))
        opener = self._opening(self._call("open", io.open))
        patches.setattr(builtins, "open", opener)
        patches.setattr(io, "open", opener)
        patches.setattr(subprocess, "Popen", self._process(subprocess.Popen))
        patches.setattr(packs, "encode", self._encode(packs.encode))
        patches.setattr(hashlib, "sha1", self._sha1(hashlib.sha1))
        patches.setattr(zlib, "compressobj", self._zlib(zlib.compressobj, "compress", "deflate", 0))
        patches.setattr(zlib, "decompressobj", self._zlib(zlib.decompressobj, "decompress", "inflate", 1))
        patches.setattr(sqlite3, "connect", self._connect(sqlite3.connect))
        threading.setprofile(self._profile)

    def close(self) -> None:
        """Count nothing more."""
        threading.setprofile(None)

    @contextmanager
    def counting(self) -> Iterator[Work]:
        """Count what is done while the block runs."""
        work = Work()
        before = sys.getprofile()
        self._work = work
        sys.setprofile(self._profile)
        try:
            yield work
        finally:
            sys.setprofile(before)
            self._work = None

    def _note(self, kind: str, number: int, what: str) -> None:
        work = self._work
        if work is not None:
            with self._lock:
                work.note(kind, number, what)

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        work = self._work
        if work is not None and event == "call":
            code = frame.f_code
            if code not in self._ours:
                self._ours[code] = _name_of(frame)
            name = self._ours[code]
            if name is not None:
                with self._lock:
                    work.note("python", 1, name)

    def _call(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            found = None
            try:
                found = call(*arguments, **named)
            finally:
                self._tell(name, arguments, found)  # one that fails is one as well
            return found

        return counted

    def _tell(self, name: str, arguments: tuple[Any, ...], found: Any) -> None:
        if name == "open" and isinstance(found, int):
            (self._durable.add if arguments[1] & _DURABLE else self._durable.discard)(found)
        if self._work is None:
            return
        frame = sys._getframe(2)
        if _is_others(frame):
            return
        who = _caller(frame)
        self._note("calls", 1, f"{name} {who}")
        if name in ("write", "pwrite"):
            self._note("written", found or 0, who)
        elif name in ("read", "pread"):
            self._note("read", len(found or b""), who)
        if name in _SYNCS or (name in ("write", "pwrite") and arguments[0] in self._durable):
            self._note("syncs", 1, f"{name} {who}")

    def _opening(self, opened: Callable[..., Any]) -> Callable[..., Any]:
        meter = self

        class Reader(io.BufferedReader):
            def read(self, size: int | None = -1, /) -> bytes:
                data = super().read(size)
                meter._note("read", len(data), _caller(sys._getframe(1)))
                return data

        class Writer(io.BufferedWriter):
            def write(self, data: Any, /) -> int:
                written = super().write(data)
                meter._note("written", written, _caller(sys._getframe(1)))
                return written

        def counted(*arguments: Any, **named: Any) -> Any:
            file = opened(*arguments, **named)
            if type(file) is io.BufferedReader:
                return Reader(file.detach())
            return Writer(file.detach()) if type(file) is io.BufferedWriter else file

        return counted

    def _process(self, made: type[subprocess.Popen[Any]]) -> type[subprocess.Popen[Any]]:
        meter = self

        class Counted(made):  # type: ignore[misc, valid-type]
            def __init__(self, *arguments: Any, **named: Any) -> None:
                meter._note("calls", 1, f"a process {_caller(sys._getframe(1))}")
                super().__init__(*arguments, **named)

        return Counted

    def _encode(self, encode: Callable[[str, bytes], bytes]) -> Callable[[str, bytes], bytes]:
        def counted(kind: str, body: bytes) -> bytes:
            self._note("objects", 1, kind)
            self._note("raw", len(body), kind)
            return encode(kind, body)

        return counted

    def _sha1(self, make: Callable[..., Any]) -> Callable[..., Any]:
        meter = self

        class Counted:
            def __init__(self, data: bytes = b"", **named: Any) -> None:
                self._hash = make(data, **named)
                self._who = _caller(sys._getframe(1))
                meter._note("hashed", len(data), self._who)

            def update(self, data: bytes) -> None:
                meter._note("hashed", len(data), self._who)
                self._hash.update(data)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._hash, name)

        return Counted

    def _zlib(self, make: Callable[..., Any], method: str, kind: str, side: int) -> Callable[..., Any]:
        meter = self

        class Counted:
            def __init__(self, *arguments: Any, **named: Any) -> None:
                self._made = make(*arguments, **named)
                self._who = _caller(sys._getframe(1))

            def __getattr__(self, name: str) -> Any:
                if name != method:
                    return getattr(self._made, name)

                def counted(data: bytes, *more: Any) -> bytes:
                    found: bytes = getattr(self._made, method)(data, *more)
                    meter._note(kind, len((data, found)[side]), self._who)
                    return found

                return counted

        return Counted

    def _connect(self, connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
        def counted(*arguments: Any, **named: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **named)
            connection.set_trace_callback(lambda statement: self._note("sql", 1, " ".join(statement.split())[:60]))
            return connection

        return counted


def _is_others(frame: FrameType) -> bool:
    """Whether a call of the system is the library's own: as many as it likes, or as there are folders above."""
    code, above = frame.f_code, frame.f_back
    is_walk = code.co_name == "islink" and above is not None and "walk" in above.f_code.co_name
    return is_walk or "realpath" in code.co_name or code.co_filename.endswith(_OTHERS)


def _caller(frame: FrameType | None) -> str:
    """Return the function of the product that is at work: those of the library in between say little."""
    first = frame
    while frame is not None:
        name = frame.f_code.co_filename
        if "/gitstate/" in name and "/tests/" not in name:
            return _place(frame)
        frame = frame.f_back
    return "?" if first is None else _place(first)


def _place(frame: FrameType) -> str:
    path = frame.f_code.co_filename.rpartition("/gitstate/")[2]
    return f"{path}:{frame.f_lineno} {frame.f_code.co_name}"


def _name_of(frame: FrameType) -> str | None:
    """Return the name of a function; None for one that is not counted."""
    code = frame.f_code
    path = code.co_filename
    if path == _HERE or code.co_name in _INLINED or any(part in path for part in _AROUND) or "/tests/" in path:
        return None
    return f"{'/'.join(path.split('/')[-2:])}:{code.co_firstlineno} {code.co_name}"
