"""Few packs instead of many: packs are joined into one, and go when that has each of their objects.

Nothing is ever dropped. The work is done without the store's lock, on packs that are published and so never change;
only the exchange of the old ones for the new one happens under it. The new pack is made in a folder of its own, since
in ``objects/pack`` a pack without its index is a leftover. Nobody else may work on the same packs meanwhile:
:mod:`gitstate.engine.upkeep` sees to that.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from gitstate.engine import files, packindex, packs
from gitstate.engine.packfile import PackFile
from gitstate.engine.packs import PackKind
from gitstate.engine.repository import Repository

__all__ = [
    "FOLD_AT",
    "SMALL",
    "Lock",
    "Tier",
    "due",
    "exchange",
    "forget",
    "forget_stale_index",
    "join",
    "kept",
    "packs_in",
    "place",
    "plain",
    "remove_leftovers",
    "replace",
    "workshop",
]

Lock = Callable[[], AbstractContextManager[None]]
"""Takes the store's lock for as long as the block runs."""

FOLD_AT = 32
"""As many packs of single publishes become one."""

SMALL = 1 << 20
"""Bytes of a pack from which on it is worth to be packed with deltas."""

# Bytes below which a pack belongs to a tier, and how many of it become one.
_TIERS = ((64 << 10, FOLD_AT), (SMALL, 8), (16 << 20, 16))
_AT_ONCE = 32 << 20  # bytes of packs that are joined in one go, if need be with the one that makes them more
_IN_MEMORY = 1 << 20  # bytes of packs that are joined without a file that grows
_GOING = "going"  # names what is about to be removed, should that be cut short
_NAMES = re.compile(rb"(pack-[0-9a-f]{40})\.idx")
_SUFFIXES = (".idx", ".pack", ".rev", ".bitmap", ".mtimes")


class Tier(NamedTuple):
    """Packs of about one size, without deltas, and how many of them are enough to be joined.

    ``size`` is about how many bytes they have together, and ``big`` says whether each is big.
    """

    bases: list[str]
    enough: int
    size: int = 0
    big: bool = False


def due(folder: Path) -> list[Tier]:
    """Return what of our packs in ``objects/pack`` should be joined; nearly always nothing, and cheap to ask."""
    sizes = packs_in(folder)
    tiers = []
    floor = 0
    for bound, enough in _TIERS:
        bases = sorted(base for base, size in sizes.items() if floor <= size < bound)
        if len(bases) >= enough:
            bases = plain(bases)
        if len(bases) >= enough:
            bases = _at_once(bases, sizes)
            total = sum(sizes[base] for base in bases)
            tiers.append(Tier(bases, min(enough, len(bases)), total, floor >= SMALL))
        floor = bound
    return tiers


def _at_once(bases: list[str], sizes: Mapping[str, int]) -> list[str]:
    """Return the first of some packs, as many as are joined in one go: of each object something is in memory then."""
    totals = accumulate(sizes[base] for base in bases)
    return bases[: 1 + max(1, sum(total < _AT_ONCE for total in totals))]


def plain(bases: Iterable[str]) -> list[str]:
    """Return those packs that can be joined by copying: they are ours, have no deltas, and nobody keeps them."""
    return [base for base in bases if packs.kind_of(base) == "plain" and not kept(base)]


def packs_in(folder: Path) -> dict[str, int]:
    """Return the packs in ``objects/pack``, as paths without suffix, with their sizes in bytes."""
    sizes = {}
    with os.scandir(folder) as found:
        for entry in found:
            with suppress(FileNotFoundError):  # somebody's git repacks
                if entry.name.endswith(".pack") and not entry.name.startswith("."):  # git is about to rename such a one
                    sizes[entry.path[:-5]] = entry.stat().st_size
    return sizes


def kept(base: str) -> bool:
    """Whether a pack is being published, or somebody said that it shall stay."""
    return os.path.exists(base + ".keep")


@contextmanager
def workshop(repository: Repository, name: str, lock: Lock) -> Iterator[Path]:
    """Give an empty folder to make packs in; what a dead process left there is cleared away first."""
    remove_leftovers(repository, name, lock)
    forget_stale_index(repository)
    folder = place(repository, name)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(repository: Repository, name: str, lock: Lock) -> None:
    """Clear away a workshop whose process died, and the rest of the packs that it was about to remove."""
    folder = place(repository, name)
    if not folder.exists():
        return
    with suppress(FileNotFoundError):
        going = _NAMES.findall(files.read(folder / _GOING))
        with lock():
            packs_folder = repository.objects / "pack"
            there = set(os.listdir(packs_folder))
            for pack in map(os.fsdecode, going):
                if pack + ".idx" not in there:
                    _remove(os.path.join(packs_folder, pack), there)
    shutil.rmtree(folder, ignore_errors=True)


def place(repository: Repository, name: str) -> Path:
    """Return where a workshop is."""
    return repository.objects / f"gitstate-{name}"  # on the disk of `objects/pack`, so that files can be renamed there


