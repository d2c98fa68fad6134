"""Diffs as people read them on a terminal, and as git shows them. Colours only help: marks say the same."""

import difflib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence

import click

from gitstate.backends.review import JobComparison, JobDiff, Outcome, SheetDiff
from gitstate.backends.sides import JobSide
from gitstate.cli.output import clean, coloured, moment, note, print_fields, print_table, seconds, short
from gitstate.values.diff import Change
from gitstate.values.shape import ABSENT, Slot

__all__ = [
    "change_mark",
    "folded",
    "other_changes",
    "outcome_cells",
    "print_changes",
    "print_comparison",
    "print_diff",
    "print_unified",
    "sheet_mark",
    "told",
]

_LARGE = 120  # characters: what is longer is folded
_SHOWN = 40  # so many characters of it are shown then
_TABLED = ("sheet_num", "status", "attempt_count", "execution_duration_seconds")  # the table of sheets has them
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_NO_NEWLINE = "\n\\ No newline at end of file"


def print_diff(diff: JobDiff) -> None:
    """Print a diff: who, when and why; then sheets, new errors, and what else changed."""
    _print_sides(diff.before, diff.after)
    print_changes(diff)
    if not diff.differs:
        note("Nothing changed.")
    if diff.hidden:
        note(f"Changes of volatile fields are hidden ({diff.hidden}); --all shows them.")


def print_changes(diff: JobDiff) -> None:
    """Print what changed, each part after an empty line: sheets, new errors, and what else there is."""
    moved = [sheet for sheet in diff.sheets if sheet.before != sheet.after]
    if moved:
        _print_sheets(moved, " -> ")
    if diff.errors:
        click.echo("\nnew errors")
        named = [("job" if error.sheet is None else f"sheet {error.sheet}", error.text) for error in diff.errors]
        print_fields([(name, folded(text, large=1000)) for name, text in named])
    others = other_changes(diff)
    if others:
        click.echo()
        rows = [(change_mark(each), each.pointer, told(each.before), told(each.after)) for each in others]
        print_table(("", "place", "before", "after"), rows)


def print_comparison(comparison: JobComparison) -> None:
    """Print both sides of a comparison, sheet by sheet."""
    _print_sides(comparison.before, comparison.after)
    if comparison.sheets:
        _print_sheets(comparison.sheets, " | ")
    if not comparison.differs:
        note("No sheet differs.")


def print_unified(files: Mapping[str, tuple[bytes, bytes]]) -> None:
    """Print files that differ as ``git diff`` does; what is not printable in them is written as an escape."""
    for path, (before, after) in sorted(files.items()):
        names = f"a/{path}" if before else "/dev/null", f"b/{path}" if after else "/dev/null"
        for text in difflib.unified_diff(_lines(before), _lines(after), *names, lineterm=""):
            line, _, no_newline = text.partition("\n")
            colour = _COLOURS.get(line[:1])
            click.echo(coloured(clean(line), colour, sys.stdout) if colour else clean(line))
            if no_newline:
                click.echo(no_newline)


def other_changes(diff: JobDiff) -> list[Change]:
    """Return the changes that the table of sheets does not tell."""
    inner = (each for sheet in diff.sheets for change in sheet.changes for each in _opened(change))
    return [*diff.fields, *(change for change in inner if not _tabled(change))]


def outcome_cells(sheet: SheetDiff, between: str) -> tuple[str, ...]:
    """Return status, attempts, seconds and cost of a sheet: of both sides, where they differ."""
    pairs = zip(_outcome(sheet.before), _outcome(sheet.after), strict=True)
    return tuple(was if was == now else f"{was or 'none'}{between}{now or 'none'}" for was, now in pairs)


def sheet_mark(sheet: SheetDiff) -> str:
    """Return ``+``, ``-`` or ``~`` for a sheet that came, went or has another outcome."""
    return "" if sheet.before == sheet.after else _mark(sheet.before is None, sheet.after is None)


def change_mark(change: Change) -> str:
    """Return ``+``, ``-`` or ``~`` for a value that came, went or is another one."""
    return _mark(change.before is ABSENT, change.after is ABSENT)


def told(slot: Slot) -> str:
    """Return a value as compact JSON, folded if it is large; nothing for what is absent."""
    return "" if slot is ABSENT else folded(json.dumps(slot, ensure_ascii=False))


def folded(text: str, large: int = _LARGE) -> str:
    """Return a text, or its beginning and its size if it is large."""
    return text if len(text) <= large else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def _tabled(change: Change) -> bool:
    """Whether the table of sheets tells a change already, or the list of new errors does."""
    field = change.parts[2] if len(change.parts) == 3 else ""
    return field in _TABLED or (field == "error_message" and (change.before is ABSENT or change.before is None))


def _opened(change: Change) -> Iterator[Change]:
    """Yield the fields of a sheet that came or went, and any other change as it is."""
    sheet = change.after if change.before is ABSENT else change.before
    if (
        len(change.parts) != 2
        or not isinstance(sheet, dict)
        or (change.before is not ABSENT and change.after is not ABSENT)
    ):
        yield change
        return
    for key, item in sheet.items():
        sides = (ABSENT, item) if change.before is ABSENT else (item, ABSENT)
        yield Change((*change.parts, key), *sides)


def _mark(came: bool, went: bool) -> str:
    return "+" if came else "-" if went else "~"


def _print_sides(before: JobSide, after: JobSide) -> None:
    columns, rows = ["", "revision", "time", "author", "what"], [["from", *_side(before)], ["to", *_side(after)]]
    if before.job_id != after.job_id:
        columns.insert(1, "job")
        for row, side in zip(rows, (before, after), strict=True):
            row.insert(1, side.job_id)
    print_table(columns, rows)
    if after.checkpoint is not None and after.checkpoint.message:
        click.echo()
        for line in after.checkpoint.message.splitlines():
            click.echo(clean(line))


def _side(side: JobSide) -> tuple[str, str, str, str]:
    found = side.checkpoint
    if found is None:
        return "none", "", "", "before the first checkpoint"
    gone = "" if side.exists else " (no state)"
    return short(found.revision), moment(found.time), found.author, found.subject + gone


def _print_sheets(sheets: Sequence[SheetDiff], between: str) -> None:
    rows = [(sheet_mark(sheet), sheet.sheet, *outcome_cells(sheet, between)) for sheet in sheets]
    if not any(row[-1] for row in rows):  # few jobs count what they cost
        rows = [row[:-1] for row in rows]
    click.echo()
    print_table(("", ">sheet", "status", ">attempts", ">seconds", ">cost")[: len(rows[0])], rows)


def _outcome(outcome: Outcome | None) -> tuple[str, str, str, str]:
    if outcome is None:
        return "", "", "", ""
    cost = "" if outcome.cost is None else f"{outcome.cost:g}"
    return outcome.status or "", str(outcome.attempts), seconds(outcome.seconds), cost


def _lines(data: bytes) -> list[str]:
    *lines, last = data.decode(errors="backslashreplace").split("\n")
    return lines if not last else [*lines, last + _NO_NEWLINE]
