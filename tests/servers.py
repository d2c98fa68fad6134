"""Real servers for the tests, on 127.0.0.1 and ports of their own, and proxies that cut and stall what goes to them.

All are context managers, end what they started by its process id, and wait for nothing without a bound::

    with daemon(folder) as url:                     # git://127.0.0.1:PORT; a repository is at f"{url}/name.git"
    with ssh(scratch) as server:                    # server.url, server.command for GIT_SSH_COMMAND
    with web(folder, user="ann", password="x") as server:    # server.url; see tests/webserver.py
    with served("http", folder, scratch) as url:    # by the name of a transport, for tables of tests
    with proxy(port, cut_after=1000) as there:      # there.port
"""

import os
import pwd
import select
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.git import git
from tests.webserver import Authority, Web, authority, web

__all__ = [
    "TRANSPORTS",
    "Authority",
    "Proxy",
    "Ssh",
    "Web",
    "authority",
    "bare",
    "daemon",
    "hook",
    "proxy",
    "saying",
    "served",
    "ssh",
    "stop",
    "unused_port",
    "web",
]

TRANSPORTS = ("path", "file", "git", "ssh", "http", "https")
"""The names that :func:`served` knows."""

_HERE = "127.0.0.1"
_START = 10.0  # seconds that a server may take to start
_SSHD = "/usr/sbin/sshd"


