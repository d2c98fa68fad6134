"""The import of state that was written elsewhere: what it does to a store, and the report of it.

Each job becomes a checkpoint, each execution a commit with the time that it had. What is there already stays as it is,
so an import that was interrupted goes on when it is run again, and one that was done changes nothing.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel

from gitstate.backends import executions
from gitstate.backends.executions import ExecutionRecord
from gitstate.backends.import_columns import JOB_NAMES, fields_of, renamed, with_times
from gitstate.backends.import_sources import Found, JsonFiles, Source, is_sqlite
from gitstate.backends.import_sqlite import SqliteFile
from gitstate.backends.redaction import Redaction
from gitstate.backends.subjects import message_for
from gitstate.engine.files import storage_errors
from gitstate.errors import CorruptionError, InvalidInputError, NotFoundError, StateCorruptionError
from gitstate.format.codec import Codec
from gitstate.format.message import Event
from gitstate.store.documents import Collection, Draft, Snapshot
from gitstate.store.store import Store
from gitstate.values.canonical import Value, equal

__all__ = ["Import", "ImportReport", "ImportedJob", "Progress"]

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many jobs are done, and of how many."""

_TOGETHER = 16  # so many jobs, or executions of one, wait together to be written


@dataclass(frozen=True)
class ImportedJob:
    """What became of a job, or of what should have been one.

    ``outcome`` is ``imported``, ``replaced``, ``unchanged`` or ``skipped``, and ``reason`` says why it was skipped;
    ``executions`` is how many were recorded, ``name`` where it came from.
    """

    name: str
    job_id: str | None
    outcome: str
    reason: str = ""
    executions: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportReport:
    """What an import did, or would do in a dry run: each job, and what is to be said of the source as a whole."""

    source: str
    dry_run: bool
    jobs: tuple[ImportedJob, ...]
    notes: tuple[str, ...] = ()

    def count(self, outcome: str) -> int:
        """Return how many jobs had an outcome."""
        return sum(job.outcome == outcome for job in self.jobs)

    @property
    def executions(self) -> int:
        """How many executions were recorded."""
        return sum(job.executions for job in self.jobs)


@dataclass
class _Candidate:
    """A job that can be written, and what becomes of it; ``made_up`` are fields that its source does not tell."""

    found: Found
    job_id: str
    value: dict[str, Any]
    made_up: set[str]
    outcome: str = "imported"
    reason: str = ""

    def is_as(self, standing: dict[str, Any]) -> bool:
        """Whether a value says all that the source tells."""
        told = self.value | {name: standing[name] for name in self.made_up if name in standing}
        return equal(told, standing)


