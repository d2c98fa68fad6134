"""What a purge refuses: the token of another plan, what cannot be meant, and what people did not end."""

from pathlib import Path
from typing import Any

import pytest

from gitstate import GitStateBackend, InMemoryStateBackend
from gitstate.engine.locks import StoreLock
from gitstate.errors import (
    BusyError,
    ConflictError,
    InvalidInputError,
    JobNotFoundError,
    NotFoundError,
    StaleError,
    UnsupportedError,
)
from gitstate.store.purging import Purging
from tests.backends.purging import NAME, SECRET, purge, state_of, two_jobs, work
from tests.git import fsck, git

STALE = "something moved since the plan"

store = pytest.fixture(two_jobs)


# Tokens


async def test_a_token_is_for_one_plan_only(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        plan = await backend.plan_purge([NAME])
        assert (await backend.plan_purge([NAME])).token == plan.token
        assert (await backend.plan_purge([NAME], value=SECRET)).token != plan.token
        head = backend.store.head()
        with pytest.raises(StaleError, match=STALE):
            await backend.purge(["weekly"], confirm=plan.token)
        with pytest.raises(StaleError, match=STALE):
            await backend.purge([NAME], confirm="")
        assert backend.store.head() == head
        await work(backend, "weekly", sheets=1)
        with pytest.raises(StaleError, match=STALE):
            await backend.purge([NAME], confirm=plan.token)
        plan = await backend.plan_purge([NAME])
        git(store, "tag", "mine")
        with pytest.raises(StaleError, match=STALE):
            await backend.purge([NAME], confirm=plan.token)
        assert await backend.load(NAME) is not None
    fsck(store)


async def test_what_moves_in_the_last_moment_is_noticed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked_out = Purging._work

    def late(self: Purging, *arguments: Any) -> Any:
        found = worked_out(self, *arguments)
        if arguments[1] is not None:
            git(store, "commit", "-q", "--allow-empty", "-m", "just now")
        return found

    async with GitStateBackend(store) as backend:
        plan = await backend.plan_purge([NAME])
        monkeypatch.setattr(Purging, "_work", late)
        with pytest.raises(StaleError):
            await backend.purge([NAME], confirm=plan.token)
        assert await backend.load(NAME) is not None
    assert git(store, "log", "-1", "--format=%s").strip() == "just now"
    assert not (store / ".git/gitstate/purge").exists()
    fsck(store)


# What is refused


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        ({}, InvalidInputError, "nothing is named"),
        ({"jobs": "weekly"}, InvalidInputError, "a list of ids"),
        ({"jobs": [""]}, InvalidInputError, "a job id"),
        ({"jobs": ["none"]}, JobNotFoundError, "'none'"),
        ({"jobs": ["weekly", "none"]}, JobNotFoundError, "'none'"),
        ({"value": "nowhere at all"}, NotFoundError, "nowhere in the store"),
        ({"value": "abc"}, InvalidInputError, "4 characters"),
        ({"value": "weekly"}, InvalidInputError, "names of files or folders"),
        ({"value": "completed"}, InvalidInputError, "could no longer be read: 'very-private-job', 'weekly'"),
        ({"kinds": ["nothing"]}, InvalidInputError, "no kind of credentials 'nothing'"),
        ({"kinds": "all"}, InvalidInputError, "a list"),
        ({"pattern": "["}, InvalidInputError, "no regular expression"),
        ({"pattern": "0001"}, InvalidInputError, "names of files"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    store: Path, wanted: dict[str, Any], error: type[Exception], says: str
) -> None:
    async with GitStateBackend(store) as backend:
        head = backend.store.head()
        with pytest.raises(error, match=says) as refused:
            await backend.plan_purge(**wanted)
        value = wanted.get("value", wanted.get("pattern"))
        assert value in (None, "completed", "weekly", "abc", "[") or value not in str(refused.value)
        assert backend.store.head() == head


async def test_a_value_in_the_name_of_a_ref_is_refused(store: Path) -> None:
    git(store, "tag", "release-hunter2")
    (store / "notes.md").write_text("hunter2")
    git(store, "add", ".")
    git(store, "commit", "-qm", "x")
    async with GitStateBackend(store) as backend:
        with pytest.raises(InvalidInputError, match="the names of refs, 1 in all") as refused:
            await backend.plan_purge(value="hunter2")
        assert "hunter2" not in str(refused.value)


async def test_a_store_in_memory_has_no_history_to_purge_from() -> None:
    async with InMemoryStateBackend() as backend:
        await backend.save(state_of("a"))
        with pytest.raises(UnsupportedError, match="in memory"):
            await backend.plan_purge(["a"])


async def test_edits_of_people_are_never_overwritten(store: Path) -> None:
    edited = store / "jobs/weekly/job.json"
    before = edited.read_text()
    async with GitStateBackend(store) as backend:
        plan = await backend.plan_purge([NAME])
    edited.write_text(before + " ")
    for folder in (store, None):
        async with GitStateBackend(store) as backend:
            with pytest.raises(ConflictError, match=r"jobs/weekly/job\.json"):
                await backend.plan_purge([NAME])
            with pytest.raises(ConflictError, match=r"jobs/weekly/job\.json"):
                await backend.purge([NAME], confirm=plan.token)
        if folder is not None:
            git(folder, "add", "-A")  # staged is as good
    assert edited.read_text() == before + " "
    git(store, "reset", "-q", "--hard")
    await purge(store, NAME)


async def test_a_merge_that_is_not_ended_is_refused(store: Path) -> None:
    git(store, "checkout", "-q", "-b", "side", "main~1")
    git(store, "commit", "-q", "--allow-empty", "-m", "aside")
    git(store, "checkout", "-q", "main")
    git(store, "merge", "-q", "--no-commit", "--no-ff", "side")
    async with GitStateBackend(store) as backend:
        with pytest.raises(ConflictError, match="MERGE_HEAD"):
            await backend.plan_purge([NAME])
    git(store, "merge", "--abort")
    git(store, "branch", "-qD", "side")
    await purge(store, NAME)


async def test_a_writer_that_does_not_let_go_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with GitStateBackend(store) as backend:
        plan = await backend.plan_purge([NAME])
        lock = StoreLock(store / ".git/gitstate/lock")
        monkeypatch.setattr(backend.store._engine, "_lock_timeout", 0.2)
        lock.acquire(1)
        try:
            with pytest.raises(BusyError):
                await backend.purge([NAME], confirm=plan.token)
        finally:
            lock.release()
            lock.close()
        assert await backend.load(NAME) is not None
        await backend.purge([NAME], confirm=plan.token)
