"""Sync between stores, by way of a bare repository on this disk: what becomes of jobs, and what is refused."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gitstate import GitStateBackend, InMemoryStateBackend, errors
from tests.backends.machines import begun_by_somebody_else, first, head, job, refs, rename, results, run_sheet, two
from tests.git import git


async def test_a_new_remote_gets_all_and_then_nothing(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        backend = await first(tmp_path / "one", hub, stack)
        assert head(hub) == head(tmp_path / "one") == head(tmp_path / "one", "refs/remotes/origin/main")
        report = await backend.sync()
        assert report.is_up_to_date and report.is_clean and report.rounds == 1
        await run_sheet(backend, 1)
        report = await backend.sync()
        assert (report.pushed, report.fetched, report.head) == (1, 0, head(hub))
        assert await backend.standing() == (head(hub), (), ())


async def test_machines_that_sync_in_turn_come_to_one_commit_and_stop(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await run_sheet(one, 1)
        await run_sheet(other, 2)
        await one.save(job("weekly"))
        assert (await one.sync()).pushed == 2
        merged = await other.sync()
        assert results(merged) == {"nightly": "merged", "weekly": "created"}
        assert (merged.pushed, merged.fetched, merged.rounds) == (2, 2, 2)
        taken = await one.sync()
        assert results(taken) == {"nightly": "fast-forwarded"} and taken.pushed == 0
        for backend in (one, other, one, other):
            assert (await backend.sync()).is_up_to_date
        assert head(hub) == head(tmp_path / "one") == head(tmp_path / "other")
        for backend in (one, other):
            state = await backend.load("nightly")
            assert state is not None and sorted(state.sheets) == [1, 2]
            await backend.flush()
        for folder in ("one", "other"):
            assert git(tmp_path / folder, "status", "--porcelain") == ""
            assert (tmp_path / folder / "jobs/nightly/sheets/0002.json").exists()


@pytest.mark.parametrize(("choice", "name"), [("ours", "of one"), ("theirs", "of the other")])
async def test_a_side_may_be_preferred(tmp_path: Path, hub: Path, choice: Any, name: str) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await rename(one, "of one")
        await rename(other, "of the other")
        await other.sync()
        await one.sync(on_conflict=choice)
        for backend in (one, other):
            await backend.sync()
            state = await backend.load("nightly")
            assert state is not None and state.job_name == name


async def test_to_fail_changes_nothing(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await rename(one, "of one")
        await rename(other, "of the other")
        await other.sync()
        before = head(hub), head(tmp_path / "one")
        with pytest.raises(errors.ConflictError) as raised:
            await one.sync(on_conflict="fail")
        assert [each.pointer for each in raised.value.conflicts] == ["/job_name"]
        assert (head(hub), head(tmp_path / "one")) == before
        with pytest.raises(errors.InvalidInputError, match="on_conflict"):
            await one.sync(on_conflict="force")  # type: ignore[arg-type]


async def test_a_store_without_jobs_takes_in_what_a_remote_has(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await first(tmp_path / "one", hub, stack)
        other = await stack.enter_async_context(GitStateBackend(begun_by_somebody_else(tmp_path / "other")))
        await other.add_remote("origin", str(hub))
        report = await other.sync()
        assert results(report) == {"nightly": "created"}
        assert await other.load("nightly") is not None
        await one.sync()
        assert head(hub) == head(tmp_path / "one") == head(tmp_path / "other")


async def test_two_stores_that_have_nothing_in_common_stay_apart(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        await first(tmp_path / "one", hub, stack)
        other = await stack.enter_async_context(GitStateBackend(begun_by_somebody_else(tmp_path / "other")))
        await other.save(job("weekly"))
        await other.add_remote("origin", str(hub))
        before = head(hub), head(tmp_path / "other")
        with pytest.raises(errors.DivergedError, match="no history in common") as raised:
            await other.sync()
        assert "clone" in raised.value.hint
        assert (head(hub), head(tmp_path / "other")) == before


async def test_push_goes_forward_only(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await run_sheet(one, 1)
        report = await one.push()
        assert (report.pushed, report.head) == (1, head(hub))
        assert (await one.push()).pushed == 0
        await run_sheet(other, 2)
        with pytest.raises(errors.DivergedError, match="nothing was pushed"):
            await other.push()
        assert head(hub) == head(tmp_path / "one")


async def test_fetch_moves_no_job(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await run_sheet(one, 1)
        await one.sync()
        before = head(tmp_path / "other")
        report = await other.fetch()
        assert (report.fetched, report.tip, report.before) == (1, head(hub), before)
        assert head(tmp_path / "other") == before
        assert head(tmp_path / "other", "refs/remotes/origin/main") == head(hub)
        assert await other.standing() == (head(hub), (), (head(hub),))
        again = await other.fetch()
        assert (again.before, again.tip) == (head(hub), head(hub))
        report_of_sync = await other.sync()
        assert results(report_of_sync) == {"nightly": "fast-forwarded"} and head(tmp_path / "other") == head(hub)


async def test_what_is_no_store_is_named_and_left_alone(tmp_path: Path, hub: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "project")
    (tmp_path / "project/code.py").write_text("pass\n")
    git(tmp_path / "project", "add", ".")
    git(tmp_path / "project", "commit", "-qm", "code")
    git(tmp_path / "project", "push", "-q", str(hub), "main")
    async with GitStateBackend(tmp_path / "one") as backend:
        await backend.save(job())
        await backend.add_remote("origin", str(hub))
        before = head(hub), head(tmp_path / "one")
        for verb in (backend.sync, backend.fetch):
            with pytest.raises(errors.UnsupportedError, match="the branch main of origin is no store"):
                await verb()
        assert (head(hub), head(tmp_path / "one")) == before
        assert refs(tmp_path / "one", "refs/remotes/") == []
    with pytest.raises(errors.UnsupportedError, match="is no store"):
        await GitStateBackend.clone(str(hub), tmp_path / "clone")
    assert not (tmp_path / "clone").exists()


async def test_a_newer_format_is_left_alone(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await first(tmp_path / "one", hub, stack)
        git(tmp_path, "clone", "-q", str(hub), "later")
        (tmp_path / "later/gitstate.json").write_text('{"format": 2, "fanout": 0}\n')
        git(tmp_path / "later", "commit", "-qam", "as of next year")
        git(tmp_path / "later", "push", "-q", "origin", "main")
        with pytest.raises(errors.UnsupportedFormatError, match=r"the branch main of origin: .*2"):
            await one.sync()
        assert head(tmp_path / "one") != head(hub)


async def test_a_hook_that_refuses_is_quoted(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await first(tmp_path / "one", hub, stack)
        hook = hub / "hooks/pre-receive"
        hook.write_text("#!/bin/sh\necho 'no states on Fridays' >&2\nexit 1\n")
        hook.chmod(0o755)
        await run_sheet(one, 1)
        for verb in (one.sync, one.push):
            with pytest.raises(errors.RejectedError, match="no states on Fridays") as raised:
                await verb()
            assert list(raised.value.refs) == ["refs/heads/main"]
        assert head(tmp_path / "one", "refs/remotes/origin/main") == head(hub)
        hook.unlink()
        assert (await one.sync()).pushed == 1


async def test_a_branch_that_is_checked_out_over_there_is_not_pushed_to(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await run_sheet(one, 1)
        await one.add_remote("laptop", str(tmp_path / "other"))
        with pytest.raises(errors.RejectedError, match=r"checked.out|denyCurrentBranch") as raised:
            await one.sync("laptop")
        assert "bare" in raised.value.hint
        await other.add_remote("desk", str(tmp_path / "one"))
        assert (await other.sync("desk")).fetched == 1  # which is the way round that works
        assert (await one.sync("laptop")).is_up_to_date


async def test_an_address_will_do_and_nothing_is_remembered_of_it(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, _ = await two(tmp_path, hub, stack)
        git(tmp_path, "init", "-q", "--bare", "-b", "main", "second.git")
        report = await one.sync(str(tmp_path / "second.git"))
        assert report.remote == str(tmp_path / "second.git") and head(tmp_path / "second.git") == head(hub)
        assert refs(tmp_path / "one", "refs/remotes/") == ["refs/remotes/origin/main"]
        with pytest.raises(errors.NotFoundError, match="upstream"):
            await one.sync("upstream")


async def test_a_persons_pull_and_push_are_a_part_of_it(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await run_sheet(one, 1)
        await one.flush()
        git(tmp_path / "one", "push", "-q", "origin", "main")
        await other.save(job("weekly"))
        await other.flush()
        git(tmp_path / "other", "pull", "-q", "--no-rebase", "--no-edit")
        git(tmp_path / "other", "push", "-q", "origin", "main")
        await run_sheet(one, 3)
        report = await one.sync()
        assert results(report) == {"nightly": "up to date", "weekly": "created"}
        await other.sync()
        for backend in (one, other):
            state = await backend.load("nightly")
            assert state is not None and sorted(state.sheets) == [1, 3]
            assert (await backend.sync()).is_up_to_date


async def test_a_commit_in_a_folder_that_lags_takes_nothing_of_a_sync_back(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await run_sheet(other, 1)
        await other.save(job("weekly"))
        await other.sync()
        await run_sheet(one, 2)
        await one.flush()
        (tmp_path / "one/notes.txt").write_text("mine\n")
        git(tmp_path / "one", "add", "notes.txt")
        await one.sync()  # the folder shows none of it yet
        git(tmp_path / "one", "commit", "-qm", "my notes")
        await one.sync()
        await other.sync()
        assert head(hub) == head(tmp_path / "one") == head(tmp_path / "other")
        for backend in (one, other):
            state = await backend.load("nightly")
            assert state is not None and sorted(state.sheets) == [1, 2]
            assert await backend.load("weekly") is not None
        assert "notes.txt" in git(tmp_path / "other", "ls-tree", "--name-only", "main")


async def test_a_merge_of_sync_is_not_taken_for_a_persons_commit(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        for sheet in range(1, 5):
            await run_sheet(one if sheet % 2 else other, sheet)
            await (one if sheet % 2 else other).sync()
        await one.sync()
        subjects = git(hub, "log", "--format=%s").splitlines()
        assert not [subject for subject in subjects if "brought back" in subject]
        log = [revision.revision for revision in await one.history("nightly")]
        assert log == [revision.revision for revision in await other.history("nightly")]
        assert set(log) <= set(git(hub, "log", "--format=%H", "--", "jobs/nightly").split())


async def test_a_job_that_is_no_state_there_keeps_our_version_and_others_proceed(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, _ = await two(tmp_path, hub, stack)
        git(tmp_path, "clone", "-q", str(hub), "person")
        path = tmp_path / "person/jobs/nightly/job.json"
        value = json.loads(path.read_text())
        path.write_text(json.dumps({**value, "total_sheets": "many"}))
        weekly = tmp_path / "person/jobs/weekly"
        weekly.mkdir()
        (weekly / "job.json").write_text(json.dumps({**value, "job_id": "weekly"}))
        git(tmp_path / "person", "add", ".")
        git(tmp_path / "person", "-c", "user.name=Eve", "commit", "-qm", "a slip")
        git(tmp_path / "person", "push", "-q", "origin", "main")
        report = await one.sync()
        assert results(report) == {"nightly": "invalid", "weekly": "created"} and not report.is_clean
        outcome = report.outcomes[0]
        assert (outcome.revision, outcome.author) == (head(tmp_path / "person"), "Eve")
        state = await one.load("nightly")
        assert state is not None and state.total_sheets == 5
        assert head(hub) == head(tmp_path / "one")
        assert (await one.sync()).is_up_to_date


async def test_a_store_on_a_branch_of_a_project(tmp_path: Path, hub: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "project")
    git(tmp_path / "project", "commit", "-q", "--allow-empty", "-m", "code")
    git(tmp_path / "project", "remote", "add", "origin", str(hub))
    git(tmp_path / "project", "push", "-q", "origin", "main")
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(GitStateBackend(tmp_path / "project", branch="gitstate"))
        await one.save(job())
        assert (await one.sync()).pushed == 2
        code = head(hub)
        other = await stack.enter_async_context(
            await GitStateBackend.clone(str(hub), tmp_path / "o", branch="gitstate")
        )
        await run_sheet(other, 1)
        await other.sync()
        assert results(await one.sync()) == {"nightly": "fast-forwarded"}
        assert head(hub) == code and head(hub, "gitstate") == head(tmp_path / "project", "gitstate")
        assert git(tmp_path / "project", "status", "--porcelain") == ""
        assert git(tmp_path / "o", "config", "gitstate.branch").strip() == "gitstate"


async def test_bare_stores_sync_as_others_do(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await first(tmp_path / "one", hub, stack)
        bare = await stack.enter_async_context(await GitStateBackend.clone(str(hub), tmp_path / "bare", worktree=False))
        assert bare.store.path is None and (tmp_path / "bare/objects").is_dir()
        await run_sheet(bare, 1)
        assert (await bare.sync()).pushed == 1
        assert (await one.sync()).fetched == 1


async def test_a_store_in_memory_has_no_remotes() -> None:
    async with InMemoryStateBackend() as backend:
        for call in (backend.sync, backend.fetch, backend.push, backend.remotes):
            with pytest.raises(errors.UnsupportedError, match="in memory"):
                await call()


async def test_remotes_are_gits_own(tmp_path: Path, hub: Path) -> None:
    async with GitStateBackend(tmp_path / "one") as backend:
        await backend.add_remote("origin", str(hub))
        assert git(tmp_path / "one", "remote", "get-url", "origin").strip() == str(hub)
        git(tmp_path / "one", "remote", "add", "backup", "../elsewhere")
        assert [each.name for each in await backend.remotes()] == ["backup", "origin"]
        with pytest.raises(errors.ExistsError):
            await backend.add_remote("origin", str(hub))
        await backend.sync()
        await backend.remove_remote("origin")
        assert refs(tmp_path / "one", "refs/remotes/") == []
        assert git(tmp_path / "one", "remote").split() == ["backup"]
