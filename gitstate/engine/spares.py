"""Empty files that are made before they are needed, off the write path: a save takes two, and gives them their names.

To make a file takes ext4 ten times as long where many were removed lately (docs/design/0004-write-path.md), and the
small packs that are joined are removed.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from gitstate.engine import files

__all__ = ["Spares"]

_MOST = 192  # files: what the saves between two checkpoints take, and some more
_AHEAD = 8  # times what was wanted since the last time: a process that begins to save often goes on
_SOON = 16  # files that were wanted in vain, after which it is time to make the first ones
_READ_ONLY = 0o444
_NOT_OURS = {errno.ENOENT, errno.ELOOP, errno.EISDIR}  # another process used it, or a person put something there
_REFUSED = {errno.EACCES, errno.EPERM}  # it is another user's, or somebody died between its last two steps


class Spares:
    """Spare files of a store, which its processes share.

    Args:
        private: The store's private folder, on the file system of the packs; theirs in it is made with the first ones.
    """

    def __init__(self, private: Path) -> None:
        self._folder = os.fspath(private / "spare")
        self._known: list[str] = []  # those that were there lately
        self._wanted = 0  # files since the last time that spares were made
        self._is_new = True

    @property
    def are_due(self) -> bool:
        """Whether it is time to make the first ones. Later ones are made with each checkpoint."""
        return self._is_new and self._wanted >= _SOON

    def use(self, path: str, data: bytes) -> bool:
        """Write a file whole, whatever stands there, out of a spare one; call it under the store's lock.

        Returns:
            Whether there was one.

        Raises:
            OSError: The disk refused; at ``path`` is what was there.
        """
        self._wanted += 1
        while self._known:
            spare = self._known.pop()
            try:
                if _write(spare, data):
                    os.rename(spare, path)
                    return True
            except OSError as error:
                if error.errno in _NOT_OURS:
                    continue
                if error.errno not in _REFUSED:
                    files.remove(spare)
                    raise
            files.remove(spare)
        return False

    def refill(self) -> None:
        """Make as many as may be wanted until the next time. Never fails: without them files are made as they come."""
        wanted, self._wanted, self._is_new = min(_AHEAD * self._wanted, _MOST), 0, False
        if wanted:
            with suppress(OSError):
                with suppress(FileExistsError):
                    os.mkdir(self._folder)
                self._known = self._there()
                for spare in sorted({f"{self._folder}/{number}" for number in range(wanted)}.difference(self._known)):
                    with suppress(FileExistsError):  # another process made it meanwhile
                        files.create(spare, b"", durable=False)
                        self._known.append(spare)

    def clear(self) -> None:
        """Remove all; call it under the store's lock. After a cut of the power one may be what its new name names."""
        self._known = []
        with suppress(FileNotFoundError, NotADirectoryError):
            for spare in self._there():
                files.remove(spare)

    def _there(self) -> list[str]:
        """Return those that are there, but nothing that is not ours.

        Raises:
            OSError: There is no such folder, or a link to somebody's stands there.
        """
        if os.path.islink(self._folder):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._folder)
        with os.scandir(self._folder) as found:
            return [
                f"{self._folder}/{entry.name}"
                for entry in found
                if entry.name.isdecimal() and entry.is_file(follow_symlinks=False)
            ]


def _write(spare: str, data: bytes) -> bool:
    """Write a spare file; False: it is none any more.

    One that is not empty was left by a process that died. One with two names is in somebody's copy of hard links too,
    where it may be a pack by now.
    """
    fd = os.open(spare, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        status = os.fstat(fd)
        if status.st_size or status.st_nlink != 1:
            return False
        files.write_all(fd, data)
        os.fchmod(fd, status.st_mode & _READ_ONLY)
    finally:
        os.close(fd)
    return True
