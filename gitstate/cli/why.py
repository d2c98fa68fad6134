"""The verbs that answer questions: who set this value, since when is it so, and why is this sheet the next."""

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.completion import at_option, complete_job
from gitstate.cli.history import checkpoint_json
from gitstate.cli.output import moment, note, print_fields, print_json, print_table, short
from gitstate.cli.pager import paged
from gitstate.errors import JobNotFoundError

if TYPE_CHECKING:
    from gitstate.backends.checkpoints import Checkpoint
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.next_sheets import NextSheet, PassedOver
    from gitstate.backends.tracing import Bisection, Setting

__all__ = ["bisect", "blame", "next_"]

_NOWHERE = 1  # the exit status when what is looked for was never so

_json = click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.argument("pointer")
@at_option
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="Show the newest N only.")
@_json
@stores.store_options
@paged()
def blame(job: str, pointer: str, at: str | None, limit: int | None, as_json: bool) -> None:
    """Show which checkpoints of JOB set what stands at POINTER, the newest first.

    The first row set the value of now; those below show the values before. POINTER is /sheets/3/status or
    sheets.3.status; a place that holds others, such as sheets.3, is set when any of these is.
    """
    found = stores.use_job(job, lambda backend, job_id: backend.blame(job_id, pointer, at=at))
    settings = found.settings[:limit]
    if as_json:
        print_json({"job": found.job_id, "pointer": found.pointer, "settings": [_setting(each) for each in settings]})
        return
    from gitstate.cli.diff_text import told
    from gitstate.values.shape import ABSENT

    rows = [
        (
            short(each.checkpoint.revision),
            moment(each.checkpoint.time),
            "(removed)" if each.value is ABSENT else told(each.value),
            each.checkpoint.subject,
        )
        for each in settings
    ]
    print_table(("revision", "time", "value", "what"), rows)
    if len(settings) < len(found.settings):
        note(f"The newest {limit} of {len(found.settings)}.")


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.argument("expr")
@at_option
@_json
@stores.store_options
@paged()
def bisect(job: str, expr: str, at: str | None, as_json: bool) -> None:
    """Find the first checkpoint of JOB at which EXPR holds.

    EXPR compares places: sheets.3.attempt_count > 2, status == 'failed' and not sheets.1.error_message, or with * for
    any sheet: sheets.*.status == 'failed'. All checkpoints are looked at, from the oldest on. The exit status is 1
    when it holds at none.
    """
    found = stores.use_job(job, lambda backend, job_id: backend.bisect(job_id, expr, at=at))
    if as_json:
        sides = {"before": found.before, "found": found.found}
        checkpoints = {name: side and checkpoint_json(side) for name, side in sides.items()}
        print_json({"job": found.job_id, **checkpoints, "looked_at": found.looked_at, "never": list(found.never)})
    else:
        _print_bisection(found)
    for place in found.never:
        note(f"Nothing stood at {place} in what was looked at; a text stands in quotes, as in status == 'failed'.")
    if found.found is None:
        click.get_current_context().exit(_NOWHERE)


@click.command("next")
@click.argument("job", shell_complete=complete_job)
@at_option
@_json
@stores.store_options
@paged()
def next_(job: str, at: str | None, as_json: bool) -> None:
    """Say which sheet a run of JOB would process next, why, and what it passes over.

    A job that is not there would begin with its first sheet: the answer says so, and the exit status is 0.
    """

    async def work(backend: "GitStateBackend") -> "NextSheet":
        try:
            job_id = await backend.find_job(job)
        except JobNotFoundError as error:  # a job that is yet to be made has a first sheet
            note(f"{error.message[0].upper()}{error.message[1:]} ({error.hint}).")
            job_id = job
        return await backend.explain_next(job_id, at)

    found = stores.use(work)
    if as_json:
        facts = asdict(found)
        print_json({"job": facts.pop("job_id"), **facts})
        return
    print_fields([("next sheet", "none" if found.sheet is None else str(found.sheet)), ("why", found.reason)])
    if found.passed_over:
        click.echo()
        print_table((">sheets", "status", "why not"), _passed_over(found))


def _print_bisection(found: "Bisection") -> None:
    if found.found is None:
        note(f"It holds at none of {found.looked_at} checkpoints.")
        return
    rows = [("first", *_row(found.found), found.found.subject)]
    if found.before is not None:
        rows.insert(0, ("before", *_row(found.before), found.before.subject))
    print_table(("", "revision", "time", "author", "what"), rows)
    if found.before is None:
        note("It held from the beginning on.")
    else:
        revisions = short(found.before.revision), short(found.found.revision)
        note(f"To see what changed: {stores.command('diff', found.job_id, *revisions)}")


def _passed_over(found: "NextSheet") -> list[tuple[str, str, str]]:
    """Return the rows of sheets that were passed over, those with the same reason together."""

    def alike(each: "PassedOver") -> tuple[str, str]:
        return each.status or "", each.reason

    groups = [(key, [each.sheet for each in sheets]) for key, sheets in groupby(found.passed_over, key=alike)]
    return [(str(s[0]) if len(s) == 1 else f"{s[0]}-{s[-1]}", *key) for key, s in groups]


def _setting(setting: "Setting") -> dict[str, Any]:
    from gitstate.values.shape import ABSENT

    value = {} if setting.value is ABSENT else {"value": setting.value}
    return {"checkpoint": checkpoint_json(setting.checkpoint), **value}


def _row(checkpoint: "Checkpoint") -> tuple[str, str, str]:
    return short(checkpoint.revision), moment(checkpoint.time), checkpoint.author
