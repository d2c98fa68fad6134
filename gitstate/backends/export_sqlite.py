"""Checkpoints and executions as an SQLite file with a table for each."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from gitstate.backends.exporting import EXECUTION, Contents, Row
from gitstate.errors import StorageError

__all__ = ["write_sqlite"]

_TYPES = {
    "id": "INTEGER",
    "sheet_num": "INTEGER",
    "attempt_num": "INTEGER",
    "exit_code": "INTEGER",
    "duration_seconds": "REAL",
    "prompt_bytes": "INTEGER",
    "output_bytes": "INTEGER",
    "completed_sheets": "INTEGER",
    "total_sheets": "INTEGER",
}  # all others are TEXT
_INTEGERS = range(-(2**63), 2**63)


def write_sqlite(contents: Contents, rows: Iterable[Row], path: Path) -> None:
    """Write rows into a new SQLite file, in the tables ``checkpoints`` and ``executions``; states are JSON text.

    What SQLite cannot say: a lone surrogate is written as ``\\udXXX``, and an integer beyond 64 bits left out.

    Raises:
        StorageError: The disk refused.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            # The file has another name until it is whole, so there is nothing to roll back.
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            database.execute("BEGIN")
            inserts: dict[str, tuple[str, tuple[str, ...]]] = {}
            for kind, columns in contents.columns().items():
                database.execute(_table(kind, columns))
                inserts[kind] = (f"INSERT INTO {kind}s VALUES ({', '.join('?' * len(columns))})", columns)  # noqa: S608  # names of ours
            for kind, row in rows:
                insert, columns = inserts[kind]
                database.execute(insert, [_cell(row[name]) for name in columns])
            for kind in inserts:
                time = "executed_at" if kind == EXECUTION else "time"
                database.execute(f"CREATE INDEX {kind}s_by_job ON {kind}s (job_id, {time})")
            database.execute("COMMIT")
    except sqlite3.Error as error:
        raise StorageError(
            f"{path.parent}: the SQLite file cannot be written: {error}", hint="check the disk"
        ) from error


def _table(kind: str, columns: tuple[str, ...]) -> str:
    named = ", ".join(f"{name} {_TYPES.get(name, 'TEXT')}" for name in columns)
    return f"CREATE TABLE {kind}s ({named})"


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, int) and value not in _INTEGERS:
        return None
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return value
