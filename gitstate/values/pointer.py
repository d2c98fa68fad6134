"""JSON pointers (RFC 6901): the names of the places in a value, such as ``/sheets/3/status``.

A pointer is text, or its parts: a tuple of unescaped keys. List items have their decimal index as their part.
"""

import re
from typing import TypeAlias

from gitstate.errors import InvalidInputError, NotFoundError
from gitstate.values.shape import Value

__all__ = ["Parts", "get", "parse", "put", "to_text"]

Parts: TypeAlias = tuple[str, ...]

_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,17}")  # as the RFC writes it: ASCII, no leading zero


def parse(text: str) -> Parts:
    """Return the parts of a pointer. The empty text is the whole value.

    Raises:
        InvalidInputError: The text is no pointer.
    """
    if text and not text.startswith("/"):
        raise InvalidInputError(f"{text!r} is no JSON pointer", hint="it begins with a slash: /sheets/3/status")
    if _BAD_ESCAPE.search(text):
        raise InvalidInputError(f"{text!r} is no JSON pointer", hint="write ~0 for ~, and ~1 for / in a key")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def to_text(parts: Parts) -> str:
    """Return the pointer that has these parts; the inverse of :func:`parse`."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def get(value: Value, pointer: str) -> Value:
    """Return what stands at a place.

    Raises:
        InvalidInputError: The text is no pointer.
        NotFoundError: There is no such place in the value.
    """
    for part in parse(pointer):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            raise NotFoundError(f"there is nothing at {pointer}")
    return value


def put(value: Value, pointer: str, item: Value) -> Value:
    """Return the value with ``item`` at a place; the value itself stays as it is.

    The last part may be a new key of an object; in a list only an index that exists can be replaced.

    Raises:
        InvalidInputError: The text is no pointer.
        NotFoundError: What should hold the item is not there.
    """
    return _put(value, parse(pointer), item, pointer)


def _put(value: Value, parts: Parts, item: Value, pointer: str) -> Value:
    if not parts:
        return item
    part, rest = parts[0], parts[1:]
    if isinstance(value, dict) and (not rest or part in value):
        return value | {part: _put(value.get(part), rest, item, pointer)}
    if isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
        index = int(part)
        return [*value[:index], _put(value[index], rest, item, pointer), *value[index + 1 :]]
    raise NotFoundError(f"there is no place for {pointer}")
