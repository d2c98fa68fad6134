"""Servers that are none, or mean harm: an error in bounded time and memory, and nothing of theirs at a terminal."""

import hashlib
import os
import shutil
import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine.wire import conversation, pktlines, sessions
from gitstate.engine.wire.channel import Channel, HungUpError
from gitstate.engine.wire.conversation import BELOW
from gitstate.engine.wire.pktlines import SpeechError, line
from gitstate.engine.wire.remote_words import RemoteFailedError, Said, of_words, visible
from gitstate.engine.wire.transport import Outgoing, RefUpdate, Transport
from gitstate.errors import (
    ClosedError,
    InvalidInputError,
    NoRepositoryError,
    SyncError,
    TooLargeError,
    UnreachableError,
)
from tests.servers import saying

ID = "1" * 40
OTHER = "2" * 40
ABILITIES = "report-status delete-refs side-band-64k ofs-delta thin-pack"


def advertisement(*refs: tuple[str, str], abilities: str = ABILITIES) -> bytes:
    """Return what a server begins with."""
    lines = [f"{object_id} {name}".encode("utf-8", "surrogateescape") for object_id, name in refs]
    lines = lines or [b"0" * 40 + b" capabilities^{}"]
    lines[0] += b"\0" + abilities.encode()
    return b"".join(line(each + b"\n") for each in lines) + b"0000"


def answering(*said: bytes) -> Callable[[socket.socket], None]:
    """Return a server that says one thing after the other, each time it has heard something."""

    def talk(client: socket.socket) -> None:
        for each in said:
            client.recv(1 << 16)
            client.sendall(each)

    return talk


def fetch(port: int, write: Callable[[bytes], object] = len, timeout: float = 2.0) -> Transport:
    there = Transport(f"git://127.0.0.1:{port}/a.git", timeout=timeout)
    there.fetch(lambda refs: [refs["refs/heads/main"]], [], write)
    return there


def push(port: int) -> tuple[Transport, dict[str, str]]:
    there = Transport(f"git://127.0.0.1:{port}/a.git", timeout=2)
    return there, dict(there.push(lambda refs: Outgoing([RefUpdate("refs/heads/main", ID, OTHER)], None)).rejected)


MAIN = advertisement((ID, "refs/heads/main"))
GARBAGE = {
    "nothing": b"",
    "noise": bytes(range(256)) * 50,
    "a web page": b"HTTP/1.1 400 Bad Request\r\n\r\n<html>",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a length that is none": b"00zz",
    "a negative length": b"-001",
    "a length with a plus": b"+0ffx" * 100,
    "a length of three": b"0003",
    "the longest length": b"ffff" + b"x" * 70_000,
    "half a line": b"0050" + b"x" * 10,
    "no id": line(b"z" * 40 + b" refs/heads/main\0" + ABILITIES.encode()) + b"0000",
    "a short id": line(b"1" * 39 + b" refs/heads/main\0") + b"0000",
    "no name": line(b"1" * 40 + b"\0") + b"0000",
    "another version": line(b"version 2\n") + line(b"ls-refs") + b"0000",
    "other hashes": advertisement((ID, "refs/heads/main"), abilities="object-format=sha256"),
    "no channels": advertisement((ID, "refs/heads/main"), abilities="ofs-delta") + b"x" * 100,
    "no end": line(b"%b refs/heads/main\0x\n" % ID.encode()),
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
def test_garbage_for_refs(said: bytes) -> None:
    for call in (fetch, push):
        with saying(said or (lambda client: None)) as port, pytest.raises(SyncError, match=r"127\.0\.0\.1.*a\.git"):
            call(port)


ANSWERS = {
    "nothing": b"",
    "noise": bytes(range(256)) * 50,
    "an early end": b"0000",
    "no channel": line(b"NAK\n") + line(b"\7PACK"),
    "no pack": line(b"NAK\n") + b"0000",
    "keepalives alone": line(b"NAK\n") + line(b"\1") * 5 + b"0000",
    "half a pack": line(b"NAK\n") + line(b"\1PACK"),
}


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS)
def test_garbage_for_a_pack(said: bytes) -> None:
    with saying(answering(MAIN, said)) as port, pytest.raises(SyncError, match=r"a\.git"):
        fetch(port)


