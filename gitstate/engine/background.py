"""What happens off the write path: what was published gets to the disk, and packs become few.

A *checkpoint* syncs the packs and refs that the journal stands for, and frees its room. One thread a store does that,
some seconds after a publish or when the journal fills; the last one is made at close.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from gitstate.engine import files, folding, packs, refs, threads
from gitstate.engine.folding import Lock
from gitstate.engine.journal import Journal, Record
from gitstate.engine.locks import alone
from gitstate.engine.repository import Repository
from gitstate.errors import GitStateError

__all__ = ["Background", "checkpoint", "delay", "sync_records"]

_log = logging.getLogger("gitstate")

_LATER = "upkeep of the store waits for the next time"

_RECORDS = 64  # each time that there are so many more records a checkpoint is due
_SECONDS = 5.0  # and so long after the first one it is due in any case
_MANY = 4  # packs that are joined first: to sync one takes a fraction of the time


def checkpoint(repository: Repository, journal: Journal, lock: Lock, *, patience: float = 0.0) -> None:
    """Get to the disk all that the journal's records say, and free their room.

    It is done without the store's lock, since packs do not change; what comes meanwhile stays in the journal. When
    another process is at it, that one goes on alone.

    Args:
        repository: Where the packs and refs are.
        journal: The journal.
        lock: The store's.
        patience: Seconds to wait for another process's checkpoint.

    Raises:
        OSError: The disk refused; the records are still there.
        BusyError: The lock was not to be had; so are they.
    """
    with alone(repository.private / "checkpoint", patience) as fd:
        if fd < 0:
            return
        with lock():
            stretch = journal.stretch()
        if stretch.records:
            names = _names(stretch.records)
            if len(names) >= _MANY:
                _join(repository, names, lock)
            sync_records(repository, stretch.records)
            with lock():
                journal.release(stretch)


def sync_records(repository: Repository, records: Collection[Record]) -> None:
    """Sync the packs that records are of, their folder, and the branches, wherever git keeps them."""
    folder = repository.path("objects/pack")
    for name in _names(records):
        for suffix in (".pack", ".idx"):
            _sync_file(f"{folder}/{name}{suffix}")  # one that is gone was joined with others, durably, by us or by git
    files.sync_directory(folder)
    for branch in {refs.target(repository, record.ref) for record in records}:
        for path in (repository.path(branch), repository.path("packed-refs")):
            _sync_file(path)
            if os.path.isdir(os.path.dirname(path)):
                files.sync_directory(os.path.dirname(path))


def _names(records: Iterable[Record]) -> set[str]:
    return {packs.pack_name(record.pack[-20:]) for record in records}


def _join(repository: Repository, names: Iterable[str], lock: Lock) -> None:
    """Make one pack of several, and get it to the disk."""
    folder = repository.objects / "pack"
    with alone(repository.private / "fold", 0) as fd:
        if fd >= 0:
            bases = [os.path.join(folder, name) for name in sorted(names)]
            with folding.workshop(repository, "fold", lock) as shop:
                folding.join(folder, shop, folding.Tier(bases, 2), lock)


def _sync_file(path: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
        files.sync_file(path)


def delay(journal: Journal) -> float:
    """Return in how many seconds a checkpoint is due, after something was published."""
    is_full = len(journal.records) % _RECORDS == _RECORDS - 1 or journal.is_half_full
    return 0.0 if is_full else _SECONDS


class Background:
    """The thread that does such work.

    Args:
        work: What is to be done some time after a publish; it is told whether this is the last time.
        name: That of the thread.
    """

    def __init__(self, work: Callable[[bool], None], name: str) -> None:
        self._work = work
        self._name = name
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._due = 0.0  # when work is due, by the monotonic clock; 0: there is none
        self.is_stopping = False

    def due_in(self, seconds: float) -> None:
        """Say that work is due in so long at the latest. Never fails: what was published is there."""
        with self._changed:
            if self.is_stopping or (self._due and self._thread is not None and seconds):
                return
            self._due = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threads.started(self._run, self._name, _LATER)
            self._changed.notify_all()

    def stop(self) -> None:
        """End the thread, and do at once what is due some time."""
        with self._changed:
            self.is_stopping = True
            self._changed.notify_all()
            thread, due, self._due = self._thread, self._due, 0.0
        if thread is not None:
            thread.join()
        if due:
            self._try()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self.is_stopping and not 0 < self._due <= time.monotonic():
                    self._changed.wait(self._due - time.monotonic() if self._due else None)
                if self.is_stopping:
                    return
                self._due = 0.0
            if not self._try():
                with self._changed:
                    self._due = self._due or time.monotonic() + _SECONDS

    def _try(self) -> bool:
        try:
            self._work(self.is_stopping)
        except (GitStateError, OSError, RuntimeError) as error:  # the last one: no thread was to be had
            _log.warning("%s: %s", _LATER, error)
            return False
        return True
