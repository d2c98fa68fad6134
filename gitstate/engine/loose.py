"""Objects in files of their own, as `git add` and `git commit` make them, which do not wait for the disk.

One is made here of what a file held that nobody committed as it was. Those of a person's commit are brought to the disk
before a save that is built on it is answered for.
"""

import os
import secrets
import time
import zlib
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

from gitstate.engine import files, graph, trees
from gitstate.engine.base import Source
from gitstate.engine.objects import Commit, GitObject, ObjectId
from gitstate.errors import CorruptionError

__all__ = ["keep", "sync"]

_FAR = 2000  # so many commits are brought to the disk
_OLD = 3600.0  # seconds after which the system has written a file anyway, which takes it half a minute


def keep(objects: Path, data: bytes) -> None:
    """Keep a blob in a repository's folder of objects, unless it is there in a file of its own.

    Nothing leads to it, so git may drop it after some weeks.

    Raises:
        OSError: The disk refused.
    """
    blob = GitObject("blob", data)
    target = Path(_path(objects, blob.id))
    folder = target.parent
    if target.exists():
        return
    folder.mkdir(exist_ok=True)
    beside = f"{folder}/tmp_obj_{secrets.token_hex(8)}"  # noqa: S108 - git removes files of such names, after a kill
    # Durable: an empty file, as a cut of the power leaves it, would be a damaged object.
    files.create(beside, zlib.compress(b"blob %d\0" % len(data) + data), mode=0o444)
    os.rename(beside, target)


def sync(objects: Path, source: Source, start: ObjectId, known: Container[ObjectId | None]) -> None:
    """Get to the disk what a commit and those before it brought, as far as they are in files of their own.

    Git waits for its packs, so nobody looks behind a commit that is in one, nor behind one that is old.

    Args:
        objects: A repository's folder of objects.
        source: Where they are read.
        start: The commit.
        known: Commits that are on the disk.

    Raises:
        OSError: The disk refused.
    """
    pending, seen, folders = [start], set[ObjectId](), set[str]()
    while pending and len(seen) < _FAR:
        commit_id = pending.pop()
        if commit_id in seen or commit_id in known or not _is_new(_path(objects, commit_id)):
            continue
        seen.add(commit_id)
        with suppress(CorruptionError):  # whoever reads it is told
            commit = graph.read(source, commit_id)
            pending += commit.parents
            for object_id in _brought(source, commit_id, commit):
                path = _path(objects, object_id)
                with suppress(FileNotFoundError):
                    files.sync_file(path)
                    folders.add(os.path.dirname(path))
    for folder in sorted(folders):
        files.sync_directory(folder)
    if folders:
        files.sync_directory(objects)


def _is_new(path: str) -> bool:
    try:
        return time.time() - os.stat(path).st_mtime < _OLD
    except FileNotFoundError:
        return False


def _path(objects: Path, object_id: ObjectId) -> str:
    return f"{objects}/{object_id[:2]}/{object_id[2:]}"


def _brought(source: Source, commit_id: ObjectId, commit: Commit) -> Iterator[ObjectId]:
    """Yield a commit's id and those of the trees and files that differ from those of its first parent."""
    yield commit_id
    yield commit.tree
    folders = set[str]()
    before = graph.read(source, commit.parents[0]).tree if commit.parents else None
    for change in trees.diff(source, before, commit.tree):
        if change.after is not None:
            yield change.after.id
        folder = os.path.dirname(change.path)
        while folder and folder not in folders:
            folders.add(folder)
            folder = os.path.dirname(folder)
    for folder in folders:
        entry = trees.find(source, commit.tree, folder)
        if entry is not None:
            yield entry.id
