"""Lone surrogates, which pydantic's JSON cannot say: private characters stand in for them while it works."""

import json
from collections import deque
from collections.abc import Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

__all__ = ["mask", "mask_text", "translate"]

_FIRST, _COUNT = 0xD800, 0x800
_PRIVATE = range(0xF0000, 0x110000, _COUNT)  # two planes that Unicode gives to private use: 64 blocks to choose from


class _Seen(dict[int, int]):
    """A table that changes nothing, and notes the blocks of the characters it was asked for."""

    def __missing__(self, code: int) -> int:
        self[code // _COUNT * _COUNT] = code // _COUNT * _COUNT
        return code


def mask(item: Any) -> tuple[Any, dict[int, int]]:
    """Return a copy with a private character for each surrogate, and the table that translates back.

    The characters come from a block that the item does not use, so none of its own is mistaken for one of them.
    """
    seen = _Seen()
    translate(item, seen)
    block = next(start for start in _PRIVATE if start not in seen)
    there = {_FIRST + offset: block + offset for offset in range(_COUNT)}
    return translate(item, there), {private: surrogate for surrogate, private in there.items()}


def mask_text(text: bytes) -> tuple[str, dict[int, int]]:
    """Do the same with the strings of a JSON text."""
    masked, back = mask(json.dumps(json.loads(text), ensure_ascii=False))
    return masked, back


def translate(item: Any, table: Mapping[int, int]) -> Any:
    """Return a copy of models, containers and texts in which the characters are exchanged."""
    if isinstance(item, str):
        return item.translate(table) if type(item) is str else item
    if isinstance(item, BaseModel):
        model = item.model_copy()
        for named in (model.__dict__, model.__pydantic_extra__ or {}):
            named |= {name: translate(value, table) for name, value in named.items()}
        return model
    if is_dataclass(item) and not isinstance(item, type):
        spot = copy(item)
        for field in fields(item):
            object.__setattr__(spot, field.name, translate(getattr(item, field.name), table))
        return spot
    if isinstance(item, dict):
        entries = copy(item)
        entries.clear()
        entries.update({translate(key, table): translate(value, table) for key, value in item.items()})
        return entries
    if isinstance(item, (list, tuple, set, frozenset, deque)):
        members = [translate(value, table) for value in item]
        return type(item)(*members) if hasattr(item, "_fields") else type(item)(members)
    if isinstance(item, PurePath):
        return type(item)(str(item).translate(table))
    return item
