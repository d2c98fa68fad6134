"""What is particular to HTTP: who asks, who answers, where it leads, and what its statuses mean."""

import base64
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gitstate.engine.wire.addresses import parse
from gitstate.engine.wire.credentials import Credentials
from gitstate.engine.wire.transport import Outgoing, RefUpdate, Transport
from gitstate.errors import (
    AccessDeniedError,
    InvalidInputError,
    NoRepositoryError,
    SyncError,
    TooLargeError,
    UnreachableError,
    UnsupportedError,
)
from tests.conftest import GIT_CONFIG
from tests.engine.repositories import make, one_more, pack_of
from tests.git import git
from tests.servers import Authority, Web, authority, saying, web


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one repository, a.git."""
    folder = tmp_path_factory.mktemp("web") / "root"
    make(folder, "a")
    return folder


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text(GIT_CONFIG)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def at(server: Web, path: str = "/a.git", login: str = "") -> Transport:
    scheme, _, rest = server.url.partition("://")
    return Transport(f"{scheme}://{login + '@' if login else ''}{rest}{path}", timeout=10)


def sent(server: Web) -> list[str]:
    """Return what the server was shown, request by request."""
    return [headers.get("authorization", "") for _, _, headers in server.requests]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_the_address_holds_a_password(root: Path, home: Path) -> None:
    with web(root, user="ann", password="p@ss:w/d") as server:
        assert at(server, login="ann:p%40ss%3Aw%2Fd").refs()
        assert sent(server) == [basic("ann", "p@ss:w/d")], "without being asked"
        with pytest.raises(AccessDeniedError, match="does not take the credentials") as failed:
            at(server, login="ann:wrong").refs()
        assert "wrong" not in str(failed.value)
        with pytest.raises(AccessDeniedError, match=r"wants credentials.*GITSTATE_TOKEN"):
            at(server).refs()


def test_a_token_of_the_environment(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITSTATE_TOKEN", "t0ken")
    with web(root, user="x-access-token", password="t0ken") as server:
        there = at(server)
        assert there.refs() and there.refs()
        right = basic("x-access-token", "t0ken")
        assert sent(server) == ["", right, right], "the second time it is known"
    monkeypatch.setenv("GITSTATE_USERNAME", "ann")
    with web(root, user="ann", password="t0ken") as server:
        assert at(server).refs()
    with web(root, bearer="t0ken") as server:
        assert at(server).refs(), "the challenge names no other way"
        assert "t0ken" not in repr(Credentials())


def test_a_token_goes_over_no_open_network(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITSTATE_TOKEN", "t0ken")
    with web(root, user="x", password="t0ken") as server:
        monkeypatch.setenv("http_proxy", server.url)  # it serves what it is asked for, whichever host
        server.answer = (401, {"WWW-Authenticate": "Basic realm=x"}, b"")
        for host in ("forge.example", "localhost"):  # which is the machine of the proxy
            with pytest.raises(AccessDeniedError, match="not sent over http"):
                Transport(f"http://{host}/a.git", timeout=10).refs()
        assert sent(server) == ["", ""]


def test_a_token_goes_to_this_machine(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITSTATE_TOKEN", "t0ken")
    with web(root, bearer="t0ken") as server:
        assert Transport(f"http://localhost:{server.port}/a.git", timeout=10).refs()


def test_netrc(root: Path, home: Path) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    with web(root, user="ann", password="secret") as server:
        assert at(server).refs()
        with pytest.raises(AccessDeniedError):
            at(server, login="bob").refs()


def test_netrc_for_all_hosts(root: Path, home: Path) -> None:
    """It is for those that the user names, not for whoever another server names."""
    (home / ".netrc").write_text("default login ann password secret\n")
    with web(root, user="ann", password="secret") as server, web(root, redirect=server.url) as first:
        assert at(server).refs()
        server.requests.clear()
        with pytest.raises(AccessDeniedError):
            at(first).refs()
        assert sent(server) == [""]


HELPER = """#!/bin/sh
echo "$1" >> {log}
cat >> {log}
[ "$1" = get ] && printf 'username=ann\\npassword=%s\\n' "$(cat {secret})"
true
"""


@pytest.fixture
def helper(home: Path) -> Path:
    """A credential helper of the user's; give the folder with what it knows (``secret``) and was asked (``log``)."""
    folder = home / "helper"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    (folder / "log").write_text("")
    (folder / "run").write_text(HELPER.format(log=folder / "log", secret=folder / "secret"))
    (folder / "run").chmod(0o755)
    git(home, "config", "--global", "credential.helper", str(folder / "run"))
    return folder


def test_a_credential_helper(root: Path, helper: Path) -> None:
    with web(root, user="ann", password="secret") as server:
        there = at(server)
        assert there.refs() and there.refs()
        log = (helper / "log").read_text()
        assert log.count("get\n") == 1 and log.count("store\n") == 1 and f"host=127.0.0.1:{server.port}" in log
        (helper / "secret").write_text("wrong")
        with pytest.raises(AccessDeniedError, match="does not take"):
            at(server).refs()
        assert (helper / "log").read_text().count("erase\n") == 1


