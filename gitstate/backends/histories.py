"""The histories of many jobs at once: one walk over all commits instead of one for each job.

For 300 jobs of 21 commits each, an export takes 2 s with one walk, and 40 s with 300.
"""

from collections.abc import Collection as Sized
from collections.abc import Iterator

from gitstate.backends import executions
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store.documents import Collection, Revision
from gitstate.store.store import Store

__all__ = ["Histories"]

_FEW = 3  # jobs: so many are walked for one by one
_ENDS = (Event.DELETED, Event.UNDONE, Event.RESTORED)


class Histories:
    """Looks up the revisions of jobs. What is kept of each is its id, and no more."""

    def __init__(self, store: Store, jobs: Collection, job_ids: Sized[str]) -> None:
        self._store = store
        self._jobs = jobs
        self._several_lives: set[str] = set()  # perhaps: which executions count is found by a walk of its own
        self._ids = self._grouped(frozenset(job_ids)) if len(job_ids) > _FEW else None

    def checkpoints(self, job_id: str) -> Iterator[Revision]:
        """Yield what :meth:`Store.history` does."""
        if self._ids is None:
            return self._store.history(self._jobs, job_id)
        return (next(self._store.walk(start=commit)) for commit in self._ids.get(job_id, ()))

    def executions(self, job_id: str) -> Iterator[tuple[str, Message]]:
        """Yield what :func:`gitstate.backends.executions.attempts` does."""
        if self._ids is None or job_id in self._several_lives:
            return executions.attempts(self._store, self._jobs, job_id)
        told = ((revision.id, revision.message) for revision in self.checkpoints(job_id))
        return (each for each in told if executions.facts(job_id, each[1])["id"] is not None)

    def _grouped(self, job_ids: frozenset[str]) -> dict[str, list[str]] | None:
        """Return the ids of the commits of each job, newest first; None where history is no line.

        There a job's history is simplified by rules that take a walk of its own.
        """
        found: dict[str, list[str]] = {}
        for revision in self._store.walk():
            if len(revision.parents) > 1:
                return None
            said = revision.message
            named = said.get(self._jobs.trailer)
            changed = self._store.changed(self._jobs, revision)
            claimed = [named] if named is not None and not changed else []  # it changed nothing, such as an execution
            for job_id in job_ids.intersection(changed or claimed):
                found.setdefault(job_id, []).append(revision.id)
                if job_id != named or said.get(message.EVENT) in _ENDS:
                    self._several_lives.add(job_id)
        return found
