"""Fields that a model does not know: another program's, whose model has them. A save must not take them away.

A pydantic model that says nothing of it ignores what it does not know, and so does each state that it loads. What such
a state is encoded as lacks these fields, though nobody meant to remove them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gitstate.backends.restoring import now_text
from gitstate.errors import GitStateError
from gitstate.values.canonical import Value, equal
from gitstate.values.merge import same
from gitstate.values.shape import ABSENT, Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitstate.format.codec import Codec

__all__ = ["as_said", "kept", "stamped"]

_Object = dict[str, Value]


def kept(codec: Codec[Any], ours: _Object, normal: _Object, stored: _Object) -> _Object:
    """Return what a state is saved as: with the fields of the stored value that its model does not look at.

    A name of old times or an alias, which the model turns into another field, is looked at, and goes.

    Args:
        codec: That of the model.
        ours: What the state is encoded as; it is returned itself if there is nothing to keep.
        normal: What it was loaded as.
        stored: What the store has.
    """
    value = cast(_Object, _with_strangers(ours, normal, stored))
    is_safe = value is not ours and _means(codec, _known(stored, normal), normal) and _means(codec, value, ours)
    return value if is_safe else ours


def stamped(value: _Object, ours: _Object) -> _Object:
    """Return what is saved, with the time of now if only other models have a place for it."""
    if "updated_at" in ours or not isinstance(value.get("updated_at"), str):
        return value
    return value | {"updated_at": now_text()}


def as_said(theirs: Slot, stored: Slot, normal: Slot, ours: Slot) -> Slot:
    """Return the other side of a merge as the model says it where only ours changed something.

    ``normal`` is what the model makes of ``stored``, where both sides began: nobody removed a field that has its
    default in the one and does not stand in the other.
    """
    if same(theirs, stored) and same(ours, normal):
        return theirs
    if all(isinstance(side, dict) for side in (theirs, stored, normal, ours)):
        return _each(as_said, theirs, stored, normal, ours)
    return normal if same(theirs, stored) else theirs


def _with_strangers(ours: Slot, normal: Slot, stored: Slot) -> Slot:
    if same(normal, stored):
        return ours  # there are none; as a rule these are the same objects, and that is told at once
    if isinstance(ours, dict) and isinstance(normal, dict) and isinstance(stored, dict):
        value = _each(_with_strangers, ours, normal, stored)
        is_same = len(value) == len(ours) and all(value[key] is entry for key, entry in ours.items())
        return ours if is_same else value
    is_list = isinstance(ours, list) and isinstance(stored, list)  # its items may have such fields
    return stored if same(ours, normal) and (is_list or ours is ABSENT) else ours


def _known(stored: Slot, normal: Slot) -> Slot:
    """Return a stored value without the fields that are not there once the model has loaded it."""
    if isinstance(stored, dict) and isinstance(normal, dict):
        return _each(_known, stored, normal)
    return ABSENT if normal is ABSENT else stored


def _each(of: Callable[..., Slot], *sides: Slot) -> _Object:
    objects = [side if isinstance(side, dict) else {} for side in sides]
    keys = dict.fromkeys(key for side in objects for key in side)
    entries = {key: of(*(side.get(key, ABSENT) for side in objects)) for key in keys}
    return {key: entry for key, entry in entries.items() if entry is not ABSENT}


def _means(codec: Codec[Any], value: Slot, said: _Object) -> bool:
    """Whether the model makes of a value what another one says."""
    try:
        return equal(codec.normal(cast(_Object, value), {}), said)
    except GitStateError:
        return False
