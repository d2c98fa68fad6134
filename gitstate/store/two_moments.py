"""What is merged when a commit came from a view that lagged behind, with documents made whole first.

In the folder of a document such a commit may have files of two moments, such as an edited root file beside the entries
that were shown since. They are no document together; what they say together is put in their place.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitstate.engine import graph, trees
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.staging import Staging
from gitstate.engine.trees import Changes
from gitstate.errors import CorruptionError, StateCorruptionError
from gitstate.format.edited import edited_values
from gitstate.store.documents import Collection
from gitstate.store.reader import Reader

__all__ = ["Sides"]


@dataclass
class Sides:
    """The trees that are merged: what the commit came from, the head, and what was there before it.

    ``reader`` and ``scratch`` know them; ``mended`` are the files that were put in the place of others in the head, by
    document.
    """

    reader: Reader
    scratch: Staging
    base: ObjectId
    head: ObjectId
    before: ObjectId
    mended: dict[str, Changes] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        reader: Reader,
        collections: Iterable[Collection],
        commits: tuple[ObjectId, ObjectId, ObjectId],
        base: Mapping[str, TreeEntry | None],
    ) -> "Sides":
        """Return the sides of a merge.

        Args:
            reader: Reads all that there is.
            collections: Those whose documents are looked at.
            commits: The head, the commit before the one that is merged, and that one.
            base: What those of its files came from that do not come from the commit before; None: from nothing.

        Raises:
            CorruptionError: A tree is missing or damaged.
        """
        scratch = Staging(reader.source)
        reader = reader.over(scratch)
        head, before, after = (graph.read(scratch, commit_id).tree for commit_id in commits)
        sides = cls(reader, scratch, before, head, before)
        sides.base = sides._edit(before, base)
        for collection in collections:
            for document, _, _ in list(reader.differing(collection, before, after)):
                roots = [root for root in (sides.base, after) if not sides._is_readable(root, collection, document)]
                if roots and not sides._mend(after, collection, document, base):
                    folder = reader.folder(before, collection, document)
                    sides.base = sides._edit(sides.base, {folder: trees.find(scratch, before, folder)})
        return sides

    def _mend(
        self, after: ObjectId, collection: Collection, document: str, base: Mapping[str, TreeEntry | None]
    ) -> bool:
        """Put what the files of a document say in their place, before the commit and after it; False: they say nothing.

        Args:
            after: The tree of the commit.
            collection: That of the document.
            document: Its id.
            base: What files came from that do not come from the commit before.
        """
        layout, folder = collection.layout, self.reader.folder(after, collection, document)
        if any(self.reader.folder(root, collection, document) != folder for root in (self.before, self.head)):
            return False
        files, standing = (self._files(root, collection, folder) for root in (after, self.head))
        edits = {
            path: (base.get(f"{folder}/{path}", was), now)
            for path, was, now in trees.diff(
                self.scratch, self._folder(self.before, folder), self._folder(after, folder)
            )
            if layout.owns(path)
        }
        edits = {path: (was, now) for path, (was, now) in edits.items() if was != now}
        if files != standing or not edits:
            return False
        try:
            values = edited_values(
                layout,
                {path: self._read(entry) or b"" for path, entry in files.items()},
                {path: self._read(was) for path, (was, _) in edits.items()},
                {path: self._read(now) for path, (_, now) in edits.items()},
            )
        except CorruptionError:
            return False
        if values.base is None or values.value is None:
            return False
        shown = self._files(self.base, collection, folder)
        self.base = self._edit(self.base, _replaced(folder, shown, layout.split(values.base)))
        self.mended[document] = _replaced(folder, standing, layout.split(values.value))
        self.head = self._edit(self.head, self.mended[document])
        return True

    def _is_readable(self, root: ObjectId, collection: Collection, document: str) -> bool:
        try:
            snapshot = self.reader.snapshot_in(collection, document, root, root)
            if snapshot is not None:
                snapshot.content()
        except StateCorruptionError:
            return False
        return True

    def _folder(self, root: ObjectId, folder: str) -> ObjectId | None:
        entry = trees.find(self.scratch, root, folder)
        return entry.id if entry is not None and entry.is_directory else None

    def _files(self, root: ObjectId, collection: Collection, folder: str) -> dict[str, TreeEntry]:
        """Return the files of the value in a folder, by path."""
        found = trees.files(self.scratch, self._folder(root, folder))
        return {path: entry for path, entry in found if collection.layout.owns(path)}

    def _read(self, entry: TreeEntry | None) -> bytes | None:
        return None if entry is None else self.scratch.read(entry.id, "blob")

    def _edit(self, root: ObjectId, changes: Changes) -> ObjectId:
        edited = trees.edit(self.scratch, root, changes)
        self.scratch.add(edited.objects)
        return edited.id


def _replaced(folder: str, standing: Iterable[str], files: Mapping[str, bytes]) -> Changes:
    """Return the changes that put files in the place of those that stand in a folder."""
    wanted: dict[str, bytes | None] = {**dict.fromkeys(standing), **files}
    return {f"{folder}/{path}": content for path, content in wanted.items()}
