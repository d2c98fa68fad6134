"""The rules by which a state moves on."""

import copy
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from gitstate import CheckpointState, InvalidInputError, JobStatus, SheetState, SheetStatus
from gitstate.backends.statuses import is_zombie, next_sheet


def job(total_sheets: int = 3, **fields: Any) -> CheckpointState:
    return CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=total_sheets, **fields)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_fields_are_those_of_the_interface_in_its_order() -> None:
    assert " ".join(CheckpointState.model_fields) == (
        "job_id job_name config_hash config_snapshot config_path created_at updated_at started_at completed_at "
        "total_sheets last_completed_sheet current_sheet status sheets pid host error_message total_retry_count "
        "rate_limit_waits metadata"
    )
    assert " ".join(SheetState.model_fields) == (
        "sheet_num status started_at completed_at attempt_count exit_code exit_signal exit_reason error_message "
        "error_category error_code validation_passed validation_details execution_duration_seconds stdout_tail "
        "stderr_tail output_truncated metadata"
    )


def test_statuses_are_those_of_the_interface() -> None:
    assert " ".join(JobStatus) == "pending running completed failed paused paused_at_chain cancelled"
    assert " ".join(SheetStatus) == (
        "pending ready dispatched in_progress waiting retry_scheduled fermata completed failed skipped cancelled"
    )
    assert {status for status in SheetStatus if status.is_terminal} == {"completed", "failed", "skipped", "cancelled"}
    assert {status for status in JobStatus if status.is_terminal} == {"completed", "failed", "cancelled"}


def test_assignments_are_validated() -> None:
    state = job()
    state.status = "running"  # type: ignore[assignment]  # what callers write
    assert state.status is JobStatus.RUNNING
    with pytest.raises(ValidationError):
        state.status = "sleeping"  # type: ignore[assignment]  # no status
    with pytest.raises(ValidationError):
        job(total_sheets=0)


def test_a_naive_time_is_taken_as_utc() -> None:
    state = job(started_at=datetime(2026, 1, 2, 3))  # noqa: DTZ001  # what other writers store
    assert state.started_at == datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert state.created_at.tzinfo is not None


