"""Looking back at jobs: their checkpoints."""

import asyncio
from itertools import islice

from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.documents import DocumentBackend, check_job_id, check_limit

__all__ = ["HistoryBackend"]


class HistoryBackend(DocumentBackend):
    """What a backend tells of the past of its jobs; nothing here writes a state."""

    async def history(self, job_id: str, limit: int | None = None) -> list[Checkpoint]:
        """Return the revisions of a job, newest first; of a deleted job and of its earlier lives too."""
        job_id = check_job_id(job_id)
        return await asyncio.to_thread(self._history, job_id, check_limit(limit))

    def _history(self, job_id: str, limit: int | None) -> list[Checkpoint]:
        return [Checkpoint.of(job_id, found) for found in islice(self._store.history(self._jobs, job_id), limit)]
