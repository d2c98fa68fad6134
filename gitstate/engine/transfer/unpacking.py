"""Reads packs of others, whose objects may be deltas of one another and of objects that are not in the pack.

Format: https://git-scm.com/docs/gitformat-pack. Nothing in a pack is trusted: no size that it claims is made room for
before it is compared with a limit, and no object takes part in its own making.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from mmap import mmap
from typing import NamedTuple

from gitstate.errors import TooLargeError, UntrustedError

__all__ = ["OverBudgetError", "Unpacked", "Unpacker", "apply_delta", "broken", "head"]

_HEADER = struct.Struct(">4sII")
_SUM = 20  # bytes of a checksum
_KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFFSET_DELTA = 6
_ID_DELTA = 7
_LONGEST_NUMBER = 63  # bits
_PIECE = 1 << 20  # bytes that are inflated at once
_HINT = "nothing was taken in; if the remote is well (`git fsck` there), fetch again"


class OverBudgetError(Exception):
    """The objects of a pack are larger, all together, than the caller wanted to inflate."""


class Unpacked(NamedTuple):
    """One object of a pack: its id, kind and body, where it stands there, and the CRC-32 of what stands there.

    ``offset`` is 0 for one that is not in the pack: others are deltas of it.
    """

    id: bytes
    kind: str
    body: bytes
    offset: int
    crc: int


def broken(reason: str) -> UntrustedError:
    """Return the error for a pack that cannot be read."""
    return UntrustedError(f"the pack that the remote sent is broken: {reason}", hint=_HINT)


def head(data: bytes) -> int:
    """Return how many objects a pack has that begins with these twelve bytes.

    Raises:
        UntrustedError: No pack begins so.
    """
    if len(data) < _HEADER.size:
        raise broken("it ends before it begins")
    magic, version, count = _HEADER.unpack_from(data)
    if magic != b"PACK" or version not in (2, 3):
        raise broken("it does not begin as a pack does")
    return int(count)


@dataclass
class _Entry:
    """An object as it stands in the pack. ``base`` is an offset or an id where it is a delta."""

    offset: int
    kind: int
    size: int
    base: int | bytes | None
    start: int
    """Of what is deflated; ``end`` is where the next object begins."""
    end: int = 0
    crc: int = 0


@dataclass
class _Frame:
    """An object whose deltas are being looked at."""

    body: bytes
    kind: str
    deltas: list[_Entry] = field(default_factory=list)


class Unpacker:
    """Reads the objects of one pack. Of what it inflated it keeps only what deltas are still to be applied to.

    Args:
        data: The whole pack.
        find: Gives kind and body of an object that is not in the pack, or None.
        object_bytes: The limit for each object.
        total_bytes: The limit for all objects together, as they are inflated; None: there is none.
        held_bytes: The limit for what is kept at a time.
    """

    def __init__(
        self,
        data: bytes | mmap,
        find: Callable[[bytes], tuple[str, bytes] | None],
        *,
        object_bytes: int,
        total_bytes: int | None = None,
        held_bytes: int,
    ) -> None:
        self._data = memoryview(data)
        self._find = find
        self._object_bytes = object_bytes
        self._total_bytes = total_bytes
        self._claimed = self._made = 0
        self._held_bytes = held_bytes
        self.checksum = bytes(self._data[-_SUM:])
        self._by_offset: dict[int, list[_Entry]] = {}
        self._by_id: dict[bytes, list[_Entry]] = {}

    def close(self) -> None:
        """Let go of the data."""
        self._data.release()

    def objects(self) -> Iterator[Unpacked]:
        """Yield every object, a delta after what it is a delta of; once.

        Raises:
            UntrustedError: The pack is cut short, damaged, or has a delta of something that is nowhere.
            TooLargeError: An object is larger than its limit, or the deltas need more memory.
            OverBudgetError: All objects together are larger than their limit.
        """
        whole = self._scan()
        for entry in whole:
            yield from self._resolve(entry, _KINDS[entry.kind], self._inflate(entry))
        for base_id in list(self._by_id):
            if base_id in self._by_id:
                found = self._find(base_id)
                if found is None:
                    continue  # it may be a delta of the base that comes next
                yield from self._resolve(None, found[0], found[1], base_id)
        waiting = [*self._by_offset.values(), *self._by_id.values()]
        if waiting:
            raise broken(
                f"{sum(map(len, waiting))} of its objects are deltas of objects that are neither there nor here"
            )

    def _scan(self) -> list[_Entry]:
        """Find where each object stands; return those that are no deltas, and note the others with their bases."""
        data = self._data
        count = head(bytes(data[: _HEADER.size]))
        end = len(data) - _SUM
        if end < _HEADER.size or hashlib.sha1(data[:end], usedforsecurity=False).digest() != self.checksum:
            raise broken("its checksum is wrong")
        whole: list[_Entry] = []
        starts: set[int] = set()
        offset = _HEADER.size
        for _ in range(count):
            entry = self._entry(offset, end)
            starts.add(offset)
            if entry.base is None:
                whole.append(entry)
            elif isinstance(entry.base, int):
                if entry.base not in starts:
                    raise broken("a delta is of something that is no object of it")
                self._by_offset.setdefault(entry.base, []).append(entry)
            else:
                self._by_id.setdefault(entry.base, []).append(entry)
            offset = entry.end
        if offset != end:
            raise broken("it has more bytes than objects")
        return whole

    def _entry(self, offset: int, end: int) -> _Entry:
        """Return the object at a place."""
        data, place = self._data, offset
        try:
            byte = data[place]
            kind, size, shift = byte >> 4 & 7, byte & 15, 4
            while byte & 128:
                place += 1
                byte = data[place]
                size |= (byte & 127) << shift
                shift += 7
                if shift > _LONGEST_NUMBER:
                    raise broken("an object claims a size that nothing has")
            place += 1
            base: int | bytes | None = None
            if kind == _OFFSET_DELTA:
                base, place = _distance(data, place)
                base = offset - base
            elif kind == _ID_DELTA:
                base, place = bytes(data[place : place + 20]), place + 20
            elif kind not in _KINDS:
                raise broken(f"an object is of the unknown kind {kind}")
        except IndexError:
            raise broken("it is cut short") from None
        if size > self._object_bytes:
            raise _too_large(self._object_bytes)
        self._claimed += size
        self._stay_below(self._claimed)
        entry = _Entry(offset, kind, size, base, place)
        entry.end = self._end(entry, end)
        entry.crc = zlib.crc32(data[offset : entry.end])
        return entry

    def _end(self, entry: _Entry, end: int) -> int:
        """Return where an object ends, which must inflate to as many bytes as it claims."""
        inflater = zlib.decompressobj()
        place, left = entry.start, entry.size
        try:
            while not inflater.eof:
                piece: bytes | memoryview = self._data[place : min(place + _likely(entry.size), end)]
                if not piece:
                    raise broken("it is cut short")
                place += len(piece)
                while piece and not inflater.eof:
                    left -= len(inflater.decompress(piece, min(left + 1, _PIECE)))
                    if left < 0:
                        raise broken("an object is longer than it claims")
                    piece = inflater.unconsumed_tail
        except zlib.error as error:
            raise broken(f"an object cannot be inflated: {error}") from None
        if left:
            raise broken("an object is shorter than it claims")
        return place - len(inflater.unused_data)

    def _inflate(self, entry: _Entry) -> bytes:
        return zlib.decompress(self._data[entry.start : entry.end], bufsize=max(entry.size, 1))

    def _resolve(self, entry: _Entry | None, kind: str, body: bytes, base_id: bytes = b"") -> Iterator[Unpacked]:
        """Yield an object, and all that are deltas of it, or of deltas of it."""
        found = Unpacked(base_id, kind, body, 0, 0) if entry is None else _named(entry, kind, body)
        yield found
        stack = [_Frame(body, kind, self._deltas_of(found))]
        held = len(body)
        while stack:
            frame = stack[-1]
            if not frame.deltas:
                stack.pop()
                held -= len(frame.body)
                continue
            child = frame.deltas.pop()
            made = apply_delta(frame.body, self._inflate(child), self._object_bytes)
            self._made += len(made)
            self._stay_below(self._claimed + self._made)
            found = _named(child, kind, made)
            yield found
            if not frame.deltas:  # a long chain holds no more than two of its objects
                stack.pop()
                held -= len(frame.body)
            deltas = self._deltas_of(found)
            if deltas:
                stack.append(_Frame(made, kind, deltas))
                held += len(made)
                if held > self._held_bytes:
                    raise TooLargeError(
                        f"the deltas of the pack need more than {self._held_bytes} bytes of memory",
                        hint="fetch where there is a C git",
                    )

    def _deltas_of(self, found: Unpacked) -> list[_Entry]:
        deltas = self._by_id.pop(found.id, [])
        return self._by_offset.pop(found.offset, []) + deltas if found.offset else deltas

    def _stay_below(self, count: int) -> None:
        if self._total_bytes is not None and count > self._total_bytes:
            raise OverBudgetError


def apply_delta(base: bytes, delta: bytes, limit: int) -> bytes:
    """Return what a delta makes of its base.

    Raises:
        UntrustedError: It is no delta of this base.
        TooLargeError: It makes more than ``limit`` bytes.
    """
    try:
        base_size, place = _size(delta, 0)
        size, place = _size(delta, place)
        if base_size != len(base):
            raise broken("a delta is of another object than it says")
        if size > limit:
            raise _too_large(limit)
        pieces: list[bytes] = []
        left, end = size, len(delta)
        while place < end:
            code = delta[place]
            place += 1
            if code & 128:
                start = length = 0
                for bit in range(4):
                    if code >> bit & 1:
                        start |= delta[place] << 8 * bit
                        place += 1
                for bit in range(3):
                    if code >> 4 + bit & 1:
                        length |= delta[place] << 8 * bit
                        place += 1
                piece = base[start : start + (length or 0x10000)]
                if len(piece) != (length or 0x10000):
                    raise broken("a delta copies what its base does not have")
            else:
                piece = delta[place : place + code]
                place += code
                if not code or place > end:
                    raise broken("a delta is damaged")
            left -= len(piece)
            if left < 0:
                raise broken("a delta makes more than it says")
            pieces.append(piece)
    except IndexError:
        raise broken("a delta is cut short") from None
    if left:
        raise broken("a delta makes less than it says")
    return b"".join(pieces)


def _named(entry: _Entry, kind: str, body: bytes) -> Unpacked:
    digest = hashlib.sha1(b"%s %d\0" % (kind.encode("ascii"), len(body)), usedforsecurity=False)
    digest.update(body)
    return Unpacked(digest.digest(), kind, body, entry.offset, entry.crc)


def _likely(size: int) -> int:
    """Return how many bytes are looked at at once for an object: hardly ever does zlib make more of so many."""
    return min(size + (size >> 8) + 64, _PIECE)


def _size(delta: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = delta[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return value, place
        if shift > _LONGEST_NUMBER:
            raise broken("a delta claims a size that nothing has")


def _distance(data: memoryview, place: int) -> tuple[int, int]:
    """Return how far before a delta its base stands, and where that number ends."""
    byte = data[place]
    value = byte & 127
    while byte & 128:
        place += 1
        byte = data[place]
        value = (value + 1 << 7) | byte & 127
        if value >> _LONGEST_NUMBER:
            raise broken("a delta is of something that is no object of it")
    return value, place + 1


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"the remote sent an object of more than {limit} bytes", hint="raise the limit if that is meant"
    )
