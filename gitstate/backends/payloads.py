"""Prompts and outputs of executions: files in the trees of the commits that record them.

Whoever shows executions asks again and again. So the texts that were read last are kept, which takes no memory beside
that of the records that hold them.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock
from typing import Any

from gitstate.backends.executions import RECORD, Recorded, folder_of, recorded
from gitstate.engine.base import Source
from gitstate.engine.objects import ObjectId
from gitstate.errors import CorruptionError
from gitstate.store.documents import Collection, Revision
from gitstate.store.store import Store

__all__ = ["Payloads"]

_NAMES = ("prompt", "output")


class Payloads:
    """Prompts and outputs in one store. Safe to use from any thread.

    Args:
        store: The store.
        collection: That of its jobs.
        limit: Bytes of texts that are kept.
    """

    def __init__(self, store: Store, collection: Collection, limit: int = 8 << 20) -> None:
        self._store = store
        self._collection = collection
        self._limit = limit
        self._size = 0
        self._lock = Lock()
        self._texts: OrderedDict[ObjectId, str] = OrderedDict()

    def records(self, job_id: str, sheet_num: int | None) -> Iterator[dict[str, Any]]:
        """Yield the records of the executions of a job, or of one of its sheets, newest first.

        Raises:
            CorruptionError: A prompt or an output is damaged.
        """
        for said, revision in recorded(self._store, self._collection, job_id):
            if sheet_num in (None, said.sheet_num):
                row = said._asdict() | self.of(said, revision)
                yield {name: row[name] for name in RECORD}

    def of(self, said: Recorded, revision: Revision) -> dict[str, str | None]:
        """Return the prompt and the output of an execution that a commit records. Raises as :meth:`records` does."""
        texts: dict[str, str | None] = dict.fromkeys(_NAMES)
        if said.sheet_num is None:
            return texts
        folder, wanted = folder_of(said.sheet_num), list[str]()
        for name in _NAMES:
            if getattr(said, f"{name}_bytes") is not None:
                texts[name] = self._known(revision, f"{folder}/{name}.txt")
                wanted += [name] if texts[name] is None else []
        snapshot = self._store.after(self._collection, said.job_id, revision) if wanted else None
        if snapshot is not None:
            found = snapshot.files_in(folder, [f"{name}.txt" for name in wanted])
            for name, entry in zip(wanted, found, strict=True):
                texts[name] = None if entry is None else self._text(snapshot.source, entry.id)
        return texts

    def clear(self) -> None:
        """Let all texts go."""
        with self._lock:
            self._texts.clear()
            self._size = 0

    def _known(self, revision: Revision, path: str) -> str | None:
        """Return a text of which the index says where it is; None: it does not, or it is not there."""
        blob = (revision.attached or {}).get(path)
        with suppress(CorruptionError):  # the way through the trees tells what is wrong
            return None if blob is None else self._text(self._store.reader.source, blob)
        return None

    def _text(self, source: Source, blob: ObjectId) -> str:
        with self._lock:
            known = self._texts.get(blob)
            if known is not None:
                self._texts.move_to_end(blob)
                return known
        text = _decoded(source.read(blob, "blob"))
        size = sys.getsizeof(text)
        if size <= self._limit // 8:
            with self._lock:
                if blob not in self._texts:
                    self._texts[blob] = text
                    self._size += size
                while self._size > self._limit:
                    self._size -= sys.getsizeof(self._texts.popitem(last=False)[1])
        return text


def _decoded(content: bytes) -> str:
    for way in ("strict", "surrogatepass"):
        with suppress(UnicodeDecodeError):
            return content.decode("utf-8", way)
    return content.decode("utf-8", "replace")  # not as we wrote it
