"""A store with a job that shall be private and a secret that was said, how to purge them, and whether they are gone."""

import json
from pathlib import Path
from typing import Any

from gitstate import CheckpointState, GitStateBackend
from gitstate.store.purge_plan import PurgeReport
from tests.git import fsck, git
from tests.remains import holders

__all__ = ["FORMS", "NAME", "SECRET", "blob_holders", "clean", "purge", "state_of", "two_jobs", "work"]

SECRET = 'tok"en/é-4711'
FORMS = [SECRET.encode(), json.dumps(SECRET)[1:-1].encode(), json.dumps(SECRET, ensure_ascii=False)[1:-1].encode()]
NAME = "very-private-job"


def state_of(job: str, sheets: int = 4) -> CheckpointState:
    return CheckpointState(job_id=job, job_name=job, total_sheets=sheets)


async def work(backend: GitStateBackend, job: str, *, secret: str = "nothing", sheets: int = 2) -> CheckpointState:
    """Save a job some times, with an attempt that has a prompt and an output."""
    state = await backend.load(job) or state_of(job)
    await backend.save(state)
    for sheet in range(1, sheets + 1):
        state.mark_sheet_started(sheet)
        await backend.save(state)
        state.mark_sheet_completed(sheet)
        state.metadata["note"] = f"{job} said {secret} on sheet {sheet}"
        await backend.save(state)
    await backend.record_execution(job, 1, 1, prompt=f"Use {secret}.", output=json.dumps(secret), exit_code=0)
    return state


async def two_jobs(tmp_path: Path) -> Path:
    """A store with two jobs, one of which shall be private and said a secret."""
    path = tmp_path / "state"
    async with GitStateBackend(path) as backend:
        await work(backend, "weekly")
        await work(backend, NAME, secret=SECRET)
        await work(backend, "weekly")
    return path


def clean(path: Path, git_dir: Path | None = None) -> None:
    """Check that nothing is left of job and secret, and that git is content."""
    assert holders(git_dir or path / ".git", NAME.encode(), *FORMS) == []
    fsck(path)


def blob_holders(path: Path) -> list[str]:
    """Return the files in a repository that hold the secret."""
    listed = git(path, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)").split()
    blobs = [name for kind, name in zip(listed[::2], listed[1::2], strict=True) if kind == "blob"]
    return [name for name in blobs if SECRET in git(path, "cat-file", "blob", name)]


async def purge(path: Path, *jobs: str, **wanted: Any) -> PurgeReport:
    async with GitStateBackend(path) as backend:
        plan = await backend.plan_purge(jobs, **wanted)
        return await backend.purge(jobs, confirm=plan.token, **wanted)
