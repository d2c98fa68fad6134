"""Models with rules of their own: frozen as a whole or in part, with enums that are not ours."""

import subprocess
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gitstate import InMemoryStateBackend, SheetState, SheetStatus


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
