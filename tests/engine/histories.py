"""Histories made by hand, good ones and others: objects, and packs of them with deltas of any kind."""

import hashlib
import random
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gitstate.engine import packs
from gitstate.engine.objects import GitObject, ObjectId
from gitstate.engine.repository import Repository

__all__ = ["Delta", "History", "Item", "entry", "pack_of", "store", "tag", "tree_of"]

KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}


def object_id(kind: str, body: bytes) -> ObjectId:
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(body)) + body).hexdigest()


def entry(mode: str, name: bytes | str, target: ObjectId) -> bytes:
    """Return one entry of a tree, whatever its mode and name."""
    raw = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    return mode.encode() + b" " + raw + b"\0" + bytes.fromhex(target)


def tree_of(entries: Iterable[bytes]) -> bytes:
    """Return the body of a tree with these entries, in git's order."""

    def key(raw: bytes) -> bytes:
        mode, _, rest = raw.partition(b" ")
        return rest.partition(b"\0")[0] + (b"/" if mode == b"40000" else b"")

    ordered = sorted(entries, key=key)
    return b"".join(ordered)


def tag(target: ObjectId, kind: str = "commit") -> bytes:
    return f"object {target}\ntype {kind}\ntag v1\ntagger T <t@example.com> 1 +0000\n\na tag\n".encode()


@dataclass
class History:
    """Objects by id; nothing says that they are good."""

    objects: dict[ObjectId, tuple[str, bytes]] = field(default_factory=dict)

    def add(self, kind: str, body: bytes) -> ObjectId:
        name = object_id(kind, body)
        self.objects[name] = (kind, body)
        return name

    def blob(self, body: bytes | str) -> ObjectId:
        return self.add("blob", body.encode() if isinstance(body, str) else body)

    def tree(self, *entries: bytes) -> ObjectId:
        return self.add("tree", tree_of(entries))

    def files(self, files: Mapping[str, bytes]) -> ObjectId:
        """Return the tree with some files by path."""
        top: dict[str, dict[str, bytes]] = {}
        entries = []
        for path, body in files.items():
            name, _, rest = path.partition("/")
            if rest:
                top.setdefault(name, {})[rest] = body
            else:
                entries.append(entry("100644", name, self.blob(body)))
        entries += [entry("40000", name, self.files(inner)) for name, inner in top.items()]
        return self.tree(*entries)

    def commit(
        self,
        tree: ObjectId,
        *parents: ObjectId,
        time: int = 1_700_000_000,
        message: bytes = b"m\n",
        who: bytes = b"Eve",
    ) -> ObjectId:
        lines = [b"tree " + tree.encode(), *(b"parent " + parent.encode() for parent in parents)]
        signature = b"%s <eve@example.com> %d +0000" % (who, time)
        lines += [b"author " + signature, b"committer " + signature]
        return self.add("commit", b"\n".join(lines) + b"\n\n" + message)

    def pack(self, without: Iterable[ObjectId] = ()) -> bytes:
        left_out = set(without)
        return pack_of([Item(kind, body) for name, (kind, body) in self.objects.items() if name not in left_out])


@dataclass
class Item:
    """An object as it stands in a pack; ``size`` is what it claims, if that is a lie."""

    kind: str
    body: bytes
    size: int | None = None


@dataclass
class Delta:
    """A delta. ``base`` is an id, or how many items before it the base stands."""

    base: ObjectId | int
    body: bytes
    size: int | None = None


def pack_of(items: Sequence[Item | Delta], count: int | None = None, level: int = 6) -> bytes:
    """Return a pack of these items, in this order."""
    data = bytearray(struct.pack(">4sII", b"PACK", 2, len(items) if count is None else count))
    starts = []
    for item in items:
        starts.append(len(data))
        base = getattr(item, "base", None)
        kind = KINDS[item.kind] if isinstance(item, Item) else (6 if isinstance(base, int) else 7)
        data += head(kind, len(item.body) if item.size is None else item.size)
        if isinstance(base, int):
            data += distance(starts[-1] - starts[len(starts) - 1 - base] if base <= len(starts) - 1 else 1 << 20)
        elif base is not None:
            data += bytes.fromhex(base)
        data += zlib.compress(item.body, level)
    return bytes(data) + hashlib.sha1(data).digest()


def head(kind: int, size: int) -> bytes:
    byte, size = kind << 4 | size & 15, size >> 4
    said = bytearray()
    while size:
        said.append(byte | 128)
        byte, size = size & 127, size >> 7
    said.append(byte)
    return bytes(said)


def distance(number: int) -> bytes:
    said = [number & 127]
    number >>= 7
    while number:
        number -= 1
        said.append(128 | number & 127)
        number >>= 7
    return bytes(reversed(said))


def size(number: int) -> bytes:
    said = bytearray()
    while number > 127:
        said.append(number & 127 | 128)
        number >>= 7
    said.append(number)
    return bytes(said)


def copy(start: int, length: int) -> bytes:
    """Return what copies a part of the base."""
    return struct.pack("<BI", 0xFF, start) + struct.pack("<I", length)[:3]


def delta(base: bytes, result: bytes) -> bytes:
    """Return a delta that copies what both have at the beginning, and says the rest."""
    same = 0
    while same < min(len(base), len(result), 0xFFFFFF) and base[same] == result[same]:
        same += 1
    said = size(len(base)) + size(len(result)) + (copy(0, same) if same else b"")
    for start in range(same, len(result), 127):
        piece = result[start : start + 127]
        said += bytes([len(piece)]) + piece
    return said


def store(repository: Repository, history: History, without: Iterable[ObjectId] = ()) -> None:
    """Put all objects of a history into a repository, as they are."""
    left_out = set(without)
    entries = [
        packs.Entry(bytes.fromhex(name), packs.encode(kind, body))
        for name, (kind, body) in history.objects.items()
        if name not in left_out
    ]
    if entries:
        packs.place(repository.objects / "pack", packs.build_entries(entries))


def random_history(seed: int, commits: int, paths: int = 6) -> tuple[History, list[ObjectId]]:
    """Return a history with merges, several roots, files that come back and clocks that are wrong, and its commits."""
    draw = random.Random(seed)
    history = History()
    made: list[tuple[ObjectId, dict[str, bytes]]] = []
    folders = ["", "a/", "a/b/", "c/", "jobs/x/sheets/"]
    names = [draw.choice(folders) + f"f{n}" for n in range(paths)]
    for number in range(commits):
        parents = draw.sample(made[-4:], min(len(made[-4:]), draw.choice([0, 1, 1, 1, 1, 2, 3]) if made else 0))
        files = dict(parents[0][1]) if parents else {}
        for _, others in parents[1:]:
            files |= {name: body for name, body in others.items() if draw.random() < 0.5}
        for _ in range(draw.randrange(4)):
            name = draw.choice(names)
            if draw.random() < 0.2:
                files.pop(name, None)
            else:
                files[name] = name.encode() + b"%d" % draw.randrange(3)
        time = 1_700_000_000 + number * 10 + draw.choice([0, 0, 0, 0, -1000, 5000])
        commit = history.commit(history.files(files), *(name for name, _ in parents), time=time)
        made.append((commit, files))
    return history, [name for name, _ in made]


def objects_of(history: History) -> list[GitObject]:
    return [GitObject(kind, body) for kind, body in history.objects.values() if kind != "tag"]  # type: ignore[arg-type]


def write(folder: Path, data: bytes) -> Path:
    path = folder / "a.pack"
    path.write_bytes(data)
    return path
