"""What a reviewer is told of a change, on both of our backends."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend, SheetStatus
from gitstate.backends.review import JobDiff, JobError, Outcome
from gitstate.backends.rewind import RewindBackend
from gitstate.backends.sides import JobSide
from gitstate.errors import InvalidInputError, JobNotFoundError, RevisionNotFoundError
from gitstate.values.diff import apply
from gitstate.values.shape import ABSENT, Value
from tests.git import git

NOWHERE = JobSide("job", None, exists=False)


async def run(backend: RewindBackend, job_id: str = "job") -> list[str]:
    """Run a job whose second sheet fails; return its checkpoints, oldest first."""
    state = CheckpointState(job_id=job_id, job_name="Job", total_sheets=3)
    await backend.save(state)
    state.mark_sheet_started(1)
    await backend.save(state)
    state.mark_sheet_completed(1, execution_duration_seconds=1.5)
    state.sheets[1].metadata["cost_usd"] = 0.25
    await backend.save(state)
    state.mark_sheet_started(2)
    state.mark_sheet_failed(2, "no space left")
    await backend.save(state)
    return [checkpoint.revision for checkpoint in reversed(await backend.history(job_id))]


def told(diff: JobDiff) -> dict[str, tuple[object, object]]:
    changes = [*diff.fields, *(change for sheet in diff.sheets for change in sheet.changes)]
    return {change.pointer: (change.before, change.after) for change in changes}


async def test_without_revisions_it_is_the_last_save(backend: RewindBackend) -> None:
    revisions = await run(backend)
    diff = await backend.diff("job")
    assert diff.before.checkpoint is not None and diff.after.checkpoint is not None
    assert [diff.before.checkpoint.revision, diff.after.checkpoint.revision] == revisions[2:]
    assert diff.after.checkpoint.subject == "job: sheet 2 failed (1/3 done)"
    assert [(sheet.sheet, sheet.before, sheet.moved) for sheet in diff.sheets] == [("2", None, True)]
    assert diff.sheets[0].after == Outcome("failed", 1, None, None, "no space left")
    assert diff.errors == (JobError("2", "no space left"),)
    assert diff.differs


async def test_an_execution_and_other_jobs_are_not_the_last_save(backend: RewindBackend) -> None:
    revisions = await run(backend)
    await backend.record_execution("job", 2, 1, prompt="try", output="no")
    await run(backend, "other")
    diff = await backend.diff("job")
    assert diff.after.checkpoint is not None and diff.after.checkpoint.revision == revisions[3]
    assert (await backend.diff("job", revisions[3])).differs is False


async def test_from_a_revision_to_the_head_and_to_another(backend: RewindBackend) -> None:
    revisions = await run(backend)
    whole = await backend.diff("job", revisions[0])
    assert [sheet.sheet for sheet in whole.sheets] == ["1", "2"]
    assert told(whole)["/status"] == ("pending", "running")
    part = await backend.diff("job", revisions[1], revisions[2])
    (sheet,) = part.sheets
    assert sheet.before == Outcome("in_progress", 1, None, None, None)
    assert sheet.after == Outcome("completed", 1, 1.5, 0.25, None)
    assert told(part)["/sheets/1/metadata/cost_usd"] == (ABSENT, 0.25)
    back = await backend.diff("job", revisions[2], revisions[1])
    assert told(back) == {pointer: (after, before) for pointer, (before, after) in told(part).items()}


async def test_volatile_fields_are_shown_to_who_asks_for_them(backend: RewindBackend) -> None:
    revisions = await run(backend)
    state = await backend.load("job")
    assert state is not None
    state.set_running_pid()
    await backend.save(state)
    quiet, all_ = await backend.diff("job"), await backend.diff("job", volatile=True)
    assert not quiet.differs and quiet.hidden == 3 and quiet.changes == all_.changes
    assert all_.hidden == 0 and told(all_).keys() == {"/updated_at", "/pid", "/host"}
    assert (await backend.diff("job", revisions[0])).hidden == 3


async def test_a_job_that_was_created_and_one_that_was_deleted(backend: RewindBackend) -> None:
    state = CheckpointState(job_id="job", job_name="Job", total_sheets=3)
    state.mark_sheet_started(1)
    await backend.save(state)
    created = await backend.diff("job")
    assert created.before == NOWHERE and created.after.exists
    assert told(created)["/job_name"] == (ABSENT, "Job")
    assert [sheet.sheet for sheet in created.sheets] == ["1"]
    await backend.delete("job")
    deleted = await backend.diff("job")
    assert deleted.before.exists and not deleted.after.exists
    assert deleted.after.checkpoint is not None and deleted.after.checkpoint.event == "deleted"
    assert told(deleted)["/job_name"] == ("Job", ABSENT)


async def test_changes_lead_from_one_value_to_the_other(backend: RewindBackend) -> None:
    revisions = await run(backend)
    store, jobs = backend.store, backend._jobs
    values = {at: snapshot.value() for at in revisions if (snapshot := store.load(jobs, "job", at)) is not None}
    for a in revisions:
        for b in revisions:
            assert apply((await backend.diff("job", a, b)).changes, values[a]) == values[b]


def test_the_same_error_of_another_attempt_is_new() -> None:
    def job(attempt: int, error: str | None) -> Value:
        return {"error_message": "job's own", "sheets": {"1": {"attempt_count": attempt, "error_message": error}}}

    sides = NOWHERE, NOWHERE
    assert JobDiff.of(sides, job(1, "bad"), job(2, "bad")).errors == (JobError("1", "bad"),)
    assert JobDiff.of(sides, job(1, "bad"), job(1, "bad")).errors == ()
    assert JobDiff.of(sides, job(1, "bad"), job(2, None)).errors == ()
    assert JobDiff.of(sides, {}, job(1, None)).errors == (JobError(None, "job's own"),)


def test_records_of_a_history_are_known_by_their_id() -> None:
    before: Value = {"run_history": [{"id": 1, "n": 1}]}
    after: Value = {"run_history": [{"id": 0, "n": 1}, {"id": 1, "n": 2}]}
    (first, second) = JobDiff.of((NOWHERE, NOWHERE), before, after).fields
    assert (first.pointer, first.before) == ("/run_history/0", ABSENT)
    assert (second.pointer, second.before, second.after) == ("/run_history/1/n", 1, 2)


@pytest.mark.parametrize(
    "sheets", [None, [], "text", 3, {"1": None, "x": [1], "2": {"status": 5, "attempt_count": "x"}}]
)
def test_states_of_any_form_are_told(sheets: Value) -> None:
    sides = NOWHERE, NOWHERE
    pairs: list[tuple[Value, Value]] = [({}, {"sheets": sheets, "a": 1}), ({"sheets": sheets}, {"sheets": {"1": {}}})]
    for before, after in pairs:
        diff = JobDiff.of(sides, before, after)
        assert diff.differs and apply(diff.changes, before) == after


def test_numbers_that_mean_nothing_are_none() -> None:
    sheet: Value = {"attempt_count": True, "execution_duration_seconds": 10**400, "metadata": {"cost": "much"}}
    assert Outcome.of(sheet) == Outcome(None, 0, None, None, None)
    keys: Value = {"sheets": {"9" * 5000: sheet, "10": sheet, "9": sheet, "x": sheet}}
    assert [each.sheet[:2] for each in JobDiff.of((NOWHERE, NOWHERE), {}, keys).sheets] == ["9", "10", "99", "x"]


async def test_two_jobs_side_by_side(backend: RewindBackend) -> None:
    revisions = await run(backend)
    await run(backend, "fork")
    await backend.mark_sheet_status("fork", 2, SheetStatus.COMPLETED)
    comparison = await backend.compare("job", None, "fork")
    assert [sheet.sheet for sheet in comparison.sheets] == ["1", "2"]
    first, second = comparison.sheets
    assert first.before == first.after == Outcome("completed", 1, 1.5, 0.25, None)
    assert second.moved and second.after is not None and second.after.status == "completed"
    assert comparison.differs and comparison.after.job_id == "fork"
    assert not (await backend.compare("job", revisions[3], "job")).differs
    earlier = await backend.compare("job", revisions[1], "job", revisions[3])
    assert [sheet.before is None for sheet in earlier.sheets] == [False, True]


async def test_what_cannot_be_compared_is_an_error(backend: RewindBackend) -> None:
    await backend.save(CheckpointState(job_id="other", job_name="other", total_sheets=1))
    (before,) = await backend.history("other")
    await run(backend)
    with pytest.raises(JobNotFoundError, match="no state of job 'none'"):
        await backend.diff("none")
    with pytest.raises(JobNotFoundError, match=f"'job' at revision {before.revision}"):
        await backend.diff("job", before.revision, before.revision)
    with pytest.raises(RevisionNotFoundError):
        await backend.diff("job", "0123456789")
    with pytest.raises(JobNotFoundError):
        await backend.compare("none", None, "nobody")
    with pytest.raises(JobNotFoundError, match="no state of job 'jbo'"):
        await backend.compare("job", None, "jbo")
    with pytest.raises(InvalidInputError):
        await backend.diff("job", "")
    assert not (await backend.diff("job", before.revision)).before.exists, "it was created since"


async def test_files_are_those_that_git_shows(git_backend: GitStateBackend, tmp_path: Path) -> None:
    revisions = await run(git_backend)
    files = await git_backend.diff_files("job", revisions[0])
    shown = git(tmp_path / "state", "diff", "--name-only", "--relative=jobs/job", revisions[0], revisions[3])
    assert sorted(files) == shown.splitlines()
    assert files["sheets/0001.json"][0] == b"" and b'"completed"' in files["sheets/0001.json"][1]


async def test_a_time_is_of_the_checkpoint_that_it_tells(backend: RewindBackend) -> None:
    await run(backend)
    checkpoint = (await backend.diff("job")).after.checkpoint
    assert checkpoint is not None and checkpoint.author
    assert abs((datetime.now(UTC) - checkpoint.time).total_seconds()) < 60
