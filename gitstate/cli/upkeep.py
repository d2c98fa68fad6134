"""The verbs that look after a store: check it, clear it up, spread its folders."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import failures, options, stores
from gitstate.cli.output import clean, coloured, counted, note, print_json

if TYPE_CHECKING:
    from gitstate.store.reshard import Resharded
    from gitstate.store.verify import Problem, Report

__all__ = ["gc", "reshard", "verify"]


@click.command()
@click.option("--repair", is_flag=True, help="Mend what is derived or was left behind; history is never touched.")
@click.option("--staged", is_flag=True, help="Check only what `git commit` would commit, where it differs from HEAD.")
@click.option("--range", "span", metavar="A..B", help="Check only what the commits of a range, or one commit, changed.")
@click.option(
    "--stdin", is_flag=True, help="Check only what a push brings, told as to a pre-receive hook: OLD NEW REF."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing when all is well.")
@options.json_report
@stores.store_options
def verify(repair: bool, staged: bool, span: str | None, stdin: bool, quiet: bool, as_json: bool) -> None:
    """Check everything: each object of each revision, each file, each state.

    Prints each problem, what is wrong with it and what helps. The exit status is 12 when something is lost or wrong,
    and 0 when there are warnings at most.

    With --staged, --range or --stdin only what is new is read, and nothing is changed: guards do that, see `gitstate
    hooks`. A and B are branches, tags or commits, as git names them.
    """
    if repair + staged + stdin + (span is not None) > 1:
        raise click.UsageError("--repair, --staged, --range and --stdin exclude one another")
    if staged or stdin or span is not None:
        _judge(span, as_json, staged=staged, quiet=quiet)
        return
    report = stores.use(lambda backend: backend.verify(repair=repair))
    if as_json:
        print_json({"ok": report.ok, **asdict(report)})
    else:
        for problem in report.problems:
            _print_problem(problem)
        if report.problems or not quiet:
            click.echo(_summary(report))
    if not report.ok:
        click.get_current_context().exit(failures.PROBLEMS)


@click.command()
@options.json_report
@stores.store_options
def gc(as_json: bool) -> None:
    """Pack all objects anew, so that the store takes less room.

    Others may read and write meanwhile. Nothing is dropped, and nothing has to be done for the store to stay fast:
    packs are joined little by little as it is used.
    """
    import asyncio

    report = stores.use(lambda backend: asyncio.to_thread(backend.store.gc))
    if as_json:
        print_json(asdict(report))
    else:
        click.echo(str(report))


@click.command()
@click.argument("levels", type=click.IntRange(0, 4))
@options.dry_run
@options.json_done
@stores.store_options
def reshard(levels: int, dry_run: bool, as_json: bool) -> None:
    """Move all jobs under LEVELS levels of folders, 0 to 4, in one commit.

    A folder of thousands of others makes each save slower: use 2 beyond about a thousand jobs. History goes on across
    the move, and `gitstate show --at` reads what was before it.
    """
    done = stores.use(lambda backend: backend.reshard(levels, dry_run=dry_run))
    if as_json:
        print_json(_as_json(levels, done))
    elif done is None:
        note(f"The fanout is {levels} already.")
    elif dry_run:
        click.echo(f"{counted(done.moved, 'job')} would move; the fanout is {done.before} and would be {levels}.")
        note(options.DRY_RUN)
    else:
        note(f"Moved all jobs; the fanout is {levels}.")


def _judge(span: str | None, as_json: bool, *, staged: bool, quiet: bool) -> None:
    """Check what is new, and end with the status that refuses it if it is to be refused."""
    from gitstate.backends import guarding

    path, branch = stores.looked_at()
    if staged:
        judged = guarding.judge_staged(path, branch)
    elif span is not None:
        judged = guarding.judge_range(path, branch, span)
    else:
        told = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if sys.stdin else ""
        judged = guarding.judge_updates(path, branch, [line for line in told.split("\n") if line])
    if as_json:
        print_json({"ok": judged.ok, **asdict(judged)})
    elif judged.problems or not quiet:
        for problem in judged.problems:
            _print_problem(problem)
        where = "as staged" if staged else f"new in {counted(judged.revisions, 'revision')}"
        verdict = "all is well" if judged.ok else "this must not get into the store"
        click.echo(f"Checked {counted(judged.documents, 'job')} {where}: {verdict}.")
        if span is not None and not judged.revisions:
            note(f"There is no commit in {span}.")
    if not judged.ok:
        click.get_current_context().exit(failures.PROBLEMS)


def _as_json(levels: int, done: "Resharded | None") -> dict[str, Any]:
    revision = None if done is None else done.revision
    return {
        "event": "resharded",
        "revision": None if revision is None else revision.id,
        "previous": None if revision is None else revision.parents[0],
        "before": {"fanout": levels if done is None else done.before},
        "after": {"fanout": levels},
        "moved": 0 if done is None else done.moved,
    }


def _print_problem(problem: "Problem") -> None:
    """Print where something is wrong and, below it, what, so that no reason is cut at the edge of a terminal."""
    state = "repaired" if problem.repaired else problem.severity
    colour = {"error": "red", "warning": "yellow"}.get(state, "green")
    click.echo(f"{coloured(state, colour, sys.stdout)}  {problem.kind}  {clean(problem.place)}")
    click.echo(f"    {clean(problem.what)}")
    if problem.hint and not problem.repaired:
        click.echo(f"    hint: {clean(problem.hint)}")


def _summary(report: "Report") -> str:
    counts = ((report.revisions, "revision"), (report.objects, "object"), (report.documents, "job"))
    revisions, objects, jobs = (counted(*each) for each in counts)
    if report.rescues:
        jobs += f", with {counted(report.rescues, 'rescue')}"
    return f"Checked {revisions}, {objects} and {jobs}: {'all is well' if report.ok else 'something is lost or wrong'}."
