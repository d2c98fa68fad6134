"""Checkpoints as they come, from whatever task, thread or process."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from itertools import islice

from gitstate.backends.checkpoints import Checkpoint
from gitstate.errors import ClosedError
from gitstate.store.documents import Collection
from gitstate.store.store import Store
from gitstate.store.watching import NewRevision

__all__ = ["NewCheckpoint", "follow"]

_LOOK_EVERY = 0.1  # seconds between two looks at the branch; a look reads one small file
_AT_ONCE = 100  # so many are read before the first of them is told


@dataclass(frozen=True)
class NewCheckpoint:
    """A checkpoint that came while somebody watched.

    ``cursor`` is a text with which :meth:`watch` goes on behind it, in this process or another one; it is the id of the
    commit as a rule.
    """

    job_id: str
    checkpoint: Checkpoint
    cursor: str


async def follow(
    store: Store, jobs: Collection, job_id: str | None, since: str | None
) -> AsyncGenerator[NewCheckpoint, None]:
    """Yield what comes since a revision or cursor; see :meth:`gitstate.backends.history.HistoryBackend.watch`."""
    try:
        watcher = await asyncio.to_thread(store.watch, jobs, since, job_id or "")
        seen = ""
        while True:
            head = store.head()
            if head == seen:
                await asyncio.sleep(_LOOK_EVERY)
                continue
            news = watcher.news(head)
            while found := await asyncio.to_thread(_some, news):
                for each in found:
                    if job_id is None or each.document == job_id:
                        checkpoint = Checkpoint.of(each.document, each.revision)
                        yield NewCheckpoint(each.document, checkpoint, str(each.cursor))
            seen = head
    except ClosedError:
        return  # who closed the backend wants no more of it


def _some(news: Iterator[NewRevision]) -> list[NewRevision]:
    return list(islice(news, _AT_ONCE))