def join(folder: Path, shop: Path, tier: Tier, lock: Lock, kind: PackKind = "plain") -> int:
    """Copy the packs of a tier into one, as they are compressed; damaged ones stay.

    Args:
        folder: The folder ``objects/pack``.
        shop: The workshop.
        tier: What to join.
        lock: The store's.
        kind: ``"deltas"``: the new pack shall not be joined by copying again.

    Returns:
        How many packs it replaced.

    Raises:
        OSError: The disk refused; every object is still there.
        BusyError: The store's lock was not to be had; so is every pack.
    """
    base, sound = (_join_large if tier.size > _IN_MEMORY else _join_small)(shop, tier, kind)
    return replace(folder, shop, base, os.path.basename(base), sound, lock) if base else 0


def _join_small(shop: Path, tier: Tier, kind: PackKind) -> tuple[str, list[str]]:
    """Make one pack of those of a tier; return its path, nothing if they were not enough, and those that are in it."""
    entries: dict[bytes, packs.Entry] = {}
    sound = []
    for base in tier.bases:
        found = packs.read_entries(base)
        if found is not None:
            entries.update((entry.id, entry) for entry in found)
            sound.append(base)
    if len(sound) < tier.enough:
        return "", sound
    made = packs.build_entries(list(entries.values()))
    base = os.fspath(shop / packs.pack_name(made.data[-20:], kind))
    files.create(base + ".pack", made.data, mode=0o444)
    files.create(base + ".idx", made.index, mode=0o444)
    return base, sound


def _join_large(shop: Path, tier: Tier, kind: PackKind) -> tuple[str, list[str]]:
    """Do as :func:`_join_small` does, in little memory: five times what is joined would be held at once."""
    sound = []
    with closing(PackFile(shop)) as pack:
        for base in filter(packs.is_sound, tier.bases):
            with suppress(FileNotFoundError):  # somebody's git repacked it
                for entry in packs.entries(base):
                    pack.add_entry(entry.id, entry.data)
                sound.append(base)
        return pack.finish(kind) if len(sound) >= tier.enough else "", sound


def exchange(folder: Path, shop: Path, made: str, name: str, old: Sequence[str], lock: Lock) -> int:
    """Put a new pack in its place and remove those of which it has each object.

    Args:
        folder: The folder ``objects/pack``.
        shop: The workshop.
        made: The new pack in it, on the disk, without suffix.
        name: What it shall be called.
        old: The packs that it shall replace.
        lock: The store's.

    Returns:
        How many packs it replaced.

    Raises:
        OSError: The disk refused; every object is still there.
        BusyError: The store's lock was not to be had; so is every pack.
    """
    return replace(folder, shop, made, name, [base for base in old if _covers(made, base)], lock)


def replace(folder: Path, shop: Path, made: str, name: str, old: Sequence[str], lock: Lock) -> int:
    """Do as :func:`exchange` does, whether the new pack has each object of the old ones or not."""
    target = os.path.join(folder, name)
    covered = [base for base in old if base != target]
    going = "\n".join(os.path.basename(base) + ".idx" for base in covered)
    files.create(os.fspath(shop / _GOING), going.encode())
    for suffix in (".idx", ".pack"):  # in this order: a pack without an index is a leftover, the reverse is nothing
        os.rename(made + suffix, target + suffix)
    files.sync_directory(folder)
    with lock():
        if not all(os.path.exists(target + suffix) for suffix in (".idx", ".pack")):
            return 0  # somebody's cleaning was faster
        return forget(folder, [base for base in covered if not kept(base)])


def forget(folder: Path, bases: Sequence[str]) -> int:
    """Remove packs; call it under the store's lock. Return how many."""
    _forget_multi_pack_index(folder, bases)
    there = set(os.listdir(folder)) if bases else set()  # most packs have two of five files: writers wait for this
    for base in bases:
        _remove(base, there)
    return len(bases)


def _covers(made: str, base: str) -> bool:
    """Whether a pack has all the objects of another one; False also when that cannot be read."""
    try:
        return packindex.covers(made + ".idx", base + ".idx")
    except (FileNotFoundError, ValueError):
        return False


def _remove(base: str, there: set[str]) -> None:
    """Remove a pack that nobody needs, the index first, so that nobody new comes to read; of its files those that are
    there.
    """
    name = os.path.basename(base)
    for suffix in _SUFFIXES:
        if name + suffix in there:
            files.remove(base + suffix)


def forget_stale_index(repository: Repository) -> bool:
    """Remove git's index of many packs if it names one that is gone; return whether it did.

    Such a one is left when git began to write it before packs were exchanged, and ended after. git then misses the
    objects that it looks for in the lost pack, even if another pack of the same index has them.
    """
    return _forget_multi_pack_index(repository.objects / "pack", [])


def _forget_multi_pack_index(folder: Path, going: Sequence[str]) -> bool:
    """Remove git's index of many packs if it names one that goes or is gone; git reads well without, and makes another.

    https://git-scm.com/docs/gitformat-pack#_multi_pack_index_midx_files_have_the_following_format
    """
    if going and (folder / "multi-pack-index.d").is_dir():  # a chain of them, as newer gits write
        shutil.rmtree(folder / "multi-pack-index.d")
    try:
        content = files.read(folder / "multi-pack-index")
    except FileNotFoundError:
        return False
    bases = {os.path.join(folder, os.fsdecode(name)) for name in _NAMES.findall(content)}
    stale = any(base in going or not os.path.exists(base + ".pack") for base in bases)
    if stale:
        for path in [folder / "multi-pack-index", *folder.glob("multi-pack-index-*")]:
            files.remove(path)
    return stale
