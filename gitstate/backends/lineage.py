"""Where a state comes from: the value that its next save is merged from.

The base of a save is what the state object was loaded as or last handed to ``save`` with, never the result of a
merge: otherwise the next save of the same object would revert what the merge brought in. A save that is still on its
way is no base yet; so each object holds a chain of pictures, and the nearest one that was published counts. Saves of
one object that overlap, copies made in between and callers that went away count every change once.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from gitstate.store.content import Content

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gitstate.format.codec import Encoded
    from gitstate.format.secrets import Redactor

__all__ = ["Lineages", "Picture"]

_BORNE = 4  # so many pictures does an object bear: it may be mirrored to other stores, or be renamed and back


class Picture:
    """What a state object was loaded as from a store or handed to it as, and whether the store has it.

    ``content`` is its value, ``value_id`` the id of the stored value that it is, None as long as there is none: a save
    that was merged is none. ``revision`` is the commit at which the store had it; what came since is news to it.
    ``encoded`` helps to encode the object once more, and is left behind by a pickle. ``is_on_its_way`` says that the
    commit at which the store has it is in a batch that is not published yet.
    """

    def __init__(
        self,
        store: str,
        document: str,
        content: Content,
        *,
        encoded: Encoded | None = None,
        previous: Picture | None = None,
    ) -> None:
        self.store = store
        self.document = document
        self.content = content
        self.encoded = encoded
        self.value_id: str | None = None
        self.revision: str | None = None
        self._previous = previous
        self._stands = self._dropped = False
        self.is_on_its_way = False

    def base(self) -> Picture | None:
        """Return the nearest picture in the chain that the store has."""
        picture: Picture | None = self
        while picture is not None and not picture._stands:
            picture = picture._previous
        return picture

    def stand(self, value_id: str | None, revision: str) -> None:
        """Say that the store has it, or will have it with the next batch: the saves behind it are based on it."""
        self._stands, self.value_id, self.revision = True, value_id, revision

    def withdraw(self) -> None:
        """Take that back."""
        self._stands, self.value_id, self.revision = False, None, None
        self.is_on_its_way = False

    def publish(self) -> None:
        """Say that the store has it for good; what came before no longer matters."""
        self._previous = None
        self.is_on_its_way = False

    def drop(self) -> None:
        """Say that the store will never have it, unless it has."""
        self._dropped = True

    def alive(self) -> Picture | None:
        """Return the nearest picture in the chain that the store has or may still get."""
        picture: Picture | None = self
        while picture is not None and picture._dropped and not picture._stands:
            picture = picture._previous
        return picture

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"encoded": None, "is_on_its_way": False}


class _Album:
    """The pictures that one state object bears, newest first: one for each store and document it was handed to."""

    def __init__(self, *pictures: Picture) -> None:
        self.pictures = pictures[:_BORNE]

    def of(self, store: str, document: str) -> Picture | None:
        return next((each for each in self.pictures if (each.store, each.document) == (store, document)), None)

    def with_new(self, picture: Picture) -> _Album:
        known = self.of(picture.store, picture.document)
        return _Album(picture, *(each for each in self.pictures if each is not known))

    def __eq__(self, other: object) -> bool:
        # Where a state comes from says nothing about what it holds: models compare their private attributes too.
        return other is None or isinstance(other, _Album)

    __hash__ = None  # type: ignore[assignment]  # equal to every other one, so there is nothing to hash

    def __deepcopy__(self, memo: dict[int, Any]) -> _Album:
        return self  # a deep copy of a state shares its past: a save on its way is the same save for both


class Lineages:
    """Remembers the pictures of each state object: in the object where its model has a place for it, else beside."""

    def __init__(self) -> None:
        self._beside: dict[int, _Album] = {}

    def get(self, state: BaseModel, store: str, document: str) -> Picture | None:
        """Return the picture of a state as a document of a store, or None."""
        return self._album(state).of(store, document)

    def encoded(self, state: BaseModel, redactor: Redactor | None) -> Encoded | None:
        """Return what a state was encoded as last, whichever store that was for, with this redactor."""
        known = (picture.encoded for picture in self._album(state).pictures)
        return next((each for each in known if each is not None and each.redactor == redactor), None)

    def put(self, state: BaseModel, picture: Picture) -> None:
        """Remember a picture of a state for as long as the object lives."""
        album = self._album(state).with_new(picture)
        if _has_place(state):
            state._lineage = album  # type: ignore[attr-defined]  # _has_place asked for it
            return
        if id(state) not in self._beside:
            weakref.finalize(state, self._beside.pop, id(state), None).atexit = False
        self._beside[id(state)] = album

    def _album(self, state: BaseModel) -> _Album:
        album = getattr(state, "_lineage", None) if _has_place(state) else self._beside.get(id(state))
        return album if isinstance(album, _Album) else _Album()


def _has_place(state: BaseModel) -> bool:
    return "_lineage" in type(state).__private_attributes__
