"""Files beside the documents that are merged by what they mean, and not as a whole."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from gitstate.errors import CorruptionError, UnsupportedFormatError
from gitstate.format.purged import PURGED_FILE, Purged
from gitstate.values import canonical

__all__ = ["FILE_RULES", "FileRule"]

FileRule: TypeAlias = Callable[[bytes, bytes], bytes | None]
"""Makes one content of two, whichever comes first; None: they cannot be read."""


def _all_purges(one: bytes, other: bytes) -> bytes | None:
    """Return what either says was purged."""
    try:
        ours, theirs = Purged.parse(one), Purged.parse(other)
    except (CorruptionError, UnsupportedFormatError):
        return None
    return ours.united(theirs).to_bytes() if canonical.equal(dict(ours.unknown), dict(theirs.unknown)) else None


FILE_RULES: Final[Mapping[str, FileRule]] = {PURGED_FILE: _all_purges}
"""By the paths of the files from the root."""
