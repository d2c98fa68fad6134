"""Walks over commits: all that one has in its history, and those of them that changed one place in the tree."""

import heapq
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gitstate.engine.ancestry import Ancestry, Sketch
from gitstate.engine.base import Source
from gitstate.engine.objects import Commit, ObjectId, parse_commit
from gitstate.errors import CorruptionError

__all__ = ["Place", "history", "read", "root", "walk"]

_TREE = re.compile(rb"tree [0-9a-f]{40}\n")  # with which git begins a commit
_STRETCH = 1000  # commits about other places that are passed over at once


def read(source: Source, commit_id: ObjectId) -> Commit:
    """Return a commit.

    Raises:
        CorruptionError: It is missing or damaged; the message names it.
    """
    body = source.read(commit_id, "commit")
    try:
        return parse_commit(body)
    except CorruptionError as error:
        raise CorruptionError(f"commit {commit_id}: {error.message}", hint=error.hint) from error


def root(source: Source, commit_id: ObjectId) -> ObjectId:
    """Return the root tree of a commit. Raises as :func:`read` does."""
    body = source.read(commit_id, "commit")
    return body[5:45].decode() if _TREE.match(body) else read(source, commit_id).tree


class _Pending:
    """The commits that a walk has still to look at, the youngest first; each comes once."""

    def __init__(self, source: Source, start: ObjectId) -> None:
        self.ancestry = Ancestry(source, start)
        self._heap: list[tuple[int, int, ObjectId, Sketch]] = []
        self._seen: set[ObjectId] = set()
        self._met = 0
        self.push(start)

    def push(self, commit_id: ObjectId, sketch: Sketch | None = None) -> None:
        if commit_id not in self._seen:
            self._seen.add(commit_id)
            self._put(commit_id, sketch or self.ancestry.get(commit_id))

    def pass_over(self, stretch: Sequence[tuple[ObjectId, Sketch]], index: int) -> None:
        """Go on with a commit of a stretch instead of all that are before it there."""
        met = stretch[index][0] in self._seen
        self._seen.update([commit_id for commit_id, _ in stretch[: index + 1]])
        if not met or index == 0:
            self._put(*stretch[index])

    def _put(self, commit_id: ObjectId, sketch: Sketch) -> None:
        self._met += 1
        # By time, youngest first; among equals in the order they were met, so that a child precedes its parent.
        heapq.heappush(self._heap, (-sketch.time, self._met, commit_id, sketch))

    def __contains__(self, commit_id: ObjectId) -> bool:
        return commit_id in self._seen

    def __iter__(self) -> Iterator[tuple[ObjectId, Sketch]]:
        while self._heap:
            yield heapq.heappop(self._heap)[2:]


def walk(source: Source, start: ObjectId) -> Iterator[tuple[ObjectId, Sketch]]:
    """Yield the commits that ``start`` has in its history, the newest first, ``start`` among them."""
    pending = _Pending(source, start)
    for commit_id, sketch in pending:
        yield commit_id, sketch
        for parent in sketch.parents:
            pending.push(parent)


@dataclass(frozen=True)
class Place:
    """One place in the tree, and how to tell which commits are about it.

    ``locate`` gives the id of what lies there in a root tree, or None. ``is_elsewhere`` tells of a commit's text
    whether it says that it is about another place; ``claims`` of a commit whether it says that it is about this one.
    """

    locate: Callable[[ObjectId], ObjectId | None]
    is_elsewhere: Callable[[bytes], bool] = lambda _: False
    claims: Callable[[Commit], bool] = lambda _: False


def history(source: Source, start: ObjectId, place: Place) -> Iterator[tuple[ObjectId, Commit]]:
    """Yield the commits that changed one place, newest first, as ``git log -- place`` simplifies history.

    A merge that took one parent's side whole is passed over, with its other parents; one that claims to be about the
    place, and is not as its first parent was, counts nevertheless. So does a commit that changed nothing at all, if it
    claims that.

    Stretches of commits that say that they are about other places are compared at their ends only, and looked into
    where these differ. So one that says so and changes this place is found too, unless another one took that back
    before any commit that tells the truth.
    """
    locate = lru_cache(maxsize=64)(place.locate)
    pending = _Pending(source, start)
    looked_at: set[ObjectId] = set()  # lies, in the middle of a stretch
    for commit_id, commit in pending:
        if len(commit.parents) == 1 and place.is_elsewhere(commit.text) and commit_id not in looked_at:
            stretch = _stretch(pending, place, commit_id, commit)
            lies = _change_in(stretch, locate)
            if lies is not None:
                looked_at.add(stretch[lies][0])
            pending.pass_over(stretch, len(stretch) - 1 if lies is None else lies)
            continue
        here = locate(commit.tree)
        parents = [(parent, pending.ancestry.get(parent)) for parent in commit.parents]
        same = next(((parent, sketch) for parent, sketch in parents if locate(sketch.tree) == here), None)
        if same is not None:
            silent = same[1].tree == commit.tree if len(parents) == 1 else locate(parents[0][1].tree) != here
            if silent and place.claims(found := read(source, commit_id)):
                yield commit_id, found
            pending.push(*same)
            continue
        if parents or here is not None:
            yield commit_id, read(source, commit_id)
        for parent in parents:
            pending.push(*parent)


def _stretch(pending: _Pending, place: Place, commit_id: ObjectId, commit: Sketch) -> list[tuple[ObjectId, Sketch]]:
    """Return a commit that is about another place, the ones like it before that, and the one at which they end."""
    stretch = [(commit_id, commit)]
    while len(commit.parents) == 1 and len(stretch) <= _STRETCH and place.is_elsewhere(commit.text):
        commit_id = commit.parents[0]
        commit = pending.ancestry.get(commit_id)
        stretch.append((commit_id, commit))
        if commit_id in pending:
            break
    return stretch


def _change_in(stretch: list[tuple[ObjectId, Sketch]], locate: Callable[[ObjectId], ObjectId | None]) -> int | None:
    """Return the index of a commit whose place is not as in the one before it in time; None if both ends are alike."""
    first, last = 0, len(stretch) - 1
    here = locate(stretch[first][1].tree)
    if locate(stretch[last][1].tree) == here:
        return None
    while last - first > 1:
        middle = (first + last) // 2
        if locate(stretch[middle][1].tree) == here:
            first = middle
        else:
            last = middle
    return first
