"""The verbs that bring older states back, and those that begin another way at one."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gitstate.cli import stores
from gitstate.cli.completion import at_option, complete_deleted, complete_job, complete_revision
from gitstate.cli.output import clean, draws_lines, moment, note, print_json, print_table, short, standing
from gitstate.cli.pager import paged

if TYPE_CHECKING:
    from gitstate.backends.forks import Fork
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.rewound import Rewound
    from gitstate.values.diff import Change

__all__ = [
    "change_options",
    "done_json",
    "force_option",
    "fork",
    "forks",
    "restore",
    "rollback",
    "tell",
    "undelete",
    "undo",
]

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])

force_option = click.option("--force", is_flag=True, help="Also while the job is running.")


def change_options(command: AnyCommand) -> AnyCommand:
    """Add what all these verbs have: why, only to look, and the answer as JSON."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object."),
        click.option("--dry-run", is_flag=True, help="Write nothing; show what would change."),
        click.option("-m", "--message", metavar="TEXT", help="Say why, in the message of the commit."),
    ):
        command = option(command)
    return stores.store_options(command)


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.argument("rev", shell_complete=complete_revision)
@force_option
@change_options
def rollback(job: str, rev: str, force: bool, message: str | None, dry_run: bool, as_json: bool) -> None:
    """Bring JOB back to the state that it had at revision REV.

    That makes a new revision, so nothing is lost. It works even if the state of now cannot be read. Executions
    stay.
    """
    done = stores.change_job(
        job, lambda backend, job_id: backend.rollback(job_id, rev, message=message, force=force, dry_run=dry_run)
    )
    tell(done, f"Rolled job {clean(job)} back to {short(done.source)}", dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.argument("rev", shell_complete=complete_revision)
@click.option("--sheets", metavar="N-M,...", help="These sheets, such as 5-9,12.")
@click.option("--pointer", "pointers", metavar="P", multiple=True, help="This place: /metadata/input. Repeatable.")
@force_option
@change_options
def restore(
    job: str,
    rev: str,
    sheets: str | None,
    pointers: tuple[str, ...],
    force: bool,
    message: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring a part of JOB back to what it was at revision REV.

    The rest stays as it is, except for what follows from the sheets: a completed job that has open sheets again is
    paused, for instance.
    """
    if not (sheets or pointers):
        raise click.UsageError(
            "name what to restore: --sheets 5-9,12 or --pointer P; `gitstate rollback` brings all back"
        )
    done = stores.change_job(
        job,
        lambda backend, job_id: backend.restore(
            job_id, rev, sheets=sheets, pointers=pointers, message=message, force=force, dry_run=dry_run
        ),
    )
    tell(done, f"Restored a part of job {clean(job)} from {short(done.source)}", dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("job", shell_complete=complete_deleted)
@at_option
@change_options
def undelete(job: str, at: str | None, message: str | None, dry_run: bool, as_json: bool) -> None:
    """Bring JOB back after it was deleted: its last state, with its executions."""
    done = stores.change_job(
        job, lambda backend, job_id: backend.undelete(job_id, at, message=message, dry_run=dry_run)
    )
    tell(done, f"Brought job {clean(job)} back", dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("job", required=False, shell_complete=complete_job)
@force_option
@change_options
def undo(job: str | None, force: bool, message: str | None, dry_run: bool, as_json: bool) -> None:
    """Take back the last thing that a person did to JOB, or to any job.

    That is a rollback, a restore, a fork, a deletion, a commit made with plain git, or an undo: a second undo takes
    the first one back. What the job did since stays; if it changed the same places, nothing is written.
    """

    async def work(backend: "GitStateBackend") -> "Rewound":
        job_id = None if job is None else await stores.whole_id(backend, job)
        return await backend.undo(job_id, message=message, force=force, dry_run=dry_run)

    done = stores.use(work)
    tell(done, f"Undid {short(done.source)} of job {clean(done.job_id)}", dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.argument("new")
@at_option
@click.option("--from-sheet", type=click.IntRange(min=1), metavar="N", help="Open sheet N and all behind it again.")
@change_options
def fork(
    job: str, new: str, at: str | None, from_sheet: int | None, message: str | None, dry_run: bool, as_json: bool
) -> None:
    """Make a job NEW that begins as JOB is, or was at a revision.

    JOB stays as it is. NEW does not run until somebody runs it.
    """
    done = stores.change_job(
        job,
        lambda backend, job_id: backend.fork(job_id, new, at, from_sheet=from_sheet, message=message, dry_run=dry_run),
    )
    tell(done, f"Forked job {clean(new)} from {clean(job)}", dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("job", shell_complete=complete_job)
@at_option
@click.option("--json", "as_json", is_flag=True, help="Print the tree as one JSON object.")
@stores.store_options
@paged()
def forks(job: str, at: str | None, as_json: bool) -> None:
    """Draw the tree of forks in which JOB stands, from its root."""
    tree = stores.use_job(job, lambda backend, job_id: backend.forks(job_id, at=at))
    if as_json:
        print_json(_tree_json(tree))
    else:
        print_table(("job", "status", ">done", "forked at", "time"), list(_tree_rows(tree)))


def tell(done: "Rewound", what: str, *, dry_run: bool, as_json: bool) -> None:
    """Say what was done and how to take it back, or what would change."""
    from gitstate.values.canonical import equal

    changed = done.before is None or done.after is None or not equal(done.before, done.after)
    if as_json:
        print_json(done_json(done))
    elif done.revision is None and not changed:
        note(f"Nothing to change: job {clean(done.job_id)} is like that already.")
    elif dry_run:
        _print_changes(done)
        note("Nothing was written, this was a dry run.")
    else:
        was = "" if done.previous is None else f"it was {standing(_facts(done.before))}, "
        now = "gone" if done.after is None else standing(_facts(done.after))
        note(f"{what}: {was}now it is {now}.")
        note(f"Revision {short(done.revision)}. To take it back: {stores.command('undo', done.job_id)}")


def _print_changes(done: "Rewound") -> None:
    from gitstate.cli.diff_text import change_mark, told

    rows = [
        (change_mark(each), each.pointer or "the job", told(each.before), told(each.after)) for each in _changes(done)
    ]
    print_table(("", "place", "before", "after"), rows)


def _changes(done: "Rewound") -> "tuple[Change, ...]":
    from gitstate.backends.rules import JOB_IDENTITIES
    from gitstate.values.diff import diff
    from gitstate.values.shape import ABSENT

    before, after = (ABSENT if value is None else value for value in (done.before, done.after))
    return diff(before, after, JOB_IDENTITIES)


def done_json(done: "Rewound") -> dict[str, Any]:
    """Return what was done to a job, or would be, as data."""
    from gitstate.values.patch import patch

    return {
        "job": done.job_id,
        "event": done.event,
        "revision": done.revision,
        "previous": done.previous,
        "source": done.source,
        "before": _facts(done.before),
        "after": _facts(done.after),
        "patch": patch(_changes(done)),
        "undo": None if done.revision is None else stores.command("undo", done.job_id),
    }


def _facts(value: dict[str, Any] | None) -> dict[str, Any] | None:
    from gitstate.backends.subjects import progress

    if value is None:
        return None
    completed, total = progress(value)
    return {"status": value.get("status"), "completed_sheets": completed, "total_sheets": total}


def _tree_json(tree: "Fork") -> dict[str, Any]:
    return {
        "job": tree.job_id,
        "origin": tree.origin,
        "at": tree.at,
        "revision": tree.revision,
        "time": None if tree.time is None else tree.time.isoformat(),
        "status": tree.status,
        "progress": tree.progress,
        "forks": [_tree_json(each) for each in tree.forks],
    }


def _tree_rows(tree: "Fork", lead: str = "", below: str = "") -> Iterator[tuple[str, ...]]:
    tee, corner, bar = ("├── ", "└── ", "│   ") if draws_lines() else ("|-- ", "`-- ", "|   ")
    yield lead + tree.job_id, tree.status or "deleted", tree.progress or "", short(tree.at), moment(tree.time)
    for each in tree.forks:
        last = each is tree.forks[-1]
        yield from _tree_rows(each, below + (corner if last else tee), below + ("    " if last else bar))
