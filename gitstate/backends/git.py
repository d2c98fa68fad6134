"""The backend that people come for: the state of jobs in a git repository."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitstate.backends.proposing import ProposingBackend
from gitstate.store.store import Store

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["GitStateBackend"]

_log = logging.getLogger("gitstate")


class GitStateBackend(ProposingBackend):
    """Keeps the states of jobs in a git repository: every save is a commit, every commit can be read with plain git.

    Args:
        path: The folder of the store. It is made where there is nothing, an empty folder or an empty repository.
        model: The pydantic model of the states: :class:`gitstate.CheckpointState`, the default, or any of its shape.
        branch: The branch that holds the store.
        worktree: Whether a new store shows its files in the folder; without it the repository is bare.
        durability: ``"full"``: a save that returned survives a cut of the power.
        create: Whether to make a store where there is none.
        artifacts: A workspace and a pattern, from which ``get_next_sheet`` of a job without state is inferred.

    Raises:
        StoreNotFoundError: There is no store and ``create`` is False.
        UnsupportedError: What is at ``path`` is not ours; it was left alone.
        InvalidInputError: An argument cannot be meant, or ``path`` is a file.
        StorageError: The disk refused.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        model: type[BaseModel] | None = None,
        branch: str = "main",
        worktree: bool = True,
        durability: str = "full",
        create: bool = True,
        artifacts: tuple[str, str] | None = None,
    ) -> None:
        store = Store.open(path, branch=branch, create=create, worktree=worktree, durability=durability)
        super().__init__(store, model=model, fallback=artifacts)
        if store.created:
            _tell_how_to_ignore(Path(path).absolute())


def _tell_how_to_ignore(path: Path) -> None:
    """Say once, when a store was made inside another project's repository, how that can ignore it."""
    for parent in path.parents:
        if (parent / ".git").exists():
            line = f"/{path.relative_to(parent).as_posix()}/"
            _log.warning(
                "%s lies inside the repository %s, which sees an untracked folder; the line %s in %s hides it",
                path,
                parent,
                line,
                parent / ".gitignore",
            )
            return
