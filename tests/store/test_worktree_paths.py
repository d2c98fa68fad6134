"""Paths that lead astray: links, unsafe names, submodules, and names that a disk does not take."""

import os
from pathlib import Path

import pytest

from gitstate.engine import trees
from gitstate.engine.objects import Tree, TreeEntry
from gitstate.store import worktree as worktree_module
from gitstate.store.worktree import Refreshed
from tests.store.desks import FILES, JOB, SHEET, Desk


def test_nothing_is_written_through_a_link(shown: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "job.json").write_bytes(b"job 1\n")
    (shown.path / "jobs" / "nightly").rename(tmp_path / "aside")
    (shown.path / "jobs" / "nightly").symlink_to(outside)
    (shown.path / "jobs" / "new").symlink_to(outside)
    shown.save({JOB: b"job 2\n", SHEET: None, "jobs/new/job.json": b"x\n"})
    assert shown.refresh() == Refreshed(kept=[SHEET, "jobs/new/job.json", JOB])
    assert sorted(path.name for path in outside.iterdir()) == ["job.json"]
    assert (outside / "job.json").read_bytes() == b"job 1\n"


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", ".", "", "git~1", ".g\u200cit"])
def test_unsafe_names_are_skipped(tmp_path: Path, name: str) -> None:
    desk = Desk(tmp_path / "store")
    desk.save(FILES)
    file = trees.edit(desk.engine, None, {"config": b"evil\n"})
    root = Tree.of({**trees.read(desk.engine, desk.tree()), name: TreeEntry(0o040000, file.id)}).to_object()
    desk.publish(root.id, [*file.objects, root])
    config = desk.read(".git/config")
    assert desk.refresh() == Refreshed(written=sorted(FILES), skipped=[f"{name}/config"])
    assert desk.read(".git/config") == config
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]
    assert sorted(path.name for path in desk.path.iterdir()) == [".git", "gitstate.json", "jobs"]
    desk.engine.close()


def test_links_and_submodules_are_not_made(shown: Desk) -> None:
    (shown.path / "link").symlink_to("/etc/passwd")
    shown.git("add", "link")
    head = shown.git("rev-parse", "HEAD").strip()
    shown.git("update-index", "--add", "--cacheinfo", f"160000,{head},module")
    tree = shown.git("write-tree").strip()
    shown.git("rm", "-q", "--cached", "link", "module")
    (shown.path / "link").unlink()
    shown.publish(tree, [])
    assert shown.refresh() == Refreshed(skipped=["link", "module"])
    assert not os.path.lexists(shown.path / "link")
    assert shown.git("write-tree").strip() == tree
    assert shown.status() == [" D link", " D module"]  # as the head has them, and missing
    shown.save({"link": None, "module": None})
    shown.refresh()
    shown.check_clean()


def test_a_link_of_a_clone_gives_way_to_a_file(shown: Desk) -> None:
    (shown.path / "link").symlink_to("gitstate.json")
    shown.git("add", "link")
    shown.git("commit", "-qm", "a link")
    shown.refresh()
    shown.save({"link": b"a file\n"})
    assert shown.refresh() == Refreshed(written=["link"])
    assert shown.read("gitstate.json") == b"{}\n"
    shown.check_clean()


def test_odd_names_are_shown(shown: Desk) -> None:
    names = ["jobs/ü/job.json", "jobs/\udcff/x", "a\nb", 'q"uote', "-dash", "sp ace", "x" * 250]
    shown.save(dict.fromkeys(names, b"x\n"))
    assert sorted(shown.refresh().written) == sorted(names)
    shown.check_clean()


def test_a_name_that_is_too_long_for_the_disk_is_reported(shown: Desk) -> None:
    shown.save({"x" * 300: b"x\n", JOB: b"job 2\n"})
    assert shown.refresh() == Refreshed(written=[JOB], kept=["x" * 300])


def test_case_twins_are_reported_where_case_is_folded(shown: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree_module, "folds_case", lambda git_dir: True)
    twin = "jobs/Nightly/job.json"
    shown.save({twin: b"TWIN\n", JOB: b"job 2\n"})
    refreshed = shown.refresh()
    assert refreshed.skipped == [JOB]  # in the order of git, `N` comes before `n`
    assert refreshed.written == [twin]
    assert shown.git("write-tree").strip() == shown.tree()
