"""A pack that is written object by object to a file: what is too much to be held in memory."""

import hashlib
import os
import struct
import zlib
from pathlib import Path

from gitstate.engine import files, packs
from gitstate.engine.packs import PackKind

__all__ = ["PackFile"]

_HEADER = struct.Struct(">4sII")
_CHUNK = 1 << 20  # bytes


class PackFile:
    """A pack that is being written in a folder of its own; no object is a delta, and none is in it twice.

    Args:
        folder: Where it is written; :meth:`finish` says under which name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "growing.pack"
        self._file = open(self._path, "w+b")  # noqa: SIM115 - open until it is finished or closed
        self._file.write(_HEADER.pack(b"PACK", 2, 0))
        self._size = _HEADER.size
        self._rows: dict[bytes, tuple[bytes, int, int]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, kind: str, body: bytes) -> str:
        """Add an object, unless it is in the pack; return its id."""
        digest = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(body)), usedforsecurity=False)
        digest.update(body)
        object_id = digest.digest()
        if object_id not in self._rows:
            self.add_entry(object_id, packs.encode(kind, body))
        return object_id.hex()

    def add_entry(self, object_id: bytes, data: bytes) -> None:
        """Add an object as it stands in another pack, where it is no delta."""
        if object_id not in self._rows:
            self._rows[object_id] = object_id, zlib.crc32(data), self._size
            self._file.write(data)
            self._size += len(data)

    def finish(self, kind: PackKind = "plain") -> str:
        """Finish the pack and write its index, both durably; return its path without suffix. It has our name for it."""
        self._file.seek(0)
        self._file.write(_HEADER.pack(b"PACK", 2, len(self._rows)))
        self._file.seek(0)
        digest = hashlib.sha1(usedforsecurity=False)
        while chunk := self._file.read(_CHUNK):
            digest.update(chunk)
        self._file.write(digest.digest())
        self._file.flush()
        files.sync(self._file.fileno())
        self._file.close()
        base = os.fspath(self._folder / packs.pack_name(digest.digest(), kind))
        files.create(base + ".idx", packs.index(list(self._rows.values()), digest.digest()), mode=0o444)
        os.chmod(self._path, 0o444)
        os.rename(self._path, base + ".pack")
        return base

    def close(self) -> None:
        """Give it up; what was written goes with its folder. Without effect once it is finished."""
        self._file.close()
