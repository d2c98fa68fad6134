"""The verb that shows the attempts at the sheets of a job."""

from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_job, complete_revision
from gitstate.cli.history import checkpoint_json
from gitstate.cli.output import moment, note, print_json, print_table, seconds, short
from gitstate.cli.pager import paged

if TYPE_CHECKING:
    from gitstate.backends.attempts import Attempt

__all__ = ["attempts"]


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.option("--sheet", type=click.IntRange(min=1), metavar="N", help="Only the attempts at this sheet.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Show the newest N only.")
@click.option("--at", metavar="REV", shell_complete=complete_revision, help="Those until this revision.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@stores.store_options
@paged()
def attempts(job: str, sheet: int | None, limit: int | None, at: str | None, as_json: bool) -> None:
    """List the attempts at the sheets of JOB, the newest first.

    An attempt is listed if a save saw it end, completed or failed, or if an execution was recorded for it. The
    revision is the checkpoint at which it ended, and the error is the sheet's at that time. For a job that was
    deleted, give --at @deleted.
    """
    found = stores.use_job(job, lambda backend, job_id: backend.attempts(job_id, sheet, limit, at=at))
    if as_json:
        print_json([_as_json(each) for each in found])
    elif found:
        print_table(("revision", "time", ">sheet", ">attempt", "status", ">seconds", "error"), list(map(_row, found)))
    else:
        where = f" at sheet {sheet}" if sheet else ""
        note(f"No attempt{where} ended, and none was recorded.")
    if len(found) == limit and not as_json:
        note(f"The newest {limit} only; there may be more.")


def _row(attempt: "Attempt") -> tuple[str, ...]:
    told = [f"exit {attempt.exit_code}" if attempt.exit_code else "", attempt.error or ""]
    return (
        short(attempt.checkpoint.revision),
        moment(attempt.checkpoint.time),
        str(attempt.sheet),
        str(attempt.attempt),
        attempt.status or "recorded",
        seconds(attempt.seconds),
        ": ".join(part for part in told if part),
    )


def _as_json(attempt: "Attempt") -> dict[str, Any]:
    return {
        "sheet": attempt.sheet,
        "attempt": attempt.attempt,
        "status": attempt.status,
        "seconds": attempt.seconds,
        "exit_code": attempt.exit_code,
        "error": attempt.error,
        "execution": attempt.execution_id,
        "checkpoint": checkpoint_json(attempt.checkpoint),
    }
