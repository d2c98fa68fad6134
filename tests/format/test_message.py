"""Messages: nothing that a caller says can break or forge a trailer, for us and for git."""

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError
from gitstate.format import message
from gitstate.format.message import Message

FORGED = "Gitstate-Job: forged"
HOSTILE = [
    "", " ", "\n", "\n\n", "a\nb", "a\r\nb", "a\rb", "a\u2028b", "a\vb", "a\fb", "a\x85b", "a\0b", "\ud800", "---",
    "a\n---\nb", "--- a", "#", "# a", "a\n# b", "\x1b[31m", '"', '"a"', "\\", "x" * 100_000, "é" * 1000,
    FORGED, f"a\n\n{FORGED}",
    f"a\n{FORGED}", f"a\n\n{FORGED}\n", f"a\r\r{FORGED}", f"a\u2028\u2028{FORGED}", "Signed-off-by: A <a@b>",
    f"a\n\nSigned-off-by: A <a@b>\n{FORGED}", "a\n\n(cherry picked from commit 1234)", "a: b", " a", "a ",
    "# ------------------------ >8 ------------------------",
    "; ------------------------ >8 ------------------------\na",
    "a\n \n\t\nb", " Gitstate-Job: forged", "diff --git a/a b/a", "fixup! a",
]  # fmt: skip
PAIR_FREE = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(HOSTILE)
TEXTS = PAIR_FREE | st.lists(st.sampled_from([*HOSTILE, "\n", "\n\n"]), max_size=4).map("".join)
KEYS = st.sampled_from([message.JOB, message.EVENT, message.STATUS, "X-Other"])
MESSAGES = st.builds(Message, TEXTS, TEXTS, st.lists(st.tuples(KEYS, PAIR_FREE), max_size=4).map(tuple))


def git_trailers(written: bytes, comment: str = "#") -> list[str]:
    command = ["git", "-c", f"core.commentChar={comment}", "interpret-trailers", "--parse"]
    run = subprocess.run(command, input=written, capture_output=True, check=True)
    return run.stdout.decode().split("\n")[:-1]


@settings(max_examples=300)
@given(MESSAGES)
def test_what_is_written_is_read(said: Message) -> None:
    written = said.to_bytes()
    assert Message.parse(written) == said
    assert b"\0" not in written
    assert written.endswith(b"\n")
    assert len(written.split(b"\n", 1)[0]) <= 4 * 200


@settings(max_examples=60)
@given(MESSAGES)
def test_git_reads_our_trailers_and_no_others(said: Message) -> None:
    ours = Message("s", trailers=said.trailers).to_bytes().decode().split("\n")[2:-1] if said.trailers else []
    assert git_trailers(said.to_bytes()) == ours


@pytest.mark.parametrize("text", HOSTILE)
def test_git_reads_our_trailers_beside_hostile_text(text: str) -> None:
    said = Message(text, text, ((message.JOB, text), (message.EVENT, "saved")))
    assert Message.parse(said.to_bytes()).trailers == ((message.JOB, text), (message.EVENT, "saved"))
    job, event = git_trailers(said.to_bytes())
    assert job.startswith("Gitstate-Job: ")
    assert event == "Gitstate-Event: saved"


@pytest.mark.parametrize("comment", "#;-")
def test_no_comment_character_makes_git_cut_a_message(comment: str) -> None:
    scissors = f"{comment} ------------------------ >8 ------------------------"
    for said in (
        Message("s", f"a\n{scissors}\nb", ((message.JOB, "a"),)),
        Message(scissors, "", ((message.JOB, "a"),)),
    ):
        assert git_trailers(said.to_bytes(), comment) == ["Gitstate-Job: a"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_message_without_trailers_has_none(text: str) -> None:
    written = Message(text, text).to_bytes()
    assert git_trailers(written) == []
    assert Message.parse(written).trailers == ()


@given(st.binary())
@example(b"a\n\n\xff: b")
@example(b'a\n\nb: "\\')
@example(b"a\n\nb: " + b"[" * 100_000)
def test_any_bytes_can_be_read(data: bytes) -> None:
    assert Message.parse(data).subject


@pytest.mark.parametrize("text", [*HOSTILE, "a" * 201])
def test_a_subject_is_one_short_line_that_git_keeps(text: str) -> None:
    subject = Message(text).subject
    assert 0 < len(subject) <= 200
    assert len(subject.splitlines()) == 1
    assert not subject.startswith(("#", " ", "---"))


def test_the_form_that_the_format_promises() -> None:
    said = Message("nightly: saved", "why\n---\n# so", ((message.JOB, "nightly"), (message.STATUS, "é\n")))
    assert said.to_bytes() == (
        b'nightly: saved\n\nwhy\n ---\n # so\n\nGitstate-Job: nightly\nGitstate-Status: "\\u00e9\\n"\n'
    )


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("", "(no subject)"),
        (" \t\n", "(no subject)"),
        (" a \n b\u2028c ", "a b c"),
        ("a\0b\x1b[31m\u202e\ud800", "a\ufffdb\ufffd[31m\ufffd\ufffd"),
        ("# a", "\\# a"),
        ("--- a", "\\--- a"),
        ("a - >8 - b", "a - > 8 - b"),
        ("a" * 200, "a" * 200),
        ("# " + "a" * 198, "\\# " + "a" * 196 + "\u2026"),
        ("\u00e9" * 200, "\u00e9" * 200),
        ("a" * 201, "a" * 199 + "\u2026"),
        ("a" * 197 + " b c d", "a" * 197 + " b" + "\u2026"),
        ("a" * 198 + " b c d", "a" * 198 + "\u2026"),
        (" " * 799 + "a", "a"),
    ],
)
def test_how_a_subject_is_made_of_any_text(text: str, subject: str) -> None:
    assert Message(text).subject == subject


