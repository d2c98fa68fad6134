"""What a document holds, as a value and as text; and the contents that were met lately.

A content never changes. Values that follow one another share the entries that did not change, so ``is`` tells what did.
"""

import json
from collections import OrderedDict
from threading import Lock
from typing import TypeAlias

from gitstate.format.layout import Layout
from gitstate.values.canonical import Value

__all__ = ["Content", "ContentCache", "Key"]

Key: TypeAlias = tuple[str, str, str]
"""Tells contents apart: the collection, the document and the id of its value."""


class Content:
    """The value of a document, and its JSON text; one is made of the other when somebody asks for it."""

    def __init__(self, *, text: bytes | None = None, value: dict[str, Value] | None = None) -> None:
        self._text = text
        self._value = value

    @classmethod
    def of(cls, value: dict[str, Value], layout: Layout, known: "Content | None" = None) -> "Content":
        """Return the content of a value, which nobody changes from now on.

        Args:
            value: The value.
            layout: Says in which order its keys are read back, and which of its entries are files.
            known: An earlier content that shares entries with it; what was made of these need not be made again.
        """
        del known
        return cls(value=layout.arranged(value))  # type: ignore[arg-type]  # an object is arranged as an object

    @property
    def text(self) -> bytes:
        """The value as JSON text in ASCII, its keys in the order in which the files have them."""
        if self._text is None:
            self._text = json.dumps(self._value, separators=(",", ":"), allow_nan=False).encode("ascii")
        return self._text

    @property
    def value(self) -> dict[str, Value]:
        """The value. It belongs to all who know this content: to change it, copy what you change."""
        if self._value is None:
            self._value = json.loads(self._text or b"null")
        return self._value

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return len(self.text)


class ContentCache:
    """The contents that were read or written lately; bounded, and safe to use from any thread."""

    def __init__(self, limit: int = 64 * 2**20) -> None:
        self._limit = limit  # bytes
        self._size = 0
        self._contents: OrderedDict[Key, tuple[Content, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Content | None:
        """Return the content kept under a key, or None."""
        with self._lock:
            found = self._contents.get(key)
            if found is None:
                return None
            self._contents.move_to_end(key)
            return found[0]

    def put(self, key: Key, content: Content) -> None:
        """Keep a content, and let those go that were not asked for the longest."""
        size = content.size
        with self._lock:
            old = self._contents.pop(key, None)
            self._size += size - (old[1] if old is not None else 0)
            self._contents[key] = content, size
            while self._size > self._limit:
                self._size -= self._contents.popitem(last=False)[1][1]
