"""The journal: what was published and may not be in its place on the disk yet.

A record holds a whole publish: the ref, where it stood and where it stands, and the pack. It is durable before the
branch moves, so packs and refs need not be; :mod:`gitstate.engine.settling` makes them out of the records after a cut
of the power. When all that the records say is on the disk, the next generation begins, and the file is used again from
its start. It is written in place: to append to a file costs the file system a transaction of its own.

Two headers, written in turn, say which generation counts; a record counts when its checksum is right and it is of that
generation. The first that does not is the end.
"""

import json
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gitstate.engine import files
from gitstate.engine.objects import ObjectId

__all__ = ["Journal", "Record", "boot_id"]

_SIZE = 1 << 20
_SLOT = 4096  # bytes of a header; the records begin after the second one
_MAGIC = b"gitstate journal 1\n"
_RECORD = struct.Struct(">4sIQBHI20s20s")  # mark, length, generation, durable, sizes of ref and pack, before, after
_MARK = b"rec\n"
_SUM = struct.Struct(">I")
_SECTOR = 512  # a record begins with one, so that writing it cannot tear the one before
_NO_ID = "0" * 40


class Record(NamedTuple):
    """A publish. ``before`` is None for a ref that was not there."""

    ref: str
    before: ObjectId | None
    after: ObjectId
    pack: bytes


@dataclass(frozen=True)
class _Header:
    """What a generation began with: the boot it belongs to, when, and where refs stood then, on the disk."""

    generation: int
    boot: str
    began: float = 0.0
    synced: Mapping[str, ObjectId] = field(default_factory=dict)


