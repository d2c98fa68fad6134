"""The verb that removes jobs and values from all of a store's history."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.bars import progress
from gitstate.cli.completion import complete_job
from gitstate.cli.output import clean, counted, note, print_fields, print_json, short

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.store.purge_plan import PurgePlan, PurgeReport, RemoteHolder

__all__ = ["purge"]

_LISTED = 10  # so many paths and refs are named
_STDIN = "-"


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_job)
@click.option(
    "--value", metavar="TEXT|-", help="Erase this text from all that stays; - reads it from the standard input."
)
@click.option("--pattern", metavar="REGEX", help="Erase what this regular expression matches (as in Python).")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Erase all credentials of a kind, such as github-token, or of all kinds (all); may be given several times.",
)
@click.option("--confirm", metavar="TOKEN", help="Do it, if it is still just what the plan with this token says.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show the plan, as without --confirm.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan, or what was done, as one JSON object.")
@stores.store_options
def purge(
    jobs: tuple[str, ...],
    value: str | None,
    pattern: str | None,
    kinds: tuple[str, ...],
    confirm: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove each JOB, or a value, from all of the store's history, as if it had never been saved.

    First it prints a plan and a token; nothing is written until you give that token with --confirm. All commits
    from the first one that has it are rewritten and get other ids; the old ones are removed from the disk. A value
    is replaced by a mark, [purged]. Remotes and other clones still have it: the plan names the remotes, and the
    how-to about secrets in the history says what to do there.
    """
    if not jobs and value is None and pattern is None and not kinds:
        raise click.UsageError("name what to purge: jobs, --value, --pattern or --kind")
    if value == _STDIN:
        value = sys.stdin.read().removesuffix("\n") if sys.stdin else ""

    async def work(backend: "GitStateBackend") -> "PurgePlan | PurgeReport":
        with progress() as show:
            if confirm is None or dry_run:
                return await backend.plan_purge(jobs, value=value, pattern=pattern, kinds=kinds, progress=show)
            return await backend.purge(jobs, confirm=confirm, value=value, pattern=pattern, kinds=kinds, progress=show)

    told: Any = stores.use(work)
    done = confirm is not None and not dry_run
    if as_json:
        print_json({"done": done, **(asdict(told.plan) if done else asdict(told))} | (_done_json(told) if done else {}))
    elif done:
        _print_done(told)
    else:
        _print_plan(told)


def _done_json(report: "PurgeReport") -> dict[str, Any]:
    return {"removed": report.removed, "stayed": list(report.stayed)}


def _print_plan(plan: "PurgePlan") -> None:
    print_fields(_facts(plan))
    note("Nothing was written. To have just this done, say the same once more, with:")
    note(f"--confirm {plan.token}")


def _print_done(report: "PurgeReport") -> None:
    plan = report.plan
    what = f"{counted(plan.rewritten, 'commit')} written anew, {plan.dropped} dropped"
    note(f"Purged: {what}; {counted(report.removed, 'object')} removed from the disk.")
    note(f"The store is at {short(plan.new_head)} now; a clone that purges the same comes to the same commit.")
    for ref in report.stayed:
        note(f"Somebody moved {ref} meanwhile, so it stayed: purge the same once more.")
    for held in plan.held:
        note(f"It is still in {held.what}: {held.hint}.")
    for remote in plan.remotes:
        note(f"Remote {_remote(remote)}.")
    if plan.remotes:
        note(
            "A remote takes the new branch only by git's own forced push, with a lease on what was there. Then ask its "
            "forge to clear its caches and pull requests, and let other clones purge the same, or be cloned anew."
        )
    note("What was a secret is no secret any more, wherever it was pushed: replace it.")


def _facts(plan: "PurgePlan") -> list[tuple[str, str]]:
    commits = f"{plan.rewritten} of {plan.commits} written anew, {plan.dropped} dropped"
    if plan.oldest:
        commits += f"; what is before {', '.join(map(short, plan.oldest[:3]))} keeps its id"
    unreachable = f"{counted(plan.unreachable, 'object')} to which nothing leads even now"
    facts = [
        ("jobs", ", ".join(map(clean, plan.jobs))),
        ("commits", commits),
        ("files", _listed([f"{path} ({counted(count, 'content')})" for path, count in plan.files.items()])),
        ("moved", _listed(plan.moved)),
        ("deleted", _listed(plan.deleted)),
        ("removed", unreachable if plan.unreachable else ""),
        ("new head", plan.new_head),
    ]
    facts += [("remote", _remote(remote)) for remote in plan.remotes]
    return facts + [("stays", f"{held.what}: {held.hint}") for held in plan.held]


def _remote(remote: "RemoteHolder") -> str:
    where = f"{remote.name} ({remote.url})" if remote.url else remote.name
    if remote.branches:
        return f"{where} still has it: {_listed(remote.branches)}"
    return f"{where} may have it; nothing of that was seen here"


def _listed(words: "tuple[str, ...] | list[str]") -> str:
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return ", ".join(map(clean, words[:_LISTED])) + more
