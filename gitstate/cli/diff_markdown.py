"""Diffs as Markdown that fits a pull request.

Every text of a state stands in a ``code`` element with all that Markdown or HTML could mean written as a character
reference, so that no state can break the page, forge a part of it, or call anybody's attention (CommonMark 0.31, 2.5).
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gitstate.backends.review import JobComparison, JobDiff, SheetDiff
from gitstate.backends.sides import JobSide
from gitstate.cli.diff_text import change_mark, folded, other_changes, outcome_cells, sheet_mark, told
from gitstate.cli.output import clean, moment, short
from gitstate.values.diff import Change

__all__ = ["Block", "code", "comparison_page", "diff_blocks", "diff_page", "page"]

_ROOM = 60_000  # characters of a page: GitHub takes 65,536
_FOLDED = 4_000  # so many characters of it are shown then
_MEANT = re.compile(r"[^\w ,/-]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")  # what Markdown could take for more than a text
_SHEETS = "| | sheet | status | attempts | seconds | cost |\n|---|--:|---|--:|--:|--:|"
_CHANGES = "| | place | before | after |\n|---|---|---|---|"


class Block(NamedTuple):
    """A part of a page; rows that do not fit on the page are left out."""

    head: str
    rows: Sequence[str] = ()
    foot: str = ""


def diff_page(diff: JobDiff) -> str:
    """Return a diff as Markdown."""
    return page(diff_blocks(diff))


def comparison_page(comparison: JobComparison) -> str:
    """Return a comparison as Markdown."""
    end = "" if comparison.differs else "No sheet differs."
    sides = comparison.before, comparison.after
    return page([_heading(*sides), *_sheets(comparison.sheets, " | "), Block(end)])


def diff_blocks(diff: JobDiff) -> Iterator[Block]:
    """Yield the parts of a diff's page."""
    yield _heading(diff.before, diff.after)
    yield from _sheets([sheet for sheet in diff.sheets if sheet.before != sheet.after], " → ")
    if diff.errors:
        named = [
            ("the job" if error.sheet is None else f"sheet {code(error.sheet)}", error.text) for error in diff.errors
        ]
        yield Block("**New errors**\n", [f"- {name}: {code(folded(text, large=1000))}" for name, text in named])
    others = other_changes(diff)
    if others:
        head = f"<details><summary>{len(others)} other changes</summary>\n\n{_CHANGES}"
        yield Block(head, [_row(change) for change in others], "\n</details>")
    for change in others:
        yield from _large_texts(change)
    if not diff.differs:
        yield Block("Nothing changed.")
    if diff.hidden:
        yield Block(f"Changes of volatile fields are not shown ({diff.hidden}).")


def _heading(before: JobSide, after: JobSide) -> Block:
    jobs = dict.fromkeys((before.job_id, after.job_id))
    message = "" if after.checkpoint is None else after.checkpoint.message
    why = [f"\n> {code(line)}" for line in message.splitlines() if line]
    return Block(
        f"### Job {' and '.join(map(code, jobs))}\n",
        [f"- from {_side(before)}", f"- to {_side(after)}", *why],
    )


def _side(side: JobSide) -> str:
    found = side.checkpoint
    if found is None:
        return "nothing: before its first checkpoint"
    gone = "" if side.exists else ", where there is no state"
    return f"`{short(found.revision)}`, {moment(found.time)}, {code(found.author)}: {code(found.subject)}{gone}"


def _sheets(sheets: Sequence[SheetDiff], between: str) -> Iterator[Block]:
    if sheets:
        cells = [(sheet.sheet, *outcome_cells(sheet, between)) for sheet in sheets]
        marks = map(sheet_mark, sheets)
        rows = [f"| {mark} | {' | '.join(map(code, row))} |" for mark, row in zip(marks, cells, strict=True)]
        yield Block(_SHEETS, rows)


def _row(change: Change) -> str:
    cells = change.pointer, told(change.before), told(change.after)
    return f"| {change_mark(change)} | {' | '.join(map(code, cells))} |"


def _large_texts(change: Change) -> Iterator[Block]:
    """Show texts that the table folds, closed until somebody opens them."""
    for side, slot in (("before", change.before), ("after", change.after)):
        if isinstance(slot, str) and told(slot) != json.dumps(slot, ensure_ascii=False):
            shown = "\n".join(map(clean, slot[:_FOLDED].split("\n")))
            cut = f", the first {_FOLDED:,} of them" if len(slot) > _FOLDED else ""
            summary = f"{code(change.pointer)} {side}: {len(slot):,} characters{cut}"
            yield Block(f"<details><summary>{summary}</summary>\n\n<pre>{html.escape(shown)}</pre>\n\n</details>")


def code(text: str) -> str:
    """Return any text as code on one line, with nothing in it that means something."""
    shown = _MEANT.sub(lambda found: f"&#{ord(found[0])};", clean(text))
    return f"<code>{shown}</code>" if shown else ""


def page(blocks: Iterable[Block]) -> str:
    """Return a page; what does not fit on it is counted."""
    parts: list[str] = []
    room, left_out = _ROOM, 0
    for head, rows, foot in blocks:
        room -= len(head) + len(foot) + 2
        if room < 0:
            left_out += 1 + len(rows)
            continue
        fitting = []
        for row in rows:
            room -= len(row) + 1
            if room >= 0:
                fitting.append(row)
        left_out += len(rows) - len(fitting)
        parts.append("\n".join(part for part in (head, *fitting, foot) if part))
    if left_out:
        parts.append(f"{left_out} more lines do not fit; `gitstate diff` shows them.")
    return "\n\n".join(part for part in parts if part)
