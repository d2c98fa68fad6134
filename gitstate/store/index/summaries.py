"""What each document says of itself, so that those that are asked for are found without reading any.

The table stands for one root tree. Of another one, only the documents are read whose trees differ, and of these as
little as the collection's ``summarize`` needs.
"""

import json
import re
import sqlite3
from collections.abc import Mapping
from typing import TypeAlias

from gitstate.engine.base import NotAtHandError
from gitstate.engine.objects import ObjectId
from gitstate.errors import CorruptionError, GitStateError, StateCorruptionError
from gitstate.format.message import Message
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.index.database import attempt, key_of, reading, text_of, transaction
from gitstate.store.index.revisions import Revisions
from gitstate.store.reader import Reader
from gitstate.store.selection import ORDERS, Selected, Selection, Summary, facts_of
from gitstate.values.canonical import Value

__all__ = ["SCHEMA", "Facts", "Summaries"]

Facts: TypeAlias = Mapping[str, Value] | None
"""What a document says of itself, nothing if there is none; None: it cannot be read."""

SCHEMA = """
CREATE TABLE summarized (root TEXT NOT NULL);
CREATE TABLE summaries (
document BLOB PRIMARY KEY, name TEXT NOT NULL, state TEXT, saved REAL NOT NULL, created REAL NOT NULL,
failed INTEGER NOT NULL, errors TEXT NOT NULL, facts TEXT) WITHOUT ROWID;
CREATE INDEX newest ON summaries (saved DESC, document DESC);
CREATE INDEX unreadable ON summaries (document) WHERE facts IS NULL"""

_COLUMNS = dict(zip(ORDERS, ("saved", "created", "name", "document"), strict=True))
_UPWARDS = ("name", "id")  # so these are sorted, if not the other way round
_WANTED = """
SELECT document, {column}, facts FROM summaries WHERE facts IS NOT NULL
AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
AND (:name IS NULL OR name GLOB :name OR CAST(document AS TEXT) GLOB :name)
AND (:since IS NULL OR saved >= :since) AND (:until IS NULL OR saved < :until) AND failed >= :failed
AND (:error IS NULL OR instr(errors, :error))
AND (:after IS NULL OR ({column}, document) {beyond} (:after, :document))
ORDER BY {column} {way}, document {way} LIMIT :limit"""
_QUERIES = {
    (order, up): _WANTED.format(column=column, beyond=">" if up else "<", way="ASC" if up else "DESC")
    for order, column in _COLUMNS.items()
    for up in (True, False)
}
_STANDING = "SELECT (SELECT root FROM summarized), NOT EXISTS (SELECT 1 FROM summaries WHERE facts IS NULL)"
_SURROGATE = re.compile("[\0\ud800-\udfff]")
_MANY = 128  # documents, which take half a millisecond
_NEW = 2000  # commits at most that are looked into for what they say; with more, documents are read


