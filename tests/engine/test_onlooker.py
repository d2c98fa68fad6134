"""A look at a repository in the middle of git's own work says what git would say."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitstate.engine.objects import GitObject
from gitstate.engine.onlooker import Onlooker, is_conflicted, staged
from gitstate.engine.repository import open_repository
from gitstate.errors import CorruptionError, GitStateError, RevisionNotFoundError
from tests.git import git

EMPTY = GitObject("tree", b"").id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "repository")
    return tmp_path / "repository"


@pytest.fixture
def onlooker(folder: Path) -> Iterator[Onlooker]:
    found = Onlooker(open_repository(folder, create=False), {})
    yield found
    found.close()


def test_an_index_makes_the_tree_that_git_writes(folder: Path, onlooker: Onlooker) -> None:
    def same() -> None:
        assert staged(onlooker.index(), onlooker)[0] == git(folder, "write-tree").strip()

    same()
    for path in ("a", "a.b/c", "a-b/c", "a0", "b/c/d/e", "b/c.d", "ü/\u2028"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("a")
    git(folder, "add", "-A")
    subprocess.run(["git", "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module"], cwd=folder, check=True)
    same()
    git(folder, "commit", "-qm", "one")
    git(folder, "rm", "-rq", "--cached", "b/c")
    (folder / "later").write_text("x")
    git(folder, "add", "-N", "later")
    same()
    git(folder, "update-index", "--index-version", "4", "--assume-unchanged", "a")
    same()
    root, source = staged(onlooker.index(), onlooker)
    assert source.read(root, "tree") == source.tree(root).body
    with pytest.raises(CorruptionError):
        source.read("1" * 40, "blob")


def test_a_merge_that_is_not_decided(folder: Path, onlooker: Onlooker) -> None:
    for branch, text in (("main", "base"), ("other", "theirs"), ("main", "ours")):
        git(folder, "checkout", "-q", *(["-B", branch] if text != "ours" else [branch]))
        (folder / "file").write_text(text)
        git(folder, "add", "file")
        git(folder, "commit", "-qm", text)
    assert is_conflicted(onlooker.index()) == []
    subprocess.run(["git", "merge", "-q", "other"], cwd=folder, capture_output=True)
    assert is_conflicted(onlooker.index()) == ["file"]


def test_a_name_without_end_is_none(onlooker: Onlooker) -> None:
    for name in ("HEAD" + "^" * 5000, "HEAD~" + "1" * 5000):
        with pytest.raises(RevisionNotFoundError, match="characters"):
            onlooker.resolve(name)


def test_names_mean_what_they_mean_to_git(folder: Path, onlooker: Onlooker) -> None:
    assert onlooker.checked_out() is None and onlooker.branch() is None
    with pytest.raises(RevisionNotFoundError):
        onlooker.resolve("HEAD")
    for text in "abcd":
        git(folder, "commit", "-q", "--allow-empty", "-m", text)
        git(folder, "tag", text, *(["-am", text] if text == "b" else []))
    git(folder, "checkout", "-q", "-b", "topic/x", "b")
    git(folder, "merge", "-q", "--no-ff", "-m", "merged", "main")
    git(folder, "update-ref", "refs/remotes/origin/main", "c")
    git(folder, "branch", "c", "a")
    head = git(folder, "rev-parse", "HEAD").strip()
    names = ["HEAD", "@", "main", "topic/x", "a", "b", "origin/main", "refs/heads/main", "heads/main", "tags/a", "c"]
    names += [
        "HEAD~1",
        "HEAD~",
        "HEAD^",
        "HEAD^2",
        "HEAD^2~1",
        "HEAD^0",
        "HEAD~0",
        "main~2^",
        "b~1",
        "HEAD^^",
        head,
        head[:9],
    ]
    for name in names:
        assert onlooker.resolve(name) == git(folder, "rev-parse", "-q", f"{name}^{{commit}}").strip(), name
    blob = subprocess.check_output(["git", "hash-object", "-w", "--stdin"], cwd=folder, input=b"x", text=False)
    git(folder, "tag", "blob", blob.decode().strip())
    for name in ("blob", "nothing", "HEAD^3", "HEAD~99", "config", "../x", "refs/heads", "a b", "deadbeef", "", "~x"):
        with pytest.raises(GitStateError):
            onlooker.resolve(name)
    git(folder, "checkout", "-q", "--detach", "a")
    assert onlooker.resolve("HEAD") == onlooker.resolve("a")


def test_a_name_that_several_commits_begin_with_is_refused_with_all_of_them(folder: Path, onlooker: Onlooker) -> None:
    who = "A <a@b> 1700000000 +0000"
    by_digits: dict[str, GitObject] = {}
    for number in range(5000):
        item = GitObject("commit", f"tree {EMPTY}\nauthor {who}\ncommitter {who}\n\n{number}\n".encode())
        other = by_digits.setdefault(item.id[:4], item)
        if other is not item:
            break
    for each in (item, other):
        command = ["git", "hash-object", "-w", "-t", "commit", "--stdin"]
        subprocess.run(command, cwd=folder, input=each.body, check=True, capture_output=True)
    with pytest.raises(RevisionNotFoundError, match="ambiguous") as told:
        onlooker.resolve(item.id[:4])
    assert item.id in told.value.message and other.id in told.value.message
    assert onlooker.resolve(item.id) == item.id


def test_a_head_that_is_no_id_is_damage(folder: Path, onlooker: Onlooker) -> None:
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    (folder / ".git/HEAD").write_text("somewhere\n")
    with pytest.raises(CorruptionError, match="HEAD holds no object id"):
        onlooker.checked_out()
