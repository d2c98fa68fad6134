"""Upkeep of a store: few packs, small ones, and git's graph of the commits; by hand or, little by little, on its own.

Saves and loads go on meanwhile, and nothing is ever dropped, whether a ref reaches it or not: that is for a person's
`git gc` to do. One process at a time does upkeep on a repository.
"""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gitstate.engine import cgit, files, folding, packs, refs
from gitstate.engine.cgit import CGit
from gitstate.engine.folding import Lock, Tier
from gitstate.engine.locks import alone
from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import Repository
from gitstate.errors import BusyError, GitStateError

__all__ = ["GcReport", "gc", "remove_leftovers", "tidy"]

_log = logging.getLogger("gitstate")

_PATIENCE = 60.0  # seconds to wait for another process's upkeep
_LONGEST = 4 * 3600.0  # seconds that git may take when a person asked for it
_LONGEST_ALONE = 600.0  # seconds that it may take when nobody did
_FOLDER = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{38}")
_BIGGEST = 128 << 20  # bytes of a pack that we read whole to join it without git


@dataclass(frozen=True)
class GcReport:
    """What :func:`gc` found, did and left. Bytes are those allocated on the disk for all objects."""

    packs_before: int
    packs_after: int
    bytes_before: int
    bytes_after: int
    seconds: float
    done: tuple[str, ...]
    """Each thing that was done, or could not be, in words."""

    def __str__(self) -> str:
        sizes = f"{_megabytes(self.bytes_before)} before, {_megabytes(self.bytes_after)} after"
        counts = f"{self.packs_before} packs before, {self.packs_after} after"
        return "\n".join([*self.done, f"{sizes}; {counts}; {self.seconds:.1f} s"])


def gc(repository: Repository, lock: Lock) -> GcReport:
    """Pack all objects into one pack, with deltas if there is a C git, and write the graph of the commits.

    What is being published, and packs that somebody said shall stay (``.keep``), are left alone.

    Raises:
        BusyError: Another process does upkeep, or writes, for too long; nothing is lost.
        StorageError: The disk refused, or git failed and said why; every object is still there.
    """
    began = time.monotonic()
    with files.storage_errors(repository.objects), alone(repository.private / "upkeep", _PATIENCE) as fd:
        if fd < 0:
            raise BusyError(
                f"another process does upkeep in {repository.objects} for more than {_PATIENCE:g} s",
                hint="try again later",
            )
        before = _measure(repository)
        git = cgit.find(timeout=_LONGEST, keep_open=fd)
        with folding.workshop(repository, lock) as shop:
            if git is not None and git.can_pack:
                done = _gc_with_git(repository, shop, git, lock)
            else:
                why = "there is no git here" if git is None else f"git {git.version} is too old to pack with deltas"
                done = _gc_without_git(repository, shop, lock, why)
        after = _measure(repository)
    return GcReport(before[0], after[0], before[1], after[1], time.monotonic() - began, tuple(done))


def tidy(repository: Repository, lock: Lock, *, give_up: Callable[[], bool] = lambda: False) -> None:
    """Join packs where there are many of a size; call it now and then, not under the store's lock.

    Nearly always there is nothing to do, which takes a fraction of a millisecond. Small packs are copied together; what
    came to some megabytes is packed with deltas by C git, at the lowest priority, if there is one.

    Whatever goes wrong waits for the next time.

    Args:
        repository: What to tidy.
        lock: Takes the store's lock, for the short moment in which the new pack replaces the old ones.
        give_up: Asked every tenth of a second while git works; True stops it.
    """
    try:
        if folding.due(repository.objects / "pack"):
            with alone(repository.private / "upkeep", 0) as fd:
                if fd >= 0:
                    _tidy(
                        repository, lock, cgit.find(timeout=_LONGEST_ALONE, gently=True, keep_open=fd, give_up=give_up)
                    )
    except cgit.GaveUpError:
        pass
    except (OSError, GitStateError) as error:
        _log.info("packs of %s are left as they are for now: %s", repository.objects, error)


def remove_leftovers(repository: Repository, lock: Lock) -> None:
    """Clear away what upkeep left whose process died, unless another one is at work.

    Raises:
        OSError: The disk refused.
        BusyError: The store's lock was not to be had.
    """
    with alone(repository.private / "upkeep", 0) as fd:
        if fd >= 0:
            folding.remove_leftovers(repository, lock)


def _tidy(repository: Repository, lock: Lock, git: CGit | None) -> None:
    folder = repository.objects / "pack"
    for tier in folding.due(folder):
        with folding.workshop(repository, lock) as shop:
            if not (tier.last and git is not None and git.can_pack and _pack_again(repository, shop, git, tier, lock)):
                folding.join(folder, shop, tier, lock)


