"""Walks over commits: all that one has in its history, and those of them that changed one place in the tree."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from gitstate.engine.ancestry import Ancestry, Sketch
from gitstate.engine.base import Source
from gitstate.engine.objects import Commit, ObjectId, parse_commit
from gitstate.engine.pending import Pending
from gitstate.errors import CorruptionError

__all__ = ["Place", "history", "order", "read", "root", "walk"]

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


def walk(source: Source, start: ObjectId) -> Iterator[tuple[ObjectId, Sketch]]:
    """Yield the commits that ``start`` has in its history, the newest first, ``start`` among them."""
    for commit_id, sketch, _ in order(Ancestry(source, start).get, start):
        yield commit_id, sketch


def order(get: Callable[[ObjectId], Sketch], start: ObjectId) -> Iterator[tuple[ObjectId, Sketch, bool]]:
    """Yield commits as :func:`walk` does, found by ``get``, and whether all that come after one are in its history."""
    pending = Pending(get, start)
    for commit_id, sketch in pending:
        yield commit_id, sketch, pending.is_empty
        for parent in sketch.parents:
            pending.push(parent)


@dataclass(frozen=True)
class Place:
    """One place in the tree, and how to tell which commits are about it.

    ``locate`` gives the id of what lies there in a root tree, or None. ``is_elsewhere`` tells of a commit's text
    whether it says that it is about another place; ``claims`` of a commit whether it says that it is about this one.
    ``in_one_life`` says that what came before the place was made, or made anew, is not looked at; ``takes_sides`` that
    of a merge that took one side whole only that one is, for what stands there now comes from it.
    """

    locate: Callable[[ObjectId], ObjectId | None]
    is_elsewhere: Callable[[bytes], bool] = lambda _: False
    claims: Callable[[Commit], bool] = lambda _: False
    in_one_life: bool = False
    takes_sides: bool = False


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
    pending = Pending(Ancestry(source, start).get, start)
    looked_at: set[ObjectId] = set()  # lies, in the middle of a stretch
    passed: dict[ObjectId, tuple[ObjectId, Sketch]] = {}  # commits in the middle of one, and what comes after each
    for commit_id, commit in pending:
        if commit_id in passed:
            pending.push(*passed.pop(commit_id))
            continue
        if len(commit.parents) == 1 and place.is_elsewhere(commit.text) and commit_id not in looked_at:
            stretch = _stretch(pending, place, commit_id, commit)
            lies = _change_in(stretch, locate)
            if lies is not None:
                looked_at.add(stretch[lies][0])
                stretch = stretch[: lies + 1]
            if len(stretch) > 1 and pending.is_empty:
                pending.pass_over(stretch)
                continue
            if len(stretch) > 1:  # others come in between
                passed |= {each: after for (each, _), after in pairwise(stretch[1:])}
                pending.push(*stretch[1])
                continue
        here = locate(commit.tree)
        parents = [(parent, pending.get(parent)) for parent in commit.parents]
        same = next((parent for parent in parents if locate(parent[1].tree) == here), None)
        if same is not None:
            silent = same[1].tree == commit.tree if len(parents) == 1 else locate(parents[0][1].tree) != here
            if silent and place.claims(found := read(source, commit_id)):
                yield commit_id, found
            parents = [same] if place.takes_sides else parents
        elif parents or here is not None:
            yield commit_id, read(source, commit_id)
        for parent, sketch in parents:
            if not place.in_one_life or here is None or locate(sketch.tree) is not None:
                pending.push(parent, sketch)


def _stretch(pending: Pending, place: Place, commit_id: ObjectId, commit: Sketch) -> list[tuple[ObjectId, Sketch]]:
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
