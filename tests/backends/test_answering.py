"""Answers of a writer's thread come to the tasks that await them, those of a batch together."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, ConflictError, GitStateBackend
from gitstate.backends.answering import Answering
from gitstate.store.writer import Writer


def in_a_thread(*works: Callable[[], object]) -> None:
    thread = threading.Thread(target=lambda: [work() for work in works])
    thread.start()
    thread.join()


def noted(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list to which something is added each time that another thread wakes a loop."""
    woken: list[object] = []
    wake = loop.call_soon_threadsafe

    def noting(callback: Callable[..., object], *arguments: Any, **named: Any) -> asyncio.Handle:
        woken.append(callback)
        return wake(callback, *arguments, **named)

    monkeypatch.setattr(loop, "call_soon_threadsafe", noting)
    return woken


async def test_a_batch_wakes_its_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answering, futures = Answering(), [Future[int]() for _ in range(8)]
    waiting = [asyncio.ensure_future(answering.wait(future)) for future in futures]
    await asyncio.sleep(0)
    woken = noted(asyncio.get_running_loop(), monkeypatch)

    def answer() -> None:
        for number, future in enumerate(futures[:7]):
            future.set_result(number)
        futures[7].set_exception(KeyError("eight"))
        answering.deliver()

    in_a_thread(answer)
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert found[:7] == list(range(7))
    assert isinstance(found[7], KeyError)
    assert len(woken) == 1


async def test_what_was_answered_before_anybody_waits_is_there_at_once() -> None:
    answering, done, failed = Answering(), Future[int](), Future[int]()
    done.set_result(1)
    failed.set_exception(KeyError("two"))
    assert await answering.wait(done) == 1
    with pytest.raises(KeyError):
        await answering.wait(failed)


async def test_who_goes_away_takes_back_what_was_not_begun_and_is_not_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    answering, queued, begun = Answering(), Future[int](), Future[int]()
    begun.set_running_or_notify_cancel()
    waiting = [asyncio.ensure_future(answering.wait(future)) for future in (queued, begun)]
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert all(each.cancelled() for each in waiting)
    assert queued.cancelled()
    assert not begun.cancelled()
    in_a_thread(lambda: begun.set_result(1), answering.deliver)  # nobody is there, and nothing is said of that
    woken = noted(asyncio.get_running_loop(), monkeypatch)
    answering.deliver()
    assert woken == []


async def test_a_loop_that_is_closed_keeps_no_other_from_being_woken() -> None:
    answering, future, closed = Answering(), Future[int](), asyncio.new_event_loop()
    answering._answered.append(closed.create_future())
    closed.close()
    waiting = asyncio.ensure_future(answering.wait(future))
    await asyncio.sleep(0)
    in_a_thread(lambda: future.set_result(2), answering.deliver)
    assert await asyncio.wait_for(waiting, 10) == 2


async def test_saves_at_the_same_time_and_refused_ones_are_all_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = Writer._write

    def counting(self: Writer, requests: list[Any]) -> None:
        written.append(len(requests))
        write(self, requests)

    monkeypatch.setattr(Writer, "_write", counting)
    async with GitStateBackend(tmp_path / "state") as backend:
        states = [CheckpointState(job_id=f"job-{number}", job_name="job", total_sheets=2) for number in range(8)]
        await asyncio.gather(*map(backend.save, states))
        woken = noted(asyncio.get_running_loop(), monkeypatch)
        written.clear()
        await asyncio.gather(*map(backend.save, states))
        assert len(woken) <= len(written)
        theirs = await backend.load("job-0")
        assert theirs is not None
        theirs.job_name = "theirs"
        await backend.save(theirs)
        states[0].job_name = "ours"
        refused, saved = await asyncio.gather(*map(backend.save, states[:2]), return_exceptions=True)
        assert isinstance(refused, ConflictError)
        assert saved is None
