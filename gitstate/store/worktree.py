"""The files of the head in a folder, for people: brought up to date with git's index, never over somebody's edit.

What the view shows is recorded before anything is touched and after everything is done, so that a refresh which was
killed is finished by the next one of anybody. A file (or an entry of git's index) is ours if it holds what one of the
recorded trees has at its path; anything else is a person's edit and stays, the file and what was staged of it. Only
what differs between the recorded trees and the head is looked at.
"""

import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitstate.engine import files, gitindex, graph, loose, reflog, refs, trees
from gitstate.engine.base import Engine
from gitstate.engine.gitindex import GitIndex
from gitstate.engine.locks import LockFile, StoreLock, is_of_ours
from gitstate.engine.objects import GitObject, ObjectId, TreeEntry
from gitstate.engine.reflog import Move
from gitstate.engine.repository import Repository
from gitstate.errors import BusyError, CorruptionError, ReadOnlyError, UnsupportedError
from gitstate.store.folder import Folder, Found, Moved
from gitstate.store.origins import Difference, Origins, signs
from gitstate.store.view_record import Sight, ViewRecord, has_moved

if TYPE_CHECKING:
    from gitstate.engine.check import Problem
    from gitstate.store.edits import Edits

__all__ = ["UNFINISHED_MERGE", "UNJUDGED", "Refreshed", "Worktree", "fold", "folds_case", "is_one_of"]

UNFINISHED_MERGE = "a merge with conflicts is unfinished in git's index"
UNJUDGED = "somebody committed here just now"

_PATIENCE = 2.0  # seconds to wait for a person's git that holds the index
_PAUSE = 0.1  # seconds that it lets go of the index in the middle of a command, at most
_TURN = 30.0  # seconds to wait for another refresh: that ends soon, or dies and lets go


@dataclass
class Refreshed:
    """What a refresh did, as paths below the worktree.

    ``kept`` were edited by a person, of those that the refresh looked at; ``skipped`` cannot be shown: a name that is
    not safe or has a twin on a file system that folds case, a symbolic link, a submodule. ``pending`` says why the
    view was left to the next refresh, and is empty if it was not.
    """

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    pending: str = ""


