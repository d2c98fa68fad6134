"""What goes into a store and comes out: collections, snapshots, drafts and revisions."""

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal, Protocol, TypeAlias

from gitstate import clock
from gitstate.engine import trees
from gitstate.engine.base import Source
from gitstate.engine.objects import Commit, ObjectId, TreeEntry
from gitstate.errors import CorruptionError, StateCorruptionError
from gitstate.format import names
from gitstate.format.layout import Layout
from gitstate.format.message import Message
from gitstate.store.content import Content, ContentCache, Key
from gitstate.store.selection import Summary
from gitstate.values import canonical, pointer
from gitstate.values.canonical import Value
from gitstate.values.merge import NO_RULES, Rules, Side, Slot

__all__ = ["Collection", "Draft", "Edit", "Joining", "Observer", "Revision", "Snapshot", "WentBack"]


WentBack: TypeAlias = Literal["", "part", "whole"]


@dataclass(frozen=True)
class Joining:
    """How two histories of a document become one, where the rules of its collection do not tell.

    Args:
        time_field: In which field of a value stands when it was saved; where a place is in conflict, the side wins that
            was saved later.
        went_back: Tells of a message whether somebody brought an older state back with that commit, "whole" or a
            "part" of it; "" if nobody did.
        rewind_rules: The rules where somebody did, on either side; None: those of the collection. Where it was a whole
            state, and anything is in conflict, the side that came last stands whole: half of a state that somebody
            went back to is nothing that anybody meant.
        repaired: Makes right what follows from both sides together, which neither could know: it is given the merged
            value and those of the two sides, and returns a value. It must not look at a clock.
        latest: Says of the path of a file beside the value which of two values it belongs with; None: with the later.
    """

    time_field: str = ""
    went_back: "Callable[[Message], WentBack]" = lambda _: ""
    rewind_rules: Rules | None = None
    repaired: Callable[[dict[str, Value], Slot, Slot], dict[str, Value]] = lambda value, *_: value
    latest: Callable[[str, Slot, Slot], Side | None] = lambda *_: None


