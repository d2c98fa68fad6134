"""Reflogs: what we write git reads, what others wrote we tell, and what is torn or lost goes."""

from pathlib import Path

import pytest

from gitstate.engine import reflog
from gitstate.engine.objects import NO_ID, Signature
from gitstate.engine.reflog import Move
from tests.engine.conftest import git

A, B, C, D = (letter * 40 for letter in "abcd")
WHO = Signature("Ada", "ada@example.org", 1_700_000_000, 60)


def ours(before: str | None, after: str, note: str = "saved") -> bytes:
    return reflog.line(before, after, WHO, note)


def theirs(before: str | None, after: str, note: str = "commit: by hand", time: int = 1_700_000_000) -> bytes:
    return f"{before or NO_ID} {after} Ada <ada@example.org> {time} +0000\t{note}\n".encode("utf-8", "surrogateescape")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_the_line_that_we_write() -> None:
    assert ours(A, B, "nightly:  saved\n\tand more \ud800é") == (
        f"{A} {B} Ada <ada@example.org> 1700000000 +0100\tgitstate: nightly: saved and more \\ud800é\n".encode()
    )
    assert ours(None, B).startswith(f"{NO_ID} {B} Ada".encode())


def test_git_reads_what_is_appended_and_folders_are_made(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "store")
    git(tmp_path / "store", "commit", "-q", "--allow-empty", "-m", "one")
    head = git(tmp_path / "store", "rev-parse", "HEAD").strip()
    git(tmp_path / "store", "update-ref", "refs/gitstate/deep/ref", head)
    path = tmp_path / "store/.git/logs/refs/gitstate/deep/ref"
    written: list[tuple[str, int]] = []
    for _ in range(2):
        reflog.append(str(path), ours(None, head, "a note"), written)
    assert written == [(str(path), 0), (str(path), len(ours(None, head, "a note")))]
    assert path.stat().st_mode & 0o777 == 0o644
    told = git(tmp_path / "store", "reflog", "show", "--format=%H %gs", "refs/gitstate/deep/ref")
    assert told == f"{head} gitstate: a note\n" * 2


def test_what_others_did_since_we_wrote_last(log: Path) -> None:
    assert reflog.moves(str(log)) == []
    log.write_bytes(theirs(None, A, "clone: from x"))
    assert reflog.moves(str(log)) == [Move(None, A, "clone: from x")]
    log.write_bytes(theirs(None, A) + ours(A, B))
    assert reflog.moves(str(log)) == []
    log.write_bytes(theirs(None, A) + ours(A, B) + theirs(B, C, "merge: a\tb \udc80") + theirs(C, A, "reset: moving"))
    assert reflog.moves(str(log)) == [Move(B, C, "merge: a\tb \ufffd"), Move(C, A, "reset: moving")]
    log.write_bytes(theirs(None, A) + b"torn" + theirs(A, B) + theirs(B, C))
    assert reflog.moves(str(log)) == [Move(B, C, "commit: by hand")]
    log.write_bytes(theirs(A, B) + theirs(B, C)[:-1])
    assert reflog.moves(str(log)) == [], "its end is torn"


