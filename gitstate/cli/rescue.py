"""The verbs for states that were kept aside: those that a save was refused with, or that lost a merge."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_job, complete_rescue
from gitstate.cli.diffs import format_options, print_found
from gitstate.cli.output import clean, confirm, json_text, moment, note, print_fields, print_json, print_table, short
from gitstate.cli.pager import paged
from gitstate.cli.rewind import change_options, done_json, force_option, tell
from gitstate.errors import StateCorruptionError
from gitstate.words import several

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.models import CheckpointState
    from gitstate.backends.rescues import Rescue
    from gitstate.backends.rescuing import RescuedState
    from gitstate.backends.review import JobDiff

__all__ = ["rescue"]

_LISTED = 3  # so many places stand in a row


@click.group()
def rescue() -> None:
    """Look at states that were kept aside, and bring them back.

    A save that cannot be merged is refused, and its state is kept whole; so is a state that lost in a sync. To git
    each is a commit under refs/gitstate/rescue/, on no branch, which no clean-up removes.

    NAME is what the list says: the job and the first digits of the commit. The digits alone will do, or the job
    alone if it has a single rescue.
    """


@rescue.command("list")
@click.argument("job", required=False, shell_complete=complete_job)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, one object a rescue.")
@stores.store_options
@paged()
def list_(job: str | None, as_json: bool) -> None:
    """List what is kept aside, of all jobs or of JOB, the newest first. The job may be gone."""

    async def work(backend: "GitStateBackend") -> "list[Rescue]":
        kept = await backend.rescues(job)
        return kept if kept or job is None else await backend.rescues(await backend.find_job(job))

    found = stores.use(work)
    if as_json:
        print_json([_as_json(each) for each in found])
    elif found:
        print_table(("rescue", "why", "status", ">done", "time", "by", "places"), [_row(each) for each in found])
    else:
        note("Nothing is kept aside." if job is None else f"Nothing of job {clean(job)} is kept aside.")


@rescue.command(short_help="Show a rescue: why it is there, and its whole state.")
@click.argument("name", shell_complete=complete_rescue)
@click.option("--json", "as_json", is_flag=True, help="Print what is known of it, and the whole state, as one object.")
@stores.store_options
@paged()
def show(name: str, as_json: bool) -> None:
    """Show rescue NAME: why it is there, and the whole state that it holds."""

    async def work(backend: "GitStateBackend") -> "tuple[RescuedState, CheckpointState | StateCorruptionError | None]":
        found = await backend.show_rescue(name)
        try:
            return found, await backend.load(found.rescue.job_id, at=found.rescue.revision)
        except StateCorruptionError as error:
            return found, error

    found, state = stores.use(work)
    if as_json:
        print_json({"rescue": _as_json(found.rescue), "state": found.value})
        return
    print_fields(_facts(found.rescue))
    click.echo()
    if state is None or isinstance(state, StateCorruptionError):
        click.echo(json_text(found.value))
        note(f"It is no state: {state.reason}" if state is not None else "It is no state.")
    else:
        from gitstate.cli.jobs import print_state

        print_state(state)


@rescue.command(short_help="Show what would change if a rescue became the state.")
@click.argument("name", shell_complete=complete_rescue)
@click.option("--base", "to_base", is_flag=True, help="What it changed of what it was based on, whatever came since.")
@format_options
@click.option("--all", "volatile", is_flag=True, help="Show also what nearly every save changes, such as updated_at.")
@stores.store_options
@paged()
def diff(name: str, to_base: bool, form: str, volatile: bool) -> None:
    """Show what would change if the job became the state of rescue NAME as a whole; see `gitstate diff`."""

    async def work(backend: "GitStateBackend") -> "tuple[JobDiff, dict[str, tuple[bytes, bytes]]]":
        found = await backend.diff_rescue(name, to_base=to_base, volatile=volatile)
        return found, await backend.diff_rescue_files(name, to_base=to_base) if form == "unified" else {}

    print_found(*stores.use(work), form)


@rescue.command(short_help="Bring a rescue back into its job.")
@click.argument("name", shell_complete=complete_rescue)
@click.option(
    "--on-conflict",
    type=click.Choice(["fail", "rescue", "job"]),
    default="fail",
    show_default=True,
    help="Where the job changed the same places: write nothing, or let this side count there.",
)
@click.option("--replace", is_flag=True, help="Make it the state as a whole, whatever stands there now.")
@click.option("--keep", is_flag=True, help="Keep the rescue.")
@force_option
@change_options
def apply(
    name: str,
    on_conflict: Any,
    replace: bool,
    keep: bool,
    force: bool,
    message: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring rescue NAME back into its job, as if it were saved now, and drop it.

    It is merged field by field with what the job has become since; a job that is gone comes back as the rescue has it.
    That makes one new revision, which `undo` takes back. An execution that the save would have recorded is recorded.
    """
    done = stores.use(
        lambda backend: backend.apply_rescue(
            name,
            on_conflict=on_conflict,
            replace=replace,
            message=message,
            keep=keep,
            force=force,
            dry_run=dry_run,
        )
    )
    if as_json:
        print_json(done_json(done.done) | {"rescue": _as_json(done.rescue), "kept": done.kept or None})
        return
    told = done.rescue
    tell(done.done, f"Applied rescue {told.name} to job {clean(told.job_id)}", dry_run=dry_run, as_json=False)
    if not dry_run:
        note(f"The rescue stays: {done.kept}." if done.kept else "The rescue is dropped.")


