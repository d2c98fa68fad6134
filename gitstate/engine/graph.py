"""Walks over commits: the history of one place in the tree."""

import heapq
from collections.abc import Callable, Iterator

from gitstate.engine.base import Source
from gitstate.engine.objects import Commit, ObjectId, parse_commit
from gitstate.errors import CorruptionError

__all__ = ["history", "read"]


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


def history(
    source: Source,
    start: ObjectId | None,
    locate: Callable[[ObjectId], ObjectId | None],
    claims: Callable[[Commit], bool],
) -> Iterator[tuple[ObjectId, Commit]]:
    """Yield the commits that changed one place, newest first, as ``git log -- place`` simplifies history.

    ``locate`` gives the id of what lies at the place in a root tree, or None. A merge that took one parent's side
    whole is passed over, with its other parents. A commit that changed nothing at all counts if it ``claims`` to be
    about the place.
    """
    pending: list[tuple[int, int, ObjectId, Commit]] = []
    seen: set[ObjectId] = set()

    def push(commit_id: ObjectId) -> None:
        if commit_id not in seen:
            seen.add(commit_id)
            commit = read(source, commit_id)
            # By time, youngest first; among equals in the order they were met, so that a child precedes its parent.
            heapq.heappush(pending, (-commit.committer.time, len(seen), commit_id, commit))

    if start is not None:
        push(start)
    while pending:
        _, _, commit_id, commit = heapq.heappop(pending)
        here = locate(commit.tree)
        parents = [(parent, read(source, parent).tree) for parent in commit.parents]
        same = next((parent for parent, tree in parents if locate(tree) == here), None)
        if same is not None:
            if len(parents) == 1 and parents[0][1] == commit.tree and claims(commit):
                yield commit_id, commit
            push(same)
            continue
        if parents or here is not None:
            yield commit_id, commit
        for parent, _ in parents:
            push(parent)