def test_a_helper_that_remembers(root: Path, helper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git's own starts something that goes on when it has ended."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    git(helper, "config", "--global", "--replace-all", "credential.helper", "cache --timeout=60")
    git(helper, "config", "--global", "--add", "credential.helper", str(helper / "run"))
    try:
        with web(root, user="ann", password="secret") as server:
            assert at(server).refs() and at(server).refs()
    finally:
        git(helper, "credential-cache", "exit")
    assert (helper / "log").read_text().count("get\n") == 1


def test_a_repository_names_no_helper(root: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "evil")
    git(tmp_path / "evil", "config", "credential.helper", f"!touch {tmp_path}/ran;")
    git(tmp_path / "evil", "config", "core.askPass", f"{tmp_path}/none")
    monkeypatch.chdir(tmp_path / "evil")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "evil/.git"))
    with web(root, user="ann", password="secret") as server, pytest.raises(AccessDeniedError):
        at(server).refs()
    assert not (tmp_path / "ran").exists()


def test_nobody_is_asked(root: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = tmp_path / "ask"
    asking.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\necho x\n")
    asking.chmod(0o755)
    git(home, "config", "--global", "core.askPass", str(asking))
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(asking))
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "1")
    with web(root, user="ann", password="secret") as server, pytest.raises(AccessDeniedError):
        at(server).refs()
    assert not (tmp_path / "asked").exists()


def test_a_helper_that_waits_for_somebody(root: Path, home: Path) -> None:
    git(home, "config", "--global", "credential.helper", "!sleep 60;")
    with web(root, user="ann", password="secret") as server, pytest.raises(AccessDeniedError):
        Transport(f"{server.url}/a.git", timeout=0.5).refs()


def test_a_header_of_the_user(root: Path, home: Path) -> None:
    with web(root, bearer="t0ken") as server:
        git(home, "config", "--global", f"http.{server.url}/.extraHeader", "Authorization: Bearer t0ken")
        assert at(server).refs()


def test_a_header_of_the_user_gives_way_to_who_the_address_names(root: Path, home: Path) -> None:
    with web(root, user="ann", password="secret") as server:
        git(home, "config", "--global", "http.extraHeader", "Authorization: Bearer of somebody else")
        git(home, "config", "--global", "--add", "http.extraHeader", "X-Team:  state ")
        assert at(server, login="ann:secret").refs()
        assert sent(server) == [basic("ann", "secret")]
        assert server.requests[0][2]["x-team"] == "state"


def test_a_header_of_the_user_is_one_line(root: Path, home: Path) -> None:
    with web(root) as server:
        git(home, "config", "--global", "http.extraHeader", "X-Team: a\nX-Other: b")
        with pytest.raises(InvalidInputError, match="break of line"):
            at(server).refs()
        assert server.requests == []


def test_a_push_is_authorized(root: Path, home: Path) -> None:
    origin, work = make(root, "pushed")
    old = git(work, "rev-parse", "HEAD").strip()
    new = one_more(work)
    with web(root, user="ann", password="secret") as server:
        there = at(server, "/pushed.git", "ann:secret")
        update = RefUpdate("refs/heads/main", old, new)
        assert there.push(lambda refs: Outgoing([update], pack_of(work, new, f"^{old}"))).rejected == {}
        assert [method for method, _, _ in server.requests] == ["GET", "POST"]
    assert git(origin, "rev-parse", "main").strip() == new


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


def test_credentials_do_not_follow_to_another_host(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITSTATE_TOKEN", "t0ken")
    git(home, "config", "--global", "http.extraHeader", "X-Secret: 1")
    with web(root, user="ann", password="secret") as other, web(root, redirect=other.url) as first:
        with pytest.raises(AccessDeniedError, match=rf"TOKEN is not sent where .* give {other.url}/a.git as"):
            at(first, login="ann:secret").refs()
        assert set(sent(other)) == {""}
        assert not any("x-secret" in headers for _, _, headers in other.requests)


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


def test_a_helper_that_knows_more_than_passwords(
    root: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git of 2.46 or later hands on what else a server takes."""
    with web(root, bearer="t0ken") as server:
        answer = f"protocol=http\nhost=127.0.0.1:{server.port}\nauthtype=Bearer\ncredential=t0ken\n"
        (tmp_path / "answer").write_text(answer)
        script = f'[ "${{!#}}" = fill ] && cat {tmp_path}/answer; cat >> {tmp_path}/told'
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/git").write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / "bin/git").chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
            with pytest.raises(NoRepositoryError):
                at(server, "/none.git").refs()
            there = Credentials()
            shown = next(there.on_demand(parse(f"{server.url}/a.git"), ["Bearer"], named=True))
            assert shown.header == "Bearer t0ken" and "t0ken" not in repr(shown)
        told = (tmp_path / "told").read_text()
        assert "capability[]=authtype" in told and "wwwauth[]=Bearer" in told


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
