"""The one module that publishes: a queue of writes, and the thread that turns all that wait into commits.

A write is a function of the document as it is now. It runs here, under the engine's lock, on the commit that its own
will follow; so nothing it decides can be stale when the branch moves. Each write has a commit of its own; those
that waited together are made durable together, and the branch moves once.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from gitstate.engine import trees
from gitstate.engine.base import Engine
from gitstate.engine.objects import ObjectId
from gitstate.errors import ClosedError, ConflictError, StaleError
from gitstate.format.message import Message
from gitstate.format.version import FormatVersion
from gitstate.store.batch import Batch, MergeEdit, RootEdit
from gitstate.store.documents import Collection, Edit, Revision
from gitstate.store.reader import FORMAT_FILE, Reader
from gitstate.store.reconcile import Reconciler

__all__ = ["Redact", "Refused", "Stamp", "Writer"]

_log = logging.getLogger("gitstate")

_ATTEMPTS = 20  # how often writes are made anew because a person's git moved the branch between reading and swapping
_TOGETHER = 64  # so many writes are published at once: the first of them waits for the last

Answer = Revision | None | BaseException
Stamp = Callable[[], Sequence[tuple[str, str]]]
"""Gives trailers that every commit carries; asked before each batch, and not under the lock. It does not fail."""
Refused = Callable[[ConflictError], object]
"""Is given the error of a write that conflicts, before its caller is, and whether there still is a caller or not; in
the writer's thread, and not under the lock."""

Redact = Callable[[Message], Message]
"""Makes of a message what a commit may say. It does not fail."""


@dataclass
class _Request:
    write: Callable[[Batch], Revision | None]
    refused: Refused | None = None
    done: "Future[Revision | None]" = field(default_factory=Future)

    def refuse(self, error: ConflictError) -> None:
        """Do what is to be done about a conflict, and answer; what goes wrong with that must not hide the conflict."""
        try:
            if self.refused is not None:
                self.refused(error)
        except Exception:  # noqa: BLE001  # as it says
            _log.exception("what was refused could not be kept aside")
        finally:
            self.answer(error)

    def answer(self, answer: Answer) -> None:
        if isinstance(answer, BaseException):
            self.done.set_exception(answer)
        else:
            self.done.set_result(answer)