def test_of_a_long_log_the_end_is_looked_at(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [theirs(A, B, f"commit: {number}") for number in range(9)]
    log.write_bytes(b"".join(lines))
    monkeypatch.setattr(reflog, "_TAIL", 3 * len(lines[0]))
    assert [move.note for move in reflog.moves(str(log))] == ["commit: 6", "commit: 7", "commit: 8"]
    monkeypatch.setattr(reflog, "_TAIL", 3 * len(lines[0]) - 1)
    assert [move.note for move in reflog.moves(str(log))] == ["commit: 7", "commit: 8"]


def test_what_others_did_since_a_size_of_the_log(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reflog.since(str(log), 0) == []
    text = theirs(None, A, "1") + ours(A, B)
    log.write_bytes(text + theirs(B, C, "2") + ours(C, D) + theirs(D, A, "3"))
    assert [move.note for move in reflog.since(str(log), len(text))] == ["2", "3"]
    assert [move.note for move in reflog.since(str(log), 0)] == ["1", "2", "3"]
    assert reflog.since(str(log), log.stat().st_size) == []
    assert [move.note for move in reflog.since(str(log), 10_000)] == ["1", "2", "3"], "it was expired since"
    monkeypatch.setattr(reflog, "_PAST", len(theirs(D, A, "3")))
    assert reflog.since(str(log), 0) == [Move(D, A, "3")]


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_no_log_says_nothing(tmp_path: Path, folder: bool) -> None:
    path = tmp_path if folder else tmp_path / "file/log"
    (tmp_path / "file").write_bytes(theirs(None, A))
    assert list(reflog.logged(str(path))) == []
    reflog.forget(str(path), lambda commit: True)
    reflog.expire(str(path), {A}, None)
    if not folder:
        assert (reflog.moves(str(path)), reflog.since(str(path), 0), reflog.last_time(str(path))) == ([], [], None)


@pytest.mark.parametrize(
    ("end", "time"),
    [
        (b"", None),
        (theirs(A, B, time=17), 17),
        (theirs(A, B, time=17) + theirs(B, C, "x > 5 +0000", time=23), 23),
        (theirs(A, B, time=17) + b"torn", None),
        (theirs(A, B, time=17).partition(b"\t")[0], 17),  # a line without a note
        (ours(A, B), 1_700_000_000),
    ],
)
def test_when_the_ref_was_moved_last(log: Path, end: bytes, time: int | None) -> None:
    log.write_bytes(end)
    assert reflog.last_time(str(log)) == time


def test_where_the_ref_stood_newest_first(log: Path) -> None:
    deleted = theirs(B, NO_ID, "deleted")
    log.write_bytes(theirs(None, A) + b"torn\n" + ours(A, B) + deleted + f"{A}x{B} y\n".encode() + theirs(B, C)[:90])
    assert list(reflog.logged(str(log))) == [C, B, A]


def test_lines_that_name_lost_commits_go_and_torn_ones_too(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def is_lost(commit: str) -> bool:
        asked.append(commit)
        return commit == C

    text = theirs(None, A) + ours(A, B)
    log.write_bytes(text + theirs(B, C) + theirs(C, B) + b"\0\0\0" + theirs(A, B) + b"torn\n")
    reflog.forget(str(log), is_lost)
    assert log.read_bytes() == text
    assert sorted(asked) == [A, B, C], "each is looked for once"
    inode = log.stat().st_ino
    reflog.forget(str(log), is_lost)
    assert log.stat().st_ino == inode, "nothing to be done"
    monkeypatch.setattr(reflog, "_RECENT", 1)
    log.write_bytes(theirs(B, C) + theirs(A, B))
    reflog.forget(str(log), is_lost)
    assert log.read_bytes() == theirs(B, C) + theirs(A, B), "what is older was on the disk long ago"


@pytest.mark.parametrize(
    ("instead", "left"),
    [
        (None, theirs(None, A) + theirs(A, D) + theirs(D, A)),
        (b"instead\n", b"instead\n" + theirs(D, A)),
    ],
)
def test_lines_that_name_commits_that_are_gone_go(log: Path, instead: bytes | None, left: bytes) -> None:
    log.write_bytes(theirs(None, A) + theirs(A, B) + b"torn\n" + theirs(A, D) + theirs(C, D) + theirs(D, A))
    reflog.expire(str(log), {B, C}, instead)
    assert log.read_bytes() == left
    inode = log.stat().st_ino
    log.write_bytes(theirs(None, A) + theirs(A, D))
    reflog.expire(str(log), {B, C}, instead)
    assert (log.read_bytes(), log.stat().st_ino) == (theirs(None, A) + theirs(A, D), inode)
