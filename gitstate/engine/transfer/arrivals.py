"""Reads many objects of what arrived, and of what is here, without asking whether they are good.

A few are read one by one; for many C git is asked, if there is one, which takes some milliseconds to begin.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from gitstate.engine import cgit
from gitstate.engine.base import Source
from gitstate.engine.objects import HEX_ID, Kind, ObjectId
from gitstate.engine.transfer.newcommits import TooManyError, new_commits
from gitstate.errors import CorruptionError

__all__ = ["Arrivals", "NewCommits", "Read"]

_FEW = 150  # objects that are read one by one
_PATIENCE = 50_000  # commits that are looked at to tell what is missing


Read = tuple[str, int, bytes]
"""An object: its kind, its size, and its body, which is empty if it is longer than was asked for."""


class NewCommits(NamedTuple):
    """Commits, parents before their children, and those that could not be read: why, and which commit named them."""

    ids: Sequence[ObjectId]
    missing: dict[ObjectId, tuple[str, ObjectId]]


class Arrivals:
    """Reads objects in bulk.

    Args:
        source: Reads a single one.
        objects: The folder in which C git finds all of them.
    """

    def __init__(self, source: Source, objects: Path) -> None:
        self._source = source
        self._objects = objects

    def new_commits(self, tips: Sequence[ObjectId], known: Sequence[ObjectId]) -> NewCommits:
        """Return the commits that ``tips`` have in their history and ``known`` have not."""
        try:
            found = new_commits(self._source, tips, known, at_most=_FEW)
        except TooManyError:
            ids = cgit.beyond(self._objects, tips, known)
            if ids is not None:
                return NewCommits(ids, {})
            found = new_commits(self._source, tips, known, at_most=_PATIENCE)
        return NewCommits(list(found.commits), found.missing)

    def read(self, ids: Sequence[bytes], kind: Kind, longest: int) -> Generator[Read | None, None, None]:
        """Yield objects that should be of one kind, in order; None for one that cannot be read at all."""
        done = 0
        if len(ids) > _FEW:
            for item in cgit.contents(self._objects, _texts(ids), longest):
                done += 1
                yield item
        for object_id in ids[done:]:
            yield self.read_one(object_id.hex(), kind, longest)

    def facts(self, ids: Sequence[bytes]) -> Iterator[tuple[str, int] | None]:
        """Yield the kinds and sizes of objects that should be files, in order."""
        done = 0
        if len(ids) > _FEW:
            for fact in cgit.facts(self._objects, _texts(ids)):
                done += 1
                yield fact
        for object_id in ids[done:]:
            item = self.read_one(object_id.hex(), "blob", 0)
            yield None if item is None else item[:2]

    def read_one(self, object_id: ObjectId, kind: Kind, longest: int) -> Read | None:
        """Return an object that should be of a kind; None for one that cannot be read at all."""
        if not HEX_ID.fullmatch(object_id):
            return None
        for each in (kind, *({"commit", "tree", "blob"} - {kind})):
            try:
                body = self._source.read(object_id, cast("Kind", each))
            except CorruptionError:
                continue
            return each, len(body), b"" if len(body) > longest else body
        return None


def _texts(ids: Iterable[bytes]) -> list[ObjectId]:
    return b"".join(ids).hex("\n", 20).split("\n")
