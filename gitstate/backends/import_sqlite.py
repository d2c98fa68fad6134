"""State out of an SQLite database with tables ``jobs``, ``sheets`` and ``execution_history``; only the first must be.

Columns are known by their names, whatever their order and case. It is only read, in one transaction, so that what
others write meanwhile makes no mixture.
"""

import asyncio
import hashlib
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from gitstate import clock
from gitstate.backends import import_columns as columns
from gitstate.backends.executions import ID_BITS, RECORD, ExecutionRecord
from gitstate.backends.import_sources import Found
from gitstate.errors import CorruptionError, InvalidInputError

__all__ = ["SqliteFile"]

_JOBS, _SHEETS, _EXECUTIONS = "jobs", "sheets", "execution_history"
_PAGE = 64  # rows that are read at once
_Row = dict[str, Any]


class SqliteFile:
    """A database that was written elsewhere, such as by Marianne's SQLite backend.

    Raises:
        CorruptionError: It is damaged.
        InvalidInputError: It has no table ``jobs`` with a column that names the job.
    """

    def __init__(self, path: Path, model: type[BaseModel]) -> None:
        self._path, self._model, self._sheet = path, model, columns.sheet_model(model)
        self._lock = threading.Lock()
        self._written = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        with self._reading():
            self._database = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
            )
        self._database.text_factory = _text
        try:
            with self._reading():
                self._database.execute("PRAGMA trusted_schema = OFF")  # a schema may hold code
                self._database.execute("PRAGMA query_only = ON")
                self._database.execute("BEGIN")
                self._tables = {name: self._columns(name) for name in (_JOBS, _SHEETS, _EXECUTIONS)}
            self._job_key = self._key(_JOBS, "job_id", "id")
            if not self._job_key:
                raise InvalidInputError(
                    f"{path.name} has no table jobs with a column job_id or id",
                    hint="name a database as Marianne's SQLite backend writes it, or a folder of JSON files",
                )
        except BaseException:
            self._database.close()
            raise

    def total(self) -> int:
        """Return how many rows the table of jobs has."""
        return int(self._all(f"SELECT count(*) AS n FROM {_JOBS}")[0]["n"])  # noqa: S608  # names of ours

    async def jobs(self) -> AsyncIterator[Found]:
        """Yield each row of the table of jobs, with its sheets; then the executions that belong to none."""
        keys = await asyncio.to_thread(
            self._all,
            f"SELECT {_quoted(self._job_key)} AS job FROM {_JOBS} ORDER BY 1",  # noqa: S608  # quoted
        )
        for key in keys:
            yield await asyncio.to_thread(self._job, key["job"])
        for orphan in await asyncio.to_thread(self._orphans):
            yield orphan

    def executions(self, found: Found, job_id: str) -> Iterator[ExecutionRecord]:
        """Yield the executions of a job, the oldest first; what cannot be one is told in ``found.notes``."""
        key = self._key(_EXECUTIONS, "job_id", "job")
        if not key:
            return
        ids: set[int] = set()
        left_out = timeless = 0
        for row in self._rows(_EXECUTIONS, key, found.key, ("executed_at", "created_at", "timestamp", "id")):
            said = columns.renamed(row, columns.EXECUTION_NAMES, dict.fromkeys(RECORD))
            execution = _execution(job_id, said, ids)
            if execution is None:
                left_out += 1
                continue
            timeless += execution.executed_at is None
            ids.add(execution.id)
            yield execution
        if left_out:
            found.notes.append(
                f"{left_out} executions have no sheet, no attempt, or values of other types, and stay out"
            )
        if timeless:
            found.notes.append(f"{timeless} executions say no time, and get that of the import")

    def notes(self) -> list[str]:
        """Name the columns of executions that are not kept."""
        there = dict.fromkeys(self._tables[_EXECUTIONS])
        unknown = columns.renamed(there, columns.EXECUTION_NAMES, dict.fromkeys(RECORD)).keys() - {*RECORD, "job"}
        return [f"of executions, these columns are not kept: {', '.join(sorted(unknown))}"] if unknown else []

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def _job(self, key: Any) -> Found:
        name = f"{self._path.name}, job {key}"
        if not isinstance(key, (str, int)) or key == "":
            return Found(self._path.name, None, self._written, f"a row of jobs has {key!r} as its {self._job_key}")
        row = next(self._rows(_JOBS, self._job_key, key), {})
        fields = columns.fields_of(self._model)
        try:
            value = _values(columns.renamed(row, columns.JOB_NAMES, fields), fields)
            value["job_id"] = str(value.get("job_id", key))
            if "job_name" in fields and "job_name" not in value:
                value["job_name"] = value["job_id"]
            sheets, notes = self._sheets_of(key)
        except ValueError as error:
            return Found(name, None, self._written, f"a column holds bytes that are no text: {error}", str(key))
        if sheets:
            told = value.get("sheets")
            value["sheets"] = (told if isinstance(told, dict) else {}) | sheets
        return Found(name, value, self._written, job_id=value["job_id"], key=key, notes=notes)

    def _sheets_of(self, job: Any) -> tuple[dict[str, Any], list[str]]:
        key = self._key(_SHEETS, "job_id", "job")
        if not key:
            return {}, []
        sheets: dict[str, Any] = {}
        numberless, fields = 0, columns.fields_of(self._sheet)
        known = fields or dict.fromkeys(("sheet_num",))
        for row in self._rows(_SHEETS, key, job):
            if key not in fields:
                del row[key]
            sheet = _values(columns.renamed(row, columns.SHEET_NAMES, known), fields)
            number = _integer(sheet.get("sheet_num"))
            if number is None:
                numberless += 1
            else:
                sheets[str(number)] = sheet
        return sheets, [f"{numberless} sheets have no number, and stay out"] if numberless else []

    def _orphans(self) -> Iterator[Found]:
        """Return the jobs that have executions, and no row of their own."""
        key = self._key(_EXECUTIONS, "job_id", "job")
        if not key:
            return iter(())
        there = f"SELECT {_quoted(self._job_key)} FROM {_JOBS} WHERE {_quoted(self._job_key)} IS NOT NULL"  # noqa: S608  # quoted
        rows = self._all(
            f"SELECT DISTINCT {_quoted(key)} AS job FROM {_EXECUTIONS} WHERE {_quoted(key)} NOT IN ({there})"  # noqa: S608  # quoted
        )
        reason = "it has executions, and no row in jobs"
        return iter([Found(self._path.name, None, self._written, reason, str(row["job"])) for row in rows])

    def _key(self, table: str, *names: str) -> str:
        return next((name for name in names if name in self._tables[table]), "")

    def _columns(self, table: str) -> list[str]:
        return [name.lower() for (name,) in self._database.execute("SELECT name FROM pragma_table_info(?)", (table,))]

    def _rows(self, table: str, key: str, value: Any, order: tuple[str, ...] = ()) -> Iterator[_Row]:
        """Yield the rows of a table that belong to a job."""
        by = [_quoted(name) for name in order if name in self._tables[table]]
        ordered = f" ORDER BY {', '.join(by)}" if by else ""
        query = f"SELECT * FROM {table} WHERE {_quoted(key)} = ?{ordered}"  # noqa: S608  # quoted
        with self._reading():
            cursor = self._database.execute(query, (value,))
        names = [name.lower() for name, *_ in cursor.description]
        while True:
            with self._reading():
                page = cursor.fetchmany(_PAGE)
            if not page:
                return
            for row in page:
                yield dict(zip(names, row, strict=True))

    def _all(self, query: str) -> list[_Row]:
        with self._reading():
            cursor = self._database.execute(query)
            names = [name for name, *_ in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Take the connection, which one thread uses at a time, and raise its errors as ours."""
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise CorruptionError(
                f"{self._path.name} cannot be read as an SQLite database: {error}",
                hint="`PRAGMA integrity_check` says more; another program may hold it",
            ) from error


def _values(row: _Row, fields: Any) -> _Row:
    """Return the columns that say something, as the JSON values that the fields take."""
    return {name: columns.cell(raw, fields.get(name)) for name, raw in row.items() if raw is not None}


def _execution(job_id: str, said: _Row, taken: set[int]) -> ExecutionRecord | None:
    """Return an execution that a row tells of; None if the row cannot be one."""
    sheet, attempt = _integer(said.get("sheet_num")), _integer(said.get("attempt_num"))
    if sheet is None or attempt is None:
        return None
    time = columns.told_time(said.get("executed_at"))
    origin = [said.get("id"), job_id, sheet, attempt, said.get("executed_at")]
    number, again = _derived_id(origin), 0
    while number in taken:  # rows without an id of their own may be alike
        again += 1
        number = _derived_id([*origin, again])
    try:
        prompt, output = (_decoded(said.get(name)) for name in ("prompt", "output"))
        return ExecutionRecord(
            sheet,
            attempt,
            prompt,
            output,
            exit_code=said.get("exit_code"),
            duration_seconds=said.get("duration_seconds"),
            id=number,
            executed_at=None if time is None else clock.aware(time),
        )
    except ValueError:
        return None


def _derived_id(origin: list[Any]) -> int:
    """Return the id of an execution that was recorded elsewhere: the same whenever it is imported."""
    digest = hashlib.sha256(json.dumps(origin, default=repr).encode()).digest()
    number: int = int.from_bytes(digest) % (2**ID_BITS - 1) + 1
    return number


def _decoded(raw: Any) -> Any:
    return raw.decode() if isinstance(raw, bytes) else raw


def _integer(raw: Any) -> int | None:
    try:
        return int(raw) if isinstance(raw, (int, str)) and not isinstance(raw, bool) else None
    except ValueError:
        return None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(data: bytes) -> str:
    """Return a text of the database; bytes that are not UTF-8 become lone surrogates, so that none is lost."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")
