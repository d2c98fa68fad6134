"""The verbs that exchange states with other repositories: sync, fetch, push."""

from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import failures, stores
from gitstate.cli.bars import progress
from gitstate.cli.completion import complete_remote
from gitstate.cli.output import clean, counted, note, print_json, print_table, short
from gitstate.cli.transfers import companion_json, companion_lines, timeout_option

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.store.remote.outcomes import FetchReport, Outcome, PushReport, SyncReport

__all__ = ["fetch", "push", "sync"]

_remote = click.argument("remote", default="origin", shell_complete=complete_remote)


@click.command()
@_remote
@click.option(
    "--on-conflict",
    type=click.Choice(["park", "ours", "theirs", "fail"]),
    default="park",
    show_default=True,
    help="What cannot be merged: the later save has it (park), or one side; or nothing is merged (fail).",
)
@click.option("--watch", is_flag=True, help="Go on: sync what is saved, and look for what others save, until Ctrl-C.")
@click.option(
    "--delay",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: gather what is saved here for so long.",
)
@click.option(
    "--every",
    "interval",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: look so often for what others saved.",
)
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object; with --watch one a line.")
@stores.store_options
def sync(
    remote: str, on_conflict: Any, watch: bool, delay: float, interval: float, timeout: float, as_json: bool
) -> None:
    """Bring this store and REMOTE to one state: push; where the remote has moved, fetch, merge and push.

    REMOTE is the name of a remote, `origin` by default, or an address. Nothing is forced on either side. For what
    cannot be merged, the state that was saved later counts, and the other one is put aside whole: `gitstate rescue`
    lists it, and the exit status is 14. A job whose state is invalid over there stays as it is here, and is
    reported as well.
    """
    if watch:
        from gitstate.cli.sync_watch import watch_remote

        watch_remote(remote, on_conflict, timeout, delay=delay, interval=interval, as_json=as_json)
        return

    async def work(backend: "GitStateBackend") -> "SyncReport":
        with progress() as show:
            return await backend.sync(remote, on_conflict, timeout=timeout, progress=show)

    report = stores.use(work)
    if as_json:
        print_json(sync_json(report))
    else:
        show_sync(report)
    if not report.is_clean:
        click.get_current_context().exit(failures.ASIDE)


@click.command()
@_remote
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@stores.store_options
def fetch(remote: str, timeout: float, as_json: bool) -> None:
    """Fetch what REMOTE has, and check it: its branch, as origin/main, and what was put aside or pinned there.

    No job changes: `gitstate sync` merges. REMOTE is the name of a remote, `origin` by default, or an address.
    """

    async def work(backend: "GitStateBackend") -> "FetchReport":
        with progress() as show:
            return await backend.fetch(remote, timeout=timeout, progress=show)

    report = stores.use(work)
    if report.tip is None:
        told = f"{report.remote} has no branch {stores.chosen()[1]} yet."
    elif report.tip == report.before or not report.fetched:
        told = f"{report.remote} has nothing that is not here; it is at {short(report.tip)}."
    else:
        told = f"Fetched {counted(report.fetched, 'commit')} from {report.remote}, which is at {short(report.tip)}."
    _tell(report, told, as_json=as_json)


@click.command()
@_remote
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@stores.store_options
def push(remote: str, timeout: float, as_json: bool) -> None:
    """Let the branch of REMOTE go on to what is here, and send what was put aside or pinned; never force anything.

    Where the remote has what is not here, nothing is pushed: `gitstate sync` merges. REMOTE is the name of a remote,
    `origin` by default, or an address.
    """

    async def work(backend: "GitStateBackend") -> "PushReport":
        with progress() as show:
            return await backend.push(remote, timeout=timeout, progress=show)

    report = stores.use(work)
    if report.before == report.head:
        told = f"{report.remote} is up to date, at {short(report.head)}."
    else:
        told = f"Pushed {counted(report.pushed, 'commit')} to {report.remote}, which is at {short(report.head)} now."
    _tell(report, told, as_json=as_json)


def _tell(report: "FetchReport | PushReport", told: str, *, as_json: bool) -> None:
    """Print what a fetch or a push did: the report as it is, or its companions and a sentence."""
    if as_json:
        print_json(vars(report) | {"companions": companion_json(report.companions)})
        return
    for line in companion_lines(report.companions):
        note(line)
    note(told)


def show_sync(report: "SyncReport") -> None:
    """Print a line for each job that is another than it was, and what a person has to know beside that."""
    shown = [each for each in report.outcomes if each.result != "up to date"]
    if shown:
        print_table(("job", "result", "what"), [(each.document, each.result, _what(each)) for each in shown])
    for path in report.clashes:
        note(f"{clean(path)} was changed on both sides, each in its way; the later one stands, the other is in history")
    for line in companion_lines(report.companions):
        note(line)
    if report.is_up_to_date:
        note(f"{report.remote} is up to date, at {short(report.head)}.")
        return
    moved = [f"{verb} {counted(count, 'commit')}" for verb, count in _counts(report) if count]
    note(f"Synced with {report.remote}: {', '.join(moved) or 'no commits'}; both are at {short(report.head)}.")


def _counts(report: "SyncReport") -> tuple[tuple[str, int], ...]:
    return ("pushed", report.pushed), ("fetched", report.fetched)


def _what(outcome: "Outcome") -> str:
    who = f"by {outcome.author}" if outcome.author else ""
    at = f"at {short(outcome.revision)}" if outcome.revision else ""
    places = ", ".join(each.pointer or "/" for each in outcome.conflicts)
    return "; ".join(filter(None, [outcome.detail, places, " ".join(filter(None, [who, at]))]))


def sync_json(report: "SyncReport") -> dict[str, Any]:
    """Return a report as JSON."""
    return {
        "remote": report.remote,
        "before": report.before,
        "head": report.head,
        "pushed": report.pushed,
        "fetched": report.fetched,
        "rounds": report.rounds,
        "clean": report.is_clean,
        "up_to_date": report.is_up_to_date,
        "jobs": [
            {
                "job_id": each.document,
                "result": each.result,
                "detail": each.detail,
                "conflicts": [conflict.pointer for conflict in each.conflicts],
                "revision": each.revision or None,
                "author": each.author or None,
            }
            for each in report.outcomes
        ],
        "companions": companion_json(report.companions),
        "clashes": list(report.clashes),
    }
