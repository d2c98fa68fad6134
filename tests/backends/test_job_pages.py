"""Which jobs are found by what they say of themselves: filters, orders, pages, and what becomes of the index."""

import asyncio
import base64
import fnmatch
import random
import re
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, JobStatus
from gitstate.backends import jobs
from gitstate.backends.queries import JobFilters
from gitstate.backends.rewind import RewindBackend
from gitstate.backends.subjects import listed, unlisted
from gitstate.errors import CorruptionError, InvalidInputError
from tests.git import git, loose, unpack
from tests.stores import leave_damaged

_WORDS = ("nightly", "Weekly", "report-[1]", "naïve ünï", "odd\ud800", "a*b")


def job(job_id: str, sheets: int = 6, **fields: Any) -> CheckpointState:
    return CheckpointState(**{"job_id": job_id, "job_name": f"The {job_id}", "total_sheets": sheets} | fields)


def some_jobs(seed: int, count: int) -> list[CheckpointState]:
    dice = random.Random(seed)
    marks: list[Callable[[CheckpointState, int], object]] = [
        lambda state, n: state.mark_sheet_failed(n, dice.choice(["No Space left", "timeout", "ünï"])),
        lambda state, n: state.mark_sheet_skipped(n),
        lambda state, n: state.mark_sheet_completed(n),
    ]
    made = []
    for number in range(count):
        state = job(f"{dice.choice(_WORDS)}-{number}", status=dice.choice(list(JobStatus)))
        for sheet in dice.sample(range(1, 7), dice.randrange(5)):
            dice.choice(marks)(state, sheet)
        state.status = dice.choice(list(JobStatus))
        made.append(state)
    return made


def ids(jobs: Iterable[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in jobs]


def expected(states: list[CheckpointState], filters: JobFilters) -> list[str]:
    """The answer as a look at all states gives it."""

    def is_wanted(state: CheckpointState) -> bool:
        failed = [sheet for sheet in state.sheets.values() if sheet.status.value == "failed"]
        errors = [state.error_message or "", *(sheet.error_message or "" for sheet in failed)]
        pattern = filters.get("name")
        names = [text.replace("\ud800", "\ufffd") for text in (state.job_id, state.job_name)]
        return (
            (filters.get("status") is None or state.status in filters["status"])  # type: ignore[operator]
            and (
                pattern is None or any(fnmatch.fnmatchcase(name, pattern.replace("\ud800", "\ufffd")) for name in names)
            )
            and len(failed) >= (filters.get("failed") or 0)
            and ((filters.get("error") or "").casefold() in "\n".join(errors).casefold())
            and (filters.get("since") is None or state.updated_at >= filters["since"])  # type: ignore[operator]
            and (filters.get("until") is None or state.updated_at < filters["until"])  # type: ignore[operator]
        )

    order, reverse = filters.get("order", "saved"), filters.get("reverse", False)
    keys: dict[str, Any] = {
        "saved": lambda state: state.updated_at,
        "created": lambda state: state.created_at,
        "name": lambda state: state.job_name.replace("\ud800", "\ufffd").encode(),
        "id": lambda state: state.job_id.encode("utf-8", "surrogatepass"),
    }
    return [
        state.job_id
        for state in sorted(
            filter(is_wanted, states),
            key=lambda state: (keys[order](state), state.job_id.encode("utf-8", "surrogatepass")),
            reverse=(order in ("saved", "created")) != reverse,
        )
    ]


_FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.lists(st.sampled_from(list(JobStatus)), max_size=3),
        "name": st.sampled_from(["*", "night*", "*ly-?", "The [nW]*", "*[!0-4]", "report*", "*\ud800*", ""]),
        "failed": st.integers(0, 3),
        "error": st.sampled_from(["space", "NO SPACE", "timeout", "Ü", "ü", "", "%"]),
        "order": st.sampled_from(["saved", "created", "name", "id"]),
        "reverse": st.booleans(),
    },
)


