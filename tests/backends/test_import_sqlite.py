"""Import of SQLite databases: columns by name, executions with their times and payloads, and what is odd in them."""

import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, SheetState
from gitstate.backends.exchange import ExchangeBackend
from gitstate.errors import CorruptionError, InvalidInputError
from gitstate.format.codec import Codec
from gitstate.values.canonical import equal
from tests.backends.exchange_sources import database, weekly
from tests.backends.test_importing import STATES
from tests.git import git

JOB = {"job_id": "nightly", "job_name": "Nightly", "total_sheets": 3, "updated_at": "2025-01-01T00:00:00Z"}


async def test_rows_become_a_state_column_by_column(backend: ExchangeBackend, tmp_path: Path) -> None:
    report = await backend.import_from(weekly(tmp_path / "old.db"))
    assert [(job.job_id, job.outcome, job.executions) for job in report.jobs] == [("weekly", "imported", 3)]
    assert report.notes == ("of executions, these columns are not kept: model",)
    state = await backend.load("weekly")
    assert state is not None
    assert state.config_snapshot == {"steps": [1, {"x": None}]}
    assert state.updated_at == datetime(2025, 1, 2, 3, 4, 5, 678901, UTC)
    assert state.model_extra == {"tenant": "acme", "labels": ["a", "b"]}
    sheet = state.sheets[1]
    assert (sheet.validation_passed, sheet.validation_details) == (True, [{"rule": "x"}])
    assert sheet.stdout_tail == '{"not": "parsed"}'  # a field that takes texts
    assert sheet.model_extra == {"cost": 0.25}
    assert state.sheets.keys() == {1, 2}
    assert (await backend.history("weekly", events="imported"))[0].message == "From old.db, job weekly."


async def test_executions_keep_their_times_texts_and_results(backend: ExchangeBackend, tmp_path: Path) -> None:
    await backend.import_from(weekly(tmp_path / "old.db"))
    found = await backend.get_execution_history("weekly")
    assert [(each["attempt_num"], each["executed_at"]) for each in found] == [
        (3, "2025-01-01T03:00:00+00:00"),
        (2, "2025-01-01T02:00:00+00:00"),
        (1, "2025-01-01T01:00:00+00:00"),
    ]
    assert [(each["prompt"], each["output"]) for each in found] == [
        ("try 3\n", "NUL \0 and ü"),
        ("try 2\n", None),
        ("try 1\n", ""),
    ]
    assert [(each["exit_code"], each["duration_seconds"]) for each in found] == [(0, 1e-9), (-9, None), (1, 0.1)]
    assert all(0 < each["id"] < 2**52 for each in found)


async def test_a_second_run_records_only_what_is_new(backend: ExchangeBackend, tmp_path: Path) -> None:
    source = weekly(tmp_path / "old.db")
    await backend.import_from(source)
    head, ids = backend.store.head(), [each["id"] for each in await backend.get_execution_history("weekly")]
    (again,) = (await backend.import_from(source)).jobs
    assert (again.outcome, again.executions, backend.store.head()) == ("unchanged", 0, head)
    database(source, executions=[{"job_id": "weekly", "sheet_num": 2, "attempt_num": 1, "executed_at": "2025-02-01"}])
    assert (await backend.import_from(source, dry_run=True)).executions == 1
    assert backend.store.head() == head
    assert (await backend.import_from(source)).executions == 1
    assert [each["id"] for each in await backend.get_execution_history("weekly")][1:] == ids
    assert (await backend.import_from(source)).executions == 0


async def test_a_job_that_was_deleted_gets_its_executions_again(backend: ExchangeBackend, tmp_path: Path) -> None:
    source = weekly(tmp_path / "old.db")
    for _ in range(2):
        report = await backend.import_from(source)
        assert (report.count("imported"), report.executions) == (1, 3)
        assert (await backend.import_from(source)).executions == 0
        await backend.delete("weekly")


async def test_executions_that_were_lost_with_an_earlier_life_are_recorded(
    backend: ExchangeBackend, tmp_path: Path
) -> None:
    source = weekly(tmp_path / "old.db")
    await backend.import_from(source)
    state = await backend.load("weekly")
    assert state is not None
    await backend.delete("weekly")
    await backend.save(state)  # a new life with no executions
    (job,) = (await backend.import_from(source, replace=True)).jobs
    assert (job.outcome, job.executions) == ("replaced", 3)


