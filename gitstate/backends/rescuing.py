"""Rescues: states that a save was refused with, or that lost a merge; looked at, brought back and dropped."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitstate.backends.documents import check_job_id
from gitstate.backends.proposing import ProposingBackend
from gitstate.backends.rewind import note_of
from gitstate.errors import GitStateError, NotFoundError, StaleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitstate.backends.applying import OnConflict
    from gitstate.backends.rescues import Rescue
    from gitstate.backends.review import JobDiff
    from gitstate.backends.rewound import Planner, Rewound
    from gitstate.backends.sides import Sides
    from gitstate.store.rescues import Rescue as Aside
    from gitstate.store.rescues import Rescues
    from gitstate.values.canonical import Value

__all__ = ["AppliedRescue", "RescuedState", "RescuingBackend"]


@dataclass(frozen=True)
class RescuedState:
    """A rescue, and the whole value of the job that it holds."""

    rescue: Rescue
    value: dict[str, Value]


@dataclass(frozen=True)
class AppliedRescue:
    """What became of a rescue that was brought back: what that did to the job, and why the rescue is still there; empty
    if it is not.
    """

    rescue: Rescue
    done: Rewound
    kept: str


class RescuingBackend(ProposingBackend):
    """Rescues; see docs/how-to/get-a-refused-save-back.md.

    A rescue is named as :attr:`gitstate.backends.rescues.Rescue.name` has it: by its job and the first digits of its
    commit. The digits alone do as well, its ref, and its job if that has a single one. To git it is a commit under
    ``refs/gitstate/rescue/``.
    """

    async def rescues(self, job_id: str | None = None) -> list[Rescue]:
        """Return the states that are kept aside, of one job or of all, the newest first; their jobs may be gone.

        A ref that came from elsewhere and is no rescue is told of in the log and left out.
        """
        job = None if job_id is None else check_job_id(job_id)
        return await asyncio.to_thread(lambda: [self._told(each) for each in self._rescues.all(job)])

    async def rescue_counts(self) -> Mapping[str, int]:
        """Return how many rescues each job has that has any."""
        return await asyncio.to_thread(lambda: self._rescues.counts())

    async def show_rescue(self, name: str) -> RescuedState:
        """Return a rescue with the whole state that it holds, as plain data: it may be one that no model takes.

        Raises:
            NotFoundError: There is no such rescue, or several are called so.
            StateCorruptionError: Its files are damaged, or are no value.
        """

        def work() -> RescuedState:
            aside = self._rescues.find(name)
            return RescuedState(self._told(aside), self._rescues.snapshot(aside).value())

        return await asyncio.to_thread(work)

    async def diff_rescue(self, name: str, *, to_base: bool = False, volatile: bool = False) -> JobDiff:
        """Return what would change if the job became the state of a rescue.

        Args:
            name: The rescue.
            to_base: What the state changed of what it was based on, whatever became of the job.
            volatile: Whether fields that change with nearly every save are shown too.

        Raises:
            NotFoundError: There is no such rescue, or several are called so, or nobody knows its base.
            StateCorruptionError: A file that differs cannot be read.
        """
        from gitstate.backends import review

        return await asyncio.to_thread(lambda: review.review(self._rescue_sides(name, to_base), volatile=volatile))

    async def diff_rescue_files(self, name: str, *, to_base: bool = False) -> dict[str, tuple[bytes, bytes]]:
        """Return the files that differ, as :meth:`diff_files` does. Arguments and errors are those of
        :meth:`diff_rescue`.
        """
        from gitstate.store.changes import changed_files

        def work() -> dict[str, tuple[bytes, bytes]]:
            return changed_files(*(side.snapshot for side in self._rescue_sides(name, to_base)))

        return await asyncio.to_thread(work)

    async def apply_rescue(
        self,
        name: str,
        *,
        on_conflict: OnConflict = "fail",
        replace: bool = False,
        message: str | None = None,
        keep: bool = False,
        force: bool = False,
        dry_run: bool = False,
    ) -> AppliedRescue:
        """Bring a rescue back into its job, as one commit, and drop it: merge it by the rules, as if it were saved now.

        A refused state is merged from what it was based on. One that lost a merge has only the places to give at which
        it lost: they come back if what won is still there. A job that is gone comes back as the rescue has it. The
        execution that a refused save would have recorded is recorded. Nothing is written if the job has it all.

        Args:
            name: The rescue.
            on_conflict: What becomes of places that the job has changed as well: ``"fail"``, or that the ``"rescue"``
                or the ``"job"`` counts there.
            replace: Make the rescue the state as a whole, whatever stands there now.
            message: Why; it becomes the body of the commit's message.
            keep: Whether to keep the rescue.
            force: Also while the job is running, where a side is chosen or the state replaced.
            dry_run: Write nothing, but tell, or refuse, what would be done.

        Raises:
            NotFoundError: There is no such rescue, or several are called so.
            ConflictError: The job changed the same places; ``conflicts`` lists them, and the rescue is where it was.
            StateCorruptionError: The rescue, or the job, is no state.
            ExistsError: It was applied before.
            InvalidInputError: Both together are no state, or nobody knows its base.
            BusyError: A running job would be changed at a person's choice.
        """
        from gitstate.backends.applying import application

        note = note_of(message)

        def prepare() -> tuple[Aside, Rescue, Planner]:
            found = self._rescues
            aside = found.find(name)
            self._state(found.snapshot(aside), based=False)
            plan = application(
                self._store,
                found,
                aside,
                self._codec,
                self._checked,
                self._redaction,
                on_conflict=on_conflict,
                replace=replace,
                note=note,
                force=force or dry_run,
            )
            return aside, self._told(aside), plan

        aside, told, plan = await asyncio.to_thread(prepare)
        done = await self._go(told.job_id, plan, dry_run)
        kept = "it was not applied" if dry_run else "it was to be kept" if keep else None
        return AppliedRescue(told, done, await asyncio.to_thread(self._dropped_rescue, aside) if kept is None else kept)

    async def drop_rescue(self, name: str, *, dry_run: bool = False) -> Rescue:
        """Drop a rescue, and return what it was; its commit stays in the repository until git clears it away.

        Raises:
            NotFoundError: There is no such rescue, or several are called so.
            StaleError: Somebody else dropped it meanwhile.
        """

        def work() -> Rescue:
            aside = self._rescues.find(name)
            told = self._told(aside)
            if not dry_run:
                self._rescues.drop(aside)
            return told

        return await asyncio.to_thread(work)

    @property
    def _rescues(self) -> Rescues:
        self._store.head()  # raises if it is closed
        return self._store.rescues(self._jobs)

    def _told(self, aside: Aside) -> Rescue:
        from gitstate.backends.rescues import Rescue

        return Rescue.of(aside, is_job_there=self._store.load(self._jobs, aside.document) is not None)

    def _dropped_rescue(self, aside: Aside) -> str:
        """Drop what was applied; return why it is still there."""
        try:
            self._rescues.drop(aside)
        except StaleError:
            return ""  # somebody else did
        except GitStateError as error:
            return error.message
        return ""

    def _rescue_sides(self, name: str, to_base: bool) -> Sides:
        from gitstate.backends.rescues import base_of
        from gitstate.backends.sides import Finder

        found, finder = self._rescues, Finder(self._store, self._jobs)
        aside = found.find(name)
        after = finder.side(aside.document, aside.revision)
        if not to_base:
            return finder.named(aside.document, None), after
        base = base_of(self._store.reader.source, aside)
        if base is None:
            raise NotFoundError(
                f"it is not known what rescue {aside.name} is based on", hint="without --base it is compared with now"
            )
        return finder.named(aside.document, base), after
