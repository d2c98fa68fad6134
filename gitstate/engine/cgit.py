"""C git as a tool: it finds deltas, which we do not, and reads commits by the thousand at a fifth of our cost.

It works in a repository made for the purpose, which borrows the objects and has none of the store's configuration,
hooks and refs. So nothing that the store holds can make it run anything, and it changes nothing in the store; what it
made is for the caller to put in its place.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from gitstate.engine import files
from gitstate.engine.base import Brought
from gitstate.engine.objects import ObjectId
from gitstate.errors import StorageError

__all__ = [
    "OLDEST",
    "CGit",
    "Changed",
    "GaveUpError",
    "arrivals",
    "beyond",
    "commits",
    "contents",
    "facts",
    "find",
    "line",
    "reachable",
    "read",
    "widen",
]

OLDEST = (2, 32)
"""The first version that packs the content of packs."""

_DEPTH = "--depth=10"  # of 50 a pack is 2 % smaller, and what is read of it first takes twice as long
_LOOK_EVERY = 0.1  # seconds between two looks whether to give up
_LOWEST = 19  # priority
_CHUNK = 1 << 16  # bytes that are read at once
_LINE = 41  # bytes of an id and the end of its line
_WIDE = 1 << 20  # bytes of a pipe
_SEVERAL = 500  # objects that are asked for at once
_SAID = "stdout"
_KINDS = {b"commit": "commit", b"tree": "tree", b"blob": "blob", b"tag": "tag"}
_MISSING = b" missing\n"
_NOTHING = b"000000"  # the mode of what is not there
_FOLDER = b"040000"
_MODE_BEFORE, _MODE_AFTER, _ID_AFTER = slice(-97, -91), slice(-90, -84), slice(-42, -2)  # in a line of ``--raw``
_NO_FILE = ("000000", "160000")  # the modes of nothing, and of a submodule
_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n"


class GaveUpError(Exception):
    """git was stopped because the caller wanted that."""


class Changed(NamedTuple):
    """The files in which a commit differs from its first parent, and what they are now (None: gone); and the folders
    with such files that are there, with their trees.
    """

    files: dict[str, ObjectId | None]
    folders: dict[str, ObjectId]


@dataclass(frozen=True)
class CGit:
    """The user's git; see :func:`find`."""

    program: str
    version: str
    timeout: float
    gently: bool
    keep_open: int
    give_up: Callable[[], bool]

    @property
    def can_pack(self) -> bool:
        """Whether it is new enough."""
        return tuple(map(int, self.version.split(".")[:2])) >= OLDEST

    def prepare(self, shop: Path, borrowed: str = "../..") -> None:
        """Make a repository in ``shop``. ``borrowed`` are the objects that it borrows, as they are named in its own."""
        for part in ("objects/info", "objects/pack"):
            (shop / part).mkdir(parents=True, exist_ok=True)
        _make_repository(shop)
        # A path without the store's own, in which a name might have to be quoted.
        files.create(os.fspath(shop / "objects/info/alternates"), borrowed.encode("ascii") + b"\n", durable=False)

    def pack_revisions(self, shop: Path, tips: Iterable[ObjectId], known: Iterable[ObjectId], *, thin: bool) -> Path:
        """Pack what ``tips`` reach and ``known`` do not, if it may be ``thin`` with deltas of what those reach; return
        the file.
        """
        command = ["pack-objects", "-q", "--revs", "--stdout", "--delta-base-offset", *(["--thin"] if thin else [])]
        self._run(shop, command, "".join([*(f"{each}\n" for each in tips), *(f"^{each}\n" for each in known)]))
        return shop / _SAID

    def start(
        self, shop: Path, arguments: Sequence[str], more: Mapping[str, str], **streams: Any
    ) -> "subprocess.Popen[bytes]":
        """Start git in a shop, with more in its environment."""
        process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - all arguments are ours
            [self.program, *arguments],
            cwd=shop,
            env=_environment(shop) | dict(more),
            pass_fds=[self.keep_open] if self.keep_open >= 0 else [],
            **streams,
        )
        return process

    def pack(self, shop: Path, bases: Iterable[str]) -> str:
        """Pack what packs hold, with deltas; return the new pack, on the disk, without suffix."""
        names = "".join(f"{os.path.basename(base)}.pack\n" for base in bases)
        # Deltas are looked for anew: those of a pack with itself, which had none, would not be looked for at all.
        return self._packed(shop, ["--stdin-packs", "--no-reuse-delta"], names)

    def pack_objects(self, shop: Path, ids: Iterable[ObjectId]) -> str:
        """Pack single objects; return the new pack, on the disk, without suffix."""
        return self._packed(shop, [], "".join(f"{object_id}\n" for object_id in ids))

    def commit_graph(self, shop: Path, heads: Iterable[ObjectId]) -> Path:
        """Write the graph of all commits that ``heads``, commits or tags, reach; return its file, on the disk."""
        command = ["commit-graph", "write", "--stdin-commits", "--changed-paths"]
        self._run(shop, command, "".join(f"{head}\n" for head in heads))
        made = shop / "objects/info/commit-graph"
        files.sync_file(made)
        return made

    def _packed(self, shop: Path, options: list[str], names: str) -> str:
        threads = ["--threads=1"] if self.gently else []
        command = ["pack-objects", "-q", "--delta-base-offset", _DEPTH, *threads, *options, "objects/pack/pack"]
        checksum = self._run(shop, command, names).read_text("ascii").strip()
        base = os.fspath(shop / "objects/pack" / f"pack-{checksum}")
        for suffix in (".pack", ".idx"):
            files.sync_file(base + suffix)
        return base

    def _run(self, shop: Path, arguments: list[str], text: str) -> Path:
        (shop / "stdin").write_text(text)
        with (
            open(shop / "stdin", "rb") as stdin,
            open(shop / _SAID, "wb") as stdout,
            open(shop / "stderr", "wb") as stderr,
            self.start(shop, arguments, {}, stdin=stdin, stdout=stdout, stderr=stderr) as process,
        ):
            try:
                self._wait(process, arguments[0])
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            reason = (shop / "stderr").read_text(errors="replace").strip() or f"exit status {process.returncode}"
            raise StorageError(f"`git {arguments[0]}` failed: {reason}", hint="`gitstate verify` tells more")
        return shop / _SAID

    def _wait(self, process: "subprocess.Popen[bytes]", command: str) -> None:
        if self.gently:
            with suppress(ProcessLookupError):  # it has ended, and has no priority any more on some systems
                os.setpriority(os.PRIO_PROCESS, process.pid, _LOWEST)
        end = time.monotonic() + self.timeout
        while True:
            try:
                process.wait(_LOOK_EVERY)
            except subprocess.TimeoutExpired:
                if self.give_up():
                    raise GaveUpError from None
                if time.monotonic() > end:
                    raise StorageError(
                        f"`git {command}` took more than {self.timeout:g} s", hint="run it when the machine has time"
                    ) from None
            else:
                return