class Filled:
    """A store of many jobs."""

    def __init__(self, folder: Path, states: list[CheckpointState]) -> None:
        self.folder = folder
        self.states = states


_COUNT = 40
_PLACES = st.none() | st.integers(0, _COUNT - 1)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder = tmp_path_factory.mktemp("many") / "state"
    states = some_jobs(1, _COUNT)

    async def fill() -> None:
        async with GitStateBackend(folder) as backend:
            await asyncio.gather(*map(backend.save, states))

    asyncio.run(fill())
    return Filled(folder, states)


@settings(max_examples=60)
@given(filters=_FILTERS, limit=st.integers(1, 15), since=_PLACES, until=_PLACES)
def test_filters_orders_and_pages_find_what_a_look_at_all_states_finds(
    many: Filled, filters: JobFilters, limit: int, since: int | None, until: int | None
) -> None:
    bounds: JobFilters = {}
    if since is not None:
        bounds["since"] = many.states[since].updated_at
    if until is not None:
        bounds["until"] = many.states[until].updated_at
    filters = {**filters, **bounds}

    async def ask() -> list[str]:
        async with GitStateBackend(many.folder, create=False) as backend:
            whole = await backend.job_page(None, **filters)
            assert whole.cursor is None
            cursor, paged = None, []
            while True:
                page = await backend.job_page(limit, cursor, **filters)
                assert len(page.jobs) == limit or page.cursor is None
                paged += page.jobs
                cursor = page.cursor
                if cursor is None:
                    break
            assert paged == whole.jobs == [each async for each in backend.each_job(**filters)]
            return ids(paged)

    assert asyncio.run(ask()) == expected(many.states, filters)


async def test_what_a_page_tells_of_a_job(backend: RewindBackend) -> None:
    state = job("nightly")
    state.mark_sheet_completed(1)
    state.mark_sheet_skipped(2)
    state.mark_sheet_failed(4, "no space")
    state.mark_sheet_failed(5, "no space")
    await backend.save(state)
    (told,) = (await backend.job_page()).jobs
    assert (told["done_sheets"], told["failed_sheets"], told["total_sheets"]) == (2, 2, 6)
    assert datetime.fromisoformat(told["updated_at"]) == state.updated_at
    await backend.delete("nightly")
    assert (await backend.job_page()).jobs == []


