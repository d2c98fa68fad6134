"""What the indexes of packs name, those of many objects too, of which little is in memory at a time.

Format: https://git-scm.com/docs/gitformat-pack (index version 2): the ids stand there in order.
"""

import os
import struct
from collections.abc import Iterator, Set
from itertools import chain
from typing import BinaryIO

__all__ = ["among", "covers", "ids"]

_MAGIC = b"\377tOc\0\0\0\2"
_FAN_OUT = struct.Struct(">256I")
_ID = 20  # bytes
_ROW = 28  # bytes of an object: its id, a checksum and its place
_ENDING = 40  # bytes: two checksums


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
    head = index.read(len(_MAGIC) + _FAN_OUT.size)
    if len(head) < len(_MAGIC) + _FAN_OUT.size or not head.startswith(_MAGIC):
        raise ValueError("this is no index of version 2")
    ends = _FAN_OUT.unpack_from(head, len(_MAGIC))
    if os.fstat(index.fileno()).st_size < len(head) + _ROW * ends[-1] + _ENDING or list(ends) != sorted(ends):
        raise ValueError("this index is damaged")
    for start, end in zip((0, *ends), ends, strict=False):
        group = index.read(_ID * (end - start))
        yield {group[place : place + _ID] for place in range(0, len(group), _ID)}
