"""What reaches the terminal cannot drive it, and JSON stays JSON."""

import io
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.cli import output

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too


@given(ANY_TEXT)
def test_a_clean_text_is_one_printable_line(text: str) -> None:
    assert output.clean(text).isprintable()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_a_printable_text_stays_as_it_is(text: str) -> None:
    assert output.clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb", r"a\nb"),
        ("\u202eabc", r"\u202eabc"),
        ("\udcff", r"\udcff"),
        ("\x9b", r"\x9b"),
    ],
)
def test_escapes_can_be_read(text: str, shown: str) -> None:
    assert output.clean(text) == shown


@given(value=st.recursive(ANY_TEXT | st.integers() | st.none() | st.booleans(), lambda inner: st.lists(inner)))
def test_json_comes_back_whole_and_is_printable(value: object) -> None:
    text = output.json_text(value)
    assert json.loads(text) == value
    assert all(line.isprintable() for line in text.split("\n"))


def test_json_shows_letters_of_every_script() -> None:
    assert output.json_text("Größe 日本 🚀") == '"Größe 日本 🚀"'


def test_times_are_shown_in_utc() -> None:
    time = datetime(2026, 3, 1, 10, 30, 15, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert output.moment(time) == "2026-03-01 09:30:15Z"
    assert output.moment(datetime(2026, 3, 1, tzinfo=UTC)) == "2026-03-01 00:00:00Z"
    assert output.moment(None) == ""


def test_a_table_that_is_piped_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("a", ">number", "b"), [("日本", "7", "x" * 500), ("[red]name[/red]", "12", "\x1b[31m")])
    assert capsys.readouterr().out == (
        f"a                number  b\n日本                  7  {'x' * 500}\n[red]name[/red]      12  \\x1b[31m\n"
    )


def test_fields_without_a_text_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_fields([("job", "a\tb"), ("error", ""), ("status", "running")])
    assert capsys.readouterr().out == "job     a\\tb\nstatus  running\n"


@pytest.mark.parametrize(("term", "draws"), [("xterm", True), ("dumb", False), (None, False)])
def test_a_terminal_of_which_nothing_is_known_is_shown_lines_alone(
    monkeypatch: pytest.MonkeyPatch, term: str | None, draws: bool
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)
    assert output.is_screen(Terminal()) == output.has_colours(Terminal()) == draws
    assert not output.is_screen(io.StringIO())
