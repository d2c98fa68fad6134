"""The verb that looks for credentials in what a store has kept."""

from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import failures, stores
from gitstate.cli.bars import bar
from gitstate.cli.output import counted, moment, note, print_json, print_table, short
from gitstate.errors import InvalidInputError

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.format.secrets import Redactor
    from gitstate.store.documents import Revision
    from gitstate.store.scanning import ScanReport, SecretFound

__all__ = ["scan"]


@click.command()
@click.option("--at", metavar="REV", help="Look only into the files that stand at a revision, and into its message.")
@click.option("--since", metavar="REV", help="Look only into what came after a revision; it may be a time.")
@click.option("--all", "everything", is_flag=True, help="Look into the history of every branch and tag there is.")
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    metavar="NAME=REGEX",
    help="Look for something of your own as well. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@stores.store_options
def scan(at: str | None, since: str | None, everything: bool, patterns: tuple[str, ...], as_json: bool) -> None:
    """Look for credentials in the whole history: in each file and each message, once.

    It looks at the histories of the branch, pins, proposals and rescues. It shows where each credential is, who
    brought it when, and whether it is still there; never the credential itself, only how all of its kind begin. The
    exit status is 12 when something is found.

    What gitstate saves has marks in the place of credentials. So what is found was committed by hand or with plain
    git, or saved by a program that turned this off.
    """
    if at is not None and (since is not None or everything):
        raise click.UsageError("--at looks at one revision: it excludes --since and --all")
    redactor = _redactor(patterns)

    async def work(backend: "GitStateBackend") -> "ScanReport":
        with bar("looking", "files and messages") as show:
            return await backend.scan(at=at, since=since, everything=everything, redactor=redactor, progress=show)

    report = stores.use(work)
    if as_json:
        print_json(_as_json(report))
    else:
        _print(report)
    if report.found or report.unreadable:
        click.get_current_context().exit(failures.PROBLEMS)


def _redactor(patterns: tuple[str, ...]) -> "Redactor | None":
    """Return what looks for patterns as well. Raises InvalidInputError: one is none."""
    if not patterns:
        return None
    from gitstate.format.secrets import Redactor

    pairs = [pattern.partition("=") for pattern in patterns]
    wrong = next((name + equals for name, equals, regex in pairs if not regex), None)
    if wrong is not None:
        raise InvalidInputError(f"{wrong!r} is no pattern", hint="write --pattern NAME=REGEX")
    return Redactor(patterns=[(name, regex) for name, _, regex in pairs])


def _print(report: "ScanReport") -> None:
    if report.found:
        columns = ("kind", "begins", "job", "where", "first", "by", "on", "last")
        print_table(columns, [_row(found) for found in report.found])
    looked = f"{counted(report.revisions, 'revision')} and {counted(report.files, 'file')}"
    if report.unreadable:
        note(f"{counted(len(report.unreadable), 'object')} could not be read: `gitstate verify` tells more.")
    if not report.found:
        note(f"Found no credentials of known formats in {looked}.")
        return
    note(f"Found {counted(len(report.found), 'credential')} in {looked}.")
    note("Revoke them first: whoever has a copy of the store can read them. `gitstate purge` takes them out of it.")


def _row(found: "SecretFound") -> tuple[str, ...]:
    where = "message" if found.path is None else found.path
    line = f":{found.line}" if found.line is not None else ""
    last = "still there" if found.is_there and found.path is not None else short(found.last.id)
    first = found.first
    return (
        *(found.kind, found.excerpt, found.document or "", f"{where}{line}"),
        *(short(first.id), first.author, moment(first.time), last),
    )


def _as_json(report: "ScanReport") -> dict[str, Any]:
    return {
        "ok": not report.found and not report.unreadable,
        "revisions": report.revisions,
        "files": report.files,
        "found": [
            {
                "kind": found.kind,
                "excerpt": found.excerpt,
                "job_id": found.document,
                "path": found.path,
                "line": found.line,
                "pointer": found.pointer,
                "first": _revision(found.first),
                "last": _revision(found.last),
                "is_there": found.is_there,
            }
            for found in report.found
        ],
        "unreadable": list(report.unreadable),
    }


def _revision(revision: "Revision") -> dict[str, str]:
    return {"revision": revision.id, "author": revision.author, "time": revision.time.isoformat()}
