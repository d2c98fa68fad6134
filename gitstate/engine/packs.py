"""Small packs of our own: one for each publish, folded into bigger ones when there are many.

Formats: https://git-scm.com/docs/gitformat-pack (pack version 2, index version 2); no deltas. A pack is ours when its
name is :func:`pack_name` of its checksum, so that nobody has to keep a list; the packs of others are never touched.
"""

import hashlib
import itertools
import os
import shutil
import struct
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gitstate.engine import files
from gitstate.engine.objects import GitObject, Kind
from gitstate.errors import CorruptionError

__all__ = [
    "FOLD_AT",
    "KEEP",
    "NewPack",
    "Pack",
    "build",
    "fold",
    "pack_name",
    "place",
    "read",
    "remove_leftovers",
]

KEEP = b"gitstate\n"
"""What our ``.keep`` files hold, so that one that a dead process left is told from a person's."""

FOLD_AT = 32
"""As many packs of single publishes become one."""

# Bytes below which a pack belongs to a tier, and how many of it become one. Bigger packs are left to `git gc`. So there
# are at most 31 + 7 + 7 smaller ones, which matters to readers, and a byte is copied about five times in all.
_TIERS = ((64 << 10, FOLD_AT), (1 << 20, 8), (16 << 20, 8))
_KINDS: dict[Kind, int] = {"commit": 1, "tree": 2, "blob": 3}
_KIND_OF = {number: kind for kind, number in _KINDS.items()}
_LEVEL = 1  # of zlib: 6 takes a third longer for 5 % less
_MINE = "gitstate"
_PACK_HEADER = struct.Struct(">4sII")
_INDEX_MAGIC = b"\377tOc\0\0\0\2"
_FAN_OUT = struct.Struct(">256I")
_FAR = 1 << 31  # offsets from here on are in the index's table of 64-bit ones

_numbers = itertools.count(1)


class _Entry(NamedTuple):
    id: bytes
    data: bytes  # as it stands in a pack: header and deflated body


class Pack(NamedTuple):
    """The bytes of a pack and of its index. ``name`` is that of its files, without suffix."""

    name: str
    data: bytes
    index: bytes


@dataclass(frozen=True)
class NewPack:
    """A pack that is written and durable, and kept from git's garbage collection until it is released."""

    base: str
    """Its path without the suffix."""
    existed: bool
    """Whether the very same pack was there before; then it is not ours to discard."""

    def release(self) -> None:
        """Say that a ref reaches the pack's objects now, so that it needs no protection."""
        files.remove(self.base + ".keep")

    def discard(self) -> None:
        """Remove the pack, which no ref reaches."""
        if not self.existed:
            _remove_pack(self.base)


def build(objects: Iterable[GitObject]) -> Pack:
    """Return a pack of ``objects``, at least one; repeated ones are in it once."""
    entries = {item.id: item for item in objects}
    return _build([_Entry(bytes.fromhex(key), _encode(item)) for key, item in entries.items()])


def keeper(private: Path) -> str:
    """Return the file in the store's private folder that the ``.keep`` of new packs are links to; made if need be.

    A link costs a fraction of a new file, and its end frees no inode (docs/design/0004-write-path.md).
    """
    path = os.fspath(private / "keep")
    if not os.path.exists(path) or files.read(path) != KEEP:
        files.remove(path)
        files.create(path, KEEP)
    return path


def place(folder: Path, pack: Pack, *, keep: str | None = None, durable: bool = True) -> NewPack:
    """Put a pack into the folder ``objects/pack``; the index comes last, since nobody looks at a pack without one.

    Args:
        folder: Where to put it.
        pack: What to put.
        keep: What :func:`keeper` returned: git's garbage collection leaves the pack alone until it is released.
        durable: Whether to wait for the disk.

    Raises:
        OSError: The disk refused; nothing is left.
    """
    base = os.path.join(folder, pack.name)
    existed = os.path.exists(base + ".idx")
    try:
        if keep is not None:
            with suppress(FileExistsError):  # a dead process left it
                os.link(keep, base + ".keep")
        if durable or not existed:
            _write_file(base + ".pack", pack.data, "pack", durable=durable)
            _write_file(base + ".idx", pack.index, "idx", durable=durable)
        if durable:
            files.sync_directory(folder)
    except BaseException:
        if not existed:
            _remove_pack(base)
        raise
    return NewPack(base, existed)


