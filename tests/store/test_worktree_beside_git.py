"""The view beside people who use the real git in it: commits, resets, branches, stashes, locks, kinds of indexes."""

import subprocess

import pytest

from gitstate.store import worktree as worktree_module
from gitstate.store.worktree import Refreshed
from tests.store.desks import JOB, SHEET, Desk


def test_a_commit_of_a_person_is_followed(shown: Desk) -> None:
    shown.put(JOB, b"edited\n")
    shown.put("README.md", b"mine\n")
    shown.git("add", "-A")
    shown.git("commit", "-qm", "by hand")
    assert shown.refresh() == Refreshed()
    shown.save({JOB: b"job 2\n"})
    assert shown.refresh() == Refreshed(written=[JOB])
    shown.check_clean()


def test_a_hard_reset_is_followed(shown: Desk) -> None:
    shown.save({JOB: b"job 2\n", SHEET: None})
    shown.refresh()
    shown.git("reset", "-q", "--hard", "HEAD~1")
    assert shown.refresh() == Refreshed()
    shown.check_clean()
    shown.save({JOB: b"job 2\n"})  # what the view showed before the reset
    assert shown.refresh() == Refreshed(written=[JOB])
    shown.check_clean()


def test_a_mixed_reset_keeps_the_files(shown: Desk) -> None:
    shown.save({JOB: b"job 2\n"})
    shown.refresh()
    shown.git("reset", "-q", "HEAD~1")
    assert shown.refresh() == Refreshed(kept=[JOB])
    assert shown.read(JOB) == b"job 2\n"
    assert shown.status() == [f" M {JOB}"]


def test_a_return_from_another_branch_is_followed(shown: Desk) -> None:
    shown.git("checkout", "-q", "-b", "other")
    shown.put(JOB, b"other\n")
    shown.git("commit", "-qam", "elsewhere")
    shown.save({JOB: b"job 2\n"})
    assert shown.refresh() == Refreshed()
    assert shown.read(JOB) == b"other\n"
    assert shown.status() == []
    shown.git("checkout", "-q", "main")
    shown.save({JOB: b"job 1\n"})  # as the record of the view has it, but not the file that git put there
    assert shown.refresh() == Refreshed(written=[JOB])
    shown.check_clean()


def test_what_git_left_is_told_from_what_a_person_staged_after_it(shown: Desk) -> None:
    shown.put(JOB, b"edited\n")
    shown.git("commit", "-qam", "by hand")
    shown.save({JOB: b"job 2\n", SHEET: b"sheet 2\n"})
    shown.put(SHEET, b"staged\n")
    shown.git("add", SHEET)
    assert shown.refresh() == Refreshed(written=[JOB], kept=[SHEET])
    assert shown.status() == [f"M  {SHEET}"]


def test_a_detached_head_is_left_alone(shown: Desk) -> None:
    shown.git("checkout", "-q", "--detach")
    shown.save({JOB: b"job 2\n"})
    assert shown.refresh() == Refreshed()
    assert shown.status() == []


def test_a_stash_comes_back(shown: Desk) -> None:
    shown.put(JOB, b"edited\n")
    shown.git("stash", "-q")
    shown.save({SHEET: b"sheet 2\n"})
    assert shown.refresh() == Refreshed(written=[SHEET])
    shown.git("stash", "pop", "-q")
    assert shown.status() == [f" M {JOB}"]


def test_a_merge_with_conflicts_is_waited_for(shown: Desk) -> None:
    shown.git("checkout", "-q", "-b", "other")
    shown.put(JOB, b"theirs\n")
    shown.git("commit", "-qam", "theirs")
    shown.git("checkout", "-q", "main")
    shown.save({JOB: b"ours\n"})
    shown.refresh()
    subprocess.run(["git", "merge", "-q", "other"], cwd=shown.path, capture_output=True, check=False)
    assert "merge" in shown.refresh().pending
    assert shown.status() == [f"UU {JOB}"]
    shown.git("merge", "--abort")
    shown.save({JOB: b"job 2\n"})
    assert shown.refresh() == Refreshed(written=[JOB])
    shown.check_clean()


def test_a_git_that_holds_the_index_is_waited_for(shown: Desk) -> None:
    lock = shown.path / ".git" / "index.lock"
    lock.write_bytes(b"")
    shown.save({JOB: b"job 2\n"})
    said = shown.refresh().pending
    assert str(lock) in said
    assert lock.exists()
    assert shown.read(JOB) == b"job 1\n"
    shown.view._patience = 1000.0  # it is the same lock file: most likely nobody's any more
    assert shown.refresh().pending == said
    shown.view._patience = 0.1
    lock.unlink()
    assert shown.refresh() == Refreshed(written=[JOB])
    shown.check_clean()


def test_a_refresh_that_came_too_late_is_made_up_for(shown: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    shown.save({JOB: b"job 2\n"})
    monkeypatch.setattr(worktree_module, "_TURN", 0.01)
    again = Desk(shown.path)
    with again.view._alone():
        assert "holds it" in shown.refresh().pending
    assert shown.refresh() == Refreshed(written=[JOB])
    again.engine.close()


def test_a_git_at_work_is_left_alone_where_nothing_is_due(shown: Desk) -> None:
    """Who waits for the index only to find that takes it from a git that let go of it for a moment."""
    lock = shown.path / ".git" / "index.lock"
    lock.write_bytes(b"")
    assert shown.view.take({}) == Refreshed()
    assert str(lock) in shown.refresh().pending  # for somebody who asks what there is
    assert lock.exists()
    lock.unlink()


@pytest.mark.parametrize(
    "options",
    [["--index-version", "4"], ["--split-index"], ["--untracked-cache"], ["--assume-unchanged", "gitstate.json"]],
)
def test_other_kinds_of_indexes(shown: Desk, options: list[str]) -> None:
    shown.git("update-index", *options)
    shown.save({JOB: b"job 2\n", "jobs/new/job.json": b"x\n"})
    assert shown.refresh() == Refreshed(written=["jobs/new/job.json", JOB])
    shown.check_clean()


def test_a_sparse_checkout_stays_sparse(shown: Desk) -> None:
    shown.save({"jobs/weekly/job.json": b"1\n"})
    shown.refresh()
    shown.git("sparse-checkout", "set", "--cone", "--sparse-index", "jobs/nightly")
    shown.save({"jobs/weekly/job.json": b"2\n", JOB: b"job 2\n"})
    assert shown.refresh() == Refreshed(written=[JOB])
    assert not (shown.path / "jobs/weekly").exists()
    shown.check_clean()
