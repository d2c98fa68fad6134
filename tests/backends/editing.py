"""A store with two jobs whose files people edit, and what it then says of them."""

import json
from pathlib import Path
from typing import Any

from gitstate import CheckpointState, GitStateBackend
from tests.git import git

__all__ = ["JOB", "clean", "edit", "matching", "names", "sheet", "two_jobs"]

JOB = "jobs/nightly/job.json"


def sheet(number: int, job: str = "nightly") -> str:
    return f"jobs/{job}/sheets/{number:04}.json"


def edit(path: Path, **fields: Any) -> None:
    """Change fields of a JSON file, None to remove one, and write it in a form of its own."""
    value = json.loads(path.read_bytes()) | fields
    path.write_text(json.dumps({key: item for key, item in value.items() if item is not None}))


async def two_jobs(git_backend: GitStateBackend) -> GitStateBackend:
    """A store with two jobs, which its folder shows."""
    for job_id in ("nightly", "weekly"):
        state = CheckpointState(job_id=job_id, job_name=job_id, total_sheets=4)
        state.mark_sheet_started(1)
        state.mark_sheet_completed(1)
        state.mark_sheet_started(2)
        state.mark_sheet_failed(2, "no space")
        await git_backend.save(state)
    await git_backend.flush()
    return git_backend


def matching(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


def clean(folder: Path) -> bool:
    return git(folder, "status", "--porcelain") == ""


async def names(backend: GitStateBackend) -> dict[str, list[str]]:
    """Return the files that were edited, by job; those of no job under the empty name."""
    found = await backend.edits()
    told = {job.job_id: [file.path for file in job.files] for job in found.jobs}
    return told | ({"": [file.path for file in found.files]} if found.files else {})
