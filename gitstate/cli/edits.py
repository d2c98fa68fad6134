"""The verbs for files that a person edited in the folder of a store: what they are, commit them, drop them."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.completion import complete_job
from gitstate.cli.output import clean, coloured, confirm, counted, is_asked, note, print_json, short
from gitstate.cli.pager import paged

if TYPE_CHECKING:
    from gitstate.backends.edited import CommittedEdit, DiscardedEdits, EditedFile, EditedJob, FolderEdits
    from gitstate.backends.git import GitStateBackend

__all__ = ["commit", "discard", "status"]

_MARKS = {"added": "+", "changed": "~", "deleted": "-"}
_EVENTS = {"created": "a new job", "deleted": "deleted", "edited": "edited"}


@click.command()
@click.option("--all", "volatile", is_flag=True, help="Show also what nearly every save changes, such as updated_at.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@stores.store_options
@paged()
def status(volatile: bool, as_json: bool) -> None:
    """Show what was edited in the folder of the store and is not committed.

    For each job it says what the edit changes, and whether it can be committed: whether the result is valid, and
    merges with what was saved since the edit began.
    """
    found = stores.use(lambda backend: backend.edits(volatile=volatile))
    if as_json:
        print_json(_status_json(found))
        return
    click.echo(_standing(found))
    for job in found.jobs:
        _print_job(job)
    if found.files:
        click.echo("\nfiles of no job")
        _print_files(found.files)
        _say("problem", found.problem)
    if found.others:
        click.echo("\nnot ours, left alone")
        for path in found.others:
            click.echo(f"   {clean(path)}")
    if found.jobs or found.files:
        note("`gitstate commit` makes checkpoints of edits, `gitstate discard` drops them.")


@click.command()
@click.argument("names", nargs=-1, metavar="[JOB|PATH]...", shell_complete=complete_job)
@click.option("-m", "--message", metavar="TEXT", help="Say why, in the message of each commit.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, one object a commit.")
@stores.store_options
def commit(names: tuple[str, ...], message: str | None, as_json: bool) -> None:
    """Make what was edited in the folder checkpoints: of the JOBs and PATHs that are named, or of all.

    Each job is a commit of its own, merged with what was saved since the edit began. All edits are checked first;
    if one is invalid or cannot be merged, nothing is committed and every file stays as it is.
    """

    async def work(backend: "GitStateBackend") -> "list[CommittedEdit]":
        return await backend.commit_edits(await _named(backend, names), message=message)

    done = stores.use(work)
    if as_json:
        print_json([_committed_json(each) for each in done])
        return
    for each in done:
        what = f"job {clean(each.job_id)}" if each.job_id is not None else clean(_listed(each.files))
        if each.revision is None:
            note(f"Nothing to commit of {what}: the head has it.")
            continue
        merged = ", merged with what was saved since" if each.merged else ""
        note(f"Committed {what}: {_EVENTS[each.event]}{merged}.")
        way_back = _way_back(each)
        note(f"Revision {short(each.revision)}." + (f" To take it back: {way_back}" if way_back else ""))
    if not done:
        note("Nothing was edited.")


@click.command()
@click.argument("names", nargs=-1, metavar="[JOB|PATH]...", shell_complete=complete_job)
@click.option("--all", "everything", is_flag=True, help="All that was edited.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Drop nothing; show what would be dropped.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@stores.store_options
def discard(names: tuple[str, ...], everything: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Drop edits of the JOBs and PATHs that are named: the files become what the head has, staged or not.

    What stood in them is kept in a folder below .git/gitstate/discarded, for the last 20 times. Asks first on a
    terminal; does not ask elsewhere.
    """
    if bool(names) == everything:
        raise click.UsageError("name jobs or files, or give --all: one of both")
    if dry_run or (not yes and is_asked()):
        chosen = stores.use(lambda backend: _discarded(backend, names, dry_run=True))
        if dry_run:
            if as_json:
                print_json(_discarded_json(chosen))
            else:
                _print_files(chosen.files)
                note("Nothing was dropped, this was a dry run.")
            return
        for file in chosen.files:
            note(f"{_MARKS[file.what]}  {file.path}")
        confirm(f"Drop {counted(len(chosen.files), 'edit')}?")
    done = stores.use(lambda backend: _discarded(backend, names, dry_run=False))
    if as_json:
        print_json(_discarded_json(done))
    else:
        _tell_dropped(done)


