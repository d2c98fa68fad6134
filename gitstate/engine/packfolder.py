"""Reads objects from the packs of a folder without dulwich: many by one look at each index, and deltas too.

Whatever is odd here (an index of another version, a large object, damage) is not found, and left to who knows more.
What is found is not checked against its id. Format: https://git-scm.com/docs/gitformat-pack.
"""

import os
import re
import struct
import threading
import zlib
from collections.abc import Iterable, Set
from contextlib import suppress
from mmap import ACCESS_READ, MADV_DONTNEED, mmap

from dulwich.pack import apply_delta

from gitstate.engine import packindex, packs
from gitstate.engine.objects import ObjectId
from gitstate.engine.packindex import FAN_OUT, IDS, MAGIC

__all__ = ["MappedPack", "PackFolder", "Raw"]

Raw = tuple[int, bytes]
"""The number of an object's kind, and its body."""

_EACH_ID = re.compile(rb".{20}", re.DOTALL)
_END = struct.Struct(">I")
_ENDS = struct.Struct(">II")
_KINDS = (1, 2, 3, 4)  # commit, tree, blob, tag
_OFFSET_DELTA = 6
_ID_DELTA = 7
_LARGE = 1 << 24  # bytes of an object that is not read in one piece
_CHAIN = 64  # deltas on one another; git makes 50
_HELD = 8 << 20  # bytes of a pack's objects that deltas were applied to
_FEW = 4  # of so many objects in a pack is one wanted: then all are looked through, not each one looked up
_MOST = 32 << 20  # bytes of packs that are brought into memory until they are let go
_AROUND = 128 << 10  # bytes that the system brings into memory for one that is asked for
_BIG = 1 << 20  # bytes of a file of which it matters
_LOOKS = 10  # for packs, while others come and go


