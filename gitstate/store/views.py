"""Every folder that shows the files of a store: its own, and those that `git worktree add` made for its branch.

They are brought to the head together, in a thread of their own, a moment after a write; and in any case at the end.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from gitstate.engine import files, linked
from gitstate.engine.background import Background
from gitstate.engine.base import Engine
from gitstate.engine.objects import TreeEntry
from gitstate.engine.repository import Repository
from gitstate.errors import GitStateError
from gitstate.store.view_record import Sight
from gitstate.store.worktree import UNJUDGED, Worktree

__all__ = ["Views"]

_log = logging.getLogger("gitstate")

_DELAY = 0.5  # seconds from a write to when the views are brought to the head, with all that was written meanwhile
_SHARE = 20  # and so many times as long as it took the last time: it must not slow the writes down
_ATTEMPTS = 5  # how often a view is tried in which somebody commits meanwhile


class Views:
    """The views of a store.

    Args:
        engine: Reads the branch that they show.
        own: That of the folder which was opened; None: it has none.
        repository: Whose other worktrees are looked for; None: there are none.
        follow: Looks at what others committed. It is called before a view is refreshed, which still tells what its
            folder showed then.
        is_judged: Whether there is nothing of others that ``follow`` has not looked at.
        prompt: Whether the views are brought to the head soon after each write, or only by :meth:`show`.
    """

    def __init__(
        self,
        engine: Engine,
        own: Worktree | None = None,
        repository: Repository | None = None,
        *,
        follow: Callable[[], None] = lambda: None,
        is_judged: Callable[[], bool] = lambda: True,
        prompt: bool = True,
    ) -> None:
        self.own = own
        self._engine = engine
        self._repository = repository
        self._follow = follow
        self._is_judged = is_judged
        self._cost = 0.0  # seconds
        self._told = ""
        self._prompt = prompt and repository is not None
        self._turn = threading.Lock()  # of the one who shows
        self._lags = False  # whether something was written that may not be shown
        self._keeper = Background(lambda _: self._catch_up(), "gitstate-view")

    def written(self) -> None:
        """Say that something was written: a moment later the views are brought to the head, off the write path."""
        if self._prompt:
            self._lags = True
            self._keeper.due_in(max(_DELAY, _SHARE * self._cost))

    def show(self, taken: Mapping[str, TreeEntry | None] | None = None) -> None:
        """Bring all views to the head. Where nobody may write they stay as they are; no trouble fails a write.

        After that git has the folder and its index for itself until something is written: it does not wait for an index
        that somebody holds, and may stop in the middle of a merge.

        ``taken`` is what is in safe hands of what was edited in the own folder, see :meth:`Worktree.take`.
        """
        with self._turn:
            self._show(taken or {})

    def _catch_up(self) -> None:
        """Bring all views to the head if nobody did since the last write."""
        with self._turn:
            if self._lags:
                self._show({})

    def _show(self, taken: Mapping[str, TreeEntry | None]) -> None:
        if self._repository is None or not files.can_write(self._repository.git_dir):
            return
        begun = time.monotonic()
        told = "; ".join(self._bring(taken))
        if told and told != self._told:  # else it was said a moment ago
            _log.warning("%s", told)
        self._told = told
        self._cost = time.monotonic() - begun

    def _bring(self, taken: Mapping[str, TreeEntry | None]) -> list[str]:
        """Bring all views to the head; return what the trouble is."""
        trouble: list[str] = []
        try:
            self._follow()
            head = self._engine.head()
            for view in self.each():
                if files.can_write(view.path):
                    trouble += self._refresh(view, taken if view is self.own else {})
            if not trouble:
                self._lags = False
                if self._engine.head() != head:  # it is looked at after that, so that no write is missed
                    self.written()
        except (GitStateError, OSError) as error:
            trouble.append(f"views of the store could not be brought up to date: {error}")
        return trouble

    def sights(self) -> list[Sight]:
        """Return what each of them showed, and what git did there since."""
        found = (view.sight() for view in self.each())
        return [sight for sight in found if sight is not None]

    def close(self) -> None:
        """Bring all views to the head for the last time."""
        self._keeper.stop()
        self._told = ""
        self.show()

    def each(self) -> Iterator[Worktree]:
        """Yield them all."""
        if self.own is not None:
            yield self.own
        if self._repository is not None:
            yield from (Worktree(each, self._engine) for each in linked.elsewhere(self._repository))

    def _refresh(self, view: Worktree, taken: Mapping[str, TreeEntry | None]) -> list[str]:
        """Bring a view to the head; it is only a view, so trouble with it is told and never fails a write."""
        try:
            refreshed = view.take(taken, self._is_judged)
            for _ in range(_ATTEMPTS):
                if refreshed.pending != UNJUDGED:
                    break
                self._follow()
                refreshed = view.take(taken, self._is_judged)
        except (GitStateError, OSError) as error:
            return [f"the worktree could not be refreshed; the next refresh makes up for it: {error}"]
        for path in refreshed.kept:
            _log.info("%s was edited by a person and is left as it is", path)
        for path in refreshed.skipped:
            _log.warning("%s cannot be shown in the worktree; `git show` of the head and that path shows it", path)
        return [f"the worktree is left to the next refresh: {refreshed.pending}"] if refreshed.pending else []
