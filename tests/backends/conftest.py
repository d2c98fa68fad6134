"""A backend in memory and one on git, each checked by git after the test."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gitstate import GitStateBackend, InMemoryStateBackend
from gitstate.backends.documents import DocumentBackend


def fsck(folder: Path) -> None:
    """Let git check a repository."""
    done = subprocess.run(
        ["git", "fsck", "--strict", "--full"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stdout + done.stderr, done.stdout + done.stderr


@pytest.fixture(params=["memory", "git"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DocumentBackend]:
    """Each of our backends, empty."""
    if request.param == "memory":
        async with InMemoryStateBackend() as in_memory:
            yield in_memory
        return
    async with GitStateBackend(tmp_path / "state") as on_git:
        yield on_git
    fsck(tmp_path / "state")


@pytest.fixture
async def git_backend(tmp_path: Path) -> AsyncIterator[GitStateBackend]:
    """A backend on git, empty."""
    async with GitStateBackend(tmp_path / "state") as on_git:
        yield on_git
    fsck(tmp_path / "state")
