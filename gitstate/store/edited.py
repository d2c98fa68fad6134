"""What people edited in the worktree, document by document; how it becomes a commit, or is put aside."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from shutil import rmtree

from gitstate.engine import files, graph, trees
from gitstate.engine.objects import GitObject, ObjectId, TreeEntry, name_bytes
from gitstate.errors import ConflictError, CorruptionError, GitStateError, InvalidInputError, ReadOnlyError
from gitstate.format import message, names
from gitstate.format.message import Event, Message
from gitstate.format.version import FormatVersion
from gitstate.store.batch import RootEdit
from gitstate.store.documents import Collection
from gitstate.store.edits import Edit
from gitstate.store.reader import FORMAT_FILE, Reader
from gitstate.store.worktree import Worktree, is_one_of
from gitstate.values import canonical

__all__ = ["DocumentEdits", "FolderState", "files_edit", "look", "put_aside", "refuse_odd", "taken"]

_KEPT = 20  # so many times of discarding are kept
_FAR = 10_000  # commits that are looked at for the one that the view shows
_LISTED = 3  # so many paths are named in a subject


@dataclass(frozen=True)
class DocumentEdits:
    """What was edited in the folder of a document: its id, the folder's path below the worktree, and the files.

    ``bases`` says by the path of each edit what the file held when that began; None: it was not there.
    """

    document: str
    folder: str
    edits: tuple[Edit, ...]
    bases: Mapping[str, bytes | None] = field(default_factory=dict, repr=False)

    def inner(self, edit: Edit) -> str:
        """Return the path of a file in the document's folder."""
        return edit.path[len(self.folder) + 1 :]


