"""Git's index as bytes: read it, change some entries, write it back.

The format is git's own, https://git-scm.com/docs/index-format. Versions 2, 3 and 4 are read, 2 or 3 is written.
Entries that are not touched keep their bytes, flags included. Of the extensions the record of resolved conflicts
(REUC) is kept, and the cached trees (TREE) are brought to what changed; see ``cachetree``. The others are caches that
git builds anew: of files that it does not track (UNTR), of what a monitor of the file system said (FSMN), of places for
threads to start reading (EOIE, IEOT). An index that needs more than this file (split, sparse) is first written plainly
by C git.
"""

import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from gitstate.engine import files
from gitstate.engine.base import Source
from gitstate.engine.cachetree import CachedTree, updated
from gitstate.engine.indexentries import (
    EXTENDED,
    HEADER,
    INTENDED,
    LENGTH,
    NO_STAT,
    STAGE,
    IndexEntry,
    spelled_out,
    stat_numbers,
)
from gitstate.engine.objects import ObjectId, TreeEntry, name_bytes, name_text
from gitstate.errors import CorruptionError, UnsupportedError

__all__ = ["GitIndex", "IndexEntry", "is_safe", "read", "stat_numbers"]

_EXTENSION = struct.Struct(">4sL")
_TIME_AND_FLAGS = struct.Struct(">L48xH")  # of an entry, from the seconds of mtime on
_KEPT_EXTENSIONS = (b"REUC",)
_TREES = b"TREE"
_GIT_TIMEOUT = 60.0  # seconds
_PLAIN_HINT = "`git update-index --no-split-index` or `git sparse-checkout disable` make it plain"


