"""The journal: what was published and may not be in its place on the disk yet.

A record holds a whole publish: the ref, where it stood and where it stands, and the pack. It is durable before the
branch moves, so packs and refs need not be; :mod:`gitstate.engine.settling` makes them out of the records after a cut
of the power. It is a ring, written in place (to append to a file costs the file system a transaction of its own): the
room of records is used again when all that they say is on the disk.

Two headers, written in turn, say where the first record stands that counts, and its number. The records that follow it
count as far as their checksums and numbers are right.
"""

import json
import os
import secrets
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gitstate.engine import files
from gitstate.engine.objects import NO_ID, ObjectId

__all__ = ["Journal", "Record", "Stretch", "boot_id"]

_SIZE = 1 << 20
_SLOT = 4096  # bytes of a header; the records begin after the second one
_START = 2 * _SLOT
_LARGEST = _SIZE // 4  # bytes of a record
_MAGIC = b"gitstate journal 2\n"
_RECORD = struct.Struct(">4sIQBHI20s20s")  # mark, length, number, durable, sizes of ref and pack, before, after
_MARK = b"rec\n"
_SUM = struct.Struct(">I")
_SECTOR = 512  # a record begins with one, so that writing it cannot tear the one before


class Record(NamedTuple):
    """A publish. ``before`` is None for a ref that was not there."""

    ref: str
    before: ObjectId | None
    after: ObjectId
    pack: bytes


class Stretch(NamedTuple):
    """The records that there are at one moment, in seconds since 1970, and where they end."""

    records: tuple[Record, ...]
    moment: float
    number: int
    end: int


@dataclass(frozen=True)
class _Header:
    """Where the first record that counts stands, and its number; the boot that it is of, the moment from which on not
    all is on the disk, and where refs stood then, on the disk.
    """

    turn: int  # the newer of the two headers has the higher one
    boot: str = ""
    number: int = 0
    start: int = _START
    began: float = 0.0
    synced: Mapping[str, ObjectId] = field(default_factory=dict)