def read(data: bytes) -> Pack:
    """Return the pack that these bytes are, with an index made from what they hold.

    Raises:
        CorruptionError: The bytes are no pack of ours: a byte of it is wrong.
    """
    count = _PACK_HEADER.unpack_from(data)[2] if data[:8] == b"PACK\0\0\0\2" and len(data) > 32 else -1
    body = data[:-20]
    if count < 0 or hashlib.sha1(body, usedforsecurity=False).digest() != data[-20:]:
        raise CorruptionError("a pack is damaged", hint="fetch it from another copy of the repository")
    entries: list[_Entry] = []
    start = _PACK_HEADER.size
    for _ in range(count):
        place = start
        kind = body[place] >> 4 & 7
        while body[place] & 128:
            place += 1
        inflater = zlib.decompressobj()
        content = inflater.decompress(body[place + 1 :])
        end = len(body) - len(inflater.unused_data)
        entries.append(_Entry(bytes.fromhex(GitObject(_KIND_OF[kind], content).id), body[start:end]))
        start = end
    return _build(entries)


def fold(folder: Path) -> int:
    """Join our small packs where there are many; call it under the store's lock.

    Packs of about one size are joined, so that there are few of each size and a byte is copied a few times in all. What
    was packed by others, or is damaged, stays as it is.

    Returns:
        How many packs became fewer.

    Raises:
        OSError: The disk refused; every object is still there.
    """
    with os.scandir(folder) as found:
        packs = [(entry.stat().st_size, entry.path[:-5]) for entry in found if entry.name.endswith(".pack")]
    removed = 0
    floor = 0
    for bound, enough in _TIERS:
        tier = [base for size, base in packs if floor <= size < bound]
        if len(tier) >= enough:
            removed += _join(folder, tier, enough)
        floor = bound
    return removed


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that died left behind; call it under the store's lock."""
    with os.scandir(folder) as found:
        names = {entry.name for entry in found}
    for name in names:
        path = os.path.join(folder, name)
        if name.startswith((f"tmp_pack_{_MINE}_", f"tmp_idx_{_MINE}_")):
            files.remove(path)
        elif name.endswith(".pack") and name[:-5] + ".idx" not in names and (_is_ours(path[:-5]) or _kept(path[:-5])):
            files.remove(path)  # without its index nobody sees it
    for name in names:
        if name.endswith(".keep") and _kept(os.path.join(folder, name[:-5])):
            files.remove(os.path.join(folder, name))


def pack_name(checksum: bytes) -> str:
    """Return the name, without suffix, of our pack that ends with this checksum."""
    return "pack-" + hashlib.sha1(b"gitstate\0" + checksum, usedforsecurity=False).hexdigest()


def _is_ours(base: str) -> bool:
    try:
        with open(base + ".pack", "rb") as pack:
            pack.seek(-20, os.SEEK_END)
            return pack_name(pack.read(20)) == os.path.basename(base)
    except OSError:
        return False


def _kept(base: str) -> bool:
    """Whether a pack has a ``.keep`` of ours."""
    try:
        return files.read(base + ".keep") == KEEP
    except OSError:
        return False


def _encode(item: GitObject) -> bytes:
    size = len(item.body)
    byte = _KINDS[item.kind] << 4 | size & 15
    size >>= 4
    header = bytearray()
    while size:
        header.append(byte | 128)
        byte = size & 127
        size >>= 7
    header.append(byte)
    return bytes(header) + zlib.compress(item.body, _LEVEL)


def _build(entries: Sequence[_Entry]) -> Pack:
    body = b"".join([_PACK_HEADER.pack(b"PACK", 2, len(entries)), *(entry.data for entry in entries)])
    checksum = hashlib.sha1(body, usedforsecurity=False).digest()
    return Pack(pack_name(checksum), body + checksum, _index(entries, checksum))


