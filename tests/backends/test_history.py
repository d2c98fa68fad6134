"""Which checkpoints a history has, which jobs are gone, and which names checkpoints were given."""

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, errors
from gitstate.backends.checkpoints import Checkpoint, Pin
from gitstate.backends.rewind import RewindBackend
from tests.clocks import Clock
from tests.git import git

LONG = "ä/" * 100  # its folder's name is cut


@pytest.fixture
async def timed(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[InMemoryStateBackend, Clock]]:
    """A backend in memory, and its clock: the first commit after the store's own is of 11 o'clock."""
    made = Clock(monkeypatch, step=timedelta(hours=1))
    async with InMemoryStateBackend() as backend:
        yield backend, made


async def save(backend: RewindBackend, job_id: str = "job", **fields: Any) -> str:
    """Save a job; return the checkpoint."""
    state = await backend.load(job_id) or CheckpointState(job_id=job_id, job_name="Job", total_sheets=3)
    for name, value in fields.items():
        setattr(state, name, value)
    await backend.save(state)
    return await newest(backend, job_id)


async def newest(backend: RewindBackend, job_id: str = "job") -> str:
    return (await backend.history(job_id, 1))[0].revision


async def run(backend: RewindBackend) -> list[str]:
    """Save a job four times, with another one and an execution in between; return its checkpoints, oldest first."""
    made = [await save(backend)]
    await save(backend, "other")
    made.append(await save(backend, config_path="a"))
    await backend.record_execution("job", 1, 1, prompt="p")
    made.append(await newest(backend))
    made.append(await save(backend, config_path="b"))
    return made


def ids(checkpoints: Iterable[Checkpoint]) -> list[str]:
    """Return the revisions of a history, oldest first."""
    return [checkpoint.revision for checkpoint in checkpoints][::-1]


# A history with filters


async def test_a_history_is_between_two_revisions_and_neither_is_in_it(backend: RewindBackend) -> None:
    one, two, three, four = await run(backend)
    assert ids(await backend.history("job")) == [one, two, three, four]
    assert ids(await backend.history("job", after=one)) == [two, three, four]
    assert ids(await backend.history("job", before=four)) == [one, two, three]
    assert ids(await backend.history("job", after=one[:8], before=four[:8])) == [two, three]
    assert ids(await backend.history("job", after="~2", before="~0")) == [two, three]
    assert ids(await backend.history("job", after=four)) == []
    assert ids(await backend.history("job", before=one)) == []
    assert ids(await backend.history("job", after=three, before=two)) == []
    assert ids(await backend.history("job", 1, before=four)) == [three]
    assert await backend.history("job", 0) == []


async def test_a_revision_of_another_job_means_the_job_s_own_last_one_there(backend: RewindBackend) -> None:
    _, two, three, four = await run(backend)
    other = await newest(backend, "other")
    assert ids(await backend.history("job", after=other)) == [two, three, four]
    assert ids(await backend.history("job", before=other)) == []


async def test_a_history_is_as_it_was_at_a_revision(backend: RewindBackend) -> None:
    one, two, three, four = await run(backend)
    assert ids(await backend.history("job", at=three)) == [one, two, three]
    assert ids(await backend.history("job", at=three, after=one)) == [two, three]
    assert ids(await backend.history("job", at=three, before=two)) == [one]
    assert ids(await backend.history("job", at=two, before=four)) == [one, two], "what came later is not in it"
    assert ids(await backend.history("job", at=two, after=three)) == []
    with pytest.raises(errors.RevisionNotFoundError):
        await backend.history("job", at="nowhere", before=two)


async def test_a_history_of_some_events(backend: RewindBackend) -> None:
    one, two, three, four = await run(backend)
    assert ids(await backend.history("job", events="execution")) == [three]
    assert ids(await backend.history("job", events=["saved", "created"])) == [one, two, four]
    assert ids(await backend.history("job", 1, events=["saved"])) == [four]
    assert ids(await backend.history("job", before=four, events=iter(("saved",)))) == [two]
    assert await backend.history("job", events=[]) == []


