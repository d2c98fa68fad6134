"""Each way in which another repository cannot be talked to is told for what it is, in time, and without a secret."""

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from gitstate.engine.wire.transport import Outgoing, RefUpdate, Transport
from gitstate.errors import (
    AccessDeniedError,
    ClosedError,
    NoRepositoryError,
    SyncError,
    TooLargeError,
    UnreachableError,
)
from tests.engine.repositories import make, one_more, pack_of
from tests.git import git
from tests.servers import TRANSPORTS, bare, daemon, hook, proxy, saying, served, ssh, unused_port, web

NOWHERE = "no.such.host.invalid"
BY_NETWORK = ("git", "http", "ssh")


class Server(NamedTuple):
    root: Path
    url: str
    port: int


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Servers that tests put a proxy before, and the address that one has with port PORT."""
    folder = tmp_path_factory.mktemp("servers")
    root = folder / "root"
    root.mkdir()
    with ExitStack() as stack:
        plain = stack.enter_context(daemon(root))
        http = stack.enter_context(web(root))
        login = stack.enter_context(ssh(folder / "ssh"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GIT_SSH_COMMAND", f"{login.command} -o StrictHostKeyChecking=no")
            yield {
                "git": Server(root, "git://127.0.0.1:PORT", int(plain.rpartition(":")[2])),
                "http": Server(root, "http://127.0.0.1:PORT", http.port),
                "ssh": Server(root, f"ssh://{login.user}@127.0.0.1:PORT{root}", login.port),
            }


def push_one(there: Transport, work: Path, new: str) -> dict[str, str]:
    old = git(work, "rev-parse", "origin/main").strip()
    update = RefUpdate("refs/heads/main", old, new)
    return dict(there.push(lambda refs: Outgoing([update], pack_of(work, new, f"^{old}"))).rejected)


def fetch_all(there: Transport) -> int:
    received: list[bytes] = []
    there.fetch(lambda refs: [refs["HEAD"]], [], received.append)
    return sum(map(len, received))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_repository(transport: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with served(transport, tmp_path / "root", tmp_path) as url:
        there = Transport(f"{url}/none.git", timeout=10)
        for call in (there.refs, lambda: there.push(lambda refs: None)):
            with pytest.raises(NoRepositoryError, match=r"none\.git"):
                call()


@pytest.mark.parametrize("transport", BY_NETWORK)
def test_nobody_listens(transport: str, servers: dict[str, Server]) -> None:
    there = Transport(servers[transport].url.replace("PORT", str(unused_port())) + "/a.git", timeout=5)
    with pytest.raises(UnreachableError, match="refuse"), within(3):
        there.refs()


@pytest.mark.parametrize("url", [f"git://{NOWHERE}/a", f"http://{NOWHERE}/a", f"{NOWHERE}:a"])
def test_the_name_is_not_known(url: str, servers: dict[str, Server]) -> None:
    with pytest.raises(UnreachableError, match=r"no\.such\.host\.invalid.*name"):
        Transport(url, timeout=10).refs()


@pytest.mark.parametrize("timeout", [1e9, float("inf")])
@pytest.mark.parametrize("transport", BY_NETWORK)
def test_somebody_waits_without_end(transport: str, timeout: float, servers: dict[str, Server]) -> None:
    with saying(lambda client: None) as port:
        there = Transport(servers[transport].url.replace("PORT", str(port)) + "/a.git", timeout=timeout)
        with pytest.raises(SyncError):
            there.refs()


@pytest.mark.parametrize("transport", BY_NETWORK)
def test_somebody_accepts_and_says_nothing(transport: str, servers: dict[str, Server]) -> None:
    with saying(b"") as port:
        there = Transport(servers[transport].url.replace("PORT", str(port)) + "/a.git", timeout=0.4)
        for call in (there.refs, lambda: there.push(lambda refs: None)):
            with pytest.raises(UnreachableError, match=r"says nothing for 0\.4 s"), within(2):
                call()


@pytest.mark.parametrize("transport", BY_NETWORK)
def test_somebody_says_one_byte_now_and_then(transport: str, servers: dict[str, Server]) -> None:
    server = servers[transport]
    make(server.root, f"drip-{transport}")
    with proxy(server.port, drip=0.05) as slow:
        there = Transport(server.url.replace("PORT", str(slow.port)) + f"/drip-{transport}.git", timeout=0.2)
        with pytest.raises(UnreachableError, match=r"too slow|says nothing"), within(5):
            there.refs()


@pytest.mark.parametrize("transport", BY_NETWORK)
@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize("how", ["cut_after", "stall_after"])
def test_a_connection_breaks_anywhere(transport: str, upwards: bool, how: str, servers: dict[str, Server]) -> None:
    """What it says is an error in time, wherever it breaks, and what is told to be pushed is."""
    server = servers[transport]
    name = f"{how}-{transport}-{upwards}"
    origin, work = make(server.root, name, size=300_000)
    (work / "big").write_bytes(os.urandom(300_000))
    git(work, "add", ".")
    new = one_more(work)
    direct = Transport(server.url.replace("PORT", str(server.port)) + f"/{name}.git", timeout=10)
    whole = fetch_all(direct)
    timeout, places = (0.6, (400, 150_000)) if transport == "ssh" else (0.15, (1, 40, 300, 150_000))
    for after in places:
        with proxy(server.port, upwards=upwards, **{how: after}) as broken:
            there = Transport(server.url.replace("PORT", str(broken.port)) + f"/{name}.git", timeout=timeout)
            for fetches in (True, False):
                try:
                    if fetches:
                        assert fetch_all(there) == whole
                    else:
                        assert push_one(there, work, new) == {}
                        assert git(origin, "rev-parse", "main").strip() == new
                except SyncError as error:
                    assert name in str(error) or "127.0.0.1" in str(error)
                git(origin, "update-ref", "refs/heads/main", git(work, "rev-parse", "origin/main").strip())


@pytest.mark.parametrize("transport", BY_NETWORK)
@pytest.mark.parametrize("what", ["refs", "push"])
def test_another_thread_stops_it(transport: str, what: str, servers: dict[str, Server]) -> None:
    with saying(b"") as port:
        there = Transport(servers[transport].url.replace("PORT", str(port)) + "/a.git", timeout=60)
        timer = threading.Timer(0.3, there.close)
        timer.start()
        with pytest.raises(ClosedError, match="stopped"), within(5):
            there.refs() if what == "refs" else there.push(lambda refs: None)
        timer.join()
        with pytest.raises(ClosedError):
            there.refs()


@pytest.mark.parametrize("url", ["git://host.example/a", "https://host.example/a"])
def test_the_name_is_looked_for_without_end(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [answer.wait(10)][1:])
    try:
        with pytest.raises(UnreachableError, match="nobody says in time where"), within(2):
            Transport(url, timeout=0.3).refs()
        there = Transport(url, timeout=60)
        threading.Timer(0.2, there.close).start()
        with pytest.raises(ClosedError), within(2):
            there.refs()
    finally:
        answer.set()


@contextmanager
def full() -> Iterator[int]:
    """A port where a connection is neither made nor refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")
