"""People commit in a folder that lags behind the branch: what they did counts, and nothing else is taken back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gitstate.store.store import Store
from gitstate.store.view_record import Sight
from gitstate.store.worktree import Worktree
from tests.store import lagging
from tests.store.lagging import Desk
from tests.store.test_store import value_of, write
from tests.stores import NOTES

desk = lagging.desk


@pytest.mark.parametrize("by", ["a save", "a refresh", "another process"])
def test_a_commit_from_a_folder_that_lags_takes_nothing_back(desk: Desk, by: str) -> None:
    desk.save("a", m=1, n=0)
    desk.save("c", m=1)
    desk.edit("b", n=7)
    desk.git("commit", "-qam", "b by hand")
    assert '"m": 0' in desk.git("show", "HEAD:notes/a/job.json")  # that is what git made of it
    if by == "a save":
        desk.save("d", m=1)
    elif by == "a refresh":
        desk.catch_up()
    else:
        code = f"from gitstate import Store; Store.open({str(desk.path)!r}).close()"
        subprocess.run([sys.executable, "-c", code], check=True)
    assert desk.value("a") == {"m": 1, "n": 0}
    assert desk.value("b") == {"m": 0, "n": 7}
    assert desk.value("c") == {"m": 1}
    log = desk.git("log", "-3", "--format=%s")
    assert "b by hand" in desk.git("log", "--format=%s")
    assert "a: brought back what a commit from an older view took back" in log or by == "another process"


def test_both_changed_one_document(desk: Desk) -> None:
    desk.save("a", m=1, n=0)
    desk.edit("a", n=7)
    desk.git("commit", "-qam", "a by hand")
    desk.catch_up()
    assert desk.value("a") == {"m": 1, "n": 7}


def test_both_changed_one_field_the_commit_counts_and_says_so(desk: Desk) -> None:
    desk.save("a", m=1, n=1)
    desk.edit("a", n=7)
    desk.git("commit", "-qam", "a by hand")
    desk.catch_up()
    assert desk.value("a") == {"m": 1, "n": 7}
    body = desk.git("log", "-1", "--format=%b")
    assert "Both had changed /n: there the commit counts." in body
    assert "Gitstate-Note: a\nGitstate-Event: merged\n" in body


def test_several_commits_in_a_row(desk: Desk) -> None:
    desk.save("a", m=1, n=0)
    desk.edit("b", n=7)
    desk.git("commit", "-qam", "first")
    desk.edit("b", m=8)
    desk.git("commit", "-qam", "second")
    desk.catch_up()
    assert desk.value("a") == {"m": 1, "n": 0}
    assert desk.value("b") == {"m": 8, "n": 7}


def test_an_amended_save(desk: Desk) -> None:
    desk.save("a", m=1, n=0)
    desk.save("a", m=2, n=0)
    desk.edit("b", n=7)
    desk.git("commit", "-qa", "--amend", "-m", "amended")
    desk.catch_up()
    assert desk.value("a") == {"m": 2, "n": 0}
    assert desk.value("b") == {"m": 0, "n": 7}


def test_a_deleted_document_and_a_new_one(desk: Desk) -> None:
    desk.save("a", m=1, n=0)
    desk.git("rm", "-qr", "notes/b")
    other = desk.path / "notes/e"
    other.mkdir()
    (other / "job.json").write_text('{"id": "e", "m": 3}\n')
    desk.git("add", "-A", "notes/e")
    desk.git("commit", "-qm", "b is gone, e is new")
    desk.catch_up()
    assert [desk.value(document) for document in ("a", "b", "e")] == [{"m": 1, "n": 0}, None, {"m": 3}]


def test_one_path_is_committed_on_top_of_the_head(desk: Desk) -> None:
    desk.save("a", m=1, n=0)
    desk.save("c", m=1)
    desk.edit("a", n=7)
    desk.git("commit", "-qm", "only that", "--", "notes/a/job.json")
    desk.catch_up()
    assert desk.value("a") == {"m": 1, "n": 7}
    assert desk.value("c") == {"m": 1}


def test_an_edit_that_was_kept_is_merged_from_where_it_began(desk: Desk) -> None:
    desk.edit("a", n=7)
    desk.save("a", m=1, n=0)
    desk.store.flush()  # everything but the file that is edited goes on
    desk.save("b", m=1, n=0)
    desk.store.flush()
    desk.git("commit", "-qam", "a by hand")
    desk.catch_up()
    assert desk.value("a") == {"m": 1, "n": 7}
    assert desk.value("b") == {"m": 1, "n": 0}


@pytest.mark.parametrize("way", ["revert", "restore", "reset and restore"])
def test_what_is_taken_back_on_purpose_stays_so(desk: Desk, way: str) -> None:
    desk.save("a", m=1, n=0)
    if way == "reset and restore":
        desk.git("reset", "-q", "--hard")  # git itself brings the folder to the head
    else:
        desk.catch_up()
    if way == "revert":
        desk.git("revert", "--no-edit", "HEAD")
    else:
        desk.git("checkout", "HEAD~1", "--", "notes/a")
        desk.git("commit", "-qm", "back again")
    desk.catch_up()
    assert desk.value("a") == {"m": 0, "n": 0}
    desk.save("b", m=1, n=0)
    assert desk.value("a") == {"m": 0, "n": 0}


@pytest.mark.parametrize("words", [(), ("--date", "2001-01-01T00:00:00Z"), ("--amend",)])
def test_a_script_removes_everything_right_after_a_refresh(desk: Desk, words: tuple[str, ...]) -> None:
    """In the same second: git's commit begins when the refresh is over, whatever its author's date says."""
    desk.save("a", m=1, n=0)
    desk.save("c", m=1)
    desk.catch_up()
    desk.git("rm", "-qr", "notes")
    desk.git("commit", "-qm", "all of it", *words)
    desk.catch_up()
    assert [desk.value(document) for document in "abc"] == [None, None, None]


def test_what_was_looked_at_is_not_looked_at_again(desk: Desk) -> None:
    """Who comes later knows less: the view does not show any more what it did."""
    desk.save("a", m=1, n=0)
    desk.catch_up()
    desk.git("revert", "--no-edit", "HEAD")
    desk.edit("b", n=3)
    desk.git("commit", "-qam", "b by hand")
    desk.git("revert", "--no-edit", "HEAD~1")
    head = desk.git("rev-parse", "HEAD")
    for _ in range(3):
        desk.catch_up()
        Store.open(desk.path).close()
        assert desk.git("rev-parse", "HEAD") == head
    desk.edit("b", m=4)
    desk.save("a", m=5, n=0)
    desk.git("commit", "-qam", "b by hand, again")
    Store.open(desk.path).close()
    assert [desk.value(document) for document in "ab"] == [{"m": 5, "n": 0}, {"m": 4, "n": 3}]


def test_a_squash_of_saves_is_no_older_view(desk: Desk) -> None:
    desk.save("a", m=1, n=0)
    desk.save("a", m=2, n=0)
    desk.catch_up()
    desk.git("reset", "-q", "--soft", "HEAD~2")
    desk.git("commit", "-qm", "two in one")
    desk.catch_up()
    assert desk.value("a") == {"m": 2, "n": 0}


def test_the_folder_is_refreshed_while_the_editor_is_open(desk: Desk) -> None:
    """Git has read its index by then, so the commit comes from what the folder showed before."""
    desk.save("a", m=1, n=0)
    desk.edit("b", n=7)
    desk.git("add", "-A")
    script = desk.path.parent / "editor"
    refresh = f'{sys.executable} -c "from gitstate import Store; Store.open({str(desk.path)!r}).close()"'
    script.write_text(f'#!/bin/sh\nsleep 1.1\n{refresh}\necho by hand > "$1"\n')
    script.chmod(0o755)
    environment = os.environ | {"GIT_EDITOR": str(script)}
    subprocess.run(["git", "commit", "-q"], cwd=desk.path, env=environment, check=True)
    assert '"m": 0' in desk.git("show", "HEAD:notes/a/job.json")
    desk.catch_up()
    assert desk.value("a") == {"m": 1, "n": 0}
    assert desk.value("b") == {"m": 0, "n": 7}


def test_the_folder_is_refreshed_while_a_save_gets_other_words(desk: Desk) -> None:
    """Git has read its index by then, and all that it commits is what the folder showed before."""
    desk.save("a", m=1, n=0)
    desk.save("b", m=1, n=0)
    hook = desk.path / ".git/hooks/commit-msg"
    hook.parent.mkdir(exist_ok=True)
    refresh = f'{sys.executable} -c "from gitstate import Store; Store.open({str(desk.path)!r}).close()"'
    hook.write_text(f"#!/bin/sh\ncd {Path(__file__).parents[2]}\nunset GIT_DIR GIT_INDEX_FILE\n{refresh}\n")
    hook.chmod(0o755)
    desk.git("commit", "-q", "--amend", "-m", "in other words")
    assert '"m": 0' in desk.git("show", "HEAD:notes/a/job.json")  # that is what git made of it
    desk.catch_up()
    assert desk.value("a") == {"m": 1, "n": 0}
    assert desk.value("b") == {"m": 1, "n": 0}


def test_all_documents_had_moved(desk: Desk) -> None:
    desk.store.reshard(1, NOTES)
    desk.edit("b", n=7)
    desk.git("commit", "-qam", "b by hand")
    desk.catch_up()
    assert desk.value("b") == {"m": 0, "n": 7}
    assert desk.value("a") == {"m": 0, "n": 0}


def test_git_ran_gc_and_forgot_what_the_folder_showed(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.save("a", m=1, n=0)
    desk.git("reset", "-q", "--hard", "HEAD~1")
    desk.catch_up()  # the view shows what is not in the history any more
    desk.git("reset", "-q", "--soft", "HEAD~1")
    desk.edit("b", n=7)
    desk.git("commit", "-qam", "another history")
    desk.git("reflog", "expire", "--expire=now", "--all")
    desk.git("gc", "-q", "--prune=now")
    desk.save("c", m=1)
    assert desk.value("b") == {"m": 0, "n": 7}
    assert desk.value("c") == {"m": 1}
    assert not caplog.records


def test_many_saves_after_a_commit_and_before_the_folder_follows(desk: Desk) -> None:
    desk.edit("a", n=7)
    desk.git("commit", "-qam", "a by hand")
    for m in range(1, 150):
        desk.save("a", m=m, n=7)
    desk.catch_up()
    assert '"m": 149' in (desk.path / "notes/a/job.json").read_text()


def test_a_root_file_that_was_edited_beside_entries_that_came_since(desk: Desk) -> None:
    """The commit has files of two moments, which are no document together."""

    def save(m: int, sheets: int) -> None:
        value = {"id": "a", "m": m, "n": 0, "sheets": {str(number): {} for number in range(1, sheets + 1)}}
        desk.store.submit(NOTES, "a", write(value)).result()

    desk.edit("a", n=7)
    save(1, 2)
    desk.store.flush()  # the new sheet is shown, and the edited file stays
    save(2, 3)
    desk.git("commit", "-qam", "a by hand")
    desk.catch_up()
    assert desk.value("a") == {"m": 2, "n": 7}
    value = value_of(desk.store, "a")
    assert value is not None and list(value["sheets"]) == ["1", "2", "3"]
    assert "a: brought back" in desk.git("log", "-1", "--format=%s")


def test_nothing_is_looked_for_while_only_stores_write(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(self: Worktree) -> Sight | None:
        raise AssertionError("a save has to be quick where another process saves as well")

    with Store.open(desk.path, worktree=False) as other:
        monkeypatch.setattr(Worktree, "sight", looked)
        for m in range(3):
            desk.save("a", m=m)
            other.submit(NOTES, "b", write({"id": "b", "m": m})).result()
        monkeypatch.undo()
    assert desk.value("a") == {"m": 2}
