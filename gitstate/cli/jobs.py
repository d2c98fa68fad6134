"""The verbs that look at a job and remove it."""

from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_job, complete_revision
from gitstate.cli.output import clean, confirm, moment, note, print_fields, print_json, print_table, seconds, standing
from gitstate.cli.pager import paged
from gitstate.errors import JobNotFoundError, StateCorruptionError

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.models import CheckpointState, SheetState

__all__ = ["delete", "print_state", "show"]


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.option(
    "--at",
    metavar="REV",
    shell_complete=complete_revision,
    help="As it was: at a commit id, ~1 for the checkpoint before the last, a pin, a time, or @deleted.",
)
@click.option("--code", is_flag=True, help="Show which commit of the project's code ran instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole state as one JSON object.")
@stores.store_options
@paged()
def show(job: str, at: str | None, code: bool, as_json: bool) -> None:
    """Show the state of JOB: the job itself, then its sheets.

    With --code, show instead which commit of a project ran when the checkpoint was made. If the state is not kept
    in the project's own repository, GITSTATE_CODE names the project's folder; else it is looked for from the
    current folder.
    """
    if code:
        from gitstate.cli.code import show_code

        show_code(job, at, as_json=as_json)
        return
    state = stores.use_job(job, lambda backend, job_id: backend.load(job_id, at=at))
    if state is None:
        where = f"there was no job {job!r} at revision {at}" if at else f"job {job!r} was deleted"
        raise JobNotFoundError(where, hint="`gitstate log` lists what there was; --at @deleted shows the last of it")
    if as_json:
        print_json(state.model_dump(mode="json"))
        return
    print_state(state)


def print_state(state: "CheckpointState") -> None:
    """Print a state: the job itself, then its sheets."""
    print_fields(_facts(state))
    if state.sheets:
        click.echo()
        print_table(
            (">sheet", "status", ">attempts", ">seconds", "completed", "error"),
            [_sheet_row(state.sheets[number]) for number in sorted(state.sheets)],
        )


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also while the job is running: its next save brings it back.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@stores.store_options
def delete(job: str, yes: bool, force: bool, dry_run: bool, as_json: bool) -> None:
    """Delete JOB from the store. Its history stays, and `undelete` brings it back.

    Asks first on a terminal; does not ask elsewhere.
    """
    if not (yes or dry_run):
        confirm(f"Delete job {clean(job)}?")
    before, revision = stores.change_job(
        job, lambda backend, job_id: _delete(backend, job_id, force=force, dry_run=dry_run)
    )
    way_back = stores.command("undelete", job)
    if as_json:
        facts = {"job": job, "event": "deleted", "revision": revision, "before": before, "after": None}
        print_json({**facts, "undo": None if dry_run else way_back})
    elif dry_run:
        print_fields([("job", job), ("status", standing(before))])
        note("It would be deleted. Nothing was written, this was a dry run.")
    else:
        note(f"Deleted job {clean(job)}; its history stays.")
        note(f"To bring it back: {way_back}")


async def _delete(
    backend: "GitStateBackend", job: str, *, force: bool, dry_run: bool
) -> tuple[dict[str, Any] | None, str | None]:
    """Delete a job; return how it stood, None where that cannot be read, and the commit, None in a dry run."""
    from gitstate.backends.rewound import busy
    from gitstate.backends.statuses import runs_here

    try:
        state = await backend.load(job)
        if state is not None and runs_here(state) and not (force or dry_run):
            raise busy(job, state.pid, "stop it first; or use --force: its next save then brings the job back")
        there, before = state is not None, _as_json(state)
    except StateCorruptionError:
        there, before = True, None
    if not (there if dry_run else await backend.delete(job)):
        raise JobNotFoundError(f"there is no job {job!r}", hint="`gitstate list` shows which there are")
    newest = [] if dry_run else await backend.history(job, 1, events="deleted")
    return before, newest[0].revision if newest else None


def _as_json(state: "CheckpointState | None") -> dict[str, Any] | None:
    if state is None:
        return None
    completed, total = state.get_progress()
    return {"status": state.status.value, "completed_sheets": completed, "total_sheets": total}


def _progress(state: "CheckpointState") -> str:
    done, total = state.get_progress()
    return f"{done}/{total}"


def _facts(state: "CheckpointState") -> list[tuple[str, str]]:
    process = "" if state.pid is None else f"{state.pid} on {state.host}" if state.host else str(state.pid)
    return [
        ("job", state.job_id),
        ("name", state.job_name if state.job_name != state.job_id else ""),
        ("status", f"{state.status.value}, {_progress(state)} done"),
        ("error", state.error_message or ""),
        ("created", moment(state.created_at)),
        ("started", moment(state.started_at)),
        ("saved", moment(state.updated_at)),
        ("completed", moment(state.completed_at)),
        ("process", process),
        ("config", state.config_path or ""),
    ]


def _sheet_row(sheet: "SheetState") -> tuple[str, ...]:
    return (
        str(sheet.sheet_num),
        sheet.status.value,
        str(sheet.attempt_count),
        seconds(sheet.execution_duration_seconds),
        moment(sheet.completed_at),
        sheet.error_message or "",
    )
