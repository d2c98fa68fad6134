"""What we ask of a repository's own configuration, and how it is written: the branch that state is kept on.

The file is somebody else's: a section is added at its end, or the value in the one that we or `git config` added is
another one; all else stays, and so do its permissions. Remotes are written by :mod:`gitstate.engine.remotes`.
"""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from dulwich.config import ConfigFile

from gitstate.engine import files
from gitstate.engine.locks import LockFile
from gitstate.engine.repository import Repository, configuration, is_true, locate, read_configuration, setting
from gitstate.errors import StorageError

__all__ = [
    "addresses",
    "branch_named",
    "name_branch",
    "redacts",
    "remote_names",
    "remotes",
    "rewrite",
    "with_lines",
]

_SECTION = (b"gitstate",)
_KEY = b"branch"
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
    return config is None or is_true(setting(config, _SECTION, b"redact", b"true"))


def _ours(folder: Path) -> ConfigFile | None:
    """Return the configuration of a repository that says something of ours."""
    with files.storage_errors(folder):
        repository = locate(folder.absolute(), "")
        if repository is None:
            return None
        content = files.read_if_there(repository.common_dir / "config")
        if not any(word in content.lower() for word in (_SECTION[0], b"include")):
            return None  # nearly always, and dulwich need not be read
        return configuration(repository)


def name_branch(repository: Repository) -> None:
    """Let a repository's configuration say that state is kept on the branch that it was opened with; call it under
    the store's lock.

    Raises:
        BusyError: A living git holds the file's lock; the message names it.
        UnsupportedError: The file cannot be read as git's configuration.
        OSError: The disk refused; the file is as it was.
    """
    if _branch(configuration(repository)) == repository.branch:
        return
    rewrite(
        repository,
        lambda content: _with_branch(content, repository.branch),
        lambda config: _branch(config) == repository.branch,
        by_hand=f"`git config gitstate.branch {repository.branch}`",
    )


def rewrite(
    repository: Repository, change: Callable[[bytes], bytes], is_right: Callable[[ConfigFile], bool], *, by_hand: str
) -> None:
    """Change a repository's configuration by git's own protocol, durably; call it under the store's lock.

    Args:
        repository: Whose configuration it is.
        change: Gives the new content of the file for the present one.
        is_right: Whether what is written says, when it is read, what it must; else nothing is changed.
        by_hand: What a person does where this cannot do it.

    Raises:
        BusyError: A living git holds the file's lock; the message names it.
        UnsupportedError: The file cannot be read as git's configuration.
        StorageError: What would be written is not right.
        OSError: The disk refused; the file is as it was.
    """
    path = Path(os.path.realpath(repository.common_dir / "config"))
    with LockFile(repository.private, path, b"", timeout=_PATIENCE) as lock:
        content = files.read(path) if path.exists() else b""
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        _write(f"{path}.lock", change(content), mode)
        if not is_right(read_configuration(Path(f"{path}.lock"))):
            raise StorageError(f"{path} cannot be changed", hint=by_hand)
        lock.replace()


def remotes(repository: Repository) -> list[str]:
    """Return the names of the remotes that a repository's configuration has."""
    return sorted(remote_names(configuration(repository)))


def remote_names(config: ConfigFile) -> set[str]:
    """Return the names of the remotes that a configuration has."""
    return {os.fsdecode(each[1]) for each in config.sections() if len(each) == 2 and each[0].lower() == b"remote"}


def addresses(repository: Repository) -> dict[str, str]:
    """Return the addresses of the remotes by their names, as they may be shown."""
    from gitstate.engine.wire.addresses import shown  # not at start-up

    config, found = configuration(repository), {}
    for name in sorted(remote_names(config)):
        found[name] = shown(os.fsdecode(setting(config, (b"remote", os.fsencode(name)), b"url")))
    return found


def _branch(config: ConfigFile) -> str | None:
    return os.fsdecode(setting(config, _SECTION, _KEY)) or None


def _with_branch(content: bytes, branch: str) -> bytes:
    """Return a configuration whose last word is the branch; git believes the last one."""
    value = branch if _PLAIN.fullmatch(branch) else '"{}"'.format(branch.replace("\\", "\\\\").replace('"', '\\"'))
    line = os.fsencode(value) + b"\n"
    if ours := list(_OURS.finditer(content)):
        return content[: ours[-1].end(1)] + line + content[ours[-1].end() :]
    return with_lines(content, b"[gitstate]\n\tbranch = " + line)


def with_lines(content: bytes, lines: bytes) -> bytes:
    """Return a configuration with a section at its end."""
    if content and not content.endswith(b"\n"):
        content += b"\n"
    if content.endswith(b"\\\n"):
        content += b"\n"  # else our line would go on with the last one
    return content + lines


def _write(path: str, content: bytes, mode: int) -> None:
    """Write a lock file that we hold. It may hold secrets, as an address with a password."""
    os.chmod(path, mode)
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        files.write_all(fd, content)
        files.sync(fd)
    finally:
        os.close(fd)
