"""The job of the demo, in a process of its own: ``python -m gitstate.cli.demo_job STORE SOURCE WORKSPACE PACE``.

It is written as any resumable job would be: it asks the backend which sheet is next, and saves before and after each.
It knows nothing of being killed. What it does it tells on stdout, one JSON object a line.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import aiofiles
import aiofiles.os

from gitstate import CheckpointState, GitStateBackend
from gitstate.cli import demo_work

__all__ = ["JOB"]

JOB = "index-of-terms"


async def run(store: Path, source: Path | None, workspace: Path, pace: float) -> None:
    """Begin the job, or go on where it stopped, until no sheet is left. ``pace``: seconds to rest within each sheet."""
    async with GitStateBackend(store) as backend:
        state = await backend.load(JOB) or _new_job(source)
        state.set_running_pid()
        while (number := state.get_next_sheet()) is not None:
            state.mark_sheet_started(number)
            await backend.save(state)
            attempt = state.sheets[number].attempt_count
            _tell("started", number, attempt, state.total_sheets)
            begun = time.monotonic()
            output = await _work(state, number, workspace, pace)
            duration = round(time.monotonic() - begun, 3)
            prompt = "Index the terms of:\n" + "".join(f"  {name}\n" for name in _files(state, number))
            await backend.record_execution(JOB, number, attempt, prompt, output, 0, duration)
            state.mark_sheet_completed(number, execution_duration_seconds=duration)
            await backend.save(state)
            _tell("completed", number, attempt, state.total_sheets)


def _new_job(source: Path | None) -> CheckpointState:
    """Return a job whose plan lies in its state, so that a second run works on the same files as the first."""
    root, files = demo_work.sources(source)
    sheets = demo_work.plan(files)
    config = {"root": str(root), "sheets": {str(number): names for number, names in sheets.items()}}
    return CheckpointState(job_id=JOB, job_name="Index of terms", total_sheets=len(sheets), config_snapshot=config)


def _files(state: CheckpointState, number: int) -> list[str]:
    names: list[str] = (state.config_snapshot or {})["sheets"][str(number)]
    return names


async def _work(state: CheckpointState, number: int, workspace: Path, pace: float) -> str:
    await asyncio.sleep(pace)
    root = Path((state.config_snapshot or {})["root"])
    text = await asyncio.to_thread(demo_work.report, number, root, _files(state, number))
    # Written beside and renamed: a report that has its name is complete.
    unfinished = workspace / f".{demo_work.report_name(number)}"
    async with aiofiles.open(unfinished, "w", encoding="utf-8", errors="backslashreplace") as file:
        await file.write(text)
    await aiofiles.os.rename(unfinished, workspace / demo_work.report_name(number))
    return text


def _tell(event: str, number: int, attempt: int, total: int) -> None:
    print(json.dumps({"event": event, "sheet": number, "attempt": attempt, "total": total, "pid": os.getpid()}))
    sys.stdout.flush()


if __name__ == "__main__":
    store, source, workspace, pace = sys.argv[1:]
    asyncio.run(run(Path(store), Path(source) if source else None, Path(workspace), float(pace)))
