"""The check of objects against what git itself says of the same bytes."""

import subprocess
from pathlib import Path

import pytest

from gitstate.engine import check
from gitstate.engine.check import ObjectCheck
from gitstate.engine.git import GitEngine
from gitstate.engine.objects import GitObject
from gitstate.engine.repository import open_repository
from tests.engine.conftest import save

BLOB = GitObject("blob", b"a file\n")


def entry(mode: str, name: bytes, item: bytes | None = None) -> bytes:
    return b"%s %s\0%s" % (mode.encode(), name, item or bytes.fromhex(BLOB.id))


WHO = b"A <a@b> 1700000000 +0000"
TREES = {
    "empty": b"",
    "sound": entry("100755", b"a") + entry("100644", b"a.b") + entry("120000", b"ab") + entry("100644", b"b"),
    "names that are not UTF-8": entry("100644", b"\xff"),
    "order": entry("100644", b"b") + entry("100644", b"a"),
    "order of a folder": entry("40000", b"a", bytes.fromhex(GitObject("tree", b"").id)) + entry("100644", b"a.b"),
    "twice": entry("100644", b"a") + entry("100644", b"a"),
    "dot": entry("100644", b"."),
    "dots": entry("100644", b".."),
    "git": entry("100644", b".GIT"),
    "git in disguise": entry("100644", "\u200c.git".encode()),
    "slash": entry("100644", b"a/b"),
    "no name": entry("100644", b""),
    "zero": entry("0100644", b"a"),
    "nothing": entry("100644", b"a", bytes(20)),
}
COMMITS = {
    "sound": b"author %s\ncommitter %s\n\nfine\n" % (WHO, WHO),
    "signed": b"author %s\ncommitter %s\ngpgsig -----BEGIN\n end\n\nfine\n" % (WHO, WHO),
    "no message": b"author %s\ncommitter %s\n" % (WHO, WHO),
    "no author": b"committer %s\n\nx\n" % WHO,
    "order": b"committer %s\nauthor %s\n\nx\n" % (WHO, WHO),
    "two authors": b"author %s\nauthor %s\ncommitter %s\n\nx\n" % (WHO, WHO, WHO),
    "a late parent": b"author %s\nparent %s\ncommitter %s\n\nx\n" % (WHO, BLOB.id.encode(), WHO),
    "no email": b"author A 1700000000 +0000\ncommitter %s\n\nx\n" % WHO,
    "no date": b"author A <a@b>\ncommitter %s\n\nx\n" % WHO,
    "zone": b"author A <a@b> 1700000000 0000\ncommitter %s\n\nx\n" % WHO,
    "zeros": b"author A <a@b> 01700000000 +0000\ncommitter %s\n\nx\n" % WHO,
    "brackets": b"author A <a<@b> 1700000000 +0000\ncommitter %s\n\nx\n" % WHO,
    "nul": b"author %s\ncommitter %s\n\nx\0y\n" % (WHO, WHO),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with the objects that the bodies name."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for item in (BLOB, GitObject("tree", b"")):
        add(tmp_path, item)
    return tmp_path


def add(folder: Path, item: GitObject) -> None:
    command: list[str | Path] = ["git", "-C", folder, "hash-object", "--literally", "-t", item.kind, "-w", "--stdin"]
    subprocess.run(command, input=item.body, check=True, stdout=subprocess.DEVNULL)


def git_is_content(folder: Path) -> bool:
    return subprocess.run(["git", "-C", folder, "fsck", "--strict"], capture_output=True).returncode == 0


@pytest.mark.parametrize("body", TREES.values(), ids=TREES)
def test_trees_are_judged_as_git_does(folder: Path, body: bytes) -> None:
    add(folder, GitObject("tree", body))
    assert (list(check.tree_faults(body)) == []) == git_is_content(folder)


def test_modes_that_git_makes_its_own_sense_of_are_faults() -> None:
    assert [severity for _, severity in check.tree_faults(entry("100664", b"a"))] == ["warning"]
    assert [severity for _, severity in check.tree_faults(entry("100600", b"a"))] == ["error"]


def test_what_is_no_tree_at_all_is_a_fault() -> None:
    for body in (b"x", entry("100644", b"a")[:-1], entry("100644", b"a") + b"\n"):
        assert list(check.tree_faults(body))


@pytest.mark.parametrize("rest", COMMITS.values(), ids=COMMITS)
def test_commits_are_judged_as_git_does(folder: Path, rest: bytes) -> None:
    body = b"tree %s\n%s" % (GitObject("tree", b"").id.encode(), rest)
    add(folder, GitObject("commit", body))
    assert (list(check.commit_faults(body)) == []) == git_is_content(folder)


def test_all_that_a_commit_reaches_is_looked_at_once(folder: Path) -> None:
    inner = GitObject("tree", entry("100644", b"f"))
    top = GitObject(
        "tree", entry("40000", b"a", bytes.fromhex(inner.id)) + entry("160000", b"module", bytes(19) + b"x")
    )
    first = GitObject("commit", b"tree %s\n%s" % (top.id.encode(), COMMITS["sound"]))
    second = GitObject("commit", b"tree %s\nparent %s\n%s" % (top.id.encode(), first.id.encode(), COMMITS["sound"]))
    for item in (inner, top, first, second):
        add(folder, item)
    engine = GitEngine(open_repository(folder))
    found = ObjectCheck(engine)
    found.reach(second.id, "here")
    found.reach(first.id, "there")
    assert (found.commits, found.objects, found.problems) == (2, 5, [])
    path = folder / ".git/objects" / BLOB.id[:2] / BLOB.id[2:]
    path.unlink()
    engine.close()
    engine = GitEngine(open_repository(folder))
    found = ObjectCheck(engine)
    found.reach(second.id, "here")
    found.reach("1" * 40, "nowhere")
    assert [(p.kind, p.place) for p in found.problems] == [
        ("object", f"a/f at revision {second.id[:12]}"),
        ("object", "nowhere"),
    ]
    assert BLOB.id in found.problems[0].what
    engine.close()


def test_an_object_of_another_kind_than_its_entry_says_is_a_problem(folder: Path) -> None:
    top = GitObject("tree", entry("100644", b"f") + entry("40000", b"g"))
    commit = GitObject("commit", b"tree %s\n%s" % (top.id.encode(), COMMITS["sound"]))
    for item in (top, commit):
        add(folder, item)
    engine = GitEngine(open_repository(folder))
    found = ObjectCheck(engine)
    found.reach(commit.id, "here")
    assert [problem.place for problem in found.problems] == [f"g at revision {commit.id[:12]}"]
    engine.close()


def test_an_index_without_its_pack_is_told_and_one_that_went_with_it_is_not(folder: Path) -> None:
    engine = GitEngine(open_repository(folder))
    save(engine, {"a": b"1"})
    (pack,) = (folder / ".git/objects/pack").glob("pack-*.pack")
    index = pack.with_suffix(".idx")
    assert list(check.pack_problems(folder / ".git/objects/pack")) == []
    aside = pack.rename(folder / "aside")
    (problem,) = check.pack_problems(folder / ".git/objects/pack")
    assert (problem.kind, problem.place) == ("pack", f"objects/pack/{pack.name}")
    assert "missing" in problem.what
    index.unlink()
    assert list(check.pack_problems(folder / ".git/objects/pack")) == []
    aside.unlink()
    engine.close()
