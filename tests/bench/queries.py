"""What the index answers in a store of many commits, beside the bare SQL query that reads the same rows."""

import asyncio
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeAlias

import aiosqlite

from gitstate import GitStateBackend
from tests.bench import stores
from tests.bench.rounds import Run, timed
from tests.bench.work import change, state_of

__all__ = ["BUILD", "FIRST_PAGE", "KEEPING", "PAGE", "SQL", "WORKS", "measure"]

WORKS = ("history of a job", "count of executions", "statistics", "query of 50 jobs", "list of all jobs")
PAGE = "page of executions, 24 KB each"
FIRST_PAGE = "page of executions that nobody read lately"
BUILD = "index made"
KEEPING = "index kept up, a save"
SQL = "SQL"
"""The peer: one query by aiosqlite on an open connection."""

Call: TypeAlias = Callable[[], Awaitable[object]]

_STRETCH = 0.01  # seconds
_BUILDS = 2  # rounds in which the index is made, which takes most of the time
_JOB = "job-0003"
_QUERIES = {
    "history of a job": "SELECT * FROM checkpoints WHERE job_id = 'job-0003' ORDER BY rowid",
    "count of executions": "SELECT count(*) FROM executions WHERE job_id = 'job-0003'",
    "statistics": "SELECT count(*), avg(duration_seconds), sum(exit_code = 0), (SELECT total_sheets FROM jobs WHERE "
    "id = 'job-0003') FROM executions WHERE job_id = 'job-0003'",
    "query of 50 jobs": "SELECT * FROM jobs WHERE status = 'running' ORDER BY updated_at DESC LIMIT 50",
    "list of all jobs": "SELECT * FROM jobs ORDER BY updated_at DESC",
    PAGE: "SELECT * FROM executions WHERE job_id = 'job-0000' ORDER BY rowid LIMIT 100",
}


def measure(run: Run) -> None:
    """Make the store and the tables, and let the index and SQL take turns at answering."""
    folder, tables = stores.to_ask(run), run.fresh()
    asyncio.run(_copy(folder, tables))
    for turn in run.rounds("queries", share=2):
        if turn < _BUILDS:
            _measure_building(run, turn, folder)
        asyncio.run(_measure_answers(run, turn, folder, tables))
        asyncio.run(_measure_keeping(run, turn))


async def _copy(folder: Path, tables: Path) -> None:
    """Make the tables of what the store answers."""
    async with GitStateBackend(folder, create=False) as backend:
        await backend.export(tables, format="sqlite", payloads=True)
        page = await backend.job_page(None)
    with closing(sqlite3.connect(tables)) as database:
        names = list(page.jobs[0])
        database.execute(f"CREATE TABLE jobs ({', '.join(names)})")
        marks = ", ".join("?" * len(names))
        database.executemany(f"INSERT INTO jobs VALUES ({marks})", [list(job.values()) for job in page.jobs])
        database.execute("CREATE INDEX jobs_by_time ON jobs (updated_at)")
        database.commit()


def _measure_building(run: Run, turn: int, folder: Path) -> None:
    form = ["--first-parent", "-m", "--raw", "-t", "--no-abbrev", "--no-renames", "-z", "--format=%H%n%B"]
    begin = time.perf_counter()
    subprocess.run(["git", "log", *form, "main"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    run.results.add(BUILD, "git log", turn, [time.perf_counter() - begin])
    for path in folder.glob("gitstate/index-*"):
        path.unlink()
    run.results.add(BUILD, "gitstate", turn, [asyncio.run(_ask_once(folder))])


async def _ask_once(folder: Path) -> float:
    async with GitStateBackend(folder, create=False) as backend:
        return await timed(backend.history(_JOB, 1))


async def _measure_answers(run: Run, turn: int, folder: Path, tables: Path) -> None:
    """Let both answer by turns, stretch by stretch, so that what else the machine does meets both alike."""
    async with GitStateBackend(folder, create=False) as backend, aiosqlite.connect(tables) as database:
        answers: dict[str, Call] = {
            "history of a job": lambda: backend.history(_JOB),
            "count of executions": lambda: backend.get_execution_history_count(_JOB),
            "statistics": lambda: backend.get_job_statistics(_JOB),
            "query of 50 jobs": lambda: backend.query_jobs("running"),
            "list of all jobs": lambda: backend.job_page(None),
            PAGE: lambda: backend.get_execution_history(stores.LARGE),
            FIRST_PAGE: lambda: backend.get_execution_history(stores.LARGE),
        }
        for work, answer in answers.items():
            forget = partial(_forget, backend) if work == FIRST_PAGE else None
            peers: dict[str, Call] = {
                "gitstate": answer,
                SQL: partial(database.execute_fetchall, _QUERIES[PAGE if work == FIRST_PAGE else work]),
            }
            for call in peers.values():
                await call()
            for stretch in range(run.sizes.stretches):
                for peer in run.rotated(tuple(peers), stretch):
                    run.results.add(work, peer, turn, [await _stretch(peers[peer], forget)])


async def _stretch(call: Call, forget: Callable[[], None] | None) -> float:
    """Return the seconds of a call, the median of as many as take a while: now and then one is interrupted."""
    taken: list[float] = []
    while sum(taken) < _STRETCH:
        if forget is not None:
            forget()
        taken.append(await timed(call()))
    return statistics.median(taken)


def _forget(backend: GitStateBackend) -> None:
    """Let go of all that was read of the history: texts, trees and commits."""
    backend._payloads.clear()
    backend.store._engine._reader._known.clear()  # type: ignore[attr-defined]  # it is git's


async def _measure_keeping(run: Run, turn: int) -> None:
    """Save for a while, then bring the index up to date at once, and share out what that took."""
    folder, saves = run.fresh(), run.sizes.kept_up
    state = state_of("nightly", stores.SHEETS, stores.LINES)
    async with GitStateBackend(folder, worktree=False) as backend:
        keeper = backend.store._indexes
        keeper._keeper.stop()  # else it takes a part of the work
        await backend.save(state)
        await backend.history("nightly", 1)
        begin = time.perf_counter()
        for number in range(saves):
            change(state, number, stores.LINES)
            await backend.save(state)
        run.results.add(KEEPING, "the save itself", turn, [(time.perf_counter() - begin) / saves])
        begin = time.thread_time()
        keeper._update()
        run.results.add(KEEPING, "gitstate", turn, [(time.thread_time() - begin) / saves])
