"""Reads objects from packs and loose files that other processes move about meanwhile."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar, cast

from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID

from gitstate.engine import cgit, files
from gitstate.engine.base import NotAtHandError, Source
from gitstate.engine.objects import TAGGED, GitObject, Kind, ObjectId, Tree, parse_tree
from gitstate.engine.openpacks import OpenPacks
from gitstate.engine.packfolder import PackFolder
from gitstate.engine.repository import Repository
from gitstate.errors import ClosedError, CorruptionError

__all__ = ["ObjectReader"]

_T = TypeVar("_T")
_KINDS: dict[int, str] = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_TAGS = 5  # of tags, as many as of symbolic refs
_ATTEMPTS = 3  # an object that moved from pack to pack is found the second time, hardly ever the third
_MOVES = 10  # and so often may the pack that it was found in be gone before it was read, on a busy machine
_FEW = 1500  # objects: until git has begun to read, so many are read here
_OPEN = 2  # object stores at a time, whatever the number of threads: each has two descriptors for every pack


class ObjectReader:
    """Reads objects and checks them against their ids. Safe in any thread.

    Most objects lie in packs that are read without dulwich. It is asked for all others, loose ones and those of other
    folders, and for what seems to be missing or damaged. Its stores must not be shared between threads, so each such
    read borrows one of two. More would bring nothing, since one thread runs at a time, and many descriptors.

    ``others`` are more folders of objects, looked into for what the repository has not.
    """

    def __init__(
        self, repository: Repository, *, cache_bytes: int = 32 << 20, others: Sequence[str | os.PathLike[str]] = ()
    ) -> None:
        self._path = repository.objects
        self._others = [os.fspath(folder) for folder in others]
        self._packs = PackFolder(f"{os.fspath(self._path)}/pack")
        self._idle: list[OpenPacks] = []
        self._free = threading.Semaphore(_OPEN)
        self._known = _Objects(cache_bytes)  # trees and commits
        self.at_hand = _AtHand(self._known)
        self._closed = False

    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        """Return the body of an object.

        Raises:
            CorruptionError: It is missing, damaged or of another kind; the message names it.
            StorageError: The disk refused.
        """
        known = None if kind == "blob" else self._known.get(object_id)
        if known is not None and known.kind == kind:
            return known.body
        body = self._of_kind(object_id, kind)
        if kind != "blob":  # few of these are read twice, and who does keeps what it made of them
            self._known.put(object_id, GitObject(kind, body))
        return body

    def read_all(self, ids: Sequence[ObjectId], kind: Kind) -> list[bytes]:
        """Return the bodies of several objects, which are read together. Raises as :meth:`read` does."""
        self._check_open()
        bodies = self._from_packs(ids, kind)
        for object_id in ids:
            if object_id not in bodies:
                bodies[object_id] = self.read(object_id, kind)  # which knows where else it may be, or what is wrong
        return [bodies[object_id] for object_id in ids]

    def bodies(self, groups: Sequence[Sequence[ObjectId]], kind: Kind) -> Iterator[dict[ObjectId, bytes]]:
        """See :meth:`gitstate.engine.base.Engine.bodies`; C git reads them, if they are many and there is one."""
        self._check_open()
        ids = [object_id for group in groups for object_id in group]
        if len(ids) < _FEW:
            bodies = self._from_packs(ids, kind)
            yield from (bodies for _ in groups)
            return
        read = cgit.contents(self._path, ids)  # it goes on while the caller looks at a group
        for group in groups:
            found = [(each, item[0], item[2]) for each, item in zip(group, read, strict=False) if item is not None]
            bodies = _right(found, kind)
            rest = [object_id for object_id in group if object_id not in bodies]
            yield bodies | self._from_packs(rest, kind) if rest else bodies

    def _from_packs(self, ids: Iterable[ObjectId], kind: Kind) -> dict[ObjectId, bytes]:
        """Return the bodies of those of some objects that are of a kind, can be read, and are what their ids say."""
        raw = self._packs.read_all(ids)
        return _right([(object_id, _KINDS[number], body) for object_id, (number, body) in raw.items()], kind)

    def any(self, object_id: ObjectId) -> tuple[str, bytes]:
        """Return the kind of an object, which may be a tag, and its body. Raises as :meth:`read` does."""
        return self._checked(object_id, "object")

    def tree(self, tree_id: ObjectId) -> Tree:
        """Return a tree. Raises as :meth:`read` does, and when the bytes are no tree."""
        known = self._known.get(tree_id)
        if known is not None and known.tree is not None:
            return known.tree
        body = self._of_kind(tree_id, "tree") if known is None or known.kind != "tree" else known.body
        tree = parse_tree(body, tree_id)
        self._known.put(tree_id, tree.to_object())
        return tree

    def peel(self, object_id: ObjectId) -> ObjectId | None:
        """Return the commit that an object is, or that a tag is of; None for anything else.

        Raises:
            CorruptionError: It is missing or damaged; the message names it.
        """
        for _ in range(_TAGS):
            kind, body = self.any(object_id)
            if kind == "commit":
                return object_id
            if kind != "tag" or (tagged := TAGGED.match(body)) is None:
                break
            object_id = tagged[1].decode("ascii")
        return None

    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        """See :meth:`gitstate.engine.base.Source.commits`; C git reads them, if there is one."""
        return cgit.commits(self._path, start)

    def find(self, prefix: str) -> list[ObjectId]:
        """Return the ids of the commits that begin with ``prefix``, sorted."""

        def search(store: DiskObjectStore) -> list[ObjectId]:
            self._packs.look()
            ids = sorted(store.iter_prefix(prefix.encode("ascii")))
            return [name.decode("ascii") for name in ids if store.get_raw(name)[0] == 1]

        with files.storage_errors(self._path):
            return self._attempt(search, f"an object {prefix}…")

    def bulk(self, ids: Iterable[ObjectId]) -> Iterator[GitObject]:
        """See :meth:`gitstate.engine.base.Engine.bulk`; C git reads them, if they are many and there is one."""
        wanted = self._known.missing(ids)
        found = self._in_packs(wanted) if len(wanted) < _FEW else cgit.read(self._path, wanted)
        for object_id, (kind, body) in zip(wanted, found, strict=False):
            if _id(kind, body) != object_id:
                return
            item = GitObject.named(object_id, cast("Kind", kind), body)
            if kind != "blob":
                self._known.put(object_id, item)
            yield item

    def _in_packs(self, ids: Sequence[ObjectId]) -> Iterator[tuple[str, bytes]]:
        """Yield the kinds and bodies of objects, unchecked; it ends at one that cannot be read from a pack."""
        found = self._packs.read_all(ids)
        for object_id in ids:
            item = found.get(object_id)
            if item is None:
                return
            yield _KINDS[item[0]], item[1]

    def learn(self, objects: Iterable[GitObject]) -> None:
        """Keep trees and commits that were just written, which are read next."""
        for item in objects:
            if item.kind != "blob":
                self._known.put(item.id, item)

    def has(self, object_id: ObjectId) -> bool:
        """Whether an object is there and can be read."""
        try:
            self.any(object_id)
        except CorruptionError:
            return False
        return True

    def tidy(self) -> None:
        """Close packs that were removed, whose room the disk keeps until then, and those that nobody reads any more.

        Call it now and then: what was read lately stays open.
        """
        self._packs.tidy()
        self._with_idle(OpenPacks.tidy)

    def forget(self) -> None:
        """Forget all that was read: some of it is no longer there."""
        self._known.clear()
        self._packs.close()
        while self._idle:
            self._forget(self._idle.pop())

    def close(self) -> None:
        """Close all files; a read that runs at this moment finishes. Idempotent."""
        self._closed = True
        self._packs.close()
        while self._idle:
            self._idle.pop().close()

    def forked(self) -> None:
        """In a forked child: let go of what is shared with the parent, whose reads would move our file positions."""
        while self._idle:
            self._idle.pop().close()
        self._free = threading.Semaphore(_OPEN)
        self._packs.forked()
        self._known.forked()

    def _of_kind(self, object_id: ObjectId, kind: Kind) -> bytes:
        found, body = self._checked(object_id, kind)
        if found != kind:
            raise CorruptionError(f"{object_id} in {self._path} is a {found} and no {kind}", hint=_HINT)
        return body

    def _checked(self, object_id: ObjectId, what: str) -> tuple[str, bytes]:
        """Return the kind and the body of an object, checked against its id."""
        number, body = self._raw(object_id, what)
        kind = _KINDS.get(number, "unknown kind")
        if _id(kind, body) != object_id:
            raise CorruptionError(f"{what} {object_id} in {self._path} is damaged", hint=_HINT)
        return kind, body

    def _raw(self, object_id: ObjectId, what: str) -> tuple[int, bytes]:
        """Return the number of an object's kind and its body, unchecked."""
        self._check_open()
        found = self._packs.read(object_id)
        if self._packs.has_news:  # dulwich may have some open that are gone, and not be asked for days
            self._packs.has_news = False
            self._with_idle(OpenPacks.tidy)
        if found is not None:
            return found
        name = ObjectID(object_id.encode("ascii"))
        with files.storage_errors(self._path):
            return self._attempt(lambda store: store.get_raw(name), f"{what} {object_id}")

    def _attempt(self, action: Callable[[DiskObjectStore], _T], what: str) -> _T:
        """Run ``action``; again, with packs looked for anew, when a pack was moved under it."""
        # Only words are kept of an error: its traceback would hold on to the mapped pack, which then cannot be closed.
        missing, reason, missed = True, "", 0
        for _ in range(_MOVES):
            store = self._borrow()
            try:
                try:
                    return action(store)
                except (KeyError, FileNotFoundError):
                    missing, missed = True, missed + 1
                except OSError:
                    raise
                except Exception as error:  # noqa: BLE001 - dulwich tells of moved and of damaged packs in a dozen ways
                    missing, reason = False, f"{type(error).__name__}: {error}"
                self._forget(store)
            finally:
                self._give_back(store)
            if missed == _ATTEMPTS:
                break
        if missing:
            raise CorruptionError(f"{what} is missing in {self._path}", hint=_HINT)
        raise CorruptionError(f"{what} in {self._path} is damaged ({reason})", hint=_HINT)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the repository is closed", hint="open it again")

    def _borrow(self) -> OpenPacks:
        self._check_open()
        self._free.acquire()
        try:
            with suppress(IndexError):  # there is none, or another thread took it
                return self._idle.pop()
            return OpenPacks(self._path, self._others)
        except BaseException:
            self._free.release()
            raise

    def _with_idle(self, action: Callable[[OpenPacks], object]) -> None:
        """Do something to the stores that nobody uses at this moment."""
        for _ in range(len(self._idle)):
            if self._free.acquire(blocking=False):  # as if it were in use: nobody makes one more meanwhile
                try:
                    store = self._idle.pop(0)
                except IndexError:  # another thread took it
                    self._free.release()
                else:
                    with suppress(Exception):  # a pack that disappeared may fail to close
                        action(store)
                    self._put_back(store)

    def _give_back(self, store: OpenPacks) -> None:
        store.unused = 0
        store.let_go()
        self._put_back(store)

    def _put_back(self, store: OpenPacks) -> None:
        self._idle.append(store)
        self._free.release()
        if self._closed:
            self.close()

    def _forget(self, store: DiskObjectStore) -> None:
        with suppress(Exception):  # a pack that disappeared may fail to close
            store.close()


