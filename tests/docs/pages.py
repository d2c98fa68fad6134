"""The pages of the documentation as the tests see them: blocks of code with their language and place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(?P<language>\w+)?(?: file=(?P<file>\S+))?\s*$")
_ID = re.compile(r"\b[0-9a-f]{7,40}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")


@dataclass(frozen=True)
class Block:
    """A fenced block. ``follows`` is the language of the block before it when only blank lines stand between."""

    language: str
    file: str | None
    text: str
    line: int
    follows: str | None


def pages() -> list[Path]:
    """Return every page that a person reads, the README first."""
    return [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), start=1))
    previous: str | None = None
    for number, line in lines:
        opening = _FENCE.match(line)
        if opening is None:
            if line.strip():
                previous = None
            continue
        text: list[str] = []
        for _, inner in lines:
            if inner.rstrip() == "```":
                break
            text.append(inner)
        else:
            raise ValueError(f"{page}:{number}: the block is never closed")
        language = opening["language"] or ""
        yield Block(language, opening["file"], "\n".join(text) + "\n", number + 1, previous)
        previous = language


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block (after ``$ ``, going on after ``> ``) with the output that it shows."""
    command: list[str] = []
    output: list[str] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield "\n".join(command), "\n".join(output)
            command, output = [line[2:]], []
        elif line.startswith("> ") and command and not output:
            command.append(line[2:])
        elif not command:
            raise ValueError(f"line {block.line}: a console block begins with a command")
        else:
            output.append(line)
    if command:
        yield "\n".join(command), "\n".join(output)


def shows(expected: str, actual: str) -> bool:
    """Whether an output is what a page shows: commit ids and times stand for any others, and ``...`` for any text."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in _lines(expected)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(actual))) is not None


def _lines(text: str) -> list[str]:
    text = _TIME.sub("<time>", _ID.sub("<id>", text.strip("\n")))
    return [line.rstrip() for line in text.splitlines()]
