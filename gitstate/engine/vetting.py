"""Judges a history that others sent: all that is new in it must be there, well-made, and harmless on a disk.

What a commit has in common with its parents was looked at with them, so an unchanged folder costs one comparison of two
ids. Commits are taken in stretches, and of each stretch the trees level by level, so that many can be read at once
while little is kept. A folder is judged once, however many places it stands at; where those are is told afterwards.
"""

import gc
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from gitstate.engine.arrivals import Arrivals, Read
from gitstate.engine.check import Problem, commit_faults
from gitstate.engine.gitindex import is_safe
from gitstate.engine.limits import Limits
from gitstate.engine.objects import ObjectId
from gitstate.engine.treediff import DIRECTORY, Entry, Listing, compare
from gitstate.errors import UntrustedError
from gitstate.values.nesting import is_deeper

__all__ = ["HINT", "Owned", "vet"]

Owned = Callable[[str], bool]
"""Whether a path is a file of a document."""

_LISTED = 20  # problems that are told one by one
_STRETCH = 4096  # commits
_CACHE = 64 << 20  # bytes of trees that are kept
_OVERHEAD = 300  # bytes that each takes besides
_NAMES = 100_000  # names that are known to be harmless
_FILES_PER_OBJECT = 20
_FILE_MODES = {b"100644", b"100755"}
_STRANGE = {b"120000": "a symbolic link", b"160000": "a submodule"}
_FILE = re.compile(rb"([^\0]*)\0(.{20})", re.DOTALL)
_BATCH = 50_000  # files
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_ID = rb"[0-9a-f]{40}"
_LINKS = re.compile(  # as it must be by what `check` says of a commit
    rb"tree (%s)\n((?:parent %s\n)*)author ([^\n]*)\ncommitter [^\n]*\n(?!author |committer )" % (_ID, _ID)
)
_WHEN = re.compile(r" -?\d+ [+-]\d+$")
HINT = "have it mended where it was made, or ask the author; nothing was taken in"


def vet(
    arrivals: Arrivals,
    tips: Sequence[ObjectId],
    known: Sequence[ObjectId],
    owned: Owned,
    limits: Limits,
    *,
    objects: int,
    problems: Sequence[Problem] = (),
) -> None:
    """Check all that commits have in their history and known ones have not.

    Args:
        arrivals: Reads what arrived.
        tips: The commits.
        known: Commits that nobody doubts, with all that they reach.
        owned: Tells which files are documents.
        limits: What is taken in.
        objects: How many objects arrived.
        problems: What is wrong anyhow.

    Raises:
        UntrustedError: Something must not be taken in; it lists what.
    """
    vetting = _Vetting(arrivals, owned, limits, objects)
    for problem in problems:
        vetting.say(problem)
    vetting.run(tips, known)
    vetting.end()


@dataclass(slots=True)
class _Commit:
    """A commit that is new: where it stands and who made it, to be told of what is wrong."""

    id: ObjectId
    links: re.Match[bytes]
    tree: bytes
    bases: tuple[bytes, ...]


@dataclass(slots=True, eq=False)
class _Folder:
    """A tree that is new in its place, beside those of the parents; where it was met first, and what differs there."""

    tree: bytes
    bases: tuple[bytes, ...]
    path: bytes
    commit: _Commit
    files: bytes = b""  # names and ids, as close together as in a tree
    folders: Sequence[tuple[bytes, "_Folder"]] = ()


class _File(NamedTuple):
    """A file that is new: where it was met, and whether it is a JSON file of a document there."""

    path: bytes
    commit: _Commit
    is_document: bool


_Key = tuple[bytes, tuple[bytes, ...]]


