"""The programs that speak for a remote: which, with what in their environment, and that none is left."""

import gc
import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from gitstate.engine.wire import children
from gitstate.engine.wire.addresses import parse
from gitstate.engine.wire.children import environment, git_command, ssh_command
from gitstate.engine.wire.transport import Outgoing, RefUpdate, Transport
from gitstate.engine.wire.usersettings import UserSettings
from gitstate.errors import AccessDeniedError, NoRepositoryError, SyncError, UnreachableError, UnsupportedError
from tests.engine.repositories import make, one_more, pack_of
from tests.git import git
from tests.servers import hook, saying

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> "list[subprocess.Popen[bytes]]":
    """The processes that were started."""
    found: list[subprocess.Popen[bytes]] = []

    class Noting(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noting)
    return found


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def command(url: str, timeout: float = 60.0) -> list[str]:
    return ssh_command(parse(url), "git-upload-pack", timeout, UserSettings())


BATCH = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=60"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ssh://host/a.git", ["ssh", *BATCH, "host", "git-upload-pack '/a.git'"]),
        ("ssh://me@host:22/a.git", ["ssh", *BATCH, "-p", "22", "me@host", "git-upload-pack '/a.git'"]),
        ("ssh://me@host/~/a.git", ["ssh", *BATCH, "me@host", "git-upload-pack '~/a.git'"]),
        ("me@host:a.git", ["ssh", *BATCH, "me@host", "git-upload-pack 'a.git'"]),
        ("host:/a b'c!.git", ["ssh", *BATCH, "host", "git-upload-pack '/a b'\\''c'\\!'.git'"]),
        ("[::1]:a.git", ["ssh", *BATCH, "::1", "git-upload-pack 'a.git'"]),
        ("me@[host:2222]:a.git", ["ssh", *BATCH, "-p", "2222", "me@host", "git-upload-pack 'a.git'"]),
        ("git+ssh://[::1]:2222/a%20b", ["ssh", *BATCH, "-p", "2222", "::1", "git-upload-pack '/a b'"]),
    ],
)
def test_what_ssh_is_told(url: str, words: list[str]) -> None:
    assert command(url) == words


def test_which_ssh(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "evil")
    git(tmp_path / "evil", "config", "core.sshCommand", f"touch {tmp_path}/ran;")
    monkeypatch.chdir(tmp_path / "evil")
    assert command("host:a")[0] == "ssh", "not what a repository says"
    monkeypatch.setenv("GIT_SSH", "/opt/plink")
    assert command("ssh://host:7/a") == ["/opt/plink", "-batch", "-P", "7", "host", "git-upload-pack '/a'"]
    git(home, "config", "--global", "core.sshCommand", "ssh -v")
    assert command("host:a")[:6] == ["sh", "-c", 'ssh -v "$@"', "ssh -v", "-o", "BatchMode=yes"]
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -i ~/.ssh/key")
    assert command("host:a")[2] == 'ssh -i ~/.ssh/key "$@"', "as the shell reads it"
    assert not (tmp_path / "ran").exists()


def test_an_ssh_that_nobody_knows_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modern = program(tmp_path / "modern", "exit 0")
    simple = program(tmp_path / "simple-one", '[ "$1" != -G ]')
    monkeypatch.setenv("GIT_SSH", str(modern))
    assert command("host:a")[1:5] == BATCH
    monkeypatch.setenv("GIT_SSH", str(simple))
    assert command("host:a") == [str(simple), "host", "git-upload-pack 'a'"]
    with pytest.raises(SyncError, match="takes no port"):
        command("ssh://host:7/a")
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    assert command("ssh://host:7/a")[1:5] == BATCH


def test_what_they_do_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PROTOCOL", "GIT_CONFIG_PARAMETERS"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "a.b")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ann")
    told = environment()
    assert {name for name in told if name.startswith("GIT_")} == {
        *("GIT_ASKPASS", "GIT_AUTHOR_NAME", "GIT_CONFIG_NOSYSTEM", "GIT_NO_LAZY_FETCH", "GIT_TERMINAL_PROMPT")
    }
    assert told["GIT_ASKPASS"] == ""


