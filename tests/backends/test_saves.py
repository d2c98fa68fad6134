"""What a save does when the job moved meanwhile, and which base it is merged from."""

import asyncio
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from gitstate import CheckpointState, ConflictError, GitStateBackend, InMemoryStateBackend, SheetState, SheetStatus
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import StaleError, StorageError


def job(job_id: str = "nightly", sheets: int = 4) -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name="Nightly", total_sheets=sheets)


async def stored(backend: RewindBackend, job_id: str = "nightly") -> CheckpointState:
    state = await backend.load(job_id)
    assert state is not None
    return state


async def events(backend: RewindBackend, job_id: str = "nightly") -> list[str]:
    return [checkpoint.event for checkpoint in await backend.history(job_id)]


async def test_changes_of_two_loaded_copies_are_both_kept(backend: RewindBackend) -> None:
    await backend.save(job())
    one, two = await stored(backend), await stored(backend)
    one.metadata["one"] = 1
    two.mark_sheet_started(2)
    await backend.save(one)
    await backend.save(two)
    now = await stored(backend)
    assert now.metadata == {"one": 1}
    assert now.sheets[2].status == SheetStatus.IN_PROGRESS
    assert await events(backend) == ["merged", "saved", "created"]


async def test_second_save_of_the_same_object_after_a_merge_takes_nothing_back(backend: RewindBackend) -> None:
    await backend.save(job())
    mine = await stored(backend)
    await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
    mine.metadata["mine"] = "first"
    await backend.save(mine)  # merged with the mark
    mine.metadata["mine"] = "second"
    await backend.save(mine)  # mine has never seen the mark, and must not revert it
    now = await stored(backend)
    assert now.sheets[1].status == SheetStatus.COMPLETED
    assert now.metadata == {"mine": "second"}


