"""People commit in linked worktrees that lag behind the branch, each of them for itself."""

import time
from dataclasses import replace
from pathlib import Path

from gitstate.store.store import Store
from gitstate.values.merge import Rules, add_deltas
from tests.git import git
from tests.store.lagging import Desk
from tests.store.test_store import write
from tests.stores import NOTES


def test_a_commit_in_a_linked_worktree_that_lags(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "store")
    desk.store.close()
    desk.git("checkout", "-q", "--detach")
    linked = tmp_path / "linked"
    desk.git("worktree", "add", "-q", str(linked), "main")
    with Store.open(desk.path):
        pass  # it learns what that folder shows
    desk.store = Store.open(desk.path, worktree=False)
    desk.save("a", m=1, n=0)
    file = linked / "notes/b/job.json"
    file.write_text(file.read_text().replace('"n": 0', '"n": 7'))
    git(linked, "commit", "-qam", "b by hand")
    desk.store.flush()
    assert desk.value("a") == {"m": 1, "n": 0}
    assert desk.value("b") == {"m": 0, "n": 7}
    assert git(linked, "status", "--porcelain") == ""
    desk.store.close()


def test_commits_in_two_folders_of_which_one_lags_more(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "store")
    linked = tmp_path / "linked"
    desk.git("worktree", "add", "-q", "-f", str(linked), "main")
    desk.store.flush()
    desk.save("b", m=1, n=0)
    lock = desk.path / ".git/index.lock"
    lock.touch()  # so that only the other folder goes on
    desk.store.flush()
    lock.unlink()
    desk.save("b", m=2, n=0)
    desk.edit("a", n=7)
    desk.git("commit", "-qam", "in the one")
    file = linked / "notes/b/job.json"
    file.write_text(file.read_text().replace('"n": 0', '"n": 7'))
    git(linked, "commit", "-qam", "in the other")
    desk.store.flush()
    assert [desk.value(document) for document in "ab"] == [{"m": 0, "n": 7}, {"m": 2, "n": 7}]
    assert git(linked, "status", "--porcelain") == desk.git("status", "--porcelain") == ""
    desk.store.close()


def test_a_commit_that_may_be_of_two_folders_counts_once(tmp_path: Path) -> None:
    counted = replace(NOTES, rules=Rules.of({"/m": add_deltas}))
    desk = Desk(tmp_path / "store")
    linked = tmp_path / "linked"
    desk.git("worktree", "add", "-q", "-f", str(linked), "main")
    desk.store.serve(counted)
    desk.store.flush()
    time.sleep(1.1)  # so that no refresh is in the second of the commit
    desk.store.submit(counted, "a", write({"id": "a", "m": 1, "n": 0, "sheets": {"1": {}}})).result()
    desk.edit("a", n=7)
    desk.git("commit", "-qam", "a by hand")
    for log in (desk.path / ".git").rglob("logs/HEAD"):
        log.unlink()  # nothing says in which of them
    desk.store.flush()
    assert desk.value("a") == {"m": 1, "n": 7}
    desk.store.close()
