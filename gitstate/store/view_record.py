"""What the view shows, in a private file that every refresh reads and writes."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from gitstate.engine.objects import ObjectId

__all__ = ["ViewRecord"]

_NAME = "shown"


@dataclass
class ViewRecord:
    """What the view shows, as kept in a private file.

    ``shown`` are trees (None: nothing is shown): one as a rule, several while a refresh is at work. ``index`` tells
    git's index, as the last refresh left it, from every other file. ``log`` is the size that the reflog of ``HEAD``
    had then.
    """

    shown: list[ObjectId | None] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    log: int = 0

    @classmethod
    def read(cls, private: Path) -> "ViewRecord":
        """Read the record; without one, or with one that cannot be read, nothing is known."""
        try:
            data = json.loads((private / _NAME).read_bytes())
            shown, index, log = data["trees"], data["index"], data["log"]
        except (OSError, ValueError, TypeError, KeyError):
            return cls()
        if not all(tree is None or isinstance(tree, str) for tree in shown) or not isinstance(log, int):
            return cls()
        return cls(list(shown), list(index), log)

    def write(self, private: Path) -> None:
        """Put the record in the place of the last one."""
        beside = private / f"{_NAME}.new"
        beside.write_text(json.dumps({"trees": self.shown, "index": self.index, "log": self.log}))
        beside.replace(private / _NAME)