class _Vetting:
    def __init__(self, arrivals: Arrivals, owned: Owned, limits: Limits, objects: int) -> None:
        self._arrivals = arrivals
        self._owned = owned
        self._limits = limits
        self._left = limits.entries + _FILES_PER_OBJECT * objects
        self._problems: list[Problem] = []
        self._count = 0
        self._trees: dict[ObjectId, bytes] = {}  # of commits that were looked at
        self._listings = _Trees(arrivals, limits.tree_bytes)
        self._names: set[bytes] = set()

    def end(self) -> None:
        """Raise what was found."""
        if self._count:
            first = self._problems[0]
            more = f", and {self._count - 1} more" if self._count > 1 else ""
            by = f", by {first.author}" if first.author else ""
            raise UntrustedError(
                f"what the remote sent cannot be taken in: {first.place}: {first.what}{by}{more}",
                problems=self._problems,
                hint=HINT,
            )

    def run(self, tips: Sequence[ObjectId], known: Sequence[ObjectId]) -> None:
        found = self._arrivals.new_commits(tips, known)
        for commit_id, (reason, child) in found.missing.items():
            place = f"the parent {commit_id[:12]} of {child[:12]}" if child else f"revision {commit_id[:12]}"
            item = self._read_commit(commit_id)
            what = reason if item is None else self._fault(item)
            self._say("commit", place, what or reason, child or commit_id, "")
        for start in range(0, len(found.ids), _STRETCH):
            with _uncollected():
                commits = list(self._commits(found.ids[start : start + _STRETCH]))
                self._files(self._folders(commits))

    def say(self, problem: Problem) -> None:
        """Count a problem, and list it if it is one of the first."""
        self._count += 1
        if len(self._problems) < _LISTED:
            self._problems.append(problem)

    def _say(self, kind: str, place: str, what: str, revision: ObjectId, author: str) -> None:
        self.say(Problem(kind, _shown(place), _shown(what), HINT, revision=revision, author=_shown(author)))

    def _say_of(self, kind: str, path: bytes, what: str, commit: _Commit) -> None:
        place = f"{_text(path) or 'the top'} at revision {commit.id[:12]}"
        self._say(kind, place, what, commit.id, _author(commit.links))

    def _commits(self, ids: Sequence[ObjectId]) -> Iterator[_Commit]:
        """Yield the commits that lead to a tree, and judge them all."""
        raw = [bytes.fromhex(commit_id) for commit_id in ids]
        longest = self._limits.commit_bytes
        for commit_id, item in zip(ids, self._arrivals.read(raw, "commit", longest), strict=True):
            links = _LINKS.match(item[2]) if item is not None and item[0] == "commit" else None
            fault = self._fault(item)
            if fault:
                self._say("commit", f"revision {commit_id[:12]}", fault, commit_id, _author(links))
            if links is not None:
                tree = self._trees[commit_id] = bytes.fromhex(links[1].decode("ascii"))
                parents = links[2].decode("ascii").split()[1::2]
                yield _Commit(commit_id, links, tree, self._trees_of(parents))

    def _fault(self, item: Read | None) -> str:
        """Return what is wrong with a commit, or nothing."""
        if item is None or item[0] != "commit" or item[1] > self._limits.commit_bytes:
            return _unreadable(item, "commit", self._limits.commit_bytes)
        if b"\0" in item[2]:
            return "it holds a NUL byte, after which git shows nothing of it"
        return "" if _LINKS.match(item[2]) else next(commit_faults(item[2]))[0]

    def _read_commit(self, commit_id: ObjectId) -> Read | None:
        try:
            raw = bytes.fromhex(commit_id)
        except ValueError:
            return None  # a commit named it
        return next(self._arrivals.read([raw], "commit", self._limits.commit_bytes))

    def _trees_of(self, commits: Sequence[ObjectId]) -> tuple[bytes, ...]:
        """Return the trees of parents, each once, as far as they can be told: what cannot is another problem."""
        found = [self._trees.get(commit_id) or self._tree_of(commit_id) for commit_id in commits]
        return _distinct(found)

    def _tree_of(self, commit_id: ObjectId) -> bytes | None:
        item = self._read_commit(commit_id)
        links = _LINKS.match(item[2]) if item is not None and item[0] == "commit" else None
        if links is None:
            return None
        tree = self._trees[commit_id] = bytes.fromhex(links[1].decode("ascii"))
        return tree

    def _folders(self, commits: Sequence[_Commit]) -> list[_Folder]:
        """Judge all folders of a stretch of commits, level by level; return those at the top."""
        met: dict[_Key, _Folder] = {}
        top = []
        for commit in commits:
            if commit.tree not in commit.bases:
                key = (commit.tree, commit.bases)
                if key not in met:
                    met[key] = _Folder(*key, b"", commit)
                top.append(met[key])
        level = list(met.values())
        for _ in range(self._limits.depth):
            if not level:
                return top
            level = self._level(level, met)
        for folder in level:
            self._say_of("tree", folder.path, f"folders lie deeper than {self._limits.depth}", folder.commit)
        return top

    def _level(self, folders: Sequence[_Folder], met: dict[_Key, _Folder]) -> list[_Folder]:
        """Judge folders, and return those in them that are new and not met yet."""
        below: list[_Folder] = []
        self._listings.plan(folders)
        find, load = self._listings.find, self._listings.load
        for folder in folders:
            listing = find(folder.tree) or load(folder.tree)
            if listing.problem:
                self._say_of("tree", folder.path, listing.problem, folder.commit)
                continue
            bases = [find(tree) or load(tree) for tree in folder.bases]
            if len(bases) != 1 or not bases[0].is_tree:
                bases = [base for base in bases if base.is_tree]
            entries = bases[0].replaced(listing) if len(bases) == 1 else None
            if entries is None:
                entries, faults = compare(listing, bases[0] if bases else None)
                for fault in faults:
                    self._say_of("tree", folder.path, fault, folder.commit)
            self._enter(folder, entries, bases, met, below)
        return below

    def _enter(
        self,
        folder: _Folder,
        entries: Sequence[Entry],
        bases: Sequence[Listing],
        met: dict[_Key, _Folder],
        below: list[_Folder],
    ) -> None:
        """Judge the entries in which a folder differs; what is in it that is new and not met yet goes below."""
        files, folders = [], []
        for entry in entries:
            mode, name, object_id, was = entry
            there: tuple[bytes, ...] = () if was is None else (was,)
            if len(bases) > 1:
                there = _distinct([was, *(base.get(mode, name) for base in bases[1:])])
                if object_id in there:
                    continue
            if mode == DIRECTORY:
                if there or self._is_harmless(entry, folder):
                    child = met.get((object_id, there))
                    if child is None:
                        child = _Folder(object_id, there, _inside(folder, name), folder.commit)
                        met[object_id, there] = child
                        below.append(child)
                    folders.append((name, child))
            elif (there and mode in _FILE_MODES) or self._is_harmless(entry, folder):
                files.append(b"%s\0%s" % (name, object_id))
        if files:
            folder.files = b"".join(files)
        if folders:
            folder.folders = folders

    def _is_harmless(self, entry: Entry, folder: _Folder) -> bool:
        """Judge the mode and the name of an entry."""
        mode, name, _, _ = entry
        if mode != DIRECTORY and mode not in _FILE_MODES:
            what = _STRANGE.get(mode, f"something of the mode {mode.decode('ascii')}")
        elif name in self._names:
            return True
        elif len(name) > self._limits.name_bytes:
            what = f"a name of {len(name)} bytes, more than {self._limits.name_bytes}"
        elif _CONTROL.search(name) or b"/" in name or not is_safe(_text(name)):
            what = "a name that no file can have"
        else:
            if len(self._names) < _NAMES:
                self._names.add(name)
            return True
        self._say_of("tree", _inside(folder, name)[: self._limits.path_bytes], f"it is {what}", folder.commit)
        return False

    def _files(self, roots: Sequence[_Folder]) -> None:
        """Judge the files that differ in a stretch of commits, each once, at the first place that asks most of it."""
        files: dict[bytes, _File] = {}
        for root in roots:
            for path, blob in self._changed(root):
                met = files.get(blob)
                if met is None or not met.is_document:
                    is_document = path.endswith(b".json") and self._owned(_text(path))
                    if met is None or is_document:
                        files[blob] = _File(path, root.commit, is_document)
            if len(files) > _BATCH:
                self._judge(files)
                files.clear()
        self._judge(files)

    def _judge(self, files: Mapping[bytes, _File]) -> None:
        limits, to_read = self._limits, []
        for (blob, file), fact in zip(files.items(), self._arrivals.facts(list(files)), strict=True):
            longest = limits.document_bytes if file.is_document else limits.object_bytes
            if fact is None or fact[0] != "blob" or fact[1] > longest:
                self._say_of("file", file.path, _unreadable(fact, "file", longest), file.commit)
            elif file.is_document and fact[1] > limits.nesting:
                to_read.append(blob)
        for blob, item in zip(to_read, self._arrivals.read(to_read, "blob", limits.document_bytes), strict=True):
            if item is None:
                self._say_of("file", files[blob].path, _unreadable(item, "file", 0), files[blob].commit)
            elif is_deeper(item[2], limits.nesting):
                what = f"objects and lists lie in one another more than {limits.nesting} levels deep"
                self._say_of("file", files[blob].path, what, files[blob].commit)

    def _changed(self, root: _Folder) -> Iterator[tuple[bytes, bytes]]:
        """Yield the paths and ids of the files that differ below a folder, and judge how deep and how many they are."""
        stack = [(root, b"", 1)]
        while stack:
            folder, prefix, depth = stack.pop()
            files: list[tuple[bytes, bytes]] = _FILE.findall(folder.files)
            self._left -= 1 + len(files)
            if self._left < 0:
                what = f"with this folder more than {self._limits.entries} files are new that repeat others"
                self._say_of("tree", prefix.rstrip(b"/"), what, root.commit)
                self.end()
            for name, blob in files:
                if len(prefix) + len(name) > self._limits.path_bytes:
                    self._say_of("tree", prefix[:100] + b"...", "its path is too long", root.commit)
                else:
                    yield prefix + name, blob
            if folder.folders and depth == self._limits.depth:
                self._say_of("tree", prefix[:100] + b"...", f"folders lie deeper than {depth}", root.commit)
                continue
            stack += [(child, b"%s%s/" % (prefix, name), depth + 1) for name, child in folder.folders]


