"""State as others write it: JSON files, one a job, and a database as Marianne's SQLite backend has it."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

_JOBS = """CREATE TABLE jobs (job_id TEXT PRIMARY KEY, job_name TEXT, config_snapshot TEXT, created_at TEXT,
    updated_at TEXT, started_at TEXT, completed_at TEXT, total_sheets INTEGER, last_completed_sheet INTEGER,
    status TEXT, pid INTEGER, metadata TEXT, tenant TEXT, labels TEXT)"""
_SHEETS = """CREATE TABLE sheets (job_id TEXT, sheet_num INTEGER, status TEXT, attempt_count INTEGER,
    validation_passed INTEGER, validation_details TEXT, stdout_tail TEXT, completed_at TEXT, cost REAL,
    PRIMARY KEY (job_id, sheet_num))"""
_EXECUTIONS = """CREATE TABLE execution_history (id INTEGER PRIMARY KEY, job_id TEXT, sheet_num INTEGER,
    attempt_num INTEGER, prompt TEXT, output TEXT, exit_code INTEGER, duration_seconds REAL, executed_at TEXT,
    model TEXT)"""

NIGHTLY: dict[str, Any] = {
    "job_id": "nightly",
    "job_name": "Nightly",
    "created_at": "2025-01-01T00:00:00Z",
    "updated_at": "2025-01-02T03:04:05.678901Z",
    "started_at": "2025-01-01T00:00:01Z",
    "total_sheets": 3,
    "last_completed_sheet": 1,
    "status": "paused",
    "sheets": {"1": {"sheet_num": 1, "status": "completed", "completed_at": "2025-01-01T01:00:00Z", "cost": 1.5}},
    "tenant": "acme",
}


def folder(path: Path, files: Mapping[str, Any]) -> Path:
    """Make a folder of files: bytes as they are, all else as JSON."""
    path.mkdir(exist_ok=True)
    for name, content in files.items():
        (path / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def database(
    path: Path,
    jobs: Iterable[Mapping[str, Any]] = (),
    sheets: Iterable[Mapping[str, Any]] = (),
    executions: Iterable[Mapping[str, Any]] = (),
    tables: Iterable[str] = (_JOBS, _SHEETS, _EXECUTIONS),
) -> Path:
    """Make or extend a database; objects and lists become JSON text."""
    with closing(sqlite3.connect(path)) as made, made:
        if not made.execute("SELECT 1 FROM sqlite_master").fetchone():
            for table in tables:
                made.execute(table)
        for name, rows in (("jobs", jobs), ("sheets", sheets), ("execution_history", executions)):
            for row in rows:
                cells = [json.dumps(cell) if isinstance(cell, (dict, list)) else cell for cell in row.values()]
                made.execute(f"INSERT INTO {name} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", cells)
    return path


def weekly(path: Path) -> Path:
    """Make a database with one job of two sheets and three executions."""
    job = {
        "job_id": "weekly",
        "job_name": "Weekly",
        "config_snapshot": {"steps": [1, {"x": None}]},
        "created_at": "2025-01-01T00:00:00+00:00",
        "updated_at": "2025-01-02T03:04:05.678901",
        "total_sheets": 2,
        "last_completed_sheet": 1,
        "status": "paused",
        "tenant": "acme",
        "labels": ["a", "b"],
    }
    sheets = [
        {"job_id": "weekly", "sheet_num": 1, "status": "completed", "attempt_count": 3, "validation_passed": 1}
        | {"validation_details": [{"rule": "x"}], "stdout_tail": '{"not": "parsed"}', "cost": 0.25},
        {"job_id": "weekly", "sheet_num": 2, "status": "pending", "attempt_count": 0},
    ]
    executions = [
        {"job_id": "weekly", "sheet_num": 1, "attempt_num": number, "prompt": f"try {number}\n", "output": text}
        | {"exit_code": code, "duration_seconds": seconds, "executed_at": f"2025-01-01T0{number}:00:00", "model": "m"}
        for number, text, code, seconds in ((1, "", 1, 0.1), (2, None, -9, None), (3, "NUL \0 and ü", 0, 1e-9))
    ]
    return database(path, [job], sheets, executions)
