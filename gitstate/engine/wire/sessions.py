"""Conversations with the services of a git server, by whichever way its address names.

Each begins with what the server says of itself; then one request and its answer, or none.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Literal

from gitstate.engine.wire import pktlines
from gitstate.engine.wire.addresses import Address
from gitstate.engine.wire.channel import Channel, HungUpError
from gitstate.engine.wire.children import Child, environment, git_command, ssh_command
from gitstate.engine.wire.connections import Connection, Ends, Stop, connect
from gitstate.engine.wire.credentials import Credentials
from gitstate.engine.wire.pktlines import FLUSH, Readable, SpeechError
from gitstate.engine.wire.usersettings import UserSettings
from gitstate.errors import ClosedError

__all__ = ["Service", "Session", "open_session"]

Service = Literal["git-upload-pack", "git-receive-pack"]
Parts = Callable[[], Iterable[bytes]]

_CHUNK = 1 << 17
_IN_MEMORY = 1 << 20  # bytes; a request that is longer and of unknown size goes to a web server in chunks


class Session(ABC):
    """One conversation; close it."""

    stream: Readable
    """What the server says at first."""

    @abstractmethod
    def ask(self, parts: Parts, size: int | None) -> Readable:
        """Send a request, of ``size`` bytes if that is known; return the stream with its answer."""

    @abstractmethod
    def leave(self) -> None:
        """Say that nothing is wanted."""

    @abstractmethod
    def last_words(self) -> str:
        """Return what a program that speaks for the server complained about, once it hung up."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End it, at once if it failed."""


class _Stream(Session):
    """A connection that stays open from beginning to end."""

    def __init__(self, channel: Channel, child: Child | None = None) -> None:
        self._channel, self._child = channel, child
        self.stream = self._reader = io.BufferedReader(channel, _CHUNK)

    def ask(self, parts: Parts, size: int | None) -> Readable:  # noqa: ARG002 - nobody needs the size here
        """See :class:`Session`."""
        try:
            for part in parts():
                self._channel.sendall(part)
        except HungUpError:
            pass  # what it said before tells why
        return self.stream

    def leave(self) -> None:
        """See :class:`Session`."""
        self.ask(lambda: [FLUSH], 4)

    def last_words(self) -> str:
        """See :class:`Session`."""
        return self._channel.complaints(patience=1.0)

    def close(self, *, failed: bool) -> None:
        """See :class:`Session`."""
        self._reader.close()
        if self._child is not None:
            self._child.end(at_once=failed)


class _Web(Session):
    """Two requests: the second one repeats what matters of the first."""

    def __init__(
        self, address: Address, service: Service, credentials: Credentials, stop: Stop, timeout: float
    ) -> None:
        from gitstate.engine.wire.webclient import WebClient  # HTTP and TLS take long to load

        self._service = service
        self._client = WebClient(address, credentials, UserSettings(), stop, timeout)
        try:
            self.stream = self._client.get(f"/info/refs?service={service}", f"application/x-{service}-advertisement")
            first = pktlines.read(self.stream)
            if first is None or first.rstrip(b"\n") != f"# service={service}".encode() or pktlines.read(self.stream):
                raise SpeechError(f"it says {(first or b'')[:40]!r} where it must name {service}")
        except BaseException:
            self._client.close()
            raise

    def ask(self, parts: Parts, size: int | None) -> Readable:
        """See :class:`Session`."""
        from gitstate.engine.wire.webclient import Body

        if size is None:
            parts, size = _gathered(parts)
        kind = f"application/x-{self._service}"
        return self._client.post(f"/{self._service}", Body(f"{kind}-request", parts, size), f"{kind}-result")

    def leave(self) -> None:
        """See :class:`Session`."""

    def last_words(self) -> str:
        """See :class:`Session`."""
        return ""

    def close(self, *, failed: bool) -> None:  # noqa: ARG002 - the same
        """See :class:`Session`."""
        self._client.close()


def open_session(address: Address, service: Service, credentials: Credentials, stop: Stop, timeout: float) -> Session:
    """Begin a conversation with a service of the server at an address.

    Raises:
        SyncError: Or one of its kinds, which says what is wrong.
        HungUpError, SpeechError: The server is none.
        ClosedError: It was stopped.
        UnsupportedError: It takes a git here, and there is none.
    """
    if stop.is_set:
        raise ClosedError(f"talking to {address.shown} was stopped", hint="it was closed before")
    if address.kind == "http":
        return _Web(address, service, credentials, stop, timeout)

    def over(ends: Ends, child: Child | None = None) -> _Stream:
        return _Stream(Channel(ends, stop, timeout, address.shown), child)

    if address.kind == "git":
        session = over(Connection(connect(address.host, address.port_number, stop, timeout, address.shown)))
        request = f"{service} {address.path}\0host={address.location}\0"
        try:
            session.ask(lambda: [pktlines.line(request.encode("utf-8", "surrogateescape"))], None)
        except BaseException:
            session.close(failed=True)
            raise
        return session
    if address.kind == "ssh":
        command = ssh_command(address, service, timeout, UserSettings())
    else:
        command = git_command(service, address.path)
    if not command:
        from gitstate.engine.wire.without_git import serve

        return over(Connection(serve(service, address.path)))
    child = Child(command, environment())
    try:
        return over(child.ends, child)
    except BaseException:
        child.ends.close()
        child.end(at_once=True)
        raise


def _gathered(parts: Parts) -> tuple[Parts, int | None]:
    """Return a request whose size is not known with its size, if it is short."""
    begun, size = list[bytes](), 0
    for part in parts():
        begun.append(part)
        size += len(part)
        if size > _IN_MEMORY:
            return parts, None
    return (lambda: begun), size
