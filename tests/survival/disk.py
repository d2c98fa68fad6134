"""What a cut of the power leaves: a model of a disk that keeps what was synced, and of the rest whatever it likes.

A file's content is safe after a sync of the file, a name after a sync of its folder. Until then each write (by sectors
of 512 bytes), each cut and each change of a name may have reached the disk or not, whatever came of the others: on ext4
and xfs writes into old blocks overtake renames, and renames come without the content of the file. A rename is one
change: it is there or it is not.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.survival.calls import Born, Data, Effect, Name, Note, Size, Step, Sync

__all__ = ["Disk", "Image", "Loss"]

SECTOR = 512
_NEVER = 1 << 60


@dataclass(frozen=True)
class Image:
    """What stands on a disk: the file or folder of each path, and the content of each file."""

    names: dict[str, int]
    folders: frozenset[int]
    contents: dict[int, bytes]

    def write(self, root: Path) -> None:
        """Make it real in a folder that does not exist; files with several names keep them."""
        first: dict[int, str] = {}
        root.mkdir()
        for path, inode in sorted(self.names.items()):
            target = os.path.join(root, path)
            if inode in self.folders:
                os.mkdir(target)
            elif inode in first:
                os.link(first[inode], target)
            else:
                first[inode] = target
                _write_sparsely(target, self.contents[inode])

    def key(self) -> int:
        """Tell images apart."""
        return hash(frozenset((path, self.contents.get(inode)) for path, inode in self.names.items()))


Loss = Callable[[int], bool]
"""Says of a pending change, by its number, whether it is lost."""


class Disk:
    """A record of calls as a disk sees it.

    Args:
        start: What was there, and safe, before the record.
        steps: The record of :class:`tests.survival.calls.Calls`.
        root: The number of the folder that holds everything.
    """

    def __init__(self, start: Sequence[Effect], steps: Sequence[Step | Note], root: int = 1) -> None:
        self._start = tuple(start)
        self._steps = tuple(steps)
        self._root = root
        self._safe_at = self._find_syncs()

    def __len__(self) -> int:
        return len(self._steps)

    def pending(self, end: int) -> list[int]:
        """Return the steps among the first ``end`` that a cut of the power after them may undo, wholly or in part."""
        return [number for number in range(end) if self._safe_at[number] > end]

    def image(self, end: int, lost: Loss = lambda _: False, torn: random.Random | None = None) -> Image:
        """Return what the first ``end`` steps leave when those pending changes are lost that ``lost`` names.

        With ``torn``, of a write that is lost some sectors are there, and others hold what they held before, or
        nothing, or what some file left there long ago.
        """
        work = _Work()
        for effect in self._start:
            work.apply(effect)
        for number in range(end):
            step = self._steps[number]
            if isinstance(step, Note):
                continue
            gone = self._safe_at[number] > end and lost(number)
            for effect in step.effects:
                if not gone or isinstance(effect, Born):
                    work.apply(effect)
                elif torn is not None and isinstance(effect, Data):
                    work.tear(effect, torn)
        return work.image(self._root)

    def _find_syncs(self) -> list[int]:
        """Return for each step the number of steps after which all that it changed is on the disk."""
        safe = [_NEVER] * len(self._steps)
        waiting: dict[int, list[int]] = {}
        for number, step in enumerate(self._steps):
            if isinstance(step, Note):
                safe[number] = number
                continue
            concerned = set(_concerned(step.effects))
            if not concerned:
                # A write that waits for the disk (O_DSYNC) may be cut in its middle: it is safe once it returned.
                safe[number] = number + 2 if any(isinstance(effect, Data) for effect in step.effects) else number
            for inode in concerned:
                waiting.setdefault(inode, []).append(number)
            for effect in step.effects:
                if isinstance(effect, Sync):
                    for earlier in waiting.pop(effect.inode, []):
                        safe[earlier] = min(safe[earlier], number + 1)
        return safe


def _concerned(effects: Sequence[Effect]) -> Iterator[int]:
    """Yield the files and folders whose sync makes these effects safe."""
    for effect in effects:
        if isinstance(effect, Size) or (isinstance(effect, Data) and not effect.synced):
            yield effect.inode
        elif isinstance(effect, Name):
            yield effect.folder


class _Work:
    """Effects put together."""

    def __init__(self) -> None:
        self._folders: set[int] = set()
        self._files: dict[int, bytearray] = {}
        self._names: dict[int, dict[str, int]] = {}

    def apply(self, effect: Effect) -> None:
        if isinstance(effect, Born):
            if effect.folder:
                self._folders.add(effect.inode)
            else:
                self._files[effect.inode] = bytearray()
        elif isinstance(effect, Data):
            self._put(effect.inode, effect.offset, effect.data)
        elif isinstance(effect, Size):
            file = self._files[effect.inode]
            del file[effect.size :]
            file.extend(bytes(effect.size - len(file)))
        elif isinstance(effect, Name):
            names = self._names.setdefault(effect.folder, {})
            if effect.inode is None:
                names.pop(effect.name, None)
            else:
                names[effect.name] = effect.inode

    def tear(self, effect: Data, chance: random.Random) -> None:
        """Write some sectors; where the file ended before, the others are zeros or what stood there once."""
        end = effect.offset + len(effect.data)
        new = len(self._files[effect.inode])
        at = effect.offset
        while at < end:
            stop = min(end, (at // SECTOR + 1) * SECTOR)
            luck = chance.random()
            if luck < 0.5:
                self._put(effect.inode, at, effect.data[at - effect.offset : stop - effect.offset])
            elif luck < 0.7 and at >= new:
                self._put(effect.inode, at, chance.randbytes(stop - at))
            at = stop

    def image(self, root: int) -> Image:
        names = dict(self._walk(root, ""))
        contents = {inode: bytes(self._files[inode]) for inode in set(names.values()) if inode in self._files}
        return Image(names, frozenset(self._folders), contents)

    def _walk(self, folder: int, prefix: str) -> Iterator[tuple[str, int]]:
        for name, inode in self._names.get(folder, {}).items():
            yield prefix + name, inode
            if inode in self._folders:
                yield from self._walk(inode, f"{prefix}{name}/")

    def _put(self, inode: int, offset: int, data: bytes) -> None:
        file = self._files[inode]
        if len(file) < offset:
            file.extend(bytes(offset - len(file)))
        file[offset : offset + len(data)] = data


def _write_sparsely(path: str, content: bytes) -> None:
    """Write a file; a long tail of zeros takes no time and no room."""
    with open(path, "wb") as file:
        file.write(content.rstrip(b"\0"))
        file.truncate(len(content))
