"""What a person gave to be shown to HTTP servers: nobody is asked, and nothing of it is printed.

In this order: what the URL holds; ``GITSTATE_TOKEN``, with ``GITSTATE_USERNAME`` where that matters; ``~/.netrc``, as
git reads it; and git's credential helpers, run outside of every repository, so that only the user's own configuration
chooses them. The variable is for headless runs. It goes to the host that the address names, over TLS or to this very
machine, and never after a redirect to another host. Nor does what ``~/.netrc`` has for all hosts (``default``).
"""

import base64
import ipaddress
import netrc
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from gitstate.engine.wire.addresses import Address
from gitstate.engine.wire.children import environment

__all__ = ["Credentials", "Shown"]

_USER = "x-access-token"  # forges do not look at it when the password is a token, but it must not be empty
_HELPER_TIMEOUT = 30.0


class Shown(NamedTuple):
    """A way to say who asks. ``header`` is secret."""

    header: str
    source: str
    helped: Mapping[str, str]
    """What a credential helper said, to be told whether it was right."""

    def __repr__(self) -> str:
        return f"<credentials from {self.source}>"


class Credentials:
    """The user's own. Remembers what a server took, for as long as this object lives. Safe in threads."""

    def __init__(self) -> None:
        self._token = os.environ.get("GITSTATE_TOKEN", "")
        self._user = os.environ.get("GITSTATE_USERNAME", "")
        self._taken: dict[str, Shown] = {}

    def __repr__(self) -> str:
        return "Credentials(...)"

    def at_once(self, address: Address) -> Shown | None:
        """Return what is shown without being asked for: what the server took before, or what the URL holds."""
        if address.password:
            return Shown(_basic(address.user, address.password), "the address", {})
        return self._taken.get(_key(address))

    def on_demand(
        self,
        address: Address,
        challenges: list[str],
        *,
        named: bool,
        proxied: bool = False,
        timeout: float = _HELPER_TIMEOUT,
    ) -> Iterator[Shown]:
        """Yield what may be shown when a server asks, one after the other.

        Args:
            address: The server and the path there.
            challenges: What it said in ``WWW-Authenticate``.
            named: Whether the user named this host, and no other server led to it.
            proxied: Whether it is reached through a proxy, which could read what goes over http, also to this machine.
            timeout: Seconds that a credential helper may take.
        """
        if self._token and named and _is_private(address, proxied):
            kinds = " ".join(challenges).lower()
            bearer = "bearer" in kinds and "basic" not in kinds
            header = f"Bearer {self._token}" if bearer else _basic(self._user or address.user or _USER, self._token)
            yield Shown(header, "GITSTATE_TOKEN", {})
        yield from _of_netrc(address, named=named)
        helped = _ask_helpers(address, challenges, timeout)
        if helped.get("authtype") and helped.get("credential"):
            yield Shown(f"{helped['authtype']} {helped['credential']}", "a credential helper", helped)
        elif helped.get("password"):
            yield Shown(_basic(helped.get("username", ""), helped["password"]), "a credential helper", helped)

    def accepted(self, address: Address, shown: Shown) -> None:
        """Remember that a server took this; let the helper keep it."""
        if self._taken.get(_key(address)) != shown:
            self._taken[_key(address)] = shown
            if shown.helped:
                _tell_helpers("approve", shown.helped)

    def refused(self, address: Address, shown: Shown) -> None:
        """Forget what a server did not take; let the helper forget it."""
        self._taken.pop(_key(address), None)
        if shown.helped:
            _tell_helpers("reject", shown.helped)

    def held_back(self, address: Address, *, named: bool, proxied: bool = False) -> str:
        """Return what is to be done where there is a token that is not shown; nothing: there is none, or it is."""
        if not self._token or (named and _is_private(address, proxied)):
            return ""
        if not _is_private(address, proxied):
            return "GITSTATE_TOKEN is not sent over http, where others can read it: use https"
        return f"GITSTATE_TOKEN is not sent where a server leads to: give {address.shown} as the address"


def _key(address: Address) -> str:
    return f"{address.origin}{address.path}"  # helpers and forges may tell paths apart


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogateescape")).decode("ascii")


def _is_private(address: Address, proxied: bool) -> bool:
    """Whether nobody between can read what is sent."""
    if address.scheme == "https" or proxied:
        return address.scheme == "https"
    if address.host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(address.host).is_loopback
    return False


def _of_netrc(address: Address, *, named: bool) -> Iterator[Shown]:
    try:
        hosts = netrc.netrc(os.path.expanduser("~/.netrc")).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return
    default = hosts.pop("default", None)  # no host's name, though somebody's host may be called so
    found = hosts.get(address.host) or (default if named else None)
    if found is not None and found[2] and address.user in {"", found[0]}:
        yield Shown(_basic(found[0], found[2]), "~/.netrc", {})


def _ask_helpers(address: Address, challenges: list[str], timeout: float) -> dict[str, str]:
    about = [("protocol", address.scheme), ("host", address.location), ("path", urlsplit(address.path).path.strip("/"))]
    about += [("username", address.user)] if address.user else []
    asking = [("capability[]", "authtype"), *about, *(("wwwauth[]", each) for each in challenges)]
    answer = _run_helpers("fill", asking, timeout)
    found = dict(line.partition("=")[::2] for line in answer.splitlines() if "=" in line)
    if (found.get("protocol"), found.get("host")) != (address.scheme, address.location):
        return {}
    return {name: value for name, value in found.items() if not name.endswith("[]")}


def _tell_helpers(what: str, helped: Mapping[str, str]) -> None:
    _run_helpers(what, [("capability[]", "authtype"), *helped.items()], _HELPER_TIMEOUT)


def _run_helpers(what: str, told: list[tuple[str, str]], timeout: float) -> str:
    """Run ``git credential``; return what it says, nothing if there is no git or no helper that knows something."""
    git = shutil.which("git")
    text = "".join(f"{name}={value}\n" for name, value in told if not set("\n\0\r") & set(value)) + "\n"
    if git is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="gitstate-") as folder:
        above = os.path.realpath(os.path.dirname(folder))
        with subprocess.Popen(  # noqa: S603 - the user's own git
            [git, "-c", "credential.interactive=false", "-c", "core.askPass=", "credential", what],
            cwd=folder,
            env=_with_environment_settings(environment(GIT_CEILING_DIRECTORIES=above)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(text.encode("utf-8", "surrogateescape"), timeout)
            except BaseException as error:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # a helper that waits for somebody
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                said = b""
    return said.decode("utf-8", "surrogateescape") if process.returncode == 0 else ""


def _with_environment_settings(told: dict[str, str]) -> dict[str, str]:
    """Let the settings in the environment count here: they may name a helper, and it is the user's environment."""
    names = [name for name in os.environ if name.startswith("GIT_CONFIG_")]
    return told | {name: os.environ[name] for name in names}
