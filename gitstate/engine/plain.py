"""What plain git is told about a repository, for people who use it there: attributes, and settings.

Settings are read and written by the person's own git, which keeps all else in a file as it is.
"""

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from gitstate.engine import files
from gitstate.engine.repository import Repository
from gitstate.errors import ExistsError, InvalidInputError, StorageError, UnsupportedError

__all__ = ["Block", "ask", "merge_lines", "replace_file", "set_settings", "settings"]

_BEGIN = b"# gitstate: what follows is written by `gitstate attributes install`"
_END = b"# gitstate: end"
_BLOCK = re.compile(rb"^%s\n(.*?)^%s\n" % (re.escape(_BEGIN), re.escape(_END)), re.DOTALL | re.MULTILINE)
_TIMEOUT = 60.0  # seconds


class Block:
    """Our lines in a file of git's attributes. They stand at its top, so that a person's own lines overrule them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[str] | None:
        """Return the lines, or None: they are not there.

        Raises:
            InvalidInputError: Somebody took a part of them away.
            StorageError: The file cannot be read.
        """
        found = self._find(self._content())
        return None if found is None else found[1].decode(errors="replace").splitlines()

    def write(self, lines: Sequence[str]) -> bool:
        """Put the lines there, in the place of those that are; False: they were there. Raises as :meth:`read` does."""
        content = self._content()
        block = b"".join([_BEGIN, b"\n", *(f"{line}\n".encode() for line in lines), _END, b"\n"])
        found = self._find(content)
        new = block + content if found is None else content[: found.start()] + block + content[found.end() :]
        if new == content:
            return False
        with files.storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path, new)
        return True

    def remove(self) -> bool:
        """Take the lines away, and the file if nothing else is in it; False: they were not there."""
        content = self._content()
        found = self._find(content)
        if found is None:
            return False
        rest = content[: found.start()] + content[found.end() :]
        with files.storage_errors(self.path):
            if rest:
                replace_file(self.path, rest)
            else:
                self.path.unlink()
        return True

    def _content(self) -> bytes:
        if self.path.is_symlink():
            raise UnsupportedError(f"{self.path} is a link, which git does not follow", hint="make it a file")
        with files.storage_errors(self.path):
            return files.read_if_there(self.path)

    def _find(self, content: bytes) -> re.Match[bytes] | None:
        found = _BLOCK.search(content)
        if found is None and _BEGIN in content:
            raise InvalidInputError(
                f"{self.path} holds the first line of what gitstate wrote, and not the last one ({_END.decode()})",
                hint="remove the lines that gitstate wrote",
            )
        return found


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write a file beside its place and move it there; it keeps its permissions, unless others are given."""
    if mode is None and path.exists():
        mode = os.stat(path).st_mode & 0o777
    new = f"{path.parent}/.{path.name}.{secrets.token_hex(8)}"
    files.create(new, content, mode=0o666 if mode is None else mode & 0o600)  # a new one as the umask has it
    try:
        if mode is not None:
            os.chmod(new, mode)
        os.replace(new, path)
    except BaseException:
        files.remove(new)
        raise


def settings(repository: Repository, names: Sequence[str]) -> dict[str, str]:
    """Return those of some settings that the repository's own configuration has; the last value of each."""
    text = _git(repository, ["config", "--file", _file(repository), "--null", "--list"], missing_ok=True)
    found = dict(line.partition("\n")[::2] for line in text.split("\0") if line)
    return {name: found[name] for name in names if name in found}


def set_settings(repository: Repository, wanted: Mapping[str, str | None], ours: Mapping[str, str]) -> bool:
    """Set some settings of a repository, or remove them (None); False: they were so already.

    Args:
        repository: Whose configuration is changed.
        wanted: The values by name.
        ours: What a value that is ours holds, by name. One that does not hold it is a person's.

    Raises:
        ExistsError: A value is a person's; nothing was changed. None of these is removed.
        UnsupportedError: There is no git.
        StorageError: Git could not write.
    """
    known = settings(repository, list(wanted))
    foreign = [name for name, value in known.items() if ours[name] not in value]
    taken = [name for name in foreign if wanted[name] is not None]
    if taken:
        raise ExistsError(
            f"{taken[0]} is set in {_file(repository)} already, to {known[taken[0]]!r}",
            hint=f"if you do not need it: git config --unset-all {taken[0]}",
        )
    changed = {name: value for name, value in wanted.items() if known.get(name) != value and name not in foreign}
    for name, value in changed.items():
        change = ["--unset-all", name] if value is None else ["--replace-all", name, value]
        _git(repository, ["config", "--file", _file(repository), *change])
    return bool(changed)


def ask(repository: Repository, *arguments: str) -> str:
    """Return what the person's own git says of a repository, with all settings that hold for the person."""
    return _git(repository, list(arguments)).rstrip("\n")


def merge_lines(ours: Path, base: Path, theirs: Path, labels: Sequence[str], marker_size: int) -> tuple[bytes, bool]:
    """Merge three files line by line, as git does; return the text and whether it is without conflict.

    Raises:
        StorageError: Git cannot merge them: they are no text.
    """
    names = [word for label in labels for word in ("-L", label)]
    command = ["merge-file", "-p", f"--marker-size={marker_size}", *names, *map(str, (ours, base, theirs))]
    done = _run(command, Path.cwd())
    if not 0 <= done.returncode <= 127:
        reason = done.stderr.decode(errors="replace").strip()
        raise StorageError(f"git cannot merge the lines: {reason}", hint="take one side, with git checkout")
    return done.stdout, done.returncode == 0


def _file(repository: Repository) -> str:
    return os.fspath(repository.common_dir / "config")


def _git(repository: Repository, arguments: list[str], *, missing_ok: bool = False) -> str:
    done = _run(arguments, repository.worktree or repository.git_dir)
    if done.returncode and not (missing_ok and not os.path.exists(_file(repository))):
        reason = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise StorageError(f"`git {arguments[0]}` failed: {reason}", hint="`git config --list` says where")
    return done.stdout.decode("utf-8", "surrogateescape")


def _run(arguments: list[str], folder: Path) -> "subprocess.CompletedProcess[bytes]":
    program = shutil.which("git")
    if program is None:
        raise UnsupportedError("there is no git here, and this is for people who use it", hint="install git")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept = {name: value for name, value in os.environ.items() if name.startswith("GIT_CONFIG")}
    try:
        return subprocess.run(  # noqa: S603 - the arguments are ours, and the program is the user's own git
            [program, *arguments],
            cwd=folder,
            env=environment | kept | {"LC_ALL": "C"},
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StorageError(f"`git {arguments[0]}` took more than {_TIMEOUT:g} s") from error
