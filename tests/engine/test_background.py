"""Work that is done some time after a publish, by a thread that nothing brings down."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest

from gitstate.engine import background
from gitstate.engine.background import Background
from gitstate.engine.journal import Journal, Stretch
from gitstate.engine.locks import alone
from gitstate.errors import StorageError
from tests.engine.conftest import OpenEngine, git, packs_of, save, synced_while


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end, "it did not come about in ten seconds"
        time.sleep(0.005)


@pytest.mark.parametrize(
    "error", [StorageError("no room"), OSError(5, "broken"), RuntimeError("can't start new thread")]
)
def test_what_fails_is_done_later_without_being_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setattr(background, "_SECONDS", 0.01)
    told: list[bool] = []

    def work(is_last: bool) -> None:
        told.append(is_last)
        if len(told) < 3:
            raise error

    upkeep = Background(work, "upkeep")
    upkeep.due_in(0)
    wait_for(lambda: len(told) == 3)
    assert caplog.text.count("waits for the next time") == 2
    upkeep.stop()
    assert told == [False, False, False], "nothing is due any more"


def test_what_fails_is_not_tried_again_at_once() -> None:
    told: list[bool] = []

    def work(is_last: bool) -> None:
        told.append(is_last)
        raise OSError(28, "no room")

    upkeep = Background(work, "upkeep")
    upkeep.due_in(0)
    wait_for(lambda: bool(told) and upkeep._due > 0)
    assert 0 < upkeep._due - time.monotonic() <= 5
    upkeep.stop()
    assert told == [False, True]


def test_what_is_due_is_done_when_it_stops_and_not_after(caplog: pytest.LogCaptureFixture) -> None:
    told: list[bool] = []
    upkeep = Background(told.append, "upkeep")
    upkeep.due_in(3600)
    upkeep.due_in(7200)
    assert upkeep._due - time.monotonic() <= 3600, "who saves on and on does not put it off"
    assert [thread.name for thread in threading.enumerate()].count("upkeep") == 1
    assert told == []
    upkeep.stop()
    assert told == [True]
    upkeep.due_in(0)
    upkeep.stop()
    assert told == [True]


def test_without_a_thread_it_is_done_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    told: list[bool] = []
    upkeep = Background(told.append, "upkeep")
    upkeep.due_in(0)
    upkeep.due_in(0)
    assert told == []
    upkeep.stop()
    assert told == [True]


@pytest.mark.parametrize(
    ("saves", "is_folding", "left"),
    [(4, False, 4), (5, False, 2), (5, True, 5)],
    ids=["few", "many", "while another process joins"],
)
def test_a_checkpoint_joins_the_packs_that_the_journal_stands_for(
    open_engine: OpenEngine, tmp_path: Path, saves: int, is_folding: bool, left: int
) -> None:
    engine, folder = open_engine(), tmp_path / "store"
    for n in range(saves):  # the first one goes without the journal
        save(engine, {"a": b"%d" % n})
    with alone(folder / ".git/gitstate/fold", 0) if is_folding else nullcontext():
        engine.close()
    assert len(packs_of(folder)) == left
    assert [path.name for path in (folder / ".git/objects").iterdir() if "gitstate" in path.name] == []
    assert git(folder, "rev-list", "--count", "main") == f"{saves}\n"
    git(folder, "fsck", "--strict")


@pytest.mark.parametrize(
    ("records", "is_half_full", "at_once"),
    [(0, False, False), (62, False, False), (63, False, True), (64, False, False), (127, False, True), (5, True, True)],
)
def test_a_checkpoint_is_due_after_so_many_records_or_when_the_journal_fills(
    records: int, is_half_full: bool, at_once: bool
) -> None:
    journal = Mock(records=[None] * records, is_half_full=is_half_full)
    assert background.delay(journal) == (0.0 if at_once else 5.0)


def test_a_branch_that_git_packed_away_is_on_the_disk_before_the_journal_lets_go_of_it(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, folder = open_engine(), tmp_path / "store"
    for n in range(2):
        save(engine, {"a": b"%d" % n})
    git(folder, "pack-refs", "--all")
    assert not (folder / ".git/refs/heads/main").exists()
    released, letting_go = list[Stretch](), Journal.release
    synced = synced_while(monkeypatch, lambda: not released)

    def release(self: Journal, stretch: Stretch) -> None:
        released.append(stretch)
        letting_go(self, stretch)

    monkeypatch.setattr(Journal, "release", release)
    engine.close()
    assert len(released) == 1
    waited = [folder / ".git" / name for name in ("packed-refs", ".", "objects/pack")]
    assert {path.stat().st_ino for path in waited} <= {*synced}
