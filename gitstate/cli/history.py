"""The verb that looks at the history of a job."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.completion import at_option, complete_job, complete_revision
from gitstate.cli.output import draws_lines, moment, note, print_json, print_table, short
from gitstate.cli.pager import paged
from gitstate.errors import JobNotFoundError
from gitstate.format.message import Event

if TYPE_CHECKING:
    from datetime import datetime

    from gitstate.backends.checkpoints import Checkpoint, Pin
    from gitstate.backends.forks import Fork
    from gitstate.backends.git import GitStateBackend

__all__ = ["checkpoint_json", "log", "what"]

_COUNTED = " sheets changed"  # says a subject that has no room for more
_FIRST = 10  # checkpoints that are shown before what follows


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Show the newest N checkpoints only.")
@click.option("--before", metavar="REV|TIME", shell_complete=complete_revision, help="Only what is older.")
@click.option("--after", metavar="REV|TIME", shell_complete=complete_revision, help="Only what is newer.")
@click.option(
    "--event",
    "events",
    type=click.Choice([event.value for event in Event]),
    metavar="EVENT",
    multiple=True,
    help="Only checkpoints that did this. Repeatable.",
)
@click.option(
    "--trailer",
    metavar="KEY[: VALUE]",
    help="Only checkpoints that say so: 'Gitstate-Sheet: 3'; a value counts as a whole.",
)
@at_option
@click.option("--graph", is_flag=True, help="Show the forks as well, each in a lane of its own.")
@click.option("--follow", is_flag=True, help="Show new checkpoints as they come; ends with the job.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array; with --follow an object a line.")
@stores.store_options
def log(
    job: str,
    limit: int | None,
    before: str | None,
    after: str | None,
    events: tuple[str, ...],
    trailer: str | None,
    at: str | None,
    graph: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """List the checkpoints of JOB, the newest first; with --follow the newest last.

    A job that was deleted still has its history. The first column is a name for every verb that takes a revision,
    and for git. If saves say which commit of a project ran, a column names it; `show --code` tells more. With
    --graph, the lane of a fork leaves that of its origin where the fork was made, and its row says at which
    checkpoint it began; with --json as well, each checkpoint has its job and its parent in the graph. Following
    ends when the job is completed, failed, cancelled or deleted. Events are created, saved, sheet, execution,
    deleted, rolled-back, restored, undone, skipped, reset, forked, recovered, merged, imported, edited (by hand,
    with git or `gitstate commit`), resharded, rescued and purged.
    """
    wanted: dict[str, Any] = {"before": before, "after": after, "events": events or None, "trailer": trailer}
    if follow and (graph or at or before or trailer):
        raise click.UsageError("--follow shows what comes, so it takes no --graph, --at, --before and --trailer")
    if graph and at:
        raise click.UsageError("--graph shows the forks of now, so it takes no --at")
    with paged(not follow):
        if follow:
            from gitstate.cli.follow import follow_job

            stores.use(lambda backend: follow_job(backend, job, limit or _FIRST, wanted, as_json=as_json))
        elif graph:
            _print_graph(job, limit, wanted, as_json=as_json)
        else:
            _print_list(job, limit, {**wanted, "at": at}, as_json=as_json)


def checkpoint_json(checkpoint: "Checkpoint") -> dict[str, Any]:
    """Return a checkpoint as JSON says it."""
    return asdict(checkpoint) | {"time": checkpoint.time.isoformat()}


def what(checkpoint: "Checkpoint") -> str:
    """Return what a checkpoint did: its subject, and which attempts ended where that only counts the sheets."""
    if _COUNTED not in checkpoint.subject or not checkpoint.ended:
        return checkpoint.subject
    sheets: dict[str, list[str]] = {}
    for each in checkpoint.ended:
        sheets.setdefault(each.status, []).append(str(each.sheet))
    told = [f"sheet{'s' * (len(keys) > 1)} {', '.join(keys)} {status}" for status, keys in sheets.items()]
    return f"{checkpoint.subject}: {'; '.join(told)}"


def _code_of(checkpoint: "Checkpoint") -> str:
    """Return the beginning of the commit of the project that ran, and whether files had other changes."""
    if checkpoint.code is None:
        return ""
    return short(checkpoint.code) + {True: " dirty", False: "", None: " unchecked"}[checkpoint.code_dirty]


def _print_list(job: str, limit: int | None, wanted: dict[str, Any], *, as_json: bool) -> None:
    async def work(backend: "GitStateBackend", job_id: str) -> "tuple[list[Checkpoint], list[Pin]]":
        return await backend.history(job_id, limit, **wanted), await backend.pins(job_id)

    checkpoints, pins = stores.use_job(job, work)
    names = _names(pins)
    if as_json:
        print_json([_as_json(each, names) for each in checkpoints])
    elif checkpoints:
        _print_rows(checkpoints, names)
    else:
        note("No checkpoint is like that.")
    if len(checkpoints) == limit and not as_json:
        note(f"The newest {limit} only; there may be more.")


def _print_graph(job: str, limit: int | None, wanted: dict[str, Any], *, as_json: bool) -> None:
    from gitstate.cli.log_graph import graph

    jobs, histories, chosen, pins = stores.use_job(job, lambda backend, job_id: _tree(backend, job_id, wanted))
    rows = graph(jobs, histories, lines=draws_lines())
    shown = [row for row in rows if row.checkpoint is None or row.checkpoint.revision in chosen]
    numbers = [number for number, row in enumerate(shown) if row.checkpoint is not None]
    cut = limit is not None and len(numbers) > limit
    if limit is not None and cut:
        shown = shown[: numbers[limit - 1] + 1]
    names = _names(pins)
    if as_json:
        told = [(row, _as_json(row.checkpoint, names)) for row in shown if row.checkpoint is not None]
        print_json([{"job": row.job_id, "parent": row.parent, **facts} for row, facts in told])
    elif numbers:
        _print_rows([row.checkpoint for row in shown], names, lanes=[row.lanes for row in shown])
    else:
        note("No checkpoint is like that.")
    if cut and not as_json:
        note(f"The newest {limit} only.")


async def _tree(
    backend: "GitStateBackend", job_id: str, wanted: dict[str, Any]
) -> "tuple[list[Fork], list[list[Checkpoint]], set[str], list[Pin]]":
    """Return the jobs of the tree of forks in which a job stands, their histories, the revisions that are wanted of
    these, and their pins.
    """
    from gitstate.cli.log_graph import jobs_of

    jobs = list(jobs_of(await _forks(backend, job_id)))
    histories = chosen = [await backend.history(each.job_id) for each in jobs]
    if any(wanted.values()):
        mine = await backend.history(job_id, **wanted)  # refuses a bound that names nothing
        bounds = {name: await _time_of(backend, job_id, wanted[name]) for name in ("before", "after")}
        others = [each.job_id for each in jobs if each.job_id != job_id]
        chosen = [mine, *[await backend.history(other, **wanted | bounds) for other in others]]
    pins = [pin for each in jobs for pin in await backend.pins(each.job_id)]
    return jobs, histories, {each.revision for found in chosen for each in found}, pins


async def _forks(backend: "GitStateBackend", job_id: str) -> "Fork":
    """Return the tree of forks in which a job stands; one that was deleted and never forked is a tree of its own."""
    from gitstate.backends.forks import Fork

    try:
        return await backend.forks(job_id)
    except JobNotFoundError:
        return Fork(job_id, None, None, None, None, None, None, ())


async def _time_of(backend: "GitStateBackend", job_id: str, bound: str | None) -> "str | datetime | None":
    """Return the time of the revision that a bound names, so that it means the same for all jobs of a tree."""
    from gitstate.clock import now
    from gitstate.store.moments import moment as named

    if bound is None or named(bound, now()) is not None:
        return bound
    return (await backend.history(job_id, 1, at=bound))[0].time


def _as_json(checkpoint: "Checkpoint", pins: dict[str, list[str]]) -> dict[str, Any]:
    return checkpoint_json(checkpoint) | {"pins": pins.get(checkpoint.revision, [])}


def _print_rows(
    checkpoints: "Sequence[Checkpoint | None]", pins: dict[str, list[str]], *, lanes: Sequence[str] = ()
) -> None:
    """Print checkpoints, each with its code and its pins in columns of their own if there are any; None is a row of
    lanes alone.
    """
    columns = ["revision", "time", "what"]
    shown = [[short(each.revision), moment(each.time), what(each)] if each else ["", "", ""] for each in checkpoints]
    coded = [_code_of(each) if each else "" for each in checkpoints]
    named = [", ".join(pins.get(each.revision, ())) if each else "" for each in checkpoints]
    for column, cells in (("code", coded), ("pins", named)):
        if any(cells):
            columns.insert(2, column)
            for row, cell in zip(shown, cells, strict=True):
                row.insert(2, cell)
    if lanes:
        columns.insert(0, "")
        for row, drawn in zip(shown, lanes, strict=True):
            row.insert(0, drawn)
    print_table(columns, shown)


def _names(pins: "Sequence[Pin]") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pin in pins:
        found.setdefault(pin.revision, []).append(pin.name)
    return found
