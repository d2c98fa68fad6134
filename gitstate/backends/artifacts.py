"""Sheets that are known by their output files: a glob pattern, and the number in each file's name.

Patterns are relative and use ``/``. ``*``, ``?`` and ``[abc]`` match within one name, ``**`` any number of folders.
Case counts on every system. As in a shell, a name that begins with a dot is matched only by a pattern that does.
The same rules hold for a folder of files and for the paths of a committed tree.
"""

import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from gitstate.errors import InvalidInputError

__all__ = ["check_pattern", "find_sheets", "folder", "last_sheet", "match_paths", "sheet_number"]

# No letter or digit before it; nine digits are more sheets than anyone has, and more is a date or a hash.
_SHEET = re.compile(r"(?<![^\W_])sheet[_\- ]?0*([1-9][0-9]{0,8})(?![0-9])", re.IGNORECASE)

_Positions = frozenset[int]  # how far a path may have come in the segments of a pattern


def sheet_number(name: str) -> int | None:
    """Return the sheet number in a file's name, or None.

    It is read from ``sheet`` followed by digits, any case, with ``_``, ``-`` or a space between them or nothing:
    ``Sheet_3.md`` and ``my-sheet12-report.md`` have one, ``batchsheet99.md`` and ``sheet0.md`` have none.
    """
    found = _SHEET.search(name)
    return None if found is None else int(found[1])


def check_pattern(pattern: str) -> tuple[str, ...]:
    """Return the segments of a glob pattern.

    Raises:
        InvalidInputError: The pattern is empty, absolute or climbs with ``..``.
    """
    if not isinstance(pattern, str) or not pattern.strip("./ "):
        raise InvalidInputError(f"the pattern {pattern!r} matches no file", hint="give one such as 'sheet*-report.md'")
    segments = tuple(part for part in pattern.split("/") if part not in ("", "."))
    if pattern.startswith("/") or ".." in segments:
        raise InvalidInputError(f"the pattern {pattern!r} leaves the workspace", hint="give a relative one without ..")
    return (*segments, "*") if segments[-1] == "**" else segments


def folder(workspace: str | os.PathLike[str]) -> Path:
    """Return the path of a workspace.

    Raises:
        InvalidInputError: It is no path.
    """
    if not isinstance(workspace, (str, os.PathLike)):
        raise InvalidInputError(f"a workspace is the path of a folder, not {workspace!r}")
    return Path(workspace)


def find_sheets(workspace: Path, pattern: str) -> dict[int, list[str]]:
    """Return the files of a workspace that match a pattern, by sheet number.

    Folders do not count, and neither does what a symbolic link shows from outside of the workspace.

    Args:
        workspace: The folder to look in; if there is none, nothing is found.
        pattern: A glob pattern, relative to the workspace.

    Returns:
        For each number the sorted paths, relative to the workspace, with ``/``.

    Raises:
        InvalidInputError: The pattern is empty, absolute or climbs with ``..``.
    """
    segments = check_pattern(pattern)
    if not workspace.is_dir():
        return {}
    root = os.path.realpath(workspace)
    return _by_number(_walk(root, "", _begin(segments), segments, (root,)))


def match_paths(paths: Iterable[str], pattern: str) -> dict[int, list[str]]:
    """Return the paths that match a pattern, by sheet number: :func:`find_sheets` for files that lie in no folder.

    Args:
        paths: Paths of files, relative and with ``/``, such as those of a committed tree.
        pattern: A glob pattern.

    Raises:
        InvalidInputError: The pattern is empty, absolute or climbs with ``..``.
    """
    segments = check_pattern(pattern)
    return _by_number(path for path in paths if _matches(path, segments))


def last_sheet(found: dict[int, list[str]]) -> int | None:
    """Return the highest number that was found, or None."""
    return max(found, default=None)


def _by_number(paths: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path in sorted(paths):
        number = sheet_number(path.rpartition("/")[2])
        if number is not None:
            found.setdefault(number, []).append(path)
    return found


def _matches(path: str, segments: tuple[str, ...]) -> bool:
    positions = _begin(segments)
    for name in path.split("/"):
        positions = _advance(positions, name, segments)
    return len(segments) in positions


def _walk(
    folder: str, prefix: str, positions: _Positions, segments: tuple[str, ...], ancestors: tuple[str, ...]
) -> Iterator[str]:
    """Yield the matching files below a folder; only folders that a match may lie in are read."""
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError:
        return  # as with any glob: what cannot be read holds no match
    for entry in entries:
        reached = _advance(positions, entry.name, segments)
        if not reached:
            continue
        target = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
        if os.path.commonpath((ancestors[0], target)) != ancestors[0]:
            continue  # a link that leaves the workspace
        if os.path.isdir(target):
            if target not in ancestors:  # else a link that leads back to where we came from
                yield from _walk(target, f"{prefix}{entry.name}/", reached, segments, (*ancestors, target))
        elif len(segments) in reached and os.path.isfile(target):
            yield prefix + entry.name


def _begin(segments: tuple[str, ...]) -> _Positions:
    return _closed({0}, segments)


def _advance(positions: _Positions, name: str, segments: tuple[str, ...]) -> _Positions:
    """Return where a path stands in the pattern after one more name; nowhere means that nothing below can match."""
    reached = set()
    for position in positions:
        if position == len(segments):
            continue
        segment = segments[position]
        if name.startswith(".") and not segment.startswith("."):
            continue
        if segment == "**":
            reached.add(position)
        elif fnmatchcase(name, segment):
            reached.add(position + 1)
    return _closed(reached, segments)


def _closed(positions: set[int], segments: tuple[str, ...]) -> _Positions:
    """Add the positions after each ``**``, which may stand for no folder at all."""
    for position in sorted(positions):
        while position < len(segments) and segments[position] == "**":
            position += 1
            positions.add(position)
    return frozenset(positions)
