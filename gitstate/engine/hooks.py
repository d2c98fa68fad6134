"""Git's hooks: scripts of ours beside those of other people, which run first and stay as they are.

A hook of ours has a line with its version and a checksum of the rest: so it is told whether somebody edited it.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gitstate.engine import files, plain
from gitstate.engine.repository import Repository
from gitstate.errors import ExistsError, UnsupportedError

__all__ = ["BEFORE", "Hook", "Standing", "folder"]

BEFORE = ".before-gitstate"
"""Ends the name of a hook that was there, and is run by ours."""

_VERSION = 1
_MARK = re.compile(rb"\A#!/bin/sh\n# gitstate hook (\d+), ([0-9a-f]{16})\n")

Standing = Literal["installed", "outdated", "edited", "missing"]
"""``outdated``: another version of us, or one in another place, wrote it. ``edited``: a person changed it since."""


def folder(repository: Repository) -> Path:
    """Return where git looks for the hooks of a repository.

    Raises:
        UnsupportedError: That is another folder than the repository's own (``core.hooksPath``): one that serves all
            repositories, or one among the project's files, kept by git or by a tool whose hooks ask by which name they
            were started. Or there is no git.
    """
    where = repository.worktree or repository.git_dir
    path = Path(os.path.join(where, plain.ask(repository, "rev-parse", "--git-path", "hooks")))
    if not _is_below(path, repository.common_dir):
        raise UnsupportedError(
            f"git's setting core.hooksPath names {path}, which is not this repository's own folder of hooks",
            hint="have the hook there run `gitstate verify --staged`, or `git config core.hooksPath .git/hooks` here",
        )
    return path


def _is_below(path: Path, place: Path) -> bool:
    real, top = os.path.realpath(path), os.path.realpath(place)
    return real == top or real.startswith(top + os.sep)


@dataclass(frozen=True)
class Hook:
    """One hook of a repository: where it is, and the shell text that it shall run."""

    path: Path
    body: str

    @property
    def before(self) -> Path:
        """Where a hook that was there lies now."""
        return self.path.with_name(self.path.name + BEFORE)

    def standing(self) -> Standing:
        """Return how it stands; where only others' hook is, ours is ``missing``. A newer one of ours is let be."""
        content = self._content()
        found = None if content is None else _MARK.match(content)
        if content is None or found is None:
            return "missing"
        if _checksum(content[found.end() :]) != found[2]:
            return "edited"
        is_newer = int(found[1]) > _VERSION
        return "installed" if (is_newer or content == self._text()) and os.access(self.path, os.X_OK) else "outdated"

    def install(self, *, force: bool = False) -> bool:
        """Put the hook there; False: it is there. A hook of other people's making is kept, and runs first.

        Raises:
            ExistsError: Somebody edited ours, and ``force`` is False; or there are two hooks to keep.
            StorageError: The disk refused.
        """
        standing = self.standing()
        if standing == "installed":
            return False
        self._refuse_edited(standing, force, "write it anew")
        with files.storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if standing == "missing" and os.path.lexists(self.path):
                if os.path.lexists(self.before) and not self._is_kept():
                    raise ExistsError(
                        f"{self.path} is there, and so is {self.before.name}, which was there before gitstate's",
                        hint="remove or join them: one of them can be kept",
                    )
                self._keep()
            plain.replace_file(self.path, self._text(), mode=0o755)
        return True

    def remove(self, *, force: bool = False) -> bool:
        """Take the hook away, and put back what was before it; False: it was not there. Raises as :meth:`install`."""
        standing = self.standing()
        if standing == "missing":
            return False
        self._refuse_edited(standing, force, "remove it")
        with files.storage_errors(self.path):
            if os.path.lexists(self.before):
                os.replace(self.before, self.path)
            else:
                self.path.unlink()
        return True

    def _keep(self) -> None:
        """Give a hook of other people's the other name; it is never without one, so that it goes on to be there."""
        if self.path.is_symlink():
            os.replace(self.path, self.before)  # a link to a link would do, but not on each system
        elif not self._is_kept():
            os.link(self.path, self.before)

    def _is_kept(self) -> bool:
        """Whether a hook of other people's has both names: who gave it the second one was killed."""
        return self.before.exists() and not self.path.is_symlink() and self.path.samefile(self.before)

    def _refuse_edited(self, standing: Standing, force: bool, what: str) -> None:
        if standing == "edited" and not force:
            raise ExistsError(f"{self.path} was edited since gitstate wrote it", hint=f"--force: {what} all the same")

    def _content(self) -> bytes | None:
        with files.storage_errors(self.path):
            try:
                return files.read(self.path)
            except FileNotFoundError:
                return None

    def _text(self) -> bytes:
        body = self.body.encode("utf-8", "surrogateescape")
        return b"#!/bin/sh\n# gitstate hook %d, %s\n" % (_VERSION, _checksum(body)) + body


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:16].encode("ascii")
