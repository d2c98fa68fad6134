"""What we ask of a repository's own configuration, and the one line of ours that we write into it.

The file is somebody else's: a section is added at its end, or the value in the one that we or `git config` added is
another one; all else stays, and so do its permissions.
"""

import os
import re
import stat
from pathlib import Path

from dulwich.config import ConfigFile

from gitstate.engine import files
from gitstate.engine.locks import LockFile
from gitstate.engine.repository import Repository, locate
from gitstate.errors import StorageError, UnsupportedError

__all__ = ["branch_named", "name_branch", "redacts", "remotes"]

_SECTION = (b"gitstate",)
_KEY = b"branch"
_FALSE = (b"false", b"no", b"off", b"0", b"")  # as git has it
_PATIENCE = 10.0  # seconds to wait for a living git that holds the file
_OURS = re.compile(rb"(?<!\\\n)^(\[gitstate\]\n\tbranch = )(?:[^\n\\]|\\[^\n])*\n", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9._/-]+")


def branch_named(folder: Path) -> str | None:
    """Return the branch that the repository at ``folder`` says that state is kept on (``gitstate.branch``), or None.

    Raises:
        UnsupportedError: Its configuration cannot be read.
        StorageError: The disk refused.
    """
    config = _ours(folder)
    return None if config is None else _branch(config)


def redacts(folder: Path) -> bool:
    """Whether the command line replaces credentials in the store at ``folder``: unless its configuration says
    ``gitstate.redact = false``. Raises as :func:`branch_named` does.
    """
    config = _ours(folder)
    try:
        return config is None or config.get(_SECTION, b"redact").lower() not in _FALSE
    except KeyError:
        return True


def _ours(folder: Path) -> ConfigFile | None:
    """Return the configuration of a repository that says something of ours."""
    with files.storage_errors(folder):
        repository = locate(folder.absolute(), "")
        if repository is None:
            return None
        path = repository.common_dir / "config"
        try:
            content = files.read(path)
        except FileNotFoundError:
            return None
        if _SECTION[0] not in content.lower():
            return None  # nearly always, and dulwich need not be read
        return _parse(path)


def name_branch(repository: Repository) -> None:
    """Let a repository's configuration say that state is kept on the branch that it was opened with; call it under
    the store's lock.

    Raises:
        BusyError: A living git holds the file's lock; the message names it.
        UnsupportedError: The file cannot be read as git's configuration.
        OSError: The disk refused; the file is as it was.
    """
    path = Path(os.path.realpath(repository.common_dir / "config"))
    if path.exists() and _branch(_parse(path)) == repository.branch:
        return
    with LockFile(repository.private, path, b"", timeout=_PATIENCE) as lock:
        content = files.read(path) if path.exists() else b""
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        _write(f"{path}.lock", _with_branch(content, repository.branch), mode)
        if _branch(_parse(Path(f"{path}.lock"))) != repository.branch:
            raise StorageError(f"{path} cannot be added to", hint=f"`git config gitstate.branch {repository.branch}`")
        lock.replace()


def remotes(repository: Repository) -> list[str]:
    """Return the names of the remotes that a repository's configuration has."""
    path = repository.common_dir / "config"
    sections = _parse(path).sections() if path.exists() else ()
    return sorted({os.fsdecode(each[1]) for each in sections if len(each) == 2 and each[0].lower() == b"remote"})


def _parse(path: Path) -> ConfigFile:
    try:
        return ConfigFile.from_path(path)
    except ValueError as error:
        raise UnsupportedError(
            f"{path} cannot be read: {error}", hint="mend it; `git config --list` says where"
        ) from None


def _branch(config: ConfigFile) -> str | None:
    try:
        return os.fsdecode(config.get(_SECTION, _KEY)) or None
    except KeyError:
        return None


def _with_branch(content: bytes, branch: str) -> bytes:
    """Return a configuration whose last word is the branch; git believes the last one."""
    value = branch if _PLAIN.fullmatch(branch) else '"{}"'.format(branch.replace("\\", "\\\\").replace('"', '\\"'))
    line = os.fsencode(value) + b"\n"
    if ours := list(_OURS.finditer(content)):
        return content[: ours[-1].end(1)] + line + content[ours[-1].end() :]
    if content and not content.endswith(b"\n"):
        content += b"\n"
    if content.endswith(b"\\\n"):
        content += b"\n"  # else our line would go on with the last one
    return content + b"[gitstate]\n\tbranch = " + line


def _write(path: str, content: bytes, mode: int) -> None:
    """Write a lock file that we hold. It may hold secrets, as an address with a password."""
    os.chmod(path, mode)
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        files.write_all(fd, content)
        files.sync(fd)
    finally:
        os.close(fd)
