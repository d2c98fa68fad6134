"""The one module that publishes: a queue of writes, and the thread that turns each into a commit.

A write is a function of the document as it is now. It runs here, under the engine's lock, on the head that its commit
will follow; so nothing it decides can be stale when the branch moves.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from gitstate.engine import graph, trees
from gitstate.engine.base import Engine
from gitstate.engine.objects import Commit, GitObject, ObjectId
from gitstate.errors import ClosedError, GitStateError, StaleError, StorageError
from gitstate.format.message import Message
from gitstate.format.version import FormatVersion
from gitstate.store.documents import Collection, Draft, Edit, Revision, Snapshot, to_text
from gitstate.store.reader import FORMAT_FILE, Reader

__all__ = ["Writer"]

_ATTEMPTS = 20  # how often a write is made anew because a person's git moved the branch between reading and swapping


@dataclass
class _Request:
    collection: Collection
    document: str
    edit: Edit
    done: "Future[Revision | None]" = field(default_factory=Future)


class Writer:
    """Runs writes one after another, in the order in which they were submitted."""

    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._closed = ""

    def submit(self, collection: Collection, document: str, edit: Edit) -> "Future[Revision | None]":
        """Queue a write; its future gives the revision that was made, None when there was nothing to write.

        A future that is cancelled before its turn came writes nothing.
        """
        request = _Request(collection, document, edit)
        with self._changed:
            if self._closed:
                raise ClosedError(self._closed, hint="open the store again")
            if self._thread is None:
                # A daemon: an idle writer must not keep a program from ending; the store drains the queue at exit.
                self._thread = threading.Thread(target=self._run, name="gitstate-writer", daemon=True)
                self._thread.start()
            self._queue.append(request)
            self._changed.notify_all()
        return request.done

    def drain(self) -> None:
        """Wait until everything that was submitted so far is written or failed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue and not self._busy)

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
        self._busy, self._thread, self._closed = False, None, reason

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                request = self._queue.popleft()
                self._busy = True
            if request.done.set_running_or_notify_cancel():
                try:
                    revision = self._write(request)
                except BaseException as error:  # noqa: BLE001 - whatever the edit raised belongs to the caller
                    request.done.set_exception(error)
                else:
                    request.done.set_result(revision)
            del request  # an idle thread must not keep a caller's state alive

    def _write(self, request: _Request) -> Revision | None:
        with self._engine.lock():
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return self._publish(request)
                except StaleError:
                    if attempt == _ATTEMPTS:
                        raise
        raise AssertionError("the loop above returns or raises")

    def _publish(self, request: _Request) -> Revision | None:
        head = self._reader.head()
        current = self._reader.snapshot(request.collection, request.document, head)
        draft = request.edit(current)
        if draft is None:
            return None
        root = graph.read(self._engine, head).tree
        folder = self._reader.folder(root, request.collection, request.document)
        standing = trees.find(self._engine, root, folder)  # others' files may be there without a document
        edited = trees.edit(
            self._engine,
            standing.id if standing is not None and standing.is_directory else None,
            _changes(request.collection, current, draft),
        )
        empty = edited.id == trees.EMPTY
        grafted = trees.graft(self._engine, root, folder, None if empty else edited.id)
        objects = grafted.objects if empty else edited.objects + grafted.objects
        revision = self._commit(objects, grafted.id, head, draft.message, draft.published)
        if draft.value is not None:
            text = to_text(request.collection.layout.arranged(draft.value))  # as a reader would join it
            self._reader.texts.put(request.collection.name, request.document, edited.id, text)
        return revision

    def create(self, version: FormatVersion) -> Revision | None:
        """Make the first commit of a store, unless somebody else just did: return None then."""
        with self._engine.lock():
            if self._engine.head() is not None:
                return None
            edited = trees.edit(self._engine, None, {FORMAT_FILE: version.to_bytes()})
            return self._commit(edited.objects, edited.id, None, Message("a new store"))

    def _commit(
        self,
        objects: list[GitObject],
        tree: ObjectId,
        head: ObjectId | None,
        message: Message,
        published: Callable[[], None] = lambda: None,
    ) -> Revision:
        who = self._engine.signature()
        commit = Commit(tree, () if head is None else (head,), who, who, message.to_bytes())
        made = commit.to_object()
        try:
            self._engine.publish([*objects, made], expected=head, new=made.id, note=message.subject)
        except StorageError:
            with suppress(GitStateError):
                if self._engine.head() == made.id:
                    published()  # only a sync failed: the caller who tries again must not count a change twice
            raise
        published()
        return Revision.of(made.id, commit)


def _changes(collection: Collection, current: Snapshot | None, draft: Draft) -> dict[str, bytes | None]:
    """Return the files to write and to remove so that a document becomes what the draft says."""
    layout = collection.layout
    there = current.files() if current is not None else {}
    if draft.delete:
        return {path: None for path in there if layout.owns(path) or layout.attached(path)}
    changes: dict[str, bytes | None] = dict(draft.attachments)
    if draft.value is not None:
        files = layout.split(draft.value)
        changes |= {path: None for path in there if layout.owns(path) and path not in files}
        changes |= files
    return changes
