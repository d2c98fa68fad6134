"""A history that is no line, brought into the order in which a walk comes by its commits.

A merge lets the commits of its sides come among one another, by time. So those that are known already are numbered
anew, down to the first one at which nothing else waits: below that nothing changes.
"""

import sqlite3
from collections.abc import Collection as Container
from dataclasses import dataclass, field

from gitstate.engine import graph
from gitstate.engine.ancestry import Ancestry, Sketch
from gitstate.engine.base import Step
from gitstate.engine.beyond import beyond, is_in_history
from gitstate.engine.objects import ObjectId
from gitstate.errors import CorruptionError
from gitstate.store.documents import Collection
from gitstate.store.index import line
from gitstate.store.index.database import key_of
from gitstate.store.index.line import TooFar
from gitstate.store.index.rows import ALWAYS, Rows
from gitstate.store.reader import Reader

__all__ = ["follows", "weave"]

_STANDING = "SELECT seq, neck FROM revisions WHERE id = ?"
_ATTACHED = "SELECT * FROM attached WHERE document = ? AND seq > ?"
_TOLD = "SELECT document, key, seq, place, value FROM told WHERE document = ? AND seq > ?"


def follows(reader: Reader, head: ObjectId, known: ObjectId | None) -> bool:
    """Whether a head has a known commit in its history; else history was rewritten."""
    try:
        return known is not None and is_in_history(reader.engine, known, head)
    except CorruptionError:
        return False  # it is gone


def weave(
    connection: sqlite3.Connection,
    reader: Reader,
    collection: Collection,
    head: ObjectId,
    known: ObjectId | None,
    steps: list[Step] | None,
    at_most: int,
) -> None:
    """Insert what is new at a head.

    Args:
        connection: To the tables, in a transaction.
        reader: Where the commits are.
        collection: Whose documents it knows.
        head: The head.
        known: The commit up to which all is known, which the head follows; None: nothing is.
        steps: The line from the head to that, newest first; None: it does not come by that one.
        at_most: How many commits may be new.

    Raises:
        TooFar: More are new.
        CorruptionError: A commit or tree is missing or damaged.
        sqlite3.Error: The tables are not as they were left.
    """
    engine = reader.engine
    new: Container[ObjectId] | None = None if known is None else set(beyond(engine, head, [known]))
    if new is not None and len(new) > at_most:
        raise TooFar

    def ends(commit_id: ObjectId) -> bool:
        return new is not None and commit_id not in new

    first = line.chain(engine, head, known, ends, at_most) if steps is None else steps
    lines = [first, *line.sides(engine, first, ends, at_most)]
    stretch = _Stretch.of(connection, reader, head, {step.id: step for part in lines for step in part})
    stretch.take_out(connection)
    stretch.put_in(connection, reader, collection, lines)