@dataclass
class Import:
    """One run of an import into a store.

    Raises:
        NotFoundError: Nothing is there.
        StorageError: The source cannot be read.
        InvalidInputError: It is neither a folder, a JSON file nor an SQLite database with a table ``jobs``.
    """

    store: Store
    jobs: Collection
    codec: Codec[Any]
    redaction: Redaction
    path: Path
    replace: bool = False
    dry_run: bool = False

    async def run(self, progress: Progress | None = None) -> ImportReport:
        """Import all that is there. One job that cannot be imported stops no other."""
        source = await asyncio.to_thread(_open, self.path, self.codec)
        try:
            return await self._run(source, progress or (lambda _done, _total: None))
        finally:
            source.close()

    async def _run(self, source: Source, progress: Progress) -> ImportReport:
        total = await asyncio.to_thread(source.total)
        done: list[ImportedJob] = []
        waiting: list[ImportedJob | _Candidate] = []
        met: dict[str, str] = {}
        progress(0, total)
        async for found in source.jobs():
            waiting.append(self._first_of(await asyncio.to_thread(self._candidate, found), met))
            if len(waiting) == _TOGETHER:
                done += await self._settle(source, waiting)
                waiting = []
                progress(min(len(done), total), total)
        done += await self._settle(source, waiting)
        progress(total, total)
        return ImportReport(str(self.path), self.dry_run, tuple(done), tuple(source.notes()))

    def _candidate(self, found: Found) -> ImportedJob | _Candidate:
        """Return a job as it would be written, or why it cannot be."""
        if found.value is None:
            return ImportedJob(found.name, found.job_id, "skipped", found.problem)
        model: type[BaseModel] = self.codec.model
        value, made_up = with_times(renamed(found.value, JOB_NAMES, fields_of(model)), model, found.written)
        said = value.get("job_id")
        known = said if isinstance(said, str) else None
        try:
            whole: Any = self.codec.encode(self.codec.decode(value))
            encoded: dict[str, Any] = self.redaction.value(self.codec, whole)
        except (CorruptionError, InvalidInputError) as error:
            return ImportedJob(found.name, known, "skipped", f"it is no {model.__name__}: {error.message}")
        job_id = encoded.get("job_id")
        if not isinstance(job_id, str) or not job_id:
            return ImportedJob(found.name, None, "skipped", "its job id is no text, or empty")
        lost = [] if model.model_config.get("extra") == "allow" else sorted(value.keys() - fields_of(model).keys())
        if lost:
            found.notes.append(f"{model.__name__} does not keep {', '.join(lost)}")
        return _Candidate(found, job_id, encoded, made_up)

    def _first_of(self, job: ImportedJob | _Candidate, met: dict[str, str]) -> ImportedJob | _Candidate:
        """Return a job, or that it was met before: else each run would write both."""
        if isinstance(job, ImportedJob) or met.setdefault(job.job_id, job.found.name) is job.found.name:
            return job
        return ImportedJob(job.found.name, job.job_id, "skipped", f"{met[job.job_id]} holds the same job")

    async def _settle(self, source: Source, jobs: list[ImportedJob | _Candidate]) -> list[ImportedJob]:
        """Write jobs, and return what became of them, in their order."""
        settled = await asyncio.gather(*(self._one(source, job) for job in jobs), return_exceptions=True)
        for each in settled:
            if isinstance(each, BaseException):
                raise each
        return [each for each in settled if isinstance(each, ImportedJob)]

    async def _one(self, source: Source, job: ImportedJob | _Candidate) -> ImportedJob:
        if isinstance(job, ImportedJob):
            return job
        edit = self._edit(job)
        if self.dry_run:
            await asyncio.to_thread(lambda: edit(self.store.load(self.jobs, job.job_id)))
        else:
            await asyncio.wrap_future(self.store.submit(self.jobs, job.job_id, edit))
        recorded = 0 if job.outcome == "skipped" else await self._record(source, job)
        return ImportedJob(job.found.name, job.job_id, job.outcome, job.reason, recorded, tuple(job.found.notes))

    def _edit(self, job: _Candidate) -> Callable[[Snapshot | None], Draft | None]:
        """Return the write that makes a job what its source tells; it notes the outcome, the last time it is run."""

        def edit(current: Snapshot | None) -> Draft | None:
            job.outcome, job.reason = "imported", ""
            if current is not None:
                standing, problem = self._standing(current)
                if standing is not None and job.is_as(standing):
                    job.outcome = "unchanged"
                    return None
                if not self.replace:
                    job.outcome, job.reason = "skipped", problem or "the job exists with another state"
                    return None
                job.outcome = "replaced"
            body = f"From {job.found.name}" + (", in the place of what stood here." if current is not None else ".")
            text = f"imported from {self.path.name}"
            return Draft(message_for(job.job_id, Event.IMPORTED, text, job.value, body=body), value=job.value)

        return edit

    def _standing(self, current: Snapshot) -> tuple[dict[str, Any] | None, str]:
        """Return what stands there, as the model says it, or None and why it cannot be told."""
        try:
            value: Value = current.value()
        except StateCorruptionError:
            return None, "the job exists, and its state cannot be read"
        with suppress(CorruptionError, InvalidInputError):  # one of another model is compared as it is
            value = self.codec.encode(self.codec.decode(value))
        return (value, "") if isinstance(value, dict) else (None, "")

    async def _record(self, source: Source, job: _Candidate) -> int:
        """Record the executions of a job that are not recorded yet, and return how many."""
        known = frozenset[int]()
        if job.outcome != "imported":
            known = await asyncio.to_thread(executions.ids, self.store, self.jobs, job.job_id)
        coming = (each for each in source.executions(job.found, job.job_id) if each.id not in known)
        count = 0
        while page := await asyncio.to_thread(_page, coming):
            if not self.dry_run:
                edits = [executions.edit_for(job.job_id, each, self.redaction) for each in page]
                futures = [self.store.submit(self.jobs, job.job_id, edit) for edit in edits]
                await asyncio.gather(*map(asyncio.wrap_future, futures))
            count += len(page)
        return count


def _open(path: Path, codec: Codec[Any]) -> Source:
    with storage_errors(path):
        try:
            os.lstat(path)
        except FileNotFoundError:
            hint = "name a folder of JSON files, or an SQLite database"
            raise NotFoundError(f"there is nothing at {path}", hint=hint) from None
        if path.is_dir():
            return JsonFiles(path)
        if is_sqlite(path):
            return SqliteFile(path, codec.model)
        return JsonFiles(path.resolve())


def _page(coming: Iterator[ExecutionRecord]) -> list[ExecutionRecord]:
    return list(islice(coming, _TOGETHER))
