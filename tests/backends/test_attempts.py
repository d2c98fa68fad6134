"""Attempts: a save tells which ended, and they are listed with the executions that were recorded for them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, SheetState, SheetStatus
from gitstate.backends.attempts import Attempt
from gitstate.backends.endings import Ended, ended, ending_trailers, endings_of
from gitstate.backends.executions import ExecutionRecord
from gitstate.backends.rewind import RewindBackend
from gitstate.backends.statuses import RUNNING
from gitstate.backends.subjects import told
from gitstate.errors import InvalidInputError, RevisionNotFoundError
from gitstate.format import message
from gitstate.format.message import Message
from tests.git import git


def job(job_id: str = "nightly", sheets: int = 4) -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name=job_id, total_sheets=sheets)


async def run(backend: RewindBackend, state: CheckpointState, sheet: int, error: str | None, seconds: float) -> None:
    """Begin an attempt and end it, a save each."""
    state.mark_sheet_started(sheet)
    await backend.save(state)
    if error is None:
        state.mark_sheet_completed(sheet, execution_duration_seconds=seconds)
    else:
        state.mark_sheet_failed(sheet, error, execution_duration_seconds=seconds)
    await backend.save(state)


def brief(found: list[Attempt]) -> list[tuple[Any, ...]]:
    return [(each.sheet, each.attempt, each.status, each.seconds, each.error) for each in found]


async def test_attempts_are_told_without_being_recorded(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    await run(backend, state, 1, None, 0.5)
    await run(backend, state, 2, "no column: region", 1.25)
    await run(backend, state, 2, None, 2)
    points = await backend.history("nightly")
    assert [point.ended for point in points] == [
        (Ended(2, 2, "completed", 2.0),),
        (),
        (Ended(2, 1, "failed", 1.25),),
        (),
        (Ended(1, 1, "completed", 0.5),),
        (),
        (),
    ]
    found = await backend.attempts("nightly")
    assert brief(found) == [
        (2, 2, "completed", 2.0, None),
        (2, 1, "failed", 1.25, "no column: region"),
        (1, 1, "completed", 0.5, None),
    ]
    assert [each.checkpoint for each in found] == [points[0], points[2], points[4]]
    assert {(each.execution_id, each.exit_code) for each in found} == {(None, None)}
    assert brief(await backend.attempts("nightly", 2, 1)) == brief(found[:1])
    assert brief(await backend.attempts("nightly", 1)) == brief(found[2:])
    assert await backend.attempts("nightly", 3) == []
    assert brief(await backend.attempts("nightly", at="~1")) == brief(found[1:])
    assert await backend.get_execution_history("nightly") == []
    assert await backend.get_execution_history_count("nightly") == 0


async def test_marks_tell_them_as_well(backend: RewindBackend) -> None:
    await backend.save(job())
    await backend.mark_sheet_status("nightly", 1, SheetStatus.IN_PROGRESS)
    await backend.mark_sheet_status("nightly", 1, SheetStatus.FAILED, "out of memory")
    (found,) = await backend.attempts("nightly")
    assert (found.sheet, found.attempt, found.status, found.error) == (1, 1, "failed", "out of memory")
    assert found.seconds is not None and 0 <= found.seconds < 60, "from its start to its end"
    assert found.checkpoint.event == "sheet"


@pytest.mark.parametrize("status", list(SheetStatus))
async def test_which_statuses_are_of_a_running_attempt(backend: RewindBackend, status: SheetStatus) -> None:
    state = job()
    state.sheet(1).status = status
    await backend.save(state)
    state.sheet(1).status = SheetStatus.FAILED
    await backend.save(state)
    assert bool(await backend.attempts("nightly")) is (status in RUNNING)


async def test_an_attempt_that_began_and_ended_between_two_saves_is_told(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    for error in ("first", "second"):
        state.mark_sheet_started(1)
        state.mark_sheet_failed(1, error)
        await backend.save(state)
    found = await backend.attempts("nightly")
    assert [(each.attempt, each.status, each.error) for each in found] == [
        (2, "failed", "second"),
        (1, "failed", "first"),
    ]


async def test_what_is_no_end_of_an_attempt_is_not_told(backend: RewindBackend) -> None:
    state = job()
    state.mark_sheet_started(1)
    state.mark_sheet_completed(1)
    await backend.save(state)  # nobody saw it run
    state.mark_sheet_completed(2)  # nor was that begun
    state.mark_sheet_skipped(3)
    await backend.save(state)
    state.sheets[1].status = SheetStatus.FAILED  # judged anew
    await backend.save(state)
    await backend.save(state)
    assert await backend.attempts("nightly") == []


async def test_one_commit_names_fifty_at_most(backend: RewindBackend) -> None:
    state = job(sheets=70)
    for sheet in range(70, 0, -1):
        state.mark_sheet_started(sheet)
    await backend.save(state)
    for sheet in range(1, 71):
        state.mark_sheet_completed(sheet)
    await backend.save(state)
    found = await backend.attempts("nightly")
    assert [each.sheet for each in found] == list(range(1, 51))


async def test_an_execution_is_joined_to_the_attempt_whichever_was_written_first(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    await run(backend, state, 1, "boom", 1)
    after = await backend.record_execution("nightly", 1, 1, exit_code=1, duration_seconds=1.5)
    state.mark_sheet_started(1)
    await backend.save(state)
    before = await backend.record_execution("nightly", 1, 2, exit_code=2)
    state.mark_sheet_failed(1, "again", execution_duration_seconds=2.0)
    await backend.save(state)
    state.mark_sheet_started(1)
    await backend.save(state)
    state.mark_sheet_completed(1)
    record = ExecutionRecord(1, 3, exit_code=0, duration_seconds=0.25)
    await backend.save(state, execution=record)
    alone = await backend.record_execution("nightly", 2, 1, exit_code=7, duration_seconds=3)
    found = await backend.attempts("nightly")
    assert [
        (each.sheet, each.attempt, each.status, each.seconds, each.exit_code, each.execution_id) for each in found
    ] == [
        (2, 1, None, 3.0, 7, alone),
        (1, 3, "completed", 0.25, 0, record.id),
        (1, 2, "failed", 2.0, 2, before),
        (1, 1, "failed", 1.5, 1, after),
    ]
    assert [each.error for each in found] == [None, None, "again", "boom"]
    assert await backend.get_execution_history_count("nightly") == 4


async def test_what_was_done_again_after_going_back_is_an_attempt_of_its_own(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    await run(backend, state, 1, "first time", 1)
    first = await backend.record_execution("nightly", 1, 1)
    await backend.rollback("nightly", "~2")
    second = await backend.record_execution("nightly", 1, 1)  # recorded before it ends
    again = await backend.load("nightly")
    assert again is not None
    await run(backend, again, 1, "second time", 2)
    await backend.rollback("nightly", "~3")
    third = await backend.record_execution("nightly", 1, 1)  # of an attempt that no save saw end
    found = await backend.attempts("nightly")
    assert [(each.execution_id, each.error) for each in found] == [
        (third, None),
        (second, "second time"),
        (first, "first time"),
    ]


async def test_a_job_made_anew_has_no_attempts_and_those_before_are_still_found(backend: RewindBackend) -> None:
    assert await backend.attempts("nightly") == []
    state = job()
    await backend.save(state)
    await run(backend, state, 1, "old", 1)
    await backend.delete("nightly")
    assert await backend.attempts("nightly") == []
    assert [each.error for each in await backend.attempts("nightly", at="@deleted")] == ["old"]
    await backend.save(job())
    assert await backend.attempts("nightly") == []
    with pytest.raises(RevisionNotFoundError):
        await backend.attempts("nightly", at="nothing")
    with pytest.raises(InvalidInputError):
        await backend.attempts("nightly", limit=-1)


async def test_a_merge_tells_what_the_commit_ended_and_nothing_twice(backend: RewindBackend) -> None:
    state = job()
    state.mark_sheet_started(1)
    state.mark_sheet_started(2)
    await backend.save(state)
    other = await backend.load("nightly")
    assert other is not None
    other.mark_sheet_completed(1)
    await backend.save(other)
    state.mark_sheet_failed(2, "mine")
    await backend.save(state)
    points = await backend.history("nightly", 2)
    assert [point.event for point in points] == ["merged", "saved"]
    assert [[(each.sheet, each.status) for each in point.ended] for point in points] == [
        [(2, "failed")],
        [(1, "completed")],
    ]


class _Step(BaseModel):
    status: str


class _Plan(BaseModel):
    job_id: str
    sheets: dict[str, _Step]


async def test_a_model_without_attempts_and_with_other_keys() -> None:
    async with InMemoryStateBackend(model=_Plan) as backend:
        plan: Any = _Plan(job_id="p", sheets={key: _Step(status="in_progress") for key in ("2", "a b", "01", "-1")})
        await backend.save(plan)
        for step in plan.sheets.values():
            step.status = "completed"
        await backend.save(plan)
        assert [(each.sheet, each.attempt, each.seconds) for each in await backend.attempts("p")] == [(2, 1, None)]


async def test_trailers_are_what_the_format_says_and_those_of_others_do_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        state = job()
        state.mark_sheet_started(1)
        state.mark_sheet_started(2)
        await backend.save(state)
        state.mark_sheet_completed(2, execution_duration_seconds=12.5)
        state.mark_sheet_failed(1, "boom")
        state.sheets[1].started_at = None
        await backend.save(state)
        await backend.flush()
        said = git(folder, "log", "-1", "--format=%(trailers:key=Gitstate-Ended)").split("\n")
        assert [line for line in said if line] == ["Gitstate-Ended: 1 1 failed", "Gitstate-Ended: 2 1 completed 12.5"]
        file = folder / "jobs/nightly/job.json"
        file.write_text(file.read_text().replace('"nightly",\n  "created', '"Mine",\n  "created'))
        git(folder, "commit", "-qam", "Edit\n\nGitstate-Job: other\nGitstate-Ended: 3 1 failed")
        assert len(await backend.attempts("nightly")) == 2
        forged = "Gitstate-Job: nightly\nGitstate-Execution: 7\nGitstate-Sheet: -1\nGitstate-Attempt: 1"
        git(folder, "commit", "-q", "--allow-empty", "-m", f"Edit\n\n{forged}")
        assert len(await backend.attempts("nightly")) == 2
        assert await backend.get_execution_history_count("nightly") == 1, "it is a record, of no sheet"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 2 failed 12.5", Ended(3, 2, "failed", 12.5)),
        ("3 2 completed", Ended(3, 2, "completed", None)),
        ("3 2 failed 1e-05 and more", Ended(3, 2, "failed", 1e-05)),
        ("3 2 failed -1", Ended(3, 2, "failed", None)),
        ("3 2 failed nan", Ended(3, 2, "failed", None)),
        ("3 2 failed 1e999", Ended(3, 2, "failed", None)),
        ("3 2 failed 1.2.3", Ended(3, 2, "failed", None)),
        ("3 2 skipped", None),
        ("0 2 failed", None),
        ("3 0 failed", None),
        ("3 -1 failed", None),
        ("٣ 2 failed", None),
        ("3  2 failed", None),
        (f"{'9' * 19} 2 failed", None),
        ("3 2", None),
        ("", None),
    ],
)
def test_what_cannot_be_read_is_left_out(text: str, expected: Ended | None) -> None:
    said = Message("s", trailers=((message.ENDED, text), (message.ENDED, "9 1 completed")))
    others = [Ended(9, 1, "completed", None)]
    assert list(endings_of(Message.parse(said.to_bytes()))) == ([expected, *others] if expected else others)


def test_the_first_of_a_sheet_counts() -> None:
    said = Message("s", trailers=((message.ENDED, "1 1 failed"), (message.ENDED, "1 2 completed")))
    assert endings_of(said) == (Ended(1, 1, "failed", None),)


_ENDED = st.builds(
    Ended,
    sheet=st.integers(1, 10**18 - 1),
    attempt=st.integers(1, 10**18 - 1),
    status=st.sampled_from(["completed", "failed"]),
    seconds=st.none() | st.floats(0, allow_nan=False, allow_infinity=False),
)


@given(st.lists(_ENDED, max_size=50, unique_by=lambda each: each.sheet))
def test_what_is_written_is_read(found: list[Ended]) -> None:
    said = Message("s", trailers=ending_trailers(found))
    assert list(endings_of(Message.parse(said.to_bytes()))) == found


_ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
_SHEET = _ODD | st.fixed_dictionaries(
    {"status": st.sampled_from([*SheetStatus]).map(str) | _ODD},
    optional={
        "attempt_count": _ODD | st.just(10**5000),
        "execution_duration_seconds": _ODD | st.just(10**5000),
        "started_at": _ODD | st.just("2026-03-01T09:30:00+00:00"),
        "completed_at": _ODD
        | st.sampled_from(["2026-03-01T09:30:01+00:00", "2026-03-01T09:30:01", "2026-02-01T00:00Z"]),
    },
)
_SHEETS = st.dictionaries(st.sampled_from(["1", "2", "07", "x"]), _SHEET)


@given(_SHEETS, _SHEETS)
def test_any_two_values_can_be_told_of(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = {"sheets": old}, {"sheets": new}
    found = ended(before, after, told(before, after).changed)
    assert list(endings_of(Message("s", trailers=ending_trailers(found)))) == found
    assert all(each.sheet in (1, 2) and after["sheets"][str(each.sheet)]["status"] == each.status for each in found)
    assert ended(None, after, list(new)) == []


def test_the_time_from_start_to_end_counts_where_the_sheet_says_none() -> None:
    sheet = SheetState(sheet_num=1, status=SheetStatus.IN_PROGRESS, attempt_count=1)
    state = job()
    state.mark_sheet_started(1)
    start = state.sheets[1].started_at
    assert start is not None
    sheet.started_at, sheet.completed_at = start, start + timedelta(seconds=90)
    done = sheet.model_copy(update={"status": SheetStatus.COMPLETED})
    before, after = ({"sheets": {"1": each.model_dump(mode="json")}} for each in (sheet, done))
    assert ended(before, after, ["1"]) == [Ended(1, 1, "completed", 90.0)]
