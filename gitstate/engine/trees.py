"""Walks over trees: find an entry, list files, change some files, compare two trees.

Each reads only the trees on its way: an unchanged folder, whatever its size, costs one comparison of two ids.
"""

from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from gitstate.engine.base import Source
from gitstate.engine.objects import DIRECTORY, FILE, GitObject, ObjectId, Tree, TreeEntry, parse_tree

__all__ = ["EMPTY", "Changes", "Edited", "FileChange", "diff", "edit", "files", "find", "graft", "read"]

Changes: TypeAlias = Mapping[str, bytes | TreeEntry | None]
"""By path: what a file shall hold, the entry of one or of a directory that exists, or None to remove what is there."""

_NOTHING = parse_tree(b"")
EMPTY: ObjectId = _NOTHING.to_object().id
"""The id of the tree without entries; git keeps none inside another tree."""


class Edited(NamedTuple):
    """A changed tree: its id, and the objects that it has and the tree before it had not in the same place."""

    id: ObjectId
    objects: list[GitObject]


class FileChange(NamedTuple):
    """A file that differs between two trees; None where it is not there."""

    path: str
    before: TreeEntry | None
    after: TreeEntry | None


def read(source: Source, tree_id: ObjectId | None) -> Tree:
    """Return a tree; None is the empty one.

    Raises:
        CorruptionError: It is missing or damaged; the message names it.
    """
    return _NOTHING if tree_id is None else source.tree(tree_id)


def find(source: Source, tree_id: ObjectId | None, path: str) -> TreeEntry | None:
    """Return the entry at ``path``, segments parted by ``/``, or None."""
    entry: TreeEntry | None = None
    for name in path.split("/"):
        entry = read(source, tree_id).get(name)
        if entry is None:
            return None
        tree_id = entry.id if entry.is_directory else None
    return entry


def files(source: Source, tree_id: ObjectId | None, prefix: str = "") -> Iterator[tuple[str, TreeEntry]]:
    """Yield every entry below a tree that is no directory, with its path, in the tree's order."""
    for name, entry in read(source, tree_id).items():
        if entry.is_directory:
            yield from files(source, entry.id, f"{prefix}{name}/")
        else:
            yield prefix + name, entry


def edit(source: Source, tree_id: ObjectId | None, changes: Changes) -> Edited:
    """Return ``tree_id`` with some files written (bytes), some entries put and some removed (None).

    A directory that loses its last entry goes too; a file that stands where a directory is needed gives way.
    """
    objects: list[GitObject] = []
    pairs = [(path.split("/"), content) for path, content in changes.items()]
    return _finish(tree_id, _edit(source, tree_id, pairs, objects), objects)


def graft(source: Source, tree_id: ObjectId | None, path: str, subtree: ObjectId | None) -> Edited:
    """Return ``tree_id`` with the directory at ``path`` replaced by ``subtree``, or removed (None)."""
    objects: list[GitObject] = []
    return _finish(tree_id, _graft(source, tree_id, path.split("/"), subtree, objects), objects)


def _finish(before: ObjectId | None, tree: Tree, objects: list[GitObject]) -> Edited:
    root = tree.to_object()
    if root.id != before:
        objects.append(root)
    return Edited(root.id, objects)


def _graft(
    source: Source, tree_id: ObjectId | None, parts: list[str], subtree: ObjectId | None, objects: list[GitObject]
) -> Tree:
    tree = read(source, tree_id)
    name, *rest = parts
    old = tree.get(name)
    if not rest:
        return tree.with_entries({name: None if subtree is None else TreeEntry(DIRECTORY, subtree)})
    if subtree is None and (old is None or not old.is_directory):
        return tree  # nothing is there to be removed
    inner = _graft(source, old.id if old is not None and old.is_directory else None, rest, subtree, objects)
    return tree.with_entries(_directory(name, old, inner, objects))


def _edit(
    source: Source,
    tree_id: ObjectId | None,
    changes: list[tuple[list[str], bytes | TreeEntry | None]],
    objects: list[GitObject],
) -> Tree:
    tree = read(source, tree_id)
    entries: dict[str, TreeEntry | None] = {}
    below: dict[str, list[tuple[list[str], bytes | TreeEntry | None]]] = {}
    for parts, content in changes:
        if len(parts) > 1:
            below.setdefault(parts[0], []).append((parts[1:], content))
        elif content is None or isinstance(content, TreeEntry):
            entries[parts[0]] = content
        else:
            entries |= _put(parts[0], tree.get(parts[0]), FILE, GitObject("blob", content), objects)
    for name, inner in below.items():
        old = entries.get(name, tree.get(name))
        if old is not None and not old.is_directory:
            if all(content is None for _, content in inner):
                continue
            old = None
        entries |= _directory(name, old, _edit(source, old.id if old else None, inner, objects), objects)
    return tree.with_entries(entries)


def _directory(
    name: str, old: TreeEntry | None, inner: Tree, objects: list[GitObject]
) -> Mapping[str, TreeEntry | None]:
    return _put(name, old, DIRECTORY, inner.to_object(), objects) if inner else {name: None}


def _put(
    name: str, old: TreeEntry | None, mode: int, item: GitObject, objects: list[GitObject]
) -> Mapping[str, TreeEntry | None]:
    """Return the change that puts an object under a name; an executable file stays one, a link becomes a file."""
    if old is None or old.id != item.id:
        objects.append(item)
    elif old.mode >> 12 == mode >> 12:
        return {}
    return {name: TreeEntry(mode, item.id)}


def diff(
    source: Source,
    before: ObjectId | None,
    after: ObjectId | None,
    prefix: str = "",
    *,
    leaving: Container[str] = (),
) -> Iterator[FileChange]:
    """Yield the files that differ between two trees, reading only the directories that differ.

    What lies at the paths of ``leaving`` is left out, whatever it is.
    """
    if before == after:
        return
    old, new = read(source, before), read(source, after)
    for name in old.differing(new):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        path = prefix + name
        if path in leaving:
            continue
        was_file, was_tree = _file_or_tree(was)
        now_file, now_tree = _file_or_tree(now)
        if was_file or now_file:
            yield FileChange(path, was_file, now_file)
        yield from diff(source, was_tree, now_tree, path + "/", leaving=leaving)


def _file_or_tree(entry: TreeEntry | None) -> tuple[TreeEntry | None, ObjectId | None]:
    if entry is None:
        return None, None
    return (None, entry.id) if entry.is_directory else (entry, None)
