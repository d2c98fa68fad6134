"""Purging beside others: neither who has the store open nor an older clone brings back what was purged."""

import asyncio
import json
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.engine import graph
from gitstate.engine.git import GitEngine
from gitstate.engine.repository import open_repository
from gitstate.errors import StaleError, UntrustedError
from gitstate.format.purged import Purged
from gitstate.store.purge import refuse_purged
from tests import servers
from tests.backends.purging import FORMS, NAME, SECRET, clean, purge, state_of, two_jobs, work
from tests.git import fsck, git
from tests.remains import holders
from tests.stores import leave_damaged

store = pytest.fixture(two_jobs)


# Others who have the store open


async def test_a_process_that_still_has_the_job_does_not_bring_it_back(store: Path) -> None:
    async with GitStateBackend(store) as other:
        loaded = await other.load(NAME)
        weekly = await other.load("weekly")
        assert loaded is not None and weekly is not None
        await purge(store, NAME)
        loaded.metadata["more"] = 1
        with pytest.raises(StaleError, match="was purged from the store"):
            await other.save(loaded)
        assert await other.load(NAME) is None
        weekly.metadata["more"] = 1
        await other.save(weekly)
        anew = state_of(NAME)
        await other.save(anew)
        anew.metadata["more"] = 2
        await other.save(anew)
        with pytest.raises(StaleError):
            await other.save(loaded)
        again = await other.load(NAME)
        assert again is not None
        assert again.metadata == {"more": 2}
        assert [each.event for each in await other.history(NAME)] == ["saved", "created"]
        await other.delete(NAME)
        await other.save(again)  # this one is of the new life
        assert (await other.verify()).problems == ()
    fsck(store)
    shown = json.loads((store / "jobs/weekly/job.json").read_text())
    assert shown["metadata"]["more"] == 1


async def test_a_save_from_before_a_value_was_purged_is_merged_into_what_it_became(store: Path) -> None:
    async with GitStateBackend(store) as other:
        loaded = await other.load(NAME)
        assert loaded is not None
        await purge(store, value=SECRET)
        loaded.metadata["more"] = 1
        await other.save(loaded)
        saved = await other.load(NAME)
        assert saved is not None
        assert saved.metadata["more"] == 1
        assert "[purged]" in saved.metadata["note"]
    assert holders(store / ".git", *FORMS) == []
    fsck(store)


async def test_saves_of_others_go_on_meanwhile(store: Path) -> None:
    async with GitStateBackend(store) as other, GitStateBackend(store) as backend:
        plan = await backend.plan_purge([NAME])
        done = asyncio.create_task(backend.purge([NAME], confirm=plan.token))
        await asyncio.sleep(0)
        await done
        for _ in range(3):
            await work(other, "weekly", sheets=1)
        assert await other.load(NAME) is None
        assert len(await other.history("weekly", 100)) > 10
    clean(store)
    assert git(store, "status", "--porcelain") == ""


# What keeps it from coming back