@rescue.command()
@click.argument("name", shell_complete=complete_rescue)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@stores.store_options
def drop(name: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Drop rescue NAME; asks first on a terminal. Its commit stays until git clears it away."""
    if not (yes or dry_run):
        confirm(f"Drop rescue {clean(name)}?")
    gone = stores.use(lambda backend: backend.drop_rescue(name, dry_run=dry_run))
    if as_json:
        print_json(_as_json(gone) | {"dropped": not dry_run})
    elif dry_run:
        note(f"This would drop rescue {gone.name}. Nothing was written, this was a dry run.")
    else:
        words = ["git", "-C", str(stores.chosen()[0]), "update-ref", gone.ref, gone.revision]
        note(f"Dropped rescue {gone.name}.")
        note(f"To take it back: {shlex.join(words)}")


def _row(each: "Rescue") -> tuple[str, ...]:
    places = several([place or "the whole" for place in each.places], _LISTED)
    return (
        each.name,
        each.reason if each.is_job_there else f"{each.reason}; the job is gone",
        each.status or "",
        each.progress or "",
        moment(each.time),
        each.author,
        places,
    )


_WHY = {
    "refused": "a save was refused",
    "parked": "it lost where two histories were joined",
    "invalid": "it came from elsewhere, and is no state",
    "by hand": "somebody made the ref with git",
}


def _facts(each: "Rescue") -> list[tuple[str, str]]:
    return [
        ("rescue", each.name),
        ("why", _WHY[each.reason]),
        ("places", ", ".join(place or "the whole" for place in each.places)),
        ("kept", f"{moment(each.time)} by {each.author}"),
        ("based on", short(each.base)),
        ("against", short(each.against)),
        ("execution", "" if each.execution is None else str(each.execution)),
        ("ref", each.ref),
        ("job now", "" if each.is_job_there else "it is gone"),
    ]


def _as_json(each: "Rescue") -> dict[str, Any]:
    return {
        "rescue": each.name,
        "ref": each.ref,
        "job": each.job_id,
        "revision": each.revision,
        "base": each.base,
        "reason": each.reason,
        "places": list(each.places),
        "against": each.against,
        "time": each.time.isoformat(),
        "author": each.author,
        "subject": each.subject,
        "status": each.status,
        "progress": each.progress,
        "execution": each.execution,
        "job_exists": each.is_job_there,
    }
