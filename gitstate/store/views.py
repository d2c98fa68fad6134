"""Every folder that shows the files of a store: its own, and those that `git worktree add` made for its branch."""

import logging

from gitstate.engine import files, linked
from gitstate.engine.base import Engine
from gitstate.engine.repository import Repository
from gitstate.errors import GitStateError
from gitstate.store.worktree import Worktree, show

__all__ = ["Views"]

_log = logging.getLogger("gitstate")


class Views:
    """The views of a store.

    Args:
        engine: Reads the branch that they show.
        own: That of the folder which was opened; None: it has none.
        repository: Whose other worktrees are looked for; None: there are none.
    """

    def __init__(self, engine: Engine, own: Worktree | None = None, repository: Repository | None = None) -> None:
        self.own = own
        self._engine = engine
        self._repository = repository

    def show(self) -> None:
        """Bring all views to the head. Where nobody may write they stay as they are; no trouble fails a write."""
        if self._repository is None:
            return
        if files.can_write(self._repository.git_dir):
            show(self.own)
        try:
            others = [Worktree(each, self._engine) for each in linked.elsewhere(self._repository)]
        except (GitStateError, OSError) as error:
            _log.warning("other worktrees of the store could not be looked for: %s", error)
            return
        for each in others:
            if files.can_write(each.path):
                show(each)
