"""The entries of git's index: one as bytes and back, and the packed ones of version 4 spelled out.

The format is git's own, https://git-scm.com/docs/index-format.
"""

import os
import struct
from dataclasses import dataclass

from gitstate.engine.objects import TreeEntry

__all__ = ["EXTENDED", "HEADER", "INTENDED", "LENGTH", "NO_STAT", "STAGE", "IndexEntry", "spelled_out", "stat_numbers"]

HEADER = struct.Struct(">4sLL")  # "DIRC", the version, the count of entries
STAGE = 0x3000
EXTENDED = 0x4000
LENGTH = 0x0FFF  # of the path, or this if it is longer
INTENDED = 0x2000  # in the extended flags
NO_STAT = (0,) * 9

_ENTRY = struct.Struct(">10L20sH")  # nine numbers of lstat around the mode, the object's id, the flags
_SKIP_WORKTREE = 0x4000  # in the extended flags


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What git's index says of one file.

    ``stat`` has nine numbers: seconds and nanoseconds of ctime and mtime, device, inode, user, group, size. All zero
    makes git read the file to see whether it differs. ``flags`` and ``extended`` are git's.
    """

    entry: TreeEntry
    stat: tuple[int, ...] = NO_STAT
    flags: int = 0
    extended: int = 0

    @property
    def mtime_ns(self) -> int:
        """When the file was last changed, in nanoseconds since 1970."""
        return self.stat[2] * 1_000_000_000 + self.stat[3]

    @property
    def skips_worktree(self) -> bool:
        """Whether a sparse checkout leaves the file out."""
        return bool(self.extended & _SKIP_WORKTREE)

    @property
    def is_undecided(self) -> bool:
        """Whether it is one side of a merge that is not decided."""
        return bool(self.flags & STAGE)

    @property
    def is_intended(self) -> bool:
        """Whether a person only means to add the file (``git add -N``), and no tree has it."""
        return bool(self.extended & INTENDED)

    def to_bytes(self, path: bytes) -> bytes:
        """Write the entry as versions 2 and 3 have it, padded."""
        extended = self.extended.to_bytes(2, "big") if self.extended else b""
        flags = self.flags & ~(EXTENDED | LENGTH) | min(len(path), LENGTH) | (EXTENDED if extended else 0)
        stat, mode = self.stat, self.entry.mode
        raw = _ENTRY.pack(*stat[:6], mode, *stat[6:], bytes.fromhex(self.entry.id), flags) + extended + path
        return raw.ljust(len(raw) + 8 & ~7, b"\0")

    @classmethod
    def parse(cls, raw: bytes) -> "IndexEntry":
        """Read an entry from its bytes; its path may follow."""
        *numbers, raw_id, flags = _ENTRY.unpack_from(raw)
        extended = int.from_bytes(raw[62:64], "big") if flags & EXTENDED else 0
        mode = numbers.pop(6)
        return cls(TreeEntry(mode, raw_id.hex()), tuple(numbers), flags, extended)


def stat_numbers(stat: os.stat_result) -> tuple[int, ...]:
    """Return what the index keeps of a file's state, as git cuts it to 32 bits."""
    ctime, mtime = divmod(stat.st_ctime_ns, 1_000_000_000), divmod(stat.st_mtime_ns, 1_000_000_000)
    numbers = (*ctime, *mtime, stat.st_dev, stat.st_ino, stat.st_uid, stat.st_gid, stat.st_size)
    return tuple(number & 0xFFFFFFFF for number in numbers)


def spelled_out(data: bytes, count: int) -> bytes:
    """Return an index of version 4, in which a path says how it differs from the one before, as one of version 3."""
    start, path = HEADER.size, b""
    pieces = [HEADER.pack(b"DIRC", 3, count)]
    for _ in range(count):
        name = start + (64 if data[start + 60] & EXTENDED >> 8 else 62)
        cut, rest = _varint(data, name)  # the path is the one before it, less some bytes, and what follows
        end = data.index(0, rest)
        path = path[: len(path) - cut] + data[rest:end]
        pieces.append(IndexEntry.parse(data[start:name]).to_bytes(path))
        start = end + 1
    return b"".join([*pieces, data[start:]])


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """Read git's "offset" integer; return it and where it ends."""
    value = data[start] & 0x7F
    while data[start] & 0x80:
        start += 1
        value = (value + 1 << 7) | (data[start] & 0x7F)
    return value, start + 1
