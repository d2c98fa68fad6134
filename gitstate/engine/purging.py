"""Puts a history that was written anew in the place of the old one, and clears away what names the old one.

What is to be done is written down before the branch moves. Killed before that, nothing happened; after it, the store is
the new one, and whoever comes next can do the rest: :func:`pending` says what. Each step can be done twice.
"""

import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from gitstate.engine import cgit, files, gitindex, packs, reflog, refs, roots, upkeep
from gitstate.engine.background import sync_records
from gitstate.engine.journal import Journal
from gitstate.engine.locks import LockFile
from gitstate.engine.objects import ObjectId, Signature
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import REMOTES, Repository
from gitstate.engine.spares import Spares
from gitstate.errors import StaleError

__all__ = ["RefMove", "begin", "clear", "clear_indexes", "done", "finish_refs", "is_pending", "pending"]

_NAME = "purge"  # a private file that says what is to be done
_NOTE = "purged"
_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")
_DAMAGED = ("damaged", "view/index.damaged")


class RefMove(NamedTuple):
    """A ref, and the objects at which it stood and shall stand; None: it is not there."""

    ref: str
    before: ObjectId | None
    after: ObjectId | None


def begin(repository: Repository, moves: Sequence[RefMove], made: str | None, who: Signature) -> None:
    """Make new objects a part of the repository and move its branch; call it under the store's lock.

    Args:
        repository: The repository.
        moves: What is to be done with refs; the first one is the branch's.
        made: The pack of the new objects, on the disk, without suffix; it goes to its place. None: there are none.
        who: Stands in the reflog.

    Raises:
        StaleError: A ref is not where it was to be; nothing happened.
        BusyError: A living git holds the branch's lock file; as above.
        OSError: The disk refused; if the branch moved, :func:`pending` tells what is left to do.
    """
    for move in moves:
        standing = refs.read(repository, move.ref)
        if standing != move.before:
            raise StaleError(f"{move.ref} is at {standing}, not at {move.before}", hint="look at a new plan")
    _, before, after = moves[0]
    journal = Journal(repository.private / "journal")
    try:
        journal.refresh()
        sync_records(repository, journal.records)
        journal.begin({repository.ref: str(before)})  # or a cut of the power would bring back what its records say
        placed = None if made is None else _placed(repository, made)
        _write(repository, moves)
        try:
            if before != after and after is not None:
                refs.swap(repository, repository.ref, expected=before, new=after, who=who, note=_NOTE)
        except BaseException:
            if refs.read(repository, repository.ref) != after:
                done(repository)
                if placed is not None:
                    placed.discard()
                    placed.release()
            raise
        journal.erase()
        journal.ensure({repository.ref: str(after)})
        if placed is not None:
            placed.release()
    finally:
        journal.close()


def pending(repository: Repository) -> list[RefMove]:
    """Return what a purge was about to do with refs that was cut short after the branch had moved; nothing if none was.

    One that was cut short before that is forgotten; call it under the store's lock.
    """
    try:
        said = json.loads(files.read(repository.private / _NAME))
        moves = [RefMove(*each) for each in said["refs"]]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError):
        moves = []
    if moves and moves[0].ref == repository.ref and _has_begun(repository, moves[0]):
        return moves
    done(repository)
    return []


def _has_begun(repository: Repository, move: RefMove) -> bool:
    """Whether the branch was moved: it has the new commit in its history, and nobody but a purge makes that one."""
    standing = refs.read(repository, move.ref)
    if move.before == move.after or standing in (None, move.after):
        return True
    reader = ObjectReader(repository)
    try:
        return standing != move.before and move.after in roots.commits(reader, [str(standing)])
    finally:
        reader.close()


def is_pending(repository: Repository) -> bool:
    """Whether a purge was cut short, or is at work."""
    return (repository.private / _NAME).exists()


def clear_indexes(repository: Repository, names: Iterable[str]) -> None:
    """Take folders of some names out of what git's indexes remember of trees, and of conflicts that were resolved; call
    it under the store's lock. What is staged stays.

    Raises:
        BusyError: A person's git holds an index.
        CorruptionError: One is damaged.
        OSError: The disk refused.
    """
    words = [os.fsencode(name) + b"\0" for name in names]
    for git_dir, folder in roots.worktrees(repository):
        path = git_dir / "index"
        if path.exists() and any(word in files.read(path) for word in words):
            with LockFile(repository.private, path, b"") as lock:
                index = gitindex.read(git_dir, folder or git_dir, repository.private)
                index.forget_trees()
                index.forget_resolved()
                if index.changed:
                    for name, _ in list(index.racy()):
                        index.distrust(name)
                    files.overwrite(f"{path}.lock", index.to_bytes(), durable=True)
                    lock.replace()


def done(repository: Repository) -> None:
    """Say that all is done."""
    files.remove(repository.private / _NAME)