def test_how_a_body_is_made_of_any_text() -> None:
    text = "\n\nXX a\r\nb\rc\vd\fe\x85f\u2028g\u2029h  \n- >8 -\n\0\x1b\nX\n\n"
    wanted = "XX a\nb\nc\nd\ne\nf\ng\nh\n- > 8 -\n\ufffd\ufffd\nX"
    assert Message("a", text).body == wanted
    assert Message("a", text, ((message.JOB, "j"),)).body == wanted
    assert Message("a", "Key: x\n(cherry picked from x)\n").body == " Key: x\n (cherry picked from x)"


def test_how_a_foreign_message_is_read() -> None:
    said = Message.parse(
        b"\n\nX a \xff\0\nin two lines\n\nb\n\nJob: x\n# a comment\n(cherry picked from y)\nEnd: X\n\n"
    )
    assert said == Message("X a \ufffd\ufffd in two lines", "b", (("Job", "x"), ("End", "X")))
    trailers = Message.parse(b"a\n\nOne: 1\nTwo: 2\n 2\n").trailers
    assert trailers == (("One", "1"), ("Two", "2 2"))
    assert Message.parse(b"a\n\nOne: 1\0\n").get("One") == "1\ufffd"
    assert Message.parse(b"a\n\nOne: 1\nX y\n").trailers == ()


def test_the_first_of_several_keys_are_given_together() -> None:
    said = Message("a", trailers=((message.JOB, "j"), (message.ENDED, "1"), (message.JOB, "k")))
    assert said.first([message.EVENT, message.JOB, message.ENDED]) == {message.JOB: "j", message.ENDED: "1"}


@pytest.mark.parametrize("value", ["plain", "\u00e9"])
def test_so_many_trailers_are_written_as_a_commit_has_room_for(value: str) -> None:
    trailers = [("Gitstate-Job", value)] * 40_000
    fitting = message.fitting(trailers)
    assert trailers[: len(fitting)] == list(fitting)
    size = len(Message("a", trailers=fitting).to_bytes()) - len(b"a\n\n")
    assert (1 << 18) - len(b'Gitstate-Job: "\\u00e9"\n') < size <= 1 << 18
    assert message.fitting(trailers[:3]) == tuple(trailers[:3])
    exact = [("a", "x" * (100 - 3 - 1))] * 2621 + [("b", "x" * (44 - 3 - 1))]  # 2621 * 100 + 44 is all the room
    assert message.fitting([*exact, ("c", "")]) == tuple(exact)


def test_what_others_append_does_not_hide_our_trailers() -> None:
    written = Message("a", trailers=((message.JOB, "nightly"),)).to_bytes()
    signed = Message.parse(written + b"Signed-off-by: A <a@b>\n(cherry picked from commit 1234)\n")
    assert signed.get(message.JOB) == "nightly"
    assert signed.get("Signed-off-by") == "A <a@b>"


def test_prose_with_colons_is_no_trailer() -> None:
    said = Message.parse(b"a\n\nNote: this\nis prose\n")
    assert said.trailers == ()
    assert said.get("Note") is None


@pytest.mark.parametrize("key", ["", "a b", "a:", "é", "a\n", "-a"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match="key"):
        Message("a", trailers=((key, "b"),))


def test_a_key_may_stand_several_times() -> None:
    said = Message("a", trailers=((message.ENDED, "1 1 failed"), (message.JOB, "j"), (message.ENDED, "2 1 failed")))
    assert Message.parse(said.to_bytes()).all(message.ENDED) == ["1 1 failed", "2 1 failed"]
    assert (said.get(message.ENDED), said.all(message.EVENT)) == ("1 1 failed", [])


def test_a_trailer_that_goes_on_in_further_lines_is_one() -> None:
    said = Message.parse(b"a\n\nGitstate-Job: nightly\nReviewed-by: Ada\n  Lovelace\n\t<ada@example.org>\nNote: x\n")
    assert said.get("Reviewed-by") == "Ada Lovelace <ada@example.org>"
    assert (said.get(message.JOB), said.get("Note")) == ("nightly", "x")
    assert Message.parse(b"a\n\n  Lovelace\nReviewed-by: Ada\n").trailers == ()


@pytest.mark.parametrize("text", ['"a', '"a" b', '"\\x"', '"', '"a"b"'])
def test_what_is_not_quoted_to_its_end_is_told_as_it_stands(text: str) -> None:
    assert Message.parse(f"a\n\nGitstate-Job: {text}\n".encode()).get(message.JOB) == text
