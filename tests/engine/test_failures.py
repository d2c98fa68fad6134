"""Disks that refuse, and processes that die, at every step of a publish."""

import errno
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from gitstate.engine.git import GitEngine
from gitstate.engine.repository import open_repository
from gitstate.errors import ReadOnlyError, StorageError, StorageFullError
from tests.engine.conftest import OpenEngine, content, git, save, save_locked

STEPS = ["open", "write", "fsync", "rename", "link", "unlink", "close"]
# The children run nothing but the engine, which takes no lock of another thread of this process.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def at_call(number: int, real: Callable[..., Any], act: Callable[[], None], *, after: bool = False) -> Any:
    """Return ``real`` with an accident at its ``number``-th call, before or after it did its work."""
    calls = 0

    def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            act()
        result = real(*args, **options)
        if calls == number and after:
            act()
        return result

    return wrapped


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, StorageFullError), (errno.EROFS, ReadOnlyError), (errno.EIO, StorageError)],
    ids=["full", "read-only", "broken"],
)
@pytest.mark.parametrize("step", ["open", "write", "rename", "link"])
def test_a_publish_that_the_disk_refuses_leaves_nothing(
    open_engine: OpenEngine, step: str, code: int, kind: type[StorageError], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    refused = 0

    def refuse() -> None:
        raise OSError(code, os.strerror(code), "somewhere")

    for number in range(1, 7):
        head = save(engine, {"a": b"%d" % number})
        with engine.lock(), monkeypatch.context() as patch:
            patch.setattr(os, step, at_call(number, getattr(os, step), refuse))
            try:
                result = save_locked(engine, {"b": b"%d" % number})
            except StorageError as error:
                refused += 1
                assert isinstance(error, kind)
                assert error.errno == code
                assert "somewhere" in str(error)
                moved = engine.head() != head
                assert not moved or step in {"fsync", "open"}, "only the sync of the folder comes after the move"
            else:
                assert engine.head() == result
        assert save(engine, {"a": b"again"}) == engine.head()
    assert refused >= {"link": 1}.get(step, 2)


def start_worker(folder: Path, name: str, count: int) -> tuple[int, IO[bytes]]:
    """Start a process that publishes and says which commits it made; return its id and what it says."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            engine = GitEngine(open_repository(folder))
            for n in range(count):
                os.write(writing, save(engine, {f"{name}/{n}": b"x" * n}).encode() + b"\n")
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(writing)
    return child, open(reading, "rb")


def finish(child: int, said: IO[bytes]) -> tuple[int, list[str]]:
    with said:
        lines = said.read().decode().splitlines(keepends=True)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, [line.strip() for line in lines if line.endswith("\n")]


def test_processes_that_race_lose_nothing(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    workers = [start_worker(tmp_path / "store", f"worker{n}", 40) for n in range(4)]
    results = [finish(*worker) for worker in workers]
    assert [status for status, _ in results] == [0] * 4
    acknowledged = [commit for _, commits in results for commit in commits]
    assert len(acknowledged) == 160
    assert set(acknowledged) < set(git(tmp_path / "store", "rev-list", "main").split())
    assert content(engine, "worker3/39") == b"x" * 39


def test_what_was_acknowledged_survives_kill(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(ref_timeout=0.3)
    chance = random.Random(7)
    acknowledged: list[str] = []
    for round_number in range(6):
        workers = [start_worker(tmp_path / "store", f"{round_number}-{n}", 10_000) for n in range(2)]
        acknowledged += [said.readline().decode().strip() for _, said in workers]
        time.sleep(chance.uniform(0, 0.1))
        for child, _ in workers:
            os.kill(child, signal.SIGKILL)
        for worker in workers:
            status, commits = finish(*worker)
            assert status == -signal.SIGKILL
            acknowledged += commits
        began = time.monotonic()
        acknowledged.append(save(engine, {"a": b"%d" % round_number}))
        assert time.monotonic() - began < 5
    assert set(acknowledged) <= set(git(tmp_path / "store", "rev-list", "main").split())
    assert len(acknowledged) > 18
