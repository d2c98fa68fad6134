"""The verbs by which a person decides about sheets: not to be run, or to be run once more."""

from typing import TYPE_CHECKING

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_job
from gitstate.cli.output import clean
from gitstate.cli.rewind import change_options, force_option, tell

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.rewound import Rewound

__all__ = ["reset", "skip"]

_sheets = click.argument("sheets", metavar="SHEET...", nargs=-1, required=True)


@click.command()
@click.argument("job", shell_complete=complete_job)
@_sheets
@force_option
@change_options
def skip(job: str, sheets: tuple[str, ...], force: bool, message: str | None, dry_run: bool, as_json: bool) -> None:
    """Say of sheets of JOB that they are not to be run: 3, or 5-9,12.

    The message of -m is kept as the reason in each of them. If no open sheet is left, the job is completed.
    """

    async def work(backend: "GitStateBackend", job_id: str) -> "Rewound":
        return await backend.skip_sheets(job_id, ",".join(sheets), message=message, force=force, dry_run=dry_run)

    tell(stores.change_job(job, work), _told("Skipped", sheets, job), dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("job", shell_complete=complete_job)
@_sheets
@force_option
@change_options
def reset(job: str, sheets: tuple[str, ...], force: bool, message: str | None, dry_run: bool, as_json: bool) -> None:
    """Make sheets of JOB pending again, so that they run once more: 3, or 5-9,12.

    Results of their attempts are cleared, executions stay, and a job that had ended is paused.
    """

    async def work(backend: "GitStateBackend", job_id: str) -> "Rewound":
        return await backend.reset_sheets(job_id, ",".join(sheets), message=message, force=force, dry_run=dry_run)

    tell(stores.change_job(job, work), _told("Reset", sheets, job), dry_run=dry_run, as_json=as_json)


def _told(verb: str, sheets: tuple[str, ...], job: str) -> str:
    named = ",".join(sheets)
    return f"{verb} sheet{'' if named.isdecimal() else 's'} {clean(named)} of job {clean(job)}"
