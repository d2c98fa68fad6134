"""Connections to HTTP servers: through a proxy where the user has one, and with TLS, whose certificates are verified.

``http.sslVerify=false`` is not followed: a server that is not verified could be anybody, and would get what is saved,
and the credentials. Name the authority that signed for it by ``http.sslCAInfo`` instead.
"""

import base64
import http.client
import io
import os
import ssl
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from gitstate.engine.wire.addresses import Address, shown
from gitstate.engine.wire.channel import Channel, HungUpError
from gitstate.engine.wire.connections import Connection, Stop, connect
from gitstate.engine.wire.pktlines import SpeechError
from gitstate.engine.wire.usersettings import UserSettings
from gitstate.errors import SyncError, UnreachableError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Proxy", "Response", "open_channel"]

_MOST_BESIDE = 1 << 20  # bytes


class Proxy:
    """Where requests go first."""

    def __init__(self, url: str) -> None:
        url = url if "://" in url else f"http://{url}"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 1080
        except ValueError:  # whose text may hold the password
            host = None
        if host is None or parts.scheme != "http":
            raise SyncError(f"the proxy {shown(url)!r} is not spoken to", hint="give one of http://host:port")
        self.host, self.port = host, port
        self.name = f"the proxy {self.host}:{self.port}"
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self.headers = {}
        if parts.username:
            self.headers = {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode()).decode("ascii")}

    @classmethod
    def of(cls, address: Address, settings: UserSettings) -> "Proxy | None":
        """Return the proxy that the user has for an address: ``http.proxy``, or else the environment's."""
        url = settings.for_url("http", "proxy", f"{address.origin}{address.path}")
        if url is None:
            proxies = getproxies_environment()
            if not proxy_bypass_environment(address.host, proxies):
                url = proxies.get(address.scheme) or proxies.get("all")
        return cls(url) if url else None


class _Borrowed(io.RawIOBase):
    """A channel to read from that stays open; to a response it is a socket."""

    left = 0
    """Bytes that may come."""
    ended = False

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - it is always read
        """Return what a response reads from."""
        return io.BufferedReader(self, 1 << 17)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read some bytes."""
        if self.left <= 0:
            raise SpeechError("it says more than it was asked for")
        number = self._channel.readinto(buffer)
        self.left -= number
        self.ended = not number
        return number


class Response(http.client.HTTPResponse):
    """The response that comes next on a channel, which stays open when this is closed.

    Beside what is read there may be little, such as headers; else a server could keep us busy with those without end.
    """

    def __init__(self, channel: Channel, method: str) -> None:
        self._borrowed = _Borrowed(channel)
        super().__init__(self._borrowed, method=method)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Read status and headers.

        Raises:
            HungUpError: The remote hung up before their end.
            SpeechError: They are none.
        """
        self._borrowed.left = _MOST_BESIDE
        problem: Exception | None = None
        try:
            super().begin()
        except (http.client.HTTPException, ValueError) as error:
            problem = error
        if self._borrowed.ended:  # a line has no end, which to Python is that of the headers
            raise HungUpError("the remote hung up") from problem
        if problem is not None:
            raise SpeechError(f"it does not speak HTTP ({type(problem).__name__})") from problem

    def read1(self, n: int = -1) -> bytes:
        """Read what there is, at most ``n`` bytes."""
        self._borrowed.left = _MOST_BESIDE + n
        return super().read1(n)

    def read(self, amt: int | None = None) -> bytes:
        """Read so many bytes."""
        self._borrowed.left = _MOST_BESIDE + (amt or 0)
        return super().read(amt)


def open_channel(address: Address, proxy: Proxy | None, settings: UserSettings, stop: Stop, timeout: float) -> Channel:
    """Connect to a server.

    Raises:
        UnreachableError: Nobody answers.
        SyncError: TLS could not be agreed on, or the server's certificate not be verified.
        ClosedError: It was stopped.
        HungUpError: It hung up.
    """
    name = address.shown
    if proxy is None:
        connected = connect(address.host, address.port_number, stop, timeout, name)
    else:
        connected = connect(proxy.host, proxy.port, stop, timeout, proxy.name)
    connection = Connection(connected)
    channel = Channel(connection, stop, timeout, name)
    try:
        if address.scheme == "https":
            if proxy is not None:
                _open_tunnel(channel, address, proxy)
            _secure(channel, connection, address, settings)
    except BaseException:
        channel.close()
        raise
    return channel


def _open_tunnel(channel: Channel, address: Address, proxy: Proxy) -> None:
    where = f"{address._replace(port=None).location}:{address.port_number}"
    headers = {"Host": where} | proxy.headers
    lines = [f"CONNECT {where} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    channel.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    response = Response(channel, "CONNECT")
    try:
        response.begin()
    except (HungUpError, SpeechError) as error:
        raise UnreachableError(f"{proxy.name} does not answer as a proxy does", hint="check http.proxy") from error
    if response.status != 200:
        raise UnreachableError(
            f"{proxy.name} does not lead to {address.shown} (HTTP {response.status})", hint="check http.proxy"
        )


def _secure(channel: Channel, connection: Connection, address: Address, settings: UserSettings) -> None:
    url = f"{address.origin}{address.path}"
    try:
        channel.handshake(connection, _context(settings, url), address.host)
    except ssl.SSLCertVerificationError as error:
        hint = "if you know who signed it: git config --global http.sslCAInfo, with the file of its certificate"
        if settings.is_false("http", "sslverify", url):
            hint = "http.sslVerify=false is not followed here; name who signed it by http.sslCAInfo"
        raise SyncError(f"{address.shown}: its certificate is not trusted: {error.verify_message}", hint=hint) from None
    except (ssl.SSLEOFError, ConnectionError) as error:
        raise HungUpError(str(error)) from error
    except ssl.SSLError as error:
        raise SyncError(
            f"{address.shown}: no safe connection (TLS): {error.reason or error}", hint="check that it speaks https"
        ) from None


def _context(settings: UserSettings, url: str) -> ssl.SSLContext:
    def chosen(variable: str, setting: str) -> str | None:
        value = os.environ.get(variable) or settings.for_url("http", setting, url)
        return os.path.expanduser(value) if value else None

    authorities, folder = chosen("GIT_SSL_CAINFO", "sslcainfo"), chosen("GIT_SSL_CAPATH", "sslcapath")
    certificate, key = chosen("GIT_SSL_CERT", "sslcert"), chosen("GIT_SSL_KEY", "sslkey")
    try:
        context = ssl.create_default_context(cafile=authorities, capath=folder)
        if certificate:
            context.load_cert_chain(certificate, key, password=_ask_nobody)
    except (OSError, ValueError) as error:
        files = ", ".join(each for each in (authorities, folder, certificate, key) if each)
        raise SyncError(f"the certificates in {files} cannot be used: {error}", hint="check http.sslCAInfo") from None
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # new in Python 3.13; many a firm's authority, good for git, is not
    context.options |= ssl.OP_NO_RENEGOTIATION  # or a server could keep us busy with that
    return context


def _ask_nobody() -> str:
    raise ValueError("its key has a passphrase")
