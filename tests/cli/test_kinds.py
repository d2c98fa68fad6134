"""Every kind of repository that git makes: the command line opens it and all works, or it is refused with a remedy."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.cli.conftest import Gitstate
from tests.git import fsck, git
from tests.projects import make_project

Make = Callable[[Path], Path]


@pytest.fixture(autouse=True)
def local_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git take submodules from the disk, as it did before 2.38.1."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")


async def _save(folder: Path, job: str, branch: str = "main") -> None:
    async with GitStateBackend(folder, branch=branch, create=False) as backend:
        state = await backend.load(job) or CheckpointState(job_id=job, job_name=job, total_sheets=2)
        for _ in range(2):
            state.metadata["n"] = state.metadata.get("n", 0) + 1
            await backend.save(state)


def save(folder: Path, job: str = "nightly", branch: str = "main") -> None:
    asyncio.run(_save(folder, job, branch))


def _clone(*options: str, name: str = "clone") -> Make:
    def make(store: Path) -> Path:
        git(store.parent, "clone", "-q", *options, store.name, name)
        return store.parent / name

    return make


def _detached(store: Path) -> Path:
    clone = _clone()(store)
    git(clone, "checkout", "-q", "--detach", "HEAD~1")
    return clone


def _of_bare(store: Path) -> Path:
    _clone("--bare", name="bare.git")(store)
    git(store.parent, "clone", "-q", "bare.git", "of-bare")
    return store.parent / "of-bare"


def _other_branch(store: Path) -> Path:
    git(store, "branch", "side", "HEAD~1")
    clone = _clone("--branch", "side")(store)
    git(clone, "branch", "-q", "main", "origin/main")
    return clone


def _worktree(store: Path) -> Path:
    git(store, "checkout", "-q", "--detach")
    git(store, "worktree", "add", "-q", "../linked", "main")
    return store.parent / "linked"


def _worktree_of_bare(store: Path) -> Path:
    bare = _clone("--bare", name="bare.git")(store)
    git(bare, "worktree", "add", "-q", "../linked", "main")
    return store.parent / "linked"


def _submodule(store: Path) -> Path:
    project = make_project(store.parent / "project")
    git(project, "submodule", "--quiet", "add", "../state", "state")
    return project / "state"


def _submodule_of_a_clone(store: Path) -> Path:
    """As others get it: detached, with the branch on the remote only."""
    project = _submodule(store).parent
    git(project, "-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "With state")
    git(store.parent, "clone", "-q", "--recurse-submodules", "project", "again")
    return store.parent / "again/state"


def _worktree_of_a_submodule(store: Path) -> Path:
    folder = _submodule(store)
    git(folder, "checkout", "-q", "--detach")
    git(folder, "worktree", "add", "-q", "../../linked", "main")
    return store.parent / "linked"


def _separate(store: Path) -> Path:
    git(store.parent, "clone", "-q", "--separate-git-dir", "separate.git", "state", "clone")
    return store.parent / "clone"


def _packed(store: Path) -> Path:
    clone = _clone()(store)
    git(clone, "gc", "-q")
    git(clone, "commit-graph", "write", "--reachable")
    git(clone, "multi-pack-index", "write")
    return clone


def _automatic(store: Path) -> Path:
    """A clone in which git tidies up on its own at every chance, as it may in any clone."""
    clone = _clone()(store)
    for key in ("gc.auto", "gc.autoPackLimit"):
        git(clone, "config", key, "1")
    git(clone, "config", "gc.autoDetach", "false")
    git(clone, "config", "gc.pruneExpire", "now")
    return clone


WORKING: dict[str, Make] = {
    "clone": _clone(),
    "bare clone": _clone("--bare"),
    "mirror": _clone("--mirror"),
    "branch": _other_branch,
    "detached": _detached,
    "clone of bare": _of_bare,
    "no checkout": _clone("--no-checkout"),
    "shared objects": _clone("--shared"),
    "reference": _clone("--reference", "state", "--no-local"),
    "no hard links": _clone("--no-hardlinks"),
    "linked worktree": _worktree,
    "linked worktree of bare": _worktree_of_bare,
    "submodule": _submodule,
    "submodule of a clone": _submodule_of_a_clone,
    "worktree of a submodule": _worktree_of_a_submodule,
    "separate git directory": _separate,
    "packed by git": _packed,
    "tidied by git": _automatic,
}


@pytest.mark.parametrize("make", WORKING.values(), ids=WORKING)
def test_it_opens_and_works_at_once(gitstate: Gitstate, store: Path, make: Make) -> None:
    history = git(store, "rev-list", "main").split()
    folder = make(store)
    listed = gitstate("list", "--store", folder)
    assert listed.status == 0 and "nightly" in listed.out and "weekly" in listed.out
    before = gitstate("log", "nightly", "--store", folder)
    assert (before.status, len(before.out.splitlines())) == (0, 4)
    save(folder)
    after = gitstate("log", "nightly", "--store", folder)
    assert len(after.out.splitlines()) == 6 and after.out.endswith(before.out.split("\n", 1)[1])
    assert gitstate("rollback", "nightly", "~1", "--store", folder).status == 0
    assert gitstate("verify", "--store", folder).status == 0
    assert git(folder, "rev-list", "main").split()[3:] == history
    _status_is_clean(folder)
    assert gitstate("gc", "--store", folder).status == 0
    assert gitstate("verify", "--store", folder).status == 0
    git(folder, "gc", "-q", "--auto")
    fsck(folder)
    assert gitstate("log", "nightly", "--store", folder).out.splitlines()[2:] == after.out.splitlines()[1:]


def _status_is_clean(folder: Path) -> None:
    if git(folder, "rev-parse", "--is-bare-repository").strip() == "true":
        return
    assert git(folder, "status", "--porcelain") == ""
    assert "jobs/nightly/job.json" in git(folder, "ls-files")
    assert (folder / "jobs/nightly/job.json").exists()


def test_a_submodule_s_branch_that_only_its_remote_has_is_taken_over(gitstate: Gitstate, store: Path) -> None:
    folder = _submodule_of_a_clone(store)
    git(folder, "branch", "-q", "-D", "main")
    ran = gitstate("list", "--store", folder)
    assert ran.status == 3 and "`git branch main origin/main` or `gitstate init` makes it here" in ran.err
    ran = gitstate("init", folder)
    assert (ran.status, ran.err) == (0, f"Made the branch main of origin/main in {folder}\n")
    save(folder)
    assert len(gitstate("log", "nightly", "--store", folder).out.splitlines()) == 6


def test_a_bare_store_has_everything(gitstate: Gitstate, tmp_path: Path) -> None:
    made = {"a": ["init", "--bare", "a"], "b": ["init", "b"], "c": ["init", "c"]}
    git(tmp_path, "init", "-q", "--bare", "b")
    git(tmp_path, "init", "-q", "--bare", "-b", "trunk", "c")
    for name, command in made.items():
        ran = gitstate(*command)
        assert (ran.status, ran.err) == (0, f"Made a store in {tmp_path / name}\n")
        folder = tmp_path / name
        save(folder)
        save(folder, "weekly")
        for verb in (
            *("list", "log nightly", "show nightly", "diff nightly", "verify", "blame nightly metadata.n"),
            *("next nightly", "pin nightly release", "rollback nightly ~1", "fork nightly again", "forks nightly"),
            *("export", "delete --yes again", "undelete again", "undo nightly", "reshard 1", "gc", "attempts nightly"),
        ):
            assert gitstate(*verb.split(), "--store", folder).status == 0, verb
        assert not (folder / "gitstate.json").exists() and not (folder / "index").exists()
        assert git(folder, "rev-parse", "--is-bare-repository") == "true\n"
        git(tmp_path, "clone", "-q", name, f"{name}-clone")
        assert (tmp_path / f"{name}-clone/gitstate.json").exists(), "what it is cloned with is shown"
        fsck(folder)


REFUSED = {
    "depth": (["--depth=1", "--no-local"], "is a shallow clone", "`git fetch --unshallow` makes it whole"),
    "single": (["--depth=2", "--no-local", "--bare"], "is a shallow clone", "`git fetch --unshallow` makes it whole"),
    "blobless": (["--filter=blob:none", "--no-local"], "is a partial clone", "clone it anew, without --filter"),
    "treeless": (["--filter=tree:0", "--no-local", "--bare"], "is a partial clone", "clone it anew, without --filter"),
}


@pytest.mark.parametrize(("options", "reason", "remedy"), REFUSED.values(), ids=REFUSED)
def test_a_clone_that_lacks_something_is_refused_with_the_remedy(
    gitstate: Gitstate, store: Path, options: list[str], reason: str, remedy: str
) -> None:
    git(store, "config", "uploadpack.allowFilter", "true")
    folder = _clone(*options)(store)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for verb in ("list", "log nightly", "init", "verify"):
        words = [*verb.split(), *([folder] if verb == "init" else ["--store", folder])]
        ran = gitstate(*words)
        assert (ran.status, ran.out) == (9, "")
        assert ran.err == f"error: {folder} {reason}\nhint: {remedy}\n"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_shallow_clone_that_was_made_whole_works(gitstate: Gitstate, store: Path) -> None:
    folder = _clone("--depth=1", "--no-local")(store)
    git(folder, "fetch", "-q", "--unshallow")
    assert len(gitstate("log", "nightly", "--store", folder).out.splitlines()) == 4
    save(folder)
    fsck(folder)


def test_repositories_of_other_formats_are_refused(gitstate: Gitstate, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "sha256")
    git(tmp_path, "init", "-q", "reftable")
    git(tmp_path / "reftable", "config", "core.repositoryFormatVersion", "1")
    (tmp_path / "reftable/.git/config").write_text(
        (tmp_path / "reftable/.git/config").read_text() + "[extensions]\n\trefStorage = reftable\n"
    )
    for name, what in (("sha256", "objectformat = sha256"), ("reftable", "refStorage = reftable")):
        ran = gitstate("init", name)
        assert ran.status == 9 and what in ran.err and "hint: use a repository without it" in ran.err
        assert gitstate("list", "--store", name).err == ran.err


def test_a_worktree_that_is_elsewhere_is_named(gitstate: Gitstate, store: Path) -> None:
    folder = _submodule(store)
    ran = gitstate("list", "--store", store.parent / "project/.git/modules/state")
    assert ran.status == 9 and f"has its worktree elsewhere (core.worktree): {folder}\n" in ran.err
    assert f"hint: open {folder}\n" in ran.err
    moved = folder.rename(folder.with_name("moved"))
    ran = gitstate("list", "--store", moved)
    assert ran.status == 9 and "hint: mend core.worktree" in ran.err