def test_nobody_accepts() -> None:
    with full() as port:
        url = f"git://127.0.0.1:{port}/a"
        with pytest.raises(UnreachableError, match="does not answer in time"), within(2):
            Transport(url, timeout=0.3).refs()
        there = Transport(url, timeout=60)
        threading.Timer(0.2, there.close).start()
        with pytest.raises(ClosedError), within(2):
            there.refs()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")
def test_one_of_the_addresses_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of IPv6, in a network that swallows it, or on a machine that knows no IPv6."""
    no_family = (255, socket.SOCK_STREAM, 0, "", ("::1", 1))
    with full() as nowhere, saying(b"0000") as port:
        for others in ([nowhere], [unused_port()], [nowhere, unused_port()]):
            found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", each)) for each in [*others, port]]
            with within(5), monkeypatch.context() as patch:
                patch.setattr(socket, "getaddrinfo", lambda *_, found=found, **__: [no_family, *found])
                assert Transport("git://host.example/a", timeout=60).refs() == {}
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [no_family])
    with pytest.raises(UnreachableError, match="Address family not supported"):
        Transport("git://host.example/a", timeout=60).refs()


def test_a_connection_breaks_while_tls_is_agreed_on() -> None:
    """As firewalls do it when they read a name that they do not like."""

    def reset(client: socket.socket) -> None:
        client.recv(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def leave(client: socket.socket) -> None:
        client.recv(1 << 16)

    for talk in (reset, leave):
        with saying(talk) as port, pytest.raises(UnreachableError, match="hung up"):
            Transport(f"https://127.0.0.1:{port}/a", timeout=5).refs()


@pytest.mark.parametrize("transport", ["path", *BY_NETWORK])
def test_a_hook_that_does_not_end(transport: str, servers: dict[str, Server], tmp_path: Path) -> None:
    root = servers["git"].root
    origin, work = make(root, f"endless-{transport}")
    hook(origin, "pre-receive", "sleep 30")
    new = one_more(work)
    url = str(root) if transport == "path" else servers[transport].url.replace("PORT", str(servers[transport].port))
    there = Transport(f"{url}/{origin.name}", timeout=1)
    with pytest.raises(UnreachableError, match="says nothing for 1 s"), within(10):
        push_one(there, work, new)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_pack_that_is_too_large(transport: str, tmp_path: Path) -> None:
    origin, work = make(tmp_path / "root", "large")
    git(origin, "config", "receive.maxInputSize", "200000")
    (work / "big").write_bytes(os.urandom(3_000_000))
    git(work, "add", ".")
    new = one_more(work)
    with (
        served(transport, tmp_path / "root", tmp_path) as url,
        pytest.raises(TooLargeError, match=r"large\.git.*maximum allowed size"),
    ):
        push_one(Transport(f"{url}/large.git", timeout=10), work, new)
    assert git(origin, "rev-parse", "main") == git(work, "rev-parse", "origin/main")


def test_ssh_knows_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare(tmp_path / "a.git")
    with ssh(tmp_path / "ssh") as server:
        there = Transport(f"{server.url}{tmp_path}/a.git", timeout=10)
        monkeypatch.setenv("GIT_SSH_COMMAND", server.stranger)
        with pytest.raises(AccessDeniedError, match="Permission denied"):
            there.refs()
        monkeypatch.setenv("GIT_SSH_COMMAND", server.command)
        (tmp_path / "ssh/known_hosts").write_text("")
        with pytest.raises(AccessDeniedError, match="does not know who answers"), within(5):
            there.refs()
        monkeypatch.setenv("GIT_SSH_COMMAND", "/no/such/ssh")
        with pytest.raises(SyncError, match=r"not found|No such file"):
            there.refs()


def test_a_daemon_that_takes_no_pushes(servers: dict[str, Server]) -> None:
    server = servers["git"]
    origin, work = make(server.root, "readonly")
    git(origin, "config", "daemon.receivepack", "false")
    there = Transport(server.url.replace("PORT", str(server.port)) + "/readonly.git", timeout=10)
    with pytest.raises(AccessDeniedError, match="does not offer"):
        push_one(there, work, one_more(work))


def test_what_the_remote_does_not_let_move(servers: dict[str, Server]) -> None:
    server = servers["git"]
    origin, work = make(server.root, "rules")
    git(origin, "config", "receive.denyDeletes", "true")
    git(origin, "config", "receive.denyNonFastForwards", "true")
    git(origin, "config", "transfer.hideRefs", "refs/gitstate/hidden")
    head = git(work, "rev-parse", "HEAD").strip()
    before = git(work, "rev-parse", "HEAD~1").strip()
    git(origin, "update-ref", "refs/heads/other", head)
    there = Transport(server.url.replace("PORT", str(server.port)) + "/rules.git", timeout=10)
    updates = [
        RefUpdate("refs/heads/other", head, None),
        RefUpdate("refs/heads/main", head, before),
        RefUpdate("refs/heads/new", None, head),
        RefUpdate("refs/gitstate/hidden/a", None, head),
        RefUpdate("refs/heads/main/below", None, head),
    ]
    rejected = there.push(lambda refs: Outgoing(updates, None)).rejected
    assert rejected == {
        "refs/heads/other": "deletion prohibited",
        "refs/heads/main": "non-fast-forward",
        "refs/gitstate/hidden/a": "deny updating a hidden ref",
        "refs/heads/main/below": rejected["refs/heads/main/below"],
    }
    assert git(origin, "rev-parse", "new").strip() == head


def test_one_that_moves_meanwhile(servers: dict[str, Server]) -> None:
    server = servers["git"]
    origin, work = make(server.root, "races")
    old = git(work, "rev-parse", "HEAD").strip()
    new, other = one_more(work), git(origin, "rev-parse", "main~1").strip()

    def plan(refs: object) -> Outgoing:
        git(origin, "update-ref", "refs/heads/main", other)
        return Outgoing([RefUpdate("refs/heads/main", old, new)], pack_of(work, new, f"^{other}"))

    there = Transport(server.url.replace("PORT", str(server.port)) + "/races.git", timeout=10)
    assert set(there.push(plan).rejected) == {"refs/heads/main"}
    assert git(origin, "rev-parse", "main").strip() == other


def test_what_the_caller_raises_ends_the_conversation(servers: dict[str, Server]) -> None:
    server = servers["git"]
    make(server.root, "callers", size=300_000)
    there = Transport(server.url.replace("PORT", str(server.port)) + "/callers.git", timeout=10)

    def write(data: bytes) -> None:
        raise TooLargeError("the pack is larger than 5 bytes")

    with pytest.raises(TooLargeError, match="larger than 5 bytes"), within(3):
        there.fetch(lambda refs: [refs["HEAD"]], [], write)
    with pytest.raises(ZeroDivisionError), within(3):
        there.push(lambda refs: 1 // 0)  # type: ignore[arg-type, return-value]


def test_no_password_is_told(tmp_path: Path) -> None:
    port = unused_port()
    for url in (f"http://ann:secret@127.0.0.1:{port}/a", f"ssh://ann:secret@127.0.0.1:{port}/a"):
        with pytest.raises(SyncError) as failed:
            Transport(url, timeout=5).refs()
        assert "secret" not in str(failed.value) and "127.0.0.1" in str(failed.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_path_that_belongs_to_somebody_else(tmp_path: Path) -> None:
    origin, _ = make(tmp_path / "root", "a")
    for path in (origin, *origin.rglob("*")):
        os.chown(path, 12345, 12345)
    with pytest.raises(AccessDeniedError, match=r"another user.*safe\.directory"):
        Transport(str(origin)).refs()


def test_an_update_hook_refuses_one_of_several(servers: dict[str, Server]) -> None:
    server = servers["http"]
    origin, work = make(server.root, "update")
    hook(origin, "update", 'case $1 in refs/heads/main) echo "main is closed"; exit 1;; esac')
    old, before = git(work, "rev-parse", "HEAD", "HEAD~1").split()
    new = one_more(work)
    updates = [RefUpdate("refs/heads/main", old, new), RefUpdate("refs/heads/other", None, before)]
    there = Transport(server.url.replace("PORT", str(server.port)) + "/update.git", timeout=10)
    pushed = there.push(lambda refs: Outgoing(updates, pack_of(work, new, f"^{old}")))
    assert pushed.rejected == {"refs/heads/main": "hook declined"}
    assert there.said == ["main is closed", "error: hook declined to update refs/heads/main"]
    assert git(origin, "rev-parse", "other").strip() == before


def test_how_far_it_is(servers: dict[str, Server]) -> None:
    server = servers["git"]
    _, work = make(server.root, "progress", size=300_000)
    (work / "big").write_bytes(os.urandom(3_000_000))
    git(work, "add", ".")
    old, new = git(work, "rev-parse", "HEAD").strip(), one_more(work)
    there = Transport(server.url.replace("PORT", str(server.port)) + "/progress.git", timeout=10)
    seen: list[tuple[str, int, int | None]] = []
    update = RefUpdate("refs/heads/main", old, new)
    pack = pack_of(work, new, f"^{old}")
    assert pack.path is not None
    size = pack.path.stat().st_size
    there.push(lambda refs: Outgoing([update], pack), lambda *told: seen.append(told))
    assert ("sending", size, size) in seen and len(seen) < 30
    seen.clear()
    received: list[bytes] = []
    there.fetch(lambda refs: [new], [], received.append, lambda *told: seen.append(told))
    assert seen[-1] == ("receiving", sum(map(len, received)), None) and len(seen) < 30
    assert {stage for stage, _, _ in seen} >= {"counting", "receiving"}
