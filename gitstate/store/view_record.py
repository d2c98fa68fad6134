"""What the view shows and what it knows of edits, in a private file that every refresh reads and writes."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from gitstate.engine import graph, trees
from gitstate.engine.base import Source
from gitstate.engine.objects import ObjectId, TreeEntry
from gitstate.engine.reflog import Move

__all__ = [
    "CHECKOUT",
    "FROM_THE_INDEX",
    "RESET",
    "Sight",
    "ViewRecord",
    "file_at",
    "has_moved",
    "likeliest",
    "moved_to",
    "past",
]

FROM_THE_INDEX = ("commit", "revert", "cherry-pick")
"""How the notes begin of git's commands that commit what its index says. All others bring the index and the files to
where ``HEAD`` goes, unless they are told not to."""

RESET = "reset: moving to HEAD"
"""What git notes of a reset that is not meant to move the branch: for edits, staged or not, also by ``git stash``."""

CHECKOUT = "checkout: moving"
"""How its note begins when somebody came from another branch. It names where the branch stood when all was done; the
index and the files were brought to where it stood at first: to that, or to one of the commits before."""

_ANCESTORS = 100  # how many commits back it is looked for what somebody's git may have left
_NAME = "shown"


@dataclass
class ViewRecord:
    """What the view shows, as kept in a private file.

    ``shown`` are trees (None: nothing is shown): one as a rule, several while a refresh is at work. ``index`` tells
    git's index, as the last refresh left it, from every other file. ``log`` is the size that the reflog of ``HEAD``
    had then. ``bases`` says of files that a refresh kept what the view had shown there: at that the edit began.
    ``taken`` says what stood in files when it was committed or put aside: a file that still holds it is no edit.
    ``head`` is the commit that is shown, and ``previous`` the one that was until ``since``, in seconds since 1970.
    """

    shown: list[ObjectId | None] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    log: int = 0
    bases: dict[str, TreeEntry | None] = field(default_factory=dict)
    taken: dict[str, TreeEntry | None] = field(default_factory=dict)
    head: ObjectId | None = field(default=None, compare=False)
    previous: ObjectId | None = field(default=None, compare=False)
    since: float = field(default=0.0, compare=False)

    def at(self, head: ObjectId) -> "ViewRecord":
        """Return the record of a view that was just brought to a commit."""
        if self.head == head:
            return self
        return replace(self, head=head, previous=self.head, since=time.time())

    @classmethod
    def read(cls, private: Path) -> "ViewRecord":
        """Read the record; without one, or with one that cannot be read, nothing is known."""
        try:
            data = json.loads((private / _NAME).read_bytes())
            shown, index, log = list(data["trees"]), list(data["index"]), data["log"]
            bases, taken = (_entries(data.get(name, {})) for name in ("bases", "taken"))
            head, previous, since = data.get("head"), data.get("previous"), float(data.get("since", 0.0))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls()
        if not isinstance(log, int) or not all(
            each is None or isinstance(each, str) for each in (*shown, head, previous)
        ):
            return cls()
        return cls(shown, index, log, bases, taken, head, previous, since)

    def write(self, private: Path) -> None:
        """Put the record in the place of the last one."""
        data: dict[str, Any] = {"trees": self.shown, "index": self.index, "log": self.log}
        data |= {"bases": _plain(self.bases), "taken": _plain(self.taken)}
        data |= {"head": self.head, "previous": self.previous, "since": self.since}
        beside = private / f"{_NAME}.new"
        beside.write_text(json.dumps(data))
        beside.replace(private / _NAME)


class Sight(NamedTuple):
    """What a view showed, what git did in its folder since its last refresh, oldest first, and whether it wrote its
    index since.
    """

    record: ViewRecord
    moves: list[Move]
    staged: bool


def moved_to(source: Source, path: str, moves: Sequence[Move]) -> Iterator[TreeEntry | None]:
    """Yield what git itself put at a path in the folder, or committed from there (None: it removed it), newest first.

    Raises:
        CorruptionError: What is needed to tell is gone.
    """
    for move in reversed(moves):
        here = file_at(source, move.after, path)
        committed = move.note.startswith(FROM_THE_INDEX) and move.before is not None
        if not committed or here != file_at(source, move.before or move.after, path):
            yield here


def has_moved(source: Source, path: str, staged: TreeEntry | None, moves: Iterable[Move]) -> bool:
    """Whether git may have been told to leave a file in the folder, and to move the branch and its index under it.

    ``staged`` is what the index has by now: a commit that had something else there is not what brought it to that.

    Raises:
        CorruptionError: What is needed to tell is gone.
    """
    for move in moves:
        committed = move.note.startswith(FROM_THE_INDEX) and move.before is not None
        if move.note != RESET and not committed:
            return True
        if committed and staged == file_at(source, move.after, path) != file_at(source, move.before or "", path):
            return True
    return False


def likeliest(
    source: Source, found: TreeEntry | None, content: bytes, known: Iterable[TreeEntry | None]
) -> TreeEntry | None:
    """Return from which of the known files an edited one comes: the one with the most lines in common.

    Of equals it is the first. One that is as the edited one would say that nothing was edited, so it counts last.

    Raises:
        CorruptionError: What is needed to tell is gone.
    """
    candidates = list(dict.fromkeys(known))
    if len(candidates) == 1 or found is None:
        return candidates[0]
    lines = Counter(content.splitlines())

    def distance(entry: TreeEntry | None) -> tuple[bool, int]:
        other = Counter([] if entry is None else source.read(entry.id, "blob").splitlines())
        return entry == found, ((lines - other) + (other - lines)).total()

    return min(candidates, key=distance)


def past(source: Source, commit_id: ObjectId) -> Iterator[ObjectId]:
    """Yield a commit and, of those that it followed, the last hundred. Raises CorruptionError: one is gone."""
    known: ObjectId | None = commit_id
    for _ in range(_ANCESTORS):
        if known is None:
            return
        yield known
        known = next(iter(graph.read(source, known).parents), None)


def file_at(source: Source, commit_id: ObjectId, path: str) -> TreeEntry | None:
    """Return the file that a commit has at a path. Raises CorruptionError: something is gone."""
    entry = trees.find(source, graph.read(source, commit_id).tree, path)
    return None if entry is None or entry.is_directory else entry


def _plain(entries: Mapping[str, TreeEntry | None]) -> dict[str, list[int | str] | None]:
    return {path: None if entry is None else [entry.mode, entry.id] for path, entry in entries.items()}


def _entries(data: Mapping[str, Iterable[Any] | None]) -> dict[str, TreeEntry | None]:
    """Return entries by path. Raises ValueError, TypeError or AttributeError: they are none."""
    entries: dict[str, TreeEntry | None] = {}
    for path, said in data.items():
        mode, object_id = (0, "") if said is None else said
        if not isinstance(mode, int) or not isinstance(object_id, str):
            raise TypeError(path)
        entries[path] = None if said is None else TreeEntry(mode, object_id)
    return entries
