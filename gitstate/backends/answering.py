"""Brings answers of the store's writer to the tasks that await them: those of a batch together.

To wake an event loop takes a call of the system, after which it has the interpreter; a batch has many answers.
"""

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from threading import get_ident
from typing import TypeVar

__all__ = ["Answering"]

T = TypeVar("T")


class Answering:
    """What waits for one store's writer, which calls :meth:`deliver` when it has answered a batch."""

    def __init__(self) -> None:
        self._answered: deque[asyncio.Future[None]] = deque()

    async def wait(self, future: "Future[T]") -> T:
        """Return what the future of a write gives. When this is cancelled, so is a write whose turn has not come."""
        waiter, thread = asyncio.get_running_loop().create_future(), get_ident()

        def note(_: "Future[T]") -> None:
            if get_ident() != thread:  # else it was answered before, or was cancelled below
                self._answered.append(waiter)

        future.add_done_callback(note)
        if not future.done():
            try:
                await waiter
            except asyncio.CancelledError:
                future.cancel()
                raise
        return future.result()

    def deliver(self) -> None:
        """Wake all whose future is done; in the writer's thread."""
        waiters: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        while self._answered:
            waiter = self._answered.popleft()
            waiters.setdefault(waiter.get_loop(), []).append(waiter)
        for loop, theirs in waiters.items():
            with suppress(RuntimeError):  # it is closed, and nobody waits any more
                loop.call_soon_threadsafe(_wake, theirs)


def _wake(waiters: list["asyncio.Future[None]"]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
