"""What people edited in the worktree and did not commit, found as git finds it: by the state of the files.

A file whose state is the one that git's index remembers is not read. What differs from what the view shows there, in
the folder or as it is staged, is an edit.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR

from gitstate.engine import gitindex, graph, trees
from gitstate.engine.base import Engine
from gitstate.engine.gitindex import GitIndex
from gitstate.engine.objects import LINK, ObjectId, TreeEntry, name_bytes, name_text
from gitstate.store.folder import Folder, is_beside
from gitstate.store.view_record import ViewRecord
from gitstate.store.worktree import UNFINISHED_MERGE, fold, folds_case, is_one_of

__all__ = ["Edit", "Edits", "find"]


@dataclass(frozen=True)
class Edit:
    """A file in the worktree that a person edited and did not commit.

    Args:
        path: Where it lies below the worktree.
        base: What the view showed there when the edit began; None: no file.
        found: What stands there; None: nothing, it was deleted.
        data: What that holds; of a link its target. None: it cannot be read, or there is nothing.
        staged: Whether something else than what the view shows is staged there.
        staged_entry: What is, if so; None: it is to be removed.
        odd: Whether something stands there that is neither a file nor a link.
    """

    path: str
    base: TreeEntry | None
    found: TreeEntry | None
    data: bytes | None = field(default=None, repr=False)
    staged: bool = False
    staged_entry: TreeEntry | None = None
    odd: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether a file stands there, or nothing."""
        return not self.odd and (self.found is None or self.found.mode != LINK)


@dataclass(frozen=True)
class Edits:
    """What differs in a folder from what the view shows.

    Args:
        shown: The tree that the view shows; None: none, or nobody knows.
        edits: The files that were edited, by path.
        others: The paths of files that git does not know and that are not ours; of a whole folder with a slash.
        pending: Why nobody can tell what was edited; empty if it is told.
    """

    shown: ObjectId | None
    edits: tuple[Edit, ...] = ()
    others: tuple[str, ...] = ()
    pending: str = ""


def find(
    engine: Engine, folder: Path, git_dir: Path, private: Path, tops: Collection[str], is_ours: Callable[[str], bool]
) -> Edits:
    """Return what people edited in a worktree.

    Args:
        engine: Reads what the view shows.
        folder: The worktree.
        git_dir: Its own git directory.
        private: Where the record of the view lies.
        tops: Folders in which files that git does not know may be ours.
        is_ours: Tells of the path of such a file whether it is.

    Raises:
        CorruptionError: git's index or an object is damaged.
        UnsupportedError: git's index is of a kind that only C git reads, and there is none.
        OSError: The disk refused.
    """
    record = ViewRecord.read(private)
    index = gitindex.read(git_dir, folder, private)
    if index.conflicted:
        return Edits(None, pending=UNFINISHED_MERGE)
    tree = record.shown[0] if len(record.shown) == 1 else None
    if tree is None:
        head = engine.head()
        tree = None if head is None else graph.read(engine, head).tree
    shown = dict(trees.files(engine, tree))
    known = {*shown, *index.paths(), *record.bases}
    twins = _twins(shown) if folds_case(git_dir) else set()
    walk = _Walk(folder, known, tops, is_ours)
    edits: list[Edit] = []
    with Folder(folder) as opened:
        look = _Look(opened, index, shown, record, walk.files, walk.folders)
        for path in sorted(known | walk.ours):
            edit = look.at(path) if path not in twins else None
            if edit is not None:
                edits.append(edit)
    return Edits(tree if len(record.shown) == 1 else None, tuple(edits), tuple(sorted(walk.others)))


class _Walk:
    """What stands in a folder: the state of each file that is known or may be ours, and what else there is."""

    def __init__(self, root: Path, known: Collection[str], tops: Collection[str], is_ours: Callable[[str], bool]):
        self.files: dict[str, os.stat_result] = {}
        self.folders: set[str] = set()
        self.ours: set[str] = set()
        self.others: list[str] = []
        self._root = os.fsencode(root)
        self._known = known
        self._parents = {path[:end] for path in known for end, char in enumerate(path) if char == "/"}
        self._tops = tops
        self._is_ours = is_ours
        self._look_into("")

    def _look_into(self, prefix: str) -> None:
        for name, state in _listed(self._root, prefix):
            path = prefix + name
            if name == ".git" or is_beside(name):
                continue
            if S_ISDIR(state.st_mode):
                self._enter(path)
            elif path in self._known:
                self.files[path] = state
            elif self._is_below_top(path) and self._is_ours(path):
                self.files[path] = state
                self.ours.add(path)
            else:
                self.others.append(path)

    def _enter(self, path: str) -> None:
        self.folders.add(path)
        if path in self._parents or (self._is_below_top(path + "/") and not self._holds(path, ".git")):
            self._look_into(path + "/")
        elif self._holds(path):
            self.others.append(path + "/")

    def _is_below_top(self, path: str) -> bool:
        return any(path.startswith(f"{top}/") for top in self._tops)

    def _holds(self, path: str, name: str = "") -> bool:
        return any(not name or each == name for each, _ in _listed(self._root, path + "/"))


def _listed(root: bytes, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what stands in a folder, by name; nothing of what cannot be read, or is gone by now."""
    try:
        with os.scandir(os.path.join(root, name_bytes(prefix))) as entries:
            for entry in entries:
                try:
                    yield name_text(entry.name), entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return


@dataclass(frozen=True)
class _Look:
    """Looks at one path after another."""

    folder: Folder
    index: GitIndex
    shown: Mapping[str, TreeEntry]
    record: ViewRecord
    states: Mapping[str, os.stat_result]
    folders: Collection[str]

    def at(self, path: str) -> Edit | None:
        """Return the edit at a path, None if there is none."""
        old, want = self.index.get(path), self.shown.get(path)
        staged_entry = None if old is None else old.entry
        staged = not is_one_of(staged_entry, {want})
        state = self.states.get(path)
        if not staged and old is not None and state is not None and self._is_as_remembered(old, state):
            return None
        if not gitindex.is_safe(path) or (old is not None and old.skips_worktree):
            return None
        if want is not None and not want.is_file:
            return None  # links and submodules are not shown
        found, data = self.folder.read(path)
        odd = found.odd or (state is None and path in self.folders)
        if not odd and self._is_settled(path, found.entry, want, staged=staged):
            return None
        base = self.record.taken.get(path, self.record.bases.get(path, want))
        return Edit(path, base, found.entry, data, staged, staged_entry if staged else None, odd)

    def _is_as_remembered(self, old: gitindex.IndexEntry, state: os.stat_result) -> bool:
        """Whether a file is as git's index has it; one that changed when that was written may hide it."""
        return old.mtime_ns < self.index.mtime_ns and gitindex.stat_numbers(state) == old.stat

    def _is_settled(self, path: str, found: TreeEntry | None, want: TreeEntry | None, *, staged: bool) -> bool:
        """Whether what stands at a path is no edit: it is what the view shows, or was committed or put aside."""
        if path in self.record.taken and is_one_of(found, {self.record.taken[path]}):
            return True
        return not staged and is_one_of(found, {want})


def _twins(paths: Collection[str]) -> set[str]:
    """Return the paths that a file system that folds case takes for others, which are shown in their place."""
    first: dict[str, str] = {}
    for path in sorted(paths):
        first.setdefault(fold(path), path)
    return {path for path in paths if first[fold(path)] != path}
