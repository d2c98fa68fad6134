"""The loop that waits for a remote, with ends that no server would make."""

import fcntl
import os
import resource
import time
from collections.abc import Iterator

import pytest

from gitstate.engine.wire import channel
from gitstate.engine.wire.channel import Channel
from gitstate.engine.wire.connections import Pipes, Stop
from gitstate.errors import SyncError


@pytest.fixture
def high_descriptors() -> Iterator[int]:
    """A number that descriptors of the test may begin at: more than `select` can count to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("this machine lets a process have few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    yield 1100
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_complaints_in_a_process_with_many_files(high_descriptors: int) -> None:
    ours, theirs = zip(*(os.pipe() for _ in range(3)), strict=True)
    complaints = fcntl.fcntl(ours[2], fcntl.F_DUPFD_CLOEXEC, high_descriptors)
    with Channel(Pipes(theirs[0], ours[1], complaints), Stop(), 1.0, "there") as there:
        assert there.complaints(patience=0.01) == ""
        os.write(theirs[2], b"no")
        os.close(theirs[2])
        assert there.complaints(patience=1.0) == "no"
    for each in (ours[0], ours[2], theirs[1]):
        os.close(each)


def test_a_remote_that_says_byte_after_byte_while_it_is_sent_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """As TLS allows it. What came so far is not added up again for each of them."""

    class Drip(Pipes):
        def receive(self) -> bytes:
            return b"x"

        def send(self, data: object) -> int:
            return 0

    monkeypatch.setattr(channel, "_MOST_AHEAD", 50_000)
    (reading, theirs), (complaints, silent), (heard, writing) = os.pipe(), os.pipe(), os.pipe()
    os.write(theirs, b"x")
    begin = time.monotonic()
    there = Channel(Drip(writing, reading, complaints), Stop(), 1.0, "there")
    with there, pytest.raises(SyncError, match="talks before it listens"):
        there.sendall(b"pack")
    assert time.monotonic() - begin < 5.0
    for each in (theirs, silent, heard):
        os.close(each)
