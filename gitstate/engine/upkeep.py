"""Upkeep of a store: few packs, small ones, and git's graph of the commits; by hand or, little by little, on its own.

Saves and loads go on meanwhile, and nothing is ever dropped, whether a ref reaches it or not: that is for a person's
`git gc` to do. Two locked files tell who may work on which packs: who holds ``fold`` on the small ones without deltas,
which cannot wait while saves come in, who holds ``upkeep`` on all others, which takes its time.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Iterable, Set
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gitstate.engine import cgit, files, folding, packindex, packs, refs, threads
from gitstate.engine.cgit import CGit
from gitstate.engine.folding import Lock, Tier
from gitstate.engine.locks import alone
from gitstate.engine.objects import ObjectId
from gitstate.engine.packs import PackKind
from gitstate.engine.repository import Repository
from gitstate.errors import BusyError, CorruptionError, GitStateError, StorageError

__all__ = [
    "GcReport",
    "Packer",
    "gc",
    "is_guest",
    "leftovers",
    "loose_objects",
    "remove_leftovers",
    "tidy",
    "write_commit_graph",
]

_log = logging.getLogger("gitstate")

_WORKS = ("fold", "upkeep")  # each with its locked file and its workshop
_PATIENCE = 60.0  # seconds to wait for another process's upkeep
_LONGEST = 4 * 3600.0  # seconds that git may take when a person asked for it
_LONGEST_ALONE = 600.0  # seconds that it may take when nobody did
_PACK_AT = 4  # as many packs of a megabyte or more are packed with deltas
_MANY_FETCHED = 8  # packs with deltas, of which all but the largest become one
_PAUSE = 600.0  # seconds until packing that failed is tried again
_FOLDER = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{38}")
_ATTEMPTS = 5  # to pack all, when packs go while they are packed
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
        sizes = f"{_in_units(self.bytes_before)} before, {_in_units(self.bytes_after)} after"
        counts = f"{self.packs_before} packs before, {self.packs_after} after"
        return "\n".join([*self.done, f"{sizes}; {counts}; {self.seconds:.1f} s"])


def gc(repository: Repository, lock: Lock) -> GcReport:
    """Pack all objects into one pack, with deltas if there is a C git, and write the graph of the commits.

    What is being published, and packs that somebody said shall stay (``.keep``), are left alone. So is all that is not
    ours in a repository in which another branch is checked out: that is for its people's `git gc`.

    Raises:
        BusyError: Another process does upkeep, or writes, for too long; nothing is lost.
        StorageError: The disk refused, or git failed and said why; every object is still there.
    """
    began = time.monotonic()
    with files.storage_errors(repository.objects), alone(repository.private / "upkeep", _PATIENCE) as fd:
        if fd < 0:
            raise BusyError(f"another process does upkeep for more than {_PATIENCE:g} s", hint="try again later")
        before = _measure(repository)
        git = cgit.find(timeout=_LONGEST, keep_open=fd)
        if git is not None and git.can_pack:
            done = _gc_with_git(repository, git, lock)
        else:
            why = "there is no git here" if git is None else f"git {git.version} is too old to pack with deltas"
            done = _gc_without_git(repository, lock, why)
        after = _measure(repository)
    return GcReport(before[0], after[0], before[1], after[1], time.monotonic() - began, tuple(done))


def tidy(repository: Repository, lock: Lock) -> None:
    """Join packs by copying where there are many of a size; call it now and then, not under the store's lock.

    Nearly always there is nothing to do, which takes a fraction of a millisecond. Whatever goes wrong waits for the
    next time; every object is still there.
    """
    folder = repository.objects / "pack"
    try:
        if folding.due(folder):
            with alone(repository.private / "fold", 0) as fd:
                for tier in folding.due(folder) if fd >= 0 else []:
                    _join(repository, tier, lock)
    except (OSError, GitStateError) as error:
        _log.warning("joining packs of %s waits for the next time: %s", repository.objects, error)


class Packer:
    """Packs with deltas, in a thread of its own, what came together; it needs C git, and does nothing without.

    git runs at the lowest priority. Whatever goes wrong is tried again some time later.

    Args:
        repository: Where to pack.
        lock: Takes the store's lock, for the short moment in which the new pack replaces the old ones.
    """

    def __init__(self, repository: Repository, lock: Lock) -> None:
        self._repository = repository
        self._lock = lock
        self._thread: threading.Thread | None = None
        self._not_before = 0.0  # by the monotonic clock
        self._stopping = False

    def start_if_due(self) -> None:
        """Begin to pack if there is enough to be packed; call it from one thread, now and then, not under the lock."""
        running = self._thread is not None and self._thread.is_alive()
        if running or self._stopping or time.monotonic() < self._not_before or not _big(self._repository):
            return
        self._thread = threads.started(
            self._run, "gitstate-packer", f"packing {self._repository.objects} waits for the next time"
        )

    def stop(self) -> None:
        """Give up what runs, and begin nothing more."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            with alone(self._repository.private / "upkeep", 0) as fd:
                if fd >= 0:
                    git = cgit.find(timeout=_LONGEST_ALONE, gently=True, keep_open=fd, give_up=lambda: self._stopping)
                    if git is not None and git.can_pack:
                        _pack_big(self._repository, git, self._lock)
                        return
        except cgit.GaveUpError:
            return
        except (OSError, GitStateError) as error:
            _log.warning("packing %s waits for the next time: %s", self._repository.objects, error)
        self._not_before = time.monotonic() + _PAUSE


