"""What is wrong with a history that others sent: each place by name, the first of them listed, all of them counted."""

from collections.abc import Sequence
from typing import Any, NoReturn

from gitstate.engine.check import Problem
from gitstate.engine.objects import ObjectId, name_text
from gitstate.errors import UntrustedError
from gitstate.words import printable

__all__ = ["Findings", "unreadable"]

_HINT = "have it mended where it was made, or ask the author; nothing was taken in"

_LISTED = 20  # problems that are told one by one


class Findings:
    """Problems, as they are found."""

    def __init__(self) -> None:
        self._listed: list[Problem] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, kind: str, place: str, what: str, revision: ObjectId, author: str = "") -> None:
        """Count a problem, and list it if it is one of the first; all texts may be somebody's whom nobody trusts."""
        self._count += 1
        if len(self._listed) < _LISTED:
            self._listed.append(
                Problem(kind, printable(place), printable(what), _HINT, revision=revision, author=printable(author))
            )

    def add_file(self, kind: str, path: bytes, what: str, revision: ObjectId, author: str) -> None:
        """Count a problem with what lies at a path."""
        self.add(kind, f"{name_text(path) or 'the top'} at revision {revision[:12]}", what, revision, author)

    def refuse(self) -> NoReturn:
        """Raise them."""
        first = self._listed[0]
        more = f", and {self._count - 1} more" if self._count > 1 else ""
        by = f", by {first.author}" if first.author else ""
        raise UntrustedError(
            f"what the remote sent cannot be taken in: {first.place}: {first.what}{by}{more}",
            problems=self._listed,
            hint=_HINT,
        )


def unreadable(fact: Sequence[Any] | None, what: str, longest: int) -> str:
    """Say why something, of which this kind and size are known, cannot be a commit, a folder or a file."""
    if fact is None:
        return "it is missing or damaged"
    kind, size = fact[:2]
    return f"it has {size} bytes, more than {longest}" if size > longest else f"a {kind} stands where a {what} should"
