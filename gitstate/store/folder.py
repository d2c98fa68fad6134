"""Files in a folder that people use too: look, write and remove without ever leaving it or following a link.

Each segment of a path is opened on its own, from the directory before it, and never through a symbolic link; so a link
that somebody puts in the way, at whatever moment, cannot lead a write astray.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from gitstate.engine.objects import EXECUTABLE, FILE, LINK, GitObject, TreeEntry, name_bytes

__all__ = ["Folder", "Found", "Moved", "is_beside"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BESIDE = re.compile(r"\.gitstate-[0-9a-f]{16}")
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)


class Moved(Exception):  # noqa: N818 - no error: somebody else was faster, and keeps what is theirs
    """What stands at a path is not what was found there before."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a path.

    ``entry`` is what git would call it, None for nothing or for what is neither a file nor a link; ``odd`` tells the
    two apart. ``stat`` is that of the file or link.
    """

    entry: TreeEntry | None = None
    stat: os.stat_result | None = None
    odd: bool = False


class Folder:
    """The folder at ``path``, held open. Paths below it are text, segments parted by ``/``."""

    def __init__(self, path: Path) -> None:
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        # The directory used last stays open: paths come in order, and most lie beside the one before.
        self._last: tuple[list[bytes], int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        os.close(self._root)

    def look(self, path: str) -> Found:
        """Return what stands at ``path``. What cannot be read counts as odd."""
        return self.read(path)[0]

    def read(self, path: str) -> tuple[Found, bytes | None]:
        """Return what stands at ``path``, and what it holds: of a link its target. None: there is nothing to read."""
        try:
            with self._parent(path) as (parent, name):
                return _look(parent, name)
        except FileNotFoundError:
            return Found(), None
        except OSError as error:
            if error.errno in _IN_THE_WAY:
                return Found(odd=True), None
            raise

    def stat(self, path: str) -> os.stat_result | None:
        """Return the state of what stands at ``path``, None for nothing or what cannot be reached."""
        try:
            with self._parent(path) as (parent, name):
                return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError:
            return None

    def write(self, path: str, data: bytes, mode: int, found: Found) -> os.stat_result:
        """Write a file beside and rename it to ``path``, unless what was ``found`` there has changed since.

        Raises:
            Moved: It has changed, or something stands where a directory is needed.
        """
        try:
            with self._parent(path, create=True) as (parent, name):
                beside = _beside(path)
                _unlink(parent, beside)  # left by a process that was killed here
                _write_new(parent, beside, data, 0o777 if mode == EXECUTABLE else 0o666)
                try:
                    _expect(parent, name, found)
                    os.rename(beside, name, src_dir_fd=parent, dst_dir_fd=parent)
                except BaseException:
                    _unlink(parent, beside)
                    raise
                return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise _moved(path, error) from error

    def remove(self, path: str, found: Found) -> None:
        """Remove the file or link at ``path`` and the directories that it leaves empty.

        Raises:
            Moved: It is not what was ``found`` there.
        """
        try:
            with self._parent(path) as (parent, name):
                _expect(parent, name, found)
                os.unlink(name, dir_fd=parent)
        except OSError as error:
            raise _moved(path, error) from error
        while "/" in path:
            path = path.rpartition("/")[0]
            try:
                with self._parent(path) as (parent, name):
                    os.rmdir(name, dir_fd=parent)
            except OSError:  # not empty, or no longer there
                break

    def clear(self, path: str) -> None:
        """Remove what a killed process left beside ``path``."""
        with suppress(OSError), self._parent(path) as (parent, _):
            _unlink(parent, _beside(path))

    @contextmanager
    def _parent(self, path: str, *, create: bool = False) -> Iterator[tuple[int, bytes]]:
        """Give the open directory of ``path``, and the last segment."""
        *folders, name = name_bytes(path).split(b"/")
        if self._last is None or self._last[0] != folders:
            self._leave()
            self._last = folders, self._walk(folders, create)
        yield self._last[1], name

    def _walk(self, folders: list[bytes], create: bool) -> int:
        here = os.dup(self._root)
        for folder in folders:
            try:
                inner = _enter(here, folder, create)
            finally:
                os.close(here)
            here = inner
        return here

    def _leave(self) -> None:
        if self._last is not None:
            os.close(self._last[1])
            self._last = None


def _enter(parent: int, name: bytes, create: bool) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _look(parent: int, name: bytes) -> tuple[Found, bytes | None]:
    state = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISLNK(state.st_mode):
        target = GitObject("blob", os.readlink(name, dir_fd=parent))
        return Found(TreeEntry(LINK, target.id), state), target.body
    if not stat.S_ISREG(state.st_mode):
        return Found(odd=True), None
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with open(file, "rb") as stream:
        blob = GitObject("blob", stream.read())
    return Found(TreeEntry(EXECUTABLE if state.st_mode & stat.S_IXUSR else FILE, blob.id), state), blob.body


def _expect(parent: int, name: bytes, found: Found) -> None:
    try:
        state = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        state = None
    if _signs(state) != _signs(found.stat):
        raise Moved(os.fsdecode(name))


def _signs(state: os.stat_result | None) -> tuple[int, ...]:
    if state is None:
        return ()
    return (state.st_ino, state.st_dev, state.st_mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _moved(path: str, error: OSError) -> Exception:
    """Tell "somebody's file or directory is in the way" from a disk that refuses."""
    return Moved(path) if error.errno in (*_IN_THE_WAY, errno.ENOENT, errno.EISDIR, errno.EEXIST) else error


def is_beside(name: str) -> bool:
    """Whether a file has the name of one that is about to become another one."""
    return _BESIDE.fullmatch(name) is not None


def _beside(path: str) -> bytes:
    """Return the name of the file that becomes ``path``: always the same, so that the next refresh finds it."""
    digest = hashlib.sha1(name_bytes(path), usedforsecurity=False).hexdigest()
    return f".gitstate-{digest[:16]}".encode()


def _write_new(parent: int, name: bytes, data: bytes, permissions: int) -> None:
    file = os.open(name, _NEW_FILE, permissions, dir_fd=parent)
    with open(file, "wb") as stream:
        stream.write(data)


def _unlink(parent: int, name: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)