async def test_overlapping_saves_of_one_object_count_every_change_once(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    other = await stored(backend)
    other.total_retry_count += 10
    await backend.save(other)
    state.total_retry_count += 1
    await asyncio.gather(backend.save(state), backend.save(state))
    assert (await stored(backend)).total_retry_count == 11


async def test_a_copy_made_while_a_save_is_on_its_way_counts_every_change_once(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    state.total_retry_count += 1
    saving = asyncio.ensure_future(backend.save(state))
    await asyncio.sleep(0)
    copy = state.model_copy(deep=True)
    await saving
    copy.total_retry_count += 1
    await backend.save(copy)
    assert (await stored(backend)).total_retry_count == 2


async def test_a_cancelled_save_and_then_another(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    for number in range(10):
        state.total_retry_count += 1
        saving = asyncio.ensure_future(backend.save(state))
        for _ in range(number % 4):
            await asyncio.sleep(0.0005)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
    state.metadata["end"] = True
    await backend.save(state)
    now = await stored(backend)
    assert now.total_retry_count == 10
    assert now.metadata == {"end": True}


@pytest.mark.parametrize("trouble", [StaleError("moved"), StorageError("no disk")])
async def test_saves_whose_batch_did_not_come_to_be_count_every_change_once(
    backend: RewindBackend, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """When somebody's git moved the branch, a batch is made anew; when the disk refuses, its saves fail together."""
    state = job()
    await backend.save(state)
    other = await stored(backend)
    other.total_retry_count += 10
    await backend.save(other)
    engine: Any = backend.store._engine
    publish, refused = engine.publish, list[object]()

    def refuse_once(*words: Any, **named: Any) -> None:
        if not refused:
            refused.append(named)
            raise trouble
        publish(*words, **named)

    monkeypatch.setattr(engine, "publish", refuse_once)
    state.total_retry_count += 1
    first = asyncio.ensure_future(backend.save(state))
    await asyncio.sleep(0)
    state.total_retry_count += 1
    await asyncio.gather(first, backend.save(state), return_exceptions=True)
    assert refused
    await backend.save(state)
    assert (await stored(backend)).total_retry_count == 12


async def test_saves_in_one_batch_see_each_other(backend: RewindBackend) -> None:
    state = job()
    await backend.save(state)
    other = await stored(backend)
    other.total_retry_count += 10
    saves = [asyncio.ensure_future(backend.save(other))]
    for number in range(1, 20):
        state.total_retry_count += 1
        state.metadata[str(number)] = [number]
        saves.append(asyncio.ensure_future(backend.save(state)))
        await asyncio.sleep(0)
    marks = [backend.mark_sheet_status("nightly", number, SheetStatus.FAILED) for number in (1, 2)]
    await asyncio.gather(*saves, *marks)
    now = await stored(backend)
    assert (now.total_retry_count, len(now.metadata)) == (19 + 10 + 2, 19)


async def test_what_was_changed_in_place_at_any_depth_is_saved(backend: RewindBackend) -> None:
    state = job()
    for number in (1, 2, 3):
        state.mark_sheet_started(number)
        state.sheets[number].metadata = {"deep": [{"list": [number]}]}
    await backend.save(state)
    state.sheets[2].metadata["deep"][0]["list"].append("in place")
    await backend.save(state)
    assert (await stored(backend)).sheets[2].metadata == {"deep": [{"list": [2, "in place"]}]}
    state.sheets[1], state.sheets[3] = state.sheets[3], state.sheets[1]
    await backend.save(state)
    assert [sheet.sheet_num for sheet in (await stored(backend)).sheets.values()] == [3, 2, 1]
    del state.sheets[2]
    await backend.save(state)
    assert sorted((await stored(backend)).sheets) == [1, 3]


@pytest.mark.parametrize("how", ["copy", "deep copy", "pickle"])
async def test_copies_and_pickles_keep_their_base(backend: RewindBackend, how: str) -> None:
    await backend.save(job())
    loaded = await stored(backend)
    copy = pickle.loads(pickle.dumps(loaded)) if how == "pickle" else loaded.model_copy(deep=how == "deep copy")
    await backend.mark_sheet_status("nightly", 3, SheetStatus.FAILED, "no disk")
    copy.metadata = {"copy": how}
    await backend.save(copy)
    now = await stored(backend)
    assert now.sheets[3].status == SheetStatus.FAILED
    assert now.metadata == {"copy": how}


async def test_conflicts_are_listed_and_nothing_is_written(backend: RewindBackend) -> None:
    await backend.save(job())
    one, two = await stored(backend), await stored(backend)
    one.metadata["owner"], two.metadata["owner"] = "one", "two"
    await backend.save(one)
    before = await backend.history("nightly")
    with pytest.raises(ConflictError, match="/metadata/owner") as caught:
        await backend.save(two)
    assert [conflict.pointer for conflict in caught.value.conflicts] == ["/metadata/owner"]
    assert await backend.history("nightly") == before
    assert (await stored(backend)).metadata == {"owner": "one"}


async def test_a_refused_save_is_no_base(backend: RewindBackend) -> None:
    await backend.save(job())
    one, two = await stored(backend), await stored(backend)
    one.metadata["owner"], two.metadata["owner"] = "one", "two"
    await backend.save(one)
    for _ in range(3):  # if the refused picture counted as a base, the second try would overwrite
        with pytest.raises(ConflictError):
            await backend.save(two)
    assert (await stored(backend)).metadata == {"owner": "one"}


async def test_a_state_without_a_base_replaces_the_job_and_history_keeps_the_old_one(backend: RewindBackend) -> None:
    first = job()
    first.metadata["first"] = True
    await backend.save(first)
    await backend.save(job())
    assert (await stored(backend)).metadata == {}
    old = (await backend.history("nightly"))[-1].revision
    kept = await backend.load("nightly", at=old)
    assert kept is not None
    assert kept.metadata == {"first": True}


async def test_saving_an_older_state_goes_back_to_it(backend: RewindBackend) -> None:
    state = job()
    state.metadata["step"] = 1
    await backend.save(state)
    state.metadata["step"] = 2
    await backend.save(state)
    old = await backend.load("nightly", at=(await backend.history("nightly"))[-1].revision[:10])
    assert old is not None
    await backend.save(old)
    assert (await stored(backend)).metadata == {"step": 1}


async def test_a_change_survives_a_deletion_by_somebody_else(backend: RewindBackend) -> None:
    await backend.save(job())
    mine = await stored(backend)
    assert await backend.delete("nightly")
    mine.metadata["mine"] = True
    await backend.save(mine)
    assert (await stored(backend)).metadata == {"mine": True}


async def test_a_state_of_another_backend_is_no_base_here(backend: RewindBackend) -> None:
    async with InMemoryStateBackend() as elsewhere:
        await elsewhere.save(job())
        theirs = await stored(elsewhere)
    here = job()
    here.metadata["here"] = True
    await backend.save(here)
    await backend.save(theirs)
    assert (await stored(backend)).metadata == {}


async def test_a_state_under_a_new_name_is_a_new_job(backend: RewindBackend) -> None:
    await backend.save(job())
    state = await stored(backend)
    state.job_id = "weekly"
    await backend.save(state)
    assert {found.job_id for found in await backend.list_jobs()} == {"nightly", "weekly"}
    assert await events(backend, "weekly") == ["created"]


async def test_where_a_state_comes_from_does_not_disturb_equality(backend: RewindBackend) -> None:
    state = job()
    twin = state.model_copy(deep=True)
    await backend.save(state)
    twin.updated_at = state.updated_at
    assert state == twin
    assert await stored(backend) == state


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    job_id: str
    job_name: str = "frozen"
    total_sheets: int = 3
    status: str = "pending"
    updated_at: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    sheets: dict[int, SheetState] = {}


async def test_a_copy_of_a_frozen_model_carries_the_time() -> None:
    async with InMemoryStateBackend(model=Frozen) as backend:
        state = Frozen(job_id="f")
        await backend.save(state)  # type: ignore[arg-type]  # any model of this shape
        assert state.updated_at.year == 2020
        found = await backend.load("f")
        assert isinstance(found, Frozen)
        assert (datetime.now(UTC) - found.updated_at).total_seconds() < 60


async def test_models_without_a_place_for_their_base_are_remembered() -> None:
    async with InMemoryStateBackend(model=Frozen) as backend:
        await backend.save(Frozen(job_id="f"))  # type: ignore[arg-type]  # any model of this shape
        mine = await backend.load("f")
        await backend.mark_sheet_status("f", 2, SheetStatus.COMPLETED)
        assert mine is not None
        await backend.save(mine)
        now = await backend.load("f")
        assert now is not None
        assert now.sheets[2].status == SheetStatus.COMPLETED


async def test_two_sides_that_finish_the_last_sheets_complete_the_job(backend: RewindBackend) -> None:
    state = job(sheets=2)
    state.mark_sheet_started(1)
    state.set_running_pid()
    await backend.save(state)
    one, two = await stored(backend), await stored(backend)
    one.mark_sheet_completed(1)
    two.mark_sheet_completed(2)
    await backend.save(one)
    await backend.save(two)
    now = await stored(backend)
    assert (now.status, now.pid, now.host, now.current_sheet) == ("completed", None, None, None)
    assert now.completed_at is not None
    assert await backend.get_next_sheet("nightly") is None


async def test_a_mark_keeps_any_text(backend: RewindBackend) -> None:
    await backend.save(job())
    message = "lone \ud800, NUL \0, break \u2028, ---\nGitstate-Job: other"
    await backend.mark_sheet_status("nightly", 2, SheetStatus.FAILED, message)
    assert (await stored(backend)).sheets[2].error_message == message
    assert (await backend.history("nightly"))[0].subject == "nightly: sheet 2 failed (0/4 done)"


async def test_a_state_that_is_mirrored_or_renamed_and_back_keeps_its_base(backend: RewindBackend) -> None:
    async with InMemoryStateBackend() as mirror:
        state = job()
        await backend.save(state)
        await mirror.save(state)
        await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
        await backend.save(state)
        state.job_id = "weekly"
        await backend.save(state)
        state.job_id = "nightly"
        await backend.mark_sheet_status("nightly", 2, SheetStatus.COMPLETED)
        await backend.save(state)
        statuses = {number: sheet.status for number, sheet in (await stored(backend)).sheets.items()}
        assert statuses == {1: SheetStatus.COMPLETED, 2: SheetStatus.COMPLETED}


async def test_what_is_remembered_and_what_is_read_look_the_same(tmp_path: Path) -> None:
    """A dictionary comes back in one order, whether this process wrote it, merged it or reads it from git."""
    state = job()
    state.metadata = {"b": 1, "a": {"d": 1, "c": [{"z": 1, "y": 2}]}}
    state.mark_sheet_started(3)
    state.sheets[3].metadata = {"two": 2, "one": 1}
    async with GitStateBackend(tmp_path / "state") as writing:
        await writing.save(state)
        other = await stored(writing)
        other.metadata["B"] = 0
        other.mark_sheet_started(1)
        await writing.save(other)
        state.metadata["0"] = 0
        await writing.save(state)  # merged
        await writing.mark_sheet_status("nightly", 2, SheetStatus.SKIPPED)
        remembered = await stored(writing)
        assert [point.event for point in await writing.history("nightly")] == ["sheet", "merged", "saved", "created"]
    async with GitStateBackend(tmp_path / "state") as reading:
        read = await stored(reading)
    assert repr(remembered) == repr(read)
    assert list(read.sheets) == [1, 2, 3]
    assert list(read.metadata) == ["0", "B", "a", "b"]
