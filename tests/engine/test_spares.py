"""Spare files: they become what is written, whatever others do with them."""

import errno
import os
import stat
from pathlib import Path

import pytest

from gitstate.engine import files, spares
from gitstate.engine.spares import Spares


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spare"


@pytest.fixture(autouse=True)
def _none_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "_AHEAD", 1)


def filled(folder: Path, wanted: int) -> Spares:
    """Return spares of which so many were wanted once."""
    made = Spares(folder.parent)
    for _ in range(wanted):
        assert not made.use(os.fspath(folder.parent / "none"), b"")
    made.refill()
    return made


def names(folder: Path) -> list[int]:
    return sorted(int(each.name) for each in folder.iterdir())


def test_there_are_as_many_as_were_wanted_since_the_last_time_and_no_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "_MOST", 5)
    Spares(folder.parent).refill()
    assert not folder.exists(), "nobody wanted one"
    made = filled(folder, 3)
    assert names(folder) == [0, 1, 2]
    for turn in range(3):
        assert made.use(os.fspath(folder.parent / f"new-{turn}"), b"content")
    assert names(folder) == []
    assert not made.use(os.fspath(folder.parent / "none"), b"")
    made.refill()
    assert names(folder) == [0, 1, 2, 3]
    filled(folder, 9)
    assert names(folder) == [0, 1, 2, 3, 4]


def test_the_first_ones_are_due_soon_and_more_of_them_than_were_wanted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "_SOON", 2)
    monkeypatch.setattr(spares, "_AHEAD", 3)
    made = Spares(folder.parent)
    assert not made.use(os.fspath(folder.parent / "none"), b"") and not made.are_due
    assert not made.use(os.fspath(folder.parent / "none"), b"") and made.are_due
    made.refill()
    assert names(folder) == [0, 1, 2, 3, 4, 5]
    for turn in range(2):
        assert made.use(os.fspath(folder.parent / f"new-{turn}"), b"content")
    assert not made.are_due, "the next ones come with a checkpoint"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_one_becomes_a_file_that_cannot_be_written(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = filled(folder, 1)
    finally:
        os.umask(before)
    target = folder.parent / "new"
    target.write_bytes(b"a torn one, of a dead process")
    assert made.use(os.fspath(target), b"content")
    assert target.read_bytes() == b"content"
    assert stat.S_IMODE(target.stat().st_mode) == 0o444 & ~umask


def test_one_that_a_dead_process_wrote_into_is_passed_over_and_goes(folder: Path) -> None:
    made = filled(folder, 1)
    (folder / "0").write_bytes(b"much that was written before it died")
    assert not made.use(os.fspath(folder.parent / "new"), b"short")
    assert names(folder) == [] and not (folder.parent / "new").exists()


def test_one_that_may_not_be_written_is_passed_over_and_goes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, opened = filled(folder, 2), os.open  # a process died when it had written it, or it is another user's

    def refuse_one(path: str, *words: int) -> int:
        if path.endswith("spare/1"):
            raise PermissionError(errno.EACCES, path)
        return opened(path, *words)

    monkeypatch.setattr(os, "open", refuse_one)
    assert made.use(os.fspath(folder.parent / "new"), b"content")
    assert not made.use(os.fspath(folder.parent / "more"), b"content")
    assert names(folder) == []


def test_one_that_is_in_a_copy_of_hard_links_is_not_written(folder: Path) -> None:
    made, copy = filled(folder, 1), folder.parent / "copy"
    copy.mkdir()
    (copy / "0").hardlink_to(folder / "0")
    assert not made.use(os.fspath(folder.parent / "new"), b"content")
    assert (copy / "0").read_bytes() == b"" and names(folder) == []


def test_what_is_not_ours_is_neither_used_nor_removed(folder: Path) -> None:
    made, other = filled(folder, 2), folder.parent / "a person's"  # and now others stand in the place of both
    other.write_bytes(b"")
    (folder / "1").unlink()
    (folder / "1").symlink_to(other)
    (folder / "notes").write_bytes(b"")
    (folder / "0").unlink()
    (folder / "0").mkdir()
    for _ in range(2):
        made.use(os.fspath(folder.parent / "none"), b"content")
        made.refill()
    made.clear()
    assert other.read_bytes() == b""
    assert {each.name for each in folder.iterdir()} == {"0", "1", "notes"}


def test_where_a_link_stands_for_the_folder_there_are_none(folder: Path) -> None:
    other = folder.parent / "a person's"
    other.mkdir()
    (other / "0").write_bytes(b"")
    folder.symlink_to(other)
    made = filled(folder, 3)
    assert not made.use(os.fspath(folder.parent / "new"), b"content")
    made.clear()
    assert names(other) == [0]


def test_what_another_process_makes_at_the_same_time_stops_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Spares(folder.parent)
    for _ in range(3):
        made.use(os.fspath(folder.parent / "none"), b"")
    with monkeypatch.context() as patch:
        patch.setattr(made, "_there", lambda: filled(folder, 2) and [])
        made.refill()
    assert names(folder) == [0, 1, 2]
    assert made.use(os.fspath(folder.parent / "new"), b"content")


def test_what_other_processes_used_is_passed_over(folder: Path) -> None:
    made = filled(folder, 3)
    other = filled(folder, 3)
    for turn in range(2):
        assert made.use(os.fspath(folder.parent / f"ours-{turn}"), b"ours")
    assert other.use(os.fspath(folder.parent / "theirs"), b"theirs")
    assert not made.use(os.fspath(folder.parent / "more"), b"") and not other.use(
        os.fspath(folder.parent / "more"), b""
    )
    assert {each.name for each in folder.parent.iterdir()} == {"spare", "ours-0", "ours-1", "theirs"}


def test_behind_those_that_others_used_is_one_that_is_left(folder: Path) -> None:
    made = filled(folder, 3)
    for used in "12":
        (folder / used).unlink()
    assert made.use(os.fspath(folder.parent / "new"), b"content")
    assert names(folder) == []


def test_nobody_waits_for_the_disk_where_they_are_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(files, "sync", waited.append)
    filled(folder, 2)
    assert waited == []


def test_where_the_disk_refuses_nothing_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled(folder, 1)

    def refuse(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(files, "write_all", refuse)
    with pytest.raises(OSError, match="no room"):
        made.use(os.fspath(folder.parent / "new"), b"content")
    assert names(folder) == [] and not (folder.parent / "new").exists()


def test_where_none_can_be_made_there_are_none(folder: Path) -> None:
    folder.write_bytes(b"no folder")
    made = filled(folder, 3)
    assert not made.use(os.fspath(folder.parent / "new"), b"content")
    made.clear()
    assert folder.read_bytes() == b"no folder"


def test_cleared_they_are_gone(folder: Path) -> None:
    Spares(folder.parent).clear()
    made = filled(folder, 3)
    made.clear()
    assert names(folder) == []
    assert not made.use(os.fspath(folder.parent / "new"), b"content")
