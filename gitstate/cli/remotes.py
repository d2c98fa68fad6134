"""Other repositories: the verbs that name them, and that make a store of one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitstate.cli import stores
from gitstate.cli.bars import progress
from gitstate.cli.completion import complete_remote
from gitstate.cli.output import note, print_json, print_table
from gitstate.cli.transfers import timeout_option

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.engine.remotes import Remote
    from gitstate.store.remote.outcomes import Standing
    from gitstate.store.store import Store

__all__ = ["clone", "remote"]


@click.group()
def remote() -> None:
    """Name other repositories, to sync with.

    They are git's own remotes: `git remote` shows and adds the same ones.
    """


@remote.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Print the remote as one JSON object.")
@stores.store_options
def add(name: str, url: str, as_json: bool) -> None:
    """Add the remote NAME at URL, a path or an address that git knows.

    It is not contacted yet. Verbs use the remote `origin` if none is named.
    """
    added = stores.use(lambda backend: backend.add_remote(name, url))
    if as_json:
        print_json(_json(added))
    else:
        note(f"Added the remote {added.name}. To sync with it: {stores.command('sync', added.name)}")


@remote.command("list", short_help="List the remotes, and how far apart both sides are.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@stores.store_options
def list_(as_json: bool) -> None:
    """List the remotes, and how many commits each side has that the other had not when it was seen last."""

    async def work(backend: "GitStateBackend") -> "list[tuple[Remote, Standing]]":
        return [(each, await backend.standing(each.name)) for each in await backend.remotes()]

    found = stores.use(work)
    if as_json:
        print_json([{**_json(each), **_standing(standing)} for each, standing in found])
    elif not found:
        note(f"There are no remotes. To add one: {stores.command('remote add', 'origin', 'URL')}")
    else:
        rows = [(each.name, *_cells(standing), _shown(each.url)) for each, standing in found]
        print_table(("remote", ">ahead", ">behind", "url"), rows)


@remote.command("remove")
@click.argument("name", shell_complete=complete_remote)
@stores.store_options
def remove(name: str) -> None:
    """Forget the remote NAME, and what was seen of it. Nothing is changed there."""
    stores.use(lambda backend: backend.remove_remote(name))
    note(f"Removed the remote {name}.")


@click.command()
@click.argument("url")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--branch", metavar="NAME", help="The branch that holds the state.  [default: main, or gitstate]")
@click.option("--bare", is_flag=True, help="Make a bare repository: no files beside the history.")
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
def clone(url: str, folder: Path | None, branch: str | None, bare: bool, timeout: float, as_json: bool) -> None:
    """Make a store of all that the repository at URL has, in FOLDER, which must be empty or not there.

    What comes is checked before it is taken in. The repository becomes the remote `origin` of the new store, for
    `gitstate sync`. If the clone fails, FOLDER is as it was.
    """
    import asyncio

    from gitstate.backends.git import GitStateBackend
    from gitstate.store.remote.cloning import folder_for

    path = stores.new_folder(folder) or Path(folder_for(url))

    async def work() -> "Store":
        with progress() as show:
            backend = await GitStateBackend.clone(
                url, path, branch=branch, worktree=not bare, timeout=timeout, progress=show
            )
        async with backend:
            return backend.store

    made = asyncio.run(work())
    where = path.resolve()
    if as_json:
        print_json({"path": str(where), "branch": made.branch, "bare": made.path is None, "created": made.created})
    elif made.created:
        note(f"The repository is empty: made a new store in {where}; `gitstate sync` brings it there.")
    else:
        note(f"Cloned the store to {where}.")


def _json(each: "Remote") -> dict[str, Any]:
    return {"name": each.name, "url": _shown(each.url), "push_url": _shown(each.push_url)}


def _shown(url: str) -> str:
    from gitstate.engine.wire.addresses import shown

    return shown(url)


def _standing(standing: "Standing") -> dict[str, Any]:
    known = standing.tip is not None
    return {
        "tip": standing.tip,
        "ahead": len(standing.ahead) if known else None,
        "behind": len(standing.behind) if known else None,
    }


def _cells(standing: "Standing") -> tuple[str, str]:
    known = standing.tip is not None
    return (str(len(standing.ahead)), str(len(standing.behind))) if known else ("", "")
