"""The commits that one commit has in its history and others have not, as ``git log A..B`` has them.

Clocks only say where to look first, so they cost time where they are wrong, and nothing else.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator

from gitstate.engine import graph
from gitstate.engine.ancestry import Ancestry, Sketch
from gitstate.engine.base import Source
from gitstate.engine.objects import ObjectId

__all__ = ["beyond", "independent", "is_in_history", "joining", "meeting"]


def beyond(source: Source, head: ObjectId, seen: Collection[ObjectId]) -> list[ObjectId]:
    """Return the commits that ``head`` has in its history, itself among them, and none of ``seen`` has in its own.

    Parents come before their children, and what a first parent brings before what the others bring.

    Args:
        source: Where the commits are.
        head: The commit to begin at.
        seen: None of them may be in the history of another one; see :func:`independent`.

    Raises:
        CorruptionError: A commit is missing or damaged; the message names it.
    """
    return _Walk(source, head, seen).run()


def independent(source: Source, commits: Iterable[ObjectId]) -> tuple[ObjectId, ...]:
    """Return those of some commits that no other one of them has in its history."""
    distinct = dict.fromkeys(commits)
    return tuple(each for each in distinct if all(beyond(source, each, [other]) for other in distinct if other != each))


def is_in_history(source: Source, commit_id: ObjectId, head: ObjectId) -> bool:
    """Whether ``head`` has a commit in its history, or is that. Raises as :func:`beyond` does."""
    return not beyond(source, commit_id, [head])


def meeting(source: Source, one: ObjectId, other: ObjectId) -> tuple[ObjectId, ...]:
    """Return the commits at which two histories met last, as ``git merge-base --all`` does: one as a rule, none where
    they have nothing in common.

    Raises:
        CorruptionError: A commit is missing or damaged.
    """
    apart = beyond(source, other, [one])
    if not apart:
        return (other,)
    mine = set(apart)
    before = (parent for commit_id in apart for parent in graph.read(source, commit_id).parents)
    return independent(source, (parent for parent in before if parent not in mine))


def joining(source: Source, head: ObjectId, one: ObjectId, other: ObjectId) -> ObjectId | None:
    """Return the commit at which two others came together first in the history of ``head``; None: they did not, or one
    of them has the other in its history.

    Raises:
        CorruptionError: A commit is missing or damaged.
    """
    if len(independent(source, (one, other))) < 2:
        return None
    has: dict[ObjectId, set[ObjectId]] = {one: {one}, other: {other}}
    for commit_id in beyond(source, head, (one, other)):
        found = {each for parent in graph.read(source, commit_id).parents for each in has.get(parent, ())}
        if len(found) == 2:
            return commit_id
        has[commit_id] = found
    return None


class _Walk:
    """A walk from the head and from what was seen at once, the youngest first. What was seen is painted, and with it
    all that it has in its history.
    """

    def __init__(self, source: Source, head: ObjectId, seen: Collection[ObjectId]) -> None:
        self._ancestry = Ancestry(source, head)
        self._head = head
        self._seen = frozenset(seen)
        self._painted: set[ObjectId] = set(seen)
        self._met: dict[ObjectId, Sketch] = {}
        self._waiting: set[ObjectId] = set()  # those that were met and not looked at, or painted since
        self._heap: list[tuple[int, int, ObjectId]] = []
        self._open = 0  # how many of those that wait are not painted
        self._uncertain: set[ObjectId] = set()
        self._met_a_root = False

    def run(self) -> list[ObjectId]:
        for commit_id in dict.fromkeys((self._head, *self._seen)):
            self._push(commit_id)
        while self._open:
            self._step()
        self._uncertain = self._not_above()
        while self._heap and self._uncertain and not self._is_at_a_neck():
            self._step()
        return list(self._in_order())

    def _push(self, commit_id: ObjectId) -> None:
        sketch = self._met.get(commit_id) or self._ancestry.get(commit_id)
        self._met[commit_id] = sketch
        self._waiting.add(commit_id)
        self._open += commit_id not in self._painted
        heapq.heappush(self._heap, (-sketch.time, len(self._met), commit_id))

    def _step(self) -> None:
        commit_id = heapq.heappop(self._heap)[2]
        self._waiting.remove(commit_id)
        is_painted = commit_id in self._painted
        self._open -= not is_painted
        parents = self._met[commit_id].parents
        self._met_a_root = self._met_a_root or not parents
        for parent in parents:
            is_news = is_painted and parent not in self._painted
            if is_news:
                self._painted.add(parent)
                self._uncertain.discard(parent)
                self._open -= parent in self._waiting
            if parent not in self._met or (is_news and parent not in self._waiting):
                self._push(parent)

    def _not_above(self) -> set[ObjectId]:
        """Return what is not painted and comes after nothing that was seen: what does is in the history of none."""
        above: set[ObjectId] = set()
        uncertain: set[ObjectId] = set()
        for commit_id in self._in_order():
            is_above = any(parent in self._seen or parent in above for parent in self._met[commit_id].parents)
            (above if is_above else uncertain).add(commit_id)
        return uncertain

    def _is_at_a_neck(self) -> bool:
        """Whether all that was looked at comes after the one commit that waits, so that no more paint can reach it."""
        return len(self._waiting) == 1 and not self._met_a_root

    def _in_order(self) -> Iterator[ObjectId]:
        """Yield what is not painted, parents before their children."""
        placed: set[ObjectId] = set()
        stack = [self._head]
        while stack:
            commit_id = stack[-1]
            done = commit_id in self._painted or commit_id in placed
            before = [] if done else self._met[commit_id].parents
            missing = [parent for parent in before if parent not in self._painted and parent not in placed]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            if not done:
                placed.add(commit_id)
                yield commit_id
