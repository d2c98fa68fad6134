"""The engine of a git repository: objects first and durable, then one swap of the branch."""

import logging
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from gitstate.engine import cgit, files, locks, loose, packs, refs, scratch, settling, upkeep
from gitstate.engine.background import Background, checkpoint, delay, sync_records
from gitstate.engine.base import Arrival, Engine, Settled, Source, Step
from gitstate.engine.identity import Identity
from gitstate.engine.journal import Journal, Record
from gitstate.engine.locks import StoreLock
from gitstate.engine.objects import GitObject, Kind, ObjectId, Signature, Tree, parse_commit
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository
from gitstate.engine.spares import Spares
from gitstate.errors import CorruptionError, ReadOnlyError, StaleError, StorageError

if TYPE_CHECKING:
    from gitstate.engine.check import Problem
    from gitstate.engine.upkeep import GcReport

__all__ = ["GitEngine"]

_log = logging.getLogger("gitstate")

_PATIENCE = 10.0  # seconds for which close() waits for another process's checkpoint before it makes its own


class GitEngine(Engine):
    """Keeps objects in a git repository's packs and moves one of its branches.

    Args:
        repository: What :func:`gitstate.engine.repository.open_repository` returned.
        durable: Whether a publish waits for the disk; otherwise what was published in the last seconds may be lost when
            the power is cut.
        lock_timeout: Seconds to wait for other writers.
        ref_timeout: Seconds to wait for a person's git that holds the branch's lock file.
    """

    def __init__(
        self, repository: Repository, *, durable: bool = True, lock_timeout: float = 30.0, ref_timeout: float = 10.0
    ) -> None:
        self.identity = f"{os.path.realpath(repository.common_dir)}:{repository.branch}"
        self.settled: list[Settled] = []
        self._repository = repository
        self._packs = repository.objects / "pack"
        self._private = repository.private
        self._lock_timeout = lock_timeout
        self._ref_timeout = ref_timeout
        self._lock = StoreLock(self._private / "lock")
        self._journal = Journal(self._private / "journal", durable=durable)
        self._background = Background(self._tidy, "gitstate-background")
        self._spares = Spares(self._private)
        self._packer = upkeep.Packer(repository, self.lock)
        self._reader = ObjectReader(repository)
        self._clean = False  # whether leftovers of the dead were looked for
        self._keep = ""
        self._holder = 0  # the thread that holds the lock
        _engines.add(self)
        try:
            self._settle_after_restart()
        except BaseException:
            self.close()
            raise

    def head(self) -> ObjectId | None:
        """See :meth:`Engine.head`."""
        with files.storage_errors(self._repository.path(self._repository.ref)):
            try:
                return refs.read(self._repository, self._repository.ref)
            except CorruptionError as error:
                try:
                    with nullcontext() if self._holder == threading.get_ident() else self.lock():
                        self._settle()
                except ReadOnlyError:
                    raise error from None  # somebody who may write can make it good
                return refs.read(self._repository, self._repository.ref)

    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        """See :meth:`Engine.read`."""
        return self._reader.read(object_id, kind)

    def read_all(self, ids: Sequence[ObjectId], kind: Kind) -> list[bytes]:
        """See :meth:`Engine.read_all`."""
        return self._reader.read_all(ids, kind)

    def tree(self, tree_id: ObjectId) -> Tree:
        """See :meth:`Engine.tree`."""
        return self._reader.tree(tree_id)

    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        """See :meth:`Source.commits`."""
        return self._reader.commits(start)

    def at_hand(self) -> Source:
        """See :meth:`Engine.at_hand`."""
        return self._reader.at_hand

    def bulk(self, ids: Sequence[ObjectId]) -> Iterator[GitObject]:
        """See :meth:`Engine.bulk`."""
        return self._reader.bulk(ids)

    def bodies(self, groups: Sequence[Sequence[ObjectId]], kind: Kind) -> Iterator[dict[ObjectId, bytes]]:
        """See :meth:`Engine.bodies`."""
        return self._reader.bodies(groups, kind)

    def line(self, start: ObjectId, until: ObjectId | None) -> Iterator[Step]:
        """See :meth:`Engine.line`; C git reads them, if there is one."""
        for commit_id, body, changed in cgit.line(self._repository.objects, start, until):
            item = GitObject("commit", body)
            if item.id != commit_id:
                raise CorruptionError(f"commit {commit_id} in {self._repository.objects} is damaged")
            yield Step(commit_id, body, parse_commit(body), changed.files, changed.folders)

    def arrivals(self, tips: Sequence[ObjectId], without: Sequence[ObjectId]) -> Iterator[Arrival]:
        """See :meth:`Engine.arrivals`; C git finds them, if there is one and nothing is damaged."""
        from gitstate.engine.brought import arrivals

        given: set[ObjectId] = set()
        with suppress(OSError, StorageError):
            for commit_id, brought in cgit.arrivals(self._repository.objects, tips, without):
                given.add(commit_id)
                yield Arrival(commit_id, brought)
            if given or not tips:
                return
        yield from (each for each in arrivals(self, tips, without) if each.commit not in given)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See :meth:`Engine.lock`."""
        with self._writing():
            clean = self._lock.acquire(self._lock_timeout)
        try:
            self._holder = threading.get_ident()
            with files.storage_errors(self._private):
                self._clean = clean and self._clean  # if this fails, the next one looks for them
                if not self._clean:
                    self._clear_leftovers()
                self._take_in()
                if self._journal.is_of_another_boot:
                    self._settle()
            yield
        finally:
            self._holder = 0
            self._lock.release()

    def publish(self, objects: Sequence[GitObject], *, expected: ObjectId | None, new: ObjectId, note: str) -> None:
        """See :meth:`Engine.publish`.

        A StorageError may also come after the branch moved, when its folder could not be synced; :meth:`head` tells.
        """
        with files.storage_errors(self._repository.common_dir):
            pack = packs.build(objects) if objects else None
            if expected is not None:
                self._sync_theirs(expected)
            journaled = pack is not None and expected is not None and self._record(expected, new, pack)
            placed = None
            try:
                if pack is not None:
                    placed = self._place(pack, durable=not journaled)
                self._swap(expected, new, note, durable=not journaled)
            except BaseException:
                self._take_back(new, placed, journaled=journaled)
                raise
            if placed is not None:
                placed.release()
            if expected is None:
                with suppress(OSError):  # then the next publish makes it
                    self._journal.ensure({self._repository.ref: new})  # from here on a restart is noticed
        self._reader.learn(objects)
        self._background.due_in(0.0 if self._spares.are_due else delay(self._journal))

    def _take_in(self) -> None:
        """Take in what other processes published; under the lock."""
        known = self._journal.last
        self._journal.refresh()
        last = self._journal.last
        if last is not None and last is not known:  # what comes next is built on it, so dulwich need not look for it
            self._reader.learn(packs.objects(last.pack))

    def _sync_theirs(self, commit_id: ObjectId) -> None:
        """Get to the disk what others' gits wrote and did not wait for; what comes now is built on it."""
        last = self._journal.last
        if last is None or last.after != commit_id:
            known = {self._journal.synced.get(self._repository.ref), *(each.after for each in self._journal.records)}
            if commit_id not in known:
                loose.sync(self._repository.objects, self._reader, commit_id, known)

    @contextmanager
    def _lock_once_synced(self) -> Iterator[None]:
        """Hold the lock, with all that was published on the disk: no name of a ref gets there before what it names, and
        of a "normal" publish the journal alone is no guarantee.
        """
        with self._writing():
            checkpoint(self._repository, self._journal, self.lock, patience=_PATIENCE)
            with self.lock():
                if self._journal.records:  # they came since then, or another process's checkpoint takes too long
                    sync_records(self._repository, self._journal.records)
                yield

    def _record(self, expected: ObjectId, new: ObjectId, pack: packs.Pack) -> bool:
        """Write a publish to the journal; False: it has no room, so that the files themselves must be synced."""
        return self._journal.append(Record(self._repository.ref, expected, new, pack.data))

    def _place(self, pack: packs.Pack, *, durable: bool) -> packs.NewPack:
        """Write a pack, and keep it from git's garbage collection until it is released."""
        if not self._keep or not os.path.exists(self._keep):
            self._keep = packs.keeper(self._private)
        return packs.place(self._packs, pack, keep=self._keep, durable=durable, spares=self._spares)

    def _swap(self, expected: ObjectId | None, new: ObjectId, note: str, *, durable: bool) -> None:
        refs.swap(
            self._repository,
            self._repository.ref,
            expected=expected,
            new=new,
            who=self.signature(),
            note=note,
            timeout=self._ref_timeout,
            durable=durable,
            ready=self._journal.sync,  # now: all else was done while the disk wrote
        )

    def _take_back(self, new: ObjectId, placed: packs.NewPack | None, *, journaled: bool) -> None:
        """Undo a publish that failed, unless the branch moved."""
        self._clean = False
        if not self._may_be_at(new):
            if journaled:
                with suppress(OSError):  # then it may come true after a cut of the power, as if it had been in time
                    self._journal.take_back()
            if placed is not None:
                placed.discard()
        if placed is not None:
            placed.release()

    def find(self, prefix: str) -> list[ObjectId]:
        """See :meth:`Engine.find`."""
        return self._reader.find(prefix)

    def ref(self, name: str) -> ObjectId | None:
        """See :meth:`Engine.ref`."""
        with files.storage_errors(self._repository.path(name)):
            found = refs.read(self._repository, name)
        return None if found is None else self._reader.peel(found)

    def peeled(self, object_id: ObjectId) -> ObjectId | None:
        """See :meth:`Engine.peeled`."""
        try:
            return self._reader.peel(object_id)
        except CorruptionError:
            return None

    def refs(self, below: str) -> list[str]:
        """See :meth:`Engine.refs`."""
        with files.storage_errors(self._repository.path(below)):
            return sorted(set(refs.names(self._repository, below)))

    def create_ref(self, name: str, commit_id: ObjectId, *, objects: Sequence[GitObject] = (), note: str = "") -> None:
        """See :meth:`Engine.create_ref`."""
        pack = packs.build(objects) if objects else None
        with self._lock_once_synced():
            self._sync_theirs(commit_id)
            placed = None if pack is None else self._place(pack, durable=True)
            try:
                self._make_ref(name, commit_id, note)
            except BaseException:
                self._clean = False
                if placed is not None and not self._may_be_at(commit_id, name):
                    placed.discard()
                raise
            finally:
                if placed is not None:
                    placed.release()
        self._reader.learn(objects)
        if placed is not None:
            self._background.due_in(delay(self._journal))  # it is one more pack to be joined with others

    def _make_ref(self, name: str, commit_id: ObjectId, note: str) -> None:
        timeout = self._ref_timeout
        if not note:
            refs.create(self._repository, name, commit_id, timeout=timeout)
            return
        who = self.signature()
        refs.swap(self._repository, name, expected=None, new=commit_id, who=who, note=note, timeout=timeout)

    def move_ref(self, name: str, *, expected: ObjectId | None, new: ObjectId, note: str) -> None:
        """See :meth:`Engine.move_ref`."""
        with self._lock_once_synced():
            who, timeout = self.signature(), self._ref_timeout
            refs.swap(self._repository, name, expected=expected, new=new, who=who, note=note, timeout=timeout)

    def delete_ref(self, name: str, *, expected: ObjectId) -> None:
        """See :meth:`Engine.delete_ref`."""
        with files.storage_errors(self._repository.path(name)), self.lock():
            found = refs.read(self._repository, name)
            if found is None or self._reader.peel(found) != expected:
                raise StaleError(f"{name} is at {found}, not at {expected}", hint="read it again")
            refs.delete(self._repository, name, expected=found, timeout=self._ref_timeout)

    def checked_out(self, name: str) -> str | None:
        """See :meth:`Engine.checked_out`."""
        with files.storage_errors(self._repository.common_dir):
            return refs.checked_out(self._repository, name)

    def signature(self) -> Signature:
        """See :meth:`Engine.signature`."""
        return self._who.signature()

    @cached_property
    def _who(self) -> Identity:
        """Who commits, which takes a third of the time to open a store; who only reads need not know."""
        with files.storage_errors(self._repository.common_dir):
            return Identity(self._repository)

    def check(self, *, repair: bool = False) -> "list[Problem]":
        """Return what is wrong with all that is derived or transient, and mend it if asked to.

        Raises:
            BusyError: Another process did not let go of the lock in time.
        """
        from gitstate.engine import leftovers

        if not self._repository.private.exists():
            return []
        with files.storage_errors(self._private):
            clean = self._lock.acquire(self._lock_timeout)
            try:
                self._journal.refresh()
                found = list(leftovers.look(self._repository, self._journal))
                if repair and found:
                    self._clear_leftovers()
                    self._settle()
                    found = [replace(problem, repaired=problem.kind != "damaged") for problem in found]
            finally:
                self._clean = clean and self._clean
                self._lock.release()
        return found

    def gc(self) -> "GcReport":
        """See :meth:`Engine.gc`."""
        with self._writing():
            report = upkeep.gc(self._repository, self.lock)
            checkpoint(self._repository, self._journal, self.lock, patience=_PATIENCE)
            self._reader.tidy()
        return report

    def forget(self) -> None:
        """Forget all that was read: some of it was purged."""
        self._reader.forget()

    def close(self) -> None:
        """See :meth:`Engine.close`."""
        self._packer.stop()
        self._background.stop()
        self._journal.close()
        self._reader.close()
        self._lock.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise what the operating system refuses; of a store that cannot be written say that it can be read."""
        try:
            with files.storage_errors(self._private):
                yield
        except ReadOnlyError as error:
            common = self._repository.common_dir
            if files.can_write(self._private if self._private.exists() else common):
                raise
            raise files.only_read(common, error) from error

    def _may_be_at(self, commit_id: ObjectId, ref: str = "") -> bool:
        """Whether the branch, or another ref, stands at a commit, as far as we know."""
        try:
            return (self.head() if not ref else self.ref(ref)) == commit_id
        except (CorruptionError, StorageError):
            return True  # we do not know, so the objects stay

    def _clear_leftovers(self) -> None:
        self._packs.mkdir(parents=True, exist_ok=True)
        packs.remove_leftovers(self._packs)
        lock = f"{self._repository.common_dir / self._repository.ref}.lock"
        if locks.is_of_the_dead(self._repository.private, lock):
            files.remove(lock)  # first: while the private file is there, the lock can be told from a living git's
        locks.settle_doubles(self._repository.private, self._repository.common_dir / "refs")
        locks.remove_leftovers(self._repository.private)
        upkeep.remove_leftovers(self._repository, nullcontext)
        scratch.remove_leftovers(self._repository)
        self._clean = True

    def _settle(self) -> None:
        """Make good what a cut of the power took; under the lock."""
        if self._journal.is_of_another_boot:
            self._spares.clear()
        self.settled += settling.settle(self._repository, self._journal, self.signature())

    def _settle_after_restart(self) -> None:
        """Settle before anything is read, if this machine was started anew since the last write."""
        try:
            with files.storage_errors(self._private):
                self._journal.refresh()
            unsettled = self._journal.is_of_another_boot or self._has_lost(self._journal.last)
            self._journal.close()  # what was read without the lock may be taken back, or be on its way
            if unsettled:
                with self.lock():
                    if self._has_lost(self._journal.last):
                        self._settle()
        except ReadOnlyError as error:
            _log.debug("the journal is left to somebody who may write: %s", error)

    def _has_lost(self, record: Record | None) -> bool:
        """Whether what a record says is not there: a drive was unplugged, or somebody removed a pack."""
        if record is None:
            return False
        reader = ObjectReader(self._repository)  # ours knows what it learned from the journal
        try:
            reader.read(record.after, "commit")
        except CorruptionError:
            return True
        finally:
            reader.close()
        return False

    def _tidy(self, last: bool) -> None:
        with files.storage_errors(self._repository.objects):
            if not last and self._spares.are_due:  # that cannot wait, and all else can
                self._spares.refill()
                self._background.due_in(delay(self._journal))
                return
            checkpoint(self._repository, self._journal, self.lock, patience=_PATIENCE if last else 0.0)
            upkeep.tidy(self._repository, self.lock)
            self._reader.tidy()
            if not last:
                self._spares.refill()
            self._packer.start_if_due()

    def _forked(self) -> None:
        self._reader.forked()
        self._journal.close()


_engines: "weakref.WeakSet[GitEngine]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for engine in list(_engines):
        engine._forked()


os.register_at_fork(after_in_child=_after_fork_in_child)