def _inside(folder: _Folder, name: bytes) -> bytes:
    return b"%s/%s" % (folder.path, name) if folder.path else name


def _distinct(ids: Iterable[bytes | None]) -> tuple[bytes, ...]:
    return tuple([each for each in dict.fromkeys(ids) if each is not None])


def _unreadable(fact: Sequence[Any] | None, what: str, longest: int) -> str:
    """Say why something cannot be a folder or a file."""
    if fact is None:
        return "it is missing or damaged"
    kind, size = fact[:2]
    return f"it has {size} bytes, more than {longest}" if size > longest else f"a {kind} stands where a {what} should"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage in circles, which is a quarter of the time, and here are none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _author(links: re.Match[bytes] | None) -> str:
    return _WHEN.sub("", _text(links[3])) if links else ""


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

    def plan(self, folders: Sequence[_Folder]) -> None:
        """Begin to read what stands in some folders, and in those before them, to be asked for in this order."""
        wanted = dict.fromkeys([tree for folder in folders for tree in (*folder.bases, folder.tree)])
        coming = [tree for tree in wanted if tree not in self._lately]
        self._coming = dict.fromkeys(coming)
        self._items = zip(coming, self._arrivals.read(coming, "tree", self._longest), strict=True)

    def load(self, tree: bytes) -> Listing:
        """Return what stands in a folder that is not among those that were read last, or why that cannot be told."""
        coming = self._coming
        while tree in coming:
            each, item = next(self._items)
            del coming[each]
            listing = self._keep(each, item)
            if each == tree:
                return listing
        return self._keep(tree, next(self._arrivals.read([tree], "tree", self._longest)))  # it was forgotten since

    def _keep(self, tree: bytes, item: Read | None) -> Listing:
        if item is not None and item[0] == "tree" and item[1] <= self._longest:
            listing = Listing(item[2])
        else:
            listing = Listing(b"", _unreadable(item, "folder", self._longest))
        self._lately[tree] = listing
        self._size += len(listing.body) + _OVERHEAD
        while self._size > _CACHE:
            self._size -= len(self._lately.popitem(last=False)[1].body) + _OVERHEAD
        return listing


def _shown(text: str) -> str:
    """Return a text of somebody's whom nobody trusts as it may be shown on a terminal."""
    return "".join(
        [
            char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
            for char in text
        ]
    )


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
