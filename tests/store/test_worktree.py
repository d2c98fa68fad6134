"""The worktree as a view of the head: files and git's index follow it, at once and together."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitstate.engine import gitindex, trees
from gitstate.engine.objects import GitObject, Tree, TreeEntry
from gitstate.store.folder import Folder
from gitstate.store.worktree import Refreshed
from tests.store.desks import FILES, JOB, SHEET, Desk


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


# Many


def test_processes_that_refresh_at_once(shown: Desk) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.store.desks import Desk\n"
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
