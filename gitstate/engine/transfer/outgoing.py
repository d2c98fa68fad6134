"""What a push sends: the objects that some commits have in their history and the remote has not, as a pack."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from gitstate.engine import cgit, files, packs
from gitstate.engine.ancestry import Sketch, sketch
from gitstate.engine.base import Source
from gitstate.engine.objects import RAW_DIRECTORIES, RAW_SUBMODULE, TAGGED, Kind, ObjectId
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository
from gitstate.engine.scratch import BORROWED, Scratch
from gitstate.engine.transfer import unpacking
from gitstate.engine.transfer.newcommits import TooManyError, near_commits, new_commits
from gitstate.engine.transfer.treediff import Listing, compare
from gitstate.errors import CorruptionError, StorageError

__all__ = ["PackSource", "beyond_pack"]

_CHUNK = 1 << 16  # bytes that are given at once
_NEAR = 64  # commits: so far from a tip what is known is looked for by name alone
_FEW_COMMITS = 200  # for more C git is quicker, and finds deltas
_FEW_OBJECTS = 1000
_PATIENCE = 4 * 3600.0  # seconds that git may take for all of a history


class PackSource:
    """A pack to be sent. Use it as a context: what lies on the disk for it goes at the end.

    It is either a number of objects, which are read when they are asked for, or a finished pack in a file. A finished
    one may be thin: it has deltas against objects that the receiver has.

    Args:
        count: How many objects it has.
        objects: Gives their kinds (``"commit"``, ``"tree"``, ``"blob"`` or ``"tag"``) and bodies.
        path: Where the finished pack lies.
        end: Is called at the end; what was read from is let go then, and what was written.
    """

    def __init__(
        self,
        count: int,
        objects: Callable[[], Iterable[tuple[str, bytes]]] = lambda: (),
        *,
        path: Path | None = None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self.count = count
        self.path = path
        self._objects = objects
        self._end = end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Yield kinds and bodies, as often as one likes; nothing of a finished pack.

        Raises:
            CorruptionError: An object is missing or damaged; the message names it.
        """
        yield from self._objects()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the pack, as they are sent, whichever form it has; as often as one likes.

        Raises:
            CorruptionError: An object is missing or damaged; the message names it.
            OSError: The file cannot be read.
        """
        if self.path is not None:
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
            return
        digest = hashlib.sha1(usedforsecurity=False)
        gathered = bytearray(packs.header(self.count))
        for kind, body in self._objects():
            gathered += packs.encode(kind, body)
            if len(gathered) >= _CHUNK:
                digest.update(gathered)
                yield bytes(gathered)
                gathered.clear()
        digest.update(gathered)
        yield bytes(gathered) + digest.digest()

    def close(self) -> None:
        """Remove what lies on the disk for it. Idempotent."""
        self._end()


def beyond_pack(
    repository: Repository,
    source: Source,
    tips: Sequence[ObjectId],
    known: Sequence[ObjectId],
    *,
    thin: bool = True,
) -> PackSource:
    """Return all objects that ``tips`` reach and ``known`` do not, and where that is quicker some more.

    Args:
        repository: Where the objects are.
        source: Reads them.
        tips: Commits, or tags of commits, which go with them.
        known: Commits and tags that the receiver has, with all that they reach; some may be unknown here.
        thin: Whether the receiver takes deltas against objects that it has.

    Raises:
        CorruptionError: An object is missing or damaged; the message names it.
        StorageError: The disk refused.
    """
    search = _Search(repository, source, thin=thin)
    try:
        return search.run(list(dict.fromkeys(tips)), known)
    except BaseException:
        search.close()
        raise


class _Search:
    def __init__(self, repository: Repository, source: Source, *, thin: bool) -> None:
        self._repository = repository
        self._source = source
        self._thin = thin
        self._reader: ObjectReader | None = None
        self._kinds: dict[ObjectId, str] = {}  # of what is to be sent

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def run(self, tips: list[ObjectId], known: Sequence[ObjectId]) -> PackSource:
        have = set(known)
        tips = [tip for tip in tips if tip not in have]
        commits = [commit_id for tip in tips if (commit_id := self._peel(tip, have)) is not None]
        found = near_commits(self._source, commits, have, _NEAR)
        if found is None:
            present = self._present(known)
            try:
                found = self._far(commits, present, _FEW_COMMITS)
            except TooManyError:
                packed = self._packed(tips, present)
                if packed is not None:
                    return packed
                found = self._far(commits, present, None)
        self._kinds |= dict.fromkeys(found, "commit")
        self._add_trees(found)
        if len(self._kinds) > _FEW_OBJECTS:
            packed = self._packed(tips, self._present(known))
            if packed is not None:
                return packed
        return PackSource(len(self._kinds), self._objects, end=self.close)

    def _peel(self, tip: ObjectId, have: set[ObjectId]) -> ObjectId | None:
        """Return the commit that a tip is or that it is a tag of, and note the tags; None: the receiver has it."""
        object_id = tip
        while object_id not in have:
            with suppress(CorruptionError):
                self._source.read(object_id, "commit")
                return object_id
            kind, body = self._any(object_id)
            tagged = TAGGED.match(body) if kind == "tag" else None
            if tagged is None or object_id in self._kinds:
                raise CorruptionError(f"{tip} leads to no commit", hint="name a commit, or a tag of one")
            self._kinds[object_id] = kind
            object_id = tagged[1].decode("ascii")
        return None

    def _present(self, known: Sequence[ObjectId]) -> list[ObjectId]:
        """Return the commits of the receiver that are here."""
        return [commit_id for each in dict.fromkeys(known) if (commit_id := self._known(each)) is not None]

    def _known(self, object_id: ObjectId) -> ObjectId | None:
        """Return the commit that something is that the receiver has; None if that is not here."""
        with suppress(CorruptionError):
            self._source.read(object_id, "commit")
            return object_id
        with suppress(CorruptionError):
            kind, body = self._any(object_id)
            tagged = TAGGED.match(body) if kind == "tag" else None
            return self._known(tagged[1].decode("ascii")) if tagged is not None else None
        return None

    def _any(self, object_id: ObjectId) -> tuple[str, bytes]:
        if self._reader is None:
            self._reader = ObjectReader(self._repository)
        return self._reader.any(object_id)

    def _far(self, tips: list[ObjectId], known: list[ObjectId], at_most: int | None) -> dict[ObjectId, Sketch]:
        found = new_commits(self._source, tips, known, at_most=at_most)
        for commit_id, (reason, child) in found.missing.items():
            raise CorruptionError(
                f"{reason}; {child or commit_id} cannot be sent without it",
                hint="`gitstate verify` tells more; fetch it from another copy of the repository",
            )
        return found.commits

    def _packed(self, tips: list[ObjectId], known: list[ObjectId]) -> PackSource | None:
        """Let C git pack all of it; None: there is none that can, or it failed, and then we tell better why."""
        scratch = Scratch(self._repository, "outgoing")
        git = cgit.find(timeout=_PATIENCE, keep_open=scratch.fd)
        if git is not None and git.can_pack:
            with suppress(StorageError), files.storage_errors(scratch.path):
                git.prepare(scratch.path, BORROWED)
                path = git.pack_revisions(scratch.path, tips, known, thin=self._thin)
                with path.open("rb") as pack:
                    count = unpacking.head(pack.read(12))
                self.close()
                return PackSource(count, path=path, end=scratch.close)
        scratch.close()
        return None

    def _add_trees(self, commits: dict[ObjectId, Sketch]) -> None:
        """Note the trees and files in which commits differ from their parents, which come first.

        What a tree shares with a parent's is noted then, or the receiver has it; so one that is noted is so whole.
        """
        for commit in commits.values():
            bases = [self._tree_of(commits, parent) for parent in commit.parents]
            self._add_tree(bytes.fromhex(commit.tree), [bytes.fromhex(base) for base in bases if base is not None])

    def _tree_of(self, commits: dict[ObjectId, Sketch], commit_id: ObjectId) -> ObjectId | None:
        """Return the tree of a parent, which the receiver has or gets; None if that is not here."""
        found = commits.get(commit_id)
        if found is None:
            with suppress(CorruptionError):
                found = sketch(self._source.read(commit_id, "commit"))
        return None if found is None else found.tree

    def _add_tree(self, root: bytes, bases: list[bytes]) -> None:
        pending = [(root, bases)]
        while pending:
            tree, before = pending.pop()
            if tree in before or tree.hex() in self._kinds:
                continue
            self._kinds[tree.hex()] = "tree"
            listing = Listing(self._source.read(tree.hex(), "tree"))
            old = self._listings(before)
            entries = old[0].replaced(listing) if len(old) == 1 else None
            for mode, name, object_id, was in entries or compare(listing, old[0] if old else None)[0]:
                there = [was, *(base.get(mode, name) for base in old[1:])]
                if object_id in there or mode == RAW_SUBMODULE:
                    continue
                if mode in RAW_DIRECTORIES:
                    pending.append((object_id, [each for each in there if each is not None]))
                else:
                    self._kinds[object_id.hex()] = "blob"

    def _listings(self, trees: list[bytes]) -> list[Listing]:
        found = []
        for tree in dict.fromkeys(trees):
            with suppress(CorruptionError):
                listing = Listing(self._source.read(tree.hex(), "tree"))
                if listing.is_tree:
                    found.append(listing)
        return found

    def _objects(self) -> Iterator[tuple[str, bytes]]:
        for object_id, kind in self._kinds.items():
            yield self._any(object_id) if kind == "tag" else (kind, self._source.read(object_id, cast("Kind", kind)))
