"""Which jobs there are and were: found by their ids, by what they say of themselves, and counted."""

from __future__ import annotations

import asyncio
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Unpack

from gitstate.backends.checkpoints import Checkpoint, DeletedJob
from gitstate.backends.documents import check_job_id, check_limit
from gitstate.backends.recording import RecordingBackend
from gitstate.backends.rewound import value_of
from gitstate.backends.subjects import progress
from gitstate.errors import InvalidInputError, JobNotFoundError
from gitstate.words import several

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from datetime import datetime

    from gitstate.backends.queries import JobFilters, JobPage

__all__ = ["JobsBackend"]

_STREAMED = 500  # jobs that are read at once
_LISTED = 5  # so many jobs are named in an error
_WHERE = "`gitstate list` shows which there are"


class JobsBackend(RecordingBackend):
    """What a backend tells of its jobs without a look at their states."""

    async def deleted_jobs(self) -> list[DeletedJob]:
        """Return the jobs that were deleted and are not there again, the one that was deleted last first."""
        return await asyncio.to_thread(self._deleted)

    def _deleted(self) -> list[DeletedJob]:
        found: list[DeletedJob] = []
        for job_id, revision in self._store.deleted(self._jobs):
            last = value_of(self._store.snapshot(self._jobs, job_id, revision.parents[0]))
            status = (last or {}).get("status")
            done = None if last is None else "{}/{}".format(*progress(last))
            checkpoint = Checkpoint.of(job_id, revision)
            found.append(DeletedJob(job_id, checkpoint, None if status is None else str(status), done))
        return found

    async def find_job(self, name: str) -> str:
        """Return the id of the job that a person names: the id itself, of a job that is or was, or its beginning.

        Raises:
            JobNotFoundError: No job answers to the name, or several do; the message lists them.
        """
        name = check_job_id(name)
        return await asyncio.to_thread(self._find_job, name)

    def _find_job(self, name: str) -> str:
        if self._store.load(self._jobs, name) or next(self._store.history(self._jobs, name), None):
            return name
        there = self._job_ids()
        begun = [job_id for job_id in there if job_id.startswith(name)]
        if not begun:
            gone = sorted(job_id for job_id, _ in self._store.deleted(self._jobs))
            begun, there = [job_id for job_id in gone if job_id.startswith(name)], there + gone
        if len(begun) == 1:
            return begun[0]
        near = begun or get_close_matches(name, there, _LISTED)
        hint = f"it may be {several([repr(each) for each in near], _LISTED)}" if near else _WHERE
        job_id, mark, _ = name.rpartition("@" if "@" in name else "~")
        if mark and job_id in there:
            hint = f"it may be {job_id!r}; its revision is named apart from it"
        raise JobNotFoundError(f"there is no job {name!r}", hint=hint)

    async def job_ids(self, prefix: str = "") -> list[str]:
        """Return the ids of the jobs that begin with a prefix, sorted; no state is read."""
        if not isinstance(prefix, str):
            raise InvalidInputError(f"a prefix of job ids is a text, not {prefix!r}")
        return [job_id for job_id in await asyncio.to_thread(self._job_ids) if job_id.startswith(prefix)]

    def _job_ids(self) -> list[str]:
        return sorted(snapshot.document for snapshot in self._store.documents(self._jobs))

    async def query_jobs(
        self,
        status: str | Iterable[str] | None = None,
        since: str | datetime | None = None,
        limit: int | None = 50,
    ) -> list[dict[str, Any]]:
        """Return a summary of each job, newest update first, without reading a state: dictionaries with ``id, name,
        status, total_sheets, last_completed_sheet, created_at, updated_at, completed_at, error_message``, times as they
        are stored (ISO 8601). :meth:`job_page` knows more filters.

        Args:
            status: Only jobs with this status; it counts by its value, so any enum works.
            since: Only jobs that were saved at this time or later: a datetime, or ISO 8601.
            limit: How many at most.

        Raises:
            InvalidInputError: The time or the limit is none.
        """
        from gitstate.backends.summaries import COUNTED

        limit = check_limit(limit)
        found = await self.job_page(limit or 1 if limit is not None else None, status=status, since=since)
        jobs = found.jobs[:limit]
        for job in jobs:
            for name in COUNTED:
                del job[name]
        return jobs

    async def job_page(
        self, limit: int | None = 50, cursor: str | None = None, **filters: Unpack[JobFilters]
    ) -> JobPage:
        """Return summaries of the jobs that are asked for, and a cursor to those that follow; no state is read.

        A job that is saved between two pages may come on none or on both of them. One that cannot be read is told of in
        the log and left out.

        Args:
            limit: How many at most, one at least; None: all.
            cursor: That of the page before, to the same filters.
            filters: ``status`` (one or several; a job whose process is gone counts as paused), ``name`` (a pattern that
                the id or the name matches), ``since`` and ``until`` (saved then or later, and before), ``failed`` (at
                least so many sheets), ``stale`` (recorded as running, and not saved for so many seconds), ``error`` (a
                text in an error), ``order`` (``"saved"``, ``"created"``, ``"name"``, ``"id"``) and ``reverse``; see
                :class:`gitstate.backends.queries.JobFilters`.

        Returns:
            A :class:`gitstate.backends.queries.JobPage`: ``jobs``, dictionaries as of :meth:`query_jobs` with
            ``done_sheets`` and ``failed_sheets``, and ``cursor``, None at the end.

        Raises:
            InvalidInputError: A filter, the limit or the cursor is none.
        """
        from gitstate.backends import queries

        limit = check_limit(limit)
        return await self._answer(lambda store: queries.page(store, self._jobs, filters, limit, cursor))

    async def each_job(self, **filters: Unpack[JobFilters]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the jobs that are asked for as :meth:`job_page` has them, read a page at a time; the filters, and what
        is raised, are the same.

        Each comes once, and all that answer to the filters from beginning to end come, whatever is written meanwhile:
        those whose place in the order changed come last.
        """
        met: set[str] = set()
        begun = self._store.head()
        async for job in self._pages(**filters):
            if job["id"] not in met:
                met.add(job["id"])
                yield job
        if self._store.head() == begun:
            return
        filters["order"] = "id"  # in which no job ever moves
        async for job in self._pages(**filters):
            if job["id"] not in met:
                yield job

    async def _pages(self, **filters: Unpack[JobFilters]) -> AsyncGenerator[dict[str, Any], None]:
        cursor: str | None = None
        while True:
            found = await self.job_page(_STREAMED, cursor, **filters)
            for job in found.jobs:
                yield job
            if found.cursor is None:
                return
            cursor = found.cursor

    async def get_job_statistics(self, job_id: str) -> dict[str, Any]:
        """Return the numbers of a job: ``total_sheets, completed_sheets, success_rate`` (percent of the sheets that are
        completed), ``total_retries, total_executions, avg_duration_seconds`` (None without any) and
        ``successful_executions`` (those that exited with 0); ``{}`` for an unknown job.

        Raises:
            StateCorruptionError: Its state cannot be read.
        """
        from gitstate.backends import queries

        job_id = check_job_id(job_id)
        return await self._answer(lambda store: queries.statistics(store, self._jobs, job_id))
