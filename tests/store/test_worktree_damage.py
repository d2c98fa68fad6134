"""What the view goes on from is missing or damaged: its record, a tree that it showed, the head, git's index."""

import subprocess
from pathlib import Path

import pytest

from gitstate.errors import CorruptionError
from gitstate.store.worktree import Refreshed
from tests.store.desks import JOB, SHEET, Desk


def test_a_missing_index_is_made_anew(shown: Desk) -> None:
    (shown.path / ".git" / "index").unlink()
    shown.put(JOB, b"edited\n")
    assert shown.refresh().kept == [JOB]
    assert shown.status() == [f" M {JOB}"]


def test_a_fresh_clone_is_a_view(shown: Desk, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", shown.path, tmp_path / "clone"], check=True)
    clone = Desk(tmp_path / "clone")
    clone.put(SHEET, b"edited\n")
    clone.save({JOB: b"job 2\n", SHEET: b"sheet 2\n", "new": b"new\n"})
    assert clone.refresh() == Refreshed(written=[JOB, "new"], kept=[SHEET])
    clone.git("checkout", "--", ".")
    clone.check_clean()
    clone.engine.close()


def test_a_fresh_clone_with_a_staged_edit(shown: Desk, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", shown.path, tmp_path / "clone"], check=True)
    clone = Desk(tmp_path / "clone")
    clone.put(SHEET, b"edited\n")
    clone.git("add", SHEET)  # git no longer knows the tree of its index
    clone.save({JOB: b"job 2\n", SHEET: b"sheet 2\n"})
    assert clone.refresh() == Refreshed(written=[JOB], kept=[SHEET])
    assert clone.status() == [f"M  {SHEET}"]
    clone.engine.close()


ODD = [b'{"trees": 5, "index": [], "log": 0}', b'{"trees": [], "index": [], "log": 0, "head": ["a"]}']


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b'{"trees": [1], "index": [], "log": 0}', b"\xff", *ODD])
def test_a_damaged_record_is_made_anew(shown: Desk, record: bytes) -> None:
    (shown.path / ".git/gitstate/view/shown").write_bytes(record)
    shown.put(SHEET, b"edited\n")
    shown.save({JOB: b"job 2\n", SHEET: b"sheet 2\n"})
    assert shown.refresh() == Refreshed(written=[JOB], kept=[SHEET])


def test_a_recorded_tree_that_git_took_away(shown: Desk) -> None:
    shown.save({JOB: b"job 2\n"})
    shown.refresh()
    shown.git("reset", "-q", "--hard", "HEAD~1")
    shown.git("reflog", "expire", "--expire=all", "--all")
    shown.engine.close()
    shown.git("gc", "-q", "--prune=now")
    again = Desk(shown.path)
    again.save({JOB: b"job 3\n"})
    assert again.refresh() == Refreshed(written=[JOB])
    again.check_clean()
    again.engine.close()


def test_a_recorded_tree_of_which_a_part_is_lost(shown: Desk) -> None:
    before = set(shown.path.glob(".git/objects/pack/*"))
    shown.save({"jobs/weekly/job.json": b"job 1\n"})
    lost = set(shown.path.glob(".git/objects/pack/*")) - before
    shown.save({SHEET: b"sheet 2\n"})  # its trees are there, and name that of the other job
    shown.refresh()
    shown.git("reset", "-q", "--soft", "HEAD~2")
    shown.git("reflog", "expire", "--expire=all", "--all")
    shown.engine.close()
    for path in lost:
        path.unlink()
    again = Desk(shown.path)
    again.save({JOB: b"job 3\n"})
    assert again.refresh() == Refreshed(written=[JOB])
    assert again.refresh() == Refreshed()
    again.git("reset", "-q")
    assert again.status() == [f" M {SHEET}", "?? jobs/weekly/"], "nobody knows any more whose they are"
    again.engine.close()


def test_a_head_of_which_a_part_is_lost_is_told(shown: Desk) -> None:
    before = set(shown.path.glob(".git/objects/pack/*"))
    shown.save({"jobs/weekly/job.json": b"job 1\n"})
    hidden = [(path, path.read_bytes()) for path in set(shown.path.glob(".git/objects/pack/*")) - before]
    shown.save({SHEET: b"sheet 2\n"})
    shown.engine.close()
    for path, _ in hidden:
        path.unlink()
    again = Desk(shown.path)
    for _ in range(2):
        with pytest.raises(CorruptionError):
            again.refresh()
    for path, content in hidden:
        path.write_bytes(content)
    again.refresh()
    again.check_clean()
    again.engine.close()


def test_an_index_of_git_that_is_damaged_is_told_and_made_anew_when_asked_for(shown: Desk) -> None:
    assert shown.view.check(repair=False) == []
    index = shown.path / ".git/index"
    damaged = index.read_bytes()[:-30]
    index.write_bytes(damaged)
    (problem,) = shown.view.check(repair=False)
    assert (problem.kind, problem.place, problem.severity, problem.repaired) == ("view", "index", "warning", False)
    assert index.read_bytes() == damaged
    shown.put(JOB, b"edited\n")
    (problem,) = shown.view.check(repair=True)
    assert problem.repaired
    (kept,) = shown.path.glob(".git/**/index.damaged")
    assert kept.read_bytes() == damaged
    assert shown.view.check(repair=False) == []
    assert shown.status() == [f" M {JOB}"], "what was edited is an edit still"
