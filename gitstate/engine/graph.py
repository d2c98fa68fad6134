"""Walks over commits: all that one has in its history, and those of them that changed one place in the tree."""

import heapq
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from gitstate.engine.ancestry import Ancestry, Sketch
from gitstate.engine.base import Source
from gitstate.engine.objects import Commit, ObjectId, parse_commit
from gitstate.errors import CorruptionError

__all__ = ["Place", "history", "read", "root", "walk"]

_TREE = re.compile(rb"tree [0-9a-f]{40}\n")  # with which git begins a commit
_STRETCH = 1000  # commits about other places that are passed over at once

_Entry: TypeAlias = tuple[int, int, ObjectId, Sketch]
"""A commit that waits: by time, youngest first; among equals in the order in which they were met."""


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
    """The commits that a walk has still to look at, the youngest first; each comes once, and of those of one second a
    child before its parents.
    """

    def __init__(self, source: Source, start: ObjectId) -> None:
        self._ancestry = Ancestry(source, start)
        self._heap: list[_Entry] = []
        self._seen: set[ObjectId] = set()
        self._met = 0
        self._left: dict[ObjectId, ObjectId] = {}  # what came, itself, and what was passed over, the end of its stretch
        self._ahead: dict[ObjectId, Sketch] = {}  # commits that were looked at before their turn
        self._before: dict[ObjectId, int] = {}  # how many commits come before one of the same second
        self._after: dict[ObjectId, list[ObjectId]] = {}  # which ones come after one, for they are its parents
        self._held: dict[ObjectId, _Entry] = {}
        self.push(start)

    def get(self, commit_id: ObjectId) -> Sketch:
        """Return a commit."""
        return self._ahead.get(commit_id) or self._ancestry.get(commit_id)

    def push(self, commit_id: ObjectId, sketch: Sketch | None = None) -> None:
        if commit_id not in self._seen:
            self._seen.add(commit_id)
            self._put(commit_id, sketch or self.get(commit_id))

    def pass_over(self, stretch: Sequence[tuple[ObjectId, Sketch]], index: int) -> None:
        """Go on with a commit of a stretch instead of all that are before it there."""
        met = stretch[index][0] in self._seen
        self._seen.update([commit_id for commit_id, _ in stretch[: index + 1]])
        for commit_id, _ in stretch[:index]:
            self._leave(commit_id, stretch[index][0])
        if not met or index == 0:
            self._put(*stretch[index])

    def _put(self, commit_id: ObjectId, sketch: Sketch) -> None:
        self._met += 1
        heapq.heappush(self._heap, (-sketch.time, self._met, commit_id, sketch))

    def __contains__(self, commit_id: ObjectId) -> bool:
        return commit_id in self._seen

    def __iter__(self) -> Iterator[tuple[ObjectId, Sketch]]:
        while self._heap or self._held:
            if self._held and (not self._heap or self._heap[0][0] > min(self._held.values())[0]):
                self._release()
            if len(self._heap) > 1 and self._heap[0][0] == min(self._heap[1:3])[0]:
                self._look_ahead(self._heap[0][0])
            entry = heapq.heappop(self._heap)
            commit_id, sketch = entry[2:]
            if self._before.get(commit_id, 0) > 0:
                self._held[commit_id] = entry
                continue
            yield commit_id, sketch
            if commit_id not in self._left:
                self._leave(commit_id, commit_id)

    def _look_ahead(self, time: int) -> None:
        """Find out which of the commits that wait, and are of one second, come before others of them."""
        stack = [entry[2:] for entry in self._heap if entry[0] == time]
        while stack:
            commit_id, sketch = stack.pop()
            if commit_id in self._ahead:
                continue
            self._ahead[commit_id] = sketch
            for parent in {self._beyond(parent) for parent in sketch.parents}:
                above = self.get(parent)
                if -above.time == time and parent not in self._left:
                    self._before[parent] = self._before.get(parent, 0) + 1
                    self._after.setdefault(commit_id, []).append(parent)
                    stack.append((parent, above))

    def _beyond(self, commit_id: ObjectId) -> ObjectId:
        """Return where a walk goes on that comes by a commit."""
        while self._left.get(commit_id, commit_id) != commit_id:
            commit_id = self._left[commit_id]
        return commit_id

    def _leave(self, commit_id: ObjectId, end: ObjectId) -> None:
        """Let the parents of a commit come whose other children have come; those of one that was passed over not before
        all that would have come before it.
        """
        self._left[commit_id] = end
        self._ahead.pop(commit_id, None)
        stack = [] if self._before.get(commit_id, 0) > 0 else [commit_id]
        while stack:
            for parent in self._after.pop(stack.pop(), ()):
                self._before[parent] -= 1
                if self._before[parent] == 0 and parent in self._held:
                    heapq.heappush(self._heap, self._held.pop(parent))
                elif self._before[parent] == 0 and parent in self._left:
                    stack.append(parent)

    def _release(self) -> None:
        """Let all come that are held: their children were passed over, or are not looked at."""
        for commit_id, entry in self._held.items():
            self._before[commit_id] = 0
            heapq.heappush(self._heap, entry)
        self._held = {}


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
    ``in_one_life`` says that what came before the place was made, or made anew, is not looked at.
    """

    locate: Callable[[ObjectId], ObjectId | None]
    is_elsewhere: Callable[[bytes], bool] = lambda _: False
    claims: Callable[[Commit], bool] = lambda _: False
    in_one_life: bool = False


def history(source: Source, start: ObjectId, place: Place) -> Iterator[tuple[ObjectId, Commit]]:
    """Yield the commits that changed one place, newest first, on all sides that were merged.

    A merge that took one parent's side whole is passed over, as ``git log -- place`` does; but what was done on its
    other sides is told as well, for it was done, and may have been more than what the place came to hold. One that
    claims to be about the place, and is not as its first parent was, counts nevertheless. So does a commit that changed
    nothing at all, if it claims that.

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
        parents = [(parent, pending.get(parent)) for parent in commit.parents]
        same = next((sketch for _, sketch in parents if locate(sketch.tree) == here), None)
        if same is not None:
            silent = same.tree == commit.tree if len(parents) == 1 else locate(parents[0][1].tree) != here
            if silent and place.claims(found := read(source, commit_id)):
                yield commit_id, found
        elif parents or here is not None:
            yield commit_id, read(source, commit_id)
        for parent, sketch in parents:
            if not place.in_one_life or here is None or locate(sketch.tree) is not None:
                pending.push(parent, sketch)


def _stretch(pending: _Pending, place: Place, commit_id: ObjectId, commit: Sketch) -> list[tuple[ObjectId, Sketch]]:
    """Return a commit that is about another place, the ones like it before that, and the one at which they end."""
    stretch = [(commit_id, commit)]
    while len(commit.parents) == 1 and len(stretch) <= _STRETCH and place.is_elsewhere(commit.text):
        commit_id = commit.parents[0]
        commit = pending.get(commit_id)
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
