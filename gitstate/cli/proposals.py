"""The verbs for changes that somebody else should look at first: propose, review, apply."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_proposal, complete_revision
from gitstate.cli.diffs import diff_json, format_options
from gitstate.cli.history import checkpoint_json
from gitstate.cli.output import clean, confirm, counted, moment, note, print_json, print_table, short
from gitstate.cli.pager import paged
from gitstate.words import several

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.proposals import Proposal
    from gitstate.backends.proposing import AppliedProposal
    from gitstate.backends.reviewing import Moved, ProposalReview

__all__ = ["apply", "propose", "review"]

_LISTED = 3  # so many jobs of a proposal are named in a row of the table


@click.command()
@click.argument("name", required=False, shell_complete=complete_proposal)
@click.option(
    "--from",
    "at",
    metavar="REV",
    shell_complete=complete_revision,
    help="Begin at this revision of the store, not now.",
)
@click.option("--delete", is_flag=True, help="Drop the proposal NAME; asks first on a terminal.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object; the list as an array.")
@stores.store_options
def propose(name: str | None, at: str | None, delete: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Begin a proposal NAME: changes that somebody else should look at first; without NAME, list the proposals.

    To git it is the branch proposals/NAME. Every verb changes the jobs there with --proposal NAME, and so does a commit
    with git; nothing of it counts before it is applied.
    """
    if name is None:
        if at is not None or delete or dry_run:
            raise click.UsageError("name the proposal that is meant")
        with paged():
            _list(as_json=as_json)
    elif not delete:
        _begin(name, at, dry_run=dry_run, as_json=as_json)
    elif at is not None:
        raise click.UsageError("a proposal is dropped by its name alone")
    else:
        if not (yes or dry_run):
            confirm(f"Drop proposal {clean(name)}?")
        _drop(name, dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("name", shell_complete=complete_proposal)
@format_options
@click.option("--markdown", "form", flag_value="markdown", help="The same as --format markdown.")
@click.option("--all", "volatile", is_flag=True, help="Show also what nearly every save changes, such as updated_at.")
@stores.store_options
@paged()
def review(name: str, form: str, volatile: bool) -> None:
    """Show what applying proposal NAME would change in the jobs of now, and whether it can be applied.

    NAME may also be that of any branch, such as origin/proposals/rerun. Whatever the proposal changes must still be
    as it was when it was made; else the review says what moved, and who moved it. The exit status is that of
    `apply`: 0 if it can be applied or there is nothing to apply, 5 if something moved, 2 if a job would be invalid
    or contradict itself, 7 if a job that is running here would be changed as a whole.
    """
    from gitstate.backends.reviewing import refusal
    from gitstate.cli.failures import exit_status

    found = stores.use(lambda backend: backend.review_proposal(name, volatile=volatile, texts=form == "unified"))
    _show(found, form)
    error = refusal(found)
    if error is not None:
        click.get_current_context().exit(exit_status(error))


@click.command()
@click.argument("name", shell_complete=complete_proposal)
@click.option("--keep", is_flag=True, help="Keep the branch of the proposal.")
@click.option("--force", is_flag=True, help="Also where a running job is changed as a whole, or contradicts itself.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would change.")
@click.option("-m", "--message", metavar="TEXT", help="Say why, in the message of the commit.")
@stores.store_options
def apply(name: str, keep: bool, force: bool, message: str | None, dry_run: bool, as_json: bool) -> None:
    """Merge proposal NAME, if all that it relied on is still so; then drop its branch.

    That makes a commit with two parents, so that the log tells who proposed and who applied it. If something moved,
    nothing is written, and `gitstate review` tells what.
    """

    async def work(backend: "GitStateBackend") -> "tuple[AppliedProposal, ProposalReview | None]":
        seen = await backend.review_proposal(name) if dry_run and not as_json else None
        done = await backend.apply_proposal(name, message=message, keep=keep, force=force, dry_run=dry_run)
        return done, seen

    done, seen = stores.use(work)
    if as_json:
        print_json(_applied_json(done))
    elif done.is_contained:
        note(f"Nothing to apply: {_why_contained(done.proposal)}.")
        if done.proposal.branch.startswith("refs/heads/proposals/"):
            note(f"To drop it: {stores.command('propose', done.proposal.name, flags=('--delete',))}")
    elif seen is not None:
        _show(seen, "text")
        note("Nothing was written, this was a dry run.")
    else:
        jobs = f": {', '.join(map(clean, done.jobs))}" if done.jobs else ""
        note(f"Applied proposal {clean(done.proposal.name)} to {counted(len(done.jobs), 'job')}{jobs}.")
        ways = "; ".join(stores.command("undo", job) for job in done.jobs[:3])
        back = f" To take it back: {ways}" if len(done.jobs) in (1, 2, 3) else ""
        note(f"Revision {short(done.revision)}.{back}")
        if done.kept and not keep:
            note(f"Its branch stays: {done.kept}.")


def _begin(name: str, at: str | None, *, dry_run: bool, as_json: bool) -> None:
    made = stores.use(lambda backend: backend.propose(name, at, dry_run=dry_run))
    if as_json:
        print_json(_proposal_json(made))
    elif dry_run:
        note(f"Proposal {clean(made.name)} would begin at {short(made.revision)}.")
        note("Nothing was written, this was a dry run.")
    else:
        note(f"Proposal {clean(made.name)} begins at {short(made.revision)}.")
        note(f"Change it with --proposal {shlex.quote(made.name)}; then: {stores.command('review', made.name)}")


def _drop(name: str, *, dry_run: bool, as_json: bool) -> None:
    gone = stores.use(lambda backend: backend.drop_proposal(name, dry_run=dry_run))
    if as_json:
        print_json(_proposal_json(gone) | {"deleted": not dry_run})
        return
    what = f"proposal {clean(gone.name)}, which stood at {short(gone.revision)}"
    if dry_run:
        note(f"This would drop {what}. Nothing was written, this was a dry run.")
    else:
        note(f"Dropped {what}.")
        note(f"To take it back: {stores.command('propose', gone.name, flags=('--from', gone.revision))}")


def _list(*, as_json: bool) -> None:
    found = stores.use(lambda backend: backend.proposals())
    if as_json:
        print_json([_proposal_json(each) for each in found])
    elif found:
        columns = ("proposal", ">ahead", ">behind", "time", "author", "jobs", "what")
        print_table(columns, [_row(each) for each in found])
    else:
        note(f"There are no proposals. To begin one: {stores.command('propose', 'NAME')}")


def _row(each: "Proposal") -> tuple[str, ...]:
    jobs = several(each.jobs, _LISTED)
    what = each.subject if each.ahead else "(empty, or merged)"
    return each.name, str(each.ahead), str(each.behind), moment(each.time), each.author, jobs, what


def _show(found: "ProposalReview", form: str) -> None:
    if form == "json":
        print_json(_review_json(found))
    elif form == "patch":
        from gitstate.values.patch import patch

        print_json({each.after.job_id: patch(each.changes) for each in found.jobs})
    elif form == "unified":
        from gitstate.cli.diff_text import print_unified

        print_unified(found.texts)
    elif form == "markdown":
        from gitstate.cli.proposal_pages import review_page

        click.echo(review_page(found))
    else:
        from gitstate.cli.proposal_pages import print_review

        print_review(found)


def _why_contained(proposal: "Proposal") -> str:
    if proposal.ahead:
        return f"all that proposal {clean(proposal.name)} changes is in the store's history"
    return f"proposal {clean(proposal.name)} has no commit that is not in the store's history"


def _proposal_json(each: "Proposal") -> dict[str, Any]:
    return {
        "proposal": each.name,
        "branch": each.branch,
        "revision": each.revision,
        "base": each.base,
        "ahead": each.ahead,
        "behind": each.behind,
        "author": each.author,
        "time": each.time.isoformat(),
        "subject": each.subject,
        "jobs": list(each.jobs),
    }


def _applied_json(done: "AppliedProposal") -> dict[str, Any]:
    return {
        "proposal": done.proposal.name,
        "tip": done.proposal.revision,
        "revision": done.revision,
        "jobs": list(done.jobs),
        "contained": done.is_contained,
        "kept": done.kept or None,
    }


def _review_json(found: "ProposalReview") -> dict[str, Any]:
    return {
        "proposal": _proposal_json(found.proposal),
        "head": found.head,
        "state": found.state,
        "jobs": [diff_json(each) for each in found.jobs],
        "outdated": [diff_json(each) for each in found.outdated],
        "files": list(found.files),
        "moved": [_moved_json(each) for each in found.moved],
        "problems": [{"job": each.job_id, "text": each.text, "fatal": each.is_fatal} for each in found.problems],
        "running": list(found.running),
        "unread": list(found.unread),
    }


def _moved_json(moved: "Moved") -> dict[str, Any]:
    from gitstate.values.shape import ABSENT

    sides = {"relied": moved.relied, "wanted": moved.wanted, "now": moved.now}
    by = None if moved.checkpoint is None else checkpoint_json(moved.checkpoint)
    told = {name: slot for name, slot in sides.items() if slot is not ABSENT}
    return {"job": moved.job_id, "place": moved.place, **told, "by": by}
