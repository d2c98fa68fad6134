"""Which commit of a project ran: written as a trailer by every save, and read from a checkpoint."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gitstate import clock
from gitstate.backends.checkpoints import Checkpoint, own_revision
from gitstate.engine import threads
from gitstate.engine.objects import HEX_ID, Commit, ObjectId
from gitstate.engine.project import Project
from gitstate.errors import GitStateError, InvalidInputError, NotFoundError
from gitstate.format import message
from gitstate.store.documents import Collection
from gitstate.store.store import Store
from gitstate.words import short

__all__ = ["CodeStamp", "JobCode", "code_of", "project_at"]

_FRESH = 60.0  # seconds for which a worktree is believed to be as it was
_PATIENCE = 1.0  # seconds to wait for the first look at a worktree
_MARKS = {True: " dirty", False: "", None: " unchecked"}


@dataclass(frozen=True)
class JobCode:
    """The commit of a project at which a checkpoint was made.

    ``project`` is the folder of the repository that has the commit, ``subject``, ``author``, ``email`` and ``time``
    (UTC) are the commit's: all None where no repository that was looked into has it.
    """

    checkpoint: Checkpoint
    project: Path | None = None
    subject: str | None = None
    author: str | None = None
    email: str | None = None
    time: datetime | None = None


def project_at(code: "str | os.PathLike[str] | bool") -> Project:
    """Return the project that a folder lies in.

    Raises:
        InvalidInputError: It lies in no repository, or is no path.
        UnsupportedError: The commits of this kind of repository cannot be told.
    """
    if not isinstance(code, str | os.PathLike) or not os.fspath(code):
        raise InvalidInputError(f"code={code!r} names no project", hint="give the path of one, or False for none")
    return Project.of(Path(code))


class CodeStamp:
    """Tells the trailer that saves carry, before each of them.

    The commit is looked up each time, which takes some 10 us. Whether files differ from it takes about 10 ms for each
    1,000 files, so that is looked at in a thread of its own: at the first save and whenever another commit is checked
    out, for which the save waits a second at most, and at a save a minute or more after the last look, which does not
    wait. Of a look that is not over in time the trailer says ``unchecked``.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._judged: ObjectId | None = None
        self._dirty: bool | None = None
        self._since = 0.0  # by the monotonic clock
        self._thread: threading.Thread | None = None

    def __call__(self) -> tuple[tuple[str, str], ...]:
        """Return the trailer, or none if the project has no commit."""
        head = self._project.head()
        if head is None:
            return ()
        return ((message.CODE, head + _MARKS[self._is_dirty(head)]),)

    def _is_dirty(self, head: ObjectId) -> bool | None:
        is_new = self._judged != head
        if is_new or time.monotonic() - self._since > _FRESH:
            thread = self._started(head)
            if is_new and thread is not None:
                thread.join(_PATIENCE)
        with self._lock:
            return self._dirty if self._judged == head else None

    def _started(self, head: ObjectId) -> threading.Thread | None:
        """Return the thread that looks, started if none does."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threads.started(
                lambda: self._judge(head),
                "gitstate-code",
                "the worktree of the project is not looked at",
                logging.DEBUG,
            )
        return self._thread

    def _judge(self, head: ObjectId) -> None:
        dirty = self._project.is_dirty(head)
        with self._lock:
            self._judged, self._dirty, self._since = head, dirty, time.monotonic()


def code_of(store: Store, jobs: Collection, job_id: str, at: str | None, projects: Sequence[Project]) -> JobCode:
    """Return which code ran when a job's last checkpoint at a revision was made.

    Args:
        store: Where the job is.
        jobs: The collection of the jobs.
        job_id: The job.
        at: The revision; None is the head.
        projects: Where the commit is looked for, before the store's own repository.

    Raises:
        JobNotFoundError: There never was such a job.
        RevisionNotFoundError: No revision answers to ``at``, or several do, or the job was not there yet.
        NotFoundError: The checkpoint does not say which code ran.
    """
    checkpoint = Checkpoint.of(job_id, own_revision(store, jobs, job_id, at))
    if checkpoint.code is None:
        told = store.history(jobs, job_id, checkpoint.revision, key=message.CODE)
        before = next((short(each.id) for each in told), None)
        how = "saves do in a project's own repository, or where GitStateBackend(code=) or GITSTATE_CODE names one"
        raise NotFoundError(
            f"checkpoint {short(checkpoint.revision)} of job {job_id!r} does not say which code ran",
            hint=f"the last one that does is {before}" if before else how,
        )
    for project in (*projects, store.home):
        commit = None if project is None else _commit(project, checkpoint.code)
        if project is not None and commit is not None:
            who, when = commit.author, clock.moment(commit.author.time)
            subject = message.Message.parse(commit.message).subject
            return JobCode(checkpoint, project.folder, subject, who.name, who.email, when)
    return JobCode(checkpoint)


def _commit(project: Project, commit_id: ObjectId) -> Commit | None:
    try:
        return project.commit(commit_id) if HEX_ID.fullmatch(commit_id) else None
    except (GitStateError, OSError):
        return None
