"""Looking back at jobs: their checkpoints."""

import asyncio
from itertools import islice

from gitstate.backends import review
from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.documents import DocumentBackend, check_job_id, check_limit
from gitstate.backends.review import JobComparison, JobDiff
from gitstate.backends.sides import Finder, Sides
from gitstate.store.changes import changed_files

__all__ = ["HistoryBackend"]


class HistoryBackend(DocumentBackend):
    """What a backend tells of the past of its jobs; nothing here writes a state."""

    async def history(self, job_id: str, limit: int | None = None) -> list[Checkpoint]:
        """Return the revisions of a job, newest first; of a deleted job and of its earlier lives too."""
        job_id = check_job_id(job_id)
        return await asyncio.to_thread(self._history, job_id, check_limit(limit))

    def _history(self, job_id: str, limit: int | None) -> list[Checkpoint]:
        return [Checkpoint.of(job_id, found) for found in islice(self._store.history(self._jobs, job_id), limit)]

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
        job_id = check_job_id(job_id)
        return await asyncio.to_thread(lambda: review.review(self._sides(job_id, a, b), volatile=volatile))

    async def diff_files(
        self, job_id: str, a: str | None = None, b: str | None = None
    ) -> dict[str, tuple[bytes, bytes]]:
        """Return the files of a job's state that differ, on both sides, by their paths in the job's folder.

        A file that is not there is empty. Arguments and errors are those of :meth:`diff`.
        """
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
        one, other = (check_job_id(job_id), at), (check_job_id(other_job_id), other_at)
        return await asyncio.to_thread(lambda: review.compare(Finder(self._store, self._jobs).states(one, other)))

    def _sides(self, job_id: str, a: str | None, b: str | None) -> Sides:
        finder = Finder(self._store, self._jobs)
        return finder.last_save(job_id) if a is None and b is None else finder.sides((job_id, a), (job_id, b))
