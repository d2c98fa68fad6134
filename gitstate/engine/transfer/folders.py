"""Judges the folders of commits that nobody trusts, where they differ from those of the parents.

Commits are taken together, and their trees level by level, so that many can be read at once while little is kept. A
folder is judged once, however many places it stands at; where those are, :meth:`Folders.changed` tells afterwards.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gitstate.engine.gitindex import is_safe
from gitstate.engine.limits import Limits
from gitstate.engine.objects import ObjectId, name_text
from gitstate.engine.transfer.arrivals import Arrivals, Read
from gitstate.engine.transfer.findings import Findings, unreadable
from gitstate.engine.transfer.treediff import DIRECTORY, Entry, Listing, compare

__all__ = ["Commit", "Folder", "Folders", "distinct"]

_CACHE = 64 << 20  # bytes of trees that are kept
_OVERHEAD = 300  # bytes that each takes besides
_NAMES = 100_000  # names that are known to be harmless
_FILES_PER_OBJECT = 20
_FILE_MODES = {b"100644", b"100755"}
_STRANGE = {b"120000": "a symbolic link", b"160000": "a submodule"}
_FILE = re.compile(rb"([^\0]*)\0(.{20})", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_SHOWN = 100  # bytes of a path that is too long
_WHEN = re.compile(r" -?\d+ [+-]\d+$")


@dataclass(slots=True)
class Commit:
    """A commit that is new: its tree and those of its parents; its id and signature, to be told of what is wrong."""

    id: ObjectId
    signature: bytes
    tree: bytes
    bases: tuple[bytes, ...]

    @property
    def author(self) -> str:
        """Name and address of who made it."""
        return _WHEN.sub("", name_text(self.signature))


@dataclass(slots=True, eq=False)
class Folder:
    """A tree that is new in its place, beside those of the parents; where it was met first, and what differs there."""

    tree: bytes
    bases: tuple[bytes, ...]
    path: bytes
    commit: Commit
    files: bytes = b""  # names and ids, as close together as in a tree
    folders: Sequence[tuple[bytes, "Folder"]] = ()


_Key = tuple[bytes, tuple[bytes, ...]]


class Folders:
    """Judges folders.

    Args:
        arrivals: Reads them.
        limits: What is taken in.
        objects: How many objects arrived.
        findings: Is told what is wrong.
    """

    def __init__(self, arrivals: Arrivals, limits: Limits, objects: int, findings: Findings) -> None:
        self._limits = limits
        self._left = limits.entries + _FILES_PER_OBJECT * objects
        self._findings = findings
        self._trees = _Trees(arrivals, limits.tree_bytes)
        self._names: set[bytes] = set()

    def judge(self, commits: Sequence[Commit]) -> list[Folder]:
        """Judge all folders of some commits that are new; return those at the top."""
        met: dict[_Key, Folder] = {}
        top = []
        for commit in commits:
            if commit.tree not in commit.bases:
                key = (commit.tree, commit.bases)
                if key not in met:
                    met[key] = Folder(*key, b"", commit)
                top.append(met[key])
        level = list(met.values())
        for _ in range(self._limits.depth):
            if not level:
                return top
            level = self._level(level, met)
        for folder in level:
            self._say(folder.path, f"folders lie deeper than {self._limits.depth}", folder.commit)
        return top

    def changed(self, root: Folder) -> Iterator[tuple[bytes, bytes]]:
        """Yield the paths and ids of the files that differ below a folder, and judge how deep and how many they are.

        Raises:
            UntrustedError: They are too many to go on.
        """
        stack = [(root, b"", 1)]
        while stack:
            folder, prefix, depth = stack.pop()
            files: list[tuple[bytes, bytes]] = _FILE.findall(folder.files)
            self._left -= 1 + len(files)
            if self._left < 0:
                what = f"with this folder more than {self._limits.entries} files are new that repeat others"
                self._say(prefix.rstrip(b"/"), what, root.commit)
                self._findings.refuse()
            for name, blob in files:
                if len(prefix) + len(name) > self._limits.path_bytes:
                    self._say(prefix[:_SHOWN] + b"...", "its path is too long", root.commit)
                else:
                    yield prefix + name, blob
            if folder.folders and depth == self._limits.depth:
                self._say(prefix[:_SHOWN] + b"...", f"folders lie deeper than {depth}", root.commit)
                continue
            stack += [(child, b"%s%s/" % (prefix, name), depth + 1) for name, child in folder.folders]

    def _say(self, path: bytes, what: str, commit: Commit) -> None:
        self._findings.add_file("tree", path, what, commit.id, commit.author)

    def _level(self, folders: Sequence[Folder], met: dict[_Key, Folder]) -> list[Folder]:
        """Judge folders, and return those in them that are new and not met yet."""
        below: list[Folder] = []
        find, load = self._trees.find, self._trees.load
        with self._trees.planned(folders):
            for folder in folders:
                listing = find(folder.tree) or load(folder.tree)
                if listing.problem:
                    self._say(folder.path, listing.problem, folder.commit)
                    continue
                bases = [find(tree) or load(tree) for tree in folder.bases]
                if len(bases) != 1 or not bases[0].is_tree:
                    bases = [base for base in bases if base.is_tree]
                entries = bases[0].replaced(listing) if len(bases) == 1 else None
                if entries is None:
                    entries, faults = compare(listing, bases[0] if bases else None)
                    for fault in faults:
                        self._say(folder.path, fault, folder.commit)
                self._enter(folder, entries, bases, met, below)
        return below

    def _enter(
        self,
        folder: Folder,
        entries: Sequence[Entry],
        bases: Sequence[Listing],
        met: dict[_Key, Folder],
        below: list[Folder],
    ) -> None:
        """Judge the entries in which a folder differs; what is in it that is new and not met yet goes below."""
        files, folders = [], []
        for entry in entries:
            mode, name, object_id, was = entry
            there: tuple[bytes, ...] = () if was is None else (was,)
            if len(bases) > 1:
                there = distinct([was, *(base.get(mode, name) for base in bases[1:])])
                if object_id in there:
                    continue
            if mode == DIRECTORY:
                if there or self._is_harmless(entry, folder):
                    child = met.get((object_id, there))
                    if child is None:
                        child = Folder(object_id, there, _inside(folder, name), folder.commit)
                        met[object_id, there] = child
                        below.append(child)
                    folders.append((name, child))
            elif (there and mode in _FILE_MODES) or self._is_harmless(entry, folder):
                files.append(b"%s\0%s" % (name, object_id))
        if files:
            folder.files = b"".join(files)
        if folders:
            folder.folders = folders

    def _is_harmless(self, entry: Entry, folder: Folder) -> bool:
        """Judge the mode and the name of an entry."""
        mode, name, _, _ = entry
        if mode != DIRECTORY and mode not in _FILE_MODES:
            what = _STRANGE.get(mode, f"something of the mode {mode.decode('ascii')}")
        elif name in self._names:
            return True
        elif len(name) > self._limits.name_bytes:
            what = f"a name of {len(name)} bytes, more than {self._limits.name_bytes}"
        elif _CONTROL.search(name) or b"/" in name or not is_safe(name_text(name)):
            what = "a name that no file can have"
        else:
            if len(self._names) < _NAMES:
                self._names.add(name)
            return True
        self._say(_inside(folder, name)[: self._limits.path_bytes], f"it is {what}", folder.commit)
        return False


class _Trees:
    """The trees that were read last, up to a number of bytes, and those that are about to be, in bulk."""

    def __init__(self, arrivals: Arrivals, longest: int) -> None:
        self._arrivals = arrivals
        self._longest = longest
        self._lately: OrderedDict[bytes, Listing] = OrderedDict()
        self._size = 0
        self._coming: dict[bytes, None] = {}
        self._items: Iterator[tuple[bytes, Read | None]] = iter(())
        self.find = self._lately.get

    @contextmanager
    def planned(self, folders: Sequence[Folder]) -> Iterator[None]:
        """Read what stands in some folders, and in those before them, while the block asks for it in this order."""
        wanted = dict.fromkeys([tree for folder in folders for tree in (*folder.bases, folder.tree)])
        coming = [tree for tree in wanted if tree not in self._lately]
        self._coming = dict.fromkeys(coming)
        items = self._arrivals.read(coming, "tree", self._longest)
        self._items = zip(coming, items, strict=True)
        try:
            yield
        finally:
            items.close()

    def load(self, tree: bytes) -> Listing:
        """Return what stands in a folder that is not among those that were read last, or why that cannot be told."""
        coming = self._coming
        while tree in coming:
            each, item = next(self._items)
            del coming[each]
            listing = self._keep(each, item)
            if each == tree:
                return listing
        return self._keep(tree, self._arrivals.read_one(tree.hex(), "tree", self._longest))  # it was forgotten since

    def _keep(self, tree: bytes, item: Read | None) -> Listing:
        if item is not None and item[0] == "tree" and item[1] <= self._longest:
            listing = Listing(item[2])
        else:
            listing = Listing(b"", unreadable(item, "folder", self._longest))
        self._lately[tree] = listing
        self._size += len(listing.body) + _OVERHEAD
        while self._size > _CACHE:
            self._size -= len(self._lately.popitem(last=False)[1].body) + _OVERHEAD
        return listing


def _inside(folder: Folder, name: bytes) -> bytes:
    return b"%s/%s" % (folder.path, name) if folder.path else name


def distinct(ids: Iterable[bytes | None]) -> tuple[bytes, ...]:
    """Return some ids, each once."""
    return tuple([each for each in dict.fromkeys(ids) if each is not None])
