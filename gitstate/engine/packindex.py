"""What the indexes of packs name, those of many objects too, of which little is in memory at a time.

Format: https://git-scm.com/docs/gitformat-pack (index version 2): the ids stand there in order.
"""

import os
import struct
from collections.abc import Iterator, Set
from itertools import chain
from mmap import mmap
from typing import BinaryIO

__all__ = ["FAN_OUT", "FAR", "IDS", "MAGIC", "among", "count", "covers", "id_of", "ids", "place"]

MAGIC = b"\377tOc\0\0\0\2"
"""How an index of version 2 begins."""

FAN_OUT = len(MAGIC)
"""Where it says how many ids begin with each byte or one before it."""

IDS = FAN_OUT + 4 * 256
"""Where the ids begin."""

FAR = 1 << 31
"""Places from here on are in a table of 64-bit ones."""

_FAN = struct.Struct(">256I")
_NUMBER = struct.Struct(">I")
_FAR_PLACE = struct.Struct(">Q")
_ID = 20  # bytes
_ROW = 28  # bytes of an object: its id, a checksum and its place
_ENDING = 40  # bytes: two checksums


def count(index: bytes | mmap) -> int:
    """Return how many objects an index names."""
    found: int = _NUMBER.unpack_from(index, IDS - 4)[0]
    return found


def id_of(index: bytes | mmap, number: int) -> bytes:
    """Return the id of the object with a number, of which the first is 0."""
    return index[IDS + _ID * number : IDS + _ID * (number + 1)]


def place(index: bytes | mmap, objects: int, number: int) -> int:
    """Return where the object with a number begins in the pack, of which the index names so many."""
    places = IDS + 24 * objects  # behind the ids and a checksum of each
    found: int = _NUMBER.unpack_from(index, places + 4 * number)[0]
    if found >= FAR:
        found = _FAR_PLACE.unpack_from(index, places + 4 * objects + 8 * (found - FAR))[0]
    return found


def ids(path: str) -> frozenset[bytes]:
    """Return the ids that an index names.

    Raises:
        ValueError: It is no index of version 2, or not whole.
        FileNotFoundError: It is not there.
    """
    with open(path, "rb") as index:
        return frozenset(chain.from_iterable(_groups(index)))


def among(path: str, wanted: Set[bytes]) -> set[bytes]:
    """Return those of some ids that an index names. Raises as :func:`ids` does."""
    with open(path, "rb") as index:
        return {object_id for group in _groups(index) for object_id in wanted & group}


def covers(new: str, old: str) -> bool:
    """Whether an index names each object that another one names. Raises as :func:`ids` does."""
    with open(new, "rb") as here, open(old, "rb") as there:
        return all(group <= known for known, group in zip(_groups(here), _groups(there), strict=True))


def _groups(index: BinaryIO) -> Iterator[set[bytes]]:
    """Yield the ids that begin with each byte in turn."""
    head = index.read(IDS)
    if len(head) < IDS or not head.startswith(MAGIC):
        raise ValueError("this is no index of version 2")
    ends = _FAN.unpack_from(head, FAN_OUT)
    if os.fstat(index.fileno()).st_size < len(head) + _ROW * ends[-1] + _ENDING or list(ends) != sorted(ends):
        raise ValueError("this index is damaged")
    for start, end in zip((0, *ends), ends, strict=False):
        group = index.read(_ID * (end - start))
        yield {group[place : place + _ID] for place in range(0, len(group), _ID)}
