"""The verb that lists jobs: those that are there, those that are asked for, those that were, those that are gone."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from gitstate import clock
from gitstate.cli import stores
from gitstate.cli.completion import complete_status
from gitstate.cli.history import checkpoint_json
from gitstate.cli.output import clean, moment, note, print_json, print_table
from gitstate.cli.pager import paged

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.models import CheckpointState
    from gitstate.backends.queries import JobFilters

__all__ = ["list_", "name_option", "no_jobs", "none_found", "status_option", "time_option"]

_ORDERS = ("saved", "created", "name", "id")
_SHOWN = (
    "id",
    "name",
    "status",
    "completed_sheets",
    "failed_sheets",
    "total_sheets",
    "last_completed_sheet",
    "created_at",
    "updated_at",
    "completed_at",
    "error_message",
    "rescues",
)


status_option = click.option(
    "--status",
    metavar="STATUS",
    multiple=True,
    shell_complete=complete_status,
    help="Only jobs that stand so: running, failed, ...; several may be given.",
)
name_option = click.option(
    "--name", metavar="GLOB", help="Only jobs whose id or name this matches, such as 'nightly-*'."
)


@click.command("list")
@status_option
@name_option
@click.option("--since", metavar="TIME", help="Only jobs saved then or later: 2026-03-01, yesterday, 2.hours.ago.")
@click.option("--until", metavar="TIME", help="Only jobs saved before.")
@click.option(
    "--failed", metavar="N", type=click.IntRange(0), default=0, help="Only jobs with at least N sheets that failed."
)
@click.option(
    "--stale", metavar="DURATION", help="Only jobs that are running and were not saved for so long: 10m, 2h, 1d."
)
@click.option("--error", metavar="TEXT", help="Only jobs with this text in an error, theirs or that of a failed sheet.")
@click.option(
    "--sort", "order", type=click.Choice(_ORDERS), default=_ORDERS[0], help="The order; by a time, the newest is first."
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("-n", "--limit", metavar="N", type=click.IntRange(1), help="At most N jobs.")
@click.option("--deleted", is_flag=True, help="List those that were deleted, as they were before.")
@click.option("--at", metavar="REV|TIME", help="As they were at this commit, tag or time: 2026-03-01 or 2.hours.ago.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, one object a job.")
@stores.store_options
@paged()
def list_(deleted: bool, at: str | None, as_json: bool, limit: int | None, **asked: Any) -> None:
    """List the jobs of the store, the one that was saved last first.

    `gitstate undelete` brings a deleted job back.
    """
    filters = _filters(**asked)
    _refuse_both(deleted=deleted, at=at, others=bool(filters) or limit is not None)
    if deleted:
        _list_deleted(as_json=as_json)
        return
    jobs, empty = stores.use(lambda backend: _asked(backend, at, filters, limit))
    if as_json:
        print_json([{name: job[name] for name in _SHOWN if name in job} for job in jobs])
    elif jobs:
        _print(("job", "status", ">done", "saved", "error"), [_row(job) for job in jobs], jobs)
    else:
        note(none_found(asked["status"]) if filters else empty)


def none_found(status: tuple[str, ...]) -> str:
    """Return what is said where no job is like what was asked for; a status that none can have is named."""
    from gitstate.backends.statuses import JobStatus

    known = [each.value for each in JobStatus]
    odd = [each for each in status if each not in known]  # models of other people's may have it
    return f"No job is like that; {clean(odd[0])} is none of {', '.join(known)}." if odd else "No job is like that."


def _refuse_both(*, deleted: bool, at: str | None, others: bool) -> None:
    if deleted and at is not None:
        raise click.UsageError("--deleted lists what is there no more now, so it takes no --at")
    if others and (deleted or at is not None):
        option = "--deleted" if deleted else "--at"
        raise click.UsageError(f"{option} lists all jobs, so it takes no filter, --sort, --reverse or --limit")


def _filters(
    status: tuple[str, ...], since: str | None, until: str | None, stale: str | None, order: str, **others: Any
) -> "JobFilters":
    """Return the filters that the options give; none that says nothing."""
    given: dict[str, Any] = {
        "status": status,
        "since": time_option("--since", since, "{}", "time, such as 2026-03-01, yesterday or 2.hours.ago"),
        "until": time_option("--until", until, "{}", "time, such as 2026-03-01, yesterday or 2.hours.ago"),
        "stale": None,
        "order": order,
        **others,
    }
    silent_since = time_option("--stale", stale, "{} ago", "duration, such as 10m, 2h or 1d")
    if silent_since is not None:
        given["stale"] = clock.now() - silent_since
    says_nothing = (None, (), 0, False, _ORDERS[0])
    filters: JobFilters = {key: each for key, each in given.items() if each not in says_nothing}  # type: ignore[assignment]  # its keys
    return filters


def time_option(option: str, text: str | None, form: str, meant: str) -> datetime | None:
    """Return the time that an option names, None without one."""
    from gitstate.store.moments import moment as parsed

    time = None if text is None else parsed(form.format(text), clock.now())
    if text is not None and time is None:
        raise click.BadParameter(f"{text!r} is no {meant}", param_hint=option)
    return time


async def _asked(
    backend: "GitStateBackend", at: str | None, filters: "JobFilters", limit: int | None
) -> tuple[list[dict[str, Any]], str]:
    """Return the jobs that are asked for, and what is said where these are none."""
    if at:
        return await _then(backend, at), "The store held no job then that can be read."
    jobs = await _now(backend, filters, limit)
    return jobs, "" if jobs else await no_jobs(backend)


async def no_jobs(backend: "GitStateBackend") -> str:
    """Return what is said where no job is found: that there is none, or none that can be read."""
    if await backend.job_ids():
        return "The store holds no job that can be read; `gitstate verify` tells more."
    return "The store holds no jobs."


async def _now(backend: "GitStateBackend", filters: "JobFilters", limit: int | None) -> list[dict[str, Any]]:
    page, kept = await backend.job_page(limit, **filters), await backend.rescue_counts()
    return [job | {"completed_sheets": job["done_sheets"], "rescues": kept.get(job["id"], 0)} for job in page.jobs]


async def _then(backend: "GitStateBackend", at: str) -> list[dict[str, Any]]:
    return [_summary(state) for state in await backend.list_jobs(at=at)]


def _summary(state: "CheckpointState") -> dict[str, Any]:
    """Return the facts of a job under the names that dashboards know, and how many sheets are done and failed."""
    fields = {"total_sheets", "last_completed_sheet", "created_at", "updated_at", "completed_at", "error_message"}
    return {
        "id": state.job_id,
        "name": state.job_name,
        "status": state.status.value,
        "completed_sheets": state.get_progress()[0],
        "failed_sheets": sum(sheet.status.value == "failed" for sheet in state.sheets.values()),
        **state.model_dump(mode="json", include=fields),
    }


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    from gitstate.values.joins import instant

    return (
        job["id"],
        job["status"] or "",
        f"{job['completed_sheets']}/{job['total_sheets']}",
        moment(instant(job["updated_at"])),
        job["error_message"] or "",
    )


def _print(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], jobs: list[dict[str, Any]]) -> None:
    """Print a table of jobs; how many rescues each has stands before the last column, if any of them has one."""
    counts = [job.get("rescues", 0) for job in jobs]
    if any(counts):
        columns = (*columns[:-1], ">rescues", columns[-1])
        rows = [(*row[:-1], str(count or ""), row[-1]) for row, count in zip(rows, counts, strict=True)]
    print_table(columns, rows)


async def _gone(backend: "GitStateBackend") -> list[dict[str, Any]]:
    kept = await backend.rescue_counts()
    return [
        {"id": each.job_id, "status": each.status, "progress": each.progress}
        | {"deleted": checkpoint_json(each.checkpoint), "rescues": kept.get(each.job_id, 0)}
        for each in await backend.deleted_jobs()
    ]


def _list_deleted(*, as_json: bool) -> None:
    from gitstate.values.joins import instant

    found = stores.use(_gone)
    if as_json:
        print_json(found)
    elif found:
        rows = [
            (
                each["id"],
                each["status"] or "",
                each["progress"] or "",
                moment(instant(each["deleted"]["time"])),
                each["deleted"]["author"],
            )
            for each in found
        ]
        _print(("job", "status", ">done", "deleted", "by"), rows, found)
    else:
        note("No job was deleted.")
