"""Who set a value, and since when something holds: on both backends, among git's own commits, and how much is read."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, errors
from gitstate.backends.rewind import RewindBackend
from gitstate.backends.tracing import Blame
from gitstate.values import canonical, pointer
from gitstate.values.merge import same
from gitstate.values.shape import ABSENT, Slot, Value
from tests.backends.foreign import TheirJob, TheirSheetStatus, their_job
from tests.backends.test_history import merged, newest, save
from tests.git import git

LONG = "ä/" * 100  # its folder's name is cut


async def mark(backend: RewindBackend, sheet: int, status: str, job_id: str = "job", error: str | None = None) -> str:
    """Mark a sheet; return the checkpoint."""
    await backend.mark_sheet_status(job_id, sheet, status, error)  # type: ignore[arg-type]
    return await newest(backend, job_id)


def told(blame: Blame) -> list[tuple[str, Any]]:
    """Return who set what, the oldest first."""
    return [(setting.checkpoint.revision, setting.value) for setting in blame.settings][::-1]


# Blame


@pytest.mark.parametrize("job_id", ["job", LONG])
async def test_fields_of_the_job_and_of_a_sheet(backend: RewindBackend, job_id: str) -> None:
    made = await save(backend, job_id)
    begun = await mark(backend, 1, "in_progress", job_id)
    await save(backend, "other")
    failed = await mark(backend, 1, "failed", job_id, "no space")
    named = await save(backend, job_id, config_path="a")
    await backend.record_execution(job_id, 1, 1)
    again = await mark(backend, 1, "in_progress", job_id)
    await backend.reshard(2)
    done = await mark(backend, 1, "completed", job_id)
    blame = await backend.blame(job_id, "/sheets/1/status")
    assert (blame.job_id, blame.pointer, blame.value) == (job_id, "/sheets/1/status", "completed")
    assert told(blame) == [(begun, "in_progress"), (failed, "failed"), (again, "in_progress"), (done, "completed")]
    assert await backend.blame(job_id, "sheets.1.status") == blame
    assert told(await backend.blame(job_id, "/sheets/1/error_message")) == [(failed, "no space"), (again, ABSENT)]
    assert told(await backend.blame(job_id, "/status")) == [(made, "pending"), (begun, "running")]
    assert told(await backend.blame(job_id, "/last_completed_sheet")) == [(made, 0), (done, 1)]
    assert told(await backend.blame(job_id, "/config_path")) == [(named, "a")]
    assert told(await backend.blame(job_id, "/sheets/1/status", at=named)) == told(blame)[:2]
    sheet = told(await backend.blame(job_id, "/sheets/1"))
    assert [revision for revision, _ in sheet] == [begun, failed, named, again, done], "a save fills defaults in"
    assert isinstance(sheet[-1][1], dict) and sheet[-1][1]["attempt_count"] == 2


async def test_all_sheets_and_the_whole_state(backend: RewindBackend) -> None:
    one = await save(backend)
    two = await mark(backend, 1, "completed")
    three = await save(backend, config_path="a")
    await backend.record_execution("job", 1, 1)
    four = await mark(backend, 2, "completed")
    sheets = await backend.blame("job", "/sheets")
    assert [(revision, sorted(value)) for revision, value in told(sheets)] == [
        (one, []),
        (two, ["1"]),
        (three, ["1"]),  # a save fills defaults in that a mark leaves out
        (four, ["1", "2"]),
    ]
    whole = await backend.blame("job", "")
    assert [revision for revision, _ in told(whole)] == [one, two, three, four]
    state = await backend.load("job")
    assert state is not None and whole.pointer == ""
    assert CheckpointState.model_validate(whole.value) == state


async def test_items_of_a_list_and_of_free_data(backend: RewindBackend) -> None:
    await save(backend)
    one = await save(backend, metadata={"notes": ["a", "b"], "a/b": {"~": 1}})
    two = await save(backend, metadata={"notes": ["a", "c"], "a/b": {"~": 1}})
    three = await save(backend, metadata={"notes": ["a"], "a/b": {"~": 1.0}})
    assert told(await backend.blame("job", "/metadata/notes/0")) == [(one, "a")]
    assert told(await backend.blame("job", "/metadata/notes/1")) == [(one, "b"), (two, "c"), (three, ABSENT)]
    assert told(await backend.blame("job", "/metadata/a~1b/~0")) == [(one, 1), (three, 1.0)]
    assert (await backend.blame("job", "metadata.notes.1")).value is ABSENT


async def test_texts_of_any_letters(backend: RewindBackend) -> None:
    await save(backend)
    texts = ["ä\u2028", "\U0001f600", "\ud800 alone", ""]
    made = [(await save(backend, config_path=text), text) for text in texts]
    assert told(await backend.blame("job", "/config_path")) == made
    found = await backend.bisect("job", "config_path == '\U0001f600'")
    assert found.found is not None and found.found.revision == made[1][0]


async def test_a_value_that_went_and_came_back(backend: RewindBackend) -> None:
    await save(backend)
    one = await save(backend, config_path="a")
    two = await save(backend, config_path=None)
    three = await save(backend, config_path="a")
    back = (await backend.rollback("job", two)).revision
    undone = (await backend.undo("job")).revision
    expected = [(one, "a"), (two, ABSENT), (three, "a"), (back, ABSENT), (undone, "a")]
    assert told(await backend.blame("job", "/config_path")) == expected
    await backend.delete("job")
    gone = await newest(backend)
    assert told(await backend.blame("job", "/config_path")) == [*expected, (gone, ABSENT)]
    anew = await save(backend, config_path="a")
    found = await backend.blame("job", "/config_path")
    assert told(found) == [*expected, (gone, ABSENT), (anew, "a")]
    assert [setting.checkpoint.event for setting in found.settings[:2]] == ["created", "deleted"]


async def test_a_list_in_place_of_the_sheets_is_found_in_the_job_s_own_file() -> None:
    class Listed(BaseModel):
        job_id: str
        sheets: list[dict[str, str]] = []

    async with InMemoryStateBackend(model=Listed) as backend:
        made = []
        for status in ("begun", "done"):
            await backend.save(Listed(job_id="job", sheets=[{"status": status}]))  # type: ignore[arg-type]
            made.append((await newest(backend), status))
        assert told(await backend.blame("job", "/sheets/0/status")) == made
        found = await backend.bisect("job", "sheets.0.status == 'done'")
        assert found.found is not None and found.found.revision == made[1][0]


async def test_a_model_of_other_people_s_making_is_traced_too() -> None:
    async with InMemoryStateBackend(model=TheirJob) as backend:
        await backend.save(their_job())
        one = await newest(backend, "theirs")
        job = await backend.load("theirs")
        assert isinstance(job, TheirJob)
        job.owner, job.sheets[2].status = "somebody else", TheirSheetStatus.COMPLETED
        await backend.save(job)
        two = await newest(backend, "theirs")
        assert told(await backend.blame("theirs", "/budget/tokens/a")) == [(one, 1)]
        assert told(await backend.blame("theirs", "/notes/1")) == [(one, 1.0)]
        assert told(await backend.blame("theirs", "/owner")) == [(one, "somebody"), (two, "somebody else")]
        assert told(await backend.blame("theirs", "sheets.2.status")) == [(one, "failed"), (two, "completed")]
        found = await backend.bisect("theirs", "not sheets.*.status == 'failed' and by_number.9.tokens.b == 2")
        assert found.found is not None and (found.found.revision, found.never) == (two, ())
        assert (await backend.explain_next("theirs", at=one)).sheet == 2
        assert (await backend.explain_next("theirs")).sheet == 3


async def test_of_two_branches_the_one_counts_whose_value_the_merge_took(
    git_backend: GitStateBackend, tmp_path: Path
) -> None:
    root = await save(git_backend)
    ours, theirs, merge = await merged(git_backend, tmp_path / "state")
    assert told(await git_backend.blame("job", "/job_name")) == [(root, "Job"), (theirs, "Side")]
    assert told(await git_backend.blame("job", "/sheets/1/status")) == [(ours, "completed")]
    assert [revision for revision, _ in told(await git_backend.blame("job", ""))][-1] == merge


@pytest.mark.parametrize("kept", ["main", "side", "neither"])
async def test_a_merge_decides_between_two_sides_whichever_is_younger(
    git_backend: GitStateBackend, tmp_path: Path, kept: str
) -> None:
    folder = tmp_path / "state"
    root = await save(git_backend, config_path="root")
    await git_backend.flush()
    path = folder / "jobs/job/job.json"
    text = path.read_text()
    made = {}
    git(folder, "checkout", "-q", "-b", "side")
    for branch, date in (("side", "2030-01-01T00:00Z"), ("main", "2029-01-01T00:00Z")):
        git(folder, "checkout", "-q", branch)
        path.write_text(text.replace('"root"', f'"{branch}"'))
        (folder / "jobs/job" / f"{branch}.txt").write_text("so that the merge takes neither side whole")
        git(folder, "add", "-A")
        commit(folder, "-m", branch, date=date)
        made[branch] = git(folder, "rev-parse", "HEAD").strip()
    with pytest.raises(Exception, match="merge"):
        git(folder, "merge", "side")
    path.write_text(text.replace('"root"', f'"{kept}"'))
    git(folder, "add", "-A")
    commit(folder, "--no-edit", date="2031-01-01T00:00Z")
    made["neither"] = git(folder, "rev-parse", "HEAD").strip()
    blame = await git_backend.blame("job", "/config_path")
    assert blame.value == kept
    if kept == "neither":
        sides = [(made["main"], "main"), (made["side"], "side")]
        assert told(blame) == [(root, "root"), *sides, (made["neither"], "neither")]
    else:
        assert told(blame) == [(root, "root"), (made[kept], kept)]


def commit(folder: Path, *words: str, date: str) -> None:
    os.environ["GIT_COMMITTER_DATE"] = date
    try:
        git(folder, "commit", "-q", *words)
    finally:
        del os.environ["GIT_COMMITTER_DATE"]


async def test_a_revision_that_cannot_be_read_is_passed_over(
    git_backend: GitStateBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, path = tmp_path / "state", tmp_path / "state/jobs/job/job.json"
    one = await save(git_backend, config_path="a")
    await git_backend.flush()
    whole = path.read_text()
    path.write_text("{")
    git(folder, "commit", "-qam", "break it")
    broken = git(folder, "rev-parse", "HEAD").strip()
    path.write_text(whole)
    git(folder, "commit", "-qam", "mend it")
    assert told(await git_backend.blame("job", "/config_path")) == [(one, "a")]
    assert caplog.text.count(f"passed over: 'job' in jobs/ cannot be read at revision {broken[:12]}") == 1
    path.write_text("{")
    git(folder, "commit", "-qam", "break it again")
    path.write_text(whole.replace('"a"', '"b"'))
    git(folder, "commit", "-qam", "mend and change it")
    mended = git(folder, "rev-parse", "HEAD").strip()
    assert told(await git_backend.blame("job", "/config_path")) == [(one, "a"), (mended, "b")]
    found = await git_backend.bisect("job", "config_path == 'b'")
    assert found.found is not None and found.found.revision == mended
    assert found.before is not None and found.before.subject == "mend it"
    assert found.looked_at == 3
    path.write_text("{")
    git(folder, "commit", "-qam", "and again")
    assert told(await git_backend.blame("job", "/config_path")) == [(one, "a"), (mended, "b")]
    git(folder, "revert", "--no-edit", "HEAD")


async def test_sheets_that_came_back_after_a_revision_that_cannot_be_read(
    git_backend: GitStateBackend, tmp_path: Path
) -> None:
    folder, path = tmp_path / "state", tmp_path / "state/jobs/job/sheets/0001.json"
    await save(git_backend)
    one = await mark(git_backend, 1, "in_progress")
    await git_backend.flush()
    earlier, whole = path.read_text(), (folder / "jobs/job/job.json").read_text()
    two = await mark(git_backend, 1, "waiting")
    await git_backend.flush()
    (folder / "jobs/job/job.json").write_text("{")
    git(folder, "commit", "-qam", "break the job, not the sheet")
    (folder / "jobs/job/job.json").write_text(whole)
    path.write_text(earlier)
    git(folder, "commit", "-qam", "as it was")
    back = git(folder, "rev-parse", "HEAD").strip()
    for place in ("/sheets", "/sheets/1", "/sheets/1/status"):
        found = await git_backend.blame("job", place)
        assert [setting.checkpoint.revision for setting in found.settings][:3] == [back, two, one], place


async def test_a_merge_may_take_the_sheets_of_one_side_and_the_fields_of_the_other(
    git_backend: GitStateBackend, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    await save(git_backend)
    await mark(git_backend, 1, "in_progress")
    ours, theirs, _ = await merged(git_backend, folder)
    await mark(git_backend, 1, "waiting")
    for place in ("/sheets", "/sheets/1", "/sheets/1/status"):
        found = await git_backend.blame("job", place)
        assert found.settings[1].checkpoint.revision == ours, place
        assert theirs not in [setting.checkpoint.revision for setting in found.settings], place


async def test_a_lost_sheet_is_no_value_that_was_removed(git_backend: GitStateBackend, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    await save(git_backend)
    done = await mark(git_backend, 1, "completed")
    await git_backend.flush()
    git(folder, "rm", "-q", "jobs/job/sheets/0001.json")
    git(folder, "commit", "-qm", "lose a sheet that job.json names")
    assert told(await git_backend.blame("job", "/sheets/1/status")) == [(done, "completed")]
    git(folder, "revert", "--no-edit", "HEAD")
    assert told(await git_backend.blame("job", "/sheets/1/status")) == [(done, "completed")]


async def test_a_commit_that_was_amended_is_told_as_it_is_now(git_backend: GitStateBackend, tmp_path: Path) -> None:
    folder, path = tmp_path / "state", tmp_path / "state/jobs/job/job.json"
    await save(git_backend, config_path="a")
    await save(git_backend, "other")  # its commit says nothing of the job
    await git_backend.flush()
    path.write_text(path.read_text().replace('"a"', '"b"'))
    git(folder, "commit", "-qa", "--amend", "--no-edit")
    amended = git(folder, "rev-parse", "HEAD").strip()
    await save(git_backend, "other", config_path="c")
    (newest, oldest) = (await git_backend.blame("job", "/config_path")).settings
    assert (newest.checkpoint.revision, newest.value, oldest.value) == (amended, "b", "a")
    assert newest.checkpoint.event == "edited"


async def test_what_cannot_be_blamed(backend: RewindBackend) -> None:
    await save(backend, "other")
    earlier = await newest(backend, "other")
    await save(backend)
    with pytest.raises(errors.NotFoundError, match="nothing ever stood at /sttus of job 'job'"):
        await backend.blame("job", "/sttus")
    with pytest.raises(errors.NotFoundError, match="nothing ever stood at /sheets/9/status"):
        await backend.blame("job", "sheets.9.status")
    with pytest.raises(errors.NotFoundError, match="nothing ever stood"):
        await backend.blame("job", "/sheets/*/status")
    with pytest.raises(errors.JobNotFoundError, match="no job 'never'"):
        await backend.blame("never", "/status")
    for unknown in ("nowhere", "~9", earlier):
        with pytest.raises(errors.RevisionNotFoundError):
            await backend.blame("job", "/status", at=unknown)
    for wrong in ("/a~2", ".a", "a..b", 7, None, ("sheets", "1")):
        with pytest.raises(errors.InvalidInputError):
            await backend.blame("job", wrong)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidInputError):
        await backend.blame("job", "/status", at=7)  # type: ignore[arg-type]


# Against all values, read one by one

PLACES = ("", "/sheets", "/sheets/1", "/sheets/1/status", "/config_path", "/metadata/a", "/metadata/b/0", "/sheets/2")
STEPS = st.lists(
    st.tuples(st.just("mark"), st.integers(1, 2), st.sampled_from(["in_progress", "failed", "completed"]))
    | st.tuples(st.just("save"), st.sampled_from(["config_path"]), st.sampled_from(["a", "b", None]))
    | st.tuples(
        st.just("save"), st.just("metadata"), st.sampled_from([{}, {"a": 1}, {"a": 1.0, "b": [1]}, {"b": [True]}])
    )
    | st.tuples(st.just("rollback"), st.integers(0, 3), st.none())
    | st.tuples(st.sampled_from(["delete", "execution", "reshard"]), st.integers(0, 2), st.none()),
    max_size=12,
)


async def do(backend: RewindBackend, step: tuple[str, Any, Any]) -> None:
    name, first, second = step
    there = await backend.load("job") is not None
    if name == "save":
        await save(backend, **{first: second})
    elif name == "reshard":
        await backend.reshard(first)
    elif name == "delete" or not there:
        await backend.delete("job")
    elif name == "mark":
        await mark(backend, first, second)
    elif name == "execution":
        await backend.record_execution("job", 1, 1)
    else:
        older = [each.revision for each in await backend.history("job") if await backend.load("job", at=each.revision)]
        await backend.rollback("job", older[min(first, len(older) - 1)])


@given(STEPS)
@settings(max_examples=40)
def test_both_agree_with_a_look_at_every_value(steps: list[tuple[str, Any, Any]]) -> None:
    async def compare() -> None:
        async with InMemoryStateBackend() as backend:
            await save(backend)
            for step in steps:
                await do(backend, step)
            values: list[tuple[str, Slot]] = []
            for checkpoint in reversed(await backend.history("job")):
                snapshot = backend.store.snapshot(backend._jobs, "job", checkpoint.revision)
                values.append((checkpoint.revision, ABSENT if snapshot is None else snapshot.value()))
            for place in PLACES:
                await agree(backend, place, values)

    asyncio.run(compare())


async def agree(backend: RewindBackend, place: str, values: list[tuple[str, Slot]]) -> None:
    expected: list[tuple[str, Slot]] = []
    last: Slot = ABSENT
    for revision, value in values:
        slot = pointer.get(value, pointer.parse(place))
        if not same(slot, last):
            expected.append((revision, slot))
        last = slot
    if expected:
        assert told(await backend.blame("job", place)) == expected
    else:
        with pytest.raises(errors.NotFoundError):
            await backend.blame("job", place)
    if place:
        there = [
            (revision, pointer.get(value, pointer.parse(place))) for revision, value in values if value is not ABSENT
        ]
        first = next((revision for revision, slot in there if slot not in (ABSENT, None, False, 0, [], {}, "")), None)
        found = (await backend.bisect("job", place)).found
        assert (None if found is None else found.revision) == first


# How much is read


async def test_only_the_files_that_are_asked_for_are_read_and_each_once(
    backend: RewindBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = CheckpointState(job_id="job", job_name="Job", total_sheets=300)
    for number in range(1, 301):
        state.sheet(number).metadata["n"] = number
    await backend.save(state)
    for number in range(1, 6):
        await mark(backend, 7, "in_progress")
        await mark(backend, number, "in_progress")
    await backend.flush()  # else the folder would be brought to the head while we count
    read: list[str] = []
    engine = backend.store._engine
    below = engine.read

    def counting(object_id: str, kind: Any) -> bytes:
        if kind == "blob":
            read.append(object_id)
        return below(object_id, kind)

    parsed: list[bytes] = []
    loads = canonical.loads

    def counting_too(data: bytes) -> Value:
        parsed.append(data)
        return loads(data)

    monkeypatch.setattr(engine, "read", counting)
    monkeypatch.setattr(canonical, "loads", counting_too)
    roots, sevens = 11, 6  # contents of job.json, and of sheet 7
    format_file = 1
    for call, limit in (
        (lambda: backend.blame("job", "/sheets/7/attempt_count"), roots + sevens + format_file),
        (lambda: backend.blame("job", "/status"), roots + format_file),
        (lambda: backend.bisect("job", "sheets.7.attempt_count > 99"), roots + sevens + format_file),
        (lambda: backend.bisect("job", "sheets.*.attempt_count > 99"), roots + 300 + 10 + format_file),
        (lambda: backend.blame("job", ""), roots + 300 + 10 + format_file),
    ):
        read.clear()
        parsed.clear()
        await call()
        assert len(read) <= limit
        assert len(parsed) == len(set(parsed)) <= limit, "no sheet is parsed twice"
        assert len(set(read)) >= len(read) - 1, "no file is read twice"