class Journal:
    """The journal of a store; call everything under the store's lock.

    Args:
        path: Its file; made when the first record is written.
        durable: Whether a record is on the disk when :meth:`append` returns.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._path = os.fspath(path)
        self._durable = durable
        self._fd = -1
        self._headers = b""
        self._header = _Header(0, "")
        self._last = self._end = 2 * _SLOT
        self._pending = False  # whether a record of this generation may not be on the disk
        self.records: list[Record] = []

    @property
    def is_of_another_boot(self) -> bool:
        """Whether the machine was started anew since the generation began: what was not synced may be lost."""
        return self._header.boot not in ("", boot_id())

    @property
    def began(self) -> float:
        """When the generation began, in seconds since 1970: what is older is on the disk."""
        return self._header.began

    @property
    def synced(self) -> Mapping[str, ObjectId]:
        """Where refs stood, on the disk, when the generation began."""
        return self._header.synced

    @property
    def is_half_full(self) -> bool:
        """Whether it is time to begin the next generation."""
        return self._end > _SIZE // 2

    @property
    def is_damaged(self) -> bool:
        """Whether there is a file, and nothing in it says where it begins."""
        return self._fd >= 0 and not self._header.generation

    def refresh(self) -> None:
        """Take in what other processes did, the first time all that is there.

        Raises:
            OSError: It cannot be read.
        """
        if self._fd < 0 or not self._is_in_place():
            self.close()
            try:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | (os.O_DSYNC if self._durable else 0))
            except FileNotFoundError:
                return
        headers = os.pread(self._fd, 2 * _SLOT, 0)
        if headers != self._headers:
            self._headers = headers
            self._begin(max(map(_read_header, (headers[:_SLOT], headers[_SLOT:])), key=lambda found: found.generation))
        while (record := self._read_record(self._end)) is not None:
            self.records.append(record)

    def append(self, record: Record) -> bool:
        """Write a record, after :meth:`refresh`; return False when it is too large to be journaled.

        Raises:
            OSError: The disk refused; the record does not count.
        """
        ref = os.fsencode(record.ref)
        length = _RECORD.size + len(ref) + len(record.pack) + _SUM.size
        length += -length % _SECTOR
        if length > _SIZE // 4 or self._end + length > _SIZE or not boot_id():
            return False
        if self._fd < 0 and not self._create(record):
            return False
        head = _RECORD.pack(
            _MARK,
            length,
            self._header.generation,
            self._durable,
            len(ref),
            len(record.pack),
            bytes.fromhex(record.before or _NO_ID),
            bytes.fromhex(record.after),
        )
        data = b"".join((head, ref, record.pack))
        self._write(data + _SUM.pack(zlib.crc32(data)), self._end)
        if self._durable and self._pending:
            files.sync(self._fd)  # those before it, of a process that does not wait for the disk
        self._pending = not self._durable
        self._last, self._end = self._end, self._end + length
        self.records.append(record)
        return True

    def begin_generation(self, synced: Mapping[str, ObjectId]) -> None:
        """Empty the journal, durably, and note that these refs are on the disk: so is all that the records say.

        Raises:
            OSError: The disk refused; the records are still there.
        """
        if self._fd < 0:
            return
        header = _Header(self._header.generation + 1, boot_id(), time.time(), {**self._header.synced, **synced})
        self._write_header(header)
        self._begin(header)

    def take_back(self) -> None:
        """Void the record that was appended last, since the ref did not follow it.

        Raises:
            OSError: The disk refused; the record may come true after a cut of the power.
        """
        self._end = self._last
        self.records.pop()
        self._write(bytes(len(_MARK)), self._end)

    def close(self) -> None:
        """Close the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._headers = b""
        self._begin(_Header(0, ""))

    def _begin(self, header: _Header) -> None:
        self._header, self._end, self._pending, self.records = header, 2 * _SLOT, False, []

    def _create(self, record: Record) -> bool:
        """Make the file; return whether there was room for it. What comes before the first record was synced."""
        beside = f"{self._path}.new"
        files.remove(beside)
        try:
            files.create(beside, bytes(_SIZE))
        except OSError as error:
            if error.errno in files.FULL:
                return False
            raise
        os.rename(beside, self._path)
        files.sync_directory(os.path.dirname(self._path))
        self.refresh()
        self.begin_generation({} if record.before is None else {record.ref: record.before})
        return True

    def _is_in_place(self) -> bool:
        """Whether the file that is open is the one that has the name."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _write_header(self, header: _Header) -> None:
        synced = dict(header.synced)
        while len(text := json.dumps({**vars(header), "synced": synced}).encode()) > _SLOT // 2:
            synced.pop(next(iter(synced)))  # the oldest; it is only a help
        data = _MAGIC + text + b"\n%08x" % zlib.crc32(text)
        self._write(data.ljust(_SLOT, b"\0"), header.generation % 2 * _SLOT)
        if not self._durable:
            files.sync(self._fd)

    def _read_record(self, start: int) -> Record | None:
        """Return the record at ``start``, if one that counts is there, and move the end behind it."""
        head = os.pread(self._fd, _RECORD.size, start)
        if len(head) < _RECORD.size or not head.startswith(_MARK):
            return None
        _, length, generation, durable, ref_size, pack_size, before, after = _RECORD.unpack(head)
        body = _RECORD.size + ref_size + pack_size
        if generation != self._header.generation or length < body + _SUM.size or start + length > _SIZE:
            return None
        data = os.pread(self._fd, body + _SUM.size, start)
        if len(data) < body + _SUM.size or _SUM.unpack(data[body:])[0] != zlib.crc32(data[:body]):
            return None
        self._end = start + length
        self._pending = self._pending or not durable
        pack = _RECORD.size + ref_size
        return Record(
            os.fsdecode(data[_RECORD.size : pack]),
            None if before.hex() == _NO_ID else before.hex(),
            after.hex(),
            data[pack:body],
        )

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            view, offset = view[written:], offset + written
        if self._durable and sys.platform == "darwin":
            files.sync(self._fd)  # O_DSYNC stops there at the drive's own cache


def _read_header(data: bytes) -> _Header:
    try:
        text, _, checksum = data[len(_MAGIC) :].rstrip(b"\0").rpartition(b"\n")
        if data.startswith(_MAGIC) and int(checksum, 16) == zlib.crc32(text):
            return _Header(**json.loads(text))
    except (ValueError, TypeError):
        pass  # torn, or never written
    return _Header(0, "")


@cache
def boot_id() -> str:
    """Return what tells this boot of the machine from every other one; empty where nobody says."""
    try:
        if sys.platform == "darwin":
            return subprocess.run(
                ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], check=True, capture_output=True, text=True
            ).stdout.strip()
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, subprocess.SubprocessError):
        return ""
