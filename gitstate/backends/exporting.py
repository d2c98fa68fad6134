"""Checkpoints and executions as rows for notebooks and dashboards: what stands in them, and the text formats.

Rows are made one by one as they are written, so memory does not grow with the history.
"""

import csv
import json
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.executions import Recorded, integer, recorded
from gitstate.backends.payloads import Payloads
from gitstate.engine.files import storage_errors, sync_file
from gitstate.errors import CorruptionError, ExistsError, InvalidInputError, NotFoundError
from gitstate.store.documents import Collection, Revision
from gitstate.store.store import Store

__all__ = [
    "CHECKPOINT",
    "EXECUTION",
    "FORMATS",
    "WHAT",
    "Contents",
    "ExportReport",
    "Row",
    "beside",
    "counted",
    "write_text",
]

_log = logging.getLogger("gitstate")

FORMATS = ("jsonl", "csv", "sqlite")
WHAT = ("checkpoints", "executions", "both")
CHECKPOINT, EXECUTION = "checkpoint", "execution"

Row: TypeAlias = tuple[str, dict[str, Any]]
"""What a row is of, :data:`CHECKPOINT` or :data:`EXECUTION`, and its columns by name."""

_CHECKPOINT_COLUMNS = (
    "job_id",
    "revision",
    "time",
    "author",
    "event",
    "subject",
    "status",
    "completed_sheets",
    "total_sheets",
    "message",
)
_EXECUTION_COLUMNS = Recorded._fields


@dataclass(frozen=True)
class ExportReport:
    """How many rows were written, of how many jobs."""

    jobs: int
    checkpoints: int
    executions: int


@dataclass(frozen=True)
class Contents:
    """What is exported: ``what`` is one of :data:`WHAT`; prompts and outputs, and whole states, only if asked for."""

    what: str = "both"
    payloads: bool = False
    states: bool = False

    def __post_init__(self) -> None:
        if self.what not in WHAT:
            raise InvalidInputError(f"{self.what!r} cannot be exported", hint=f"one of {', '.join(WHAT)}")

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Return the columns of each kind of row that is exported."""
        kinds = {
            CHECKPOINT: (*_CHECKPOINT_COLUMNS, "state") if self.states else _CHECKPOINT_COLUMNS,
            EXECUTION: (*_EXECUTION_COLUMNS, "prompt", "output") if self.payloads else _EXECUTION_COLUMNS,
        }
        return {kind: names for kind, names in kinds.items() if self.what in ("both", f"{kind}s")}

    def rows(self, store: Store, jobs: Collection, job_ids: list[str]) -> Iterator[Row]:
        """Yield the rows of some jobs, job by job, the newest checkpoint first and then the newest execution."""
        columns, payloads = self.columns(), Payloads(store, jobs, limit=0)  # each is read once
        for job_id in job_ids:
            if CHECKPOINT in columns:
                for revision in store.history(jobs, job_id):
                    yield CHECKPOINT, self._checkpoint(store, jobs, job_id, revision)
            if EXECUTION in columns:
                for said, revision in recorded(store, jobs, job_id):
                    texts = payloads.of(said, revision) if self.payloads else {}
                    yield EXECUTION, said._asdict() | texts

    def _checkpoint(self, store: Store, jobs: Collection, job_id: str, revision: Revision) -> dict[str, Any]:
        checkpoint = Checkpoint.of(job_id, revision)
        done, _, total = (checkpoint.progress or "").partition("/")
        row = {
            "job_id": job_id,
            "revision": checkpoint.revision,
            "time": checkpoint.time.isoformat(),
            "author": checkpoint.author,
            "event": checkpoint.event,
            "subject": checkpoint.subject,
            "status": checkpoint.status,
            "completed_sheets": integer(done),
            "total_sheets": integer(total),
            "message": checkpoint.message,
        }
        return row | {"state": _state(store, jobs, job_id, revision)} if self.states else row


def write_text(form: str, contents: Contents, rows: Iterable[Row], stream: TextIO) -> None:
    """Write rows as JSON Lines, an object a line with ``type`` as its first key, or as CSV with a line of names."""
    if form == "jsonl":
        for kind, row in rows:
            stream.write(json.dumps({"type": kind, **row}) + "\n")
        return
    (columns,) = contents.columns().values()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(columns)
    for _, row in rows:
        table.writerow([json.dumps(cell) if isinstance(cell, dict) else cell for cell in map(row.get, columns)])


@contextmanager
def beside(target: Path, *, force: bool) -> Iterator[Path]:
    """Give the path of a file to write, which becomes ``target`` when the block ends well, and is gone otherwise.

    Raises:
        ExistsError: The target is there, and may not be replaced.
        InvalidInputError: It is there, and is no file.
        NotFoundError: There is no folder for it.
        StorageError: The disk refused.
    """
    with storage_errors(target):
        try:
            standing = target.stat()
        except FileNotFoundError:
            standing = None
        if standing is not None and not stat.S_ISREG(standing.st_mode):
            raise InvalidInputError(f"{str(target)!r} is no file", hint="name a file to write")
        if not target.parent.is_dir():
            folder = str(target.parent)
            raise NotFoundError(f"there is no folder {folder!r}", hint="make it first, or name another file")
        if standing is not None and not force:
            raise ExistsError(f"{str(target)!r} is there already", hint="name another file, or replace it (--force)")
        part = target.with_name(f".gitstate-{os.getpid()}-{secrets.token_hex(4)}.part")
        try:
            yield part
            sync_file(part)
            part.replace(target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def counted(
    rows: Iterable[Row], counts: dict[str, int], progress: Callable[[int, int], None] | None, job_ids: list[str]
) -> Iterator[Row]:
    """Pass rows on, and count them by kind; tell ``progress`` how many of the jobs have been begun."""
    place = {job_id: number for number, job_id in enumerate(job_ids)}
    at = -1
    for kind, row in rows:
        counts[kind] = counts.get(kind, 0) + 1
        if progress is not None and place[row["job_id"]] != at:
            at = place[row["job_id"]]
            progress(at, len(job_ids))
        yield kind, row
    if progress is not None:
        progress(len(job_ids), len(job_ids))


def _state(store: Store, jobs: Collection, job_id: str, revision: Revision) -> dict[str, Any] | None:
    """Return the job's value at a revision; None where there was none, or it cannot be read."""
    snapshot = store.after(jobs, job_id, revision)
    try:
        return None if snapshot is None else snapshot.value()
    except CorruptionError as error:
        _log.warning("exported without its state: %s", error)
        return None
