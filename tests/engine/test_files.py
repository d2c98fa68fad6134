"""Files as a crash leaves them: written whole and waited for, and errors of the system as ours."""

import errno
import hashlib
import os
import random
from pathlib import Path

import pytest

from gitstate.engine import files
from gitstate.errors import ReadOnlyError, StorageError, StorageFullError
from tests.engine.conftest import synced_while

OWNER = "check who owns it, its permissions and its mount"
ROOM = "make room on the disk, then try again"


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes of what was waited for."""
    return synced_while(monkeypatch)


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        *[(number, ReadOnlyError, OWNER) for number in (errno.EROFS, errno.EACCES, errno.EPERM)],
        *[(number, StorageFullError, ROOM) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)],
        *[(number, StorageError, "raise the limit of open files") for number in (errno.EMFILE, errno.ENFILE)],
        (errno.ENOTDIR, StorageError, "a file stands where a folder is needed"),
        (errno.ENAMETOOLONG, StorageError, "choose a shorter path"),
        (errno.ELOOP, StorageError, "symbolic links lead in a circle"),
        (errno.EIO, StorageError, "check the disk"),
    ],
)
def test_what_the_system_refuses_names_the_file_and_what_to_do(
    number: int, kind: type[StorageError], hint: str
) -> None:
    refused = OSError(number, "as it says", b"one", None, "two")
    with pytest.raises(StorageError) as raised, files.storage_errors("folder"):
        raise refused
    assert type(raised.value) is kind
    assert raised.value.message == f"one -> two: {os.strerror(number)}"
    assert (raised.value.hint, raised.value.errno, raised.value.__cause__) == (hint, number, refused)


def test_errors_without_a_file_or_a_number_name_the_folder() -> None:
    for error, said in [
        (OSError(errno.EIO, "x"), f"folder: {os.strerror(errno.EIO)}"),
        (OSError("a message"), "folder: a message"),
    ]:
        with pytest.raises(StorageError) as raised, files.storage_errors(Path("folder")):
            raise error
        assert raised.value.message == said
    ours = StorageError("ours", cause=OSError(errno.EIO, "x"))
    with pytest.raises(StorageError) as raised, files.storage_errors("folder"):
        raise ours
    assert raised.value is ours
    with pytest.raises(KeyError), files.storage_errors("folder"):
        raise KeyError


@pytest.mark.parametrize("durable", [True, False])
def test_a_new_file_is_written_whole_and_waited_for(tmp_path: Path, synced: list[int], durable: bool) -> None:
    path = tmp_path / "new"
    files.create(str(path), b"text", mode=0o600, durable=durable)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"text", 0o600)
    assert synced == [path.stat().st_ino] * durable
    with pytest.raises(FileExistsError):
        files.create(str(path), b"other")
    assert path.read_bytes() == b"text"
    files.create(str(tmp_path / "usual"), b"")
    assert (tmp_path / "usual").stat().st_mode & 0o777 == 0o644 and len(synced) == durable + 1


def test_a_new_file_that_could_not_be_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    def refuse(fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(KeyboardInterrupt):
        files.create(str(tmp_path / "new"), b"text")
    assert os.listdir(tmp_path) == []
    assert not opened or len(os.listdir("/proc/self/fd")) == opened, "a file was left open"


def test_what_the_system_takes_in_pieces_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    files.create(str(tmp_path / "new"), b"a longer text")
    assert (tmp_path / "new").read_bytes() == b"a longer text"


def test_a_file_is_replaced_by_one_that_is_on_the_disk(tmp_path: Path, synced: list[int]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    (tmp_path / "file.new").write_bytes(b"of a dead process")
    files.replace(path, b"new")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"new", ["file"])
    assert synced == [path.stat().st_ino]


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_overwritten_in_place(tmp_path: Path, synced: list[int], durable: bool) -> None:
    path = tmp_path / "file"
    before = files.overwrite(str(path), b"a longer text", durable=durable)
    assert before is not None and before.st_size == 0 and path.stat().st_mode & 0o777 == 0o644
    for text in (b"short", b"again", b"and longer"):
        was = path.stat()
        before = files.overwrite(str(path), text, durable=durable, alone=True)
        assert before is not None and (before.st_size, before.st_ino) == (was.st_size, was.st_ino)
        assert (path.read_bytes(), path.stat().st_ino) == (text, was.st_ino)
    assert synced == [path.stat().st_ino] * 4 * durable


def test_a_file_with_another_name_is_overwritten_only_if_it_need_not_be_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"text")
    os.link(path, tmp_path / "other")
    assert files.overwrite(str(path), b"new", durable=True, alone=True) is None
    assert path.read_bytes() == b"text"
    assert files.overwrite(str(path), b"new", durable=True) is not None
    assert (tmp_path / "other").read_bytes() == b"new"


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 25])
def test_a_file_of_any_size_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(files, "_CHUNK", 10)
    data = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(data)
    assert files.read(tmp_path / "file") == data == files.read_if_there(tmp_path / "file")


def test_what_is_not_there_has_no_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "none", tmp_path / "file/none"):
        assert files.read_if_there(path) == b""
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            files.read(path)
        files.remove(path)
    with pytest.raises(IsADirectoryError):
        files.read_if_there(tmp_path)
    files.remove(tmp_path)
    assert files.can_write(tmp_path) and files.can_write(tmp_path / "file")
    files.remove(tmp_path / "file")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("size", [0, 1, 19, 20, 21, 100])
def test_what_ends_with_its_checksum_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    body = random.Random(size).randbytes(size)
    data = body + hashlib.sha1(body, usedforsecurity=False).digest()
    path = tmp_path / "file"
    for text, is_sound in [
        (data, bool(size)),
        (data[:-1] + bytes([data[-1] ^ 1]), False),
        (bytes([data[0] ^ 1]) + data[1:], False),
        (data[1:], False),
        (data + b"\0", False),
    ]:
        path.write_bytes(text)
        assert files.is_sound(text) is is_sound
        for piece in (1, 7, 20, 1 << 20):
            monkeypatch.setattr(files, "_PIECE", piece)
            assert files.is_sound_file(str(path)) is is_sound


def test_what_is_waited_for(tmp_path: Path, synced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"text")
    files.sync_file(path)
    files.sync_directory(tmp_path)
    assert synced == [path.stat().st_ino, tmp_path.stat().st_ino]
    with pytest.raises(NotADirectoryError):
        files.sync_directory(path)
    contents: list[int] = []
    monkeypatch.setattr(os, "fdatasync", contents.append)
    files.sync_content(7)
    assert contents == [7] and len(synced) == 2


def test_the_disk_is_told_to_begin_where_the_system_knows_how(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, ...]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *what: told.append(what), raising=False)
    monkeypatch.setattr(os, "POSIX_FADV_DONTNEED", 4, raising=False)
    files.begin_sync(3, 512, 100)
    assert told == [(3, 512, 100, 4)]

    def refuse(*what: int) -> None:
        raise OSError(errno.EINVAL, "x")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    files.begin_sync(3, 512, 100)
    monkeypatch.delattr(os, "posix_fadvise")
    files.begin_sync(3, 512, 100)


def test_who_may_only_read_is_told_of_the_folder() -> None:
    refused = ReadOnlyError("file: no", cause=OSError(errno.EROFS, "no"), hint="a hint")
    told = files.only_read(Path("store"), refused)
    assert told.message == "the store in store can be read, but not written: no"
    assert (type(told), told.hint, told.errno) == (ReadOnlyError, "a hint", errno.EROFS)
