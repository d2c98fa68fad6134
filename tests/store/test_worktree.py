"""The worktree as a view of the head, beside people who use the real git in it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from gitstate.engine import gitindex, graph, trees
from gitstate.engine.git import GitEngine
from gitstate.engine.locks import LockFile
from gitstate.engine.objects import Commit, GitObject, Tree, TreeEntry
from gitstate.engine.repository import open_repository
from gitstate.errors import CorruptionError
from gitstate.store import folder as folder_module
from gitstate.store import worktree as worktree_module
from gitstate.store.folder import Folder
from gitstate.store.view_record import ViewRecord
from gitstate.store.worktree import Refreshed, Worktree

JOB = "jobs/nightly/job.json"
SHEET = "jobs/nightly/sheets/0001.json"
FILES: dict[str, bytes | None] = {"gitstate.json": b"{}\n", JOB: b"job 1\n", SHEET: b"sheet 1\n"}


class Desk:
    """A store's branch without a store: saves publish trees, and the view follows when it is told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repository = open_repository(path)
        self.engine = GitEngine(self.repository)
        self.view = Worktree(self.repository, self.engine, patience=0.1)

    def save(self, changes: Mapping[str, bytes | None]) -> None:
        """Commit some files, as the writer does."""
        edited = trees.edit(self.engine, self.tree(), changes)
        self.publish(edited.id, edited.objects)

    def publish(self, tree: str, objects: list[GitObject]) -> None:
        head, who = self.engine.head(), self.engine.signature()
        commit = Commit(tree, () if head is None else (head,), who, who, b"a save\n").to_object()
        with self.engine.lock():
            self.engine.publish([*objects, commit], expected=head, new=commit.id, note="a save")

    def tree(self) -> str | None:
        head = self.engine.head()
        return None if head is None else graph.read(self.engine, head).tree

    def refresh(self) -> Refreshed:
        return self.view.refresh()

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.path, check=True, capture_output=True, text=True)
        return done.stdout

    def status(self) -> list[str]:
        return self.git("status", "--porcelain").splitlines()

    def read(self, path: str) -> bytes:
        return (self.path / path).read_bytes()

    def put(self, path: str, content: bytes) -> None:
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(content)

    def check_clean(self) -> None:
        """Nothing differs between the head, git's index and the files, and no file of ours is left over."""
        assert self.status() == []
        assert self.git("write-tree").strip() == self.tree()
        assert self.git("diff-files") == ""  # the stats are right too, git need not read the files
        assert not (self.path / ".git" / "index.lock").exists()
        assert list(self.path.rglob(".gitstate-*")) == []


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store")
    yield desk
    desk.engine.close()
    subprocess.run(["git", "fsck", "--strict"], cwd=desk.path, check=True, capture_output=True)


@pytest.fixture
def shown(desk: Desk) -> Desk:
    """A store with a job, which the view shows."""
    desk.save(FILES)
    desk.refresh()
    return desk


def test_files_and_index_follow_the_head(desk: Desk) -> None:
    assert desk.refresh() == Refreshed()  # nothing to show yet
    desk.save(FILES)
    assert desk.refresh() == Refreshed(written=sorted(FILES))
    desk.check_clean()
    assert desk.read(JOB) == b"job 1\n"
    desk.save({JOB: b"job 2\n", "jobs/weekly/job.json": b"new\n", SHEET: None})
    assert desk.refresh() == Refreshed(written=[JOB, "jobs/weekly/job.json"], removed=[SHEET])
    desk.check_clean()
    assert not (desk.path / "jobs/nightly/sheets").exists()
    assert desk.refresh() == Refreshed()


def test_saves_in_between_are_shown_at_once(shown: Desk) -> None:
    for number in range(5):
        shown.save({JOB: b"%d\n" % number, f"jobs/{number}/job.json": b"x\n"})
    shown.save({"jobs/0/job.json": None})
    assert shown.refresh().written == ["jobs/1/job.json", "jobs/2/job.json", "jobs/3/job.json", "jobs/4/job.json", JOB]
    shown.check_clean()