async def _named(backend: "GitStateBackend", names: Sequence[str]) -> list[str] | None:
    """Return what a person names as the backend does: jobs, and paths below the folder of the store; None: all."""
    if not names:
        return None
    root = backend.store.path
    found = await backend.edits()
    jobs = {job.job_id for job in found.jobs}
    paths = [file.path for file in _files(found)]
    return [name if root is None or name in jobs else _path(str(root), paths, name) for name in names]


def _path(root: str, paths: Sequence[str], name: str) -> str:
    """Return a path that is given from the current folder as one from the folder of the store, if it is edited there,
    or a file is there.
    """
    folder, last = os.path.split(os.path.abspath(name))
    here = os.path.relpath(os.path.join(os.path.realpath(folder), last), os.path.realpath(root))
    known = any(path == here or path.startswith(f"{here}/") for path in paths)
    inside = here != os.pardir and not here.startswith(f"{os.pardir}/")
    return here if known or (inside and os.path.lexists(name)) else name


async def _discarded(backend: "GitStateBackend", names: Sequence[str], *, dry_run: bool) -> "DiscardedEdits":
    return await backend.discard_edits(await _named(backend, names), dry_run=dry_run)


def _files(found: "FolderEdits") -> "list[EditedFile]":
    return [*(file for job in found.jobs for file in job.files), *found.files]


def _standing(found: "FolderEdits") -> str:
    if found.path is None:
        return "The store shows no files: there is nothing to edit."
    if found.behind is None:
        where = "The folder does not show the head"
    elif found.behind:
        where = f"The folder is {counted(found.behind, 'revision')} behind the head"
    else:
        where = "The folder shows the head"
    if found.pending:
        return f"{where}: {clean(found.pending)}."
    return f"{where}." if found.jobs or found.files else f"{where}, and nothing was edited."


def _print_job(job: "EditedJob") -> None:
    click.echo(f"\njob {clean(job.job_id)}: {_EVENTS[job.event]}")
    _print_files(job.files)
    if job.diff is not None and job.event != "deleted":
        from gitstate.cli.diff_text import print_changes

        print_changes(job.diff)
    if job.unknown:
        _say("unknown", f"no state has {', '.join(job.unknown)}: it means nothing")
    if job.moved and not job.problem:
        _say("moved", "the job was saved since the edit began; both merge")
    _say("problem", job.problem)


def _print_files(files: "Sequence[EditedFile]") -> None:
    for file in files:
        click.echo(f"{_MARKS[file.what]}  {clean(file.path)}{'  (staged)' if file.staged else ''}")


def _say(word: str, text: str) -> None:
    if text:
        click.echo(f"{coloured(word, 'red' if word == 'problem' else 'yellow', sys.stdout)}: {clean(text)}")


def _tell_dropped(done: "DiscardedEdits") -> None:
    for file in done.files:
        stays = file.path in done.left
        note(f"{clean(file.path)} was edited once more, and stays." if stays else f"Dropped {clean(file.path)}.")
    if done.kept is not None:
        note(f"What stood there is kept in {clean(done.kept)}")
    if not done.files:
        note("Nothing was edited.")


def _discarded_json(done: "DiscardedEdits") -> dict[str, Any]:
    kept = None if done.kept is None else str(done.kept)
    return {"files": [asdict(file) for file in done.files], "kept": kept, "left": list(done.left)}


def _listed(files: "Sequence[EditedFile]") -> str:
    return ", ".join(file.path for file in files)


def _way_back(done: "CommittedEdit") -> str | None:
    if done.job_id is None or done.revision is None:
        return None
    return stores.command("undelete" if done.event == "deleted" else "undo", done.job_id)


def _committed_json(done: "CommittedEdit") -> dict[str, Any]:
    return {
        "job": done.job_id,
        "event": done.event,
        "revision": done.revision,
        "files": [asdict(file) for file in done.files],
        "merged": done.merged,
        "undo": _way_back(done),
    }


def _status_json(found: "FolderEdits") -> dict[str, Any]:
    from gitstate.cli.diffs import diff_json

    return {
        "folder": None if found.path is None else str(found.path),
        "behind": found.behind,
        "pending": found.pending,
        "jobs": [
            {
                "job": job.job_id,
                "event": job.event,
                "files": [asdict(file) for file in job.files],
                "problem": job.problem,
                "moved": job.moved,
                "conflicts": list(job.conflicts),
                "unknown": list(job.unknown),
                "diff": None if job.diff is None else diff_json(job.diff),
            }
            for job in found.jobs
        ],
        "files": [asdict(file) for file in found.files],
        "problem": found.problem,
        "others": list(found.others),
    }
