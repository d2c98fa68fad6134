"""What a save is refused with is kept whole, once, whatever becomes of its caller; and it comes back."""

import asyncio
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, model_validator

from gitstate import CheckpointState, ConflictError, GitStateBackend, SheetStatus
from gitstate.backends.executions import ExecutionRecord
from gitstate.backends.rescues import Rescue
from gitstate.backends.rescuing import RescuingBackend
from gitstate.errors import (
    BusyError,
    ClosedError,
    ExistsError,
    InvalidInputError,
    NotFoundError,
    StateCorruptionError,
    StorageFullError,
)
from gitstate.store.parking import Losing, keep_losers
from gitstate.store.rescues import INVALID
from tests.backends.test_saves import job, stored
from tests.git import git


async def refused(backend: RescuingBackend, state: CheckpointState, **more: Any) -> ConflictError:
    with pytest.raises(ConflictError) as caught:
        await backend.save(state, **more)
    return caught.value


async def meet(
    backend: RescuingBackend, mine: dict[str, Any], theirs: dict[str, Any], job_id: str = "nightly"
) -> tuple[Rescue, CheckpointState]:
    """Refuse a save whose metadata cannot be merged with what is there; return what was kept, and the state."""
    if await backend.load(job_id) is None:
        await backend.save(job(job_id))
    state, other = await stored(backend, job_id), await stored(backend, job_id)
    state.metadata |= mine
    other.metadata |= theirs
    await backend.save(other)
    error = await refused(backend, state)
    (kept,) = [each for each in await backend.rescues(job_id) if each.ref == error.rescue]
    return kept, state


async def kept_value(backend: RescuingBackend, name: str) -> dict[str, Any]:
    return (await backend.show_rescue(name)).value


# Kept


async def test_the_whole_state_that_was_refused_is_kept(backend: RescuingBackend) -> None:
    await backend.save(job())
    mine, other = await stored(backend), await stored(backend)
    mine.mark_sheet_started(3)
    mine.metadata["owner"], other.metadata["owner"] = "me", "you"
    await backend.save(other)
    history = await backend.history("nightly")
    error = await refused(backend, mine)
    (kept,) = await backend.rescues()
    assert error.rescue == kept.ref
    assert (kept.job_id, kept.reason, kept.places) == ("nightly", "refused", ("/metadata/owner",))
    assert (kept.base, kept.against) == (history[1].revision, history[0].revision)
    assert (kept.status, kept.progress, kept.execution, kept.is_job_there) == ("running", "0/4", None, True)
    assert kept.subject == "nightly: kept aside, refused at /metadata/owner (0/4 done)"
    assert await kept_value(backend, kept.name) == mine.model_dump(mode="json", exclude_none=True)
    assert await backend.load("nightly", at=kept.revision) == mine
    assert f"`gitstate rescue apply {kept.name}`" in error.hint
    assert await backend.history("nightly") == history
    assert (await stored(backend)).metadata == {"owner": "you"}
    assert await backend.rescue_counts() == {"nightly": 1}
    report = await backend.verify()
    assert (report.ok, report.rescues) == (True, 1)


async def test_who_tries_again_and_again_is_kept_once(backend: RescuingBackend) -> None:
    kept, state = await meet(backend, {"x": 1}, {"x": 2})
    for _ in range(3):
        assert (await refused(backend, state)).rescue == kept.ref
    copy = state.model_copy(deep=True)
    assert (await refused(backend, copy)).rescue == kept.ref
    state.metadata["x"] = 3
    assert (await refused(backend, state)).rescue != kept.ref
    assert await backend.rescue_counts() == {"nightly": 2}


async def test_a_save_that_was_merged_is_the_base_and_not_what_came_of_it(backend: RescuingBackend) -> None:
    await backend.save(job())
    mine = await stored(backend)
    await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
    mine.metadata["x"] = "first"
    await backend.save(mine)  # merged with the mark, which it has never seen
    other = await stored(backend)
    other.metadata["x"] = "other"
    await backend.save(other)
    mine.metadata["x"] = "second"
    error = await refused(backend, mine)
    assert (await refused(backend, mine)).rescue == error.rescue
    await backend.apply_rescue("nightly", on_conflict="rescue")
    now = await stored(backend)
    assert now.metadata == {"x": "second"}
    assert now.sheets[1].status == SheetStatus.COMPLETED, "it does not take the mark back"


