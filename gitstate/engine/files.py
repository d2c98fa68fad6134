"""Files as a crash leaves them: durable writes, and the system's errors as ours."""

import errno
import fcntl
import hashlib
import os
import sys
from contextlib import suppress

from gitstate.errors import ReadOnlyError, StorageError, StorageFullError

__all__ = [
    "FULL",
    "begin_sync",
    "can_write",
    "create",
    "is_sound",
    "is_sound_file",
    "only_read",
    "overwrite",
    "read",
    "read_if_there",
    "remove",
    "replace",
    "storage_errors",
    "sync",
    "sync_content",
    "sync_directory",
    "sync_file",
    "write_all",
]

_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The numbers of the errors that say that there is no room."""
_CHUNK = 1 << 16  # bytes
_PIECE = 1 << 20  # of a large file
_HINTS = {
    errno.EMFILE: "raise the limit of open files",
    errno.ENFILE: "raise the limit of open files",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "symbolic links lead in a circle",
}


class storage_errors:  # noqa: N801  # it is used as a function; one with `yield` takes five times as long, ten times a save
    """Raise what the operating system refuses as a :class:`StorageError` that names the file, else ``path``."""

    __slots__ = ("_path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, StorageError):
            return
        names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        name = " -> ".join(map(os.fsdecode, names)) or os.fspath(self._path)
        message = f"{name}: {os.strerror(error.errno) if error.errno else error}"
        if error.errno in _READ_ONLY:
            raise ReadOnlyError(
                message, cause=error, hint="check who owns it, its permissions and its mount"
            ) from error
        if error.errno in FULL:
            raise StorageFullError(message, cause=error, hint="make room on the disk, then try again") from error
        raise StorageError(message, cause=error, hint=_HINTS.get(error.errno or 0, "check the disk")) from error


def only_read(folder: str | os.PathLike[str], error: ReadOnlyError) -> ReadOnlyError:
    """Return the error that says of the store in a folder that it can be read, where something could not be written."""
    message = f"the store in {os.fspath(folder)} can be read, but not written: {error.strerror}"
    return ReadOnlyError(message, cause=error, hint=error.hint)


def sync(fd: int) -> None:
    """Make what was written to ``fd`` survive a cut of the power."""
    if sys.platform == "darwin":  # pragma: no cover - not on the systems that the tests are measured on
        fcntl.fcntl(fd, fcntl.FFULLFSYNC)  # fsync there stops at the drive's own cache
    else:
        os.fsync(fd)


def sync_content(fd: int) -> None:
    """Make what was written into a file's room survive a cut of the power; what only tells when that was need not."""
    if sys.platform == "darwin":  # pragma: no cover - as above
        sync(fd)
    else:
        os.fdatasync(fd)


def begin_sync(fd: int, start: int, size: int) -> None:
    """Let the disk begin with what was written there, without waiting for it."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):  # Linux writes what is no longer wanted in memory (mm/fadvise.c); others do not mind
            os.posix_fadvise(fd, start, size, os.POSIX_FADV_DONTNEED)


def sync_file(path: str | os.PathLike[str]) -> None:
    """Make the content of a file survive a cut of the power."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(fd)
    finally:
        os.close(fd)


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory survive a cut of the power."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``; the system may take it in pieces."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def create(path: str, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write a new file whole; what exists at ``path`` already is an error, and a failure leaves nothing there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(fd, data)
            if durable:
                sync(fd)
        finally:
            os.close(fd)
    except BaseException:
        remove(path)
        raise


def replace(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file beside its place, durably, and move it there: whoever reads it finds the old one or the new one.

    One at a time: what another process has beside it is taken for that of a dead one.
    """
    beside = f"{os.fspath(path)}.new"
    remove(beside)
    create(beside, data)
    os.rename(beside, path)


def overwrite(path: str, data: bytes, *, durable: bool, alone: bool = False) -> os.stat_result | None:
    """Write a file in place; made if need be. Only for one that nobody reads.

    Returns:
        What it was before; None: it has other names, which it must not have where it is ``alone``, and is as it was.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        before = os.fstat(fd)
        if alone and before.st_nlink > 1:
            return None
        write_all(fd, data)
        if before.st_size > len(data):
            os.ftruncate(fd, len(data))
        if durable:
            sync(fd)
    finally:
        os.close(fd)
    return before


def read(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a file."""
    # Without Python's file object, which costs most files here more than their reading: four system calls of nine.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(fd, _CHUNK):
            pieces.append(piece)
            if len(piece) < _CHUNK:
                break
        return b"".join(pieces)
    finally:
        os.close(fd)


def read_if_there(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a file, nothing if there is none."""
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError):
        return b""


def is_sound(data: bytes) -> bool:
    """Whether the content of a pack, of its index or of git's index ends, as it must, with the SHA-1 of the rest."""
    return len(data) > 20 and hashlib.sha1(memoryview(data)[:-20], usedforsecurity=False).digest() == data[-20:]


def is_sound_file(path: str) -> bool:
    """Whether that is so of a file, which may be too large to be read at once."""
    digest, rest, size = hashlib.sha1(usedforsecurity=False), b"", 0
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            rest += piece
            digest.update(memoryview(rest)[:-20])
            rest = rest[-20:]
    return size > 20 and digest.digest() == rest


def can_write(path: str | os.PathLike[str]) -> bool:
    """Whether we may write to a file or a folder that is there, by its permissions and its mount."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def remove(path: str | os.PathLike[str]) -> None:
    """Remove a file if it is there and if that can be done; what stays is found and removed later."""
    with suppress(OSError):
        os.unlink(path)
