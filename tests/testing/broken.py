"""Backends with one fault each, and the suite on them: run by test_broken_backends in a process of its own.

Here asyncio_mode is strict, as in other people's projects.
"""

import asyncio
import json
from typing import Any

import pytest

from gitstate import CheckpointState, SheetStatus, StateBackend, StateCorruptionError
from gitstate.testing import StateBackendTests
from tests.testing.reference import ReferenceBackend


class Aliases(ReferenceBackend):
    """Gives out the very objects that it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, CheckpointState] = {}

    async def save(self, state: CheckpointState) -> None:
        await super().save(state)
        self.objects[state.job_id] = state

    async def load(self, job_id: str) -> CheckpointState | None:
        self.key(job_id)
        return self.objects.get(job_id)


class Sanitises(ReferenceBackend):
    """Makes file names of ids, and forgets the difference."""

    def key(self, job_id: str) -> str:
        return "".join(char if char.isalnum() else "_" for char in super().key(job_id)).lower()

    def read(self, job_id: str) -> CheckpointState | None:
        return super().read(self.key(job_id))


class IgnoresAStatus(ReferenceBackend):
    """Does nothing for statuses that it does not know."""

    async def mark_sheet_status(
        self, job_id: str, sheet_num: int, status: SheetStatus, error_message: Any = None
    ) -> None:
        if status is not SheetStatus.FERMATA:
            await super().mark_sheet_status(job_id, sheet_num, status, error_message)


class LosesAMark(ReferenceBackend):
    """Reads, waits and writes, without a lock."""

    async def mark_sheet_status(
        self, job_id: str, sheet_num: int, status: SheetStatus, error_message: Any = None
    ) -> None:
        before = self.states.get(job_id)
        await asyncio.sleep(0)
        if before is not None:
            self.states[job_id] = before
        await super().mark_sheet_status(job_id, sheet_num, status, error_message)


class LosesASave(ReferenceBackend):
    """Replaces the whole job with what the caller has."""

    async def save(self, state: CheckpointState) -> None:
        self.write(state)


class HidesDamage(ReferenceBackend):
    """Says that there is no job where there is a damaged one."""

    async def load(self, job_id: str) -> CheckpointState | None:
        try:
            return await super().load(job_id)
        except StateCorruptionError:
            return None


class FailsTheList(ReferenceBackend):
    """One damaged job, and no other is listed."""

    async def list_jobs(self) -> list[CheckpointState]:
        return [state for job_id in self.states if (state := await self.load(job_id))]


class DropsTheUnknown(ReferenceBackend):
    """Stores the fields that it knows."""

    def write(self, state: CheckpointState) -> None:
        super().write(state)
        value = json.loads(self.states[state.job_id])
        self.states[state.job_id] = json.dumps({key: value[key] for key in CheckpointState.model_fields})


class KeepsVanishedSheets(ReferenceBackend):
    """Updates sheets, and never deletes one."""

    def write(self, state: CheckpointState) -> None:
        before = json.loads(self.states.get(state.job_id, '{"sheets": {}}'))
        super().write(state)
        after = json.loads(self.states[state.job_id])
        after["sheets"] = before["sheets"] | after["sheets"]
        self.states[state.job_id] = json.dumps(after)


class TrustsEveryPid(ReferenceBackend):
    """Takes a job of a dead process for a running one."""

    async def load(self, job_id: str) -> CheckpointState | None:
        return self.read(job_id)


class TakesAnyPidForItsOwn(ReferenceBackend):
    """Asks this host about the processes of another."""

    def read(self, job_id: str) -> CheckpointState | None:
        state = super().read(job_id)
        if state is not None and state.pid is not None:
            state.host = None
        return state


class WorksOnAfterClose(ReferenceBackend):
    """Answers as if nothing had happened."""

    async def close(self) -> None:
        pass


class RenamesAnArgument(ReferenceBackend):
    """Speaks of names where the contract speaks of ids."""

    async def load(self, name: str) -> CheckpointState | None:
        return await super().load(name)


class BeginsNowhere(ReferenceBackend):
    """Has no next sheet for a job that it does not know."""

    async def get_next_sheet(self, job_id: str) -> int | None:
        return None if await self.load(job_id) is None else await super().get_next_sheet(job_id)


class PassesOverFailures(ReferenceBackend):
    """Goes on after the last completed sheet."""

    async def get_next_sheet(self, job_id: str) -> int | None:
        state = await self.load(job_id)
        return 1 if state is None else state.last_completed_sheet + 1


class RoundsNumbers(ReferenceBackend):
    """Stores 1.0 as 1: equal, and another number."""

    def write(self, state: CheckpointState) -> None:
        super().write(state)
        text = self.states[state.job_id]
        self.states[state.job_id] = json.dumps(
            json.loads(text, parse_float=lambda digits: float(digits) if float(digits) % 1 else int(float(digits)))
        )


class ForgetsTheTime(ReferenceBackend):
    """Stamps what it stores, and not the caller's object."""

    async def save(self, state: CheckpointState) -> None:
        stamped = state.model_copy()
        await super().save(stamped)
        state._lineage = stamped._lineage


class LosesExecutions(ReferenceBackend):
    """Says that it records executions, and does not."""

    @property
    def supports_execution_history(self) -> bool:
        return True


class MarksBeyondTheEnd(ReferenceBackend):
    """Makes room for a sheet that the job does not have."""

    async def mark_sheet_status(
        self, job_id: str, sheet_num: int, status: SheetStatus, error_message: Any = None
    ) -> None:
        state = self.read(job_id)
        if state is not None and sheet_num > state.total_sheets:
            state.total_sheets = sheet_num
            self.write(state)
        await super().mark_sheet_status(job_id, sheet_num, status, error_message)


class Suite(StateBackendTests):
    """The suite with the one fixture and the hook for damage."""

    __test__ = False
    kind: type[ReferenceBackend] = ReferenceBackend

    @pytest.fixture
    def backend(self) -> ReferenceBackend:
        return self.kind()

    async def corrupt(self, backend: StateBackend, job_id: str) -> None:
        assert isinstance(backend, ReferenceBackend)
        backend.states[backend.key(job_id)] = "{"


kinds: list[type[ReferenceBackend]] = [ReferenceBackend, *ReferenceBackend.__subclasses__()]
for kind in kinds:
    globals()[f"Test{kind.__name__}"] = type(f"Test{kind.__name__}", (Suite,), {"kind": kind, "__test__": True})
