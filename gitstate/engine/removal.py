"""Takes objects out of a repository for good: out of packs and files of their own, and what git derived from them.

It must be certain by then that nothing leads to them. Whoever else works on packs is kept out by the caller.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gitstate.engine import cgit, files, folding, packs, refs, roots, upkeep
from gitstate.engine.folding import Lock
from gitstate.engine.objects import ObjectId
from gitstate.engine.packfile import PackFile
from gitstate.engine.packs import PackKind
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository

__all__ = ["Going", "gone", "holds", "remove"]

_LONGEST = 4 * 3600.0  # seconds that git may take
_OLD = 600.0  # seconds after which a file that git had not finished is nobody's
_UNFINISHED = re.compile(r"(tmp_|\.tmp-)")


class Going(NamedTuple):
    """Objects that are to go, by their ids, and the packs that there were when that was decided.

    One of them may be written anew by somebody meanwhile, into another pack: there it stays.
    """

    ids: frozenset[bytes]
    bases: tuple[str, ...]


def gone(repository: Repository, was: Iterable[ObjectId], erased: Callable[[bytes], bytes] | None = None) -> Going:
    """Return the objects that are to go from the disk: those to which nothing leads any more.

    In a repository that is somebody's project they go only if they were the store's: if something led to them that is
    no more, if they are in a pack of ours, or if they hold what was erased, or lead to such a one.

    Args:
        repository: The repository, with its refs as they are now.
        was: The commits and tags at which refs stood before.
        erased: Gives the content of an object without what was erased.

    Raises:
        CorruptionError: git's index of a worktree is damaged.
        OSError: The disk refused.
    """
    bases = tuple(folding.packs_in(repository.objects / "pack"))
    lost = roots.lost(repository)
    if not upkeep.is_guest(repository):
        return Going(frozenset(lost), bases)
    ours = {key for base in bases if packs.kind_of(base) is not None for key in roots.packed(base)}
    going = lost & (ours | roots.reached(repository, was))
    return Going(frozenset(going if erased is None else going | _tainted(repository, lost, going, erased)), bases)


def holds(repository: Repository, keys: Iterable[bytes], erased: Callable[[bytes], bytes]) -> bool:
    """Whether one of some objects holds what was erased. Raises CorruptionError: one is damaged."""
    reader = ObjectReader(repository)
    try:
        found = (reader.any(key.hex()) for key in keys)
        return any(kind != "tree" and erased(body) != body for kind, body in found)
    finally:
        reader.close()


def _tainted(
    repository: Repository, lost: Collection[bytes], going: Collection[bytes], erased: Callable[[bytes], bytes]
) -> set[bytes]:
    """Return those of the lost objects that hold what was erased, or lead to one that goes."""
    reader = ObjectReader(repository)
    tainted, named_by = set(going), dict[bytes, list[bytes]]()
    try:
        for key in lost:
            kind, body = reader.any(key.hex())
            for named in roots.leads_to(kind, body):
                named_by.setdefault(named, []).append(key)
            if kind != "tree" and erased(body) != body:
                tainted.add(key)
    finally:
        reader.close()
    pending = list(tainted)
    while pending:
        above = [key for key in named_by.pop(pending.pop(), ()) if key not in tainted]
        tainted.update(above)
        pending += above
    return tainted


def remove(repository: Repository, going: Going, lock: Lock, *, keep_open: int = -1) -> None:
    """Remove objects, and what names them: indexes of many packs, the graph of the commits.

    Args:
        repository: The repository.
        going: The objects.
        lock: Takes the store's lock.
        keep_open: A descriptor that stays open as long as a git runs that packs what stays.

    Raises:
        StorageError: git failed; what was to go may still be there.
        OSError: The disk refused; as above.
        BusyError: The store's lock was not to be had; as above.
    """
    folder = repository.objects / "pack"
    bases = [base for base in folding.packs_in(folder) if base in going.bases]
    there = {base: roots.packed(base) for base in bases}
    touched = [base for base, ids in there.items() if not ids.isdisjoint(going.ids)]
    if touched and not upkeep.is_guest(repository):
        touched = list(dict.fromkeys([*touched, *folding.plain(bases)]))  # the rest of ours goes into the same pack
    _forget_graph(repository)
    with folding.workshop(repository, "upkeep", lock) as shop:
        git = cgit.find(timeout=_LONGEST, keep_open=keep_open)
        git = git if git is not None and git.can_pack else None
        if git is not None:
            git.prepare(shop)
        staying = set().union(*(there[base] for base in touched)) - going.ids
        if staying:
            kind: PackKind = "plain" if git is None else "deltas"
            made = (
                _pack_of(repository, shop, touched, staying)
                if git is None
                else git.pack_objects(shop, sorted(key.hex() for key in staying))
            )
            with open(made + ".pack", "rb") as pack:
                pack.seek(-20, os.SEEK_END)
                name = packs.pack_name(pack.read(), kind)
            _release(folder / name, touched)
            folding.replace(folder, shop, made, name, touched, lock)
        elif touched:
            _release(None, touched)
            _drop(repository, touched, lock)
        _remove_loose(repository, going.ids)
        _remove_unfinished(repository)
        if git is not None:
            upkeep.write_commit_graph(repository, shop, git)
    _tell_dumb_servers(repository)


def _pack_of(repository: Repository, shop: Path, bases: Iterable[str], staying: Collection[bytes]) -> str:
    """Pack what stays of some packs without C git."""
    pack = PackFile(shop)
    reader = ObjectReader(repository)
    try:
        for base in bases:
            if packs.kind_of(base) == "plain" and packs.is_sound(base):
                with suppress(FileNotFoundError):  # somebody's git repacked it
                    for entry in packs.entries(base):
                        if entry.id in staying:
                            pack.add_entry(entry.id, entry.data)
            else:
                for key in sorted(roots.packed(base).intersection(staying)):
                    pack.add(*reader.any(key.hex()))
        return pack.finish()
    finally:
        reader.close()
        pack.close()


def _release(target: Path | None, bases: Iterable[str]) -> None:
    """Let packs go that somebody keeps; what is left of them is kept in their place, as people said."""
    for base in bases:
        with suppress(FileNotFoundError):
            said = files.read(base + ".keep")
            if said != packs.KEEP and target is not None:
                files.overwrite(f"{target}.keep", said, durable=False)
            files.remove(base + ".keep")


def _drop(repository: Repository, bases: Sequence[str], lock: Lock) -> None:
    """Remove packs of which nothing stays."""
    with lock():
        folding.forget(repository.objects / "pack", bases)


def _remove_loose(repository: Repository, going: Collection[bytes]) -> None:
    for object_id, path in upkeep.loose_objects(repository).items():
        if bytes.fromhex(object_id) in going:
            files.remove(path)
            with suppress(OSError):  # others are in it
                os.rmdir(os.path.dirname(path))


def _remove_unfinished(repository: Repository) -> None:
    """Remove what gits that died were about to make objects of."""
    end = time.time() - _OLD
    for place, folders, names in os.walk(repository.objects):
        for name in (*folders, *names):
            path = os.path.join(place, name)
            with suppress(FileNotFoundError):
                if _UNFINISHED.match(name) and os.lstat(path).st_mtime < end:
                    if os.path.isdir(path) and not os.path.islink(path):
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        files.remove(path)


def _forget_graph(repository: Repository) -> None:
    info = repository.objects / "info"
    files.remove(info / "commit-graph")
    shutil.rmtree(info / "commit-graphs", ignore_errors=True)


def _tell_dumb_servers(repository: Repository) -> None:
    """Write anew what `git update-server-info` wrote, where it did."""
    listed = repository.objects / "info" / "packs"
    if listed.exists():
        names = sorted(os.path.basename(base) for base in folding.packs_in(repository.objects / "pack"))
        text = "".join(f"P {name}.pack\n" for name in names) + "\n"
        files.overwrite(os.fspath(listed), os.fsencode(text), durable=False)
    told = repository.common_dir / "info" / "refs"
    if told.exists():
        found = ((name, refs.read(repository, name)) for name in sorted(set(refs.names(repository))))
        lines = [f"{commit_id}\t{name}\n" for name, commit_id in found if commit_id is not None]
        files.overwrite(os.fspath(told), os.fsencode("".join(lines)), durable=False)
