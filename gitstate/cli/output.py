"""What the terminal shows: data on stdout, everything else on stderr, and nothing that could drive the terminal."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import click

__all__ = [
    "clean",
    "coloured",
    "has_colours",
    "json_text",
    "moment",
    "note",
    "print_fields",
    "print_json",
    "print_table",
    "seconds",
]

_UNLIMITED = 100_000  # columns: text that goes to a file or a pipe is not cut
_LONG = 32  # columns: longer cells, but those of the last column, are cut on a terminal
_STYLES = {
    "completed": "green",
    "running": "cyan",
    "in_progress": "cyan",
    "failed": "red",
    "paused": "yellow",
    "cancelled": "yellow",
    "skipped": "yellow",
}


def clean(text: object) -> str:
    """Return a text on one line, with every character that is not printable written as an escape.

    A job id or an error text may hold line breaks, terminal control sequences or bidirectional overrides.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in str(text)
    )


def has_colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal, and nobody asked for no colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """Return a text in a colour, where the stream shows colours."""
    return click.style(text, fg=colour) if has_colours(stream) else text


def moment(time: datetime | None) -> str:
    """Return a time in UTC to the second, as in RFC 3339 (``2026-03-01 09:30:00Z``); empty when there is none."""
    if time is None:
        return ""
    return (time.astimezone(UTC) if time.tzinfo else time).strftime("%Y-%m-%d %H:%M:%SZ")


def seconds(duration: float | None) -> str:
    """Return a duration in seconds with one decimal; empty when there is none."""
    return "" if duration is None else f"{duration:.1f}"


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
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    cells = [[clean(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        name = column.lstrip(">")
        wanted = max(map(cell_len, (name, *(row[index] for row in cells))))
        if terminal and index < len(columns) - 1:
            wanted = min(wanted, _LONG)
        least = wanted if index < len(columns) - 1 else cell_len(name)
        table.add_column(
            name,
            justify="right" if name != column else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=least,
            max_width=wanted,
        )
    for row in cells:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console = Console(
        width=shutil.get_terminal_size().columns if terminal else _UNLIMITED,
        color_system="auto" if has_colours(sys.stdout) else None,
        highlight=False,
    )
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())
