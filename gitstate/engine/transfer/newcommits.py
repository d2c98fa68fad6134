"""The commits that some have in their history and others have not, for histories that may be long, cut or strange.

Unlike :mod:`gitstate.engine.beyond` it takes any number of commits on either side, related or not, and makes do with
what is there. Where clocks are wrong it may give some that the others have too, never one too few.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from gitstate.engine.ancestry import Sketch, sketch
from gitstate.engine.base import Source
from gitstate.engine.objects import HEX_ID, ObjectId
from gitstate.errors import CorruptionError

__all__ = ["Found", "TooManyError", "near_commits", "new_commits"]

"""What an id looks like, when nobody says that it is one."""


class TooManyError(Exception):
    """The walk looked at more commits than it was allowed to."""


@dataclass
class Found:
    """What a walk found: the commits that are new, parents before their children, with what they say; and what it
    looked for and could not read, with the reason and the commit that named it ("" for one of those to begin at).
    """

    commits: dict[ObjectId, Sketch] = field(default_factory=dict)
    missing: dict[ObjectId, tuple[str, ObjectId]] = field(default_factory=dict)


def new_commits(
    source: Source,
    tips: Iterable[ObjectId],
    known: Iterable[ObjectId],
    *,
    at_most: int | None = None,
) -> Found:
    """Return the commits that ``tips`` have in their history and none of ``known`` has.

    Args:
        source: Where the commits are.
        tips: Commits to begin at.
        known: Commits that are there with all their history. One that cannot be read is as if it was not named.
        at_most: How many commits may be looked at.

    Raises:
        TooManyError: There are more to be looked at.
    """
    return _Walk(source, at_most).run(list(dict.fromkeys(tips)), list(dict.fromkeys(known)))


class _Walk:
    """A walk from both sides at once, the youngest first. What is known is painted, and all that it has in its history.

    It ends when nothing that waits is without paint: whatever is painted later was painted all along.
    """

    def __init__(self, source: Source, at_most: int | None) -> None:
        self._source = source
        self._left = at_most
        self._found = Found()
        self._met: dict[ObjectId, Sketch] = {}
        self._painted: set[ObjectId] = set()
        self._waiting: set[ObjectId] = set()
        self._heap: list[tuple[int, int, ObjectId]] = []
        self._open = 0  # how many of those that wait are without paint

    def run(self, tips: list[ObjectId], known: list[ObjectId]) -> Found:
        self._painted.update(known)
        for commit_id in [*tips, *known]:
            self._push(commit_id, "")
        while self._open:
            commit_id = heapq.heappop(self._heap)[2]
            self._waiting.discard(commit_id)
            is_painted = commit_id in self._painted
            self._open -= not is_painted
            for parent in self._met[commit_id].parents:
                is_news = is_painted and parent not in self._painted
                if is_news:
                    self._painted.add(parent)
                    self._found.missing.pop(parent, None)
                    self._open -= parent in self._waiting
                if parent not in self._met or (is_news and parent not in self._waiting):
                    self._push(parent, commit_id)
        self._found.commits = _in_order(tips, self._met, self._painted)
        return self._found

    def _push(self, commit_id: ObjectId, child: ObjectId) -> None:
        is_painted = commit_id in self._painted
        if commit_id in self._waiting or (commit_id in self._found.missing and not is_painted):
            return
        if commit_id not in self._met:
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    raise TooManyError
            try:
                if not HEX_ID.fullmatch(commit_id):
                    raise CorruptionError(f"{commit_id[:40]!r} is no id")
                self._met[commit_id] = sketch(self._source.read(commit_id, "commit"))
            except CorruptionError as error:
                if not is_painted:
                    self._found.missing[commit_id] = (error.message, child)
                return
        self._waiting.add(commit_id)
        self._open += not is_painted
        heapq.heappush(self._heap, (-self._met[commit_id].time, len(self._met), commit_id))


def near_commits(
    source: Source, tips: Sequence[ObjectId], known: Set[ObjectId], at_most: int
) -> dict[ObjectId, Sketch] | None:
    """Return the commits from ``tips`` down to known ones, of which none needs to be there.

    Parents come before their children. None: those that are known are further away than ``at_most`` commits.

    Raises:
        CorruptionError: A commit is missing or damaged; the message names it.
    """
    met: dict[ObjectId, Sketch] = {}
    pending = list(tips)
    while pending:
        commit_id = pending.pop()
        if commit_id not in met and commit_id not in known:
            if len(met) == at_most:
                return None
            met[commit_id] = sketch(source.read(commit_id, "commit"))
            pending += met[commit_id].parents
    return _in_order(tips, met, known)


def _in_order(tips: Sequence[ObjectId], met: Mapping[ObjectId, Sketch], known: Set[ObjectId]) -> dict[ObjectId, Sketch]:
    """Return what was met from the tips on and is not known, parents before their children."""
    placed: dict[ObjectId, Sketch] = {}
    stack = list(reversed(tips))
    while stack:
        commit_id = stack[-1]
        done = commit_id in known or commit_id in placed or commit_id not in met
        ahead = [
            parent
            for parent in (() if done else met[commit_id].parents)
            if parent in met and parent not in known and parent not in placed
        ]
        if ahead:
            stack.extend(reversed(ahead))
            continue
        stack.pop()
        if not done:
            placed[commit_id] = met[commit_id]
    return placed
