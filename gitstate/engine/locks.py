"""Locks: one for all writers of a store, which the kernel releases at death, and git's own lock files.

Git's protocol: whoever creates ``X.lock`` may replace ``X``, by renaming the one over the other
(https://git-scm.com/docs/api-lockfile). Such a file outlives its maker, so ours are links to private files: under the
store's lock, a lock file that is one of them was left by a dead process. Any other belongs to a person's git.
"""

import fcntl
import os
import random
import secrets
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gitstate.engine import files
from gitstate.errors import BusyError

__all__ = [
    "LockFile",
    "StoreLock",
    "alone",
    "doubles",
    "hold",
    "is_held",
    "is_of_ours",
    "is_of_the_dead",
    "leftovers",
    "let_go",
    "remove_leftovers",
    "settle_doubles",
]

_NEXT_WAIT = 0.0005  # seconds between two tries of the one who is next
_QUEUE_WAIT = 0.002  # seconds between two tries of those behind
_FILE_WAIT = 0.05  # seconds, at most, between two tries of a lock file: people are slow
_PID_WIDTH = 12
_OWN = "own-"
_RING = "ring-"
_TARGETS = 64  # of which is known where they stand in the ring; to look takes eight calls of the system
_RING_SIZE = 8  # so many changes later a file is used again: whoever opened it when it had the name has read it by then


class StoreLock:
    """Keeps every other writer out: those in other processes and the other threads of this one. Not re-entrant.

    There are two locked files: who holds ``queue`` is next, and waits for the lock itself. So a process that lets go
    and comes back at once finds itself behind the others, and nobody starves (8 processes with one file: some waited
    120 times as long as most).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue = _LockedFile(path.with_name("queue"))
        self._file = _LockedFile(path)
        self._threads = threading.Lock()  # flock keeps two threads of a process apart, but not fairly
        self._held = False
        _locks.add(self)

    def acquire(self, timeout: float) -> bool:
        """Take the lock, waiting at most ``timeout`` seconds; its folder is made if need be.

        Returns:
            Whether the last holder let go of it properly; False: it died, and its leftovers are still there.

        Raises:
            BusyError: Somebody else kept it.
        """
        end = time.monotonic() + timeout
        if not self._threads.acquire(timeout=timeout):
            raise BusyError(f"{self._path}: another thread is writing for more than {timeout:g} s", hint="try again")
        try:
            next_in_line = self._queue.lock(end, _QUEUE_WAIT)
            try:
                self._held = next_in_line and self._file.lock(end, _NEXT_WAIT)
            finally:
                self._queue.unlock()
            if not self._held:
                raise BusyError(
                    f"{self._path}: {self._holder()} holds it for more than {timeout:g} s", hint="try again"
                )
            clean = not os.pread(self._file.fd, _PID_WIDTH, 0).strip()
            os.pwrite(self._file.fd, b"%*d\n" % (_PID_WIDTH - 1, os.getpid()), 0)
        except BaseException:
            self._let_go()
            raise
        return clean

    def release(self) -> None:
        """Let go of the lock; in a child forked under it there is nothing to let go of."""
        if self._held:
            with suppress(OSError):  # left as it is, it makes the next holder look for leftovers
                os.pwrite(self._file.fd, b" " * (_PID_WIDTH - 1), 0)
            self._let_go()

    def close(self) -> None:
        """Close the files; :meth:`acquire` opens them again. Idempotent."""
        with self._threads:
            self._queue.close()
            self._file.close()

    def _holder(self) -> str:
        holder = files.read(self._path).strip().decode("ascii", "replace") if self._path.exists() else ""
        return f"process {holder}" if holder else "another process"

    def _let_go(self) -> None:
        self._held = False
        try:
            self._file.unlock()
        finally:
            self._threads.release()

    def _forked(self) -> None:
        self._held = False
        self._queue.fd = self._file.fd = -1
        self._threads = threading.Lock()


class _LockedFile:
    """A file to be locked again and again; it stays open in between."""

    def __init__(self, path: Path) -> None:
        self.path = os.fspath(path)
        self.fd = -1

    def lock(self, end: float, wait: float) -> bool:
        """Lock the file; False when ``end`` has come before."""
        fd, self.fd = self.fd, -1  # whatever happens to it here, its number is not ours any more
        self.fd = _flock(fd if fd >= 0 else _open(self.path), self.path, end, wait)
        return self.fd >= 0

    def unlock(self) -> None:
        if self.fd >= 0:
            fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        let_go(fd)


@contextmanager
def alone(path: Path, timeout: float) -> Iterator[int]:
    """Keep others that ask for the same file out while the block runs; the kernel ends it at death.

    Yields:
        The descriptor that holds the lock, for a child that shall hold it too; -1 when ``timeout`` seconds were not
        enough, and the lock is somebody else's.
    """
    fd = _locked(path, time.monotonic() + timeout, _QUEUE_WAIT)
    try:
        yield fd
    finally:
        let_go(fd)


def hold(folder: str | os.PathLike[str], *, wait: bool) -> int:
    """Keep a folder from being taken for a dead process's, until :func:`let_go` or death.

    Args:
        folder: The folder itself is locked, so that it can be removed with all that is in it.
        wait: Whether to wait for others, who only look whether somebody holds it, or clear it away.

    Returns:
        A descriptor, which a child may hold too; -1 when somebody else holds the folder, or when it is gone.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    _descriptors.add(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _same(fd, os.fspath(folder)):
            held, fd = fd, -1
            return held
    except BlockingIOError:
        pass
    finally:
        let_go(fd)
    return -1


def let_go(fd: int) -> None:
    """Unlock and close an open file, such as :func:`hold` returns; nothing for -1."""
    if fd >= 0:
        _descriptors.discard(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)  # a child that is being forked at this moment may have a copy
        finally:
            os.close(fd)


def is_held(folder: str | os.PathLike[str]) -> bool:
    """Whether somebody alive holds a folder."""
    fd = hold(folder, wait=False)
    let_go(fd)
    return fd < 0 and os.path.isdir(folder)


_locks: "weakref.WeakSet[StoreLock]" = weakref.WeakSet()
_descriptors: set[int] = set()


def _after_fork_in_child() -> None:
    """Close what the parent has open: as long as one descriptor is open anywhere, its death would not unlock it."""
    while _descriptors:
        os.close(_descriptors.pop())
    for lock in list(_locks):
        lock._forked()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _locked(path: Path, end: float, wait: float) -> int:
    """Lock the file at ``path`` until it is closed; return its descriptor, or -1 when ``end`` has come."""
    return _flock(_open(os.fspath(path)), os.fspath(path), end, wait)


def _flock(fd: int, path: str, end: float, wait: float) -> int:
    """Lock an open file; return its descriptor, which may be another one, or -1, all closed, when ``end`` has come."""
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same(fd, path):
                    found, fd = fd, -1
                    return found
                stale, fd = fd, -1  # somebody removed the file meanwhile: that lock keeps nobody out
                let_go(stale)
                fd = _open(path)
            except BlockingIOError:
                if time.monotonic() > end:
                    return -1
                time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
    finally:
        let_go(fd)


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o644)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(path))
        fd = os.open(path, flags, 0o644)
    _descriptors.add(fd)
    return fd


