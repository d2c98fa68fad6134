"""Where a project stands and whether its files differ from that, compared with what git says."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate.engine.project import Project
from gitstate.errors import InvalidInputError, UnsupportedError
from tests.git import git


@pytest.fixture(autouse=True)
def local_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git take submodules from the disk, as it did before 2.38.1."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with files in folders, a program, a symbolic link and a submodule; its index is some seconds old."""
    git(tmp_path, "init", "-q", "inner")
    git(tmp_path / "inner", "commit", "-q", "--allow-empty", "-m", "Inner")
    project = tmp_path / "project"
    git(tmp_path, "init", "-q", "project")
    for path in ("a.txt", "dir/b.txt", "dir/deep/c.txt", "dir.d", "dür/\udcff.txt"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(f"{len(path)}\n")
    (project / "run").write_text("#!/bin/sh\n")
    (project / "run").chmod(0o755)
    (project / "link").symlink_to("a.txt")
    git(project, "submodule", "--quiet", "add", "../inner", "inner")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "Begin")
    age(project)
    return project


def age(project: Path) -> None:
    """Let all files be older than git's index, so that none has to be read."""
    for path in project.rglob("*"):
        if ".git" not in path.relative_to(project).parts and not path.is_dir():
            os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    git(project, "update-index", "-q", "--refresh")


def _racy(project: Path) -> None:
    (project / "a.txt").write_text("1\n")
    git(project, "add", "a.txt")
    git(project, "commit", "-q", "-m", "Second")
    (project / "a.txt").write_text("2\n")  # in the same second, with the same size


def _merge_conflict(project: Path) -> None:
    git(project, "checkout", "-q", "-b", "side")
    for branch, text in (("side", "side\n"), ("main", "main\n")):
        git(project, "checkout", "-q", branch)
        (project / "a.txt").write_text(text)
        git(project, "commit", "-q", "-am", branch)
    subprocess.run(["git", "merge", "side"], cwd=project, capture_output=True, check=False)


def _sparse(project: Path) -> None:
    git(project, "sparse-checkout", "set", "--no-cone", "/dir/")


def _do(*words: str) -> Callable[[Path], object]:
    return lambda project: git(project, *words)


def _chmod(name: str, mode: int) -> Callable[[Path], object]:
    return lambda project: (project / name).chmod(mode)


def _unlink(name: str) -> Callable[[Path], object]:
    return lambda project: (project / name).unlink()


