"""Which store a command works on, and the verb that makes one."""

import os
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gitstate.cli.output import note, print_json
from gitstate.errors import JobNotFoundError, StoreNotFoundError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from click.shell_completion import CompletionItem

    from gitstate.backends.git import GitStateBackend
    from gitstate.store.store import Store

__all__ = [
    "Settings",
    "change_job",
    "chosen",
    "command",
    "init",
    "looked_at",
    "new_folder",
    "store_options",
    "use",
    "use_job",
    "whole_id",
]

T = TypeVar("T")
AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])

_VARIABLE = "GITSTATE_STORE"
_BRANCH_VARIABLE = "GITSTATE_BRANCH"
_CODE_VARIABLE = "GITSTATE_CODE"
_DEFAULT_BRANCH = "main"
_PROPOSALS = "proposals/"  # as store/proposals.py has it


@dataclass
class Settings:
    """What the global options say. They may stand before the verb or after it."""

    store: str | None = None
    branch: str | None = None
    debug: bool = False
    pager: bool = True


def _refuse_empty(value: str | None) -> None:
    if value == "":  # as in --store "$UNSET", which does not mean the store of the current folder
        raise click.BadParameter("it is empty")


def _remember(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    _refuse_empty(value)
    if value is not None:
        setattr(ctx.ensure_object(Settings), str(parameter.name), value)


_branch_option = click.option(
    "--branch",
    metavar="NAME",
    expose_value=False,
    callback=_remember,
    help=f"The branch that holds the state. Otherwise {_BRANCH_VARIABLE} or `git config gitstate.branch` names it."
    f"  [default: {_DEFAULT_BRANCH}]",
)


def _remember_proposal(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    _refuse_empty(value)
    if value is not None:
        ctx.ensure_object(Settings).branch = f"{_PROPOSALS}{value.removeprefix(_PROPOSALS)}"


def _complete_proposal(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    from gitstate.cli.completion import complete_proposal  # which needs this module

    return complete_proposal(ctx, param, incomplete)


_proposal_option = click.option(
    "--proposal",
    metavar="NAME",
    expose_value=False,
    callback=_remember_proposal,
    shell_complete=_complete_proposal,
    help="Look at, or change, the state as it is in this proposal: short for --branch proposals/NAME.",
)
_store_option = click.option(
    "--store",
    metavar="PATH",
    expose_value=False,
    callback=_remember,
    help=f"The store. Otherwise {_VARIABLE} names it, or it is looked for from the current folder upwards.",
)


def store_options(command: AnyCommand) -> AnyCommand:
    """Add the options that choose a store; given twice, the one after the verb counts."""
    return _store_option(_branch_option(_proposal_option(command)))


def use(work: "Callable[[GitStateBackend], Awaitable[T]]") -> T:
    """Open the store that the options name, do the work, close the store.

    Raises:
        StoreNotFoundError: There is none.
    """
    import asyncio

    from gitstate.backends.git import GitStateBackend
    from gitstate.engine.settings import redacts

    path, branch = chosen()
    redact = redacts(path)

    async def session() -> T:
        asyncio.get_running_loop().set_exception_handler(_tell)
        code = os.environ.get(_CODE_VARIABLE) or None
        where = _shown_at(path, branch)
        async with GitStateBackend(where, branch=branch, create=False, code=code, redact=redact) as backend:
            return await work(backend)

    try:
        return asyncio.run(session())
    except StoreNotFoundError as error:
        if branch.startswith(_PROPOSALS) and "no commits" in error.message:
            name = branch.removeprefix(_PROPOSALS)
            raise StoreNotFoundError(
                f"there is no proposal {name!r}", hint="`gitstate propose` lists them, and makes one of a new name"
            ) from error
        raise


def _shown_at(path: Path, branch: str) -> Path:
    """Return the folder of a linked worktree that shows a branch which the store at ``path`` does not, so that the
    files there are kept up; else the path.
    """
    if branch == _DEFAULT_BRANCH:
        return path
    from gitstate.engine import refs
    from gitstate.engine.repository import open_repository

    repository = open_repository(path, branch=branch, create=False)
    folder = refs.checked_out(repository, repository.ref)
    if folder is None or refs.read_head(repository) == repository.ref:
        return path
    return Path(folder)


def _tell(loop: "AbstractEventLoop", context: dict[str, Any]) -> None:
    """Tell what went wrong in the event loop, but for one thing: Ctrl-C cancels in the middle of whatever runs, so an
    answer that was just being given finds nobody who waits (asyncio.Runner, Python 3.11 to 3.13).
    """
    from asyncio import InvalidStateError

    if not isinstance(context.get("exception"), InvalidStateError):
        loop.default_exception_handler(context)


def use_job(job: str, work: "Callable[[GitStateBackend, str], Awaitable[T]]") -> T:
    """Do work that only looks at a job, which is named by its id or the beginning of it; else as :func:`use`.

    Raises:
        JobNotFoundError: No job answers to the name, or several do.
        StoreNotFoundError: There is no store.
    """

    async def found(backend: "GitStateBackend") -> T:
        return await work(backend, await backend.find_job(job))

    return use(found)


def change_job(job: str, work: "Callable[[GitStateBackend, str], Awaitable[T]]") -> T:
    """Do work that changes a job, which is named by its whole id; else as :func:`use_job`."""

    async def found(backend: "GitStateBackend") -> T:
        return await work(backend, await whole_id(backend, job))

    return use(found)


def chosen() -> tuple[Path, str]:
    """Return the path of the store that the options name, and the branch.

    Raises:
        StoreNotFoundError: None is named, and there is none here.
        UnsupportedError: The repository's configuration cannot be read.
    """
    path = _path()
    return path, _branch_of(path)


def _branch_of(path: Path) -> str:
    """Return the branch on which a repository keeps state: the nearest name counts."""
    named = _settings().branch or os.environ.get(_BRANCH_VARIABLE)
    return named or _configured(path) or _DEFAULT_BRANCH


def _configured(path: Path) -> str | None:
    from gitstate.engine.settings import branch_named

    return branch_named(path)


def new_folder(named: Path | None) -> Path | None:
    """Return where a store shall be made: the folder that is named, else the one that ``--store`` does; None: neither.

    Raises:
        click.UsageError: Both name one.
    """
    store = _settings().store
    if named is not None and store is not None:
        raise click.UsageError(f"both FOLDER and --store say where to: {str(named)!r} and {store!r}")
    return named if store is None else Path(store)


def looked_at() -> tuple[Path, str]:
    """Return what :func:`chosen` does; but where git started this process, it is the repository that git works on.

    Raises:
        StoreNotFoundError: None is named, and there is none here.
    """
    path = os.environ.get("GIT_DIR")
    return (Path(path), _branch_of(Path(path))) if path and not _settings().store else chosen()


async def whole_id(backend: "GitStateBackend", job: str) -> str:
    """Return a job's id if it was given whole: what changes something does it to no other job than the one named.

    Raises:
        JobNotFoundError: There is and was no such job; the hint says which one may be meant.
    """
    found = await backend.find_job(job)
    if found != job:
        raise JobNotFoundError(
            f"there is no job {job!r}", hint=f"it may be {found!r}: to change something, give the whole id"
        )
    return job


def command(verb: str, *arguments: str, flags: tuple[str, ...] = ()) -> str:
    """Return the command line that does something in the store of this run, for people to copy."""
    settings = _settings()
    chosen = {"--store": settings.store, "--branch": settings.branch}
    options = [word for name, value in chosen.items() if value for word in (name, value)]
    guard = ["--"] if any(argument.startswith("-") for argument in arguments) else []
    return shlex.join(["gitstate", *verb.split(), *options, *flags, *guard, *arguments])


def _settings() -> Settings:
    return click.get_current_context().ensure_object(Settings)


def _path() -> Path:
    named = _settings().store or os.environ.get(_VARIABLE)
    if named:
        return Path(named)
    from gitstate.engine.repository import find_store

    found = find_store(Path.cwd())
    if found is None:
        raise StoreNotFoundError(
            "there is no store here or in any folder above",
            hint=f"`gitstate init` makes one; --store PATH or {_VARIABLE} names one elsewhere",
        )
    return found


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--bare", is_flag=True, help="Make a bare repository: no files beside the history.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@_branch_option
def init(folder: Path | None, bare: bool, as_json: bool) -> None:
    """Make a store in FOLDER, the current one by default.

    FOLDER may be missing, empty, or an empty repository. A store that is there already stays as it is.

    With --branch, FOLDER may be a project's own repository: the state gets a branch with a history of its own, and
    neither the project's files nor its index change. All verbs find the branch from then on, by `gitstate.branch`
    in the repository's configuration. If a remote has the branch already, that one is taken over.
    """
    import asyncio

    from gitstate.backends.git import GitStateBackend

    folder = new_folder(folder) or Path()
    branch = _branch_of(folder)

    async def make() -> "tuple[Store, bool]":
        async with GitStateBackend(folder, branch=branch, worktree=not bare) as backend:
            if branch != (_configured(folder) or _DEFAULT_BRANCH):
                await asyncio.to_thread(backend.store.name_branch)
            return backend.store, backend.store.path is None

    store, is_bare = asyncio.run(make())
    if as_json:
        facts = {"path": str(folder.resolve()), "branch": branch, "bare": is_bare, "created": store.created}
        print_json({**facts, "taken_over": store.taken_over})
    elif store.taken_over:
        note(f"Made the branch {branch} of {store.taken_over} in {folder.resolve()}")
    else:
        note(f"Made a store in {folder.resolve()}" if store.created else f"{folder.resolve()} is a store already")
