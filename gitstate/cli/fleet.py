"""The verb that shows the jobs of all machines that sync."""

from contextlib import nullcontext
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from gitstate import clock
from gitstate.cli import failures, stores
from gitstate.cli.bars import progress
from gitstate.cli.completion import complete_remote
from gitstate.cli.listing import name_option, none_found, status_option, time_option
from gitstate.cli.output import ago, clean, counted, note, print_json, print_table
from gitstate.cli.pager import paged
from gitstate.errors import SyncError

if TYPE_CHECKING:
    from gitstate.backends.fleet_jobs import Fleet, FleetJob, JobStanding
    from gitstate.backends.git import GitStateBackend
    from gitstate.store.remote.autosync import SyncFailure
    from gitstate.store.remote.lag import Lag

__all__ = ["fleet"]


@click.command()
@click.option(
    "--remote",
    "remotes",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_remote,
    help="Only what this remote has, beside what is here; several may be given.",
)
@click.option("--fetch", is_flag=True, help="Fetch from the remotes first. Nothing is merged.")
@status_option
@name_option
@click.option("--host", metavar="GLOB", help="Only jobs whose host, or who saved them last, this matches.")
@click.option("--unsynced", is_flag=True, help="Only jobs of which one side has what the other has not.")
@click.option(
    "--stale",
    metavar="DURATION",
    default="10m",
    show_default=True,
    help="Mark jobs that are running and silent for so long: 10m, 2h, 1d.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: remotes, and jobs.")
@stores.store_options
@paged()
def fleet(remotes: tuple[str, ...], fetch: bool, stale: str, as_json: bool, **asked: Any) -> None:
    """List the jobs of all machines: those that are here, and those that remotes had when they were seen last.

    For each job the newest state is shown, whichever side has it, with the saves to push, which a remote lacks, and
    those to merge, which this store lacks; `gitstate sync` does both. Without --fetch no remote is contacted. If
    --fetch did not reach every remote, the exit status is 13, and what was seen before is shown.
    """
    silent = _duration(stale)

    async def work(backend: "GitStateBackend") -> "Fleet":
        with progress() if fetch else nullcontext() as show:
            return await backend.fleet(remotes or None, fetch=fetch, stale=silent, progress=show)

    found = stores.use(work)
    jobs = [job for job in found.jobs if _is_asked_for(job, **asked)]
    if as_json:
        listed = [_remote_json(each, found.failures.get(each.remote)) for each in found.remotes]
        print_json({"remotes": listed, "jobs": [_job_json(each) for each in jobs]})
    else:
        _show(found, jobs, asked["status"])
    if found.failures:
        click.get_current_context().exit(failures.EXIT_STATUSES[SyncError][0])


def _show(found: "Fleet", jobs: "list[FleetJob]", status: tuple[str, ...]) -> None:
    if jobs:
        is_alone = len(found.remotes) == 1
        rows = [_row(each, is_alone=is_alone) for each in jobs]
        print_table(("job", "host", "status", ">done", ">ago", ">push", ">merge", "what"), rows)
    else:
        note(none_found(status) if found.jobs else "There are no jobs.")
    for name, failure in found.failures.items():
        note(f"error: {name} could not be fetched from: {failure}")
    for lag in found.remotes:
        note(_standing(lag))
    if not found.remotes:
        note(f"There are no remotes. To add one: {stores.command('remote add', 'origin', 'URL')}")


def _standing(lag: "Lag") -> str:
    """Return how far a remote is apart, in a sentence."""
    if lag.tip is None:
        return f"{clean(lag.remote)} was never seen, so that its jobs are not shown; --fetch looks."
    seen = "at some time" if lag.seen is None else f"{ago(lag.seen)} ago"
    parts = [f"{clean(lag.remote)} was seen {seen}"]
    if lag.saves:
        oldest = "" if lag.since is None else f", the oldest of {ago(lag.since)} ago"
        parts.append(f"{counted(lag.saves, 'save')} unpushed{oldest}")
    elif lag.commits:
        parts.append(f"{counted(lag.commits, 'merge')} unpushed")
    if lag.unmerged:
        parts.append(f"{counted(lag.unmerged, 'commit')} of it unmerged")
    return "; ".join(parts) + ("." if len(parts) > 1 else ", and nothing is on one side alone.")


def _row(job: "FleetJob", *, is_alone: bool) -> tuple[str, ...]:
    return (
        job.job_id,
        job.host or job.author,
        job.status or "",
        f"{job.done}/{job.total}",
        "" if job.saved is None else ago(clock.aware(job.saved)),
        str(job.unpushed or ""),
        str(job.unmerged or ""),
        "; ".join(_what(job, is_alone=is_alone)),
    )


def _what(job: "FleetJob", *, is_alone: bool) -> list[str]:
    """Return what a person should know of a job."""
    told = [f"{'' if is_alone else f'{each.remote}: '}{text}" for each in job.standings if (text := _side(each))]
    if job.is_stale and job.saved is not None:
        told.append("silent")
    if job.rescues:
        told.append(f"{job.rescues} put aside")
    return [*told, *([job.error] if job.error else [])]


def _side(standing: "JobStanding") -> str:
    if not standing.is_here:
        return "deleted here" if standing.unpushed else "not here yet"
    if not standing.is_there:
        return "deleted there" if standing.unmerged else "not there yet"
    return "changed on both sides" if standing.is_diverged else ""


def _is_asked_for(
    job: "FleetJob", *, status: tuple[str, ...], name: str | None, host: str | None, unsynced: bool
) -> bool:
    return (
        (not status or job.status in status)
        and (name is None or any(fnmatchcase(each, name) for each in (job.job_id, job.name)))
        and (host is None or any(fnmatchcase(each, host) for each in (job.host, job.author)))
        and (not unsynced or bool(job.unpushed or job.unmerged))
    )


def _duration(text: str) -> timedelta:
    moment = time_option("--stale", text, "{} ago", "duration, such as 10m, 2h or 1d")
    return timedelta(0) if moment is None else max(timedelta(0), clock.now() - moment)


def _remote_json(lag: "Lag", failure: "SyncFailure | None") -> dict[str, Any]:
    error = None if failure is None else {"code": failure.code, "message": failure.message, "hint": failure.hint}
    return {
        "remote": lag.remote,
        "tip": lag.tip,
        "seen": _iso(lag.seen),
        "unpushed_commits": lag.commits,
        "unpushed_saves": lag.saves,
        "unpushed_since": _iso(lag.since),
        "lag_seconds": round(lag.seconds, 3),
        "unmerged_commits": lag.unmerged,
        "diverged": lag.is_diverged,
        "error": error,
    }


def _job_json(job: "FleetJob") -> dict[str, Any]:
    return {
        "id": job.job_id,
        "name": job.name,
        "status": job.status,
        "completed_sheets": job.done,
        "failed_sheets": job.failed,
        "total_sheets": job.total,
        "host": job.host or None,
        "author": job.author or None,
        "updated_at": _iso(job.saved),
        "error_message": job.error,
        "stale": job.is_stale,
        "source": job.source or None,
        "unpushed": job.unpushed,
        "unmerged": job.unmerged,
        "diverged": job.is_diverged,
        "rescues": job.rescues,
        "remotes": [
            {
                "remote": each.remote,
                "unpushed": each.unpushed,
                "unmerged": each.unmerged,
                "here": each.is_here,
                "there": each.is_there,
            }
            for each in job.standings
        ],
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else clock.aware(time).isoformat()