async def test_a_history_between_two_times(timed: tuple[InMemoryStateBackend, Clock]) -> None:
    backend, time = timed
    made = await run(backend)
    times = [checkpoint.time for checkpoint in await backend.history("job")][::-1]
    assert ids(await backend.history("job", after=times[0])) == made[1:]
    assert ids(await backend.history("job", before=times[3])) == made[:3]
    assert ids(await backend.history("job", after=times[1], before=times[3])) == [made[2]]
    assert ids(await backend.history("job", after=times[1].replace(tzinfo=None).isoformat(" "))) == made[2:]
    assert ids(await backend.history("job", after=times[1].replace(tzinfo=None))) == made[2:], "naive is UTC"
    assert ids(await backend.history("job", before="2026-03-01")) == []
    assert ids(await backend.history("job", after="today")) == made
    assert ids(await backend.history("job", before="1 hour ago")) == made[:2]
    assert ids(await backend.history("job", after=made[0], before=times[3])) == made[1:3]
    assert ids(await backend.history("job", at=made[2], after=times[0])) == made[1:3]
    time.now += timedelta(days=400)
    assert await backend.history("job", after="1 year ago") == []


async def test_a_clock_that_was_put_back_hides_nothing(timed: tuple[InMemoryStateBackend, Clock]) -> None:
    backend, time = timed
    made = [await save(backend)]
    time.now += timedelta(days=300)
    made.append(await save(backend, config_path="from the future"))
    time.now -= timedelta(days=300)
    made += [await save(backend, config_path="a"), await save(backend, config_path="b")]
    assert ids(await backend.history("job")) == made
    assert ids(await backend.history("job", after=made[1])) == made[2:]
    assert ids(await backend.history("job", before=made[1])) == made[:1]
    assert ids(await backend.history("job", at=made[3], before=made[2])) == made[:2]
    assert (await backend.blame("job", "/config_path")).value == "b"


async def test_lives_before_a_deletion_are_in_the_history(backend: RewindBackend) -> None:
    one = await save(backend)
    await backend.delete("job")
    gone = await newest(backend)
    two = await save(backend)
    assert ids(await backend.history("job")) == [one, gone, two]
    assert [checkpoint.event for checkpoint in await backend.history("job", before=two)] == ["deleted", "created"]
    assert ids(await backend.history("job", at="@deleted")) == [one]
    assert ids(await backend.history("job", after="@deleted")) == [gone, two]
    assert await backend.history("never") == []


async def test_branches_that_git_merged_are_told_by_time(git_backend: GitStateBackend, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    root = await save(git_backend)
    ours, theirs, merge = await merged(git_backend, folder)
    assert set(ids(await git_backend.history("job"))) == {root, ours, theirs, merge}
    assert set(ids(await git_backend.history("job", after=root))) == {ours, theirs, merge}
    assert ids(await git_backend.history("job", before=ours)) == [root]
    assert ids(await git_backend.history("job", at=ours, after=root)) == [ours]
    assert set(ids(await git_backend.history("job", before=merge, events="edited"))) == {theirs}


async def merged(backend: GitStateBackend, folder: Path) -> tuple[str, str, str]:
    """Mark sheet 1 on main and change the job's name on a side branch, and merge; return the three commits."""
    await backend.flush()
    git(folder, "checkout", "-q", "-b", "side")
    path = folder / "jobs/job/job.json"
    path.write_text(path.read_text().replace('"Job"', '"Side"'))
    git(folder, "commit", "-qam", "rename it")
    git(folder, "checkout", "-q", "main")
    await backend.mark_sheet_status("job", 1, "completed")  # type: ignore[arg-type]
    await backend.flush()
    ours, theirs = (git(folder, "rev-parse", name).strip() for name in ("main", "side"))
    git(folder, "merge", "-q", "-m", "both", "side")
    return ours, theirs, git(folder, "rev-parse", "main").strip()


@pytest.mark.parametrize("events", ["nothing", ["saved", "nothing"], ["saved", 7], 7, [[]]])
async def test_an_event_that_there_is_not_is_an_error(backend: RewindBackend, events: Any) -> None:
    await run(backend)
    with pytest.raises(errors.InvalidInputError, match="event"):
        await backend.history("job", events=events)


@pytest.mark.parametrize("name", ["before", "after", "at"])
async def test_a_bound_that_names_nothing_is_an_error(backend: RewindBackend, name: str) -> None:
    await run(backend)
    for unknown in ("nowhere", "0123456789", "~99"):
        with pytest.raises(errors.RevisionNotFoundError):
            await backend.history("job", **{name: unknown})  # type: ignore[arg-type]
    for wrong in (7, "", b"text"):
        with pytest.raises(errors.InvalidInputError):
            await backend.history("job", **{name: wrong})  # type: ignore[arg-type]


async def test_a_bound_before_the_job_was_there_is_an_error(backend: RewindBackend) -> None:
    await save(backend, "other")
    earlier = await newest(backend, "other")
    await run(backend)
    for bound in ({"before": earlier}, {"after": earlier}):
        with pytest.raises(errors.RevisionNotFoundError, match=f"no job 'job' at revision '{earlier}'"):
            await backend.history("job", **bound)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [-1, 1.5, True, "1"])
