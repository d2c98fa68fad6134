"""Whether a worktree differs from a commit, by what git's index says of its files, as `git status` tells it.

Files are believed to be unchanged as git believes it: by their size, their times and the like. One that was touched, or
changed in the very second in which the index was written, is read and compared by its bytes.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from gitstate.engine import files, gitindex
from gitstate.engine.gitindex import GitIndex, IndexEntry
from gitstate.engine.objects import DIRECTORY, LINK, ObjectId, Tree, TreeEntry, name_bytes

__all__ = ["Hashed", "differs"]

_ASSUMED = 0x8000  # in the flags: a person said that the file never changes
_SIZE = 8  # where it stands in the numbers
_CHUNK = 1 << 20  # bytes
_Moved = Callable[[bytes, ObjectId], bool]


class Hashed:
    """The ids of files that were read, as long as they keep their states: each is read once."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[tuple[int, ...], ObjectId]] = {}

    def id(self, path: bytes, found: os.stat_result) -> ObjectId:
        """Return the id of what a file or a symbolic link holds. Raises OSError: it cannot be read."""
        numbers = gitindex.stat_numbers(found)
        known = self._known.get(path)
        if known is None or known[0] != numbers:
            known = numbers, _hash(path, found)
            self._known[path] = known
        return known[1]


def differs(
    index: Path, worktree: Path, tree: ObjectId, hashed: Hashed, is_moved: _Moved, *, modes: bool = True
) -> bool:
    """Return whether tracked files differ from a commit's tree, staged or not; untracked files do not count.

    Of a submodule only the commit counts at which it stands. No filter is run: a file that git converts (its line
    ends, say) and that was touched counts as changed, until `git status` noted in the index that it is not.

    Args:
        index: git's index, which is only read.
        worktree: The folder with the files.
        tree: The tree of the commit.
        hashed: Remembers what was read.
        is_moved: Says whether the submodule at a path stands elsewhere than at a commit.
        modes: Whether permissions count (``core.fileMode``).

    Raises:
        CorruptionError: The index is damaged.
        UnsupportedError: It is split or sparse.
        OSError: The disk refused.
    """
    try:
        written, content = os.stat(index).st_mtime_ns // 1_000_000_000, files.read(index)
    except FileNotFoundError:
        written, content = 0, b""
    found = GitIndex.parse(content) if content else GitIndex()
    entries = dict(found.items())
    if found.conflicted or _tree_of({path: each.entry for path, each in entries.items()}) != tree:
        return True
    root = os.fsencode(worktree)
    return any(
        _is_changed(root + b"/" + name_bytes(path), each, written, hashed, is_moved, modes)
        for path, each in entries.items()
        if not each.skips_worktree and not each.flags & _ASSUMED
    )


def _is_changed(path: bytes, each: IndexEntry, written: int, hashed: Hashed, is_moved: _Moved, modes: bool) -> bool:
    mode, noted = each.entry.mode, each.stat
    if each.entry.is_submodule:
        return is_moved(path, each.entry.id)
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    if stat.S_IFMT(found.st_mode) != stat.S_IFMT(mode):
        return True
    if mode != LINK and modes and bool(found.st_mode & stat.S_IXUSR) != bool(mode & stat.S_IXUSR):
        return True
    if gitindex.stat_numbers(found) == noted and noted[2] < written:
        return False
    if noted[_SIZE] and noted[_SIZE] != found.st_size & 0xFFFFFFFF:
        return True
    return hashed.id(path, found) != each.entry.id


def _tree_of(entries: dict[str, TreeEntry]) -> ObjectId:
    """Return the id of the tree with these files: what `git write-tree` would make."""
    folders: dict[str, dict[str, TreeEntry]] = {"": {}}
    for path, entry in entries.items():
        folder, _, name = path.rpartition("/")
        for above in _folders(folder):
            if above in folders:
                break
            folders[above] = {}
        folders[folder][name] = entry
    for folder in sorted(folders, key=lambda each: each.count("/") + bool(each), reverse=True):
        tree_id = Tree.of(folders[folder]).to_object().id
        if not folder:
            return tree_id
        above, _, name = folder.rpartition("/")
        folders[above][name] = TreeEntry(DIRECTORY, tree_id)
    raise AssertionError("the root comes last")


def _folders(folder: str) -> Iterator[str]:
    """Yield a folder and those above it."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def _hash(path: bytes, found: os.stat_result) -> ObjectId:
    if stat.S_ISLNK(found.st_mode):
        target = os.readlink(path)
        return hashlib.sha1(b"blob %d\0" % len(target) + target, usedforsecurity=False).hexdigest()
    with open(path, "rb") as stream:
        digest = hashlib.sha1(b"blob %d\0" % os.fstat(stream.fileno()).st_size, usedforsecurity=False)
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
