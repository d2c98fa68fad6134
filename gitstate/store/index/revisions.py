"""Which commits are the history of which document, and what their trailers say.

All commits of the head's history are known, in the order in which a walk comes by them. So a history is what is known
of a document from a commit on down, if all of that is in the history of the commit; else it is walked.
"""

import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import dropwhile, islice
from typing import TypeAlias, TypeVar

from gitstate.engine.base import NotAtHandError
from gitstate.engine.garbage import uncollected
from gitstate.engine.objects import ObjectId, name_text, parse_commit
from gitstate.format import names
from gitstate.format.message import Message
from gitstate.store import history
from gitstate.store.documents import Collection, Revision
from gitstate.store.index import line
from gitstate.store.index.database import Database, Opened, key_of, reading, text_of, transaction
from gitstate.store.index.line import TooFar
from gitstate.store.index.rows import ALWAYS, SCHEMA, TABLES, append
from gitstate.store.index.weaving import follows, weave
from gitstate.store.reader import Reader
from gitstate.store.trails import Life, Said, Trail

__all__ = ["SCHEMA", "Revisions"]

_EMPTY = [f"DELETE FROM {table}" for table in TABLES]  # noqa: S608
_PAGE = 200  # revisions that are read at once
_AT_HAND = 128  # and so many for those who cannot wait, in half a millisecond as a rule
_NEW = 32  # of these at most that were not asked for before: to read a commit takes as long as to find ten
_TOLD = 1024  # trailers for these
_SMALL = 4096  # bytes of a commit that is kept

_BOUNDS = """
SELECT coalesce((SELECT max(seq) FROM tangled WHERE document IN (:document, :folder)), 0),
(SELECT seq FROM revisions WHERE id = :start AND neck), (SELECT seq FROM revisions WHERE id = :until),
EXISTS (SELECT 1 FROM merges)"""
_REMOVED = """
SELECT EXISTS (SELECT 1 FROM touched INDEXED BY removals
WHERE document = :document AND tree IS NULL AND seq <= :newest)
OR EXISTS (SELECT 1 FROM tangled WHERE document = :document AND gone)"""
_ALL = """
SELECT seq, id, body, tree FROM touched JOIN revisions USING (seq)
WHERE document = :document AND seq BETWEEN :oldest AND :newest ORDER BY seq DESC LIMIT :limit"""
_SAYING = """
SELECT seq, id, body, tree FROM told JOIN touched USING (document, seq) JOIN revisions USING (seq)
WHERE document = :document AND key = :key AND seq BETWEEN :oldest AND :newest
AND CASE WHEN :value IS NULL THEN place = 0 ELSE value = :value END ORDER BY seq DESC LIMIT :limit"""
_ATTACHED = "SELECT seq, path, id FROM attached WHERE document = ? AND seq BETWEEN ? AND ?"
_SAID = """
SELECT seq, value FROM told WHERE document = :document AND key = :key AND seq BETWEEN :oldest AND :newest
AND place = 0 ORDER BY seq DESC LIMIT :limit"""
_LIFE = """
WITH last (seq) AS (SELECT max(seq) FROM touched WHERE document = :document AND seq <= :newest AND tree IS NOT NULL),
ended (seq) AS (
SELECT coalesce(max(seq), 0) FROM touched INDEXED BY removals
WHERE document = :document AND tree IS NULL AND seq < (SELECT seq FROM last)),
born (seq) AS (
SELECT min(seq) FROM touched WHERE document = :document AND seq > (SELECT seq FROM ended))
SELECT newest.id, newest.seq, oldest.seq, oldest.id, oldest.body, first.tree,
EXISTS (SELECT 1 FROM touched WHERE document = :document AND seq > last.seq AND seq <= :newest)
FROM last JOIN revisions AS newest ON newest.seq = last.seq, born JOIN revisions AS oldest ON oldest.seq = born.seq
JOIN touched AS first ON first.document = :document AND first.seq = born.seq"""
_LAST = """
SELECT body FROM latest JOIN revisions USING (seq)
WHERE document = ? AND seq > coalesce((SELECT tangled.seq FROM tangled WHERE tangled.document = latest.document), 0)"""
_LASTS = """
SELECT document, body FROM latest JOIN revisions USING (seq)
WHERE NOT gone AND seq > coalesce((SELECT tangled.seq FROM tangled WHERE tangled.document = latest.document), 0)"""
_DELETED = """
SELECT document, id, body FROM latest JOIN revisions USING (seq) WHERE gone ORDER BY seq DESC, document"""

