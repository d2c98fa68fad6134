"""What an index that is up to date knows is told without a thread, and is what a thread would tell."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.backends.rewind import RewindBackend
from gitstate.engine.base import NotAtHandError
from gitstate.errors import ClosedError, InvalidInputError
from gitstate.store.index import database, revisions, summaries
from tests.git import git

INDEX = ".git/gitstate/index-main-jobs.db"


async def fill(backend: RewindBackend, job_id: str = "nightly", executions: int = 3) -> CheckpointState:
    state = CheckpointState(job_id=job_id, job_name="n", total_sheets=executions)
    await backend.save(state)
    for number in range(1, executions + 1):
        state.mark_sheet_completed(number)
        await backend.save(state)
        await backend.record_execution(job_id, number, 1, "p", "o", number % 2, 1.5)
    return state


async def ask(backend: RewindBackend, job_id: str = "nightly") -> list[Any]:
    """What is asked for often."""
    return [
        await backend.history(job_id),
        await backend.history(job_id, 2, events="execution"),
        await backend.history(job_id, trailer="Gitstate-Sheet: 2"),
        await backend.get_execution_history_count(job_id),
        await backend.get_job_statistics(job_id),
        await backend.query_jobs("running"),
        await backend.job_page(5, name="n*", order="id"),
    ]


async def away(backend: RewindBackend) -> list[Any]:
    """The same, from a thread in any case."""

    async def answer(question: Callable[[Any], Any]) -> Any:
        return await asyncio.to_thread(question, backend.store)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "_answer", answer)
        return await ask(backend)


async def test_nothing_takes_a_thread_once_the_index_is_up_to_date(backend: RewindBackend, threads: list[str]) -> None:
    await fill(backend)
    expected = await ask(backend)
    threads.clear()
    assert await ask(backend) == expected
    assert threads == []
    assert await away(backend) == expected
    assert await ask(backend, "never") == await ask(backend, "never")
    await backend.delete("nightly")
    expected = await ask(backend)
    assert expected == await away(backend) and expected[3:5] == [0, {}]
    threads.clear()
    assert await ask(backend) == expected
    assert threads == []
    with pytest.raises(InvalidInputError):
        await backend.job_page(5, order="unknown")


async def test_lives_before_and_after_a_deletion(backend: RewindBackend, threads: list[str]) -> None:
    await fill(backend, executions=3)
    await backend.delete("nightly")
    assert await backend.get_execution_history_count("nightly") == 0
    await fill(backend, executions=2)
    assert (await ask(backend))[3] == 2
    threads.clear()
    assert await backend.get_execution_history_count("nightly") == 2
    assert threads == []
    await backend.delete("nightly")
    await backend.undelete("nightly")
    assert await ask(backend) == await away(backend)
    assert (await ask(backend))[3] == 2


async def test_what_another_process_writes_is_told_at_once(tmp_path: Path, threads: list[str]) -> None:
    async with GitStateBackend(tmp_path / "state") as ours, GitStateBackend(tmp_path / "state") as theirs:
        await fill(ours)
        for number in range(4, 7):
            assert await ask(ours) == await ask(theirs)
            await theirs.record_execution("nightly", 1, number, "p", "o", 0, 1.0)
            threads.clear()
            assert await ours.get_execution_history_count("nightly") == number
            assert threads == ["<lambda>"]
            assert (await ours.history("nightly", 1))[0].event == "execution"
            assert threads == ["<lambda>"]
        git(tmp_path / "state", "update-ref", "refs/heads/main", "HEAD~2")
        assert await ours.get_execution_history_count("nightly") == 4
        assert await ask(ours) == await away(ours)


async def test_nobody_waits_in_the_event_loop(tmp_path: Path, threads: list[str]) -> None:
    async with GitStateBackend(tmp_path / "state") as backend:
        await fill(backend)
        expected = await ask(backend)
        index = backend.store._indexes.of(backend._jobs)
        index.database._lock.acquire()
        for question in (backend.store.answers.life, backend.store.answers.facts):
            with pytest.raises(NotAtHandError):
                question(backend._jobs, "nightly", *([backend.store.head()] if question.__name__ == "life" else []))
        index.database._lock.release()
        threads.clear()
        with closing(sqlite3.connect(tmp_path / "state" / INDEX, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            assert await ask(backend) == expected, "who writes does not keep out who reads"
            assert threads == []
            holder.execute("ROLLBACK")
        (tmp_path / "state" / INDEX).unlink()
        assert await ask(backend) == expected
        assert "<lambda>" in threads
        threads.clear()
        assert await ask(backend) == expected
        assert threads == []
        await backend.close()
        with pytest.raises(ClosedError):
            await backend.get_execution_history_count("nightly")


@pytest.fixture(params=["steps", "revisions", "unread", "trailers", "documents"])
def _few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is many begins early."""
    with monkeypatch.context() as patch:
        if request.param == "steps":
            patch.setattr(database, "_STEPS", 1)
            patch.setattr(database, "_LOOKS", 1)
        elif request.param == "revisions":
            patch.setattr(revisions, "_AT_HAND", 3)
        elif request.param == "unread":
            patch.setattr(revisions, "_NEW", -1)
        elif request.param == "trailers":
            patch.setattr(revisions, "_TOLD", 2)
        else:
            patch.setattr(summaries, "_MANY", 2)
        yield


@pytest.mark.usefixtures("_few")
async def test_what_takes_long_is_left_to_a_thread(backend: RewindBackend, threads: list[str]) -> None:
    await fill(backend)
    for number in range(3):
        await fill(backend, f"n{number}", executions=1)
    expected = await away(backend)
    await ask(backend)
    threads.clear()
    assert await ask(backend) == expected
    assert threads


async def test_summaries_are_the_caller_s_own(backend: RewindBackend) -> None:
    await fill(backend)
    await backend.query_jobs()
    for job in await backend.query_jobs() + (await backend.job_page()).jobs:
        job.clear()
    assert (await backend.query_jobs())[0]["id"] == "nightly"
