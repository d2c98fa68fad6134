"""The cached trees in git's index (its extension TREE): which tree the entries of a directory make.

With them git compares the index with a commit, and makes the trees of a commit, without a look at most entries. The
format is git's own, https://git-scm.com/docs/index-format#_cache_tree: each directory has its name, how many entries
are below it, its tree, and its directories; a count of -1 says that the tree is not known. A directory whose tree is
known knows the trees of all its directories.

No id is taken on trust. The tree of a directory that changed is worked out from the tree that it had and the changes,
and is kept if it is the one that the commit to be shown has in this place, so that it is there to be read.
"""

import re
from collections.abc import Callable, Mapping

from gitstate.engine import trees
from gitstate.engine.base import Source
from gitstate.engine.objects import DIRECTORY, ObjectId, Tree, TreeEntry, name_bytes, name_text
from gitstate.errors import CorruptionError

__all__ = ["CachedTree", "updated"]

_HEAD = re.compile(rb"([^\0]*)\0(-1|\d+) (\d+)\n")  # name, count of entries, count of directories; then the id
_UNKNOWN = -1

_Changes = Mapping[str, TreeEntry | None]  # by path; None: there is no entry any more


class CachedTree:
    """One directory: its tree's id, and the ``count`` of entries below it; -1 if the tree is not known.

    Its directories are read when they are asked for: most are written as they were.
    """

    def __init__(self, count: int = _UNKNOWN, tree_id: ObjectId = "") -> None:
        self.count = count
        self.id = tree_id
        self._below: dict[str, CachedTree] | None = {}
        self._raw = b""  # as read, from the name on; valid as long as ``_below`` is None

    @classmethod
    def parse(cls, data: bytes) -> "CachedTree":
        """Read the extension's bytes.

        Raises:
            ValueError: They are not what git writes.
        """
        if _end(data, 0) != len(data):
            raise ValueError("cached trees are followed by other bytes")
        return cls._read(data)[1]

    @classmethod
    def _read(cls, raw: bytes) -> "tuple[str, CachedTree]":
        name, count, _, start = _head(raw, 0)
        found = cls(count, raw[start - 20 : start].hex() if count >= 0 else "")
        found._below, found._raw = None, raw
        return name_text(name), found

    @property
    def below(self) -> "dict[str, CachedTree]":
        """The directories in it by name; whoever changes them changes this one."""
        if self._below is None:
            _, _, number, start = _head(self._raw, 0)
            self._below = {}
            for _ in range(number):
                end = _end(self._raw, start)
                name, child = self._read(self._raw[start:end])
                self._below[name] = child
                start = end
        return self._below

    def ids(self) -> list[ObjectId]:
        """Return the ids of all trees that are known."""
        return [self.id] * (self.count >= 0) + [tree_id for child in self.below.values() for tree_id in child.ids()]

    def to_bytes(self, name: bytes = b"") -> bytes:
        """Write the directory and all below it, under a name; the root has an empty one."""
        if self._below is None:
            return self._raw
        named = [(name_bytes(child), below) for child, below in self._below.items()]
        named.sort(key=lambda item: (len(item[0]), item[0]))  # git's order: the shorter first
        head = b"%s\0%d %d\n%s" % (name, self.count, len(named), bytes.fromhex(self.id) if self.count >= 0 else b"")
        return head + b"".join([child.to_bytes(name) for name, child in named])


def _head(data: bytes, start: int) -> tuple[bytes, int, int, int]:
    """Read one directory's own part: its name, its two counts, and where the part ends."""
    match = _HEAD.match(data, start)
    if match is None:
        raise ValueError("cached trees are cut short")
    count = int(match[2])
    return match[1], count, int(match[3]), match.end() + (20 if count >= 0 else 0)


def _end(data: bytes, start: int) -> int:
    """Return where a directory with all below it ends."""
    more, match = 1, _HEAD.match
    while more:
        found = match(data, start)
        if found is None:
            raise ValueError("cached trees are cut short")
        count, number = found.group(2, 3)
        start = found.end() + (0 if count == b"-1" else 20)
        if number != b"0":
            more += int(number)
        more -= 1
    if start > len(data):
        raise ValueError("cached trees are cut short")
    return start


def updated(
    root: CachedTree | None, changes: _Changes, source: Source, target: ObjectId, is_untouched: Callable[[str], bool]
) -> CachedTree:
    """Return the cached trees of an index after some of its entries were changed.

    Args:
        root: What the index had; it is used up. None if it had none.
        changes: What became of each entry that may have changed; none of them is only intended (``git add -N``).
        source: Reads trees.
        target: The tree of the commit that the index is brought to; ids come from it and from ``root`` alone.
        is_untouched: Whether the index has entries below a directory (``"a/b/"``, ``""`` for the root) that are not
            among the changes.
    """
    return _Update(source, is_untouched).directory(root, "", changes, target)


class _Update:
    def __init__(self, source: Source, is_untouched: Callable[[str], bool]) -> None:
        self._source = source
        self._is_untouched = is_untouched

    def directory(self, old: CachedTree | None, prefix: str, changes: _Changes, target: ObjectId | None) -> CachedTree:
        """Return what a directory became; it has no entries any more if its count is 0."""
        if (old is None or old.count < 0) and not self._is_untouched(prefix):
            old = _empty()  # all that it has is among the changes
        new = CachedTree()
        new.below.update(old.below if old is not None else {})
        base = self._read(old.id) if old is not None and old.count >= 0 else None
        goal = self._read(target) if target is not None else None
        direct, inner = _split(changes)
        edits: dict[str, TreeEntry | None] = dict(direct)
        count = old.count if old is not None else _UNKNOWN
        if base is not None:
            count += sum(entry is not None for entry in direct.values())
            count -= sum(name in base and not base[name].is_directory for name in direct)
        for name, below in inner.items():
            was = new.below.pop(name, None)
            if was is None and base is not None and not _subtree(base, name):
                was = _empty()
            now = self.directory(was, f"{prefix}{name}/", below, _subtree(goal, name))
            if now.count:
                new.below[name] = now
                edits[name] = TreeEntry(DIRECTORY, now.id)
            else:
                edits.setdefault(name, None)  # a file may stand in its place
            if was is None or was.count < 0 or now.count < 0:
                base = None
            else:
                count += now.count - was.count
        if base is not None:
            tree_id = base.with_entries(edits).to_object().id
            if tree_id in (target, trees.EMPTY, old.id if old is not None else ""):
                new.count, new.id = count, tree_id
        return new

    def _read(self, tree_id: ObjectId) -> Tree | None:
        """Return a tree, or None: git may have taken one away that only the index named."""
        try:
            return trees.read(self._source, None if tree_id == trees.EMPTY else tree_id)
        except CorruptionError:
            return None


def _empty() -> CachedTree:
    return CachedTree(0, trees.EMPTY)


def _subtree(tree: Tree | None, name: str) -> ObjectId | None:
    entry = None if tree is None else tree.get(name)
    return entry.id if entry is not None and entry.is_directory else None


def _split(changes: _Changes) -> tuple[dict[str, TreeEntry | None], dict[str, dict[str, TreeEntry | None]]]:
    """Part changes of the files in a directory from those below its directories."""
    direct: dict[str, TreeEntry | None] = {}
    inner: dict[str, dict[str, TreeEntry | None]] = {}
    for path, entry in changes.items():
        name, slash, rest = path.partition("/")
        if slash:
            inner.setdefault(name, {})[rest] = entry
        else:
            direct[name] = entry
    return direct, inner
