"""Who commits: the environment, then git's configuration, then user and host."""

import getpass
import os
import socket
import time
from contextlib import suppress

from dulwich.config import StackedConfig

from gitstate.engine.objects import Signature
from gitstate.engine.repository import Repository, configuration, user_configuration

__all__ = ["Identity"]


class Identity:
    """The name and address that commits bear; read once, for as long as the repository stays open."""

    def __init__(self, repository: Repository) -> None:
        stack = StackedConfig([configuration(repository), *user_configuration()])
        self._name = _first("GIT_COMMITTER_NAME", "GIT_AUTHOR_NAME") or _get(stack, b"name") or _user()
        self._email = (
            _first("GIT_COMMITTER_EMAIL", "GIT_AUTHOR_EMAIL")
            or _get(stack, b"email")
            or _first("EMAIL")
            or f"{_user()}@{socket.gethostname()}"
        )

    def signature(self) -> Signature:
        """Return who commits, at this second, with the offset of the local time."""
        now = int(time.time())
        return Signature(self._name, self._email, now, time.localtime(now).tm_gmtoff // 60)


def _first(*names: str) -> str:
    return next((value for value in map(os.environ.get, names) if value and value.strip()), "")


def _get(stack: StackedConfig, name: bytes) -> str:
    with suppress(KeyError):
        return stack.get((b"user",), name).decode("utf-8", "surrogateescape").strip()
    return ""


def _user() -> str:
    with suppress(KeyError, OSError):  # a container's user may have no name
        return getpass.getuser()
    return "unknown"
