"""What the terminal shows: data on stdout, everything else on stderr, and nothing that could drive the terminal."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from gitstate import clock
from gitstate.words import SHORT_ID, counted, printable

__all__ = [
    "ago",
    "clean",
    "colour_of",
    "coloured",
    "confirm",
    "counted",
    "draws_lines",
    "has_colours",
    "is_asked",
    "is_screen",
    "iso",
    "json_text",
    "moment",
    "note",
    "print_fields",
    "print_json",
    "print_table",
    "seconds",
    "short",
    "standing",
]

_GAP = "  "
_UNLIMITED = 100_000  # columns: text that goes to a file or a pipe is not cut
_LONG = 32  # columns: longer cells, but those of the last column, are cut on a terminal
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_COLOURS = {
    "completed": "green",
    "running": "cyan",
    "in_progress": "cyan",
    "failed": "red",
    "paused": "yellow",
    "cancelled": "yellow",
    "skipped": "yellow",
    "+": "green",
    "-": "red",
    "~": "yellow",
}


def clean(text: object) -> str:
    """Return something as a text on one line that a terminal may be shown; see :func:`gitstate.words.printable`."""
    return printable(str(text))


def is_asked() -> bool:
    """Whether there is somebody at a terminal who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> None:
    """Ask who is at a terminal whether to go on; end with status 1 if not. Elsewhere nobody is asked."""
    if is_asked() and not click.confirm(question, err=True):
        click.get_current_context().exit(1)


def is_screen(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can do more than print lines. One that says nothing of itself cannot."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def has_colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal that has colours, and nobody asked for none (https://no-color.org)."""
    return is_screen(stream) and not os.environ.get("NO_COLOR")


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """Return a text in a colour, where the stream shows colours."""
    return click.style(text, fg=colour) if has_colours(stream) else text


def colour_of(word: str) -> str:
    """Return the colour in which a status is shown; empty for a text that has none."""
    return _COLOURS.get(word, "")


def moment(time: datetime | None) -> str:
    """Return a time in UTC to the second, as in RFC 3339 (``2026-03-01 09:30:00Z``); empty when there is none."""
    if time is None:
        return ""
    return (time.astimezone(UTC) if time.tzinfo else time).strftime("%Y-%m-%d %H:%M:%SZ")


def iso(time: datetime | None) -> str | None:
    """Return a time as JSON has it; a naive one is in UTC."""
    return None if time is None else clock.aware(time).isoformat()


def ago(time: datetime) -> str:
    """Return how long ago a time was, in its largest unit: ``12 s``, ``3 min``."""
    passed = max(0, int((clock.now() - time).total_seconds()))
    size, unit = next((each for each in _UNITS if passed >= each[0]), _UNITS[-1])
    return f"{passed // size} {unit}"


def seconds(duration: float | None) -> str:
    """Return a duration in seconds with one decimal; empty when there is none."""
    return "" if duration is None else f"{duration:.1f}"


def short(revision: str | None) -> str:
    """Return the digits of a commit id that a line shows; empty when there is none."""
    return "" if revision is None else clean(revision[:SHORT_ID])


def standing(facts: dict[str, Any] | None) -> str:
    """Return how a job stands, from what JSON says of it: ``running, 2/10 done``."""
    if facts is None:
        return "no state that could be read"
    return f"{clean(facts['status'])}, {facts['completed_sheets']}/{facts['total_sheets']} done"


def draws_lines() -> bool:
    """Whether stdout can show the characters with which boxes and trees are drawn."""
    try:
        "├└│─╯┼●".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def note(text: str) -> None:
    """Say something on stderr that is not data; lines of the text stay lines."""
    for line in text.splitlines():
        click.echo(clean(line), err=True)


def json_text(value: Any) -> str:
    """Return a JSON value as text (RFC 8259), indented; what is not printable is written as ``\\u`` escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # Outside of strings JSON is printable but for line feeds, so every other such character stands in a string.
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    click.echo(json_text(value))


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print name and text in two columns; fields without a text are left out."""
    shown = [(name, clean(text)) for name, text in fields if text]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        click.echo(f"{name:<{width}}  {text}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their column names, as wide as the terminal; uncut and without colours anywhere else.

    A column whose name begins with ``>`` is aligned to the right. What does not fit is cut from the last column, and
    from others only where they are very long.
    """
    from rich.cells import cell_len  # characters of some scripts take two columns

    terminal = sys.stdout.isatty()
    room = shutil.get_terminal_size().columns if terminal else _UNLIMITED
    cells = [[column.lstrip(">") for column in columns], *([clean(cell) for cell in row] for row in rows)]
    widths = [min(max(map(cell_len, column)), _LONG if terminal else _UNLIMITED) for column in zip(*cells, strict=True)]
    left = room - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)
    widths[-1] = min(max(map(cell_len, (row[-1] for row in cells))), max(left, len(columns[-1])))
    for number, row in enumerate(cells):
        shown = []
        for cell, column, width in zip(row, columns, widths, strict=True):
            text = _cut(cell, width)
            space = " " * (width - cell_len(text))
            text = _styled(text, heading=number == 0)
            shown.append(space + text if column.startswith(">") else text + space)
        click.echo(_GAP.join(shown).rstrip())


def _cut(text: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _styled(text: str, *, heading: bool) -> str:
    if heading:
        return click.style(text, bold=True) if has_colours(sys.stdout) else text
    return coloured(text, _COLOURS[text], sys.stdout) if text in _COLOURS else text
