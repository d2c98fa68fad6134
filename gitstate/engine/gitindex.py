"""Git's index as bytes: read it, change some entries, write it back.

The format is git's own, https://git-scm.com/docs/index-format. Versions 2, 3 and 4 are read, 2 or 3 is written.
Entries that are not touched keep their bytes, flags included. Of the extensions only the record of resolved conflicts
(REUC) is kept: the others are caches, which git builds anew, and the cached trees (TREE) would make ``git commit``
write the old tree if they stayed. An index that needs more than this file (split, sparse) is first written plainly by
C git.
"""

import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from gitstate.engine.objects import TreeEntry
from gitstate.errors import CorruptionError, UnsupportedError

__all__ = ["GitIndex", "IndexEntry", "is_safe", "read", "stat_numbers"]

_HEADER = struct.Struct(">4sLL")
_ENTRY = struct.Struct(">10L20sH")  # nine numbers of lstat around the mode, the object's id, the flags
_STAGE = 0x3000
_EXTENDED = 0x4000
_LENGTH = 0x0FFF
_SKIP_WORKTREE = 0x4000  # in the extended flags
_KEPT_EXTENSIONS = (b"REUC",)
_NO_STAT = (0,) * 9
_GIT_TIMEOUT = 60.0  # seconds
_PLAIN_HINT = "`git update-index --no-split-index` or `git sparse-checkout disable` make it plain"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What git's index says of one file.

    ``stat`` has nine numbers: seconds and nanoseconds of ctime and mtime, device, inode, user, group, size. All zero
    makes git read the file to see whether it differs. ``flags`` and ``extended`` are git's.
    """

    entry: TreeEntry
    stat: tuple[int, ...] = _NO_STAT
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

    def to_bytes(self, path: bytes) -> bytes:
        """Write the entry as versions 2 and 3 have it, padded."""
        extended = self.extended.to_bytes(2, "big") if self.extended else b""
        flags = self.flags & ~(_EXTENDED | _LENGTH) | min(len(path), _LENGTH) | (_EXTENDED if extended else 0)
        stat, mode = self.stat, self.entry.mode
        raw = _ENTRY.pack(*stat[:6], mode, *stat[6:], bytes.fromhex(self.entry.id), flags) + extended + path
        return raw.ljust(len(raw) + 8 & ~7, b"\0")

    @classmethod
    def parse(cls, raw: bytes) -> "IndexEntry":
        """Read an entry from its bytes; its path may follow."""
        *numbers, raw_id, flags = _ENTRY.unpack_from(raw)
        extended = int.from_bytes(raw[62:64], "big") if flags & _EXTENDED else 0
        mode = numbers.pop(6)
        return cls(TreeEntry(mode, raw_id.hex()), tuple(numbers), flags, extended)


def stat_numbers(stat: os.stat_result) -> tuple[int, ...]:
    """Return what the index keeps of a file's state, as git cuts it to 32 bits."""
    ctime, mtime = divmod(stat.st_ctime_ns, 1_000_000_000), divmod(stat.st_mtime_ns, 1_000_000_000)
    numbers = (*ctime, *mtime, stat.st_dev, stat.st_ino, stat.st_uid, stat.st_gid, stat.st_size)
    return tuple(number & 0xFFFFFFFF for number in numbers)


