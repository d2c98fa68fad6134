"""Moves all documents under another number of levels of folders: a write of the whole tree, in one commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gitstate.engine import trees
from gitstate.engine.base import Source
from gitstate.engine.objects import DIRECTORY, FILE, GitObject, ObjectId, Tree, TreeEntry
from gitstate.errors import CorruptionError, ExistsError
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store.batch import RootEdit
from gitstate.store.documents import Collection, Revision
from gitstate.store.reader import FORMAT_FILE, Reader

__all__ = ["Resharded", "reshard"]


@dataclass(frozen=True)
class Resharded:
    """What a move of all documents did, or would do.

    ``before`` and ``after`` are the levels of folders, ``moved`` is the number of documents, and ``revision`` the
    commit, None in a dry run.
    """

    before: int
    after: int
    moved: int
    revision: Revision | None = None


def reshard(levels: int, collections: Sequence[Collection], tell: Callable[[Resharded], None]) -> RootEdit:
    """Return the write that moves the documents of all ``collections`` under so many levels of folders.

    A document's folder moves with all that is in it; everything else stays where it is. There is nothing to write when
    the documents lie so already; otherwise ``tell`` is told what is written. The write raises ExistsError when
    something that is no document is in the way, CorruptionError when it cannot be told which document a folder is, and
    InvalidInputError for an impossible number.
    """

    def edit(reader: Reader, root: ObjectId) -> tuple[ObjectId, list[GitObject], Message] | None:
        before = reader.format(root)
        after = replace(before, fanout=levels)
        if after == before:
            return None
        moves: list[tuple[str, str, ObjectId]] = []
        for collection in collections:
            for document, path, tree in reader.places(collection, root):
                if path != collection.folder(document, before.fanout):
                    raise CorruptionError(
                        f"{path} does not say which document it is", hint="`gitstate verify` tells more"
                    )
                moves.append((path, collection.folder(document, levels), tree))
        top = _Folder(reader.source, root)
        for path, _, _ in moves:
            top.take(path)
        top.prune()
        for _, path, tree in moves:
            top.put(path, tree)
        version = GitObject("blob", after.to_bytes())
        top.entries[FORMAT_FILE] = TreeEntry(FILE, version.id)
        objects = [version]
        subject = f"moved all documents: the fanout was {before.fanout} and is {levels}"
        told = Message(subject, trailers=((message.EVENT, Event.RESHARDED.value),))
        tell(Resharded(before.fanout, levels, len(moves)))
        return top.write(objects), objects, told

    return edit


def _in_the_way(path: str) -> ExistsError:
    return ExistsError(f"something that is no document is in the way of {path}", hint="move it away and commit that")


class _Folder:
    """A folder that is being changed. Of those in it, the ones that change too are opened in turn."""

    def __init__(self, source: Source, tree_id: ObjectId | None) -> None:
        self._source = source
        self.entries: dict[str, TreeEntry | _Folder] = dict(trees.read(source, tree_id))

    def take(self, path: str) -> None:
        """Take out what is at a path."""
        folder, name = self._open(path)
        del folder.entries[name]

    def prune(self) -> bool:
        """Drop the folders that nothing is left in; return whether this one is empty."""
        empty = [name for name, entry in self.entries.items() if isinstance(entry, _Folder) and entry.prune()]
        for name in empty:
            del self.entries[name]
        return not self.entries

    def put(self, path: str, tree: ObjectId) -> None:
        """Put a folder at a path where nothing is."""
        folder, name = self._open(path)
        if name in folder.entries:
            raise _in_the_way(path)
        folder.entries[name] = TreeEntry(DIRECTORY, tree)

    def _open(self, path: str) -> "tuple[_Folder, str]":
        """Return the folder of a path, which is made if need be, and the last name."""
        *parts, last = path.split("/")
        folder = self
        for name in parts:
            inner = folder.entries.get(name)
            if not isinstance(inner, _Folder):
                if inner is not None and not inner.is_directory:
                    raise _in_the_way(path)
                inner = _Folder(self._source, None if inner is None else inner.id)
                folder.entries[name] = inner
            folder = inner
        return folder, last

    def write(self, objects: list[GitObject]) -> ObjectId:
        """Return the id of the tree; it and the folders in it are added to ``objects``."""
        entries = {
            name: entry if isinstance(entry, TreeEntry) else TreeEntry(DIRECTORY, entry.write(objects))
            for name, entry in self.entries.items()
        }
        made = Tree.of(entries).to_object()
        objects.append(made)
        return made.id
