"""The interface: what keeps the state of jobs, so that a run which stopped goes on where it stopped.

It is that of Marianne's state backends; names, order and defaults of the arguments are part of the contract. What every
implementation must do beyond the signatures is held by :class:`gitstate.testing.StateBackendTests`.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from gitstate.backends import artifacts

if TYPE_CHECKING:
    from types import TracebackType

    from gitstate.backends.models import CheckpointState
    from gitstate.backends.statuses import SheetStatus

__all__ = ["StateBackend"]

_log = logging.getLogger("gitstate")


class StateBackend(ABC):
    """Keeps the states of jobs. Use it with ``async with``, or call :meth:`close` in the end.

    A job id is any text that is not empty, and each is a job of its own. Objects that were loaded or saved belong to
    the caller: to change them never changes the store. Marks and saves from tasks, threads and processes all survive.
    """

    @abstractmethod
    async def load(self, job_id: str) -> CheckpointState | None:
        """Return the state of a job, or None when there is none.

        A job that says RUNNING with a pid that is dead on this very host is returned as PAUSED, with an explanation in
        ``error_message``; what is stored stays as it is.

        Raises:
            StateCorruptionError: There is a state, and it cannot be read.
        """

    @abstractmethod
    async def save(self, state: CheckpointState) -> None:
        """Persist a state; ``state.updated_at`` becomes now, on the caller's object.

        Sheets that are no longer in the state are gone after the next load.

        Raises:
            InvalidInputError: The job id is empty, or the state holds what cannot be kept.
        """

    @abstractmethod
    async def delete(self, job_id: str) -> bool:
        """Delete a job's state. True if it was deleted, False if there was none."""

    @abstractmethod
    async def list_jobs(self) -> list[CheckpointState]:
        """Return all jobs that have state, newest ``updated_at`` first.

        One that cannot be read is reported in the log and left out.
        """

    @abstractmethod
    async def get_next_sheet(self, job_id: str) -> int | None:
        """Return the number of the next sheet to process, or None when the job is complete; 1 for an unknown job."""

    @abstractmethod
    async def mark_sheet_status(
        self,
        job_id: str,
        sheet_num: int,
        status: SheetStatus,
        error_message: str | None = None,
    ) -> None:
        """Update the status of one sheet.

        Args:
            job_id: The job.
            sheet_num: The sheet, from 1 to ``total_sheets``.
            status: The new status; it counts by its value, so another package's enum works.
            error_message: For failures: what went wrong.

        Raises:
            JobNotFoundError: There is no such job.
            InvalidInputError: There is no such sheet or status.
        """

    async def close(self) -> None:  # noqa: B027  # optional: a backend that holds nothing has nothing to release
        """Release connections, locks and threads. Idempotent; any other call after it is an error."""

    @property
    def supports_execution_history(self) -> bool:
        """Whether :meth:`record_execution` keeps what it is given."""
        return False

    async def record_execution(
        self,
        job_id: str,
        sheet_num: int,
        attempt_num: int,
        prompt: str | None = None,
        output: str | None = None,
        exit_code: int | None = None,
        duration_seconds: float | None = None,
    ) -> int | None:
        """Record one execution attempt in the history.

        Args:
            job_id: The job.
            sheet_num: The sheet, from 1.
            attempt_num: Which attempt at the sheet, from 1.
            prompt: What was asked.
            output: What came of it.
            exit_code: The exit status of the attempt's process.
            duration_seconds: How long it took.

        Returns:
            The id of the record, or None from a backend that keeps no history; that is logged as a warning.
        """
        del prompt, output, exit_code, duration_seconds
        _log.warning(
            "%s keeps no execution history: attempt %s at sheet %s of job %r is lost",
            type(self).__name__,
            attempt_num,
            sheet_num,
            job_id,
        )
        return None

    async def infer_state_from_artifacts(self, job_id: str, workspace: str, artifact_pattern: str) -> int | None:
        """Return the last sheet that has an output file, or None: the fallback when a job's state is missing.

        Args:
            job_id: The job; every sheet number found is taken as its own.
            workspace: The folder to look in.
            artifact_pattern: A glob pattern relative to it, such as ``sheet*-security-report.md``.

        Raises:
            InvalidInputError: The workspace is no path, or the pattern is empty, absolute or climbs with ``..``.
        """
        del job_id
        found = await asyncio.to_thread(artifacts.find_sheets, artifacts.folder(workspace), artifact_pattern)
        return artifacts.last_sheet(found)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
