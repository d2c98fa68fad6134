"""Pins: names for revisions of a document, which are plain git tags: ``refs/tags/jobs/nightly/before-upgrade``.

So git lists, shows, pushes and fetches them, and no clean-up drops what they name. A pin never moves.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from gitstate import clock
from gitstate.engine.base import Engine
from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import TAGS
from gitstate.errors import ExistsError, InvalidInputError, NotFoundError, StaleError
from gitstate.format import names
from gitstate.store.documents import Collection
from gitstate.store.moments import moment

__all__ = ["Pin", "Pins", "folder"]

_LONGEST = 60  # bytes of a name: written in a tag, each may take three
_ID_LIKE = re.compile(r"[0-9a-f]{4,40}", re.IGNORECASE)


class Pin(NamedTuple):
    """A name and the commit that it stands for."""

    name: str
    revision: ObjectId


class Pins:
    """The pins of one document. Safe to use from any thread."""

    def __init__(self, engine: Engine, collection: Collection, document: str) -> None:
        self._engine = engine
        self._document = document
        self._folder = f"{folder(collection)}{names.ref_encode(document)}/"

    def find(self, name: str) -> ObjectId | None:
        """Return the commit that a name stands for, or None."""
        return next(filter(None, map(self._engine.ref, self._refs(name))), None)

    def all(self) -> list[Pin]:
        """Return every pin that stands at a commit, by name."""
        found = ((ref.removeprefix(self._folder), self._engine.ref(ref)) for ref in self._engine.refs(self._folder))
        return sorted(Pin(_decoded(name), commit_id) for name, commit_id in found if commit_id is not None)

    def add(self, name: str, revision: ObjectId) -> bool:
        """Let a name stand for a revision; False: it does already.

        Raises:
            InvalidInputError: The name would be read as something else.
            ExistsError: It stands for another revision.
            BusyError: Another process did not let go of the store in time.
        """
        if not self.check(name, revision):
            return False
        try:
            self._engine.create_ref(self._ref(name), revision)
        except StaleError:  # somebody else was faster
            return self.check(name, revision)
        return True

    def check(self, name: str, revision: ObjectId) -> bool:
        """Tell whether a name can be given to a revision; False: it has it already. Raises as :meth:`add` does."""
        _check(name)
        standing = self.find(name)
        if standing not in (None, revision):
            raise ExistsError(
                f"{name!r} of {self._document!r} is pinned at {standing[:12]}; it was not moved",
                hint="choose another name, or remove that pin first (`gitstate pin --delete`)",
            )
        return standing is None

    def remove(self, name: str) -> ObjectId:
        """Take a name away; return the commit that it stood for, which stays where it is.

        Raises:
            NotFoundError: There is no such pin; the message lists those that there are.
            BusyError: Another process did not let go of the store in time.
        """
        ref, commit_id = self._found(name)
        self._engine.delete_ref(ref, expected=commit_id)
        return commit_id

    def get(self, name: str) -> ObjectId:
        """Return the commit that a name stands for. Raises NotFoundError as :meth:`remove` does."""
        return self._found(name)[1]

    def _found(self, name: str) -> tuple[str, ObjectId]:
        """Return the tag that a name is, and the commit that it stands for."""
        for ref in self._refs(name):
            commit_id = self._engine.ref(ref)
            if commit_id is not None:
                return ref, commit_id
        there = ", ".join(pin.name for pin in self.all()) or "none"
        raise NotFoundError(f"{self._document!r} has no pin {name!r}", hint=f"its pins: {there}")

    def _refs(self, name: str) -> tuple[str, ...]:
        """Return the tags that a name may be: as we write it, and as somebody may with plain git."""
        return (self._ref(name), f"{self._folder}{name}") if _plain(name) else ()

    def _ref(self, name: str) -> str:
        return f"{self._folder}{names.ref_encode(name)}"


def folder(collection: Collection) -> str:
    """Return the prefix of the tags that are pins of a collection's documents."""
    return f"{TAGS}{names.ref_encode(collection.name)}/"


def _plain(name: object) -> bool:
    """Whether a name is made of letters of any script, digits and ``._-``, and is no longer than a name may be."""
    if not isinstance(name, str):
        return False
    return all(char.isalnum() or char in "._-" for char in name) and 0 < len(name.encode()) <= _LONGEST


def _check(name: str) -> None:
    if not _plain(name) or name[0] in ".-":
        raise InvalidInputError(
            f"a pin cannot be named {name!r}", hint=f"use letters, digits, '.', '_' and '-', {_LONGEST} bytes at most"
        )
    if _ID_LIKE.fullmatch(name) or moment(name, clock.now()) is not None:
        raise InvalidInputError(
            f"a pin cannot be named {name!r}: that would be read as a commit id or a time", hint="add a word"
        )


def _decoded(name: str) -> str:
    return unquote_to_bytes(name).decode("utf-8", "replace")