def test_a_push_from_within_a_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git sets variables for its hooks that would lead git on the other side astray."""
    (tmp_path / "root").mkdir()
    origin, work = make(tmp_path / "root", "a")
    old = git(work, "rev-parse", "HEAD").strip()
    new = one_more(work)
    pack = pack_of(work, new, f"^{old}")
    monkeypatch.setenv("GIT_DIR", str(work / ".git"))
    monkeypatch.setenv("GIT_QUARANTINE_PATH", str(work / ".git/objects"))
    update = RefUpdate("refs/heads/main", old, new)
    assert Transport(str(origin)).push(lambda refs: Outgoing([update], pack)).rejected == {}


def test_none_is_left(tmp_path: Path, started: "list[subprocess.Popen[bytes]]") -> None:
    """Whatever becomes of a conversation: no process, no thread of ours, no descriptor."""
    (tmp_path / "root").mkdir()
    origin, work = make(tmp_path / "root", "a")
    hook(origin, "pre-receive", f"echo $$ > {tmp_path}/pid; sleep 60 & wait")
    old = git(work, "rev-parse", "HEAD").strip()
    update = RefUpdate("refs/heads/main", old, one_more(work))

    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    def everything(port: int) -> None:
        there = Transport(str(origin), timeout=0.5)
        there.refs()
        there.fetch(lambda refs: [refs["HEAD"]], [], len)
        there.push(lambda refs: None)
        with pytest.raises(ZeroDivisionError):
            there.fetch(lambda refs: [refs["HEAD"]], [], fail)
        with pytest.raises(SyncError):
            there.push(lambda refs: Outgoing([update], pack_of(work, update.new or "", f"^{old}")))
        for url in (f"git://127.0.0.1:{port}/a", f"http://127.0.0.1:{port}/a", f"https://127.0.0.1:{port}/a"):
            with pytest.raises(SyncError):
                Transport(url, timeout=0.2).refs()
        with pytest.raises(NoRepositoryError):
            Transport(str(tmp_path / "none")).refs()

    with saying() as port:
        everything(port)
        gc.collect()
        before = set(os.listdir("/dev/fd"))
        everything(port)
        gc.collect()
        after = set(os.listdir("/dev/fd"))
    assert len(after) <= len(before) + 8, "the server of the test has connections of its own"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gitstate-serve")]
    assert started and all(process.returncode is not None for process in started)
    state = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    if Path("/proc/self/stat").exists():
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX", "a hook still runs"


def test_one_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: "list[subprocess.Popen[bytes]]"
) -> None:
    monkeypatch.setattr(children, "_FAREWELL", 0.2)
    stubborn = program(tmp_path / "ssh", "trap '' TERM; while :; do sleep 1; done")
    monkeypatch.setenv("GIT_SSH", str(stubborn))
    with pytest.raises(UnreachableError, match="says nothing"):
        Transport("host:a", timeout=0.2).refs()
    assert started and all(process.returncode is not None for process in started)


def test_one_that_says_something_after_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hangs up, and only then it says why."""
    monkeypatch.setenv("GIT_SSH", str(program(tmp_path / "ssh", "exec >&-; sleep 0.2; echo Permission denied >&2")))
    with pytest.raises(AccessDeniedError, match="Permission denied"):
        Transport("host:a", timeout=5).refs()


def test_a_shell_that_says_good_morning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH", str(program(tmp_path / "ssh", "echo Good morning; sleep 5")))
    with pytest.raises(SyncError, match=r"host:a does not answer as a git server does: .*Good"):
        Transport("host:a", timeout=5).refs()


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    origin, work = make(tmp_path / "root", "a", size=10_000)
    git(work, "tag", "-a", "-m", "One", "v1")
    git(work, "push", "-q", "origin", "v1")
    old, new = git(work, "rev-parse", "HEAD").strip(), one_more(work)
    git(work, "push", "-q", "origin", "main")
    with_git = Transport(str(origin)).refs()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert git_command("git-upload-pack", "/x") == []
    for path in (origin, origin.with_suffix(""), work / ".git/..", work):
        there = Transport(str(path), timeout=10)
        assert there.refs()["refs/heads/main"] == new
    there = Transport(origin.as_uri(), timeout=10)
    assert there.refs() == with_git
    received = bytearray()
    there.fetch(lambda refs: [refs["refs/heads/main"]], [old], received.extend)
    assert received[:4] == b"PACK" and int.from_bytes(received[8:12], "big") == 3
    with pytest.raises(UnsupportedError, match="takes git"):
        there.push(lambda refs: None)
    with pytest.raises(NoRepositoryError):
        Transport(str(tmp_path / "none")).refs()


def test_an_ssh_that_the_shell_would_not_read_is_none_that_we_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -o 'unfinished")
    assert command("host:a")[:3] == ["sh", "-c", 'ssh -o \'unfinished "$@"']


def test_an_ssh_that_does_not_answer_takes_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_PROBE", 0.2)
    slow = program(tmp_path / "slow-one", "exec sleep 5")
    monkeypatch.setenv("GIT_SSH", str(slow))
    assert command("host:a") == [str(slow), "host", "git-upload-pack 'a'"]
    monkeypatch.setenv("GIT_SSH", str(tmp_path / "none-at-all"))
    with pytest.raises(SyncError, match="cannot be run: No such file"):
        Transport("ssh://host/a").refs()
