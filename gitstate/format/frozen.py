"""Pictures of objects that tell later whether anything in them changed, however deep, also in place.

A picture holds the very objects that it shows. A value that cannot change is the same as long as it is the same object:
so 1, 1.0 and True differ, and NaN is like itself. What can change is looked into. An object of a kind that is not known
here, or that holds one, has no picture, and never counts as unchanged; nor does one that lies within itself.
"""

from abc import ABC
from collections import deque
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import cache
from operator import is_
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import NoneType
from typing import Any, Generic
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from pydantic_core import TzInfo

__all__ = ["UNLIKE", "Frozen", "freeze", "same"]

_MAX_DEPTH = 128  # no value is deeper
_ZONES = frozenset((NoneType, timezone, ZoneInfo, TzInfo))
_PATHS = (PosixPath, PurePosixPath, PureWindowsPath, WindowsPath)
_ATOMS = _ZONES.union((type, str, int, float, bool, bytes, complex, date, timedelta, Decimal, UUID), _PATHS)
_SEQUENCES = frozenset((list, tuple, set, frozenset, deque))
_BARE_BASES = (object, Generic, ABC)
_END = (object(),)  # stands behind the members of an object, lest one's last passes for the next one's first


class Frozen:
    """The picture of one object: the members of all that lies in it, by identity.

    ``dicts`` and ``others`` are the objects in it, at any depth, that can change; ``empty`` those that held nothing. As
    they are members too, whatever took the place of one of them is noticed, and they need not be searched for again.
    """

    __slots__ = ("dicts", "empty", "kind", "members", "names", "others")

    def __init__(self, item: Any, found: list[Any]) -> None:
        self.kind: Any = type(item)
        self.names = [*item.__dict__] if isinstance(item, BaseModel) else None
        self.dicts: list[Any] = []
        self.others: list[Any] = []
        self.empty: list[Any] = []
        for each in found:
            kind = type(each)
            if not each and (kind is dict or kind in _SEQUENCES):
                self.empty.append(each)
            else:
                (self.dicts if kind is dict else self.others).append(each)
        self.members = self.read(item)

    def read(self, item: Any) -> list[Any]:
        """Return the members of a model, and of all that the picture knows to be in it.

        What is no model is its own only member, so that nothing but itself can be the same.
        """
        if self.names is None:
            members = [item]
        else:
            members = [*item.__dict__.values(), item.__pydantic_extra__, item.__pydantic_private__]
        for each in self.dicts:
            members += each
            members += each.values()
            members += _END
        for each in self.others:
            members += _members(each)
            members += _END
        return members


class _Unlike:
    """The kind of no object."""


def freeze(item: Any) -> Frozen:
    """Return the picture of an object as it is now."""
    found: list[Any] = []
    is_model = isinstance(item, BaseModel) and _is_known(type(item))
    return Frozen(item, found) if _search(_members(item) if is_model else [item], found, 0) else UNLIKE


def same(frozen: Frozen, item: Any) -> bool:
    """Tell whether an object is as the one of the picture was when it was taken."""
    if type(item) is not frozen.kind or any(frozen.empty):
        return False
    if frozen.names is not None and [*item.__dict__] != frozen.names:
        return False
    try:
        members = frozen.read(item)
    except AttributeError:  # a model that was never made to the end
        return False
    return len(members) == len(frozen.members) and all(map(is_, frozen.members, members))


def _search(members: list[Any], found: list[Any], depth: int) -> bool:
    """Add those members that can change to ``found``, and all that lies in them; return False if one has no picture."""
    for member in members:
        kind: Any = type(member)
        if kind in _ATOMS or _is_atom(member):
            continue
        if depth == _MAX_DEPTH or not _is_known(kind):
            return False
        found.append(member)
        if not _search(_members(member), found, depth + 1):
            return False
    return True


def _is_atom(item: Any) -> bool:
    """Whether nothing in an object can change: what is not in the table of kinds."""
    if type(item) in (datetime, time):
        return type(item.tzinfo) in _ZONES
    return isinstance(item, type) or (isinstance(item, Enum) and type(item.value) in _ATOMS)


def _members(item: Any) -> list[Any]:
    """Return all that an object holds itself; of models and dataclasses the kind and the names of attributes too."""
    if type(item) is dict:
        return [*item, *item.values()]
    if type(item) in _SEQUENCES:
        return [*item]
    named = _named(item)
    extra, private = getattr(item, "__pydantic_extra__", None), getattr(item, "__pydantic_private__", None)
    return [type(item), *named, *named.values(), extra, private]


def _named(item: Any) -> dict[str, Any]:
    """Return the attributes of a model or dataclass by name."""
    if hasattr(item, "__dict__"):
        return item.__dict__  # type: ignore[no-any-return]  # what every attribute is
    return {name: getattr(item, name, None) for name in item.__dataclass_fields__}


@cache
def _is_known(kind: type) -> bool:
    """Whether it is known where the objects of a class hold what they hold."""
    if kind is dict or kind in _SEQUENCES:
        return True
    slots = {name for base in kind.__mro__ if base is not BaseModel for name in vars(base).get("__slots__", ())}
    if issubclass(kind, BaseModel):
        return not slots
    if not is_dataclass(kind) or not all(is_dataclass(base) or base in _BARE_BASES for base in kind.__mro__):
        return False
    return not slots or (slots == kind.__dataclass_fields__.keys() and not kind.__dictoffset__)


UNLIKE = Frozen(_Unlike(), [])
"""The picture of what has none: nothing is like it."""
