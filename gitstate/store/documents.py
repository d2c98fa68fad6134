"""What goes into a store and comes out: collections, snapshots, drafts and revisions."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import TypeAlias

from gitstate.engine import trees
from gitstate.engine.base import Engine
from gitstate.engine.objects import FILE, Commit, ObjectId, TreeEntry
from gitstate.errors import CorruptionError, StateCorruptionError
from gitstate.format import names
from gitstate.format.layout import Layout
from gitstate.format.message import Message
from gitstate.values import canonical, pointer
from gitstate.values.canonical import Value

__all__ = ["Collection", "Draft", "Edit", "Revision", "Snapshot", "TextCache"]

_EXECUTABLE = 0o100755  # a file that somebody made executable is still a file
_LAST_SECOND = 253402300799  # of the year 9999; git knows later ones


@dataclass(frozen=True)
class Collection:
    """A top folder of documents of one kind.

    ``layout`` says how a value becomes files, ``id_field`` in which field of the value a document's id stands, and
    ``trailer`` which trailer names the document that a commit is about.
    """

    name: str
    layout: Layout
    id_field: str
    trailer: str


class TextCache:
    """The JSON text of values that were read or written lately; bounded, and safe to use from any thread."""

    def __init__(self, limit: int = 64 * 2**20) -> None:
        self._limit = limit  # bytes
        self._size = 0
        self._texts: OrderedDict[tuple[str, str, ObjectId], bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, collection: str, document: str, tree: ObjectId) -> bytes | None:
        """Return the text kept for a document whose own tree is ``tree``, or None."""
        key = collection, document, tree
        with self._lock:
            text = self._texts.get(key)
            if text is not None:
                self._texts.move_to_end(key)
            return text

    def put(self, collection: str, document: str, tree: ObjectId, text: bytes) -> None:
        """Keep a text, and let those go that were not asked for the longest."""
        key = collection, document, tree
        with self._lock:
            self._size += len(text) - len(self._texts.pop(key, b""))
            self._texts[key] = text
            while self._size > self._limit:
                self._size -= len(self._texts.popitem(last=False)[1])


def to_text(value: Value) -> bytes:
    """Return a value as JSON text in ASCII, the form in which texts are cached."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


@dataclass(frozen=True)
class Snapshot:
    """The stored tree of a document at one moment. Its files are read when they are asked for.

    ``revision`` is the commit it was read at (the document itself may be older), ``tree`` the id of the document's own
    tree: two snapshots with equal trees are equal.
    """

    collection: Collection
    document: str
    revision: ObjectId
    tree: ObjectId
    engine: Engine = field(repr=False, compare=False)
    texts: TextCache = field(repr=False, compare=False)

    def text(self) -> bytes:
        """Return the value as JSON text in ASCII, ready for a parser.

        Raises:
            StateCorruptionError: A file is missing, damaged or of the wrong shape; the message names it, the document
                and the revision.
        """
        text = self.texts.get(self.collection.name, self.document, self.tree)
        if text is None:
            try:
                text = to_text(self._join())
            except (CorruptionError, RecursionError) as error:
                raise self.corrupt(getattr(error, "message", "it is nested too deeply")) from error
            self.texts.put(self.collection.name, self.document, self.tree, text)
        return text

    def value(self) -> dict[str, Value]:
        """Return the value, the caller's own. Raises as :meth:`text` does."""
        value: dict[str, Value] = json.loads(self.text())
        return value

    def unfit(self, error: CorruptionError) -> StateCorruptionError:
        """Return the error that says that the value is not what its reader asks for; it names the file."""
        path = self.collection.layout.path_of(pointer.parse(error.pointer))
        return self.corrupt(f"{path}: {error.message}")

    def corrupt(self, reason: str) -> StateCorruptionError:
        """Return the error that says that this snapshot cannot be used."""
        return StateCorruptionError(
            f"{self.document!r} in {self.collection.name}/ cannot be read at revision {self.revision[:12]}: {reason}",
            hint=f"load an earlier revision; `git log -- {self.collection.name}/{names.encode(self.document)}` "
            "lists them",
        )

    def files(self) -> dict[str, TreeEntry]:
        """Return every file in the document's folder by its path in there, also those that are not ours."""
        return dict(trees.files(self.engine, self.tree))

    def read(self, path: str) -> bytes | None:
        """Return the bytes of one file in the document's folder, or None.

        Raises:
            CorruptionError: The bytes are missing or damaged.
        """
        entry = trees.find(self.engine, self.tree, path)
        return None if entry is None or entry.is_directory else self.engine.read(entry.id, "blob")

    def _join(self) -> Value:
        layout = self.collection.layout
        contents: dict[str, bytes] = {}
        for path, entry in self.files().items():
            if layout.owns(path):
                if entry.mode not in (FILE, _EXECUTABLE):
                    raise CorruptionError(f"{path} is a link and not a file")
                try:
                    contents[path] = self.engine.read(entry.id, "blob")
                except CorruptionError as error:
                    raise CorruptionError(f"{path}: {error.message}") from error
        value = layout.join(contents)
        own = value.get(self.collection.id_field) if isinstance(value, dict) else None
        if own is not None and not canonical.equal(own, self.document):
            raise CorruptionError(f"{layout.root} says that it belongs to {own!r}")
        return value


@dataclass(frozen=True)
class Draft:
    """What a write makes of a document: its next ``value`` (None: as it is), other files, and the message.

    ``attachments`` are files beside the value, to write (bytes) or remove (None), by their path in the document's
    folder. ``delete`` removes the value and all attachments; files that are not ours stay. ``published`` is called when
    the branch has moved, before the next write begins, also when the caller went away; it must not raise.
    """

    message: Message
    value: Value = None
    attachments: Mapping[str, bytes | None] = field(default_factory=dict)
    delete: bool = False
    published: Callable[[], None] = lambda: None


Edit: TypeAlias = Callable[[Snapshot | None], Draft | None]
"""A write: from the document as it is now (None: there is none) to what it becomes (None: nothing to write)."""


@dataclass(frozen=True)
class Revision:
    """A commit in the history of a document: its id and parents, who, when, why."""

    id: ObjectId
    parents: tuple[ObjectId, ...]
    author: str
    email: str
    time: datetime
    message: Message

    @classmethod
    def of(cls, commit_id: ObjectId, commit: Commit) -> "Revision":
        """Return what a commit says; its time is the committer's, in UTC, or the last one that Python knows."""
        time = datetime.fromtimestamp(min(commit.committer.time, _LAST_SECOND), UTC)
        message = Message.parse(commit.message)
        return cls(commit_id, commit.parents, commit.author.name, commit.author.email, time, message)
