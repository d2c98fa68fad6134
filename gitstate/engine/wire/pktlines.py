"""Lines as git's servers speak them, each with its length in front (https://git-scm.com/docs/protocol-common)."""

import time
from binascii import unhexlify
from collections.abc import Callable, Iterator
from typing import Protocol

from gitstate.engine.wire.channel import HungUpError
from gitstate.engine.wire.remote_words import Said

__all__ = ["FLUSH", "Progress", "Readable", "Reporter", "SpeechError", "line", "lines", "read", "sideband"]

Progress = Callable[[str, int, int | None], None]
"""Is told the stage (``"counting"``, ``"receiving"``), what is done, and of how much, if that is known."""

FLUSH = b"0000"
_LONGEST = 65520
_MOST_ASIDE = 1 << 26  # bytes that a remote may say to people; no hook needs that many
_BETWEEN = 0.1  # seconds between two reports


class SpeechError(Exception):
    """The remote says what no git server says."""


class Readable(Protocol):
    """A stream: all of ``size`` bytes, or fewer at its end."""

    def read(self, size: int, /) -> bytes:
        """Read."""


def line(data: bytes) -> bytes:
    """Return data with its length in front."""
    return b"%04x%b" % (len(data) + 4, data)


def read(stream: Readable) -> bytes | None:
    """Return the next line, None for the one that ends a section.

    Raises:
        HungUpError: The stream ended.
        SpeechError: There is no length, or none that is allowed.
    """
    head = stream.read(4)
    if len(head) < 4:
        raise HungUpError("the remote hung up")
    try:
        size = int.from_bytes(unhexlify(head), "big")
    except ValueError:
        size = 3
    if size < 3:
        return None
    if not 4 <= size <= _LONGEST + 4:
        raise SpeechError(f"it says {head!r} where a length belongs")
    data = stream.read(size - 4)
    if len(data) < size - 4:
        raise HungUpError("the remote hung up")
    return data


def lines(stream: Readable) -> Iterator[bytes]:
    """Yield the lines of a section. Raises as :func:`read` does."""
    while (data := read(stream)) is not None:
        yield data


def sideband(stream: Readable, said: Said, report: "Reporter") -> Iterator[bytes]:
    """Yield what comes on the first channel; what the remote tells people goes to ``said``, how far it is is reported.

    Raises:
        SpeechError: There is no such channel, or no end of what it tells people.
        RemoteFailedError: The remote gave up; ``said`` has its words.
    """
    aside = 0
    for data in lines(stream):
        channel, body = data[:1], data[1:]
        if channel != b"\1" or not body:
            aside += len(data) + 4
            if aside > _MOST_ASIDE:
                raise SpeechError("it talks without end")
        if channel == b"\1":
            if body:  # else it only says that it is still there
                yield body
        elif channel == b"\2":
            for told in said.hear(body):
                report(*told)
        elif channel == b"\3":
            said.fail(body)
        elif data.startswith(b"ERR "):
            said.fail(data[4:])
        else:
            raise SpeechError(f"it says {data[:40]!r}")


class Reporter:
    """Passes on how far something is, ten times a second, and each beginning of a stage."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._stage, self._next = "", 0.0
        self._held: tuple[str, int, int | None] | None = None

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report, or hold it back for a moment."""
        if self._progress is None:
            return
        now = time.monotonic()
        if stage == self._stage and now < self._next and done != total:
            self._held = (stage, done, total)
            return
        if stage != self._stage:
            self.end()
        self._stage, self._next, self._held = stage, now + _BETWEEN, None
        self._progress(stage, done, total)

    def end(self) -> None:
        """Report what was held back last."""
        held, self._held = self._held, None
        if held is not None and self._progress is not None:
            self._progress(*held)
