"""Small packs of our own, one for each publish; :mod:`gitstate.engine.folding` joins them.

Formats: https://git-scm.com/docs/gitformat-pack (pack version 2, index version 2); no deltas. A pack is ours when its
name is :func:`pack_name` of its checksum, so that nobody has to keep a list; the packs of others are never touched.
"""

import hashlib
import itertools
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from mmap import mmap
from pathlib import Path
from typing import Literal, NamedTuple

from gitstate.engine import files, locks, packindex
from gitstate.engine.objects import GitObject, Kind
from gitstate.engine.spares import Spares
from gitstate.errors import CorruptionError

__all__ = [
    "KEEP",
    "Entry",
    "NewPack",
    "Pack",
    "PackKind",
    "build",
    "build_entries",
    "deflated_at_most",
    "encode",
    "entries",
    "header",
    "index",
    "is_left_keep",
    "is_sound",
    "keep_note",
    "keeper",
    "kind_of",
    "leftovers",
    "object_header",
    "objects",
    "pack_name",
    "place",
    "read",
    "read_entries",
    "remove_leftovers",
]

KEEP = b"gitstate\n"
"""What our ``.keep`` files hold, so that one that a dead process left is told from a person's."""

PackKind = Literal["plain", "deltas"]
"""Without deltas, as we write them and can join them by copying; or with them, as C git packed them for us."""

_SALTS: dict[PackKind, bytes] = {"plain": b"gitstate\0", "deltas": b"gitstate deltas\0"}
_KINDS: dict[str, int] = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_KIND_OF: dict[int, Kind] = {1: "commit", 2: "tree", 3: "blob"}
_LEVEL = 1  # of zlib: 6 takes a third longer for 5 % less
_WINDOW = 8192  # bytes, for objects that are not larger; to begin with zlib's 32 KB takes 50 us, with this one 5
_MEMORY = 5  # of zlib, as little as fits that window
_LONGEST_SIZE = 60  # bits
_MINE = "gitstate"
_KEEP_FOR = b"gitstate for "
_PACK_HEADER = struct.Struct(">4sII")
_PLACE = struct.Struct(">I")
_STORED = b"\x78\x01"  # with which a stream of zlib begins, one of the fastest level
_BLOCK = 0xFFFF  # bytes, of which a stored block has no more
_BLOCK_HEADER = struct.Struct("<BHH")  # whether it is the last, its length, and the complement of that

_numbers = itertools.count(1)


class Entry(NamedTuple):
    """One object of a pack: its id, and header and deflated body as they stand there."""

    id: bytes
    data: bytes


@dataclass(frozen=True)
class Pack:
    """The bytes of a pack, and the objects in it, in their order. ``name`` is that of its files, without suffix."""

    name: str
    data: bytes
    entries: Sequence[Entry]

    @cached_property
    def index(self) -> bytes:
        """The bytes of its index; made when they are asked for, which a publish does while the disk writes the pack."""
        return _index(self.entries, self.data[-20:])


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
    return build_entries([Entry(bytes.fromhex(key), encode(item.kind, item.body)) for key, item in entries.items()])


def build_entries(entries: Sequence[Entry]) -> Pack:
    """Return a pack of what was read from other packs."""
    body = b"".join([header(len(entries)), *(entry.data for entry in entries)])
    checksum = hashlib.sha1(body, usedforsecurity=False).digest()
    return Pack(pack_name(checksum), body + checksum, entries)


def keeper(private: Path) -> str:
    """Return the file in the store's private folder that the ``.keep`` of new packs are links to; made if need be.

    A link costs a fraction of a new file, and its end frees no inode (docs/design/0004-write-path.md).
    """
    path = os.fspath(private / "keep")
    if not os.path.exists(path) or files.read(path) != KEEP:
        files.remove(path)
        files.create(path, KEEP)
    return path


def keep_note(work: str) -> bytes:
    """Return what the ``.keep`` of a pack holds that stays until the work in a private folder of this name ends.

    Once nobody holds that folder the ``.keep`` is a leftover, whoever has the store's lock meanwhile.
    """
    return _KEEP_FOR + work.encode("ascii") + b"\n"


def place(
    folder: Path, pack: Pack, *, keep: str | None = None, durable: bool = True, spares: Spares | None = None
) -> NewPack:
    """Put a pack into the folder ``objects/pack``; the index comes last, since nobody looks at a pack without one.

    Args:
        folder: Where to put it.
        pack: What to put.
        keep: What :func:`keeper` returned: git's garbage collection leaves the pack alone until it is released.
        durable: Whether to wait for the disk.
        spares: Files to use, if that is not so.

    Raises:
        OSError: The disk refused; nothing is left.
    """
    base = f"{folder}/{pack.name}"
    existed = os.path.exists(base + ".idx")
    try:
        if keep is not None:
            with suppress(FileExistsError):  # a dead process left it
                os.link(keep, base + ".keep")
        if durable:
            _write_file(base + ".pack", pack.data, "pack")  # over one that may be torn
            _write_file(base + ".idx", pack.index, "idx")
            files.sync_directory(folder)
        elif not existed:
            for suffix, data in ((".pack", pack.data), (".idx", pack.index)):
                if spares is None or not spares.use(base + suffix, data):
                    _write_file(base + suffix, data, suffix[1:], durable=False)
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
    if data[:8] != b"PACK\0\0\0\2" or len(data) <= 32 or not files.is_sound(data):
        raise CorruptionError("a pack is damaged", hint="fetch it from another copy of the repository")
    return build_entries([Entry(bytes.fromhex(item.id), packed) for item, packed in _unpacked(data)])


