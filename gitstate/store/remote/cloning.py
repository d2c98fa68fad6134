"""A clone: a new store that begins as all that a remote has, checked as anything is that is fetched."""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gitstate.engine import files, remotes
from gitstate.engine.git import GitEngine
from gitstate.engine.locks import alone
from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import BRANCHES, DEFAULT_BRANCH, Repository, open_repository
from gitstate.engine.wire import addresses
from gitstate.engine.wire.addresses import shown
from gitstate.engine.wire.transport import Progress, Transport
from gitstate.errors import BusyError, ExistsError, InvalidInputError, NotFoundError
from gitstate.store.documents import Collection
from gitstate.store.reader import Reader
from gitstate.store.remote import arrivals
from gitstate.store.remote.links import Link, Parts, attended
from gitstate.store.remote.remotes import DEFAULT_REMOTE, TIMEOUT
from gitstate.store.store import Store
from gitstate.store.writer import Writer
from gitstate.words import several

__all__ = ["clone", "folder_for"]

_UNFINISHED = "clone-unfinished"  # a private file that is there, and locked, while a clone is made
_USUAL = ("main", "gitstate")
_LISTED = 10  # so many branches are named in an error


def folder_for(url: str) -> str:
    """Return the folder that a clone goes to if nobody names one, as git chooses it: ``state`` for ``.../state.git``.

    Raises:
        InvalidInputError: The address has no such name.
    """
    path = url.rstrip("/").removesuffix("/.git").rstrip("/")
    name = path.replace(":", "/").rpartition("/")[2].removesuffix(".git")
    if name in ("", ".", "..") or not name.isprintable():
        raise InvalidInputError(f"{shown(url)} names no folder to clone to", hint="name the folder as well")
    return name


def clone(
    url: str,
    folder: str | os.PathLike[str],
    *,
    branch: str | None = None,
    bare: bool = False,
    collections: Sequence[Collection] = (),
    timeout: float = TIMEOUT,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Store:
    """Make a store of all that another repository has, and open it. Its remote ``origin`` is that repository.

    Args:
        url: The address of the repository, or its path.
        folder: Where to; nothing, or an empty folder, may be there. If the clone fails, that is so again.
        branch: The branch that holds the store; by default ``main``, or else ``gitstate``, or else the only one.
        bare: Whether there are no files beside the history.
        collections: Those whose documents and pins the store has.
        timeout: Seconds for which the remote may keep silent.
        progress: Is told how it goes on.
        stop: Ends it, from another thread.

    Raises:
        ExistsError: Something is in the folder.
        NotFoundError: The repository has no such branch; the message lists those that it has.
        UntrustedError: What the repository has is not to be trusted.
        UnsupportedError: Its branch is no store, or one of a newer format.
        SyncError: It cannot be talked to.
        ClosedError: It was stopped.
        InvalidInputError: An argument makes no sense.
        StorageError: The disk refused.
    """
    path = Path(os.path.abspath(folder))
    address = addresses.parse(url)
    if address.kind == "path" and "://" not in url:
        url = address.path  # the clone lies elsewhere
    transport = Transport(remotes.rewritten(url), timeout=timeout)
    stop = stop or threading.Event()
    there = attended(transport.refs, stop, transport.close)
    branch = branch or _branch(there, transport.head, url)
    with _vacated(path):
        repository = open_repository(path, branch=branch, bare=bare)
        with alone(repository.private / _UNFINISHED, 0.0) as fd:
            if fd < 0:
                raise BusyError(f"another process clones to {path}", hint="wait for it, or choose another folder")
            _fill(repository, url, there, collections, timeout, progress, stop)
            files.remove(str(repository.private / _UNFINISHED))
        store = Store.open(path, branch=branch, create=True, worktree=not bare)
        try:
            for collection in collections:
                store.serve(collection)
            if branch != DEFAULT_BRANCH:
                store.name_branch()
            store.flush()
        except BaseException:
            store.close()
            raise
    return store


def _branch(there: Mapping[str, ObjectId], shown_there: str | None, url: str) -> str:
    """Return the branch that is meant if nobody says: the usual one, the one that is shown over there, or the only
    one.
    """
    heads = [ref.removeprefix(BRANCHES) for ref in there if ref.startswith(BRANCHES)]
    if not heads:
        return DEFAULT_BRANCH
    usual = (*_USUAL, (shown_there or "").removeprefix(BRANCHES), heads[0] if len(heads) == 1 else "")
    found = next((name for name in usual if name in heads), None)
    if found is None:
        raise _no_branch(DEFAULT_BRANCH, heads, url)
    return found


def _no_branch(branch: str, heads: Sequence[str], url: str) -> NotFoundError:
    return NotFoundError(
        f"{shown(url)} has no branch {branch}",
        hint=f"name one of its branches with --branch: {several(heads, _LISTED)}",
    )


def _fill(
    repository: Repository,
    url: str,
    there: Mapping[str, ObjectId],
    collections: Sequence[Collection],
    timeout: float,
    progress: Progress | None,
    stop: threading.Event,
) -> None:
    """Fetch all into a new repository, and make its branch."""
    heads = [ref.removeprefix(BRANCHES) for ref in there if ref.startswith(BRANCHES)]
    if heads and repository.branch not in heads:
        raise _no_branch(repository.branch, heads, url)
    engine = GitEngine(repository)
    try:
        with engine.lock():
            remote = remotes.add(repository, DEFAULT_REMOTE, url)
        reader = Reader(engine)
        names = {each.name: each for each in collections}
        parts = Parts(engine, repository, reader, Writer(engine, reader, ()), names, stop)
        tip = arrivals.fetch(Link(parts, remote, timeout=timeout, progress=progress), None).tip if heads else None
        with engine.lock():
            remotes.follow(repository, DEFAULT_REMOTE)
            if tip is not None:
                engine.publish([], expected=None, new=tip, note=f"clone: from {shown(url)}")
    finally:
        engine.close()


@contextmanager
def _vacated(path: Path) -> Iterator[None]:
    """Have nothing at a path, or an empty folder; and again so if the block fails."""
    if path.exists() and not path.is_dir():
        raise InvalidInputError(f"{path} is a file", hint="give the path of a folder")
    with files.storage_errors(path):
        if path.is_dir() and os.listdir(path) and not _is_unfinished(path):
            raise ExistsError(f"{path} is not empty; nothing was changed there", hint="choose another folder")
        made = [each for each in (path, *path.parents) if not each.exists()]
        _clear(path)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # somebody else put something into one of them
            _clear(path)
            for each in made:
                each.rmdir()
        raise


def _is_unfinished(path: Path) -> bool:
    """Whether a folder holds nothing but a clone whose process died."""
    for private, others in ((path / ".git/gitstate", {".git"}), (path / "gitstate", None)):
        if (private / _UNFINISHED).exists() and (others is None or set(os.listdir(path)) <= others):
            with alone(private / _UNFINISHED, 0.0) as fd:
                return fd >= 0
    return False


def _clear(path: Path) -> None:
    for each in sorted(path.iterdir()) if path.is_dir() else []:
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