def test_what_the_next_save_is_merged_from_is_carried_by_copies_and_pickles() -> None:
    state = job()
    state._lineage = ("here",)
    for twin in (state.model_copy(), copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert twin._lineage == ("here",)
    assert "_lineage" not in state.model_dump()


def test_a_start_makes_the_job_run_and_forgets_the_last_attempt() -> None:
    state = job(status="failed", error_message="gave up")
    state.mark_sheet_failed(
        2,
        "no route",
        "network",
        exit_code=7,
        exit_signal=9,
        exit_reason="killed",
        error_code="E1",
        stderr_tail="...",
        validation_passed=False,
        output_truncated=True,
    )
    state.mark_sheet_started(2)
    sheet = state.sheets[2]
    assert (state.status, state.error_message, state.current_sheet) == ("running", None, 2)
    assert (sheet.status, sheet.attempt_count) == ("in_progress", 1)
    kept = {"sheet_num", "status", "attempt_count", "started_at"}
    assert {name for name, field in SheetState.model_fields.items() if getattr(sheet, name) != field.default} - {
        "metadata"
    } == kept
    first = state.started_at
    state.mark_sheet_started(2)
    assert (sheet.attempt_count, state.started_at) == (2, first)


def test_a_completion_raises_the_last_sheet_and_never_lowers_it() -> None:
    state = job()
    state.mark_sheet_completed(3, True, [{"check": "size"}], 1.5, exit_code=0, stdout_tail="done")
    state.mark_sheet_completed(1)
    assert (state.last_completed_sheet, state.status) == (3, "pending")
    sheet = state.sheets[3]
    assert (sheet.validation_passed, sheet.validation_details) == (True, [{"check": "size"}])
    assert (sheet.execution_duration_seconds, sheet.exit_code, sheet.stdout_tail) == (1.5, 0, "done")
    assert sheet.completed_at is not None


@pytest.mark.parametrize("last", ["completed", "skipped"])
def test_the_last_sheet_completes_the_job(last: str) -> None:
    state = job()
    state.set_running_pid()
    state.mark_sheet_started(1)
    state.mark_sheet_completed(1)
    state.mark_sheet_skipped(3, "not today")
    assert (state.status, state.sheets[3].error_message) == ("running", "not today")
    if last == "completed":
        state.mark_sheet_completed(2)
    else:
        state.mark_sheet_skipped(2)
    assert (state.status, state.pid, state.current_sheet) == ("completed", None, None)
    assert state.completed_at is not None
    assert state.get_next_sheet() is None
    assert state.get_progress() == (3, 3)


def test_a_failure_counts_a_retry_and_leaves_the_job_as_it_is() -> None:
    state = job()
    state.mark_sheet_started(1)
    state.mark_sheet_failed(1, "no", exit_code=2)
    state.mark_sheet_failed(1, "no again")
    assert (state.total_retry_count, state.status, state.sheets[1].status) == (2, "running", "failed")
    assert (state.sheets[1].error_message, state.sheets[1].exit_code) == ("no again", 2)


def test_a_job_fails_and_pauses() -> None:
    state = job()
    state.set_running_pid()
    state.mark_job_paused()
    assert (state.status, state.pid, state.completed_at) == ("paused", None, None)
    state.mark_job_failed("the disk is gone")
    assert (state.status, state.error_message) == ("failed", "the disk is gone")
    assert state.completed_at is not None


@pytest.mark.parametrize("number", [0, -1, 4, True, "1", 1.0, None])
def test_a_sheet_that_the_job_does_not_have_is_refused(number: Any) -> None:
    state = job()
    before = state.model_dump()
    acts: list[Callable[[], object]] = [
        lambda: state.mark_sheet_started(number),
        lambda: state.mark_sheet_completed(number),
        lambda: state.mark_sheet_failed(number, "no"),
        lambda: state.mark_sheet_skipped(number),
    ]
    for act in acts:
        with pytest.raises(InvalidInputError, match="nightly"):
            act()
    assert state.model_dump() == before


def test_a_field_that_a_sheet_does_not_have_is_refused() -> None:
    state = job()
    with pytest.raises(InvalidInputError, match="exit_kode"):
        state.mark_sheet_completed(1, exit_kode=1)
    assert state.sheets == {}


def test_a_subclass_has_sheets_of_its_own() -> None:
    """The methods make them, and take their fields."""

    class Step(SheetState):
        cost_cents: int = 0

    class Score(CheckpointState):
        sheets: dict[int, Step] = Field(default_factory=dict)  # type: ignore[assignment]  # narrower, and meant to be

    state = Score(job_id="nightly", job_name="Nightly", total_sheets=3, last_completed_sheet=1)
    state.mark_sheet_started(2)
    state.mark_sheet_completed(2, cost_cents=7)
    assert {number: (type(sheet), sheet.cost_cents) for number, sheet in state.sheets.items()} == {
        1: (Step, 0),
        2: (Step, 7),
    }


def test_a_number_set_by_hand_means_that_all_up_to_it_are_done() -> None:
    state = job(total_sheets=5, last_completed_sheet=2)
    assert (state.get_next_sheet(), state.get_progress()) == (3, (2, 5))
    state.mark_sheet_started(4)
    assert state.get_next_sheet() == 4
    state.mark_sheet_completed(4)
    assert (state.get_next_sheet(), state.get_progress()) == (3, (3, 5))
    assert job(last_completed_sheet=3).get_next_sheet() is None
    assert job(last_completed_sheet=99).get_progress() == (3, 3)


@pytest.mark.parametrize(
    ("statuses", "following"),
    [
        ({}, 1),
        ({1: "completed"}, 2),
        ({3: "completed"}, 1),
        ({1: "completed", 2: "failed", 3: "completed"}, 2),
        ({1: "pending", 3: "in_progress"}, 3),
        ({2: "in_progress", 3: "in_progress"}, 2),
        ({1: "skipped", 2: "cancelled", 3: "fermata"}, 3),
        ({1: "completed", 2: "skipped", 3: "cancelled"}, None),
    ],
)
def test_the_next_sheet(statuses: dict[int, str], following: int | None) -> None:
    state = job(sheets={number: {"sheet_num": number, "status": status} for number, status in statuses.items()})
    assert state.get_next_sheet() == following
    for status in ("completed", "cancelled"):
        assert state.model_copy(update={"status": JobStatus(status)}).get_next_sheet() is None


def test_the_rules_hold_for_models_of_other_peoples_making() -> None:
    class Status(Enum):
        RUNNING = "running"
        IN_PROGRESS = "in_progress"
        COMPLETED = "completed"

    sheets = {1: SimpleNamespace(status=Status.COMPLETED), 2: SimpleNamespace(status=Status.IN_PROGRESS)}
    theirs = SimpleNamespace(status=Status.RUNNING, total_sheets=3, sheets=sheets, pid=dead_pid())
    assert next_sheet(theirs) == 2
    assert is_zombie(theirs)
    assert next_sheet(SimpleNamespace(status=Status.COMPLETED, total_sheets=3)) is None
    assert next_sheet(SimpleNamespace(status="paused", total_sheets=3, last_completed_sheet=1)) == 2


def test_a_zombie_is_a_running_job_whose_process_died_on_this_host() -> None:
    state, dead = job(), dead_pid()
    state.set_running_pid()
    assert (state.pid, state.host, state.status) == (os.getpid(), socket.gethostname(), "pending")
    state.status = JobStatus.RUNNING
    assert not state.is_zombie()
    state.set_running_pid(dead)
    assert state.is_zombie()
    state.host = None
    assert state.is_zombie()
    state.host = "another-host"
    assert not state.is_zombie()
    state.set_running_pid(1)  # init, often another user's
    assert not state.is_zombie()
    for pid in (0, -1, None):
        state.pid = pid
        assert not state.is_zombie()
    state.pid = 2**40
    assert state.is_zombie()
    state.status = JobStatus.PAUSED
    assert not state.is_zombie()


acts = st.tuples(st.sampled_from(["started", "completed", "failed", "skipped"]), st.integers(1, 4))


@settings(max_examples=60)
@given(st.lists(acts, max_size=20))
def test_whatever_happened_the_next_sheet_is_one_that_is_not_done(happened: list[tuple[str, int]]) -> None:
    state, high = job(total_sheets=4), 0
    for act, number in happened:
        getattr(state, f"mark_sheet_{act}")(number, *(["no"] if act == "failed" else []))
        assert state.last_completed_sheet >= high
        high = state.last_completed_sheet
    done = {number for number, sheet in state.sheets.items() if sheet.status in ("completed", "skipped")}
    following = state.get_next_sheet()
    assert state.get_progress() == (len(done), 4)
    assert state.get_progress_percent() == 25.0 * len(done)
    assert following not in done
    assert (following is None) == (len(done) == 4) == (state.status == "completed")
