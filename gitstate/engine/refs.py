"""Refs: read them, and swap one by git's own protocol, expected value first.

We read the files ourselves: a ref that cannot be opened, for want of descriptors say, must be an error and never the
older value that ``packed-refs`` still holds. Formats: https://git-scm.com/docs/gitrepository-layout, `git pack-refs`.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from gitstate.engine import files, reflog
from gitstate.engine.locks import LockFile
from gitstate.engine.objects import ObjectId, Signature
from gitstate.engine.repository import Repository
from gitstate.errors import CorruptionError, StaleError, UnsupportedError

__all__ = [
    "BESIDE",
    "any_ref",
    "checked_out",
    "create",
    "delete",
    "forget",
    "logged",
    "moves",
    "names",
    "read",
    "read_head",
    "refuse_a_project",
    "restore",
    "swap",
    "target",
    "unpack",
]

BESIDE = (
    "choose an empty folder, or name a branch to keep state on, such as gitstate: `gitstate init --branch gitstate`"
)
"""What to do where a repository is a project's."""

_ID = re.compile(rb"[0-9a-f]{40}\n?")
_DEPTH = 5  # of symbolic refs, as in git
_SYMBOLIC_HINT = "`git symbolic-ref` shows and changes what it points to"


def read(repository: Repository, ref: str) -> ObjectId | None:
    """Return the commit that ``ref`` stands at, or None when there is no such ref.

    Raises:
        CorruptionError: Its file holds no object id; the message names it.
        OSError: It cannot be read.
    """
    return _resolve(repository, ref)[1]


