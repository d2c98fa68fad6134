"""A small HTTP server that runs `git http-backend`, as forges do at their core: plain, with a password, over TLS."""

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, BinaryIO, cast
from urllib.parse import unquote

from tests.git import git

__all__ = ["Authority", "Web", "authority", "web"]

_CHUNK = 1 << 16
_PATIENCE = 10  # seconds that a client may say nothing


@dataclass(frozen=True)
class Authority:
    """Certificates made for a test. ``ca`` is what a client must trust."""

    ca: Path
    certificate: Path
    key: Path


@dataclass
class Web:
    """A running server. ``url`` ends without a slash; a repository is at ``url/name.git``."""

    url: str
    port: int
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers (lower-case names) of each request so far."""
    answer: tuple[int, dict[str, str], bytes] | None = None
    """What each request gets, when it is set: status, headers, body."""
    answer_posts: tuple[int, dict[str, str], bytes] | None = None
    """The same for requests that send something."""


def authority(folder: Path) -> Authority:
    """Make an authority and a certificate of 127.0.0.1 and localhost that it signed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(folder, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
    _openssl(folder, "req", *new, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    _openssl(folder, "x509", "-req", "-in", "server.csr", "-out", "server.pem", *signed)
    return Authority(folder / "ca.pem", folder / "server.pem", folder / "server.key")


@contextmanager
def web(
    root: Path,
    *,
    user: str = "",
    password: str = "",
    bearer: str = "",
    tls: Authority | None = None,
    redirect: str = "",
    idle: float = _PATIENCE,
    host: str = "127.0.0.1",
) -> Iterator[Web]:
    """Serve the repositories below ``root``, to fetch and to push.

    Args:
        root: The folder of the repositories.
        user: Who may come in, with ``password``; empty: everybody.
        password: See ``user``.
        bearer: A token that lets in.
        tls: Certificates: then it is https.
        redirect: Where requests are sent instead, such as ``http://127.0.0.1:8000``; the path is appended.
        host: Where it listens; empty: at all addresses of this machine.
        idle: Seconds after which a connection is closed on which nothing happens.
    """
    server = _Server((host, 0), _Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        server.tls = context
    port = int(server.server_address[1])
    server.root, server.redirect, server.idle = root, redirect, idle
    server.backend = Path(git(root, "--exec-path").strip()) / "git-http-backend"
    server.web = Web(f"{'https' if tls else 'http'}://127.0.0.1:{port}", port)
    if user:
        server.allowed[f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"] = user
    if bearer:
        server.allowed[f"Bearer {bearer}"] = "token"
    server.challenge = ", ".join(["Basic realm=test"] * bool(user) + ["Bearer"] * bool(bearer))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that a test left hanging must not hold up its end
    request_queue_size = 64
    root: Path
    backend: Path
    web: Web
    tls: ssl.SSLContext | None = None
    redirect = ""
    idle: float = _PATIENCE
    challenge = ""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.allowed: dict[str, str] = {}

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away are what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.timeout = self.server.idle  # type: ignore[misc]  # one of the instance's: super().setup() reads it
        if self.server.tls is not None:  # in the thread of the connection: a handshake may take long
            self.request.settimeout(_PATIENCE)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        if self.server.tls is not None:
            self.request.close()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._handle(self.server.web.answer)

    def do_POST(self) -> None:
        self._handle(self.server.web.answer or self.server.web.answer_posts)

    def _handle(self, answer: tuple[int, dict[str, str], bytes] | None) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.web.requests.append((self.command, self.path, headers))
        allowed = self.server.allowed
        if answer is not None:
            self._answer(*answer)
        elif self.server.redirect:
            self._answer(302, {"Location": self.server.redirect + self.path}, b"")
        elif allowed and self.headers.get("Authorization", "") not in allowed:
            self._answer(401, {"WWW-Authenticate": self.server.challenge}, b"who are you?\n")
        else:
            self._run(allowed.get(self.headers.get("Authorization", ""), ""))

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        if self.command == "POST":
            self.close_connection = True  # what was sent is not read
        self.send_response(status)
        for name, value in ({"Content-Type": "text/plain"} | headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _run(self, user: str) -> None:
        path, _, query = self.path.removeprefix(f"http://{self.headers['Host']}").partition("?")  # as a proxy is asked
        told = {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": self.client_address[0],
            "REMOTE_USER": user,
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.receivepack",
            "GIT_CONFIG_VALUE_0": "true",
        }
        if "Content-Length" in self.headers:
            told["CONTENT_LENGTH"] = self.headers["Content-Length"]
        with subprocess.Popen(
            [self.server.backend],
            env=os.environ | told,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdin and process.stdout
            feeder = threading.Thread(target=self._feed, args=(process,), daemon=True)
            feeder.start()
            if self.server.tls is not None:
                feeder.join()  # two threads must not read from and write to one TLS connection at a time
            try:
                self._pass_on(process.stdout)
            except OSError:
                process.kill()
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(2)
            feeder.join()

    def _feed(self, process: "subprocess.Popen[bytes]") -> None:
        """Pass on what the client sends, whether its length is known or it comes in chunks.

        Where a client goes away in the middle, git 2.39 would wait for the rest for ever, and at full speed.
        """
        stdin, listens = cast("BinaryIO", process.stdin), True
        with suppress(OSError, ValueError), stdin:
            for data in self._body():
                try:
                    if listens:
                        stdin.write(data)
                except OSError:
                    listens = False  # all the same the client is heard out, or it would miss the answer
            return
        process.kill()
        self.close_connection = True

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            data = self.rfile.read1(min(left, _CHUNK))
            if not data:
                raise OSError("the client went away")
            left -= len(data)
            yield data

    def _pass_on(self, stdout: IO[bytes]) -> None:
        status, headers = 200, list[tuple[str, str]]()
        while line := stdout.readline().strip():
            name, _, value = line.decode().partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            else:
                headers.append((name, value))
        self.send_response(status)
        for name, value in [*headers, ("Transfer-Encoding", "chunked")]:
            self.send_header(name, value)
        self.end_headers()
        while data := stdout.read1(_CHUNK):  # type: ignore[attr-defined]  # a BufferedReader
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
