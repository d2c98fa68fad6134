"""Every system call by which a store changes files: watched, recorded, and met by accidents.

All our file work goes through functions of ``os`` and ``fcntl.flock``, and through ``open``, which is replaced by
Python's own implementation of it on top of ``os``. So a test can see each call below a folder in its order, let it
fail, or end the process there. What C git does in processes of its own is not seen.
"""

import _pyio  # type: ignore[import-not-found]  # the standard library's own, without a stub
import builtins
import fcntl
import io
import os
import re
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

__all__ = ["CHANGES", "Born", "Call", "Calls", "Data", "Effect", "Fate", "Name", "Note", "Size", "Step", "Sync"]


class Call(NamedTuple):
    """A call that is about to happen: its name, the file below the folder, and how many bytes it writes.

    The name of an ``open`` that makes a file is ``create``; any other ``open`` changes no name.
    """

    name: str
    path: str
    size: int = 0

    @property
    def kind(self) -> str:
        """The call and the sort of file."""
        return f"{self.name} {_sort(self.path)}"


_IDS = re.compile(r"[0-9a-f]{16,}")
_NUMBERS = re.compile(r"[0-9]+")


def _sort(path: str) -> str:
    """Return a path without what differs from file to file."""
    return _NUMBERS.sub("#", _IDS.sub("*", path))


class Fate:
    """What happens at a call. The one that does nothing is the fate of a healthy machine."""

    def before(self, call: Call) -> int | None:
        """Let ``call`` happen, raise an error in its place, or return how many bytes a write may take."""
        return None

    def after(self, call: Call) -> None:
        """The call was made."""


class Born(NamedTuple):
    """A new file or folder, without a name yet."""

    inode: int
    folder: bool


class Data(NamedTuple):
    """Bytes written into a file; ``synced`` when the call returned only after they were on the disk (O_DSYNC)."""

    inode: int
    offset: int
    data: bytes
    synced: bool


class Size(NamedTuple):
    """A file cut or stretched."""

    inode: int
    size: int


class Name(NamedTuple):
    """What a name in a folder stands for from now on; None for nothing."""

    folder: int
    name: str
    inode: int | None


class Sync(NamedTuple):
    """All of a file's content, or all names of a folder, put on the disk."""

    inode: int


Effect = Born | Data | Size | Name | Sync


class Step(NamedTuple):
    """A call that was made, and what it did."""

    name: str
    path: str
    effects: tuple[Effect, ...]

    @property
    def kind(self) -> str:
        """The call and the sort of file."""
        return f"{self.name} {_sort(self.path)}"


class Note(NamedTuple):
    """Something that the test remembers at this place in the record, such as an answer that a caller got."""

    what: Any


CHANGES = (
    "open",
    "write",
    "pwrite",
    "pwritev",
    "writev",
    "ftruncate",
    "truncate",
    "posix_fallocate",
    "rename",
    "replace",
    "link",
    "symlink",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "fsync",
    "fdatasync",
)
_WRITING = {"write", "pwrite", "pwritev", "writev"}


