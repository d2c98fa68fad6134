"""The recorder itself: it sees every change, and a replay of what it saw is what stands on the disk."""

import os
import shutil
from pathlib import Path

import pytest

from tests.survival.calls import Call, Calls, Fate, Step
from tests.survival.disk import Disk, Image
from tests.survival.workloads import life


def image_of(root: Path) -> Image:
    """Return what stands in a folder."""
    names: dict[str, int] = {}
    folders: set[int] = set()
    contents: dict[int, bytes] = {}
    for here, inner, files in os.walk(root):
        for name in inner + files:
            path = Path(here, name)
            names[str(path.relative_to(root))] = number = path.stat().st_ino
            if path.is_dir():
                folders.add(number)
            else:
                contents[number] = path.read_bytes()
    return Image(names, frozenset(folders), contents)


def shape(image: Image) -> tuple[object, ...]:
    """Return an image without the numbers of its files: contents by path, and which paths are one file."""
    together: dict[int, list[str]] = {}
    for path, number in sorted(image.names.items()):
        together.setdefault(number, []).append(path)
    return sorted(together.values()), {path: image.contents.get(number) for path, number in image.names.items()}


def test_a_replay_of_what_was_recorded_is_what_stands_on_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with Calls(folder) as calls:
        life(folder / "state", lambda commit: None)
    for index in (folder / "state/.git/gitstate").glob("index-*"):
        index.unlink()  # SQLite writes it by itself, unseen; that it may be lost at any moment is tested elsewhere
    disk = Disk(calls.start, calls.steps)
    assert shape(disk.image(len(disk))) == shape(image_of(folder))
    disk.image(len(disk)).write(tmp_path / "copy")
    assert shape(image_of(tmp_path / "copy")) == shape(image_of(folder))


def test_files_that_were_there_belong_to_the_replay(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    (folder / "inner").mkdir(parents=True)
    (folder / "one").write_bytes(b"1" * 700)
    os.link(folder / "one", folder / "inner/two")
    with Calls(folder) as calls:
        with open(folder / "one", "r+b") as file:
            file.seek(600)
            file.write(b"22")
        os.replace(folder / "one", folder / "inner/three")
        shutil.rmtree(folder / "inner")
        (folder / "new").mkdir()
        (folder / "new/text").write_text("hello")
    disk = Disk(calls.start, calls.steps)
    assert shape(disk.image(len(disk))) == shape(image_of(folder))
    for number, _ in enumerate(calls.steps):
        disk.image(number)


def test_what_was_synced_is_never_lost_and_the_rest_may_be(tmp_path: Path) -> None:
    with Calls(tmp_path) as calls:
        fd = os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"a" * 1000)
        os.fsync(fd)
        os.write(fd, b"b" * 1000)
        os.close(fd)
        os.rename(tmp_path / "new", tmp_path / "there")
        folder = os.open(tmp_path, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        os.unlink(tmp_path / "there")
    assert [step.name for step in calls.steps if isinstance(step, Step)] == [
        *("create", "write", "fsync", "write", "rename", "fsync", "unlink")
    ]
    disk = Disk(calls.start, calls.steps)

    def left(end: int) -> dict[str, int]:
        image = disk.image(end, lambda _: True)
        return {path: len(image.contents[number]) for path, number in image.names.items()}

    assert [left(end) for end in range(8)] == [{}, {}, {}, {}, {}, {}, {"there": 1000}, {"there": 1000}]
    assert disk.pending(7) == [3, 6]


def test_a_write_that_waits_for_the_disk_is_safe_when_it_returns(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(bytes(2000))
    with Calls(tmp_path) as calls:
        fd = os.open(tmp_path / "journal", os.O_WRONLY | os.O_DSYNC)
        os.pwrite(fd, b"a" * 1000, 500)
        calls.note("answered")
        os.close(fd)
    disk = Disk(calls.start, calls.steps)
    assert disk.pending(1) == [0]
    assert disk.pending(2) == []
    assert disk.image(2, lambda _: True).contents == {2: bytes(500) + b"a" * 1000 + bytes(500)}


class Refusing(Fate):
    def before(self, call: Call) -> int | None:
        if call.name == "unlink":
            raise OSError("no")
        return 3 if call.name == "write" else None


def test_a_fate_lets_calls_fail_and_writes_come_short(tmp_path: Path) -> None:
    with Calls(tmp_path, Refusing()):
        fd = os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT)
        assert os.write(fd, b"abcdef") == 3
        os.close(fd)
        with pytest.raises(OSError, match="no"):
            os.unlink(tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"abc"
