"""A process that keeps saving jobs, and writes down, for sure, each save that was acknowledged and each error.

``python -m tests.survival.keeper STORE LOG``: ends when a line comes on its standard input, with the store closed; a
file ``LOG.pause`` lets it wait.
"""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path

from gitstate import CheckpointState, GitStateBackend
from gitstate.errors import GitStateError

__all__ = ["JOBS", "PAUSE"]

JOBS = ("nightly", "weekly", "growing")
PAUSE = 0.012  # seconds between two saves: a person's git needs a processor too
_SHEETS = 5000


def count(state: CheckpointState, number: int) -> None:
    """Leave a mark of this save that no other save leaves, as each job does it: what is lost then shows."""
    if state.job_id == "nightly":
        state.total_retry_count += 1
        state.metadata["saves"] = number
    elif state.job_id == "weekly":
        state.metadata[f"save {number}"] = number
    else:
        state.mark_sheet_started(number)
        state.mark_sheet_completed(number)


async def keep_saving(folder: Path, log: int, paused: Path, stop: threading.Event) -> None:
    """Save one job after another until told to stop: two as objects that live on, one as it is loaded each time."""

    def tell(**facts: object) -> None:
        os.write(log, json.dumps(facts).encode() + b"\n")
        os.fsync(log)

    async with GitStateBackend(folder) as backend:
        held: dict[str, CheckpointState] = {}
        for job in JOBS:
            held[job] = await backend.load(job) or CheckpointState(job_id=job, job_name=job, total_sheets=_SHEETS)
        number = 0
        while not stop.is_set():
            await asyncio.sleep(PAUSE)
            if os.path.exists(paused):  # noqa: ASYNC240 - nothing else runs here
                continue
            number += 1
            for job in JOBS:
                state = held[job]
                try:
                    if job == "weekly":
                        state = await backend.load(job) or state
                    count(state, number)
                    await backend.save(state)
                    tell(job=job, number=number, head=backend.store.head())
                except GitStateError as error:
                    tell(job=job, number=number, error=error.code, message=error.message, hint=error.hint)
                    held[job] = await backend.load(job) or state


def main() -> None:
    """Run as a program."""
    stop = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    asyncio.run(keep_saving(Path(sys.argv[1]), log, Path(f"{sys.argv[2]}.pause"), stop))


if __name__ == "__main__":
    main()
