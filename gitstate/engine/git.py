"""The engine of a git repository: objects first and durable, then one swap of the branch."""

import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from gitstate.engine import files, packs, refs
from gitstate.engine.base import Engine
from gitstate.engine.identity import Identity
from gitstate.engine.locks import StoreLock
from gitstate.engine.objects import GitObject, Kind, ObjectId, Signature, Tree
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository
from gitstate.errors import CorruptionError, StorageError

__all__ = ["GitEngine"]

_LOOK_EVERY = 8  # publishes between two looks at how many packs there are


class GitEngine(Engine):
    """Keeps objects in a git repository's packs and moves one of its branches.

    Args:
        repository: What :func:`gitstate.engine.repository.open_repository` returned.
        lock_timeout: Seconds to wait for other writers.
        ref_timeout: Seconds to wait for a person's git that holds the branch's lock file.
    """

    def __init__(self, repository: Repository, *, lock_timeout: float = 30.0, ref_timeout: float = 10.0) -> None:
        self.identity = f"{os.path.realpath(repository.common_dir)}:{repository.branch}"
        self._repository = repository
        self._packs = repository.objects / "pack"
        self._lock_timeout = lock_timeout
        self._ref_timeout = ref_timeout
        self._lock = StoreLock(repository.private / "lock")
        self._reader = ObjectReader(repository)
        self._who = Identity(repository)
        self._clean = False  # whether leftovers of the dead were looked for
        self._published = 0
        _engines.add(self)

    def head(self) -> ObjectId | None:
        """See :meth:`Engine.head`."""
        with files.storage_errors(self._repository.common_dir / self._repository.ref):
            return refs.read(self._repository, self._repository.ref)

    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        """See :meth:`Engine.read`."""
        return self._reader.read(object_id, kind)

    def tree(self, tree_id: ObjectId) -> Tree:
        """See :meth:`Engine.tree`."""
        return self._reader.tree(tree_id)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See :meth:`Engine.lock`."""
        with files.storage_errors(self._repository.private):
            clean = self._lock.acquire(self._lock_timeout)
        try:
            if not (clean and self._clean):
                with files.storage_errors(self._packs):
                    self._packs.mkdir(parents=True, exist_ok=True)
                    packs.remove_leftovers(self._packs)
                self._clean = True
            yield
        finally:
            self._lock.release()

    def publish(self, objects: Sequence[GitObject], *, expected: ObjectId | None, new: ObjectId, note: str) -> None:
        """See :meth:`Engine.publish`.

        A StorageError may also come after the branch moved, when its folder could not be synced; :meth:`head` tells.
        """
        with files.storage_errors(self._repository.common_dir):
            keep = packs.keeper(self._repository.private)
            pack = packs.place(self._packs, packs.build(objects), keep=keep) if objects else None
            try:
                refs.swap(
                    self._repository,
                    self._repository.ref,
                    expected=expected,
                    new=new,
                    who=self.signature(),
                    note=note,
                    timeout=self._ref_timeout,
                )
            except BaseException:
                self._clean = False
                if pack is not None and not self._may_be_at(new):
                    pack.discard()
                raise
            finally:
                if pack is not None:
                    pack.release()
        self._reader.learn(objects)
        self._fold_if_many()

    def find(self, prefix: str) -> list[ObjectId]:
        """See :meth:`Engine.find`."""
        return self._reader.find(prefix)

    def signature(self) -> Signature:
        """See :meth:`Engine.signature`."""
        return self._who.signature()

    def close(self) -> None:
        """See :meth:`Engine.close`."""
        self._reader.close()

    def _may_be_at(self, commit_id: ObjectId) -> bool:
        try:
            return self.head() == commit_id
        except (CorruptionError, StorageError):
            return True  # we do not know, so the objects stay

    def _fold_if_many(self) -> None:
        """Keep the number of packs small; the write is done, so trouble here waits for the next time."""
        if self._published % _LOOK_EVERY == 0:
            with suppress(OSError):
                packs.fold(self._packs)
        self._published += 1

    def _forked(self) -> None:
        self._reader.forked()


_engines: "weakref.WeakSet[GitEngine]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for engine in list(_engines):
        engine._forked()


os.register_at_fork(after_in_child=_after_fork_in_child)
