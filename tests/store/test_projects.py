"""A store on a branch of a project's own repository: nothing of the project changes, and nothing is lost."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate.errors import StoreNotFoundError, UnsupportedError
from gitstate.format.message import Message
from gitstate.store.documents import Draft
from gitstate.store.store import Store
from gitstate.values.shape import Value
from tests.git import fsck, git
from tests.projects import make_project, photograph, quietly
from tests.stores import NOTES

BRANCH = "gitstate"


def put(store: Store, number: int) -> None:
    """Write a note."""
    value: dict[str, Value] = {"id": "a", "text": f"{number}"}
    store.submit(NOTES, "a", lambda _: Draft(Message(f"note {number}"), value=value)).result()


def read(folder: Path) -> object:
    with Store.open(folder, branch=BRANCH, create=False) as store:
        found = store.load(NOTES, "a")
        return None if found is None else found.value()["text"]


def text_in(folder: Path) -> str:
    return (folder / "notes/a/note.json").read_text() if (folder / "notes/a/note.json").exists() else _any(folder)


def _any(folder: Path) -> str:
    return "".join(sorted(path.read_text() for path in (folder / "notes").rglob("*.json")))


def test_nothing_of_a_project_changes(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    before = photograph(project)
    config = (project / ".git/config").read_bytes()
    with Store.open(project, branch=BRANCH) as store:
        for number in range(3):
            put(store, number)
        store.flush()
        assert photograph(project) == before
        store.gc()
    assert photograph(project) == before
    assert (project / ".git/config").read_bytes() == config, "that is for who asks for it"
    assert git(project, "rev-list", "--max-parents=0", BRANCH, "main").count("\n") == 2, "two histories"
    assert read(project) == "2"
    fsck(project)


def test_a_project_that_has_no_commit_yet_keeps_its_head(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", commit=False)
    git(project, "add", "README")
    before = photograph(project)
    with Store.open(project, branch=BRANCH) as store:
        put(store, 1)
    assert photograph(project) == before
    quietly(project, "commit", "-q", "-m", "Begin")
    assert git(project, "ls-tree", "-r", "--name-only", "main") == "README\n"
    assert read(project) == "1"


@pytest.mark.parametrize(
    ("branch", "head", "files", "moved"),
    [("main", "trunk", False, True), ("main", "trunk", True, False), (BRANCH, "trunk", False, False)],
    ids=["a folder for it", "files", "another branch"],
)
def test_the_head_of_an_empty_repository(tmp_path: Path, branch: str, head: str, files: bool, moved: bool) -> None:
    git(tmp_path, "init", "-q", "-b", head, "here")
    if files:
        (tmp_path / "here/mine").write_text("mine")
    Store.open(tmp_path / "here", branch=branch).close()
    assert git(tmp_path / "here", "symbolic-ref", "--short", "HEAD").strip() == (branch if moved else head)


def test_a_clone_takes_over_the_branch_of_its_remote(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    with Store.open(project, branch=BRANCH) as store:
        put(store, 1)
        head = store.head()
    git(tmp_path, "clone", "-q", "project", "clone")
    clone = tmp_path / "clone"
    with pytest.raises(StoreNotFoundError, match=f"git branch {BRANCH} origin/{BRANCH}"):
        Store.open(clone, branch=BRANCH, create=False)
    assert git(clone, "branch", "--list", BRANCH) == ""
    before = git(clone, "status", "--porcelain"), (clone / ".git/index").read_bytes()
    with Store.open(clone, branch=BRANCH) as store:
        assert (store.created, store.taken_over, store.head()) == (False, f"origin/{BRANCH}", head)
        put(store, 2)
    assert (git(clone, "status", "--porcelain"), (clone / ".git/index").read_bytes()) == before
    git(clone, "push", "-q", "origin", BRANCH)
    assert read(project) == "2"
    with Store.open(clone, branch=BRANCH) as store:
        assert store.taken_over is None


def test_remotes_that_do_not_agree_are_for_a_person_to_choose_from(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Store.open(make_project(tmp_path / name), branch=BRANCH).close()
        with Store.open(tmp_path / name, branch=BRANCH) as store:
            put(store, len(name) + ord(name[0]))
    git(tmp_path, "clone", "-q", "one", "clone")
    clone = tmp_path / "clone"
    git(clone, "remote", "add", "other", "../two")
    git(clone, "fetch", "-q", "other")
    with pytest.raises(UnsupportedError, match=f"not the same on all remotes: origin/{BRANCH}, other/{BRANCH}"):
        Store.open(clone, branch=BRANCH)
    assert git(clone, "branch", "--list", BRANCH) == ""
    git(clone, "branch", BRANCH, f"other/{BRANCH}")
    with Store.open(clone, branch=BRANCH) as store:
        assert store.taken_over is None


def test_a_remote_s_branch_that_is_no_store_is_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    git(project, "branch", BRANCH)
    git(tmp_path, "clone", "-q", "project", "clone")
    with pytest.raises(UnsupportedError, match="no store"):
        Store.open(tmp_path / "clone", branch=BRANCH)
    assert git(tmp_path / "clone", "branch", "--list", BRANCH) == ""


def test_a_branch_of_which_a_remote_s_name_is_a_part_is_another_one(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    git(project, "branch", f"feature/{BRANCH}")
    git(tmp_path, "clone", "-q", "project", "clone")
    with Store.open(tmp_path / "clone", branch=BRANCH) as store:
        assert store.created


@pytest.mark.parametrize("create", [False, True])
def test_the_branch_that_is_meant_is_named(tmp_path: Path, create: bool) -> None:
    project = make_project(tmp_path / "project")
    with pytest.raises(UnsupportedError, match="name a branch to keep state on, such as gitstate"):
        Store.open(project, create=create)
    Store.open(project, branch=BRANCH).close()
    git(tmp_path, "clone", "-q", "project", "clone")
    with pytest.raises(UnsupportedError, match=f"the branch {BRANCH} holds one"):
        Store.open(project, create=create)
    with pytest.raises(UnsupportedError, match=f"origin/{BRANCH} holds one: `gitstate init --branch {BRANCH}`"):
        Store.open(tmp_path / "clone", create=create)


def test_a_person_looks_at_the_branch_in_the_project(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    git(project, "restore", "README")
    with Store.open(project, branch=BRANCH) as store:
        put(store, 1)
    quietly(project, "checkout", "-q", BRANCH)
    with Store.open(project, branch=BRANCH) as store:
        put(store, 2)
        store.flush()
        assert '"2"' in text_in(project)
    assert quietly(project, "status", "--porcelain") == "?? notes.txt\n"
    quietly(project, "checkout", "-q", "main")
    with Store.open(project, branch=BRANCH) as store:
        put(store, 3)
    assert quietly(project, "status", "--porcelain") == "?? notes.txt\n"
    assert (project / "src/main.py").exists() and not (project / "gitstate.json").exists()


def opened_at(tmp_path: Path) -> Path:
    project = make_project(tmp_path / "project")
    with Store.open(project, branch=BRANCH) as store:
        put(store, 1)
    quietly(project, "worktree", "add", "-q", "../state", BRANCH)
    return project


@pytest.mark.parametrize("where", ["project", "state"])
def test_a_linked_worktree_of_the_branch_shows_it(tmp_path: Path, where: str) -> None:
    project, state = opened_at(tmp_path), tmp_path / "state"
    before = photograph(project)
    with Store.open(tmp_path / where, branch=BRANCH) as store:
        put(store, 2)
        store.flush()
        assert quietly(state, "status", "--porcelain") == ""
        put(store, 3)
    assert quietly(state, "status", "--porcelain") == ""
    assert '"3"' in text_in(state)
    assert photograph(project) == before


def test_an_edit_in_a_linked_worktree_stays(tmp_path: Path) -> None:
    project, state = opened_at(tmp_path), tmp_path / "state"
    file = next((state / "notes").rglob("*.json"))
    file.write_text("mine")
    with Store.open(project, branch=BRANCH) as store:
        put(store, 2)
    assert file.read_text() == "mine"


def test_the_first_worktree_is_shown_from_a_linked_one(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        put(store, 1)
    git(folder, "branch", "side")
    git(folder, "worktree", "add", "-q", "../linked", "side")
    with Store.open(tmp_path / "linked", branch="main") as store:
        put(store, 2)
    assert quietly(folder, "status", "--porcelain") == ""
    assert '"2"' in text_in(folder)
    assert git(tmp_path / "linked", "status", "--porcelain") == ""


def _moved(state: Path) -> None:
    state.rename(state.with_name("moved"))


def _gone(state: Path) -> None:
    (state / ".git").unlink()


def _somebody_else_s(state: Path) -> None:
    (state / ".git").write_text("gitdir: /nowhere\n")


@pytest.mark.parametrize("change", [_moved, _gone, _somebody_else_s])
def test_a_folder_that_does_not_belong_to_it_is_left_alone(tmp_path: Path, change: Callable[[Path], None]) -> None:
    project, state = opened_at(tmp_path), tmp_path / "state"
    change(state)
    folder = state if state.exists() else tmp_path / "moved"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with Store.open(project, branch=BRANCH) as store:
        put(store, 2)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_another_user_is_left_alone(tmp_path: Path) -> None:
    project, state = opened_at(tmp_path), tmp_path / "state"
    os.chown(state, 12345, 12345)
    with Store.open(project, branch=BRANCH) as store:
        put(store, 2)
    assert '"1"' in text_in(state)


def test_what_git_would_still_find_is_kept(tmp_path: Path) -> None:
    """Upkeep drops nothing of a project's: objects that only its reflog or its index reaches, packs that it keeps."""
    project = make_project(tmp_path / "project")
    git(project, "repack", "-adq")
    kept = next((project / ".git/objects/pack").glob("*.pack"))
    kept.with_suffix(".keep").touch()
    kept_bytes = kept.read_bytes()
    (project / "big").write_bytes(b"own" * 1000)
    quietly(project, "add", "big")
    quietly(project, "commit", "-q", "-m", "Big")
    git(project, "repack", "-dq")
    theirs = set((project / ".git/objects/pack").glob("*.pack"))
    git(project, "commit-graph", "write", "--reachable")
    graph = (project / ".git/objects/info/commit-graph").read_bytes()
    quietly(project, "commit", "-q", "-am", "Second")
    second = git(project, "rev-parse", "HEAD").strip()
    quietly(project, "reset", "-q", "--hard", "HEAD~1")
    (project / "staged").write_text("only in the index")
    quietly(project, "add", "staged")
    dangling = git(project, "hash-object", "-w", "notes.txt").strip()
    with Store.open(project, branch=BRANCH) as store:
        for number in range(40):
            put(store, number)
        report = store.gc()
    packed = set((project / ".git/objects/pack").glob("*.pack"))
    assert theirs < packed and len(packed) == len(theirs) + 1, "its own packs are left to it"
    assert "packed what the store wrote into one pack" in str(report) and "the project's `git gc`" in str(report)
    assert (project / ".git/objects/info/commit-graph").read_bytes() == graph
    assert kept.read_bytes() == kept_bytes and kept.with_suffix(".keep").exists()
    assert git(project, "cat-file", "blob", dangling) == "untracked\n"
    assert git(project, "show", f"{second}:README") == "mine, edited\n"
    assert git(project, "show", ":staged") == "only in the index"
    assert git(project, "rev-parse", "HEAD@{1}").strip() == second
    fsck(project)
    git(project, "gc", "-q", "--prune=now")
    assert read(project) == "39"
    fsck(project)
