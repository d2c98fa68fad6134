"""The remotes of a store: git's own, so that one which was added with git counts; and what is exchanged with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gitstate import clock
from gitstate.engine import remotes, sightings
from gitstate.engine.beyond import beyond, is_in_history
from gitstate.errors import ClosedError, DivergedError, InvalidInputError
from gitstate.store.remote.outcomes import FetchReport, PushReport, Standing

if TYPE_CHECKING:
    from datetime import datetime

    from gitstate.engine.remotes import Remote
    from gitstate.engine.wire.transport import Progress
    from gitstate.store.histories import OnConflict
    from gitstate.store.remote.links import Link, Parts
    from gitstate.store.remote.outcomes import SyncReport

__all__ = ["DEFAULT_REMOTE", "TIMEOUT", "Remotes"]

DEFAULT_REMOTE = "origin"
TIMEOUT = 60.0
"""Seconds for which a remote may keep silent."""

_ON_CONFLICT = ("park", "ours", "theirs", "fail")
_LONGEST_STOP = 2.0  # seconds that the end of a store waits for what is under way
_LOOK_EVERY = 0.2  # seconds between two looks whether the store was closed


class Remotes:
    """The remotes of one store. Safe to use from any thread; one fetch, push or sync is at work at a time.

    Args:
        parts: What the store is made of.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._turn = threading.Lock()

    def all(self) -> list[Remote]:
        """Return the remotes, by name."""
        return remotes.all_remotes(self._parts.repository)

    def find(self, name: str = DEFAULT_REMOTE) -> Remote:
        """Return a remote by its name, or one without a name for an address or a path.

        Raises:
            NotFoundError: There is none; the message lists those that there are.
            InvalidInputError: It is neither a name nor an address.
        """
        return remotes.find(self._parts.repository, name)

    def add(self, name: str, url: str) -> Remote:
        """Add a remote, as `git remote add` does; nobody is asked whether it is there.

        Raises:
            ExistsError: There is one of this name.
            InvalidInputError: Neither a remote nor an address can be named so.
            BusyError: A living git holds the lock of the configuration.
            StorageError: The disk refused.
        """
        self._check_open()
        with self._parts.engine.lock():
            return remotes.add(self._parts.repository, name, url)

    def remove(self, name: str) -> None:
        """Forget a remote, as `git remote remove` does, and what was seen of it. Nothing is changed there.

        Raises:
            NotFoundError: There is none; the message lists those that there are.
            BusyError: A living git holds the lock of the configuration, or another process that of the store.
        """
        with self._alone(), self._parts.engine.lock():
            remotes.remove(self._parts.repository, name)

    def standing(self, name: str = DEFAULT_REMOTE) -> Standing:
        """Return how the store stands to a remote, as that was seen last; nobody is asked.

        Raises:
            NotFoundError: There is no such remote.
            CorruptionError: A commit is missing or damaged.
        """
        link = self._link(self.find(name), TIMEOUT, None)
        tip, head = link.seen(), self._parts.reader.head()
        if tip is None:
            return Standing(None, tuple(beyond(self._parts.engine, head, [])), ())
        ahead, behind = beyond(self._parts.engine, head, [tip]), beyond(self._parts.engine, tip, [head])
        return Standing(tip, tuple(ahead), tuple(behind))

    def is_ahead(self, name: str = DEFAULT_REMOTE) -> bool:
        """Whether there may be something here that a remote has not, as it was seen last; nobody is asked.

        Raises:
            NotFoundError: There is no such remote.
            CorruptionError: A commit is missing or damaged.
        """
        tip, head = self._link(self.find(name), TIMEOUT, None).seen(), self._parts.reader.head()
        return tip is None or (tip != head and not is_in_history(self._parts.engine, head, tip))

    def seen(self, name: str = DEFAULT_REMOTE) -> datetime | None:
        """Return when it was known last where a remote's branch stands, by us or by git; None: nobody knows.

        Raises:
            NotFoundError: There is no such remote.
        """
        remote = self.find(name)
        time = sightings.last(self._parts.repository, remote) if remote.name else None
        return None if time is None else clock.moment(time)

    def fetch(
        self, name: str = DEFAULT_REMOTE, *, timeout: float = TIMEOUT, progress: Progress | None = None
    ) -> FetchReport:
        """Fetch what a remote has: its branch, as ``origin/main``, and rescues and pins that are missing here.

        What comes is checked as a whole first. The store's own branch does not move.

        Args:
            name: The remote, or an address; of that one nothing is remembered.
            timeout: Seconds for which it may keep silent.
            progress: Is told how it goes on.

        Raises:
            UntrustedError: What the remote has is not to be trusted; nothing was taken in.
            SyncError: The remote cannot be talked to.
            NotFoundError: There is no such remote.
            UnsupportedError: The remote's branch is no store, or one of a newer format.
            ReadOnlyError: The store cannot be written.
            ClosedError: The store is, or is about to be, closed.
        """
        from gitstate.store.remote import arrivals

        with self._alone():
            remote = self.find(name)
            link = self._link(remote, timeout, progress)
            arrived = arrivals.fetch(link, self._parts.reader.head())
            self._note_seen(remote)
            return FetchReport(link.name, arrived.before, arrived.tip, arrived.fetched, tuple(arrived.companions))

    def push(
        self, name: str = DEFAULT_REMOTE, *, timeout: float = TIMEOUT, progress: Progress | None = None
    ) -> PushReport:
        """Let a remote's branch go on to the store's, never anywhere else; and send rescues and pins that it lacks.

        Args:
            name: The remote, or an address.
            timeout: Seconds for which it may keep silent.
            progress: Is told how it goes on.

        Raises:
            DivergedError: The remote has what is not here.
            RejectedError: The remote refused its branch, for a hook or a rule.
            SyncError: The remote cannot be talked to.
            NotFoundError: There is no such remote.
            ClosedError: The store is, or is about to be, closed.
        """
        from gitstate.store.remote import departures

        with self._alone():
            remote = self.find(name)
            link = self._link(remote, timeout, progress)
            link.settle()
            look = departures.push(link)
            if look.rejected and look.sent_others:  # they may be what was refused
                look, others = departures.push(link, others=False), look.companions
                look.companions += others
            departures.refuse_rejected(link, look)
            if look.is_beyond:
                raise DivergedError(
                    f"{link.branch} has commits that are not here; nothing was pushed",
                    hint="`gitstate sync` merges them",
                )
            self._note_seen(remote)
            return PushReport(link.name, look.before, look.head, look.pushed, tuple(look.companions))

    def sync(
        self,
        name: str = DEFAULT_REMOTE,
        *,
        on_conflict: OnConflict = "park",
        timeout: float = TIMEOUT,
        progress: Progress | None = None,
    ) -> SyncReport:
        """Bring the store and a remote to one commit: push, or fetch, merge and push where the remote has moved.

        Args:
            name: The remote, or an address.
            on_conflict: What becomes of what cannot be merged. ``"park"``: the side that was saved later has it, and
                the other state is kept as a rescue. ``"ours"``, ``"theirs"``: that side has it, and the other state is
                kept. ``"fail"``: nothing is merged.
            timeout: Seconds for which the remote may keep silent.
            progress: Is told how it goes on.

        Raises:
            As :func:`gitstate.store.remote.sync.sync` does.
            NotFoundError: There is no such remote.
            InvalidInputError: An argument makes no sense.
        """
        from gitstate.store.remote import sync

        if on_conflict not in _ON_CONFLICT:
            raise InvalidInputError(f"there is no on_conflict {on_conflict!r}", hint=f"use {', '.join(_ON_CONFLICT)}")
        with self._alone():
            remote = self.find(name)
            report = sync.sync(self._link(remote, timeout, progress), on_conflict=on_conflict)
            self._note_seen(remote)
            return report

    def _link(self, remote: Remote, timeout: float, progress: Progress | None) -> Link:
        from gitstate.store.remote.links import Link

        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
            raise InvalidInputError(f"a timeout is a number of seconds above 0, not {timeout!r}")
        return Link(self._parts, remote, timeout=float(timeout), progress=progress)

    def _note_seen(self, remote: Remote) -> None:
        if remote.name:
            sightings.note(self._parts.repository, remote)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the other threads from talking to remotes while the block runs."""
        while not self._turn.acquire(timeout=_LOOK_EVERY):
            self._check_open()
        try:
            self._check_open()
            yield
        finally:
            self._turn.release()

    def _check_open(self) -> None:
        if self._parts.stop.is_set():
            raise ClosedError("the store is closed", hint="open the store again")

    def stop(self) -> None:
        """End what is under way, which takes about a second; nothing more is begun."""
        self._parts.stop.set()
        if self._turn.acquire(timeout=_LONGEST_STOP):
            self._turn.release()
