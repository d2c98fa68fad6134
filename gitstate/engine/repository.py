"""Find, check and make repositories; what we do not work with is refused and left alone.

Layout: https://git-scm.com/docs/gitrepository-layout, extensions: https://git-scm.com/docs/repository-version.
"""

import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from dulwich.config import ConfigFile, StackedConfig
from dulwich.refs import Ref, check_ref_format

from gitstate.engine import files
from gitstate.errors import InvalidInputError, StoreNotFoundError, UnsupportedError

__all__ = [
    "BRANCHES",
    "DEFAULT_BRANCH",
    "OURS",
    "REMOTES",
    "SEEN",
    "TAGS",
    "Repository",
    "configuration",
    "find_store",
    "is_branch_name",
    "is_true",
    "locate",
    "open_repository",
    "read_configuration",
    "setting",
    "user_configuration",
]


DEFAULT_BRANCH = "main"
"""The branch of a folder that is a store and nothing else."""

# What the full names of refs begin with.
BRANCHES = "refs/heads/"
TAGS = "refs/tags/"
REMOTES = "refs/remotes/"
OURS = "refs/gitstate/"
SEEN = f"{OURS}remotes/"
"""Those of ours that remotes have, as they were seen there last."""


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a repository's parts are. ``worktree`` is None for a bare one."""

    git_dir: Path
    """Its own: ``HEAD`` and git's index. Differs from ``common_dir`` in a linked worktree."""
    common_dir: Path
    """What linked worktrees share: objects, refs, configuration."""
    worktree: Path | None
    branch: str

    def path(self, name: str) -> str:
        """Return where something is that linked worktrees share. A text: paths of ``pathlib`` cost 10 us to make."""
        return f"{self.common_dir}/{name}"

    @property
    def ref(self) -> str:
        """The branch's full name."""
        return BRANCHES + self.branch

    @property
    def objects(self) -> Path:
        """The folder of the objects."""
        return self.common_dir / "objects"

    @property
    def private(self) -> Path:
        """The folder of what is ours alone: locks, and later the journal and the index. Never pushed."""
        return self.common_dir / "gitstate"


def find_store(start: Path) -> Path | None:
    """Return the repository's folder that holds ``start``, itself or the nearest above it, as git finds it."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if locate(folder, "") is not None), None)


def open_repository(path: Path, *, branch: str = DEFAULT_BRANCH, create: bool = True, bare: bool = False) -> Repository:
    """Open the repository at ``path``; make it where there is nothing, an empty folder or an empty repository.

    Whether it holds a store is for the floor above to say.

    Args:
        path: The folder with the worktree, or the repository itself (``.git`` or bare).
        branch: The branch to work on.
        create: Whether to make a repository where there is none.
        bare: Whether a new one has no worktree.

    Raises:
        StoreNotFoundError: There is no repository, and ``create`` is False.
        InvalidInputError: The path is a file, or the path or the branch cannot be named so.
        UnsupportedError: What is there is not for us; the message names path and reason. It was left alone.
        StorageError: The disk refused.
    """
    if sys.platform not in {"linux", "darwin"}:
        raise UnsupportedError(f"gitstate does not work on {sys.platform}", hint="use Linux or macOS")
    if "\0" in str(path) or not _can_be_encoded(str(path)):
        raise InvalidInputError(f"{str(path)!r} cannot be a path", hint="name an ordinary folder")
    if not is_branch_name(branch):
        short = str(branch).removeprefix(BRANCHES)
        hint = f"try `{short if is_branch_name(short) else DEFAULT_BRANCH}`"
        raise InvalidInputError(f"{branch!r} cannot be the name of a branch", hint=hint)
    path = path.absolute()
    with files.storage_errors(path):
        repository = locate(path, branch)
        if repository is None:
            repository = _make(path, branch, create, bare)
        _check_owner(repository, path)
        repository = _check_configuration(repository)
        if create:
            _adopt_if_empty(repository)
    return repository


def is_branch_name(name: str) -> bool:
    """Whether a text can be the name of a branch, as git has it; the full name of a ref is none that anybody means."""
    return (
        isinstance(name, str)
        and _can_be_encoded(name)
        and name != "HEAD"
        and not name.startswith(("-", "refs/"))
        and check_ref_format(Ref(os.fsencode(BRANCHES + name)))
    )


def _can_be_encoded(name: str) -> bool:
    """Whether the file system has bytes for a name: lone surrogates that stand for no byte (PEP 383) have none."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def locate(path: Path, branch: str) -> Repository | None:
    """Return the repository at exactly this path, or None. It is not looked at whether we can work with it.

    Raises:
        UnsupportedError: What is there leads to no repository.
        OSError: It cannot be read.
    """
    inner = path / ".git"
    if inner.is_file():
        content = files.read(inner)
        if not content.startswith(b"gitdir: "):
            raise UnsupportedError(f"{inner} is no file of git's", hint="look what it is")
        git_dir = path / os.fsdecode(content[8:].rstrip(b"\r\n"))
        if not _is_git_dir(git_dir):
            raise UnsupportedError(f"{inner} points to {git_dir}, which is no repository", hint="`git worktree repair`")
        return Repository(git_dir, _common_dir(git_dir), path, branch)
    if _is_git_dir(inner):
        return Repository(inner, _common_dir(inner), path, branch)
    if _is_git_dir(path):
        return Repository(path, _common_dir(path), path.parent if path.name == ".git" else None, branch)
    return None