class Writer:
    """Runs writes one after another, in the order in which they were submitted.

    Args:
        engine: Where the commits go.
        reader: Finds the documents.
        published: Are told, in the writer's thread, that something may have been written.
        reconciler: Follows what others commit; None: nobody else does.
        tops: Names the folders of documents.
    """

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        published: Sequence[Callable[[], None]],
        reconciler: Reconciler | None = None,
        tops: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._published = published
        self._reconciler = reconciler
        self._tip: ObjectId | None = None  # where the branch stood when we left it
        self.stamp: Stamp = lambda: ()
        self.redact: Redact = lambda message: message
        self.answered: list[Callable[[], None]] = []  # are called in the writer's thread when a batch was answered
        self._tops = tops
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._submitted = self._answered = 0
        self._thread: threading.Thread | None = None
        self._closed = ""

    def submit(
        self, collection: Collection, document: str, edit: Edit, refused: Refused | None = None
    ) -> "Future[Revision | None]":
        """Queue a write; its future gives the revision that was made, None when there was nothing to write.

        A future that is cancelled before its turn came writes nothing. ``refused`` is told of a conflict.
        """
        return self._enqueue(lambda batch: batch.write(collection, document, edit), refused)

    def submit_root(self, edit: RootEdit, *, given: bool = False) -> "Future[Revision | None]":
        """Queue a write of the whole store, or of files that a person has ``given``; see :meth:`submit`."""
        return self._enqueue(lambda batch: batch.write_root(edit, given=given))

    def submit_merge(self, edit: MergeEdit) -> "Future[Revision | None]":
        """Queue a merge of another history; see :meth:`submit`."""
        return self._enqueue(lambda batch: batch.write_merge(edit))

    def create(self, version: FormatVersion) -> Revision | None:
        """Make the first commit of a store, unless somebody else just did: return None then."""
        with self._engine.lock():
            if self._engine.head() is not None:
                return None
            first = trees.edit(self._engine, None, {FORMAT_FILE: version.to_bytes()})
            batch = Batch(self._engine, self._reader, None)
            revision = batch.commit(first.id, first.objects, Message("a new store"))
            batch.publish()
            return revision

    def follow(self) -> None:
        """Bring back what commits of others took back without meaning to; see :mod:`gitstate.store.reconcile`.

        Raises:
            BusyError: Another process did not let go of the lock in time.
            StorageError: The disk refused.
        """
        if self.is_behind():
            with self._engine.lock():
                self._publish([], ())

    def is_behind(self) -> bool:
        """Whether others have committed what was not looked at yet."""
        if self._reconciler is None or self._reader.head() == self._tip:
            return False
        return self._reconciler.is_due()

    def drain(self) -> None:
        """Wait until everything that was submitted so far is written or failed."""
        with self._changed:
            last = self._submitted
            self._changed.wait_for(lambda: self._answered >= last)

    def close(self) -> None:
        """Take no more writes, finish those that wait, and end the thread."""
        with self._changed:
            self._closed = self._closed or "the store is closed"
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def abandon(self, reason: str) -> None:
        """In a forked child: the thread did not come along, and what waits belongs to the parent."""
        self._changed = threading.Condition()
        self._queue.clear()
        self._answered, self._thread, self._closed = self._submitted, None, reason

    def _enqueue(
        self, write: Callable[[Batch], Revision | None], refused: Refused | None = None
    ) -> "Future[Revision | None]":
        request = _Request(write, refused)
        with self._changed:
            if self._closed:
                raise ClosedError(self._closed, hint="open the store again")
            if self._thread is None:
                # A daemon: an idle writer must not keep a program from ending; the store drains the queue at exit.
                thread = threading.Thread(target=self._run, name="gitstate-writer", daemon=True)
                thread.start()
                self._thread = thread
            self._queue.append(request)
            self._submitted += 1
            self._changed.notify_all()
        return request.done

    def _run(self) -> None:
        count = 0
        while True:
            with self._changed:
                self._answered += count
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                count = min(len(self._queue), _TOGETHER)
                taken = [self._queue.popleft() for _ in range(count)]
            taken = [request for request in taken if request.done.set_running_or_notify_cancel()]
            if taken:
                self._write(taken)
            del taken  # an idle thread must not keep a caller's state alive

    def _write(self, requests: list[_Request]) -> None:
        """Answer all requests, when the lock is released: a caller that wakes up takes the interpreter for a while."""
        try:
            stamp = self.stamp()
            with self._engine.lock():
                answers = self._publish(requests, stamp)
        except BaseException as error:  # noqa: BLE001 - whatever it was belongs to the callers
            answers = [error] * len(requests)
        refused: list[tuple[_Request, ConflictError]] = []
        for request, answer in zip(requests, answers, strict=True):
            if request.refused is not None and isinstance(answer, ConflictError):
                refused.append((request, answer))  # the others need not wait for what is done about it
            else:
                request.answer(answer)
        for told in (*self.answered, *self._published):
            _tell(told)
        for request, conflict in refused:
            request.refuse(conflict)
            for told in self.answered:
                _tell(told)

    def _publish(self, requests: list[_Request], stamp: Sequence[tuple[str, str]]) -> list[Answer]:
        """Return what became of each request, once the commits of those that did not fail are there to stay."""
        for attempt in range(1, _ATTEMPTS + 1):
            batch = Batch(self._engine, self._reader, self._reader.head(), stamp, self.redact, self._tops())
            if self._reconciler is not None and batch.tip != self._tip:
                self._reconciler.bring_back(batch)
            answers = [_attempt(request, batch) for request in requests]
            try:
                batch.publish()
            except StaleError:
                if attempt == _ATTEMPTS:
                    raise
            else:
                self._tip = batch.tip
                return answers
        raise AssertionError("the loop above returns or raises")


def _attempt(request: _Request, batch: Batch) -> Answer:
    try:
        return request.write(batch)
    except BaseException as error:  # noqa: BLE001 - whatever the edit raised belongs to its caller alone
        return error


def _tell(told: Callable[[], None]) -> None:
    """Call somebody who is told. What goes wrong with that, as where no thread can be started, must not end ours."""
    try:
        told()
    except Exception:  # noqa: BLE001  # as it says
        _log.exception("something that follows a write could not be done")