_HINT = "`git fsck` tells more; fetch it from another copy of the repository"


class _AtHand(Source):
    """What is in memory, as a source."""

    def __init__(self, known: "_Objects") -> None:
        self._known = known

    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        found = self._known.get(object_id)
        if found is None or found.kind != kind:
            raise NotAtHandError(object_id)
        return found.body

    def tree(self, tree_id: ObjectId) -> Tree:
        found = self._known.get(tree_id)
        if found is None or found.tree is None:
            raise NotAtHandError(tree_id)
        return found.tree

    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        raise NotAtHandError(start)


class _Objects:
    """The objects used last, up to a number of bytes. They never change, so they are never wrong."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._lock = threading.Lock()
        self._objects: OrderedDict[ObjectId, GitObject] = OrderedDict()

    def get(self, object_id: ObjectId) -> GitObject | None:
        with self._lock:
            found = self._objects.get(object_id)
            if found is not None:
                self._objects.move_to_end(object_id)
            return found

    def missing(self, ids: Iterable[ObjectId]) -> list[ObjectId]:
        """Return those of some objects that are not here, each once."""
        with self._lock:
            return [object_id for object_id in dict.fromkeys(ids) if object_id not in self._objects]

    def put(self, object_id: ObjectId, item: GitObject) -> None:
        size = _size(item)
        if size > self._limit // 8:
            return
        with self._lock:
            old = self._objects.pop(object_id, None)
            self._objects[object_id] = item
            self._size += size - (0 if old is None else _size(old))
            while self._size > self._limit:
                self._size -= _size(self._objects.popitem(last=False)[1])

    def clear(self) -> None:
        with self._lock:
            self._objects.clear()
            self._size = 0

    def forked(self) -> None:
        self._lock = threading.Lock()


def _right(found: Iterable[tuple[ObjectId, str, bytes]], kind: Kind) -> dict[ObjectId, bytes]:
    """Return the bodies of those objects that are of a kind and what their ids say."""
    right: dict[ObjectId, bytes] = {}
    sha1, begin = hashlib.sha1, kind.encode()
    for object_id, name, body in found:
        if name == kind:
            digest = sha1(b"%b %d\0" % (begin, len(body)), usedforsecurity=False)
            digest.update(body)
            if digest.hexdigest() == object_id:
                right[object_id] = body
    return right


def _id(kind: str, body: bytes) -> ObjectId:
    digest = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(body)), usedforsecurity=False)
    digest.update(body)
    return digest.hexdigest()


def _size(item: GitObject) -> int:
    """About how many bytes an object takes here, the names of a parsed tree too."""
    return 300 + len(item.body) * (1 if item.tree is None else 4)
