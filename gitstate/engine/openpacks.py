"""dulwich's view of a folder of objects, as we use it: what of it is open and in memory is bounded.

Packs are mapped, which takes no memory of its own: the system brings into memory what is read, and lets go of it when
others need the room. A process that reads for weeks shall look small all the same, and give back the room on the disk
of packs that were removed (docs/design/0014-budgets.md).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any, cast

from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID, RawObjectID
from dulwich.pack import Pack

__all__ = ["OpenPacks"]

_MOST = 32 << 20  # bytes of files that are brought into memory until all is closed
_AROUND = 128 << 10  # bytes of them for each object, besides its own: the system maps what lies around, too
_UNUSED = 12  # so many times it is tidied up, each time some seconds later, until all is closed
_BASES = 16 << 20  # bytes of a pack's objects that dulwich keeps, to put others together from; by itself it keeps 96 MB


class OpenPacks(DiskObjectStore):
    """Is asked for what :class:`gitstate.engine.packfolder.PackFolder` has not."""

    _touched = 0  # bytes of files, about, that were brought into memory
    unused = 0  # so many times it was tidied up since something was read

    def __init__(self, path: Path, others: Sequence[str]) -> None:
        super().__init__(path, alternates=others, delta_base_cache_limit=_BASES)

    def tidy(self) -> None:
        """Close packs that were removed; in the end all of them, if nothing is read any more."""
        self.unused += 1
        if self.unused > _UNUSED:
            self.close()
        elif self._pack_cache:
            self._update_pack_cache()

    def let_go(self) -> None:
        """Close everything once much was read."""
        if self._touched > _MOST:
            self._touched = 0
            with suppress(Exception):  # a pack that disappeared may fail to close
                self.close()
                for other in self._alternates or ():
                    other.close()

    def get_raw(self, name: RawObjectID | ObjectID) -> tuple[int, bytes]:
        """See dulwich."""
        found = super().get_raw(name)
        self._touched += _AROUND + len(found[1])
        return found

    def _update_pack_cache(self) -> list[Pack]:
        new = super()._update_pack_cache()
        for pack in new:
            pack._idx_load, pack._data_load = _mapped(pack._idx_load), _mapped(pack._data_load)
        return new


def _mapped(load: Callable[[], Any] | None) -> Callable[[], Any] | None:
    """Return what opens a part of a pack, and closes the file once it is mapped: a map has a descriptor of its own."""

    def opened() -> Any:
        part = cast("Callable[[], Any]", load)()
        if isinstance(getattr(part, "_contents", None), mmap):
            part._file.close()
        return part

    return opened
