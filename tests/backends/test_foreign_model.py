"""A model of other people's making comes back whole, and every method works on it."""

from collections.abc import AsyncIterator
from pathlib import Path
from pprint import pformat
from typing import Any

import pytest

from gitstate import GitStateBackend, InMemoryStateBackend, InvalidInputError, SheetStatus
from gitstate.backends.rewind import RewindBackend
from tests.backends.foreign import TheirJob, TheirSheet, TheirSheetStatus, their_job
from tests.git import fsck


@pytest.fixture(params=["memory", "git"])
async def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RewindBackend]:
    if request.param == "memory":
        async with InMemoryStateBackend(model=TheirJob) as in_memory:
            yield in_memory
        return
    async with GitStateBackend(tmp_path / "state", model=TheirJob) as on_git:
        yield on_git
    fsck(tmp_path / "state")


async def stored(backend: RewindBackend) -> Any:
    found = await backend.load("theirs")
    assert isinstance(found, TheirJob)
    return found


def test_the_model_is_as_large_as_it_should_be() -> None:
    assert len(TheirJob.model_fields) == 40
    assert len(TheirSheet.model_fields) == 60


def _exact(state: TheirJob) -> str:
    """Return all fields as they stand in a repr; sets have no order, and dictionaries none that is promised."""
    return pformat(state.model_dump(exclude={"updated_at"}), width=1)


async def test_it_comes_back_whole(theirs: RewindBackend) -> None:
    state = their_job()
    state.sheets[2]._cache["private"] = 1
    await theirs.save(state)
    found = await stored(theirs)
    assert found.updated_at == state.updated_at
    # Types and bits too: in a repr, 1, 1.0 and -0.0 have names of their own. So have two zones that are both UTC.
    assert _exact(found) == _exact(state)
    assert found.sheets[2].scratch == {}
    assert found.sheets[2]._cache == {}
    assert found.sheets[2].labels == {"a", "b"}
    assert [type(note) for note in found.notes] == [int, float, str, type(None)]


async def test_a_save_that_changes_nothing_else_writes_the_same_files(theirs: RewindBackend) -> None:
    state = their_job()
    await theirs.save(state)
    found = await stored(theirs)
    await theirs.save(found)
    newest, oldest = await theirs.history("theirs")
    old = await theirs.load("theirs", at=oldest.revision)
    new = await theirs.load("theirs", at=newest.revision)
    assert isinstance(old, TheirJob)
    assert isinstance(new, TheirJob)
    assert old.model_copy(update={"updated_at": None}) == new.model_copy(update={"updated_at": None})


@pytest.mark.parametrize("status", ["completed", SheetStatus.SKIPPED, TheirSheetStatus.IN_PROGRESS, "failed"])
async def test_every_mark_acts_and_touches_nothing_else(theirs: RewindBackend, status: Any) -> None:
    await theirs.save(their_job())
    before = await stored(theirs)
    await theirs.mark_sheet_status("theirs", 3, status, "why")
    after = await stored(theirs)
    assert after.sheets[3].status.value == getattr(status, "value", status)
    touched = {
        "sheets",
        "updated_at",
        "status",
        "started_at",
        "current_sheet",
        "last_completed_sheet",
        "total_retry_count",
    }
    assert before.model_dump(exclude=touched) == after.model_dump(exclude=touched)
    assert (after.sheets[1], after.sheets[2]) == (before.sheets[1], before.sheets[2])


async def test_a_mark_that_their_model_cannot_say_is_refused(theirs: RewindBackend) -> None:
    await theirs.save(their_job())
    before = await stored(theirs)
    with pytest.raises(InvalidInputError, match="sheet 1"):
        await theirs.mark_sheet_status("theirs", 1, SheetStatus.WAITING)  # they have no such status
    assert await stored(theirs) == before


async def test_the_next_sheet_is_the_one_that_failed(theirs: RewindBackend) -> None:
    await theirs.save(their_job())
    assert await theirs.get_next_sheet("theirs") == 2


async def test_two_loaded_copies_are_merged(theirs: RewindBackend) -> None:
    await theirs.save(their_job())
    one, two = await stored(theirs), await stored(theirs)
    one.setting_00, two.setting_02 = 7, 2.5
    one.sheets[1].metric_00 = 1
    two.sheets[2].metric_00 = 2
    await theirs.save(one)
    await theirs.save(two)
    now = await stored(theirs)
    assert (now.setting_00, now.setting_02) == (7, 2.5)
    assert (now.sheets[1].metric_00, now.sheets[2].metric_00) == (1, 2)


async def test_executions_list_and_delete(theirs: RewindBackend) -> None:
    await theirs.save(their_job())
    await theirs.save(their_job("more"))
    assert [found.job_id for found in await theirs.list_jobs()] == ["more", "theirs"]
    made = await theirs.record_execution("theirs", 2, 4, prompt="p", output="o", exit_code=0)
    assert [found["id"] for found in await theirs.get_execution_history("theirs")] == [made]
    assert await theirs.delete("theirs")
    assert await theirs.load("theirs") is None
