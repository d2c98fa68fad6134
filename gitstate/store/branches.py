"""The branch of a store among those of a repository: taken over from a remote that has it, or found for a hint."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from gitstate.engine import files, graph, refs, settings, trees
from gitstate.engine.base import Engine
from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import BRANCHES, DEFAULT_BRANCH, REMOTES, Repository, open_repository
from gitstate.errors import GitStateError, UnsupportedError
from gitstate.store.reader import FORMAT_FILE, Reader

if TYPE_CHECKING:
    from gitstate.engine.project import Project

__all__ = ["hint", "project", "take_over"]

_USUAL = "gitstate"  # as the documentation names it
_LOOKED_AT = 50  # branches: a hint must not take long


def take_over(repository: Repository, engine: Engine, reader: Reader) -> str | None:
    """Make the branch, which is not there, where a remote has it: a new history beside that one could never be pushed.

    Returns:
        The remote's branch, as ``origin/gitstate``; None: no remote has one of this name.

    Raises:
        UnsupportedError: It is no store there, or remotes do not agree; nothing was made.
    """
    there = _on_remotes(repository, engine)
    if not there:
        return None
    name, commit_id = next(iter(there.items()))
    if len(set(there.values())) > 1:
        raise UnsupportedError(
            f"the branch {repository.branch} is not the same on all remotes: {', '.join(there)}",
            hint=f"choose one of them: `git branch {repository.branch} {name}`",
        )
    reader.format(graph.read(engine, commit_id).tree)
    with engine.lock():
        if engine.head() is None:
            engine.publish([], expected=None, new=commit_id, note=f"branch: Created from {name}")
    return name


def hint(repository: Repository, engine: Engine) -> str:
    """Return what to do where the branch is no store: another branch is one, or the same on a remote, or the repository
    is a project's; else "".
    """
    with suppress(GitStateError, OSError):
        if engine.head() is None and (there := _on_remotes(repository, engine)):
            name = next(iter(there))
            ours = "gitstate init" + (f" --branch {repository.branch}" if repository.branch != DEFAULT_BRANCH else "")
            return f"it is on a remote: `git branch {repository.branch} {name}` or `{ours}` makes it here"
        names = dict.fromkeys([BRANCHES + _USUAL, *islice(refs.names(repository, BRANCHES), _LOOKED_AT)])
        for name in names:
            if name != repository.ref and _is_store(engine, engine.ref(name)):
                branch = name.removeprefix(BRANCHES)
                return f"the branch {branch} holds one: choose it with --branch, or git config gitstate.branch {branch}"
        for remote in settings.remotes(repository):
            if repository.branch != _USUAL and _is_store(engine, engine.ref(f"{REMOTES}{remote}/{_USUAL}")):
                return f"{remote}/{_USUAL} holds one: `gitstate init --branch {_USUAL}` makes that branch here"
        if engine.head() is None and refs.any_ref(repository) is not None:
            return refs.BESIDE
    return ""


def project(repository: Repository, engine: Engine) -> Project | None:
    """Return the project whose commit is checked out beside the branch; None: no commit is, or it is a store's too.

    In a linked worktree that shows the branch, it is what the main one shows.
    """
    if repository.worktree is None:
        return None
    from gitstate.engine.project import Project

    with suppress(GitStateError, OSError):  # a save says what the disk refuses
        shown = repository
        if refs.read_head(repository) == repository.ref:
            if repository.git_dir == repository.common_dir:
                return None
            shown = open_repository(repository.common_dir, branch=repository.branch, create=False)
        found = Project(shown)
        head = None if shown.worktree is None else found.head()
        return None if head is None or _is_store(engine, head) else found
    return None


def _on_remotes(repository: Repository, engine: Engine) -> dict[str, ObjectId]:
    """Return where the branch stands on each remote that has it, as far as was fetched."""
    found = {}
    with files.storage_errors(repository.common_dir):
        for remote in settings.remotes(repository):
            commit_id = engine.ref(f"{REMOTES}{remote}/{repository.branch}")
            if commit_id is not None:
                found[f"{remote}/{repository.branch}"] = commit_id
    return found


def _is_store(engine: Engine, commit_id: ObjectId | None) -> bool:
    return commit_id is not None and FORMAT_FILE in trees.read(engine, graph.read(engine, commit_id).tree)
