"""What was purged, as a store says it; and messages that no longer name a job."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.errors import CorruptionError, UnsupportedFormatError
from gitstate.format.message import Message
from gitstate.format.purged import Purge, Purged
from gitstate.format.unnamed import unnamed

IDS = st.text("0123456789abcdef", min_size=40, max_size=40)
ENTRIES = st.builds(
    lambda commits, jobs, values: Purge.of(commits, jobs, values=values),
    st.lists(IDS, min_size=1, max_size=3, unique=True),
    st.lists(st.text(min_size=1, max_size=5), max_size=2, unique=True),
    st.booleans(),
)


@given(st.lists(ENTRIES, max_size=4), st.lists(ENTRIES, max_size=3))
def test_what_is_written_is_read_and_unites_in_any_order(one: list[Purge], other: list[Purge]) -> None:
    first, second = Purged(tuple(one)), Purged(tuple(other))
    assert set(Purged.parse(first.to_bytes()).entries) == set(one)
    assert first.united(second).to_bytes() == second.united(first).to_bytes()
    assert first.united(first).to_bytes() == first.to_bytes()


def test_it_names_no_job_and_tells_whether_one_was_purged() -> None:
    purged = Purged((Purge.of(["a" * 40], ["nightly", "é\ud800"], values=False),), {"later": [1]})
    assert purged.has("nightly")
    assert purged.has("é\ud800")
    assert not purged.has("weekly")
    text = purged.to_bytes()
    assert b"nightly" not in text
    assert Purged.parse(text).unknown == {"later": [1]}
    other = Purge.of(["b" * 40], ["nightly"], values=False)
    assert not set(other.jobs) & set(purged.entries[0].jobs)


def test_the_form_that_the_format_promises() -> None:
    first, second = "a" * 40, "b" * 40
    made = Purged((Purge.of([second, first], ["nightly", "\ud800"], values=True),), {"alpha": 1})
    hashes = sorted(
        hashlib.sha256(f"{first} {second}\0".encode() + job).hexdigest() for job in (b"nightly", b"\xed\xa0\x80")
    )
    entry: dict[str, object] = {"commits": [first, second], "jobs": hashes, "values": True}
    assert made.to_bytes().decode() == json.dumps({"format": 1, "entries": [entry], "alpha": 1}, indent=2) + "\n"
    assert Purged.parse(made.to_bytes()) == made
    assert Purged.parse(json.dumps({"entries": [{"commits": [first]}]}).encode()).entries == (Purge((first,)),)


def test_what_a_later_release_adds_is_kept_from_all_sides() -> None:
    one, other = Purged(unknown={"later": 1, "mine": 2}), Purged(unknown={"later": 3, "theirs": 4})
    assert one.united(other).unknown == {"later": 1, "mine": 2, "theirs": 4}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"entries": 1}',
        '{"entries": [1]}',
        '{"entries": [{}]}',
        '{"entries": [{"commits": []}]}',
        '{"entries": [{"commits": ["x"]}]}',
        json.dumps({"entries": [{"commits": ["a" * 40], "jobs": ["b"]}]}),
        json.dumps({"entries": [{"commits": ["a" * 40], "values": 1}]}),
    ],
)
def test_anything_else_is_no_such_file(text: str) -> None:
    with pytest.raises(CorruptionError):
        Purged.parse(text.encode())


def test_a_newer_one_is_refused() -> None:
    with pytest.raises(UnsupportedFormatError):
        Purged.parse(b'{"format": 2, "entries": []}')


def said(subject: str, body: str = "", **trailers: str) -> bytes:
    return Message(subject, body, tuple((f"Gitstate-{key}", value) for key, value in trailers.items())).to_bytes()


def also_about(message: bytes, *jobs: str) -> bytes:
    named = "".join(f"Gitstate-Job: {job}\n" for job in jobs).encode()
    return message.replace(b"Gitstate-Event", named + b"Gitstate-Event")


def test_a_message_about_a_job_alone_says_nothing_more() -> None:
    before = said("nightly: sheet 3 failed", "We know.", Job="nightly", Event="saved", Status="running", Code="c" * 40)
    told = unnamed(before, "Gitstate-Job", ["nightly"])
    assert told.named == {"nightly"}
    assert not told.others
    assert told.message == said("[purged]", "We know.", Code="c" * 40)


@pytest.mark.parametrize("gap", ["\r\n\r\n", "\n \t\n", "\n\n\n"])
def test_paragraphs_may_be_parted_by_any_white_space(gap: str) -> None:
    before = gap.join(["nightly: done", "of nightly", "Gitstate-Job: nightly\nX-Note: y"]) + "\r\n"
    told = unnamed(before.encode(), "Gitstate-Job", ["nightly"])
    assert b"nightly" not in told.message and told.message.endswith(b"\n\nX-Note: y\n")


def test_one_that_is_about_others_too_keeps_what_is_said_of_them() -> None:
    trailers = (("Gitstate-Job", "a.b"), ("Gitstate-Job", "weekly"), ("Gitstate-Event", "merged"))
    before = Message("a.b, weekly and a.bc: from origin", "a.b: moved. x.a.b stays.", trailers).to_bytes()
    told = unnamed(before, "Gitstate-Job", ["a.b", "none"])
    wanted = Message("[purged], weekly and a.bc: from origin", "[purged]: moved. x.a.b stays.", trailers[1:])
    assert (told.message, told.others) == (wanted.to_bytes(), True)


def test_longer_names_go_first_and_white_space_is_that_of_a_subject() -> None:
    before = said("a b, a and c d: saved", "a b", Job="weekly", Event="merged")
    before = also_about(before, "a b", "a", "c  d")
    told = unnamed(before, "Gitstate-Job", ["a", "a b", "c  d"])
    assert told.message == said("[purged], [purged] and [purged]: saved", "[purged]", Job="weekly", Event="merged")
    assert told.named == {"a", "a b", "c  d"}


def test_a_fork_no_longer_says_what_it_was_forked_from() -> None:
    before = said("new: forked from old at 1234567", Job="new", Event="forked", Origin=f"old@{'1' * 40}")
    told = unnamed(before, "Gitstate-Job", ["old"])
    assert told.message == said("new: forked from [purged] at 1234567", Job="new", Event="forked")
    assert (told.named, told.others, told.fork) == (frozenset(), True, "new")


def test_where_a_job_came_from_stays_unless_that_goes() -> None:
    commit = "1" * 40
    before = said("b: forked from a@x, not c", Job="b", Event="forked", Origin=f"a@x@{commit}")
    gone = unnamed(before, "Gitstate-Job", ["a@x"])
    assert (gone.message, gone.fork) == (said("b: forked from [purged], not c", Job="b", Event="forked"), "b")
    before = also_about(before, "c")
    left = unnamed(before, "Gitstate-Job", ["c"])
    assert left.message == said("b: forked from a@x, not [purged]", Job="b", Event="forked", Origin=f"a@x@{commit}")
    assert (left.named, left.others, left.fork) == (frozenset({"c"}), True, "")
    unnamed_at_all = unnamed(said("c", Job="c", Origin="@"), "Gitstate-Job", ["a"])
    assert (unnamed_at_all.named, unnamed_at_all.others, unnamed_at_all.fork) == (frozenset(), True, "")
    assert unnamed(b"c\n", "Gitstate-Job", ["a"]) == (b"c\n", frozenset(), False, "")


@pytest.mark.parametrize("length", [60, 61, 100])
def test_an_id_that_a_subject_cut_off_goes_too(length: int) -> None:
    long = "j" * length
    cut = long if length <= 60 else long[:59] + "\N{HORIZONTAL ELLIPSIS}"
    before = said(f"{cut} and weekly: joined", f"{long[:59]}\N{HORIZONTAL ELLIPSIS} {long}", Job=long, Event="merged")
    before = also_about(before, "weekly")
    told = unnamed(before, "Gitstate-Job", [long]).message.decode()
    assert told.startswith("[purged] and weekly: joined\n") and "j" * 60 not in told
    assert (told.count("j" * 59) == 1) is (length == 60)  # what only looks like it, of an id that is never cut


def test_bytes_that_are_no_text_and_lines_that_go_on_stay() -> None:
    before = (
        b"nightly \xff: saved\n\nby nightly \xfe\n\nGitstate-Job: nightly\nGitstate-Job: weekly\n"
        b"Gitstate-Event: merged\nX-Note: \xfd\n\tof nightly\n  and nightly\n"
    )
    told = unnamed(before, "Gitstate-Job", ["nightly"])
    assert told.message == (
        b"[purged] \xff: saved\n\nby [purged] \xfe\n\nGitstate-Job: weekly\n"
        b"Gitstate-Event: merged\nX-Note: \xfd\n\tof [purged]\n  and [purged]\n"
    )
    odd = b"weekly\n\nGitstate-Job: nightly\nGitstate-Job: weekly\nGitstate-Status: \xff\n"
    assert unnamed(odd, "Gitstate-Job", ["nightly"]).message == odd.replace(b"Gitstate-Job: nightly\n", b"")
    alone = unnamed(b"x\n\nGitstate-Job: nightly\nGitstate-Status: a\n b\n\tc\n", "Gitstate-Job", ["nightly"])
    assert alone.message == b"[purged]\n"


@pytest.mark.parametrize("text", [b"", b"nightly\n", b"nightly: x\n\nnightly\n\nGitstate-Job: weekly\n", b"\xff\n\nx"])
def test_others_stay_as_they_are(text: bytes) -> None:
    assert unnamed(text, "Gitstate-Job", ["nightly"]).message == text


def test_trailers_of_others_stay_and_no_longer_name_it() -> None:
    before = (
        b"nightly: saved\n\nGitstate-Job: nightly\nGitstate-Event: saved\nReviewed-by: Ada\n  of nightly, and more\n"
        b"nightly: seen by nightly, not by x.nightly\n(cherry picked from commit 1234)\nGitstate-Code: abc\n"
    )
    told = unnamed(before, "Gitstate-Job", ["nightly"])
    assert told.message == (
        b"[purged]\n\nReviewed-by: Ada\n  of [purged], and more\n"
        b"nightly: seen by [purged], not by x.nightly\n(cherry picked from commit 1234)\nGitstate-Code: abc\n"
    )
