"""The backend that people come for: the state of jobs in a git repository."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gitstate.backends.documents import check_job_id
from gitstate.backends.proposing import ProposingBackend
from gitstate.backends.redaction import Redaction
from gitstate.store.store import Store

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gitstate.backends.code import JobCode
    from gitstate.engine.project import Project
    from gitstate.format.secrets import Redactor

__all__ = ["GitStateBackend"]

_log = logging.getLogger("gitstate")


class GitStateBackend(ProposingBackend):
    """Keeps the states of jobs in a git repository: every save is a commit, every commit can be read with plain git.

    Args:
        path: The folder of the store. It is made where there is nothing, an empty folder or an empty repository.
        model: The pydantic model of the states: :class:`gitstate.CheckpointState`, the default, or any of its shape.
        branch: The branch that holds the store.
        worktree: Whether the files are shown in the folder, half a second after a save. Without it a new repository is
            bare, and the folder of one that is not is brought up to date by ``flush`` and ``close`` alone.
        durability: ``"full"``: a save that returned survives a cut of the power.
        create: Whether to make a store where there is none.
        artifacts: A workspace and a pattern, from which ``get_next_sheet`` of a job without state is inferred.
        redact: Whether credentials of known formats are replaced by a mark in all that is saved and recorded, before
            it becomes part of the history; a :class:`gitstate.Redactor` says what else counts as one, and what does
            not (docs/concepts/secrets.md).
        code: A folder in the repository of the project whose code runs: each commit carries the id of the one that is
            checked out there, as the trailer ``Gitstate-Code``, with ``dirty`` if tracked files had other changes.
            None: the project in whose own repository the store lies, if it does. False: none.

    Raises:
        StoreNotFoundError: There is no store and ``create`` is False.
        UnsupportedError: What is at ``path`` is not ours; it was left alone.
        InvalidInputError: An argument cannot be meant, or ``path`` is a file.
        StorageError: The disk refused.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        model: type[BaseModel] | None = None,
        branch: str = "main",
        worktree: bool = True,
        durability: str = "full",
        create: bool = True,
        artifacts: tuple[str, str] | None = None,
        code: str | os.PathLike[str] | Literal[False] | None = None,
        redact: bool | Redactor = True,
    ) -> None:
        Redaction(redact)  # first: what cannot be meant is refused before anything is made
        project = _project(code)  # as above
        store = Store.open(path, branch=branch, create=create, worktree=worktree, durability=durability)
        super().__init__(store, model=model, fallback=artifacts, redact=redact)
        self._project = store.project if code is None else project
        if self._project is not None:
            from gitstate.backends.code import CodeStamp

            store.stamp_with(CodeStamp(self._project))
        if store.created:
            _tell_how_to_ignore(Path(os.path.abspath(path)))

    async def code(
        self, job_id: str, *, at: str | None = None, project: str | os.PathLike[str] | None = None
    ) -> JobCode:
        """Return which commit of a project ran when the job's last checkpoint was made, and what that commit says.

        Args:
            job_id: The job.
            at: The job's last checkpoint at this revision; None is the head.
            project: A folder in a repository that is looked into after the project whose commit saves carry, and before
                the store's own.

        Raises:
            JobNotFoundError: There never was such a job.
            RevisionNotFoundError: No revision answers to ``at``, or several do, or the job was not there yet.
            NotFoundError: The checkpoint does not say which code ran.
            InvalidInputError: ``project`` lies in no repository.
        """
        from gitstate.backends import code

        job_id = check_job_id(job_id)
        named = None if project is None else os.fspath(project)
        projects = [each for each in (self._project, _project(named)) if each is not None]
        return await asyncio.to_thread(code.code_of, self._store, self._jobs, job_id, at, projects)


def _project(code: str | os.PathLike[str] | bool | None) -> Project | None:
    if code is None or code is False:
        return None
    from gitstate.backends.code import project_at

    return project_at(code)


def _tell_how_to_ignore(path: Path) -> None:
    """Say once, when a store was made inside another project's repository, how that can ignore it."""
    for parent in path.parents:
        if (parent / ".git").exists():
            line = f"/{path.relative_to(parent).as_posix()}/"
            _log.warning(
                "%s lies inside the repository %s, which sees an untracked folder; the line %s in %s hides it",
                path,
                parent,
                line,
                parent / ".gitignore",
            )
            return