async def test_a_limit_that_is_none_is_an_error(backend: RewindBackend, limit: Any) -> None:
    with pytest.raises(errors.InvalidInputError, match="a limit"):
        await backend.history("job", limit)


# Loading and listing at a revision


async def test_a_state_and_the_list_of_another_moment(backend: RewindBackend) -> None:
    _, two, _, _ = await run(backend)
    for name in (two, two[:8], "~1", "~"):
        state = await backend.load("job", at=name)
        assert state is not None and state.config_path == "a", name
    found = await backend.list_jobs(at=two)
    assert {state.job_id: state.config_path for state in found} == {"job": "a", "other": None}
    await backend.delete("other")
    assert [state.job_id for state in await backend.list_jobs()] == ["job"]
    assert {state.job_id for state in await backend.list_jobs(at=two)} == {"job", "other"}
    assert await backend.load("other") is None
    deleted = await backend.load("other", at="@deleted")
    assert deleted is not None and deleted.job_id == "other"
    with pytest.raises(errors.InvalidInputError, match="one document"):
        await backend.list_jobs(at="~1")
    for unknown in ("nowhere", "~9"):
        with pytest.raises(errors.RevisionNotFoundError):
            await backend.load("job", at=unknown)
    with pytest.raises(errors.RevisionNotFoundError):
        await backend.list_jobs(at="nowhere")


async def test_an_older_state_that_is_saved_replaces_what_came_after(backend: RewindBackend) -> None:
    await run(backend)
    state = await backend.load("job", at="~1")
    assert state is not None
    await backend.save(state)
    now = await backend.load("job")
    assert now is not None and now.config_path == "a"


# Deleted jobs


async def test_deleted_jobs_are_told_with_where_they_stood(backend: RewindBackend) -> None:
    assert await backend.deleted_jobs() == []
    for job_id in ("job", LONG, "back", "there"):
        await save(backend, job_id)
        await backend.mark_sheet_status(job_id, 1, "completed")  # type: ignore[arg-type]
    for job_id in ("job", "back", LONG):
        await backend.delete(job_id)
    await backend.undelete("back")
    found = await backend.deleted_jobs()
    assert [(each.job_id, each.status, each.progress) for each in found] == [
        (LONG, "pending", "1/3"),
        ("job", "pending", "1/3"),
    ]
    assert [each.checkpoint.revision for each in found] == [await newest(backend, each.job_id) for each in found]
    assert {each.checkpoint.event for each in found} == {"deleted"}
    await backend.reshard(2)
    assert [each.job_id for each in await backend.deleted_jobs()] == [LONG, "job"]


async def test_a_job_whose_making_was_undone_is_gone(backend: RewindBackend) -> None:
    await save(backend)
    await backend.fork("job", "fork")
    await backend.undo("fork")
    (found,) = await backend.deleted_jobs()
    assert (found.job_id, found.checkpoint.event) == ("fork", "undone")


