"""The verb attempts, and what the log says of attempts that ended."""

import asyncio
import json
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.cli.conftest import Gitstate, revisions
from tests.cli.test_terminal import COLUMNS, on_terminal


@pytest.fixture
def tried(tmp_path: Path) -> Path:
    """A store with a job whose sheet 2 failed twice; the second attempt was recorded."""
    path = tmp_path / "tried"
    asyncio.run(_fill(path))
    return path


async def _fill(path: Path) -> None:
    async with GitStateBackend(path) as backend:
        state = CheckpointState(job_id="nightly", job_name="nightly", total_sheets=3)
        state.mark_sheet_started(1)
        await backend.save(state)
        state.mark_sheet_completed(1, execution_duration_seconds=1.25)
        state.mark_sheet_started(2)
        await backend.save(state)
        state.mark_sheet_failed(2, "no column: region", execution_duration_seconds=0.5)
        await backend.save(state)
        state.mark_sheet_started(2)
        await backend.save(state)
        state.mark_sheet_failed(
            2, "no space left\non device, which is a long story \x1b[31m", execution_duration_seconds=3
        )
        await backend.save(state, execution={"sheet_num": 2, "attempt_num": 2, "exit_code": 28})
        await backend.record_execution("nightly", 3, 1, output="nothing")


def test_attempts_lists_the_newest_first(gitstate: Gitstate, tried: Path) -> None:
    ran = gitstate("attempts", "night", "--store", tried)
    shown = [revision[:10] for revision in reversed(revisions(tried))]
    heading, *rows = ran.out.splitlines()
    assert heading.split() == ["revision", "time", "sheet", "attempt", "status", "seconds", "error"]
    assert [[row.split()[0], *row.split()[3:6]] for row in rows] == [
        [shown[0], "3", "1", "recorded"],
        [shown[1], "2", "2", "failed"],
        [shown[3], "2", "1", "failed"],
        [shown[4], "1", "1", "completed"],
    ]
    assert rows[1].endswith("  3.0  exit 28: no space left\\non device, which is a long story \\x1b[31m")
    assert rows[2].endswith("  0.5  no column: region")
    assert ran.err == ""


def test_attempts_can_be_narrowed(gitstate: Gitstate, tried: Path) -> None:
    ran = gitstate("attempts", "nightly", "--sheet", "2", "-n", "1", "--store", tried)
    assert len(ran.out.splitlines()) == 2
    assert ran.err == "The newest 1 only; there may be more.\n"
    assert len(gitstate("attempts", "nightly", "--sheet", "2", "--store", tried).out.splitlines()) == 3
    assert len(gitstate("attempts", "nightly", "--at", "~2", "--store", tried).out.splitlines()) == 3
    ran = gitstate("attempts", "nightly", "--sheet", "9", "--store", tried)
    assert (ran.status, ran.out, ran.err) == (0, "", "No attempt at sheet 9 ended, and none was recorded.\n")


def test_attempts_of_a_job_that_was_deleted(gitstate: Gitstate, tried: Path) -> None:
    gitstate("delete", "nightly", "--yes", "--store", tried)
    ran = gitstate("attempts", "nightly", "--store", tried)
    assert (ran.status, ran.out, ran.err) == (0, "", "No attempt ended, and none was recorded.\n")
    assert len(gitstate("attempts", "nightly", "--at", "@deleted", "--store", tried).out.splitlines()) == 5


def test_attempts_as_json(gitstate: Gitstate, tried: Path) -> None:
    recorded, failed, *_, first = json.loads(gitstate("attempts", "nightly", "--json", "--store", tried).out)
    assert recorded.keys() == {
        "sheet",
        "attempt",
        "status",
        "seconds",
        "exit_code",
        "error",
        "execution",
        "checkpoint",
    }
    assert (recorded["status"], recorded["seconds"], recorded["checkpoint"]["event"]) == (None, None, "execution")
    assert (failed["status"], failed["seconds"], failed["exit_code"]) == ("failed", 3.0, 28)
    assert failed["error"] == "no space left\non device, which is a long story \x1b[31m"
    assert isinstance(failed["execution"], int) and first["execution"] is None
    assert first["checkpoint"]["ended"] == [{"sheet": 1, "attempt": 1, "status": "completed", "seconds": 1.25}]
    assert json.loads(gitstate("attempts", "nightly", "--sheet", "9", "--json", "--store", tried).out) == []


def test_the_log_names_what_ended_where_the_subject_only_counts(gitstate: Gitstate, tried: Path) -> None:
    rows = gitstate("log", "nightly", "--store", tried).out.splitlines()
    assert [row.split("  ")[-1] for row in rows if "sheet 1" in row] == [
        "nightly: 2 sheets changed (1/3 done): sheet 1 completed",
        "nightly: created, sheet 1 in_progress (0/3 done)",
    ]
    found = json.loads(gitstate("log", "nightly", "--json", "--store", tried).out)
    assert [[(each["sheet"], each["status"]) for each in point["ended"]] for point in found] == [
        [],
        [(2, "failed")],
        [],
        [(2, "failed")],
        [(1, "completed")],
        [],
    ]


def test_what_has_no_answer_is_an_error(gitstate: Gitstate, tried: Path) -> None:
    for arguments, status, says in (
        (["none"], 3, "there is no job 'none'"),
        (["nightly", "--at", "~9"], 3, "does not go back"),
        (["nightly", "--sheet", "0"], 2, "--sheet"),
    ):
        ran = gitstate("attempts", *arguments, "--store", tried)
        assert (ran.status, ran.out) == (status, "")
        assert says in ran.err


def test_on_a_terminal_of_80_columns(tried: Path) -> None:
    status, shown = on_terminal("--store", tried, "attempts", "nightly", NO_COLOR="1")
    assert status == 0 and "exit 28" in shown and "…" in shown
    assert len(shown.splitlines()) == 5 and max(map(len, shown.splitlines())) <= COLUMNS
    assert "\x1b[31mfailed" in on_terminal("--store", tried, "attempts", "nightly")[1]
