"""The verbs that exchange state with other tools: export and import."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gitstate.cli import stores
from gitstate.cli.bars import bar
from gitstate.cli.completion import complete_job
from gitstate.cli.output import counted, note, print_json, print_table

if TYPE_CHECKING:
    from gitstate.backends.exporting import ExportReport
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.importing import ImportReport

__all__ = ["export", "import_"]

_STDOUT = "-"


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_job)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "sqlite"]),
    default="jsonl",
    show_default=True,
    help="jsonl: a JSON object a line, with its type; csv: one table; sqlite: a database with a table of each.",
)
@click.option(
    "--what",
    type=click.Choice(["checkpoints", "executions", "both"]),
    default="both",
    show_default=True,
    help="What is exported; csv takes one of the two.",
)
@click.option(
    "-o", "--output", default=_STDOUT, metavar="FILE|-", help="Where to; - is the standard output.  [default: -]"
)
@click.option("--payloads", is_flag=True, help="With the prompts and outputs of executions.")
@click.option("--states", is_flag=True, help="With the whole state at each checkpoint.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@stores.store_options
def export(jobs: tuple[str, ...], form: str, what: str, output: str, payloads: bool, states: bool, force: bool) -> None:
    """Write checkpoints and executions for notebooks and dashboards.

    It writes those of each JOB named, also of deleted ones; by default of all jobs that are there. The file appears
    when it is complete.
    """

    async def work(backend: "GitStateBackend") -> "ExportReport":
        job_ids = [await backend.find_job(job) for job in jobs]
        with bar("exporting", "jobs", shown=output != _STDOUT or not sys.stdout.isatty()) as show:
            return await backend.export(
                sys.stdout if output == _STDOUT else output,
                format=form,
                what=what,
                jobs=job_ids or None,
                payloads=payloads,
                states=states,
                force=force,
                progress=show,
            )

    report = stores.use(work)
    counts = {"checkpoint": report.checkpoints, "execution": report.executions}
    told = " and ".join(counted(number, word) for word, number in counts.items() if what in ("both", f"{word}s"))
    note(f"Exported {told} of {counted(report.jobs, 'job')}.")


@click.command("import")
@click.argument("source", type=click.Path())
@click.option("--replace", is_flag=True, help="Also jobs that are here with another state; history keeps that.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@stores.store_options
def import_(source: str, replace: bool, dry_run: bool, as_json: bool) -> None:
    """Import state that was written elsewhere. SOURCE is a folder of JSON files, one a job, or an SQLite database.

    The database has a table jobs, and perhaps sheets and execution_history, as Marianne writes them. Times are
    kept. Jobs that are here already stay as they are, so a second run changes nothing. What cannot be imported is
    skipped and named, and the exit status is 1 then.
    """

    async def work(backend: "GitStateBackend") -> "ImportReport":
        with bar("importing", "jobs") as show:
            return await backend.import_from(source, replace=replace, dry_run=dry_run, progress=show)

    report = stores.use(work)
    if as_json:
        print_json({**asdict(report), "executions": report.executions})
    else:
        _print_report(report)
    if report.count("skipped"):
        click.get_current_context().exit(1)


def _print_report(report: "ImportReport") -> None:
    """Print each job that is not as it was, or of which there is something to say."""
    shown = [job for job in report.jobs if job.outcome != "unchanged" or job.executions or job.notes]
    if shown:
        rows = [
            (
                job.job_id or "",
                job.outcome,
                str(job.executions),
                job.name,
                "; ".join(filter(None, [job.reason, *job.notes])),
            )
            for job in shown
        ]
        print_table(("job", "outcome", ">executions", "from", "note"), rows)
    for line in report.notes:
        note(f"Note: {line}.")
    outcomes = ("imported", "replaced", "unchanged", "skipped")
    counts = [f"{report.count(outcome)} {outcome}" for outcome in outcomes if report.count(outcome)]
    note(f"Jobs: {', '.join(counts) or 'none'}; {counted(report.executions, 'execution')}.")
    if report.dry_run:
        note("Nothing was written, this was a dry run.")
