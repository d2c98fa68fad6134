"""Git's objects as values: blobs, trees and commits, to bytes and back.

The byte formats are git's own: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects and, for the order of tree
entries, ``base_name_compare`` in git's ``tree.c``.
"""

import hashlib
import re
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from gitstate.errors import CorruptionError

__all__ = [
    "DIRECTORY",
    "EXECUTABLE",
    "FILE",
    "HEX_ID",
    "ID_PREFIX",
    "LINK",
    "NO_ID",
    "RAW_DIRECTORIES",
    "RAW_SUBMODULE",
    "SUBMODULE",
    "TAGGED",
    "Commit",
    "GitObject",
    "Kind",
    "ObjectId",
    "RawEntry",
    "Signature",
    "Tree",
    "TreeEntry",
    "name_bytes",
    "name_text",
    "parse_commit",
    "parse_tree",
    "raw_entries",
]

ObjectId = str
"""Forty hexadecimal digits."""

HEX_ID = re.compile("[0-9a-f]{40}")
"""Matches an id, as text."""

ID_PREFIX = re.compile("[0-9a-f]{4,40}", re.IGNORECASE)
"""Matches the first digits of an id, as a person may write them."""

NO_ID = "0" * 40
"""What git writes in the place of an id where there is no object."""

Kind = Literal["blob", "tree", "commit"]

_HINT = "git itself would not have made it; `git fsck` tells more"

_ENTRY = re.compile(rb"([0-7]+) ([^\0]*)\0.{20}", re.DOTALL)  # of a tree: twice as quick without its id

_PLAIN_FILE = re.compile(rb"100644 ([^\0]*)\0(.{20})", re.DOTALL)
_BESIDE = 22  # bytes of an entry beside its mode and its name
_BESIDE_PLAIN = 28  # and beside its name alone, if it is a plain file's

FILE = 0o100644
EXECUTABLE = 0o100755
LINK = 0o120000
DIRECTORY = 0o040000
SUBMODULE = 0o160000

RAW_DIRECTORIES = (b"40000", b"040000")
"""A directory's mode as trees have it: some programs write a zero before it."""

RAW_SUBMODULE = b"%o" % SUBMODULE

TAGGED = re.compile(rb"object ([0-9a-f]{40})\n")
"""Matches the first line of a tag, which says what has the name."""

RawEntry = tuple[bytes, bytes, bytes]
"""Mode, name and id of an entry, as a tree has them."""

_RAW_ENTRY = re.compile(rb"([0-7]+) ([^\0]*)\0(.{20})", re.DOTALL)


@dataclass(frozen=True)
class GitObject:
    """One object: its kind and its body, named by the SHA-1 of both. ``tree`` is the body of a tree, parsed."""

    kind: Kind
    body: bytes
    tree: "Tree | None" = field(default=None, repr=False, compare=False)

    @classmethod
    def named(cls, object_id: ObjectId, kind: Kind, body: bytes) -> "GitObject":
        """Return an object whose id is known."""
        item = cls(kind, body)
        item.__dict__["id"] = object_id
        return item

    @cached_property
    def id(self) -> ObjectId:
        """The object's id."""
        return hashlib.sha1(
            b"%s %d\0" % (self.kind.encode(), len(self.body)) + self.body, usedforsecurity=False
        ).hexdigest()


class TreeEntry(NamedTuple):
    """What a name in a tree stands for: a mode, as git writes it, and an object."""

    mode: int
    id: ObjectId

    @property
    def is_directory(self) -> bool:
        """Whether the entry is another tree."""
        return self.mode == DIRECTORY

    @property
    def is_file(self) -> bool:
        """Whether the entry is a file, be it that somebody made it executable."""
        return self.mode in (FILE, EXECUTABLE)

    @property
    def is_submodule(self) -> bool:
        """Whether the entry is a commit of another repository; there is no object of it here."""
        return self.mode == SUBMODULE


