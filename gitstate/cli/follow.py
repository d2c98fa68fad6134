"""The checkpoints of a job, or of all, as they come, from whatever process."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import click

from gitstate import clock
from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.git import GitStateBackend
from gitstate.backends.statuses import JobStatus
from gitstate.backends.watching import NewCheckpoint
from gitstate.cli.history import checkpoint_json, what
from gitstate.cli.output import clean, moment, short
from gitstate.store.moments import moment as named

__all__ = ["follow_job", "print_new"]

_OVER = [status for status in JobStatus if status.is_terminal]  # nothing follows by itself


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
    for checkpoint in (await backend.history(job_id, limit, at=head, **wanted))[::-1]:
        _print_one(checkpoint, as_json=as_json)
    if _is_over((await backend.history(job_id, 1, at=head))[0]):
        return
    async for new in backend.watch(job_id, since=head):
        if _is_wanted(new.checkpoint, wanted):
            _print_one(new.checkpoint, as_json=as_json)
        if _is_over(new.checkpoint) and (await backend.history(job_id, 1))[0].revision == new.checkpoint.revision:
            return


async def print_new(news: AsyncIterator[NewCheckpoint], limit: int | None, *, as_json: bool) -> None:
    """Print checkpoints as they come, so many at most, each on a line with its job."""
    left = limit
    async for new in news:
        if as_json:
            _print_json({"job": new.job_id, **checkpoint_json(new.checkpoint), "cursor": new.cursor})
        else:
            _print_one(new.checkpoint, of=new.job_id)
        left = None if left is None else left - 1
        if left == 0:
            return


def _is_over(checkpoint: Checkpoint) -> bool:
    """Whether nothing follows by itself: the job is over, or gone."""
    return checkpoint.event == "deleted" or checkpoint.status in _OVER


def _is_wanted(checkpoint: Checkpoint, wanted: dict[str, Any]) -> bool:
    """Whether a checkpoint that came is one that the filters let through; it is newer than any revision."""
    bound = wanted.get("after")
    after: datetime | None = None if bound is None else named(bound, clock.now())
    events = wanted.get("events")
    return (after is None or checkpoint.time > after) and (not events or checkpoint.event in events)


def _print_one(checkpoint: Checkpoint, *, of: str = "", as_json: bool = False) -> None:
    """Print a checkpoint on a line; the job that it is ``of`` is named when its subject does not."""
    if as_json:
        _print_json(checkpoint_json(checkpoint))
        return
    subject = clean(what(checkpoint))
    if of and checkpoint.event == "edited" and not subject.startswith(f"{clean(of)}: "):
        subject = f"{clean(of)}: {subject}"
    click.echo(f"{short(checkpoint.revision)}  {moment(checkpoint.time)}  {subject}")


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value))