def find(
    *, timeout: float, gently: bool = False, keep_open: int = -1, give_up: Callable[[], bool] = lambda: False
) -> CGit | None:
    """Return the user's git, or None when there is none that works.

    Args:
        timeout: Seconds that one run may take.
        gently: Whether to take no more of the machine than others leave: the lowest priority, one thread.
        keep_open: A descriptor that stays open as long as git runs, even when this process dies.
        give_up: Asked now and then; True stops git.
    """
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - the user's own git
            [program, "version"], env=_environment(), capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\d+\.\d+(\.\d+)*", done.stdout)
    return CGit(program, version[0], timeout, gently, keep_open, give_up) if version else None


def commits(objects: Path, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
    """Yield what :meth:`gitstate.engine.base.Source.commits` does; nothing where there is no git.

    It ends with the history, or early when git cannot go on.
    """
    with suppress(OSError, StorageError):
        for record in _said(objects, ["rev-list", "--header", start]):
            yield record[:40].decode("ascii"), record[41:]


def line(objects: Path, start: ObjectId, until: ObjectId | None) -> Iterator[tuple[ObjectId, bytes, Changed]]:
    """Yield ids, bodies and changes as :meth:`gitstate.engine.base.Engine.line` does; nothing where there is no git.

    It ends early when git cannot go on. Of a commit that is given, all of these are.
    """
    records = _changes(objects, [start] + ([f"^{until}"] if until else []))
    while several := list(islice(records, _SEVERAL)):
        ids = [commit_id for commit_id, _ in several]
        given = 0
        for (_, body), (commit_id, changed) in zip(read(objects, ids), several, strict=False):
            yield commit_id, body, changed
            given += 1
        if given < len(several):
            return


def arrivals(
    objects: Path, tips: Sequence[ObjectId], without: Sequence[ObjectId]
) -> Iterator[tuple[ObjectId, list[Brought]]]:
    """Yield what :func:`gitstate.engine.brought.arrivals` does; nothing where there is no git.

    Raises:
        StorageError: It failed, so that there may be more.
    """
    command = ["log", "--topo-order", "--raw", "-c", "-r", "--no-abbrev", "--no-renames", "-z", "--format=%x02%H"]
    told = "".join([f"{each}\n" for each in tips] + [f"^{each}\n" for each in without])
    commit_id, brought = "", list[Brought]()
    words = _said(objects, [*command, "--stdin"], told)
    for word in words:
        if word.startswith(b"\x02"):
            if commit_id:
                yield commit_id, brought
            commit_id, brought = word[1:].decode("ascii"), []
        elif word:
            brought.append(_brought(word.lstrip(b"\n").decode("ascii"), next(words, b"")))
    if commit_id:
        yield commit_id, brought


def _brought(told: str, path: bytes) -> Brought:
    """Return a file of a commit. It is told by a colon for each parent, the modes and the objects of all of them and
    of the commit, and what was done.
    """
    parents = len(told) - len(told.lstrip(":"))
    words = told[parents:].split(" ")
    modes, ids = words[: parents + 1], words[parents + 1 :]
    *before, after = (None if mode in _NO_FILE else each for mode, each in zip(modes, ids, strict=False))
    return Brought(path.decode("utf-8", "surrogateescape"), after, tuple(filter(None, before)))


def _changes(objects: Path, commits: list[str]) -> Iterator[tuple[ObjectId, Changed]]:
    """Yield each commit on the line of first parents with what differs from the first parent's.

    A path may hold any byte but the one that ends it, so what a word is is told by where it stands.
    """
    form = ["--raw", "-t", "--no-abbrev", "--no-renames", "-z", "--format=%x02%H"]
    command = ["log", "--first-parent", "-m", *form, *commits]
    commit_id, changed = "", Changed({}, {})
    with suppress(OSError, StorageError):
        words = _said(objects, command)
        for word in words:
            if word.startswith(b"\x02"):
                if commit_id:
                    yield commit_id, changed
                commit_id, changed = word[1:].decode("ascii"), Changed({}, {})
                continue
            path = next(words, b"").decode("utf-8", "surrogateescape")
            after = word[_MODE_AFTER]
            if after == _FOLDER:
                changed.folders[path] = word[_ID_AFTER].decode("ascii")
            elif after != _NOTHING or word[_MODE_BEFORE] != _FOLDER:
                changed.files[path] = None if after == _NOTHING else word[_ID_AFTER].decode("ascii")
        if commit_id:
            yield commit_id, changed


def read(objects: Path, ids: Sequence[ObjectId]) -> Iterator[tuple[str, bytes]]:
    """Yield the kinds and bodies of objects, unchecked; it ends at one that git cannot read."""
    for found in contents(objects, ids):
        if found is None:
            return
        yield found[0], found[2]


def contents(
    objects: Path, ids: Iterable[ObjectId], longest: int | None = None
) -> Iterator[tuple[str, int, bytes] | None]:
    """Yield the kinds, sizes and bodies of objects, unchecked; None for one that is missing. It may end early.

    Args:
        objects: The folder in which they are.
        ids: Which.
        longest: Bytes; of a longer one the body is passed over, and given as empty.
    """
    with _asked(objects, "--batch", ids) as stream:
        take = stream.read
        for said in iter(stream.readline, b""):
            if said[-9:] == _MISSING:
                yield None
                continue
            kind, number = said[41:].split()
            size = int(number)
            if longest is not None and size > longest:
                _pass_over(stream, size + 1)
                yield _KINDS[kind], size, b""
                continue
            body = take(size + 1)
            if len(body) <= size:
                return
            yield _KINDS[kind], size, body[:-1]


def facts(objects: Path, ids: Iterable[ObjectId]) -> Iterator[tuple[str, int] | None]:
    """Yield the kinds and sizes of objects; None for one that is missing. It may end early."""
    with _asked(objects, "--batch-check", ids) as stream:
        for said in stream:
            if said[-9:] == _MISSING:
                yield None
            else:
                kind, size = said[41:].split()
                yield _KINDS[kind], int(size)


@contextmanager
def _asked(objects: Path, how: str, ids: Iterable[ObjectId]) -> Iterator[BufferedReader]:
    """Give what git says of objects; nothing where there is no git."""
    git = None
    with ExitStack() as stack:
        with suppress(OSError):
            git = stack.enter_context(_run(objects, ["cat-file", how, "--buffer"], "\n".join([*ids, ""])))
        yield _output(git)


def _pass_over(stream: BufferedReader, count: int) -> None:
    while count and (piece := stream.read(min(count, _CHUNK))):
        count -= len(piece)


def beyond(objects: Path, tips: Iterable[ObjectId], known: Iterable[ObjectId]) -> list[ObjectId] | None:
    """Return the commits that ``tips`` have in their history and ``known`` have not, parents before their children.

    None: git failed, or is not there; a commit may be missing.
    """
    told = "".join([*(f"{each}\n" for each in tips), *(f"^{each}\n" for each in known)])
    with suppress(OSError), _run(objects, ["rev-list", "--topo-order", "--reverse", "--stdin"], told) as git:
        found = _output(git).read().decode("ascii").split()
        if git is not None and git.wait() == 0:
            return found
    return None


def reachable(objects: Path, roots: Iterable[ObjectId]) -> frozenset[bytes] | None:
    """Return the ids of all objects that some objects, which are there, lead to, themselves too; what is missing leads
    nowhere. None: there is no git, or it cannot tell.
    """
    command = ["rev-list", "--objects", "--no-object-names", "--missing=allow-any", "--stdin"]
    return _listed(objects, command, roots)


def _listed(objects: Path, command: list[str], told: Iterable[str]) -> frozenset[bytes] | None:
    with _run(objects, command, "".join(f"{each}\n" for each in told)) as git:
        found = frozenset(bytes.fromhex(line[:40].decode("ascii")) for line in _output(git) if len(line) == _LINE)
        return found if git is not None and git.wait() == 0 else None


def _said(objects: Path, arguments: list[str], told: str = "") -> Iterator[bytes]:
    """Yield what git says, each of which ends with a NUL.

    Raises:
        StorageError: It failed, so that there may be more.
    """
    rest = b""
    with _run(objects, arguments, told) as git:
        stream = _output(git)
        while chunk := stream.read1(_CHUNK):
            *records, rest = (rest + chunk).split(b"\0")
            yield from records
        if git is not None and git.wait() != 0:
            raise StorageError(f"`git {arguments[0]}` failed: exit status {git.returncode}")


def _output(git: "subprocess.Popen[bytes] | None") -> BufferedReader:
    return BufferedReader(BytesIO()) if git is None else git.stdout  # type: ignore[return-value]  # a pipe


@contextmanager
def _run(objects: Path, arguments: list[str], told: str = "") -> "Iterator[subprocess.Popen[bytes] | None]":
    """Run git on some objects; give the process, None where there is no git. ``told`` is what it reads."""
    program = shutil.which("git")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="gitstate-") as folder:
        _make_repository(Path(folder))
        environment = _environment(Path(folder)) | {"GIT_OBJECT_DIRECTORY": os.fspath(objects.absolute())}
        stdin = Path(folder) / "stdin"  # no pipe: it may take less than is told, and git waits for us to listen
        stdin.write_text(told)
        with (
            open(stdin, "rb") as source,
            subprocess.Popen(  # noqa: S603 - as above
                [program, *arguments],
                env=environment,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=_WIDE,  # all that waits there is taken at once: for each piece, both would wait for each other
            ) as process,
        ):
            try:
                widen(process.stdout)
                yield process
            finally:
                process.kill()


def widen(pipe: Any) -> None:
    """Let a pipe hold more, where that can be done, so that who writes and who reads wait less for each other."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # many pipes have taken what this user may have
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _WIDE)


def _make_repository(folder: Path) -> None:
    (folder / "refs").mkdir()
    files.create(os.fspath(folder / "config"), _CONFIG, durable=False)
    files.create(os.fspath(folder / "HEAD"), b"ref: refs/heads/main\n", durable=False)


def _environment(git_dir: Path | None = None) -> dict[str, str]:
    """Return the environment without what would make git work elsewhere, or run or write something."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    ours = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}
    return kept | ours | ({"GIT_DIR": os.fspath(git_dir)} if git_dir else {})
