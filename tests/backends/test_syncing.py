"""Sync between stores, by way of a bare repository on this disk: what becomes of jobs, pins, rescues and branches."""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, SheetStatus, errors
from gitstate.engine.wire.transport import Outgoing, Transport
from gitstate.store.parking import keep_losers
from gitstate.store.remote import sync
from gitstate.store.remote.outcomes import SyncReport
from tests.git import fsck, git

RESCUES = "refs/gitstate/rescue/"


@pytest.fixture(autouse=True)
def hub_is_sound(hub: Path) -> Iterator[None]:
    """Let git check the repository in the middle after the test."""
    yield
    fsck(hub)


def job(name: str = "nightly", sheets: int = 5) -> CheckpointState:
    return CheckpointState(job_id=name, job_name=name, total_sheets=sheets)


async def run_sheet(backend: GitStateBackend, sheet: int, name: str = "nightly") -> None:
    state = await backend.load(name)
    assert state is not None
    state.mark_sheet_started(sheet)
    state.mark_sheet_completed(sheet)
    await backend.save(state)


async def rename(backend: GitStateBackend, text: str, name: str = "nightly") -> None:
    """Change what two sides cannot both have."""
    state = await backend.load(name)
    assert state is not None
    state.job_name = text
    await backend.save(state)


def results(report: SyncReport) -> dict[str, str]:
    return {each.document: each.result for each in report.outcomes}


def fates(report: Any) -> list[str]:
    return [each.fate for each in report.companions]


def head(folder: Path, ref: str = "main") -> str:
    return git(folder, "rev-parse", ref).strip()


def refs(folder: Path, below: str) -> list[str]:
    return git(folder, "for-each-ref", "--format=%(refname)", below).split()


async def first(folder: Path, hub: Path, stack: AsyncExitStack, *jobs: str) -> GitStateBackend:
    """Make a store with some jobs, and bring it to the hub."""
    backend = await stack.enter_async_context(GitStateBackend(folder))
    for name in jobs or ("nightly",):
        await backend.save(job(name))
    await backend.add_remote("origin", str(hub))
    await backend.sync()
    return backend


def begun_by_somebody_else(folder: Path) -> Path:
    """Two stores that one person makes in one second begin with the very same commit."""
    git(folder.parent, "init", "-q", str(folder))
    git(folder, "config", "user.name", "Somebody Else")
    return folder


async def two(tmp_path: Path, hub: Path, stack: AsyncExitStack) -> tuple[GitStateBackend, GitStateBackend]:
    """Two machines that have the same."""
    one = await first(tmp_path / "one", hub, stack)
    other = await stack.enter_async_context(await GitStateBackend.clone(str(hub), tmp_path / "other"))
    return one, other


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


