"""HTTP servers that answer too early, late or without end: none holds us up, or takes one request for another."""

import os
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gitstate.engine.transfer.outgoing import PackSource
from gitstate.engine.wire.pktlines import line
from gitstate.engine.wire.transport import Outgoing, RefUpdate, Transport
from gitstate.errors import SyncError, UnreachableError
from tests.servers import saying

ID = "1" * 40
OTHER = "2" * 40
REFS = line(f"{ID} refs/heads/main\0report-status side-band-64k".encode()) + b"0000"
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


def first(service: str) -> bytes:
    """Return the first answer of a service."""
    return answer(f"{service}-advertisement", line(f"# service={service}\n".encode()) + b"0000" + REFS)


def answer(kind: str, body: bytes) -> bytes:
    return OK + f"Content-Type: application/x-{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


CHUNKED = b"Content-Type: application/x-git-upload-pack-advertisement\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + CHUNKED, b"a: b\r\n"),
        (b"HTTP/1.1 302 There\r\nLocation: /b/info/refs?service=git-upload-pack\r\n" + CHUNKED, b"a: b\r\n"),
    ],
    ids=["statuses", "trailers", "trailers of a redirect"],
)
def test_one_that_says_what_nobody_asked_for_without_end(begin: bytes, piece: bytes) -> None:
    def talk(client: socket.socket) -> None:
        client.recv(1 << 16)
        with suppress(OSError):
            client.sendall(begin)
            while True:
                client.sendall(piece * 1000)

    with saying(talk) as port, pytest.raises(SyncError, match="says more than it was asked for"):
        Transport(f"http://127.0.0.1:{port}/a", timeout=10).refs()


Handler = Callable[[socket.socket, str, dict[str, str], Callable[[int], bytes]], None]


def keeping(handle: Handler) -> Callable[[socket.socket], None]:
    """Return a server that keeps connections open, and handles one request of a connection after the other."""

    def talk(client: socket.socket) -> None:
        stream = client.makefile("rb")
        while request := stream.readline().decode("latin-1").strip():
            headers = dict[str, str]()
            while text := stream.readline().decode("latin-1").strip():
                name, _, value = text.partition(": ")
                headers[name.lower()] = value
            handle(client, request, headers, stream.read)

    return talk


def test_one_that_dies_at_any_byte() -> None:
    """That can be tried again, and is no answer of another kind, wherever it breaks."""
    whole = first("git-upload-pack")
    for length in range(len(whole)):
        with saying(whole[:length] or (lambda client: None)) as port, pytest.raises(UnreachableError, match="hung up"):
            Transport(f"http://127.0.0.1:{port}/a", timeout=5).refs()


def test_one_that_asks_who_we_are_in_the_middle_of_a_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And then listens to the rest of what it was sent, as it may."""
    monkeypatch.setenv("GITSTATE_TOKEN", "t0ken")
    seen: list[str] = []

    def handle(client: socket.socket, request: str, headers: dict[str, str], read: Callable[[int], bytes]) -> None:
        seen.append(request)
        if request.startswith("GET"):
            client.sendall(first("git-receive-pack"))
            return
        if "authorization" not in headers:
            client.sendall(b"HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
        read(int(headers["content-length"]))
        if "authorization" in headers:
            report = line(b"unpack ok\n") + line(b"ok refs/heads/main\n") + b"0000"
            client.sendall(answer("git-receive-pack-result", line(b"\1" + report) + b"0000"))

    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/pack").write_bytes(os.urandom(20_000_000))
    update = RefUpdate("refs/heads/main", ID, OTHER)
    with saying(keeping(handle)) as port:
        there = Transport(f"http://127.0.0.1:{port}/a", timeout=5)
        sent = PackSource(1, path=tmp_path / "pack/pack", end=lambda: shutil.rmtree(tmp_path / "pack"))
        assert there.push(lambda refs: Outgoing([update], sent)).rejected == {}
    assert [each.split()[0] for each in seen] == ["GET", "POST", "POST"]


def test_how_far_one_is_is_told_at_once() -> None:
    """Not when some buffer is full."""
    told = threading.Event()

    def handle(client: socket.socket, request: str, headers: dict[str, str], read: Callable[[int], bytes]) -> None:
        if request.startswith("GET"):
            client.sendall(first("git-upload-pack"))
            return
        read(int(headers["content-length"]))
        begin = line(b"NAK\n") + line(b"\2Counting objects:  50% (1/2)\r")
        end = line(b"\1PACK") + b"0000"
        kind = b"Content-Type: application/x-git-upload-pack-result\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(OK + kind + b"%x\r\n%b\r\n" % (len(begin), begin))
        assert told.wait(5)
        client.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end))

    seen: list[tuple[str, int, int | None]] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        seen.append((stage, done, total))
        told.set()

    received: list[bytes] = []
    with saying(keeping(handle)) as port:
        there = Transport(f"http://127.0.0.1:{port}/a", timeout=2)
        there.fetch(lambda refs: [ID], [], received.append, progress)
    assert received == [b"PACK"] and seen[0] == ("counting", 1, 2)
