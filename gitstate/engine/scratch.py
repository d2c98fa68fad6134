"""Private folders for what is on its way in or out: each goes with its work, and one that a dead process left is found.

They lie below the store's private folder, so that nothing in them is part of the repository.
"""

import os
import shutil
from pathlib import Path
from typing import Literal

from gitstate.engine import files, locks
from gitstate.engine.repository import Repository

__all__ = ["BORROWED", "Scratch", "leftovers", "remove_leftovers"]

BORROWED = "../../../objects"
"""Where the repository's objects are, seen from those of a repository that is made in such a folder."""

_PURPOSES = ("incoming-", "outgoing-")


class Scratch:
    """An empty folder of our own, held until :meth:`close`.

    Args:
        repository: Whose private folder it is made in.
        purpose: What its name begins with.

    Raises:
        StorageError: The disk refused.
    """

    path: Path
    fd: int
    """A child of this process that works in the folder shall hold it too."""

    def __init__(self, repository: Repository, purpose: Literal["incoming", "outgoing"]) -> None:
        with files.storage_errors(repository.private):
            repository.private.mkdir(exist_ok=True)
            remove_leftovers(repository)
            while True:
                self.path = repository.private / f"{purpose}-{os.urandom(6).hex()}"
                self.path.mkdir()
                self.fd = locks.hold(self.path, wait=True)
                if self.fd >= 0:
                    break  # otherwise somebody took it for a leftover, before it was held

    def close(self) -> None:
        """Remove the folder and let go of it. Idempotent."""
        if self.fd >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            fd, self.fd = self.fd, -1
            locks.let_go(fd)


def leftovers(repository: Repository) -> list[str]:
    """Return the names of the folders that nobody alive holds, sorted."""
    names = sorted(name for name in os.listdir(repository.private) if name.startswith(_PURPOSES))
    return [name for name in names if not locks.is_held(repository.private / name)]


def remove_leftovers(repository: Repository) -> None:
    """Remove the folders of dead processes; no lock is needed."""
    for name in leftovers(repository):
        fd = locks.hold(repository.private / name, wait=False)
        if fd >= 0:
            shutil.rmtree(repository.private / name, ignore_errors=True)
            locks.let_go(fd)
