"""The commits that a walk comes by: as much of each as a walk asks for, read one by one at first and then in bulk."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from gitstate.engine.base import Source
from gitstate.engine.objects import ObjectId, parse_commit
from gitstate.errors import CorruptionError

__all__ = ["Ancestry", "Sketch", "sketch"]

_HEADERS = re.compile(
    rb"tree ([0-9a-f]{40})\n((?:parent [0-9a-f]{40}\n)*)author [^\n]*\ncommitter [^\n]*> ([0-9]{1,18}) [+-][0-9]{4}\n"
)
"""Those that every commit of git's has, in this order; anything else is read at leisure."""

_ONE_BY_ONE = 100  # commits: to read in bulk takes 5 ms to begin, and then a fifth of the time


class Sketch(NamedTuple):
    """What a walk asks of a commit: its tree, its parents, its committer's time, and its text to look for words in.

    The text is the whole body of the commit; in one that was read in bulk each line of the message is indented.
    """

    tree: ObjectId
    parents: tuple[ObjectId, ...]
    time: int
    text: bytes


class Ancestry:
    """The commits that ``start`` has in its history. A walk asks for them about from the newest to the oldest."""

    def __init__(self, source: Source, start: ObjectId) -> None:
        self._source = source
        self._start = start
        self._given: set[ObjectId] = set()
        self._bulk: Iterator[tuple[ObjectId, bytes]] | None = None
        self._ahead: dict[ObjectId, bytes] = {}  # came before the walk did

    def get(self, commit_id: ObjectId) -> Sketch:
        """Return a commit.

        Raises:
            CorruptionError: It is missing or damaged; the message names it.
        """
        body = self._from_bulk(commit_id) if len(self._given) >= _ONE_BY_ONE else None
        self._given.add(commit_id)
        if body is not None:
            return sketch(body)
        body = self._source.read(commit_id, "commit")
        try:
            return sketch(body)
        except CorruptionError as error:
            raise CorruptionError(f"commit {commit_id}: {error.message}", hint=error.hint) from error

    def _from_bulk(self, wanted: ObjectId) -> bytes | None:
        if wanted in self._given:
            return None  # it went by
        if wanted in self._ahead:
            return self._ahead.pop(wanted)
        if self._bulk is None:
            self._bulk = self._source.commits(self._start)
        for commit_id, body in self._bulk:
            if commit_id == wanted:
                return body
            if commit_id not in self._given:
                self._ahead[commit_id] = body
        return None


def sketch(body: bytes) -> Sketch:
    """Read the body of a commit. Raises CorruptionError: it is none."""
    found = _HEADERS.match(body)
    if found is not None:
        return Sketch(found[1].decode("ascii"), tuple(found[2].decode("ascii").split()[1::2]), int(found[3]), body)
    commit = parse_commit(body)
    return Sketch(commit.tree, commit.parents, commit.committer.time, body)
