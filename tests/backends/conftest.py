"""A backend in memory and one on git, each checked by git after the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gitstate import GitStateBackend, InMemoryStateBackend
from gitstate.backends.rewind import RewindBackend
from tests.git import fsck


@pytest.fixture(params=["memory", "git"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RewindBackend]:
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
