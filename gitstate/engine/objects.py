"""Git's objects as values: blobs, trees and commits, to bytes and back.

The byte formats are git's own: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects and, for the order of tree
entries, ``base_name_compare`` in git's ``tree.c``.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gitstate.errors import CorruptionError

__all__ = [
    "DIRECTORY",
    "FILE",
    "Commit",
    "GitObject",
    "Kind",
    "ObjectId",
    "Signature",
    "Tree",
    "TreeEntry",
    "parse_commit",
    "parse_tree",
    "tree_object",
]

ObjectId = str
"""Forty hexadecimal digits."""

Kind = Literal["blob", "tree", "commit"]

_HINT = "git itself would not have made it; `git fsck` tells more"

FILE = 0o100644
DIRECTORY = 0o040000


@dataclass(frozen=True)
class GitObject:
    """One object: its kind and its body, named by the SHA-1 of both."""

    kind: Kind
    body: bytes

    @cached_property
    def id(self) -> ObjectId:
        """The object's id."""
        return hashlib.sha1(
            b"%s %d\0" % (self.kind.encode(), len(self.body)) + self.body, usedforsecurity=False
        ).hexdigest()


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """What a name in a tree stands for: a mode, as git writes it, and an object."""

    mode: int
    id: ObjectId

    @property
    def is_directory(self) -> bool:
        """Whether the entry is another tree."""
        return self.mode == DIRECTORY


Tree = Mapping[str, TreeEntry]
"""The entries of a tree by name. Names that are not UTF-8 carry their odd bytes as lone surrogates (PEP 383)."""


def tree_object(tree: Tree) -> GitObject:
    """Return the object of ``tree``, its entries in git's order: by name, a directory as if it ended with ``/``."""
    entries = [(_name_bytes(name), entry) for name, entry in tree.items()]
    entries.sort(key=lambda item: item[0] + b"/" if item[1].is_directory else item[0])
    return GitObject("tree", b"".join(b"%o %s\0%s" % (e.mode, name, bytes.fromhex(e.id)) for name, e in entries))


def parse_tree(body: bytes) -> dict[str, TreeEntry]:
    """Read the body of a tree.

    Raises:
        CorruptionError: The bytes are no tree.
    """
    tree: dict[str, TreeEntry] = {}
    start = 0
    try:
        while start < len(body):
            space = body.index(b" ", start)
            end = body.index(b"\0", space)
            raw_id = body[end + 1 : end + 21]
            if len(raw_id) != 20:
                raise ValueError("an entry is cut short")
            name = body[space + 1 : end].decode("utf-8", "surrogateescape")
            tree[name] = TreeEntry(int(body[start:space], 8), raw_id.hex())
            start = end + 21
    except ValueError as error:
        raise CorruptionError(f"its bytes are no tree: {error}", hint=_HINT) from error
    return tree


def _name_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


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
        lines += [b"author " + self.author.to_bytes(), b"committer " + self.committer.to_bytes()]
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
        return Commit(
            tree=fields[b"tree"][0].decode("ascii"),
            parents=tuple(parent.decode("ascii") for parent in fields.get(b"parent", [])),
            author=_parse_signature(fields[b"author"][0]),
            committer=_parse_signature(fields[b"committer"][0]),
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
