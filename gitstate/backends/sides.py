"""What is compared: two sides, each the state of a job at one of its checkpoints."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from gitstate.backends.checkpoints import Checkpoint
from gitstate.errors import JobNotFoundError
from gitstate.format.message import Event
from gitstate.store.documents import Collection, Revision, Snapshot
from gitstate.store.store import Store

__all__ = ["Finder", "JobSide", "Side", "Sides"]


@dataclass(frozen=True)
class JobSide:
    """One side of a diff: a job at a checkpoint, None before its first. ``exists``: whether it has a state there."""

    job_id: str
    checkpoint: Checkpoint | None
    exists: bool


class Side(NamedTuple):
    """What is compared: a side as it is told, and its snapshot."""

    told: JobSide
    snapshot: Snapshot | None


Sides: TypeAlias = tuple[Side, Side]


class Finder:
    """Finds what is to be compared."""

    def __init__(self, store: Store, jobs: Collection) -> None:
        self._store = store
        self._jobs = jobs

    def sides(self, before: tuple[str, str | None], after: tuple[str, str | None]) -> Sides:
        """Return two sides, each given as a job and the name of a revision; None is the head.

        Raises:
            JobNotFoundError: There is no state on either side.
            RevisionNotFoundError: A name stands for no revision.
        """
        sides = self.named(*before), self.named(*after)
        if sides[0].snapshot is None and sides[1].snapshot is None:
            raise _unknown(*(before if sides[0].told.checkpoint is None else after))
        return sides

    def states(self, before: tuple[str, str | None], after: tuple[str, str | None]) -> Sides:
        """Return two sides that both have a state. Arguments and errors are those of :meth:`sides`."""
        sides = self.sides(before, after)
        for named, side in zip((before, after), sides, strict=True):
            if side.snapshot is None:
                raise _unknown(*named)
        return sides

    def named(self, job_id: str, at: str | None) -> Side:
        """Return the side of a job at a revision; None is the head. Raises RevisionNotFoundError: there is none."""
        return self.side(job_id, next(self._revisions(job_id, at), None))

    def last_save(self, job_id: str) -> Sides:
        """Return the newest checkpoint that changed the state of a job, and the one before it.

        Raises:
            JobNotFoundError: The job has no history.
        """
        revisions = self._revisions(job_id, None)
        after = self.side(job_id, next(revisions, None))
        if after.told.checkpoint is None:
            raise _unknown(job_id, None)
        for revision in revisions:
            before = self.side(job_id, revision)
            if _value_id(before) != _value_id(after):
                return before, after
            after = before
        return self.side(job_id, None), after

    def side(self, job_id: str, revision: Revision | None) -> Side:
        """Return the side of a job at one of its revisions; None: before its first."""
        if revision is None:
            return Side(JobSide(job_id, None, exists=False), None)
        snapshot = self._store.after(self._jobs, job_id, revision)
        return Side(JobSide(job_id, Checkpoint.of(job_id, revision), exists=snapshot is not None), snapshot)

    def _revisions(self, job_id: str, at: str | None) -> Iterator[Revision]:
        """Yield the revisions that may have changed the state; an execution is recorded beside it."""
        for revision in self._store.history(self._jobs, job_id, at):
            if Checkpoint.of(job_id, revision).event != Event.EXECUTION.value:
                yield revision


def _value_id(side: Side) -> str | None:
    return None if side.snapshot is None else side.snapshot.value_id


def _unknown(job_id: str, at: str | None) -> JobNotFoundError:
    where = "" if at is None else f" at revision {at}"
    return JobNotFoundError(
        f"there is no state of job {job_id!r}{where}",
        hint="`gitstate list` shows which jobs there are, `gitstate log` what there was",
    )
