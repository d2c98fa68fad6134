"""Export: what the rows hold, in each format; files that are whole or not there."""

import csv
import gc
import io
import json
import os
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, SheetStatus
from gitstate.backends.exchange import ExchangeBackend
from gitstate.backends.exporting import ExportReport, beside
from gitstate.errors import ExistsError, InvalidInputError, JobNotFoundError, NotFoundError
from gitstate.format.message import Message
from gitstate.store.documents import Draft
from tests.git import git

TEXTS = ('prompt, "quoted"\nline\r\nü\u2028', "out \ud800\0")


async def fill(backend: ExchangeBackend) -> None:
    for job_id in ("nightly", "a/b, c"):
        state = CheckpointState(job_id=job_id, job_name=job_id, total_sheets=2)
        await backend.save(state)
        state.mark_sheet_started(1)
        state.mark_sheet_completed(1)
        await backend.save(state)
    await backend.record_execution("nightly", 1, 1, *TEXTS, exit_code=-9, duration_seconds=0.1)
    await backend.record_execution("nightly", 1, 2)


async def lines(backend: ExchangeBackend, **options: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    await backend.export(stream, **options)
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


async def test_json_lines_hold_checkpoints_and_executions_as_the_backend_tells_them(backend: ExchangeBackend) -> None:
    await fill(backend)
    rows = await lines(backend)
    assert [(row["type"], row["job_id"]) for row in rows] == [
        *[("checkpoint", "a/b, c")] * 2,
        *[("checkpoint", "nightly")] * 4,
        *[("execution", "nightly")] * 2,
    ]
    history = await backend.history("nightly")
    assert [row["revision"] for row in rows[2:6]] == [each.revision for each in history]
    assert [(row["event"], row["completed_sheets"], row["total_sheets"]) for row in rows[4:6]] == [
        ("saved", 1, 2),
        ("created", 0, 2),
    ]
    assert {"type", "prompt", "output", "state"} & {*rows[0], *rows[7]} == {"type"}
    second, first = await backend.get_execution_history("nightly")
    for row, told in zip(rows[6:], (second, first), strict=True):
        assert {name: row[name] for name in told.keys() - {"prompt", "output"}} == {
            name: told[name] for name in told.keys() - {"prompt", "output"}
        }
    assert (rows[7]["prompt_bytes"], rows[7]["output_bytes"]) == tuple(
        len(text.encode("utf-8", "surrogatepass")) for text in TEXTS
    )
    assert (rows[6]["prompt_bytes"], rows[6]["exit_code"]) == (None, None)
    assert rows[7]["revision"] == history[1].revision


async def test_payloads_and_states_are_there_if_asked_for(backend: ExchangeBackend) -> None:
    await fill(backend)
    rows = await lines(backend, payloads=True, states=True, jobs=["nightly"])
    assert (rows[-1]["prompt"], rows[-1]["output"]) == TEXTS
    assert (rows[-2]["prompt"], rows[-2]["output"]) == (None, None)
    assert [row["state"]["status"] for row in rows if row["type"] == "checkpoint"] == [*["running"] * 3, "pending"]


async def test_a_deleted_job_is_exported_if_named(backend: ExchangeBackend) -> None:
    await fill(backend)
    await backend.delete("nightly")
    assert {row["job_id"] for row in await lines(backend)} == {"a/b, c"}
    rows = await lines(backend, jobs=["nightly", "nightly"], states=True)
    assert (len(rows), rows[0]["event"], rows[0]["state"]) == (5, "deleted", None)
    with pytest.raises(JobNotFoundError):
        await lines(backend, jobs=["never"])


async def test_csv_is_one_table_that_a_reader_understands(backend: ExchangeBackend, tmp_path: Path) -> None:
    await fill(backend)
    report = await backend.export(tmp_path / "out.csv", format="csv", what="executions", payloads=True)
    assert report == ExportReport(jobs=2, checkpoints=0, executions=2)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        second, first = csv.DictReader(file)
    assert (first["prompt"], first["output"]) == (TEXTS[0], "out \\ud800\0")
    assert (first["exit_code"], first["duration_seconds"], second["exit_code"]) == ("-9", "0.1", "")
    stream = io.StringIO()
    await backend.export(stream, format="csv", what="checkpoints", states=True, jobs=["a/b, c"])
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert [json.loads(row["state"])["job_id"] for row in rows] == ["a/b, c"] * 2


async def test_sqlite_is_a_database_with_a_table_of_each(backend: ExchangeBackend, tmp_path: Path) -> None:
    await fill(backend)
    report = await backend.export(tmp_path / "out.db", format="sqlite", payloads=True, states=True)
    assert report == ExportReport(jobs=2, checkpoints=6, executions=2)
    with closing(sqlite3.connect(tmp_path / "out.db")) as made:
        made.row_factory = sqlite3.Row
        first = made.execute("SELECT * FROM executions WHERE attempt_num = 1").fetchone()
        assert (first["prompt"], first["output"], first["exit_code"]) == (TEXTS[0], "out \\ud800\0", -9)
        (done,) = made.execute("SELECT max(json_extract(state, '$.last_completed_sheet')) FROM checkpoints").fetchone()
        assert done == 1
        assert made.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert [name for name in os.listdir(tmp_path) if name != "state"] == ["out.db"]


async def test_numbers_that_sqlite_does_not_have_are_left_out(backend: ExchangeBackend, tmp_path: Path) -> None:
    await fill(backend)
    said = {"Job": "nightly", "Execution": "7", "Sheet": "1", "Attempt": "3", "Exit-Code": str(2**70)}
    trailers = tuple((f"Gitstate-{key}", value) for key, value in said.items())
    by_hand = Draft(Message("by hand", trailers=trailers), attachments={"executions/x": b""})
    backend.store.submit(backend._jobs, "nightly", lambda _: by_hand).result()
    await backend.export(tmp_path / "out.db", format="sqlite", what="executions")
    with closing(sqlite3.connect(tmp_path / "out.db")) as made:
        assert made.execute("SELECT exit_code FROM executions WHERE attempt_num = 3").fetchall() == [(None,)]
        assert made.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("executions",)]


