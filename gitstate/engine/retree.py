"""Writes trees anew, many at once: without some paths, and with each file changed by a function.

Trees are handled as bytes: of the thousand entries of a folder the one that changes is spliced in.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from gitstate.engine.base import Engine
from gitstate.engine.objects import RAW_DIRECTORIES, RAW_SUBMODULE, GitObject, ObjectId, name_bytes, raw_entries
from gitstate.errors import CorruptionError

__all__ = ["Sink", "TreeRewriter"]

Sink: TypeAlias = Callable[[str, bytes], object]
"""Takes a new object: its kind and its body."""

_READ_AT_ONCE = 2000  # trees


class TreeRewriter:
    """Writes root trees anew and remembers what became of each tree and file.

    Args:
        engine: Reads them.
        file: Gives the content of a file; None: files stay as they are.
        is_named: Whether the name of a file or folder holds what may not stay.
    """

    def __init__(
        self, engine: Engine, file: Callable[[bytes], bytes] | None, is_named: Callable[[bytes], bool]
    ) -> None:
        self.sink: Sink | None = None
        self.changed: Counter[str] = Counter()
        """How many contents were changed, by the path at which each was met first."""
        self.removed: Counter[str] = Counter()
        """From how many root trees something was removed, by its path."""
        self.named: set[str] = set()
        """The paths of which a name holds what may not stay."""
        self._engine = engine
        self._file = file
        self._is_named = is_named
        self._names: set[bytes] = set()  # that were looked at
        self._pruned: dict[tuple[ObjectId, tuple[str, ...]], ObjectId] = {}
        self._same: set[bytes] = set()  # trees and files that stay as they are
        self._new: dict[bytes, bytes] = {}  # what trees and files became
        self._read: dict[bytes, bytes] = {}  # bodies of trees, of this chunk
        self._made: dict[bytes, bytes] = {}  # new ones, of this chunk
        self._made_roots: dict[bytes, bytes] = {}

    def body(self, tree_id: ObjectId) -> bytes:
        """Return the body of a tree, which may be a new root tree, or a new one of the chunk."""
        key = bytes.fromhex(tree_id)
        for known in (self._made, self._made_roots, self._read):
            if key in known:
                return known[key]
        return self._engine.read(tree_id, "tree")

    def is_changed(self, tree_id: ObjectId) -> bool:
        """Whether a tree that was met does not stay as it is."""
        return bytes.fromhex(tree_id) in self._new

    def read_ahead(self, ids: Iterable[ObjectId]) -> None:
        """Read trees at once that are asked for one by one soon."""
        wanted = [each for each in dict.fromkeys(ids) if bytes.fromhex(each) not in self._read]
        for start in range(0, len(wanted), _READ_AT_ONCE):
            for item in self._engine.bulk(wanted[start : start + _READ_AT_ONCE]):
                if item.kind == "tree":
                    self._read[bytes.fromhex(item.id)] = item.body

    def end_chunk(self) -> None:
        """Forget what only speeds up what was just done."""
        self._read.clear()
        self._made.clear()

    def rewrite(self, wanted: Sequence[tuple[ObjectId, tuple[str, ...]]]) -> list[ObjectId]:
        """Return what root trees become without some paths each.

        Raises:
            CorruptionError: An object is missing or damaged.
        """
        for depth in range(max((path.count("/") for _, paths in wanted for path in paths), default=0)):
            self.read_ahead(self._on_the_way(wanted, depth))
        roots = [self._prune(root, paths) for root, paths in wanted]
        if self._file is not None:
            self._map([bytes.fromhex(root) for root in dict.fromkeys(roots)])
            roots = [self._new.get(key, key).hex() for key in map(bytes.fromhex, roots)]
        for key in map(bytes.fromhex, roots):
            if key in self._made:
                self._made_roots[key] = self._made[key]
        return roots

    # Paths that go

    def _on_the_way(self, wanted: Iterable[tuple[ObjectId, tuple[str, ...]]], depth: int) -> Iterator[ObjectId]:
        """Yield the trees that lie so deep on the way to what goes."""
        for root, paths in dict.fromkeys(wanted):
            if (root, paths) in self._pruned:
                continue
            for way in {tuple(path.split("/")[: depth + 1]) for path in paths if path.count("/") > depth}:
                key: bytes | None = bytes.fromhex(root)
                for name in way:
                    entry = None if key is None else _find(self.body(key.hex()), name_bytes(name))
                    key = entry[3] if entry is not None and entry[1] in RAW_DIRECTORIES else None
                if key is not None:
                    yield key.hex()

    def _prune(self, root: ObjectId, paths: tuple[str, ...]) -> ObjectId:
        """Return what a root tree is without some paths; where files are changed too, the new trees wait for that."""
        if not paths:
            return root
        if (root, paths) not in self._pruned:
            tree = bytes.fromhex(root)
            for path in paths:
                pruned = self._without(tree, [name_bytes(name) for name in path.split("/")])
                self.removed[path] += pruned != tree
                tree = pruned if pruned is not None else self._make(b"")
            self._pruned[root, paths] = tree.hex()
        return self._pruned[root, paths]

    def _without(self, tree: bytes, path: list[bytes]) -> bytes | None:
        """Return what a tree is without a path; None: nothing is left of it."""
        body = self.body(tree.hex())
        entry = _find(body, path[0])
        if entry is None or (len(path) > 1 and entry[1] not in RAW_DIRECTORIES):
            return tree
        inner = None if len(path) == 1 else self._without(entry[3], path[1:])
        if inner == entry[3]:
            return tree
        new = b"" if inner is None else body[entry.start(1) : entry.start(3)] + inner
        told = body[: entry.start(1)] + new + body[entry.end(3) :]
        return self._make(told) if told else None

    def _make(self, body: bytes) -> bytes:
        key = bytes.fromhex(GitObject("tree", body).id)
        if key not in self._made:
            self._made[key] = body
            if self._file is None and self.sink is not None:
                self.sink("tree", body)
        return key

    # Files that change

    def _map(self, roots: Iterable[bytes]) -> None:
        """Find out what trees become, with all that is in them."""
        inner: dict[bytes, list[bytes]] = {}  # by tree, the trees and files in it of which it is not known
        blobs: dict[bytes, str] = {}
        level = {root: "" for root in roots if not self._is_known(root)}
        while level:
            self.read_ahead(key.hex() for key in level if key not in self._made)
            below: dict[bytes, str] = {}
            for tree, path in level.items():
                inner[tree] = self._look_into(tree, path, below, blobs)
            level = {tree: path for tree, path in below.items() if tree not in inner}
        self._change(blobs)
        for tree in _children_first(inner):
            self._finish(tree, inner[tree])

    def _is_known(self, key: bytes) -> bool:
        return key in self._same or key in self._new

    def _look_into(self, tree: bytes, path: str, below: dict[bytes, str], blobs: dict[bytes, str]) -> list[bytes]:
        """Return the trees and files in a tree that may change, and note those of which it is not known."""
        found = []
        same = self._same
        for mode, name, key in raw_entries(self.body(tree.hex())):
            if name not in self._names:
                self._look_at_name(name, path)
            if key in same or mode == RAW_SUBMODULE:
                continue
            found.append(key)
            if key not in self._new:
                (below if mode in RAW_DIRECTORIES else blobs).setdefault(
                    key, path + name.decode("utf-8", "replace") + ("/" if mode in RAW_DIRECTORIES else "")
                )
        return found

    def _look_at_name(self, name: bytes, path: str) -> None:
        if self._is_named(name):
            self.named.add(path + name.decode("utf-8", "replace"))
        else:
            self._names.add(name)

    def _change(self, blobs: dict[bytes, str]) -> None:
        from gitstate.engine.rewriting import bodies  # which needs this module

        for object_id, body in bodies(self._engine, (key.hex() for key in blobs), "blob"):
            key, new = bytes.fromhex(object_id), body if self._file is None else self._file(body)
            if new == body:
                self._same.add(key)
            else:
                self._new[key] = bytes.fromhex(GitObject("blob", new).id)
                self.changed[blobs[key]] += 1
                if self.sink is not None:
                    self.sink("blob", new)

    def _finish(self, tree: bytes, inner: list[bytes]) -> None:
        """Note what a tree becomes, of which all that is in it is known."""
        if not any(key in self._new for key in inner):
            self._same.add(tree)
            if tree in self._made and self.sink is not None:
                self.sink("tree", self._made[tree])  # it is new, for it was pruned
            return
        old = self.body(tree.hex())
        pieces = [
            b"%s %s\0%s" % (mode, name, key if mode == RAW_SUBMODULE else self._new.get(key, key))
            for mode, name, key in raw_entries(old)
        ]
        body = b"".join(pieces)
        if len(body) != len(old):
            raise CorruptionError(f"tree {tree.hex()}: its bytes are no tree", hint="`git fsck` tells more")
        self._new[tree] = bytes.fromhex(GitObject("tree", body).id)
        self._made[self._new[tree]] = body
        if self.sink is not None:
            self.sink("tree", body)


def _children_first(inner: dict[bytes, list[bytes]]) -> Iterator[bytes]:
    """Yield trees, those that lie in others before them."""
    placed: set[bytes] = set()
    for root in inner:
        stack = [root]
        while stack:
            tree = stack[-1]
            missing = [key for key in inner[tree] if key in inner and key not in placed]
            if missing:
                stack += missing
                continue
            stack.pop()
            if tree not in placed:
                placed.add(tree)
                yield tree


def _find(body: bytes, name: bytes) -> re.Match[bytes] | None:
    """Return the entry of a name in a tree: its mode, its name, its id."""
    return re.compile(rb"(?:[0-7]+ [^\0]*\0.{20})*?([0-7]+) (%s)\0(.{20})" % re.escape(name), re.DOTALL).match(body)
