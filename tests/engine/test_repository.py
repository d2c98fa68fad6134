"""Repositories made, opened, found and refused."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gitstate.engine.git import GitEngine
from gitstate.engine.repository import Repository, find_store, open_repository
from gitstate.errors import InvalidInputError, ReadOnlyError, StorageError, StoreNotFoundError, UnsupportedError
from tests.engine.conftest import OpenEngine, content, git, save


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("bare", [False, True])
def test_a_new_repository_is_one_for_git(tmp_path: Path, bare: bool) -> None:
    folder = tmp_path / "some" / "store"
    made = open_repository(folder, branch="state", bare=bare)
    assert made.git_dir == (folder if bare else folder / ".git")
    assert made.worktree == (None if bare else folder)
    assert git(folder, "symbolic-ref", "HEAD") == "refs/heads/state\n"
    assert git(folder, "rev-parse", "--is-bare-repository") == f"{str(bare).lower()}\n"
    assert git(folder, "config", "gc.auto") == "0\n"
    assert open_repository(folder, branch="state") == made
    git(folder, "fsck", "--strict")


def test_a_repository_may_be_opened_by_its_git_folder(open_engine: OpenEngine, tmp_path: Path) -> None:
    save(open_engine(), {"a": b"1"})
    by_folder, by_git_dir = open_repository(tmp_path / "store"), open_repository(tmp_path / "store/.git")
    assert by_git_dir == by_folder


def test_a_linked_worktree_shares_the_store(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    git(tmp_path / "store", "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    linked = open_repository(tmp_path / "linked", branch="side")
    assert linked.worktree == tmp_path / "linked"
    assert linked.private == tmp_path / "store/.git/gitstate"
    other = GitEngine(linked)
    head = save(other, {"b": b"2"})
    other.close()
    assert git(tmp_path / "linked", "rev-parse", "HEAD") == head + "\n"
    assert git(tmp_path / "linked", "reflog", "--format=%H", "-1", "HEAD") == head + "\n"
    assert engine.head() != head


@pytest.mark.parametrize("options", [[], ["--bare"], ["-b", "trunk"]], ids=["worktree", "bare", "branch"])
def test_an_empty_repository_is_taken(open_engine: OpenEngine, tmp_path: Path, options: list[str]) -> None:
    subprocess.run(["git", "init", "-q", *options, str(tmp_path / "store")], check=True)
    made = open_repository(tmp_path / "store")
    assert (made.worktree is None) == ("--bare" in options)
    engine = GitEngine(made)
    head = save(engine, {"a": b"1"})
    engine.close()
    assert git(tmp_path / "store", "rev-parse", "HEAD") == head + "\n"


@pytest.mark.parametrize("stage", ["folder", "first", "layout", "config", "renaming"])
def test_making_one_goes_on_where_it_was_killed(tmp_path: Path, stage: str) -> None:
    git_dir = tmp_path / "store/.git"
    git_dir.mkdir(parents=True)
    if stage != "folder":
        (git_dir / "gitstate").mkdir()
    if stage in {"layout", "config", "renaming"}:
        (git_dir / "objects").mkdir()
        (git_dir / "refs").mkdir()
    if stage in {"config", "renaming"}:
        (git_dir / "config.new").write_bytes(b"[co")
    if stage == "renaming":
        (git_dir / "config").write_bytes(b"[core]\n")
        (git_dir / "HEAD.new").write_bytes(b"ref")
    open_repository(tmp_path / "store")
    git(tmp_path / "store", "fsck", "--strict")
    assert not list(git_dir.glob("*.new"))


def test_two_may_make_it_at_once(open_engine: OpenEngine, tmp_path: Path) -> None:
    barrier = threading.Barrier(6)
    made = []

    def make(bare: bool) -> None:
        barrier.wait()
        made.append(open_repository(tmp_path / "store", bare=bare))

    threads = [threading.Thread(target=make, args=(n % 2 == 0,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len(set(made)) == 1


def test_several_may_take_an_empty_one_at_once(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(tmp_path / "store")], check=True)
    barrier = threading.Barrier(6)

    def take() -> Repository:
        barrier.wait()
        return open_repository(tmp_path / "store")

    with ThreadPoolExecutor(6) as pool:
        taken = [pool.submit(take) for _ in range(6)]
    assert len({each.result() for each in taken}) == 1
    assert git(tmp_path / "store", "symbolic-ref", "HEAD") == "refs/heads/main\n"


def test_find_goes_upwards(open_engine: OpenEngine, tmp_path: Path) -> None:
    open_repository(tmp_path / "store")
    (tmp_path / "store/jobs/deep").mkdir(parents=True)
    assert find_store(tmp_path / "store/jobs/deep") == tmp_path / "store"
    assert find_store(tmp_path / "store") == tmp_path / "store"
    open_repository(tmp_path / "bare.git", bare=True)
    assert find_store(tmp_path / "bare.git/objects") == tmp_path / "bare.git"
    assert find_store(Path("/")) is None


def test_what_is_not_there_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match=str(tmp_path / "store")):
        open_repository(tmp_path / "store", create=False)
    assert os.listdir(tmp_path) == []


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInputError, match="is a file"):
        open_repository(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("branch", ["", "a..b", "-x", "a b", "x.lock", "a~1", "a\0", "\ud800", "HEAD", "refs/x", 3])
def test_a_branch_that_git_would_not_name_so_is_refused(tmp_path: Path, branch: Any) -> None:
    with pytest.raises(InvalidInputError, match="branch"):
        open_repository(tmp_path / "store", branch=branch)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_path_that_no_file_system_has_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be a path"):
        open_repository(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_file_in_the_way_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        open_repository(tmp_path / "file" / "store")


def test_a_repository_without_configuration_is_opened_as_git_opens_it(tmp_path: Path) -> None:
    open_repository(tmp_path / "store")
    (tmp_path / "store/.git/config").unlink()
    engine = GitEngine(open_repository(tmp_path / "store"))
    head = save(engine, {"a": b"1"})
    engine.close()
    assert git(tmp_path / "store", "rev-parse", "HEAD") == head + "\n"


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UnsupportedError, match="not empty"):
        open_repository(tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_folder_of_a_project_is_refused_with_the_place_of_the_project(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "src/deep").mkdir(parents=True)
    (tmp_path / "src/deep/main.py").write_text("mine")
    with pytest.raises(UnsupportedError, match="not empty") as caught:
        open_repository(tmp_path / "src/deep", branch="gitstate")
    assert caught.value.hint.endswith(f"name the repository that it lies in: {tmp_path}")


CONFIGURATIONS = {
    "SHA-256": ("[core]\nrepositoryformatversion = 1\n[extensions]\nobjectFormat = sha256\n", "objectFormat = sha256"),
    "reftable": ("[core]\nrepositoryformatversion = 1\n[extensions]\nrefStorage = reftable\n", "refStorage = reftable"),
    "partial": ("[core]\nrepositoryformatversion = 1\n[extensions]\npartialClone = origin\n", "partial clone"),
    "promisor": ('[remote "origin"]\npromisor = true\npartialclonefilter = blob:none\n', "partial clone"),
    "unknown": ("[core]\nrepositoryformatversion = 1\n[extensions]\nsurprise = true\n", "surprise"),
    "version": ("[core]\nrepositoryformatversion = 2\n", "version 2"),
    "worktree": ("[core]\nworktree = /elsewhere\n", "core.worktree"),
    "damaged": ("[core\n", "cannot be read"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_repositories_we_do_not_work_with_are_refused_and_left_alone(
    open_engine: OpenEngine, tmp_path: Path, name: str
) -> None:
    save(open_engine(check=False), {"a": b"1"})
    config, reason = CONFIGURATIONS[name]
    (tmp_path / "store/.git/config").write_text(config)
    before = snapshot(tmp_path)
    with pytest.raises(UnsupportedError, match=reason):
        open_repository(tmp_path / "store")
    assert snapshot(tmp_path) == before


def test_a_real_sha256_repository_is_refused(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(tmp_path / "store")], check=True)
    with pytest.raises(UnsupportedError, match="sha256"):
        open_repository(tmp_path / "store")


def test_a_shallow_clone_is_refused(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    save(engine, {"a": b"2"})
    source = f"file://{tmp_path / 'store'}"
    subprocess.run(["git", "clone", "-q", "--depth=1", source, str(tmp_path / "clone")], check=True)
    with pytest.raises(UnsupportedError, match="shallow"):
        open_repository(tmp_path / "clone")
    git(tmp_path / "clone", "fetch", "-q", "--unshallow")
    (tmp_path / "clone/.git/shallow").touch()  # as some versions of git leave it
    assert content(open_engine(tmp_path / "clone"), "a") == b"2"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to somebody else")
def test_another_user_s_repository_is_refused_unless_it_is_safe(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    folder = tmp_path / "store"
    save(open_engine(check=False), {"a": b"1"})
    git(folder, "config", "safe.directory", "*")  # its own word does not count
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 12345, 12345)
    with pytest.raises(UnsupportedError, match="another user"):
        open_repository(folder)
    home = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home))
    for value, allowed in [
        (str(folder), True),
        ("*", True),
        (f"{tmp_path}/*", True),
        (str(tmp_path), False),
        ('*\n\tdirectory = ""', False),
    ]:
        home.write_text(f"[safe]\n\tdirectory = {value}\n")
        if allowed:
            assert open_repository(folder).worktree == folder
        else:
            with pytest.raises(UnsupportedError):
                open_repository(folder)
    monkeypatch.setenv("SUDO_UID", "12345")
    assert open_repository(folder).worktree == folder


def test_a_git_file_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(UnsupportedError, match="/nowhere"):
        open_repository(tmp_path)


def test_a_platform_we_do_not_know_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UnsupportedError, match="win32"):
        open_repository(tmp_path / "store")


def test_a_disk_that_takes_nothing_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system", str(tmp_path / "store"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ReadOnlyError, match="store: Read-only"):
        open_repository(tmp_path / "store")


def test_a_file_in_the_place_of_git_s_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/.git").write_text("some notes\n")
    with pytest.raises(UnsupportedError, match=r"\.git is no file of git's"):
        open_repository(tmp_path / "store")
    assert (tmp_path / "store/.git").read_text() == "some notes\n"


def test_a_configuration_of_the_user_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[user\nname = A\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    with pytest.raises(UnsupportedError, match="git's configuration cannot be read") as told:
        save_one(tmp_path / "store")
    assert "git config --list" in told.value.hint


def save_one(folder: Path) -> None:
    engine = GitEngine(open_repository(folder))
    try:
        save(engine, {"a": b"1"})
    finally:
        engine.close()