async def test_the_executions_of_a_job_that_is_skipped_stay_out(backend: ExchangeBackend, tmp_path: Path) -> None:
    await backend.save(CheckpointState(job_id="weekly", job_name="Ours", total_sheets=9))
    (job,) = (await backend.import_from(weekly(tmp_path / "old.db"))).jobs
    assert (job.outcome, job.executions, await backend.get_execution_history_count("weekly")) == ("skipped", 0, 0)


async def test_other_names_of_columns_and_any_case_are_understood(backend: ExchangeBackend, tmp_path: Path) -> None:
    source = database(
        tmp_path / "old.db",
        jobs=[{"ID": "nightly", "Name": "Nightly", "total_sheets": 2, "error": "boom"}],
        sheets=[{"job_id": "nightly", "number": 1, "status": "failed", "attempts": 4}],
        executions=[{"job_id": "nightly", "sheet": 1, "attempt": 4, "created_at": 1_700_000_000, "duration": 2.5}],
        tables=[
            "CREATE TABLE jobs (ID TEXT, Name TEXT, total_sheets INT, error TEXT)",
            "CREATE TABLE sheets (job_id TEXT, number INT, status TEXT, attempts INT)",
            "CREATE TABLE execution_history (job_id TEXT, sheet INT, attempt INT, created_at INT, duration REAL)",
        ],
    )
    report = await backend.import_from(source)
    assert (report.count("imported"), report.executions, report.notes) == (1, 1, ())
    state = await backend.load("nightly")
    assert state is not None
    assert (state.job_name, state.error_message, state.sheets[1].attempt_count) == ("Nightly", "boom", 4)
    (execution,) = await backend.get_execution_history("nightly")
    assert (execution["executed_at"], execution["duration_seconds"]) == ("2023-11-14T22:13:20+00:00", 2.5)


async def test_ids_that_are_numbers_and_rows_that_are_alike(backend: ExchangeBackend, tmp_path: Path) -> None:
    alike = {"job_id": 7, "sheet_num": 1, "attempt_num": 1}
    source = database(
        tmp_path / "old.db",
        jobs=[{"id": 7, "total_sheets": 1}],
        executions=[alike, alike],
        tables=[
            "CREATE TABLE jobs (id INTEGER, total_sheets INT)",
            "CREATE TABLE execution_history (job_id INTEGER, sheet_num INT, attempt_num INT)",
        ],
    )
    (job,) = (await backend.import_from(source)).jobs
    assert (job.job_id, job.executions) == ("7", 2)
    assert job.notes == ("2 executions say no time, and get that of the import",)
    assert (await backend.import_from(source)).executions == 0


@pytest.mark.parametrize("job_id", ["a/b", "..", "line\nbreak", "A_B", "x" * 300, "é\u202e"])
async def test_a_job_id_is_any_text(backend: ExchangeBackend, tmp_path: Path, job_id: str) -> None:
    execution = {"job_id": job_id, "sheet_num": 1, "attempt_num": 1, "prompt": "p"}
    source = database(tmp_path / "old.db", [JOB | {"job_id": job_id}], executions=[execution])
    assert (await backend.import_from(source)).executions == 1
    assert await backend.load(job_id) is not None
    assert (await backend.import_from(source)).executions == 0


