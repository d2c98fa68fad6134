"""Requests to a git server over HTTP: credentials where it wants them, redirects, failures as our errors.

As git does it by default, the first request alone may be sent elsewhere, and never from https to http. What was shown
to one host is not shown to another.
"""

import http.client
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

from gitstate.engine.wire import addresses, webfailures
from gitstate.engine.wire.addresses import Address
from gitstate.engine.wire.channel import Channel, HungUpError
from gitstate.engine.wire.connections import Stop
from gitstate.engine.wire.credentials import Credentials, Shown
from gitstate.engine.wire.remote_words import visible
from gitstate.engine.wire.usersettings import UserSettings
from gitstate.engine.wire.web_connection import Proxy, Response, open_channel
from gitstate.errors import InvalidInputError, NoRepositoryError, SyncError, UnreachableError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Body", "WebClient"]

_MOST_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_AGENT = "git/gitstate"  # forges look whether it begins with "git/"
_REST = 1 << 16  # bytes of an answer that are read so that the connection can be used again
_CHUNK = 1 << 17


class Body(NamedTuple):
    """What is sent; ``size`` None: nobody knows, and it goes in chunks. ``parts`` gives it, as often as one asks."""

    kind: str
    parts: Callable[[], Iterable[bytes]]
    size: int | None