class GitIndex:
    """The entries of an index by path. Paths that are not UTF-8 carry their odd bytes as lone surrogates (PEP 383).

    An index may have 200,000 entries, of which a refresh looks at a few: the file's bytes are kept with the place of
    each entry in them, and are spliced with the changes when they are written.

    ``conflicted`` says that a merge is unfinished; ``mtime_ns`` is the time of the file; ``changed`` that its entries
    are no longer those that were read.
    """

    def __init__(self) -> None:
        self.conflicted = False
        self.mtime_ns = 0
        self.changed = False
        self._data = b""
        self._starts = array("Q", [HEADER.size])  # of the entries in the bytes; the last is where they end
        self._extended: list[int] = []  # numbers of the entries that need version 3
        self._racy: list[int] = []
        self._changes: dict[bytes, bytes | None] = {}  # entries by path; None: there is none any more
        self._count = 0
        self._extensions = b""
        self._trees: CachedTree | None = None

    @classmethod
    def parse(cls, data: bytes, mtime_ns: int = 0) -> "GitIndex":
        """Read the bytes of an index file that was written at ``mtime_ns``.

        Raises:
            CorruptionError: They are no index, or damaged.
            UnsupportedError: The index is split, sparse or of an unknown version.
        """
        try:
            signature, version, count = HEADER.unpack_from(data)
        except struct.error as error:
            raise CorruptionError("git's index is cut short", hint="`git reset` makes it anew") from error
        trailer, digest = data[-20:], hashlib.sha1(memoryview(data)[:-20], usedforsecurity=False).digest()
        # Zeros: git was told not to spend time on the checksum (index.skipHash).
        if signature != b"DIRC" or trailer not in (digest, bytes(20)):
            raise CorruptionError("git's index is damaged", hint="remove it, then `git reset` makes it anew")
        if version not in (2, 3, 4):
            raise UnsupportedError(f"git's index has version {version}", hint="upgrade gitstate")
        index = cls()
        index.mtime_ns, index._count = mtime_ns, count
        try:
            index._data = data if version < 4 else spelled_out(data, count)
            index._find_entries(count)
            if trailer != digest:
                index._check_entries()
            index._parse_extensions()
        except (ValueError, IndexError, struct.error) as error:
            raise CorruptionError("git's index is damaged", hint="remove it, then `git reset` makes it anew") from error
        return index

    def _find_entries(self, count: int) -> None:
        """Note where each entry begins, and which are special; most of the time of a refresh is spent here."""
        data, start, written = self._data, HEADER.size, self._written
        numbers, starts = _TIME_AND_FLAGS.unpack_from, array("Q")
        append = starts.append
        for number in range(count):
            append(start)
            mtime, flags = numbers(data, start + 8)
            if mtime >= written:
                self._racy.append(number)
            if flags < LENGTH:  # no flag is set, and the rest is the length of the path
                start += flags + 70 & ~7
                continue
            if flags & EXTENDED:
                self._extended.append(number)
            self.conflicted |= bool(flags & STAGE)
            name, length = start + (64 if flags & EXTENDED else 62), flags & LENGTH
            if length == LENGTH:  # or more
                length = data.index(0, name) - name
            start += name - start + length + 8 & ~7
        append(start)
        self._starts = starts

    def _check_entries(self) -> None:
        """Check what the checksum vouches for where there is one: that paths end where they should, and their order."""
        last = b""
        for number, path in enumerate(map(self._path_at, self._starts[:-1])):
            raw = self._raw_at(number)
            if len(raw) != len(IndexEntry.parse(raw).to_bytes(path)) or path < last:
                raise ValueError("its entries are not in order")
            last = path

    def _parse_extensions(self) -> None:
        data, start, end = self._data, self._starts[-1], len(self._data) - 20
        if start > end:
            raise ValueError("its entries are cut short")
        while start < end:
            signature, size = _EXTENSION.unpack_from(data, start)
            begin, start = start, start + 8 + size
            if start > end:
                raise ValueError("an extension is cut short")
            if signature in _KEPT_EXTENSIONS:
                self._extensions += data[begin:start]
            elif signature == _TREES:
                self._read_trees(data[begin + 8 : start])
            elif not signature[:1].isupper():  # git's sign that a reader must understand it
                raise UnsupportedError(f"git's index has the extension {signature!r}", hint="upgrade gitstate")

    def _read_trees(self, data: bytes) -> None:
        with suppress(ValueError):  # it is only a cache
            root = CachedTree.parse(data)
            if root.count in (-1, self._count):
                self._trees = root

    @property
    def _written(self) -> int:
        """The second in which the index was written, cut as in the entries."""
        return self.mtime_ns // 1_000_000_000 & 0xFFFFFFFF

    def __len__(self) -> int:
        return self._count

    def _path_at(self, start: int) -> bytes:
        name = start + (64 if self._data[start + 60] & EXTENDED >> 8 else 62)
        return self._data[name : self._data.index(0, name)]

    def _raw_at(self, number: int) -> bytes:
        return self._data[self._starts[number] : self._starts[number + 1]]

    def _number(self, name: bytes, low: int = 0) -> tuple[int, bool]:
        """Return the number of the first entry in the file from ``name`` on, and whether it is of that name."""
        number = bisect_left(self._starts, name, low, len(self._starts) - 1, key=self._path_at)
        there = number < len(self._starts) - 1 and self._path_at(self._starts[number]) == name
        return number, there

    def _find(self, name: bytes) -> bytes | None:
        if name in self._changes:
            return self._changes[name]
        number, there = self._number(name)
        return self._raw_at(number) if there else None

    def get(self, path: str) -> IndexEntry | None:
        """Return what the index says of ``path``, or None."""
        raw = self._find(name_bytes(path))
        return None if raw is None else IndexEntry.parse(raw)

    def items(self) -> Iterator[tuple[str, IndexEntry]]:
        """Yield each path, and what the index says of it."""
        for start in self._starts[:-1]:
            name = self._path_at(start)
            if name not in self._changes:
                yield name_text(name), IndexEntry.parse(self._data[start : start + 64])
        for name, raw in list(self._changes.items()):
            if raw is not None:
                yield name_text(name), IndexEntry.parse(raw)

    def paths(self) -> Iterator[str]:
        """Yield each path."""
        for start in self._starts[:-1]:
            name = self._path_at(start)
            if name not in self._changes:
                yield name_text(name)
        for name, raw in list(self._changes.items()):
            if raw is not None:
                yield name_text(name)

    def put(self, path: str, entry: TreeEntry, stat: os.stat_result | None = None) -> None:
        """Set what the index says of ``path``; without ``stat`` git will read the file to see whether it differs.

        Flags that a person set (assume unchanged, skip the worktree) stay, but for the one of a file that is only
        intended: it has a content now.
        """
        old = self.get(path)
        new = IndexEntry(entry) if old is None else replace(old, entry=entry, extended=old.extended & ~INTENDED)
        self._set(path, old, replace(new, stat=NO_STAT if stat is None else stat_numbers(stat)))

    def _set(self, path: str, old: IndexEntry | None, new: IndexEntry) -> None:
        if new != old:
            name = name_bytes(path)
            self._changes[name] = new.to_bytes(name)
            self._count += old is None
            self.changed = True

    def remove(self, path: str) -> None:
        """Take ``path`` out of the index, if it is there."""
        name = name_bytes(path)
        if self._find(name) is not None:
            self._changes[name] = None
            self._count -= 1
            self.changed = True

    def take(self, path: str, entry: TreeEntry | None) -> None:
        """Make ``path`` say ``entry``, where there is room for it: nothing else is staged there any more."""
        if entry is None:
            self.remove(path)
        elif self.get(path) is not None or self.has_room(path):
            self.put(path, entry)

    def has_room(self, path: str) -> bool:
        """Whether no other entry needs ``path`` as a directory, or stands where it needs one."""
        name = name_bytes(path)
        parents = [name[:end] for end, byte in enumerate(name) if byte == ord("/")]
        if any(self._find(parent) is not None for parent in parents):
            return False
        return all(self._changes.get(below, b"") is None for below in self._read_below(name + b"/"))

    def _read_below(self, folder: bytes) -> Iterator[bytes]:
        """Yield the paths below a folder that the file has."""
        for number in range(self._number(folder)[0], len(self._starts) - 1):
            name = self._path_at(self._starts[number])
            if not name.startswith(folder):
                return
            yield name

    def racy(self) -> Iterator[tuple[str, IndexEntry]]:
        """Yield the entries whose files changed in the second in which this index was written, or later.

        Git reads such files instead of trusting their times, of which most builds compare only the seconds. In an
        index that is written later they no longer stand out, so whoever writes it looks at them first and calls
        :meth:`distrust`.
        """
        for number in self._racy:
            name = self._path_at(self._starts[number])
            if name not in self._changes:
                yield name_text(name), IndexEntry.parse(self._raw_at(number))
        written = self._written.to_bytes(4, "big")
        for name, raw in list(self._changes.items()):
            if raw is not None and raw[8:12] >= written:  # big-endian, so bytes compare as numbers do
                yield name_text(name), IndexEntry.parse(raw)

    def distrust(self, path: str) -> None:
        """Make git read the file at ``path`` to see whether it differs."""
        old = self.get(path)
        if old is not None and not old.is_intended:  # of such a file git trusts nothing
            self._set(path, old, replace(old, stat=NO_STAT))

    def cached_trees(self) -> list[ObjectId]:
        """Return the trees that the index says directories make."""
        return [] if self._trees is None else self._trees.ids()

    def forget_trees(self) -> None:
        """Leave the cached trees out: git works them out when it needs them."""
        self.changed |= self._trees is not None
        self._trees = None

    def forget_resolved(self) -> None:
        """Leave out how conflicts were resolved, which names files that may be gone."""
        self.changed |= bool(self._extensions)
        self._extensions = b""

    def to_bytes(self, source: Source | None = None, target: ObjectId | None = None) -> bytes:
        """Write the index, as version 3 if an entry needs it, else 2.

        The cached trees are kept where ``source`` and ``target`` are given, the tree that the index was brought to.
        """
        old, number, extended = memoryview(self._data), 0, set(self._extended)
        pieces: list[bytes | memoryview] = [b""]
        last = self._starts[0]
        for name, raw in sorted(self._changes.items()):
            number, there = self._number(name, number)
            pieces.append(old[last : self._starts[number]])
            last = self._starts[number + there]
            if there:
                extended.discard(number)
            if raw is not None:
                pieces.append(raw)
                if raw[60] & EXTENDED >> 8:
                    extended.add(-1)
        pieces.append(old[last : self._starts[-1]])
        pieces[0] = HEADER.pack(b"DIRC", 3 if extended else 2, self._count)
        if source is not None and target is not None:
            pieces.append(self._trees_to_bytes(source, target))
        pieces.append(self._extensions)
        digest = hashlib.sha1(usedforsecurity=False)
        for piece in pieces:
            digest.update(piece)
        return b"".join([*pieces, digest.digest()])

    def _trees_to_bytes(self, source: Source, target: ObjectId) -> bytes:
        if self._trees is None and len(self._starts) > 1:
            return b""  # to work them out would be a look at each entry
        changes: dict[str, TreeEntry | None] = {}
        for name, raw in self._changes.items():
            changes[name_text(name)] = None if raw is None else IndexEntry.parse(raw).entry
        data = updated(self._trees, changes, source, target, self._is_untouched).to_bytes()
        return _EXTENSION.pack(_TREES, len(data)) + data

    def _is_untouched(self, folder: str) -> bool:
        """Whether the file has entries below a folder that are not among the changes."""
        return any(name not in self._changes for name in self._read_below(name_bytes(folder)))


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
        return GitIndex.parse(data, stat.st_mtime_ns)
    except UnsupportedError:
        return GitIndex.parse(_plain(git_dir, worktree, path, scratch), stat.st_mtime_ns)


def _plain(git_dir: Path, worktree: Path, path: Path, scratch: Path) -> bytes:
    """Have C git write an index in full, beside the true one, and return it."""
    program = shutil.which("git")
    if program is None:
        raise UnsupportedError(
            "git's index is split or sparse, and there is no git here to read it", hint="install git"
        )
    with tempfile.TemporaryDirectory(dir=scratch if files.can_write(scratch) else None) as folder:
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
    return all(_is_safe_name(name_bytes(name)) for name in path.split("/"))


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
