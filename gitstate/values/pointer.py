"""JSON pointers (RFC 6901): the names of the places in a value, such as ``/sheets/3/status``.

A pointer is text, or its parts: a tuple of unescaped keys. List items have their decimal index as their part.
"""

import re
from typing import TypeAlias

from gitstate.errors import InvalidInputError

__all__ = ["Parts", "parse", "to_text"]

Parts: TypeAlias = tuple[str, ...]

_BAD_ESCAPE = re.compile(r"~(?![01])")


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