async def test_rows_that_cannot_be_imported_are_named_and_stop_nothing(
    backend: ExchangeBackend, tmp_path: Path
) -> None:
    good = {"job_id": "nightly", "sheet_num": 1, "attempt_num": 1, "executed_at": "2025-01-01"}
    source = database(
        tmp_path / "old.db",
        jobs=[
            JOB,
            JOB | {"job_id": "bytes", "tenant": b"\xff"},
            JOB | {"job_id": "endless", "pid": float("inf")},
            JOB | {"job_id": "odd", "status": "none such"},
            JOB | {"job_id": None},
        ],
        sheets=[{"job_id": "nightly", "sheet_num": None, "status": "completed"}],
        executions=[
            good,
            good | {"sheet_num": None},
            good | {"attempt_num": 0},
            good | {"prompt": b"\xff"},
            good | {"exit_code": "none"},
            good | {"job_id": "gone"},
        ],
    )
    report = await backend.import_from(source)
    told = {job.job_id: (job.outcome, job.reason) for job in report.jobs}
    assert told.pop("nightly") == ("imported", "")
    assert {outcome for outcome, _ in told.values()} == {"skipped"}
    assert "bytes that are no text" in told["bytes"][1]
    assert told["odd"][1].startswith("it is no CheckpointState: /status")
    assert told["gone"][1] == "it has executions, and no row in jobs"
    assert told[None][1] == "a row of jobs has None as its job_id"
    assert "endless" in told
    (nightly,) = (job for job in report.jobs if job.outcome == "imported")
    assert nightly.executions == 1
    assert [note.split(" ", 1)[0] for note in nightly.notes] == ["1", "4"]


async def test_texts_that_are_not_utf_8_keep_their_bytes(backend: ExchangeBackend, tmp_path: Path) -> None:
    source = database(tmp_path / "old.db", [JOB])
    with closing(sqlite3.connect(source)) as made, made:
        made.execute("UPDATE jobs SET tenant = CAST(x'61ff62' AS TEXT)")
    await backend.import_from(source)
    state = await backend.load("nightly")
    assert state is not None and state.model_extra == {"tenant": "a\udcffb"}


async def test_a_database_in_use_is_read_as_it_was_committed(backend: ExchangeBackend, tmp_path: Path) -> None:
    source = weekly(tmp_path / "old.db")
    with closing(sqlite3.connect(source)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        with other:
            other.execute("UPDATE jobs SET job_name = 'Committed'")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE jobs SET job_name = 'Not yet'")
        assert (await backend.import_from(source)).count("imported") == 1
        other.rollback()
    state = await backend.load("weekly")
    assert state is not None and state.job_name == "Committed"


async def test_what_is_no_such_database_is_an_error(backend: ExchangeBackend, tmp_path: Path) -> None:
    other = database(tmp_path / "other.db", tables=["CREATE TABLE things (id)"])
    with pytest.raises(InvalidInputError, match="no table jobs"):
        await backend.import_from(other)
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 8)
    with pytest.raises(CorruptionError, match=r"damaged\.db cannot be read as an SQLite database"):
        await backend.import_from(damaged)


async def test_git_shows_an_imported_execution(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state") as backend:
        await backend.import_from(weekly(tmp_path / "old.db"))
    shown = git(tmp_path / "state", "log", "-1", "--format=%(trailers:key=Gitstate-Time,valueonly)%s")
    assert shown.splitlines() == ["2025-01-01T03:00:00+00:00", "weekly: executed sheet 1, attempt 3, exit 0 (1/2 done)"]


@settings(max_examples=30, deadline=None)
@given(st.lists(STATES, min_size=1, max_size=3, unique_by=lambda state: state.job_id))
async def test_states_come_out_of_columns_as_they_went_in(states: list[CheckpointState]) -> None:
    codec: Codec[Any] = Codec(CheckpointState)
    jobs, sheets = list(CheckpointState.model_fields.keys() - {"sheets"}), list(SheetState.model_fields)
    tables = [f"CREATE TABLE jobs ({', '.join(jobs)})", f"CREATE TABLE sheets (job_id, {', '.join(sheets)})"]
    values: list[Any] = [codec.encode(state) for state in states]
    for value in values:
        del value["extra_field"]  # a text there may look like JSON, and nobody knows its type
    rows = [{name: value[name] for name in value.keys() - {"sheets"}} for value in values]
    of_sheets = [{"job_id": value["job_id"], **sheet} for value in values for sheet in value["sheets"].values()]
    with tempfile.TemporaryDirectory() as place:
        source = database(Path(place) / "old.db", rows, of_sheets, tables=tables)
        async with InMemoryStateBackend() as backend:
            assert (await backend.import_from(source)).count("imported") == len(states)
            for value in values:
                found = await backend.load(value["job_id"])
                assert found is not None and equal(codec.encode(found), value)
            assert (await backend.import_from(source)).count("unchanged") == len(states)
