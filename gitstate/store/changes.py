"""What differs between two snapshots, read from the files that differ and from no others.

A thousand entries of which one changed cost the root file and that entry, on both sides.
"""

from collections.abc import Iterator

from gitstate.engine import trees
from gitstate.engine.objects import TreeEntry
from gitstate.store.documents import Snapshot
from gitstate.values.shape import ABSENT, Slot

__all__ = ["changed_files", "changed_parts"]


def changed_parts(before: Snapshot | None, after: Snapshot | None) -> tuple[Slot, Slot]:
    """Return the values of two snapshots without the entries that are the same file in both; ABSENT for None.

    Args:
        before: A snapshot, or None: there was no document.
        after: Another one of the same store, of the same document or not.

    Raises:
        StateCorruptionError: A file that differs cannot be read; the message names it.
    """
    paths = {path for path, _, _ in _differing(before, after)}
    return tuple(ABSENT if side is None else side.part(paths) for side in (before, after))  # type: ignore[return-value]  # two


def changed_files(before: Snapshot | None, after: Snapshot | None) -> dict[str, tuple[bytes, bytes]]:
    """Return the files of the values that differ, as they are on both sides, by their paths in the documents' folders.

    A file that is not there is empty; one of a value never is.
    """
    side = before or after

    def body(entry: TreeEntry | None) -> bytes:
        return b"" if entry is None or side is None else side.source.read(entry.id, "blob")

    return {path: (body(was), body(now)) for path, was, now in _differing(before, after)}


def _differing(before: Snapshot | None, after: Snapshot | None) -> Iterator[trees.FileChange]:
    side = before or after
    if side is None:
        return
    was, now = (None if snapshot is None else snapshot.tree for snapshot in (before, after))
    for change in trees.diff(side.source, was, now):
        if side.collection.layout.owns(change.path):
            yield change