def _is_git_dir(path: Path) -> bool:
    if not os.path.lexists(path / "HEAD"):
        return False
    common = _common_dir(path)
    return (common / "objects").is_dir() and (common / "refs").is_dir()


def _common_dir(git_dir: Path) -> Path:
    try:
        content = files.read(git_dir / "commondir")
    except (FileNotFoundError, NotADirectoryError):
        return git_dir
    return Path(os.path.normpath(git_dir / os.fsdecode(content.strip())))


def _make(path: Path, branch: str, create: bool, bare: bool) -> Repository:
    if path.exists() and not path.is_dir():
        raise InvalidInputError(f"{path} is a file", hint="give the path of a folder")
    if not create:
        raise StoreNotFoundError(f"there is no store at {path}", hint="`gitstate init` makes one")
    path.mkdir(parents=True, exist_ok=True)
    with _alone_in(path):
        found = locate(path, branch)  # somebody else may have been faster
        if found is not None:
            return found
        git_dir = path if bare else path / ".git"
        if not _vacant(path, git_dir):
            above = find_store(path)
            other = "run `git init` there" if above is None else f"name the repository that it lies in: {above}"
            raise UnsupportedError(
                f"{path} is not empty and no git repository", hint=f"choose an empty folder, or {other}"
            )
        _write_layout(git_dir, branch, bare)
        files.sync_directory(path)
        files.sync_directory(path.parent)
    return Repository(git_dir, git_dir, None if bare else path, branch)


@contextmanager
def _alone_in(path: Path) -> Iterator[None]:
    """Keep other processes that would make a repository here waiting; the kernel ends it at death."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


_LAYOUT = {"gitstate", "objects", "refs", "config", "config.new", "HEAD.new"}


def _vacant(path: Path, git_dir: Path) -> bool:
    """Whether a repository can be made here: nothing is there, or what we made before we were killed."""
    inside = set(os.listdir(git_dir)) if git_dir.is_dir() else set()
    outside = set(os.listdir(path)) - {git_dir.name} if git_dir != path else set()
    return not outside and (not inside or ("gitstate" in inside and inside <= _LAYOUT))


def _write_layout(git_dir: Path, branch: str, bare: bool) -> None:
    """Make a repository; ``gitstate`` comes first, to tell ours when it was left unfinished, and ``HEAD`` last."""
    (git_dir / "gitstate").mkdir(parents=True, exist_ok=True)
    files.sync_directory(git_dir)
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (git_dir / folder).mkdir(parents=True, exist_ok=True)
    config = (
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n"
        f"\tbare = {str(bare).lower()}\n\tlogAllRefUpdates = true\n"
        "[gc]\n\tauto = 0\n"  # we fold packs ourselves; git's own would stop a person's command for it
    )
    files.replace(git_dir / "config", config.encode())
    for folder in ("objects", "refs", ""):
        files.sync_directory(git_dir / folder)
    files.replace(git_dir / "HEAD", b"ref: " + os.fsencode(BRANCHES + branch) + b"\n")
    files.sync_directory(git_dir)


def _adopt_if_empty(repository: Repository) -> None:
    """Let an empty repository's ``HEAD`` point to our branch, so that plain git shows what will be there."""
    from gitstate.engine import refs  # it needs this module's Repository

    if os.path.exists(repository.path(repository.ref)):
        return
    if repository.git_dir == repository.common_dir and refs.any_ref(repository) is None:
        wanted = repository.ref
        if refs.read_head(repository) != wanted and not _is_a_beginning(repository):
            with _alone_in(repository.git_dir):
                files.replace(repository.git_dir / "HEAD", b"ref: " + os.fsencode(wanted) + b"\n")


def _is_a_beginning(repository: Repository) -> bool:
    """Whether a project seems to begin in an empty repository, whose first commit must not go to our branch."""
    if repository.worktree is None:
        return False
    has_files = any(name != ".git" for name in os.listdir(repository.worktree))
    return repository.branch != DEFAULT_BRANCH or has_files or (repository.git_dir / "index").exists()


_MOST_CONFIGURATION = 1 << 24  # bytes of a file
_FALSE = (b"false", b"no", b"off", b"0", b"")
_EXTENSIONS = {
    b"noop": None,
    b"worktreeconfig": None,
    b"relativeworktrees": None,
    b"objectformat": b"sha1",
    b"refstorage": b"files",
}


