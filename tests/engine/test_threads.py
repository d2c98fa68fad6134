"""Threads that are had, and what becomes of work for which there is none."""

import logging
import subprocess
import sys
import threading

import pytest

from gitstate.engine import threads
from gitstate.store.remote.links import attended


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_a_thread_has_its_name_and_keeps_no_program_from_ending() -> None:
    told: list[tuple[str, bool]] = []

    def tell() -> None:
        thread = threading.current_thread()
        told.append((thread.name, thread.daemon))

    thread = threads.started(tell, "teller")
    assert thread is not None
    thread.join()
    assert told == [("teller", True)]


def idle() -> None: ...


@pytest.mark.usefixtures("refused")
def test_one_that_is_refused_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    assert threads.started(idle, "none", "it waits") is None
    assert threads.started(idle, "none", "it is left", logging.DEBUG) is None
    assert threads.started(idle, "none") is None
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("WARNING", "it waits: can't start new thread")
    ]


@pytest.mark.usefixtures("refused")
def test_what_waits_for_a_remote_is_done_without_a_thread() -> None:
    def fail() -> None:
        raise KeyError("remote")

    assert attended(lambda: 7, threading.Event(), pytest.fail) == 7
    with pytest.raises(KeyError):
        attended(fail, threading.Event(), pytest.fail)


def test_a_program_that_ends_is_told_of_none() -> None:
    program = """
import atexit, threading
from gitstate.engine import threads

def refuse(_):
    raise RuntimeError("can't create new thread at interpreter shutdown")

@atexit.register
def end():
    threading.Thread.start = refuse
    print(threads.started(list, "none", "it waits"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")