REPORTS = {
    "nothing": b"",
    "noise": bytes(range(256)) * 50,
    "an early end": b"0000",
    "an empty report": line(b"\x010000") + b"0000",
    "half a report": line(b"\1" + line(b"unpack ok\n")) + b"0000",
    "something else": line(b"\1" + line(b"fine refs/heads/main\n") + b"0000") + b"0000",
}


@pytest.mark.parametrize("said", REPORTS.values(), ids=REPORTS)
def test_garbage_for_a_report(said: bytes) -> None:
    with saying(answering(MAIN, said)) as port:
        try:
            _, rejected = push(port)
        except SyncError as error:
            assert "a.git" in str(error)
        else:
            assert set(rejected) == {"refs/heads/main"}, "nobody said that it moved"


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (line(b"unpack ok\n") + line(b"ok refs/heads/main\n"), None),
        (line(b"unpack ok\n"), "it said nothing of this ref"),
        (line(b"unpack ok\n") + line(b"ok refs/heads/other\n"), "it said nothing of this ref"),
        (line(b"unpack ok\n") + line(b"ng refs/heads/main\n"), "no reason given"),
        (line(b"unpack ok\n") + line(b"ng refs/heads/main a\x1b]0;x\x07b\n"), "ab"),
        (line(b"unpack ok\n") + line(b"ng refs/heads/main no\n") + line(b"ok refs/heads/main\n"), "no"),
        (line(b"unpack bad\n") + line(b"ok refs/heads/main\n"), "the objects were not taken: bad"),
        (
            line(b"unpack no room\n") + line(b"ng refs/heads/main unpacker error\n"),
            "the objects were not taken: no room",
        ),
        (line(b"unpack bad\n") + line(b"ng refs/heads/main closed today\n"), "closed today"),
        (line(b"ok refs/heads/main\n"), "the objects were not taken: it did not say what became of the objects"),
    ],
)
def test_what_counts_as_moved(report: bytes, reason: str | None) -> None:
    with saying(answering(MAIN, line(b"\1" + report + b"0000") + b"0000")) as port:
        _, rejected = push(port)
    assert rejected == ({} if reason is None else {"refs/heads/main": reason})


def test_more_refs_than_anybody_has() -> None:
    def talk(client: socket.socket) -> None:
        client.recv(1 << 16)
        with suppress(OSError):
            client.sendall(advertisement((ID, "HEAD"))[:-4])
            for block in range(1 << 20):
                names = (f"{ID} refs/heads/{block}-{number}\n".encode() for number in range(1000))
                client.sendall(b"".join(map(line, names)))

    with saying(talk) as port, pytest.raises(TooLargeError, match=r"a\.git: .*200,000 refs"):
        Transport(f"git://127.0.0.1:{port}/a.git", timeout=10).refs()


