"""The half of a store that knows others: its remotes, and what keeps it together with them in the background."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gitstate.errors import UnsupportedError
from gitstate.store.reading import ReadingStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitstate.engine.base import Engine
    from gitstate.engine.repository import Repository
    from gitstate.store.documents import Collection
    from gitstate.store.remote.autosync import Autosync
    from gitstate.store.remote.remotes import Remotes
    from gitstate.store.writer import Writer

__all__ = ["SyncingStore"]


class SyncingStore(ReadingStore):
    """What :class:`gitstate.store.store.Store` is with regard to other repositories.

    ``told`` are asked by the writer, which the store makes, after each write.
    """

    _writer: Writer

    def __init__(self, engine: Engine, repository: Repository | None) -> None:
        super().__init__(engine, repository)
        self._collections: dict[str, Collection] = {}
        self._told: list[Callable[[], None]] = [self._indexes.written]
        self._syncs: list[Autosync] = []
        self._remotes: Remotes | None = None
        self._stop = threading.Event()  # ends what talks to remotes
        self._making = threading.Lock()

    @property
    def remotes(self) -> Remotes:
        """The other repositories that git knows for this one, and what is exchanged with them.

        Raises:
            UnsupportedError: The store is in memory, which has none.
            ClosedError: It is closed.
        """
        from gitstate.store.remote.links import Parts
        from gitstate.store.remote.remotes import Remotes

        self._check_open()
        if self._repository is None:
            raise UnsupportedError("a store in memory has no remotes", hint="keep the state in a folder")
        with self._making:
            if self._remotes is None:
                self._remotes = Remotes(
                    Parts(self._engine, self._repository, self._reader, self._writer, self._collections, self._stop)
                )
            return self._remotes

    def sync_with(self, sync: Autosync) -> None:
        """Let what syncs in the background know of each write from now on, and end it when the store is closed."""
        self._check_open()
        self._syncs.append(sync)
        self._told.append(sync.saved)

    def _end_syncs(self) -> None:
        """Sync what waits to be synced in the background for the last time."""
        if self._syncs and not self._closed:
            self._writer.drain()
            for sync in self._syncs:
                sync.close()

    def _forget_others(self) -> None:
        """End what is under way, which takes about a second at most."""
        self._stop.set()
        if self._remotes is not None:
            self._remotes.stop()

    def _forked_from_others(self) -> None:
        """In a forked child: the threads did not come along."""
        self._making, self._remotes = threading.Lock(), None
        for sync in self._syncs:
            sync.forked()
