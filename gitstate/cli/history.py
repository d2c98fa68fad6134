"""The verb that looks at the history of a job."""

from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_job
from gitstate.cli.output import moment, note, print_json, print_table
from gitstate.cli.pager import paged
from gitstate.errors import JobNotFoundError

if TYPE_CHECKING:
    from gitstate.backends.checkpoints import Checkpoint

__all__ = ["log"]

_SHORT_ID = 10  # digits of a commit id that a line shows; any four or more that are unique name a revision


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Show the newest N checkpoints only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, with all there is to know.")
@stores.store_options
@paged()
def log(job: str, limit: int | None, as_json: bool) -> None:
    """List the checkpoints of JOB, the newest first.

    A job that was deleted still has its history. The first column names a checkpoint for `gitstate show --at`, and the
    commit for git.
    """
    checkpoints = stores.use(lambda backend: backend.history(job, limit))
    if not checkpoints:
        raise JobNotFoundError(f"there is no job {job!r}", hint="`gitstate list` shows which there are")
    if as_json:
        print_json([_as_json(checkpoint) for checkpoint in checkpoints])
        return
    rows = [(c.revision[:_SHORT_ID], moment(c.time), c.subject) for c in checkpoints]
    print_table(("revision", "time", "what"), rows)
    if len(checkpoints) == limit:
        note(f"The newest {limit} only; there may be more.")


def _as_json(checkpoint: "Checkpoint") -> dict[str, Any]:
    return {
        "revision": checkpoint.revision,
        "time": checkpoint.time.isoformat(),
        "author": checkpoint.author,
        "event": checkpoint.event,
        "subject": checkpoint.subject,
        "status": checkpoint.status,
        "progress": checkpoint.progress,
        "message": checkpoint.message,
    }