def _check_configuration(repository: Repository) -> Repository:
    """Refuse the kinds of repositories in which we would lose or miss something; learn whether it is bare."""
    where = repository.worktree or repository.git_dir
    config = configuration(repository)
    version = setting(config, (b"core",), b"repositoryformatversion", b"0")
    if version not in {b"0", b"1"}:
        raise UnsupportedError(f"{where} has repository format version {version.decode()}", hint="upgrade gitstate")
    for name, value in config.items((b"extensions",)):
        if name.lower() == b"partialclone":
            _refuse_partial(where)
        wanted = _EXTENSIONS.get(name.lower(), b"")
        if wanted is not None and wanted != value.lower():
            what = f"{name.decode('utf-8', 'replace')} = {value.decode('utf-8', 'replace')}"
            raise UnsupportedError(
                f"{where} uses git's extension {what}, which gitstate does not know", hint="use a repository without it"
            )
    for section in config.sections():
        if section[0] == b"remote" and is_true(setting(config, section, b"promisor")):
            _refuse_partial(where)
    shallow = repository.common_dir / "shallow"
    if shallow.exists() and shallow.stat().st_size:
        raise UnsupportedError(f"{where} is a shallow clone", hint="`git fetch --unshallow` makes it whole")
    work = setting(config, (b"core",), b"worktree")
    there = os.path.realpath(repository.git_dir / os.fsdecode(work))
    linked = repository.git_dir != repository.common_dir  # git does not ask for core.worktree and core.bare then
    if work and not linked and there != os.path.realpath(where):
        hint = f"open {there}" if os.path.isdir(there) else "mend core.worktree if the folder was moved"
        raise UnsupportedError(f"{where} has its worktree elsewhere (core.worktree): {there}", hint=hint)
    if not linked and is_true(setting(config, (b"core",), b"bare")):
        return replace(repository, worktree=None)
    return repository


def _refuse_partial(where: Path) -> None:
    raise UnsupportedError(f"{where} is a partial clone", hint="clone it anew, without --filter")


def _check_owner(repository: Repository, path: Path) -> None:
    """Refuse another user's repository, as git does: its configuration would act in our name."""
    mine = {os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        mine.add(int(os.environ["SUDO_UID"]))
    places = {repository.git_dir, repository.common_dir, repository.worktree or repository.git_dir}
    strange = [place for place in sorted(places) if os.stat(place).st_uid not in mine]
    if strange and not _is_safe(repository.worktree or repository.git_dir):
        raise UnsupportedError(
            f"{strange[0]} belongs to another user",
            hint=f"if you trust it: git config --global --add safe.directory {repository.worktree or path}",
        )


def _is_safe(place: Path) -> bool:
    real = os.path.realpath(place)
    safe = False
    for config in reversed(user_configuration()):  # the system's first: an empty value takes back what stood before
        if (b"safe",) not in set(config.sections()):
            continue
        for value in map(os.fsdecode, config.get_multivar((b"safe",), b"directory")):
            if not value:
                safe = False
            elif value == "*" or real == os.path.realpath(os.path.expanduser(value)):
                safe = True
            elif value.endswith("/*"):
                safe = safe or real.startswith(os.path.realpath(os.path.expanduser(value[:-2])) + "/")
    return safe


def read_configuration(path: Path) -> ConfigFile:
    """Read a file of a repository's configuration, and what it includes.

    Raises:
        UnsupportedError: It cannot be read as that.
        OSError: It is not there, or the disk refused.
    """
    try:
        return ConfigFile.from_path(path, file_opener=_open_configuration)
    except ValueError as error:
        raise UnsupportedError(
            f"{path} cannot be read: {error}", hint="mend it; `git config --list` says where"
        ) from None


def configuration(repository: Repository) -> ConfigFile:
    """Read a repository's own configuration, without which git works too. Raises as :func:`read_configuration` does."""
    try:
        return read_configuration(repository.common_dir / "config")
    except FileNotFoundError:
        return ConfigFile()


def setting(config: ConfigFile, section: tuple[bytes, ...], name: bytes, default: bytes = b"") -> bytes:
    """Return what a configuration says last of something, else the default."""
    try:
        return config.get(section, name)
    except KeyError:
        return default


def is_true(value: bytes) -> bool:
    """Whether a value means yes, as git has it."""
    return value.lower() not in _FALSE


def _open_configuration(path: str | os.PathLike[str]) -> BinaryIO:
    """Open such a file. Who made the repository may include what never ends; dulwich passes over what is refused."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_CONFIGURATION:
        raise ValueError("it is no file, or a very large one")
    return open(path, "rb")


def user_configuration() -> list[ConfigFile]:
    """Return the user's and the system's configuration of git, the stronger first; never a repository's.

    Raises:
        UnsupportedError: One of the files cannot be read as git's configuration.
    """
    try:
        return StackedConfig.default_backends()
    except ValueError as error:
        raise UnsupportedError(
            f"git's configuration cannot be read: {error}", hint="`git config --list` says where"
        ) from None