async def test_what_cannot_be_merged_is_put_aside_and_travels(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await rename(one, "as one has it")
        await one.sync()
        await rename(other, "as the other has it")
        report = await other.sync()
        assert results(report) == {"nightly": "parked"} and not report.is_clean
        assert fates(report) == ["kept"]
        assert len(refs(hub, RESCUES)) == len(refs(tmp_path / "other", RESCUES)) == 1
        report = await one.sync()
        assert report.is_clean and fates(report) == ["received"]
        assert refs(tmp_path / "one", RESCUES) == refs(hub, RESCUES)
        for backend in (one, other):
            assert (await backend.sync()).is_up_to_date
        git(tmp_path / "one", "update-ref", "-d", refs(hub, RESCUES)[0])
        report = await one.sync()
        assert fates(report) == ["dropped there"] and refs(hub, RESCUES) == []
        report = await other.sync()
        assert fates(report) == ["dropped here"] and refs(tmp_path / "other", RESCUES) == []
        assert refs(tmp_path / "other", "refs/gitstate/") == refs(tmp_path / "one", "refs/gitstate/") == []


async def test_a_merge_that_saves_overtake_keeps_what_lost_once(
    tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["ours, later", "ours, last"]

    def overtaken(*words: Any) -> Any:
        found = keep_losers(*words)
        if texts:
            asyncio.run_coroutine_threadsafe(rename(one, texts.pop(0)), loop).result(30)
        return found

    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await rename(other, "theirs")
        await other.sync()
        await rename(one, "ours")
        monkeypatch.setattr(sync, "keep_losers", overtaken)
        assert fates(await one.sync()) == ["kept"]
        (rescue,) = await one.rescues()
        assert (await one.show_rescue(rescue.name)).value["job_name"] == "theirs"
        assert rescue.against is not None
        assert git(tmp_path / "one", "log", "-1", "--format=%P", "main").split()[0] == rescue.against


async def test_what_was_parked_beyond_measure_is_taken_in_by_others(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        for backend, text in ((other, "theirs"), (one, "ours")):
            state = await backend.load("nightly")
            assert state is not None
            state.metadata = {"k" * 1_100_000: text}
            await backend.save(state)
        await other.sync()
        assert fates(await one.sync()) == ["kept"]
        report = await other.sync()
        assert (results(report), fates(report)) == ({"nightly": "fast-forwarded"}, ["received"])
        (rescue,) = await other.rescues()
        assert rescue.places == ("",)
        await other.apply_rescue(rescue.name)
        state = await other.load("nightly")
        assert state is not None and [*state.metadata.values()] == ["theirs"]


async def test_a_remote_that_was_made_anew_drops_nothing_here(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await rename(one, "as one has it")
        await one.sync()
        await rename(other, "as the other has it")
        await other.sync()
        rescues = refs(hub, RESCUES)
        for ref in (*rescues, "refs/heads/main"):
            git(hub, "update-ref", "-d", ref)
        report = await other.sync()
        assert "dropped here" not in fates(report)
        assert refs(hub, RESCUES) == refs(tmp_path / "other", RESCUES) == rescues
        assert head(hub) == head(tmp_path / "other")


async def test_a_rescue_that_was_dropped_here_does_not_come_back_when_the_remote_moves(
    tmp_path: Path, hub: Path
) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await rename(one, "as one has it")
        await one.sync()
        await rename(other, "as the other has it")
        await other.sync()
        await one.sync()
        git(tmp_path / "one", "update-ref", "-d", refs(tmp_path / "one", RESCUES)[0])
        await run_sheet(other, 1)
        await other.sync()
        report = await one.sync()
        assert fates(report) == ["dropped there"]
        assert refs(tmp_path / "one", RESCUES) == refs(hub, RESCUES) == []


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


async def test_pins_travel_and_never_move(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await one.pin("nightly", "start")
        assert fates(await one.sync()) == ["sent"]
        assert fates(await other.sync()) == ["received"]
        assert refs(tmp_path / "other", "refs/tags/") == ["refs/tags/jobs/nightly/start"]
        await run_sheet(one, 1)
        await one.pin("nightly", "same")
        await other.pin("nightly", "same")
        await one.sync()
        report = await other.sync()
        assert fates(report) == ["differs"] and not report.is_clean
        assert head(tmp_path / "other", "jobs/nightly/same") != head(hub, "jobs/nightly/same")


async def test_a_tag_of_gits_own_kind_is_the_same_pin(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        git(tmp_path / "one", "tag", "-a", "-m", "a note", "jobs/nightly/noted", "main")
        git(tmp_path / "one", "push", "-q", "origin", "jobs/nightly/noted")
        report = await other.sync()
        assert fates(report) == ["received"]
        assert head(tmp_path / "other", "jobs/nightly/noted^{commit}") == head(tmp_path / "one")
        for backend in (one, other):
            assert "differs" not in fates(await backend.sync())


@contextmanager
def meanwhile(work: Any, times: int = 1) -> Iterator[list[int]]:
    """Let something happen between what a remote says of itself and what it gets."""
    push, count = Transport.push, [0]

    def pushed(self: Transport, plan: Any, *more: Any, **options: Any) -> Any:
        def planned(there: Any) -> Outgoing | None:
            outgoing: Outgoing | None = plan(there)
            if outgoing is not None and count[0] < times:
                count[0] += 1
                work()
            return outgoing

        return push(self, planned, *more, **options)

    Transport.push = pushed  # type: ignore[method-assign]
    try:
        yield count
    finally:
        Transport.push = push  # type: ignore[method-assign]


def save_elsewhere(folder: Path, hub: Path, number: int) -> None:
    """Let a person save something and push it, with nothing but git."""
    path = folder / "notes" / f"{number}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{number}\n")
    git(folder, "pull", "-q", "--no-rebase", str(hub), "main")
    git(folder, "add", "notes")
    git(folder, "commit", "-qm", f"note {number}")
    git(folder, "push", "-q", str(hub), "HEAD:main")


async def test_a_remote_that_moves_at_the_last_moment_is_merged_once_more(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await first(tmp_path / "one", hub, stack)
        git(tmp_path, "clone", "-q", str(hub), "person")
        await run_sheet(one, 1)
        numbers = iter(range(3))
        with meanwhile(lambda: save_elsewhere(tmp_path / "person", hub, next(numbers)), times=3) as count:
            report = await one.sync()
        assert count == [3] and report.rounds > 3
        assert head(hub) == head(tmp_path / "one") == report.head
        assert git(tmp_path / "one", "ls-tree", "-r", "--name-only", "main", "notes").split() == [
            f"notes/{number}.txt" for number in range(3)
        ]


async def test_saves_go_on_while_a_sync_is_at_work(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        for sheet in range(1, 6):
            await run_sheet(other, sheet)
        await other.sync()

        async def save_much() -> None:
            for number in range(15):
                await one.save(job(f"job-{number}"))

        await asyncio.gather(save_much(), *(one.sync() for _ in range(3)))
        await one.sync()
        await other.sync()
        assert head(hub) == head(tmp_path / "one") == head(tmp_path / "other")
        assert len(await other.list_jobs()) == 16


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


async def test_companions_that_are_refused_do_not_keep_the_branch_back(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await first(tmp_path / "one", hub, stack)
        hook = hub / "hooks/pre-receive"
        hook.write_text("#!/bin/sh\n! grep refs/tags/\n")
        hook.chmod(0o755)
        await run_sheet(one, 1)
        await one.pin("nightly", "start")
        report = await one.sync()
        assert fates(report) == ["refused"] and not report.is_clean
        assert head(hub) == head(tmp_path / "one")
        await run_sheet(one, 2)
        assert fates(await one.push()) == ["refused"]
        assert head(hub) == head(tmp_path / "one")


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


async def test_many_machines_on_their_own_and_shared_jobs_come_to_one_commit(tmp_path: Path, hub: Path) -> None:
    dice = random.Random(7)
    async with AsyncExitStack() as stack:
        machines = [await first(tmp_path / "m0", hub, stack, "first")]
        await machines[0].save(job("shared", 20))
        await machines[0].sync()
        for number in range(1, 4):
            clone = await GitStateBackend.clone(str(hub), tmp_path / f"m{number}")
            machines.append(await stack.enter_async_context(clone))

        async def work(number: int, backend: GitStateBackend) -> None:
            await backend.save(job(f"own-{number}"))
            for step in range(5):
                await backend.mark_sheet_status("shared", number * 5 + step + 1, SheetStatus.COMPLETED)
                if dice.random() < 0.6:
                    await backend.sync()

        await asyncio.gather(*(work(number, backend) for number, backend in enumerate(machines)))
        for backend in (*machines, *machines):
            await backend.sync()
        assert {head(tmp_path / f"m{number}") for number in range(4)} == {head(hub)}
        for backend in machines:
            assert (await backend.sync()).is_up_to_date
            state = await backend.load("shared")
            assert state is not None and sorted(state.sheets) == list(range(1, 21))
            assert len(await backend.list_jobs()) == 6
