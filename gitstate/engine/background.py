"""What happens off the write path: what was published gets to the disk, and packs become few.

A *checkpoint* syncs the packs and refs that the journal stands for, and empties it. One thread a store does that, some
seconds after a publish or when the journal fills; the last one is made at close.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from gitstate.engine import files, folding, packs, refs
from gitstate.engine.folding import Lock
from gitstate.engine.journal import Journal, Record
from gitstate.engine.locks import alone
from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import Repository
from gitstate.errors import GitStateError

__all__ = ["Background", "checkpoint"]

_log = logging.getLogger("gitstate")

_RECORDS = 32  # so many publishes make a checkpoint due
_SECONDS = 5.0  # and so long after the first one it is due in any case
_ROUNDS = 3  # how often packs are synced without the lock before what came meanwhile is synced under it
_FEW = 2  # packs that may be left to that
_MANY = 4  # packs that are joined first: to sync one takes a fraction of the time


def checkpoint(repository: Repository, journal: Journal, lock: Lock) -> None:
    """Get to the disk all that the journal's records say, and begin its next generation.

    Most is done without the store's lock: packs do not change.

    Raises:
        OSError: The disk refused; the records are still there.
        BusyError: The lock was not to be had; so are they.
    """
    synced: set[str] = set()
    for turn in range(_ROUNDS):
        with lock():
            records = list(journal.records)
        waiting = _names(records) - synced
        if turn == 0 and len(waiting) >= _MANY:
            _join(repository, waiting, lock)
        _sync(repository, records, waiting)  # so that little is left to do under the lock
        synced |= waiting
        if len(waiting) <= _FEW:
            break
    with lock():
        if journal.records:
            stand = _sync(repository, journal.records, _names(journal.records) - synced)
            journal.begin_generation({ref: commit for ref, commit in stand.items() if commit is not None})


def _sync(repository: Repository, records: Iterable[Record], names: Iterable[str]) -> dict[str, ObjectId | None]:
    """Sync packs, their folder and the refs of records; return where these stand."""
    folder = repository.objects / "pack"
    for name in names:
        for suffix in (".pack", ".idx"):
            _sync_file(folder / (name + suffix))  # one that is gone was joined with others, durably, by us or by git
    files.sync_directory(folder)
    return {ref: _sync_ref(repository, ref) for ref in {record.ref for record in records}}


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


def _sync_ref(repository: Repository, ref: str) -> ObjectId | None:
    """Sync a ref, wherever git keeps it; return where it stands."""
    for path in (repository.common_dir / ref, repository.common_dir / "packed-refs"):
        _sync_file(path)
        if path.parent.is_dir():
            files.sync_directory(path.parent)
    return refs.read(repository, ref)


def _sync_file(path: Path) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    try:
        files.sync(fd)
    finally:
        os.close(fd)


class Background:
    """The thread that does the work.

    Args:
        work: What is to be done some time after a publish.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._due = 0.0  # when work is due, by the monotonic clock; 0: there is none
        self.is_stopping = False

    def published(self, journal: Journal) -> None:
        """Say that something was published."""
        full = len(journal.records) >= _RECORDS or journal.is_half_full
        with self._changed:
            if self.is_stopping or (self._due and not full):
                return
            self._due = 1.0 if full else time.monotonic() + _SECONDS
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gitstate-background", daemon=True)
                self._thread.start()
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
            self._work()
        except (GitStateError, OSError) as error:
            _log.warning("upkeep of the store waits for the next time: %s", error)
            return False
        return True