def test_refs_that_nobody_looks_at_cost_nothing() -> None:
    """Forges have one or two for each pull request that there ever was."""

    def talk(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(advertisement((ID, "HEAD"))[:-4])
        for block in range(100):
            names = (f"{ID} refs/pull/{block}{number}/head\n".encode() for number in range(1000))
            client.sendall(b"".join(map(line, names)))
        client.sendall(line(f"{ID} refs/heads/main\n".encode()) + b"0000")

    with saying(talk) as port:
        assert Transport(f"git://127.0.0.1:{port}/a.git", timeout=10).refs() == {"HEAD": ID, "refs/heads/main": ID}


def test_a_pack_that_never_ends() -> None:
    def talk(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(MAIN)
        client.recv(1 << 16)
        with suppress(OSError):
            client.sendall(line(b"NAK\n"))
            while True:
                client.sendall(line(b"\1" + b"x" * 65_000))

    received = 0

    def write(data: bytes) -> None:
        nonlocal received
        received += len(data)
        if received > 20_000_000:
            raise TooLargeError("the pack is larger than 20 MB")

    tracemalloc.start()
    try:
        with saying(talk) as port, pytest.raises(TooLargeError, match=r"a\.git: the pack is larger"):
            fetch(port, write)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_remote_that_only_says_that_it_is_still_there() -> None:
    def talk(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(MAIN)
        with suppress(OSError):
            while True:
                client.sendall(line(b"\1"))
                client.settimeout(0.05)
                with suppress(TimeoutError):
                    client.recv(1 << 16)

    with saying(talk) as port, pytest.raises(UnreachableError, match="too slow"):
        fetch(port, timeout=0.2)


def talking(first: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    """Return a server that says the same again and again, as fast as it can, once it was asked something."""

    def talk(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(first)
        client.recv(1 << 16)
        with suppress(OSError):
            while True:
                client.sendall(piece * 1000)

    return talk


@pytest.mark.parametrize("piece", [line(b"\2x\n"), line(b"\1"), line(b"NAK\n")], ids=["words", "nothing", "shared"])
def test_one_that_talks_without_end(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with saying(talking(MAIN, piece)) as port:
        there = Transport(f"git://127.0.0.1:{port}/a.git", timeout=60)
        with monkeypatch.context() as patch:
            patch.setattr(conversation, "_MOST_SHARED", 1 << 60)
            timer = threading.Timer(0.2, there.close)
            timer.start()
            with pytest.raises(ClosedError):
                there.fetch(lambda refs: [ID], [], len)
            timer.join()
        monkeypatch.setattr(pktlines, "_MOST_ASIDE", 100_000)
        with pytest.raises(SyncError, match=r"a\.git does not answer as"):
            fetch(port)


def test_a_report_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "_MOST_REPORT", 100_000)
    for abilities in ("report-status", ABILITIES):
        piece = line(b"ok refs/heads/other\n")
        piece = line(b"\1" + piece) if abilities == ABILITIES else piece
        first = advertisement((ID, "refs/heads/main"), abilities=abilities)
        with saying(talking(first, piece)) as port, pytest.raises(SyncError, match="report does not end"):
            push(port)


def test_one_that_talks_and_does_not_listen(tmp_path: Path) -> None:
    def talk(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(MAIN)
        with suppress(OSError):
            while True:
                client.sendall(line(b"\2" + b"x" * 1000))

    from gitstate.engine.transfer.outgoing import PackSource

    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/pack").write_bytes(os.urandom(20_000_000))
    update = RefUpdate("refs/heads/main", ID, OTHER)
    with saying(talk) as port, pytest.raises(SyncError, match=r"a\.git talks before it listens"):
        there = Transport(f"git://127.0.0.1:{port}/a.git", timeout=2)
        sent = PackSource(1, path=tmp_path / "pack/pack", end=lambda: shutil.rmtree(tmp_path / "pack"))
        there.push(lambda refs: Outgoing([update], sent))
    assert not (tmp_path / "pack").exists(), "it is closed whatever happens"


def test_words_are_shown_as_words() -> None:
    said = b"\x1b[2J\x1b]0;owned\x07hello\x9b31m \xe2\x80\xaegnp.exe\r\nsecond\x00 line\n"
    progress = b"Counting objects:  50% (1/2)\rCounting objects: 100% (2/2), done.\n"
    body = struct.pack(">4sLL", b"PACK", 2, 0)
    pack = body + hashlib.sha1(body).digest()
    answer = line(b"NAK\n") + line(b"\2" + progress) + line(b"\2" + said) + line(b"\1" + pack) + b"0000"
    seen: list[tuple[str, int, int | None]] = []
    with saying(answering(MAIN, answer)) as port:
        there = Transport(f"git://127.0.0.1:{port}/a.git", timeout=2)
        there.fetch(
            lambda refs: [refs["refs/heads/main"]],
            [],
            len,
            lambda *told: seen.append(told),
        )
    assert [each.replace("\ufffd", "") for each in there.said] == ["hello31m gnp.exe", "second line"]
    assert seen[0] == ("counting", 1, 2) and ("counting", 2, 2) in seen and seen[-1] == ("receiving", 32, None)


@pytest.mark.parametrize("answer", ["", "Last login"])
def test_what_ssh_complains_about_is_shown_as_words(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\nprintf '\\033]0;owned\\007so\\033[2J it is\\n' >&2\nprintf '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(program))
    with pytest.raises(SyncError, match=r"so it is") as failed:
        Transport("host:a", timeout=10).refs()
    assert "\x1b" not in str(failed.value) and "owned" not in str(failed.value)


def test_last_words_are_the_error() -> None:
    failing = line(b"NAK\n") + line(b"\2fatal: bad object\n") + line(b"\3no \x1b[31mmemory\n")
    with saying(answering(MAIN, failing)) as port, pytest.raises(SyncError, match=r"a\.git: no memory"):
        fetch(port)
    refused = line(b"ERR upload-pack: not our ref 111\n")
    with saying(answering(MAIN, refused)) as port, pytest.raises(SyncError, match="not our ref"):
        fetch(port)
    denied = line(b"ERR access denied or repository not exported: /a.git")
    with saying(denied) as port, pytest.raises(NoRepositoryError, match="not exported"):
        fetch(port)


ODD = (
    "refs/heads/../../config",
    "refs/heads/a..b",
    "refs/heads/a.lock",
    "refs/heads/a.lock/b",
    "refs/heads/.hidden",
    "refs/heads/a\x1b[31m",
    "refs/heads/a\nb",
    "refs/heads/a b",
    "refs/heads/a@{1}",
    "refs/heads//a",
    "refs/heads/a/",
    "refs/heads/a.",
    "refs/heads/a^b",
    "refs/heads/a:b",
    "refs/heads/a\\b",
    "refs/heads/a*",
    "../config",
    "config",
    "/etc/passwd",
    "refs",
    "refs/",
    "refs/heads/" + "x" * 300,
    "refs/heads/" + "x/" * 600 + "x",
)


def test_names_that_nobody_has() -> None:
    main, ignored = "refs/heads/main", "refs/pull/../a"
    told = advertisement((ID, "HEAD"), (ID, main), *((OTHER, name) for name in [*ODD, ignored, main]))
    with saying(told) as port:
        there = Transport(f"git://127.0.0.1:{port}/a.git", timeout=2)
        assert there.refs() == {"HEAD": ID, main: ID}
    assert len(there.odd) == len(ODD) - 1 + 1, "not of `refs/`, below which nobody looks; but a second main"
    assert not [name for name in there.odd if set("\n\x1b") & set(name)]


@pytest.mark.parametrize("name", [*ODD, "HEAD", "refs/notes/a", "refs/heads/\udfff\ud800"])
def test_nothing_is_pushed_to_such_a_name(name: str) -> None:
    with saying(MAIN) as port, pytest.raises(InvalidInputError, match="no ref that is pushed"):
        there = Transport(f"git://127.0.0.1:{port}/a.git", timeout=2)
        there.push(lambda refs: Outgoing([RefUpdate(name, None, OTHER)], None))


def test_what_the_remote_does_not_have_is_not_asked_for() -> None:
    with saying(MAIN) as port, pytest.raises(InvalidInputError, match="has no ref at"):
        Transport(f"git://127.0.0.1:{port}/a.git", timeout=2).fetch(lambda refs: [OTHER], [], len)


def test_a_shallow_remote() -> None:
    shallow = MAIN[:-4] + line(b"shallow " + ID.encode()) + b"0000"
    with saying(shallow) as port, pytest.raises(SyncError, match="shallow clone"):
        fetch(port)


class Stream:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int, /) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        return taken


_bits = st.one_of(
    st.binary(max_size=30),
    st.binary(max_size=30).map(line),
    st.sampled_from([b"0000", b"0001", line(b"NAK\n"), line(b"ACK " + ID.encode()), line(b"\1PACK"), line(b"\2hi\n")]),
    st.sampled_from([line(f"{ID} refs/heads/main\n".encode()), line(f"{ID} HEAD\0symref=HEAD:refs/x\n".encode())]),
    st.sampled_from([line(b"unpack ok\n"), line(b"ng refs/heads/main x\n"), line(b"\1" + line(b"unpack ok\n"))]),
)


@given(st.lists(_bits, max_size=12).map(b"".join))
@settings(max_examples=300)
def test_whatever_is_said_is_an_answer_or_an_error(data: bytes) -> None:
    quiet = pktlines.Reporter(None)
    found = conversation.Advertisement({}, (), frozenset(ABILITIES.split()), None, is_shallow=False)
    calls: list[Callable[[], object]] = [
        lambda: conversation.listen(Stream(data), BELOW),
        lambda: conversation.receive_pack(Stream(data), len, Said(), quiet),
        lambda: conversation.report(Stream(data), found, ["refs/heads/main"], Said(), quiet),
    ]
    for call in calls:
        with suppress(SpeechError, HungUpError, RemoteFailedError):
            call()


@given(st.text(max_size=50))
def test_no_text_reaches_a_terminal_as_a_command(text: str) -> None:
    shown = visible(text) + of_words("x", text).message
    assert not [each for each in shown if ord(each) < 32 or 0x7F <= ord(each) < 0xA0 or "\u202a" <= each <= "\u202e"]


def test_text_has_an_end() -> None:
    said = Said()
    for _ in range(1000):
        list(said.hear(b"x" * 10_000 + b"\n"))
    assert len(said.lines) == 200 and max(map(len, said.lines)) == 1000
    list(said.hear(b"y" * 10_000_000))
    assert len(of_words("x", "z" * 100_000).message) < 1200


def test_what_packs_a_remote_takes_is_known_when_a_push_is_planned() -> None:
    for more, takes_thin in (("", True), (" no-thin", False)):
        said = advertisement((ID, "refs/heads/main"), abilities=ABILITIES + more)
        with saying(answering(said)) as port:
            there = Transport(f"git://127.0.0.1:{port}/a.git", timeout=2.0)
            seen: list[bool] = []

            def plan(_: object, there: Transport = there, seen: list[bool] = seen) -> None:
                seen.append(there.takes_thin)

            there.push(plan)
            assert seen == [takes_thin]


def test_a_connection_on_which_nothing_can_be_asked_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Channel] = []

    class Broken(Channel):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

        def sendall(self, data: object) -> None:
            raise UnreachableError("takes nothing")

    monkeypatch.setattr(sessions, "Channel", Broken)
    with saying(answering()) as port, pytest.raises(UnreachableError):
        Transport(f"git://127.0.0.1:{port}/a.git", timeout=2.0).refs()
    [channel] = made
    assert channel.closed


def test_a_remote_that_lets_nobody_remove_refs() -> None:
    said = advertisement((ID, "refs/heads/main"), (ID, "refs/heads/other"), abilities="report-status")
    with saying(said) as port:
        there = Transport(f"git://127.0.0.1:{port}/a.git", timeout=2)
        update = RefUpdate("refs/heads/other", ID, None)
        assert there.push(lambda refs: Outgoing([update], None)).rejected == {
            "refs/heads/other": "the remote lets nobody remove refs"
        }


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_time_to_wait_is_some_seconds(timeout: float) -> None:
    with pytest.raises(InvalidInputError, match="no number of seconds to wait"):
        Transport("host:a", timeout=timeout)
