"""Looking back at jobs: their checkpoints, what differs between them, and which one did what."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from gitstate.backends.checkpoints import (
    Checkpoint,
    Pin,
    events_named,
    own_revision,
    selected,
    trailer_named,
)
from gitstate.backends.documents import check_job_id, check_limit
from gitstate.backends.jobs import JobsBackend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from datetime import datetime

    from gitstate.backends.attempts import Attempt
    from gitstate.backends.next_sheets import NextSheet
    from gitstate.backends.review import JobComparison, JobDiff
    from gitstate.backends.sides import Sides
    from gitstate.backends.tracing import Bisection, Blame, Predicate
    from gitstate.backends.watching import NewCheckpoint
    from gitstate.format.secrets import Redactor
    from gitstate.store.answers import Answers
    from gitstate.store.scanning import ScanReport

__all__ = ["HistoryBackend"]

_HEADS = (None, "@", "HEAD")


class HistoryBackend(JobsBackend):
    """What a backend tells of the past of its jobs; nothing here writes a state."""

    async def history(
        self,
        job_id: str,
        limit: int | None = None,
        *,
        before: str | datetime | None = None,
        after: str | datetime | None = None,
        events: str | Iterable[str] | None = None,
        trailer: str | None = None,
        at: str | None = None,
    ) -> list[Checkpoint]:
        """Return the revisions of a job, newest first; of a deleted job and of its earlier lives too.

        Args:
            job_id: The job.
            limit: How many at most.
            before: Only those that are older than this time or revision.
            after: Only those that are newer.
            events: Only those with these events, such as ``"execution"``; see :class:`gitstate.format.message.Event`.
            trailer: Only those that say so, such as ``"Gitstate-Sheet: 3"``, or that say anything of it, such as
                ``"Gitstate-Failed"`` (docs/reference/trailers.md).
            at: The history as it was at this revision; None is the head.

        Raises:
            RevisionNotFoundError: No revision answers to a name, or several do, or the job was not there yet.
            InvalidInputError: There is no such event, no such trailer can be, or a limit is none.
        """
        job_id, limit, named = check_job_id(job_id), check_limit(limit), events_named(events)
        said = trailer_named(trailer)

        def question(store: Answers) -> list[Checkpoint]:
            found = selected(
                store, self._jobs, job_id, at=at, before=before, after=after, events=named, trailer=said, limit=limit
            )
            return list(islice(found, limit))

        return await self._answer(question)

    async def attempts(
        self, job_id: str, sheet_num: int | None = None, limit: int | None = None, *, at: str | None = None
    ) -> list[Attempt]:
        """Return the attempts at the sheets of a job or at one of them, newest first, in the life that it has now.

        They are those that a save or a mark saw end, whether or not they were recorded, and the recorded executions.

        Args:
            job_id: The job.
            sheet_num: The sheet; None: all.
            limit: How many at most.
            at: The attempts until this revision, also of a life that is over; None is the head.

        Raises:
            RevisionNotFoundError: No revision answers to ``at``, or several do.
            InvalidInputError: A limit is none.
        """
        from gitstate.backends import attempts

        job_id, limit = check_job_id(job_id), check_limit(limit)
        return await asyncio.to_thread(attempts.attempts, self._store, self._jobs, job_id, sheet_num, limit, at)

    def watch(self, job_id: str | None = None, *, since: str | None = None) -> AsyncGenerator[NewCheckpoint, None]:
        """Yield each checkpoint and execution as it comes, of all jobs or of one, from this process or any other.

        Each comes once, parents before their children: none is lost or doubled, also when histories are merged, reset
        or amended, and when a loop is left and :attr:`NewCheckpoint.cursor` of the last one is the ``since`` of the
        next. A commit that changed several jobs comes once for each, in the order of their ids. The loop ends when the
        backend is closed; what was written and not told by then, the next loop tells.

        Args:
            job_id: The job; it need not be there yet. None: all jobs.
            since: A cursor, or a revision, of which all that is not in its history is new; it is looked up when the
                loop begins. None is the head at the moment of the call.

        Raises:
            ClosedError: The backend was closed before the call. What follows is raised in the loop.
            RevisionNotFoundError: No revision answers to ``since``, or several do, or it is there no more.
            InvalidInputError: ``since`` is no text, or counts the revisions of one job, and none is named.
            StoreNotFoundError: The branch, or the whole repository, is gone.
            CorruptionError: A commit or tree is missing or damaged.
        """
        from gitstate.backends import watching

        job_id = None if job_id is None else check_job_id(job_id)
        head = self._store.head()
        return watching.follow(self._store, self._jobs, job_id, head if since in _HEADS else since)

    # Pins

    async def pin(self, job_id: str, name: str, at: str | None = None, *, dry_run: bool = False) -> Pin:
        """Give a checkpoint of a job a name, which every call that takes a revision then knows. To git it is a tag.

        Args:
            job_id: The job.
            name: One word of letters, digits, ``.``, ``_`` and ``-``. A name never moves: remove it, and pin again.
            at: The revision; None is the head. The job's own last revision there gets the name.
            dry_run: Write nothing.

        Raises:
            JobNotFoundError: There never was such a job.
            RevisionNotFoundError: No revision answers to ``at``, or several do, or the job was not there yet.
            InvalidInputError: The name would be read as something else, or holds a credential.
            ExistsError: The name stands for another checkpoint.
        """
        job_id = check_job_id(job_id)

        def work() -> Pin:
            self._redaction.refuse_in_name("pin", name)
            own = own_revision(self._store, self._jobs, job_id, at)
            pins = self._store.pins(self._jobs, job_id)
            pins.check(name, own.id) if dry_run else pins.add(name, own.id)
            return Pin(job_id, name, own.id)

        return await asyncio.to_thread(work)

    async def unpin(self, job_id: str, name: str, *, dry_run: bool = False) -> Pin:
        """Remove a name, or say in a ``dry_run`` what it stands for; that stays, as long as history has it.

        Raises:
            NotFoundError: There is no such pin.
        """
        pins = self._store.pins(self._jobs, check_job_id(job_id))
        return Pin(job_id, name, await asyncio.to_thread(pins.get if dry_run else pins.remove, name))

    async def pins(self, job_id: str) -> list[Pin]:
        """Return the pins of a job, by name."""
        job_id = check_job_id(job_id)
        found = await asyncio.to_thread(self._store.pins(self._jobs, job_id).all)
        return [Pin(job_id, name, revision) for name, revision in found]

    # Searching

    async def blame(self, job_id: str, pointer: str, *, at: str | None = None) -> Blame:
        """Return which checkpoints set what stands at a place, and to what, the newest first.

        Args:
            job_id: The job.
            pointer: The place: ``/sheets/3/status`` or ``sheets.3.status``. The empty text is the whole state.
            at: The revision to end at; None is the head.

        Raises:
            InvalidInputError: The pointer is none.
            JobNotFoundError: There never was such a job.
            NotFoundError: Nothing ever stood there.
            RevisionNotFoundError: No revision answers to ``at``, or several do, or the job was not there yet.
        """
        from gitstate.backends import tracing

        job_id = check_job_id(job_id)
        return await asyncio.to_thread(tracing.blame, self._store, self._jobs, job_id, pointer, at)

    async def bisect(self, job_id: str, predicate: Predicate, *, at: str | None = None) -> Bisection:
        """Return the first checkpoint at which something holds. All are looked at, so it need not stay so.

        Args:
            job_id: The job.
            predicate: An expression such as ``sheets.3.attempt_count > 2`` (see
                :mod:`gitstate.values.expression`), or a function of the job's plain value, which it must not change.
                What the function raises comes through: early values have no sheets yet.
            at: The revision to end at; None is the head.

        Raises:
            InvalidInputError: The predicate is no function, or a text that is no expression.
            JobNotFoundError: There never was such a job.
            RevisionNotFoundError: No revision answers to ``at``, or several do, or the job was not there yet.
        """
        from gitstate.backends import tracing

        job_id = check_job_id(job_id)
        return await asyncio.to_thread(tracing.bisect, self._store, self._jobs, job_id, predicate, at)

    async def explain_next(self, job_id: str, at: str | None = None) -> NextSheet:
        """Return which sheet a run would process next, why, and what it passes over; see :meth:`get_next_sheet`.

        Raises:
            StateCorruptionError: What is stored is no state.
            RevisionNotFoundError: No revision answers to ``at``, or several do.
        """
        from gitstate.backends import next_sheets

        state = await self.load(job_id, at=at)
        if state is not None:
            return next_sheets.explain(job_id, state)
        number = await self.get_next_sheet(job_id) if at is None else 1
        found = f": output files up to sheet {number - 1} were found" if number and number > 1 else ""
        return next_sheets.NextSheet(
            job_id, number, f"the job has no state{found or ', so it begins with the first sheet'}"
        )

    # Reviewing

    async def diff(self, job_id: str, a: str | None = None, b: str | None = None, *, volatile: bool = False) -> JobDiff:
        """Return what changed in a job: who, when and why, sheets that moved, new errors, and every other change.

        Args:
            job_id: The job.
            a: The revision to begin at, as :meth:`load` takes it. None: the last save that changed the state is shown.
            b: The revision to end at; None is the head.
            volatile: Whether fields that change with nearly every save are shown too; see
                :data:`gitstate.backends.review.VOLATILE`.

        Raises:
            JobNotFoundError: The job has no state at either revision.
            RevisionNotFoundError: No revision answers to a name, or several do.
            StateCorruptionError: A file that differs cannot be read.
        """
        from gitstate.backends import review

        job_id = check_job_id(job_id)
        return await asyncio.to_thread(lambda: review.review(self._sides(job_id, a, b), volatile=volatile))

    async def diff_files(
        self, job_id: str, a: str | None = None, b: str | None = None
    ) -> dict[str, tuple[bytes, bytes]]:
        """Return the files of a job's state that differ, on both sides, by their paths in the job's folder.

        A file that is not there is empty. Arguments and errors are those of :meth:`diff`.
        """
        from gitstate.store.changes import changed_files

        job_id = check_job_id(job_id)
        return await asyncio.to_thread(lambda: changed_files(*(side.snapshot for side in self._sides(job_id, a, b))))

    async def compare(
        self, job_id: str, at: str | None, other_job_id: str, other_at: str | None = None
    ) -> JobComparison:
        """Return two jobs, or two checkpoints of one, sheet by sheet: outcome, attempts, time and cost on both sides.

        Args:
            job_id: The one job.
            at: Its revision, as :meth:`load` takes it; None is the head.
            other_job_id: The other job, or the same.
            other_at: The revision of that one.

        Raises:
            JobNotFoundError: One of the jobs has no state there.
            RevisionNotFoundError: No revision answers to a name, or several do.
            StateCorruptionError: A state cannot be read.
        """
        from gitstate.backends import review
        from gitstate.backends.sides import Finder

        one, other = (check_job_id(job_id), at), (check_job_id(other_job_id), other_at)
        return await asyncio.to_thread(lambda: review.compare(Finder(self._store, self._jobs).states(one, other)))

    async def scan(
        self,
        *,
        at: str | None = None,
        since: str | None = None,
        everything: bool = False,
        redactor: Redactor | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ScanReport:
        """Look for credentials in the history of all that the store keeps; see :meth:`Store.scan`.

        Args:
            at: Look only at what stands at this revision.
            since: Look only at what came after this revision.
            everything: Look into the history of every ref of the repository.
            redactor: What says what a credential is; that of the backend by default.
            progress: Is told how many files and messages were looked at, and of how many, from another thread.

        Raises:
            InvalidInputError: These exclude one another.
            RevisionNotFoundError: There is no such revision.
            CorruptionError: A commit or a tree is missing or damaged.
        """
        from gitstate.format.secrets import Redactor

        wanted = redactor or self._redaction.redactor or Redactor()
        show = progress or (lambda _done, _total: None)
        return await asyncio.to_thread(
            lambda: self._store.scan(
                self._jobs, redactor=wanted, at=at, since=since, everything=everything, progress=show
            )
        )

    def _sides(self, job_id: str, a: str | None, b: str | None) -> Sides:
        from gitstate.backends.sides import Finder

        finder = Finder(self._store, self._jobs)
        return finder.last_save(job_id) if a is None and b is None else finder.sides((job_id, a), (job_id, b))
