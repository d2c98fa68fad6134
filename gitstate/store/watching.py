"""What is new in a store since a watcher looked last, and a text that says how far that was."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from gitstate.engine import graph
from gitstate.engine.beyond import beyond, independent
from gitstate.engine.objects import HEX_ID, ObjectId
from gitstate.store.documents import Collection, Revision
from gitstate.store.reader import Reader

__all__ = ["Cursor", "NewRevision", "Watcher"]

_ID = HEX_ID.pattern
_CURSOR = re.compile(rf"({_ID}(?:\+{_ID})*)(?::({_ID}):([0-9]{{1,9}}))?")


@dataclass(frozen=True)
class Cursor:
    """How far a watcher came: it has seen what these commits have in their history, and ``told`` of the documents of
    one more commit.

    As text it is the id of a commit as a rule. There are more while it is within the commits that a merge brought, and
    after a history was rewritten.
    """

    seen: tuple[ObjectId, ...]
    commit: ObjectId | None = None
    told: int = 0

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what ``str`` of a cursor gave; None: it is something else."""
        found = _CURSOR.fullmatch(text)
        return None if found is None else cls(tuple(found[1].split("+")), found[2], int(found[3] or 0))

    def __str__(self) -> str:
        seen = "+".join(self.seen)
        return seen if self.commit is None else f"{seen}:{self.commit}:{self.told}"

    @property
    def commits(self) -> tuple[ObjectId, ...]:
        """All that must be there."""
        return self.seen if self.commit is None else (*self.seen, self.commit)

    def after(self, revision: Revision) -> "Cursor":
        """Return the cursor behind a revision, all of whose parents were seen."""
        return Cursor((*(each for each in self.seen if each not in revision.parents), revision.id))


@dataclass(frozen=True)
class NewRevision:
    """A revision that changed a document or recorded something of it; ``cursor`` stands behind it."""

    document: str
    revision: Revision
    cursor: Cursor


class Watcher:
    """Tells of each new revision of the documents of a collection once, whatever becomes of the branch."""

    def __init__(self, reader: Reader, collection: Collection, cursor: Cursor) -> None:
        self._reader = reader
        self._collection = collection
        seen, commit = cursor.seen, cursor.commit
        if len(seen) > 1:
            seen = independent(reader.source, seen)
        if commit is not None and beyond(reader.source, commit, seen) != [commit]:
            commit = None  # no watcher gave this cursor
        self._cursor = Cursor(seen, commit, cursor.told)

    def news(self, head: ObjectId) -> Iterator[NewRevision]:
        """Yield what ``head`` has in its history and was not told yet, parents before their children.

        A commit that changed several documents comes once for each of them, in the order of their ids. When a branch
        was put elsewhere (a reset, an amended commit) only what is new there is told.

        Raises:
            CorruptionError: A commit or tree is missing or damaged; the message names it.
        """
        if self._cursor.commit is not None:
            yield from self._tell(self._cursor.commit)
        for commit_id in beyond(self._reader.source, head, self._cursor.seen):
            yield from self._tell(commit_id)

    def _tell(self, commit_id: ObjectId) -> Iterator[NewRevision]:
        before = self._cursor
        revision = Revision.of(commit_id, graph.read(self._reader.source, commit_id))
        documents = self._documents(revision)
        behind = before.after(revision)
        already = before.told if before.commit == commit_id else 0
        for number, document in enumerate(documents[already:], start=already + 1):
            self._cursor = behind if number == len(documents) else Cursor(before.seen, commit_id, number)
            yield NewRevision(document, revision, self._cursor)
        self._cursor = behind

    def _documents(self, revision: Revision) -> list[str]:
        """Return the documents that are as in no parent of a revision, or the one of which it says that it recorded
        something, if it changed nothing at all.
        """
        root = graph.read(self._reader.source, revision.id).tree
        before = [graph.read(self._reader.source, parent).tree for parent in revision.parents]
        if before == [root]:
            claimed = revision.message.get(self._collection.trailer)
            return [claimed] if claimed else []
        sides: list[ObjectId | None] = [*before] or [None]
        return sorted(set.intersection(*(self._differing(side, root) for side in sides)))

    def _differing(self, before: ObjectId | None, root: ObjectId) -> set[str]:
        return {document for document, _, _ in self._reader.differing(self._collection, before, root)}
