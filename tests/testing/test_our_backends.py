"""Our own backends conform."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gitstate import GitStateBackend, InMemoryStateBackend, StateBackend
from gitstate.testing import StateBackendTests
from tests.backends.conftest import fsck


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
        (folder / "jobs" / job_id / "job.json").write_text("{")
        subprocess.run(["git", "commit", "-qam", "break a job"], cwd=folder, check=True)

    async def reopen(self, backend: StateBackend) -> GitStateBackend:
        assert isinstance(backend, GitStateBackend)
        await backend.close()
        assert backend.store.path is not None
        return GitStateBackend(backend.store.path)
