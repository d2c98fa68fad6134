"""Models with rules of their own: frozen as a whole or in part, with enums that are not ours."""

import subprocess
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from gitstate import (
    CheckpointState,
    ConflictError,
    GitStateBackend,
    InMemoryStateBackend,
    InvalidInputError,
    SheetState,
    SheetStatus,
    rules,
)
from gitstate.format.message import Message
from gitstate.store.batch import Joined
from gitstate.store.histories import join


class Status(Enum):
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)

    job_id: str
    job_name: str = "frozen"
    total_sheets: int = 3
    status: Status = Status.RUNNING
    pid: int | None = None
    error_message: str | None = None
    updated_at: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    sheets: dict[int, SheetState] = {}


class PartlyFrozen(BaseModel):
    job_id: str = Field(frozen=True)
    job_name: str = "partly frozen"
    total_sheets: int = 3
    updated_at: datetime = Field(default=datetime(2020, 1, 1, tzinfo=UTC), frozen=True)


class Short(BaseModel):
    job_id: str
    total_sheets: int = 3
    status: str = "archived"
    sheets: dict[int, dict[str, Any]] = {}


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


async def test_a_frozen_zombie_keeps_its_base_and_its_own_enum() -> None:
    async with InMemoryStateBackend(model=Frozen) as backend:
        first: Any = Frozen(job_id="f", pid=dead_pid())
        await backend.save(first)
        found: Any = await backend.load("f")
        assert found.status is Status.PAUSED
        await backend.mark_sheet_status("f", 2, SheetStatus.COMPLETED)
        await backend.save(found)
        now = await backend.load("f")
        assert now is not None
        assert now.sheets[2].status == SheetStatus.COMPLETED  # the save was merged, and did not take the mark back


async def test_a_frozen_time_is_stored_all_the_same() -> None:
    async with InMemoryStateBackend(model=PartlyFrozen) as backend:
        state: Any = PartlyFrozen(job_id="p")
        await backend.save(state)
        found = await backend.load("p")
        assert found is not None
        assert found.updated_at.year > 2020


@pytest.mark.parametrize("status", list(SheetStatus))
async def test_statuses_that_we_do_not_know_are_in_nobodys_way(status: SheetStatus) -> None:
    async with InMemoryStateBackend(model=Short) as backend:
        sheets = {number: {"sheet_num": number, "status": "blocked", "own": number} for number in (1, 2)}
        state: Any = Short(job_id="s", sheets=sheets)
        await backend.save(state)
        await backend.mark_sheet_status("s", 1, status)
        await backend.mark_sheet_status("s", 3, status)
        found: Any = await backend.load("s")
        assert [found.sheets[number]["status"] for number in (1, 2, 3)] == [status.value, "blocked", status.value]
        assert found.sheets[1]["own"] == 1


class Step(SheetState):
    cost_cents: int = 0
    labels: set[str] = Field(default_factory=set)


class Score(CheckpointState):
    sheets: dict[int, Step] = Field(default_factory=dict)  # type: ignore[assignment]
    spent: int = 0
    labels: set[str] = Field(default_factory=set)
    owner: str = ""
    notes: list[dict[str, Any]] = Field(default_factory=list)


RULES = {
    "/spent": rules.add,
    "/labels": rules.members,
    "/owner": rules.saved_later,
    "/notes": rules.unite("n"),
    "/sheets/*/labels": rules.members,
}


def changed(state: Any, number: int) -> Any:
    state.spent += number
    state.labels |= {f"l{number}"}
    state.owner = f"o{number}"
    state.notes.append({"n": number})
    state.sheets[1].labels |= {f"s{number}"}
    return state


def told(state: Any) -> list[Any]:
    return [state.spent, state.labels, state.owner, [note["n"] for note in state.notes], state.sheets[1].labels]


ALL = [3, {"l0", "l1", "l2"}, "o2", [1, 2], {"s1", "s2"}]


async def test_fields_of_a_model_s_own_are_merged_by_rules_of_its_own() -> None:
    async with InMemoryStateBackend(model=Score, rules=RULES) as backend:
        start: Any = Score(job_id="j", job_name="j", total_sheets=1, labels={"l0"}, sheets={1: Step(sheet_num=1)})
        await backend.save(start)
        one, two = await backend.load("j"), await backend.load("j")
        await backend.save(changed(one, 1))
        await backend.save(changed(two, 2))
        assert told(await backend.load("j")) == ALL


async def test_and_so_they_are_where_two_histories_become_one() -> None:
    async with InMemoryStateBackend(model=Score, rules=RULES) as backend:
        store, jobs = backend.store, backend._jobs
        start: Any = Score(job_id="j", job_name="j", total_sheets=1, labels={"l0"}, sheets={1: Step(sheet_num=1)})
        await backend.save(start)
        base = store.head()
        first, second = await backend.load("j"), await backend.load("j")
        await backend.save(changed(first, 1))
        ours = store.head()
        store._engine._head = base  # type: ignore[attr-defined]  # as another machine
        await backend.save(changed(second, 2))
        theirs = store.head()
        for sides in ((ours, theirs), (theirs, ours)):
            joined = join(store.reader, [jobs], *sides, on_conflict="fail")
            store.submit_merge(lambda *_, j=joined: Joined(j.tree, j.objects, Message("merged"), ours)).result()
            assert told(await backend.load("j")) == ALL
            store._engine._head = theirs  # type: ignore[attr-defined]  # and back


async def test_without_a_rule_that_is_a_conflict() -> None:
    async with InMemoryStateBackend(model=Score) as backend:
        start: Any = Score(job_id="j", job_name="j", total_sheets=1, sheets={1: Step(sheet_num=1)})
        await backend.save(start)
        one, two = await backend.load("j"), await backend.load("j")
        await backend.save(changed(one, 1))
        with pytest.raises(ConflictError) as caught:
            await backend.save(changed(two, 2))
        pointers = {each.pointer for each in caught.value.conflicts}
        assert {"/spent", "/labels", "/owner", "/notes"} <= pointers


@pytest.mark.parametrize("wrong", [{"no/pointer": rules.add}, {"/x": "add"}, {1: rules.add}, {"/~2": rules.add}])
async def test_rules_that_are_none(wrong: Any, tmp_path: Path) -> None:
    for make in (lambda: InMemoryStateBackend(rules=wrong), lambda: GitStateBackend(tmp_path / "s", rules=wrong)):
        with pytest.raises(InvalidInputError):
            make()
    assert not (tmp_path / "s").exists()


async def test_a_message_that_is_no_text() -> None:
    async with InMemoryStateBackend() as backend:
        await backend.save(CheckpointState(job_id="j", job_name="j", total_sheets=1))
        with pytest.raises(InvalidInputError, match="text"):
            await backend.mark_sheet_status("j", 1, SheetStatus.FAILED, 5)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("wrong", [{"exit_code": "0"}, {"exit_code": True}, {"duration_seconds": "1"}])
async def test_an_execution_of_wrong_types(wrong: Any) -> None:
    async with InMemoryStateBackend() as backend:
        await backend.save(CheckpointState(job_id="j", job_name="j", total_sheets=1))
        with pytest.raises(InvalidInputError, match="'j'"):
            await backend.record_execution("j", 1, 1, **wrong)
        assert await backend.get_execution_history_count("j") == 0
