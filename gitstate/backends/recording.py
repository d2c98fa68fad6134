"""Executions: recorded, read again and counted."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any

from gitstate.backends import executions
from gitstate.backends.documents import DocumentBackend, check_job_id, check_limit
from gitstate.backends.executions import ExecutionRecord
from gitstate.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["RecordingBackend"]


class RecordingBackend(DocumentBackend):
    """What a backend keeps of the attempts at sheets beside the states."""

    @property
    def supports_execution_history(self) -> bool:
        """True: executions are commits."""
        return True

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
        """Record one execution attempt as a commit, and return the integer id of the record.

        Args:
            job_id: The job.
            sheet_num: The sheet, from 1.
            attempt_num: Which attempt at the sheet, from 1.
            prompt: What was asked.
            output: What came of it.
            exit_code: The exit status of the attempt's process.
            duration_seconds: How long it took.

        Raises:
            JobNotFoundError: There is no such job.
            InvalidInputError: Sheet or attempt is below 1, or a value is of the wrong type.
        """
        job_id = check_job_id(job_id)
        try:
            record = ExecutionRecord(sheet_num, attempt_num, prompt, output, exit_code, duration_seconds)
        except InvalidInputError as error:
            raise InvalidInputError(f"job {job_id!r}: {error.message}") from error
        await self._submit(job_id, executions.edit_for(job_id, record, self._redaction))
        return record.id

    async def get_execution_history(
        self, job_id: str, sheet_num: int | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return the executions of a job or of one of its sheets, newest first, as dictionaries with ``id, job_id,
        sheet_num, attempt_num, prompt, output, exit_code, duration_seconds, executed_at`` (ISO 8601, UTC).

        Args:
            job_id: The job; one that is not there has none.
            sheet_num: Only those of this sheet.
            limit: How many at most.

        Raises:
            InvalidInputError: The limit is none.
            CorruptionError: A prompt or an output is damaged.
        """
        job_id = check_job_id(job_id)
        found = self._payloads.records(job_id, sheet_num)
        return await asyncio.to_thread(list, islice(found, check_limit(limit)))

    async def executions(self, job_id: str, sheet_num: int | None = None) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what :meth:`get_execution_history` returns, one by one, so that many large ones need little memory."""
        found = self._payloads.records(check_job_id(job_id), sheet_num)
        while record := await asyncio.to_thread(next, found, None):
            yield record

    async def get_execution_history_count(self, job_id: str) -> int:
        """Return how many executions of a job are recorded."""
        job_id = check_job_id(job_id)
        return len(await self._answer(lambda store: executions.ids(store, self._jobs, job_id)))
