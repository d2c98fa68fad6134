"""The smallest honest backend: a dictionary of encoded states behind a lock. It holds the suite to what is needed."""

import json
import logging
import threading
from typing import Any

from pydantic import ValidationError

from gitstate import CheckpointState, ClosedError, InvalidInputError, JobNotFoundError, StateBackend, clock
from gitstate.backends.statuses import JobStatus, SheetStatus, is_zombie
from gitstate.errors import StateCorruptionError


class ReferenceBackend(StateBackend):
    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.lock = threading.RLock()
        self.closed = False

    def key(self, job_id: str) -> str:
        if self.closed:
            raise ClosedError("the backend was closed")
        if not job_id:
            raise InvalidInputError("a job id is not empty")
        return job_id

    def read(self, job_id: str) -> CheckpointState | None:
        text = self.states.get(self.key(job_id))
        if text is None:
            return None
        try:
            state = CheckpointState.model_validate(json.loads(text))
        except (json.JSONDecodeError, ValidationError) as error:
            raise StateCorruptionError(f"the state of job {job_id!r} cannot be read") from error
        state._lineage = text
        return state

    def write(self, state: CheckpointState) -> None:
        state.updated_at = clock.now()
        text = json.dumps(plain(state.model_dump()))
        self.states[self.key(state.job_id)] = state._lineage = text

    async def load(self, job_id: str) -> CheckpointState | None:
        with self.lock:
            state = self.read(job_id)
        if state is not None and is_zombie(state):
            state.status, state.error_message = JobStatus.PAUSED, "its process is gone"
        return state

    async def save(self, state: CheckpointState) -> None:
        with self.lock:
            theirs = self.states.get(self.key(state.job_id))
            based = state._lineage is not None and theirs is not None
            base, now = (json.loads(state._lineage), json.loads(theirs)) if based and theirs else ({}, {})
            self.write(state)
            ours = json.loads(self.states[state.job_id])
            for number, sheet in now.get("sheets", {}).items():
                if sheet != base["sheets"].get(number):  # somebody else changed it
                    ours["sheets"][number] = sheet
            self.states[state.job_id] = json.dumps(ours)

    async def delete(self, job_id: str) -> bool:
        return self.states.pop(self.key(job_id), None) is not None

    async def list_jobs(self) -> list[CheckpointState]:
        found = []
        for job_id in [self.key(key) for key in self.states] or self.nothing():
            try:
                found.append(await self.load(job_id))
            except StateCorruptionError as error:
                logging.getLogger(__name__).warning("left out: %s", error)
        return sorted(filter(None, found), key=lambda state: state.updated_at, reverse=True)

    def nothing(self) -> list[str]:
        self.key("any")  # closed?
        return []

    async def get_next_sheet(self, job_id: str) -> int | None:
        state = await self.load(job_id)
        return 1 if state is None else state.get_next_sheet()

    async def mark_sheet_status(
        self, job_id: str, sheet_num: int, status: SheetStatus, error_message: str | None = None
    ) -> None:
        with self.lock:
            state = self.read(job_id)
            if state is None:
                raise JobNotFoundError(f"there is no job {job_id!r}")
            mark(state, sheet_num, SheetStatus(getattr(status, "value", status)), error_message)
            self.write(state)

    async def close(self) -> None:
        self.closed = True


def mark(state: CheckpointState, sheet_num: int, status: SheetStatus, error_message: str | None) -> None:
    if status is SheetStatus.IN_PROGRESS:
        state.mark_sheet_started(sheet_num)
    elif status is SheetStatus.COMPLETED:
        state.mark_sheet_completed(sheet_num)
    elif status is SheetStatus.FAILED:
        state.mark_sheet_failed(sheet_num, error_message or "")
    elif status is SheetStatus.SKIPPED:
        state.mark_sheet_skipped(sheet_num, error_message)
    else:
        state.sheet(sheet_num).status = status


def plain(value: Any) -> Any:
    """Return what JSON can say; pydantic's own JSON mode refuses lone surrogates."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value
