"""A backend in memory and one on git; after the test git checks it, and what its index says of the jobs is compared."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitstate import GitStateBackend, InMemoryStateBackend
from gitstate.backends.rewind import RewindBackend
from gitstate.backends.summaries import summarize
from gitstate.errors import GitStateError, StateCorruptionError
from gitstate.store.selection import Selection
from tests.git import fsck, git


def agree_on_jobs(backend: RewindBackend) -> None:
    """Compare what the index tells of each job with its state."""
    try:
        snapshots = list(backend.store.documents(backend._jobs))
    except GitStateError:
        return  # the test closed the store, or took it away
    readable: dict[str, Any] = {}
    for snapshot in snapshots:
        try:
            readable[snapshot.document] = summarize(snapshot, None).facts
        except StateCorruptionError:
            assert backend.store.facts(backend._jobs, snapshot.document) is None
    found = backend.store.select(backend._jobs, Selection())[0]
    assert {row.document: row.facts for row in found} == readable
    for document, facts in readable.items():
        assert backend.store.facts(backend._jobs, document) == facts


@pytest.fixture(params=["memory", "git"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RewindBackend]:
    """Each of our backends, empty."""
    if request.param == "memory":
        async with InMemoryStateBackend() as in_memory:
            yield in_memory
            agree_on_jobs(in_memory)
        return
    async with GitStateBackend(tmp_path / "state") as on_git:
        yield on_git
        agree_on_jobs(on_git)
    fsck(tmp_path / "state")


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was done in threads."""
    names: list[str] = []
    to_thread = asyncio.to_thread

    async def noting(work: Any, *arguments: Any) -> Any:
        names.append(getattr(work, "__name__", "?"))
        return await to_thread(work, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", noting)
    return names


@pytest.fixture
async def git_backend(tmp_path: Path) -> AsyncIterator[GitStateBackend]:
    """A backend on git, empty."""
    async with GitStateBackend(tmp_path / "state") as on_git:
        yield on_git
        agree_on_jobs(on_git)
    fsck(tmp_path / "state")


@pytest.fixture
def folder(git_backend: GitStateBackend) -> Path:
    """The folder in which that backend shows its files."""
    assert git_backend.store.path is not None
    return git_backend.store.path


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """An empty bare repository in the middle."""
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "hub.git")
    yield tmp_path / "hub.git"
    fsck(tmp_path / "hub.git")
