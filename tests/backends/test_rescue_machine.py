"""Saves of stale copies at random: each state that was refused is found whole in a rescue, and no other one is."""

import json
import random
from typing import Any

import pytest

from gitstate import CheckpointState, ConflictError, InMemoryStateBackend
from gitstate.backends.rescues import Rescue
from gitstate.errors import NotFoundError

JOBS = ("nightly", "a/b")


def lasting(value: dict[str, Any]) -> str:
    return json.dumps({key: each for key, each in value.items() if key != "updated_at"}, sort_keys=True)


class Machine:
    """Copies of jobs, each as old as its last load, and the values that were refused and are to be found."""

    def __init__(self, backend: InMemoryStateBackend, seed: int) -> None:
        self.backend = backend
        self.chance = random.Random(seed)
        self.copies: dict[tuple[str, int], CheckpointState] = {}
        self.refused: dict[str, set[str]] = {job: set() for job in JOBS}
        self.done: list[str] = []

    async def begin(self) -> None:
        for job in JOBS:
            for copy in range(3):
                await self.load(job, copy)

    async def load(self, job: str, copy: int) -> None:
        state = await self.backend.load(job)
        if state is None:
            state = CheckpointState(job_id=job, job_name=job, total_sheets=3)
            await self.backend.save(state)
        self.copies[job, copy] = state

    async def change(self, job: str, copy: int) -> None:
        state, chance = self.copies[job, copy], self.chance
        state.metadata[chance.choice("xy")] = chance.choice([0, 1, 2, [], [0]])
        state.total_retry_count += chance.randrange(3)
        if sheet := chance.randrange(4):
            state.mark_sheet_started(sheet)
        await self.save(job, copy)

    async def save(self, job: str, copy: int) -> None:
        state, before = self.copies[job, copy], await self.backend.history(job)
        try:
            await self.backend.save(state)
        except ConflictError as error:
            assert await self.backend.history(job) == before
            value = state.model_dump(mode="json", exclude_none=True)
            assert lasting((await self.backend.show_rescue(error.rescue)).value) == lasting(value)
            self.refused[job].add(lasting(value))
            self.done.append("refused")

    async def delete(self, job: str, _: int) -> None:
        await self.backend.delete(job)

    async def drop(self, job: str, _: int) -> None:
        kept = await self.drawn(job)
        if kept is not None:
            value = (await self.backend.show_rescue(kept.revision)).value
            await self.backend.drop_rescue(kept.ref)
            await self.forget(kept, value)
            self.done.append("dropped")

    async def apply(self, job: str, _: int) -> None:
        kept = await self.drawn(job)
        if kept is None:
            return
        value = (await self.backend.show_rescue(kept.name)).value
        choice: Any = self.chance.choice(["fail", "rescue", "job"])
        replace = self.chance.random() < 0.2
        try:
            done = await self.backend.apply_rescue(kept.name, on_conflict=choice, replace=replace)
        except ConflictError as error:
            assert (choice, replace, error.rescue) == ("fail", False, kept.ref)
            self.done.append("fail")
            return
        now = await self.backend.load(job)
        assert now is not None and done.kept == ""
        if replace or done.done.before is None:
            assert lasting(now.model_dump(mode="json", exclude_none=True)) == lasting(value)
        elif choice == "rescue":
            base = await self.backend.load(job, at=kept.base)
            assert base is not None
            metadata: Any = value["metadata"]
            for key, wanted in metadata.items():
                assert base.metadata.get(key) == wanted or now.metadata[key] == wanted
        self.done.append("replaced" if replace else choice)
        await self.forget(kept, value)

    async def drawn(self, job: str) -> Rescue | None:
        there = await self.backend.rescues(job)
        return self.chance.choice(there) if there else None

    async def forget(self, kept: Rescue, value: dict[str, Any]) -> None:
        with pytest.raises(NotFoundError):
            await self.backend.show_rescue(kept.ref)
        if lasting(value) not in await self.there(kept.job_id):  # it may have been refused at another base as well
            self.refused[kept.job_id].discard(lasting(value))

    async def there(self, job: str) -> set[str]:
        found = [await self.backend.show_rescue(each.ref) for each in await self.backend.rescues(job)]
        return {lasting(each.value) for each in found}


@pytest.mark.parametrize("seed", range(5))
async def test_what_was_refused_is_always_found(seed: int) -> None:
    async with InMemoryStateBackend() as backend:
        machine = Machine(backend, seed)
        await machine.begin()
        steps = [machine.load, *[machine.change] * 5, machine.save, machine.apply, machine.drop, machine.delete]
        weights = [4, 5, 5, 5, 5, 5, 2, 5, 2, 0.3]
        for step in machine.chance.choices(steps, weights, k=120):
            job = machine.chance.choice(JOBS)
            await step(job, machine.chance.randrange(3))
            assert await machine.there(job) == machine.refused[job]
        assert {"refused", "dropped", "fail", "rescue", "job", "replaced"} <= set(machine.done)
        report = await backend.verify()
        assert (report.ok, report.problems, report.rescues) == (True, (), len(await backend.rescues()))