@dataclass(frozen=True)
class FolderState:
    """How the folder of a store stands beside the head.

    Args:
        path: The folder; None: the store shows none.
        behind: By how many revisions the view lags behind the head; None: it shows something else, or nobody knows.
        pending: Why it could not be brought to the head, or be looked at; empty if it could.
        documents: The documents that were edited.
        files: Edited files that belong to no document.
        others: Files that git does not know and that are not ours; of a whole folder with a slash.
    """

    path: Path | None
    behind: int | None = 0
    pending: str = ""
    documents: tuple[DocumentEdits, ...] = ()
    files: tuple[Edit, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def edits(self) -> list[Edit]:
        """All edits: those in documents, then those of other files."""
        return [*(edit for each in self.documents for edit in each.edits), *self.files]


def look(reader: Reader, worktree: Worktree | None, collection: Collection) -> FolderState:
    """Bring the view to the head, and return what people edited in it.

    Raises:
        CorruptionError: git's index or an object is damaged.
        UnsupportedError: git's index is of a kind that only C git reads, and there is none.
        OSError: The disk refused to be read.
    """
    if worktree is None:
        return FolderState(None)
    pending, is_left = "", False
    try:
        with files.storage_errors(worktree.path):
            pending = worktree.refresh().pending
    except ReadOnlyError:
        is_left = True
    except GitStateError as error:
        pending = error.message
    head = reader.head()
    root = graph.read(reader.source, head).tree
    places = _Places(reader, collection, root)
    found = worktree.edits([collection.name], places.owns)
    documents, others, strangers = places.sorted(found.edits)
    # Who may not write finds no record in a clone of somebody else's: the edits were told from the head then.
    behind = _behind(reader, head, found.shown or (root if is_left and not found.pending else None))
    if is_left and behind:
        pending = "it cannot be written"
    return FolderState(
        worktree.path,
        behind,
        found.pending or pending,
        documents,
        others,
        tuple(sorted([*found.others, *strangers])),
    )


def _behind(reader: Reader, head: ObjectId, shown: ObjectId | None) -> int | None:
    commit_id: ObjectId | None = head
    for count in range(_FAR):
        if commit_id is None or shown is None:
            return None
        commit = graph.read(reader.source, commit_id)
        if commit.tree == shown:
            return count
        commit_id = next(iter(commit.parents), None)
    return None


class _Places:
    """Knows of paths which document's they are."""

    def __init__(self, reader: Reader, collection: Collection, root: ObjectId) -> None:
        self._reader = reader
        self._collection = collection
        self._root = root
        self._levels = reader.format(root).fanout

    def owns(self, path: str) -> bool:
        """Whether a file would be part of a document, or attached to one."""
        place = self._place(path)
        layout = self._collection.layout
        return place is not None and (layout.owns(place[1]) or layout.attached(place[1]))

    def sorted(self, edits: Iterable[Edit]) -> tuple[tuple[DocumentEdits, ...], tuple[Edit, ...], list[str]]:
        """Return the edits of each document, the other ones, and the paths of those that are none."""
        folders: dict[str, list[Edit]] = {}
        files: list[Edit] = []
        others: list[str] = []
        for edit in edits:
            place = self._place(edit.path)
            folders.setdefault(place[0], []).append(edit) if place is not None else files.append(edit)
        documents: list[DocumentEdits] = []
        for folder, inner in folders.items():
            document = self._document(folder, inner)
            if document is not None:
                bases = {edit.path: self._base(edit) for edit in inner}
                documents.append(DocumentEdits(document, folder, tuple(inner), bases))
                continue
            for edit in inner:  # no document is or was there
                tracked = edit.base is not None or edit.staged
                files.append(edit) if tracked else others.append(edit.path)
        return tuple(documents), tuple(sorted(files, key=lambda edit: edit.path)), others

    def _place(self, path: str) -> tuple[str, str] | None:
        """Return the folder of the document that a path is in, and the path in there."""
        parts = path.split("/")
        folder, inner = parts[: self._levels + 2], parts[self._levels + 2 :]
        if folder[0] != self._collection.name or not inner:
            return None
        document = names.decode(folder[-1])
        if document is None and not names.is_cut(folder[-1]):
            return None
        if document is not None and names.fan(document, self._levels) != "/".join(folder[1:-1]):
            return None
        return "/".join(folder), "/".join(inner)

    def _document(self, folder: str, edits: list[Edit]) -> str | None:
        """Return the id of the document in a folder; None: there is none, and was none."""
        layout, name = self._collection.layout, folder.rpartition("/")[2]
        document = names.decode(name)
        root_file = f"{folder}/{layout.root}"
        if document is None:
            entry = trees.find(self._reader.source, self._root, root_file)
            there = [] if entry is None else [self._reader.source.read(entry.id, "blob")]
            data = [edit.data for edit in edits if edit.path == root_file and edit.data is not None]
            document = next(filter(None, (self._id_in(each, name) for each in [*there, *data])), name)
        if self._reader.locate(self._root, self._collection, document) is not None:
            return document
        return document if any(layout.owns(edit.path[len(folder) + 1 :]) for edit in edits) else None

    def _base(self, edit: Edit) -> bytes | None:
        """Return what a file held when its edit began; None as well when git dropped that, as nothing led to it."""
        try:
            return None if edit.base is None else self._reader.source.read(edit.base.id, "blob")
        except CorruptionError:
            if trees.find(self._reader.source, self._root, edit.path) == edit.base:
                raise
            return None

    def _id_in(self, data: bytes, name: str) -> str | None:
        try:
            return self._collection.id_in(canonical.loads(data), name)
        except CorruptionError:
            return None


def files_edit(edits: Iterable[Edit], body: str) -> RootEdit:
    """Return the write that commits edited files that belong to no document.

    It raises InvalidInputError for what no store may hold, and ConflictError where the head moved under an edit.
    """
    chosen = list(edits)

    def edit(reader: Reader, root: ObjectId) -> tuple[ObjectId, list[GitObject], Message] | None:
        changes: dict[str, bytes | None] = {}
        for each in chosen:
            refuse_odd(each)
            standing = trees.find(reader.source, root, each.path)
            if is_one_of(standing, {each.found}):
                continue
            if not is_one_of(standing, {each.base}):
                raise ConflictError(
                    f"{each.path} was changed by somebody else since it was edited; nothing was committed",
                    hint="`git show HEAD:PATH` shows their file: make yours of it, or discard the edit",
                )
            if each.path == FORMAT_FILE:
                _check_format(each.data, reader.format(root))
            changes[each.path] = each.data
        if not changes:
            return None
        edited = trees.edit(reader.source, root, changes)
        paths = sorted(changes)
        listed = ", ".join(paths) if len(paths) <= _LISTED else f"{len(paths)} files"
        return edited.id, edited.objects, Message(f"{listed}: edited", body, ((message.EVENT, Event.EDITED.value),))

    return edit


def refuse_odd(edit: Edit) -> None:
    """Raise InvalidInputError where no file stands, but something else."""
    if not edit.is_plain:
        what = "neither a file nor a link, or cannot be read" if edit.odd else "a link and not a file"
        raise InvalidInputError(
            f"{edit.path} is {what}; nothing was committed", hint="put a file in its place, or discard the edit"
        )


def _check_format(data: bytes | None, known: FormatVersion) -> None:
    try:
        said = FormatVersion.parse(data or b"")
    except GitStateError as error:
        raise InvalidInputError(
            f"{FORMAT_FILE} would be that of no store, so nothing was committed: {error.message}",
            hint=f"`gitstate discard {FORMAT_FILE}` brings it back",
        ) from error
    if (said.format, said.fanout) != (known.format, known.fanout):
        raise InvalidInputError(
            f"{FORMAT_FILE} says how all jobs lie, so it is not edited by hand; nothing was committed",
            hint=f"`gitstate reshard` moves the jobs; `gitstate discard {FORMAT_FILE}` brings it back",
        )


def put_aside(private: Path, edits: Iterable[Edit], read: Callable[[TreeEntry], bytes], now: datetime) -> Path | None:
    """Keep what stands in edited files, and is staged of them, in a folder of its own; the oldest of these go.

    Args:
        private: Where the folders are.
        edits: The files.
        read: Reads what is staged.
        now: Names the folder.

    Returns:
        The folder; None: there was nothing to keep.
    """
    contents = _contents(edits, read)
    if not contents:
        return None
    top = private / "discarded"
    name = f"{now:%Y%m%dT%H%M%S.%fZ}"
    top.mkdir(parents=True, exist_ok=True)
    folder = next(each for each in (top / f"{name}{'+' * count}" for count in range(1000)) if _made(each))
    for path, data in contents.items():
        target = Path(os.fsdecode(os.fsencode(folder) + b"/" + name_bytes(path)))
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    others = sorted((each for each in top.iterdir() if each.is_dir() and each != folder), reverse=True)
    for old in others[_KEPT - 1 :]:  # of these, for a clock that was put back makes the last one look like the oldest
        rmtree(old, ignore_errors=True)
    return folder


def _made(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _contents(edits: Iterable[Edit], read: Callable[[TreeEntry], bytes]) -> dict[str, bytes]:
    edits = list(edits)
    contents = {edit.path: edit.data for edit in edits if edit.data is not None}
    for edit in edits:
        if edit.staged_entry is None or is_one_of(edit.staged_entry, {edit.found, edit.base}):
            continue
        with suppress(CorruptionError):  # such as of `git add --intent-to-add`, which stages nothing
            name = f"{edit.path}.staged"
            while name in contents:
                name += "+"
            contents[name] = read(edit.staged_entry)
    return contents


def taken(edits: Iterable[Edit]) -> Mapping[str, TreeEntry | None]:
    """Return what stands at the paths of edits, for :meth:`Worktree.take`."""
    return {edit.path: edit.found for edit in edits if not edit.odd}
