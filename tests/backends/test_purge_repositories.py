"""Purging in repositories of every kind: wherever git keeps what is purged, it goes or is named."""

import os
import shutil
from pathlib import Path

import pytest

from gitstate import GitStateBackend
from gitstate.errors import ConflictError, NotFoundError
from tests.backends.purging import NAME, SECRET, blob_holders, clean, purge, two_jobs, work
from tests.git import fsck, git, unpack
from tests.remains import holders

store = pytest.fixture(two_jobs)


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
