"""Remembers, from one process to the next, which values have files that are exact JSON: nobody looks for that again.

To look takes a fifth of a list of states that are read for the first time (docs/design/0007-index.md). What comes of it
depends on nothing but the bytes of the files, that is on the ids of their objects. It is kept in a private file:

    16 bytes, drawn when the file was made; then a number of 64 bits for each value, in ascending order

The number is a hash of the value's id, keyed with the first 16 bytes: who has not got the file cannot make a value that
has the number of another one. All else that may be wrong with the file does no harm: of what is torn, cut short, or
written by two at once, a number that is found stands for its value all the same, and the others are not found. So there
is no checksum and no lock, and it need not reach the disk.
"""

import os
import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from gitstate.engine import files

__all__ = ["Exactness"]

_NAME = "exact"
_KEY, _NUMBER = 16, 8  # bytes
_NOTED = 8192  # documents whose values are remembered here; of as many before them as well
_MOST = 32_768  # values in the file
_SMALL = 4096  # bytes: to look at fewer takes no longer than to ask
_WORTH = 1 << 18  # bytes: to look at so many takes 0.3 ms, to write a small file a tenth of that
_WORTH_EACH = 256  # bytes for each value that is in the file already, to be sorted and written again


class Exactness:
    """What is known of values. Safe to use from any thread; two at once may forget what one of them noted.

    Args:
        folder: Where the file is; None: what is noted is gone with the process.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / _NAME
        self._begin(os.urandom(_KEY))

    def _begin(self, key: bytes) -> None:
        self._found: tuple[bytes, Sequence[int]] | None = None  # in the file; None: nobody asked yet
        self._key = key  # if there is no file
        self._noted: dict[tuple[str, str], int] = {}  # by collection and document: of the last value of each
        self._before: dict[tuple[str, str], int] = {}
        self._size = 0  # of all that was noted

    def knows(self, collection: str, document: str, value_id: str) -> bool:
        """Whether the files of a value are known to be exact."""
        number = self._number(collection, value_id)
        return number is not None and self._has((collection, document), number)

    def note(self, collection: str, document: str, value_id: str, size: int) -> None:
        """Remember of a value that it was written here, or read as :func:`gitstate.values.canonical.loads` does.

        Args:
            collection: The document's collection.
            document: The document.
            value_id: Tells the value apart; see :attr:`gitstate.store.documents.Snapshot.value_id`.
            size: About how many bytes it has.
        """
        if size < _SMALL:
            return
        number, place = self._number(collection, value_id), (collection, document)
        if number is not None and not self._has(place, number):
            if len(self._noted) >= _NOTED and place not in self._noted:
                self._noted, self._before = {}, self._noted
            self._noted[place] = number
            self._size += size

    def write(self) -> None:
        """Let other processes know what was noted, if that spares them more than it takes; whatever fails is left."""
        if self._path is not None and self._size >= _WORTH + _WORTH_EACH * len(self._file[1]):
            with suppress(OSError):
                self._add_to(self._path)
                self._size = 0

    def forget(self) -> None:
        """Forget everything, and let all who are open forget it: they add nothing to a file with another key.

        Raises:
            OSError: The disk refused.
        """
        self._begin(os.urandom(_KEY))
        if self._path is not None:
            aside = f"{self._path}.new"
            files.overwrite(aside, self._key, durable=False)
            os.replace(aside, self._path)

    def _add_to(self, path: Path) -> None:
        try:
            fd = _open(path)
        except FileNotFoundError:  # in a clone that nobody wrote to
            os.mkdir(path.parent)
            fd = _open(path)
        try:
            key, there = _parsed(os.read(fd, _KEY + _NUMBER * _MOST)) or (self._file[0], ())
            if key == self._file[0]:
                noted = {*list(self._before.values()), *list(self._noted.values())}
                noted.update(there[: _MOST - len(noted)])  # they are hashes: any part is as good as another
                os.pwrite(fd, key + array("Q", sorted(noted)).tobytes(), 0)  # what may be left behind it does no harm
        finally:
            os.close(fd)

    def _has(self, place: tuple[str, str], number: int) -> bool:
        if number in (self._noted.get(place), self._before.get(place)):
            return True
        numbers = self._file[1]
        index = bisect_left(numbers, number)
        return index < len(numbers) and numbers[index] == number

    def _number(self, collection: str, value_id: str) -> int | None:
        """Return the number of a value; None: nothing is noted, and asked, where other numbers are read than usual."""
        if sys.get_int_max_str_digits() != sys.int_info.default_max_str_digits:
            return None
        text = f"{collection} {value_id}".encode()
        return int.from_bytes(blake2b(text, digest_size=_NUMBER, key=self._file[0]).digest(), sys.byteorder)

    @property
    def _file(self) -> tuple[bytes, Sequence[int]]:
        """The file's key and its numbers, as they were when this was asked first."""
        found = self._found
        if found is None:
            data = b""
            with suppress(OSError):
                data = b"" if self._path is None else files.read(self._path)
            found = self._found = _parsed(data) or (self._key, ())
        return found


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)


def _parsed(data: bytes) -> tuple[bytes, Sequence[int]] | None:
    """Return the key and the numbers that a file holds; None: it is none, or new."""
    if len(data) < _KEY:
        return None
    count = min((len(data) - _KEY) // _NUMBER, _MOST)
    return data[:_KEY], memoryview(data)[_KEY : _KEY + count * _NUMBER].cast("Q")
