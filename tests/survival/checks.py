"""What must hold of a store whatever happened to it: history whole, nothing left behind, the next save at once."""

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path

from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, Tree

from gitstate import GitStateBackend
from tests.survival.workloads import one_save

__all__ = ["copy", "history", "leftovers", "survived"]

SOON = 5.0  # seconds in which a save after an accident must be done


def survived(folder: Path, acknowledged: Iterable[str]) -> list[str]:
    """Open a store again, save to it, and return its history, newest first; what is wrong with it is an error."""
    began = time.monotonic()
    head = asyncio.run(_save(folder))
    assert time.monotonic() - began < SOON
    found = history(folder, head)
    missing = set(acknowledged) - set(found)
    assert not missing, f"acknowledged, and not in the history: {missing}"
    assert leftovers(folder) == []
    return found


async def _save(folder: Path) -> str:
    async with GitStateBackend(folder) as backend:
        await one_save(backend, "after", 1)
        return backend.store.head()


def history(folder: Path, head: str) -> list[str]:
    """Return a commit and what it follows, newest first, when every object of all of them is there and sound."""
    objects = DiskObjectStore(folder / ".git/objects")
    seen: set[ObjectID] = set()
    found: list[str] = []
    try:
        pending = [ObjectID(head.encode())]
        while pending:
            name = pending.pop()
            found.append(name.decode())
            commit = objects[name]  # dulwich compares what it reads with the name
            assert isinstance(commit, Commit)
            _read_tree(objects, commit.tree, seen)
            pending += commit.parents
    finally:
        objects.close()
    return found


def _read_tree(objects: DiskObjectStore, name: ObjectID, seen: set[ObjectID]) -> None:
    if name in seen:
        return
    seen.add(name)
    tree = objects[name]
    assert isinstance(tree, Tree)
    for entry in tree.items():
        if entry.mode == 0o40000:
            _read_tree(objects, entry.sha, seen)
        elif entry.sha not in seen:
            seen.add(entry.sha)
            assert isinstance(objects[entry.sha], Blob)


def leftovers(folder: Path) -> list[str]:
    """Return the files that only an unfinished write has."""
    return [
        os.path.join(here, name)
        for here, _, names in os.walk(folder)
        for name in names
        if name.endswith((".lock", ".keep", ".new")) or name.startswith(("tmp_", ".gitstate-"))
    ]


def copy(source: Path, target: Path) -> Path:
    """Copy a folder; files with several names keep them."""
    first: dict[int, str] = {}
    for here, _, names in os.walk(source):
        there = os.path.join(target, os.path.relpath(here, source))
        os.makedirs(there)
        for name in names:
            old, new = os.path.join(here, name), os.path.join(there, name)
            number = os.stat(old).st_ino
            if number in first:
                os.link(first[number], new)
            else:
                first[number] = new
                Path(new).write_bytes(Path(old).read_bytes())
    return target
