"""Where the files of a view and the entries of git's index come from: from what was shown, or from somebody's git.

Anything else is a person's edit, and of that it is told at what it began.
"""

import re
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gitstate.engine import graph, reflog, trees
from gitstate.engine.base import Engine
from gitstate.engine.gitindex import GitIndex
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.errors import CorruptionError
from gitstate.store.folder import Folder
from gitstate.store.view_record import CHECKOUT, ViewRecord, likeliest, moved_to, past

__all__ = ["Difference", "Origins", "signs"]

_ID = re.compile(rb"[0-9a-f]{40}")
_ANCESTORS = 100  # so many of the moves of ``HEAD`` are looked at

_Tree = ObjectId | None  # None: nothing is shown


class Difference(NamedTuple):
    """A path that differs: what the target has there, and all that may stand there without being a person's edit."""

    target: TreeEntry | None
    ours: set[TreeEntry | None]


class Origins:
    """What may stand in a folder before a refresh.

    Args:
        engine: Reads the branch.
        git_dir: Where git keeps the index and the reflog of ``HEAD`` for the folder.
        record: What the last refresh left.
        index: Git's index.
        target: The tree that the folder is brought to.
    """

    def __init__(self, engine: Engine, git_dir: Path, record: ViewRecord, index: GitIndex, target: ObjectId) -> None:
        self._engine = engine
        self._log = git_dir / "logs" / "HEAD"
        self._record = record
        self._index = index
        self._target = target
        self._is_touched = record.index != signs(git_dir / "index")  # by somebody's git
        self.moves = reflog.since(str(self._log), record.log)

    def shown(self, head: ObjectId) -> list[_Tree]:
        """Return the trees that the files and the entries of git's index may come from, but for a person's edits."""
        shown: list[_Tree] = [tree for tree in self._record.shown if self._is_readable(tree)]
        lost = bool(self._record.shown and not shown)
        if not len(self._index):
            shown.append(None)
        if self._is_touched:
            # For a clone, a commit, a reset, a return from another branch: to one of these.
            shown += [*self._trees(self._heads()), *self._checked_out()]
        return list(dict.fromkeys(shown if shown and not lost else [*shown, *self._trees(past(self._engine, head))]))

    def differing(self, shown: Iterable[_Tree]) -> dict[str, Difference]:
        """Return the paths that differ between any of the trees and the target, and those that were edited."""
        record = self._record
        found: dict[str, Difference] = {}
        for tree in shown:
            for path, before, after in trees.diff(self._engine, tree, self._target):
                found.setdefault(path, Difference(after, {after})).ours.add(before)
        for path in record.bases.keys() | record.taken.keys():
            if path not in found:
                after = trees.find(self._engine, self._target, path)
                after = None if after is None or after.is_directory else after
                found[path] = Difference(after, {after})
            if path in record.taken:
                found[path].ours.add(record.taken[path])
        return found

    def base(self, path: str, difference: Difference, folder: Folder) -> TreeEntry | None:
        """Return what the view showed where a file is edited, if it is: asked before git's index goes on.

        Where somebody's git wrote the index that does not tell: a reset may have left the file alone, or have been told
        to bring it to the head. Then the file itself tells from which of these it comes.
        """
        if path in self._record.taken:
            return self._record.taken[path]
        with suppress(CorruptionError):
            known = self._known(path, difference)
            moved = next(moved_to(self._engine, path, self.moves), known)
            shown = self._shown_first(path, difference) if self._is_touched else known
            if moved == known == shown:
                return known
            found, content = folder.read(path)
            return likeliest(self._engine, found.entry, content or b"", (moved, known, shown))
        return difference.target

    def _known(self, path: str, difference: Difference) -> TreeEntry | None:
        if path in self._record.bases:
            return self._record.bases[path]
        old = self._index.get(path)
        entry = None if old is None else old.entry
        if entry in difference.ours or not self._record.shown:
            return entry if entry in difference.ours else difference.target
        return self._shown_first(path, difference)  # what is staged is a part of the edit

    def _shown_first(self, path: str, difference: Difference) -> TreeEntry | None:
        if path in self._record.bases or not self._record.shown:
            return self._record.bases.get(path, difference.target)
        entry = trees.find(self._engine, self._record.shown[0], path)
        return None if entry is None or entry.is_directory else entry

    def _trees(self, commits: Iterable[ObjectId]) -> list[_Tree]:
        """Return the trees of those commits that are still there: after a reset, git's gc may have taken some."""
        found: list[_Tree] = []
        for commit_id in commits:
            with suppress(CorruptionError):
                tree = graph.read(self._engine, commit_id).tree
                if self._is_readable(tree):
                    found.append(tree)
        return found

    def _checked_out(self) -> list[_Tree]:
        """Return the tree to which git brought the index when somebody came here from another branch.

        Git's reflog says where the branch stood when all was done, and that may have moved on meanwhile.
        """
        back = next((move for move in reversed(self.moves) if move.note.startswith(CHECKOUT)), None)
        candidates = [] if back is None else self._trees(past(self._engine, back.after))
        files = [{path: was for path, was, _ in trees.diff(self._engine, each, self._target)} for each in candidates]
        standing = {path: trees.find(self._engine, self._target, path) for path in set().union(*files)}
        entries = {path: None if (old := self._index.get(path)) is None else old.entry for path in standing}

        def distance(number: int) -> int:
            return sum(files[number].get(path, standing[path]) != entry for path, entry in entries.items())

        best = min(range(len(candidates)), key=distance, default=None)
        return [] if best is None else [candidates[best]]

    def _heads(self) -> list[ObjectId]:
        """Return the commits to which somebody's git may have brought the index since the last refresh."""
        if self._record.shown:
            return [move.after for move in self.moves][-_ANCESTORS:]
        try:  # nothing is known of a last refresh: to any at which ``HEAD`` stood
            lines = self._log.read_bytes().splitlines()[-_ANCESTORS:]
        except FileNotFoundError:
            return []
        return [line[41:81].decode("ascii") for line in lines if _ID.fullmatch(line[41:81])]  # others are torn

    def _is_readable(self, tree: _Tree) -> bool:
        """Whether all of a tree is there that differs from the target; that the target is damaged is an error."""
        try:
            deque(trees.diff(self._engine, tree, self._target), maxlen=0)
        except CorruptionError:
            deque(trees.files(self._engine, self._target), maxlen=0)
            return False
        return True


def signs(path: Path) -> list[int]:
    """Return what tells a file from every other one that was in its place; nothing for none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return []
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns]
