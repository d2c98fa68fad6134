"""After a cut of the power: what the journal says is made so again.

Packs and refs are not waited for when they are written; the journal is. So after a restart of the machine its packs are
written anew, over whatever is there, and the branch goes where its last record says. Where records may be lost too
(``durability="normal"``), the branch falls back to the newest commit that is whole, and what was lost is named.
"""

import logging
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gitstate.engine import files, gitindex, graph, packs, refs, trees
from gitstate.engine.base import Settled, Source
from gitstate.engine.journal import Journal
from gitstate.engine.locks import LockFile
from gitstate.engine.objects import Kind, ObjectId, Signature
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository
from gitstate.errors import CorruptionError, GitStateError

__all__ = ["DAMAGED", "settle"]

_log = logging.getLogger("gitstate")

_FAR = 2000  # so many commits are looked at before older ones are believed
_SHORTEST_INDEX = 32  # bytes; with core.skipHash zeros stand in the place of its checksum
_SLACK = 60.0  # seconds that clocks of files may be behind
DAMAGED = "damaged"
"""The folder in our private one to which packs go that did not reach the disk whole."""


def settle(repository: Repository, journal: Journal, who: Signature) -> list[Settled]:
    """Bring packs and refs to what the journal says, after a restart also empty it; call it under the store's lock.

    Doing it twice, or without need, changes nothing.

    Raises:
        CorruptionError: A branch has no revision that is whole.
        OSError: The disk refused; nothing of the journal is lost.
    """
    folder = repository.objects / "pack"
    for record in journal.records:
        packs.place(folder, packs.read(record.pack))
    _set_damaged_aside(folder, repository.private / DAMAGED, journal.began)
    reader = ObjectReader(repository)
    try:
        named = dict.fromkeys([*journal.synced, *(record.ref for record in journal.records), repository.ref])
        settled = [found for ref in named if (found := _settle_ref(repository, journal, reader, ref, who)) is not None]
        if journal.is_of_another_boot:
            _settle_index(repository, reader)
    finally:
        reader.close()
    if journal.is_of_another_boot:
        journal.begin({found.ref: found.now for found in settled})
    elif journal.is_damaged:
        journal.begin({})  # what was not touched here need not be on the disk
    return [found for found in settled if found.was != found.now]


def _settle_ref(repository: Repository, journal: Journal, source: Source, ref: str, who: Signature) -> Settled | None:
    if journal.is_of_another_boot:
        # Whoever held it is dead, and its private name may be lost.
        files.remove(repository.path(refs.target(repository, ref)) + ".lock")
    try:
        standing = refs.read(repository, ref)
        if standing is None:
            return None  # somebody deleted it: a new one is not left to the journal
    except CorruptionError:
        standing = None
    if standing is not None and not journal.is_of_another_boot:
        return None  # what can be read is as the last one left it: a person's reset is never undone
    records = [record for record in journal.records if record.ref == ref]
    synced = journal.synced.get(ref)
    logged = list(refs.logged(repository, ref))
    recorded = [record.after for record in reversed(records)]
    chain = {synced, *recorded, *(record.before for record in records)}
    # The log knows what others did after us, but may lack its end; then it does not have our last record either.
    wanted = logged + recorded if not recorded or recorded[0] in logged else recorded + logged
    if standing is not None:
        # A ref whose name reached the disk without its content holds what its file held some changes before.
        ours = bool(records) and (standing in chain or standing in _ancestors(source, records[0].before))
        wanted.insert(len(wanted) if ours else 0, standing)
    wanted += [commit for commit in (synced, records[0].before if records else None) if commit is not None]
    believed = {commit for commit in (synced, records[0].before if records else None) if commit is not None}
    whole = _Whole(source, believed)
    lost: list[ObjectId] = []
    for commit in dict.fromkeys(wanted):
        if commit in whole:
            whole.add(_ancestors(source, commit))
            refs.forget(repository, ref, lambda logged: logged not in whole)
            return _move(repository, Settled(ref, standing, commit, tuple(lost)), who)
        lost.append(commit)
    raise CorruptionError(
        f"{ref} has no revision that is whole: {', '.join(commit[:12] for commit in lost[:5])}",
        hint="fetch it from another copy of the repository",
    )


def _move(repository: Repository, settled: Settled, who: Signature) -> Settled:
    if settled.was != settled.now:
        note = "settled after a restart"
        refs.restore(repository, settled.ref, settled.now, who=who, note=note)
        _log.warning("%s was at %s and is put to %s", settled.ref, settled.was or "no commit", settled.now)
    for commit in settled.lost:
        _log.warning("%s: the revision %s is lost, not all of it reached the disk", settled.ref, commit)
    return settled