class WebClient:
    """One conversation with one server, over as few connections as it lets us. :meth:`close` ends it."""

    def __init__(
        self, address: Address, credentials: Credentials, settings: UserSettings, stop: Stop, timeout: float
    ) -> None:
        self._first = self._address = address
        self._credentials, self._settings = credentials, settings
        self._stop, self._timeout = stop, timeout
        self._proxy = Proxy.of(address, settings)
        self._shown = credentials.at_once(address)
        self._proven = False
        self._channel: Channel | None = None
        self._response: Response | None = None

    def get(self, suffix: str, kind: str) -> io.BufferedReader:
        """Return what the server says at its address with a suffix, which must be of a kind.

        Raises:
            SyncError: Or one of its kinds, which says what is wrong.
            HungUpError: The server hung up.
        """
        for _ in range(_MOST_REDIRECTS):
            response = self._authorized("GET", suffix, kind, None)
            if response.status not in _REDIRECTS:
                return self._checked(response, kind)
            self._follow(response.headers.get("Location", ""), suffix)
        raise SyncError(f"{self._first.shown} sends from one address to the next without end")

    def post(self, suffix: str, body: Body, kind: str) -> io.BufferedReader:
        """Send something; return what the server answers, which must be of a kind. Raises as :meth:`get` does."""
        return self._checked(self._authorized("POST", suffix, kind, body), kind)

    def close(self) -> None:
        """Let go of the connection. Idempotent."""
        channel, self._channel, self._response = self._channel, None, None
        if channel is not None:
            channel.close()

    def _authorized(self, method: str, suffix: str, kind: str, body: Body | None) -> Response:
        """Ask; say who we are if the server wants to know; return its answer, which is not about that."""
        response = self._request(method, suffix, kind, body)
        more: Iterator[Shown] | None = None
        while response.status == 401:
            challenges = response.headers.get_all("WWW-Authenticate") or []
            text = webfailures.text_of(response)
            if (tried := self._shown) is not None:
                self._credentials.refused(self._address, tried)
            named = self._address.origin == self._first.origin
            proxied = self._proxy is not None
            if more is None:
                more = self._credentials.on_demand(
                    self._address, challenges, named=named, proxied=proxied, timeout=self._timeout
                )
            self._shown, self._proven = next(more, None), False
            if self._shown is None:
                held_back = self._credentials.held_back(self._address, named=named, proxied=proxied)
                raise webfailures.unauthorized(self._address.shown, tried is not None, held_back, text)
            response = self._request(method, suffix, kind, body)
        if self._shown is not None and not self._proven and response.status < 300:
            self._credentials.accepted(self._address, self._shown)
            self._proven = True
        return response

    def _request(self, method: str, suffix: str, kind: str, body: Body | None) -> Response:
        channel = self._connected()
        head = self._head(method, suffix, kind, body)
        is_sent = False
        try:
            channel.sendall(head)
            is_sent = body is None or _send(channel, body)
        except (HungUpError, UnreachableError):
            if channel.is_quiet():
                raise  # else it said why it takes no more
        response = self._response = Response(channel, method)
        response.begin()
        if not is_sent:
            response.will_close = True  # the next request would be taken for the rest of this one
        return response

    def _connected(self) -> Channel:
        """Return the connection, if it can be used once more, or else another one."""
        channel, response = self._channel, self._response
        if channel is not None and response is not None and not response.will_close:
            with suppress(OSError, http.client.HTTPException, ValueError):
                if len(response.read(_REST)) < _REST and channel.is_quiet():
                    return channel
        self.close()
        self._channel = open_channel(self._address, self._proxy, self._settings, self._stop, self._timeout)
        return self._channel

    def _head(self, method: str, suffix: str, kind: str, body: Body | None) -> bytes:
        address = self._address
        path = address.path + (suffix.replace("?", "&") if "?" in address.path else suffix)
        headers = [("Host", address.location), ("User-Agent", _AGENT), ("Accept", kind)]
        if self._proxy is not None and address.scheme == "http":
            path = f"{address.origin}{path}"
            headers += self._proxy.headers.items()
        headers += self._extra_headers()
        if self._shown is not None:
            headers.append(("Authorization", self._shown.header))
        if body is not None:
            headers.append(("Content-Type", body.kind))
            chunked = ("Transfer-Encoding", "chunked")
            headers.append(chunked if body.size is None else ("Content-Length", str(body.size)))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        if any(set("\r\n\0") & set(line) for line in lines):
            raise InvalidInputError(f"a request to {address.shown} would have a break of line in it")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")

    def _extra_headers(self) -> Iterator[tuple[str, str]]:
        """Yield the user's own; those that are for everybody do not go to a host that another one led to."""
        url = f"{self._address.origin}{self._address.path}"
        elsewhere = self._address.origin != self._first.origin
        for each in self._settings.all_for_url("http", "extraheader", url, narrowed=elsewhere):
            name, _, value = each.partition(":")
            if name.strip().lower() == "authorization" and self._shown is not None:
                continue
            yield name.strip(), value.strip()

    def _follow(self, location: str, suffix: str) -> None:
        """Take another address: what a redirect leads to, without the suffix."""
        there, address = visible(location), None
        with suppress(ValueError):  # it is not well-formed, or no address
            there = urljoin(f"{self._address.origin}{self._address.path}{suffix}", location)
            parts = urlsplit(there)
            there = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            address = addresses.parse(there.removesuffix(suffix)) if there.endswith(suffix) else None
        if address is None:
            raise NoRepositoryError(
                f"{self._address.shown} sends to {visible(there)!r}, which is no repository", hint="correct the address"
            )
        if address.kind != "http" or (self._address.scheme, address.scheme) == ("https", "http"):
            raise SyncError(
                f"{self._address.shown} sends to {address.shown}, which is less safe", hint="correct the address"
            )
        if address.origin != self._address.origin:
            self._shown, self._proven = self._credentials.at_once(address), False
            self.close()
        self._address = address
        self._proxy = Proxy.of(address, self._settings)

    def _checked(self, response: Response, kind: str) -> io.BufferedReader:
        if response.status != 200:
            raise webfailures.of_status(self._address.shown, response)
        found = response.headers.get_content_type()
        if found != kind:
            raise NoRepositoryError(
                f"{self._address.shown} answers, but not as a git server ({visible(found)})",
                hint="give the address of the repository itself",
            )
        return io.BufferedReader(_Whole(response), _CHUNK)


class _Whole(io.RawIOBase):
    """The body of a response, at whose end, whether all of it came or not, nothing is read."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self._response = response

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read what there is: how far the server is, is told when it says so."""
        view = memoryview(buffer).cast("B")
        try:
            data = self._response.read1(len(view))
        except (http.client.HTTPException, ValueError):
            return 0
        view[: len(data)] = data
        return len(data)


def _send(channel: Channel, body: Body) -> bool:
    """Send a body; return whether all of it was wanted."""
    for part in body.parts():
        if body.size is not None:
            channel.sendall(part)
        elif part:
            channel.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        if channel.is_refused():
            return False
    if body.size is None:
        channel.sendall(b"0\r\n\r\n")
    return True
