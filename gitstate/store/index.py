"""The index: which commits are the history of which document, in an SQLite file that may be lost at any moment.

It knows the commits on the line of first parents from the head, and which documents of one collection each changed. Of
a document that a merge changed it knows nothing more than that: its history is no line, and is walked. Whatever is
wrong with the file, it is made anew; until then there is no answer, and who asked walks.
"""

import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from gitstate.engine.base import Step
from gitstate.engine.objects import ObjectId, parse_commit
from gitstate.errors import ClosedError, GitStateError
from gitstate.format import names
from gitstate.store import history, line
from gitstate.store.documents import Collection, Revision
from gitstate.store.line import TooFar
from gitstate.store.reader import Reader

__all__ = ["Index", "Indexes"]

_log = logging.getLogger("gitstate")

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE head (id TEXT NOT NULL);
CREATE TABLE revisions (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
CREATE TABLE touched (
document BLOB NOT NULL, seq INTEGER NOT NULL, gone INTEGER NOT NULL, PRIMARY KEY (document, seq)) WITHOUT ROWID;
CREATE TABLE latest (document BLOB PRIMARY KEY, seq INTEGER NOT NULL, gone INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE merges (seq INTEGER PRIMARY KEY);
CREATE TABLE tangled (document BLOB PRIMARY KEY) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""
_PAGE = 200  # revisions that are read at once
_NO_DAMAGE = (  # https://sqlite.org/rescode.html
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
)
_SUFFIXES = ("", "-wal", "-shm")
_PATIENCE = 2.0  # seconds to wait for another process that brings the file up to date


_of_parents: list[tuple[Path | None, sqlite3.Connection]] = []  # https://sqlite.org/howtocorrupt.html, 2.6

_Row: TypeAlias = tuple[int, str, bytes, int]  # its number, the id and the body of the commit, whether it removed


class Index:
    """The index of one collection. Safe to use from any thread.

    Args:
        path: The file; None: in memory.
        reader: Where the commits are.
        collection: Whose documents it knows.
    """

    def __init__(self, path: Path | None, reader: Reader, collection: Collection) -> None:
        self._path = None if path is None else Path(os.path.realpath(path))
        self._reader = reader
        self._collection = collection
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._opened: list[tuple[int, int] | None] = []  # which files those are that it opened
        self._off = False

    def revisions(self, document: str, start: ObjectId) -> Iterator[Revision] | None:
        """Return the revisions of a document that ``start`` has in its history, newest first; None: no answer."""
        key = document.encode("utf-8", "surrogatepass")
        for attempt in (1, 2):
            try:
                with self._open() as database:
                    self._catch_up(database)
                    found = database.execute("SELECT seq FROM revisions WHERE id = ?", (start,)).fetchone()
                    folder = names.encode(document).encode()
                    query = "SELECT 1 FROM tangled WHERE document IN (?, ?)"
                    tangled = database.execute(query, (key, folder)).fetchone()
                    if found is None or tangled is not None:
                        return None
                    return self._pages(document, key, self._page(database, key, found[0] + 1))
            except (sqlite3.Error, OSError, GitStateError) as error:
                if attempt == 2 or not _is_damage(error):
                    _log.debug("the index gives no answer: %s", error)
                    return None
                _log.info("the index is made anew: %s", error)
                self._discard()
        return None

    def deleted(self) -> list[tuple[str, Revision]] | None:
        """Return each document that is there no more, with the revision that removed it, the newest first.

        None: no answer.
        """
        with suppress(sqlite3.Error, OSError, GitStateError), self._open() as database:
            self._catch_up(database)
            if database.execute("SELECT 1 FROM merges").fetchone() is not None:
                return None  # a side that was merged may have made and removed documents
            query = "SELECT document, id, body FROM latest JOIN revisions USING (seq) WHERE gone ORDER BY seq DESC"
            rows = database.execute(f"{query}, document").fetchall()
            return [
                (key.decode("utf-8", "surrogatepass"), Revision.of(commit_id, parse_commit(body)))
                for key, commit_id, body in rows
            ]
        return None

    def update(self, *, at_most: int) -> None:
        """Bring it to the head, if that can be done and no more commits than that are new."""
        with suppress(sqlite3.Error, OSError, GitStateError, TooFar), self._open() as database:
            self._catch_up(database, at_most)

    def close(self, *, for_good: bool = False) -> None:
        """Close the file. It opens again when it is asked, unless it was for good."""
        with self._lock:
            self._close()
            self._off = self._off or for_good

    def forked(self) -> None:
        """In a forked child: the connection is the parent's, and must be neither used nor closed here."""
        if self._database is not None:
            _of_parents.append((self._path, self._database))
        self._lock, self._database, self._off = threading.Lock(), None, True

    def _pages(self, document: str, key: bytes, rows: "list[_Row]") -> Iterator[Revision]:
        while rows:
            for _, commit_id, body, gone in rows:
                yield replace(Revision.of(commit_id, parse_commit(body)), removed=bool(gone))
            if len(rows) < _PAGE:
                return
            seq, last = rows[-1][:2]
            try:
                with self._open() as database:
                    standing = database.execute("SELECT id FROM revisions WHERE seq = ?", (seq,)).fetchone()
                    rows = self._page(database, key, seq)
            except (sqlite3.Error, OSError, GitStateError) as error:
                _log.debug("the index gives no further answer: %s", error)
                standing = None
            if standing != (last,):  # it was made anew meanwhile, or is gone
                plain = copy(self._reader)
                plain.indexed = lambda *_: None
                yield from islice(history.revisions(plain, self._collection, document, last), 1, None)
                return

    @staticmethod
    def _page(database: sqlite3.Connection, key: bytes, before: int) -> "list[_Row]":
        query = (
            "SELECT seq, id, body, gone FROM touched JOIN revisions USING (seq)"
            " WHERE document = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        )
        return database.execute(query, (key, before, _PAGE)).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to one thread at a time."""
        with self._lock:
            if self._off:
                raise ClosedError("the index is closed, or belongs to the process that forked this one")
            if self._database is not None and self._opened != (now := self._files()):
                self._close()
                if now[0] == self._opened[0]:  # only what belongs to it was removed: it may lack anything
                    self._remove()
            if self._database is None:
                if None in self._files()[:1]:
                    self._remove()  # what is left of a file that is gone
                self._database = self._connect()
                self._opened = self._files()
            yield self._database

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None and any(path == self._path for path, _ in _of_parents):
            # SQLite believes that it has the parent's locks, and others would remove what it writes.
            raise ClosedError(f"{self._path} was open in the process that forked this one")
        if self._path is not None:
            with suppress(FileExistsError):
                os.mkdir(self._path.parent)  # a clone that nobody wrote to has none
        where = ":memory:" if self._path is None else os.fspath(self._path)
        database = sqlite3.connect(where, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"it is of version {version}")
            if version == 0:
                with _transaction(database):
                    if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                        for statement in _SCHEMA.split(";"):
                            database.execute(statement)
        except BaseException:
            database.close()
            raise
        return database

    def _close(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _discard(self) -> None:
        """Remove the file, whatever it is."""
        with self._lock:
            self._close()
            self._remove()

    def _remove(self) -> None:
        for suffix in _SUFFIXES if self._path is not None else ():
            with suppress(OSError):
                os.unlink(f"{self._path}{suffix}")

    def _files(self) -> list[tuple[int, int] | None]:
        """Return what tells the files that are there now from others of the same names."""
        found: list[tuple[int, int] | None] = []
        for suffix in _SUFFIXES if self._path is not None else ():
            try:
                status = os.stat(f"{self._path}{suffix}")
            except OSError:
                found.append(None)
            else:
                found.append((status.st_dev, status.st_ino))
        return found

    # Catching up

    def _catch_up(self, database: sqlite3.Connection, at_most: int = sys.maxsize - 1) -> None:
        head = self._reader.head()
        if _head(database) == head:
            return
        with _transaction(database):
            known = _head(database)
            if known == head:
                return  # somebody else was faster
            steps = line.steps(self._reader.engine, head, known, at_most)
            if steps is None:  # history was rewritten
                for table in ("head", "revisions", "touched", "latest", "merges", "tangled"):
                    database.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are ours
                steps = line.steps(self._reader.engine, head, None, at_most) or []
            self._insert(database, steps)
            database.execute("DELETE FROM head")
            database.execute("INSERT INTO head VALUES (?)", (head,))

    def _insert(self, database: sqlite3.Connection, steps: list[Step]) -> None:
        seq: int = database.execute("SELECT coalesce(max(seq), 0) FROM revisions").fetchone()[0]
        revisions: list[tuple[int, str, bytes]] = []
        touched: list[tuple[bytes, int, bool]] = []
        latest: list[tuple[bytes, int, bool]] = []
        merges: list[tuple[int]] = []
        tangled: list[tuple[bytes]] = []
        for step, touches in line.followed(self._reader, self._collection, reversed(steps)):
            seq += 1
            revisions.append((seq, step.id, step.body))
            rows = [(touch.document.encode("utf-8", "surrogatepass"), seq, touch.removed) for touch in touches]
            touched += rows
            latest += [row for row, touch in zip(rows, touches, strict=True) if touch.changed]
            # A folder whose name was cut, and whose file tells no id, comes by that name; who asks knows whose it is.
            tangled += [row[:1] for row, touch in zip(rows, touches, strict=True) if names.is_cut(touch.document)]
            if len(step.commit.parents) > 1:
                merges.append((seq,))
                tangled += [(key,) for key, _, _ in rows]
        database.executemany("INSERT INTO revisions VALUES (?, ?, ?)", revisions)
        database.executemany("INSERT INTO touched VALUES (?, ?, ?)", touched)
        database.executemany("INSERT OR REPLACE INTO latest VALUES (?, ?, ?)", latest)
        database.executemany("INSERT INTO merges VALUES (?)", merges)
        database.executemany("INSERT OR IGNORE INTO tangled VALUES (?)", tangled)


class Indexes:
    """The indexes of a store, one for each collection that was asked for.

    Args:
        folder: Where the files are; None: in memory.
        branch: The branch that holds the store.
        reader: Where the commits are.
    """

    def __init__(self, folder: Path | None, branch: str, reader: Reader) -> None:
        self._folder = folder
        self._branch = branch
        self._reader = reader
        self._indexes: dict[str, Index] = {}

    def of(self, collection: Collection) -> Index:
        """Return the index of a collection."""
        found = self._indexes.get(collection.name)
        if found is None:
            found = self._indexes.setdefault(collection.name, Index(self._path(collection), self._reader, collection))
        return found

    def _path(self, collection: Collection) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"index-{names.ref_encode(self._branch)}-{names.ref_encode(collection.name)}.db"

    def revisions(self, collection: Collection, document: str, start: ObjectId) -> Iterator[Revision] | None:
        """See :meth:`Index.revisions`."""
        return self.of(collection).revisions(document, start)

    def update(self, *, at_most: int) -> None:
        """Bring all that are in use to the head, if no more commits than that are new to them."""
        for index in list(self._indexes.values()):
            index.update(at_most=at_most)

    def close(self) -> None:
        """Close all files, for good."""
        for index in list(self._indexes.values()):
            index.close(for_good=True)

    def forked(self) -> None:
        """In a forked child: the connections are the parent's."""
        for index in list(self._indexes.values()):
            index.forked()


def _is_damage(error: Exception) -> bool:
    """Whether the file is to blame, and not that it is held, or cannot be had or written here."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB) & 0xFF
    return isinstance(error, sqlite3.DatabaseError) and code not in _NO_DAMAGE


def _head(database: sqlite3.Connection) -> ObjectId | None:
    found = database.execute("SELECT id FROM head").fetchone()
    return None if found is None else str(found[0])


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