async def test_an_execution_is_kept_with_the_save_that_would_have_recorded_it(backend: RescuingBackend) -> None:
    await backend.save(job())
    await backend.record_execution("nightly", 1, 1, prompt="old", output="old")
    mine, other = await stored(backend), await stored(backend)
    mine.metadata["x"], other.metadata["x"] = 1, 2
    await backend.save(other)
    record = ExecutionRecord(1, 2, "Do it.", "Done.", 0, 1.5, executed_at=datetime(2026, 3, 1, tzinfo=UTC))
    error = await refused(backend, mine, execution=record)
    assert (await refused(backend, mine, execution=record)).rescue == error.rescue
    assert (await refused(backend, mine)).rescue != error.rescue, "another one, without it"
    (kept,) = [each for each in await backend.rescues() if each.ref == error.rescue]
    assert kept.execution == record.id
    assert await backend.get_execution_history_count("nightly") == 1
    done = await backend.apply_rescue(kept.name, on_conflict="job")
    assert (done.kept, done.done.event) == ("", "restored")
    newest = (await backend.get_execution_history("nightly"))[0]
    keys = ("id", "sheet_num", "attempt_num", "prompt", "output", "exit_code")
    assert [newest[key] for key in keys] == [record.id, 1, 2, "Do it.", "Done.", 0]
    assert newest["executed_at"] == "2026-03-01T00:00:00+00:00"
    checkpoint = (await backend.history("nightly", 1))[0]
    assert "executed sheet 1, attempt 2, exit 0" in checkpoint.subject


async def test_an_execution_that_was_recorded_since_is_not_recorded_twice(backend: RescuingBackend) -> None:
    await backend.save(job())
    mine, other = await stored(backend), await stored(backend)
    mine.metadata["x"], other.metadata["x"] = 1, 2
    await backend.save(other)
    record = ExecutionRecord(1, 1, "Do it.", "Done.")
    await refused(backend, mine, execution=record)
    again = await stored(backend)
    await backend.save(again, execution=record)
    before = len(await backend.history("nightly"))
    done = await backend.apply_rescue("nightly", on_conflict="job")
    assert done.done.revision is None, "the job has it all"
    assert (len(await backend.history("nightly")), await backend.rescues()) == (before, [])


class Consistent(CheckpointState):
    @model_validator(mode="after")
    def _consistent(self) -> "Consistent":
        if {"a", "b"} <= self.metadata.keys():
            raise ValueError("a and b exclude each other")
        return self


