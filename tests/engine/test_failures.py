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

from gitstate.engine import files
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
@pytest.mark.parametrize("step", ["open", "write", "fsync", "rename", "link"])
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


def test_objects_stay_as_long_as_nobody_knows_where_the_branch_is(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})

    def refuse(*arguments: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    def refuse_all() -> None:
        patch.setattr(files, "read", refuse)
        refuse()

    with engine.lock(), monkeypatch.context() as patch:
        patch.setattr(files, "sync_directory", at_call(2, files.sync_directory, refuse_all))
        with pytest.raises(StorageError):  # the branch has moved, and cannot be read
            save_locked(engine, {"a": b"2"})
    assert content(engine, "a") == b"2"


def test_what_a_failed_publish_could_not_remove_is_removed_by_the_next(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})

    def refuse(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with engine.lock(), monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(StorageError):
            save_locked(engine, {"a": b"2"})
    folder = tmp_path / "store/.git/objects/pack"
    assert list(folder.glob("*.keep"))
    save(engine, {"a": b"3"})
    assert not list(folder.glob("*.keep"))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_dies_at_any_step_blocks_nobody(
    open_engine: OpenEngine, tmp_path: Path, step: str, after: bool
) -> None:
    engine = open_engine(ref_timeout=0.3)
    died = 0
    for number in range(1, 9):
        head = save(engine, {"a": b"%d" % number})
        child = os.fork()
        if child == 0:
            setattr(os, step, at_call(number, getattr(os, step), lambda: os._exit(9), after=after))
            try:
                save(GitEngine(open_repository(tmp_path / "store")), {"child": b"%d" % number})
            finally:
                os._exit(0)
        died += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        new = engine.head()
        assert new == head or content(engine, "child") == b"%d" % number
        began = time.monotonic()
        save(engine, {"a": b"after"})
        assert time.monotonic() - began < 5
    assert died >= 1
    assert not [name for name in os.listdir(tmp_path / "store/.git/objects/pack") if "tmp" in name or "keep" in name]


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
