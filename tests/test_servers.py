"""The servers that the other tests rely on serve, and go away."""

import os
from pathlib import Path

import pytest

from tests.git import git
from tests.servers import TRANSPORTS, bare, hook, proxy, served, ssh, web


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with one commit."""
    git(tmp_path, "init", "-q", "work")
    git(tmp_path / "work", "commit", "-q", "--allow-empty", "-m", "One")
    return tmp_path / "work"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_git_pushes_and_clones(transport: str, tmp_path: Path, work: Path) -> None:
    bare(tmp_path / "root/a.git")
    with served(transport, tmp_path / "root", tmp_path) as url:
        git(work, "push", "-q", f"{url}/a.git", "main")
        git(tmp_path, "clone", "-q", f"{url}/a.git", "copy")
    assert git(tmp_path / "copy", "rev-parse", "HEAD") == git(work, "rev-parse", "HEAD")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_hook_refuses(transport: str, tmp_path: Path, work: Path) -> None:
    hook(bare(tmp_path / "root/a.git"), "pre-receive", "echo not on Fridays >&2; exit 1")
    with served(transport, tmp_path / "root", tmp_path) as url, pytest.raises(Exception, match="exit status 1"):
        git(work, "push", "-q", f"{url}/a.git", "main")


def test_a_password_is_asked_for(tmp_path: Path, work: Path) -> None:
    bare(tmp_path / "root/a.git")
    with web(tmp_path / "root", user="ann", password="secret") as server:
        with pytest.raises(Exception, match="exit status 128"):
            git(work, "push", "-q", f"{server.url}/a.git", "main")
        git(work, "push", "-q", f"http://ann:secret@127.0.0.1:{server.port}/a.git", "main")


def test_a_proxy_cuts(tmp_path: Path, work: Path) -> None:
    bare(tmp_path / "root/a.git")
    with web(tmp_path / "root") as server, proxy(server.port, cut_after=100) as there:
        with pytest.raises(Exception, match="exit status 128"):
            git(work, "push", "-q", f"http://127.0.0.1:{there.port}/a.git", "main")
        assert there.passed == 100


def test_a_stranger_is_kept_out(tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare(tmp_path / "root/a.git")
    with ssh(tmp_path / "ssh") as server:
        monkeypatch.setitem(os.environ, "GIT_SSH_COMMAND", server.stranger)
        with pytest.raises(Exception, match="exit status 128"):
            git(work, "push", "-q", f"{server.url}{tmp_path}/root/a.git", "main")