async def test_what_is_no_state_together_is_kept_too(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state", model=Consistent) as backend:
        await backend.save(Consistent(job_id="nightly", job_name="n", total_sheets=1))
        mine, other = await stored(backend), await stored(backend)
        mine.metadata["a"], other.metadata["b"] = 1, 2
        await backend.save(other)
        error = await refused(backend, mine)
        (kept,) = await backend.rescues()
        assert (error.rescue, kept.places, error.conflicts) == (kept.ref, (), ())
        assert kept.subject == "nightly: kept aside, refused (0/1 done)"
        with pytest.raises(InvalidInputError, match="no state"):
            await backend.apply_rescue("nightly", on_conflict="rescue")
        await backend.apply_rescue("nightly", replace=True)
        assert (await stored(backend)).metadata == {"a": 1}


async def test_a_caller_that_went_away_loses_nothing(backend: RescuingBackend) -> None:
    await backend.save(job())
    mine, other = await stored(backend), await stored(backend)
    mine.metadata["x"], other.metadata["x"] = 1, 2
    await backend.save(other)
    engine: Any = backend.store._engine
    with engine.lock():
        saving = asyncio.ensure_future(backend.save(mine))
        await asyncio.sleep(0.1)  # the writer has taken it, and waits for the lock
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
    await backend.flush()
    assert (await kept_value(backend, "nightly"))["metadata"] == {"x": 1}


async def test_what_is_refused_while_the_store_is_closed_is_kept(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state") as backend:
        await backend.save(job())
        mine, other = await stored(backend), await stored(backend)
        mine.metadata["x"], other.metadata["x"] = 1, 2
        await backend.save(other)
        engine: Any = backend.store._engine
        with engine.lock():
            saving = asyncio.ensure_future(backend.save(mine))
            await asyncio.sleep(0.1)
            closing = asyncio.ensure_future(backend.close())
            await asyncio.sleep(0.1)
        with pytest.raises(ConflictError) as caught:
            await saving
        await closing
        with pytest.raises(ClosedError):
            await backend.rescues()
    async with GitStateBackend(tmp_path / "state") as backend:
        assert [each.ref for each in await backend.rescues()] == [caught.value.rescue]


async def test_those_that_are_saved_together_do_not_wait_for_what_is_refused(backend: RescuingBackend) -> None:
    await backend.save(job())
    states = [await stored(backend) for _ in range(12)]
    for number, state in enumerate(states):
        state.metadata["x" if number % 3 == 0 else f"own {number}"] = number
    done = await asyncio.gather(*map(backend.save, states), return_exceptions=True)
    errors = [each for each in done if each is not None]
    assert len(errors) == 3 and all(isinstance(each, ConflictError) and each.rescue for each in errors)
    now = (await stored(backend)).metadata
    assert {key: now[key] for key in now if key != "x"} == {f"own {n}": n for n in range(12) if n % 3}
    values = [now["x"]] + [(await kept_value(backend, each.name))["metadata"]["x"] for each in await backend.rescues()]
    assert sorted(values) == [0, 3, 6, 9]


@pytest.mark.parametrize("step", ["create_ref", "refs"])
async def test_a_disk_that_is_full_hides_no_conflict(
    backend: RescuingBackend, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await backend.save(job())
    mine, other = await stored(backend), await stored(backend)
    mine.metadata["x"], other.metadata["x"] = 1, 2
    await backend.save(other)

    def full(*_: Any, **__: Any) -> None:
        raise StorageFullError("no room is left")

    with monkeypatch.context() as patch:
        patch.setattr(backend.store._engine, step, full)
        error = await refused(backend, mine)
    assert error.rescue == ""
    assert "/metadata/x" in str(error) and "could not be kept aside: no room is left" in str(error)
    assert [each.pointer for each in error.conflicts] == ["/metadata/x"]
    assert await backend.rescues() == []
    assert (await refused(backend, mine)).rescue


async def test_a_base_that_was_cleared_away_is_known_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        mine, other = await stored(backend), await stored(backend)
        mine.metadata |= {"x": 1, "more": True}
        other.metadata["x"] = 2
        await backend.save(other)
    tree = git(folder, "rev-parse", "HEAD^{tree}").strip()
    anew = git(folder, "commit-tree", "-m", "anew", tree).strip()
    git(folder, "update-ref", "refs/heads/main", anew)
    git(folder, "reflog", "expire", "--expire=now", "--all")
    git(folder, "gc", "-q", "--prune=now")
    async with GitStateBackend(folder) as backend:
        error = await refused(backend, mine)
        assert (await refused(backend, mine)).rescue == error.rescue
        (kept,) = await backend.rescues()
        assert kept.ref == error.rescue and kept.base is not None
        assert (await backend.verify()).ok
        await backend.apply_rescue("nightly", on_conflict="job")
        assert (await stored(backend)).metadata == {"x": 2, "more": True}


class Little(BaseModel):
    """A model of another program, which knows little of a job."""

    model_config = ConfigDict(extra="ignore")
    job_id: str
    status: str = "pending"
    note: str = ""


async def test_what_the_model_does_not_know_is_in_the_rescue(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state") as full:
        state = job()
        state.metadata["kept"] = [1, 2]
        await full.save(state)
        async with GitStateBackend(tmp_path / "state", model=Little) as little:
            mine: Any = await little.load("nightly")
            other: Any = await little.load("nightly")
            mine.note, other.note = "mine", "other"
            await little.save(other)
            await refused(little, mine)
            value = await kept_value(little, "nightly")
            assert (value["note"], value["metadata"], value["total_sheets"]) == ("mine", {"kept": [1, 2]}, 4)
        again = await stored(full)
        again.metadata["kept"] = [3]
        await full.save(again)
        await full.apply_rescue("nightly", on_conflict="rescue")
        raw = full.store.load(full._jobs, "nightly")
        assert raw is not None
        assert (raw.value()["note"], raw.value()["metadata"]) == ("mine", {"kept": [3]})


async def test_a_mark_and_an_undo_hold_no_state_that_could_be_kept(backend: RescuingBackend) -> None:
    await backend.save(job())
    await backend.rollback("nightly", "~0", force=True)
    state = await stored(backend)
    state.metadata["x"] = 1
    await backend.save(state)
    await backend.restore("nightly", "~1", pointers="/metadata")
    state.metadata["x"] = 2
    error = await refused(backend, state)
    assert error.rescue
    with pytest.raises(NotFoundError):
        await backend.show_rescue("other")


# Brought back


async def test_places_that_both_changed_are_for_a_person_to_decide(backend: RescuingBackend) -> None:
    kept, _ = await meet(backend, {"x": "mine", "only": "mine"}, {"x": "theirs", "also": "theirs"})
    before = await backend.history("nightly")
    with pytest.raises(ConflictError, match="/metadata/x") as caught:
        await backend.apply_rescue("nightly")
    assert (caught.value.rescue, [each.pointer for each in caught.value.conflicts]) == (kept.ref, ["/metadata/x"])
    assert "--on-conflict" in caught.value.hint
    assert (await backend.history("nightly"), await backend.rescues()) == (before, [kept])


@pytest.mark.parametrize("side", ["rescue", "job"])
async def test_one_side_counts_where_both_changed(backend: RescuingBackend, side: Any) -> None:
    kept, _ = await meet(backend, {"x": "rescue", "only": 1}, {"x": "job", "also": 2})
    done = await backend.apply_rescue(kept.name, on_conflict=side, message="as said on Monday")
    assert (done.rescue, done.kept, done.done.event) == (kept, "", "restored")
    assert (await stored(backend)).metadata == {"x": side, "only": 1, "also": 2}
    assert await backend.rescues() == []
    newest = (await backend.history("nightly", 1))[0]
    assert (newest.revision, newest.message) == (done.done.revision, "as said on Monday")
    assert newest.subject == f"nightly: applied rescue {kept.revision[:10]} (0/4 done)"
    assert newest.event == "restored"
    undone = await backend.undo("nightly")
    assert undone.source == newest.revision
    assert (await stored(backend)).metadata == {"x": "job", "also": 2}


async def test_what_can_be_merged_now_is_merged_as_a_save_would_be(backend: RescuingBackend) -> None:
    await backend.save(job())
    mine, other = await stored(backend), await stored(backend)
    mine.metadata["x"], other.metadata["x"] = 1, 2
    mine.total_retry_count += 2
    mine.mark_sheet_started(2)
    other.total_retry_count += 5
    await backend.save(other)
    await refused(backend, mine)
    await backend.mark_sheet_status("nightly", 1, SheetStatus.COMPLETED)
    taken_back = await stored(backend)
    del taken_back.metadata["x"]
    await backend.save(taken_back)
    when = (await stored(backend)).updated_at
    done = await backend.apply_rescue("nightly")
    now = await stored(backend)
    assert (done.done.event, now.metadata, now.total_retry_count) == ("merged", {"x": 1}, 7)
    assert [now.sheets[n].status for n in (1, 2)] == [SheetStatus.COMPLETED, SheetStatus.IN_PROGRESS]
    assert when is not None and now.updated_at is not None and now.updated_at > when
    assert "sheet 2 in_progress" in (await backend.history("nightly", 1))[0].subject


async def test_a_rescue_becomes_the_state_as_a_whole(backend: RescuingBackend) -> None:
    kept, state = await meet(backend, {"x": "mine"}, {"x": "theirs", "also": "theirs"})
    await backend.apply_rescue(kept.name, replace=True)
    assert await stored(backend) == state
    assert (await backend.history("nightly", 1))[0].event == "restored"
    state.metadata["on"] = True
    await backend.save(await stored(backend))


async def test_a_job_that_is_gone_comes_back_as_the_rescue_has_it(backend: RescuingBackend) -> None:
    await backend.save(job())
    await backend.record_execution("nightly", 1, 1, prompt="Do it.", output="Done.")
    kept, state = await meet(backend, {"x": "mine"}, {"x": "theirs"})
    await backend.delete("nightly")
    (told,) = await backend.rescues()
    assert told.revision == kept.revision and not told.is_job_there
    assert await backend.diff_rescue("nightly")
    await backend.apply_rescue("nightly")
    assert await stored(backend) == state
    assert await backend.get_execution_history_count("nightly") == 1
    assert (await backend.get_execution_history("nightly"))[0]["output"] == "Done."
    assert await backend.rescues() == []


async def test_a_rescue_that_came_into_the_job_is_not_applied_once_more(
    backend: RescuingBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, _ = await meet(backend, {"x": "mine"}, {"x": "theirs"})
    done = await backend.apply_rescue(kept.name, on_conflict="rescue", keep=True)
    assert done.kept and [each.revision for each in await backend.rescues()] == [kept.revision]
    with pytest.raises(ExistsError, match="was applied before"):
        await backend.apply_rescue(kept.name, on_conflict="rescue")
    assert (await backend.apply_rescue(kept.name, replace=True)).kept == ""
    with pytest.raises(NotFoundError):
        await backend.apply_rescue(kept.name)


async def test_a_dry_run_writes_nothing_and_tells_all(backend: RescuingBackend) -> None:
    kept, _ = await meet(backend, {"x": "mine"}, {"x": "theirs"})
    before = await backend.history("nightly")
    done = await backend.apply_rescue(kept.name, on_conflict="rescue", dry_run=True)
    assert done.done.after is not None and done.done.after["metadata"] == {"x": "mine"}
    assert done.done.revision is None and done.kept
    assert await backend.drop_rescue(kept.name, dry_run=True) == kept
    assert (await backend.history("nightly"), await backend.rescues()) == (before, [kept])
    assert await backend.drop_rescue(kept.name) == kept
    assert await backend.rescues() == []
    with pytest.raises(NotFoundError):
        await backend.drop_rescue(kept.name)


async def test_a_job_that_runs_is_changed_by_choice_only_by_force(backend: RescuingBackend) -> None:
    kept, _ = await meet(backend, {"x": "mine", "only": 1}, {"x": "theirs"})
    running = await stored(backend)
    running.mark_sheet_started(1)
    running.pid, running.host = os.getpid(), socket.gethostname()
    await backend.save(running)
    choices: list[dict[str, Any]] = [{"on_conflict": "rescue"}, {"replace": True}]
    for choice in choices:
        with pytest.raises(BusyError):
            await backend.apply_rescue(kept.name, **choice)
    await backend.apply_rescue(kept.name, on_conflict="job", keep=True)
    assert (await stored(backend)).metadata == {"x": "theirs", "only": 1}
    await backend.apply_rescue(kept.name, replace=True, force=True)
    assert (await stored(backend)).metadata == {"x": "mine", "only": 1}


async def test_a_choice_that_is_none_is_refused(backend: RescuingBackend) -> None:
    kept, _ = await meet(backend, {"x": 1}, {"x": 2})
    with pytest.raises(InvalidInputError, match="ours"):
        await backend.apply_rescue(kept.name, on_conflict="ours")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        await backend.apply_rescue(kept.name, message=5)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        await backend.rescues("")


async def test_a_rescue_is_compared_with_now_and_with_its_base(backend: RescuingBackend) -> None:
    kept, _ = await meet(backend, {"x": "mine"}, {"x": "theirs", "also": 1})
    now = await backend.diff_rescue(kept.name)
    assert [(each.pointer, each.before) for each in now.fields] == [("/metadata/also", 1), ("/metadata/x", "theirs")]
    base = await backend.diff_rescue(kept.name, to_base=True)
    assert [each.pointer for each in base.fields] == ["/metadata/x"]
    assert base.after.checkpoint is not None and base.after.checkpoint.event == "rescued"
    assert list(await backend.diff_rescue_files(kept.name)) == ["job.json"]
    assert (await backend.diff_rescue(kept.name, volatile=True)).hidden == 0


# What is none, or of nobody knows what


async def test_what_is_no_state_is_shown_and_not_applied(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        await backend.flush()
        (folder / "jobs/nightly/job.json").write_text('{"job_id": "nightly", "total_sheets": "many"}')
        git(folder, "commit", "-qam", "broken")
        broken = backend.store.head()
        git(folder, "reset", "-q", "--hard", "HEAD^")
        keep_losers(backend.store._engine, backend.store.reader, [Losing(backend._jobs, "nightly", broken, INVALID)])
        (kept,) = await backend.rescues()
        assert kept.reason == "invalid"
        assert (await kept_value(backend, "nightly"))["total_sheets"] == "many"
        with pytest.raises(StateCorruptionError, match="total_sheets"):
            await backend.apply_rescue("nightly", replace=True)
        with pytest.raises(NotFoundError, match="based on"):
            await backend.diff_rescue("nightly", to_base=True)
        assert (await backend.verify()).ok
        await backend.drop_rescue("nightly")


async def test_a_rescue_whose_base_nobody_knows_replaces_or_stays(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        root = git(folder, "commit-tree", "-m", "by hand", "HEAD^{tree}").strip()
        git(folder, "update-ref", f"refs/gitstate/rescue/nightly/{root}", root)
        (kept,) = await backend.rescues()
        assert (kept.reason, kept.base) == ("by hand", None)
        with pytest.raises(InvalidInputError, match="not known"):
            await backend.apply_rescue(kept.name)
        state = await stored(backend)
        state.metadata["x"] = 1
        await backend.save(state)
        await backend.apply_rescue(kept.name, replace=True)
        assert (await stored(backend)).metadata == {}
