"""What a backend does with other formats: export for notebooks and dashboards, and import of other people's state."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from gitstate.backends.checkpoints import own_revision
from gitstate.backends.documents import check_job_id
from gitstate.backends.editing import EditingBackend
from gitstate.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gitstate.backends.exporting import ExportReport
    from gitstate.backends.importing import ImportReport

__all__ = ["ExchangeBackend"]


class ExchangeBackend(EditingBackend):
    """Export and import; see docs/how-to/put-executions-in-a-dashboard.md and move-from-json-files-or-sqlite.md."""

    async def export(
        self,
        target: str | os.PathLike[str] | TextIO,
        *,
        format: str = "jsonl",  # what it is called everywhere
        what: str = "both",
        jobs: Iterable[str] | None = None,
        payloads: bool = False,
        states: bool = False,
        force: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> ExportReport:
        """Write checkpoints and executions for others to read. Memory does not grow with what is written.

        Args:
            target: A file, which is whole or not there; or an open text stream, not for ``sqlite``.
            format: ``jsonl``: an object a line; ``csv``: one table; ``sqlite``: a database with a table of each.
            what: ``checkpoints``, ``executions`` or ``both``; ``csv`` takes one of them.
            jobs: The ids of those that are exported, also deleted ones; None: all that are there.
            payloads: Whether executions have their prompts and outputs.
            states: Whether checkpoints have the whole state.
            force: Whether a file that is there is replaced.
            progress: Is told how many jobs are done, and of how many, from another thread.

        Raises:
            InvalidInputError: The arguments do not go together.
            ExistsError: The file is there.
            NotFoundError: There is no folder for it.
            JobNotFoundError: There never was such a job.
            StorageError: The disk refused.
        """
        from gitstate.backends import export_sqlite, exporting

        contents = exporting.Contents(what, payloads, states)
        if format not in exporting.FORMATS:
            raise InvalidInputError(f"there is no format {format!r}", hint=f"one of {', '.join(exporting.FORMATS)}")
        if format == "csv" and what == "both":
            raise InvalidInputError("CSV is one table", hint="choose one: --what checkpoints or --what executions")
        if isinstance(jobs, str):
            raise InvalidInputError("jobs are several ids, and no text", hint=f"write [{jobs!r}]")
        wanted = None if jobs is None else [check_job_id(job_id) for job_id in jobs]
        path = Path(target) if isinstance(target, (str, os.PathLike)) else None
        if path is None and format == "sqlite":
            raise InvalidInputError("an SQLite database is a file, and no stream", hint="name a file (-o FILE)")

        def work() -> ExportReport:
            counts: dict[str, int] = {}
            job_ids = self._exported(wanted)
            rows = exporting.counted(contents.rows(self._store, self._jobs, job_ids), counts, progress, job_ids)
            if path is None:
                exporting.write_text(format, contents, rows, cast("TextIO", target))  # as was seen above
            else:
                with exporting.beside(path, force=force) as part:
                    if format == "sqlite":
                        export_sqlite.write_sqlite(contents, rows, part)
                    else:
                        with part.open("x", encoding="utf-8", errors="backslashreplace", newline="") as stream:
                            exporting.write_text(format, contents, rows, stream)
            return exporting.ExportReport(
                len(job_ids), counts.get(exporting.CHECKPOINT, 0), counts.get(exporting.EXECUTION, 0)
            )

        return await asyncio.to_thread(work)

    def _exported(self, wanted: list[str] | None) -> list[str]:
        """Return the ids of the jobs to export. Raises JobNotFoundError."""
        if wanted is None:
            return self._job_ids()
        for job_id in wanted:
            own_revision(self._store, self._jobs, job_id, None)
        return list(dict.fromkeys(wanted))

    async def import_from(
        self,
        path: str | os.PathLike[str],
        *,
        replace: bool = False,
        dry_run: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> ImportReport:
        """Import state that was written elsewhere: each job as a checkpoint, each execution with the time it had.

        The times of a state stay what they are, ``updated_at`` too. A job that stands here with the same state, and an
        execution that is recorded, are left alone, so that a second run changes nothing. Two imports at the same time
        may record an execution twice.

        Args:
            path: A folder of JSON files, one a job; one such file; or an SQLite database with a table ``jobs``, and
                perhaps ``sheets`` and ``execution_history``.
            replace: Whether a job that stands here with another state gets that of the source; history keeps what
                stood here.
            dry_run: Write nothing, but tell what would be done.
            progress: Is told how many jobs are done, and of how many.

        Returns:
            What became of each job; what could not be imported is skipped with a reason, and stops nothing else.

        Raises:
            InvalidInputError: The path holds nothing of the kind.
            NotFoundError: Nothing is there.
            CorruptionError: The database is damaged.
            StorageError: The path cannot be read, or the disk refused.
            ClosedError: The backend was closed.
        """
        from gitstate.backends import importing

        if not isinstance(path, (str, os.PathLike)) or "\0" in str(path):
            raise InvalidInputError(f"what is imported is the path of a file or of a folder, not {path!r}")
        self._store.head()  # a closed backend imports nothing, whether or not there is anything to import
        parts = (self._store, self._jobs, self._codec, self._redaction)
        run = importing.Import(*parts, Path(path), replace=replace, dry_run=dry_run)
        return await run.run(progress)
