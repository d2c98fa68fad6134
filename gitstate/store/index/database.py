"""An SQLite file that holds nothing but what can be found again: whatever is wrong with it, it is made anew."""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import TypeVar

from gitstate.engine.base import NotAtHandError
from gitstate.errors import ClosedError, GitStateError

__all__ = ["Database", "Opened", "attempt", "key_of", "reading", "text_of", "transaction"]

_log = logging.getLogger("gitstate")

T = TypeVar("T")

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
_STEPS = 1000  # of SQLite's machine, some 20 microseconds, after which it asks whether to go on
_LOOKS = 20  # and so often it may, for an answer that others wait for
_HELD = 10.0  # and so long after that was in vain nobody waits again

_of_parents: list[tuple[Path | None, sqlite3.Connection]] = []  # https://sqlite.org/howtocorrupt.html, 2.6


class Database:
    """One file, and this process's connection to it. Safe to use from any thread.

    Args:
        path: The file; None: in memory.
        schema: The statements that make its tables.
        version: Of the schema; a file of another one is made anew.
    """

    def __init__(self, path: Path | None, schema: str, version: int) -> None:
        self._path = None if path is None else Path(os.path.realpath(path))
        self._names = [] if path is None else [f"{self._path}{suffix}" for suffix in _SUFFIXES]
        self._schema = f"{schema};PRAGMA user_version = {version}"
        self._version = version
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened: list[tuple[int, int] | None] = []  # which files those are that it opened
        self._off = False
        self._held_until = 0.0  # by the monotonic clock; 0: nobody waited in vain lately
        self._patience = _PATIENCE  # of the connection

    @property
    def in_memory(self) -> bool:
        """Whether it is gone with the process."""
        return self._path is None

    @property
    def may_be_written(self) -> bool:
        """Whether who asks may take the time to bring it up to date."""
        return True

    def at_hand(self) -> "Opened":
        """Return this database for those who cannot wait."""
        return Opened(self)

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T | None:
        """Return the answer to a question, from a new file if this one is damaged; None: there is none."""
        for turn in (1, 2):
            try:
                with self.open() as connection:
                    return question(connection)
            except (sqlite3.Error, OSError, GitStateError) as error:
                if turn == 2 or not _is_damage(error):
                    _log.debug("the index gives no answer: %s", error)
                    if _code(error) == sqlite3.SQLITE_BUSY:
                        self._held_until = time.monotonic() + _HELD
                    return None
                _log.info("the index is made anew: %s", error)
                self._discard()
        return None

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to one thread at a time.

        Raises:
            ClosedError: It was closed for good, or belongs to another process.
            sqlite3.Error: The file is damaged, held by others, or cannot be had.
            OSError: There is no place for it.
        """
        with self._lock:
            if self._off:
                raise ClosedError("the index is closed, or belongs to the process that forked this one")
            if self._connection is not None and self._opened != (now := self._files()):
                self._close()
                if now[0] == self._opened[0]:  # only what belongs to it was removed: it may lack anything
                    self._remove()
            if self._connection is None:
                if None in self._files()[:1]:
                    self._remove()  # what is left of a file that is gone
                self._connection = self._connect()
                self._opened = self._files()
            is_held = self._held_until > time.monotonic()
            self._held_until = self._held_until if is_held else 0.0
            self._wait_for_others(self._connection, 0.0 if is_held else _PATIENCE)
            yield self._connection

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Give the connection as :meth:`open` does, if it is open and free, and without ever waiting for others.

        Raises:
            NotAtHandError: It is not, or is the connection to a file that is there no more.
            sqlite3.Error: The file is damaged, or held by others, or the question takes too long.
        """
        if not self._lock.acquire(blocking=False):
            raise NotAtHandError("the index is in use")
        try:
            connection = self._connection
            if connection is None or self._off or self._held_until or self._opened != self._files():
                raise NotAtHandError("the index is not open")
            self._wait_for_others(connection, 0.0)
            going_on = repeat(0, _LOOKS)
            connection.set_progress_handler(lambda: next(going_on, 1), _STEPS)
            try:
                yield connection
            finally:
                connection.set_progress_handler(None, 0)
        finally:
            self._lock.release()

    def close(self, *, for_good: bool = False) -> None:
        """Close the file. It opens again when it is asked, unless it was for good."""
        with self._lock:
            self._close()
            self._off = self._off or for_good

    def forked(self) -> None:
        """In a forked child: the connection is the parent's, and must be neither used nor closed here."""
        if self._connection is not None:
            _of_parents.append((self._path, self._connection))
        self._lock, self._connection, self._off = threading.Lock(), None, True

    def _wait_for_others(self, connection: sqlite3.Connection, seconds: float) -> None:
        if self._patience != seconds:
            connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
            self._patience = seconds

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None and any(path == self._path for path, _ in _of_parents):
            # SQLite believes that it has the parent's locks, and others would remove what it writes.
            raise ClosedError(f"{self._path} was open in the process that forked this one")
        if self._path is not None:
            with suppress(FileExistsError):
                os.mkdir(self._path.parent)  # a clone that nobody wrote to has none
        where = ":memory:" if self._path is None else os.fspath(self._path)
        connection = sqlite3.connect(where, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        self._patience = _PATIENCE
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._make(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make(self, connection: sqlite3.Connection) -> None:
        """Make the tables, if nobody did so yet."""
        version = _version(connection)
        if version not in (0, self._version):
            raise sqlite3.DatabaseError(f"it is of version {version}")
        if version == 0:
            with transaction(connection):
                if _version(connection) == 0:
                    for statement in self._schema.split(";"):
                        connection.execute(statement)

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _discard(self) -> None:
        """Remove the file, whatever it is."""
        with self._lock:
            self._close()
            self._remove()

    def _remove(self) -> None:
        for name in self._names:
            with suppress(OSError):
                os.unlink(name)

    def _files(self) -> list[tuple[int, int] | None]:
        """Return what tells the files that are there now from others of the same names."""
        found: list[tuple[int, int] | None] = []
        for name in self._names:
            try:
                status = os.stat(name)
            except OSError:
                found.append(None)
            else:
                found.append((status.st_dev, status.st_ino))
        return found


class Opened:
    """A database for those who cannot wait: it answers if it is open and free, and is not written.

    Args:
        whole: The database.
    """

    def __init__(self, whole: Database) -> None:
        self._whole = whole

    @property
    def may_be_written(self) -> bool:
        """See :attr:`Database.may_be_written`."""
        return False

    def ask(self, question: Callable[[sqlite3.Connection], T | None]) -> T:
        """Return the answer to a question.

        Raises:
            NotAtHandError: There is none, or none without waiting; :meth:`Database.ask` knows more.
        """
        try:
            with self._whole.opened() as connection:
                found = question(connection)
        except (sqlite3.Error, OSError, GitStateError) as error:
            raise NotAtHandError(str(error)) from error
        if found is None:
            raise NotAtHandError("the index does not know it")
        return found


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all that the block does, or nothing of it; one process at a time."""
    connection.execute("BEGIN IMMEDIATE")
    with _ended(connection):
        yield


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """Let all that the block asks be answered as of one moment, whatever others write meanwhile."""
    connection.execute("BEGIN")
    with _ended(connection):
        yield


@contextmanager
def attempt(connection: sqlite3.Connection) -> Iterator[None]:
    """Take back, within a transaction, what the block did, if it fails."""
    connection.execute("SAVEPOINT attempt")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK TO attempt")
        raise
    finally:
        connection.execute("RELEASE attempt")


@contextmanager
def _ended(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def key_of(text: str) -> bytes:
    """Return a text as SQLite can keep it: with its lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def text_of(key: bytes) -> str:
    """Return the text that such a key stands for."""
    return str(key, "utf-8", "surrogatepass")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _is_damage(error: Exception) -> bool:
    """Whether the file is to blame, and not that it is held, or cannot be had or written here."""
    return isinstance(error, sqlite3.DatabaseError) and _code(error) not in _NO_DAMAGE


def _code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB)
    return code & 0xFF
