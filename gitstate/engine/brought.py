"""What each commit brought: the files that are others than in all of its parents, and what they were there."""

from collections.abc import Iterator, Sequence

from gitstate.engine import graph, trees
from gitstate.engine.base import Arrival, Brought, Source
from gitstate.engine.beyond import beyond, independent
from gitstate.engine.objects import ObjectId, TreeEntry

__all__ = ["arrivals"]


def arrivals(source: Source, tips: Sequence[ObjectId], without: Sequence[ObjectId]) -> Iterator[Arrival]:
    """Yield each commit that some have in their history and others have not; of one tip, children before parents.

    Raises:
        CorruptionError: A commit or a tree is missing or damaged.
    """
    seen = independent(source, without)
    given: set[ObjectId] = set()
    for tip in tips:
        for commit_id in reversed(beyond(source, tip, seen) if tip not in given else ()):
            if commit_id not in given:
                given.add(commit_id)
                yield Arrival(commit_id, _brought(source, commit_id))


def _brought(source: Source, commit_id: ObjectId) -> list[Brought]:
    commit = graph.read(source, commit_id)
    sides: list[ObjectId | None] = [graph.root(source, parent) for parent in commit.parents] or [None]
    found: list[dict[str, Brought]] = []
    for side in sides:
        changes = trees.diff(source, side, commit.tree)
        found.append({path: Brought(path, _id(after), _ids(before)) for path, before, after in changes})
    brought: list[Brought] = []
    for path, one in found[0].items():
        if all(path in other for other in found):
            before = tuple(each for other in found for each in other[path].before)
            brought.append(one._replace(before=before))
    return brought


def _id(entry: TreeEntry | None) -> ObjectId | None:
    return None if entry is None or entry.is_submodule else entry.id


def _ids(entry: TreeEntry | None) -> tuple[ObjectId, ...]:
    found = _id(entry)
    return () if found is None else (found,)
