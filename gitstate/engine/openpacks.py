"""dulwich's view of a folder of objects, as we use it: which pack is looked into first, and what of packs is in memory.

Packs are mapped, which takes no memory of its own: the system brings into memory what is read, and lets go of it when
others need the room. A process that reads for weeks shall look small all the same, and give back the room on the disk
of packs that were removed, so what is open is bounded (docs/design/0014-budgets.md).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from mmap import MADV_DONTNEED, mmap
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID, RawObjectID
from dulwich.pack import Pack

__all__ = ["OpenPacks"]

_MOST = 32 << 20  # bytes of large files that are brought into memory until they are let go
_AROUND = 128 << 10  # bytes of them for each object, besides its own: the system maps what lies around, too
_LARGE = 1 << 20
_BASES = 16 << 20  # bytes of a pack's objects that dulwich keeps, to put others together from; by itself it keeps 96 MB
_ALL_BASES = 2 * _BASES  # and so many of all packs


class OpenPacks(DiskObjectStore):
    """Looks first where it found the last object, then from the youngest pack on, as git does.

    What is read together was mostly written together, and lately. Of a pack that is not asked no index is read.
    """

    _ages: Mapping[str, float] = MappingProxyType({})  # of the packs that were there at the last look
    _touched = 0  # bytes of files, about, that were brought into memory
    is_in_use = False  # whether something was read since the last time that it was tidied up
    lost_some = False  # whether a look found that packs were removed

    def __init__(self, path: Path, others: Sequence[str]) -> None:
        super().__init__(path, alternates=others, delta_base_cache_limit=_BASES)

    def tidy(self) -> None:
        """Close packs that were removed; all of them if nothing was read since the last time."""
        if self.is_in_use:
            self._update_pack_cache()
        else:
            self.close()
        self.is_in_use = self.lost_some = False

    def let_go(self) -> None:
        """Once much was read, take it out of memory; the system maps again what is asked for again."""
        if self._touched > _MOST:
            with suppress(Exception):  # as for a pack that was closed because it is damaged
                self._let_go()
            self._touched = 0

    def _let_go(self) -> None:
        bases = []
        for pack in self._pack_cache.values():
            bases += [] if pack._data is None else [pack._data._offset_cache]
            for part in (pack._idx, pack._data):
                contents = getattr(part, "_contents", None)
                if isinstance(contents, mmap) and len(contents) > _LARGE:
                    contents.madvise(MADV_DONTNEED)
        if sum(kept._value_size for kept in bases) > _ALL_BASES:
            for kept in bases:
                kept.clear()
        for other in self._alternates or ():
            other.close()

    def get_raw(self, name: RawObjectID | ObjectID) -> tuple[int, bytes]:
        """See dulwich."""
        found = super().get_raw(name)
        self._touched += _AROUND + len(found[1])
        return found

    def _update_pack_cache(self) -> list[Pack]:
        before = len(self._pack_cache)
        new = super()._update_pack_cache()
        self.lost_some = self.lost_some or len(self._pack_cache) != before + len(new)
        for pack in new:
            pack._idx_load, pack._data_load = _mapped(pack._idx_load), _mapped(pack._data_load)
        if new:
            self._ages = {name: self._ages.get(name) or self._age(name) for name in self._pack_cache}
            self._pack_cache = {name: self._pack_cache[name] for name in sorted(self._ages, key=self._ages.__getitem__)}
        return new

    def _mark_pack_used(self, pack_hash: str) -> None:
        super()._mark_pack_used(pack_hash)
        if next(iter(self._pack_cache)) != pack_hash:
            self._pack_cache = {pack_hash: self._pack_cache[pack_hash]} | self._pack_cache

    def _age(self, name: str) -> float:
        with suppress(OSError):  # it is gone since: that is found out when it is asked
            return -os.stat(f"{self.pack_dir}/{name}.pack").st_mtime_ns
        return 0


def _mapped(load: Callable[[], Any] | None) -> Callable[[], Any] | None:
    """Return what opens a part of a pack, and closes the file once it is mapped: a map has a descriptor of its own."""

    def opened() -> Any:
        part = cast("Callable[[], Any]", load)()
        if isinstance(getattr(part, "_contents", None), mmap):
            part._file.close()
        return part

    return opened
