"""A machine of several: a process that saves into its own clone and syncs at random, and writes down what happened.

``python -m tests.survival.machine STORE LOG NAME SAVES SEED``: it ends after so many saves, with the store closed. All
machines save to the shared jobs; each has one of its own.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from random import Random
from typing import Any

from gitstate import CheckpointState, GitStateBackend
from gitstate.errors import ConflictError, GitStateError, SyncError

__all__ = ["SHARED", "own_job", "token"]

SHARED = ("alpha", "beta/γ", "omega")
_SHEETS = 1000
_SYNCS = 0.08  # of the saves are followed by a sync


def own_job(name: str) -> str:
    """Return the job that only one machine saves."""
    return f"of {name}"


def token(name: str, number: int) -> str:
    """Return the mark that a save leaves in the state, and no other one."""
    return f"{name}-{number}"


def change(state: CheckpointState, name: str, number: int, random: Random) -> None:
    """Leave a mark of this save, and now and then change what others change too."""
    state.metadata[token(name, number)] = number
    state.total_retry_count += 1
    sheet = random.randint(1, _SHEETS)
    state.mark_sheet_started(sheet)
    if random.random() < 0.7:
        state.mark_sheet_completed(sheet, execution_duration_seconds=0.5)
    if random.random() < 0.1:
        state.job_name = f"as {name} calls it, {number}"


class Machine:
    """Saves and syncs, and tells of each acknowledged save and of each error."""

    def __init__(self, backend: GitStateBackend, name: str, log: int, random: Random) -> None:
        self._backend = backend
        self._name = name
        self._log = log
        self._random = random

    async def run(self, saves: int) -> None:
        """Save so many times."""
        held: dict[str, CheckpointState] = {}
        for number in range(1, saves + 1):
            job = self._random.choice((*SHARED, own_job(self._name)))
            state = held.get(job) if self._random.random() < 0.5 else None
            state = state or await self._backend.load(job)
            state = state or CheckpointState(job_id=job, job_name=job, total_sheets=_SHEETS)
            held[job] = state
            change(state, self._name, number, self._random)
            try:
                await self._backend.save(state)
                self._tell(job=job, number=number, revision=self._backend.store.head())
            except ConflictError as error:
                self._tell(job=job, number=number, conflict=error.rescue)
                del held[job]
            if self._random.random() < _SYNCS:
                await self._sync()

    async def _sync(self) -> None:
        try:
            report = await self._backend.sync()
            self._tell(synced=report.head)
        except SyncError as error:
            self._tell(error=error.code, message=str(error))
        except GitStateError as error:
            self._tell(unexpected=error.code, message=str(error))

    def _tell(self, **facts: Any) -> None:
        os.write(self._log, json.dumps(facts).encode() + b"\n")
        os.fsync(self._log)


async def work(folder: Path, log: Path, name: str, saves: int, seed: int) -> None:
    """Be a machine."""
    told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    async with GitStateBackend(folder) as backend:
        await Machine(backend, name, told, Random(seed)).run(saves)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