@dataclass(frozen=True)
class Collection:
    """A top folder of documents of one kind.

    ``layout`` says how a value becomes files, ``id_field`` in which field of the value a document's id stands, and
    ``trailer`` which trailer names the document that a commit is about. ``summarize`` makes the summary of a snapshot;
    it is given the message of the commit that changed the document last, if that is known and says that it is about it.
    ``rules`` say how two changes of a value are merged, ``joining`` what they do not; ``check`` raises CorruptionError
    for a value that is none.
    """

    name: str
    layout: Layout
    id_field: str
    trailer: str
    summarize: "Callable[[Snapshot, Message | None], Summary] | None" = None
    rules: Rules = field(default_factory=lambda: NO_RULES, compare=False)
    check: "Callable[[dict[str, Value]], object]" = field(default=lambda _: None, compare=False)
    joining: Joining = field(default=Joining(), compare=False)

    def folder(self, document: str, fanout: int) -> str:
        """Return the path of a document's folder in a tree where documents lie under so many levels of folders."""
        return "/".join(part for part in (self.name, names.fan(document, fanout), names.encode(document)) if part)


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
    source: Source = field(repr=False, compare=False)
    contents: ContentCache = field(repr=False, compare=False)

    @cached_property
    def value_id(self) -> str:
        """Tells values apart: snapshots of one document with equal ids hold equal values, whatever is attached."""
        entries = trees.read(self.source, self.tree)
        found = (entries.get(name) for name in self.collection.layout.top_names)
        return " ".join("-" if entry is None else f"{entry.mode:o}:{entry.id}" for entry in found)

    def over(self, source: Source) -> "Snapshot":
        """Return the same snapshot, read from elsewhere."""
        found = object.__new__(Snapshot)
        found.__dict__.update(self.__dict__, source=source)  # also what was found out, which is the same everywhere
        return found

    @property
    def key(self) -> Key:
        """Where its content is kept."""
        return self.collection.name, self.document, self.value_id

    def known(self) -> Content | None:
        """Return what the document holds if that is at hand, without reading a file."""
        return self.contents.get(self.key)

    def content(self, *, as_text: bool = False) -> Content:
        """Return what the document holds; ``as_text`` says that its text will be asked for, and not its value.

        Raises:
            StateCorruptionError: A file is missing, damaged or of the wrong shape; the message names it, the document
                and the revision.
        """
        try:
            content = self.known()
            if content is None:
                content = self._as_text() if as_text else Content(value=self._join(self._read()))
                self.contents.put(self.key, content)
        except (CorruptionError, RecursionError) as error:
            raise self.corrupt(getattr(error, "message", "it is nested too deeply")) from error
        return content

    def _as_text(self) -> Content:
        files = self._read()
        texts = self.collection.layout.texts(files)
        each = [] if texts is None else [entries for _, entries in texts.entries.values()]
        if texts is not None and not self._is_others(texts.root) and self.contents.are_exact(self.key, each):
            return Content.spliced(texts)
        return Content(value=self._join(files))  # or that says what is wrong

    def part(self, paths: Container[str], loads: Callable[[bytes], Value] = canonical.loads) -> dict[str, Value]:
        """Return the value without the entries whose files have other paths; no other file is read.

        ``loads`` is that of :meth:`Layout.join`. Raises as :meth:`content` does.
        """
        try:
            return self._join(self._read(paths), paths, loads)
        except (CorruptionError, RecursionError) as error:
            raise self.corrupt(getattr(error, "message", "it is nested too deeply")) from error

    def parsed(self, loads: Callable[[bytes], Value]) -> dict[str, Value]:
        """Return the value, which belongs to all who know it; it is not kept, for it is one of many.

        ``loads`` is that of :meth:`Layout.join`. Raises as :meth:`content` does.
        """
        known = self.known()
        if known is not None:
            return known.value
        try:
            return self._join(self._read(), None, loads)
        except (CorruptionError, RecursionError) as error:
            raise self.corrupt(getattr(error, "message", "it is nested too deeply")) from error

    def text(self) -> bytes:
        """Return the value as JSON text in UTF-8, ready for a parser. Raises as :meth:`content` does."""
        return self.content(as_text=True).text

    def value(self) -> dict[str, Value]:
        """Return the value, the caller's own. Raises as :meth:`content` does."""
        value: dict[str, Value] = json.loads(self.content().text)
        return value

    def unfit(self, error: CorruptionError) -> StateCorruptionError:
        """Return the error that says that the value is not what its reader asks for; it names the file."""
        path = self.collection.layout.path_of(pointer.parse(error.pointer))
        return self.corrupt(f"{path}: {error.message}", error.pointer)

    def corrupt(self, reason: str, pointer: str = "") -> StateCorruptionError:
        """Return the error that says that this snapshot cannot be used."""
        anywhere = f":(glob){self.collection.name}/**/{names.encode(self.document)}/**"  # with whatever fanout
        return StateCorruptionError(
            f"{self.document!r} in {self.collection.name}/ cannot be read at revision {self.revision[:12]}: {reason}",
            pointer=pointer,
            hint=f"load an earlier revision, or `gitstate rollback` to it; `git log -- '{anywhere}'` lists them",
            reason=reason,
        )

    def files(self) -> dict[str, TreeEntry]:
        """Return every file in the document's folder by its path in there, also those that are not ours."""
        return dict(trees.files(self.source, self.tree))

    def read(self, path: str) -> bytes | None:
        """Return the bytes of one file in the document's folder, or None.

        Raises:
            CorruptionError: The bytes are missing or damaged.
        """
        entry = trees.find(self.source, self.tree, path)
        return None if entry is None or entry.is_directory else self.source.read(entry.id, "blob")

    def files_in(self, folder: str, names: Sequence[str]) -> list[TreeEntry | None]:
        """Return some files in one of the document's folders, None for each that is not there."""
        entry = trees.find(self.source, self.tree, folder)
        if entry is None or not entry.is_directory:
            return [None] * len(names)
        found = map(trees.read(self.source, entry.id).get, names)
        return [None if each is None or each.is_directory else each for each in found]

    @cached_property
    def entries(self) -> Sequence[tuple[str, TreeEntry]]:
        """What lies where the files of the value do, without a look into other folders."""
        found: list[tuple[str, TreeEntry]] = []
        for name, entry in trees.read(self.source, self.tree).items():
            if name not in self.collection.layout.top_names:
                continue
            if entry.is_directory:
                found += trees.files(self.source, entry.id, f"{name}/")
            else:
                found.append((name, entry))
        return found

    @cached_property
    def value_files(self) -> Mapping[str, ObjectId]:
        """The files of the value by path. Raises CorruptionError: one is none, and the message names it."""
        layout, found = self.collection.layout, dict[str, ObjectId]()
        for name, entry in trees.read(self.source, self.tree).items():
            if name not in layout.top_names:
                continue
            plain = trees.read(self.source, entry.id).files() if entry.is_directory else None
            if plain is None and not entry.is_file:
                return self._wanted(layout.owns)
            each = {name: entry.id} if plain is None else {f"{name}/{inner}": plain[inner] for inner in plain}
            found |= {path: each[path] for path in each if layout.owns(path)}
        return found

    def _wanted(self, which: Callable[[str], bool]) -> dict[str, ObjectId]:
        """Return some files by path. Raises CorruptionError: one is none, and the message names it."""
        wanted: dict[str, ObjectId] = {}
        for path, entry in self.entries:
            if which(path):
                if not entry.is_file:
                    raise CorruptionError(f"{path} is a link or a submodule, and no file")
                wanted[path] = entry.id
        return wanted

    def _read(self, only: Container[str] | None = None) -> dict[str, bytes]:
        """Return the files of the value by path, or those with some paths and the root file."""
        layout = self.collection.layout
        if only is None:
            wanted = self.value_files
        else:
            wanted = self._wanted(lambda path: path == layout.root or (layout.owns(path) and path in only))
        try:
            return dict(zip(wanted, self.source.read_all([*wanted.values()], "blob"), strict=True))
        except CorruptionError:
            return {path: self._blob(path, object_id) for path, object_id in wanted.items()}

    def _blob(self, path: str, object_id: ObjectId) -> bytes:
        try:
            return self.source.read(object_id, "blob")
        except CorruptionError as error:
            raise CorruptionError(f"{path}: {error.message}") from error

    def _join(
        self,
        files: Mapping[str, bytes],
        only: Container[str] | None = None,
        loads: Callable[[bytes], Value] = canonical.loads,
    ) -> dict[str, Value]:
        layout = self.collection.layout
        value = layout.join(files, only, loads)
        if self._is_others(value):
            raise CorruptionError(f"{layout.root} says that it belongs to {value[self.collection.id_field]!r}")
        return value

    def _is_others(self, value: Mapping[str, Value]) -> bool:
        """Whether a value says that it is another document's."""
        own = value.get(self.collection.id_field)
        return own is not None and not canonical.equal(own, self.document)


