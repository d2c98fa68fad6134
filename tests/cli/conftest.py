"""The command line in this process, and a store for it to look at."""

import asyncio
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.cli.main import run
from tests import stores
from tests.git import git


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


Gitstate = Callable[..., Ran]

COMMAND = [sys.executable, "-m", "gitstate.cli.main"]
"""The command line as a process of its own."""


def revisions(store: Path, job: str = "nightly") -> list[str]:
    """Return the commits of a job, as git lists them, the oldest first."""
    return git(store, "log", "--format=%H", "--reverse", "--", f"jobs/{job}").split()


@pytest.fixture(autouse=True, scope="session")
def _terminals_are_forked(python_in_front: Path) -> None:
    """Let what runs on a terminal be forked too."""
    from tests.cli import test_terminal

    if str(python_in_front) != sys.executable:
        test_terminal.forked[:] = [str(python_in_front)]


@pytest.fixture
def gitstate(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Gitstate:
    """Run ``gitstate`` with arguments, in an empty folder unless the test goes elsewhere."""
    for name in ("STORE", "BRANCH", "CODE"):
        monkeypatch.delenv(f"GITSTATE_{name}", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Ran:
        status = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Ran(status, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "state"
    asyncio.run(_fill(path))
    return path


@pytest.fixture
def store(tmp_path: Path, _filled: Path) -> Path:
    """A store with two jobs; ``nightly`` has failed once, ``weekly`` is complete."""
    path = tmp_path / "state"
    shutil.copytree(_filled, path)
    stores.note(path)
    return path


async def _fill(path: Path) -> None:
    async with GitStateBackend(path) as backend:
        nightly = CheckpointState(job_id="nightly", job_name="Nightly report", total_sheets=3)
        await backend.save(nightly)
        nightly.mark_sheet_started(1)
        nightly.mark_sheet_completed(1, execution_duration_seconds=1.25)
        await backend.save(nightly)
        nightly.mark_sheet_started(2)
        nightly.mark_sheet_failed(2, "no space left\non device")
        await backend.save(nightly)
        weekly = CheckpointState(job_id="weekly", job_name="weekly", total_sheets=1)
        weekly.mark_sheet_completed(1)
        await backend.save(weekly)
