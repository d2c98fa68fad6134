"""An engine in dictionaries: the same objects and ids as git's, gone with the process."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gitstate.engine.base import Arrival, Engine, Source, Step
from gitstate.engine.objects import GitObject, Kind, ObjectId, Signature, Tree, parse_tree
from gitstate.errors import BusyError, CorruptionError, StaleError, UnsupportedError

if TYPE_CHECKING:
    from gitstate.engine.upkeep import GcReport

__all__ = ["MemoryEngine"]

_numbers = itertools.count(1)


class MemoryEngine(Engine):
    """Keeps objects and one branch in memory."""

    def __init__(self, *, lock_timeout: float = 30.0) -> None:
        self.identity = f"memory:{next(_numbers)}"
        self.settled = ()
        self._lock_timeout = lock_timeout  # seconds
        self._lock = threading.Lock()
        self._objects: dict[ObjectId, GitObject] = {}
        self._head: ObjectId | None = None
        self._refs: dict[str, ObjectId] = {}

    def head(self) -> ObjectId | None:
        """See :meth:`Engine.head`."""
        return self._head

    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        """See :meth:`Engine.read`."""
        found = self._objects.get(object_id)
        if found is None or found.kind != kind:
            raise CorruptionError(f"{kind} {object_id} is missing" if found is None else f"{object_id} is no {kind}")
        return found.body

    def tree(self, tree_id: ObjectId) -> Tree:
        """See :meth:`Engine.tree`."""
        body = self.read(tree_id, "tree")
        return self._objects[tree_id].tree or parse_tree(body, tree_id)

    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        """See :meth:`Source.commits`; to read one by one is as fast."""
        del start
        return iter(())

    def at_hand(self) -> Source:
        """See :meth:`Engine.at_hand`."""
        return self

    def bulk(self, ids: Sequence[ObjectId]) -> Iterator[GitObject]:
        """See :meth:`Engine.bulk`; to read one by one is as fast."""
        del ids
        return iter(())

    def line(self, start: ObjectId, until: ObjectId | None) -> Iterator[Step]:
        """See :meth:`Engine.line`; to read one by one is as fast."""
        del start, until
        return iter(())

    def arrivals(self, tips: Sequence[ObjectId], without: Sequence[ObjectId]) -> Iterator[Arrival]:
        """See :meth:`Engine.arrivals`."""
        from gitstate.engine.brought import arrivals

        return arrivals(self, tips, without)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See :meth:`Engine.lock`."""
        if not self._lock.acquire(timeout=self._lock_timeout):
            raise BusyError(f"another thread is writing for more than {self._lock_timeout:g} s", hint="try again later")
        try:
            yield
        finally:
            self._lock.release()

    def publish(self, objects: Sequence[GitObject], *, expected: ObjectId | None, new: ObjectId, note: str) -> None:
        """See :meth:`Engine.publish`; there is no reflog, so ``note`` goes nowhere."""
        del note
        if self._head != expected:
            raise StaleError(f"the branch is at {self._head}, not at {expected}", hint="read it again")
        self._objects.update((item.id, item) for item in objects)
        self._head = new

    def find(self, prefix: str) -> list[ObjectId]:
        """See :meth:`Engine.find`."""
        matches = (item for item in list(self._objects.values()) if item.kind == "commit")
        return sorted(item.id for item in matches if item.id.startswith(prefix))

    def ref(self, name: str) -> ObjectId | None:
        """See :meth:`Engine.ref`."""
        return self._refs.get(name)

    def peeled(self, object_id: ObjectId) -> ObjectId | None:
        """See :meth:`Engine.peeled`; there are no objects for tags."""
        found = self._objects.get(object_id)
        return object_id if found is not None and found.kind == "commit" else None

    def refs(self, below: str) -> list[str]:
        """See :meth:`Engine.refs`."""
        return sorted(name for name in list(self._refs) if name.startswith(below))

    def create_ref(self, name: str, commit_id: ObjectId, *, objects: Sequence[GitObject] = (), note: str = "") -> None:
        """See :meth:`Engine.create_ref`; there are no logs."""
        del note
        with self.lock():
            if name in self._refs:
                raise StaleError(f"{name} is there, at {self._refs[name]}", hint="read it again")
            if any(f"{other}/".startswith(f"{name}/") or f"{name}/".startswith(f"{other}/") for other in self._refs):
                raise UnsupportedError(f"{name} cannot be made: another name is in the way", hint="choose another name")
            self._objects.update((item.id, item) for item in objects)
            self._refs[name] = commit_id

    def move_ref(self, name: str, *, expected: ObjectId | None, new: ObjectId, note: str) -> None:
        """See :meth:`Engine.move_ref`; there are no logs."""
        if expected is None:
            self.create_ref(name, new, note=note)
            return
        with self.lock():
            self._expect(name, expected)
            self._refs[name] = new

    def _expect(self, name: str, expected: ObjectId) -> None:
        if self._refs.get(name) != expected:
            raise StaleError(f"{name} is at {self._refs.get(name)}, not at {expected}", hint="read it again")

    def delete_ref(self, name: str, *, expected: ObjectId) -> None:
        """See :meth:`Engine.delete_ref`."""
        with self.lock():
            self._expect(name, expected)
            del self._refs[name]

    def checked_out(self, name: str) -> str | None:
        """See :meth:`Engine.checked_out`."""
        del name
        return None

    def signature(self) -> Signature:
        """See :meth:`Engine.signature`."""
        return Signature("memory", "memory@localhost", int(time.time()))

    def gc(self) -> "GcReport":
        """See :meth:`Engine.gc`; there is nothing to pack."""
        from gitstate.engine.upkeep import GcReport

        return GcReport(0, 0, 0, 0, 0.0, ("the store is in memory: there is nothing to pack",))

    def close(self) -> None:
        """See :meth:`Engine.close`."""
