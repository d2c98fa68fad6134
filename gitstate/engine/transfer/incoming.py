"""What others send, held apart until it is checked; then it becomes part of the repository, whole and at once.

Everything fetched is hostile until checked. It lies in a folder below the store's private one, where neither git nor
any reader of the store looks, and goes with the process.
"""

import errno
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from gitstate.engine import files, packs
from gitstate.engine.base import Source
from gitstate.engine.limits import DEFAULT, Limits
from gitstate.engine.objects import GitObject, Kind, ObjectId
from gitstate.engine.packs import PackKind
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository
from gitstate.engine.scratch import Scratch
from gitstate.engine.staging import Staging
from gitstate.engine.transfer import unpacking, vetting
from gitstate.engine.transfer.arrivals import Arrivals
from gitstate.engine.transfer.findings import Findings
from gitstate.engine.transfer.indexing import Indexer, Progress, indexer
from gitstate.engine.transfer.unpacking import OverBudgetError, Unpacker
from gitstate.errors import CorruptionError, TooLargeError

__all__ = ["Incoming", "Limits"]

_FEW = 500  # objects that are unpacked here: to let C git do it takes as long
_SMALL = 1 << 20  # bytes of such a pack
_UNPACKED = 32 << 20  # bytes of all its objects
_HEAD = 12  # bytes that tell how many objects there are
_TAGS = 5  # of tags
_TAGGED = re.compile(rb"object ([0-9a-f]{40})\ntype (?:commit|tag)\ntag [^\n]+\n")


