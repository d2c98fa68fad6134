"""Whatever a person edits, deletes, replaces or stages in the worktree is kept, and known with where it began."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate.engine.objects import GitObject, TreeEntry
from gitstate.store import folder as folder_module
from gitstate.store.folder import Folder
from gitstate.store.view_record import ViewRecord
from gitstate.store.worktree import Refreshed
from tests.store.desks import JOB, SHEET, Desk


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


# Where edits began, and edits that are taken


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
