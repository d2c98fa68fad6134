"""JSON pointers (RFC 6901): the names of the places in a value, such as ``/sheets/3/status``.

A pointer is text, or its parts: a tuple of unescaped keys. List items have their decimal index as their part.
"""

import re
from typing import TypeAlias

from gitstate.errors import InvalidInputError
from gitstate.values.shape import ABSENT, Slot

__all__ = ["Parts", "fits", "get", "index", "is_meant", "parse", "read", "to_text"]

Parts: TypeAlias = tuple[str, ...]
"""A pointer as the keys on the way to its place, unescaped; none are the whole value."""

_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,17}")


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


def read(text: str) -> Parts:
    """Return the parts of a place as a person names it: a pointer, or its keys with dots between them.

    ``/sheets/3/status`` and ``sheets.3.status`` are the same place. A key that holds a dot needs the first form.

    Raises:
        InvalidInputError: The text names no place.
    """
    if not text or text.startswith("/"):
        return parse(text)
    parts = tuple(text.split("."))
    if "" in parts:
        raise InvalidInputError(f"{text!r} names no place in a value", hint="write sheets.3.status or /sheets/3/status")
    return parts


def get(value: Slot, parts: Parts) -> Slot:
    """Return what stands at a place of a value, or ABSENT."""
    for part in parts:
        if isinstance(value, dict):
            value = value.get(part, ABSENT)
        elif isinstance(value, list) and (place := index(part)) is not None and place < len(value):
            value = value[place]
        else:
            return ABSENT
    return value


def index(part: str) -> int | None:
    """Return the index of a list item that a part names, or None: digits without leading zeros."""
    return int(part) if _INDEX.fullmatch(part) else None


def fits(pattern: str, part: str) -> bool:
    """Tell whether a part is one of those that a pattern means; ``*`` in it stands for any text."""
    return pattern == "*" or re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), part, re.DOTALL) is not None


def is_meant(pattern: Parts, place: Parts) -> bool:
    """Tell whether a place is one of those that the parts of a pattern mean."""
    return len(pattern) == len(place) and all(map(fits, pattern, place))
