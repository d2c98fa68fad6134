"""What commits did, as rows of the tables of an index."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gitstate.engine.base import Step
from gitstate.engine.objects import ObjectId, name_bytes
from gitstate.format import names
from gitstate.format.message import Message
from gitstate.store.documents import Collection
from gitstate.store.index import line
from gitstate.store.index.database import key_of
from gitstate.store.index.line import Touch
from gitstate.store.reader import Reader

__all__ = ["ALWAYS", "SCHEMA", "TABLES", "Rows", "append", "told"]

SCHEMA = """
CREATE TABLE head (id TEXT, is_far INTEGER NOT NULL);
CREATE TABLE revisions (
seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL, on_line INTEGER NOT NULL, neck INTEGER NOT NULL);
CREATE TABLE touched (
document BLOB NOT NULL, seq INTEGER NOT NULL, tree BLOB, PRIMARY KEY (document, seq)) WITHOUT ROWID;
CREATE INDEX removals ON touched (document, seq) WHERE tree IS NULL;
CREATE TABLE latest (document BLOB PRIMARY KEY, seq INTEGER NOT NULL, gone INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE told (
document BLOB NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, place INTEGER NOT NULL, value BLOB NOT NULL,
PRIMARY KEY (document, key, seq, place)) WITHOUT ROWID;
CREATE TABLE attached (
document BLOB NOT NULL, seq INTEGER NOT NULL, path BLOB NOT NULL, id BLOB NOT NULL,
PRIMARY KEY (document, seq, path)) WITHOUT ROWID;
CREATE TABLE merges (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE tangled (document BLOB PRIMARY KEY, seq INTEGER NOT NULL, gone INTEGER NOT NULL) WITHOUT ROWID"""
"""Commits are numbered in the order of a walk, the oldest first. ``on_line`` are those on the line of first parents,
``neck`` those whose history is all that comes before them, so that a walk from there goes through these rows. ``tree``
is the document's own tree after the commit, NULL where it is gone, and ``attached`` are files beside its value that the
commit made what they are.
``latest`` is the commit on the line with which a document became another one, and ``tangled`` are documents that were
touched beside the line, or by a merge, with the number of the last merge that brought that in, and whether one removed
it because another side did not have it.
"""

TABLES = ("revisions", "touched", "latest", "told", "attached", "merges", "tangled")
ALWAYS = 2**62  # the number at which a document is tangled of which its name does not tell which one it is
_AT_ONCE = 2000  # revisions that are inserted at once

_Told = tuple[bytes, bytes, int, int, bytes]


@dataclass
class Rows:
    """What is new, as rows of the tables."""

    revisions: list[tuple[int, str, bytes, bool, bool]] = field(default_factory=list)
    touched: list[tuple[bytes, int, bytes | None]] = field(default_factory=list)
    latest: list[tuple[bytes, int, bool]] = field(default_factory=list)
    told: list[_Told] = field(default_factory=list)
    attached: list[tuple[bytes, int, bytes, bytes]] = field(default_factory=list)
    merges: list[tuple[str]] = field(default_factory=list)
    tangled: list[tuple[bytes, int, bool]] = field(default_factory=list)

    def insert(self, connection: sqlite3.Connection) -> None:
        """Insert them."""
        connection.executemany("INSERT INTO revisions VALUES (?, ?, ?, ?, ?)", self.revisions)
        connection.executemany("INSERT INTO touched VALUES (?, ?, ?)", self.touched)
        connection.executemany("INSERT OR REPLACE INTO latest VALUES (?, ?, ?)", self.latest)
        connection.executemany("INSERT INTO told VALUES (?, ?, ?, ?, ?)", self.told)
        connection.executemany("INSERT INTO attached VALUES (?, ?, ?, ?)", self.attached)
        connection.executemany("INSERT OR IGNORE INTO merges VALUES (?)", self.merges)
        connection.executemany(
            "INSERT INTO tangled VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq), gone = max(gone, excluded.gone)",
            self.tangled,
        )

    def add(self, collection: Collection, seq: int, step: Step, touches: Iterable[Touch]) -> None:
        """Add what a commit did to documents."""
        touches = list(touches)
        self.touched += [(key_of(touch.document), seq, _tree_key(touch.tree)) for touch in touches]
        self.told += told(collection, seq, step, touches)
        self.attached += [
            (key_of(touch.document), seq, name_bytes(path), bytes.fromhex(blob))
            for touch in touches
            for path, blob in touch.attached.items()
        ]
        # A folder whose name was cut, and whose file tells no id, comes by that name; who asks knows whose it is.
        self.tangled += [(key_of(touch.document), ALWAYS, False) for touch in touches if names.is_cut(touch.document)]

    def follow(self, seq: int, touches: Iterable[Touch]) -> None:
        """Add what a commit on the line made of documents."""
        self.latest += [(key_of(touch.document), seq, touch.removed) for touch in touches if touch.changed]


def append(connection: sqlite3.Connection, reader: Reader, collection: Collection, steps: list[Step]) -> None:
    """Insert commits, none of them a merge, that follow the last one that is there, newest first."""
    seq: int = connection.execute("SELECT coalesce(max(seq), 0) FROM revisions").fetchone()[0]
    new = Rows()
    for step, touches in line.followed(reader, collection, reversed(steps)):
        seq += 1
        if len(new.revisions) == _AT_ONCE:
            new.insert(connection)
            new = Rows()
        new.revisions.append((seq, step.id, step.body, True, True))
        new.add(collection, seq, step, touches)
        new.follow(seq, touches)
    new.insert(connection)


def _tree_key(tree: ObjectId | None) -> bytes | None:
    return None if tree is None else bytes.fromhex(tree)


def told(collection: Collection, seq: int, step: Step, touches: list[Touch]) -> Iterator[_Told]:
    """Yield the trailers of a commit, if the document that they are of is one that it touched."""
    if not touches:
        return
    said = Message.parse(step.commit.message)
    document = said.get(collection.trailer)
    if document is not None and any(touch.document == document for touch in touches):
        places: dict[str, int] = {}
        for key, value in dict.fromkeys(said.trailers):
            place = places[key] = places.get(key, -1) + 1
            yield key_of(document), key_of(key), seq, place, key_of(value)
