"""A batch: commits on top of one another that are published together, each the work of one request."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from gitstate.engine import graph, trees
from gitstate.engine.base import Engine
from gitstate.engine.objects import Commit, GitObject, ObjectId
from gitstate.engine.staging import Staging
from gitstate.errors import GitStateError, StorageError
from gitstate.format.message import Message
from gitstate.store import sizes
from gitstate.store.content import Content
from gitstate.store.documents import Collection, Draft, Edit, Observer, Revision, Snapshot
from gitstate.store.reader import Reader
from gitstate.values.canonical import Value

__all__ = ["Batch", "Joined", "MergeEdit", "Onward", "RootEdit"]

RootEdit: TypeAlias = Callable[[Reader, ObjectId], tuple[ObjectId, list[GitObject], Message] | None]
"""A write of the whole store: from the root tree, and a reader that knows it, to the next root tree with its new
objects and the message; None: nothing to write."""


class Joined(NamedTuple):
    """What a merge makes of the whole store: its tree, the objects that are new in it, the message, and the tip of the
    history that is joined, which is in the repository.
    """

    tree: ObjectId
    objects: list[GitObject]
    message: Message
    tip: ObjectId


class Onward(NamedTuple):
    """A history that is another one's beginning, and is taken as it is: its tip, which is in the repository and has the
    commit that it follows in its history; and a line for the reflog.
    """

    tip: ObjectId
    note: str


MergeEdit: TypeAlias = Callable[[Reader, ObjectId], Joined | Onward | None]
"""A merge of another history: from the commit that it follows, and a reader that knows it, to what is joined; None:
nothing to write."""


class Batch:
    """Collects commits on top of ``head``; use it under the engine's lock. ``reader`` reads what is collected, too.

    A write that raises leaves the batch as it was. Those behind it see what those before it did. Each commit carries
    the trailers of ``stamp`` beside its own; its message is what ``redact`` makes of it. ``tops`` are the folders of
    documents that are known.
    """

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        head: ObjectId | None,
        stamp: Sequence[tuple[str, str]] = (),
        redact: Callable[[Message], Message] = lambda message: message,
        tops: Iterable[str] = (),
    ) -> None:
        self._engine = engine
        self._head = head
        self._tip = head
        self._staging = Staging(engine)
        self.reader = reader.over(self._staging)
        self._notes: list[str] = []
        self._observers: list[Observer] = []
        self._stamp = tuple(stamp)
        self._redact = redact
        self._tops = set(tops)

    def write(self, collection: Collection, document: str, edit: Edit) -> Revision | None:
        """Run a document's edit on what the writes before it made, and commit its draft."""
        tip, root = self._root()
        folder = self.reader.folder(root, collection, document)
        standing = trees.find(self._staging, root, folder)  # others' files may be there without a document
        tree = standing.id if standing is not None and standing.is_directory else None
        current = self.reader.snapshot_if(collection, document, tip, tree)
        draft = edit(current)
        if draft is None:
            return None
        value = draft.value.value if isinstance(draft.value, Content) else deepcopy(draft.value)
        edited = trees.edit(self._staging, tree, _changes(collection, current, draft, value))
        empty = edited.id == trees.EMPTY
        grafted = trees.graft(self._staging, root, folder, None if empty else edited.id)
        objects = grafted.objects if empty else edited.objects + grafted.objects
        self._tops.add(collection.name)
        attached = collection.layout.attached
        given = any(path.endswith(".json") or not attached(path) for path in draft.attachments)
        self._refuse_too_large((root, grafted.id), objects, document, given=given)
        revision = self.commit(grafted.id, objects, draft.message, document=document)
        if value is not None:
            snapshot = self.reader.snapshot_of(collection, document, revision.id, edited.id)
            if not any(map(collection.layout.owns, draft.attachments)):  # else its files may be others than ours
                content = Content.of(value, collection.layout, None if current is None else current.known())
                snapshot.contents.put(snapshot.key, content)
            if draft.observer is not None:
                self._observers.append(draft.observer)
                draft.observer.applied(snapshot.value_id, revision.id)
        return revision

    def write_root(self, edit: RootEdit, *, given: bool = False) -> Revision | None:
        """Commit what an edit makes of the whole store; ``given`` says that its files are a person's own."""
        _, root = self._root()
        drawn = edit(self.reader, root)
        if drawn is None:
            return None
        tree, objects, message = drawn
        self._refuse_too_large((root, tree), objects, given=given)
        return self.commit(tree, objects, message)

    def write_merge(self, edit: MergeEdit) -> Revision | None:
        """Commit what an edit makes of the whole store and of another history, as one that follows both; or go on from
        that one, if it is what comes after this.
        """
        tip, root = self._root()
        drawn = edit(self.reader, tip)
        if isinstance(drawn, Onward):
            self.advance(*drawn)
            return Revision.of(drawn.tip, graph.read(self._staging, drawn.tip))
        if drawn is None:
            return None
        self._refuse_too_large((root, drawn.tree), drawn.objects)
        return self.commit(drawn.tree, drawn.objects, drawn.message, drawn.tip)

    def commit(
        self,
        tree: ObjectId,
        objects: list[GitObject],
        message: Message,
        joined: ObjectId | None = None,
        *,
        document: str = "",
    ) -> Revision:
        """Add a commit with this root tree; ``objects`` are those that it has and its parents have not.

        A second parent is one that was ``joined``. ``document`` is what it is about, for an error.

        Raises:
            TooLargeError: Its message is longer than others take.
        """
        who = self._engine.signature()
        message = self._redact(message)
        if self._stamp:
            message = replace(message, trailers=(*message.trailers, *self._stamp))
        parents = tuple(parent for parent in (self._tip, joined) if parent is not None)
        commit = Commit(tree, parents, who, who, message.to_bytes())
        made = commit.to_object()
        sizes.refuse_message(made, document)
        self._staging.add([*objects, made])
        self._tip = made.id
        self._notes.append(message.subject)
        return Revision.of(made.id, commit, message)

    def _refuse_too_large(
        self,
        roots: tuple[ObjectId, ObjectId],
        objects: Sequence[GitObject],
        document: str = "",
        *,
        given: bool = False,
    ) -> None:
        """Raise TooLargeError where no other machine would take what is to be committed."""
        sizes.refuse_files(self._staging, roots, objects, sizes.owned(self._tops), document, given=given)

    def advance(self, commit_id: ObjectId, note: str) -> None:
        """Let the batch go on from a commit that follows its tip, and is in the repository; ``note`` says why."""
        self._tip = commit_id
        self._notes.append(note)

    @property
    def tip(self) -> ObjectId:
        """The commit that the next one follows."""
        return self.reader.head() if self._tip is None else self._tip

    @property
    def objects(self) -> Sequence[GitObject]:
        """What all commits have that was not there before."""
        return self._staging.objects

    def publish(self) -> None:
        """Make all commits durable and move the branch to the last one. Raises as :meth:`Engine.publish` does."""
        if self._tip is None or self._tip == self._head:
            return
        more = f" (and {len(self._notes) - 1} more)" if len(self._notes) > 1 else ""
        try:
            self._engine.publish(self._staging.objects, expected=self._head, new=self._tip, note=self._notes[-1] + more)
        except BaseException as error:
            # Only a sync failed if the branch moved: the caller who tries again must not count a change twice.
            self._settle(published=isinstance(error, StorageError) and self._is_at_tip())
            raise
        self._settle(published=True)

    def _settle(self, *, published: bool) -> None:
        for observer in self._observers if published else reversed(self._observers):
            if published:
                observer.published()
            else:
                observer.withdrawn()

    def _is_at_tip(self) -> bool:
        with suppress(GitStateError):
            return self._engine.head() == self._tip
        return False

    def _root(self) -> tuple[ObjectId, ObjectId]:
        """Return the commit that the next one follows, and its tree."""
        tip = self.tip
        return tip, graph.root(self._staging, tip)


def _changes(
    collection: Collection, current: Snapshot | None, draft: Draft, value: dict[str, Value] | None
) -> dict[str, bytes | None]:
    """Return the files to write and to remove so that a document becomes what the draft says."""
    layout = collection.layout
    changes = dict(draft.attachments)
    if draft.delete:
        there = {} if current is None else current.files()
        return changes | {path: None for path in there if layout.owns(path) or layout.attached(path)}
    if value is None:
        return changes
    known = None if current is None else current.known()
    if known is not None:
        return changes | layout.changes(value, known.value)
    there = {} if current is None else current.files()
    files = layout.split(value)
    return changes | {path: None for path in there if layout.owns(path) and path not in files} | files