def leftovers(repository: Repository) -> list[str]:
    """Return the names of the folders below the objects in which somebody worked who died."""
    left = []
    for work in _WORKS:
        folder = folding.place(repository, work)
        if folder.exists():
            with alone(repository.private / work, 0) as fd:
                if fd >= 0 and folder.exists():
                    left.append(folder.name)
    return left


def remove_leftovers(repository: Repository, lock: Lock) -> None:
    """Clear away what upkeep left whose process died, unless another one is at work.

    Raises:
        OSError: The disk refused.
        BusyError: The store's lock was not to be had.
    """
    for work in _WORKS:
        if folding.place(repository, work).exists():
            with alone(repository.private / work, 0) as fd:
                if fd >= 0:
                    folding.remove_leftovers(repository, work, lock)


def _join(repository: Repository, tier: Tier, lock: Lock) -> None:
    with alone(repository.private / "upkeep", 0) if tier.big else nullcontext(0) as fd:
        if fd >= 0:
            with folding.workshop(repository, "fold", lock) as shop:
                folding.join(repository.objects / "pack", shop, tier, lock)


def _big(repository: Repository) -> list[str]:
    """Return the packs without deltas that are worth to be packed with them, or none as long as they are few.

    Packs that were fetched may be many and have deltas; then those are worth it, without the largest.
    """
    sizes = folding.packs_in(repository.objects / "pack")
    big = [base for base, size in sizes.items() if size >= folding.SMALL]
    if len(big) >= _PACK_AT:
        big = folding.plain(big)
    if len(big) >= _PACK_AT or len(sizes) < _MANY_FETCHED:
        return big if len(big) >= _PACK_AT else []
    fetched = [base for base in sizes if packs.kind_of(base) == "deltas" and not folding.kept(base)]
    return sorted(fetched, key=lambda base: sizes[base])[:-1] if len(fetched) >= _MANY_FETCHED else []


def _pack_big(repository: Repository, git: CGit, lock: Lock) -> None:
    """Pack with deltas what came together, and the packs with deltas that are no bigger."""
    chosen = [base for base in _big(repository) if packs.is_sound(base)]  # a damaged one stays
    if not chosen:
        return
    sizes = folding.packs_in(repository.objects / "pack")
    total = sum(sizes.get(base, 0) for base in chosen)
    for base in sorted(sizes, key=lambda base: sizes[base]):
        # So a byte is packed anew as often as the whole doubles.
        if base in chosen:
            continue
        if sizes[base] <= total and packs.kind_of(base) == "deltas" and not folding.kept(base):
            chosen.append(base)
            total += sizes[base]
    with folding.workshop(repository, "upkeep", lock) as shop:
        git.prepare(shop)
        _pack(repository, shop, git, chosen, chosen, lock)
        write_commit_graph(repository, shop, git)


def _gc_with_git(repository: Repository, git: CGit, lock: Lock) -> list[str]:
    gathered = _join_plain(repository, lock, folding.SMALL, "deltas")
    guest = is_guest(repository)
    for attempt in range(1, _ATTEMPTS + 1):
        sizes = folding.packs_in(repository.objects / "pack")
        plain = {base for base in sizes if packs.kind_of(base) == "plain"}
        bases = [base for base in sizes if _may_go(base) and (base not in plain or sizes[base] >= folding.SMALL)]
        if guest:
            bases = [base for base in bases if packs.kind_of(base) is not None]
        loose = {} if guest else loose_objects(repository)
        worthwhile = bool(loose or gathered or len(bases) > 1 or plain.intersection(bases))
        try:
            done = _pack_all(repository, git, bases if worthwhile else [], loose, lock)
        except StorageError:
            used = [*loose.values(), *(base + suffix for base in bases for suffix in (".idx", ".pack"))]
            disturbed = not all(map(os.path.exists, used)) or folding.forget_stale_index(repository)
            if attempt == _ATTEMPTS or not disturbed:
                raise  # otherwise a person's git packed, pruned or indexed at the same time
        else:
            break
    return done