async def test_histories_that_would_bring_it_back_are_refused(store: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", store, "clone")
    clone = tmp_path / "clone"
    async with GitStateBackend(clone) as backend:
        await work(backend, "weekly", sheets=1)
    await purge(store, NAME)
    git(store, "fetch", "-q", clone, "main:refs/fetched/old")
    git(clone, "fetch", "-q", store, "main:refs/fetched/new")
    for path, ref, says in ((store, "old", "what was purged here"), (clone, "new", "purged where that was fetched")):
        async with GitStateBackend(path) as backend:
            reader, head = backend.store.reader, backend.store.head()
            theirs = git(path, "rev-parse", f"refs/fetched/{ref}").strip()
            with pytest.raises(UntrustedError, match=says) as refused:
                refuse_purged(reader, head, theirs)
            assert [problem.kind for problem in refused.value.problems] == ["purged"]
            refuse_purged(reader, head, head)
    async with GitStateBackend(store) as backend:
        await work(backend, "weekly", sheets=1)
    git(tmp_path, "clone", "-q", "--no-local", store, "fresh")
    async with GitStateBackend(tmp_path / "fresh") as backend:
        await work(backend, NAME)
        refuse_purged(backend.store.reader, git(store, "rev-parse", "main").strip(), backend.store.head())
    git(clone, "remote", "remove", "origin")
    git(clone, "update-ref", "-d", "refs/fetched/new")
    await purge(clone, NAME)
    git(clone, "fetch", "-q", store, "main:refs/fetched/new")
    async with GitStateBackend(clone) as backend:
        refuse_purged(backend.store.reader, backend.store.head(), git(clone, "rev-parse", "refs/fetched/new").strip())


async def test_rescues_and_pins_do_not_bring_it_to_who_begins_with_what_is_left(store: Path, tmp_path: Path) -> None:
    old, hub = git(store, "rev-parse", "main").strip(), servers.bare(tmp_path / "hub.git")
    git(store, "push", "-q", hub, f"{old}:refs/gitstate/rescue/weekly/{old}", f"{old}:refs/tags/jobs/weekly/old")
    await purge(store, NAME)
    git(store, "push", "-q", hub, "main")
    async with await GitStateBackend.clone(str(hub), tmp_path / "clone") as clone:
        assert await clone.rescues() == []
        assert await clone.pins("weekly") == []
        report = await clone.fetch()
        assert {(each.fate, each.revision) for each in report.companions} == {("refused", old)}
    async with GitStateBackend(tmp_path / "blank") as blank:
        synced = await blank.sync(str(hub))
        assert {each.fate for each in synced.companions} == {"refused"}
        assert "what was purged" in synced.companions[0].detail
    for path in (tmp_path / "clone", tmp_path / "blank"):
        clean(path)


async def test_verify_says_that_it_is_back(store: Path) -> None:
    await_old = git(store, "rev-parse", "main").strip()
    git(store, "clone", "-q", "--bare", ".", "../old.git")
    report = await purge(store, NAME)
    git(store, "fetch", "-q", "../old.git", "main")
    git(store, "merge", "-q", "-s", "ours", "--allow-unrelated-histories", "-m", "bring it back", await_old)
    leave_damaged(store)
    async with GitStateBackend(store) as backend:
        (problem,) = (await backend.verify()).problems
        assert problem.kind == "purged"
        assert report.plan.oldest[0][:12] in problem.place
        (store / "purged.json").write_text("{}")
        git(store, "commit", "-qam", "oops")
        kinds = [problem.kind for problem in (await backend.verify()).problems]
        assert kinds == ["purged"]


async def test_verify_names_a_pin_that_a_fetch_brought_back(store: Path) -> None:
    git(store, "tag", "jobs/weekly/good")
    git(store, "clone", "-q", "--bare", ".", "../old.git")
    async with GitStateBackend(store) as backend:
        await backend.unpin("weekly", "good")
    await purge(store, NAME)
    git(store, "fetch", "-q", "../old.git", "tag", "jobs/weekly/good")
    async with GitStateBackend(store) as backend:
        (problem,) = (await backend.verify()).problems
        assert (problem.kind, problem.place) == ("purged", "refs/tags/jobs/weekly/good")
    await purge(store, NAME)
    async with GitStateBackend(store) as backend:
        assert (await backend.verify()).problems == ()
    clean(store)


async def test_what_was_purged_is_told_without_a_name(store: Path) -> None:
    first = await purge(store, NAME)
    second = await purge(store, "weekly")
    purged = Purged.parse((store / "purged.json").read_bytes())
    assert purged.commits == {*first.plan.oldest, *second.plan.oldest}
    assert purged.has(NAME)
    assert purged.has("weekly")
    engine = GitEngine(open_repository(store, create=False))
    last = graph.read(engine, second.plan.new_head)
    before = graph.read(engine, last.parents[0])
    assert last.author == last.committer == before.committer
    engine.close()
    assert CheckpointState.model_fields
