"""Lone surrogates in JSON texts for a parser that refuses them: others stand in for them while it works."""

import json
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

__all__ = ["mask", "unmask"]

_FIRST, _COUNT = 0xD800, 0x800
_PRIVATE = range(0xF0000, 0x110000, _COUNT)  # two planes that Unicode gives to private use: 64 blocks to choose from


def mask(data: bytes) -> tuple[str, dict[int, int]]:
    """Return a JSON text with a private character for each surrogate, and the table that translates back.

    The characters come from a block that the text does not use, so none of its own is mistaken for one of them.
    """
    text = json.dumps(json.loads(data), ensure_ascii=False)
    used = {ord(character) // _COUNT * _COUNT for character in set(text)}
    block = next(start for start in _PRIVATE if start not in used)
    there = {_FIRST + offset: block + offset for offset in range(_COUNT)}
    return text.translate(there), {private: surrogate for surrogate, private in there.items()}


def unmask(item: Any, table: dict[int, int]) -> Any:
    """Return what was parsed with its surrogates back; models, dictionaries and lists are changed in place."""
    if isinstance(item, str):
        return item.translate(table) if type(item) is str else item
    if isinstance(item, BaseModel):
        for fields in (item.__dict__, item.__pydantic_extra__ or {}):
            for name, value in list(fields.items()):
                fields[name] = unmask(value, table)
    elif isinstance(item, dict):
        entries = [(unmask(key, table), unmask(value, table)) for key, value in item.items()]
        item.clear()
        item.update(entries)
    elif isinstance(item, list):
        item[:] = [unmask(value, table) for value in item]
    elif isinstance(item, (tuple, set, frozenset)):
        members = [unmask(value, table) for value in item]
        return type(item)(*members) if hasattr(item, "_fields") else type(item)(members)
    elif isinstance(item, PurePath):
        return type(item)(str(item).translate(table))
    return item
