"""People reset, unstage and change branches in a folder that lags: what they meant is done, and no save is dropped."""

import sys
from pathlib import Path

import pytest

from gitstate.store.store import Store
from tests.store import lagging
from tests.store.lagging import Desk

desk = lagging.desk


def save_within(desk: Desk, hook: str, *words: str) -> None:
    """Run git; another process saves twice within it, as soon as git has written its index, and moved nothing yet."""
    code = f"""
from gitstate import Store
from tests.store.test_store import write
from tests.stores import NOTES
with Store.open({str(desk.path)!r}, worktree=False) as store:
    for n in (1, 2):
        store.submit(NOTES, "a", write({{"id": "a", "sheets": {{"1": {{}}}}, "m": n, "n": 0}})).result()
"""
    path = desk.path / ".git/hooks" / hook
    path.parent.mkdir(exist_ok=True)
    root = Path(__file__).parents[2]
    path.write_text(
        f"#!/bin/sh\nrm {path}\ncd {root}\nunset GIT_DIR GIT_INDEX_FILE\n{sys.executable} - <<'END'\n{code}END\n"
    )
    path.chmod(0o755)
    desk.git(*words)
    assert not path.exists()


@pytest.mark.parametrize("words", [("reset", "-q", "--hard"), ("reset", "-q")])
@pytest.mark.parametrize("by", ["a save", "a refresh", "after a commit"])
def test_a_reset_of_the_folder_drops_no_saves_of_that_moment(desk: Desk, words: tuple[str, ...], by: str) -> None:
    desk.store.close()  # so that git moves nothing that this process knows
    desk.edit("b", n=7)
    save_within(desk, "post-index-change", *words)
    assert '"m": 0' in desk.git("show", "main:notes/a/job.json")  # git put the branch back
    lost = desk.git("rev-parse", "main@{1}").strip()
    if by == "after a commit":
        desk.edit("b", n=8)
        desk.git("commit", "-qm", "b by hand", "--", "notes/b/job.json")
    desk.store = Store.open(desk.path, worktree=False)
    if by == "a save":
        desk.save("c", m=1)
    desk.store.flush()
    assert desk.value("a") == {"m": 2, "n": 0}
    assert lost in desk.git("rev-list", "main").split()  # with all that their trailers say
    assert desk.value("b") == {"m": 0, "n": 8 if by == "after a commit" else 0}
    if words == ("reset", "-q"):
        desk.git("checkout", "--", "notes/b")
    desk.store.flush()


@pytest.mark.parametrize("commits", [False, True])
def test_a_return_to_the_branch_while_it_moves(desk: Desk, commits: bool) -> None:
    """Git's reflog names where the branch stands at the end of a checkout, and the files are those of its beginning."""
    desk.git("branch", "other", "HEAD~1")
    desk.save("c", m=1)
    desk.catch_up()
    desk.git("checkout", "-q", "other")
    desk.save("a", m=5, n=0)  # which the folder has never shown
    desk.save("c", m=2)
    desk.store.close()
    save_within(desk, "post-index-change", "checkout", "-q", "main")
    if commits:
        desk.edit("b", n=7)
        desk.git("commit", "-qam", "b by hand")
    desk.store = Store.open(desk.path, worktree=False)
    desk.catch_up()
    assert desk.value("a") == {"m": 2, "n": 0}
    assert desk.value("b") == {"m": 0, "n": 7 if commits else 0}


def test_a_second_edit_of_a_file_that_was_committed_and_unstaged(desk: Desk) -> None:
    """The folder was not brought to the head in between: the second edit begins at the first commit."""
    desk.save("a", m=1, n=0)
    desk.edit("a", n=7)
    desk.git("commit", "-qam", "first")
    desk.save("a", m=2, n=7)
    desk.save("c", m=1)
    desk.edit("a", n=8)
    desk.git("reset", "-q")
    desk.git("commit", "-qm", "second", "--", "notes/a/job.json")
    desk.catch_up()  # no file that the folder has not shown yet counts as deleted
    assert desk.value("a") == {"m": 2, "n": 8}
    assert desk.value("c") == {"m": 1}


def test_files_that_a_commit_took_back_before_they_were_unstaged(desk: Desk) -> None:
    desk.save("c", m=1)
    desk.edit("b", n=7)
    desk.git("commit", "-qam", "b by hand")  # without c, of which git's index does not know
    desk.save("a", m=1, n=0)
    desk.git("reset", "-q")
    desk.catch_up()
    assert desk.value("c") == {"m": 1}


def test_a_reset_to_an_older_commit_is_meant(desk: Desk) -> None:
    desk.save("a", m=1, n=0)
    desk.catch_up()
    desk.git("reset", "-q", "--hard", "HEAD~1")
    desk.save("b", m=1, n=0)
    assert desk.value("a") == {"m": 0, "n": 0}


@pytest.mark.parametrize("way", ["reset", "restore --staged ."])
def test_what_is_unstaged_comes_from_where_it_did(desk: Desk, way: str) -> None:
    """Git's index is at the head then, and the files are not: they still show what the view did."""
    desk.edit("b", n=7)
    desk.git("add", "-A")
    desk.save("a", m=1, n=0)
    desk.save("b", m=1, n=0)
    desk.git(*way.split())
    desk.git("commit", "-qm", "b by hand", "--", "notes/b/job.json")
    desk.catch_up()  # the file of the other one is no edit
    assert desk.value("a") == {"m": 1, "n": 0}
    assert desk.value("b") == {"m": 1, "n": 7}


@pytest.mark.parametrize("way", ["reset", "restore --staged ."])
def test_an_edit_that_was_unstaged_before_a_refresh(desk: Desk, way: str) -> None:
    desk.edit("b", n=7)
    desk.git("add", "-A")
    desk.save("b", m=1, n=0)
    desk.git(*way.split())
    desk.store.flush()
    assert desk.git("status", "--porcelain") == " M notes/b/job.json\n"
    desk.save("b", m=2, n=0)
    desk.store.flush()
    desk.git("commit", "-qam", "b by hand")
    desk.catch_up()
    assert desk.value("b") == {"m": 2, "n": 7}
