"""How much is taken in from others, and so saved: generous for what people make, and too narrow to fill a machine."""

from typing import NamedTuple

__all__ = ["DEFAULT", "Limits"]


class Limits(NamedTuple):
    """What a fetch may bring. Numbers of bytes are of contents, not of what is packed, where nothing else is said."""

    pack_bytes: int = 4 << 30
    """Of the pack, as it is sent."""
    objects: int = 20_000_000
    """In the pack."""
    object_bytes: int = 256 << 20
    """Of any object."""
    commit_bytes: int = 1 << 20
    """Of a commit, its message among them."""
    tree_bytes: int = 16 << 20
    """Of one folder's list of names: a quarter of a million of them."""
    document_bytes: int = 64 << 20
    """Of a JSON file of a document."""
    nesting: int = 1000
    """Objects and lists in one another, in such a file."""
    entries: int = 10_000_000
    """Files that are new or differ from those before, in all commits together, beyond 20 for each object of the pack:
    whoever writes more than that repeats folders, and does not send them."""
    depth: int = 100
    """Folders in one another."""
    path_bytes: int = 2000
    """Of a path."""
    name_bytes: int = 255
    """Of a name: file systems take no longer ones."""


DEFAULT = Limits()
"""What a fetch allows if nothing else is said, and so the most that is saved."""
