"""Our own backends conform."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gitstate import GitStateBackend, InMemoryStateBackend, StateBackend
from gitstate.testing import StateBackendTests
from tests.git import fsck
from tests.stores import leave_damaged


def write_by_hand(folder: Path, path: str, text: str) -> None:
    """Change a file and commit it, as a person would."""
    (folder / path).write_text(text)
    subprocess.run(["git", "commit", "-qam", "by hand"], cwd=folder, check=True)


class TestInMemoryStateBackend(StateBackendTests):
    """Nothing to open again, and nothing outside that could be damaged."""

    @pytest.fixture
    async def backend(self) -> AsyncIterator[InMemoryStateBackend]:
        async with InMemoryStateBackend() as backend:
            yield backend


class TestGitStateBackend(StateBackendTests):
    """Damage is a commit, by hand, of something that is no state."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "state"

    @pytest.fixture
    async def backend(self, folder: Path) -> AsyncIterator[GitStateBackend]:
        async with GitStateBackend(folder) as backend:
            yield backend
        fsck(folder)

    async def corrupt(self, backend: StateBackend, job_id: str) -> None:
        assert isinstance(backend, GitStateBackend)
        await backend.flush()
        folder = backend.store.path
        assert folder is not None
        leave_damaged(folder)
        write_by_hand(folder, f"jobs/{job_id}/job.json", "{")

    async def reopen(self, backend: StateBackend) -> GitStateBackend:
        assert isinstance(backend, GitStateBackend)
        await backend.close()
        assert backend.store.path is not None
        return GitStateBackend(backend.store.path)
