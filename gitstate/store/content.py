"""What a document holds, as a value and as text; and the contents that were met lately.

A content never changes. Values that follow one another share the entries that did not change, so ``is`` tells what did.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import TypeAlias

from gitstate.format.layout import Layout
from gitstate.values import canonical
from gitstate.values.canonical import Shape, Value

__all__ = ["Content", "ContentCache", "Key"]

Key: TypeAlias = tuple[str, str, str]
"""Tells contents apart: the collection, the document and the id of its value."""

_Pieces: TypeAlias = tuple[tuple[str, ...], list[Value], list[str]]  # of the entries of a field: keys, values and texts

_SAMPLES = 4  # so many entries of a field are measured
_WEIGHT = 4  # so many times the length of its text does a value take in memory, with the text
_NONE: list[Value] = []  # no entry is this object
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Content:
    """The value of a document, and its JSON text; one is made of the other when somebody asks for it."""

    __slots__ = ("_layout", "_pieces", "_text", "_value")

    def __init__(self, *, text: bytes | None = None, value: dict[str, Value] | None = None) -> None:
        self._text = text
        self._value = value
        self._layout: Layout | None = None
        self._pieces: Mapping[str, _Pieces] = {}

    @classmethod
    def of(cls, value: dict[str, Value], layout: Layout, known: "Content | None" = None) -> "Content":
        """Return the content of a value, which nobody changes from now on.

        Args:
            value: The value.
            layout: Says in which order its keys are read back, and which of its entries are files.
            known: An earlier content that shares entries with it; what was made of these need not be made again.
        """
        content = cls(value=value)
        content._layout = layout
        if known is not None:
            content._pieces = known._pieces
        return content

    @property
    def text(self) -> bytes:
        """The value as JSON text in ASCII, its keys in the order in which the files have them."""
        if self._text is None:
            self._text = self._make_text().encode("ascii")
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
        if self._text is not None or self._layout is None:
            return _WEIGHT * len(self.text)
        root, length = dict(self.value), 0
        for part in self._layout.parts:
            entries = root.get(part.field)
            if isinstance(entries, dict) and entries:
                del root[part.field]
                sample = list(entries.values())[:: -(-len(entries) // _SAMPLES)]
                length += len(_to_json(sample)) * len(entries) // len(sample)
        return _WEIGHT * (length + len(_to_json(root)))

    def __reduce__(self) -> tuple[object, ...]:
        return _from_text, (self.text,)

    def _make_text(self) -> str:
        """Put the text together of what is known and what is new."""
        if self._layout is None:
            return _to_json(self.value)
        shape, pieces, fields = self._layout.shape, {}, []
        for name in shape.order(self.value):
            item = self.value[name]
            if self._layout.is_part(name) and isinstance(item, dict) and item:
                keys = self._layout.order(item)
                pieces[name] = _pieces(keys, [item[key] for key in keys], shape.entry(name), self._pieces.get(name))
                text = f"{{{','.join(pieces[name][2])}}}"
            else:
                text = _to_json(canonical.arranged(item, shape.entry(name)))
            fields.append(f"{_to_json(name)}:{text}")
        self._pieces = pieces
        return f"{{{','.join(fields)}}}"


def _pieces(keys: tuple[str, ...], entries: list[Value], shape: Shape, known: _Pieces | None) -> _Pieces:
    """Return the pieces of a field, those that are known taken over."""
    known_keys, known_entries, texts = known or ((), [], [])
    if keys != known_keys:
        at = {key: place for place, key in enumerate(known_keys)}
        known_entries = [known_entries[at[key]] if key in at else _NONE for key in keys]
        texts = [texts[at[key]] if key in at else "" for key in keys]
    texts = [
        text if entry is before else f"{_to_json(key)}:{_to_json(canonical.arranged(entry, shape.entry(key)))}"
        for key, entry, before, text in zip(keys, entries, known_entries, texts, strict=True)
    ]
    return keys, entries, texts


def _from_text(text: bytes) -> Content:
    return Content(text=text)


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
