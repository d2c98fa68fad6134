"""The verb that names checkpoints."""

from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_job, complete_pin, complete_revision
from gitstate.cli.output import clean, note, print_json, print_table, short
from gitstate.cli.pager import paged

if TYPE_CHECKING:
    from gitstate.backends.checkpoints import Pin
    from gitstate.backends.git import GitStateBackend

__all__ = ["pin"]


@click.command()
@click.argument("job", shell_complete=complete_job)
@click.argument("name", required=False, shell_complete=complete_pin)
@click.argument("rev", required=False, shell_complete=complete_revision)
@click.option("--delete", is_flag=True, help="Remove the pin NAME; the checkpoint stays.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object; the list as an array.")
@stores.store_options
def pin(job: str, name: str | None, rev: str | None, delete: bool, dry_run: bool, as_json: bool) -> None:
    """Let NAME stand for the checkpoint of JOB at REV, or for its last one; without NAME, list the pins.

    Every verb that takes a revision takes a pin, too. To git it is the tag jobs/JOB/NAME: it is pushed with tags,
    and no clean-up removes its commit. A pin never moves; to reuse a name, delete the pin first.
    """
    if name is None:
        if delete or dry_run:
            raise click.UsageError("name the pin that is meant")
        with paged():
            _list(job, as_json=as_json)
        return
    if delete and rev is not None:
        raise click.UsageError("a pin is deleted by its name alone")

    async def work(backend: "GitStateBackend", job_id: str) -> "Pin":
        if delete:
            return await backend.unpin(job_id, name, dry_run=dry_run)
        return await backend.pin(job_id, name, rev, dry_run=dry_run)

    done = stores.change_job(job, work)
    if as_json:
        print_json(_as_json(done) | {"deleted": delete})
        return
    what, now = f"{clean(done.name)} of job {clean(done.job_id)}", short(done.revision)
    if dry_run:
        note(f"{what} would {'no longer ' if delete else ''}stand for {now}.")
        note("Nothing was written, this was a dry run.")
    elif delete:
        note(f"Removed {what}, which stood for {now}.")
        note(f"To take it back: {stores.command('pin', job, name, now)}")
    else:
        note(f"Pinned {what} at {now}.")
        note(f"To take it back: {stores.command('pin', job, name, flags=('--delete',))}")


def _list(job: str, *, as_json: bool) -> None:
    async def work(backend: "GitStateBackend", job_id: str) -> "tuple[str, list[Pin]]":
        return job_id, await backend.pins(job_id)

    job_id, found = stores.use_job(job, work)
    if as_json:
        print_json([_as_json(each) for each in found])
    elif found:
        print_table(("revision", "pin"), [(short(each.revision), each.name) for each in found])
    else:
        note(f"Job {clean(job_id)} has no pins.")


def _as_json(pin: "Pin") -> dict[str, Any]:
    return {"job": pin.job_id, "pin": pin.name, "revision": pin.revision}