@pytest.mark.parametrize("number", ["9" * 5000, "²", "٣", "", "x"])
async def test_a_trailer_that_is_no_number_is_left_out(backend: ExchangeBackend, number: str) -> None:
    await fill(backend)
    said = {"Job": "nightly", "Progress": f"{number}/{number}", "Execution": "7", "Sheet": "1", "Prompt-Bytes": number}
    forged = Message("by hand", trailers=tuple((f"Gitstate-{key}", value) for key, value in said.items()))
    draft = Draft(forged, attachments={"executions/x": b""})
    backend.store.submit(backend._jobs, "nightly", lambda _: draft).result()
    rows = await lines(backend, jobs=["nightly"])
    assert (rows[0]["completed_sheets"], rows[0]["total_sheets"]) == (None, None)
    assert [row["prompt_bytes"] for row in rows if row.get("id") == 7] == [None]


async def test_a_file_that_is_there_is_replaced_only_by_force(backend: ExchangeBackend, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("mine")
    for form in ("jsonl", "sqlite"):
        with pytest.raises(ExistsError, match=r"out\.jsonl"):
            await backend.export(target, format=form)
    assert target.read_text() == "mine"
    await backend.export(target, force=True)
    assert target.read_text() == ""
    with pytest.raises(InvalidInputError, match="is no file"):
        await backend.export(os.devnull, force=True)
    with pytest.raises(NotFoundError, match=r"there is no folder .*none"):
        await backend.export(tmp_path / "none" / "out.jsonl")


@pytest.mark.parametrize("form", ["jsonl", "sqlite"])
async def test_an_export_that_fails_leaves_no_file(backend: ExchangeBackend, tmp_path: Path, form: str) -> None:
    await fill(backend)

    def stop(done: int, _: int) -> None:
        if done:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await backend.export(tmp_path / "out", format=form, progress=stop)
    assert [name for name in os.listdir(tmp_path) if name != "state"] == []


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with beside(target, force=False) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"


async def test_many_jobs_have_the_same_rows_as_each_alone(backend: ExchangeBackend) -> None:
    await fill(backend)
    for number in range(4):
        await backend.save(CheckpointState(job_id=f"job {number}", job_name="", total_sheets=2))
        await backend.record_execution(f"job {number}", 1, 1)
        await backend.record_execution(f"job {number}", 1, 2, prompt="p")
    await backend.delete("job 1")
    await backend.save(CheckpointState(job_id="job 1", job_name="anew", total_sheets=1))
    await backend.record_execution("job 1", 1, 1)
    await backend.delete("job 2")
    await backend.undelete("job 2")
    await backend.reshard(1)
    await backend.mark_sheet_status("job 3", 1, SheetStatus.COMPLETED)
    together = await lines(backend, payloads=True, states=True)
    each = [await lines(backend, payloads=True, states=True, jobs=[job]) for job in await backend.job_ids()]
    alone = [row for rows in each for row in rows]
    assert together == alone
    counts = [await backend.get_execution_history_count(f"job {number}") for number in range(4)]
    assert counts == [2, 1, 2, 2]
    assert [
        sum((row["type"], row["job_id"]) == ("execution", f"job {number}") for row in together) for number in range(4)
    ] == counts


async def test_commits_of_other_people_and_merges_are_exported_as_the_log_has_them(tmp_path: Path) -> None:
    path = tmp_path / "state"
    async with GitStateBackend(path) as backend:
        for number in range(5):
            await backend.save(CheckpointState(job_id=f"job{number}", job_name="", total_sheets=2))
        await backend.flush()
        for merged in (False, True):
            if merged:
                git(path, "checkout", "-q", "-b", "side", "HEAD~1")
                git(path, "commit", "-q", "--allow-empty", "-m", "aside")
                git(path, "checkout", "-q", "main")
                git(path, "merge", "-q", "--no-edit", "side")
            else:
                git(path, "rm", "-q", "-r", "jobs/job1")
                git(path, "commit", "-q", "-m", "by hand")
            rows = await lines(backend, what="checkpoints", jobs=[f"job{number}" for number in range(5)])
            for number in range(5):
                mine = [row["revision"] for row in rows if row["job_id"] == f"job{number}"]
                assert mine == [each.revision for each in await backend.history(f"job{number}")]


async def test_progress_tells_of_each_job(backend: ExchangeBackend) -> None:
    await fill(backend)
    told: list[tuple[int, int]] = []
    await lines(backend, progress=lambda *at: told.append(at))
    assert told == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "xml"}, "no format 'xml'"),
        ({"format": "csv"}, "CSV is one table"),
        ({"format": "sqlite"}, "a file, and no stream"),
        ({"what": "sheets"}, "'sheets' cannot be exported"),
        ({"jobs": "nightly"}, "no text"),
        ({"jobs": [""]}, "not empty"),
    ],
)
async def test_arguments_that_cannot_be_meant_are_errors(
    backend: ExchangeBackend, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        await backend.export(io.StringIO(), **options)


async def test_memory_does_not_grow_with_the_history() -> None:
    async with InMemoryStateBackend() as backend:
        await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=1))
        for attempt in range(1, 61):
            await backend.record_execution("nightly", 1, attempt, output=os.urandom(50_000).hex())

        class Sink(io.StringIO):
            def write(self, text: str) -> int:
                return len(text)

        gc.collect()
        tracemalloc.start()
        try:
            await backend.export(Sink(), payloads=True)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2_000_000  # and 6 000 000 characters were written