class Calls:
    """Watches the calls below ``root`` of all threads while it is entered.

    Args:
        root: The folder, by a path without symbolic links; every file in it when the watch begins is known.
        fate: What happens at each call. Opening a file only to read it is a call too, and changes nothing. None: all
            calls happen, and what they do is recorded, which takes twice as long.
    """

    def __init__(self, root: Path, fate: Fate | None = None) -> None:
        self.root = os.fspath(root)
        self.steps: list[Step | Note] = []
        self._records = fate is None
        self._fate = fate or Fate()
        self._inodes: dict[tuple[int, int], int] = {}
        self._born = 0
        self._lock = threading.RLock()  # a call, and what is noted of it, are one
        self._real: dict[tuple[Any, str], Any] = {}
        self.start: tuple[Effect, ...] = ()

    def __enter__(self) -> Self:
        self.start = tuple(self._known_already()) if self._records else ()
        for name in CHANGES:
            if hasattr(os, name):
                self._patch(os, name, self._watched(name, getattr(os, name)))
        self._patch(fcntl, "flock", self._watched_flock(fcntl.flock))
        for module in (builtins, io):
            self._patch(module, "open", _pyio.open)
        return self

    def __exit__(self, *_: object) -> None:
        for (module, name), real in self._real.items():
            setattr(module, name, real)
        self._real.clear()

    def note(self, what: Any) -> None:
        """Remember something at this place in the record."""
        with self._lock:
            self.steps.append(Note(what))

    def _patch(self, module: Any, name: str, watched: Any) -> None:
        self._real[module, name] = getattr(module, name)
        setattr(module, name, watched)

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        describe = getattr(self, f"_{'rename' if name == 'replace' else 'unlink' if name == 'remove' else name}")

        def watched(*args: Any, **options: Any) -> Any:
            with self._lock:
                path = self._path_of(name, args, options)
                if path is None:
                    return real(*args, **options)
                call = _call(name, path, args, options)
                room = self._fate.before(call)
                if room is not None and call.size:
                    part = _joined(args[1])[:room]
                    args = (args[0], part if name in ("write", "pwrite") else [part], *args[2:])
                record = describe(*args, **options) if self._records else None
                result = real(*args, **options)
                effects = () if record is None else tuple(record(result))
                if effects:
                    self.steps.append(Step(call.name, path, effects))
                self._fate.after(call)
                return result

        return watched

    def _watched_flock(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(fd: Any, operation: int) -> None:
            path = self._below(_path_of_descriptor(fd if isinstance(fd, int) else fd.fileno()))
            if path is None or operation & fcntl.LOCK_UN:
                real(fd, operation)
                return
            self._fate.before(Call("flock", path))
            real(fd, operation)
            self._fate.after(Call("flock", path))

        return watched

    # Which file

    def _path_of(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> str | None:
        """Return the file that a call changes, below the root, or None when it lies elsewhere."""
        if name in ("rename", "replace", "link", "symlink"):
            return self._below(_absolute(args[1], options.get("dst_dir_fd", options.get("dir_fd"))))
        if isinstance(args[0], int):
            return self._below(_path_of_descriptor(args[0]))
        return self._below(_absolute(args[0], options.get("dir_fd")))

    def _below(self, path: str) -> str | None:
        if path == self.root:
            return ""
        return path[len(self.root) + 1 :] if path.startswith(self.root + "/") else None

    def _id(self, state: os.stat_result) -> int:
        return self._inodes[state.st_dev, state.st_ino]

    def _new(self, state: os.stat_result) -> int:
        self._born += 1
        self._inodes[state.st_dev, state.st_ino] = self._born
        return self._born

    def _name(self, path: Any, dir_fd: int | None, inode: int | None) -> Name:
        folder, _, name = _absolute(path, dir_fd).rpartition("/")
        return Name(self._id(os.stat(folder)), name, inode)

    def _known_already(self) -> "list[Effect]":
        known: list[Effect] = [Born(self._new(os.stat(self.root)), folder=True)]
        for here, folders, names in os.walk(self.root):
            for name in folders + names:
                path = os.path.join(here, name)
                state = os.lstat(path)
                inode = self._inodes.get((state.st_dev, state.st_ino))
                if inode is None:
                    inode = self._new(state)
                    known.append(Born(inode, stat.S_ISDIR(state.st_mode)))
                    if stat.S_ISREG(state.st_mode):
                        known.append(Data(inode, 0, Path(path).read_bytes(), synced=True))
                known.append(self._name(path, None, inode))
        return known

    # What each call does: what must be asked before it, and, given its result, the effects

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> "_Record":
        there = _exists(path, dir_fd)

        def record(fd: int) -> list[Effect]:
            state = os.fstat(fd)
            if not there:
                inode = self._new(state)
                return [Born(inode, folder=False), self._name(path, dir_fd, inode)]
            cuts = flags & os.O_TRUNC and stat.S_ISREG(state.st_mode)
            return [Size(self._id(state), 0)] if cuts else []

        return record

    def _write(self, fd: int, data: Any) -> "_Record":
        appends = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
        return self._data(fd, bytes(data), os.fstat(fd).st_size if appends else os.lseek(fd, 0, os.SEEK_CUR))

    def _writev(self, fd: int, buffers: Any) -> "_Record":
        return self._write(fd, _joined(buffers))

    def _pwrite(self, fd: int, data: Any, offset: int) -> "_Record":
        return self._data(fd, bytes(data), offset)

    def _pwritev(self, fd: int, buffers: Any, offset: int, flags: int = 0) -> "_Record":
        synced = bool(flags & (getattr(os, "RWF_DSYNC", 0) | getattr(os, "RWF_SYNC", 0)))
        return self._data(fd, _joined(buffers), offset, synced=synced)

    def _data(self, fd: int, data: bytes, offset: int, *, synced: bool = False) -> "_Record":
        synced = synced or bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DSYNC)
        return lambda count: [Data(self._id(os.fstat(fd)), offset, data[:count], synced)] if count else []

    def _ftruncate(self, fd: int, size: int) -> "_Record":
        before = os.fstat(fd).st_size
        return lambda _: [Size(self._id(os.fstat(fd)), size)] if size != before else []

    def _truncate(self, path: Any, size: int) -> "_Record":
        before = os.stat(path).st_size
        return lambda _: [Size(self._id(os.stat(path)), size)] if size != before else []

    def _posix_fallocate(self, fd: int, offset: int, length: int) -> "_Record":
        return self._ftruncate(fd, max(os.fstat(fd).st_size, offset + length))

    def _rename(
        self, source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> "_Record":
        if _same_file(source, src_dir_fd, target, dst_dir_fd):
            return lambda _: []  # two names of one file: POSIX does nothing
        inode = self._id(os.stat(source, dir_fd=src_dir_fd, follow_symlinks=False))
        return lambda _: [self._name(target, dst_dir_fd, inode), self._name(source, src_dir_fd, None)]

    def _link(
        self, source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None, **_: Any
    ) -> "_Record":
        return lambda _: [
            self._name(target, dst_dir_fd, self._id(os.stat(source, dir_fd=src_dir_fd, follow_symlinks=False)))
        ]

    def _symlink(self, source: Any, target: Any, *_: Any, dir_fd: int | None = None) -> "_Record":
        raise AssertionError(f"{target}: a store makes no symbolic links")

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> "_Record":
        return lambda _: [self._name(path, dir_fd, None)]

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> "_Record":
        def record(_: None) -> list[Effect]:
            inode = self._new(os.stat(path, dir_fd=dir_fd))
            return [Born(inode, folder=True), self._name(path, dir_fd, inode)]

        return record

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> "_Record":
        return lambda _: [self._name(path, dir_fd, None)]

    def _fsync(self, fd: int) -> "_Record":
        return lambda _: [Sync(self._id(os.fstat(fd)))]

    _fdatasync = _fsync


_Record = Callable[[Any], list[Effect]]


def _call(name: str, path: str, args: tuple[Any, ...], options: dict[str, Any]) -> Call:
    if name == "open" and args[1] & os.O_CREAT and not _exists(args[0], options.get("dir_fd")):
        return Call("create", path)
    return Call(name, path, len(_joined(args[1])) if name in _WRITING else 0)


def _joined(data: Any) -> bytes:
    return b"".join(map(bytes, data)) if isinstance(data, list | tuple) else bytes(data)


def _absolute(path: Any, dir_fd: int | None) -> str:
    name = os.fsdecode(path)
    if not os.path.isabs(name):
        name = os.path.join(os.getcwd() if dir_fd is None else _path_of_descriptor(dir_fd), name)
    return os.path.normpath(name)


def _path_of_descriptor(fd: int) -> str:
    if sys.platform == "darwin":
        return os.fsdecode(fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return os.readlink(f"/proc/self/fd/{fd}")


def _exists(path: Any, dir_fd: int | None) -> bool:
    try:
        os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return False
    return True


def _same_file(one: Any, one_fd: int | None, other: Any, other_fd: int | None) -> bool:
    try:
        return os.path.samestat(os.stat(one, dir_fd=one_fd), os.stat(other, dir_fd=other_fd))
    except FileNotFoundError:
        return False