def objects(data: bytes) -> Iterator[GitObject]:
    """Yield the objects of a pack of ours that has no deltas and is known to be sound."""
    return (item for item, _ in _unpacked(data))


def _unpacked(data: bytes) -> Iterator[tuple[GitObject, bytes]]:
    """Yield each object of a pack, and as what it stands there."""
    body = memoryview(data)[:-20]
    start = _PACK_HEADER.size
    for _ in range(_PACK_HEADER.unpack_from(data)[2]):
        kind, size, place = object_header(body, start)
        piece = body[place : place + deflated_at_most(size)]
        inflater = zlib.decompressobj()
        content = inflater.decompress(piece)
        end = place + len(piece) - len(inflater.unused_data)
        yield GitObject(_KIND_OF[kind], content), bytes(body[start:end])
        start = end


def is_sound(base: str) -> bool:
    """Whether a pack and its index are there and each byte is as it was written."""
    try:
        return files.is_sound_file(base + ".pack") and files.is_sound_file(base + ".idx")
    except FileNotFoundError:
        return False


def read_entries(base: str) -> list[Entry] | None:
    """Return what is in one of our packs, in its order; None if it is not sound. No deltas."""
    found = _read_sound(base)
    if found is None:
        return None
    pack, index = found
    return [Entry(object_id, pack[start:end]) for start, end, object_id in _stretches(index, len(pack))]


def entries(base: str) -> Iterator[Entry]:
    """Yield what is in one of our packs that is sound, in its order, of which little is in memory. No deltas.

    Raises:
        FileNotFoundError: Somebody's git repacked it; nothing was given.
    """
    index = files.read(base + ".idx")
    with open(base + ".pack", "rb") as pack:
        size = pack.seek(0, os.SEEK_END)
        pack.seek(_PACK_HEADER.size)
        for start, end, object_id in _stretches(index, size):
            yield Entry(object_id, pack.read(end - start))


