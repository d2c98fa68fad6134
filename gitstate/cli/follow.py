"""The checkpoints of a job as they come, from whatever process."""

import asyncio
import json
from typing import Any

import click

from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.git import GitStateBackend
from gitstate.cli.history import checkpoint_json, what
from gitstate.cli.output import clean, moment, short

__all__ = ["follow_job"]

_OVER = ("completed", "failed", "cancelled")  # statuses at which nothing follows by itself
_LOOK_EVERY = 0.2  # seconds between two looks at the branch
_RECENT = 100  # newest checkpoints among which new ones are looked for: others may bring older ones with a merge


async def follow_job(backend: GitStateBackend, job: str, limit: int, wanted: dict[str, Any], *, as_json: bool) -> None:
    """Print the newest checkpoints of a job, the newest last, and those that come until it is over.

    Args:
        backend: Where it is.
        job: Its id, or the beginning of it.
        limit: How many are shown at first.
        wanted: The filters of :meth:`GitStateBackend.history`.
        as_json: Whether each is printed as a JSON object on a line.
    """
    job_id = await backend.find_job(job)
    head = backend.store.head()
    shown = {each.revision for each in await backend.history(job_id, _RECENT)}
    news = (await backend.history(job_id, limit, **wanted))[::-1]
    while True:
        for checkpoint in news:
            _print_one(checkpoint, as_json=as_json)
        if await _is_over(backend, job_id):
            return
        head = await _moved(backend, head)
        recent = [each for each in await backend.history(job_id, _RECENT) if each.revision not in shown]
        shown.update(each.revision for each in recent)
        chosen = {each.revision for each in await backend.history(job_id, _RECENT, **wanted)} if recent else set()
        news = [each for each in reversed(recent) if each.revision in chosen]


async def _moved(backend: GitStateBackend, head: str) -> str:
    """Wait until the branch stands elsewhere, and return where."""
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        if (moved := backend.store.head()) != head:
            return moved


async def _is_over(backend: GitStateBackend, job_id: str) -> bool:
    """Whether nothing follows by itself: the job is over, or gone."""
    newest = await backend.history(job_id, 1)
    return newest[0].event == "deleted" or newest[0].status in _OVER


def _print_one(checkpoint: Checkpoint, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(checkpoint_json(checkpoint)))
    else:
        click.echo(f"{short(checkpoint.revision)}  {moment(checkpoint.time)}  {clean(what(checkpoint))}")
