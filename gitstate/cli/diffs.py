"""The verbs that show what changed: in one job, and between two."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_job, complete_revision
from gitstate.cli.history import checkpoint_json
from gitstate.cli.output import print_json
from gitstate.cli.pager import paged
from gitstate.errors import JobNotFoundError

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.review import JobComparison, JobDiff
    from gitstate.backends.sides import JobSide
    from gitstate.values.diff import Change

__all__ = ["compare", "diff", "diff_json", "format_options", "print_found"]

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])

_DIFFERENT = 1  # what diff(1) and `git diff --exit-code` say


def format_options(command: AnyCommand) -> AnyCommand:
    """Add the options that say how a diff is shown."""
    forms = ["text", "markdown", "json", "patch", "unified"]
    how = "How to show it: markdown for a pull request, patch as RFC 6902 has it, unified as git shows the files."
    command = click.option("--json", "form", flag_value="json", help="The same as --format json.")(command)
    return click.option("--format", "form", type=click.Choice(forms), default="text", show_default=True, help=how)(
        command
    )


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.argument("a", required=False, metavar="[A]", shell_complete=complete_revision)
@click.argument("b", required=False, metavar="[B]", shell_complete=complete_revision)
@format_options
@click.option("--all", "volatile", is_flag=True, help="Show also what nearly every save changes, such as updated_at.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when there is a difference.")
@stores.store_options
@paged()
def diff(job: str, a: str | None, b: str | None, form: str, volatile: bool, exit_code: bool) -> None:
    """Show what changed in JOB from revision A to revision B.

    Without B, from A to now; without both, what the last save changed that changed anything. Sheets come first, with
    status, attempts, seconds and cost before and after; then new errors; then every other change, marked + for what
    came, - for what went and ~ for what changed. A patch and a unified diff always hold all changes.
    """

    async def work(backend: "GitStateBackend", job_id: str) -> "tuple[JobDiff, dict[str, tuple[bytes, bytes]]]":
        found = await backend.diff(job_id, a, b, volatile=volatile)
        return found, await backend.diff_files(job_id, a, b) if form == "unified" else {}

    found, files = stores.use_job(job, work)
    print_found(found, files, form)
    differs = bool(found.changes) if form in ("patch", "unified") else found.differs
    if exit_code and differs:
        click.get_current_context().exit(_DIFFERENT)


@click.command()
@click.argument("one", metavar="JOB[@REV]", shell_complete=complete_job)
@click.argument("other", metavar="JOB[@REV]", shell_complete=complete_job)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="How to show it.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when the outcome of a sheet differs.")
@stores.store_options
@paged()
def compare(one: str, other: str, form: str, exit_code: bool) -> None:
    """Compare two jobs, or one at two revisions, sheet by sheet.

    The table has status, attempts, seconds and cost of each sheet, of both sides if they differ. If an id holds an
    @ itself, JOB@REV is read with the longest id that exists.
    """

    async def work(backend: "GitStateBackend") -> "JobComparison":
        job_id, at = await _named(backend, one)
        return await backend.compare(job_id, at, *await _named(backend, other))

    found = stores.use(work)
    if form == "json":
        print_json(_comparison_json(found))
    elif form == "markdown":
        from gitstate.cli.diff_markdown import comparison_page

        click.echo(comparison_page(found))
    else:
        from gitstate.cli.diff_text import print_comparison

        print_comparison(found)
    if exit_code and found.differs:
        click.get_current_context().exit(_DIFFERENT)


async def _named(backend: "GitStateBackend", text: str) -> tuple[str, str | None]:
    """Return the job and the revision that JOB@REV names."""
    ways: list[tuple[str, str | None]] = [(text, None)]
    ways += [(text[:at], text[at + 1 :]) for at in reversed(range(1, len(text) - 1)) if text[at] == "@"]
    for has in (backend.load, lambda job_id: backend.history(job_id, 1)):  # a deleted job has a history alone
        for job_id, at in ways:
            if await has(job_id):
                return job_id, at
    for job_id, at in ways[1:]:
        with suppress(JobNotFoundError):
            return await backend.find_job(job_id), at
    return await backend.find_job(text), None


def print_found(found: "JobDiff", files: "dict[str, tuple[bytes, bytes]]", form: str) -> None:
    """Print a diff in one of its forms; ``files`` are those that differ, for the unified one."""
    if form == "json":
        print_json(diff_json(found))
    elif form == "patch":
        from gitstate.values.patch import patch

        print_json(patch(found.changes))
    elif form == "unified":
        from gitstate.cli.diff_text import print_unified

        print_unified(files)
    elif form == "markdown":
        from gitstate.cli.diff_markdown import diff_page

        click.echo(diff_page(found))
    else:
        from gitstate.cli.diff_text import print_diff

        print_diff(found)


def diff_json(found: "JobDiff") -> dict[str, Any]:
    """Return a diff as docs/reference/diff-json.md has it."""
    return {
        "before": _side(found.before),
        "after": _side(found.after),
        "fields": [_change(change) for change in found.fields],
        "sheets": [
            {
                "sheet": sheet.sheet,
                "before": sheet.before and asdict(sheet.before),
                "after": sheet.after and asdict(sheet.after),
                "changes": [_change(change) for change in sheet.changes],
            }
            for sheet in found.sheets
        ],
        "errors": [asdict(error) for error in found.errors],
        "hidden": found.hidden,
    }


def _comparison_json(found: "JobComparison") -> dict[str, Any]:
    rows = [asdict(sheet) for sheet in found.sheets]
    keys = ("sheet", "before", "after")
    return {
        "before": _side(found.before),
        "after": _side(found.after),
        "sheets": [{key: row[key] for key in keys} for row in rows],
    }


def _side(side: "JobSide") -> dict[str, Any]:
    checkpoint = side.checkpoint and checkpoint_json(side.checkpoint)
    return {"job": side.job_id, "exists": side.exists, "checkpoint": checkpoint}


def _change(change: "Change") -> dict[str, Any]:
    from gitstate.values.shape import ABSENT

    sides = {"before": change.before, "after": change.after}
    return {"pointer": change.pointer} | {name: slot for name, slot in sides.items() if slot is not ABSENT}
