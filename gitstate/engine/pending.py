"""The commits that a walk has still to look at, in the order in which it comes by them."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from gitstate.engine.ancestry import Sketch
from gitstate.engine.objects import ObjectId

__all__ = ["Pending"]

_Entry: TypeAlias = tuple[int, int, ObjectId, Sketch]
"""A commit that waits: by time, youngest first; among equals in the order in which they were met."""


class Pending:
    """The commits that wait, the youngest first. Each comes once; of those of one second children before their parents.

    Args:
        get: Finds a commit.
        start: The first one.
    """

    def __init__(self, get: Callable[[ObjectId], Sketch], start: ObjectId) -> None:
        self._get = get
        self._heap: list[_Entry] = []
        self._seen: set[ObjectId] = set()
        self._met = 0
        self._come: set[ObjectId] = set()
        self._ahead: dict[ObjectId, Sketch] = {}  # commits that were looked at before their turn
        self._before: dict[ObjectId, int] = {}  # how many commits come before one of the same second
        self._after: dict[ObjectId, list[ObjectId]] = {}  # which ones come after one, for they are its parents
        self._held: dict[ObjectId, _Entry] = {}
        self.push(start)

    def get(self, commit_id: ObjectId) -> Sketch:
        """Return a commit."""
        return self._ahead.get(commit_id) or self._get(commit_id)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._heap and not self._held

    def push(self, commit_id: ObjectId, sketch: Sketch | None = None) -> None:
        """Let a commit wait, if it was not met before."""
        if commit_id not in self._seen:
            self._seen.add(commit_id)
            self._met += 1
            sketch = sketch or self.get(commit_id)
            heapq.heappush(self._heap, (-sketch.time, self._met, commit_id, sketch))

    def pass_over(self, stretch: Sequence[tuple[ObjectId, Sketch]]) -> None:
        """Go on with the last commit of a stretch, of which the first one came and no other one waits, nor anything
        else.
        """
        self._seen.update([commit_id for commit_id, _ in stretch[:-1]])
        self.push(*stretch[-1])

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
            self._come.add(commit_id)
            if self._ahead:
                self._leave(commit_id)

    def _look_ahead(self, time: int) -> None:
        """Find out which of the commits that wait, and are of one second, come before others of them."""
        stack = [entry[2:] for entry in self._heap if entry[0] == time]
        while stack:
            commit_id, sketch = stack.pop()
            if commit_id in self._ahead:
                continue
            self._ahead[commit_id] = sketch
            for parent in set(sketch.parents) - self._come:
                above = self.get(parent)
                if -above.time == time:
                    self._before[parent] = self._before.get(parent, 0) + 1
                    self._after.setdefault(commit_id, []).append(parent)
                    stack.append((parent, above))

    def _leave(self, commit_id: ObjectId) -> None:
        """Let the parents of a commit come all of whose children have come."""
        self._ahead.pop(commit_id, None)
        for parent in self._after.pop(commit_id, ()):
            self._before[parent] -= 1
            if self._before[parent] == 0 and parent in self._held:
                heapq.heappush(self._heap, self._held.pop(parent))

    def _release(self) -> None:
        """Let all come that are held: they have children that the walk does not come by."""
        for commit_id, entry in self._held.items():
            self._before[commit_id] = 0
            heapq.heappush(self._heap, entry)
        self._held = {}