def _resolve(repository: Repository, ref: str) -> tuple[str, ObjectId | None]:
    """Follow symbolic refs from ``ref``; return the name at the end and the commit that it stands at, or None."""
    for _ in range(_DEPTH):
        path = repository.path(ref)
        try:
            content = files.read(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return ref, _read_packed(repository, ref)
        if _ID.fullmatch(content):
            return ref, content[:40].decode("ascii")
        if not content.startswith(b"ref: "):
            raise CorruptionError(
                f"the ref {path} holds {content[:50]!r} and no object id", hint=_reflog_hint(repository, ref)
            )
        ref = os.fsdecode(content[5:].strip())
        if not ref.startswith("refs/") or ".." in ref:
            raise CorruptionError(f"the ref {path} points to {ref!r}, which is no ref", hint=_SYMBOLIC_HINT)
    raise CorruptionError(f"the ref {ref} is a chain of symbolic refs that does not end", hint=_SYMBOLIC_HINT)


def target(repository: Repository, ref: str) -> str:
    """Return the ref that a symbolic one points to in the end, whether that can be read or not; else itself."""
    for _ in range(_DEPTH):
        try:
            content = files.read(repository.path(ref))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            break
        pointed = os.fsdecode(content[5:].strip()) if content.startswith(b"ref: refs/") else ""
        if not pointed or ".." in pointed:
            break
        ref = pointed
    return ref


def read_head(repository: Repository) -> str | None:
    """Return the ref that ``HEAD`` points to, which is the branch that is checked out; None when it is detached."""
    content = files.read(f"{repository.git_dir}/HEAD")
    return os.fsdecode(content[5:].strip()) if content.startswith(b"ref: ") else None


def checked_out(repository: Repository, ref: str) -> str | None:
    """Return the folder of a worktree, the main one or a linked one, in which a branch is checked out; else None.

    A bare repository has no main one. A linked one whose folder is gone counts for nothing: `git worktree prune`.
    """
    wanted = b"ref: " + os.fsencode(ref)
    common, main = repository.common_dir, repository.worktree
    if repository.git_dir != common:  # this one is linked
        main = common.parent if common.name == ".git" else None
    if main is not None and files.read_if_there(common / "HEAD").strip() == wanted:
        return str(main)
    linked = common / "worktrees"
    for name in sorted(os.listdir(linked)) if linked.is_dir() else []:
        if files.read_if_there(linked / name / "HEAD").strip() == wanted:
            link = os.fsdecode(files.read_if_there(linked / name / "gitdir").strip())
            if link and os.path.exists(inner := os.path.normpath(linked / name / link)):
                return os.path.dirname(inner)
    return None


def any_ref(repository: Repository) -> str | None:
    """Return the name of some branch, tag or other ref, or None: nothing was ever committed or fetched."""
    return next(names(repository), None)


def refuse_a_project(repository: Repository) -> None:
    """Nobody means to keep state on a new ``main`` beside the other branches of a project."""
    with files.storage_errors(repository.common_dir):
        try:
            other = None if read(repository, repository.ref) else any_ref(repository)
        except CorruptionError:
            return  # the branch is there, and the engine makes it good or says why not
    if other is not None:
        raise UnsupportedError(
            f"{repository.common_dir} is a git repository, but no store: it has {other}, and no {repository.ref}",
            hint=BESIDE,
        )


def names(repository: Repository, below: str = "refs/") -> Iterator[str]:
    """Yield the name of every ref below a prefix that ends with a slash; one may come twice."""
    for _, name in _packed(repository):
        if name.startswith(below):
            yield name
    for folder, folders, found in os.walk(repository.common_dir / below):
        folders.sort()  # else it is another order on each file system
        for name in sorted(found):
            if not name.endswith(".lock") and not name.startswith("."):  # what file systems and file managers leave
                yield os.path.relpath(os.path.join(folder, name), repository.common_dir)


def swap(
    repository: Repository,
    ref: str,
    *,
    expected: ObjectId | None,
    new: ObjectId,
    who: Signature,
    note: str,
    timeout: float = 10.0,
    durable: bool = True,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Move ``ref`` from ``expected`` (None: it does not exist) to ``new``; call it under the store's lock.

    Args:
        repository: Where the ref is.
        ref: Its full name. A symbolic ref moves the one that it points to, as in git.
        expected: Where it must stand now.
        new: Where it shall stand.
        who: Stands in the reflog, with ``note``, a single line.
        note: What happened.
        timeout: Seconds to wait for a lock file of a living git.
        durable: Whether to wait for the disk.
        ready: Called when all is ready, and nothing is changed yet; nothing is if it raises.

    Raises:
        StaleError: The ref is elsewhere.
        BusyError: A living git holds its lock file; the message names it.
        UnsupportedError: Another ref's name stands in the way (``a`` and ``a/b``).
    """
    content = new.encode() + b"\n"
    # The branch that a symbolic ref points to takes its place; the lock comes first, and one look is enough.
    while True:
        if expected is None:
            _make_way(repository, ref)
        else:
            _make_folder(repository, ref)
        target = repository.path(ref)
        with LockFile(repository.private, target, content, timeout=timeout, durable=durable, recycle=True) as lock:
            name, current = _resolve(repository, ref)
            if name == ref:
                if current != expected:
                    raise StaleError(f"{ref} is at {current}, not at {expected}", hint="read it again")
                ready()
                with _logged(repository, ref, current, new, who, note):
                    lock.replace()
                return
        ref = name


def create(repository: Repository, ref: str, new: ObjectId, *, timeout: float = 10.0) -> None:
    """Make ``ref``, which is no branch, at ``new``, durably and without a log; call it under the store's lock.

    Raises:
        StaleError: It is there already.
        BusyError: A living git holds its lock file; the message names it.
        UnsupportedError: Another ref's name stands in the way.
    """
    _make_way(repository, ref)
    with LockFile(repository.private, repository.path(ref), new.encode() + b"\n", timeout=timeout) as lock:
        current = read(repository, ref)
        if current is not None:
            raise StaleError(f"{ref} is there, at {current}", hint="read it again")
        lock.replace()


def delete(repository: Repository, ref: str, *, expected: ObjectId | None, timeout: float = 10.0) -> None:
    """Remove ``ref``, which stands at ``expected``, durably and with its log; call it under the store's lock.

    A symbolic ref goes itself, and not what it points to; one that points to nothing stands at None.

    A branch that is checked out somewhere is not to be removed: see :func:`checked_out`.

    Raises:
        StaleError: It is elsewhere, or not there.
        BusyError: A living git holds its lock file, or that of ``packed-refs``; the message names it.
    """
    path = repository.path(ref)
    _make_folder(repository, ref)
    with LockFile(repository.private, path, b"", timeout=timeout):
        current = read(repository, ref)
        if current != expected:
            raise StaleError(f"{ref} is at {current}, not at {expected}", hint="read it again")
        unpack(repository, [ref], timeout=timeout)  # first: else the older value would be seen for a moment
        files.remove(path)
        files.sync_directory(os.path.dirname(path))
        _remove_log(repository, ref)


def _remove_log(repository: Repository, ref: str) -> None:
    """Remove the log of a ref that is gone, and the folders that it leaves empty: others' would need their places."""
    log = repository.path(f"logs/{ref}")
    files.remove(log)
    folder, top = os.path.dirname(log), repository.path("logs/" + "/".join(ref.split("/")[:2]))
    with suppress(OSError):  # another log is in it
        while len(folder) > len(top):
            os.rmdir(folder)
            folder = os.path.dirname(folder)


def unpack(repository: Repository, refs: Collection[str], *, timeout: float = 10.0) -> None:
    """Take refs out of ``packed-refs``, with the lines that say what a tag is of; call it under the store's lock.

    Raises:
        BusyError: A living git holds that file's lock; the message names it.
    """
    path, going = repository.path("packed-refs"), {os.fsencode(ref) for ref in refs}
    line = re.compile(rb"^[0-9a-f]{40} ([^\r\n]+)\r?(?:\n|\Z)(?:\^[^\n]*\n?)?", re.MULTILINE)
    while any(os.fsencode(name) in going for _, name in _packed(repository)):
        before = files.read(path)
        after = line.sub(lambda found: b"" if found[1] in going else found[0], before)
        with LockFile(repository.private, path, after, timeout=timeout) as lock:
            if files.read(path) == before:
                lock.replace()


def restore(repository: Repository, ref: str, new: ObjectId, *, who: Signature, note: str) -> None:
    """Put ``ref`` to ``new``, durably, whatever stands there; call it under the store's lock. See :func:`swap`."""
    name = target(repository, ref)
    path = repository.common_dir / name
    _make_folder(repository, name)
    with LockFile(repository.private, path, new.encode() + b"\n") as lock:
        lock.replace()
    for log in _logs(repository, ref):
        reflog.append(log, reflog.line(None, new, who, note), [])


def forget(repository: Repository, ref: str, is_lost: Callable[[ObjectId], bool]) -> None:
    """Remove from a ref's logs what is torn, and of their last lines those that name lost commits."""
    for log in _logs(repository, ref):
        reflog.forget(log, is_lost)


def logged(repository: Repository, ref: str) -> Iterator[ObjectId]:
    """Yield the commits at which a ref stood, as its log has them, newest first."""
    return reflog.logged(repository.path(f"logs/{ref}"))


def moves(repository: Repository, ref: str) -> list[reflog.Move]:
    """Return what others did to a ref since we moved it last, oldest first."""
    return reflog.moves(repository.path(f"logs/{ref}"))


def _make_way(repository: Repository, ref: str) -> None:
    """Make the folder of a ref that is not there yet; refuse when another ref has its place."""
    for _, name in _packed(repository):
        if name.startswith(ref + "/") or ref.startswith(name + "/"):
            raise UnsupportedError(f"{ref} cannot be made: {name} is there", hint="choose another name")
    target = repository.common_dir / ref
    try:
        _make_folder(repository, ref)
        if target.is_dir():
            for empty, _, _ in os.walk(target, topdown=False):
                os.rmdir(empty)  # git leaves empty folders of deleted refs behind
    except (FileExistsError, NotADirectoryError) as error:
        raise UnsupportedError(
            f"{ref} cannot be made: {error.filename} is a ref", hint="choose another name"
        ) from error
    except OSError as error:
        if not target.is_dir():
            raise
        raise UnsupportedError(
            f"{ref} cannot be made: there are refs in {target}", hint="choose another name"
        ) from error


def _make_folder(repository: Repository, ref: str) -> None:
    """Make the folder of a ref, durably, if it is not there: git removes that of refs that it packs."""
    # Asked by every save: a path of pathlib's takes longer.
    if not os.path.isdir(os.path.dirname(repository.path(ref))):
        target = repository.common_dir / ref
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in target.relative_to(repository.common_dir).parents:
            files.sync_directory(repository.common_dir / folder)


@contextmanager
def _logged(
    repository: Repository, ref: str, before: ObjectId | None, after: ObjectId, who: Signature, note: str
) -> Iterator[None]:
    """Write the reflogs, that of ``HEAD`` too if it points here; take the lines back when the block fails."""
    line = reflog.line(before, after, who, note)
    written: list[tuple[str, int]] = []
    try:
        for log in _logs(repository, ref):
            reflog.append(log, line, written)
        yield
    except BaseException:
        if read(repository, ref) != after:
            for log, size in written:
                with suppress(OSError):
                    os.truncate(log, size)
        raise


def _logs(repository: Repository, ref: str) -> Iterator[str]:
    """Yield the logs in which changes of a ref stand: that of ``HEAD`` too if it points here."""
    yield repository.path(f"logs/{ref}")
    if read_head(repository) == ref:
        yield f"{repository.git_dir}/logs/HEAD"


def _read_packed(repository: Repository, ref: str) -> ObjectId | None:
    return next((object_id for object_id, name in _packed(repository) if name == ref), None)


def _packed(repository: Repository) -> Iterator[tuple[ObjectId, str]]:
    path = repository.common_dir / "packed-refs"
    try:
        content = files.read(path)
    except FileNotFoundError:
        return
    for line in content.splitlines():
        if line.startswith((b"#", b"^")):
            continue
        object_id, space, name = line.partition(b" ")
        if not space or not _ID.fullmatch(object_id):
            raise CorruptionError(f"{path} has a line that is no ref: {line[:80]!r}", hint="`git fsck` tells more")
        yield object_id.decode("ascii"), os.fsdecode(name)


def _reflog_hint(repository: Repository, ref: str) -> str:
    return f"the last line of {repository.common_dir / 'logs' / ref} says where it stood"
