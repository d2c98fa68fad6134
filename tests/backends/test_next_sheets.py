"""Which sheet a run goes on with, and why: the same sheet as get_next_sheet gives, whatever the state."""

import asyncio
import os
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gitstate import (
    CheckpointState,
    GitStateBackend,
    InMemoryStateBackend,
    JobStatus,
    SheetState,
    SheetStatus,
    errors,
)
from gitstate.backends.next_sheets import NextSheet, PassedOver, explain
from gitstate.backends.rewind import RewindBackend
from gitstate.backends.statuses import next_sheet
from tests.backends.foreign import TheirJob, TheirJobStatus, TheirSheet, TheirSheetStatus
from tests.backends.test_history import newest, save

DONE = {"completed", "skipped", "cancelled"}


def job(total: int = 4, status: str = "running", last: int = 0, **sheets: Any) -> CheckpointState:
    """Return a job; ``_2="failed"`` is the status of sheet 2, a tuple its attempts and error too."""
    state = CheckpointState(
        job_id="job", job_name="Job", total_sheets=total, status=JobStatus(status), last_completed_sheet=last
    )
    for name, told in sheets.items():
        number = int(name[1:])
        words = told if isinstance(told, tuple) else (told,)
        fields = dict(zip(("status", "attempt_count", "error_message"), words, strict=False))
        state.sheets[number] = SheetState(sheet_num=number, **fields)
    return state


# Each reason


@pytest.mark.parametrize(
    ("state", "sheet", "reason"),
    [
        (job(), 1, "no sheet was ever begun"),
        (job(last=2), 3, "no sheet has a record, and those before are completed"),
        (job(last=4), None, "all sheets are completed"),
        (job(status="completed"), None, "the job is completed"),
        (job(status="cancelled", _1="failed"), None, "the job is cancelled"),
        (job(_1="completed", _2=("in_progress", 2)), 2, "it was interrupted in its attempt 2"),
        (job(_1="completed", _2="in_progress"), 2, "it was interrupted"),
        (job(_1=("failed", 1)), 1, "it failed, after 1 attempt, and is tried again"),
        (job(_1="completed", _2=("failed", 3)), 2, "it failed, after 3 attempts, and is tried again"),
        (job(_1="completed"), 2, "it is the lowest that is not completed, skipped or cancelled: it is not begun"),
        (
            job(_1="skipped", _2="waiting"),
            2,
            "it is the lowest that is not completed, skipped or cancelled: it is waiting",
        ),
        (job(2, _1="skipped", _2="cancelled"), None, "every sheet is completed, skipped or cancelled"),
        (job(status="failed", _1=("failed", 1)), 1, "it failed, after 1 attempt, and is tried again"),
    ],
)
def test_each_reason(state: CheckpointState, sheet: int | None, reason: str) -> None:
    found = explain("job", state)
    assert (found.job_id, found.sheet, found.reason) == ("job", sheet, reason)


def test_what_is_passed_over_and_why() -> None:
    state = job(5, _1="completed", _2=("skipped", 0, "not needed"), _3=("failed", 1, "no space"), _4="in_progress")
    assert explain("job", state).passed_over == (
        PassedOver(1, "completed", "it is completed"),
        PassedOver(2, "skipped", "it is skipped: not needed"),
        PassedOver(3, "failed", "sheet 4 comes first"),
    )
    state = job(3, status="cancelled", _1="completed", _2=("cancelled", 1, "stop"))
    assert explain("job", state).passed_over == (
        PassedOver(1, "completed", "it is completed"),
        PassedOver(2, "cancelled", "it is cancelled: stop"),
        PassedOver(3, None, "the job is over"),
    )
    state = job(3, status="completed", last=1)
    assert explain("job", state).passed_over == (
        PassedOver(1, "completed", "the last completed sheet is 1"),
        PassedOver(2, None, "the job is over"),
        PassedOver(3, None, "the job is over"),
    )
    assert explain("job", job(last=1)).passed_over == (PassedOver(1, "completed", "the last completed sheet is 1"),)
    assert explain("job", job()).passed_over == ()


def test_a_sheet_whose_process_is_at_work_was_not_interrupted() -> None:
    state = job(_1=("in_progress", 1))
    state.set_running_pid()
    assert explain("job", state).reason == f"it is in progress: process {os.getpid()} of this host is at work on it"
    state.host = "another"
    assert explain("job", state).reason == "it was interrupted in its attempt 1"


def test_the_own_rule_of_a_model_counts_whatever_its_shape() -> None:
    class Backwards(CheckpointState):
        def get_next_sheet(self) -> int | None:
            return self.total_sheets

    found = explain("job", Backwards(job_id="job", job_name="", total_sheets=3))
    assert (found.sheet, found.reason) == (3, "the rule of the job's own model says so")
    assert [each.reason for each in found.passed_over] == ["sheet 3 comes first", "sheet 3 comes first"]

    class Steps(BaseModel):
        job_id: str
        sheets: list[str] = ["one"]

        def get_next_sheet(self) -> int | None:
            return 7

    found = explain("job", Steps(job_id="job"))
    assert found == NextSheet("job", 7, "the rule of the job's own model says so")


