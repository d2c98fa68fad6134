"""A look at a repository that changes nothing in it: no lock is taken, nothing is settled, no worktree refreshed.

It is for what git starts in the middle of its own work. There git says in its environment where the index is that it
would commit, and where the objects are that it would take in (``git help githooks``, ``git help git-receive-pack``).
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gitstate.engine import files, gitindex, refs
from gitstate.engine.base import Source
from gitstate.engine.gitindex import GitIndex
from gitstate.engine.graph import read as read_commit
from gitstate.engine.objects import DIRECTORY, HEX_ID, GitObject, Kind, ObjectId, Tree, TreeEntry
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import BRANCHES, REMOTES, TAGS, Repository
from gitstate.engine.staging import Staging
from gitstate.errors import CorruptionError, RevisionNotFoundError

__all__ = ["Onlooker", "is_conflicted", "staged"]

_PREFIX = re.compile(r"[0-9a-f]{4,39}")
_STEP = re.compile(r"(.*?)([~^])(\d*)", re.DOTALL)
_NAME = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]+")
_LONGEST = 300  # characters of a name
_PLACES = ("refs/", TAGS, BRANCHES, REMOTES)  # where git looks for a name, in this order


class Onlooker(Source):
    """Reads objects and refs of a repository, and of what git is about to take in.

    Args:
        repository: Where to look.
        environment: The environment that git gave to this process.
    """

    def __init__(self, repository: Repository, environment: Mapping[str, str] = os.environ) -> None:
        self.identity = f"{os.path.realpath(repository.common_dir)}:{repository.branch}"
        self._repository = repository
        self._environment = environment
        self._objects = ObjectReader(repository, others=_quarantine(environment))

    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        """See :meth:`Source.read`."""
        return self._objects.read(object_id, kind)

    def tree(self, tree_id: ObjectId) -> Tree:
        """See :meth:`Source.tree`."""
        return self._objects.tree(tree_id)

    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        """See :meth:`Source.commits`."""
        return self._objects.commits(start)

    def bulk(self, ids: Sequence[ObjectId]) -> Iterator[GitObject]:
        """See :meth:`gitstate.engine.base.Engine.bulk`."""
        return self._objects.bulk(ids)

    def peel(self, object_id: ObjectId) -> ObjectId | None:
        """Return the commit that an object is, or that a tag is of; None for anything else."""
        return self._objects.peel(object_id)

    def branch(self) -> ObjectId | None:
        """Return the commit at which the branch of the store stands, or None."""
        return self._ref(self._repository.ref)

    def checked_out(self) -> ObjectId | None:
        """Return the commit that is checked out, or None before the first one."""
        with files.storage_errors(self._repository.git_dir):
            ref = refs.read_head(self._repository)
            if ref is not None:
                return self._ref(ref)
            text = files.read(self._repository.git_dir / "HEAD").decode("ascii", "replace").strip()
        if not HEX_ID.fullmatch(text):
            raise CorruptionError(f"{self._repository.git_dir}/HEAD holds no object id", hint="`git checkout` a branch")
        return text

    def index(self) -> GitIndex:
        """Return the index that would be committed.

        Raises:
            CorruptionError: It is damaged.
            UnsupportedError: This kind of index is beyond us, and C git is not there to help.
        """
        named = self._environment.get("GIT_INDEX_FILE")
        path = Path(named).absolute() if named else None
        worktree = self._repository.worktree or Path.cwd()
        with files.storage_errors(self._repository.git_dir):
            return gitindex.read(self._repository.git_dir, worktree, Path(tempfile.gettempdir()), path)

    def resolve(self, name: str) -> ObjectId:
        """Return the commit that git means by a name: ``HEAD``, a branch, a tag, an id, with ``~2`` or ``^`` behind it.

        Raises:
            RevisionNotFoundError: None is meant, or several are.
        """
        if len(name) > _LONGEST:
            raise RevisionNotFoundError(f"there is no revision whose name has {len(name):,} characters")
        step = _STEP.fullmatch(name)
        if step is None:
            return self._named(name)
        commit_id, count = self.resolve(step[1] or "HEAD"), int(step[3] or "1")
        for _ in range(count if step[2] == "~" else min(count, 1)):
            parents = read_commit(self, commit_id).parents
            place = 0 if step[2] == "~" else count - 1
            if place >= len(parents):
                raise RevisionNotFoundError(
                    f"there is no revision {name!r}: {commit_id[:12]} has {len(parents)} parents"
                )
            commit_id = parents[place]
        return commit_id

    def close(self) -> None:
        """Let go of files. Idempotent."""
        self._objects.close()

    def _named(self, name: str) -> ObjectId:
        found = self._find(name)
        commit_id = None if found is None else self.peel(found)
        if commit_id is None:
            raise RevisionNotFoundError(
                f"there is no revision {name!r}" if found is None else f"{name!r} is no commit",
                hint="name a branch, a tag or a commit; in a clone, `git fetch` brings what others have",
            )
        return commit_id

    def _find(self, name: str) -> ObjectId | None:
        if name in ("HEAD", "@"):
            return self.checked_out()
        if HEX_ID.fullmatch(name):
            return name
        if not _NAME.fullmatch(name) or ".." in name or name.startswith("/"):
            return None
        for place in ("", *_PLACES) if name.startswith("refs/") else _PLACES:
            if (found := self._ref(place + name)) is not None:
                return found
        commits = self._objects.find(name) if _PREFIX.fullmatch(name) else []
        if len(commits) > 1:
            raise RevisionNotFoundError(
                f"revision {name!r} is ambiguous: {', '.join(commits)}", hint="give more digits"
            )
        return commits[0] if commits else None

    def _ref(self, name: str) -> ObjectId | None:
        with files.storage_errors(self._repository.path(name)):
            return refs.read(self._repository, name)


def staged(index: GitIndex, below: Source) -> tuple[ObjectId, Source]:
    """Return the tree that ``git write-tree`` would make of an index, and a source that has it on top of another one.

    What a merge left undecided is not in it.
    """
    source = Staging(below)
    top: dict[str, Any] = {}
    for path, item in index.items():
        if item.is_undecided or item.is_intended:
            continue
        *folders, name = path.split("/")
        place = top
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise CorruptionError(
                    f"git's index has a file where {path} needs a folder", hint="`git reset` makes it anew"
                )
        place[name] = item.entry
    return _build(top, source), source


def is_conflicted(index: GitIndex) -> list[str]:
    """Return the paths of an index that a merge left undecided."""
    return sorted({path for path, item in index.items() if item.is_undecided}) if index.conflicted else []


def _build(folder: Mapping[str, Any], source: Staging) -> ObjectId:
    entries = {
        name: item if isinstance(item, TreeEntry) else TreeEntry(DIRECTORY, _build(item, source))
        for name, item in folder.items()
    }
    tree = Tree.of(entries).to_object()
    source.add([tree])
    return tree.id


def _quarantine(environment: Mapping[str, str]) -> list[str]:
    """Return the folders of objects that git is about to take in, and those that it reads beside."""
    own = environment.get("GIT_OBJECT_DIRECTORY", "")
    beside = environment.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "")
    return [os.path.abspath(folder) for folder in (own, *beside.split(os.pathsep)) if folder]