def test_many_files_at_once(desk: Desk) -> None:
    """They are read in one go: some alike, one that is there, one that a person made."""
    many: dict[str, bytes | None] = {f"jobs/{number:03}/job.json": b"job %d\n" % (number // 2) for number in range(250)}
    desk.put("jobs/100/job.json", b"mine\n")
    desk.put("jobs/120/job.json", b"job 60\n")
    desk.save(many)
    there = {"jobs/100/job.json", "jobs/120/job.json"}
    assert desk.refresh() == Refreshed(written=sorted(many.keys() - there), kept=["jobs/100/job.json"])
    assert {path: desk.read(path) for path in many} == {**many, "jobs/100/job.json": b"mine\n"}
    desk.git("checkout", "--", "jobs/100/job.json")
    desk.check_clean()


def test_the_permissions_are_those_of_the_user(desk: Desk) -> None:
    old = os.umask(0o027)
    try:
        desk.save(FILES)
        desk.refresh()
    finally:
        os.umask(old)
    assert (desk.path / JOB).stat().st_mode & 0o777 == 0o640


def test_a_file_becomes_a_folder_and_back(shown: Desk) -> None:
    shown.save({"a": b"file\n"})
    shown.refresh()
    shown.save({"a": None, "a/b/c": b"deep\n"})
    shown.refresh()
    shown.check_clean()
    shown.save({"a/b/c": None, "a": b"file again\n"})
    shown.refresh()
    shown.check_clean()


def test_an_executable_file_of_a_person_stays_executable(shown: Desk) -> None:
    shown.put("tool.sh", b"#!/bin/sh\n")
    (shown.path / "tool.sh").chmod(0o755)
    shown.git("add", "tool.sh")
    shown.git("commit", "-qm", "a tool")
    shown.save({JOB: b"job 2\n"})
    shown.refresh()
    shown.check_clean()
    shown.git("rm", "-q", "tool.sh")
    shown.git("commit", "-qm", "no tool")
    shown.refresh()
    shown.git("revert", "--no-edit", "HEAD")
    shown.save({JOB: b"job 3\n"})
    shown.refresh()
    shown.check_clean()
    assert os.access(shown.path / "tool.sh", os.X_OK)


def test_an_executable_file_of_the_head_is_executable(shown: Desk) -> None:
    tool = GitObject("blob", b"#!/bin/sh\n")
    root = Tree.of({**trees.read(shown.engine, shown.tree()), "tool.sh": TreeEntry(0o100755, tool.id)}).to_object()
    shown.publish(root.id, [tool, root])
    assert shown.refresh() == Refreshed(written=["tool.sh"])
    assert os.access(shown.path / "tool.sh", os.X_OK)
    shown.check_clean()


# What people do


def test_an_edited_file_is_kept(shown: Desk) -> None:
    shown.put(JOB, b"edited\n")
    shown.save({JOB: b"job 2\n", SHEET: b"sheet 2\n"})
    assert shown.refresh() == Refreshed(written=[SHEET], kept=[JOB])
    assert shown.read(JOB) == b"edited\n"
    assert shown.status() == [f" M {JOB}"]
    assert "-job 2\n+edited\n" in shown.git("diff")  # a change against the head, not against what was shown once
    shown.save({JOB: b"job 3\n"})
    assert shown.refresh().kept == [JOB]
    assert "-job 3\n+edited\n" in shown.git("diff")
    shown.git("checkout", "--", JOB)
    shown.check_clean()


def test_an_edit_of_the_same_size_in_the_same_moment_is_kept(shown: Desk) -> None:
    before = (shown.path / JOB).stat()
    shown.put(JOB, b"job X\n")
    os.utime(shown.path / JOB, ns=(before.st_atime_ns, before.st_mtime_ns))
    shown.save({SHEET: b"sheet 2\n"})
    shown.refresh()
    assert shown.status() == [f" M {JOB}"]
    shown.save({JOB: b"job 2\n"})
    assert shown.refresh().kept == [JOB]
    assert shown.read(JOB) == b"job X\n"


@pytest.mark.parametrize("later", [0, 500_000_000])  # nanoseconds; most builds of git compare only seconds
def test_an_edit_hidden_by_the_clock_is_not_hidden_further(shown: Desk, later: int) -> None:
    """git compares times with the index's own; an index that is written later must not bless what it has not seen."""
    index = shown.path / ".git" / "index"
    moment = 1_700_000_000_000_000_000
    os.utime(shown.path / JOB, ns=(moment, moment))
    shown.git("update-index", "--refresh")
    os.utime(index, ns=(moment, moment + later))
    shown.git("config", "core.trustctime", "false")
    shown.git("config", "core.checkStat", "minimal")
    shown.put(JOB, b"job X\n")
    os.utime(shown.path / JOB, ns=(moment, moment))
    assert subprocess.run(["git", "diff", "--quiet"], cwd=shown.path, check=False).returncode == 1
    shown.save({SHEET: b"sheet 2\n"})
    shown.refresh()
    assert shown.status() == [f" M {JOB}"]


def test_a_deleted_file_stays_deleted(shown: Desk) -> None:
    (shown.path / JOB).unlink()
    shown.save({JOB: b"job 2\n"})
    assert shown.refresh().kept == [JOB]
    assert shown.status() == [f" D {JOB}"]


def test_an_edited_file_that_the_head_removed_is_kept(shown: Desk) -> None:
    shown.put(SHEET, b"edited\n")
    shown.save({SHEET: None})
    assert shown.refresh() == Refreshed(kept=[SHEET])
    assert shown.read(SHEET) == b"edited\n"
    assert shown.status() == ["?? jobs/nightly/sheets/"]


def test_a_deletion_of_both_sides_is_done(shown: Desk) -> None:
    (shown.path / SHEET).unlink()
    shown.save({SHEET: None})
    assert shown.refresh() == Refreshed()
    shown.check_clean()


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_a_replaced_file_is_kept(shown: Desk, tmp_path: Path, kind: str) -> None:
    path, outside = shown.path / JOB, tmp_path / "outside"
    outside.write_bytes(b"outside\n")
    path.unlink()
    make: dict[str, Callable[[], None]] = {
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(outside),
        "fifo": lambda: os.mkfifo(path),
    }
    make[kind]()
    shown.save({JOB: b"job 2\n"})
    assert shown.refresh().kept == [JOB]
    assert outside.read_bytes() == b"outside\n"
    assert shown.status()


def test_an_untracked_file_in_the_way_is_kept(shown: Desk) -> None:
    shown.put("jobs/new/job.json", b"mine\n")
    shown.put("jobs/same/job.json", b"same\n")
    shown.put("jobs/blocked", b"a file where a folder must be\n")
    names = ["jobs/blocked/job.json", "jobs/new/job.json"]
    shown.save({names[0]: b"x\n", names[1]: b"x\n", "jobs/same/job.json": b"same\n"})
    assert shown.refresh() == Refreshed(kept=names)
    assert shown.read("jobs/new/job.json") == b"mine\n"
    assert sorted(shown.status()) == [" D jobs/blocked/job.json", " M jobs/new/job.json", "?? jobs/blocked"]


def test_a_staged_edit_is_kept_with_its_file(shown: Desk) -> None:
    shown.put(JOB, b"staged\n")
    shown.git("add", JOB)
    shown.put(SHEET, b"added\n")
    shown.git("rm", "-q", "--cached", "gitstate.json")
    shown.git("add", SHEET)
    shown.save({JOB: b"job 2\n", "gitstate.json": b"{2}\n", SHEET: None, "other": b"other\n"})
    assert shown.refresh() == Refreshed(written=["other"], kept=[SHEET, "gitstate.json", JOB])
    assert shown.git("show", f":{JOB}") == "staged\n"
    assert shown.read(JOB) == b"staged\n"
    assert sorted(shown.status()) == ["?? gitstate.json", f"A  {SHEET}", "D  gitstate.json", f"M  {JOB}"]


def test_an_intended_file_is_kept(shown: Desk) -> None:
    shown.put("jobs/new/job.json", b"mine\n")
    shown.git("add", "-N", "jobs/new/job.json")
    shown.save({"jobs/new/job.json": b"x\n"})
    assert shown.refresh().kept == ["jobs/new/job.json"]
    assert shown.read("jobs/new/job.json") == b"mine\n"


def test_a_staged_folder_in_the_way_is_kept(shown: Desk) -> None:
    shown.put("new/inner", b"mine\n")
    shown.git("add", "new/inner")
    shown.save({"new": b"a file\n"})
    assert shown.refresh().kept == ["new"]
    assert sorted(shown.status()) == ["A  new/inner", "D  new"]


def test_other_files_are_of_no_concern(shown: Desk) -> None:
    shown.put("README.md", b"mine\n")
    shown.put("jobs/nightly/sheets/notes.txt", b"mine\n")
    shown.save({SHEET: None})
    assert shown.refresh() == Refreshed(removed=[SHEET])
    assert shown.status() == ["?? README.md", "?? jobs/nightly/sheets/"]


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


def test_a_missing_index_is_made_anew(shown: Desk) -> None:
    (shown.path / ".git" / "index").unlink()
    shown.put(JOB, b"edited\n")
    assert shown.refresh().kept == [JOB]
    assert shown.status() == [f" M {JOB}"]


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


# Records that are not there


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


# Deaths


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, and the lock files of the dead stay."""


STEPS = [  # what a refresh does, and how often the test below has it do so
    (ViewRecord, "write", 2),
    (Folder, "write", 3),
    (Folder, "remove", 2),
    (folder_module, "_write_new", 3),
    (gitindex.GitIndex, "put", 1),
    (worktree_module._Checkout, "settle_racy", 1),
    (Worktree, "_write_index", 1),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name", "nth"),
    [(owner, name, nth) for owner, name, times in STEPS for nth in range(1, times + 1)],
    ids=[f"{name}-{nth}" for _, name, times in STEPS for nth in range(1, times + 1)],
)
def test_a_refresh_that_was_killed_is_finished_by_the_next(
    shown: Desk, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, nth: int, after: bool
) -> None:
    shown.put("mine", b"mine\n")
    shown.save({JOB: b"job 2\n", SHEET: None, "gitstate.json": None, "a": b"a\n", "b/c": b"c\n"})
    real, calls = getattr(owner, name), 0

    def killed(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth and not after:
            raise Killed
        done = real(*arguments, **options)
        if calls == nth:
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        patch.setattr(folder_module, "_unlink", lambda parent, beside: None)  # nobody tidies up after a SIGKILL
        patch.setattr(LockFile, "__exit__", lambda *_: None)
        with pytest.raises(Killed):
            shown.refresh()
    shown.save({JOB: b"job 1\n", "b/c": None, "d": b"d\n"})  # back to what it was, away with what came
    again = Desk(shown.path)
    assert again.refresh().kept == []
    assert again.status() == ["?? mine"]
    (again.path / "mine").unlink()
    again.check_clean()
    again.engine.close()


def test_a_lock_file_of_the_dead_is_removed_when_nothing_else_is_due(shown: Desk) -> None:
    own = shown.path / ".git/gitstate/view/own-1-1"
    own.write_bytes(b"")
    os.link(own, shown.path / ".git" / "index.lock")
    assert shown.refresh() == Refreshed()
    shown.check_clean()


def test_a_process_that_is_really_killed(shown: Desk) -> None:
    """SIGKILL at some moments of a refresh of many files; the next one makes the view whole."""
    script = (
        "import sys; from pathlib import Path; from tests.store.test_worktree import Desk\n"
        "desk = Desk(Path(sys.argv[1])); print('ready', flush=True); desk.refresh(); print('done', flush=True)"
    )
    for delay in (0.0, 0.005, 0.02, 0.04):
        shown.save({f"jobs/{number}/job.json": b"%f\n" % delay for number in range(200)})
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(shown.path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        refreshed = shown.refresh()
        assert refreshed.kept == [] and refreshed.pending == ""
        shown.check_clean()


# Paths that lead astray


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


def test_an_edit_made_at_the_last_moment_is_kept(shown: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = folder_module._expect

    def edit_first(parent: int, name: bytes, found: folder_module.Found) -> None:
        shown.put(JOB, b"at the last moment\n")
        real(parent, name, found)

    shown.save({JOB: b"job 2\n"})
    monkeypatch.setattr(folder_module, "_expect", edit_first)
    assert shown.refresh() == Refreshed(kept=[JOB])
    assert shown.read(JOB) == b"at the last moment\n"
    assert shown.status() == [f" M {JOB}"]


# Many


def test_processes_that_refresh_at_once(shown: Desk) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.store.test_worktree import Desk\n"
        "from gitstate.errors import StaleError\n"
        "desk, name = Desk(Path(sys.argv[1])), sys.argv[2]\n"
        "for number in range(20):\n"
        "    while True:\n"
        "        try: desk.save({f'jobs/{name}/{number % 7}.json': b'%d' % number}); break\n"
        "        except StaleError: pass\n"
        "    refreshed = desk.refresh(); assert not refreshed.kept and not refreshed.pending, refreshed"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(shown.path), name], cwd=Path(__file__).parents[2])
        for name in "ab"
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    shown.check_clean()
    assert len(list((shown.path / "jobs/a").iterdir())) == 7


def test_only_what_differs_is_looked_at(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    many: dict[str, bytes | None] = {f"jobs/{n // 20}/sheets/{n % 20}.json": b"%d\n" % n for n in range(2000)}
    desk.save(many)
    desk.refresh()
    desk.save({"jobs/3/sheets/4.json": b"changed\n", "jobs/7/sheets/1.json": b"changed\n"})
    looked: list[str] = []
    real = Folder.look

    def noting(self: Folder, path: str) -> object:
        looked.append(path)
        return real(self, path)

    monkeypatch.setattr(Folder, "look", noting)
    monkeypatch.setattr(gitindex.GitIndex, "racy", lambda self: iter(()))
    start = time.perf_counter()
    desk.refresh()
    assert time.perf_counter() - start < 0.5
    assert looked == ["jobs/3/sheets/4.json", "jobs/7/sheets/1.json"]
    desk.check_clean()


def record(desk: Desk) -> ViewRecord:
    return ViewRecord.read(desk.path / ".git/gitstate/view")


def entry(content: bytes) -> TreeEntry:
    return TreeEntry(0o100644, GitObject("blob", content).id)


@pytest.mark.parametrize("staged", [False, True])
def test_the_base_of_an_edit_is_what_the_view_showed_first(shown: Desk, staged: bool) -> None:
    shown.put(SHEET, b"edited\n")
    if staged:
        shown.git("add", SHEET)
    for number in (2, 3):
        shown.save({SHEET: b"sheet %d\n" % number})
        assert shown.refresh() == Refreshed(kept=[SHEET])
        assert record(shown).bases == {SHEET: entry(b"sheet 1\n")}
    shown.put(SHEET, b"sheet 3\n")
    if staged:
        shown.git("add", SHEET)
    shown.refresh()
    assert record(shown).bases == {}
    shown.check_clean()


def test_an_edit_that_began_as_nothing(shown: Desk) -> None:
    shown.put("jobs/weekly/job.json", b"mine\n")
    shown.save({"jobs/weekly/job.json": b"theirs\n"})
    shown.refresh()
    assert record(shown).bases == {"jobs/weekly/job.json": None}


@pytest.mark.parametrize("staged", [b"", b"edited\n", b"staged before\n"])
def test_an_edit_that_is_taken_gives_way(shown: Desk, staged: bytes) -> None:
    if staged:
        shown.put(SHEET, staged)
        shown.git("add", SHEET)
    shown.put(SHEET, b"edited\n")
    shown.save({SHEET: b"merged\n"})
    shown.refresh()
    assert shown.view.take({SHEET: entry(b"edited\n")}) == Refreshed(written=[SHEET])
    assert record(shown).bases == record(shown).taken == {}
    shown.check_clean()
    assert shown.read(SHEET) == b"merged\n"


def test_an_edit_that_goes_on_after_it_was_taken_begins_there(shown: Desk) -> None:
    shown.save({SHEET: b"merged\n"})
    shown.put(SHEET, b"edited again\n")
    assert shown.view.take({SHEET: entry(b"edited\n")}) == Refreshed(kept=[SHEET])
    assert record(shown).bases == {SHEET: entry(b"edited\n")}
    assert shown.read(SHEET) == b"edited again\n"


def test_new_and_deleted_files_are_taken(shown: Desk) -> None:
    shown.put("jobs/weekly/job.json", b"mine\n")
    (shown.path / SHEET).unlink()
    done = shown.view.take({"jobs/weekly/job.json": entry(b"mine\n"), SHEET: None})
    assert done == Refreshed(written=[SHEET], removed=["jobs/weekly/job.json"])
    shown.check_clean()


def test_what_was_taken_gives_way_after_a_kill(shown: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    shown.put(SHEET, b"edited\n")
    shown.save({SHEET: b"merged\n"})
    with monkeypatch.context() as broken:
        broken.setattr(Folder, "write", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            shown.view.take({SHEET: entry(b"edited\n")})
    shown.refresh()
    shown.check_clean()


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
