"""What keeps objects in a repository: refs, the heads and indexes of all worktrees, reflogs, unfinished work."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from gitstate.engine import cgit, files, folding, gitindex, packindex, upkeep
from gitstate.engine.objects import ObjectId, raw_entries
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository
from gitstate.errors import CorruptionError

__all__ = [
    "DRAFTS",
    "commits",
    "here",
    "leads_to",
    "logs",
    "lost",
    "packed",
    "pseudo_refs",
    "reached",
    "tips",
    "unfinished",
    "worktrees",
]

DRAFTS = ("COMMIT_EDITMSG", "MERGE_MSG", "SQUASH_MSG", "TAG_EDITMSG", "AUTO_MERGE", "ORIG_HEAD")
"""What git leaves in a worktree of the message that was written last, and of where that was."""

_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")
_PSEUDO = re.compile(r"[A-Z_]+HEAD|AUTO_MERGE")
_WORK = ("rebase-merge", "rebase-apply", "sequencer")
_UNFINISHED = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG", *_WORK)
_PARENT = re.compile(rb"^parent ([0-9a-f]{40})$", re.MULTILINE)
_LEADS = re.compile(rb"^(?:tree|parent|object) ([0-9a-f]{40})$", re.MULTILINE)


def worktrees(repository: Repository) -> Iterator[tuple[Path, Path | None]]:
    """Yield the git directory of each worktree, the first one's and those of the linked ones, with its folder; None:
    it has none, or nobody can tell.
    """
    common = repository.common_dir
    first = common.parent if common.name == ".git" else None
    yield common, repository.worktree if repository.git_dir == common else first
    linked = common / "worktrees"
    for name in sorted(os.listdir(linked)) if linked.is_dir() else []:
        if not (linked / name).is_dir():
            continue  # what file managers leave
        folder = None
        with suppress(OSError):
            back = os.fsdecode(files.read(linked / name / "gitdir").strip())
            folder = Path(os.path.normpath(linked / name / back)).parent
        yield linked / name, folder


def unfinished(git_dir: Path) -> str | None:
    """Return what tells that a merge, a rebase or the like was begun in a worktree and not ended; None: nothing."""
    return next((name for name in _UNFINISHED if (git_dir / name).exists()), None)


def pseudo_refs(git_dir: Path) -> Iterator[Path]:
    """Yield the files in which git notes commits beside the refs, such as ``ORIG_HEAD``."""
    for name in sorted(os.listdir(git_dir)):
        if _PSEUDO.fullmatch(name) and (git_dir / name).is_file():
            yield git_dir / name


def logs(repository: Repository) -> Iterator[Path]:
    """Yield all reflogs, those of linked worktrees too."""
    for git_dir, _ in worktrees(repository):
        yield from _files(git_dir / "logs")


def _rooted(repository: Repository) -> set[ObjectId]:
    """Return the objects that must stay, with all that they lead to: commits, tags, trees and files.

    Raises:
        GitStateError: git's index of a worktree cannot be read.
        OSError: The disk refused.
    """
    found: set[bytes] = set()
    common = repository.common_dir
    for path in (common / "packed-refs", *_files(common / "refs"), *logs(repository)):
        found.update(_named(path))
    for git_dir, folder in worktrees(repository):
        places = (*(git_dir / name for name in _WORK), git_dir / "refs")
        view = git_dir / "gitstate" / "view" / "shown"
        for path in (git_dir / "HEAD", *pseudo_refs(git_dir), view, *(each for at in places for each in _files(at))):
            found.update(_named(path))
        if (git_dir / "index").exists():
            index = gitindex.read(git_dir, folder or git_dir, repository.private)
            found.update(entry.entry.id.encode() for _, entry in index.items())
            found.update(tree.encode() for tree in index.cached_trees())
    return {object_id.decode("ascii") for object_id in found}


def tips(repository: Repository) -> set[ObjectId]:
    """Return where refs and the heads of worktrees stand."""
    common, found = repository.common_dir, set[bytes]()
    for path in (common / "packed-refs", *_files(common / "refs")):
        found.update(_named(path))
    for git_dir, _ in worktrees(repository):
        found.update(_named(git_dir / "HEAD"))
    return {object_id.decode("ascii") for object_id in found}


def commits(reader: ObjectReader, starts: Iterable[ObjectId]) -> set[ObjectId]:
    """Return the commits that commits and tags lead to, as far as they are there."""
    found: set[ObjectId] = set()
    pending = list(starts)
    while pending:
        object_id = pending.pop()
        with suppress(CorruptionError):
            kind, body = ("", b"") if object_id in found else reader.any(object_id)
            if kind == "commit":
                found.add(object_id)
                pending += [parent.decode("ascii") for parent in _PARENT.findall(body.partition(b"\n\n")[0])]
            elif kind == "tag":
                pending += [key.hex() for key in leads_to(kind, body)]
    return found


def packed(base: str) -> frozenset[bytes]:
    """Return the ids of the objects in a pack; of one that is gone, or has no index that can be read, none."""
    try:
        return packindex.ids(base + ".idx")
    except (FileNotFoundError, ValueError):
        return frozenset()


def here(repository: Repository, bases: Iterable[str]) -> set[bytes]:
    """Return the ids of all objects in some packs, and of those in files of their own."""
    found = {bytes.fromhex(each) for each in upkeep.loose_objects(repository)}
    for base in bases:
        found |= packed(base)
    return found


def lost(repository: Repository) -> set[bytes]:
    """Return the ids of the objects to which nothing leads. What is published meanwhile is none of them.

    Raises:
        CorruptionError: git's index of a worktree is damaged.
        OSError: The disk refused.
    """
    there = here(repository, folding.packs_in(repository.objects / "pack"))
    return there - reached(repository, _rooted(repository))


def reached(repository: Repository, roots: Iterable[ObjectId]) -> frozenset[bytes]:
    """Return the ids of the objects that some lead to, as far as they are there; C git tells, if there is one."""
    there = here(repository, folding.packs_in(repository.objects / "pack"))  # a root may be newer than any other list
    known = [root for root in roots if bytes.fromhex(root) in there]
    if not known:
        return frozenset()
    told = cgit.reachable(repository.objects, known)
    return frozenset(_walked(repository, known)) if told is None else told


def _walked(repository: Repository, roots: Iterable[ObjectId]) -> set[bytes]:
    reader = ObjectReader(repository)
    found: set[bytes] = set()
    pending = [bytes.fromhex(root) for root in roots]
    try:
        while pending:
            key = pending.pop()
            if key in found:
                continue
            found.add(key)
            with suppress(CorruptionError):  # what is missing leads nowhere
                pending += leads_to(*reader.any(key.hex()))
    finally:
        reader.close()
    return found


def leads_to(kind: str, body: bytes) -> list[bytes]:
    """Return the ids of the objects that one names."""
    if kind == "tree":
        return [object_id for _, _, object_id in raw_entries(body)]
    header = body.partition(b"\n\n")[0] if kind in ("commit", "tag") else b""
    return [bytes.fromhex(found.decode("ascii")) for found in _LEADS.findall(header)]


def _named(path: Path) -> list[bytes]:
    """Return the ids that a file names."""
    try:
        return _ID.findall(files.read(path))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []


def _files(folder: Path) -> Iterator[Path]:
    for place, _, found in os.walk(folder):
        yield from (Path(place) / name for name in sorted(found))
