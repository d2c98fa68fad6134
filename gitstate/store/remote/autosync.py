"""Syncs a store by itself: a thread that takes saves along a few seconds after they were made.

It never stands in the way of a save, and nothing that goes wrong in it fails one: offline is normal. The thread is
there only as long as something waits to be synced.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from gitstate import clock
from gitstate.engine import threads
from gitstate.errors import GitStateError, InvalidInputError
from gitstate.store.remote.pacing import Pace, Schedule

__all__ = ["Autosync", "SyncAttempt", "SyncFailure", "SyncState"]

_log = logging.getLogger("gitstate")

_LOOK_EVERY = 1.0  # seconds between two looks for what other processes saved; a look reads two small files


@dataclass(frozen=True)
class SyncFailure:
    """Why a sync failed: the ``code``, ``message`` and ``hint`` of its error, and when that was."""

    time: datetime
    code: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return what an error says."""
        if isinstance(error, GitStateError):
            return cls(clock.now(), error.code, error.message, error.hint)
        return cls(clock.now(), "error", f"{type(error).__name__}: {error}", "")

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


@dataclass(frozen=True)
class SyncState:
    """How the sync in the background goes.

    Args:
        remote: What it syncs with.
        is_running: Whether a sync is at work.
        is_waiting: Whether something was saved that no sync has taken along.
        succeeded: When the last sync succeeded; None: none did since the store was opened.
        failure: Why the last one failed that did.
        failing_since: When the first one failed after the last success; None: the last one did not fail.
        failures: How many failed since.
        next_try: When the next one is due; None: nothing asks for one.
    """

    remote: str
    is_running: bool
    is_waiting: bool
    succeeded: datetime | None
    failure: SyncFailure | None
    failing_since: datetime | None
    failures: int
    next_try: datetime | None


@dataclass(frozen=True)
class SyncAttempt:
    """What became of one sync: what it reported, or why it failed."""

    report: Any
    failure: SyncFailure | None