class Worktree:
    """The worktree of a repository, as a view of the engine's branch.

    Args:
        repository: A repository that has a worktree.
        engine: Reads the branch that the worktree shows, when it is checked out.
        patience: Seconds to wait for a person's git that holds the index.
    """

    def __init__(self, repository: Repository, engine: Engine, *, patience: float = _PATIENCE) -> None:
        if repository.worktree is None:
            raise ValueError(f"{repository.git_dir} has no worktree")
        self.path: Path = repository.worktree
        self._git_dir = repository.git_dir
        self._repository = repository
        self._engine = engine
        self._patience = patience
        self._private = repository.git_dir / "gitstate" / "view"  # of this worktree, if the repository has several
        self._lock = StoreLock(self._private / "lock")
        self._held: tuple[list[int], str] = ([], "")  # the lock file that we waited for in vain, and what was said

    def refresh(self) -> Refreshed:
        """Bring the files and git's index to the head, all but what a person edited.

        Nothing happens while another branch is checked out. A git that is at work there is waited for, whatever is due:
        what it does is told afterwards. Safe to call from any thread and process.

        Raises:
            CorruptionError: git's index or an object is damaged; the next refresh tries again.
            UnsupportedError: git's index is of a kind that only C git reads, and there is none.
            OSError: The disk refused; the next refresh goes on.
        """
        return self._bring({}, lambda: True) if self._due(beside_git=False) is not None else Refreshed()

    def take(self, entries: Mapping[str, TreeEntry | None], is_judged: Callable[[], bool] = lambda: True) -> Refreshed:
        """Bring files to the head although they were edited: what stood in them is in safe hands.

        As :meth:`refresh`, but a git that is at work is left alone where nothing is due.

        A file that holds anything else by now stays, and its edit begins at what is named here.

        Args:
            entries: What stood at each path, as git would call it; None: nothing. The repository has it, see
                :meth:`keep`.
            is_judged: Whether all that others committed was looked at. If not the view is left alone, with
                ``UNJUDGED``: it tells what the folder showed when they did.

        Raises:
            As :meth:`refresh` does.
        """
        return self._bring(entries, is_judged) if entries or self._due() is not None else Refreshed()

    def keep(self, contents: Iterable[bytes]) -> None:
        """Put what stood in files into the repository, as `git add` does. Raises OSError: The disk refused."""
        for data in contents:
            loose.keep(self._repository.objects, data)

    def _bring(self, taken: Mapping[str, TreeEntry | None], is_judged: Callable[[], bool]) -> Refreshed:
        try:
            with self._alone():
                if taken:  # first: a refresh that git keeps from its work must not forget it
                    record = ViewRecord.read(self._private)
                    replace(record, taken={**record.taken, **taken}).write(self._private)
                if self._held[0] and self._held[0] == signs(self._git_dir / "index.lock"):
                    return Refreshed(pending=self._held[1])  # its git is dead, most likely: who waited waits no more
                with self._index_lock() as lock:
                    log = self._logged()  # first: what comes into it from here on is told from the next refresh
                    if not is_judged():
                        return Refreshed(pending=UNJUDGED)
                    head = self._due()  # again: while we waited, somebody may have checked out another branch
                    return Refreshed() if head is None else self._refresh(head, lock, log)
        except BusyError as error:
            self._held = signs(self._git_dir / "index.lock"), str(error)
            return Refreshed(pending=str(error))

    def sight(self) -> Sight | None:
        """Return what the view showed and what git did here since; None: another branch is checked out."""
        if refs.read_head(self._repository) != self._repository.ref:
            return None
        record = ViewRecord.read(self._private)
        staged = record.index != signs(self._git_dir / "index")
        return Sight(record, reflog.since(f"{self._git_dir}/logs/HEAD", record.log), staged)

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Keep all others who commit or drop edits of this folder out while the block runs: each edit counts once.

        Raises:
            BusyError: Another process did not let go in time.
            StorageError: The disk refused.
        """
        with self._holding(StoreLock(self._private / "editing" / "lock")):
            yield

    @property
    def git_dir(self) -> Path:
        """Its own git directory."""
        return self._git_dir

    @property
    def is_shown(self) -> bool:
        """Whether the branch is checked out in it."""
        return refs.read_head(self._repository) == self._repository.ref

    def forget_past(self) -> None:
        """Forget what the view showed before, and how conflicts were resolved: the history was written anew.

        Raises:
            BusyError: A person's git holds its index.
        """
        with self._alone(), self._index_lock() as lock:
            record = ViewRecord.read(self._private)
            index = gitindex.read(self._git_dir, self.path, self._private)
            index.forget_resolved()
            if index.changed and len(record.shown) == 1 and record.shown[0] is not None:
                for path, _ in list(index.racy()):
                    index.distrust(path)
                self._write_index(lock, index, record.shown[0])
            signed = signs(self._git_dir / "index")
            ViewRecord(record.shown, signed, self._logged(), head=record.head, since=record.since).write(self._private)

    def edits(self, tops: Collection[str], is_ours: Callable[[str], bool]) -> "Edits":
        """Return what people edited in the folder and did not commit; see :func:`gitstate.store.edits.find`.

        Raises:
            CorruptionError: git's index or an object is damaged.
            UnsupportedError: git's index is of a kind that only C git reads, and there is none.
            OSError: The disk refused.
        """
        from gitstate.store import edits

        with suppress(ReadOnlyError), files.storage_errors(self._private):  # who may only read is told all the same
            self._private.mkdir(parents=True, exist_ok=True)
        if refs.read_head(self._repository) != self._repository.ref:
            return edits.Edits(None, pending=f"another branch than {self._repository.branch} is checked out")
        return edits.find(self._engine, self.path, self._git_dir, self._private, tops, is_ours)

    def check(self, *, repair: bool = False) -> "list[Problem]":
        """Return what is wrong with git's index; ``repair`` puts it aside, so that the next refresh makes a new one.

        What was staged in it is lost with it; the files are left as they are.

        Raises:
            BusyError: A person's git holds it.
            OSError: The disk refused.
        """
        from gitstate.engine.check import Problem

        if refs.read_head(self._repository) != self._repository.ref or not self._private.exists():
            return []  # it is about another branch, or there is no view yet
        try:
            gitindex.read(self._git_dir, self.path, self._private)
            return []
        except UnsupportedError:
            return []  # only C git reads it, and there is none
        except CorruptionError as error:
            what = error.message
        if repair:
            with self._alone(), self._index_lock():
                (self._git_dir / "index").replace(self._private / "index.damaged")
            self.refresh()
        return [Problem("view", "index", what, "--repair makes a new one of the head", "warning", repaired=repair)]

    def _alone(self) -> AbstractContextManager[None]:
        return self._holding(self._lock)

    @contextmanager
    def _holding(self, lock: StoreLock) -> Iterator[None]:
        try:
            with files.storage_errors(self._private):
                self._private.mkdir(parents=True, exist_ok=True)
                lock.acquire(_TURN)
        except ReadOnlyError as error:
            raise files.only_read(self._git_dir, error) from error
        try:
            yield
        finally:
            lock.release()
            lock.close()

    def _index_lock(self) -> LockFile:
        # Not durable: a view can be made anew, and file systems with a journal keep the names in the order of making.
        path = self._git_dir / "index"
        return LockFile(self._private, path, b"", timeout=self._patience, pause=_PAUSE, durable=False)

    def _due(self, *, beside_git: bool = True) -> ObjectId | None:
        """Return the head if there is one to show, and the view may not show it yet; or, if not ``beside_git``, may not
        do so any more once a git is done.
        """
        if refs.read_head(self._repository) != self._repository.ref:
            return None
        head = self._engine.head()
        if head is None:
            return None
        target = graph.read(self._engine, head).tree
        # A lock file of ours may be that of a refresh which was killed when all else was done. Who waits for a person's
        # git in vain may take the index in the middle of its command, which stops there.
        lock = self._git_dir / "index.lock"
        finished = not (is_of_ours(lock) if beside_git else lock.exists())
        # Where files are edited it is never finished: the next refresh sees which are so no more.
        return None if finished and ViewRecord.read(self._private) == self._settled(target) else head

    def _settled(self, target: ObjectId) -> ViewRecord:
        """Return the record of a view that shows ``target`` and has git's index and reflog as they are now."""
        return ViewRecord([target], signs(self._git_dir / "index"), self._logged())

    def _logged(self) -> int:
        """Return the size of the reflog of ``HEAD``."""
        try:
            return os.stat(f"{self._git_dir}/logs/HEAD").st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def _refresh(self, head: ObjectId, lock: LockFile, log: int) -> Refreshed:
        target = graph.read(self._engine, head).tree
        record = ViewRecord.read(self._private)
        index = gitindex.read(self._git_dir, self.path, self._private)
        if index.conflicted:
            return Refreshed(pending=UNFINISHED_MERGE)
        origins = Origins(self._engine, self._git_dir, record, index, target)
        shown = origins.shown(head)
        differing = origins.differing(shown)
        with Folder(self.path) as folder:
            bases = {path: origins.base(path, differing[path], folder) for path in differing}
        if differing:
            shown = list(dict.fromkeys([*shown, target]))
            replace(record, shown=shown, index=[]).write(self._private)
        for path, entry in record.taken.items():
            index.take(path, entry)
        with Folder(self.path) as folder:
            checkout = _Checkout(self._engine, folder, index, target, folds=folds_case(self._git_dir))
            checkout.bring(differing, origins.moves, healing=len(record.shown) != 1)
            if index.changed:
                checkout.settle_racy()
                self._write_index(lock, index, target)
        edited = {path: bases[path] for path in checkout.done.kept}
        settled = self._settled(target)
        settled = replace(record, shown=settled.shown, index=settled.index, log=log, bases=edited, taken={})
        settled.at(head).write(self._private)
        return checkout.done

    def _write_index(self, lock: LockFile, index: GitIndex, target: ObjectId) -> None:
        # The lock file may be written freely until it is renamed.
        path = self._git_dir / "index"
        with open(f"{path}.lock", "wb") as stream:
            stream.write(index.to_bytes(self._engine, target))
        lock.replace()


