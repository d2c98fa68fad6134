"""Programs with different models work on one job: what one of them does not know stays, and is no conflict."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator
from typing_extensions import TypeAliasType, TypedDict

from gitstate import CheckpointState, ConflictError, GitStateBackend, SheetState
from gitstate.backends.strangers import as_said
from gitstate.format.shapes import forgets
from gitstate.values.merge import merge3, same
from tests.values.strategies import VALUES


class Step(SheetState):
    cost: int = 0


class Rich(CheckpointState):
    sheets: dict[int, Step] = Field({})  # type: ignore[assignment]
    priority: str = "low"
    steps: list[Step] = Field([])


class PlainSheet(BaseModel):
    sheet_num: int
    status: Literal["pending", "in_progress", "completed"] = "pending"


class Plain(BaseModel):
    """A model that says nothing of what it does not know: pydantic ignores that."""

    job_id: str
    job_name: str
    total_sheets: int
    status: Literal["pending", "running", "completed"] = "pending"
    error_message: str | None = None
    sheets: dict[int, PlainSheet] = {}
    steps: list[PlainSheet] = []


class Renamed(Plain):
    """A model that takes a field over from its old name."""

    urgency: str = ""

    @model_validator(mode="before")
    @classmethod
    def _take_over(cls, data: dict[str, Any]) -> dict[str, Any]:
        return data | {"urgency": data["priority"]} if "priority" in data else data


@pytest.fixture
async def rich(tmp_path: Path) -> AsyncIterator[GitStateBackend]:
    async with GitStateBackend(tmp_path / "state", model=Rich) as backend:
        job = Rich(job_id="a", job_name="A", total_sheets=3, priority="high", steps=[Step(sheet_num=9, cost=7)])
        job.sheets = {1: Step(sheet_num=1, cost=5), 2: Step(sheet_num=2, cost=6)}
        await backend.save(job)
        yield backend


async def load(backend: GitStateBackend) -> Any:
    state = await backend.load("a")
    assert state is not None
    return state


async def test_what_a_model_ignores_stays(rich: GitStateBackend, tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state", model=Plain) as plain:
        state = await load(plain)
        state.job_name, state.sheets[1].status = "B", "completed"
        state.sheets[3] = PlainSheet(sheet_num=3)
        del state.sheets[2]
        await plain.save(state)
        found = await load(rich)
        assert (found.job_name, found.priority, found.sheets[1].cost) == ("B", "high", 5)
        assert found.sheets[1].status == "completed"
        assert (sorted(found.sheets), found.steps[0].cost) == ([1, 3], 7), "who removes a sheet removes all of it"
        for turn in range(3):  # and on, with saves of others in between
            state.error_message = f"{turn}"
            await plain.save(state)
            assert found.updated_at < (await load(rich)).updated_at, "a save is one of now, whoever knows of that"
            assert (await plain.history("a"))[0].event == ("merged" if turn else "saved")
            found = await load(rich)
            assert (found.error_message, found.priority, found.sheets[1].cost) == (f"{turn}", "high", 5 + turn)
            found.sheets[1].cost += 1
            await rich.save(found)
            await rich.mark_sheet_status("a", 3, SheetState(sheet_num=1).status)
        await plain.mark_sheet_status("a", 3, "completed")  # type: ignore[arg-type]  # by its value
        assert (await load(rich)).sheets[1].cost == 8


async def test_a_field_that_is_taken_over_goes_with_its_old_name(rich: GitStateBackend, tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "state", model=Renamed) as renamed:
        state = await load(renamed)
        assert state.urgency == "high"
        state.urgency = "none"
        await renamed.save(state)
        assert (await load(renamed)).urgency == "none", "the old name would bring the old value back"


async def test_a_default_that_was_never_stored_is_no_change(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as ours, GitStateBackend(folder, model=Rich) as rich:
        await ours.save(CheckpointState(job_id="a", job_name="A", total_sheets=2))
        mine, theirs = await load(ours), await load(rich)
        mine.metadata["owner"], theirs.priority = "Ada", "high"
        await ours.save(mine)
        await rich.save(theirs)
        found = await load(rich)
        assert (found.metadata, found.priority) == ({"owner": "Ada"}, "high")
        one, two = await load(rich), await load(rich)
        one.priority, two.priority = "low", "none"
        await rich.save(one)
        with pytest.raises(ConflictError, match="/priority"):
            await rich.save(two)


async def test_programs_with_two_models_at_once(rich: GitStateBackend, tmp_path: Path) -> None:
    async def work(backend: GitStateBackend, change: Any) -> None:
        for turn in range(12):
            state = await load(backend)
            change(state, turn)
            await backend.save(state)

    def enrich(state: Any, turn: int) -> None:
        state.priority, state.sheets[1].cost = f"p{turn}", state.sheets[1].cost + 1

    async with GitStateBackend(tmp_path / "state", model=Plain) as plain:
        renamed = work(plain, lambda state, turn: setattr(state, "job_name", f"n{turn}"))
        await asyncio.gather(work(rich, enrich), renamed)
    found = await load(rich)
    assert (found.job_name, found.priority, found.sheets[1].cost, found.sheets[2].cost) == ("n11", "p11", 17, 6)


T = TypeVar("T")


class _Typed(TypedDict):
    a: int


@dataclass
class _Data:
    a: int


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: "dict[str, _Closed] | None" = None
    word: Literal["a"] = "a"


class _Root(RootModel[list[Plain]]):
    pass


class _Number(RootModel[int]):
    pass


@dataclass
class _DataOf(Generic[T]):
    a: T


_Named = TypeAliasType("_Named", list[Plain])


@pytest.mark.parametrize(
    "field, expected",
    [
        *[(int, False), (list[Plain], True), (_Typed, True), (_Data, True), (_Closed, False), (_Root, True)],
        *[(Any, False), (_Number, False), (_DataOf[int], True), (_Named, True)],
    ],
)
def test_which_models_ignore_something(field: Any, expected: bool) -> None:
    class Holder(CheckpointState):
        held: field | None = Field(None)

    assert forgets(Holder) is expected
    assert not forgets(CheckpointState)


@given(*[st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)] * 3)
def test_where_only_we_changed_something_there_is_no_conflict(stored: Any, normal: Any, ours: Any) -> None:
    merge = merge3(normal, ours, as_said(stored, stored, normal, ours))
    assert merge.conflicts == ()
    assert same(as_said(stored, stored, normal, normal), stored), "what nobody changed stays as it is"
    assert same(as_said(ours, stored, stored, stored), ours), "nor is any change of theirs lost"
