"""What the files of a value say when people edited some of them by hand.

A person who adds or removes the file of an entry need not know the list in the root file that names all of them: what
was done to files counts, and the list follows. A change of the list alone says what cannot be, and is an error.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gitstate.errors import CorruptionError
from gitstate.format.layout import Layout, Part
from gitstate.values import canonical
from gitstate.values.canonical import Value

__all__ = ["EditedValues", "edited_values"]


class EditedValues(NamedTuple):
    """A value before some of its files were edited and after it; None where there is no file of it.

    ``unreadable`` says why there is no value before, although there are files of it.
    """

    base: dict[str, Value] | None
    value: dict[str, Value] | None
    unreadable: str = ""


def edited_values(
    layout: Layout,
    files: Mapping[str, bytes],
    bases: Mapping[str, bytes | None],
    edits: Mapping[str, bytes | None],
) -> EditedValues:
    """Return what files say with their edits, and without them.

    Entries that came or went in files that nobody edited, after the list was, are left out of both.

    Args:
        layout: Which files a value has.
        files: All of them, as they stand now, by path.
        bases: What those that were edited held before; None: they were not there.
        edits: What they hold after it.

    Raises:
        CorruptionError: What they hold after it is no value; the message names the file.
    """
    before, after = _with(files, bases), _with(files, edits)
    unreadable, base = "", None
    try:
        base = _joined(
            layout, before, {part: [*_keys(layout, part, before), *_touched(part, bases)] for part in layout.parts}
        )
    except CorruptionError as error:
        unreadable = error.message
    if not after:
        return EditedValues(base, None, unreadable)
    layout.join({path: after[path] for path in after if path == layout.root}, only=())  # tells what is wrong with it
    keys = {part: _edited_keys(layout, part, (before, after), edits) for part in layout.parts}
    return EditedValues(base, _joined(layout, after, keys), unreadable)


def _with(files: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    return {path: data for path, data in {**files, **changes}.items() if data is not None}


def _keys(layout: Layout, part: Part, files: Mapping[str, bytes]) -> list[str]:
    """Return the keys that the list of a part names; none if it cannot be read, or there is no list."""
    try:
        root = canonical.loads(files[layout.root])
        return layout.listed(part, root) if isinstance(root, dict) else []
    except (KeyError, CorruptionError):
        return []


def _touched(part: Part, changes: Mapping[str, bytes | None]) -> list[str]:
    """Return the keys of the entries whose files are there after some changes."""
    return [
        key for path, data in sorted(changes.items()) if data is not None and (key := part.key_of(path)) is not None
    ]


def _edited_keys(
    layout: Layout,
    part: Part,
    sides: tuple[Mapping[str, bytes], Mapping[str, bytes]],
    edits: Mapping[str, bytes | None],
) -> list[str]:
    """Return the keys of the entries that a part has after the edits."""
    before, after = (_keys(layout, part, side) for side in sides)
    for key in sorted(set(after) - set(before)):
        if part.path_of(key) not in sides[1]:
            raise CorruptionError(f"{part.path_of(key)} is missing, but {layout.root} names it")
    removed = set(before) - set(after)
    keys = [*after, *(key for key in _touched(part, edits) if key not in removed)]
    named = {part.path_of(key) for key in keys}
    written = [path for path, data in edits.items() if data is not None and part.pattern.fullmatch(path)]
    for path in sorted([*written, *(path for key in removed if (path := part.path_of(key)) in sides[1])]):
        if path not in named:
            raise CorruptionError(f"{path} is there, but {layout.root} does not name it")
    return keys


def _joined(layout: Layout, files: Mapping[str, bytes], keys: Mapping[Part, Iterable[str]]) -> dict[str, Value] | None:
    """Return the value of files, with those entries of each part that these keys name and that are there."""
    if not files:
        return None
    kept = dict(files)
    root = canonical.loads(kept[layout.root]) if _is_json(layout, kept) else None
    if isinstance(root, dict):
        for part, named in keys.items():
            there = [key for key in dict.fromkeys(named) if part.path_of(key) in kept]
            paths = {part.path_of(key) for key in there}
            kept = {path: data for path, data in kept.items() if path in paths or not part.pattern.fullmatch(path)}
            if there or layout.listed(part, root):
                root[part.field] = layout.listing(there)
        kept[layout.root] = canonical.dumps(root)
    return layout.join(kept)


def _is_json(layout: Layout, files: Mapping[str, bytes]) -> bool:
    try:
        canonical.loads(files[layout.root])
    except (KeyError, CorruptionError):
        return False  # which the layout tells
    return True
