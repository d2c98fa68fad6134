"""Where another repository is: the forms that git knows, and what would run something refused.

Forms: https://git-scm.com/docs/git-fetch#_git_urls. What names a helper program (``ext::``) or would be an option of
ssh is nobody's repository; nor does a break of line get into a request.
"""

import os
import re
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from gitstate.errors import InvalidInputError

__all__ = ["Address", "parse", "shown"]

Kind = Literal["path", "git", "ssh", "http"]

_SCHEMES: dict[str, Kind] = {
    "file": "path",
    "git": "git",
    "ssh": "ssh",
    "git+ssh": "ssh",
    "ssh+git": "ssh",
    "http": "http",
    "https": "http",
}
_PORTS = {"git": 9418, "http": 80, "https": 443}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_SCP = re.compile(
    r"(?P<user>[^/@]+@)?"
    r"(?:\[(?P<ip>[0-9A-Fa-f:.%]+)\]|\[(?P<boxed>[^\]:/]+)(?::(?P<port>\d+))?\]|(?P<host>[^:/\[\]]+)):"
)
_CONTROL = re.compile("[\0-\x1f\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._~%:-]+")
_FOR_SHELLS = re.compile(r"[\s'\"`$;&|<>(){}]")
_PLACE = re.compile(r"(?:[^:\[\]]+|\[[^\]]*\])(?::\d*)?")
_HINT = "give a path, ssh://, user@host:path, git://, https:// or http://"


class Address(NamedTuple):
    """Where a repository is, in parts. ``port`` None: the one of the scheme, or what ssh is configured for."""

    kind: Kind
    scheme: str
    """``http`` or ``https`` where ``kind`` is ``http``."""
    user: str
    password: str
    host: str
    port: int | None
    path: str
    shown: str
    """As it may be printed: without a password."""

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what credentials are for."""
        return f"{self.scheme}://{self.location}"

    @property
    def location(self) -> str:
        """Host, and port if it is not that of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in {None, _PORTS.get(self.scheme)} else f"{host}:{self.port}"

    @property
    def port_number(self) -> int:
        """The port to connect to."""
        return self.port or _PORTS[self.scheme]


def parse(url: str, base: str | os.PathLike[str] = ".") -> Address:
    """Return the parts of a URL, of ``user@host:path`` or of a path, which begins at ``base`` when it is relative.

    Raises:
        InvalidInputError: It is none, would run something, or is of a kind that is not spoken; the message names it.
    """
    if not isinstance(url, str) or not url:
        raise InvalidInputError(f"{url!r} is no address of a repository", hint=_HINT)
    if _CONTROL.search(url) or _CONTROL.search(unquote(url)):
        raise InvalidInputError(f"the address {shown(url)!r} has control characters", hint=_HINT)
    if _HELPER.match(url):
        raise InvalidInputError(f"the address {shown(url)!r} would run a program", hint=_HINT)
    if url.startswith("-"):
        raise InvalidInputError(f"the address {shown(url)!r} would be an option of a program", hint=_HINT)
    scheme = _SCHEME.match(url)
    if scheme is not None:
        return _of_url(url, scheme[1].lower())
    scp = _SCP.match(url)
    if scp is not None and not os.path.isabs(url):
        host, user = scp["ip"] or scp["boxed"] or scp["host"], (scp["user"] or "")[:-1]
        port = int(scp["port"][:6]) if scp["port"] else None
        return _checked(Address("ssh", "ssh", user, "", host, port, url[scp.end() :], shown(url)), url)
    path = os.path.normpath(os.path.join(os.path.abspath(base), url))
    return Address("path", "file", "", "", "", None, path, path)


def shown(url: str) -> str:
    """Return an address as it may be printed: without password, and of HTTP without a user, who may be a token.

    Where a password has a ``/``, ``?`` or ``#`` in it that was not quoted, and what is before that is no host, all up
    to the last ``@`` is left out.
    """
    before, separator, rest = url.partition("://")
    scheme = re.split("[^A-Za-z0-9+.-]", before)[-1].lower()
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        login, rest = rest[: authority.rindex("@")], rest[authority.rindex("@") + 1 :]
    elif separator and "@" in rest and scheme != "file" and not _PLACE.fullmatch(authority):
        login, _, rest = rest.rpartition("@")
    else:
        return url
    user = login.partition(":")[0] if _SCHEMES.get(scheme) == "ssh" else ""
    return f"{before}://{user + '@' if user else ''}{rest}"


def _of_url(url: str, scheme: str) -> Address:
    kind = _SCHEMES.get(scheme)
    if kind is None:
        raise InvalidInputError(f"{scheme}:// is not spoken: {shown(url)!r}", hint=_HINT)
    try:
        parts = urlsplit(url)
        port = parts.port
        host = unquote(parts.hostname or "")
        if kind != "ssh" or not host.isascii():  # what ssh's own configuration calls a host need be no name of one
            host = host.encode("idna").decode("ascii")
    except ValueError:  # whose text may hold the password
        hint = "check its host and port; in a password `/`, `?`, `#` and `@` are %2F, %3F, %23 and %40"
        raise InvalidInputError(f"the address {shown(url)!r} is not well-formed", hint=hint) from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if kind == "http":
        rest = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
        rest = quote(rest, safe="/%:@!$&'()*+,;=~?", errors="surrogateescape")
        return _checked(Address(kind, scheme, user, password, host, port, rest, shown(url)), url)
    path = unquote(url[url.index("://") + 3 :].partition("/")[2])
    if kind == "path":
        if host not in {"", "localhost"}:
            raise InvalidInputError(f"{shown(url)!r} names a host", hint="file:// is followed by an absolute path")
        return Address(kind, "file", "", "", "", None, os.path.normpath(f"/{path}"), shown(url))
    path = path if path.startswith("~") else f"/{path}"
    return _checked(Address(kind, kind, user, password, host, port, path, shown(url)), url)


def _checked(address: Address, url: str) -> Address:
    if not _HOST.fullmatch(address.host) or (address.user or address.host).startswith("-") or address.host[0] == "-":
        raise InvalidInputError(f"the address {shown(url)!r} names no host", hint=_HINT)
    if address.port is not None and not 0 < address.port < 1 << 16:
        raise InvalidInputError(f"the address {shown(url)!r} has a port that is none", hint="those go from 1 to 65535")
    if address.kind == "ssh" and _FOR_SHELLS.search(address.user):  # the user's ProxyCommand may have a shell read it
        raise InvalidInputError(f"the address {shown(url)!r} names no user", hint="give it without quotes and the like")
    if address.kind != "http" and (not address.path.strip("/") or address.path.startswith("-")):
        raise InvalidInputError(f"the address {shown(url)!r} names no repository", hint=_HINT)
    return address
