"""What people put into a store with plain git: nothing of it stops a store, and what is not ours is never believed."""

import enum
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend, InvalidInputError
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import StoreNotFoundError
from gitstate.store.content import ContentCache


def job(job_id: str = "nightly", sheets: int = 3) -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name=job_id, total_sheets=sheets)


def git(folder: Path, *words: str, text: str | None = None, **environment: str) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "forged",
    ["Duration: soon", "Duration: inf", "Sheet: --5", "Attempt: " + "4" * 5000, "Time: 99", "Execution: none"],
)
async def test_a_forged_execution_spoils_no_history(tmp_path: Path, forged: str) -> None:
    async with GitStateBackend(tmp_path / "state") as backend:
        await backend.save(job())
        real = await backend.record_execution("nightly", 1, 1, "a prompt", "an output", 0, 1.5)
        await backend.flush()
        trailers = f"Gitstate-Job: nightly\nGitstate-Execution: 5\nGitstate-{forged}"
        git(tmp_path / "state", "commit", "-q", "--allow-empty", "-m", f"forged\n\n{trailers}\n")
        records = await backend.get_execution_history("nightly")
        assert records[-1]["id"] == real
        assert records[-1]["duration_seconds"] == 1.5


async def test_an_output_that_somebody_made_no_text_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        await backend.record_execution("nightly", 1, 1, "a prompt", "an output")
        await backend.flush()
        (folder / "jobs/nightly/executions/0001/output.txt").write_bytes(b"caf\xe9")
        git(
            folder,
            "commit",
            "-q",
            "-a",
            "-m",
            "x\n\nGitstate-Job: nightly\nGitstate-Execution: 5\nGitstate-Sheet: 1\nGitstate-Output-Bytes: 4\n",
        )
        assert [each["output"] for each in await backend.get_execution_history("nightly")] == ["caf\ufffd", "an output"]


async def test_a_commit_of_the_far_future_stops_no_history(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        await backend.flush()
        (folder / "jobs/nightly/README").write_text("notes")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", "later", GIT_COMMITTER_DATE="@999999999999 +0000")
        assert next(each.time.year for each in await backend.history("nightly")) == 9999


async def test_a_job_of_very_many_sheets_is_not_counted_through() -> None:
    state = job(sheets=10**18)
    state.mark_sheet_completed(1)
    assert state.get_next_sheet() == 2
    state.mark_sheet_started(10**9)
    assert state.get_next_sheet() == 10**9


async def test_an_id_of_somebodys_enum_is_its_text(backend: RewindBackend) -> None:
    class Job(enum.StrEnum):
        NIGHTLY = "nightly"

    await backend.save(job())
    await backend.mark_sheet_status(Job.NIGHTLY, 1, "completed")  # type: ignore[arg-type]  # statuses count by value
    backend.store._reader.contents = ContentCache()  # as in another process, which has seen nothing yet
    loaded = await backend.load(Job.NIGHTLY)
    assert loaded is not None
    assert await backend.delete(Job.NIGHTLY)


async def test_a_limit_below_zero(backend: RewindBackend) -> None:
    with pytest.raises(InvalidInputError, match="limit"):
        await backend.history("nightly", -1)
    with pytest.raises(InvalidInputError, match="limit"):
        await backend.get_execution_history("nightly", limit=-1)


@pytest.mark.parametrize("lost", [".git/refs/heads/main", ".git"])
async def test_a_store_that_vanished_is_not_one_without_jobs(tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "state"
    async with GitStateBackend(folder) as backend:
        await backend.save(job())
        await backend.flush()
        shutil.move(folder / lost, tmp_path / "aside")
        for call in (
            backend.load("nightly"),
            backend.list_jobs(),
            backend.get_next_sheet("nightly"),  # 1 would start the job all over
            backend.history("nightly"),
            backend.get_execution_history("nightly"),
        ):
            with pytest.raises(StoreNotFoundError, match="gone"):
                await call
        shutil.move(tmp_path / "aside", folder / lost)
        assert await backend.load("nightly") is not None
