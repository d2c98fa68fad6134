"""What is particular to HTTP: who answers, where it leads, and what its statuses mean."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gitstate.engine.wire.transport import Outgoing, RefUpdate, Transport
from gitstate.errors import (
    AccessDeniedError,
    NoRepositoryError,
    SyncError,
    TooLargeError,
    UnreachableError,
    UnsupportedError,
)
from tests.engine.repositories import make, one_more, pack_of
from tests.engine.web_access import at, basic, one_authority, one_repository
from tests.git import git
from tests.servers import Authority, saying, web

root = pytest.fixture(scope="module")(one_repository)
tls = pytest.fixture(scope="module")(one_authority)


@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "words"),
    [
        (403, {}, b"Permission to a/a.git denied to ann.", AccessDeniedError, "denied to ann"),
        (403, {"Content-Type": "text/html"}, b"<h1>Forbidden</h1>", AccessDeniedError, r"\(HTTP 403\)"),
        (404, {}, b"", NoRepositoryError, "none that you may see"),
        (410, {}, b"", NoRepositoryError, "HTTP 410"),
        (413, {}, b"", TooLargeError, "no pack of this size"),
        (429, {"Retry-After": "7"}, b"", UnreachableError, "try again in 7 s"),
        (503, {}, b"", UnreachableError, "try again later"),
        (500, {}, b"o\x1b[31mh \xff\n dear", SyncError, "oh \ufffd dear"),
        (200, {"Content-Type": "text/html"}, b"<html>", NoRepositoryError, "not as a git server"),
    ],
)
def test_statuses(
    root: Path, home: Path, status: int, headers: dict[str, str], body: bytes, error: type[SyncError], words: str
) -> None:
    with web(root) as server:
        server.answer = (status, headers, body)
        with pytest.raises(error, match=words) as failed:
            at(server).refs()
        assert type(failed.value) is error and str(failed.value).count(server.url) == 1


def test_a_push_that_the_web_server_refuses(root: Path, home: Path) -> None:
    """The answer comes while the pack is on its way."""
    _, work = make(root, "refused")
    (work / "big").write_bytes(os.urandom(5_000_000))
    git(work, "add", ".")
    old = git(work, "rev-parse", "HEAD").strip()
    new = one_more(work)
    update = RefUpdate("refs/heads/main", old, new)
    with web(root) as server:
        for status, error in ((413, TooLargeError), (401, AccessDeniedError), (403, AccessDeniedError)):
            server.answer_posts = (status, {}, b"no")
            there = at(server, "/refused.git")
            with pytest.raises(error):
                there.push(lambda refs: Outgoing([update], pack_of(work, new, f"^{old}")))


def test_tls(root: Path, home: Path, tls: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with web(root, tls=tls, host="") as server:
        with pytest.raises(SyncError, match=r"certificate is not trusted.*sslCAInfo") as failed:
            at(server).refs()
        assert type(failed.value) is SyncError, "to try again is of no use"
        git(home, "config", "--global", "http.sslVerify", "false")
        with pytest.raises(SyncError, match="sslVerify=false is not followed"):
            at(server).refs()
        git(home, "config", "--global", f"http.{server.url}.sslCAInfo", str(tls.ca))
        assert at(server).refs()
        monkeypatch.setenv("GIT_SSL_CAINFO", str(tls.ca))
        with pytest.raises(SyncError, match=r"certificate is not trusted.*not valid for '127\.0\.0\.2'"):
            Transport(f"https://127.0.0.2:{server.port}/a.git", timeout=10).refs()
        monkeypatch.setenv("GIT_SSL_CAINFO", str(tls.ca.with_name("none")))
        with pytest.raises(SyncError, match=r"none cannot be used"):
            at(server).refs()


def test_what_does_not_speak_tls(root: Path, home: Path) -> None:
    with web(root) as server, pytest.raises(SyncError, match="TLS"):
        Transport(f"https://127.0.0.1:{server.port}/a.git", timeout=10).refs()
    with saying() as port, pytest.raises(UnreachableError, match=r"says nothing for 0\.3 s"):
        Transport(f"https://127.0.0.1:{port}/a.git", timeout=0.3).refs()


def test_a_redirect_is_followed(root: Path, home: Path) -> None:
    with web(root) as server, web(root, redirect=server.url) as first:
        assert at(first).refs() == at(server).refs()
        received: list[bytes] = []
        at(first).fetch(lambda refs: [refs["HEAD"]], [], received.append)
        assert received and [method for method, _, _ in server.requests][-2:] == ["GET", "POST"]


@pytest.mark.parametrize("to", ["/elsewhere", "http://127.0.0.1:1/x", "file:///etc", "ext::sh", "", "https://["])
def test_a_redirect_to_what_is_none(root: Path, home: Path, to: str) -> None:
    with web(root) as server:
        server.answer = (302, {"Location": to}, b"")
        with pytest.raises(SyncError):
            at(server).refs()


def test_a_redirect_in_a_circle_or_to_less_safety(
    root: Path, home: Path, tls: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSL_CAINFO", str(tls.ca))
    with web(root) as server:
        server.answer = (302, {"Location": "/a.git/info/refs?service=git-upload-pack"}, b"")
        with pytest.raises(SyncError, match="without end"):
            at(server).refs()
        server.answer = None
        with web(root, tls=tls, redirect=server.url) as safe, pytest.raises(SyncError, match="less safe"):
            at(safe).refs()


def test_a_redirect_of_a_push(root: Path, home: Path) -> None:
    _, work = make(root, "redirected")
    old = git(work, "rev-parse", "HEAD").strip()
    new = one_more(work)
    with web(root) as server:
        server.answer_posts = (307, {"Location": f"{server.url}/a.git/git-receive-pack"}, b"")
        update = RefUpdate("refs/heads/main", old, new)
        with pytest.raises(SyncError, match="sends elsewhere"):
            at(server, "/redirected.git").push(lambda refs: Outgoing([update], pack_of(work, new, f"^{old}")))


@contextmanager
def tunnels(login: str = "") -> Iterator[tuple[int, list[bytes]]]:
    """Run a proxy that leads wherever it is asked to, over CONNECT; give its port and what it was asked."""
    asked: list[bytes] = []

    def talk(client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        asked.append(head)
        if login and basic(*login.split(":")).encode() not in head:
            client.sendall(b"HTTP/1.1 407 Who are you\r\n\r\n")
            return
        host, _, port = head.split()[1].decode().partition(":")
        with socket.create_connection((host, int(port)), 5) as server:
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")

            def back() -> None:
                with suppress(OSError):
                    while data := server.recv(1 << 16):
                        client.sendall(data)

            thread = threading.Thread(target=back, daemon=True)
            thread.start()
            while data := client.recv(1 << 16):
                server.sendall(data)

    with saying(talk) as port:
        yield port, asked


def test_a_proxy(root: Path, home: Path, tls: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSL_CAINFO", str(tls.ca))
    with web(root, tls=tls) as server:
        with tunnels() as (port, asked):
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            assert at(server).refs() and len(asked) == 1
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            assert at(server).refs() and len(asked) == 1
        with tunnels("ann:secret") as (port, asked):
            git(home, "config", "--global", "http.proxy", f"http://ann:secret@127.0.0.1:{port}")
            assert at(server).refs()
            git(home, "config", "--global", "http.proxy", f"http://127.0.0.1:{port}")
            with pytest.raises(UnreachableError, match=r"proxy.*407"):
                at(server).refs()
            monkeypatch.delenv("no_proxy")
            for host in ("[::1]", "[::1]:443", "host.example", "host.example:444"):
                with pytest.raises(UnreachableError, match=r"proxy.*407"):
                    Transport(f"https://{host}/a", timeout=10).refs()
            places = ["[::1]:443", "[::1]:443", "host.example:443", "host.example:444"]
            assert [each.split()[1].decode() for each in asked[-4:]] == places
            for wrong in ("socks5://ann:secret@127.0.0.1:1", "ann:secret@127.0.0.1:x", "http://[::1", "http://a:99999"):
                git(home, "config", "--global", "http.proxy", wrong)
                with pytest.raises(SyncError, match=r"the proxy .* is not spoken to") as failed:
                    at(server).refs()
                assert "secret" not in str(failed.value)


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"HTTP/1.1 nonsense\r\n\r\n"])
def test_a_proxy_that_is_none(home: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    with saying(said or (lambda client: None)) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(UnreachableError, match="does not answer as a proxy does"):
            Transport("https://forge.example/a.git", timeout=5).refs()


def test_a_key_with_a_passphrase_asks_nobody(root: Path, home: Path, tls: Authority, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=ann", "-passout", "pass:secret"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    git(home, "config", "--global", "http.sslCert", str(certificate))
    git(home, "config", "--global", "http.sslKey", str(key))
    with web(root, tls=tls) as server, pytest.raises(SyncError, match=r"key\.pem cannot be used: .*passphrase"):
        at(server).refs()


def test_a_proxy_of_plain_http(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web(root) as server:
        monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
        monkeypatch.setenv("GIT_CONFIG_KEY_0", "http.http://forge.example.proxy")
        monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"127.0.0.1:{server.port}")
        assert Transport("http://forge.example/a.git", timeout=10).refs()
        assert server.requests[0][1] == "http://forge.example/a.git/info/refs?service=git-upload-pack"
        server.answer = (407, {}, b"")
        with pytest.raises(AccessDeniedError, match="the proxy on the way"):
            Transport("http://forge.example/a.git", timeout=10).refs()
        monkeypatch.delenv("GIT_CONFIG_VALUE_0")
        with pytest.raises(UnsupportedError, match="GIT_CONFIG_KEY_0"):
            Transport("http://forge.example/a.git", timeout=10).refs()


def test_a_repository_names_no_proxy(root: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "evil")
    git(tmp_path / "evil", "config", "http.proxy", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path / "evil")
    with web(root) as server:
        assert at(server).refs()


def test_the_connection_was_closed_meanwhile(root: Path, home: Path) -> None:
    """Servers close what is idle for seconds, and to put a pack together may take longer."""
    with web(root, idle=0.1) as server:
        received: list[bytes] = []

        def choose(refs: object) -> list[str]:
            threading.Event().wait(0.4)
            return [refs["HEAD"]]  # type: ignore[index]

        at(server).fetch(choose, [], received.append)
        assert received


def test_odd_paths(root: Path, home: Path, tmp_path: Path) -> None:
    make(tmp_path / "odd", "a b")
    make(tmp_path / "odd", "k\u00e4se")
    with web(tmp_path / "odd") as server:
        for path in ("/a b.git", "/a%20b.git/", "/k\u00e4se.git", "/k%C3%A4se.git"):
            assert at(server, path).refs()


def test_git_reads_the_same_of_the_user(root: Path, home: Path) -> None:
    """Which setting fits an address best is what git says it is."""
    from gitstate.engine.wire.usersettings import UserSettings

    urls = ["https://*.example.org", "https://a.example.org", "https://a.example.org/x", "https://ann@a.example.org"]
    urls += ["https://a.example.org:8443", "http://a.example.org", "https://a.example.org/x/y/"]
    for number, url in enumerate(urls):
        git(home, "config", "--global", f"http.{url}.proxy", str(number))
    git(home, "config", "--global", "http.proxy", "general")
    settings = UserSettings()
    for url in [f"{each}{path}" for each in urls[1:] for path in ("", "/x", "/x/y", "/xy", "/x/y/z")]:
        said = subprocess.run(
            ["git", "config", "--get-urlmatch", "http.proxy", url], cwd=home, capture_output=True, text=True
        ).stdout
        assert settings.for_url("http", "proxy", url) == said.strip(), url
