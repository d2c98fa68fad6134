"""A project whose code runs jobs: where its ``HEAD`` stands, and whether its worktree differs from that commit.

Nothing of git's is run for it: a `git status` may run filters and monitors that the repository's configuration names.
"""

import os
import re
from pathlib import Path

from gitstate.engine import dirtiness, files, graph, refs
from gitstate.engine.objects import Commit, ObjectId
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository, configuration, find_store, is_true, locate, setting
from gitstate.errors import CorruptionError, GitStateError, InvalidInputError, UnsupportedError

__all__ = ["Project"]

_ID = re.compile(rb"[0-9a-f]{40}\n?")


class Project:
    """A project's repository, which is only looked at.

    Args:
        repository: What :func:`gitstate.engine.repository.locate` returned.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._signs: object = None
        self._ref = ""
        self._head: ObjectId | None = None
        self._tree: tuple[ObjectId, ObjectId] | None = None  # of the last head that was judged: it, and its tree
        self._hashed = dirtiness.Hashed()

    @classmethod
    def of(cls, path: Path) -> "Project":
        """Return the project that ``path`` lies in.

        Raises:
            InvalidInputError: It lies in no repository.
            UnsupportedError: Commits of this kind of repository cannot be told.
            StorageError: The disk refused.
        """
        with files.storage_errors(path):
            folder = find_store(path)
            repository = None if folder is None else locate(folder, "")
            if repository is None:
                raise InvalidInputError(f"{path} lies in no git repository", hint="name the folder of the project")
            project = cls(repository)
            config = configuration(repository)
            for name, wanted in ((b"objectformat", b"sha1"), (b"refstorage", b"files")):
                found = setting(config, (b"extensions",), name, wanted)
                if found.lower() != wanted:
                    what = f"{name.decode()} = {found.decode('utf-8', 'replace')}"
                    raise UnsupportedError(f"{folder} uses git's extension {what}", hint="name no code for this store")
        return project

    @property
    def folder(self) -> Path:
        """The folder of the worktree, else the repository itself."""
        return self._repository.worktree or self._repository.git_dir

    def head(self) -> ObjectId | None:
        """Return the commit that is checked out; None: there is none yet, or it cannot be told.

        As long as nothing moves it takes three looks at the state of files: some 10 us.
        """
        try:
            signs = self._look()
            if signs != self._signs:
                self._head = self._read_head()
                self._signs = self._look()
        except (GitStateError, OSError):
            self._signs, self._head = None, None
        return self._head

    def is_dirty(self, head: ObjectId) -> bool | None:
        """Return whether tracked files differ from a commit, in git's index or in the worktree; None: it is unknown.

        See :func:`gitstate.engine.dirtiness.differs`.
        """
        if self._repository.worktree is None:
            return False
        try:
            config = configuration(self._repository)
            if self._tree is None or self._tree[0] != head:
                self._tree = head, self.commit(head).tree
            linked = self._repository.git_dir != self._repository.common_dir
            place = b"" if linked else setting(config, (b"core",), b"worktree")
            folder = self._repository.git_dir / os.fsdecode(place) if place else self._repository.worktree
            modes = is_true(setting(config, (b"core",), b"filemode", b"true"))
            index = self._repository.git_dir / "index"
            return dirtiness.differs(index, folder, self._tree[1], self._hashed, self._is_moved, modes=modes)
        except (GitStateError, OSError, ValueError):
            return None

    def commit(self, commit_id: ObjectId) -> Commit:
        """Return a commit of the project.

        Raises:
            CorruptionError: It is not there, or damaged.
            StorageError: The disk refused.
        """
        reader = ObjectReader(self._repository)
        try:
            return graph.read(reader, commit_id)
        finally:
            reader.close()

    def _look(self) -> object:
        paths = (f"{self._repository.git_dir}/HEAD", self._repository.path(self._ref))
        return self._ref, *map(_signs, paths), _signs(self._repository.path("packed-refs"))

    def _read_head(self) -> ObjectId | None:
        content = files.read(f"{self._repository.git_dir}/HEAD")
        self._ref = refs.read_head(self._repository) or ""
        if self._ref:
            return refs.read(self._repository, self._ref)
        if not _ID.fullmatch(content):
            raise CorruptionError("HEAD holds no object id")
        return content[:40].decode("ascii")

    def _is_moved(self, path: bytes, commit_id: ObjectId) -> bool:
        """Whether a submodule stands at another commit; one that is not there is as git left it."""
        found = locate(Path(os.fsdecode(path)), "")
        return found is not None and Project(found).head() != commit_id


def _signs(path: str) -> tuple[int, ...]:
    """Return what tells a file from the one that git renames over it."""
    try:
        stat = os.stat(path)
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
