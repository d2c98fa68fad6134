"""Watching jobs: each checkpoint once and in order, from whatever task or process, and from any point on."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, errors
from gitstate.backends.rewind import RewindBackend
from gitstate.backends.watching import NewCheckpoint
from tests.git import git

TIME_LIMIT = 60  # seconds

WRITER = """
import asyncio, sys
from gitstate import CheckpointState, GitStateBackend

async def main(path, job_id, saves):
    async with GitStateBackend(path) as backend:
        state = CheckpointState(job_id=job_id, job_name=job_id, total_sheets=9)
        for number in range(saves):
            state.metadata["saves"] = number
            await backend.save(state)
            await backend.record_execution(job_id, 1, number + 1)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def start(*words: str | Path | int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", WRITER, *map(str, words)])


async def take(news: AsyncIterator[NewCheckpoint], count: int) -> list[NewCheckpoint]:
    """Return the next ones; that they do not come is an error."""
    async with asyncio.timeout(TIME_LIMIT):
        return [await anext(news) for _ in range(count)]


async def save(backend: RewindBackend, job_id: str, **fields: Any) -> str:
    state = await backend.load(job_id) or CheckpointState(job_id=job_id, job_name=job_id, total_sheets=3)
    for name, value in fields.items():
        setattr(state, name, value)
    await backend.save(state)
    return (await backend.history(job_id, 1))[0].revision


def revisions(news: list[NewCheckpoint]) -> list[str]:
    return [each.checkpoint.revision for each in news]


async def test_each_checkpoint_and_execution_comes_from_the_call_on(backend: RewindBackend) -> None:
    await save(backend, "a")
    everything, of_b = backend.watch(), backend.watch("b")
    made = [await save(backend, "a", config_path="x")]  # before the first look
    await backend.record_execution("a", 1, 1, output="done")
    made.append((await backend.history("a", 1))[0].revision)
    made.append(await save(backend, "b"))
    await backend.delete("a")
    made.append((await backend.history("a", 1))[0].revision)
    told = await take(everything, 4)
    assert revisions(told) == made == [each.cursor for each in told]
    assert [(each.job_id, each.checkpoint.event) for each in told] == [
        ("a", "saved"),
        ("a", "execution"),
        ("b", "created"),
        ("a", "deleted"),
    ]
    assert [told[0].checkpoint] == (await backend.history("a"))[2:3]
    assert revisions(await take(of_b, 1)) == [made[2]]
    later = asyncio.create_task(take(everything, 1))
    await asyncio.sleep(0.15)
    assert not later.done(), "nothing comes twice"
    made.append(await save(backend, "a"))
    assert revisions(await later) == made[4:]
    await everything.aclose()
    await of_b.aclose()


async def test_a_watch_goes_on_where_another_one_stopped(backend: RewindBackend) -> None:
    start = await save(backend, "a")
    made = [await save(backend, "ab"[number % 2], config_path=str(number)) for number in range(6)]
    for place, cursor in enumerate([start, *made]):
        async with aclosing(backend.watch(since=cursor)) as news:
            assert revisions(await take(news, 6 - place)) == made[place:]
    async with aclosing(backend.watch("a", since="~1")) as news:
        assert revisions(await take(news, 1)) == made[4:5]


async def test_what_cannot_be_meant_is_refused(backend: RewindBackend) -> None:
    await save(backend, "a")
    with pytest.raises(errors.InvalidInputError):
        backend.watch("")
    for since, error in (
        ("~1", errors.InvalidInputError),
        ("", errors.InvalidInputError),
        (7, errors.InvalidInputError),
        ("f" * 40, errors.RevisionNotFoundError),
        ("none", errors.RevisionNotFoundError),
    ):
        with pytest.raises(error):
            await take(backend.watch(since=since), 1)  # type: ignore[arg-type]
    for head in ("@", "HEAD"):
        news = backend.watch(since=head)
        made = await save(backend, "a")
        assert revisions(await take(news, 1)) == [made], "it is the head of the call"
        await news.aclose()


async def test_the_loop_ends_when_the_backend_is_closed() -> None:
    backend = InMemoryStateBackend()
    news = backend.watch()
    waiting = asyncio.create_task(take(news, 2))
    await save(backend, "a")
    await asyncio.sleep(0.05)
    await backend.close()
    with pytest.raises(StopAsyncIteration):
        async with asyncio.timeout(TIME_LIMIT):
            await asyncio.gather(waiting)
    with pytest.raises(errors.ClosedError):
        backend.watch()


async def test_cancelled_or_left_it_leaves_nothing_behind(backend: RewindBackend) -> None:
    start = await save(backend, "a")
    made = await save(backend, "a", config_path="x")
    before = asyncio.all_tasks()
    news = backend.watch()
    waiting = asyncio.create_task(take(news, 1))
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async for each in backend.watch(since=start):
        assert each.checkpoint.revision == made
        break
    async with aclosing(backend.watch(since=start)) as other:
        assert revisions(await take(other, 1)) == [made]
    await news.aclose()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("durability", ["full", "normal"])
async def test_each_commit_of_four_processes_comes_once_and_in_order(tmp_path: Path, durability: str) -> None:
    folder, saves = tmp_path / "state", 25
    jobs = [f"job-{number}" for number in range(4)]
    async with GitStateBackend(folder, durability=durability) as backend:
        first = backend.store.head()
        news, of_one = backend.watch(), backend.watch(jobs[1])
        writers = [start(folder, job, saves) for job in jobs]
        told = await take(news, 4 * saves * 2)
        assert [writer.wait(TIME_LIMIT) for writer in writers] == [0] * 4
        ours = [each for each in told if each.job_id == jobs[1]]
        assert await take(of_one, 2 * saves) == ours
        await news.aclose()
        await of_one.aclose()
    order = git(folder, "rev-list", "--reverse", "--first-parent", f"{first}..HEAD").split()
    assert revisions(told) == order
    assert [each.checkpoint.event for each in ours] == ["created", "execution"] + ["saved", "execution"] * (saves - 1)


async def test_commits_of_people_merges_and_resets(git_backend: GitStateBackend) -> None:
    backend, folder = git_backend, git_backend.store.path
    assert folder is not None
    start = [await save(backend, job) for job in "ab"][-1]
    await backend.flush()
    news = backend.watch()
    git(folder, "checkout", "-q", "-b", "side")
    for job in "ab":
        file = folder / f"jobs/{job}/job.json"
        file.write_text(file.read_text().replace('"total_sheets": 3', '"total_sheets": 5'))
    git(folder, "commit", "-q", "-a", "-m", "More sheets")
    git(folder, "checkout", "-q", "main")
    ours = await save(backend, "c")
    await backend.flush()
    git(folder, "merge", "-q", "--no-edit", "side")
    told = await take(news, 3)
    assert [(each.job_id, each.checkpoint.subject) for each in told] == [
        ("c", "c: created (0/3 done)"),
        ("a", "More sheets"),
        ("b", "More sheets"),
    ]
    for place, each in enumerate(told[:2], start=1):
        async with aclosing(backend.watch(since=each.cursor)) as rest:
            assert await take(rest, 3 - place) == told[place:]
    git(folder, "reset", "-q", "--hard", start)
    anew = await save(backend, "c")
    assert revisions(await take(news, 1)) == [anew] and anew != ours
    git(folder, "reset", "-q", "--hard", "side")
    last = await save(backend, "a", config_path="x")
    assert revisions(await take(news, 1)) == [last], "what was told before the reset does not come again"
    await backend.flush()
    git(folder, "commit", "-q", "--amend", "-m", "In other words")
    amended = (await take(news, 1))[0]
    assert (amended.job_id, amended.checkpoint.event, amended.checkpoint.subject) == ("a", "edited", "In other words")
    await news.aclose()


async def test_a_branch_that_is_gone_is_an_error(git_backend: GitStateBackend) -> None:
    folder = git_backend.store.path
    assert folder is not None
    head = await save(git_backend, "a")
    news = git_backend.watch()
    git(folder, "update-ref", "-d", "refs/heads/main")
    with pytest.raises(errors.StoreNotFoundError):
        await take(news, 1)
    git(folder, "update-ref", "refs/heads/main", head)


async def test_many_come_in_order_from_long_ago(backend: RewindBackend) -> None:
    start = await save(backend, "a")
    for number in range(230):
        await backend.record_execution("a", 1, number + 1)
    async with aclosing(backend.watch("a", since=start)) as news:
        told = await take(news, 230)
    assert revisions(told) == [each.revision for each in islice(await backend.history("a"), 230)][::-1]
