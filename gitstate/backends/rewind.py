"""Going back: older states made new checkpoints."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from gitstate.backends import rewound
from gitstate.backends.documents import check_job_id
from gitstate.backends.history import HistoryBackend
from gitstate.errors import InvalidInputError, JobNotFoundError, RevisionNotFoundError
from gitstate.store.documents import Draft, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gitstate.backends.forks import Fork
    from gitstate.backends.rewound import Planner, Rewound

__all__ = ["RewindBackend", "note_of"]


class RewindBackend(HistoryBackend):
    """What a backend does to bring older states back. Every one of these is a new commit; history is never changed.

    All take a ``message``, which becomes the body of the commit's message, and write nothing in a ``dry_run`` but tell
    what they would do. All but :meth:`undelete` and :meth:`fork` raise BusyError while a process of this host runs the
    job, unless with ``force``.
    """

    async def rollback(
        self, job_id: str, to: str, *, message: str | None = None, force: bool = False, dry_run: bool = False
    ) -> Rewound:
        """Make the state of an older revision that of the job again, whatever stands there now.

        Nothing is written when it stands there already. Executions stay as they are.

        Raises:
            JobNotFoundError: There is no such job now.
            RevisionNotFoundError: No revision answers to ``to``, or the job was not there then.
            StateCorruptionError: What is stored there is no state.
            BusyError: The job is running.
        """
        job_id, note = check_job_id(job_id), note_of(message)
        older, source = await asyncio.to_thread(self._older, job_id, to)
        return await self._go(
            job_id, rewound.rollback(job_id, older, source, note=note, force=force or dry_run), dry_run
        )

    async def restore(
        self,
        job_id: str,
        at: str,
        *,
        sheets: str | Iterable[int] | None = None,
        pointers: str | Iterable[str] | None = None,
        message: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Rewound:
        """Bring a part of an older revision back, and make right what follows from it; the rest stays as it is.

        What follows are the job's watermark, current sheet, status and times. Nothing is written when the part is as
        it was.

        Args:
            job_id: The job.
            at: The revision that has the part.
            sheets: Numbers, or a text such as ``5-9,12``. One that had no record then loses the one that it has.
            pointers: Places such as ``/sheets/3/status`` or ``metadata.input``. What was not there then goes.
            message: Why.
            force: Also while the job is running.
            dry_run: Write nothing.

        Raises:
            JobNotFoundError: There is no such job now.
            RevisionNotFoundError: No revision answers to ``at``, or the job was not there then.
            InvalidInputError: No such sheet or place, then and now; or the result would be no state.
            StateCorruptionError: What is stored, then or now, is no state.
            BusyError: The job is running.
        """
        from gitstate.backends import restoring

        job_id, note, wanted = check_job_id(job_id), note_of(message), restoring.Wanted.of(sheets, pointers)
        older, source = await asyncio.to_thread(self._older, job_id, at)
        plan = restoring.restore(self._codec, job_id, wanted, older, source, note=note, force=force or dry_run)
        return await self._go(job_id, plan, dry_run)

    async def skip_sheets(
        self,
        job_id: str,
        sheets: str | Iterable[int],
        *,
        message: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Rewound:
        """Say of sheets that they are not to be run; the message becomes the reason that each of them has.

        What follows is made right: with its last open sheet the job is complete. Nothing is written when all of them
        are skipped already.

        Args:
            job_id: The job.
            sheets: Numbers, or a text such as ``5-9,12``.
            message: Why.
            force: Also while the job is running.
            dry_run: Write nothing.

        Raises:
            JobNotFoundError: There is no such job now.
            InvalidInputError: There is no such sheet, or one of them is completed.
            StateCorruptionError: What is stored is no state.
            BusyError: The job is running.
        """
        from gitstate.backends.sheets import skip

        return await self._change_sheets(skip, job_id, sheets, message, force, dry_run)

    async def reset_sheets(
        self,
        job_id: str,
        sheets: str | Iterable[int],
        *,
        message: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Rewound:
        """Make sheets pending again, without what their attempts left behind, so that they run once more.

        What follows is made right: a job that had ended is paused, or pending if no sheet was ever begun. Executions
        stay. Nothing is written when none of the sheets was begun. Arguments and errors are those of
        :meth:`skip_sheets`, but that a sheet may be completed.
        """
        from gitstate.backends.sheets import reset

        return await self._change_sheets(reset, job_id, sheets, message, force, dry_run)

    async def _change_sheets(
        self,
        draw: Callable[..., Planner],
        job_id: str,
        sheets: str | Iterable[int],
        message: str | None,
        force: bool,
        dry_run: bool,
    ) -> Rewound:
        """Carry out the plan for some sheets that ``draw`` makes, as :meth:`_go` does."""
        from gitstate.backends.restoring import numbered

        job_id, numbers = check_job_id(job_id), numbered(sheets)
        note = self._redaction.text(note_of(message))  # of a sheet that is skipped, it becomes the reason
        plan = draw(self._codec, job_id, numbers, note=note, force=force or dry_run)
        return await self._go(job_id, plan, dry_run)

    async def undelete(
        self, job_id: str, at: str | None = None, *, message: str | None = None, dry_run: bool = False
    ) -> Rewound:
        """Bring a deleted job back with its executions: its last state, or that ``at`` a revision.

        Raises:
            ExistsError: The job is there.
            JobNotFoundError: There never was such a job.
            RevisionNotFoundError: No revision answers to ``at``, or the job was not there then.
            StateCorruptionError: What is stored there is no state.
        """
        job_id, note = check_job_id(job_id), note_of(message)
        older, source = await asyncio.to_thread(
            lambda: self._older(job_id, self._before_deletion(job_id) if at is None else at)
        )
        return await self._go(job_id, rewound.undelete(job_id, older, source, note=note), dry_run)

    async def undo(
        self, job_id: str | None = None, *, message: str | None = None, force: bool = False, dry_run: bool = False
    ) -> Rewound:
        """Take back the last thing that a person did to a job, or to any job, and keep what the job did since.

        That is a rollback, a restore, a fork, a deletion, a commit made with plain git, or an undo: a second undo takes
        back the first.

        Raises:
            JobNotFoundError: There never was such a job.
            NotFoundError: There is nothing to take back.
            ConflictError: The job changed the same places since; nothing was written, ``conflicts`` lists them.
            StateCorruptionError: The state before it is no state.
            BusyError: The job is running.
        """
        named, note = None if job_id is None else check_job_id(job_id), note_of(message)
        job, plan = await asyncio.to_thread(self._undoing, named, note, force or dry_run)
        return await self._go(job, plan, dry_run)

    def _undoing(self, job_id: str | None, note: str, force: bool) -> tuple[str, Planner]:
        from gitstate.backends import undoing

        seen = self._store.head()
        job, operation = undoing.last_operation(self._store, self._jobs, job_id)
        parents = operation.parents[:1]
        before = self._store.snapshot(self._jobs, job, parents[0]) if parents else None
        if before is not None:
            self._state(before, based=False)
        sides = before, self._store.snapshot(self._jobs, job, operation.id)
        return job, undoing.undo(self._codec, job, operation, sides, seen, note=note, force=force)

    async def fork(
        self,
        job_id: str,
        new_id: str,
        at: str | None = None,
        *,
        from_sheet: int | None = None,
        message: str | None = None,
        dry_run: bool = False,
    ) -> Rewound:
        """Make a new job that begins as a job is now, or was ``at`` a revision; a running one becomes paused.

        Args:
            job_id: The job that it begins as; it stays as it is.
            new_id: The new job.
            at: The revision to begin at.
            from_sheet: The sheet at which the new job goes on: this one and all behind it become pending, without
                what their attempts left behind.
            message: Why.
            dry_run: Write nothing.

        Raises:
            ExistsError: There is a job ``new_id``.
            JobNotFoundError: There is no job ``job_id``.
            RevisionNotFoundError: No revision answers to ``at``, or the job was not there then.
            InvalidInputError: There is no such sheet.
            StateCorruptionError: What is stored is no state.
        """
        from gitstate.backends import forks

        job_id, new_id, note = check_job_id(job_id), check_job_id(new_id), note_of(message)
        origin, source = await asyncio.to_thread(self._older, job_id, at)
        return await self._go(
            new_id, forks.fork(self._codec, origin, source, new_id, from_sheet=from_sheet, note=note), dry_run
        )

    async def forks(self, job_id: str, *, at: str | None = None) -> Fork:
        """Return the tree of forks in which a job stands, or stood ``at`` a revision, from its root; a job that was
        never forked is one alone.

        Raises:
            JobNotFoundError: There is no such job, and no fork of it.
            RevisionNotFoundError: No revision answers to ``at``, or several do.
        """
        from gitstate.backends import forks

        job_id = check_job_id(job_id)
        return await asyncio.to_thread(forks.forks, self._store, self._jobs, job_id, at)

    def _before_deletion(self, job_id: str) -> str:
        """Return the commit before the one that deleted a job last."""
        rewound.refuse_if_there(job_id, self._store.load(self._jobs, job_id))
        for deleted in self._store.history(self._jobs, job_id):
            before = deleted.parents[0] if deleted.parents else None
            if before is not None and self._store.snapshot(self._jobs, job_id, before) is not None:
                return before
        raise JobNotFoundError(f"there never was a job {job_id!r}", hint="`gitstate list` shows which there are")

    def _older(self, job_id: str, at: str | None) -> tuple[Snapshot, str]:
        """Return a job as it was at a revision, and the job's own revision that made it so; it is a state."""
        snapshot = self._store.load(self._jobs, job_id, at)
        if snapshot is None and at is None:
            raise JobNotFoundError(
                f"there is no job {job_id!r} now",
                hint="`gitstate list` shows which there are; @deleted names a past one",
            )
        if snapshot is None:
            raise RevisionNotFoundError(
                f"there was no job {job_id!r} at revision {at!r}", hint="`gitstate log` lists its revisions"
            )
        self._state(snapshot, based=False)
        return snapshot, next(self._store.history(self._jobs, job_id, snapshot.revision)).id

    async def _go(self, job_id: str, plan: Planner, dry_run: bool) -> Rewound:
        """Carry a plan out on the job as it is when its turn comes, or only tell what it would do now."""
        if dry_run:
            return await asyncio.to_thread(lambda: plan(self._store.load(self._jobs, job_id))[0])
        done: list[Rewound] = []  # the last one counts: a write may be made again

        def edit(current: Snapshot | None) -> Draft | None:
            told, draft = plan(current)
            done.append(told)
            return draft

        revision = await self._submit(job_id, edit)
        return done[-1] if revision is None else replace(done[-1], revision=revision.id)


def note_of(message: str | None) -> str:
    """Return the body of a commit's message. Raises InvalidInputError: it is no text."""
    if message is not None and not isinstance(message, str):
        raise InvalidInputError(f"a message is a text, not {message!r}")
    return message or ""
