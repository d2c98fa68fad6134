"""What makes plain git understand files of states: lines to compare, a merge by field, and the verb that sets both up.

Git starts ``textconv`` and ``merge-driver`` for each file, so neither looks at a store.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitstate.cli import failures, stores
from gitstate.cli.output import clean, note, print_fields, print_json
from gitstate.errors import CorruptionError, GitStateError, UnsupportedError

if TYPE_CHECKING:
    from gitstate.engine.plain import Block
    from gitstate.engine.repository import Repository

__all__ = ["attributes", "merge_driver", "program", "textconv"]

_LINES = ("jobs/**/job.json diff=gitstate merge=gitstate", "jobs/**/sheets/*.json diff=gitstate merge=gitstate")
_MARKER = 7  # characters of git's conflict markers
_FAILED = 129  # the status with which a merge driver says that it could not work: git stops
_TWO_JOBS = "git takes two jobs for one that was renamed: abort this, and do it with -s recursive -X no-renames"
_OURS = {
    "diff.gitstate.textconv": "gitstate textconv",
    "diff.gitstate.cachetextconv": "",
    "merge.gitstate.name": "",
    "merge.gitstate.driver": "gitstate merge-driver",
}
"""Our settings, and what tells that a value is ours."""


def program(verb: str, otherwise: str) -> str:
    """Return shell text that runs a verb with the interpreter of this run, else with a ``gitstate`` that is found.

    The interpreter does not look for modules in the folder that it is started in: a repository may hold anything.
    """
    python = shlex.quote(sys.executable or "/nowhere")
    return (
        f"if test -x {python}; then {python} -P -m gitstate {verb}; "
        f"elif command -v gitstate >/dev/null 2>&1; then gitstate {verb}; else {otherwise}; fi"
    )


def _settings() -> dict[str, str]:
    merge = program("merge-driver --marker-size %L --ours-label %X --theirs-label %Y -- %O %A %B %P", "false")
    python = shlex.quote(sys.executable or "/nowhere")
    merge = merge.replace(python, python.replace("%", "%%"))
    return {
        "diff.gitstate.textconv": f"""f() {{ {program('textconv -- "$1"', 'cat "$1"')}; }}; f""",
        # Git keeps what it was told once, by the text of the setting.
        "diff.gitstate.cachetextconv": "true",
        "merge.gitstate.name": "states of gitstate, by field",
        # Whatever becomes of us: without a result of ours, git's own merge has to do.
        "merge.gitstate.driver": (
            f"{merge} && exit 0; grep -q '^<<<<<<<' %A || exec git merge-file --marker-size=%L %A %O %B; exit 1"
        ),
    }


@click.group()
def attributes() -> None:
    """Make plain git understand files of states.

    Then `git diff`, `git log -p` and `git show` tell which fields changed, and `git merge`, `git pull` and `git rebase`
    merge the files of a job by field, as saves that overlap are merged.
    """


@attributes.command()
@click.option("--shared", is_flag=True, help="Write to .gitattributes, which you can commit, for all clones.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@stores.store_options
def install(shared: bool, as_json: bool) -> None:
    """Tell git which files are states, and what to do with them.

    It writes to .git/info/attributes and .git/config, for this clone only. What you have there stays.
    """
    from gitstate.engine.plain import set_settings

    repository = _repository()
    block = _block(repository, shared=shared)
    changed = set_settings(repository, dict(_settings()), _OURS)
    changed = block.write(_LINES) or changed
    if as_json:
        print_json({"changed": changed, **_standing(repository)})
        return
    note(f"git understands states now; told in {block.path}." if changed else "git understands states already.")
    if shared and changed:
        note("Commit .gitattributes; in every other clone, run `gitstate attributes install` too.")


@attributes.command()
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@stores.store_options
def status(as_json: bool) -> None:
    """Show whether git understands files of states here."""
    standing = _standing(_repository())
    if as_json:
        print_json(standing)
        return
    print_fields([(name, "yes" if value else "no") for name, value in standing.items()])


@attributes.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@stores.store_options
def remove(as_json: bool) -> None:
    """Take back what `attributes install` wrote, and nothing else."""
    from gitstate.engine.plain import set_settings

    repository = _repository()
    blocks = [_block(repository, shared=False)]
    blocks += [_block(repository, shared=True)] if repository.worktree is not None else []
    changed = [block.remove() for block in blocks]
    mine = dict.fromkeys(_OURS) if _is_set(repository) else {}
    changed.append(set_settings(repository, mine, _OURS))
    if as_json:
        print_json({"changed": any(changed), **_standing(repository)})
    else:
        note("git merges and compares files of states line by line again." if any(changed) else "Nothing was there.")


def _repository() -> "Repository":
    from gitstate.engine.repository import open_repository

    path, branch = stores.chosen()
    return open_repository(path, branch=branch, create=False)


def _block(repository: "Repository", *, shared: bool) -> "Block":
    from gitstate.engine.plain import Block

    if not shared:
        return Block(repository.common_dir / "info" / "attributes")
    if repository.worktree is None:
        raise UnsupportedError(
            f"{repository.git_dir} is bare: it has no files to share", hint="leave --shared out, or do it in a clone"
        )
    return Block(repository.worktree / ".gitattributes")


def _standing(repository: "Repository") -> dict[str, bool]:
    from gitstate.engine.plain import settings

    found = settings(repository, list(_OURS))
    shared = repository.worktree is not None and _block(repository, shared=True).read() is not None
    return {
        "attributes": _block(repository, shared=False).read() is not None,
        "shared": shared,
        "diff": _OURS["diff.gitstate.textconv"] in found.get("diff.gitstate.textconv", ""),
        "merge": _OURS["merge.gitstate.driver"] in found.get("merge.gitstate.driver", ""),
    }


def _is_set(repository: "Repository") -> bool:
    standing = _standing(repository)
    return standing["diff"] or standing["merge"]


@click.command(hidden=True)
@click.argument("file", type=click.Path(path_type=Path))
def textconv(file: Path) -> None:
    """Print a JSON file as lines that git compares: one field a line.

    Git runs it where `gitstate attributes install` told it to. What is no JSON is printed as it is.
    """
    from gitstate.values import canonical
    from gitstate.values.lines import lines as lines_of

    data = file.read_bytes()
    try:
        shown = "".join(f"{line}\n" for line in lines_of(canonical.loads(data))).encode(errors="backslashreplace")
    except CorruptionError:
        shown = data
    sys.stdout.buffer.write(shown)
    sys.stdout.buffer.flush()


@click.command("merge-driver", hidden=True)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("ours", type=click.Path(path_type=Path))
@click.argument("theirs", type=click.Path(path_type=Path))
@click.argument("path")
@click.option(
    "--marker-size", type=click.IntRange(1, 1000), default=_MARKER, help="Characters of a marker.  [default: 7]"
)
@click.option("--ours-label", default="ours", help="What markers call our side.")
@click.option("--theirs-label", default="theirs", help="What markers call their side.")
@click.pass_context
def merge_driver(
    ctx: click.Context,
    base: Path,
    ours: Path,
    theirs: Path,
    path: str,
    marker_size: int,
    ours_label: str,
    theirs_label: str,
) -> None:
    """Merge three files of a job by field, into OURS; git runs it.

    BASE, OURS and THEIRS are what git has at hand, PATH is where the file lies in the store. The exit status is 0 when
    all is merged, and 1 when there are conflicts: then the lines of these fields have git's markers around them. What
    is no file of a job's state is merged line by line, as git does it.
    """
    # An older git has no labels, and leaves the %X where one would be.
    sides = (ours_label, theirs_label)
    labels = tuple(
        default if label in ("", "%X", "%Y") else label
        for label, default in zip(sides, ("ours", "theirs"), strict=True)
    )
    try:
        clean_merge = _merge(base, ours, theirs, path, marker_size, labels)
    except (GitStateError, OSError) as error:
        failures.report(error, debug=ctx.ensure_object(stores.Settings).debug)
        ctx.exit(_FAILED)
    if not clean_merge:
        ctx.exit(failures.UNEXPECTED)


def _merge(base: Path, ours: Path, theirs: Path, path: str, marker_size: int, labels: tuple[str, ...]) -> bool:
    """Merge files into ours; return whether there is no conflict."""
    from gitstate.backends.file_merge import ID_FIELD, merge_file
    from gitstate.engine.plain import merge_lines, replace_file

    bodies = [side.read_bytes() for side in (base, ours, theirs)]
    merge = merge_file(path, *bodies, labels=(labels[0], labels[1]), marker_size=marker_size)
    if merge is None:
        data, is_clean = merge_lines(ours, base, theirs, (labels[0], "base", labels[1]), marker_size)
    else:
        data, is_clean = merge.data, not merge.conflicts
        for conflict in merge.conflicts:
            where = clean(conflict.pointer)
            what = _TWO_JOBS if where == f"/{ID_FIELD}" else f"both sides changed {where or 'all of it'}"
            note(f"{clean(path)}: {what}")
    replace_file(ours, data)
    return is_clean
