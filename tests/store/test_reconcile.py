"""People commit in a folder that lags behind the branch: what they did counts, and nothing else is taken back."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gitstate.format.message import Message
from gitstate.store.documents import Draft, Snapshot
from gitstate.store.store import Store
from gitstate.store.view_record import Sight
from gitstate.store.worktree import Worktree
from gitstate.values.merge import Rules, add_deltas
from tests.git import fsck, git
from tests.store.test_store import value_of, write
from tests.stores import NOTES


class Desk:
    """A store whose folder lags until :meth:`catch_up`, and a person who works there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with Store.open(path) as store:
            self._save(store, "a", m=0, n=0)
            self._save(store, "b", m=0, n=0)
        self.store = Store.open(path, worktree=False)

    def save(self, document: str, **fields: int) -> None:
        self._save(self.store, document, **fields)

    def _save(self, store: Store, document: str, **fields: int) -> None:
        store.submit(NOTES, document, write({"id": document, "sheets": {"1": {}}, **fields})).result()

    def edit(self, document: str, **fields: int) -> None:
        """Change fields in the file that the folder shows."""
        file = self.path / f"notes/{document}/job.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields, indent=2) + "\n")

    def git(self, *words: str) -> str:
        return git(self.path, *words)

    def value(self, document: str) -> dict[str, Any] | None:
        value = value_of(self.store, document)
        return None if value is None else {key: value[key] for key in value if key not in ("id", "sheets")}

    def catch_up(self) -> None:
        self.store.flush()
        assert self.git("status", "--porcelain") == ""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store")
    yield desk
    desk.store.close()
    assert desk.git("status", "--porcelain") == ""
    fsck(desk.path)


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


def test_many_saves_after_a_commit_and_before_the_folder_follows(desk: Desk) -> None:
    desk.edit("a", n=7)
    desk.git("commit", "-qam", "a by hand")
    for m in range(1, 150):
        desk.save("a", m=m, n=7)
    desk.catch_up()
    assert '"m": 149' in (desk.path / "notes/a/job.json").read_text()


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


STEPS = ["save"] * 4 + ["flush"] * 2 + ["edit"] * 3 + ["commit"] * 3 + ["add", "commit one", "amend", "reset", "reopen"]


@pytest.mark.parametrize("seed", [*range(24), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(24, 400))])
def test_saves_and_a_person_s_commits_in_random_order(tmp_path: Path, seed: int) -> None:
    """Saves count one field of each document, the person another one: in the end both have counted all they did."""
    random = Random(seed)
    desk = Desk(tmp_path / "store")
    saved, committed = dict.fromkeys("ab", 0), dict.fromkeys("ab", 0)
    edited = dict.fromkeys("ab", 0)  # and not committed

    def count(current: Snapshot | None) -> Draft:
        assert current is not None
        value: Any = current.value()
        value["m"] += 1
        return Draft(Message("count", trailers=(("Gitstate-Note", current.document),)), value=value)

    for _ in range(30):
        step, document = random.choice(STEPS), random.choice("ab")
        if step == "save":
            desk.store.submit(NOTES, document, count).result()
            saved[document] += 1
        elif step == "flush":
            desk.store.flush()
        elif step == "edit":
            edited[document] += 1
            desk.edit(document, n=committed[document] + edited[document])
        elif step == "add":
            desk.git("add", "-A")
        elif step == "reset":
            desk.git("reset", "-q", "--hard")
            edited = dict.fromkeys("ab", 0)
        elif step == "reopen":
            desk.store.close()
            desk.store = Store.open(desk.path, worktree=random.choice([False, True]))
            desk.store.serve(NOTES)
        elif any(edited.values()):
            words = ["-qa", "--amend", "-m", "amended"] if step == "amend" else ["-qam", "by hand"]
            taken = list("ab")
            if step == "commit one" and edited[document]:
                words, taken = ["-qm", "one", "--", f"notes/{document}/job.json"], [document]
            desk.git("commit", *words)
            for each in taken:
                committed[each] += edited[each]
                edited[each] = 0
    desk.git("stash", "-q") if any(edited.values()) else None
    desk.store.flush()
    values = {document: desk.value(document) for document in "ab"}
    assert values == {document: {"m": saved[document], "n": committed[document]} for document in "ab"}
    desk.store.close()
    fsck(desk.path)


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