T = TypeVar("T")
_Row: TypeAlias = tuple[int, str, bytes, bytes | None]  # its number, the id and body of the commit, the document's tree
_Files: TypeAlias = Mapping[int, Mapping[str, ObjectId]]  # attached to the document, by the number of the commit
_Page: TypeAlias = tuple[list[_Row], _Files]
_Parameters: TypeAlias = dict[str, object]
_NONE: Mapping[str, ObjectId] = {}


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
            rows, files = _page(connection, bounds, limit, trail)
            if not self._database.may_be_written:
                new = sum((commit_id, tree) not in _made for _, commit_id, _, tree in rows)
                if new > _NEW or (trail.limit is None and len(rows) == most):
                    raise NotAtHandError("there are many revisions")
            return self._pages(trail, bounds, rows, files, limit)

        return self._ask(trail, first, in_one_life=trail.until is not None)

    def lives(self, trail: Trail, keys: Sequence[str] = ()) -> list[Life] | None:
        """Return the last life that a document had at the start of a trail; an empty list if it had none.

        With what its revisions say that have the first of some trailers, if any are given.
        """

        def lives(connection: sqlite3.Connection, bounds: _Parameters) -> list[Life]:
            found = connection.execute(_LIFE, bounds).fetchone()
            if found is None:
                return []
            newest_id, newest, oldest, commit_id, body, tree, ended = found
            if bounds["tangled"]:  # a merge may have taken from another side that it is gone
                ended = self._reader.snapshot(trail.collection, trail.document, trail.start) is None
            end = newest_id if ended else trail.start
            said = self._said(connection, {**bounds, "newest": newest, "oldest": oldest}, keys) if keys else []
            return [Life(end, _revision(commit_id, body, tree), bool(ended), said)]

        return self._ask(trail, lives, in_one_life=True)

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

    def _ask(
        self, trail: Trail, question: Callable[[sqlite3.Connection, _Parameters], T], *, in_one_life: bool
    ) -> T | None:
        """Return the answer to a question about what lies before the start of a trail, whether or not more is known."""

        def asked(connection: sqlite3.Connection, *, again: bool = False) -> T | None:
            with reading(connection):
                bounds = _bounds(connection, trail, in_one_life)
                if bounds["newest"] is not None and bounds["oldest"] is not None:
                    return question(connection, bounds)
            if again:
                return None
            self.catch_up(connection)
            return asked(connection, again=True)

        return self._database.ask(asked)

    @property
    def _at_once(self) -> int:
        return _PAGE if self._database.may_be_written else _AT_HAND

    def _pages(
        self, trail: Trail, bounds: _Parameters, rows: list[_Row], files: _Files, limit: int
    ) -> Iterator[Revision]:
        while rows:
            for number, commit_id, body, tree in rows:
                yield _revision(commit_id, body, tree, files.get(number, _NONE) if trail.attached else None)
            if len(rows) < limit:
                return
            seq, last = rows[-1][:2]
            limit = self._at_once

            def following(connection: sqlite3.Connection, seq: int = seq, last: str = last) -> _Page | None:
                with reading(connection):
                    standing = connection.execute("SELECT id FROM revisions WHERE seq = ?", (seq,)).fetchone()
                    rest = bounds | {"newest": seq - 1}
                    return _page(connection, rest, self._at_once, trail) if standing == (last,) else None

            found = self._database.ask(following)
            if found is None:  # it was made anew meanwhile, or woven, or is gone
                walked = history.walked(self._reader, trail)
                yield from islice(dropwhile(partial(_is_not, last), walked), 1, None)
                return
            rows, files = found

    # Catching up

    def catch_up(self, connection: sqlite3.Connection, at_most: int = sys.maxsize - 1) -> bool:
        """Bring it to the head; if more commits than ``at_most`` are new, do nothing and return False."""
        if _head(connection) == self._reader.head():
            return True
        if not self._database.may_be_written:
            raise NotAtHandError("the index is behind")
        with transaction(connection), uncollected():
            return self.bring(connection, at_most) is not None

    def bring(self, connection: sqlite3.Connection, at_most: int) -> ObjectId | None:
        """Bring it to the head in a transaction, and return the head; if more commits are new, do nothing: None."""
        head, known = self._reader.head(), _head(connection)
        if known == head:
            return head  # somebody else was faster
        try:
            steps = line.steps(self._reader.engine, head, known, at_most)
            if steps is None and not follows(self._reader, head, known):  # history was rewritten
                steps, known = line.steps(self._reader.engine, head, None, at_most) or [], None
                for statement in _EMPTY:
                    connection.execute(statement)
            if steps is not None and not any(len(step.commit.parents) > 1 for step in steps):
                append(connection, self._reader, self._collection, steps)
            else:
                weave(connection, self._reader, self._collection, head, known, steps, at_most)
        except TooFar:
            return None
        _set_head(connection, head, is_far=False)
        return head