class _Whole:
    """The commits of which all that they added can be read, and all that those added that they follow.

    Args:
        source: Where objects are read.
        believed: Commits beyond which nobody looks, since they were on the disk before.
    """

    def __init__(self, source: Source, believed: Container[ObjectId]) -> None:
        self._source = source
        self._believed = believed
        self._found: dict[ObjectId, bool] = {}

    def add(self, commits: Iterable[ObjectId]) -> None:
        """Take it as known that these are whole."""
        self._found.update(dict.fromkeys(commits, True))

    def __contains__(self, commit_id: ObjectId) -> bool:
        followers: dict[ObjectId, ObjectId | None] = {commit_id: None}  # of each commit the one that led to it
        pending = [commit_id]
        read = []
        while pending and len(followers) < _FAR:
            current = pending.pop()
            if self._found.get(current):
                continue
            parents = None if current in self._found else _read_added(self._source, current)
            if parents is None:
                self._condemn(current, followers)
                return False
            read.append(current)
            for parent in () if current in self._believed else parents:
                if parent not in followers and parent not in self._believed:
                    followers[parent] = current
                    pending.append(parent)
        self.add(read)
        return True

    def _condemn(self, commit_id: ObjectId | None, followers: Mapping[ObjectId, ObjectId | None]) -> None:
        """Note that a commit is not whole, nor are those that follow it."""
        while commit_id is not None:
            self._found[commit_id] = False
            commit_id = followers[commit_id]


def _read_added(source: Source, commit_id: ObjectId) -> Sequence[ObjectId] | None:
    """Read all that a commit added, and return its parents; None: something of that cannot be read."""
    try:
        commit = graph.read(source, commit_id)
        before = graph.read(source, commit.parents[0]).tree if commit.parents else None
        for change in trees.diff(source, before, commit.tree):
            if change.after is not None and not change.after.is_submodule:
                source.read(change.after.id, "blob")
    except CorruptionError:
        return None
    return commit.parents


def _ancestors(source: Source, start: ObjectId | None) -> set[ObjectId]:
    """Return the commits before ``start``, as far as they can be read, and not all that are far away."""
    found: set[ObjectId] = set()
    pending = [] if start is None else [start]
    while pending and len(found) < _FAR:
        current = pending.pop(0)
        if current not in found:
            found.add(current)
            with suppress(CorruptionError):
                pending += graph.read(source, current).parents
    return found


def _set_damaged_aside(folder: Path, aside: Path, since: float) -> None:
    """Move packs that were written ``since`` then and did not reach the disk whole out of git's way."""
    for base in _packs_since(folder, since):
        if packs.is_sound(base):
            continue
        if packs.kind_of(base) == "plain" and files.is_sound(pack := files.read_if_there(base + ".pack")):
            packs.place(folder, packs.read(pack))  # only the index was lost
            continue
        aside.mkdir(exist_ok=True)
        for suffix in (".idx", ".pack"):
            if os.path.exists(base + suffix):
                os.rename(base + suffix, aside / (os.path.basename(base) + suffix))
        _log.warning("%s.pack did not reach the disk whole and was moved to %s", base, aside)
    files.sync_directory(folder)


def _settle_index(repository: Repository, source: Source) -> None:
    """Make git's index good, which nobody syncs: it may be torn, or name files that did not reach the disk."""
    path = repository.git_dir / "index"
    files.remove(f"{path}.lock")  # whoever held it is dead
    content = files.read_if_there(path)
    if path.exists() and not (files.is_sound(content) or (len(content) > _SHORTEST_INDEX and not any(content[-20:]))):
        aside = repository.private / DAMAGED
        aside.mkdir(exist_ok=True)
        os.rename(path, aside / "index")  # it is soon made anew
    elif refs.read_head(repository) == repository.ref:  # else it is about another branch
        try:
            _take_lost_out(repository, path, source)
        except GitStateError as error:
            _log.warning("what git's index names was not looked at: %s", error)


def _take_lost_out(repository: Repository, path: Path, source: Source) -> None:
    """Let git's index say of each file that is lost what the branch has there: with it git could not commit or gc.

    The files stay as they are. What a person staged stays too, when it can be read.
    """
    head = refs.read(repository, repository.ref)
    if head is None or repository.worktree is None:
        return
    index = gitindex.read(repository.git_dir, repository.worktree, repository.private)
    if index.conflicted:
        return
    there = dict(trees.files(source, graph.read(source, head).tree))
    for name, staged in list(index.items()):
        entry, target = staged.entry, there.get(name)
        if entry == target or entry.is_submodule or _can_read(source, entry.id):
            continue
        if target is None:
            index.remove(name)
        else:
            index.put(name, target)
    if not all(_can_read(source, tree_id, "tree") for tree_id in set(index.cached_trees())):
        index.forget_trees()  # a tree may be lost of which every file is there
    if index.changed:
        for name, _ in list(index.racy()):
            index.distrust(name)
        with LockFile(repository.private, path, index.to_bytes(), timeout=0) as lock:
            lock.replace()


def _can_read(source: Source, object_id: ObjectId, kind: Kind = "blob") -> bool:
    try:
        source.read(object_id, kind)
    except CorruptionError:
        return False
    return True


def _packs_since(folder: Path, since: float) -> list[str]:
    with os.scandir(folder) as found:
        recent = [entry.path for entry in found if _may_be_torn(entry, since - _SLACK)]
    return sorted({path.rpartition(".")[0] for path in recent if path.endswith((".pack", ".idx"))})


def _may_be_torn(entry: "os.DirEntry[str]", since: float) -> bool:
    """Whether a file was written since then; an empty one was a spare file, whose time may be that of its making."""
    try:
        status = entry.stat()
    except FileNotFoundError:  # somebody's git repacks
        return False
    return status.st_mtime >= since or not status.st_size