class Journal:
    """The journal of a store; call everything under the store's lock.

    Args:
        path: Its file; made when the first record is written.
        durable: Whether :meth:`sync` waits for the disk.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._path = os.fspath(path)
        self._durable = durable
        self._fd = -1
        self._headers = b""
        self._header = _Header(0)
        self._end = _START
        self._last = (_START, _START)  # where the last record stands, and the end before it
        self._pending = False  # whether a record that counts may not be on the disk
        self.records: list[Record] = []

    @property
    def is_of_another_boot(self) -> bool:
        """Whether the machine was started anew since the records were written: what was not synced may be lost."""
        return self._header.boot not in ("", boot_id())

    @property
    def began(self) -> float:
        """A moment in seconds since 1970: what is older is on the disk."""
        return self._header.began

    @property
    def synced(self) -> Mapping[str, ObjectId]:
        """Where refs stood, on the disk, before the first of the records."""
        return self._header.synced

    @property
    def last(self) -> Record | None:
        """The newest of the records."""
        return self.records[-1] if self.records else None

    @property
    def is_half_full(self) -> bool:
        """Whether it is time to get what the records say to the disk."""
        return bool(self.records) and (self._end - self._header.start) % (_SIZE - _START) > _SIZE // 2

    @property
    def is_damaged(self) -> bool:
        """Whether there is a file, and nothing in it says where it begins."""
        return self._fd >= 0 and not self._header.turn

    def refresh(self) -> None:
        """Take in what other processes did, the first time all that is there.

        Raises:
            OSError: It cannot be read.
        """
        if self._fd < 0 or not self._is_in_place():
            self.close()
            try:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return
        headers = os.pread(self._fd, 2 * _SLOT, 0)
        if headers != self._headers:
            self._headers = headers
            self._go_on(max(map(_read_header, (headers[:_SLOT], headers[_SLOT:])), key=lambda found: found.turn))
        while (record := self._read_next()) is not None:
            self.records.append(record)

    def append(self, record: Record) -> bool:
        """Write a record, after :meth:`refresh`; return False when it is too large, or there is no room.

        The disk begins with it, and :meth:`sync` waits until it is there.

        Raises:
            OSError: The disk refused; the record does not count.
        """
        ref = os.fsencode(record.ref)
        length = _RECORD.size + len(ref) + len(record.pack) + _SUM.size
        length += -length % _SECTOR
        if length > _LARGEST or not self.ensure({record.ref: record.before} if record.before else {}):
            return False
        if self.is_damaged:
            self.begin({})
        place = self._place(length)
        if place is None:
            return False
        head = _RECORD.pack(
            _MARK,
            length,
            self._next,
            self._durable,
            len(ref),
            len(record.pack),
            bytes.fromhex(record.before or NO_ID),
            bytes.fromhex(record.after),
        )
        data = b"".join((head, ref, record.pack))
        self._write(data + _SUM.pack(zlib.crc32(data)), place)
        if self._durable:
            files.begin_sync(self._fd, place, length)
        self._last, self._end = (place, self._end), place + length
        self.records.append(record)
        return True

    def sync(self) -> None:
        """Wait until all records are on the disk, also those of processes that did not wait; not if this one does not.

        Raises:
            OSError: The disk refused; the last record does not count.
        """
        if self._durable and self._pending:
            files.sync_content(self._fd)
            self._pending = False

    def stretch(self) -> Stretch:
        """Return the records that there are now, for :meth:`release`."""
        return Stretch(tuple(self.records), time.time(), self._next, self._end)

    def release(self, stretch: Stretch) -> None:
        """Free the room of these records, since all that they say is on the disk; those that came since then stay.

        Raises:
            OSError: The disk refused; the records are still there.
        """
        if self._header.number < stretch.number <= self._next:  # else somebody freed it already
            synced = {**self._header.synced, **{record.ref: record.after for record in stretch.records}}
            self._begin(_Header(0, boot_id(), stretch.number, stretch.end, stretch.moment, synced))

    def begin(self, synced: Mapping[str, ObjectId]) -> None:
        """Free the room of all records, and note that these refs are on the disk: so is all that the records say.

        Raises:
            OSError: The disk refused; the records are still there.
        """
        if self._fd >= 0:
            # A file whose headers cannot be read may hold records of any number; ours get one that none of them has.
            number = self._next if self._header.turn else secrets.randbits(62)
            end = self._end if self._header.turn else _START
            self._begin(_Header(0, boot_id(), number, end, time.time(), {**self._header.synced, **synced}))

    def take_back(self) -> None:
        """Void the record that was appended last, since the ref did not follow it.

        Raises:
            OSError: The disk refused; the record may come true after a cut of the power.
        """
        place, self._end = self._last
        self.records.pop()
        self._write(bytes(len(_MARK)), place)
        self.sync()

    def erase(self) -> None:
        """Remove the file, and what it holds from the disk; all that the records say is on the disk.

        Raises:
            OSError: The disk refused.
        """
        if self._fd >= 0:
            self._write(bytes(_SIZE), 0)
            files.sync(self._fd)
            os.unlink(self._path)
            files.sync_directory(os.path.dirname(self._path))
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._headers = b""
        self._go_on(_Header(0))

    @property
    def _next(self) -> int:
        """The number of the next record."""
        return self._header.number + len(self.records)

    def _go_on(self, header: _Header) -> None:
        """Take a header as the one that counts, and of the records that are known those that it lets count."""
        freed = header.number - self._header.number
        if self._header.turn and header.turn and 0 <= freed <= len(self.records):
            self.records = self.records[freed:]
        else:
            self._end, self._pending, self.records = header.start, False, []
        self._header = header

    def _begin(self, header: _Header) -> None:
        """Write a header, durably, as the next one."""
        header = replace(header, turn=self._header.turn + 1)
        synced = dict(header.synced)
        while len(text := json.dumps({**vars(header), "synced": synced}).encode()) > _SLOT // 2:
            synced.pop(next(iter(synced)))  # the oldest; it is only a help
        data = _MAGIC + text + b"\n%08x" % zlib.crc32(text)
        self._write(data.ljust(_SLOT, b"\0"), header.turn % 2 * _SLOT)
        files.sync_content(self._fd)
        self._pending = False
        self._go_on(header)

    def _place(self, length: int) -> int | None:
        """Return where there is room for a record, behind the last one or else at the start; None: nowhere."""
        start, end = self._header.start, self._end
        if self.records and end <= start:  # they go over the end of the file already
            return end if end + length <= start else None
        if end + length <= _SIZE:
            return end
        if _START + length > (start if self.records else _SIZE):
            return None
        if end < _SIZE:
            self._write(bytes(len(_MARK)), end)  # a record may stand there that was written, although the disk refused
        return _START

    def ensure(self, synced: Mapping[str, ObjectId]) -> bool:
        """Make the file if it is not there, and note that these refs are on the disk, with all that is before them.

        Returns:
            Whether there is one now. There cannot be where there is no room, or no boot to tell from others.

        Raises:
            OSError: The disk refused.
        """
        if not boot_id() or self._fd >= 0:
            return self._fd >= 0
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
        self.begin(synced)
        return True

    def _is_in_place(self) -> bool:
        """Whether the file that is open is the one that has the name."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _read_next(self) -> Record | None:
        """Return the next record, if there is one that counts, and move the end behind it."""
        record = self._read_record(self._end)
        if record is None and self._end + _LARGEST > _SIZE:
            record = self._read_record(_START)
        return record

    def _read_record(self, start: int) -> Record | None:
        """Return the record at ``start``, if it is the next one that counts, and move the end behind it."""
        head = os.pread(self._fd, _RECORD.size, start)
        if len(head) < _RECORD.size or not head.startswith(_MARK):
            return None
        _, length, number, durable, ref_size, pack_size, before, after = _RECORD.unpack(head)
        body = _RECORD.size + ref_size + pack_size
        if number != self._next or length < body + _SUM.size or start + length > _SIZE:
            return None
        data = os.pread(self._fd, body + _SUM.size, start)
        if len(data) < body + _SUM.size or _SUM.unpack(data[body:])[0] != zlib.crc32(data[:body]):
            return None
        self._end = start + length
        self._pending = self._pending or not durable
        pack = _RECORD.size + ref_size
        return Record(
            os.fsdecode(data[_RECORD.size : pack]),
            None if before.hex() == NO_ID else before.hex(),
            after.hex(),
            data[pack:body],
        )

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            view, offset = view[written:], offset + written
        self._pending = True


def _read_header(data: bytes) -> _Header:
    try:
        text, _, checksum = data[len(_MAGIC) :].rstrip(b"\0").rpartition(b"\n")
        if data.startswith(_MAGIC) and int(checksum, 16) == zlib.crc32(text):
            return _Header(**json.loads(text))
    except (ValueError, TypeError):
        pass  # torn, or never written
    return _Header(0)


@cache
def boot_id() -> str:
    """Return what tells this boot of the machine from every other one; empty where nobody says."""
    try:
        if sys.platform == "darwin":  # pragma: no cover - as in files.sync
            return subprocess.run(
                ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], check=True, capture_output=True, text=True
            ).stdout.strip()
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, subprocess.SubprocessError):
        return ""
