"""Makes a pack that arrives readable: its index, and whatever its deltas are of. C git does it, or else we do.

Both take the pack as it comes, work in a folder that is not part of the repository, and check every object.
"""

import hashlib
import mmap
import os
import re
import struct
import subprocess
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from gitstate.engine import cgit, files, packs
from gitstate.engine.cgit import CGit
from gitstate.engine.limits import Limits
from gitstate.engine.scratch import BORROWED
from gitstate.engine.transfer.unpacking import Unpacker, broken
from gitstate.errors import StorageError, StorageFullError, TooLargeError

__all__ = ["Indexer", "Progress", "indexer"]

Progress = Callable[[str, int, int | None], None]
"""Is told a stage, how much of it is done, and the whole if that is known."""

_LOOK_EVERY = 0.05  # seconds
_PATIENCE = 60.0  # seconds that indexing may take, and for each megabyte another one
_MEGABYTE = 1 << 20
_OF_AN_OBJECT = 256  # bytes that git may allocate for each, at most
_SLACK = 1 << 20  # bytes beyond an object that git may allocate at once
_STREAMED = 16 << 20  # bytes of a file from which on git does not keep it in memory
_DONE = re.compile(rb"\((\d+)/(\d+)\)")
_NAME = re.compile(rb"pack\t([0-9a-f]{40})\n")
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_DISK = ("Permission denied", "Read-only file system", "Input/output error", "Too many open files")
_CUT = 4096  # bytes of what git said that are looked at
_HELD = 256 << 20  # bytes of objects that deltas are applied to
_SUM = 20  # bytes of a checksum
_Rows = list[tuple[bytes, int, int]]
_COUNT = struct.Struct(">I")


