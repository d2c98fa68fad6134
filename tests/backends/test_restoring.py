"""Bringing a part of an older state back, and what follows from it for the job."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate import BusyError, CheckpointState, InMemoryStateBackend, JobStatus, SheetStatus
from gitstate.backends.restoring import Wanted, repaired, reset
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import InvalidInputError, JobNotFoundError, RevisionNotFoundError
from gitstate.format.codec import Codec
from gitstate.format.message import Message
from gitstate.store.documents import Draft
from tests.backends.foreign import TheirJob, their_job


async def completed(backend: RewindBackend, sheets: int = 4) -> list[str]:
    """Complete a job sheet by sheet; return its revisions, the oldest first."""
    await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=sheets))
    for number in range(1, sheets + 1):
        await backend.mark_sheet_status("nightly", number, SheetStatus.IN_PROGRESS)
        await backend.mark_sheet_status("nightly", number, SheetStatus.COMPLETED)
    return [checkpoint.revision for checkpoint in await backend.history("nightly")][::-1]


async def stored(backend: RewindBackend, at: str | None = None) -> CheckpointState:
    state = await backend.load("nightly", at=at)
    assert state is not None
    return state


async def test_a_restored_sheet_opens_a_completed_job(backend: RewindBackend) -> None:
    made = await completed(backend)
    before = await stored(backend)
    done = await backend.restore("nightly", made[2], sheets="3-4", message="their input was wrong")
    now = await stored(backend)
    assert now.status == "paused" and now.completed_at is None and now.started_at == before.started_at
    assert (now.last_completed_sheet, now.current_sheet, now.get_next_sheet()) == (2, None, 3)
    assert now.sheets.keys() == {1, 2} and now.sheets[1] == before.sheets[1]
    assert now.updated_at > before.updated_at
    checkpoint = (await backend.history("nightly"))[0]
    assert (checkpoint.event, checkpoint.revision) == ("restored", done.revision)
    assert checkpoint.subject == f"nightly: restored sheets 3,4 from {made[2][:10]} (2/4 done)"
    assert (checkpoint.message, checkpoint.status) == ("their input was wrong", "paused")


async def test_a_completed_sheet_from_the_past_completes_the_job(backend: RewindBackend) -> None:
    made = await completed(backend)
    last = await stored(backend)
    await backend.rollback("nightly", made[5])
    assert (await stored(backend)).status == "running"
    await backend.restore("nightly", made[-1], sheets=[3, 4])
    now = await stored(backend)
    assert (now.status, now.last_completed_sheet, now.get_next_sheet()) == ("completed", 4, None)
    assert now.completed_at == last.sheets[4].completed_at
    assert now.sheets == last.sheets


async def test_all_sheets_restored_to_the_beginning_make_a_pending_job(backend: RewindBackend) -> None:
    made = await completed(backend)
    await backend.restore("nightly", made[0], sheets="1-4")
    now = await stored(backend)
    assert (now.status, now.sheets, now.started_at, now.last_completed_sheet) == ("pending", {}, None, 0)
    assert now.get_next_sheet() == 1


async def test_places_are_restored_and_the_rest_stays(backend: RewindBackend) -> None:
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=2)
    state.metadata = {"input": "a", "list": [1, 2], "gone": 1}
    await backend.save(state)
    (first,) = [checkpoint.revision for checkpoint in await backend.history("nightly")]
    state.metadata = {"input": "b", "list": [1, 3], "new": 2}
    state.error_message = "it broke"
    await backend.save(state)
    await backend.restore("nightly", first, pointers=["/metadata/input", "metadata.list.1", "/metadata/new"])
    now = await stored(backend)
    assert now.metadata == {"input": "a", "list": [1, 2]}
    assert now.error_message == "it broke"
    await backend.restore("nightly", first, pointers="error_message")
    assert (await stored(backend)).error_message is None


async def test_a_dry_run_and_what_is_there_already_write_nothing(backend: RewindBackend) -> None:
    made = await completed(backend)
    told = await backend.restore("nightly", made[2], sheets=[4], dry_run=True)
    assert told.before is not None and told.after is not None
    assert (told.before["status"], told.after["status"], told.revision) == ("completed", "paused", None)
    same = await backend.restore("nightly", made[-1], sheets=[4], pointers="/job_name")
    assert same.revision is None and same.before == same.after
    assert len(await backend.history("nightly")) == len(made)


async def test_what_cannot_be_restored_is_said(backend: RewindBackend) -> None:
    made = await completed(backend)
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "not said what"),
        ({"pointers": ""}, "not said what"),
        ({"sheets": "x"}, "names no sheets"),
        ({"sheets": "4-2"}, "names no sheets"),
        ({"sheets": [0]}, "no sheet 0"),
        ({"sheets": 3}, "lists or texts"),
        ({"pointers": [3]}, "a place is a text"),
        ({"sheets": [5]}, "no sheet 5"),
        ({"pointers": "/sheets/7/status"}, "neither then nor now"),
        ({"pointers": "/nothing"}, "neither then nor now"),
        ({"pointers": "a..b"}, "no place"),
    ]
    for wanted, says in refused:
        with pytest.raises(InvalidInputError, match=says):
            await backend.restore("nightly", made[3], **wanted)
    await backend.restore("nightly", made[0], sheets="4")
    with pytest.raises(InvalidInputError, match="restore /sheets/4"):
        await backend.restore("nightly", made[-1], pointers="/sheets/4/status")
    with pytest.raises(RevisionNotFoundError):
        await backend.restore("nightly", "0123456789", sheets="1")
    await backend.delete("nightly")
    with pytest.raises(JobNotFoundError):
        await backend.restore("nightly", made[3], sheets="1")


async def test_a_result_that_is_no_state_is_refused(backend: RewindBackend) -> None:
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=2)
    await backend.save(state)
    state.metadata["new"] = 1
    await backend.save(state)
    _, first = [checkpoint.revision for checkpoint in await backend.history("nightly")]
    snapshot = backend.store.load(backend._jobs, "nightly")
    assert snapshot is not None
    draft = Draft(Message("By hand"), value=snapshot.value() | {"total_sheets": "many"})
    backend.store.submit(backend._jobs, "nightly", lambda _: draft).result()
    with pytest.raises(InvalidInputError, match=r"no state of job 'nightly'.*total_sheets"):
        await backend.restore("nightly", first, pointers="/metadata")
    await backend.restore("nightly", first, pointers="/total_sheets")
    assert (await stored(backend)).metadata == {"new": 1}


async def test_a_running_job_is_left_alone_unless_forced(backend: RewindBackend) -> None:
    made = await completed(backend)
    state = await stored(backend, made[5])
    state.set_running_pid()
    await backend.save(state)
    with pytest.raises(BusyError, match="is running"):
        await backend.restore("nightly", made[2], sheets="2")
    await backend.restore("nightly", made[2], sheets="2", force=True)
    assert (await stored(backend)).status == "running"


async def test_a_sheet_of_a_job_that_only_counts(backend: RewindBackend) -> None:
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=3, last_completed_sheet=2)
    await backend.save(state)
    (first,) = [checkpoint.revision for checkpoint in await backend.history("nightly")]
    state.mark_sheet_failed(2, "it was wrong after all")
    await backend.save(state)
    await backend.restore("nightly", first, sheets="2")
    now = await stored(backend)
    assert [sheet.status for sheet in now.sheets.values()] == ["completed", "completed"]
    assert now.last_completed_sheet == 2


async def test_a_sheet_that_is_counted_as_it_was_writes_nothing(backend: RewindBackend) -> None:
    await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=3, last_completed_sheet=2))
    before = await stored(backend)
    done = await backend.restore("nightly", "~0", sheets="1,3")
    assert done.revision is None and done.after == done.before
    assert await stored(backend) == before and len(await backend.history("nightly")) == 1


async def test_no_attempt_said_and_no_attempt_made_are_the_same(backend: RewindBackend) -> None:
    await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=2))
    await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)  # stored without the number of attempts
    state = await stored(backend)
    state.status, state.sheets[1].metadata = JobStatus.COMPLETED, {"checked": True}
    await backend.save(state)
    await backend.restore("nightly", "~1", sheets="1")
    now = await stored(backend)
    assert (now.sheets[1].metadata, now.status) == ({}, JobStatus.COMPLETED)


async def test_any_model_will_do() -> None:
    async with InMemoryStateBackend(model=TheirJob) as backend:
        await backend.save(their_job())
        job_id = their_job().job_id
        first = (await backend.history(job_id))[0].revision
        before: Any = await backend.load(job_id)
        number = next(iter(before.sheets))
        await backend.mark_sheet_status(job_id, number, SheetStatus.FAILED, "it broke")
        await backend.restore(job_id, first, sheets=[number])
        now: Any = await backend.load(job_id)
        assert now.sheets == before.sheets


CODEC = Codec(CheckpointState)


@st.composite
def jobs(draw: st.DrawFn) -> CheckpointState:
    """Return a job of which each sheet was begun once at most."""
    state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=draw(st.integers(1, 5)))
    for number in draw(st.lists(st.integers(1, state.total_sheets), unique=True)):
        state.mark_sheet_started(number)
        end = draw(st.sampled_from(["completed", "failed", "skipped", ""]))
        if end == "completed":
            state.mark_sheet_completed(number)
        elif end == "failed":
            state.mark_sheet_failed(number, "no")
        elif end == "skipped":
            state.mark_sheet_skipped(number)
    return state


@given(jobs())
def test_a_sound_job_is_not_repaired(job: CheckpointState) -> None:
    value: Any = CODEC.encode(job)
    assert repaired(value) == value


@given(st.data(), jobs())
def test_a_job_that_is_reset_goes_on_at_that_sheet(data: st.DataObject, job: CheckpointState) -> None:
    first = data.draw(st.integers(1, job.total_sheets))
    value: Any = CODEC.encode(job)
    now = CODEC.decode(reset(value, first))
    assert now.status in ("paused", "pending")
    assert (now.pid, now.current_sheet, now.completed_at, now.error_message) == (None, None, None, None)
    for number, sheet in now.sheets.items():
        if number >= first:
            assert (sheet.status, sheet.attempt_count, sheet.error_message, sheet.started_at) == (
                "pending",
                0,
                None,
                None,
            )
        else:
            assert sheet == job.sheets[number]
    assert now.last_completed_sheet < first


def test_sheets_are_named_by_numbers_and_ranges() -> None:
    assert Wanted.of("5-7, 12,6", None).sheets == (5, 6, 7, 12)
    assert str(Wanted.of("5-6", ["a.b", "/c"])) == "sheets 5,6, /a/b, /c"
