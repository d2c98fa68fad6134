"""The backend that people come for: the state of jobs in a git repository."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from gitstate.backends.documents import check_job_id
from gitstate.backends.fleet import FleetBackend, autosync
from gitstate.backends.redaction import Redaction
from gitstate.backends.rules import job_rules
from gitstate.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from gitstate.backends.code import JobCode
    from gitstate.engine.project import Project
    from gitstate.engine.wire.transport import Progress
    from gitstate.format.secrets import Redactor
    from gitstate.values.merge import Rule

__all__ = ["GitStateBackend"]

_log = logging.getLogger("gitstate")


class GitStateBackend(FleetBackend):
    """Keeps the states of jobs in a git repository: every save is a commit, every commit can be read with plain git.

    Args:
        path: The folder of the store. It is made where there is nothing, an empty folder or an empty repository.
        model: The pydantic model of the states: :class:`gitstate.CheckpointState`, the default, or any of its shape.
        branch: The branch that holds the store.
        worktree: Whether the files are shown in the folder, half a second after a save. Without it a new repository is
            bare, and the folder of one that is not is brought up to date by ``flush`` and ``close`` alone.
        durability: ``"full"``: a save that returned survives a cut of the power. ``"normal"``: it survives the death of
            any process, and does not wait for the disk; a cut of the power may take the last seconds.
        create: Whether to make a store where there is none.
        artifacts: A workspace and a pattern, from which ``get_next_sheet`` of a job without state is inferred.
        redact: Whether credentials of known formats are replaced by a mark in all that is saved and recorded, before
            it becomes part of the history; a :class:`gitstate.Redactor` says what else counts as one, and what does
            not (docs/concepts/secrets.md).
        code: A folder in the repository of the project whose code runs: each commit carries the id of the one that is
            checked out there, as the trailer ``Gitstate-Code``, with ``dirty`` if tracked files had other changes.
            None: the project in whose own repository the store lies, if it does. False: none.
        rules: How fields of the model's own are merged: rules of :mod:`gitstate.rules` by pointers such as
            ``/cost_cents`` and ``/sheets/*/labels``; they go before those for jobs.
        sync: ``"after-save"``: what is saved is synced with a remote, in the background; None: only when :meth:`sync`
            is called. Saves never wait for it, and go on while the remote cannot be reached; :meth:`lag` tells how it
            goes, and the log when it begins to fail and when it works again.
        sync_remote: The remote.
        sync_delay: Seconds from a save to that sync, which takes along all that is saved meanwhile.
        sync_at_close: Seconds that :meth:`close` waits at most for the last saves to get there; 0: it does not try.

    Raises:
        NotFoundError: There is no such remote.
        StoreNotFoundError: There is no store and ``create`` is False.
        UnsupportedError: What is at ``path`` is not ours; it was left alone.
        InvalidInputError: An argument makes no sense, or ``path`` is a file.
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
        rules: Mapping[str, Rule] | None = None,
        sync: Literal["after-save"] | None = None,
        sync_remote: str = "origin",
        sync_delay: float = 5.0,
        sync_at_close: float = 5.0,
        redact: bool | Redactor = True,
    ) -> None:
        Redaction(redact)  # first: what makes no sense is refused before anything is made
        if rules is not None:
            job_rules(rules)
        if model is not None:
            from gitstate.format.codec import Codec

            Codec(model)
        project = _project(code)
        store = Store.open(path, branch=branch, create=create, worktree=worktree, durability=durability)
        try:
            super().__init__(store, model=model, fallback=artifacts, rules=rules, redact=redact)
            self._autosync = autosync(store, sync, sync_remote, sync_delay, sync_at_close)
        except BaseException:
            store.close()
            raise
        self._project = store.project if code is None else project
        if self._project is not None:
            from gitstate.backends.code import CodeStamp

            store.stamp_with(CodeStamp(self._project))
        if store.created:
            _tell_how_to_ignore(Path(os.path.abspath(path)))

    @classmethod
    async def clone(
        cls,
        url: str,
        path: str | os.PathLike[str],
        *,
        branch: str | None = None,
        worktree: bool = True,
        timeout: float = 60.0,  # noqa: ASYNC109 - it is the remote's silence that is bounded, not this call
        progress: Progress | None = None,
        **options: Any,
    ) -> Self:
        """Make a store of all that another repository has, checked as all is that is fetched, and open it.

        Args:
            url: The repository's address or path; it becomes the remote ``origin``.
            path: Where to; nothing, or an empty folder, may be there. If the clone fails, that is so again.
            branch: The branch that holds the store: by default ``main``, else ``gitstate``, else the only one.
            worktree: Whether the files are shown in the folder; without it the new repository is bare.
            timeout: Seconds for which the other side may keep silent.
            progress: As that of :meth:`sync`.
            options: What the constructor takes beside these.

        Raises:
            ExistsError: Something is in the folder.
            NotFoundError: The repository has no such branch; the message lists those that it has.
            SyncError: It cannot be talked to, or what it has is not to be trusted.
            UnsupportedError: Its branch is no store, or one of a newer format.
        """
        from gitstate.backends.collection import JOBS
        from gitstate.store.remote import cloning

        stop = threading.Event()

        def work() -> tuple[str, bool]:
            store = cloning.clone(
                url,
                path,
                branch=branch,
                bare=not worktree,
                collections=[JOBS],
                timeout=timeout,
                progress=progress,
                stop=stop,
            )
            store.close()
            return store.branch, store.created

        try:
            found, created = await asyncio.to_thread(work)
        except asyncio.CancelledError:
            stop.set()  # the folder is cleared in that thread
            raise
        backend = cls(path, branch=found, worktree=worktree, create=False, **options)
        backend.store.created = created
        return backend

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