class Indexer(Protocol):
    """Takes a pack in."""

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            UntrustedError: They are no pack.
            TooLargeError: An object is larger than the limit.
            StorageError: The disk refused.
        """

    def finish(self, progress: Progress | None) -> str:
        """Return the pack and its index, as a path without suffix. Raises as :meth:`write` does."""

    def abort(self) -> None:
        """Stop; what was made is for the caller to remove. Idempotent."""


def indexer(
    folder: Path, fd: int, count: int, limits: Limits, find: Callable[[bytes], tuple[str, bytes] | None]
) -> Indexer:
    """Return who takes in a pack.

    Args:
        folder: Where to work, a folder in the store's private one.
        fd: A descriptor that holds the folder, for a child to hold it too.
        count: How many objects the pack says that it has.
        limits: What is taken in.
        find: Gives kind and body of an object that is here, or None.
    """
    git = cgit.find(timeout=0, keep_open=fd)
    if git is None or not git.can_pack:
        return _Plain(folder, limits, find)
    return _Git(git, folder, count, limits)


class _Git:
    """C git, which works while the pack arrives, in a repository that borrows the store's objects."""

    def __init__(self, git: CGit, folder: Path, count: int, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._bytes = 0
        git.prepare(folder, BORROWED)
        command = [
            "-c",
            f"core.bigFileThreshold={min(limits.object_bytes, _STREAMED)}",
            "index-pack",
            "-v",
            "--stdin",
            "--fix-thin",
        ]
        most = max(limits.object_bytes + _SLACK, _OF_AN_OBJECT * count)
        with open(folder / "stdout", "wb") as stdout, open(folder / "stderr", "wb") as stderr:
            self._process = git.start(
                folder,
                [*command, f"--max-input-size={limits.pack_bytes}"],
                {"GIT_ALLOC_LIMIT": str(most)},
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                bufsize=0,
            )
        cgit.widen(self._process.stdin)

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        self._bytes += len(data)
        try:
            view = memoryview(data)
            while view:
                view = view[self._process.stdin.write(view) or 0 :]
        except BrokenPipeError:
            self._process.wait()
            raise self._reason() from None

    def finish(self, progress: Progress | None) -> str:
        assert self._process.stdin is not None  # noqa: S101 - as above
        self._process.stdin.close()
        end = time.monotonic() + _PATIENCE + self._bytes / _MEGABYTE
        while True:
            try:
                self._process.wait(_LOOK_EVERY)
                break
            except subprocess.TimeoutExpired:
                self._tell(progress)
                if time.monotonic() > end:
                    self.abort()
                    raise _too_slow() from None
        if self._process.returncode:
            raise self._reason()
        with open(self._folder / "stdout", "rb") as stdout:
            said = _NAME.fullmatch(stdout.read(_CUT))
        if said is None:  # git gives back what stood behind the pack
            raise broken("it has more bytes than objects")
        base = os.fspath(self._folder / "objects/pack" / f"pack-{said[1].decode('ascii')}")
        files.remove(base + ".rev")
        return base

    def abort(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        self._process.kill()
        self._process.wait()

    def _tell(self, progress: Progress | None) -> None:
        done = _DONE.findall(self._said()) if progress is not None else []
        if progress is not None and done:
            progress("indexing", int(done[-1][0]), int(done[-1][1]))

    def _said(self) -> bytes:
        with open(self._folder / "stderr", "rb") as said:
            said.seek(max(0, os.fstat(said.fileno()).st_size - _CUT))
            return said.read()

    def _reason(self) -> Exception:
        """Return the error for what git said before it ended."""
        said = self._said().decode("utf-8", "replace")
        lines = [line for line in re.split(r"[\r\n]+", said) if line.startswith(("fatal: ", "error: "))]
        reason = lines[-1].partition(": ")[2] if lines else f"exit status {self._process.returncode}"
        if self._process.returncode < 0:
            return StorageError(f"`git index-pack` ended: {reason}", hint="the machine may have no memory left")
        if any(word in said for word in _FULL):
            return StorageFullError(f"the pack could not be written: {reason}", hint="make room on the disk")
        if any(word in said for word in _DISK):
            return StorageError(f"the pack could not be written: {reason}", hint="check the disk")
        if "attempting to allocate" in reason or "out of memory" in reason.lower():
            return TooLargeError(
                f"the remote sent an object of more than {self._limits.object_bytes} bytes",
                hint="raise the limit if that is meant",
            )
        return broken(reason)


def _too_slow() -> TooLargeError:
    return TooLargeError(
        "to look at what the remote sent takes more time than such a pack should",
        hint="its objects may be much larger than it is; `git index-pack` tells more",
    )


class _Plain:
    """We, who need no git, and some more time: 0.1 ms for each object."""

    def __init__(self, folder: Path, limits: Limits, find: Callable[[bytes], tuple[str, bytes] | None]) -> None:
        self._limits = limits
        self._find = find
        self._folder = folder / "objects/pack"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / "arriving"
        self._file = open(self._path, "w+b")  # noqa: SIM115 - it stays open until the end

    def write(self, data: bytes) -> None:
        with files.storage_errors(self._path):
            self._file.write(data)

    def finish(self, progress: Progress | None) -> str:
        with files.storage_errors(self._path):
            self._file.flush()
            if os.fstat(self._file.fileno()).st_size == 0:
                raise broken("it is empty")
            rows, bases, checksum = self._look(progress)
            if bases:
                checksum = self._complete(rows, bases)
            self._file.close()
            base = os.fspath(self._folder / f"pack-{checksum.hex()}")
            os.rename(self._path, base + ".pack")
            files.create(base + ".idx", packs.index(rows, checksum), mode=0o444, durable=False)
        return base

    def abort(self) -> None:
        self._file.close()

    def _look(self, progress: Progress | None) -> tuple[_Rows, list[tuple[bytes, bytes]], bytes]:
        """Return a row of the index for each object, what deltas are of that is not in the pack, and its checksum."""
        rows: dict[bytes, tuple[bytes, int, int]] = {}
        bases: list[tuple[bytes, bytes]] = []
        end = time.monotonic() + _PATIENCE + os.fstat(self._file.fileno()).st_size / _MEGABYTE
        data = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        pack = Unpacker(data, self._find, object_bytes=self._limits.object_bytes, held_bytes=_HELD)
        try:
            for found in pack.objects():
                if not found.offset:
                    bases.append((found.id, packs.encode(found.kind, found.body)))
                elif found.id in rows:
                    raise broken("an object is in it twice")
                else:
                    rows[found.id] = (found.id, found.crc, found.offset)
                if time.monotonic() > end:
                    raise _too_slow()
                if progress is not None and not len(rows) % 1000:
                    progress("indexing", len(rows), None)
        finally:
            pack.close()
            with suppress(BufferError):  # an error holds on to a part of it, and to no more than its life
                data.close()
        return list(rows.values()), [base for base in bases if base[0] not in rows], pack.checksum

    def _complete(self, rows: _Rows, bases: list[tuple[bytes, bytes]]) -> bytes:
        """Append what deltas are of, so that the pack needs no other one; return its new checksum."""
        self._file.seek(-_SUM, os.SEEK_END)
        for object_id, data in bases:
            rows.append((object_id, zlib.crc32(data), self._file.tell()))
            self._file.write(data)
        end = self._file.tell()
        self._file.seek(8)
        self._file.write(_COUNT.pack(len(rows)))
        self._file.seek(0)
        digest = hashlib.sha1(usedforsecurity=False)
        while (left := end - self._file.tell()) > 0:
            digest.update(self._file.read(min(_MEGABYTE, left)))
        self._file.write(digest.digest())
        self._file.truncate()
        return digest.digest()