async def test_jobs_that_run_and_are_silent(backend: RewindBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = job("gone", status=JobStatus.RUNNING, pid=2**22 + 1, host=socket.gethostname())
    for state in (job("runs", status=JobStatus.RUNNING), gone, job("done", status=JobStatus.COMPLETED)):
        await backend.save(state)
    assert (await backend.job_page(stale=60)).jobs == []
    later = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr("gitstate.clock.now", lambda: later)
    await backend.save(job("new", status=JobStatus.RUNNING))
    for stale in (60, 60.0, timedelta(minutes=1)):
        assert ids((await backend.job_page(stale=stale)).jobs) == ["gone", "runs"]
    assert ids((await backend.job_page(stale=60, until=later - timedelta(days=1))).jobs) == []
    assert ids((await backend.job_page(stale=60, status=["running"])).jobs) == ["runs"]
    assert ids((await backend.job_page(status=["running"])).jobs) == ["new", "runs"]
    assert ids((await backend.job_page(status="paused")).jobs) == ["gone"]
    assert ids((await backend.job_page(1, status=["paused", "completed"])).jobs) == ["done"]


async def test_a_job_that_somebody_changed_with_git_is_told_as_it_is(git_backend: GitStateBackend) -> None:
    state = job("nightly")
    state.mark_sheet_failed(3, "no space")
    await git_backend.save(state)
    await git_backend.flush()
    folder = git_backend.store.path
    assert folder is not None
    assert "Gitstate-Failed: 3\n" in git(folder, "log", "-1", "--format=%B")
    sheet = folder / "jobs/nightly/sheets/0003.json"
    sheet.write_text(sheet.read_text().replace('"failed"', '"completed"'))
    git(folder, "commit", "-qam", "it was fine")
    (told,) = (await git_backend.job_page()).jobs
    assert (told["done_sheets"], told["failed_sheets"]) == (1, 0)
    git(folder, "reset", "-q", "--hard", "HEAD~1")
    (told,) = (await git_backend.job_page(failed=1)).jobs
    assert (told["done_sheets"], told["failed_sheets"]) == (0, 1)
    git(
        folder,
        "commit",
        "-q",
        "--amend",
        "-m",
        "nightly: mine\n\nGitstate-Job: nightly\nGitstate-Progress: 1/6\nGitstate-Failed: x",
    )
    assert ids((await git_backend.job_page(failed=1)).jobs) == ["nightly"]


@pytest.mark.parametrize("way", ["removed", "garbage", "a folder"])
async def test_whatever_becomes_of_the_index_the_jobs_are_found(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "state"
    path = folder / ".git/gitstate/index-main-jobs.db"
    async with GitStateBackend(folder) as backend:
        await backend.save(job("first", status=JobStatus.FAILED))
        assert ids((await backend.job_page(status="failed")).jobs) == ["first"]
        path.unlink()
        if way == "garbage":
            path.write_bytes(b"no database" * 1000)
        elif way == "a folder":
            path.mkdir()
        for number in range(2):
            await backend.save(job(f"job-{number}", status=JobStatus.FAILED))
            assert len((await backend.job_page(status="failed")).jobs) == number + 2
        await backend.delete("first")
        assert ids((await backend.job_page(status="failed")).jobs) == ["job-1", "job-0"]
        assert (await backend.get_job_statistics("job-1"))["total_sheets"] == 6
        assert await backend.get_job_statistics("first") == {}
    if way == "a folder":
        path.rmdir()


async def test_a_job_that_can_be_read_again_comes_back(
    git_backend: GitStateBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await git_backend.save(job("nightly"))
    folder = git_backend.store.path
    assert folder is not None
    root = git(folder, "rev-parse", "HEAD:jobs/nightly/job.json").strip()
    async with GitStateBackend(folder) as fresh:
        engine, read = fresh.store._engine, fresh.store._engine.read

        def damaged(object_id: str, kind: Any) -> bytes:
            if object_id == root:
                raise CorruptionError(f"object {object_id} is missing")
            return read(object_id, kind)

        with monkeypatch.context() as patch:
            patch.setattr(engine, "read", damaged)
            patch.setattr(engine, "read_all", lambda ids, kind: [damaged(each, kind) for each in ids])
            patch.setattr(engine, "bulk", lambda _: iter(()))
            assert (await fresh.job_page()).jobs == []
            assert root in caplog.text
        assert ids((await fresh.job_page()).jobs) == ["nightly"]


async def test_a_job_that_cannot_be_read_makes_no_list_a_write(
    git_backend: GitStateBackend, caplog: pytest.LogCaptureFixture
) -> None:
    await git_backend.save(job("good"))
    await git_backend.save(job("bad"))
    await git_backend.flush()
    folder = git_backend.store.path
    assert folder is not None
    leave_damaged(folder)
    (folder / "jobs/bad/job.json").write_text("no JSON")
    git(folder, "commit", "-qam", "spoil it")
    assert ids((await git_backend.job_page()).jobs) == ["good"]
    assert re.search(r": made by \w+ of [^(]+ \(load an earlier revision, .* lists them\)$", caplog.messages[-1])
    with closing(sqlite3.connect(folder / ".git/gitstate/index-main-jobs.db", isolation_level=None)) as holder:
        before = holder.execute("PRAGMA data_version").fetchone()
        assert ids((await git_backend.job_page()).jobs) == ["good"]
        assert holder.execute("PRAGMA data_version").fetchone() == before, "somebody wrote"


class Number(IntEnum):
    """A status as a number."""

    RUNNING = 1
    FAILED = 2


class Odd(CheckpointState):
    """A model of other people's."""

    status: Any = Number.RUNNING  # theirs
    total_sheets: Any = 1
    total_retry_count: Any = 0


async def test_what_other_models_have_for_a_status_and_numbers() -> None:
    async with InMemoryStateBackend(model=Odd) as backend:
        await backend.save(Odd(job_id="failed", job_name="n", status=Number.FAILED))
        await backend.save(Odd(job_id="list", job_name="n", status=["a"], total_sheets="many", total_retry_count=[1]))
        await backend.save(Odd(job_id="huge", job_name="n", total_sheets=10**400))
        for status in (Number.FAILED, 2, "2"):
            assert ids((await backend.job_page(status=status)).jobs) == ["failed"]  # type: ignore[arg-type]
        assert len((await backend.job_page()).jobs) == 3
        for job_id in ("list", "huge"):
            numbers = await backend.get_job_statistics(job_id)
            assert (numbers["total_sheets"], numbers["success_rate"], numbers["total_retries"]) == (0, 0.0, 0)


@pytest.mark.parametrize("path", ["HEAD~3", "HEAD:jobs/bad", "HEAD:jobs/bad/sheets"])
async def test_what_is_lost_is_lost_to_its_own_job_alone(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "state"
    leave_damaged(folder)
    async with GitStateBackend(folder) as backend:
        for number in range(4):
            for job_id in ("good", "bad"):
                state = job(job_id)
                state.mark_sheet_failed(number + 1, "no")
                await backend.save(state)
    lost = git(folder, "rev-parse", path).strip()
    unpack(folder)
    loose(folder, lost).unlink()
    for index in (folder / ".git/gitstate").glob("index*"):
        index.unlink()
    async with GitStateBackend(folder) as backend:
        is_whole = path == "HEAD~3"  # the head is: only who asks for what was before is told
        assert ids((await backend.job_page()).jobs) == (["bad", "good"] if is_whole else ["good"])
        assert ("'bad'" in caplog.text) != is_whole
        if is_whole:
            with pytest.raises(CorruptionError, match=lost):
                await backend.get_execution_history_count("good")
        else:
            assert (await backend.get_job_statistics("good"))["total_sheets"] == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonsense": 3},
        {"failed": True},
        {"limit": 0},
        {"name": "x" * 60_000},
        {"order": "size"},
        {"failed": -1},
        {"failed": "2"},
        {"name": 7},
        {"error": b"x"},
        {"stale": "long"},
        {"stale": float("nan")},
        {"since": "soon"},
        {"until": 3},
    ],
)
async def test_a_filter_that_is_none_is_refused(backend: RewindBackend, wrong: Any) -> None:
    with pytest.raises(InvalidInputError):
        await backend.job_page(**wrong)


_FORGED = [
    base64.urlsafe_b64encode(text.encode()).decode()
    for text in ("[" * 100_000, '["saved", false, NaN, "a"]', '["saved", false, "x", "a"]', '["name", false, 1.0, "a"]')
]


@pytest.mark.parametrize("cursor", ["", "x", "bm8=", "WzFd", 7, "WyJzYXZlZCIsIGZhbHNlLCBudWxsLCAiYSJd", "é", *_FORGED])
async def test_a_cursor_that_is_none_is_refused(backend: RewindBackend, cursor: Any) -> None:
    with pytest.raises(InvalidInputError, match="cursor"):
        await backend.job_page(cursor=cursor)


async def test_a_cursor_leads_on_in_its_own_order_only(backend: RewindBackend) -> None:
    for number in range(3):
        await backend.save(job(f"job-{number}"))
    page = await backend.job_page(2)
    assert (ids(page.jobs), page.cursor is None) == (["job-2", "job-1"], False)
    with pytest.raises(InvalidInputError, match="another order"):
        await backend.job_page(2, page.cursor, order="id")
    await backend.delete("job-1")
    assert ids((await backend.job_page(2, page.cursor)).jobs) == ["job-0"]
    assert await backend.query_jobs(limit=0) == []
    assert (await backend.job_page(failed=2**70)).jobs == []
    assert len((await backend.job_page(sys.maxsize)).jobs) == 2
    assert ids((await backend.job_page(failed=None)).jobs) == ["job-2", "job-0"]


@given(st.lists(st.integers(1, 60), unique=True))
def test_numbers_are_listed_and_read_again(numbers: list[int]) -> None:
    assert unlisted(listed(sorted(numbers))) == (sorted(numbers) if numbers else None)


@pytest.mark.parametrize(
    "text", ["", "0", "a", "3-", "-3", "5-4", "1-999999999", "1-60000 1-60000", "1  2", "1,2", "٣"]
)
def test_what_is_no_list_of_numbers(text: str) -> None:
    assert unlisted(text) is None


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("order", ["saved", "created", "name", "id"])
async def test_each_job_comes_once_whatever_is_saved_meanwhile(
    backend: RewindBackend, monkeypatch: pytest.MonkeyPatch, order: str, reverse: bool
) -> None:
    monkeypatch.setattr(jobs, "_STREAMED", 2)
    for number in range(8):
        await backend.save(job(f"j{number}"))
    met = []
    async for each in backend.each_job(order=order, reverse=reverse):
        met.append(each["id"])
        if len(met) == 2:  # of those that were met, and of those that were not
            await backend.delete("j4")
            await backend.save(job("j4"))
            for name in ("j0", "j7"):
                state = await backend.load(name)
                assert state is not None
                state.job_name = f"{'A' if name == 'j7' else 'Z'} {name}"
                await backend.save(state)
    assert sorted(met) == [f"j{number}" for number in range(8)]


async def test_large_histories_of_executions_are_streamed() -> None:
    async with InMemoryStateBackend() as backend:
        await backend.save(job("nightly"))
        for number in range(5):
            await backend.record_execution("nightly", number % 2 + 1, 1, output=f"{number}")
        assert [each["output"] async for each in backend.executions("nightly")] == ["4", "3", "2", "1", "0"]
        assert [each["output"] async for each in backend.executions("nightly", 2)] == ["3", "1"]
        assert [each async for each in backend.executions("never")] == []


_WRITER = """
import asyncio, sys
from gitstate import CheckpointState, GitStateBackend

async def write():
    async with GitStateBackend(sys.argv[1]) as backend:
        for turn in range(12):
            for number in range(3):
                job_id = f"{sys.argv[2]}-{number}"
                state = CheckpointState(job_id=job_id, job_name="n", total_sheets=12)
                state.mark_sheet_failed(turn + 1, "no")
                await backend.save(state)
                await backend.record_execution(job_id, turn + 1, 1, exit_code=turn)
            if turn % 4 == 3:
                await backend.delete(f"{sys.argv[2]}-0")

asyncio.run(write())
"""


async def test_writers_readers_and_somebody_who_removes_the_index(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    path = folder / ".git/gitstate/index-main-jobs.db"
    dice = random.Random(2)
    async with GitStateBackend(folder) as backend:
        command = [sys.executable, "-c", _WRITER, str(folder)]
        writers = [await asyncio.create_subprocess_exec(*command, name) for name in ("a", "b")]
        while any(writer.returncode is None for writer in writers):
            if dice.random() < 0.2:
                for suffix in dice.sample(["", "-wal", "-shm"], 2):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
            for told in (await backend.job_page()).jobs:
                assert (told["failed_sheets"], told["done_sheets"]) == (1, 0)
            assert await backend.get_execution_history_count("a-1") <= 12
        assert [await writer.wait() for writer in writers] == [0, 0]
        jobs = (await backend.job_page(order="id")).jobs
        assert ids(jobs) == ["a-1", "a-2", "b-1", "b-2"]
        for job_id in ids(jobs):
            assert await backend.get_execution_history_count(job_id) == 12
            records = await backend.get_execution_history(job_id)
            assert [record["exit_code"] for record in records] == list(range(12))[::-1]
        assert {each.job_id for each in await backend.deleted_jobs()} == {"a-0", "b-0"}