class Tree(Mapping[str, TreeEntry]):
    """The entries of a tree by name, in git's order, read from its bytes when they are asked for.

    A tree never changes. One with other entries in the same places is spliced out of its bytes: a folder of a thousand
    files is neither parsed nor sorted for the one of them that changed. Names that are not UTF-8 carry their odd bytes
    as lone surrogates (PEP 383).
    """

    __slots__ = ("_known", "body")

    def __init__(self, body: bytes, starts: Mapping[str, int] | None = None) -> None:
        self.body = body
        self._known = starts

    @property
    def _starts(self) -> Mapping[str, int]:
        """Where each entry begins in the body; trees spliced out of one another share it."""
        if self._known is None:
            start, starts = 0, dict[str, int]()
            for mode, name in _ENTRY.findall(self.body):
                starts[name.decode("utf-8", "surrogateescape")] = start
                start += len(mode) + len(name) + _BESIDE
            self._known = starts
        return self._known

    @classmethod
    def of(cls, entries: Mapping[str, TreeEntry]) -> "Tree":
        """Return the tree with these entries, in git's order: by name, a directory as if it ended with ``/``."""
        named = [(name_bytes(name), name, entry) for name, entry in entries.items()]
        named.sort(key=lambda item: item[0] + b"/" if item[2].is_directory else item[0])
        pieces: list[bytes] = []
        starts: dict[str, int] = {}
        start = 0
        for raw, name, entry in named:
            piece = b"%o %s\0%s" % (entry.mode, raw, bytes.fromhex(entry.id))
            starts[name] = start
            start += len(piece)
            pieces.append(piece)
        return cls(b"".join(pieces), starts)

    def __getitem__(self, name: str) -> TreeEntry:
        start = self._starts[name]
        space = self.body.index(b" ", start)
        end = self.body.index(b"\0", space) + 1
        return TreeEntry(int(self.body[start:space], 8), self.body[end : end + 20].hex())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the entry of a name, or the default; often asked, so without the detour of an error."""
        return self[name] if name in self._starts else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._starts)

    def __len__(self) -> int:
        return len(self._starts)

    def items(self) -> ItemsView[str, TreeEntry]:
        """Return all names and entries, read at once."""
        found = [TreeEntry(int(mode, 8), each.hex()) for mode, _, each in raw_entries(self.body)]
        if len(found) != len(self._starts):  # a name stands there twice
            return {name: self[name] for name in self._starts}.items()
        return dict(zip(self._starts, found, strict=True)).items()

    def files(self) -> dict[str, ObjectId] | None:
        """Return the ids of all entries by name if they are plain files, as most are; else None."""
        found = _PLAIN_FILE.findall(self.body)
        if sum([len(name) for name, _ in found]) + _BESIDE_PLAIN * len(found) != len(self.body):
            return None
        files: dict[str, ObjectId] = {name.decode("utf-8", "surrogateescape"): each.hex() for name, each in found}
        return files if len(files) == len(found) else None

    def __contains__(self, name: object) -> bool:
        return name in self._starts

    def with_entries(self, changes: Mapping[str, TreeEntry | None]) -> "Tree":
        """Return the tree with some entries put in or replaced, and some removed (None)."""
        body = bytearray(self.body)
        for name, entry in changes.items():
            start = self._starts.get(name)
            if start is None and entry is None:
                continue
            mode = b"" if entry is None else b"%o " % entry.mode
            if start is None or not mode or not body.startswith(mode, start):
                return Tree.of({n: e for n, e in {**self, **changes}.items() if e is not None})
            end = body.index(b"\0", start) + 1
            body[end : end + 20] = bytes.fromhex(entry.id)  # type: ignore[union-attr]  # it has a mode
        return Tree(bytes(body), self._starts)

    def differing(self, other: "Tree") -> list[str]:
        """Return the names that stand for something else in the two trees, or only in one of them, sorted.

        Their bytes tell, so that no entry is read: of a thousand sheets mostly one changed. A mode that somebody else
        spelled otherwise counts as something else.
        """
        return sorted({name for name, _ in self._pieces() ^ other._pieces()})

    def _pieces(self) -> set[tuple[str, bytes]]:
        """Return each name with the bytes of its entry: up to the end of the id, wherever the next one begins."""
        body, end = self.body, self.body.index
        return {(name, body[start : end(b"\0", start) + 21]) for name, start in self._starts.items()}

    def to_object(self) -> GitObject:
        """Return the object of this tree."""
        return GitObject("tree", self.body, self)


def parse_tree(body: bytes, tree_id: ObjectId = "") -> Tree:
    """Read the body of a tree, which an error names.

    Raises:
        CorruptionError: The bytes are no tree.
    """
    found = _ENTRY.findall(body)
    if sum([len(mode) + len(name) for mode, name in found]) + _BESIDE * len(found) != len(body):
        # something lies between two entries, or behind the last one
        raise CorruptionError(f"tree {tree_id}: its bytes are no tree", hint=_HINT)
    return Tree(body)


def raw_entries(body: bytes) -> list[RawEntry]:
    """Return the entries in the body of a tree, in the order that they have; what is none is passed over."""
    return _RAW_ENTRY.findall(body)


def name_bytes(name: str) -> bytes:
    """Return a name or a path as git has it."""
    return name.encode("utf-8", "surrogateescape")


def name_text(name: bytes) -> str:
    """Return a name or a path that git has as text; odd bytes are lone surrogates (PEP 383)."""
    return name.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Signature:
    """Who made a commit and when: ``time`` in seconds since 1970, ``offset`` in minutes east of UTC."""

    name: str
    email: str
    time: int
    offset: int = 0

    def to_bytes(self) -> bytes:
        """Write the signature as a commit header has it, without what git forbids in names."""
        sign, minutes = ("-" if self.offset < 0 else "+"), abs(self.offset)
        zone = f"{sign}{minutes // 60:02d}{minutes % 60:02d}"
        return f"{_clean(self.name)} <{_clean(self.email)}> {self.time} {zone}".encode("utf-8", "surrogateescape")


_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f<>]+")
# Other programs write offsets of more digits and addresses with brackets; git shows their commits, and so do we.
_SIGNATURE = re.compile(rb"^(.*?) ?<(.*)> (-?\d{1,18}) ([+-])(\d{1,6})(\d\d)$", re.DOTALL)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub(" ", text).strip(" .,:;\"'") or "unknown"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: the tree it shows, the commits it follows, who, when and why."""

    tree: ObjectId
    parents: tuple[ObjectId, ...]
    author: Signature
    committer: Signature
    message: bytes

    def to_object(self) -> GitObject:
        """Return the object of this commit."""
        lines = [b"tree " + self.tree.encode()]
        lines += [b"parent " + parent.encode() for parent in self.parents]
        wrote = self.author.to_bytes()
        made = wrote if self.committer is self.author else self.committer.to_bytes()
        lines += [b"author " + wrote, b"committer " + made]
        return GitObject("commit", b"\n".join(lines) + b"\n\n" + self.message)


