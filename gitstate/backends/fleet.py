"""Several machines: how far their stores are apart, the jobs of all of them, and syncs in the background."""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gitstate.backends.syncing import TIMEOUT, SyncingBackend
from gitstate.errors import InvalidInputError, SyncError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitstate.backends.fleet_jobs import Fleet, Seen
    from gitstate.engine.wire.transport import Progress
    from gitstate.store.remote.autosync import Autosync, SyncFailure
    from gitstate.store.remote.lag import Lag
    from gitstate.store.store import Store

__all__ = ["FleetBackend", "autosync"]

_STALE = timedelta(minutes=10)


class FleetBackend(SyncingBackend):
    """What several machines have that sync; see docs/how-to/sync-two-laptops.md."""

    async def lag(self, remote: str = "origin") -> Lag:
        """Return how far this store and a remote are apart, as the remote was seen last, and how the sync in the
        background goes. Nobody is asked.

        Raises:
            NotFoundError: There is no such remote.
            UnsupportedError: The backend is in memory.
        """
        return await asyncio.to_thread(lambda: self._seen(remote).lag)

    async def fleet(
        self,
        remote: str | Iterable[str] | None = None,
        *,
        fetch: bool = False,
        stale: float | timedelta = _STALE,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - see sync
        progress: Progress | None = None,
    ) -> Fleet:
        """Return the jobs of all machines: those that are here and those that remotes had when they were seen last,
        with what of each is on one side alone. Nothing is merged.

        Args:
            remote: The remote, or several; all of them by default.
            fetch: Whether to fetch from them first. One that cannot be talked to, or has no store, is told of in
                ``failures``, and counts as it was seen last.
            stale: A running job that is silent for so long, in seconds or as a timedelta, is marked.
            timeout: Seconds for which a remote may keep silent.
            progress: As that of :meth:`sync`.

        Raises:
            NotFoundError: There is no such remote.
            InvalidInputError: An argument makes no sense.
            UnsupportedError: The backend is in memory.
        """
        from gitstate.backends.fleet_jobs import fleet_of
        from gitstate.backends.queries import silence

        silent = silence(stale)

        def work() -> Fleet:
            names = [remote] if isinstance(remote, str) else [each.name for each in self._store.remotes.all()]
            names = names if remote is None or isinstance(remote, str) else list(dict.fromkeys(remote))
            failures = self._fetched(names, timeout, progress) if fetch else {}
            found = fleet_of(self._store, self._jobs, [self._seen(name) for name in names], stale=silent)
            counts = self._rescues.counts()
            jobs = tuple(replace(job, rescues=counts.get(job.job_id, 0)) for job in found.jobs)
            return replace(found, jobs=jobs, failures=failures)

        return await asyncio.to_thread(work)

    def _fetched(self, names: Iterable[str], timeout: float, progress: Progress | None) -> dict[str, SyncFailure]:
        """Fetch from remotes; return what went wrong with those with which something did."""
        from gitstate.store.remote.autosync import SyncFailure

        failures = {}
        for name in names:
            try:
                self._store.remotes.fetch(name, timeout=timeout, progress=progress)
            except (SyncError, UnsupportedError) as error:
                failures[name] = SyncFailure.of(error)
        return failures

    def _seen(self, remote: str) -> Seen:
        from gitstate.backends.fleet_jobs import Seen
        from gitstate.store.remote.lag import measured

        standing = self._store.remotes.standing(remote)
        background = self._autosync if self._autosync is not None and self._autosync.remote == remote else None
        lag = measured(
            self._store.reader.source,
            remote,
            standing,
            seen=None if standing.tip is None else self._store.remotes.seen(remote),
            background=None if background is None else background.state,
        )
        return Seen(lag, standing.ahead, standing.behind)


def autosync(store: Store, sync: Any, remote: str, delay: float, patience: float) -> Autosync | None:
    """Let a store sync in the background as ``sync`` says, and return what does that; None: nothing shall.

    Raises:
        InvalidInputError: An argument makes no sense.
        NotFoundError: There is no such remote.
    """
    if sync is None:
        return None
    from gitstate.store.remote.autosync import Autosync
    from gitstate.store.remote.pacing import Pace

    if sync != "after-save":
        raise InvalidInputError(f"there is no way {sync!r} to sync", hint='use "after-save", or None')
    remotes = store.remotes
    remotes.find(remote)
    made = Autosync(
        remote,
        lambda: remotes.sync(remote),
        lambda: remotes.is_ahead(remote),
        Pace(delay),
        patience=patience,
        keep=weakref.ref(store),
    )
    store.sync_with(made)
    if remotes.is_ahead(remote):
        made.saved()  # what was saved earlier, and did not get there
    return made
