"""The work of the demo's job: an index of the terms in some text files, written as a report. Pure functions."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import gitstate
from gitstate.errors import InvalidInputError, NotFoundError

__all__ = ["PATTERN", "plan", "report", "report_name", "sources"]

PATTERN = "sheet*-report.md"

_SHEETS = 12  # at most
_FILES = 600  # at most, so that the demo ends soon on any folder
_FILE_BYTES = 500_000  # larger files are data rather than text to read
_TERMS = 12  # in a report
_PLACES = 3  # of each term
_TERM = re.compile(r"[^\W\d_]{4,}")
_COMMON = frozenset(
    ("from", "have", "into", "more", "only", "that", "them", "then", "they", "this", "what", "when", "which", "with")
)


def sources(folder: Path | None) -> tuple[Path, list[str]]:
    """Return a root folder and the text files below it, as sorted relative paths.

    Without a folder these are the documents of this project, or, where only the package is installed, its own sources.

    Raises:
        NotFoundError: There is no such folder.
        InvalidInputError: It holds fewer than two text files.
    """
    if folder is None:
        package = Path(gitstate.__file__).parent
        checkout = package.parent
        if (checkout / "docs").is_dir() and (checkout / "README.md").is_file():
            pages = [f"docs/{path}" for path in _text_files(checkout / "docs")]
            return checkout, ["CHANGELOG.md", "README.md", *pages]
        folder = package
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {str(folder)!r}")
    found = _text_files(folder)
    if len(found) < 2:
        raise InvalidInputError(f"the demo needs two or more text files; {str(folder)!r} holds {len(found)}")
    return folder.absolute(), found


def plan(files: Sequence[str]) -> dict[int, list[str]]:
    """Return which files each sheet reads: consecutive ones, about the same number for each sheet."""
    sheets = min(_SHEETS, len(files))
    cuts = [len(files) * number // sheets for number in range(sheets + 1)]
    return {number + 1: list(files[cuts[number] : cuts[number + 1]]) for number in range(sheets)}


def report_name(number: int) -> str:
    """Return the name of a sheet's report."""
    return f"sheet{number}-report.md"


def report(number: int, root: Path, files: Sequence[str]) -> str:
    """Return the report of a sheet: the terms that its files use most, and where. The same for the same files."""
    counts: Counter[str] = Counter()
    places: dict[str, list[str]] = {}
    lines = words = 0
    for name in files:
        for line_number, line in enumerate(_read(root / name).splitlines(), start=1):
            lines += 1
            words += len(line.split())
            for term in _TERM.findall(line.casefold()):
                if term in _COMMON:
                    continue
                counts[term] += 1
                place, known = f"{name}:{line_number}", places.setdefault(term, [])
                if len(known) < _PLACES and place not in known:
                    known.append(place)
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TERMS]
    rows = [f"| {term} | {times} | {', '.join(places[term])} |" for term, times in most]
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    head = f"{count}, {lines} lines, {words} words, {len(counts)} different terms"
    listed = "\n".join(f"- {name}" for name in files)
    table = "\n".join(["| term | times | first seen |", "|---|---|---|", *rows])
    return f"# Sheet {number}\n\n{head}:\n\n{listed}\n\n{table}\n"


def _text_files(folder: Path) -> list[str]:
    found: list[str] = []
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name.isprintable() and not name.startswith((".", "__")))
        # Names that are not printable would have to be escaped in the reports.
        paths = (Path(path, name) for name in sorted(names) if name.isprintable() and not name.startswith("."))
        found += [file.relative_to(folder).as_posix() for file in paths if _is_text(file)]
        if len(found) >= _FILES:
            break
    return sorted(found[:_FILES])


def _is_text(path: Path) -> bool:
    try:
        if not path.is_file() or path.is_symlink() or not 0 < path.stat().st_size <= _FILE_BYTES:
            return False
        content = path.read_bytes()
        content.decode()
    except (OSError, UnicodeDecodeError):
        return False
    return b"\0" not in content


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
