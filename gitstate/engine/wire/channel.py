"""Bytes to and from another machine or a child process, never waiting longer than was said, and to be stopped.

Each wait looks at once for what comes, for room for what goes, for what a child complains about, and for somebody who
wants all this to end. So what a remote says while we send is taken in, which else could hold up both sides.
"""

import io
import re
import select
import ssl
import time
from typing import TYPE_CHECKING

from gitstate.engine.wire.connections import Connection, Ends, Stop, read_some
from gitstate.errors import ClosedError, SyncError, UnreachableError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["Channel", "HungUpError"]

_PATIENCE = 10  # so many timeouts a remote may take for ...
_LEAST = 1000  # ... so many bytes; else it only pretends to be there
_MOST_AHEAD = 1 << 20  # bytes that a remote may say before we have finished
_MOST_COMPLAINTS = 1 << 14


class HungUpError(Exception):
    """The remote ended the conversation where it must not."""


class Channel(io.RawIOBase):
    """What is read comes in whatever pieces there are; wrap it with :class:`io.BufferedReader`. Writing writes all.

    Args:
        ends: The two ends; they are closed with it.
        stop: Ends every wait.
        timeout: Seconds of silence.
        name: The remote, for messages.

    Raises:
        UnreachableError: The remote says nothing for ``timeout`` seconds, or next to nothing for ten times that.
        ClosedError: It was stopped.
        HungUpError: The remote hung up while it was sent something.
    """

    def __init__(self, ends: Ends, stop: Stop, timeout: float, name: str) -> None:
        super().__init__()
        self._ends, self._stop, self._timeout, self._name = ends, stop, timeout, name
        self._bell = stop.listen()
        self._ahead = bytearray()
        self._complaints = bytearray()
        self._hears_complaints = ends.complaints >= 0
        self._ended = False
        self._counted, self._waited = 0, 0.0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read some bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not self._ahead:
            self._ahead += self._next()
        taken = min(len(self._ahead), len(view))
        view[:taken] = self._ahead[:taken]
        del self._ahead[:taken]
        return taken

    def sendall(self, data: "ReadableBuffer") -> None:
        """Write all of the data; meanwhile take in what the remote says."""
        view = memoryview(data).cast("B")
        while view:
            self._check_stop()
            try:
                sent = self._ends.send(view)
            except OSError as error:
                raise HungUpError(str(error)) from error
            if sent:
                self._count(sent)
                view = view[sent:]
            else:
                self._wait(writing=True)
                self._take_in()

    def end_writing(self) -> None:
        """Say that nothing more comes."""
        self._ends.end_writing()

    def handshake(self, connection: "Connection", context: ssl.SSLContext, host: str) -> None:
        """Agree on TLS with a host. Raises as a handshake does, an OSError."""
        while wanted := connection.handshake(context, host):
            self._wait(writing=wanted == "write")

    def is_refused(self) -> bool:
        """Whether an HTTP server answered already, with a status that says no."""
        self._take_in()
        return re.match(rb"HTTP/1\.\d [45]\d\d", self._ahead) is not None

    def is_quiet(self) -> bool:
        """Whether the remote neither said anything that nobody asked for nor hung up."""
        self._take_in()
        return not self._ahead and not self._ended

    def complaints(self, patience: float = 0.0) -> str:
        """Return the last of what a child complained about; wait a little until it has said all."""
        end = time.monotonic() + patience
        self._hear()
        while self._hears_complaints and (left := end - time.monotonic()) > 0:
            poll = select.poll()  # `select.select` knows no descriptor above 1,023
            poll.register(self._ends.complaints, select.POLLIN)
            poll.poll(left * 1000)
            self._hear()
        return bytes(self._complaints).decode(errors="replace")

    def close(self) -> None:
        """Close both ends. Idempotent."""
        if not self.closed:
            super().close()
            self._ends.close()
            self._stop.leave(self._bell)

    def _next(self) -> bytes:
        while not self._ended:
            self._check_stop()  # of one that says more at any time nothing is waited for
            try:
                data = self._ends.receive()
            except OSError:  # reset by the remote: as good as its end
                data = b""
            if data is None:
                self._wait(writing=False)
                continue
            self._count(len(data))
            self._ended = not data
            return data
        return b""

    def _take_in(self) -> None:
        while not self._ended:
            try:
                data = self._ends.receive()
            except OSError:
                data = b""
            if data is None:
                return
            self._ended = not data
            self._ahead += data
            self._count(len(data))
            if len(self._ahead) > _MOST_AHEAD:
                raise SyncError(f"{self._name} talks before it listens", hint="it is no git server")

    def _wait(self, *, writing: bool) -> None:
        """Wait until there is something to read, or room to write as well if that is wanted."""
        begin = time.monotonic()
        end = begin + self._timeout
        while True:
            poll = select.poll()
            poll.register(self._bell[0], select.POLLIN)
            if self._hears_complaints:
                poll.register(self._ends.complaints, select.POLLIN)
            if not self._ended:
                poll.register(self._ends.reading, select.POLLIN)
            if writing:
                both = self._ends.writing == self._ends.reading and not self._ended
                poll.register(self._ends.writing, select.POLLOUT | (select.POLLIN if both else 0))
            ready = {descriptor for descriptor, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000)}
            self._check_stop()
            if self._ends.complaints in ready:
                self._hear()
            if ready - {self._ends.complaints}:
                return self._check_pace(time.monotonic() - begin)
            if time.monotonic() >= end:
                what = "takes nothing" if writing else "says nothing"
                raise UnreachableError(
                    f"{self._name} {what} for {self._timeout:g} s", hint="try again, or with a longer timeout"
                )

    def _check_stop(self) -> None:
        if self._stop.is_set:
            raise ClosedError(f"talking to {self._name} was stopped", hint="it was closed meanwhile")

    def _hear(self) -> None:
        while self._hears_complaints and (data := read_some(self._ends.complaints)) is not None:
            self._complaints += data
            del self._complaints[:-_MOST_COMPLAINTS]
            self._hears_complaints = bool(data)

    def _count(self, number: int) -> None:
        self._counted += number

    def _check_pace(self, waited: float) -> None:
        self._waited += waited
        if self._waited < _PATIENCE * self._timeout:
            return
        if self._counted < _LEAST:
            raise UnreachableError(
                f"{self._name} is too slow: {self._counted} bytes in {self._waited:.1f} s",
                hint="try again, or with a longer timeout",
            )
        self._counted, self._waited = 0, 0.0