class _Checkout:
    """One refresh at work on the files and the entries of git's index."""

    def __init__(self, engine: Engine, folder: Folder, index: GitIndex, target: ObjectId, *, folds: bool) -> None:
        self._engine = engine
        self._folder = folder
        self._index = index
        self._target = target
        self._folds = folds
        self._moves: Sequence[Move] = ()
        self._coming: dict[ObjectId, None] = {}  # what is about to be read at once
        self._items: Iterator[GitObject] = iter(())
        self.done = Refreshed()

    def bring(self, differing: dict[str, Difference], moves: Sequence[Move], *, healing: bool) -> None:
        """Bring paths to the target, after what somebody's git did; ``healing``: a refresh may have been killed."""
        self._moves = moves
        # Removals first: what was a file may become a directory, and the other way round.
        order = sorted(differing.items(), key=lambda item: (item[1].target is not None, item[0]))
        self._coming = {target.id: None for _, (target, _) in order if target is not None}
        self._items = self._engine.bulk(list(self._coming))
        for path, (target, ours) in order:
            if healing:
                self._folder.clear(path)
            self._bring(path, target, ours, healing=healing)

    def _bring(self, path: str, target: TreeEntry | None, ours: set[TreeEntry | None], *, healing: bool) -> None:
        old = self._index.get(path)
        entry = None if old is None else old.entry
        if not gitindex.is_safe(path):
            self.done.skipped.append(path)
        elif entry not in ours or (target is not None and old is None and not self._index.has_room(path)):
            self.done.kept.append(path)  # staged: git's index and the file are the person's
        elif (target is not None and not target.is_file) or self._has_twin(path):
            self.done.skipped.append(path)
            self._enter(path, target, None)
        elif old is not None and old.skips_worktree:
            self._enter(path, target, None)
        else:
            found = self._folder.look(path)
            # Where git's index is ahead of the file, somebody's `git reset` kept the file as an edit; or it only lags.
            loose = healing or entry != target or self._lags(path, entry, found)
            self._enter(path, target, self._bring_file(path, target, found, ours if loose else set()))

    def _bring_file(
        self, path: str, target: TreeEntry | None, found: Found, ours: set[TreeEntry | None]
    ) -> os.stat_result | None:
        """Bring a file to the target unless a person edited it; return its state if it is there and equals it."""
        if found.entry == target and not found.odd:
            return found.stat
        if found.odd or not is_one_of(found.entry, ours):
            self.done.kept.append(path)
            return None
        try:
            if target is None:
                self._folder.remove(path, found)
                self.done.removed.append(path)
                return None
            stat = self._folder.write(path, self._content(target.id), target.mode, found)
        except Moved:
            self.done.kept.append(path)
            return None
        self.done.written.append(path)
        return stat

    def _content(self, blob: ObjectId) -> bytes:
        """Return what a file shall hold. Many are read at once, in their order, of which one at a time is kept."""
        while blob in self._coming and (item := next(self._items, None)) is not None:
            self._coming.pop(item.id)
            if item.id == blob and item.kind == "blob":
                return item.body
        return self._engine.read(blob, "blob")

    def _lags(self, path: str, staged: TreeEntry | None, found: Found) -> bool:
        """Whether nothing that somebody's git did tells why a file is not as its index has it."""
        try:
            return not found.odd and not has_moved(self._engine, path, staged, self._moves)
        except CorruptionError:
            return False

    def _enter(self, path: str, target: TreeEntry | None, stat: os.stat_result | None) -> None:
        """Make git's index say ``target``; without ``stat`` git will see for itself what became of the file."""
        if target is None:
            self._index.remove(path)
        else:
            self._index.put(path, target, stat)

    def _has_twin(self, path: str) -> bool:
        """Whether the file system takes ``path`` for another path of the target, which is shown in its place."""
        if not self._folds:
            return False
        tree: ObjectId | None = self._target
        for name in path.split("/"):
            entries = trees.read(self._engine, tree)
            twins = [other for other in entries if fold(other) == fold(name)]
            if twins and min(twins) != name:
                return True
            entry = entries.get(name)
            if entry is None or not entry.is_directory:
                break
            tree = entry.id
        return False

    def settle_racy(self) -> None:
        """Mark the edits that hide behind the time at which git's index was last written; see ``GitIndex.racy``."""
        for path, old in self._index.racy():
            stat = self._folder.stat(path)
            if stat is None or (old.mtime_ns < self._index.mtime_ns and gitindex.stat_numbers(stat) == old.stat):
                continue  # missing, as git will see, or unchanged to the nanosecond
            found = self._folder.look(path)
            if found.entry is not None and found.entry.id != old.entry.id:
                self._index.distrust(path)


def is_one_of(found: TreeEntry | None, ours: set[TreeEntry | None]) -> bool:
    """Whether a file holds one of the contents; its permissions alone are no edit, some file systems have none."""
    if found is None:
        return None in ours
    return any(entry is not None and (entry.id, entry.mode >> 12) == (found.id, found.mode >> 12) for entry in ours)


def fold(name: str) -> str:
    """Return a name as file systems that fold case compare it."""
    return unicodedata.normalize("NFC", name).casefold()


def folds_case(git_dir: Path) -> bool:
    """Whether the file system takes names that differ in case only for one."""
    try:
        return (git_dir / "HEAD").samefile(git_dir / "hEAD")
    except FileNotFoundError:
        return False