def _stretches(index: bytes, size: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield where each object begins and ends in a pack of so many bytes, and its id, in the order of the pack."""
    count = packindex.count(index)
    order = sorted((packindex.place(index, count, n), packindex.id_of(index, n)) for n in range(count))
    ends = itertools.chain((offset for offset, _ in order[1:]), [size - 20])
    return ((start, end, object_id) for (start, object_id), end in zip(order, ends, strict=True))


def _read_sound(base: str) -> tuple[bytes, bytes] | None:
    try:
        pack, index = files.read(base + ".pack"), files.read(base + ".idx")
    except FileNotFoundError:
        return None  # somebody's git repacked it
    return (pack, index) if files.is_sound(pack) and files.is_sound(index) else None


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that died left behind; call it under the store's lock."""
    for name in leftovers(folder):
        files.remove(os.path.join(folder, name))


def leftovers(folder: Path) -> list[str]:
    """Return the names of what writers that died left behind, ``.keep`` last: it tells whose its pack is."""
    with os.scandir(folder) as found:
        names = {entry.name for entry in found if not entry.name.startswith(".")}  # such as git is about to rename
    left = [name for name in names if name.startswith((f"tmp_pack_{_MINE}_", f"tmp_idx_{_MINE}_"))]
    for name in names:
        base, suffix = os.path.splitext(os.path.join(folder, name))
        if suffix == ".pack" and name[:-5] + ".idx" not in names and (kind_of(base) is not None or _kept(base)):
            left.append(name)  # without its index nobody sees it
        elif suffix == ".idx" and name[:-4] + ".pack" not in names and _kind(base, _checksum_in(base + ".idx")):
            left.append(name)
    left = [name for name in left if not _is_arriving(os.path.join(folder, os.path.splitext(name)[0]))]
    return left + [name for name in names if name.endswith(".keep") and _kept(os.path.join(folder, name[:-5]))]


def _checksum_in(index: str) -> bytes:
    """Return the checksum of the pack that an index is of; nothing if somebody's git removed it meanwhile."""
    try:
        return files.read(index)[-40:-20]
    except FileNotFoundError:
        return b""


def pack_name(checksum: bytes, kind: PackKind = "plain") -> str:
    """Return the name, without suffix, of our pack that ends with this checksum."""
    return "pack-" + hashlib.sha1(_SALTS[kind] + checksum, usedforsecurity=False).hexdigest()


def kind_of(base: str) -> PackKind | None:
    """Tell by its name of what kind our pack is; None: it is not ours, or is not there."""
    try:
        with open(base + ".pack", "rb") as pack:
            pack.seek(-20, os.SEEK_END)
            checksum = pack.read(20)
    except OSError:
        return None
    return _kind(base, checksum)


def _kind(base: str, checksum: bytes) -> PackKind | None:
    return next((kind for kind in _SALTS if pack_name(checksum, kind) == os.path.basename(base)), None)


def is_left_keep(path: str) -> bool:
    """Whether a ``.keep`` is one that its maker, who is dead, would have removed; not for those of publishes."""
    base = path.removesuffix(".keep")
    return bool(_worker(base)) and _kept(base)


def _kept(base: str) -> bool:
    """Whether a pack has a ``.keep`` of ours that went with a lock, or with work that ended."""
    worker = _worker(base)
    return worker is not None and not (worker and locks.is_held(worker))


def _is_arriving(base: str) -> bool:
    """Whether somebody is about to put a pack into its place."""
    worker = _worker(base)
    return bool(worker) and locks.is_held(worker or "")


def _worker(base: str) -> str | None:
    """Return the private folder that the ``.keep`` of a pack is for; "" for none; None: it has no ``.keep`` of ours."""
    try:
        note = files.read(base + ".keep")
    except OSError:
        return None
    if note == KEEP:
        return ""
    name = note.removeprefix(_KEEP_FOR).strip().decode("ascii", "replace")
    if not note.startswith(_KEEP_FOR) or os.path.basename(name) != name:
        return None
    return os.fspath(Path(base).parents[2] / "gitstate" / name)


def header(count: int) -> bytes:
    """Return the bytes with which a pack of so many objects begins."""
    return _PACK_HEADER.pack(b"PACK", 2, count)


def object_header(data: bytes | memoryview | mmap, place: int) -> tuple[int, int, int]:
    """Return the number of the kind of the object at a place in a pack, its size, and where it goes on.

    Raises:
        ValueError: It claims a size that nothing has.
        IndexError: The data end in the middle of it.
    """
    byte = data[place]
    kind, size, shift = byte >> 4 & 7, byte & 15, 4
    while byte & 128:
        if shift > _LONGEST_SIZE:
            raise ValueError
        place += 1
        byte = data[place]
        size |= (byte & 127) << shift
        shift += 7
    return kind, size, place + 1


def deflated_at_most(size: int) -> int:
    """Return how many bytes zlib makes at most of so many."""
    return size + (size >> 3) + (size >> 6) + 32


def encode(kind: str, body: bytes) -> bytes:
    """Return an object, which may be a tag too, as it stands in a pack: header and deflated body."""
    size = len(body)
    byte = _KINDS[kind] << 4 | size & 15
    size >>= 4
    head = bytearray()
    while size:
        head.append(byte | 128)
        byte = size & 127
        size >>= 7
    head.append(byte)
    if kind == "tree":  # two thirds of it are ids: 0.4 ms for 37 KB
        return b"".join((head, *_stored(body)))
    if len(body) <= _WINDOW:
        deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW.bit_length() - 1, _MEMORY)
    else:
        deflater = zlib.compressobj(_LEVEL)
    return b"".join((head, deflater.compress(body), deflater.flush()))


def _stored(body: bytes) -> Iterator[bytes]:
    """Yield a stream of zlib that holds a body as it is (RFC 1950 and 1951): to set zlib up takes ten times as long."""
    yield _STORED
    for start in range(0, len(body) or 1, _BLOCK):
        block = body[start : start + _BLOCK]
        yield _BLOCK_HEADER.pack(start + _BLOCK >= len(body), len(block), len(block) ^ _BLOCK)
        yield block
    yield _PLACE.pack(zlib.adler32(body))


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


def _index(entries: Sequence[Entry], checksum: bytes) -> bytes:
    offset = _PACK_HEADER.size
    rows: list[tuple[bytes, int, int]] = []
    for entry in entries:
        rows.append((entry.id, zlib.crc32(entry.data), offset))
        offset += len(entry.data)
    return index(rows, checksum)


def index(rows: list[tuple[bytes, int, int]], checksum: bytes) -> bytes:
    """Return the index of a pack that ends with a checksum.

    Args:
        rows: Of each object its id, the CRC-32 of what stands in the pack, and where that begins. It is sorted here.
        checksum: What the pack ends with.
    """
    rows.sort()
    firsts = [row[0][0] for row in rows]
    steps = enumerate(zip([0, *firsts], [*firsts, 256], strict=True))  # how many ids begin with less than each byte
    far = [row[2] for row in rows if row[2] >= packindex.FAR]
    places = itertools.count(packindex.FAR)
    near = [row[2] if row[2] < packindex.FAR else next(places) for row in rows]
    content = b"".join(
        [
            packindex.MAGIC,
            *(_PLACE.pack(number) * (first - before) for number, (before, first) in steps),
            *(row[0] for row in rows),
            struct.pack(f">{len(rows)}I", *(row[1] for row in rows)),
            struct.pack(f">{len(rows)}I", *near),
            struct.pack(f">{len(far)}Q", *far),
            checksum,
        ]
    )
    return content + hashlib.sha1(content, usedforsecurity=False).digest()