class Observer(Protocol):
    """Learns what becomes of a draft, in the writer's thread and in the order of the writes. No method may raise."""

    def applied(self, value_id: str, revision: ObjectId) -> None:
        """The draft is in the next batch; the writes behind it see it. ``value_id`` is that of the new snapshot."""

    def withdrawn(self) -> None:
        """The batch did not come to be; the draft may be made again."""

    def published(self) -> None:
        """The branch has moved: the draft is there to stay, also when its caller went away."""


@dataclass(frozen=True)
class Draft:
    """What a write makes of a document: its next ``value`` (None: as it is), other files, and the message.

    A plain value is copied; a content is taken as it is, and what it shares with the current one counts as unchanged.
    ``attachments`` are files beside the value, to write (bytes) or remove (None), by their path in the document's
    folder. ``delete`` removes the value and all attachments that belong to the document; files that are not ours stay.
    """

    message: Message
    value: dict[str, Value] | Content | None = None
    attachments: Mapping[str, bytes | None] = field(default_factory=dict)
    delete: bool = False
    observer: Observer | None = None


Edit: TypeAlias = Callable[[Snapshot | None], Draft | None]
"""A write: from the document as it is now (None: there is none) to what it becomes (None: nothing to write)."""


@dataclass(frozen=True)
class Revision:
    """A commit in the history of a document: its id and parents, who, when, why.

    ``removed`` says whether the document is not there after it, None where nobody looked. ``tree`` is the document's
    own tree after it, where that is known, which :meth:`Store.after` reads; ``attached`` are files beside its value
    that this commit made what they are, by path, those of them that are known.
    """

    id: ObjectId
    parents: tuple[ObjectId, ...]
    author: str
    email: str
    time: datetime
    message: Message
    removed: bool | None = None
    tree: ObjectId | None = field(default=None, compare=False)
    attached: Mapping[str, ObjectId] | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        commit_id: ObjectId,
        commit: Commit,
        message: Message | None = None,
        *,
        removed: bool | None = None,
        tree: ObjectId | None = None,
        attached: Mapping[str, ObjectId] | None = None,
    ) -> "Revision":
        """Return what a commit says; its time is the committer's, in UTC, or the nearest one that Python knows."""
        time = clock.moment(commit.committer.time)
        message = message or Message.parse(commit.message)
        who = commit.author
        return cls(commit_id, commit.parents, who.name, who.email, time, message, removed, tree, attached)