class Incoming:
    """A pack that arrives. Use it as a context, until refs reach what was admitted.

    Few objects become a pack without deltas, as if they were saved here: :mod:`gitstate.engine.folding` joins those.

    Args:
        repository: Where it shall become part of.
        limits: What is taken in.
        below: Reads what is in the repository; by default a reader of its own.

    Raises:
        StorageError: The disk refused.
    """

    def __init__(self, repository: Repository, limits: Limits = DEFAULT, *, below: Source | None = None) -> None:
        self.count = 0
        """How many objects the pack says that it has; 0: none came."""
        self._repository = repository
        self._limits = limits
        self._scratch = Scratch(repository, "incoming")
        self._objects = self._scratch.path / "objects"
        self._reader = ObjectReader(repository, others=[self._objects])
        self._below = below
        self.source: Source = below or self._reader
        """Reads what arrived, once it has its index, and what is here."""
        self._buffer = bytearray()
        self._bytes = 0
        self._indexer: Indexer | None = None
        self._base: str | None = None
        self._kind: PackKind = "plain"
        self._keep: str | None = None
        self._tags: dict[ObjectId, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Take the next bytes of the pack.

        Raises:
            TooLargeError: They are more than the limit, or say so.
            UntrustedError: They are no pack.
            StorageError: The disk refused.
        """
        self._bytes += len(data)
        if self._bytes > self._limits.pack_bytes:
            raise TooLargeError(
                f"the remote sends more than {self._limits.pack_bytes} bytes", hint="raise the limit if that is meant"
            )
        if self._indexer is not None:
            self._indexer.write(data)
            return
        self._buffer += data
        if not self.count and len(self._buffer) >= _HEAD:
            self.count = unpacking.head(bytes(self._buffer[:_HEAD]))
            if self.count > self._limits.objects:
                raise TooLargeError(
                    f"the remote sends {self.count} objects, more than {self._limits.objects}",
                    hint="raise the limit if that is meant",
                )
        if self.count > _FEW or len(self._buffer) > _SMALL:
            self._let_index()

    def index(self, progress: Progress | None = None) -> None:
        """Make what arrived readable. Every object is checked against its id, and what deltas are of is put to them.

        Args:
            progress: Is told how far that is, where it takes a while.

        Raises:
            UntrustedError: The pack is damaged, cut short, or lacks something.
            TooLargeError: An object is larger than the limit.
            StorageError: The disk refused.
        """
        if not self._bytes:
            return
        if self._indexer is None:
            try:
                self._unpack()
            except OverBudgetError:
                self._let_index()
        if self._indexer is not None:
            self._base, self._kind = self._indexer.finish(progress), "deltas"
            self._indexer = None
            self.source = self._reader

    def check(self, tips: Sequence[ObjectId], known: Sequence[ObjectId], owned: Callable[[str], bool]) -> None:
        """Check that the history of some commits is complete, well-made and harmless, down to known ones.

        Args:
            tips: The commits, or tags of commits.
            known: Commits of this repository that nobody doubts, with all that they reach.
            owned: Whether a path is a file of a document; what JSON such a file may hold is limited.

        Raises:
            UntrustedError: It is not; ``problems`` has the first of what is wrong, each with path, revision and author.
        """
        findings = Findings()
        commits = []
        for tip in dict.fromkeys(tips):
            try:
                commits.append(self.commit(tip))
            except CorruptionError as error:
                findings.add("object", tip[:12], error.message, tip)
        present = [commit_id for commit_id in known if self._has(commit_id)]
        arrivals = Arrivals(self.source, self._objects if self._base else self._repository.objects)
        vetting.vet(arrivals, commits, present, owned, self._limits, self.count, findings)
        if findings:
            findings.refuse()

    def commit(self, tip: ObjectId) -> ObjectId:
        """Return the commit that an object is, or that a tag is of.

        Raises:
            CorruptionError: It is neither, or is missing; :meth:`check` refuses such a one.
        """
        object_id = tip
        for _ in range(_TAGS):
            with suppress(CorruptionError):
                self.source.read(object_id, "commit")
                return object_id
            kind, body = ("tag", self._tags[object_id]) if object_id in self._tags else self._reader.any(object_id)
            tagged = _TAGGED.match(body) if kind == "tag" else None
            if tagged is None or b"\0" in body or len(body) > self._limits.commit_bytes:
                raise CorruptionError(f"it is a {kind}, and leads to no commit")
            object_id = tagged[1].decode("ascii")
        raise CorruptionError("it is a tag of a tag of a tag")

    def admit(self) -> None:
        """Make what arrived part of the repository, durably.

        No garbage collection takes it, whether a ref reaches it or not, until :meth:`release`. Killed at any moment,
        nothing or all of it is there.

        Raises:
            StorageError: The disk refused.
        """
        if self._base is None:
            return
        folder = self._repository.objects / "pack"
        with files.storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for suffix in (".pack", ".idx"):
                files.sync_file(self._base + suffix)
            target = os.fspath(folder / self._name())
            self._protect(target + ".keep")
            for suffix in (".pack", ".idx"):  # the index last: nobody looks at a pack without one
                _move(self._base + suffix, target + suffix, folder)
            files.sync_directory(folder)
        self._base = None

    def release(self) -> None:
        """Say that refs reach what was admitted, so that it needs no protection. Idempotent."""
        if self._keep is not None:
            files.remove(self._keep)
            self._keep = None

    def close(self) -> None:
        """End everything; what was not admitted is gone. Idempotent."""
        self.release()
        if self._indexer is not None:
            self._indexer.abort()
            self._indexer = None
        self._reader.close()
        self._scratch.close()

    def _let_index(self) -> None:
        """Hand over what came so far, and what comes, to somebody who need not keep it in memory."""
        self._indexer = indexer(self._scratch.path, self._scratch.fd, self.count, self._limits, self._find)
        self._indexer.write(bytes(self._buffer))
        self._buffer.clear()

    def _unpack(self) -> None:
        data = bytes(self._buffer)
        pack = Unpacker(
            data, self._find, object_bytes=self._limits.object_bytes, total_bytes=_UNPACKED, held_bytes=_UNPACKED
        )
        arrived = Staging(self.source)
        self._tags.clear()
        entries: dict[bytes, packs.Entry] = {}
        for found in pack.objects():
            if not found.offset or found.id in entries:
                continue
            entries[found.id] = packs.Entry(found.id, packs.encode(found.kind, found.body))
            if found.kind == "tag":
                self._tags[found.id.hex()] = found.body
            else:
                arrived.add([GitObject(cast("Kind", found.kind), found.body)])
        self.source = arrived
        if entries:
            made = packs.build_entries(list(entries.values()))
            folder = self._objects / "pack"
            with files.storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                self._base = os.fspath(folder / made.name)
                files.create(self._base + ".pack", made.data, mode=0o444, durable=False)
                files.create(self._base + ".idx", made.index, mode=0o444, durable=False)

    def _find(self, object_id: bytes) -> tuple[str, bytes] | None:
        """Return kind and body of an object that is here, or None."""
        kinds: tuple[Kind, ...] = ("tree", "blob", "commit") if self._below is not None else ()
        for kind in kinds:
            with suppress(CorruptionError):
                return kind, cast("Source", self._below).read(object_id.hex(), kind)
        with suppress(CorruptionError):
            return self._reader.any(object_id.hex())
        return None

    def _has(self, commit_id: ObjectId) -> bool:
        with suppress(CorruptionError):
            self.source.read(commit_id, "commit")
            return True
        return False

    def _name(self) -> str:
        """Return what the pack shall be called, which says whether it has deltas."""
        with open(f"{self._base}.pack", "rb") as pack:
            pack.seek(-20, os.SEEK_END)
            return packs.pack_name(pack.read(), self._kind)

    def _protect(self, keep: str) -> None:
        note = self._scratch.path / "keep"
        files.remove(note)
        files.create(os.fspath(note), packs.keep_note(self._scratch.path.name), durable=False)
        if packs.is_left_keep(keep):
            files.remove(keep)
        with suppress(FileExistsError):  # a person's, or somebody took in the very same pack at this moment
            os.link(note, keep)
            self._keep = keep


def _move(source: str, target: str, folder: Path) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # that says that the folder of objects is on another disk
            raise
        beside = f"{folder}/tmp_pack_gitstate_{os.path.basename(target)}"  # noqa: S108 - as our other packs that are not in their place
        shutil.copyfile(source, beside)
        os.chmod(beside, 0o444)
        files.sync_file(beside)
        os.rename(beside, target)