# Agreement


def _kept(members: type[Enum]) -> st.SearchStrategy[Any]:
    return st.sampled_from(list(members))


@st.composite
def states(draw: st.DrawFn, theirs: bool) -> Any:
    total = draw(st.integers(1, 6))
    sheet, statuses = (TheirSheet, TheirSheetStatus) if theirs else (SheetState, SheetStatus)
    numbers = draw(st.sets(st.integers(1, 7)))
    sheets = {
        number: sheet(
            sheet_num=number,
            status=draw(_kept(statuses)),
            attempt_count=draw(st.integers(0, 3)),
            error_message=draw(st.none() | st.sampled_from(["", "bad"])),
        )
        for number in sorted(numbers)
    }
    model: Any = TheirJob if theirs else CheckpointState
    return model(
        job_id="job",
        job_name="Job",
        total_sheets=total,
        status=draw(_kept(TheirJobStatus if theirs else JobStatus)),
        last_completed_sheet=draw(st.integers(-1, 8)),
        sheets=sheets,
    )


@given(states(theirs=False) | states(theirs=True))
def test_it_explains_the_sheet_that_the_rule_gives(state: Any) -> None:
    found = explain("job", state)
    assert found.sheet == next_sheet(state)
    assert found.reason
    numbers = [each.sheet for each in found.passed_over]
    assert numbers == list(range(1, found.sheet or state.total_sheets + 1))
    for each in found.passed_over:
        record = state.sheets.get(each.sheet)
        if record is not None:
            assert each.status == record.status.value
            assert each.reason.startswith(f"it is {each.status}") == (each.status in DONE)
        elif state.sheets:
            assert each.status is None
        assert found.sheet is not None or each.reason != "sheet None comes first"


@given(states(theirs=False) | states(theirs=True))
def test_it_agrees_with_get_next_sheet(state: Any) -> None:
    async def compare() -> None:
        async with InMemoryStateBackend(model=type(state)) as backend:
            await backend.save(state)
            number = await backend.get_next_sheet("job")
            assert (await backend.explain_next("job")).sheet == number
            assert (await backend.explain_next("job", at="~0")).sheet == number

    asyncio.run(compare())


# On a backend


async def test_a_zombie_is_told_of_as_it_is_loaded(backend: RewindBackend) -> None:
    dead = await asyncio.create_subprocess_exec("true")
    await dead.wait()
    state = CheckpointState(job_id="job", job_name="Job", total_sheets=2)
    state.mark_sheet_started(1)
    state.set_running_pid(dead.pid)
    await backend.save(state)
    found = await backend.explain_next("job")
    assert (found.sheet, found.reason) == (1, "it was interrupted in its attempt 1")
    assert (await backend.explain_next("job", at="~0")) == found


async def test_it_tells_of_another_moment(backend: RewindBackend) -> None:
    await save(backend, "other")
    earlier = await newest(backend, "other")
    one = await save(backend)
    await backend.mark_sheet_status("job", 1, SheetStatus.FAILED, "bad")
    assert (await backend.explain_next("job")).reason == "it failed, after 0 attempts, and is tried again"
    assert (await backend.explain_next("job", at=one)).reason == "no sheet was ever begun"
    assert (await backend.explain_next("job", "~1")).sheet == 1
    assert (await backend.explain_next("job", at=earlier)).reason.startswith("the job has no state")
    with pytest.raises(errors.RevisionNotFoundError):
        await backend.explain_next("job", at="nowhere")
    with pytest.raises(errors.InvalidInputError):
        await backend.explain_next("job", at=7)  # type: ignore[arg-type]
    await backend.delete("job")
    found = await backend.explain_next("job", at="@deleted")
    assert found.reason == "it failed, after 0 attempts, and is tried again"


async def test_a_job_without_state_begins_at_its_first_sheet(backend: RewindBackend) -> None:
    reason = "the job has no state, so it begins with the first sheet"
    assert await backend.explain_next("never") == NextSheet("never", 1, reason)
    await save(backend)
    await backend.delete("job")
    assert await backend.explain_next("job") == NextSheet("job", 1, reason)
    assert await backend.get_next_sheet("job") == 1


async def test_output_files_tell_where_a_job_without_state_goes_on(tmp_path: Path) -> None:
    for number in (1, 3):
        (tmp_path / f"sheet-{number}.md").write_text("done")
    artifacts = (str(tmp_path), "sheet-*.md")
    async with GitStateBackend(tmp_path / "state", artifacts=artifacts) as backend:
        found = await backend.explain_next("job")
        assert found.sheet == await backend.get_next_sheet("job") == 4
        assert found.reason == "the job has no state: output files up to sheet 3 were found"
        assert (await backend.explain_next("job", at=backend.store.head())).sheet == 1, "files tell of now only"


async def test_a_state_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    class Other(BaseModel):
        job_id: str

    async with GitStateBackend(tmp_path / "state", model=Other) as others:
        await others.save(Other(job_id="job"))  # type: ignore[arg-type]
    async with GitStateBackend(tmp_path / "state") as backend:
        with pytest.raises(errors.StateCorruptionError, match="job_name"):
            await backend.explain_next("job")