@dataclass
class _Stretch:
    """The commits whose numbers change, newest first: all above ``floor``."""

    head: ObjectId
    floor: int
    numbers: dict[ObjectId, int]
    necks: set[ObjectId]
    on_line: set[ObjectId]
    known: dict[int, int] = field(default_factory=dict)  # the numbers of those that are there, before and after
    left_line: set[int] = field(default_factory=set)  # those of them that are on the line no more, by their new numbers
    rows: Rows = field(default_factory=Rows)

    @classmethod
    def of(
        cls, connection: sqlite3.Connection, reader: Reader, head: ObjectId, new: dict[ObjectId, Step]
    ) -> "_Stretch":
        ancestry, missing, floor = Ancestry(reader.engine, head), len(new), 0
        parents: dict[ObjectId, ObjectId | None] = {}
        places: dict[ObjectId, int] = {}
        necks: list[ObjectId] = []
        lowest = ALWAYS  # of the numbers that those had that come before

        def get(commit_id: ObjectId) -> Sketch:
            step = new.get(commit_id)
            if step is None:
                return ancestry.get(commit_id)
            return Sketch(step.commit.tree, step.commit.parents, step.commit.committer.time, b"")

        for commit_id, sketch, is_last in graph.order(get, head):
            standing = None if commit_id in new else connection.execute(_STANDING, (commit_id,)).fetchone()
            if is_last and not missing and standing is not None and standing[1] and standing[0] < lowest:
                floor = standing[0]
                break
            lowest = lowest if standing is None else min(lowest, standing[0])
            missing -= commit_id in new
            # Where clocks were wrong some of its history may have come before it; then it is no neck, nor are those
            # between.
            early = min((places[parent] for parent in sketch.parents if parent in places), default=len(places))
            while necks and places[necks[-1]] > early:
                necks.pop()
            if is_last and early == len(places):
                necks.append(commit_id)
            places[commit_id] = len(places)
            parents[commit_id] = next(iter(sketch.parents), None)
        numbers = {commit_id: floor + number for number, commit_id in enumerate(reversed(parents), 1)}
        on_line: set[ObjectId] = set()
        commit_id_or_none: ObjectId | None = head
        while commit_id_or_none in parents:
            on_line.add(commit_id_or_none)
            commit_id_or_none = parents[commit_id_or_none]
        return cls(head, floor, numbers, set(necks), on_line)

    def take_out(self, connection: sqlite3.Connection) -> None:
        """Take what is known of these commits out of the tables, with their new numbers."""
        above = (self.floor,)
        for seq, commit_id, body, was_on_line in connection.execute(
            "SELECT seq, id, body, on_line FROM revisions WHERE seq > ?", above
        ):
            if commit_id not in self.numbers:
                raise sqlite3.DatabaseError("a commit is known that is not in the history")
            number = self.known[seq] = self.numbers[commit_id]
            if was_on_line and commit_id not in self.on_line:
                self.left_line.add(number)
            self.rows.revisions.append(self._row(commit_id, body))
        if not self.known:
            return
        touched = connection.execute("SELECT document, seq, tree FROM touched WHERE seq > ?", above).fetchall()
        documents = list(dict.fromkeys(row[0] for row in touched))
        for document in documents:
            rows = connection.execute(_TOLD, (document, self.floor))
            self.rows.told += [(key, name, self.known[seq], place, value) for key, name, seq, place, value in rows]
            files = connection.execute(_ATTACHED, (document, self.floor))
            self.rows.attached += [(key, self.known[seq], path, blob) for key, seq, path, blob in files]
        self.rows.touched += [(document, self.known[seq], tree) for document, seq, tree in touched]
        self.rows.latest += [
            (document, self.known[seq], gone)
            for document, seq, gone in connection.execute("SELECT document, seq, gone FROM latest WHERE seq > ?", above)
        ]
        tangled = connection.execute("SELECT * FROM tangled WHERE seq > ? AND seq < ?", (*above, ALWAYS))
        self.rows.tangled += [(document, self.known[seq], gone) for document, seq, gone in tangled]
        for table in ("touched", "told", "attached"):
            connection.executemany(
                f"DELETE FROM {table} WHERE document = ? AND seq > ?",  # noqa: S608  # one of these
                [(document, self.floor) for document in documents],
            )
        connection.execute("DELETE FROM revisions WHERE seq > ?", above)
        connection.execute("DELETE FROM tangled WHERE seq > ? AND seq < ?", (*above, ALWAYS))

    def put_in(
        self, connection: sqlite3.Connection, reader: Reader, collection: Collection, lines: list[list[Step]]
    ) -> None:
        """Put them in again, with what is new."""
        rows, last = self.rows, self.numbers[self.head]
        beside = {document: False for document, seq, _ in rows.touched if seq in self.left_line}
        for part in lines:
            for step, touches in line.followed(reader, collection, reversed(part)):
                seq = self.numbers[step.id]
                rows.revisions.append(self._row(step.id, step.body))
                if step.id in self.on_line:
                    rows.follow(seq, touches)
                if len(step.commit.parents) > 1:
                    rows.merges.append((step.id,))
                    taken, touches = touches, line.own(reader, collection, step.commit, touches)
                    beside |= {key_of(each.document): each.removed for each in taken if each not in touches}
                    beside |= {key_of(document): True for document in line.lost(reader, collection, step.commit)}
                if step.id not in self.on_line:
                    beside = {key_of(touch.document): False for touch in touches} | beside
                rows.add(collection, seq, step, touches)
        rows.tangled += [(document, last, gone) for document, gone in beside.items()]
        rows.insert(connection)

    def _row(self, commit_id: ObjectId, body: bytes) -> tuple[int, str, bytes, bool, bool]:
        return self.numbers[commit_id], commit_id, body, commit_id in self.on_line, commit_id in self.necks