def finish_refs(repository: Repository, moves: Sequence[RefMove], who: Signature) -> list[str]:
    """Move all other refs; call it under the store's lock. Return those that somebody moved meanwhile: they stay.

    Raises:
        BusyError: A living git holds a lock file.
        OSError: The disk refused.
    """
    odd = []
    for ref, before, after in moves[1:]:
        standing = refs.read(repository, ref)
        if standing == after:
            continue
        if standing != before:
            odd.append(ref)
        elif after is None:
            refs.delete(repository, ref, expected=str(before))
        elif before is None:
            refs.create(repository, ref, after)
        else:
            log = repository.path(f"logs/{ref}")
            is_logged = os.path.exists(log)  # a tag has none, as a rule
            refs.swap(repository, ref, expected=before, new=after, who=who, note=_NOTE)
            if not is_logged:
                files.remove(log)
    loose = [move.ref for move in moves if os.path.isfile(repository.path(move.ref))]
    refs.unpack(repository, loose)  # the older value is in there
    deleted = {move.ref for move in moves if move.after is None}
    for name in set(refs.names(repository, REMOTES)):
        with suppress(FileNotFoundError):
            if refs.target(repository, name) in deleted - {name}:
                os.unlink(repository.path(name))  # which remote branch is the first one: it is here no more
    return odd


def clear(
    repository: Repository, moves: Sequence[RefMove], who: Signature, private: Iterable[str]
) -> frozenset[ObjectId]:
    """Clear away what names commits that are no more: reflogs, notes of git's, and files of ours.

    Args:
        repository: The repository, with its refs as they shall be.
        moves: What was done with refs.
        who: Stands in the reflogs.
        private: Patterns of the names of private files that go.

    Returns:
        The commits that are no more.

    Raises:
        OSError: The disk refused.
    """
    gone = _gone(repository, [move.before for move in moves if move.before is not None])
    there = {move.ref: move.after for move in moves if move.after is not None}
    heads = {}
    for git_dir, _ in roots.worktrees(repository):
        content = files.read_if_there(git_dir / "HEAD")
        head = os.fsdecode(content[5:].strip()) if content.startswith(b"ref: ") else ""
        heads[os.fspath(git_dir / "logs" / "HEAD")] = there.get(head)
        is_ours = head in there or (git_dir == repository.common_dir and not upkeep.is_guest(repository))
        for name in roots.DRAFTS if is_ours else ():
            files.remove(git_dir / name)
        # The record of a view that was one, and shows none of the branches any more.
        stale = [] if head in there else (git_dir / "gitstate" / "view").glob("shown")
        for path in (*roots.pseudo_refs(git_dir), *stale):
            if not gone.isdisjoint(found.decode() for found in _ID.findall(files.read(path))):
                files.remove(path)
    for ref, commit_id in there.items():
        heads[repository.path(f"logs/{refs.target(repository, ref)}")] = commit_id
    for log in map(os.fspath, roots.logs(repository)):
        at = heads.get(log)
        reflog.expire(log, gone, None if at is None else reflog.line(None, at, who, _NOTE))
    Spares(repository.private).clear()
    for pattern in (*private, "ring-*"):
        for path in repository.private.glob(pattern):
            if not pattern.startswith("ring") or os.stat(path).st_nlink == 1:
                files.remove(path)
    for name in _DAMAGED:
        path = repository.private / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else files.remove(path)
    return gone


def _placed(repository: Repository, made: str) -> packs.NewPack:
    """Put a finished pack in its place, kept from git's garbage collection."""
    folder = repository.objects / "pack"
    base = os.path.join(folder, os.path.basename(made))
    existed = os.path.exists(base + ".idx")
    if not existed:
        files.remove(base + ".keep")
        files.create(base + ".keep", packs.KEEP)
        for suffix in (".pack", ".idx"):
            os.rename(made + suffix, base + suffix)
        files.sync_directory(folder)
    return packs.NewPack(base, existed)


def _write(repository: Repository, moves: Sequence[RefMove]) -> None:
    path = os.fspath(repository.private / _NAME)
    files.overwrite(f"{path}.new", json.dumps({"refs": moves}).encode(), durable=True)
    os.rename(f"{path}.new", path)
    files.sync_directory(repository.private)


def _gone(repository: Repository, was: Collection[ObjectId]) -> frozenset[ObjectId]:
    """Return the commits that these led to and no ref and no head of a worktree leads to any more."""
    reader = ObjectReader(repository)
    try:
        old = [each for each in was if reader.has(each)]
        now = [each for each in roots.tips(repository) if reader.has(each)]
        told = cgit.beyond(repository.objects, old, now)
        return frozenset(roots.commits(reader, old) - roots.commits(reader, now)) if told is None else frozenset(told)
    finally:
        reader.close()