class Summaries:
    """The summaries of one collection. Safe to use from any thread.

    The questions are for :meth:`gitstate.store.index.database.Database.ask`, which gives the connection.

    Args:
        revisions: What is known of the documents' revisions in the same file.
        reader: Where the documents are.
        collection: Whose they are.
        may_write: Whether who asks may take the time to bring the table up to date; else NotAtHandError is raised.
    """

    def __init__(self, revisions: Revisions, reader: Reader, collection: Collection, *, may_write: bool = True) -> None:
        self._may_write = may_write
        self._revisions = revisions
        self._reader = reader
        self._collection = collection

    def select(
        self, connection: sqlite3.Connection, selection: Selection
    ) -> tuple[list[Selected], list[tuple[str, str]]]:
        """Return the documents that are asked for, and those that cannot be read, with what is said of them."""
        if not self._may_write and not 0 <= (_MANY if selection.limit is None else selection.limit) < _MANY:
            raise NotAtHandError("many documents are asked for")
        self._catch_up(connection)
        query = _QUERIES[selection.order, (selection.order in _UPWARDS) != selection.reverse]
        with reading(connection):
            rows: list[tuple[bytes, float | str, str]] = connection.execute(query, _parameters(selection)).fetchall()
            unreadable = connection.execute(
                "SELECT document, errors FROM summaries WHERE facts IS NULL ORDER BY document"
            ).fetchall()
        by_id = selection.order == "id"
        found = [
            Selected(document := text_of(key), text, (document if by_id else place, document))
            for key, place, text in rows
        ]
        return found, [(text_of(key), error) for key, error in unreadable]

    def facts(self, connection: sqlite3.Connection, document: str) -> Facts:
        """Return what a document says of itself: nothing if there is none, None if it cannot be read."""
        self._catch_up(connection)
        query = "SELECT facts FROM summaries WHERE document = ?"
        found = connection.execute(query, (key_of(document),)).fetchone()
        facts: Facts = {} if found is None else None if found[0] is None else facts_of(found[0])
        return facts

    # Catching up

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        head = self._reader.head()
        root = self._reader.root(head)
        known, is_whole = _standing(connection)
        if is_whole and known == root:
            return
        if not self._may_write:
            raise NotAtHandError("the summaries are behind, or some documents could not be read")
        healed = self._healed(connection, head, root)
        if not healed and known == root:
            return
        with transaction(connection):
            indexed = self._indexed(connection)
            head = indexed or self._reader.head()
            root = self._reader.root(head)
            changed = self._differing(connection, _standing(connection)[0], root)
            for document in healed:
                changed.setdefault(document, self._reader.locate(root, self._collection, document))
            for document, tree in changed.items():
                said = self._revisions.last_message(connection, document) if indexed else None
                self._put(connection, document, None if tree is None else self._snapshot(document, head, tree), said)
            connection.execute("DELETE FROM summarized")
            connection.execute("INSERT INTO summarized VALUES (?)", (root,))

    def _indexed(self, connection: sqlite3.Connection) -> ObjectId | None:
        """Bring the revisions to the head, and return it; None: that takes too long, or history is damaged."""
        try:
            with attempt(connection):
                return self._revisions.bring(connection, _NEW)
        except CorruptionError:
            return None

    def _healed(self, connection: sqlite3.Connection, head: ObjectId, root: ObjectId) -> list[str]:
        """Return the documents that could not be read and can be now: what was missing may have been fetched."""
        unreadable = connection.execute("SELECT document FROM summaries WHERE facts IS NULL").fetchall()
        return [document for (key,) in unreadable if self._is_readable(head, root, document := text_of(key))]

    def _is_readable(self, head: ObjectId, root: ObjectId, document: str) -> bool:
        try:
            tree = self._reader.locate(root, self._collection, document)
            return tree is not None and self._summary(self._snapshot(document, head, tree), None) is not None
        except CorruptionError:
            return False

    def _summary(self, snapshot: Snapshot, said: Message | None) -> Summary | None:
        try:
            return None if self._collection.summarize is None else self._collection.summarize(snapshot, said)
        except StateCorruptionError:
            raise
        except CorruptionError as error:  # of its folder, which is read before its files
            raise snapshot.corrupt(error.message) from error

    def _snapshot(self, document: str, head: ObjectId, tree: ObjectId) -> Snapshot:
        return self._reader.snapshot_of(self._collection, document, head, tree)

    def _differing(
        self, connection: sqlite3.Connection, known: ObjectId | None, root: ObjectId
    ) -> dict[str, ObjectId | None]:
        """Return the documents that are not as they were, and their trees; all, if what was is gone."""
        try:
            if known is not None:
                return {document: now for document, _, now in self._reader.differing(self._collection, known, root)}
        except GitStateError:
            pass
        connection.execute("DELETE FROM summaries")
        return {document: tree for document, _, tree in self._reader.places(self._collection, root)}

    def _put(
        self, connection: sqlite3.Connection, document: str, snapshot: Snapshot | None, said: Message | None
    ) -> None:
        """Make the row of a document: of one that cannot be read it has no facts, but the error."""
        key = key_of(document)
        row: tuple[object, ...]
        try:
            summary = None if snapshot is None else self._summary(snapshot, said)
        except StateCorruptionError as error:
            row = (key, "", None, 0.0, 0.0, 0, _tame(error.message), None)
        else:
            if summary is None:
                connection.execute("DELETE FROM summaries WHERE document = ?", (key,))
                return
            errors = _tame("\n".join(summary.errors)).casefold()
            state = None if summary.state is None else _tame(summary.state)
            facts = json.dumps(summary.facts)
            row = (key, _tame(summary.name), state, summary.saved, summary.created, summary.failed, errors, facts)
        connection.execute("INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _parameters(selection: Selection) -> dict[str, object]:
    place, document = selection.after or (None, "")
    place = _tame(place) if isinstance(place, str) else place
    is_document = selection.order == "id" and place is not None
    return {
        "states": None if selection.states is None else json.dumps([_tame(state) for state in selection.states]),
        "name": None if selection.name is None else _tame(selection.name).replace("[!", "[^"),
        "since": selection.since,
        "until": selection.until,
        "failed": selection.failed,
        "error": None if selection.error is None else _tame(selection.error).casefold(),
        "after": key_of(document) if is_document else place,
        "document": key_of(document),
        "limit": -1 if selection.limit is None else selection.limit,
    }


def _standing(connection: sqlite3.Connection) -> tuple[ObjectId | None, bool]:
    """Return the root tree that the table stands for, and whether all documents could be read."""
    root, is_whole = connection.execute(_STANDING).fetchone()
    return root, bool(is_whole)


def _tame(text: str) -> str:
    """Return a text without what SQLite cannot keep."""
    return _SURROGATE.sub("\ufffd", text)
