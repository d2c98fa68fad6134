"""Files beside the documents that are merged by what they mean, and not as a whole."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gitstate.errors import CorruptionError
from gitstate.values import canonical
from gitstate.values.canonical import Shape

__all__ = ["FILE_RULES", "FileRule"]

FileRule: TypeAlias = Callable[[bytes, bytes], bytes | None]
"""Makes one content of two, whichever comes first; None: they cannot be read."""

_SHAPE = Shape(fields=("format", "entries"), inner={"entries": Shape(each=Shape(fields=("commits", "jobs", "values")))})


def _all_purges(one: bytes, other: bytes) -> bytes | None:
    """Return what either says was purged: a purge is never taken back."""
    try:
        values: list[Any] = [canonical.loads(data) for data in (one, other)]
        rest = [{key: item for key, item in value.items() if key != "entries"} for value in values]
        entries = {canonical.dumps(entry): entry for value in values for entry in value["entries"]}
    except (CorruptionError, AttributeError, KeyError, TypeError):
        return None
    if not canonical.equal(rest[0], rest[1]):
        return None  # one of them is of another format
    return canonical.dumps({**rest[0], "entries": [entries[key] for key in sorted(entries)]}, _SHAPE)


FILE_RULES: Final[Mapping[str, FileRule]] = {"purged.json": _all_purges}
"""By the paths of the files from the root."""