class PackFolder:
    """The packs of a folder, each opened when it is first asked. Safe in any thread.

    It looks first where it found the last object, then from the youngest pack on, as git does: what is read together
    was mostly written together, and lately. Of a pack that is not asked no index is read. One that was removed is read
    on until the folder is looked at anew; its files are closed when nobody reads them any more.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._packs: tuple[MappedPack, ...] = ()
        self._lock = threading.Lock()
        self._is_in_use = False
        self._touched = 0  # bytes of files, about, that were brought into memory
        self.has_news = False  # whether a look found other packs; whoever else has packs open resets it

    def read(self, object_id: ObjectId) -> Raw | None:
        """Return an object; None: it is in no pack, or cannot be read so."""
        name = bytes.fromhex(object_id)
        for _ in range(_LOOKS):
            asked = self._packs
            for pack in asked:
                place = pack.place_of(name)
                found = None if place is None else pack.read(place)
                if place is not None and found is not None:
                    self._note(pack, [place], len(found[1]))
                    return found
            if not self.look(asked):
                break
        return None

    def read_all(self, ids: Iterable[ObjectId]) -> dict[ObjectId, Raw]:
        """Return those of some objects that :meth:`read` would."""
        wanted = {bytes.fromhex(each): each for each in ids}
        found: dict[ObjectId, Raw] = {}
        for _ in range(_LOOKS):
            asked = self._packs
            for pack in asked:
                places, size = pack.places_of(wanted.keys()), 0
                for place, name in places:
                    item = pack.read(place)
                    if item is not None:
                        found[wanted.pop(name)] = item
                        size += len(item[1])
                if places:
                    self._note(pack, [place for place, _ in places], size)
                if not wanted:
                    return found
            if not self.look(asked):
                break
        return found

    def tidy(self) -> None:
        """Let go of packs that were removed; of all of them if nothing was read since the last time."""
        if self._is_in_use:
            self.look()
        else:
            self.close()
        self._is_in_use = False

    def look(self, seen: "tuple[MappedPack, ...] | None" = None) -> bool:
        """Look which packs there are now, and let go of those that are gone; whether there are some besides those that
        the caller has ``seen``, which another thread may have found meanwhile. By default these are all that are known.
        """
        with self._lock:
            names: set[str] = set()
            with suppress(OSError), os.scandir(self._folder) as entries:
                names = {entry.name for entry in entries}
            there = {name[:-4] for name in names if name.endswith(".idx") and name[:-4] + ".pack" in names}
            known = [pack for pack in self._packs if pack.name in there]
            new = [MappedPack(self._folder, name) for name in there.difference([pack.name for pack in known])]
            self.has_news = self.has_news or bool(new) or len(known) < len(self._packs)
            self._packs = tuple(sorted(known + new, key=lambda pack: -pack.age) if new else known)
            return bool(new) if seen is None else not set(seen).issuperset(self._packs)

    def close(self) -> None:
        """Let go of all packs."""
        with self._lock:
            self._packs = ()

    def forked(self) -> None:
        """In a forked child: a thread that is not there may hold the lock. What is mapped is for reading alone."""
        self._lock = threading.Lock()

    def _note(self, pack: "MappedPack", places: list[int], size: int) -> None:
        """Note which pack was read, so that it is asked first, and where; take much out of memory again."""
        self._is_in_use = True
        self._touched += size + _AROUND * len({place // _AROUND for place in places})
        if self._touched > _MOST:
            self._touched = 0
            for each in self._packs:
                each.let_go()
        if self._packs[:1] != (pack,):
            with self._lock:
                if pack in self._packs:
                    self._packs = (pack, *[each for each in self._packs if each is not pack])


class MappedPack:
    """A pack and its index. What was mapped stays so as long as somebody holds on to this object."""

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self._path = f"{folder}/{name}"
        self.age = 0
        with suppress(OSError):  # it is gone since: that is found out when it is asked
            self.age = os.stat(self._path + ".pack").st_mtime_ns
        self._data: mmap | bytes | None = None
        self._index: mmap | bytes | None = None
        self._count = 0
        self._bases: dict[int, Raw] = {}
        self._held = 0

    def place_of(self, name: bytes) -> int | None:
        """Return where an object begins; None: it is not here."""
        index = self._open() if self._index is None else self._index
        first = name[0]
        if not self._count:
            return None
        if first:
            low, high = _ENDS.unpack_from(index, FAN_OUT - 4 + 4 * first)
        else:
            low, high = 0, _END.unpack_from(index, FAN_OUT)[0]
        if low == high:  # most packs are small, and most objects in another one
            return None
        ids = index[IDS + 20 * low : IDS + 20 * high]
        at = ids.find(name)
        while at > 0 and at % 20:  # that is across two ids
            at = ids.find(name, at + 1)
        return None if at < 0 else self._place(low + at // 20)

    def places_of(self, names: Set[bytes]) -> list[tuple[int, bytes]]:
        """Return where those of some objects begin that are here, in the order of their places."""
        index = self._open() if self._index is None else self._index
        if self._count > _FEW * len(names):
            found = [(place, name) for name in names if (place := self.place_of(name)) is not None]
        else:
            ids = _EACH_ID.findall(index[IDS : IDS + 20 * self._count])
            if names.isdisjoint(ids):
                return []
            found = [(self._place(number), name) for number, name in enumerate(ids) if name in names]
        return sorted(found)

    def read(self, place: int) -> Raw | None:
        """Return the object that begins at a place; None: it cannot be read here."""
        try:
            data = self._data
            if data is None:
                data = self._data = _mapped(self._path + ".pack")
            return self._read(data, place)
        except Exception:  # noqa: BLE001 - of what is wrong others know more
            self._data = None  # somebody may mend it
            return None

    def let_go(self) -> None:
        """Take what was read out of memory; the system maps again what is asked for again."""
        self._bases, self._held = {}, 0
        for part in (self._index, self._data):
            if isinstance(part, mmap) and len(part) > _BIG:
                part.madvise(MADV_DONTNEED)

    def _read(self, data: mmap | bytes, place: int) -> Raw | None:
        deltas: list[tuple[int, bytes]] = []
        while (known := self._bases.get(place)) is None:
            kind, size, start = packs.object_header(data, place)
            if kind in _KINDS:
                known = kind, _inflated(data, start, size)
                if deltas:
                    self._hold(place, known)
                break
            if len(deltas) == _CHAIN:
                return None
            base, start = self._base(data, kind, place, start)
            deltas.append((place, _inflated(data, start, size)))
            place = base
        for place, delta in reversed(deltas):
            known = known[0], _patched(known[1], delta)
            self._hold(place, known)
        return known

    def _base(self, data: mmap | bytes, kind: int, place: int, start: int) -> tuple[int, int]:
        """Return where the object begins that the delta at a place is one of, and where the delta itself does."""
        if kind == _OFFSET_DELTA:
            byte = data[start]
            back = byte & 127
            while byte & 128:
                start += 1
                byte = data[start]
                back = (back + 1) << 7 | byte & 127
            if not 0 < back < place:
                raise ValueError
            return place - back, start + 1
        if kind == _ID_DELTA and (base := self.place_of(data[start : start + 20])) is not None:
            return base, start + 20
        raise ValueError

    def _hold(self, place: int, item: Raw) -> None:
        """Keep what other deltas may be of; all goes where that gets too much."""
        if place not in self._bases:
            self._held += len(item[1])
            if self._held > _HELD:
                self._bases, self._held = {}, len(item[1])
            self._bases[place] = item

    def _place(self, number: int) -> int:
        """Return where the object begins whose id is the one of a number in the index."""
        return packindex.place(self._index or b"", self._count, number)

    def _open(self) -> mmap | bytes:
        """Map the index; one that cannot be read has nothing."""
        index: mmap | bytes = b""
        with suppress(OSError, ValueError):
            index = _mapped(self._path + ".idx")
        if len(index) >= IDS + 40 and index[:FAN_OUT] == MAGIC:
            count = packindex.count(index)
            self._count = count if len(index) >= IDS + 28 * count + 40 else 0
        self._index = index if self._count else None  # somebody may mend it
        return index


def _mapped(path: str) -> mmap:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return mmap(fd, 0, access=ACCESS_READ)
    finally:
        os.close(fd)


def _inflated(data: mmap | bytes, start: int, size: int) -> bytes:
    if size >= _LARGE:
        raise ValueError
    # Without its header of two bytes and its checksum at the end, which takes a fifth of the time: the id is checked.
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    body = inflater.decompress(data[start + 2 : start + packs.deflated_at_most(size)], size + 1)
    if not inflater.eof or len(body) != size:
        raise ValueError
    return body


def _patched(base: bytes, delta: bytes) -> bytes:
    """Return what a delta makes of its base."""
    at = 0
    while delta[at] > 127:  # the size of the base
        at += 1
    size = shift = 0
    more = True
    while more:  # the size of what is made of it
        at += 1
        size |= (delta[at] & 127) << shift
        more = delta[at] > 127
        shift += 7
    if size >= _LARGE:
        raise ValueError
    return b"".join(apply_delta(base, delta))
