"""Other repositories: what is fetched from them, pushed to them, and brought together with them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from gitstate.backends.purging import PurgingBackend

if TYPE_CHECKING:
    from gitstate.engine.remotes import Remote
    from gitstate.engine.wire.transport import Progress
    from gitstate.store.remote.autosync import Autosync
    from gitstate.store.remote.outcomes import FetchReport, PushReport, Standing, SyncReport

__all__ = ["TIMEOUT", "SyncingBackend"]

TIMEOUT = 60.0  # seconds for which a remote may keep silent


class SyncingBackend(PurgingBackend):
    """Sync with other repositories; see docs/concepts/sync.md.

    Every method raises UnsupportedError on a backend in memory. One fetch, push or sync is at work at a time; others
    wait for their turn. Saves go on meanwhile, and closing the backend ends what is under way.
    """

    _autosync: Autosync | None = None  # what syncs in the background

    async def sync(
        self,
        remote: str = "origin",
        on_conflict: Literal["park", "ours", "theirs", "fail"] = "park",
        *,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - it is the remote's silence that is bounded, not this call
        progress: Progress | None = None,
    ) -> SyncReport:
        """Bring this store and a remote to one commit: push; or fetch, merge and push where the remote has moved.

        Nothing is forced on either side. A job of the remote's that is no state never stops the others: what is here of
        it stays, and it is reported as ``invalid``. After this a sync in the background that rests after a failure goes
        on.

        Args:
            remote: The name of a remote, or an address, of which nothing is remembered.
            on_conflict: What becomes of what cannot be merged. ``"park"``: the side that was saved later has it, and
                the other state is kept as a rescue. ``"ours"``, ``"theirs"``: that side has it, and the other state is
                kept. ``"fail"``: nothing is merged.
            timeout: Seconds for which the remote may keep silent.
            progress: Is told how a transfer goes on: stage, done, and how much it is, if that is known. It is called in
                another thread.

        Returns:
            What became of each job that the remote had changed, of rescues and pins, and how many commits went where.

        Raises:
            ConflictError: Something cannot be merged, and ``on_conflict`` is ``"fail"``.
            UnreachableError: Nobody answers.
            AccessDeniedError: The remote wants other credentials.
            NoRepositoryError: There is none at its address.
            RejectedError: It refused its branch, for a hook or a rule; the message has its text.
            DivergedError: The two have nothing in common; or it moved each time that something was merged.
            UntrustedError: What it has is not to be trusted; nothing was taken in.
            TooLargeError: It is more than one of the sides takes.
            NotFoundError: There is no such remote.
            UnsupportedError: Its branch is no store, or one of a newer format.
            ClosedError: The backend was closed meanwhile.
        """
        report = await asyncio.to_thread(
            lambda: self._store.remotes.sync(remote, on_conflict=on_conflict, timeout=timeout, progress=progress)
        )
        if self._autosync is not None and self._autosync.remote == remote:
            self._autosync.succeeded_elsewhere()
        return report

    async def fetch(
        self,
        remote: str = "origin",
        *,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - see sync
        progress: Progress | None = None,
    ) -> FetchReport:
        """Fetch what a remote has, and check it; no job changes. Arguments and errors are those of :meth:`sync`."""
        return await asyncio.to_thread(lambda: self._store.remotes.fetch(remote, timeout=timeout, progress=progress))

    async def push(
        self,
        remote: str = "origin",
        *,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - see sync
        progress: Progress | None = None,
    ) -> PushReport:
        """Let a remote's branch go on to this one, if it has nothing that is not here; else it raises DivergedError.

        Arguments and errors are those of :meth:`sync`.
        """
        return await asyncio.to_thread(lambda: self._store.remotes.push(remote, timeout=timeout, progress=progress))

    async def remotes(self) -> list[Remote]:
        """Return the remotes, by name; those that were added with git among them."""
        return await asyncio.to_thread(lambda: self._store.remotes.all())

    async def standing(self, remote: str = "origin") -> Standing:
        """Return how many commits this store and a remote have that the other has not, as it was seen last.

        Raises:
            NotFoundError: There is no such remote.
        """
        return await asyncio.to_thread(lambda: self._store.remotes.standing(remote))

    async def add_remote(self, name: str, url: str) -> Remote:
        """Add a remote, as `git remote add` does; nobody is asked whether it is there.

        Raises:
            ExistsError: There is one of this name.
            InvalidInputError: Neither a remote nor an address can be named so.
        """
        return await asyncio.to_thread(lambda: self._store.remotes.add(name, url))

    async def remove_remote(self, name: str) -> None:
        """Forget a remote, and what was seen of it. Nothing is changed there.

        Raises:
            NotFoundError: There is none; the message lists those that there are.
        """
        await asyncio.to_thread(lambda: self._store.remotes.remove(name))
