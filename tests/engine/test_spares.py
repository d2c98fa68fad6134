"""Spare files: they become what is written, whatever others do with them."""

import os
import stat
from pathlib import Path

import pytest

from gitstate.engine import files, spares
from gitstate.engine.spares import Spares


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spare"


def filled(folder: Path, wanted: int) -> Spares:
    """Return spares of which so many were wanted once."""
    made = Spares(folder)
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
    Spares(folder).refill()
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


def test_what_a_dead_process_wrote_into_one_does_not_stay(folder: Path) -> None:
    made = filled(folder, 1)
    (folder / "0").write_bytes(b"much that was written before it died")
    assert made.use(os.fspath(folder.parent / "new"), b"short")
    assert (folder.parent / "new").read_bytes() == b"short"


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


def test_cleared_they_are_gone(folder: Path) -> None:
    Spares(folder).clear()
    made = filled(folder, 3)
    made.clear()
    assert names(folder) == []
    assert not made.use(os.fspath(folder.parent / "new"), b"content")