def _is_not(commit_id: ObjectId, revision: Revision) -> bool:
    return revision.id != commit_id


_made: dict[tuple[ObjectId, bytes | None], Revision] = {}  # what is asked for again and again, as by a dashboard
_KEPT = 4096  # revisions there


def _revision(
    commit_id: ObjectId, body: bytes, tree: bytes | None, attached: Mapping[str, ObjectId] | None = None
) -> Revision:
    """Return a revision; one that was asked for before takes a hundredth of the time."""
    found = _made.get((commit_id, tree))
    if found is None or (found.attached is None and attached is not None):
        told = None if tree is None else tree.hex()
        found = Revision.of(commit_id, parse_commit(body), removed=tree is None, tree=told, attached=attached)
        if len(body) < _SMALL:
            _made[commit_id, tree] = found
            with suppress(KeyError, RuntimeError, StopIteration):  # another thread was faster
                while len(_made) > _KEPT:
                    del _made[next(iter(_made))]
    return found


def _bounds(connection: sqlite3.Connection, trail: Trail, in_one_life: bool) -> _Parameters:
    """Return the parameters of the queries about a trail, None for what is unknown.

    It must start at a commit that has all in its history that comes before it. Where there are merges, the order does
    not tell where the lives of a document end that was removed.
    """
    parameters: _Parameters = {
        "document": key_of(trail.document),
        "folder": _folder(trail.document),
        "start": trail.start,
        "until": trail.until,
        "key": None if trail.key is None else key_of(trail.key),
        "value": None if trail.value is None else key_of(trail.value),
    }
    tangled, newest, oldest, merged = connection.execute(_BOUNDS, parameters).fetchone()
    parameters |= {"tangled": tangled, "newest": newest, "oldest": 1 if trail.until is None else oldest}
    is_clear = tangled < ALWAYS and not (tangled and trail.is_line)
    if merged and in_one_life:
        is_clear = is_clear and not connection.execute(_REMOVED, parameters).fetchone()[0]
    return parameters if is_clear else parameters | {"newest": None}


@lru_cache(maxsize=1024)
def _folder(document: str) -> bytes:
    return names.encode(document).encode()


def _page(connection: sqlite3.Connection, bounds: _Parameters, limit: int, trail: Trail) -> _Page:
    query = _ALL if bounds["key"] is None else _SAYING
    rows: list[_Row] = connection.execute(query, {**bounds, "limit": limit}).fetchall()
    files: dict[int, dict[str, ObjectId]] = {}
    if trail.attached and rows:
        for seq, path, blob in connection.execute(_ATTACHED, (bounds["document"], rows[-1][0], rows[0][0])):
            files.setdefault(seq, {})[name_text(path)] = blob.hex()
    return rows, files


def _head(connection: sqlite3.Connection) -> ObjectId | None:
    found: tuple[ObjectId | None] | None = connection.execute("SELECT id FROM head").fetchone()
    return None if found is None else found[0]


def _set_head(connection: sqlite3.Connection, head: ObjectId | None, *, is_far: bool) -> None:
    connection.execute("DELETE FROM head")
    connection.execute("INSERT INTO head VALUES (?, ?)", (head, is_far))
