"""Syncs in the background. The clock goes when a test says so; the thread is a real one."""

import logging
import os
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gitstate.errors import AccessDeniedError, UnreachableError
from gitstate.store.remote.autosync import Autosync, SyncAttempt
from gitstate.store.remote.pacing import Pace
from tests.store.test_views import until

DOWN = UnreachableError("nobody answers at example.org", hint="try again when the network is back")


class Remote:
    """A remote that answers as a test says, and the clock by which it is synced with."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.answers: queue.Queue[Exception | str] = queue.Queue()
        self.asked: queue.Queue[float] = queue.Queue()
        self.told: list[SyncAttempt] = []
        self.lacks_something = True
        self.release = threading.Event()
        self.release.set()

    def sync(self) -> str:
        self.asked.put(self.now)
        assert self.release.wait(30)
        answer = self.answers.get_nowait() if not self.answers.empty() else "synced"
        if isinstance(answer, Exception):
            raise answer
        self.lacks_something = False
        return answer

    def autosync(self, pace: Pace | None = None, **options: Any) -> Autosync:
        options = {"told": self.told.append, "now": lambda: self.now, **options}
        made = Autosync("origin", self.sync, lambda: self.lacks_something, pace or Pace(5.0), **options)
        _made.append(made)
        return made

    def later(self, seconds: float, *syncs: Autosync) -> None:
        self.now += seconds
        for each in syncs:
            with each._changed:
                each._changed.notify_all()

    def was_asked(self) -> float:
        return self.asked.get(timeout=30)

    def was_told(self, *, of: int = 1) -> bool:
        return until(lambda: len(self.told) >= of)


_made: list[Autosync] = []


@pytest.fixture
def remote() -> Iterator[Remote]:
    remote = Remote()
    yield remote
    remote.release.set()
    for each in _made:
        each.close()
        assert until(lambda each=each: each._thread is None)  # type: ignore[misc]
    _made.clear()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_saves_are_gathered_and_synced_together(remote: Remote) -> None:
    autosync = remote.autosync()
    for _ in range(100):
        autosync.saved()
        remote.later(0.01, autosync)
    assert autosync.state.is_waiting
    assert remote.asked.empty()
    remote.later(4.5, autosync)
    assert remote.was_asked() == pytest.approx(1005.5)
    assert remote.was_told()
    assert not autosync.state.is_waiting
    assert autosync.state.next_try is None
    assert remote.asked.empty()


def test_the_thread_is_there_only_as_long_as_something_waits(remote: Remote) -> None:
    autosync = remote.autosync()
    assert autosync._thread is None
    for _ in range(2):
        remote.lacks_something = True
        autosync.saved()
        assert autosync._thread is not None
        remote.later(5.0, autosync)
        remote.was_asked()
        assert until(lambda: autosync._thread is None)


def test_nobody_is_asked_for_what_another_process_synced(remote: Remote) -> None:
    autosync = remote.autosync()
    remote.lacks_something = False
    autosync.saved()
    remote.later(5.0, autosync)
    assert until(lambda: autosync._thread is None)
    assert remote.asked.empty()
    assert autosync.state.succeeded is None


def test_a_save_never_waits_for_a_sync(remote: Remote) -> None:
    autosync = remote.autosync()
    remote.release.clear()
    autosync.saved()
    remote.later(5.0, autosync)
    remote.was_asked()
    begun = time.perf_counter()
    for _ in range(1000):
        autosync.saved()
    assert time.perf_counter() - begun < 1.0
    assert autosync.state.is_running
    assert autosync.state.is_waiting
    remote.lacks_something = True
    remote.release.set()
    assert remote.was_told()
    remote.lacks_something = True
    remote.later(5.0, autosync)
    assert remote.was_asked() == 1010.0


def test_a_failure_is_told_once_as_data_and_in_the_log_and_so_is_its_end(
    remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    autosync = remote.autosync()
    for _ in range(4):
        remote.answers.put(DOWN)
    autosync.saved()
    remote.later(5.0, autosync)
    for failures in range(1, 5):
        remote.was_asked()
        assert remote.was_told(of=failures)
        remote.later(300.0, autosync)
    assert remote.was_told(of=5)
    assert autosync.state.failures == 0
    failing, working = warnings(caplog)
    assert failing == (
        "syncing with origin fails: nobody answers at example.org (try again when the network is back); "
        "saves go on, and it is tried again"
    )
    assert working.startswith("syncing with origin works again; it failed since ")
    assert [attempt.failure and attempt.failure.code for attempt in remote.told] == ["unreachable"] * 4 + [None]
    assert remote.told[-1].report == "synced"


def test_the_state_says_since_when_it_fails_and_when_it_is_tried_again(remote: Remote) -> None:
    autosync = remote.autosync()
    remote.answers.put(DOWN)
    autosync.saved()
    remote.later(5.0, autosync)
    remote.was_asked()
    assert remote.was_told()
    state = autosync.state
    assert state.failure is not None
    assert (state.failure.code, state.failure.message) == ("unreachable", "nobody answers at example.org")
    assert state.failing_since == state.failure.time
    assert state.next_try is not None
    assert 2.0 < (state.next_try - state.failure.time).total_seconds() < 6.0
    assert state.is_waiting


def test_another_kind_of_failure_is_told_too(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    autosync = remote.autosync()
    for error in (DOWN, AccessDeniedError("no"), DOWN, RuntimeError("odd")):
        remote.answers.put(error)
    autosync.saved()
    remote.later(5.0, autosync)
    for failures in range(1, 5):
        remote.was_asked()
        assert remote.was_told(of=failures)
        remote.later(300.0, autosync)
    told = warnings(caplog)
    assert ["nobody" in each for each in told] == [True, False, False]
    assert "fails: no;" in told[1]
    assert "RuntimeError: odd" in told[2]
    assert "Traceback" in caplog.text  # a mistake of ours, which somebody must be able to find


def test_a_sync_that_a_person_asked_for_ends_the_rest(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    autosync = remote.autosync()
    remote.answers.put(DOWN)
    autosync.saved()
    remote.later(5.0, autosync)
    remote.was_asked()
    assert remote.was_told()
    autosync.succeeded_elsewhere()
    assert remote.was_asked() == 1005.0
    assert remote.was_told(of=2)
    assert autosync.state.failing_since is None
    assert len(warnings(caplog)) == 2


def test_the_end_syncs_what_waits_and_does_not_wait_for_the_delay(remote: Remote) -> None:
    autosync = remote.autosync()
    autosync.saved()
    autosync.close()
    assert remote.was_asked() == 1000.0
    autosync.saved()
    autosync.close()
    assert remote.asked.empty()


def test_the_end_is_quick_where_nothing_waits(remote: Remote) -> None:
    autosync = remote.autosync()
    autosync.close()
    autosync.saved()
    autosync.start()
    assert autosync._thread is None
    assert remote.asked.empty()


def test_the_end_makes_one_try_where_the_remote_is_gone(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    autosync = remote.autosync()
    for _ in range(3):
        remote.answers.put(DOWN)
    autosync.saved()
    autosync.close()
    assert remote.was_asked() == 1000.0
    assert remote.asked.empty()
    assert len(warnings(caplog)) == 1


def test_the_end_never_hangs(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    autosync = remote.autosync(patience=0.2)
    remote.release.clear()
    autosync.saved()
    begun = time.monotonic()
    autosync.close()
    assert 0.1 < time.monotonic() - begun < 10.0
    assert warnings(caplog) == [
        "the last sync with origin did not end in 0.2 s; what was saved is here, and the next sync takes it along"
    ]
    remote.answers.put(DOWN)
    remote.release.set()
    assert until(lambda: autosync._thread is None)
    assert len(warnings(caplog)) == 1  # nobody waits for it any more
    assert remote.told == []


def test_the_end_waits_for_a_sync_at_work_and_takes_along_what_came_meanwhile(remote: Remote) -> None:
    autosync = remote.autosync(patience=30.0)
    remote.release.clear()
    autosync.saved()
    remote.later(5.0, autosync)
    remote.was_asked()
    autosync.saved()
    closing = threading.Thread(target=autosync.close)
    closing.start()
    assert until(lambda: autosync._closing is not None)
    real_sync, autosync._is_needed = autosync._is_needed, lambda: True
    remote.release.set()
    closing.join(30)
    autosync._is_needed = real_sync
    assert remote.was_asked() == 1005.0


def test_without_patience_there_is_no_last_sync(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    autosync = remote.autosync(patience=0.0)
    autosync.saved()
    autosync.close()
    assert until(lambda: autosync._thread is None)
    assert remote.asked.empty()
    assert warnings(caplog) == []


def test_what_others_saved_is_looked_for_as_often_as_the_pace_says(remote: Remote) -> None:
    autosync = remote.autosync(Pace(5.0, interval=60.0))
    autosync.start()
    assert remote.was_asked() == 1000.0
    assert remote.was_told()
    remote.later(50.0, autosync)
    assert autosync.state.next_try is not None
    assert remote.asked.empty()
    remote.later(20.0, autosync)
    assert remote.was_asked() == 1070.0


def test_what_other_processes_save_here_is_synced_too(remote: Remote) -> None:
    remote.lacks_something = False
    autosync = remote.autosync(Pace(5.0, interval=3600.0))
    autosync.start()
    remote.was_asked()
    assert remote.was_told()
    remote.lacks_something = True
    remote.later(1.0, autosync)
    assert until(lambda: autosync.state.is_waiting)
    remote.later(5.0, autosync)
    assert remote.was_asked() == 1006.0


def test_a_forked_child_leaves_it_to_its_parent(remote: Remote) -> None:
    autosync = remote.autosync()
    autosync.saved()
    child = os.fork()
    if not child:
        autosync.forked()
        autosync.saved()
        autosync.close()
        os._exit(0 if autosync._thread is None and remote.asked.empty() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    remote.later(5.0, autosync)
    assert remote.was_asked() == 1005.0


def test_where_no_thread_is_to_be_had_the_next_save_tries_again(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    autosync = remote.autosync()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("can't start")))
        autosync.saved()
    assert warnings(caplog) == ["what was saved is synced with origin some other time: can't start"]
    autosync.saved()
    remote.later(5.0, autosync)
    remote.was_asked()
