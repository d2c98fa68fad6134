"""Work that is done some time after a publish, by a thread that nothing brings down."""

import threading
import time
from collections.abc import Callable

import pytest

from gitstate.engine import background
from gitstate.engine.background import Background
from gitstate.errors import StorageError


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


def test_what_is_due_is_done_when_it_stops_and_not_after(caplog: pytest.LogCaptureFixture) -> None:
    told: list[bool] = []
    upkeep = Background(told.append, "upkeep")
    upkeep.due_in(3600)
    upkeep.due_in(7200)
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
