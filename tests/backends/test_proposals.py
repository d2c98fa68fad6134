"""Proposals: branches of changes that are applied only if what they relied on is still so."""

from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, JobStatus, SheetStatus
from gitstate.errors import ExistsError, GitStateError, InvalidInputError, NotFoundError, StaleError
from tests.backends.proposed import (
    apply,
    branches,
    change,
    propose,
    reset,
    roll_back,
    run_sheet_4,
    skip,
    state_of,
    two_jobs,
)
from tests.git import git

store = pytest.fixture(two_jobs)


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


async def test_a_reshard_cannot_be_proposed_and_one_since_is_no_obstacle(store: Path) -> None:
    await propose(store, lambda backend: backend.reshard(1), name="moves")
    with pytest.raises(InvalidInputError, match="moves all jobs"):
        await apply(store, "moves")
    await propose(store, skip(5))
    await change(store, lambda backend: backend.reshard(2))
    await apply(store)
    assert (await state_of(store)).sheets[5].status == SheetStatus.SKIPPED
    await change(store, lambda backend: backend.drop_proposal("moves"))


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
