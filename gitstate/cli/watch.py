"""The verbs that look at jobs as they run."""

import sys
from typing import TYPE_CHECKING

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_job, complete_revision
from gitstate.cli.output import is_screen

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend

__all__ = ["top", "watch"]


@click.command()
@click.argument("job", required=False, shell_complete=complete_job)
@click.option("--since", metavar="REV|CURSOR", shell_complete=complete_revision, help="Begin behind this revision.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="End after N checkpoints.")
@click.option("--json", "as_json", is_flag=True, help="Print each as a JSON object on a line, with its cursor.")
@stores.store_options
def watch(job: str | None, since: str | None, limit: int | None, as_json: bool) -> None:
    """Print each new checkpoint of JOB, or of all jobs, as it comes, until Ctrl-C.

    Each checkpoint comes exactly once, whichever process wrote it. To go on where a watch ended, give --since the
    revision of its last line, or better the cursor that --json shows: it is exact also after merges and commits
    that changed several jobs.
    """
    from gitstate.cli.follow import print_new

    async def work(backend: "GitStateBackend") -> None:
        job_id = None if job is None else await backend.find_job(job)
        await print_new(backend.watch(job_id, since=since), limit, as_json=as_json)

    stores.use(work)


@click.command()
@click.option("--all", "every", is_flag=True, help="Show the jobs that do not run as well.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array once, one object a job.")
@stores.store_options
def top(every: bool, as_json: bool) -> None:
    """Show the running jobs, with their progress and what happened last, until Ctrl-C.

    Where stdout is no terminal the table is printed once.
    """
    from gitstate.cli.top import show_json, show_live, show_once

    show = show_json if as_json else show_live if is_screen(sys.stdout) else show_once

    async def work(backend: "GitStateBackend") -> None:
        await show(backend, every=every)

    stores.use(work)
