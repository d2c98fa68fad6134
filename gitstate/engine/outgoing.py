"""What a push sends: the objects that some commits have in their history and the remote has not, as a pack."""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from gitstate.engine import packs

__all__ = ["PackSource"]

_CHUNK = 1 << 16  # bytes that are given at once


class PackSource:
    """A pack to be sent. Use it as a context: what lies on the disk for it goes at the end.

    It is either a number of objects, which are read when they are asked for, or a finished pack in a file. A finished
    one is thin: it has deltas against objects that the receiver has.

    Args:
        count: How many objects it has.
        objects: Gives their kinds (``"commit"``, ``"tree"``, ``"blob"`` or ``"tag"``) and bodies.
        path: Where the finished pack lies, in a folder of its own.
    """

    def __init__(
        self,
        count: int,
        objects: Callable[[], Iterable[tuple[str, bytes]]] = lambda: (),
        path: Path | None = None,
    ) -> None:
        self.count = count
        self.path = path
        self._objects = objects

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Yield kinds and bodies, as often as one likes; nothing of a finished pack.

        Raises:
            CorruptionError: An object is missing or damaged; the message names it.
        """
        yield from self._objects()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the pack, as they are sent, whichever form it has; as often as one likes.

        Raises:
            CorruptionError: An object is missing or damaged; the message names it.
            OSError: The file cannot be read.
        """
        if self.path is not None:
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
            return
        digest = hashlib.sha1(usedforsecurity=False)
        gathered = bytearray(packs.header(self.count))
        for kind, body in self._objects():
            gathered += packs.encode(kind, body)
            if len(gathered) >= _CHUNK:
                digest.update(gathered)
                yield bytes(gathered)
                gathered.clear()
        digest.update(gathered)
        yield bytes(gathered) + digest.digest()

    def close(self) -> None:
        """Remove what lies on the disk for it. Idempotent."""
        if self.path is not None:
            shutil.rmtree(self.path.parent, ignore_errors=True)
