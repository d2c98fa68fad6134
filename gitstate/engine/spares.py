"""Empty files that are made before they are needed, off the write path: a save takes two, and gives them their names.

To make a file takes ext4 ten times as long where many were removed lately (docs/design/0004-write-path.md), and the
small packs that are joined are removed.
"""

import os
from contextlib import suppress
from pathlib import Path

from gitstate.engine import files

__all__ = ["Spares"]

_MOST = 192  # files: what the saves between two checkpoints take, and some more
_READ_ONLY = 0o444


class Spares:
    """Spare files of a store, which its processes share.

    Args:
        folder: Where they lie: ours, on the file system of the packs. Made when the first ones are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.fspath(folder)
        self._known: list[str] = []  # those that were there lately
        self._wanted = 0  # files since the last time that spares were made

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
                _write(spare, data)
                os.rename(spare, path)
            except FileNotFoundError:
                continue  # another process used it
            return True
        return False

    def refill(self) -> None:
        """Make as many as were wanted since the last time. Never fails: without them files are made as they come."""
        wanted, self._wanted = min(self._wanted, _MOST), 0
        if wanted:
            with suppress(OSError):
                os.makedirs(self._folder, exist_ok=True)
                there = {int(name) for name in os.listdir(self._folder) if name.isdecimal()}
                for number in sorted(set(range(wanted)) - there):
                    files.create(f"{self._folder}/{number}", b"", durable=False)
                self._known = [f"{self._folder}/{number}" for number in there | set(range(wanted))]

    def clear(self) -> None:
        """Remove all; call it under the store's lock. After a cut of the power one may be what its new name names."""
        self._known = []
        with suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                files.remove(f"{self._folder}/{name}")


def _write(spare: str, data: bytes) -> None:
    fd = os.open(spare, os.O_WRONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        files.write_all(fd, data)
        if status.st_size > len(data):  # a process died while it wrote
            os.ftruncate(fd, len(data))
        os.fchmod(fd, status.st_mode & _READ_ONLY)
    except BaseException:
        files.remove(spare)
        raise
    finally:
        os.close(fd)
