"""Purging: what is purged is nowhere in the repository any more, and all else is as it was."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitstate import CheckpointState, GitStateBackend
from gitstate.errors import GitStateError, NotFoundError, RevisionNotFoundError
from gitstate.store import exactness
from tests.backends.purging import FORMS, NAME, SECRET, purge, state_of, work
from tests.credentials import credential
from tests.git import fsck, git
from tests.remains import holders


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Path]:
    """A store with three jobs, one of which shall be private, and one of which said a secret."""
    path = tmp_path / "state"
    async with GitStateBackend(path) as backend:
        await work(backend, "weekly")
        await work(backend, NAME)
        await work(backend, "nightly", secret=SECRET)
        await work(backend, "weekly")
    yield path
    check(path)


def check(path: Path) -> None:
    fsck(path)
    assert git(path, "status", "--porcelain") == ""
    found = subprocess.run(["git", "-C", path, "fsck", "--unreachable"], capture_output=True, text=True, check=True)
    assert found.stdout == ""


async def told(backend: GitStateBackend, job: str) -> list[object]:
    """Return all that is known of a job: each checkpoint with its state, executions, pins."""
    history = await backend.history(job)
    states = [await backend.load(job, at=each.revision) for each in history]
    executions = [each async for each in backend.executions(job)]
    pins = [(pin.name, await backend.load(job, at=pin.name)) for pin in await backend.pins(job)]
    facts = [(each.event, each.time, each.author, each.message) for each in history]
    return [*zip(facts, states, strict=True), *executions, *pins]


# What is gone


async def test_a_job_is_gone_with_all_that_was_said_of_it(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        await backend.pin(NAME, "good")
        await backend.delete(NAME)
        await work(backend, NAME)
        before = {job: await told(backend, job) for job in ("weekly", "nightly")}
    report = await purge(store, NAME)
    assert holders(store / ".git", NAME.encode()) == []
    assert not (store / "jobs" / NAME).exists()
    assert report.plan.jobs == (NAME,)
    assert report.plan.deleted == (f"refs/tags/jobs/{NAME}/good",)
    async with GitStateBackend(store) as backend:
        assert {job: await told(backend, job) for job in before} == before
        assert (await backend.verify()).problems == ()
        assert backend.store.head() == report.plan.new_head
        with pytest.raises(RevisionNotFoundError):
            await backend.load("weekly", at=report.plan.head)


async def test_a_fork_stays_and_is_named(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        await backend.fork(NAME, "child")
        await work(backend, "child")
        states = [await backend.load("child", at=each.revision) for each in await backend.history("child")]
    report = await purge(store, NAME)
    assert [held.what for held in report.plan.held] == ["job child"]
    async with GitStateBackend(store) as backend:
        assert [await backend.load("child", at=each.revision) for each in await backend.history("child")] == states
        assert (await backend.forks("child")).origin is None
    await purge(store, "child")
    assert holders(store / ".git", NAME.encode()) == []


async def test_a_value_is_gone_wherever_it_stood(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        await backend.rollback("nightly", "~1", message=f"It was {SECRET}.")
        await backend.pin("nightly", "good", at="~2")
        before = {job: await told(backend, job) for job in ("weekly", NAME)}
        was = [await backend.load("nightly", at=each.revision) for each in await backend.history("nightly")]
    (store / "notes.md").write_text(f"The key is {SECRET}.\n")
    git(store, "add", "notes.md")
    git(store, "commit", "-qm", f"A note with {SECRET}")
    git(store, "tag", "-am", f"signed {SECRET}", "v1")
    report = await purge(store, value=SECRET)
    assert holders(store / ".git", *FORMS) == []
    assert (store / "notes.md").read_text() == "The key is [purged].\n"
    assert git(store, "log", "-1", "--format=%s", "--skip=1").strip() == "A note with [purged]"
    assert git(store, "tag", "-l", "--format=%(contents:subject)", "v1").strip() == "signed [purged]"
    assert report.plan.files["jobs/nightly/executions/0001/prompt.txt"] == 1
    async with GitStateBackend(store) as backend:
        assert {job: await told(backend, job) for job in before} == before
        now = [await backend.load("nightly", at=each.revision) for each in await backend.history("nightly")]
        texts = [json.dumps(state.model_dump(mode="json")) for state in was if state is not None]
        wanted = [
            CheckpointState.model_validate_json(text.replace(json.dumps(SECRET)[1:-1], "[purged]")) for text in texts
        ]
        assert now == wanted
        assert (await backend.verify()).problems == ()


async def test_no_text_of_an_execution_stays_in_memory(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        await backend.get_execution_history("nightly")
        assert any(SECRET in text for text in backend._payloads._texts.values())
        plan = await backend.plan_purge(value=SECRET)
        await backend.purge(value=SECRET, confirm=plan.token)
        assert not backend._payloads._texts


async def test_what_is_remembered_of_values_is_forgotten_also_by_who_is_open(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactness, "_SMALL", 0)
    monkeypatch.setattr(exactness, "_WORTH", 1)
    monkeypatch.setattr(exactness, "_WORTH_EACH", 0)
    remembered = store / ".git/gitstate/exact"
    async with GitStateBackend(store) as backend:
        await backend.list_jobs()
    assert remembered.stat().st_size == 16 + 3 * 8
    before = remembered.read_bytes()
    async with GitStateBackend(store) as backend:
        await backend.save(await work(backend, NAME))
        await purge(store, NAME)
        assert remembered.stat().st_size == 16
    assert remembered.stat().st_size == 16
    assert remembered.read_bytes() != before[:16]


async def test_old_ids_are_mentioned_nowhere(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        await backend.rollback("nightly", "~1")
        await backend.fork("nightly", "child", at="~2")
        await backend.undo("nightly")
    old = git(store, "log", "--format=%H").split()
    report = await purge(store, NAME)
    gone = old[: old.index(report.plan.oldest[0])]
    told = git(store, "log", "--format=%B%n%(trailers)")
    assert not [commit for commit in gone if commit[:7] in told]
    assert holders(store / ".git", *(commit.encode() for commit in gone)) == []
    sources = git(
        store, "log", "--format=%(trailers:key=Gitstate-Source,valueonly)%(trailers:key=Gitstate-Undoes,valueonly)"
    )
    new = git(store, "log", "--format=%H").split()
    assert set(sources.split()) <= set(new)
    assert len(sources.split()) == 2


async def test_what_is_before_keeps_its_ids_and_a_clone_comes_to_the_same(store: Path, tmp_path: Path) -> None:
    old = git(store, "log", "--format=%H").split()
    git(tmp_path, "clone", "-q", store, "clone")
    git(tmp_path / "clone", "remote", "remove", "origin")
    (one,) = [await purge(store, NAME)]
    (other,) = [await purge(tmp_path / "clone", NAME)]
    assert one.plan.new_head == other.plan.new_head
    assert git(store, "rev-parse", "main") == git(tmp_path / "clone", "rev-parse", "main")
    kept = old[old.index(one.plan.oldest[0]) + 1 :]
    assert git(store, "log", "--format=%H").split()[-len(kept) :] == kept
    shutil.rmtree(tmp_path / "clone")


async def test_edits_that_were_discarded_are_cleared_too(store: Path) -> None:
    (store / "jobs" / NAME / "job.json").write_text("{}")
    (store / "jobs/nightly/job.json").write_text(json.dumps({"key": SECRET}))
    async with GitStateBackend(store) as backend:
        await backend.discard_edits([NAME, "nightly"])
    assert (store / ".git/gitstate/discarded").is_dir()
    await purge(store, NAME, value=SECRET)
    assert holders(store / ".git", NAME.encode(), *FORMS) == []


async def test_a_number_and_a_pattern_are_found(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        state = await backend.load("weekly")
        assert state is not None
        state.metadata |= {"pin": 90210, "token": "tk_abc123", "tk_zzz999": 1}
        await backend.save(state)
    await purge(store, value="90210", pattern=r"tk_[a-z]+\d+")
    assert holders(store / ".git", b"90210", b"tk_abc123", b"tk_zzz999") == []
    async with GitStateBackend(store) as backend:
        state = await backend.load("weekly")
        assert state is not None
        assert state.metadata["pin"] == state.metadata["token"] == "[purged]"
        assert state.metadata["[purged]"] == 1


async def test_credentials_of_a_kind_are_found(store: Path) -> None:
    (_, token), (_, key) = credential("github-token", 1), credential("slack-token", 2)
    file = store / "config.txt"
    file.write_text(f"token {token}\nslack {key}\n")
    git(store, "add", ".")
    git(store, "commit", "-qm", f"use {token}")
    await purge(store, kinds=["github-token"])
    assert holders(store / ".git", token.encode()) == []
    assert holders(store / ".git", key.encode()) != []
    await purge(store, kinds=["all"])
    assert holders(store / ".git", key.encode()) == []


async def test_any_fanout_is_gone_and_names_that_are_folders_of_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "state"
    long = "x" * 300
    async with GitStateBackend(path) as backend:
        for job in ("2", "a", "c/d", long):
            await work(backend, job, sheets=1)
        await backend.reshard(2)
        for job in ("2", "a", long):
            await work(backend, job, sheets=1)
        await backend.reshard(1)
        before = {job: await told(backend, job) for job in ("a", "c/d")}
    await purge(path, "2", long)
    assert holders(path / ".git", long.encode(), b"jobs/2/job", b'"job_id": "2"') == []
    async with GitStateBackend(path) as backend:
        assert {job: await told(backend, job) for job in before} == before
        assert (await backend.verify()).problems == ()
    check(path)


# History with more than one line


async def test_merges_are_kept_and_proposals_move_along(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        for name in ("x", "y", "z"):
            await backend.propose(name)
    for name, jobs in {"x": ("weekly", NAME), "y": (NAME,), "z": ("nightly",)}.items():
        async with GitStateBackend(store, branch=f"proposals/{name}") as backend:
            for job in jobs:
                await backend.skip_sheets(job, [3 if name == "y" else 4])
    async with GitStateBackend(store) as backend:
        await backend.apply_proposal("x")
        await backend.apply_proposal("y")
        before = {job: await told(backend, job) for job in ("weekly", "nightly")}
    merges = git(store, "log", "--merges", "--format=%H").split()
    assert len(merges) == 2
    report = await purge(store, NAME)
    assert holders(store / ".git", NAME.encode()) == []
    assert "refs/heads/proposals/z" in report.plan.moved
    subject, trailers = git(store, "log", "--merges", "--format=%s%x00%(trailers:key=Gitstate-Job,valueonly)").split(
        "\0"
    )
    assert subject == "proposal x: 2 jobs, 2 commits"
    assert trailers.split() == ["weekly"]
    async with GitStateBackend(store) as backend:
        assert {job: await told(backend, job) for job in before} == before
        applied = await backend.apply_proposal("z")
        assert applied.jobs == ("nightly",)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_of_any_history_nothing_is_left_and_nothing_else_is_lost(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("any") / "state"
    asyncio.run(_any_history(path, data))
    shutil.rmtree(path)


JOBS = [NAME, "one", "two"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["save", "save", "run", "fork", "delete", "rollback", "pin", "commit", "propose", "apply", "branch"]
        ),
        st.sampled_from(JOBS),
    ),
    min_size=4,
    max_size=14,
)


async def _any_history(path: Path, data: st.DataObject) -> None:
    async with GitStateBackend(path) as backend:
        for job in JOBS:
            await backend.save(state_of(job))
    for number, (step, job) in enumerate(data.draw(STEPS)):
        await _step(path, step, job, number)
    others = ["one", "two"]
    async with GitStateBackend(path) as backend:
        before = {job: await told(backend, job) for job in others}
        order = [job for job in others for _ in await backend.history(job)]
    by_job = data.draw(st.booleans())
    wanted = {} if by_job else {"value": SECRET}
    try:
        report = await purge(path, *([NAME] if by_job else []), **wanted)
        forks = [held.what.removeprefix("job ") for held in report.plan.held]
        if forks:
            await purge(path, *forks)
    except NotFoundError:
        assert not by_job
    assert holders(path / ".git", *([NAME.encode()] if by_job else FORMS)) == []
    async with GitStateBackend(path) as backend:
        assert order == [job for job in others for _ in await backend.history(job)]
        if by_job:
            assert {job: await told(backend, job) for job in others} == before
        assert (await backend.verify()).problems == ()
    check(path)


async def _step(path: Path, step: str, job: str, number: int) -> None:
    async with GitStateBackend(path) as backend:
        try:
            if step == "save":
                state = await backend.load(job) or state_of(job)
                state.metadata[f"step {number}"] = SECRET if number % 3 == 0 else number
                await backend.save(state)
            elif step == "run":
                await backend.record_execution(job, 1, number + 1, prompt=f"{number}", output=SECRET, exit_code=0)
            elif step == "fork":
                await backend.fork(job, f"fork-{number}")
            elif step == "delete":
                await backend.delete(job)
            elif step == "rollback":
                await backend.rollback(job, "~1")
            elif step == "pin":
                await backend.pin(job, f"pin-{number}")
            elif step == "propose":
                await backend.propose(f"p{JOBS.index(job)}")
            elif step == "apply":
                await backend.apply_proposal(f"p{JOBS.index(job)}")
        except (GitStateError, ValueError):
            return  # there is nothing to be done so
    if step == "propose":
        async with GitStateBackend(path, branch=f"proposals/p{JOBS.index(job)}") as backend:
            state = await backend.load(job) or state_of(job)
            state.metadata["proposed"] = SECRET
            await backend.save(state)
    elif step == "commit":
        (path / f"file-{number}.txt").write_text(f"{job} {SECRET}" if job != NAME else "mine")
        git(path, "add", "-A")
        git(path, "commit", "-qm", f"by hand {number}")
    elif step == "branch":
        git(path, "checkout", "-q", "-b", "side", "main~1")
        (path / f"side-{number}.txt").write_text("side")
        git(path, "add", "-A")
        git(path, "commit", "-qm", "aside")
        git(path, "checkout", "-q", "main")
        git(path, "merge", "-q", "--no-edit", "side")
        git(path, "branch", "-qD", "side")
