"""The meter itself: it counts what was done, and who did it."""

import hashlib
import io
import os
import sqlite3
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gitstate.engine import files
from tests.budgets.meter import KINDS, Meter, Work


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    made = Meter(monkeypatch)
    yield made
    made.close()


def counts(work: Work) -> dict[str, int]:
    return {kind: work[kind] for kind in KINDS if work[kind] and kind != "python"}


def test_calls_and_bytes_are_counted_whether_they_fail_or_not(meter: Meter, tmp_path: Path) -> None:
    with meter.counting() as work:
        files.create(f"{tmp_path}/one", b"12345")
        assert files.read(tmp_path / "one") == b"12345"
        with suppress(FileNotFoundError):
            os.stat(tmp_path / "two")
    assert counts(work) == {"calls": 8, "syncs": 1, "written": 5, "read": 5}
    assert "1  fsync engine/files.py:" in work.told("calls")
    assert work["python"]


def test_a_write_that_waits_for_the_disk_is_a_sync(meter: Meter, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "one", os.O_RDWR | os.O_CREAT | os.O_DSYNC)
    with meter.counting() as work:
        os.pwrite(fd, b"123", 0)
    os.close(fd)
    assert counts(work) == {"calls": 1, "syncs": 1, "written": 3}
    fd = os.open(tmp_path / "one", os.O_RDWR)  # most likely of the same number
    with meter.counting() as work:
        os.pwrite(fd, b"123", 0)
    os.close(fd)
    assert counts(work) == {"calls": 1, "written": 3}


def test_files_of_python_count_too(meter: Meter, tmp_path: Path) -> None:
    with meter.counting() as work:
        with open(tmp_path / "one", "wb") as file:
            file.write(b"123")
        with io.open(tmp_path / "one", "rb") as file:  # noqa: UP020 - another name for it
            assert file.read() == b"123"
    assert counts(work) == {"calls": 2, "written": 3, "read": 3}


def test_hashes_zlib_statements_and_processes_count(meter: Meter) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with meter.counting() as work:
        digest = hashlib.sha1(b"12", usedforsecurity=False)
        digest.update(b"345")
        assert digest.hexdigest() == "8cb2237d0679ca88db6464eac60da96345513964"
        deflater, inflater = zlib.compressobj(), zlib.decompressobj()
        data = deflater.compress(b"1" * 1000) + deflater.flush()
        assert inflater.decompress(data) == b"1" * 1000
        connection.execute("SELECT 1")
        subprocess.run(["true"], check=True)
    connection.close()
    assert counts(work) == {"calls": 1, "hashed": 5, "deflate": 1000, "inflate": 1000, "sql": 1}


def test_other_threads_count_and_what_is_outside_does_not(meter: Meter, tmp_path: Path) -> None:
    go, done = threading.Event(), threading.Event()

    def work_there() -> None:
        go.wait(10)
        files.read(tmp_path / "one")
        done.set()

    files.create(f"{tmp_path}/one", b"12345")
    thread = threading.Thread(target=work_there)
    thread.start()
    with meter.counting() as work:
        go.set()
        assert done.wait(10)
    thread.join()
    assert counts(work) == {"calls": 3, "read": 5}
    assert "files.py" in work.told("python")
