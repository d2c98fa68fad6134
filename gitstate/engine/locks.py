"""Locks: one for all writers of a store, which the kernel releases at death, and git's own lock files.

Git's protocol: whoever creates ``X.lock`` may replace ``X``, by renaming the one over the other
(https://git-scm.com/docs/api-lockfile). Such a file outlives its maker, so ours are links to private files: under the
store's lock, a lock file that is one of them was left by a dead process. Any other belongs to a person's git.
"""

import fcntl
import itertools
import os
import random
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from gitstate.engine import files
from gitstate.errors import BusyError

__all__ = ["LockFile", "StoreLock"]

_FIRST_WAIT, _LONGEST_WAIT = 0.0005, 0.004  # seconds between two tries of the store's lock
_FILE_WAIT = 0.05  # seconds, at most, between two tries of a lock file: people are slow
_OWN = "own-"

_numbers = itertools.count(1)


class StoreLock:
    """Keeps every other writer out: those in other processes and the other threads of this one. Not re-entrant."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()  # flock lets a second descriptor in another thread wait, but not fairly
        self._fd = -1
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
            self._fd = self._acquire_file(end, timeout)
            clean = os.fstat(self._fd).st_size == 0
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except BaseException:
            self._close()
            self._threads.release()
            raise
        return clean

    def release(self) -> None:
        """Let go of the lock."""
        try:
            os.ftruncate(self._fd, 0)
        finally:
            self._close()
            self._threads.release()

    def _acquire_file(self, end: float, timeout: float) -> int:
        wait = _FIRST_WAIT
        while True:
            fd = self._open()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same(fd, self._path):
                    return fd
                os.close(fd)  # somebody removed the file meanwhile: that lock keeps nobody out
                continue
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).strip().decode("ascii", "replace")
                os.close(fd)
            except BaseException:
                os.close(fd)
                raise
            if time.monotonic() > end:
                who = f"process {holder}" if holder else "another process"
                raise BusyError(f"{self._path}: {who} keeps the lock for more than {timeout:g} s", hint="wait for it")
            time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            wait = min(wait * 1.5, _LONGEST_WAIT)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._path, flags, 0o644)
        except FileNotFoundError:
            self._path.parent.mkdir(exist_ok=True)
            return os.open(self._path, flags, 0o644)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _forked(self) -> None:
        self._close()  # the description is shared: open in the child, it would keep the parent's lock after its death
        self._threads = threading.Lock()


def _same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


_locks: "weakref.WeakSet[StoreLock]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for lock in list(_locks):
        lock._forked()


os.register_at_fork(after_in_child=_after_fork_in_child)


class LockFile:
    """git's lock file of ``target``, holding what shall stand there; use it as a context, under the store's lock.

    The new content is durable before the lock file appears. A block that does not :meth:`replace` changes nothing.

    Args:
        private: The store's private folder.
        target: The file to replace.
        content: Its new content.
        timeout: Seconds to wait for a lock file of a living git.
    """

    def __init__(self, private: Path, target: Path, content: bytes, *, timeout: float = 10.0) -> None:
        self._target = os.fspath(target)
        self._lock = self._target + ".lock"
        self._private = private
        self._own = os.path.join(private, f"{_OWN}{os.getpid()}-{next(_numbers)}")
        self._content = content
        self._timeout = timeout
        self._held = False

    def __enter__(self) -> Self:
        remove_leftovers(self._private)
        files.create(self._own, self._content)
        try:
            self._link()
        except BaseException:
            files.remove(self._own)
            raise
        self._held = True
        return self

    def replace(self) -> None:
        """Put the new content in the target's place, durably."""
        os.rename(self._lock, self._target)
        self._held = False
        # Without its private link the file belongs to the target alone, and is never mistaken for a lock again.
        files.remove(self._own)
        files.sync_directory(os.path.dirname(self._target))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            os.unlink(self._lock)  # first: while the private file is there, the lock can be told from a living git's
            files.remove(self._own)

    def _link(self) -> None:
        end = time.monotonic() + self._timeout
        wait = _FIRST_WAIT
        while True:
            try:
                return os.link(self._own, self._lock)
            except FileExistsError:
                pass
            if self._left_by_the_dead():
                os.unlink(self._lock)
                continue
            if time.monotonic() > end:
                raise BusyError(
                    f"{self._lock} is held by another git for more than {self._timeout:g} s",
                    hint="finish that git command; if none is running, its lock file was left behind and can go",
                )
            time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            wait = min(wait * 2, _FILE_WAIT)

    def _left_by_the_dead(self) -> bool:
        try:
            lock = os.stat(self._lock)
        except FileNotFoundError:
            return False
        return any(os.path.samestat(lock, entry.stat()) for entry in _private_files(self._private))


def remove_leftovers(private: Path) -> None:
    """Remove the private files of dead processes that are nobody's lock or target; call it under the store's lock.

    One that has a second name stays: either that is a lock to be recognised, or the live target, until its next change.
    """
    for entry in _private_files(private):
        if entry.stat().st_nlink == 1:
            files.remove(entry.path)


def _private_files(private: Path) -> "list[os.DirEntry[str]]":
    with os.scandir(private) as entries:
        return [entry for entry in entries if entry.name.startswith(_OWN)]
