"""Proposals: branches of changes that are applied only if what they relied on is still so."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, JobStatus, SheetStatus
from gitstate.backends.proposing import AppliedProposal
from gitstate.errors import (
    BusyError,
    ConflictError,
    ExistsError,
    GitStateError,
    InvalidInputError,
    NotFoundError,
    StaleError,
)
from gitstate.store.history import walked
from gitstate.store.trails import Trail
from tests.git import fsck, git

Change = Callable[[GitStateBackend], Awaitable[Any]]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Path]:
    """A store with two jobs: ``nightly``, 3 of 6 sheets done and one failed, and ``weekly``, complete."""
    path = tmp_path / "state"
    async with GitStateBackend(path) as backend:
        nightly = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=6)
        await backend.save(nightly)
        for sheet in (1, 2, 3):
            nightly.mark_sheet_started(sheet)
            nightly.mark_sheet_completed(sheet)
            await backend.save(nightly)
        nightly.mark_sheet_started(4)
        nightly.mark_sheet_failed(4, "out of memory")
        nightly.mark_job_paused()
        await backend.save(nightly)
        weekly = CheckpointState(job_id="weekly", job_name="Weekly", total_sheets=2)
        for sheet in (1, 2):
            weekly.mark_sheet_started(sheet)
            weekly.mark_sheet_completed(sheet)
        await backend.save(weekly)
    yield path
    fsck(path)
    async with GitStateBackend(path) as backend:
        for job in ("nightly", "weekly", "fresh"):  # the index answers as a plain walk does
            told = [each.id for each in backend.store.history(backend._jobs, job)]
            plain = [each.id for each in walked(backend.store.reader, Trail(backend._jobs, job, backend.store.head()))]
            assert told == plain
        assert (await backend.verify()).ok
    assert git(path, "status", "--porcelain") == ""


@asynccontextmanager
async def proposing(path: Path, name: str = "x") -> AsyncIterator[GitStateBackend]:
    async with GitStateBackend(path, branch=f"proposals/{name}", create=False) as backend:
        yield backend


async def propose(path: Path, *changes: Change, name: str = "x") -> None:
    async with GitStateBackend(path) as backend:
        await backend.propose(name)
    async with proposing(path, name) as backend:
        for change in changes:
            await change(backend)


async def state_of(path: Path, job: str = "nightly", branch: str = "main") -> CheckpointState:
    async with GitStateBackend(path, branch=branch) as backend:
        state = await backend.load(job)
        assert state is not None
        return state


def skip(*sheets: int) -> Change:
    return lambda backend: backend.skip_sheets("nightly", sheets)


def reset(*sheets: int) -> Change:
    return lambda backend: backend.reset_sheets("nightly", sheets)


async def roll_back(backend: GitStateBackend) -> None:
    await backend.rollback("nightly", "~2")


async def run_sheet_4(backend: GitStateBackend) -> None:
    state = await backend.load("nightly")
    assert state is not None
    state.mark_sheet_started(4)
    await backend.save(state)
    state.mark_sheet_completed(4)
    state.mark_job_paused()
    await backend.save(state)


async def change(path: Path, *changes: Change) -> None:
    async with GitStateBackend(path) as backend:
        for each in changes:
            await each(backend)


async def apply(path: Path, name: str = "x", **options: Any) -> AppliedProposal:
    async with GitStateBackend(path) as backend:
        return await backend.apply_proposal(name, **options)


def branches(path: Path) -> list[str]:
    return git(path, "branch", "--format=%(refname:short)").split()


async def test_a_proposal_is_a_branch_with_a_writer_of_its_own(store: Path) -> None:
    before = git(store, "rev-parse", "main")
    index = (store / ".git/index").read_bytes()
    await propose(store, skip(5), name="team/skip-5")
    assert git(store, "rev-parse", "main") == before and (store / ".git/index").read_bytes() == index
    assert git(store, "status", "--porcelain") == "" and branches(store) == ["main", "proposals/team/skip-5"]
    assert (await state_of(store)).sheets.get(5) is None
    assert (await state_of(store, branch="proposals/team/skip-5")).sheets[5].status == SheetStatus.SKIPPED
    async with GitStateBackend(store) as backend:
        [told] = await backend.proposals()
    assert (told.name, told.ahead, told.behind, told.jobs) == ("team/skip-5", 1, 0, ("nightly",))
    assert told.subject == "nightly: skipped sheet 5 (4/6 done)" and told.base == before.strip()
    assert "branch: Created from" in git(store, "reflog", "show", "proposals/team/skip-5")


async def test_it_is_reviewed_against_the_jobs_of_now_and_applied(store: Path) -> None:
    await propose(store, skip(5))
    await change(store, run_sheet_4)
    async with GitStateBackend(store) as backend:
        head = backend.store.head()
        review = await backend.review_proposal("x", texts=True)
        assert (review.state, review.head, review.moved, review.problems) == ("applicable", head, (), ())
        [diff] = review.jobs
        assert [sheet.sheet for sheet in diff.sheets] == ["5"] and diff.fields == ()  # and nothing of sheet 4
        assert sorted(review.texts) == ["jobs/nightly/job.json", "jobs/nightly/sheets/0005.json"]
        dry = await backend.apply_proposal("x", dry_run=True)
        assert (dry.revision, dry.jobs, backend.store.head()) == (None, ("nightly",), head)
        done = await backend.apply_proposal("proposals/x", message="Nobody needs it")
        assert (done.jobs, done.kept, done.is_contained) == (("nightly",), "", False)
        state = await backend.load("nightly")
        assert state is not None
        statuses = [state.sheets[number].status.value for number in range(1, 6)]
        assert statuses == ["completed", "completed", "completed", "completed", "skipped"]
        [newest] = await backend.history("nightly", limit=1)
        assert (newest.revision, newest.event, newest.status, newest.progress) == (
            done.revision,
            "merged",
            "paused",
            "5/6",
        )
        assert newest.subject == "proposal x: nightly: skipped sheet 5 (4/6 done)"
        assert newest.message == "Nobody needs it"
    parents = git(store, "log", "-1", "--format=%P", "main").split()
    assert parents == [head, done.proposal.revision]
    assert "Gitstate-Proposal: x" in git(store, "log", "-1", "--format=%(trailers)", "main")
    assert branches(store) == ["main"] and not (store / ".git/logs/refs/heads/proposals").exists()


async def test_a_rollback_relies_on_the_whole_job(store: Path) -> None:
    await propose(store, roll_back)
    await change(store, lambda backend: backend.mark_sheet_status("weekly", 2, SheetStatus.FAILED))
    async with GitStateBackend(store) as backend:
        assert (await backend.review_proposal("x")).state == "applicable"  # another job does not count
        await run_sheet_4(backend)
        head = backend.store.head()
        review = await backend.review_proposal("x")
        assert review.state == "moved" and not review.jobs and len(review.outdated) == 1
        moved = {each.place: each for each in review.moved}
        assert moved["/sheets/4/status"].now == "completed" and moved["/sheets/4/status"].relied == "failed"
        who = moved["/sheets/4/status"].checkpoint
        assert who is not None and who.subject.startswith("nightly: sheet 4 completed")
        with pytest.raises(StaleError, match="/sheets/4/status of job 'nightly'") as caught:
            await backend.apply_proposal("x")
        assert {each.place for each in caught.value.moved} == moved.keys()
        assert backend.store.head() == head
    assert "proposals/x" in branches(store)


async def test_where_a_save_changed_nothing_but_its_time_a_rollback_is_applied(store: Path) -> None:
    await propose(store, roll_back)

    async def save_again(backend: GitStateBackend) -> None:
        state = await backend.load("nightly")
        assert state is not None
        await backend.save(state)

    await change(store, save_again)
    done = await apply(store)
    state = await state_of(store)
    assert done.revision is not None and (state.get_next_sheet(), state.last_completed_sheet) == (3, 2)


async def test_a_sheet_that_ran_again_is_not_reset_unseen(store: Path) -> None:
    await propose(store, reset(4))

    async def fail_again(backend: GitStateBackend) -> None:
        state = await backend.load("nightly")
        assert state is not None
        state.mark_sheet_started(4)
        state.mark_sheet_failed(4, "out of memory")
        state.mark_job_paused()
        await backend.save(state)

    await change(store, fail_again)
    with pytest.raises(StaleError, match="attempt_count"):
        await apply(store)


async def test_a_sheet_that_somebody_skipped_meanwhile_is_named(store: Path) -> None:
    await propose(store, skip(5), skip(6))
    await change(store, lambda backend: backend.skip_sheets("nightly", [6]))
    async with GitStateBackend(store) as backend:
        review = await backend.review_proposal("x")
    assert [each.place for each in review.moved] == ["/sheets/6"]  # it has another time


async def test_what_is_so_already_is_no_obstacle(store: Path) -> None:
    await propose(store, reset(4), skip(5))
    await change(store, lambda backend: backend.reset_sheets("nightly", [4]))
    done = await apply(store)
    state = await state_of(store)
    assert done.revision is not None
    assert (state.sheets[4].status, state.sheets[5].status) == (SheetStatus.PENDING, SheetStatus.SKIPPED)


async def test_several_jobs_and_a_new_one_in_one_proposal(store: Path) -> None:
    async def fork(backend: GitStateBackend) -> None:
        await backend.fork("nightly", "fresh", from_sheet=3)

    await propose(store, fork, reset(1), lambda backend: backend.reset_sheets("weekly", [2]))
    done = await apply(store, message="Monday")
    assert done.jobs == ("fresh", "nightly", "weekly")
    assert git(store, "log", "-1", "--format=%s", "main").strip() == "proposal x: 3 jobs, 3 commits"
    async with GitStateBackend(store) as backend:
        for job in done.jobs:
            [newest] = await backend.history(job, limit=1)
            assert (newest.revision, newest.event) == (done.revision, "merged")
            assert (await backend.blame(job, "/status")).settings
        states = {state.job_id: state.status for state in await backend.list_jobs()}
        assert states == {"fresh": JobStatus.PAUSED, "nightly": JobStatus.PAUSED, "weekly": JobStatus.PAUSED}
        page = await backend.query_jobs()
        assert {job["id"]: job["status"] for job in page} == dict.fromkeys(states, "paused")
        with pytest.raises(InvalidInputError, match="several jobs"):
            await backend.undo()
        await backend.undo("weekly")
        weekly = await backend.load("weekly")
        assert weekly is not None and weekly.status == JobStatus.COMPLETED
        nightly = await backend.load("nightly")
        assert nightly is not None and nightly.sheets[1].status == SheetStatus.PENDING


async def test_a_job_that_a_proposal_makes_must_not_be_there(store: Path) -> None:
    async def fork(backend: GitStateBackend) -> None:
        await backend.fork("nightly", "fresh")

    await propose(store, fork)
    await change(store, fork)
    with pytest.raises(StaleError, match="the state of job 'fresh'"):
        await apply(store)


@pytest.mark.parametrize("moves", [False, True])
async def test_a_deletion_relies_on_the_whole_job(store: Path, moves: bool) -> None:
    await propose(store, lambda backend: backend.delete("weekly"))
    if moves:
        await change(store, lambda backend: backend.record_execution("weekly", 2, 2, "again", "done"))
        with pytest.raises(StaleError, match="of job 'weekly'"):
            await apply(store)
        return
    done = await apply(store)
    async with GitStateBackend(store) as backend:
        assert await backend.load("weekly") is None
        assert [each.job_id for each in await backend.deleted_jobs()] == ["weekly"]
        [newest, *_] = await backend.history("weekly")
        assert newest.revision == done.revision
        await backend.undo("weekly")
        assert await backend.load("weekly") is not None


async def test_a_change_of_what_was_deleted_meanwhile_is_refused(store: Path) -> None:
    await propose(store, skip(5))
    await change(store, lambda backend: backend.delete("nightly"))
    with pytest.raises(StaleError):
        await apply(store)
    async with GitStateBackend(store) as backend:
        assert await backend.load("nightly") is None


async def test_a_running_job_is_skipped_in_part_and_not_changed_as_a_whole(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        state = await backend.load("nightly")
        assert state is not None
        state.mark_sheet_started(4)
        state.pid, state.host = os.getpid(), socket.gethostname()
        await backend.save(state)
    async with GitStateBackend(store) as backend:
        await backend.propose("part")
        await backend.propose("whole")
    async with proposing(store, "part") as backend:
        await backend.skip_sheets("nightly", [6], force=True)
    async with proposing(store, "whole") as backend:
        await backend.rollback("nightly", "~2", force=True)
    async with GitStateBackend(store) as backend:
        job = await backend.load("nightly")
        assert job is not None
        part, whole = [await backend.review_proposal(name) for name in ("part", "whole")]
        assert (part.state, part.running, whole.state, whole.running) == (
            *("applicable", ("nightly",)),
            *("busy", ("nightly",)),
        )
        with pytest.raises(BusyError):
            await backend.apply_proposal("whole")
        await backend.apply_proposal("part")
        job.mark_sheet_completed(4)
        await backend.save(job)  # the process that runs it goes on
        merged = await backend.load("nightly")
        assert merged is not None
        assert (merged.sheets[4].status, merged.sheets[6].status) == (SheetStatus.COMPLETED, SheetStatus.SKIPPED)
        assert merged.get_next_sheet() == 5


async def test_what_was_applied_is_not_overruled_by_a_save_that_began_before(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        job = await backend.load("nightly")
        assert job is not None
        await propose(store, reset(3))
        await backend.save(job)  # so that the commits of the proposal are older than what this object knows
        await backend.apply_proposal("x")
        job.mark_sheet_started(3)
        job.mark_sheet_completed(3)
        with pytest.raises(ConflictError):
            await backend.save(job)
        state = await backend.load("nightly")
        assert state is not None and state.sheets[3].status == SheetStatus.PENDING


async def test_an_edit_that_contradicts_itself_or_is_no_state_is_not_applied(store: Path, tmp_path: Path) -> None:
    git(store, "worktree", "add", "-q", "-b", "proposals/x", str(tmp_path / "x"))
    sheet = tmp_path / "x/jobs/nightly/sheets/0003.json"
    text = sheet.read_text()
    sheet.write_text(text.replace('"completed"', '"pending"'))
    git(tmp_path / "x", "commit", "-qam", "Sheet 3 once more")
    async with GitStateBackend(store) as backend:
        review = await backend.review_proposal("x")
        assert (review.state, [each.is_fatal for each in review.problems]) == ("invalid", [False])
        assert "last_completed_sheet is 3" in review.problems[0].text
        with pytest.raises(InvalidInputError, match="last_completed_sheet"):
            await backend.apply_proposal("x")
        sheet.write_text(text.replace('"completed"', '"finished"'))
        git(tmp_path / "x", "commit", "-qam", "A slip")
        assert [each.is_fatal for each in (await backend.review_proposal("x")).problems] == [True]
        with pytest.raises(InvalidInputError, match="status"):
            await backend.apply_proposal("x", force=True)
        git(tmp_path / "x", "reset", "-q", "--hard", "HEAD~")
        done = await backend.apply_proposal("x", force=True)
        assert done.revision is not None and "is checked out in" in done.kept
    assert "proposals/x" in branches(store)
    git(store, "worktree", "remove", str(tmp_path / "x"))


async def test_a_branch_that_a_person_made_is_as_good_and_other_files_count(store: Path, tmp_path: Path) -> None:
    git(store, "worktree", "add", "-q", "-b", "proposals/notes", str(tmp_path / "x"))
    (tmp_path / "x/NOTES.md").write_text("hello\n")
    git(tmp_path / "x", "add", "NOTES.md")
    git(tmp_path / "x", "commit", "-qm", "Say hello")
    git(store, "worktree", "remove", str(tmp_path / "x"))
    async with GitStateBackend(store) as backend:
        assert (await backend.review_proposal("notes")).files == ("NOTES.md",)
    await apply(store, "notes", keep=True)
    assert git(store, "show", "main:NOTES.md") == "hello\n"
    assert (store / "NOTES.md").read_text() == "hello\n"
    assert "proposals/notes" in branches(store)
    again = await apply(store, "notes")
    assert (again.revision, again.is_contained) == (None, True)


async def test_a_link_is_named_and_not_brought_in_unseen(store: Path, tmp_path: Path) -> None:
    git(store, "worktree", "add", "-q", "-b", "proposals/x", str(tmp_path / "x"))
    (tmp_path / "x/NOTES.md").symlink_to("/etc/hostname")
    sheet = tmp_path / "x/jobs/nightly/sheets/0001.json"
    git(tmp_path / "x", "add", "NOTES.md")
    git(tmp_path / "x", "commit", "-qm", "a link")
    async with GitStateBackend(store) as backend:
        with pytest.raises(InvalidInputError, match=r"NOTES\.md becomes a link"):
            await backend.apply_proposal("x")
        sheet.unlink()
        sheet.symlink_to("/etc/hostname")
        git(tmp_path / "x", "commit", "-qam", "another one")
        with pytest.raises(InvalidInputError, match="is a link or a submodule, and no file"):
            await backend.apply_proposal("x", force=True)
        review = await backend.review_proposal("x", texts=True)
        assert (review.state, review.unread) == ("invalid", ("nightly",))
    git(store, "worktree", "remove", "--force", str(tmp_path / "x"))


async def test_what_lies_beside_a_state_is_named_to_the_reviewer(store: Path, tmp_path: Path) -> None:
    async with GitStateBackend(store) as backend:
        await backend.record_execution("nightly", 1, 1, "prompt", "output")
        await backend.propose("x")
        git(store, "worktree", "add", "-q", str(tmp_path / "x"), "proposals/x")
        (tmp_path / "x/jobs/nightly/executions/0001/output.txt").write_text("forged\n")
        (tmp_path / "x/NOTES.md").write_text("hello\n")
        git(tmp_path / "x", "add", "-A")
        git(tmp_path / "x", "commit", "-qm", "no state has another value")
        review = await backend.review_proposal("x")
        assert review.files == ("NOTES.md", "jobs/nightly/executions/0001/output.txt")
        git(store, "worktree", "remove", str(tmp_path / "x"))


@pytest.mark.parametrize("name", [".git", "..", ".GIT", ".g\u200cit"])
async def test_a_file_that_no_clone_could_check_out_is_refused(store: Path, name: str) -> None:
    def tree(entries: str) -> str:
        made = subprocess.run(["git", "mktree"], cwd=store, input=entries, capture_output=True, text=True, check=True)
        return made.stdout.strip()

    head, entries = git(store, "rev-parse", "main"), git(store, "ls-tree", "main")
    blob = git(store, "hash-object", "-w", "gitstate.json").strip()
    folder = tree(f"100755 blob {blob}\thook\n")
    roots = tree(f"{entries}040000 tree {folder}\t{name}\n"), tree(f"{entries}100644 blob {blob}\tNOTES.md\n")
    evil = git(store, "commit-tree", roots[0], "-p", "main", "-m", "evil").strip()
    later = git(store, "commit-tree", roots[1], "-p", evil, "-m", "without it").strip()  # the history has it for ever
    async with GitStateBackend(store) as backend:
        for tip in (evil, later):
            git(store, "branch", "--force", "proposals/x", tip)
            assert (await backend.review_proposal("x")).state == "invalid"
            with pytest.raises(InvalidInputError, match="no file can have the name"):
                await backend.apply_proposal("x", force=True)
        await backend.drop_proposal("x")
    assert git(store, "rev-parse", "main") == head
    git(store, "prune", "--expire=now")


async def test_a_state_that_cannot_be_read_is_mended_by_a_proposal(store: Path, tmp_path: Path) -> None:
    await propose(store, lambda backend: backend.rollback("weekly", "~0"), name="nothing")
    sheet = store / "jobs/weekly/sheets/0001.json"
    good = sheet.read_text()
    sheet.write_text("{")
    git(store, "commit", "-qam", "a slip")
    git(store, "worktree", "add", "-q", "-b", "proposals/mend", str(tmp_path / "mend"))
    (tmp_path / "mend/jobs/weekly/sheets/0001.json").write_text(good)
    git(tmp_path / "mend", "commit", "-qam", "mend it")
    git(store, "worktree", "remove", str(tmp_path / "mend"))
    async with GitStateBackend(store) as backend:
        review = await backend.review_proposal("mend")
        assert (review.state, review.jobs, review.unread) == ("applicable", (), ("weekly",))
        await backend.apply_proposal("mend")
        assert await backend.load("weekly") is not None
        await backend.drop_proposal("nothing")


async def test_files_that_both_changed_are_named(store: Path, tmp_path: Path) -> None:
    for name in ("x", "y"):
        git(store, "worktree", "add", "-q", "-b", f"proposals/{name}", str(tmp_path / name))
        (tmp_path / name / "NOTES.md").write_text(f"{name}\n")
        git(tmp_path / name, "add", "NOTES.md")
        git(tmp_path / name, "commit", "-qm", "Say it")
        git(store, "worktree", "remove", str(tmp_path / name))
    await apply(store, "x")
    with pytest.raises(StaleError, match=r"NOTES\.md"):
        await apply(store, "y")


@pytest.mark.parametrize("way", ["merge", "squash", "rebase", "squash and go on"])
async def test_what_a_forge_merged_is_contained(store: Path, tmp_path: Path, way: str) -> None:
    await propose(store, reset(4))
    await change(store, lambda backend: backend.reset_sheets("weekly", [1]))  # so that nothing is fast-forwarded
    forge, clone = tmp_path / "forge.git", tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--bare", str(store), str(forge))
    git(tmp_path, "clone", "-q", str(forge), str(clone))
    if way == "merge":
        git(clone, "merge", "-q", "--no-ff", "origin/proposals/x", "-m", "Merge pull request")
    elif way == "rebase":
        git(clone, "cherry-pick", "origin/proposals/x")
    else:
        git(clone, "merge", "-q", "--squash", "origin/proposals/x")
        git(clone, "commit", "-qm", "Reset sheet 4 (#1)")
    git(clone, "push", "-q", "origin", "main")
    git(store, "pull", "-q", "--ff-only", str(forge), "main")
    if way == "squash and go on":
        await change(store, run_sheet_4)
    async with GitStateBackend(store) as backend:
        review = await backend.review_proposal("x")
        assert (review.state, review.jobs, review.moved) == ("contained", (), ())
        head = backend.store.head()
        done = await backend.apply_proposal("x")
        assert (done.is_contained, done.revision, backend.store.head()) == (True, None, head)
        assert (await backend.drop_proposal("x")).revision == done.proposal.revision
        assert await backend.proposals() == []


async def test_proposals_of_remotes_are_listed_reviewed_and_applied(store: Path, tmp_path: Path) -> None:
    await propose(store, skip(5))
    git(tmp_path, "clone", "-q", str(store), str(tmp_path / "clone"))
    async with GitStateBackend(tmp_path / "clone") as backend:
        [told] = await backend.proposals()
        assert (told.name, told.branch) == ("origin/proposals/x", "refs/remotes/origin/proposals/x")
        assert (await backend.review_proposal("origin/proposals/x")).state == "applicable"
        with pytest.raises(InvalidInputError, match="no proposal of this store"):
            await backend.drop_proposal("origin/proposals/x")
        done = await backend.apply_proposal("origin/proposals/x")
        assert done.revision is not None and done.kept


async def test_names(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        for name in (
            "",
            "-x",
            "a..b",
            "a b",
            "x.lock",
            "a~1",
            "a:b",
            "@{x",
            "x/",
            "/x",
            "a\0b",
            "\udce4\ud800",
            3,
            None,
        ):
            with pytest.raises(InvalidInputError):
                await backend.propose(name)  # type: ignore[arg-type]  # on purpose
            with pytest.raises(InvalidInputError):
                await backend.review_proposal(name)  # type: ignore[arg-type]  # on purpose
        at = backend.store.head()
        dry = await backend.propose("ümlaut", dry_run=True)
        assert (dry.revision, await backend.proposals()) == (at, [])
        made = await backend.propose("proposals/ümlaut", at[:12])
        assert (made.name, made.branch, made.ahead) == ("ümlaut", "refs/heads/proposals/ümlaut", 0)
        for name in ("ümlaut", "ümlaut/inner"):
            with pytest.raises(ExistsError):
                await backend.propose(name)
        with pytest.raises(NotFoundError, match="'none'"):
            await backend.apply_proposal("none")
        empty = await backend.apply_proposal("ümlaut")
        assert (empty.is_contained, empty.revision, (await backend.review_proposal("ümlaut")).state) == (
            *(True, None),
            "contained",
        )
        assert len(await backend.proposals()) == 1  # an empty one is kept
        await backend.drop_proposal("ümlaut")
        await backend.propose("ümlaut/inner")  # nothing is left in the way
        await backend.drop_proposal("ümlaut/inner")


async def test_a_packed_branch_is_dropped_whole(store: Path) -> None:
    await propose(store, skip(5))
    git(store, "pack-refs", "--all")
    await apply(store)
    assert branches(store) == ["main"]
    git(store, "branch", "proposals/x")
    git(store, "branch", "-D", "proposals/x")


async def test_histories_without_one_beginning_are_refused(store: Path, tmp_path: Path) -> None:
    git(store, "worktree", "add", "-q", "--detach", str(tmp_path / "x"))
    git(tmp_path / "x", "checkout", "-q", "--orphan", "proposals/other")
    git(tmp_path / "x", "commit", "-qm", "from nothing")
    git(store, "worktree", "remove", "--force", str(tmp_path / "x"))
    with pytest.raises(InvalidInputError, match="no history in common"):
        await apply(store, "other")
    async with GitStateBackend(store) as backend:
        assert [each.base for each in await backend.proposals()] == [None]


async def test_a_reshard_cannot_be_proposed_and_one_since_is_no_obstacle(store: Path) -> None:
    await propose(store, lambda backend: backend.reshard(1), name="moves")
    with pytest.raises(InvalidInputError, match="moves all jobs"):
        await apply(store, "moves")
    await propose(store, skip(5))
    await change(store, lambda backend: backend.reshard(2))
    await apply(store)
    assert (await state_of(store)).sheets[5].status == SheetStatus.SKIPPED
    await change(store, lambda backend: backend.drop_proposal("moves"))


async def test_what_holds_is_looked_at_under_the_lock(store: Path) -> None:
    """Whoever is first, a job that moves while a rollback of it is applied is never rolled back unseen."""
    outcomes = set()
    async with GitStateBackend(store) as backend, GitStateBackend(store) as other:
        for number in range(8):
            name = f"race-{number}"
            await backend.propose(name)
            async with proposing(store, name) as drafting:
                await drafting.rollback("nightly", "~1")
            state = await other.load("nightly")
            assert state is not None
            state.metadata["number"] = number
            applied, saved = await asyncio.gather(
                backend.apply_proposal(name), other.save(state), return_exceptions=True
            )
            now = await backend.load("nightly")
            assert now is not None
            if saved is None:  # it came first, so that the rollback was refused; or it was merged with that
                assert now.metadata["number"] == number
            else:
                assert isinstance(saved, ConflictError) and isinstance(applied, AppliedProposal), (saved, applied)
            outcomes.add(type(applied))
            if isinstance(applied, StaleError):
                assert [each.place for each in applied.moved] == ["/metadata/number"] or number == 0
                await backend.drop_proposal(name)
            else:
                assert isinstance(applied, AppliedProposal), applied
    assert outcomes


SAVES = """
import asyncio, sys
from gitstate import CheckpointState, GitStateBackend

