"""Which commits are the history of which document, and what their trailers say.

Known are the commits on the line of first parents from the head, and which documents of one collection each changed. Of
a document that a merge changed nothing more is known than that: its history is no line, and is walked.
"""

import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TypeAlias, TypeVar

from gitstate.engine.base import NotAtHandError, Step
from gitstate.engine.objects import ObjectId, parse_commit
from gitstate.format import names
from gitstate.format.message import Message
from gitstate.store import history
from gitstate.store.documents import Collection, Revision
from gitstate.store.index import line
from gitstate.store.index.database import Database, Opened, key_of, reading, text_of, transaction
from gitstate.store.index.line import TooFar, Touch
from gitstate.store.reader import Reader
from gitstate.store.trails import Life, Said, Trail

__all__ = ["SCHEMA", "Revisions"]

SCHEMA = """
CREATE TABLE head (id TEXT, is_far INTEGER NOT NULL);
CREATE TABLE revisions (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
CREATE TABLE touched (
document BLOB NOT NULL, seq INTEGER NOT NULL, gone INTEGER NOT NULL, PRIMARY KEY (document, seq)) WITHOUT ROWID;
CREATE INDEX removals ON touched (document, seq) WHERE gone;
CREATE TABLE latest (document BLOB PRIMARY KEY, seq INTEGER NOT NULL, gone INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE told (
document BLOB NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, place INTEGER NOT NULL, value BLOB NOT NULL,
PRIMARY KEY (document, key, seq, place)) WITHOUT ROWID;
CREATE TABLE merges (seq INTEGER PRIMARY KEY);
CREATE TABLE tangled (document BLOB PRIMARY KEY) WITHOUT ROWID"""

_EMPTY = [f"DELETE FROM {table}" for table in ("revisions", "touched", "latest", "told", "merges", "tangled")]  # noqa: S608
_PAGE = 200  # revisions that are read at once
_AT_HAND = 128  # and so many for those who cannot wait, in half a millisecond as a rule
_NEW = 32  # of these at most that were not asked for before: to read a commit takes as long as to find ten
_TOLD = 1024  # trailers for these
_AT_ONCE = 2000  # revisions that are inserted at once
_SMALL = 4096  # bytes of a commit that is kept

_BOUNDS = """
SELECT EXISTS (SELECT 1 FROM tangled WHERE document IN (:document, :folder)),
(SELECT seq FROM revisions WHERE id = :start), (SELECT seq FROM revisions WHERE id = :until)"""
_ALL = """
SELECT seq, id, body, gone FROM touched JOIN revisions USING (seq)
WHERE document = :document AND seq BETWEEN :oldest AND :newest ORDER BY seq DESC LIMIT :limit"""
_SAYING = """
SELECT seq, id, body, gone FROM told JOIN touched USING (document, seq) JOIN revisions USING (seq)
WHERE document = :document AND key = :key AND seq BETWEEN :oldest AND :newest
AND CASE WHEN :value IS NULL THEN place = 0 ELSE value = :value END ORDER BY seq DESC LIMIT :limit"""
_SAID = """
SELECT seq, value FROM told WHERE document = :document AND key = :key AND seq BETWEEN :oldest AND :newest
AND place = 0 ORDER BY seq DESC LIMIT :limit"""
_LIFE = """
WITH last (seq) AS (SELECT max(seq) FROM touched WHERE document = :document AND seq <= :newest AND NOT gone),
ended (seq) AS (
SELECT coalesce(max(seq), 0) FROM touched INDEXED BY removals
WHERE document = :document AND gone AND seq < (SELECT seq FROM last)),
born (seq) AS (
SELECT min(seq) FROM touched WHERE document = :document AND seq > (SELECT seq FROM ended))
SELECT newest.id, newest.seq, oldest.seq, oldest.id, oldest.body,
EXISTS (SELECT 1 FROM touched WHERE document = :document AND seq > last.seq AND seq <= :newest)
FROM last JOIN revisions AS newest ON newest.seq = last.seq, born JOIN revisions AS oldest ON oldest.seq = born.seq"""
_LAST = """
SELECT body FROM latest JOIN revisions USING (seq)
WHERE document = ? AND document NOT IN (SELECT document FROM tangled)"""
_LASTS = """
SELECT document, body FROM latest JOIN revisions USING (seq)
WHERE NOT gone AND document NOT IN (SELECT document FROM tangled)"""
_DELETED = """
SELECT document, id, body FROM latest JOIN revisions USING (seq) WHERE gone ORDER BY seq DESC, document"""

