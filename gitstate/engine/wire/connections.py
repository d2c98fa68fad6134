"""Both ends of a connection: sockets, with TLS or without, and the pipes of a child. None of them ever waits."""

import errno
import os
import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gitstate.engine import threads
from gitstate.errors import ClosedError, UnreachableError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["Connection", "Ends", "Pipes", "Stop", "connect", "read_some"]

_CHUNK = 1 << 16
_IN_PROGRESS = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR}
_HEAD_START = 0.25  # seconds that one of a host's addresses has before the next one is tried as well
_LOOK_EVERY = 0.05  # seconds between two looks whether to stop


class Stop:
    """Lets another thread end all that waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bells: set[int] = set()
        self.is_set = False

    def set(self) -> None:
        """End what waits, now and from now on."""
        with self._lock:
            self.is_set = True
            for bell in self._bells:
                os.write(bell, b"!")

    def listen(self) -> tuple[int, int]:
        """Return a pair of descriptors for :meth:`leave`; the first becomes readable at the end."""
        heard, bell = os.pipe()
        with self._lock:
            self._bells.add(bell)
            if self.is_set:
                os.write(bell, b"!")
        return heard, bell

    def leave(self, pair: tuple[int, int]) -> None:
        """Close a pair."""
        with self._lock:
            self._bells.discard(pair[1])
        for each in pair:
            os.close(each)


class Ends(Protocol):
    """Both ends of a connection, which never wait: None, or 0, means that it is to be tried again."""

    reading: int
    """The descriptor to look at before reading again."""
    writing: int
    complaints: int
    """Where a child complains; -1: there is none."""

    def receive(self) -> bytes | None:
        """Return some bytes; none at the end."""

    def send(self, data: "ReadableBuffer") -> int:
        """Send some of the bytes; return how many."""

    def end_writing(self) -> None:
        """Say that nothing more comes."""

    def close(self) -> None:
        """Close both ends."""


class Connection(Ends):
    """A socket, plain or with TLS, that does not block."""

    complaints = -1

    def __init__(self, connected: socket.socket) -> None:
        self._socket: socket.socket = connected
        self.reading = self.writing = connected.fileno()

    def handshake(self, context: ssl.SSLContext, host: str) -> Literal["read", "write", ""]:
        """Go on agreeing on TLS; return what is to be waited for, or nothing when that is done."""
        if not isinstance(self._socket, ssl.SSLSocket):
            self._socket = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return "read"
        except ssl.SSLWantWriteError:
            return "write"
        return ""

    def receive(self) -> bytes | None:
        """See :class:`Ends`."""
        try:
            return self._socket.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def send(self, data: "ReadableBuffer") -> int:
        """See :class:`Ends`."""
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def end_writing(self) -> None:
        """See :class:`Ends`."""
        if not isinstance(self._socket, ssl.SSLSocket):
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """See :class:`Ends`."""
        self._socket.close()


class Pipes(Ends):
    """The standard streams of a child; it owns the descriptors."""

    def __init__(self, stdin: int, stdout: int, stderr: int) -> None:
        self.writing, self.reading, self.complaints = stdin, stdout, stderr
        for each in (stdin, stdout, stderr):
            os.set_blocking(each, False)

    def receive(self) -> bytes | None:
        """See :class:`Ends`."""
        return read_some(self.reading)

    def send(self, data: "ReadableBuffer") -> int:
        """See :class:`Ends`."""
        try:
            return os.write(self.writing, memoryview(data)[:_CHUNK])
        except BlockingIOError:
            return 0

    def end_writing(self) -> None:
        """See :class:`Ends`."""
        if self.writing >= 0:
            os.close(self.writing)
        self.writing = -1

    def close(self) -> None:
        """See :class:`Ends`."""
        self.end_writing()
        for each in {self.reading, self.complaints} - {-1}:
            os.close(each)
        self.reading = self.complaints = -1


def connect(host: str, port: int, stop: Stop, timeout: float, name: str) -> socket.socket:
    """Connect to a port; the socket does not block.

    A host's addresses are tried in the order that the system gives, the next one when one fails or has not answered
    after a moment: of a host with IPv6 and IPv4 one may lead nowhere (https://www.rfc-editor.org/rfc/rfc8305).

    Raises:
        UnreachableError: The name is not known, or nobody answers.
        ClosedError: It was stopped.
    """
    end = time.monotonic() + timeout
    places = _resolve(host, port, stop, end, name)
    problem = "it has no address"
    begun: list[socket.socket] = []
    bell = stop.listen()
    try:
        while places or begun:
            if places:
                problem = _begin(places.pop(0), begun) or problem
            for connecting in _answered(begun, bell[0], min(end, time.monotonic() + _HEAD_START) if places else end):
                begun.remove(connecting)
                code = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0:
                    return connecting
                connecting.close()
                problem = os.strerror(code)
            if stop.is_set:
                raise ClosedError(f"connecting to {name} was stopped", hint="it was closed meanwhile")
            if begun and time.monotonic() >= end:
                raise UnreachableError(f"{name} does not answer in time", hint="check the address and the network")
    finally:
        for connecting in begun:
            connecting.close()
        stop.leave(bell)
    raise UnreachableError(f"{name} cannot be reached: {problem}", hint="check the address, and that its server runs")


def _begin(place: tuple[Any, ...], begun: list[socket.socket]) -> str:
    """Begin to connect to one of a host's addresses; return what is in the way, if that is known at once."""
    family, kind, protocol, _, address = place
    try:
        connecting = socket.socket(family, kind, protocol)
    except OSError as error:  # such as IPv6 on a machine without
        return error.strerror or str(error)
    begun.append(connecting)
    connecting.setblocking(False)
    connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = connecting.connect_ex(address)
    if code in _IN_PROGRESS:
        return ""
    begun.remove(connecting)
    connecting.close()
    return os.strerror(code)


def _answered(begun: list[socket.socket], bell: int, end: float) -> list[socket.socket]:
    """Wait until a connection is made or failed, or the bell rings; return those."""
    if not begun:
        return []
    poll = select.poll()
    poll.register(bell, select.POLLIN)
    for each in begun:
        poll.register(each, select.POLLOUT)
    ready = {descriptor for descriptor, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000)}
    return [each for each in begun if each.fileno() in ready]


def _resolve(host: str, port: int, stop: Stop, end: float, name: str) -> list[tuple[Any, ...]]:
    """Ask for a host's addresses in a thread: the system knows no timeout for that."""
    found: list[tuple[Any, ...]] = []
    problems: list[str] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            problems.append(str(getattr(error, "strerror", "") or error))
        answered.set()

    answered = threading.Event()
    if threads.started(ask, "gitstate-resolve") is None:
        ask()
    while not answered.wait(_LOOK_EVERY):
        if stop.is_set:
            raise ClosedError(f"connecting to {name} was stopped", hint="it was closed meanwhile")
        if time.monotonic() > end:
            raise UnreachableError(f"{name}: nobody says in time where {host} is", hint="check the network")
    if problems:
        raise UnreachableError(
            f"{name} cannot be reached: the name {host} is not known ({problems[0]})",
            hint="check the address and the network",
        )
    return found


def read_some(descriptor: int) -> bytes | None:
    """Read what there is; None: nothing yet."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None
