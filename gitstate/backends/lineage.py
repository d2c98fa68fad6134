"""Where a state comes from: the value that its next save is merged from.

The base of a save is what the state object was loaded as or last handed to ``save`` with, never the result of a
merge: otherwise the next save of the same object would revert what the merge brought in. A save that is still on its
way is no base yet; so each object holds a chain of pictures, and the nearest one that was published counts. Saves of
one object that overlap, copies made in between and callers that went away count every change once.
"""

import weakref
from typing import Any

from pydantic import BaseModel

__all__ = ["Lineages", "Picture"]


class Picture:
    """A value as it was loaded from or handed to a store, as JSON text, and whether the store has it."""

    def __init__(self, store: str, document: str, text: bytes, previous: "Picture | None", *, published: bool) -> None:
        self.store = store
        self.document = document
        self.text = text
        self.published = published
        self.dropped = False
        self._previous = previous

    def base(self) -> "Picture | None":
        """Return the nearest picture in the chain that the store has."""
        picture: Picture | None = self
        while picture is not None and not picture.published:
            picture = picture._previous
        return picture

    def publish(self) -> None:
        """Say that the store has it; what came before no longer matters."""
        self.published, self._previous = True, None

    def drop(self) -> None:
        """Say that the store will never have it."""
        self.dropped = True

    def alive(self) -> "Picture | None":
        """Return the nearest picture in the chain that the store has or may still get."""
        picture: Picture | None = self
        while picture is not None and picture.dropped and not picture.published:
            picture = picture._previous
        return picture

    def __eq__(self, other: object) -> bool:
        # Where a state comes from says nothing about what it holds: models compare their private attributes too.
        return other is None or isinstance(other, Picture)

    __hash__ = None  # type: ignore[assignment]  # equal to every other one, so there is nothing to hash

    def __deepcopy__(self, memo: dict[int, Any]) -> "Picture":
        return self  # a deep copy of a state shares its past: a save on its way is the same save for both


class Lineages:
    """Remembers the picture of each state object: in the object where its model has a place for it, else beside."""

    def __init__(self) -> None:
        self._beside: dict[int, Picture] = {}

    def get(self, state: BaseModel) -> Picture | None:
        """Return the picture of a state, or None."""
        picture = getattr(state, "_lineage", None) if _has_place(state) else self._beside.get(id(state))
        return picture if isinstance(picture, Picture) else None

    def put(self, state: BaseModel, picture: Picture) -> None:
        """Remember the picture of a state for as long as the object lives."""
        if _has_place(state):
            state._lineage = picture  # type: ignore[attr-defined]  # _has_place asked for it
            return
        if id(state) not in self._beside:
            weakref.finalize(state, self._beside.pop, id(state), None).atexit = False
        self._beside[id(state)] = picture


def _has_place(state: BaseModel) -> bool:
    return "_lineage" in type(state).__private_attributes__
