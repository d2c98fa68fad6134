"""What lost where two histories were joined comes back with what it lost, and nothing of it counts twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, ConflictError, GitStateBackend, JobStatus
from gitstate.backends.invariants import contradicts_anew
from gitstate.backends.rescues import Rescue
from gitstate.errors import InvalidInputError
from gitstate.store.parking import Losing, keep_losers
from gitstate.store.rescues import INVALID, PARKED
from tests.backends.test_saves import job, stored
from tests.git import git

Change = Callable[[CheckpointState], object]


def metadata(retries: int = 0, **entries: Any) -> Change:
    """Return a change of a state: entries of its metadata, None to remove one, and how often something was retried."""

    def change(state: CheckpointState) -> None:
        state.metadata = {key: value for key, value in (state.metadata | entries).items() if value is not None}
        state.total_retry_count += retries

    return change


async def save(folder: Path, change: Change) -> str:
    async with GitStateBackend(folder) as backend:
        state = await backend.load("nightly") or job()
        change(state)
        await backend.save(state)
        return backend.store.head()


async def two_sides(folder: Path, here: Change, there: Change, begin: Change | None = None) -> tuple[str, str]:
    """Make two histories of a job; return their heads, the first of which is that of the store."""
    await save(folder, begin or metadata(x="begin"))
    git(folder.parent, "clone", "-q", str(folder), "two")
    lost = await save(folder.parent / "two", there)
    won = await save(folder, here)
    git(folder, "fetch", "-q", str(folder.parent / "two"), "main")
    return won, lost


async def join(folder: Path, won: str, lost: str, came: Change | None) -> str:
    """Join two histories as a sync does it: what comes of it is given, None for what won, as it is."""
    if came is not None:
        await save(folder, came)
    tree = git(folder, "rev-parse", "HEAD^{tree}").strip()
    joined = git(folder, "commit-tree", "-p", won, "-p", lost, "-m", "joined", tree).strip()
    git(folder, "update-ref", "refs/heads/main", joined)
    return joined


async def park(backend: GitStateBackend, lost: str, won: str, *places: str, reason: str = PARKED) -> Rescue:
    store = backend.store
    keep_losers(store._engine, store.reader, [Losing(backend._jobs, "nightly", lost, reason, places, won)])
    (kept,) = await backend.rescues()
    return kept


async def test_what_lost_comes_back_at_the_places_where_it_did(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    won, lost = await two_sides(folder, metadata(2, x="here", here=1), metadata(1, x="there", there=1))
    await join(folder, won, lost, metadata(1, there=1))
    await save(folder, metadata(later=1))
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "/metadata/x")
        assert (kept.reason, kept.base, kept.against, kept.author) == ("parked", lost, won, "A Tester")
        assert (kept.status, kept.progress) == ("pending", "0/4")
        base = await backend.diff_rescue(kept.name, to_base=True)
        changed = {each.pointer for each in base.fields}
        assert changed == {"/total_retry_count", "/metadata/there", "/metadata/x"}
        done = await backend.apply_rescue(kept.name)
        now = await stored(backend)
        assert now.metadata == {"x": "there", "there": 1, "here": 1, "later": 1}
        assert (now.total_retry_count, done.done.event) == (3, "merged")
        assert await backend.rescues() == []


async def test_what_won_and_was_changed_since_is_for_a_person_to_decide(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    won, lost = await two_sides(folder, metadata(x="here"), metadata(x="there"))
    await join(folder, won, lost, metadata())
    await save(folder, metadata(x="later"))
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "/metadata/x")
        with pytest.raises(ConflictError, match="/metadata/x"):
            await backend.apply_rescue(kept.name)
        await backend.apply_rescue(kept.name, on_conflict="job", keep=True)
        assert (await stored(backend)).metadata == {"x": "later"}
        await backend.apply_rescue(kept.name, on_conflict="rescue")
        assert (await stored(backend)).metadata == {"x": "there"}


async def test_a_side_that_lost_whole_comes_back_with_all_that_it_changed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    won, lost = await two_sides(folder, metadata(2, x="here", here=1), metadata(1, x="there", there=1))
    await join(folder, won, lost, None)
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "/metadata/x")
        await backend.apply_rescue(kept.name)
        now = await stored(backend)
        assert (now.metadata, now.total_retry_count) == ({"x": "there", "there": 1, "here": 1}, 3)


def ran(*sheets: int, result: str = "completed") -> Change:
    """Return a change that settles sheets of a job, each as a worker does it."""

    def change(state: CheckpointState) -> None:
        for number in sheets:
            state.mark_sheet_started(number)
            if result == "completed":
                state.mark_sheet_completed(number)
            else:
                state.mark_sheet_failed(number, "no route")

    return change


@pytest.mark.parametrize(
    ("lost", "won", "status", "progress"),
    [("completed", "failed", "completed", 4), ("failed", "completed", "paused", 3)],
)
async def test_the_status_of_the_job_fits_the_sheets_that_come_back(
    tmp_path: Path, lost: str, won: str, status: str, progress: int
) -> None:
    folder, hub = tmp_path / "state", tmp_path / "hub"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "hub")
    async with GitStateBackend(folder) as one:
        await one.add_remote("origin", str(hub))
        state = job()
        ran(1, 2, 3)(state)
        await one.save(state)
        await one.sync()
        git(tmp_path, "clone", "-q", str(hub), "two")
        await save(folder, ran(4, result=lost))
        await save(tmp_path / "two", ran(4, result=won))
        await one.sync()
        async with GitStateBackend(tmp_path / "two") as two:
            await two.sync()
            assert [each.reason for each in await two.rescues()] == ["parked"]
            (kept,) = await two.rescues()
            planned = await two.apply_rescue(kept.name, dry_run=True)
            done = await two.apply_rescue(kept.name)
            now = await stored(two)
            assert planned.done.after is not None and done.done.after is not None
            assert done.done.after == planned.done.after | {"updated_at": done.done.after["updated_at"]}
            assert now.sheets[4].status == lost
            assert (now.status, sum(each.status == "completed" for each in now.sheets.values())) == (status, progress)
            assert now.last_completed_sheet == progress
            assert (now.completed_at is not None) == (status == "completed")
            assert await two.rescues() == []


async def test_a_status_that_a_worker_said_stays(tmp_path: Path) -> None:
    """It completed its last sheet, and is about to say that the job is."""
    async with GitStateBackend(tmp_path / "state") as backend:
        await backend.save(job())
        mine, other = await stored(backend), await stored(backend)
        ran(1, 2, 3, 4)(mine)
        mine.status, mine.completed_at, mine.pid = JobStatus.RUNNING, None, None
        mine.metadata["x"], other.metadata["x"] = "mine", "other"
        await backend.save(other)
        with pytest.raises(ConflictError):
            await backend.save(mine)
        now = await stored(backend)
        del now.metadata["x"]
        await backend.save(now)
        await backend.apply_rescue("nightly")
        now = await stored(backend)
        assert (now.status, now.last_completed_sheet, now.metadata) == ("running", 4, {"x": "mine"})


def test_a_side_excuses_a_contradiction_only_with_its_own_status() -> None:
    sheets = {"1": {"status": "completed"}}
    done: dict[str, Any] = {"total_sheets": 1, "sheets": sheets, "last_completed_sheet": 1}
    ends, paused = done | {"status": "running"}, {"total_sheets": 1, "status": "paused"}
    assert not contradicts_anew(ends, paused, ends)
    assert contradicts_anew(done | {"status": "paused"}, paused, ends)
    odd = ends | {"last_completed_sheet": 0}  # whatever its status is
    assert not contradicts_anew(odd | {"status": "failed"}, paused, odd)


async def test_what_is_in_conflict_as_a_whole_comes_back_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    won, lost = await two_sides(folder, metadata(2, x="here", here=1), metadata(1, x="there", there=1))
    await join(folder, won, lost, None)
    await save(folder, metadata(later=1))
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "")
        assert kept.places == ("",)
        await backend.apply_rescue(kept.name)
        now = await stored(backend)
        assert (now.metadata, now.total_retry_count) == ({"x": "there", "there": 1, "later": 1}, 1)


async def test_what_was_invalid_and_is_no_more_comes_back(tmp_path: Path) -> None:
    """Another model has come since."""
    folder = tmp_path / "state"
    won, lost = await two_sides(folder, metadata(here=1), metadata(there=1))
    await join(folder, won, lost, None)
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, reason=INVALID)
        await backend.apply_rescue(kept.name)
        assert (await stored(backend)).metadata == {"x": "begin", "here": 1, "there": 1}


async def test_a_place_that_one_side_removed_is_removed_if_that_side_counts(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    won, lost = await two_sides(folder, metadata(x="here"), metadata(x=None))
    await join(folder, won, lost, metadata())
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "/metadata/x")
        await backend.apply_rescue(kept.name)
        assert (await stored(backend)).metadata == {}


async def test_before_the_join_it_is_merged_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    won, lost = await two_sides(folder, metadata(2, here=1), metadata(1, x="there", there=1))
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "/metadata/x")
        await backend.apply_rescue(kept.name)
        now = await stored(backend)
        assert (now.metadata, now.total_retry_count) == ({"x": "there", "there": 1, "here": 1}, 3)


async def test_a_history_that_has_what_lost_gets_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    won, lost = await two_sides(folder, metadata(2, x="here"), metadata(1, x="there"))
    git(folder, "fetch", "-q", str(folder), "main:refs/heads/kept")  # else what won is on no branch
    git(folder, "reset", "-q", "--hard", lost)
    await save(folder, metadata(1))
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "/metadata/x")
        done = await backend.apply_rescue(kept.name)
        assert (done.done.revision, done.kept) == (None, "")
        assert (await stored(backend)).total_retry_count == 2


async def criss_cross(folder: Path, came: Change | None) -> tuple[str, str]:
    """Make a job whose two sides were merged into each other before they were changed; return their heads, joined."""
    one, other = await two_sides(folder, metadata(1, one=1), metadata(1, other=1))
    await save(folder, metadata(1, other=1))
    tree = git(folder, "rev-parse", "HEAD^{tree}").strip()
    heads = []
    for parents, text in (((one, other), "here"), ((other, one), "there")):
        words = [word for parent in parents for word in ("-p", parent)]
        git(folder, "reset", "-q", "--hard", git(folder, "commit-tree", *words, "-m", "crossed", tree).strip())
        heads.append(await save(folder, metadata(2, x=text, **{text: 1})))
    lost, won = heads[1], heads[0]
    git(folder, "branch", "-q", "-f", "lost", lost)
    git(folder, "reset", "-q", "--hard", won)
    await join(folder, won, lost, came)
    return won, lost


async def test_with_several_bases_the_places_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    won, lost = await criss_cross(folder, metadata(2, there=1))
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "/metadata/x")
        await backend.apply_rescue(kept.name)
        now = await stored(backend)
        assert (now.metadata["x"], now.metadata["there"], now.total_retry_count) == ("there", 1, 6)


async def test_with_several_bases_what_may_have_lost_whole_is_left_to_a_person(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    won, lost = await criss_cross(folder, None)
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "/metadata/x")
        with pytest.raises(InvalidInputError, match="not known"):
            await backend.apply_rescue(kept.name)
        assert await backend.rescues() == [kept]
        await backend.apply_rescue(kept.name, replace=True)
        assert (await stored(backend)).metadata["x"] == "there"


@pytest.mark.parametrize("since", ["", "changed"])
async def test_a_file_of_others_that_lost_comes_back_too(tmp_path: Path, since: str) -> None:
    folder = tmp_path / "state"
    await save(folder, metadata())
    note = folder / "jobs/nightly/note.md"

    def write(text: str) -> str:
        note.write_text(text)
        git(folder, "add", "-A", "jobs")
        git(folder, "commit", "-qm", text)
        return git(folder, "rev-parse", "HEAD").strip()

    lost = write("there")
    git(folder, "branch", "-q", "lost")
    git(folder, "reset", "-q", "--hard", "HEAD^")
    won = write("here")
    await join(folder, won, lost, metadata(merged=1))
    if since:
        git(folder, "reset", "-q", "--hard")
        write(since)
    async with GitStateBackend(folder) as backend:
        kept = await park(backend, lost, won, "/note.md")
        if since:
            with pytest.raises(ConflictError, match="note"):
                await backend.apply_rescue(kept.name)
        done = await backend.apply_rescue(kept.name, on_conflict="rescue")
        assert done.done.revision is not None and done.kept == ""
        assert git(folder, "show", "HEAD:jobs/nightly/note.md") == "there"
        assert (await stored(backend)).metadata == {"merged": 1}


@pytest.mark.parametrize("against", ["1" * 40, "nonsense", None])
async def test_what_a_forged_commit_says_stops_nothing(tmp_path: Path, against: str | None) -> None:
    folder = tmp_path / "state"
    head = await save(folder, metadata(x=1))
    said = f"x\n\nGitstate-Job: nightly\nGitstate-Event: rescued\nGitstate-Rescue: parked\nGitstate-Conflict: {'~' * 5}"
    said += "" if against is None else f"\nGitstate-Against: {against}"
    forged = git(folder, "commit-tree", "-p", head, "-m", said, f"{head}^{{tree}}").strip()
    git(folder, "update-ref", f"refs/gitstate/rescue/nightly/{forged}", forged)
    async with GitStateBackend(folder) as backend:
        (kept,) = await backend.rescues()
        assert kept.reason == "parked" and kept.against in (against, None)
        done = await backend.apply_rescue(kept.name)
        assert done.done.revision is None