def _both(*changes: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda project: [change(project) for change in changes]


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda project: None,
    "untracked": lambda project: (project / "new").write_text("new"),
    "ignored": lambda project: (project / ".git/info/exclude").write_text("new\n"),
    "touched": lambda project: os.utime(project / "a.txt"),
    "rewritten as it was": lambda project: (project / "a.txt").write_text("5\n"),
    "longer": lambda project: (project / "dir/deep/c.txt").write_text("much longer\n"),
    "of the same size": lambda project: (project / "dir/deep/c.txt").write_text("99\n"),
    "racy": _racy,
    "deleted": lambda project: (project / "dir/b.txt").unlink(),
    "folder in its place": _both(_unlink("a.txt"), lambda project: (project / "a.txt").mkdir()),
    "file in the place of a folder": lambda project: git(project, "rm", "-rq", "--cached", "dir/deep"),
    "executable": lambda project: (project / "a.txt").chmod(0o755),
    "no program": lambda project: (project / "run").chmod(0o644),
    "another group may write": lambda project: (project / "a.txt").chmod(0o664),
    "modes do not count": _both(_do("config", "core.fileMode", "false"), _chmod("a.txt", 0o755)),
    "modes do not count, said with an empty value": _both(_do("config", "core.fileMode", ""), _chmod("a.txt", 0o755)),
    "another link": _both(_unlink("link"), lambda project: (project / "link").symlink_to("b.txt")),
    "a file for a link": _both(_unlink("link"), lambda project: (project / "link").write_text("a.txt")),
    "staged": lambda project: ((project / "new").write_text("new"), git(project, "add", "new")),
    "staged and taken back": lambda project: (
        (project / "a.txt").write_text("new"),
        git(project, "add", "a.txt"),
        git(project, "restore", "a.txt", "--staged", "--worktree", "--source=HEAD"),
    ),
    "will be added": lambda project: ((project / "new").write_text("new"), git(project, "add", "-N", "new")),
    "an empty folder will be": lambda project: (project / "dir/empty").mkdir(),
    "conflict": _merge_conflict,
    "index version 4": _do("update-index", "--index-version", "4"),
    "skip worktree": _both(_do("update-index", "--skip-worktree", "a.txt"), _unlink("a.txt")),
    "assume unchanged": lambda project: (
        git(project, "update-index", "--assume-unchanged", "a.txt"),
        (project / "a.txt").write_text("x"),
    ),
    "sparse": _sparse,
    "another commit": lambda project: git(project, "commit", "-q", "--allow-empty", "-m", "Second"),
    "detached": _do("checkout", "-q", "--detach"),
    "packed refs": _do("pack-refs", "--all"),
    "submodule moved": lambda project: git(project / "inner", "commit", "-q", "--allow-empty", "-m", "More"),
    "submodule not there": _do("submodule", "--quiet", "deinit", "-f", "inner"),
    "no index": lambda project: (project / ".git/index").unlink(),
    "nothing checked out": lambda project: git(project, "rm", "-rqf", "."),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_is_as_git_says(folder: Path, change: Callable[[Path], object]) -> None:
    project = Project.of(folder / "dir")
    head = project.head()
    assert head == git(folder, "rev-parse", "HEAD").strip()
    assert project.is_dirty(head) is False
    change(folder)
    head = project.head()
    assert head is not None and head == git(folder, "rev-parse", "HEAD").strip()
    index = folder / ".git/index"
    before = index.read_bytes() if index.exists() else b""
    answers = project.is_dirty(head), project.is_dirty(head), Project.of(folder).is_dirty(head)
    assert (index.read_bytes() if index.exists() else b"") == before, "it is only looked at"
    status = git(folder, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
    assert answers == (bool(status),) * 3, status


def test_what_git_misses_within_a_second_is_seen(folder: Path) -> None:
    path = folder / "a.txt"
    before = path.stat()
    path.write_text("X\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # only the time of its inode tells
    project = Project.of(folder)
    assert project.is_dirty(project.head() or "") is True


def test_nothing_that_the_repository_names_is_run(folder: Path, tmp_path: Path) -> None:
    for key in ("core.fsmonitor", "filter.tell.clean", "filter.tell.process", "diff.external"):
        git(folder, "config", key, f"touch {tmp_path}/ran")
    (folder / ".gitattributes").write_text("* filter=tell\n")
    hook = folder / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    os.utime(folder / "a.txt")
    project = Project.of(folder)
    assert project.is_dirty(project.head() or "") is False
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_told_is_unknown(folder: Path) -> None:
    project = Project.of(folder)
    head = project.head() or ""
    git(folder, "update-index", "--split-index")
    assert project.is_dirty(head) is None
    git(folder, "update-index", "--no-split-index")
    assert project.is_dirty(head) is False
    (folder / ".git/index").write_bytes(b"nonsense")
    assert project.is_dirty(head) is None
    assert project.is_dirty("1" * 40) is None, "no such commit"


def test_a_project_without_a_commit_stands_nowhere(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "new")
    project = Project.of(tmp_path / "new")
    assert project.head() is None
    git(tmp_path / "new", "commit", "-q", "--allow-empty", "-m", "Begin")
    assert project.head() == git(tmp_path / "new", "rev-parse", "HEAD").strip()
    (tmp_path / "new/.git/HEAD").unlink()
    assert project.head() is None


def test_linked_worktrees_submodules_and_bare_ones_have_heads_of_their_own(folder: Path, tmp_path: Path) -> None:
    git(folder, "worktree", "add", "-q", "-b", "side", "../linked")
    linked = tmp_path / "linked"
    git(linked, "commit", "-q", "--allow-empty", "-m", "Side")
    git(tmp_path, "clone", "-q", "--bare", "project", "bare.git")
    for place in (folder, linked, folder / "inner", tmp_path / "bare.git"):
        project = Project.of(place)
        assert project.folder == place
        assert project.head() == git(place, "rev-parse", "HEAD").strip()
        assert project.is_dirty(project.head() or "") is False
    (linked / "a.txt").write_text("changed")
    assert Project.of(linked).is_dirty(Project.of(linked).head() or "") is True
    assert Project.of(folder).is_dirty(Project.of(folder).head() or "") is False
    assert Project.of(linked).commit(git(linked, "rev-parse", "HEAD").strip()).message == b"Side\n"


def test_what_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="lies in no git repository"):
        Project.of(tmp_path)
    git(tmp_path, "init", "-q", "--object-format=sha256", "sha256")
    with pytest.raises(UnsupportedError, match="objectformat = sha256"):
        Project.of(tmp_path / "sha256")


def test_shallow_and_partial_clones_may_be_projects(folder: Path, tmp_path: Path) -> None:
    git(folder, "commit", "-q", "--allow-empty", "-m", "Second")
    git(folder, "config", "uploadpack.allowFilter", "true")
    for name, option in (("shallow", "--depth=1"), ("partial", "--filter=blob:none")):
        git(tmp_path, "clone", "-q", "--no-local", option, "project", name)
        project = Project.of(tmp_path / name)
        assert project.head() == git(folder, "rev-parse", "HEAD").strip()
        assert project.is_dirty(project.head() or "") is False
