"""Guards: git's hooks that refuse states which do not validate."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitstate.cli import stores
from gitstate.cli.output import note, print_json, print_table
from gitstate.cli.plain_git import program

if TYPE_CHECKING:
    from gitstate.engine.hooks import Hook
    from gitstate.engine.repository import Repository

__all__ = ["hooks"]

_COMMIT = ("pre-commit", "pre-merge-commit")  # git runs the second one for a merge that stopped nowhere
_RECEIVE = ("pre-receive",)
_HEAD = """\
# Refuses states that do not validate. `gitstate hooks remove` takes it away, `gitstate hooks install` wrote it.
# A hook that was here before runs first: it is kept in the file whose name ends with .before-gitstate.
before="$0.before-gitstate"
"""
_ON_COMMIT = """\
if test -x "$before"; then "$before" "$@" || exit $?; fi
{run}
"""
_ON_RECEIVE = """\
updates=$(cat)
if test -x "$before"; then printf '%s\\n' "$updates" | "$before" "$@" || exit $?; fi
printf '%s\\n' "$updates" | {{ {run}; }}
"""
_NOBODY = "echo 'gitstate is not found, so nobody can check the states: refused. Install it, then run \
gitstate hooks install; git commit --no-verify goes past it.' >&2; exit 1"


@click.group()
def hooks() -> None:
    """Have git refuse states that do not validate.

    The hooks check what git commits, or what is pushed to this repository, and only what is new. Saves of gitstate
    itself are valid, and run no hooks. Clones do not get the hooks: install them in each.
    """


def _change_options(command: stores.AnyCommand) -> stores.AnyCommand:
    """Add what the verbs have that change hooks: which ones, and the answer as JSON."""
    for option in (
        stores.store_options,
        click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object."),
        click.option("--force", is_flag=True, help="Also where somebody edited a hook of ours."),
        click.option("--pre-receive", is_flag=True, help="What is pushed to here."),
        click.option("--pre-commit", is_flag=True, help="What `git commit` and `git merge` do here."),
    ):
        command = option(command)
    return command


@hooks.command(short_help="Install the hooks; those that are there run first.")
@_change_options
def install(pre_commit: bool, pre_receive: bool, force: bool, as_json: bool) -> None:
    """Put the hooks there; all that make sense here, or those that are named.

    A hook that is there is kept: it runs first, and what it refuses is refused.
    """
    chosen = _chosen(pre_commit, pre_receive)
    changed = [hook.path.name for hook in chosen if hook.install(force=force)]
    if as_json:
        print_json({"changed": changed, **_standing(chosen)})
        return
    note(f"Installed {', '.join(changed)} in {chosen[0].path.parent}" if changed else "The hooks are there already.")


@hooks.command(short_help="Show which hooks are installed, outdated or edited.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@stores.store_options
def status(as_json: bool) -> None:
    """Show which hooks are there: installed, outdated, edited or missing."""
    found = _chosen(pre_commit=True, pre_receive=True)
    if as_json:
        print_json(_standing(found))
        return
    rows = [(hook.path.name, hook.standing(), hook.before.name if hook.before.exists() else "") for hook in found]
    print_table(("hook", "standing", "runs first"), rows)


@hooks.command(short_help="Remove the hooks, and put back those of before.")
@_change_options
def remove(pre_commit: bool, pre_receive: bool, force: bool, as_json: bool) -> None:
    """Take the hooks away, all or those that are named, and put back what was there before."""
    both = not (pre_commit or pre_receive)
    chosen = _chosen(pre_commit or both, pre_receive or both)
    changed = [hook.path.name for hook in chosen if hook.remove(force=force)]
    if as_json:
        print_json({"changed": changed, **_standing(chosen)})
        return
    note(f"Removed {', '.join(changed)}" if changed else "No hook of ours was there.")


def _chosen(pre_commit: bool, pre_receive: bool) -> "list[Hook]":
    """Return the hooks that are meant; a bare repository has no commits of its own to look at."""
    from gitstate.engine.hooks import Hook, folder
    from gitstate.engine.repository import open_repository

    path, branch = stores.chosen()
    repository = open_repository(path, branch=branch, create=False)
    if not (pre_commit or pre_receive):
        pre_commit, pre_receive = repository.worktree is not None, True
    names = (*(_COMMIT if pre_commit else ()), *(_RECEIVE if pre_receive else ()))
    place = folder(repository)
    return [Hook(place / name, _body(name, repository)) for name in names]


def _body(name: str, repository: "Repository") -> str:
    """Return the script of a hook. Git says in GIT_DIR which repository it works on, where that is not the folder's."""
    what, frame = ("--stdin", _ON_RECEIVE) if name in _RECEIVE else ("--staged", _ON_COMMIT)
    verb = f'verify {what} --quiet --store "${{GIT_DIR:-.}}" --branch {shlex.quote(repository.branch)} >&2'
    return _HEAD + frame.format(run=program(verb, _NOBODY))


def _standing(chosen: "list[Hook]") -> dict[str, dict[str, str | None]]:
    return {hook.path.name: {"standing": hook.standing(), "before": _name(hook.before)} for hook in chosen}


def _name(path: Path) -> str | None:
    return path.name if path.exists() else None