class GitIndex:
    """The entries of an index by path. Paths that are not UTF-8 carry their odd bytes as lone surrogates (PEP 383).

    ``conflicted`` says that a merge is unfinished; ``mtime_ns`` is the time of the file; ``changed`` that its entries
    are no longer those that were read.
    """

    def __init__(self) -> None:
        self.conflicted = False
        self.mtime_ns = 0
        self.changed = False
        self._raw: dict[bytes, bytes] = {}  # parsed only when asked for: an index may have 100,000 entries
        self._sorted: list[bytes] = []  # the paths as read
        self._extensions = b""

    @classmethod
    def parse(cls, data: bytes) -> "GitIndex":
        """Read the bytes of an index file.

        Raises:
            CorruptionError: They are no index, or damaged.
            UnsupportedError: The index is split, sparse or of an unknown version.
        """
        try:
            signature, version, count = _HEADER.unpack_from(data)
        except struct.error as error:
            raise CorruptionError("git's index is cut short", hint="`git reset` makes it anew") from error
        body, trailer = data[:-20], data[-20:]
        # Zeros: git was told not to spend time on the checksum (index.skipHash).
        if signature != b"DIRC" or trailer not in (hashlib.sha1(body, usedforsecurity=False).digest(), bytes(20)):
            raise CorruptionError("git's index is damaged", hint="remove it, then `git reset` makes it anew")
        if version not in (2, 3, 4):
            raise UnsupportedError(f"git's index has version {version}", hint="upgrade gitstate")
        index = cls()
        try:
            start = index._parse_entries(body, version, count)
            index._parse_extensions(body, start)
        except (ValueError, IndexError, struct.error) as error:
            raise CorruptionError("git's index is damaged", hint="remove it, then `git reset` makes it anew") from error
        index._sorted = list(index._raw)
        return index

    def _parse_entries(self, body: bytes, version: int, count: int) -> int:
        start, path = _HEADER.size, b""
        for _ in range(count):
            flags = body[start + 60] << 8 | body[start + 61]
            name = start + (64 if flags & _EXTENDED else 62)
            if version == 4:  # a path is the one before it, less some bytes, and what follows
                cut, rest = _varint(body, name)
                end = body.index(0, rest)
                path = path[: len(path) - cut] + body[rest:end]
                raw, start = IndexEntry.parse(body[start:name]).to_bytes(path), end + 1
            else:
                end = body.index(0, name)
                path = body[name:end]
                size = end - start + 8 & ~7
                raw, start = body[start : start + size], start + size
            self.conflicted |= bool(flags & _STAGE)
            self._raw[path] = raw
        return start

    def _parse_extensions(self, body: bytes, start: int) -> None:
        while start < len(body):
            signature, size = struct.unpack_from(">4sL", body, start)
            end = start + 8 + size
            if end > len(body):
                raise ValueError("an extension is cut short")
            if signature in _KEPT_EXTENSIONS:
                self._extensions += body[start:end]
            elif not signature[:1].isupper():  # git's sign that a reader must understand it
                raise UnsupportedError(f"git's index has the extension {signature!r}", hint="upgrade gitstate")
            start = end

    def __len__(self) -> int:
        return len(self._raw)

    def get(self, path: str) -> IndexEntry | None:
        """Return what the index says of ``path``, or None."""
        raw = self._raw.get(_encode(path))
        return None if raw is None else IndexEntry.parse(raw)

    def items(self) -> Iterator[tuple[str, IndexEntry]]:
        """Yield each path, and what the index says of it."""
        for path, raw in self._raw.items():
            yield path.decode("utf-8", "surrogateescape"), IndexEntry.parse(raw)

    def put(self, path: str, entry: TreeEntry, stat: os.stat_result | None = None) -> None:
        """Set what the index says of ``path``; without ``stat`` git will read the file to see whether it differs.

        Flags that a person set (assume unchanged, skip the worktree) stay.
        """
        old = self.get(path)
        new = replace(old or IndexEntry(entry), entry=entry, stat=_NO_STAT if stat is None else stat_numbers(stat))
        if new != old:
            self._raw[_encode(path)] = new.to_bytes(_encode(path))
            self.changed = True

    def remove(self, path: str) -> None:
        """Take ``path`` out of the index, if it is there."""
        if self._raw.pop(_encode(path), None) is not None:
            self.changed = True

    def has_room(self, path: str) -> bool:
        """Whether no other entry needs ``path`` as a directory, or stands where it needs one."""
        name = _encode(path)
        parents = [name[:end] for end, byte in enumerate(name) if byte == ord("/")]
        if any(parent in self._raw for parent in parents):
            return False
        folder = name + b"/"
        for below in self._sorted[bisect_left(self._sorted, folder) :]:
            if not below.startswith(folder):
                break
            if below in self._raw:
                return False
        return True

    def racy(self) -> Iterator[tuple[str, IndexEntry]]:
        """Yield the entries whose files changed in the second in which this index was written, or later.

        Git reads such files instead of trusting their times, of which most builds compare only the seconds. In an
        index that is written later they no longer stand out, so whoever writes it looks at them first and calls
        :meth:`distrust`.
        """
        written = (self.mtime_ns // 1_000_000_000 & 0xFFFFFFFF).to_bytes(4, "big")
        for path, raw in list(self._raw.items()):
            if raw[8:12] >= written:  # big-endian, so bytes compare as numbers do
                yield path.decode("utf-8", "surrogateescape"), IndexEntry.parse(raw)

    def distrust(self, path: str) -> None:
        """Make git read the file at ``path`` to see whether it differs."""
        old = self.get(path)
        if old is not None:
            self.put(path, old.entry)

    def to_bytes(self) -> bytes:
        """Write the index, as version 3 if an entry needs it, else 2."""
        version = 3 if any(raw[60] & (_EXTENDED >> 8) for raw in self._raw.values()) else 2
        body = b"".join(
            [
                _HEADER.pack(b"DIRC", version, len(self._raw)),
                *(self._raw[path] for path in sorted(self._raw)),
                self._extensions,
            ]
        )
        return body + hashlib.sha1(body, usedforsecurity=False).digest()


def read(git_dir: Path, worktree: Path, scratch: Path, path: Path | None = None) -> GitIndex:
    """Read the index of a worktree; call it under ``index.lock``. A missing file is an index without entries.

    Args:
        git_dir: The worktree's own git directory.
        worktree: The folder that the index is about.
        scratch: A directory for a plain copy of an index that is split or sparse; C git is asked for one.
        path: Its file, if it is not the usual one.

    Raises:
        CorruptionError: The file is no index, or damaged.
        UnsupportedError: This kind of index is beyond us, and C git is not there to help.
    """
    path = path or git_dir / "index"
    try:
        data, stat = path.read_bytes(), path.stat()
    except FileNotFoundError:
        return GitIndex()
    if not data.strip(b"\0"):
        return GitIndex()  # what a cut of the power leaves of an index that did not reach the disk
    try:
        index = GitIndex.parse(data)
    except UnsupportedError:
        index = GitIndex.parse(_plain(git_dir, worktree, path, scratch))
    index.mtime_ns = stat.st_mtime_ns
    return index


def _plain(git_dir: Path, worktree: Path, path: Path, scratch: Path) -> bytes:
    """Have C git write an index in full, beside the true one, and return it."""
    program = shutil.which("git")
    if program is None:
        raise UnsupportedError(
            "git's index is split or sparse, and there is no git here to read it", hint="install git"
        )
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        copy = Path(folder, "index")
        shutil.copyfile(path, copy)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        # No code that the repository's configuration names is run; a version that it has not makes git write it anew.
        settings = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "core.splitIndex=false", "index.sparse=false"]
        options = [option for setting in settings for option in ("-c", setting)]
        version = "2" if copy.read_bytes()[7] == 4 else "4"
        command = [program, *options, "update-index", "--no-split-index", "--index-version", version]
        places = {"GIT_DIR": str(git_dir), "GIT_WORK_TREE": ".", "GIT_INDEX_FILE": str(copy)}
        try:
            subprocess.run(  # noqa: S603 - the arguments are ours, and the program is the user's own git
                command, cwd=worktree, env=environment | places, capture_output=True, timeout=_GIT_TIMEOUT, check=True
            )
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace").strip()
            raise UnsupportedError(f"git cannot write its index in full: {reason}", hint=_PLAIN_HINT) from error
        except subprocess.TimeoutExpired as error:
            reason = f"it took more than {_GIT_TIMEOUT:g} s"
            raise UnsupportedError(f"git cannot write its index in full: {reason}", hint=_PLAIN_HINT) from error
        return copy.read_bytes()


def is_safe(path: str) -> bool:
    """Whether a path of a tree may be checked out: no empty segment, no ``..``, no ``.git`` in any disguise."""
    return all(_is_safe_name(_encode(name)) for name in path.split("/"))


@lru_cache(maxsize=4096)  # thousands of paths share their folders
def _is_safe_name(name: bytes) -> bool:
    from dulwich.index import validate_path_element_hfs, validate_path_element_ntfs

    if not name or b"\0" in name or not validate_path_element_ntfs(name):
        return False
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return True  # not for HFS+, which has only names in Unicode
    return validate_path_element_hfs(name)


def _encode(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """Read git's "offset" integer; return it and where it ends."""
    value = data[start] & 0x7F
    while data[start] & 0x80:
        start += 1
        value = (value + 1 << 7) | (data[start] & 0x7F)
    return value, start + 1