def _same(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


class LockFile:
    """git's lock file of ``target``, holding what shall stand there; use it as a context, under the store's lock.

    A block that does not :meth:`replace` changes nothing.

    Args:
        private: The store's private folder.
        target: The file to replace.
        content: Its new content.
        timeout: Seconds to wait for a lock file of a living git.
        pause: Seconds that such a file must be gone, once it was there: one command of git may take it several times,
            and stops in the middle of its work where it finds it taken.
        durable: Whether the content is on the disk before it gets the name, and the name when it is replaced.
        recycle: Whether to use a private file again that was the target some changes ago: for a small file that
            changes often, since to make and free inodes is slow (docs/design/0004-write-path.md).
    """

    def __init__(
        self,
        private: Path,
        target: str | os.PathLike[str],
        content: bytes,
        *,
        timeout: float = 10.0,
        pause: float = 0.0,
        durable: bool = True,
        recycle: bool = False,
    ) -> None:
        self._target = os.fspath(target)
        self._lock = self._target + ".lock"
        self._private = private
        # At random: in a container every process may have the number of one that died and left such a file.
        self._own = f"{private}/{_OWN}{secrets.token_hex(8)}"
        self._recycles = recycle
        self._content = content
        self._timeout = timeout
        self._pause = pause
        self._durable = durable
        self._held = False

    def __enter__(self) -> Self:
        used_again = _used_again(self._private, self._target, self._content, self._durable) if self._recycles else None
        self._recycles = used_again is not None
        if used_again is not None:
            self._own = used_again
        else:
            remove_leftovers(self._private)
            files.create(self._own, self._content, durable=self._durable)
        if self._durable:
            files.sync_directory(self._private)  # a lock whose private name is lost would seem to be a living git's
        try:
            self._link()
        except BaseException:
            self._let_go()
            raise
        self._held = True
        return self

    def replace(self) -> None:
        """Put the new content in the target's place."""
        os.rename(self._lock, self._target)
        self._held = False
        # Without its private link the file belongs to the target alone, and is never mistaken for a lock again.
        self._let_go()
        if self._durable:
            files.sync_directory(os.path.dirname(self._target))

    def _let_go(self) -> None:
        if not self._recycles:
            files.remove(self._own)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            # First: while the private file is there, the lock can be told from a living git's. A person may remove it.
            with suppress(FileNotFoundError):
                os.unlink(self._lock)
            self._let_go()

    def _link(self) -> None:
        now = time.monotonic()
        end, free = now + self._timeout, now  # free: when it is held to be nobody's
        wait = _NEXT_WAIT
        while True:
            now = time.monotonic()
            if now >= min(free, end):
                try:
                    return os.link(self._own, self._lock)
                except FileExistsError:
                    free = now + self._pause
                if is_of_the_dead(self._private, self._lock):
                    os.unlink(self._lock)
                    free = now
                    continue
            elif os.path.lexists(self._lock):
                free = now + self._pause
            if now > end:
                raise BusyError(
                    f"{self._lock} is held by another git for more than {self._timeout:g} s",
                    hint="finish that git command; if none is running, its lock file was left behind and can go",
                )
            time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            wait = min(wait * 2, _FILE_WAIT)


def is_of_the_dead(private: str | os.PathLike[str], lock: str | os.PathLike[str]) -> bool:
    """Whether a lock file is one of our private files; under the store's lock, a dead process left it."""
    try:
        found = os.stat(lock)
    except FileNotFoundError:
        return False
    return any(os.path.samestat(found, entry.stat()) for entry in _private_files(private, (_OWN, _RING)))


def is_of_ours(lock: str | os.PathLike[str]) -> bool:
    """Whether a lock file is there that is one of ours, of the living or the dead: git's own have no second name."""
    try:
        return os.stat(lock).st_nlink > 1
    except FileNotFoundError:
        return False


def remove_leftovers(private: Path) -> None:
    """Remove the private files of dead processes that are nobody's lock or target; call it under the store's lock.

    One that has a second name stays: either that is a lock to be recognised, or the live target, until its next change.
    """
    for name in leftovers(private):
        files.remove(private / name)


def leftovers(private: Path) -> list[str]:
    """Return the names of what :func:`remove_leftovers` removes."""
    return sorted(entry.name for entry in _private_files(private, _OWN) if _is_left(entry.path))


def settle_doubles(private: Path, folder: Path) -> None:
    """Finish what dead processes did with files below a folder, of which each change is made under the store's lock, as
    this is: their locks go, and what they had put in its place already is in that place alone.
    """
    for path, own in doubles(private, folder):
        if path.endswith(".lock"):
            files.remove(path)  # first: while the private file is there, the lock can be told from a living git's
        files.remove(own)


def doubles(private: Path, folder: Path) -> list[tuple[str, str]]:
    """Return the files below a folder that are private files of ours as well, each with that, as
    :func:`settle_doubles` finds them.
    """
    own = {_identity(entry.stat()): entry.path for entry in _private_files(private, _OWN) if not _is_left(entry.path)}
    found: list[tuple[str, str]] = []
    for here, _, names in os.walk(folder) if own else ():
        for name in names:
            path = os.path.join(here, name)
            with suppress(FileNotFoundError):  # a person's git removed it
                if (twin := own.get(_identity(os.lstat(path)))) is not None:
                    found.append((path, twin))
    return found


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def _is_left(path: str) -> bool:
    """Whether a private file is nobody's lock or target; under the store's lock, a dead process left it."""
    return os.stat(path).st_nlink == 1


def _private_files(private: str | os.PathLike[str], prefix: str | tuple[str, ...]) -> "list[os.DirEntry[str]]":
    with os.scandir(private) as entries:
        return [entry for entry in entries if entry.name.startswith(prefix)]


def _used_again(private: Path, target: str, content: bytes, durable: bool) -> str | None:
    """Return the private file of the ring that was not the target for the longest time, with its new content.

    None: each has a second name.
    """
    for choose in (_following, _longest_free):
        number = choose(private, target)
        path = f"{private}/{_RING}{number}"
        if number is not None and (written := files.overwrite(path, content, durable=durable, alone=True)) is not None:
            if len(_turns) > _TARGETS:
                _turns.clear()
            _turns[target] = number, written.st_ino
            return path
    return None


_turns: dict[str, tuple[int, int]] = {}
"""The number of the file that this process made a target of last, and its inode."""


def _following(_: Path, target: str) -> int | None:
    """Return the number of the file whose turn it is; None where somebody changed the target since we did."""
    number, inode = _turns.get(target, (0, -1))
    try:
        return (number + 1) % _RING_SIZE if os.stat(target).st_ino == inode else None
    except FileNotFoundError:
        return None


def _longest_free(private: Path, _: str) -> int | None:
    """Return the number of the file of the ring that nothing else is linked to for the longest time, if there is one.

    One that is not there is as good as any.
    """
    found: list[tuple[int, int]] = []
    for number in range(_RING_SIZE):
        try:
            stat = os.stat(f"{private}/{_RING}{number}")
        except FileNotFoundError:
            return number
        if stat.st_nlink == 1:  # neither the target, nor a lock, nor in somebody's copy of hard links
            found.append((stat.st_mtime_ns, number))
    return min(found)[1] if found else None
