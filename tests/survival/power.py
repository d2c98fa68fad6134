"""Cuts of the power at any moment of a record, and what a store must make of what they leave."""

import asyncio
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gitstate import GitStateBackend
from tests.git import fsck
from tests.survival.calls import Calls, Data, Note, Step, Sync
from tests.survival.checks import history
from tests.survival.disk import Disk, Image
from tests.survival.workloads import Answer, one_save

__all__ = ["Cut", "Record", "cuts", "cuts_of_what_no_sync_kept", "losses", "record", "sync_kinds", "without_sync"]


@dataclass(frozen=True)
class Record:
    """What was done to a disk, and the commits that came of it, oldest first."""

    calls: Calls
    steps: tuple[Step | Note, ...]
    chain: tuple[str, ...]
    disk: Disk = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "disk", Disk(self.calls.start, self.steps))

    def acknowledged(self, end: int) -> int:
        """Return how many commits of the chain were answered for within the first ``end`` steps."""
        answers = [step.what for step in self.steps[:end] if isinstance(step, Note)]
        return self.chain.index(answers[-1]) + 1 if answers else 0


@dataclass(frozen=True)
class Cut:
    """A moment, what was lost then, and what is left."""

    end: int
    lost: str
    image: Image

    def ref(self) -> str | None:
        """Return where the branch stands, if it stands anywhere."""
        inode = self.image.names.get("state/.git/refs/heads/main")
        return None if inode is None else self.image.contents[inode].decode("ascii", "replace").strip()


def record(folder: Path, work: Callable[[Path, Answer], object]) -> Record:
    """Record some work on a store in a new folder."""
    folder.mkdir()
    with Calls(folder) as calls:
        work(folder / "state", calls.note)
    head = next(step.what for step in reversed(calls.steps) if isinstance(step, Note))
    return Record(calls, tuple(calls.steps), tuple(reversed(history(folder / "state", head))))


def sync_kinds(steps: Iterable[Step | Note]) -> set[str]:
    """Return the kinds of calls that wait for the disk."""
    return {step.kind for step in steps if isinstance(step, Step) and any(map(_syncs, step.effects))}


def without_sync(known: Record, kind: str) -> Record:
    """Return the record of a program that forgets to wait for the disk in one kind of call."""

    def forgetful(step: Step | Note) -> Step | Note:
        if isinstance(step, Note) or step.kind != kind:
            return step
        kept = (effect for effect in step.effects if not isinstance(effect, Sync))
        return step._replace(
            effects=tuple(effect._replace(synced=False) if isinstance(effect, Data) else effect for effect in kept)
        )

    return Record(known.calls, tuple(map(forgetful, known.steps)), known.chain)


def _syncs(effect: object) -> bool:
    return isinstance(effect, Sync) or (isinstance(effect, Data) and effect.synced)


def cuts(known: Record, ends: Iterable[int], *, singles: int, mixtures: int, seed: int = 0) -> Iterator[Cut]:
    """Yield what cuts after the first ``end`` steps may leave, nothing twice.

    Args:
        known: The record.
        ends: The moments.
        singles: How many of the pending changes to lose alone, each also as the only one that is kept; those at the end
            of the record first, so that a number above all is all of them.
        mixtures: How many random choices to make, with writes torn.
        seed: Of the random choices.
    """
    chance = random.Random(seed)
    seen: set[int] = set()
    for end in ends:
        disk = known.disk
        pending = disk.pending(end)
        found = [("everything", disk.image(end, lambda _: True)), ("nothing", disk.image(end))]
        for one in chance.sample(pending, min(singles, len(pending))):
            found.append((f"step {one}", disk.image(end, one.__eq__)))
            found.append((f"all but step {one}", disk.image(end, one.__ne__)))
        for _ in range(mixtures if pending else 0):
            share = chance.choice((0.1, 0.5, 0.9))
            gone = {step for step in pending if chance.random() < share}
            found.append((f"steps {sorted(gone)}", disk.image(end, gone.__contains__, chance)))
        for lost, image in found:
            if image.key() not in seen:
                seen.add(image.key())
                yield Cut(end, lost, image)


def cuts_of_what_no_sync_kept(known: Record, forgetful: Record, ends: Iterable[int]) -> Iterator[Cut]:
    """Yield what cuts leave that take all that the record of a program that forgets to wait for the disk has pending,
    and the record of the one that waits has not; nothing twice.
    """
    seen: set[int] = set()
    for end in ends:
        gone = set(forgetful.disk.pending(end)).difference(known.disk.pending(end))
        image = forgetful.disk.image(end, gone.__contains__)
        if gone and image.key() not in seen:
            seen.add(image.key())
            yield Cut(end, f"steps {sorted(gone)}", image)


def losses(
    known: Record, found: Iterable[Cut], scratch: Path, *, thorough: int = 10, may_lose: bool = False
) -> Iterator[str]:
    """Yield what is wrong with the stores that cuts leave: an acknowledged save that is not there, or damage.

    Each ``thorough``-th one is saved to once more, and checked by git. A store that ``may_lose`` what was acknowledged
    must say so.
    """
    for number, cut in enumerate(found):
        folder = scratch / f"cut-{number}"
        cut.image.write(folder)
        try:
            _check(known, cut, folder / "state", thorough=number % thorough == 0, may_lose=may_lose)
        except Exception as error:
            last = known.steps[cut.end - 1] if cut.end else "nothing"
            place = f"{last.name} {last.path}" if isinstance(last, Step) else str(last)
            yield f"after step {cut.end} ({place}), lost {cut.lost}: {type(error).__name__}: {error}"
        shutil.rmtree(folder)


def _check(known: Record, cut: Cut, folder: Path, *, thorough: bool, may_lose: bool) -> None:
    acknowledged = known.acknowledged(cut.end)
    head, told = asyncio.run(_open(folder))
    found = history(folder, head)
    if acknowledged or found[-1] == known.chain[0]:  # before that, whoever opens makes a new store
        assert tuple(reversed(found)) == known.chain[: len(found)]
        missing = acknowledged - len(found)
        assert missing <= 0 or may_lose, f"{acknowledged} commits were acknowledged, {len(found)} are there"
        assert told or cut.ref() in (None, head), "what was lost is not named"
    if thorough:
        head = asyncio.run(_save(folder))
        assert history(folder, head)[1:] == found
        fsck(folder)


async def _open(folder: Path) -> tuple[str, bool]:
    """Open a store and read from it; return its head, and whether it says that it had to be put right."""
    async with GitStateBackend(folder) as backend:
        await backend.list_jobs()
        return backend.store.head(), bool(backend.store.recovered)


async def _save(folder: Path) -> str:
    async with GitStateBackend(folder) as backend:
        await one_save(backend, "after", 1)
        return backend.store.head()