def bare(path: Path, *, source: Path | None = None) -> Path:
    """Make a bare repository at ``path``, whose branch is main; with ``source``, a copy of that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if source is None:
        git(path.parent, "init", "-q", "--bare", "-b", "main", str(path))
    else:
        git(path.parent, "clone", "-q", "--mirror", "--no-hardlinks", str(source), str(path))
    return path


def hook(repository: Path, name: str, script: str) -> Path:
    """Give a bare repository a hook, such as ``pre-receive``; the script is one of sh."""
    path = repository / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@contextmanager
def daemon(root: Path) -> Iterator[str]:
    """Serve the repositories below ``root`` by `git daemon`, to fetch and to push; give the URL of the root."""
    program = Path(git(root, "--exec-path").strip()) / "git-daemon"
    options = ["--reuseaddr", f"--base-path={root}", "--export-all", "--enable=receive-pack", "--informative-errors"]
    with _listening(lambda port: [str(program), f"--listen={_HERE}", f"--port={port}", *options, str(root)]) as port:
        yield f"git://{_HERE}:{port}"


@dataclass(frozen=True)
class Ssh:
    """A running sshd. A repository is at ``url`` followed by its absolute path."""

    url: str
    port: int
    user: str
    command: str
    """What logs in there, for GIT_SSH_COMMAND."""
    stranger: str
    """The same with a key that nobody knows there."""
    log: Path


@contextmanager
def ssh(scratch: Path, *, environment: dict[str, str] | None = None) -> Iterator[Ssh]:
    """Run OpenSSH's server as this user, with keys and a configuration of its own; skip where it is not installed.

    Args:
        scratch: An own folder for its files.
        environment: What is set for what it runs, beside that git reads no configuration of the machine's.
    """
    if not os.access(_SSHD, os.X_OK) or shutil.which("ssh") is None:
        pytest.skip("there is no sshd here: install the package openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # it insists, when root starts it
    scratch.mkdir(parents=True, exist_ok=True)
    for name in ("host", "client", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(scratch / name)]
        subprocess.run(command, check=True, capture_output=True)
    (scratch / "authorized_keys").write_text((scratch / "client.pub").read_text())
    (scratch / "config").write_text(_sshd_configuration(scratch, environment or {}))
    log = scratch / "log"
    user = pwd.getpwuid(os.geteuid()).pw_name
    with _listening(
        lambda port: [_SSHD, "-D", "-E", str(log), "-f", str(scratch / "config"), "-p", str(port)], log
    ) as port:
        host_key = " ".join((scratch / "host.pub").read_text().split()[:2])
        (scratch / "known_hosts").write_text(f"[{_HERE}]:{port} {host_key}\n")
        yield Ssh(f"ssh://{user}@{_HERE}:{port}", port, user, _ssh(scratch, "client"), _ssh(scratch, "stranger"), log)


def _sshd_configuration(scratch: Path, environment: dict[str, str]) -> str:
    told = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.path.expanduser("~/.gitconfig")} | environment
    lines = [
        f"ListenAddress {_HERE}",
        f"HostKey {scratch / 'host'}",
        f"AuthorizedKeysFile {scratch / 'authorized_keys'}",
        f"PidFile {scratch / 'pid'}",
        "UsePAM no",
        "StrictModes no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "AcceptEnv GIT_PROTOCOL",
        "PermitUserRC no",
        "MaxStartups 100",
        "UseDNS no",
        "SetEnv " + " ".join(f'{name}="{value}"' for name, value in told.items()),
    ]
    return "\n".join(lines) + "\n"


def _ssh(scratch: Path, key: str) -> str:
    options = {
        "UserKnownHostsFile": scratch / "known_hosts",
        "GlobalKnownHostsFile": os.devnull,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
    }
    words = ["ssh", "-F", os.devnull, "-i", str(scratch / key)]
    return shlex.join(words + [word for name, value in options.items() for word in ("-o", f"{name}={value}")])


@contextmanager
def served(transport: str, root: Path, scratch: Path) -> Iterator[str]:
    """Serve the repositories below ``root`` by one of :data:`TRANSPORTS`; give what their names are appended to.

    While it runs, the environment has what a user would have set up: GIT_SSH_COMMAND, GIT_SSL_CAINFO.
    """
    if transport == "path":
        yield str(root)
    elif transport == "file":
        yield root.as_uri()
    elif transport == "git":
        with daemon(root) as url:
            yield url
    elif transport == "ssh":
        with ssh(scratch / "ssh") as server, patch.dict(os.environ, GIT_SSH_COMMAND=server.command):
            yield f"{server.url}{root}"
    elif transport == "http":
        with web(root) as plain:
            yield plain.url
    else:
        tls = authority(scratch / "tls")
        with web(root, tls=tls) as secure, patch.dict(os.environ, GIT_SSL_CAINFO=str(tls.ca)):
            yield secure.url


@dataclass
class Proxy:
    """Passes on what goes to a server, until it does not; see :func:`proxy`."""

    port: int
    passed: int = 0
    """Bytes so far, of both directions and all connections."""
    connections: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def proxy(
    port: int | Callable[[], int],
    *,
    cut_after: int | Callable[[], int | None] | None = None,
    stall_after: int | None = None,
    drip: float | None = None,
    upwards: bool | None = None,
) -> Iterator[Proxy]:
    """Pass on what goes to ``port``.

    Args:
        port: The server's; a function is asked for each connection.
        cut_after: Each connection is reset after so many bytes; a function is asked for each.
        stall_after: Nothing more is passed on, nor closed, after so many bytes of a connection.
        drip: What the server sends comes one byte at a time, with so many seconds between two.
        upwards: Count only what the client sends (True), or what the server sends (False); None: both.
    """
    there = Proxy(0)

    def talk(client: socket.socket) -> None:
        there.connections += 1
        counted = 0
        cut = cut_after() if callable(cut_after) else cut_after
        goes_to = (_HERE, port() if callable(port) else port)
        with client, suppress(OSError), socket.create_connection(goes_to, _START) as server:
            other = {client: server, server: client}
            reading = [client, server]
            while reading and not there.ended.is_set():
                for source in select.select(reading, [], [], 0.05)[0]:
                    counts = upwards is None or upwards == (source is client)
                    limits = [limit for limit in (cut, stall_after) if limit is not None and counts]
                    left = min(limits, default=1 << 60) - counted
                    data = source.recv(1 if drip and source is server else min(left, 1 << 16)) if left > 0 else b""
                    if left <= 0:
                        if cut is not None:
                            for each in (client, server):
                                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                            return
                        there.ended.wait(60)
                        return
                    if not data:
                        reading.remove(source)
                        with suppress(OSError):
                            other[source].shutdown(socket.SHUT_WR)
                        continue
                    if drip and source is server:
                        there.ended.wait(drip)
                    other[source].sendall(data)
                    there.passed += len(data)
                    counted += len(data) if counts else 0

    with _accepting(talk, there.ended) as there.port:
        yield there


@contextmanager
def saying(answer: bytes | Callable[[socket.socket], None] = b"", *, then_close: bool = True) -> Iterator[int]:
    """Run a server that says the same to everybody who connects, whatever they send; give its port.

    Args:
        answer: What it says, or a function that talks to a connection. Nothing: it accepts and says nothing.
        then_close: Whether it closes when it has said something; else it waits until the client does.
    """
    ended = threading.Event()

    def talk(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(_START)
            if callable(answer):
                answer(client)
            else:
                if answer:
                    client.recv(1 << 16)
                client.sendall(answer)
            if then_close and answer:
                client.shutdown(socket.SHUT_WR)
            while not ended.is_set() and client.recv(1 << 16):
                pass

    with _accepting(talk, ended) as port:
        yield port


@contextmanager
def _accepting(talk: Callable[[socket.socket], None], ended: threading.Event) -> Iterator[int]:
    with socket.create_server((_HERE, 0), backlog=64) as listener:
        clients: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                if ended.is_set():
                    client.close()
                    return
                clients.append(client)
                threading.Thread(target=talk, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        port = int(listener.getsockname()[1])
        try:
            yield port
        finally:
            ended.set()
            with suppress(OSError):
                socket.create_connection((_HERE, port), 1).close()  # wakes it up
            thread.join(5)
            for client in clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)


def unused_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as trial:
        trial.bind((_HERE, 0))
        return int(trial.getsockname()[1])


@contextmanager
def _listening(command: Callable[[int], list[str]], log: Path | None = None) -> Iterator[int]:
    """Run a server that takes its port as an argument; somebody may be faster to take a free one, so try again."""
    for attempt in range(5):
        port = unused_port()
        process = subprocess.Popen(
            command(port), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            if _answers(process, port):
                yield port
                return
        finally:
            stop(process)
        assert attempt < 4, f"{command(port)[0]} does not start: {log.read_text() if log and log.exists() else ''}"


def _answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    end = time.monotonic() + _START
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            socket.create_connection((_HERE, port), 1).close()
            return process.poll() is None
        time.sleep(0.01)
    return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process that we started."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