async def main(path, job):
    async with GitStateBackend(path) as backend:
        state = CheckpointState(job_id=job, job_name=job, total_sheets=20)
        print("ready", flush=True)
        for sheet in range(1, 21):
            state.mark_sheet_started(sheet)
            state.mark_sheet_completed(sheet)
            await backend.save(state)

asyncio.run(main(*sys.argv[1:]))
"""


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def test_two_processes_write_while_proposals_are_applied(store: Path) -> None:
    for number in (1, 2, 3, 4):
        await propose(store, reset(number), name=f"x{number}")
    command = [sys.executable, "-c", SAVES, str(store)]
    writers = [start([*command, job]) for job in ("one", "two")]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        async with GitStateBackend(store) as backend:
            # Each was made in view of a watermark that the one before it moved: it follows from the sheets anew.
            done = [await backend.apply_proposal(f"x{number}") for number in (4, 3, 1, 2)]
            assert all(each.revision for each in done)
            assert [writer.wait(60) for writer in writers] == [0, 0]
            for job in ("one", "two"):
                state = await backend.load(job)
                assert state is not None and state.get_progress() == (20, 20)
            state = await backend.load("nightly")
            assert state is not None and state.get_progress() == (0, 6) and state.last_completed_sheet == 0
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    merges = git(store, "log", "--merges", "--first-parent", "--format=%s", "main").splitlines()
    assert len(merges) == 4


async def test_a_watcher_is_told_once_of_what_was_proposed_and_git_blames_alike(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        start = backend.store.head()
        await propose(store, reset(3), skip(5))
        await backend.mark_sheet_status("weekly", 2, SheetStatus.FAILED)
        done = await backend.apply_proposal("x")
        told = []
        async for new in backend.watch(since=start):
            told.append((new.job_id, new.checkpoint.event))
            if len(told) == 3:
                break
        assert sorted(told) == [("nightly", "reset"), ("nightly", "skipped"), ("weekly", "sheet")]
        events = [each.event for each in await backend.history("nightly", limit=3)]
        assert events == ["merged", "skipped", "reset"]
        blame = await backend.blame("nightly", "/sheets/5/status")
        assert blame.settings[0].checkpoint.event == "skipped"
        at = await backend.load("nightly", at=done.revision)
        before = await backend.load("nightly", at=start)
        assert at is not None and before is not None
        assert (before.get_next_sheet(), at.get_next_sheet()) == (4, 3)
        found = await backend.history("nightly", trailer="Gitstate-Proposal: x")
        assert [each.revision for each in found] == [done.revision]
        assert len(await backend.get_execution_history("nightly")) == 0
        await backend.record_execution("nightly", 3, 1, "prompt", "output")
        assert await backend.get_execution_history_count("nightly") == 1


async def test_executions_on_a_proposal_come_along(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        await backend.record_execution("nightly", 4, 1, "one", "failed")
        await propose(store, lambda other: other.record_execution("nightly", 4, 2, "tried by hand", "fine"), skip(5))
        await backend.record_execution("weekly", 1, 1, "w", "w")
        await backend.apply_proposal("x")
        found = await backend.get_execution_history("nightly")
        assert [each["prompt"] for each in found] == ["tried by hand", "one"]
        assert (await backend.get_job_statistics("nightly"))["total_executions"] == 2


async def test_a_second_backend_in_memory_has_them_as_well() -> None:
    async with InMemoryStateBackend() as backend:
        await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=2))
        made = await backend.propose("x")
        assert [each.name for each in await backend.proposals()] == ["x"]
        assert (await backend.apply_proposal("x")).is_contained
        assert (await backend.drop_proposal("x")).revision == made.revision
        with pytest.raises(GitStateError):
            await backend.drop_proposal("x")