class Autosync:
    """Syncs with one remote when it is time to.

    Args:
        remote: What it is called.
        sync: Syncs once, or raises.
        is_needed: Whether there is anything here that the remote has not, as far as is known without asking it.
        pace: How often.
        patience: Seconds that :meth:`close` waits for a last sync; 0: it makes none.
        told: Is told, in the thread, what became of each sync.
        keep: Gives what must not be forgotten as long as something waits: the store, which knows this object.
        now: The seconds of a clock that only goes forward.

    Raises:
        InvalidInputError: The patience is no number of seconds.
    """

    def __init__(
        self,
        remote: str,
        sync: Callable[[], Any],
        is_needed: Callable[[], bool],
        pace: Pace,
        *,
        patience: float = 5.0,
        told: Callable[[SyncAttempt], None] = lambda _: None,
        keep: Callable[[], object] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(patience, int | float) or isinstance(patience, bool) or not 0 <= patience < 86400:
            raise InvalidInputError(f"a patience is seconds from 0 up, not {patience!r}", hint="5 are usual")
        self.remote = remote
        self._sync = sync
        self._is_needed = is_needed
        self._patience = patience
        self._told = told
        self._keep = keep
        self._now = now
        self._schedule = Schedule(pace)
        self._looks_for_others = False
        self._next_look = 0.0
        self._closing: float | None = None  # when the last sync must have ended
        self._is_over = False  # from here on nobody waits for the thread
        self._is_running = False
        self._succeeded: datetime | None = None
        self._failure: SyncFailure | None = None
        self._failing_since: datetime | None = None
        self._logged: set[str] = set()  # the kinds of failures that were told since the last success
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def saved(self) -> None:
        """Say that something may have been saved. It takes no time, and never fails."""
        with self._changed:
            if self._closing is None:
                self._schedule.saved(self._now())
                self._wake()

    def start(self) -> None:
        """Sync what waits since earlier, and what other processes save; and look now for what others saved, and then as
        often as the pace says. The thread is there until :meth:`close`.
        """
        with self._changed:
            if self._closing is None:
                self._looks_for_others = True
                self._schedule.look_at(self._now())
                self._wake()

    def succeeded_elsewhere(self) -> None:
        """Say that a sync with this remote succeeded that somebody asked for: there is nothing to wait for."""
        with self._changed:
            self._schedule.cleared()
            failed = self._works()
            self._changed.notify_all()
        self._tell_that_it_works(failed)

    @property
    def state(self) -> SyncState:
        """How it goes at this moment."""
        with self._changed:
            due = None if self._is_running or self._closing is not None else self._schedule.due
            wait = None if due is None else timedelta(seconds=max(0.0, due - self._now()))
            return SyncState(
                remote=self.remote,
                is_running=self._is_running,
                is_waiting=self._schedule.is_waiting,
                succeeded=self._succeeded,
                failure=self._failure,
                failing_since=self._failing_since,
                failures=self._schedule.failures,
                next_try=None if wait is None else clock.now() + wait,
            )

    def close(self) -> None:
        """End it: what waits is synced for the last time, which takes no longer than the patience. Idempotent.

        What did not get there in time is here, and the next sync takes it along.
        """
        with self._changed:
            if self._is_over:
                return
            self._closing = self._now() + self._patience if self._closing is None else self._closing
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._patience)
        with self._changed:
            is_late = self._thread is not None and not self._is_over
            self._is_over = True
        if is_late and self._patience and self._failing_since is None:
            _log.warning(
                "the last sync with %s did not end in %g s; what was saved is here, and the next sync takes it along",
                self.remote,
                self._patience,
            )

    def forked(self) -> None:
        """In a forked child: the thread did not come along, and what waits belongs to the parent."""
        self._changed = threading.Condition()
        self._thread, self._is_running, self._is_over, self._closing = None, False, True, 0.0
        self._schedule.given_up()

    # The thread

    def _wake(self) -> None:
        """See to it that the thread is there and looks at what is due; under the condition."""
        if self._thread is None:
            self._thread = threads.started(
                partial(self._run, self._keep()),
                "gitstate-sync",
                f"what was saved is synced with {self.remote} some other time",
            )
        self._changed.notify_all()

    def _run(self, _: object) -> None:
        try:
            while (step := self._next()) is not None:
                step()
        finally:
            with self._changed:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _next(self) -> Callable[[], None] | None:
        """Wait until something is to be done, and return it; None: the thread is to end."""
        with self._changed:
            while True:
                now = self._now()
                if self._closing is not None:
                    if self._schedule.is_waiting and not self._is_over and now < self._closing:
                        return self._try
                    self._thread = None
                    return None
                due = self._schedule.due
                if due is not None and due <= now:
                    return self._try
                if self._looks_for_others and not self._schedule.is_waiting:
                    if self._next_look <= now:
                        self._next_look = now + _LOOK_EVERY
                        return self._look
                    due = self._next_look if due is None else min(due, self._next_look)
                if due is None:
                    self._thread = None
                    return None
                self._changed.wait(due - now)

    def _look(self) -> None:
        if self._lacks_something():
            with self._changed:
                self._schedule.saved(self._now())

    def _lacks_something(self) -> bool:
        try:
            return self._is_needed()
        except (GitStateError, OSError):
            return True  # the sync says what is wrong

    def _try(self) -> None:
        with self._changed:
            is_asked_for = self._schedule.is_time_to_look(self._now())
            self._schedule.begun(self._now())  # first: what is saved from here on waits for the next one
            self._is_running = True
        if is_asked_for or self._lacks_something():
            attempt = self._attempt()
            if not self._is_over:
                self._told(attempt)
        else:
            with self._changed:
                self._is_running = False
                self._schedule.spared()

    def _attempt(self) -> SyncAttempt:
        try:
            report = self._sync()
        except Exception as error:  # noqa: BLE001  # whatever it was, saves go on and the next try may do better
            return SyncAttempt(None, self._failed(error))
        with self._changed:
            self._is_running = False
            self._schedule.succeeded(self._now())
            failed = self._works()
        self._tell_that_it_works(failed)
        return SyncAttempt(report, None)

    def _failed(self, error: Exception) -> SyncFailure:
        failure = SyncFailure.of(error)
        with self._changed:
            self._is_running = False
            self._schedule.failed(self._now(), error)
            if self._closing is not None:
                self._schedule.given_up()
            self._failure = failure
            self._failing_since = self._failing_since or failure.time
            is_news = failure.code not in self._logged and not self._is_over
            self._logged.add(failure.code)
        if is_news:
            is_odd = not isinstance(error, GitStateError | OSError)
            _log.warning(
                "syncing with %s fails: %s; saves go on, and it is tried again",
                self.remote,
                failure,
                exc_info=error if is_odd else None,
            )
        return failure

    def _works(self) -> datetime | None:
        """Take note of a success; return since when it had failed, if it had. Under the condition."""
        failing_since, self._failing_since = self._failing_since, None
        self._succeeded = clock.now()
        self._logged.clear()
        return failing_since

    def _tell_that_it_works(self, failing_since: datetime | None) -> None:
        if failing_since is not None and not self._is_over:
            since = failing_since.isoformat(" ", "seconds")
            # As loud as the failure was: who read of the one shall read of the other.
            _log.warning("syncing with %s works again; it failed since %s", self.remote, since)