async def test_jobs_that_a_person_s_git_removed(git_backend: GitStateBackend, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    for job_id in ("broken", "bare", "one", "two"):
        await save(git_backend, job_id)
    await git_backend.flush()
    (folder / "jobs/broken/job.json").write_text("{")
    (folder / "jobs/bare/job.json").write_text("{}")
    git(folder, "commit", "-qam", "break some")
    git(folder, "rm", "-qr", "jobs/broken", "jobs/bare", "jobs/two")
    git(folder, "commit", "-qm", "not needed")
    found = {each.job_id: each for each in await git_backend.deleted_jobs()}
    assert {job_id: (each.status, each.progress) for job_id, each in found.items()} == {
        "broken": (None, None),
        "bare": (None, "0/0"),
        "two": ("pending", "0/3"),
    }
    assert {each.checkpoint.event for each in found.values()} == {"edited"}
    assert {each.checkpoint.subject for each in found.values()} == {"not needed"}


async def test_a_commit_that_was_no_store_s_and_was_put_right_is_only_told_of(
    git_backend: GitStateBackend, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    one = await save(git_backend, config_path="a")
    await git_backend.flush()
    git(folder, "rm", "-q", "gitstate.json")
    git(folder, "commit", "-qm", "what is this")
    slip = git(folder, "rev-parse", "HEAD").strip()
    for call in (git_backend.load("job"), git_backend.history("job"), git_backend.deleted_jobs(), save(git_backend)):
        with pytest.raises(errors.UnsupportedError, match=r"gitstate.json is missing"):
            await call
    git(folder, "revert", "--no-edit", "HEAD")
    right = git(folder, "rev-parse", "HEAD").strip()
    last = await save(git_backend, config_path="b")
    assert ids(await git_backend.history("job")) == [one, slip, right, last]
    assert [setting.value for setting in (await git_backend.blame("job", "/config_path")).settings][-1] == "a"
    found = (await git_backend.bisect("job", "config_path == 'b'")).found
    assert found is not None and found.revision == last
    assert await git_backend.deleted_jobs() == []
    await git_backend.delete("job")
    assert [each.job_id for each in await git_backend.deleted_jobs()] == ["job"]
    with pytest.raises(errors.RevisionNotFoundError, match="is no revision of a store"):
        await git_backend.load("job", at=slip)


async def test_ids_are_sorted_and_begin_as_asked(backend: RewindBackend) -> None:
    for job_id in ("b", "a", "a.b", LONG, "gone"):
        await save(backend, job_id)
    await backend.delete("gone")
    assert await backend.job_ids() == ["a", "a.b", "b", LONG]
    assert await backend.job_ids("a") == ["a", "a.b"]
    assert await backend.job_ids("ä/") == [LONG]
    assert await backend.job_ids("c") == []
    await backend.reshard(1)
    assert await backend.job_ids() == ["a", "a.b", "b", LONG]
    with pytest.raises(errors.InvalidInputError, match="prefix"):
        await backend.job_ids(7)  # type: ignore[arg-type]


# Pins


async def test_a_pin_is_a_name_that_every_call_knows(backend: RewindBackend) -> None:
    one, two, _, four = await run(backend)
    assert await backend.pins("job") == []
    assert await backend.pin("job", "good", "~1") == Pin("job", "good", two)
    assert await backend.pin("job", "good", two) == Pin("job", "good", two), "it stands there already"
    assert await backend.pin("job", "best") == Pin("job", "best", four)
    assert await backend.pins("job") == [Pin("job", "best", four), Pin("job", "good", two)]
    assert await backend.pins("other") == []
    state = await backend.load("job", at="good")
    assert state is not None and state.config_path == "a"
    assert ids(await backend.history("job", after="good")) == ids(await backend.history("job"))[2:]
    with pytest.raises(errors.ExistsError, match="'good' of 'job' is pinned"):
        await backend.pin("job", "good", one)
    assert await backend.unpin("job", "good") == Pin("job", "good", two)
    assert [pin.name for pin in await backend.pins("job")] == ["best"]
    with pytest.raises(errors.RevisionNotFoundError, match="pins: best"):
        await backend.load("job", at="good")


async def test_a_pin_stands_at_the_job_s_own_revision(backend: RewindBackend) -> None:
    one, *_ = await run(backend)
    other = await newest(backend, "other")
    assert (await backend.pin("job", "then", other)).revision == one
    await backend.delete("job")
    assert (await backend.pin("job", "end")).revision == await newest(backend)
    assert (await backend.pin("job", "last-state", "@deleted")).revision == ids(await backend.history("job"))[-2]
    assert [pin.name for pin in await backend.pins("job")] == ["end", "last-state", "then"]


async def test_what_cannot_be_pinned(backend: RewindBackend) -> None:
    await save(backend, "other")
    earlier = await newest(backend, "other")
    await run(backend)
    with pytest.raises(errors.JobNotFoundError, match="no job 'never'"):
        await backend.pin("never", "good")
    with pytest.raises(errors.JobNotFoundError, match="no job 'never'"):
        await backend.pin("never", "good", earlier)
    with pytest.raises(errors.RevisionNotFoundError, match="there was no job 'job' at revision"):
        await backend.pin("job", "good", earlier)
    with pytest.raises(errors.RevisionNotFoundError):
        await backend.pin("job", "good", "nowhere")
    for wrong in ("", "a b", "cafe", "yesterday", 7, None):
        with pytest.raises(errors.InvalidInputError, match="a pin cannot be named"):
            await backend.pin("job", wrong)  # type: ignore[arg-type]
    for unknown in ("nothing", "", 7, None):
        with pytest.raises(errors.NotFoundError, match="'job' has no pin"):
            await backend.unpin("job", unknown)  # type: ignore[arg-type]
    assert await backend.pins("job") == []


@pytest.mark.parametrize("job_id", ["", 7, None])
async def test_a_job_id_that_is_none_is_an_error(backend: RewindBackend, job_id: Any) -> None:
    for call in (
        backend.history(job_id),
        backend.pin(job_id, "good"),
        backend.unpin(job_id, "good"),
        backend.pins(job_id),
        backend.blame(job_id, "/status"),
        backend.bisect(job_id, "status"),
        backend.explain_next(job_id),
    ):
        with pytest.raises(errors.InvalidInputError, match="a job id"):
            await call


async def test_a_pin_is_a_tag_of_git(git_backend: GitStateBackend, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    await save(git_backend, LONG)
    one = await save(git_backend, "a.b")
    await git_backend.pin("a.b", "good.one")
    await git_backend.pin(LONG, "good")
    git(folder, "pack-refs", "--all")
    assert [pin.name for pin in await git_backend.pins("a.b")] == ["good.one"]
    assert git(folder, "tag", "--points-at", one).split() == ["jobs/a%2Eb/good%2Eone"]
    state = await git_backend.load(LONG, at="good")
    assert state is not None and state.job_id == LONG
    await git_backend.unpin("a.b", "good.one")
    assert git(folder, "tag", "--points-at", one) == ""


@pytest.mark.parametrize("at_a_bound", [False, True])
async def test_checkpoints_are_found_by_what_their_trailers_say(backend: RewindBackend, at_a_bound: bool) -> None:
    state = CheckpointState(job_id="nightly", job_name="n", total_sheets=3)
    await backend.save(state)
    for sheet in (1, 2):
        state.mark_sheet_started(sheet)
        state.mark_sheet_failed(sheet, "no")
        await backend.save(state)
        await backend.record_execution("nightly", sheet, 1, exit_code=1)
    bounds: dict[str, Any] = {"after": (await backend.history("nightly"))[-1].revision} if at_a_bound else {}

    async def subjects(trailer: str) -> list[str]:
        return [each.subject.partition(": ")[2] for each in await backend.history("nightly", trailer=trailer, **bounds)]

    assert await subjects("Gitstate-Failed: 1-2") == [
        "executed sheet 2, attempt 1, exit 1 (0/3 done)",
        "sheet 2 failed (0/3 done)",
    ]
    assert len(await subjects("Gitstate-Failed")) == 4
    assert await subjects("Gitstate-Sheet:1") == ["executed sheet 1, attempt 1, exit 1 (0/3 done)"]
    assert await subjects("Gitstate-Sheet: 3") == await subjects("Signed-off-by") == []
    for wrong in ("", "two words", ": 3", "é"):
        with pytest.raises(errors.InvalidInputError, match="is no trailer"):
            await subjects(wrong)


async def test_a_job_is_found_by_the_beginning_of_its_id(backend: RewindBackend) -> None:
    for job_id in ("nightly", "night", "weekly", "a@b"):
        await save(backend, job_id)
    await backend.delete("weekly")
    meant = {"nightly": "nightly", "nightl": "nightly", "night": "night", "w": "weekly", "a@b": "a@b", "a@": "a@b"}
    assert {name: await backend.find_job(name) for name in meant} == meant
    for name, hint in (
        ("ni", "it may be 'night', 'nightly'"),
        ("nigthly", "it may be 'nightly', 'night'"),
        ("nightly~1", "it may be 'nightly'; its revision is named apart from it"),
        ("nightly@~1", "it may be 'nightly'; its revision is named apart from it"),
        ("xyz", "`gitstate list` shows which there are"),
    ):
        with pytest.raises(errors.JobNotFoundError) as caught:
            await backend.find_job(name)
        assert caught.value.hint == hint