T = TypeVar("T")
_Row: TypeAlias = tuple[int, str, bytes, int]  # its number, the id and the body of the commit, whether it removed
_Parameters: TypeAlias = dict[str, object]


@dataclass
class _Rows:
    """What is new, as rows of the tables."""

    revisions: list[tuple[int, str, bytes]] = field(default_factory=list)
    touched: list[tuple[bytes, int, bool]] = field(default_factory=list)
    latest: list[tuple[bytes, int, bool]] = field(default_factory=list)
    told: list[tuple[bytes, bytes, int, int, bytes]] = field(default_factory=list)
    merges: list[tuple[int]] = field(default_factory=list)
    tangled: list[tuple[bytes]] = field(default_factory=list)

    def insert(self, connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT INTO revisions VALUES (?, ?, ?)", self.revisions)
        connection.executemany("INSERT INTO touched VALUES (?, ?, ?)", self.touched)
        connection.executemany("INSERT OR REPLACE INTO latest VALUES (?, ?, ?)", self.latest)
        connection.executemany("INSERT INTO told VALUES (?, ?, ?, ?, ?)", self.told)
        connection.executemany("INSERT INTO merges VALUES (?)", self.merges)
        connection.executemany("INSERT OR IGNORE INTO tangled VALUES (?)", self.tangled)


class Revisions:
    """The revisions of the documents of one collection. Safe to use from any thread.

    Whatever is asked is answered as a walk would, or with None: then it must be walked.

    Args:
        database: Where the tables of :data:`SCHEMA` are.
        reader: Where the commits are.
        collection: Whose documents it knows.
    """

    def __init__(self, database: Database | Opened, reader: Reader, collection: Collection) -> None:
        self._database = database
        self._reader = reader
        self._collection = collection

    def revisions(self, trail: Trail) -> Iterator[Revision] | None:
        """Return the revisions of a trail, newest first."""
        most = self._at_once
        limit = most if trail.limit is None else max(1, min(most, trail.limit))

        def first(connection: sqlite3.Connection, bounds: _Parameters) -> Iterator[Revision]:
            rows = _page(connection, bounds, limit)
            if not self._database.may_be_written:
                new = sum((commit_id, gone) not in _made for _, commit_id, _, gone in rows)
                if new > _NEW or (trail.limit is None and len(rows) == most):
                    raise NotAtHandError("there are many revisions")
            return self._pages(trail, bounds, rows, limit)

        return self._ask(trail, first)

    def lives(self, trail: Trail, keys: Sequence[str] = ()) -> list[Life] | None:
        """Return the last life that a document had at the start of a trail; an empty list if it had none.

        With what its revisions say that have the first of some trailers, if any are given.
        """

        def lives(connection: sqlite3.Connection, bounds: _Parameters) -> list[Life]:
            found = connection.execute(_LIFE, bounds).fetchone()
            if found is None:
                return []
            newest_id, newest, oldest, commit_id, body, ended = found
            end = newest_id if ended else trail.start
            said = self._said(connection, {**bounds, "newest": newest, "oldest": oldest}, keys) if keys else []
            return [Life(end, _revision(commit_id, body, 0), bool(ended), said)]

        return self._ask(trail, lives)

    def _said(self, connection: sqlite3.Connection, bounds: _Parameters, keys: Sequence[str]) -> list[Said]:
        """Return what revisions that have the first of some trailers say with these, that of the newest first."""
        limit = -1 if self._database.may_be_written else _TOLD
        found: dict[int, dict[str, str]] = {}
        for key in keys:
            rows = connection.execute(_SAID, {**bounds, "key": key_of(key), "limit": limit}).fetchall()
            if len(rows) == limit:
                raise NotAtHandError("there are many trailers")
            if key == keys[0]:
                found = {seq: {key: text_of(value)} for seq, value in rows}
                continue
            for seq, value in rows:
                if seq in found:
                    found[seq][key] = text_of(value)
        return list(found.values())

    def deleted(self) -> list[tuple[str, Revision]] | None:
        """Return each document that is there no more, with the revision that removed it, the newest first."""

        def deleted(connection: sqlite3.Connection) -> list[tuple[str, Revision]] | None:
            self.catch_up(connection)
            with reading(connection):
                if connection.execute("SELECT 1 FROM merges").fetchone() is not None:
                    return None  # a side that was merged may have made and removed documents
                rows: list[tuple[bytes, str, bytes]] = connection.execute(_DELETED).fetchall()
            return [(text_of(key), Revision.of(commit_id, parse_commit(body))) for key, commit_id, body in rows]

        return self._database.ask(deleted)

    def authors(self) -> dict[str, str] | None:
        """Return who changed each document last, by its id; those are left out of which that may be somebody else."""

        def authors(connection: sqlite3.Connection) -> dict[str, str]:
            self.catch_up(connection)
            with reading(connection):
                rows: list[tuple[bytes, bytes]] = connection.execute(_LASTS).fetchall()
            return {text_of(key): parse_commit(body).author.name for key, body in rows}

        return self._database.ask(authors)

    def update(self, connection: sqlite3.Connection, *, at_most: int) -> None:
        """Bring it to the head, if no more commits than that are new.

        If there are more, this does nothing any more until somebody asked.
        """
        known, is_far = connection.execute("SELECT id, is_far FROM head").fetchone() or (None, False)
        if not is_far and not self.catch_up(connection, at_most):
            _set_head(connection, known, is_far=True)

    def last_message(self, connection: sqlite3.Connection, document: str) -> Message | None:
        """Return what the commit that changed a document last says of it; None if it says nothing of it, or may be
        another one.
        """
        found = connection.execute(_LAST, (key_of(document),)).fetchone()
        said = None if found is None else Message.parse(parse_commit(found[0]).message)
        return said if said is not None and said.get(self._collection.trailer) == document else None

    def _ask(self, trail: Trail, question: Callable[[sqlite3.Connection, _Parameters], T]) -> T | None:
        """Return the answer to a question about what lies before the start of a trail, whether or not more is known."""

        def asked(connection: sqlite3.Connection, *, again: bool = False) -> T | None:
            with reading(connection):
                bounds = _bounds(connection, trail)
                if bounds["newest"] is not None and bounds["oldest"] is not None and not bounds["tangled"]:
                    return question(connection, bounds)
            if again:
                return None
            self.catch_up(connection)
            return asked(connection, again=True)

        return self._database.ask(asked)

    @property
    def _at_once(self) -> int:
        return _PAGE if self._database.may_be_written else _AT_HAND

    def _pages(self, trail: Trail, bounds: _Parameters, rows: list[_Row], limit: int) -> Iterator[Revision]:
        while rows:
            for _, commit_id, body, gone in rows:
                yield _revision(commit_id, body, gone)
            if len(rows) < limit:
                return
            seq, last = rows[-1][:2]
            limit = self._at_once

            def following(connection: sqlite3.Connection, seq: int = seq, last: str = last) -> list[_Row] | None:
                with reading(connection):
                    standing = connection.execute("SELECT id FROM revisions WHERE seq = ?", (seq,)).fetchone()
                    rest = bounds | {"newest": seq - 1}
                    return _page(connection, rest, self._at_once) if standing == (last,) else None

            found = self._database.ask(following)
            if found is None:  # it was made anew meanwhile, or is gone
                yield from islice(history.walked(self._reader, trail._replace(start=last)), 1, None)
                return
            rows = found

    # Catching up

    def catch_up(self, connection: sqlite3.Connection, at_most: int = sys.maxsize - 1) -> bool:
        """Bring it to the head; if more commits than ``at_most`` are new, do nothing and return False."""
        if _head(connection) == self._reader.head():
            return True
        if not self._database.may_be_written:
            raise NotAtHandError("the index is behind")
        with transaction(connection):
            return self.bring(connection, at_most) is not None

    def bring(self, connection: sqlite3.Connection, at_most: int) -> ObjectId | None:
        """Bring it to the head in a transaction, and return the head; if more commits are new, do nothing: None."""
        head, known = self._reader.head(), _head(connection)
        if known == head:
            return head  # somebody else was faster
        try:
            steps = line.steps(self._reader.engine, head, known, at_most)
            if steps is None:  # history was rewritten
                steps = line.steps(self._reader.engine, head, None, at_most) or []
                for statement in _EMPTY:
                    connection.execute(statement)
        except TooFar:
            return None
        self._insert(connection, steps)
        _set_head(connection, head, is_far=False)
        return head

    def _insert(self, connection: sqlite3.Connection, steps: list[Step]) -> None:
        seq: int = connection.execute("SELECT coalesce(max(seq), 0) FROM revisions").fetchone()[0]
        new = _Rows()
        for step, touches in line.followed(self._reader, self._collection, reversed(steps)):
            seq += 1
            if len(new.revisions) == _AT_ONCE:
                new.insert(connection)
                new = _Rows()
            new.revisions.append((seq, step.id, step.body))
            rows = [(key_of(touch.document), seq, touch.removed) for touch in touches]
            new.touched += rows
            new.latest += [row for row, touch in zip(rows, touches, strict=True) if touch.changed]
            new.told += self._told(seq, step, touches)
            # A folder whose name was cut, and whose file tells no id, comes by that name; who asks knows whose it is.
            new.tangled += [row[:1] for row, touch in zip(rows, touches, strict=True) if names.is_cut(touch.document)]
            if len(step.commit.parents) > 1:
                new.merges.append((seq,))
                beside = line.beside(self._reader, self._collection, step.commit)
                new.tangled += [(key,) for key, _, _ in rows] + [(key_of(document),) for document in beside]
        new.insert(connection)

    def _told(self, seq: int, step: Step, touches: list[Touch]) -> Iterator[tuple[bytes, bytes, int, int, bytes]]:
        """Yield the trailers of a commit, if the document that they are of is one that it touched."""
        if not touches:
            return
        said = Message.parse(step.commit.message)
        document = said.get(self._collection.trailer)
        if document is not None and any(touch.document == document for touch in touches):
            places: dict[str, int] = {}
            for key, value in dict.fromkeys(said.trailers):
                place = places[key] = places.get(key, -1) + 1
                yield key_of(document), key_of(key), seq, place, key_of(value)


_made: dict[tuple[ObjectId, int], Revision] = {}  # what is asked for again and again, as by a dashboard
_KEPT = 4096  # revisions there


def _revision(commit_id: ObjectId, body: bytes, gone: int) -> Revision:
    """Return a revision; one that was asked for before takes a hundredth of the time."""
    found = _made.get((commit_id, gone))
    if found is None:
        found = Revision.of(commit_id, parse_commit(body), removed=bool(gone))
        if len(body) < _SMALL:
            _made[commit_id, gone] = found
            with suppress(KeyError, RuntimeError, StopIteration):  # another thread was faster
                while len(_made) > _KEPT:
                    del _made[next(iter(_made))]
    return found


def _bounds(connection: sqlite3.Connection, trail: Trail) -> _Parameters:
    """Return the parameters of the queries about a trail: whether anything is tangled, and None for what is unknown."""
    parameters: _Parameters = {
        "document": key_of(trail.document),
        "folder": _folder(trail.document),
        "start": trail.start,
        "until": trail.until,
        "key": None if trail.key is None else key_of(trail.key),
        "value": None if trail.value is None else key_of(trail.value),
    }
    tangled, newest, oldest = connection.execute(_BOUNDS, parameters).fetchone()
    return parameters | {"tangled": tangled, "newest": newest, "oldest": 1 if trail.until is None else oldest}


@lru_cache(maxsize=1024)
def _folder(document: str) -> bytes:
    return names.encode(document).encode()


def _page(connection: sqlite3.Connection, bounds: _Parameters, limit: int) -> list[_Row]:
    query = _ALL if bounds["key"] is None else _SAYING
    return connection.execute(query, {**bounds, "limit": limit}).fetchall()


def _head(connection: sqlite3.Connection) -> ObjectId | None:
    found: tuple[ObjectId | None] | None = connection.execute("SELECT id FROM head").fetchone()
    return None if found is None else found[0]


def _set_head(connection: sqlite3.Connection, head: ObjectId | None, *, is_far: bool) -> None:
    connection.execute("DELETE FROM head")
    connection.execute("INSERT INTO head VALUES (?, ?)", (head, is_far))