def _pack_again(repository: Repository, shop: Path, git: CGit, tier: Tier, lock: Lock) -> bool:
    """Pack a tier with deltas, and the packs that have some and are no bigger; return whether that went well."""
    folder = repository.objects / "pack"
    sound = [base for base in tier.bases if packs.read_entries(base) is not None]
    if len(sound) < tier.enough:
        return False
    sizes = folding.packs_in(folder)
    chosen = list(sound)
    total = sum(sizes.get(base, 0) for base in sound)
    for base in sorted(sizes.keys() - set(tier.bases), key=lambda base: sizes[base]):
        # So a byte is packed anew as often as the whole doubles.
        if sizes[base] <= total and packs.kind_of(base) == "deltas" and not folding.kept(base):
            chosen.append(base)
            total += sizes[base]
    try:
        git.prepare(shop)
        _pack(repository, shop, git, chosen, chosen, lock)
        _write_commit_graph(repository, shop, git)
    except GitStateError as error:
        _log.info("packs of %s stay without deltas for now: %s", repository.objects, error)
        return False
    return True


def _gc_with_git(repository: Repository, shop: Path, git: CGit, lock: Lock) -> list[str]:
    done = []
    git.prepare(shop)
    bases = [base for base in folding.packs_in(repository.objects / "pack") if _may_go(base)]
    loose = _loose_objects(repository)
    if loose or len(bases) > 1 or any(packs.kind_of(base) == "plain" for base in bases):
        sources = [*bases, git.pack_objects(shop, loose)] if loose else bases
        index = _pack(repository, shop, git, sources, bases, lock)
        _remove_loose(loose, index)
        what = f"{len(bases)} packs" + (f" and {len(loose)} loose objects" if loose else "")
        done.append(f"packed {what} into one with deltas (git {git.version})")
    if _write_commit_graph(repository, shop, git):
        done.append("wrote the graph of the commits")
    return done


def _may_go(base: str) -> bool:
    """Whether a pack may be replaced: it is whole, nobody keeps it, and git does not collect garbage in it."""
    return os.path.exists(base + ".idx") and not folding.kept(base) and not os.path.exists(base + ".mtimes")


def _gc_without_git(repository: Repository, shop: Path, lock: Lock, why: str) -> list[str]:
    folder = repository.objects / "pack"
    sizes = folding.packs_in(folder)
    bases = [base for base in sizes if sizes[base] < _BIGGEST and packs.kind_of(base) == "plain" and _may_go(base)]
    fewer = folding.join(folder, shop, Tier(bases, 2, last=True), lock)
    joined = [f"joined {fewer + 1} packs into one"] if fewer > 0 else []
    return [*joined, f"packed nothing with deltas, and wrote no graph of the commits: {why}"]


def _pack(repository: Repository, shop: Path, git: CGit, sources: list[str], old: list[str], lock: Lock) -> bytes:
    """Have git pack what ``sources`` hold, put that in the place of ``old``, and return its index."""
    made = git.pack(shop, sources)
    index = files.read(made + ".idx")
    with open(made + ".pack", "rb") as pack:
        pack.seek(-20, os.SEEK_END)
        name = packs.pack_name(pack.read(), "deltas")
    folding.exchange(repository.objects / "pack", shop, made, name, old, lock)
    return index


def _loose_objects(repository: Repository) -> dict[ObjectId, str]:
    """Return the paths of the objects that have a file of their own; we make none, a person's git does."""
    found = {}
    for folder in sorted(os.listdir(repository.objects)):
        if _FOLDER.fullmatch(folder):
            for name in os.listdir(repository.objects / folder):
                if _REST.fullmatch(name):
                    found[folder + name] = os.path.join(repository.objects, folder, name)
    return found


def _remove_loose(loose: dict[ObjectId, str], index: bytes) -> None:
    """Remove those that are in the pack with this index, which is in its place."""
    packed = list(packs.ids_by_first_byte(index))
    for object_id, path in loose.items():
        key = bytes.fromhex(object_id)
        if key in packed[key[0]]:
            files.remove(path)
    for folder in {os.path.dirname(path) for path in loose.values()}:
        with suppress(OSError):  # others are still in it
            os.rmdir(folder)


def _write_commit_graph(repository: Repository, shop: Path, git: CGit) -> bool:
    """Put a graph of our branch's commits in its place, with the commits that are in the present one."""
    head = refs.read(repository, repository.ref)
    info = repository.objects / "info"
    if (
        head is None or (info / "commit-graphs").exists()
    ):  # a chain of graphs, which other upkeep than ours goes on with
        return False
    with suppress(FileNotFoundError):
        shutil.copyfile(info / "commit-graph", shop / "objects/info/commit-graph")
    made = git.commit_graph(shop, head)
    info.mkdir(exist_ok=True)
    os.rename(
        made, info / "commit-graph"
    )  # git's lock file is not needed: whoever is last wins, and every graph is right
    return True


def _measure(repository: Repository) -> tuple[int, int]:
    """Return how many packs there are, and the bytes allocated for objects."""
    allocated = 0
    for folder, _, names in os.walk(repository.objects):
        for name in names:
            with suppress(FileNotFoundError):
                allocated += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return len(folding.packs_in(repository.objects / "pack")), allocated


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
