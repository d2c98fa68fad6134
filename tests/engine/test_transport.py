"""One engine for all ways to another repository: what each of them does, and how each of them fails."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitstate.engine.transfer.outgoing import PackSource
from gitstate.engine.wire.transport import MOVED, Outgoing, RefUpdate, Transport
from tests.engine.repositories import make, one_more, pack_of
from tests.git import git
from tests.servers import TRANSPORTS, hook, served


@pytest.fixture(scope="module", params=TRANSPORTS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address that it is served at, by each transport."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "root").mkdir()
    with served(request.param, folder / "root", folder) as url:
        yield folder / "root", url


def test_refs(server: tuple[Path, str]) -> None:
    root, url = server
    _, work = make(root, "refs")
    git(work, "tag", "-a", "-m", "A tag", "v1")
    git(work, "push", "-q", "origin", "v1")
    there = Transport(f"{url}/refs.git", timeout=10)
    head = git(work, "rev-parse", "HEAD").strip()
    tag = git(work, "rev-parse", "v1").strip()
    assert there.refs() == {"HEAD": head, "refs/heads/main": head, "refs/tags/v1": tag}
    assert there.head == "refs/heads/main"
    assert there.odd == ()


def test_fetch(server: tuple[Path, str], tmp_path: Path) -> None:
    root, url = server
    origin, work = make(root, "fetch")
    old = git(work, "rev-parse", "HEAD").strip()
    git(tmp_path, "clone", "-q", str(origin), "copy")
    new = one_more(work)
    git(work, "push", "-q", "origin", "main")
    received = bytearray()
    there = Transport(f"{url}/fetch.git", timeout=10)
    refs = there.fetch(lambda refs: [refs["refs/heads/main"]], [old], received.extend)
    assert refs["refs/heads/main"] == new
    assert received[:4] == b"PACK" and int.from_bytes(received[8:12], "big") == 3
    subprocess.run(["git", "index-pack", "--fix-thin", "--stdin"], cwd=tmp_path / "copy", input=received, check=True)
    assert git(tmp_path / "copy", "cat-file", "-t", new) == "commit\n"


def test_push(server: tuple[Path, str]) -> None:
    root, url = server
    origin, work = make(root, "push")
    old = git(work, "rev-parse", "HEAD").strip()
    new = one_more(work)
    there = Transport(f"{url}/push.git", timeout=10)
    update = RefUpdate("refs/heads/main", old, new)
    pushed = there.push(lambda refs: Outgoing([update], pack_of(work, new, f"^{old}")))
    assert pushed.rejected == {} and pushed.refs["refs/heads/main"] == old
    assert git(origin, "rev-parse", "main").strip() == new
    assert there.push(lambda refs: Outgoing([update], None)).rejected == {"refs/heads/main": MOVED}
    assert there.push(lambda refs: None).rejected == {}
    extra = RefUpdate("refs/gitstate/rescue/a/b", None, new)
    assert there.push(lambda refs: Outgoing([extra], None)).rejected == {}
    assert git(origin, "rev-parse", extra.name).strip() == new
    assert there.push(lambda refs: Outgoing([RefUpdate(extra.name, new, None)], None)).rejected == {}
    assert "gitstate" not in git(origin, "for-each-ref")
    git(origin, "fsck", "--strict")


@pytest.mark.parametrize("size", [1_000, 3_000_000])
def test_push_of_objects(server: tuple[Path, str], size: int) -> None:
    """They are packed on their way; nobody knows how long that will be."""
    root, url = server
    origin, work = make(root, f"objects-{size}")
    old = git(work, "rev-parse", "HEAD").strip()
    new = one_more(work, os.urandom(size // 2).hex())
    ids = [each.split()[0] for each in git(work, "rev-list", "--objects", new, f"^{old}").splitlines()]
    bodies = [
        (git(work, "cat-file", "-t", each).strip(), git_bytes(work, "cat-file", "-p", each))
        if index != 1
        else ("tree", git_bytes(work, "cat-file", "tree", each))
        for index, each in enumerate(ids)
    ]
    there = Transport(f"{url}/objects-{size}.git", timeout=10)
    update = RefUpdate("refs/heads/main", old, new)
    told: list[tuple[str, int, int | None]] = []
    pack = PackSource(len(bodies), lambda: bodies)
    assert there.push(lambda refs: Outgoing([update], pack), lambda *each: told.append(each)).rejected == {}
    assert git(origin, "rev-parse", "main").strip() == new
    assert max(done for stage, done, _ in told if stage == "sending") > size // 2
    git(origin, "fsck", "--strict")


def git_bytes(folder: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, check=True).stdout


def test_rejected_by_a_hook(server: tuple[Path, str]) -> None:
    root, url = server
    origin, work = make(root, "hook")
    hook(origin, "pre-receive", "echo 'not on \033[31mFridays' >&2; exit 1")
    old = git(work, "rev-parse", "HEAD").strip()
    new = one_more(work)
    there = Transport(f"{url}/hook.git", timeout=10)
    update = RefUpdate("refs/heads/main", old, new)
    pushed = there.push(lambda refs: Outgoing([update], pack_of(work, new, f"^{old}")))
    assert pushed.rejected == {"refs/heads/main": "pre-receive hook declined"}
    assert there.said == ["not on Fridays"]
    assert git(origin, "rev-parse", "main").strip() == old