def _pack_all(repository: Repository, git: CGit, bases: list[str], loose: dict[ObjectId, str], lock: Lock) -> list[str]:
    """Have git pack all of this, and write the graph of the commits; say what was done."""
    done = []
    with folding.workshop(repository, "upkeep", lock) as shop:
        git.prepare(shop)
        if bases or loose:
            sources = [*bases, git.pack_objects(shop, loose)] if loose else bases
            _remove_loose(loose, _pack(repository, shop, git, sources, bases, lock, loose))
            what = f"everything, {len(loose)} loose objects among it," if loose else "everything"
            what = "what the store wrote" if is_guest(repository) else what
            done.append(f"packed {what} into one pack with deltas (git {git.version})")
        done.append(write_commit_graph(repository, shop, git))
    return done


def _gc_without_git(repository: Repository, lock: Lock, why: str) -> list[str]:
    joined = _join_plain(repository, lock, _BIGGEST, "plain")
    said = [f"joined {joined} packs into one"] if joined > 1 else []
    return [*said, f"packed nothing with deltas, and wrote no graph of the commits: {why}"]


def _join_plain(repository: Repository, lock: Lock, below: int, kind: PackKind) -> int:
    """Join all our packs without deltas that are smaller than so many bytes; return how many they were."""
    folder = repository.objects / "pack"
    with alone(repository.private / "fold", _PATIENCE) as fd:
        if fd < 0:
            raise BusyError(f"another process joins packs for more than {_PATIENCE:g} s", hint="try again later")
        sizes = folding.packs_in(folder)
        bases = folding.plain([base for base, size in sizes.items() if size < below])
        if len(bases) + (kind == "deltas") < 2:
            return 0
        with folding.workshop(repository, "fold", lock) as shop:
            return folding.join(folder, shop, Tier(bases, 1, sum(sizes[base] for base in bases)), lock, kind)


def _may_go(base: str) -> bool:
    """Whether a pack may be replaced: it is whole, nobody keeps it, and git does not collect garbage in it."""
    return os.path.exists(base + ".idx") and not folding.kept(base) and not os.path.exists(base + ".mtimes")


def _pack(
    repository: Repository,
    shop: Path,
    git: CGit,
    sources: list[str],
    old: list[str],
    lock: Lock,
    wanted: Iterable[ObjectId] = (),
) -> set[bytes]:
    """Have git pack what ``sources`` hold, put that in the place of ``old``, and return what of ``wanted`` is in it."""
    made = git.pack(shop, sources)
    found = packindex.among(made + ".idx", {bytes.fromhex(object_id) for object_id in wanted}) if wanted else set()
    with open(made + ".pack", "rb") as pack:
        pack.seek(-20, os.SEEK_END)
        name = packs.pack_name(pack.read(), "deltas")
    folding.exchange(repository.objects / "pack", shop, made, name, old, lock)
    return found


def loose_objects(repository: Repository) -> dict[ObjectId, str]:
    """Return the paths of the objects that have a file of their own; we make none, a person's git does."""
    found = {}
    for folder in sorted(os.listdir(repository.objects)):
        if _FOLDER.fullmatch(folder):
            for name in os.listdir(repository.objects / folder):
                if _REST.fullmatch(name):
                    found[folder + name] = os.path.join(repository.objects, folder, name)
    return found


def _remove_loose(loose: dict[ObjectId, str], packed: Set[bytes]) -> None:
    """Remove those that are in a pack, which is in its place."""
    for object_id, path in loose.items():
        if bytes.fromhex(object_id) in packed:
            files.remove(path)
    for folder in {os.path.dirname(path) for path in loose.values()}:
        with suppress(OSError):  # others are still in it
            os.rmdir(folder)


def write_commit_graph(repository: Repository, shop: Path, git: CGit) -> str:
    """Put a graph of the commits that refs reach in its place; say what was done, or why not."""
    info = repository.objects / "info"
    if is_guest(repository):
        return "left the graph of the commits, and packs that are not ours, to the project's `git gc`"
    if (info / "commit-graphs").exists():
        return "left the graph of the commits, which is in parts, to those who keep it"
    heads = set()
    for name in refs.names(repository):
        with suppress(CorruptionError):  # a broken ref reaches nothing
            heads.add(refs.read(repository, name) or "")
    if not heads - {""}:
        return "wrote no graph of the commits: there are none"
    try:
        made = git.commit_graph(shop, heads - {""})
    except StorageError as error:
        return f"wrote no graph of the commits: {error.message}"
    info.mkdir(exist_ok=True)
    os.rename(made, info / "commit-graph")  # without git's lock file: whoever is last wins, and every graph is right
    return "wrote the graph of the commits"


def is_guest(repository: Repository) -> bool:
    """Whether the store is a guest in somebody's repository, in which another branch is checked out."""
    return refs.read_head(replace(repository, git_dir=repository.common_dir)) != repository.ref


def _measure(repository: Repository) -> tuple[int, int]:
    """Return how many packs there are, and the bytes allocated for objects."""
    allocated = 0
    for folder, _, names in os.walk(repository.objects):
        for name in names:
            with suppress(FileNotFoundError):
                allocated += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return len(folding.packs_in(repository.objects / "pack")), allocated


def _in_units(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{size / 1000:.0f} KB"
