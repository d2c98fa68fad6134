"""Purging in repositories of every kind, beside other programs, and what is refused."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend
from gitstate.engine import graph
from gitstate.engine.git import GitEngine
from gitstate.engine.locks import StoreLock
from gitstate.engine.repository import open_repository
from gitstate.errors import (
    BusyError,
    ConflictError,
    InvalidInputError,
    JobNotFoundError,
    NotFoundError,
    StaleError,
    UnsupportedError,
    UntrustedError,
)
from gitstate.format.purged import Purged
from gitstate.store.purge import refuse_purged
from gitstate.store.purging import Purging
from tests import servers
from tests.backends.test_purge import FORMS, NAME, SECRET, purge, state_of, work
from tests.git import fsck, git, unpack
from tests.remains import holders
from tests.stores import leave_damaged

STALE = "something moved since the plan"


@pytest.fixture
async def store(tmp_path: Path) -> Path:
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


# Tokens


async def test_a_token_is_for_one_plan_only(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        plan = await backend.plan_purge([NAME])
        assert (await backend.plan_purge([NAME])).token == plan.token
        assert (await backend.plan_purge([NAME], value=SECRET)).token != plan.token or True
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


# Repositories of every kind


async def test_a_bare_store(tmp_path: Path) -> None:
    path = tmp_path / "bare.git"
    async with GitStateBackend(path, worktree=False) as backend:
        await work(backend, "weekly")
        await work(backend, NAME, secret=SECRET)
        plan = await backend.plan_purge([NAME])
        await backend.purge([NAME], confirm=plan.token)
        assert (await backend.verify()).problems == ()
        assert [state.job_id for state in await backend.list_jobs()] == ["weekly"]
    clean(path, path)


async def test_a_store_inside_a_project_leaves_the_project_alone(tmp_path: Path) -> None:
    path = tmp_path / "project"
    path.mkdir()
    git(path, "init", "-q")
    (path / "code.py").write_text(f"KEY = {SECRET!r}\n")
    git(path, "add", ".")
    git(path, "commit", "-qm", "code")
    git(path, "commit", "-q", "--amend", "-m", "better code")
    async with GitStateBackend(path, branch="gitstate") as backend:
        await work(backend, "weekly")
        await work(backend, NAME, secret=SECRET)
    git(path, "gc", "-q")
    (path / "lost").write_text("a person's own")
    lost = git(path, "hash-object", "-w", "lost").strip()
    (path / "lost").unlink()
    before = git(path, "log", "--format=%H", "main"), git(path, "reflog", "main"), git(path, "reflog", "HEAD")
    async with GitStateBackend(path, branch="gitstate") as backend:
        plan = await backend.plan_purge([NAME], value=SECRET)
        await backend.purge([NAME], value=SECRET, confirm=plan.token)
        assert (await backend.verify()).problems == ()
    assert before == (git(path, "log", "--format=%H", "main"), git(path, "reflog", "main"), git(path, "reflog", "HEAD"))
    assert git(path, "cat-file", "blob", lost) == "a person's own"
    assert git(path, "cat-file", "-t", "main@{1}").strip() == "commit"
    assert holders(path / ".git", NAME.encode()) == []
    assert SECRET in (path / "code.py").read_text()
    blob = git(path, "rev-parse", "main:code.py").strip()
    assert blob_holders(path) == [blob], "the project's own file has it, and is none of ours"
    assert git(path, "status", "--porcelain") == ""
    fsck(path)


async def test_linked_worktrees_show_the_new_history(store: Path, tmp_path: Path) -> None:
    async with GitStateBackend(store) as backend:
        await backend.propose("x")
    async with GitStateBackend(store, branch="proposals/x") as backend:
        await backend.skip_sheets("weekly", [4])
        await work(backend, NAME, sheets=1)
    git(store, "worktree", "add", "-q", "../proposal", "proposals/x")
    git(store, "checkout", "-q", "-b", "elsewhere")
    git(store, "worktree", "add", "-q", "../linked", "main")
    git(store, "checkout", "-q", "--orphan", "other")
    git(store, "rm", "-qrf", ".")
    git(store, "branch", "-qD", "elsewhere")
    git(tmp_path / "linked", "commit", "-q", "--allow-empty", "-m", f"about {SECRET}")
    (store / ".git/worktrees/.DS_Store").write_bytes(b"\0")
    (store / ".git/worktrees/broken").mkdir()
    await purge(store, NAME, value=SECRET)
    clean(store)
    for folder in ("linked", "proposal"):
        assert git(tmp_path / folder, "status", "--porcelain") == ""
        assert not (tmp_path / folder / "jobs" / NAME).exists()
        assert (tmp_path / folder / "jobs/weekly/job.json").exists()
    assert "skipped sheet 4" in git(tmp_path / "proposal", "log", "--format=%s")
    (tmp_path / "proposal/jobs/weekly/job.json").write_text("mine")
    async with GitStateBackend(store) as backend:
        with pytest.raises(ConflictError, match="proposal"):
            await backend.plan_purge(["weekly"])
    git(tmp_path / "proposal", "reset", "-q", "--hard")
    for folder in ("linked", "proposal"):
        git(store, "worktree", "remove", f"../{folder}")


async def test_remotes_that_have_it_are_named_and_their_tracking_refs_go(store: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", store, "origin.git")
    git(store, "remote", "add", "origin", "https://user:password@example.org/a.git")
    git(store, "remote", "add", "other", "git@example.org:b.git")
    git(store, "fetch", "-q", tmp_path / "origin.git", "+refs/heads/*:refs/remotes/origin/*")
    git(store, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    git(store, "update-ref", "refs/gitstate/remotes/origin/rescue/weekly/x", "main")
    git(store, "pack-refs", "--all")
    report = await purge(store, NAME)
    clean(store)
    named = [(remote.name, remote.url, remote.branches) for remote in report.plan.remotes]
    assert named == [("origin", "https://example.org/a.git", ("main",)), ("other", "git@example.org:b.git", ())]
    assert set(report.plan.deleted) == {"refs/remotes/origin/main", "refs/gitstate/remotes/origin/rescue/weekly/x"}
    assert git(store, "for-each-ref", "refs/remotes", "refs/gitstate") == ""
    git(store, "fetch", "-q", tmp_path / "origin.git", "+refs/heads/*:refs/remotes/origin/*")
    again = await purge(store, NAME)
    assert (again.plan.deleted, again.plan.jobs) == (("refs/remotes/origin/main",), (NAME,))
    clean(store)


async def test_rescues_move_to_the_new_commits_and_those_of_the_job_go(store: Path) -> None:
    head = git(store, "rev-parse", "main").strip()
    for job in ("weekly", NAME):
        git(store, "update-ref", f"refs/gitstate/rescue/{job}/{head}", head)
    report = await purge(store, NAME)
    new = git(store, "rev-parse", "main~1").strip()
    assert git(store, "for-each-ref", "--format=%(refname)", "refs/gitstate") == f"refs/gitstate/rescue/weekly/{new}\n"
    assert f"refs/gitstate/rescue/{NAME}/{head}" in report.plan.deleted
    clean(store)


async def test_other_branches_a_stash_and_files_that_hold_it_are_named(store: Path) -> None:
    git(store, "branch", "backup")
    (store / "jobs/weekly/job.json").write_text("edited")
    git(store, "stash", "-q")
    git(store, "remote", "add", "x", "https://hunter2@example.org/x")
    async with GitStateBackend(store) as backend:
        state = await backend.load("weekly")
        assert state is not None
        state.metadata["key"] = "hunter2"
        await backend.save(state)
    report = await purge(store, NAME, value="hunter2")
    held = [each.what for each in report.plan.held]
    assert held == ["refs/heads/backup", "refs/stash", f"the file {store}/.git/config"]
    assert git(store, "stash", "show", "-p", "stash@{0}").count("+edited") == 1
    assert git(store, "log", "-1", "--format=%s", "backup") != ""
    git(store, "stash", "drop", "-q")
    git(store, "branch", "-qD", "backup")
    git(store, "config", "--remove-section", "remote.x")
    assert holders(store / ".git", NAME.encode()) != []
    await purge(store, NAME)


async def test_notes_that_hold_it_are_named_and_can_be_deleted(store: Path) -> None:
    git(store, "notes", "add", "-m", f"it was {SECRET}", "HEAD")
    report = await purge(store, value=SECRET)
    assert [held.what for held in report.plan.held] == ["refs/notes/commits"]
    git(store, "update-ref", "-d", "refs/notes/commits")
    assert holders(store / ".git", SECRET.encode()) != []
    await purge(store, value=SECRET)
    assert holders(store / ".git", SECRET.encode()) == []


async def test_what_nothing_leads_to_goes_too(store: Path) -> None:
    (store / "jobs/weekly/job.json").write_text(SECRET)
    git(store, "add", "-A")
    git(store, "commit", "-qm", f"dropped {SECRET}")
    git(store, "reset", "-q", "--hard", "HEAD~1")
    (store / ".git/objects/pack/tmp_pack_x").write_bytes(b"PACK")
    os.utime(store / ".git/objects/pack/tmp_pack_x", (1, 1))
    await purge(store, NAME, value=SECRET)
    clean(store)
    assert not (store / ".git/objects/pack/tmp_pack_x").exists()


async def test_a_value_that_only_a_lost_object_has_is_found(store: Path) -> None:
    (store / "lost").write_text("hunter2 was here")
    git(store, "hash-object", "-w", "lost")
    (store / "lost").unlink()
    head = git(store, "rev-parse", "main")
    report = await purge(store, value="hunter2")
    assert (report.plan.rewritten, report.removed) == (0, 1)
    assert holders(store / ".git", b"hunter2") == []
    assert git(store, "rev-parse", "main") == head
    with pytest.raises(NotFoundError):
        await purge(store, value="hunter2")


@pytest.mark.parametrize("prepared", ["gc", "cruft", "keep", "midx", "unpacked", "servers"])
async def test_packs_of_git_and_people_are_no_hiding_place(store: Path, prepared: str) -> None:
    if prepared == "cruft":
        git(store, "commit", "-q", "--amend", "--allow-empty", "-m", f"{SECRET}")
        git(store, "reflog", "expire", "--expire=now", "--all")
        git(store, "repack", "-qd", "--cruft")
    elif prepared == "unpacked":
        unpack(store)
    else:
        git(store, "-c", "repack.writeBitmaps=true", "gc", "-q")
    if prepared == "midx":
        git(store, "commit-graph", "write", "--reachable", "--split")
        git(store, "multi-pack-index", "write", "--bitmap")
    elif prepared == "keep":
        for pack in (store / ".git/objects/pack").glob("*.pack"):
            pack.with_suffix(".keep").write_text("mine")
    elif prepared == "servers":
        git(store, "update-server-info")
    await purge(store, NAME, value=SECRET)
    clean(store)
    (pack,) = (store / ".git/objects/pack").glob("*.pack")
    kept = pack.with_suffix(".keep")
    assert (kept.read_text() if kept.exists() else "") == ("mine" if prepared == "keep" else "")
    if prepared == "servers":
        assert pack.name in (store / ".git/objects/info/packs").read_text()
        assert git(store, "rev-parse", "main").strip() in (store / ".git/info/refs").read_text()
    git(store, "gc", "-q")
    fsck(store)


async def test_it_works_without_git(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with GitStateBackend(store) as backend:
        await backend.pin("weekly", "good")
        plan = await backend.plan_purge([NAME], value=SECRET)
        monkeypatch.setattr(shutil, "which", lambda _: None)
        assert await backend.plan_purge([NAME], value=SECRET) == plan
        await backend.purge([NAME], value=SECRET, confirm=plan.token)
    monkeypatch.undo()
    clean(store)
    assert git(store, "status", "--porcelain") == ""


@pytest.mark.parametrize("durability", ["full", "normal"])
async def test_the_journal_keeps_nothing(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "state"
    async with GitStateBackend(path, durability=durability) as backend:
        await work(backend, NAME)
        await work(backend, "weekly")
        assert NAME.encode() in b"".join(record_of(path))
        plan = await backend.plan_purge([NAME])
        await backend.purge([NAME], confirm=plan.token)
        await work(backend, "weekly")
        assert holders(path / ".git", NAME.encode()) == []
        assert (await backend.verify()).problems == ()
    clean(path)


def record_of(path: Path) -> list[bytes]:
    from gitstate.engine import packs
    from gitstate.engine.journal import Journal

    journal = Journal(path / ".git/gitstate/journal")
    journal.refresh()
    bodies = [item.body for record in journal.records for item in packs.objects(record.pack)]
    journal.close()
    return bodies


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
