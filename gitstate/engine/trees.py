"""Walks over trees: find an entry, list files, change some files, compare two trees.

Each reads only the trees on its way: an unchanged folder, whatever its size, costs one comparison of two ids.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gitstate.engine.base import Engine
from gitstate.engine.objects import DIRECTORY, FILE, GitObject, ObjectId, TreeEntry, parse_tree, tree_object
from gitstate.errors import CorruptionError

__all__ = ["EMPTY", "Edited", "FileChange", "diff", "edit", "files", "find", "graft", "read"]

EMPTY: ObjectId = tree_object({}).id
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


def read(engine: Engine, tree_id: ObjectId | None) -> dict[str, TreeEntry]:
    """Return the entries of a tree; None is the empty one.

    Raises:
        CorruptionError: It is missing or damaged; the message names it.
    """
    if tree_id is None:
        return {}
    body = engine.read(tree_id, "tree")
    try:
        return parse_tree(body)
    except CorruptionError as error:
        raise CorruptionError(f"tree {tree_id}: {error.message}", hint=error.hint) from error


def find(engine: Engine, tree_id: ObjectId | None, path: str) -> TreeEntry | None:
    """Return the entry at ``path``, segments parted by ``/``, or None."""
    entry: TreeEntry | None = None
    for name in path.split("/"):
        entry = read(engine, tree_id).get(name)
        if entry is None:
            return None
        tree_id = entry.id if entry.is_directory else None
    return entry


def files(engine: Engine, tree_id: ObjectId | None, prefix: str = "") -> Iterator[tuple[str, TreeEntry]]:
    """Yield every entry below a tree that is no directory, with its path, in the tree's order."""
    for name, entry in read(engine, tree_id).items():
        if entry.is_directory:
            yield from files(engine, entry.id, f"{prefix}{name}/")
        else:
            yield prefix + name, entry


def edit(engine: Engine, tree_id: ObjectId | None, changes: Mapping[str, bytes | None]) -> Edited:
    """Return ``tree_id`` with some files written (bytes) and some removed (None).

    A directory that loses its last entry goes too; a file that stands where a directory is needed gives way.
    """
    objects: list[GitObject] = []
    pairs = [(path.split("/"), content) for path, content in changes.items()]
    return _finish(tree_id, _edit(engine, tree_id, pairs, objects), objects)


def graft(engine: Engine, tree_id: ObjectId | None, path: str, subtree: ObjectId | None) -> Edited:
    """Return ``tree_id`` with the directory at ``path`` replaced by ``subtree``, or removed (None)."""
    objects: list[GitObject] = []
    return _finish(tree_id, _graft(engine, tree_id, path.split("/"), subtree, objects), objects)


def _finish(before: ObjectId | None, entries: dict[str, TreeEntry], objects: list[GitObject]) -> Edited:
    root = tree_object(entries)
    if root.id != before:
        objects.append(root)
    return Edited(root.id, objects)


def _graft(
    engine: Engine, tree_id: ObjectId | None, parts: list[str], subtree: ObjectId | None, objects: list[GitObject]
) -> dict[str, TreeEntry]:
    entries = read(engine, tree_id)
    name, *rest = parts
    if rest:
        old = entries.get(name)
        if subtree is None and (old is None or not old.is_directory):
            return entries  # nothing is there to be removed
        inner = _graft(engine, old.id if old is not None and old.is_directory else None, rest, subtree, objects)
        _put_directory(entries, name, inner, objects)
    elif subtree is None:
        entries.pop(name, None)
    else:
        entries[name] = TreeEntry(DIRECTORY, subtree)
    return entries


def _edit(
    engine: Engine,
    tree_id: ObjectId | None,
    changes: list[tuple[list[str], bytes | None]],
    objects: list[GitObject],
) -> dict[str, TreeEntry]:
    entries = read(engine, tree_id)
    below: dict[str, list[tuple[list[str], bytes | None]]] = {}
    for parts, content in changes:
        if len(parts) > 1:
            below.setdefault(parts[0], []).append((parts[1:], content))
        elif content is None:
            entries.pop(parts[0], None)
        else:
            _put(entries, parts[0], FILE, GitObject("blob", content), objects)
    for name, inner in below.items():
        old = entries.get(name)
        if old is not None and not old.is_directory:
            if all(content is None for _, content in inner):
                continue
            old = None
        _put_directory(entries, name, _edit(engine, old.id if old else None, inner, objects), objects)
    return entries


def _put_directory(
    entries: dict[str, TreeEntry], name: str, inner: dict[str, TreeEntry], objects: list[GitObject]
) -> None:
    if inner:
        _put(entries, name, DIRECTORY, tree_object(inner), objects)
    else:
        entries.pop(name, None)


def _put(entries: dict[str, TreeEntry], name: str, mode: int, item: GitObject, objects: list[GitObject]) -> None:
    old = entries.get(name)
    if old is None or old.id != item.id:
        objects.append(item)
    elif old.mode >> 12 == mode >> 12:
        return  # an executable file stays one; a link that somebody made of the same bytes becomes a file
    entries[name] = TreeEntry(mode, item.id)


def diff(engine: Engine, before: ObjectId | None, after: ObjectId | None, prefix: str = "") -> Iterator[FileChange]:
    """Yield the files that differ between two trees, reading only the directories that differ."""
    if before == after:
        return
    old, new = read(engine, before), read(engine, after)
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        path = prefix + name
        was_file, was_tree = _file_or_tree(was)
        now_file, now_tree = _file_or_tree(now)
        if was_file or now_file:
            yield FileChange(path, was_file, now_file)
        yield from diff(engine, was_tree, now_tree, path + "/")


def _file_or_tree(entry: TreeEntry | None) -> tuple[TreeEntry | None, ObjectId | None]:
    if entry is None:
        return None, None
    return (None, entry.id) if entry.is_directory else (entry, None)