def _write_file(path: str, data: bytes, kind: str, *, durable: bool = True) -> None:
    """Write beside and rename; once more if git's own cleaning took the file that was not in its place yet."""
    temporary = os.path.join(os.path.dirname(path), f"tmp_{kind}_{_MINE}_{os.getpid()}_{next(_numbers)}")
    for attempt in (1, 2, 3):
        files.create(temporary, data, mode=0o444, durable=durable)
        try:
            os.rename(temporary, path)
            break
        except FileNotFoundError:
            if attempt == 3:
                raise
        except BaseException:
            files.remove(temporary)
            raise


def _remove_pack(base: str) -> None:
    for suffix in (".idx", ".pack", ".rev", ".bitmap", ".keep"):  # the index first, so that nobody new comes to read
        files.remove(base + suffix)


def _index(entries: Sequence[_Entry], checksum: bytes) -> bytes:
    offset = _PACK_HEADER.size
    rows: list[tuple[bytes, int, int]] = []
    for entry in entries:
        rows.append((entry.id, zlib.crc32(entry.data), offset))
        offset += len(entry.data)
    rows.sort()
    counts = [0] * 256
    for row in rows:
        counts[row[0][0]] += 1
    far = [row[2] for row in rows if row[2] >= _FAR]
    places = itertools.count(_FAR)
    near = [row[2] if row[2] < _FAR else next(places) for row in rows]
    content = b"".join(
        [
            _INDEX_MAGIC,
            _FAN_OUT.pack(*itertools.accumulate(counts)),
            *(row[0] for row in rows),
            struct.pack(f">{len(rows)}I", *(row[1] for row in rows)),
            struct.pack(f">{len(rows)}I", *near),
            struct.pack(f">{len(far)}Q", *far),
            checksum,
        ]
    )
    return content + hashlib.sha1(content, usedforsecurity=False).digest()


def _join(folder: Path, bases: Iterable[str], enough: int) -> int:
    """Replace packs, as far as they are ours and sound, by one with the same objects."""
    entries: dict[bytes, _Entry] = {}
    joined: list[str] = []
    for base in sorted(bases):
        if _is_ours(base) and not os.path.exists(base + ".keep"):
            found = _entries(base)
            if found is not None:
                entries.update((entry.id, entry) for entry in found)
                joined.append(base)
    if len(joined) < enough:
        return 0
    made = place(folder, _build(list(entries.values())))
    if made.base in joined:
        joined.remove(made.base)
    _forget_multi_pack_index(folder, joined)
    for base in joined:
        _remove_pack(base)
    return len(joined) - 1


def _entries(base: str) -> list[_Entry] | None:
    """Return what is in one of our packs, in its order, or None if a byte of it is not as it was written."""
    try:
        pack, index = files.read(base + ".pack"), files.read(base + ".idx")
    except FileNotFoundError:
        return None  # somebody's git repacked it
    for data in (pack, index):
        if hashlib.sha1(data[:-20], usedforsecurity=False).digest() != data[-20:]:
            return None
    count = _PACK_HEADER.unpack_from(pack)[2]
    ids = len(_INDEX_MAGIC) + _FAN_OUT.size
    offsets = struct.unpack_from(f">{count}I", index, ids + count * 24)
    order = sorted((offset, index[ids + 20 * n : ids + 20 * n + 20]) for n, offset in enumerate(offsets))
    ends = [offset for offset, _ in order[1:]] + [len(pack) - 20]
    return [_Entry(object_id, pack[start:end]) for (start, object_id), end in zip(order, ends, strict=True)]


def _forget_multi_pack_index(folder: Path, bases: Iterable[str]) -> None:
    """Remove git's index of many packs if it names one that goes; git writes it anew, and reads well without."""
    names = [os.path.basename(base).encode() + b".idx" for base in bases]
    chain = folder / "multi-pack-index.d"
    if chain.is_dir():
        shutil.rmtree(chain)
    try:
        content = files.read(folder / "multi-pack-index")
    except FileNotFoundError:
        return
    if any(name in content for name in names):
        os.unlink(folder / "multi-pack-index")
        for extra in folder.glob("multi-pack-index-*"):
            files.remove(extra)