def parse_commit(body: bytes) -> Commit:
    """Read the body of a commit; headers that are not ours (a signature, an encoding) are passed over.

    Raises:
        CorruptionError: The bytes are no commit.
    """
    header, _, message = body.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in header.split(b"\n"):
        key, _, value = line.partition(b" ")
        fields.setdefault(key, []).append(value)
    try:
        wrote, made = fields[b"author"][0], fields[b"committer"][0]
        author = _parse_signature(wrote)
        return Commit(
            tree=fields[b"tree"][0].decode("ascii"),
            parents=tuple([parent.decode("ascii") for parent in fields.get(b"parent", ())]),
            author=author,
            committer=author if made == wrote else _parse_signature(made),
            message=message,
        )
    except (KeyError, ValueError) as error:
        raise CorruptionError(f"its bytes are no commit: {error}", hint=_HINT) from error


def _parse_signature(line: bytes) -> Signature:
    match = _SIGNATURE.match(line)
    if match is None:
        return Signature(line.decode("utf-8", "surrogateescape"), "", 0)
    name, email, time, sign, hours, minutes = match.groups()
    offset = int(hours) * 60 + int(minutes)
    return Signature(
        name.decode("utf-8", "surrogateescape"),
        email.decode("utf-8", "surrogateescape"),
        int(time),
        -offset if sign == b"-" else offset,
    )
