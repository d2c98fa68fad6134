"""What a document holds, as a value and as text; and the contents that were met lately.

A content never changes. Values that follow one another share the entries that did not change, so ``is`` tells what did.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from operator import is_not
from threading import Lock
from typing import TypeAlias

from gitstate.format.layout import Layout, Texts
from gitstate.store.exactness import Exactness
from gitstate.values import canonical
from gitstate.values.canonical import Shape, Value

__all__ = ["Content", "ContentCache", "Key"]

Key: TypeAlias = tuple[str, str, str]
"""Tells contents apart: the collection, the document and the id of its value."""

_Pieces: TypeAlias = tuple[tuple[str, ...], list[Value], list[str]]  # of the entries of a field: keys, values and texts

_KEPT = 4  # so many contents of one document are kept: its last ones
_SAMPLES = 4  # so many entries of a field are measured
_TRUSTED = 16  # contents that follow one another are taken to be of one size, to measure one takes 0.1 ms
_WEIGHT = 2  # so many times the length of its text does a value take in memory, without the text
_ALL = _WEIGHT + 2  # and with the text, and its pieces
_NONE: list[Value] = []  # no entry is this object
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Content:
    """The value of a document, and its JSON text; one is made of the other when somebody asks for it."""

    __slots__ = ("_age", "_apart", "_layout", "_pieces", "_size", "_text", "_value")

    def __init__(self, *, text: bytes | None = None, value: dict[str, Value] | None = None) -> None:
        self._text = text
        self._value = value
        self._layout: Layout | None = None
        self._pieces: Mapping[str, _Pieces] = {}
        self._size = 0  # not measured yet
        self._age = 0  # so many contents ago it was measured
        self._apart = 0  # of that what the next content of the document does not share, once there is one

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
            content._age = (known._age + 1) % _TRUSTED
            content._size = known._size if content._age else 0
        return content

    @classmethod
    def spliced(cls, texts: Texts) -> "Content":
        """Return the content of a value that was read from files: its text is put together of theirs.

        To write it anew takes three times as long as to read it.
        """
        pieces: list[bytes] = []
        others: dict[str, Value] = {}  # that stand beside one another
        for name, item in texts.root.items():
            if name in texts.entries:
                keys, entries = texts.entries[name]
                inner = [b","] * (3 * len(keys))
                inner[0], inner[1::3], inner[2::3] = b"{", map(_key, keys), entries
                pieces += (*_fields(others), b",", _key(name), *inner, b"}")
                others = {}
            else:
                others[name] = item
        pieces += (*_fields(others), b"}")
        pieces[0] = b"{" if len(pieces) > 1 else b"{}"
        return cls(text=b"".join(pieces))

    @property
    def text(self) -> bytes:
        """The value as JSON text in UTF-8, its keys in the order in which the files have them."""
        text = self._text
        if text is None:
            text = self._text = self._make_text().encode("ascii")
            if self._layout is None:
                self._value = None  # it was only read; a text takes a fraction of the memory
        return text

    @property
    def value(self) -> dict[str, Value]:
        """The value. It belongs to all who know this content: to change it, copy what you change."""
        value = self._value
        if value is None:
            value = self._value = json.loads(self._text or b"null")
        return value

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        if self._layout is None:
            return len(self.text) * (1 if self._value is None else 1 + _WEIGHT)
        self._size = self._size or self._measure(self._layout)
        return self._size

    def size_beside(self, following: "Content") -> int:
        """About how many bytes it takes besides the content that came next; a state that was loaded shares nothing."""
        if self._layout is None:
            return self.size
        if not self._apart:
            whole = self.size // _ALL * (_WEIGHT if self._text is None else 1 + _WEIGHT)
            self._apart = 1 + int(whole * self._share_apart(self._layout, following))
        return self._apart

    def _share_apart(self, layout: Layout, following: "Content") -> float:
        count = other = 0
        for part in layout.parts:
            mine, theirs = self.value.get(part.field), (following._value or {}).get(part.field)
            if isinstance(mine, dict) and isinstance(theirs, dict):
                count += len(mine)
                other += sum(map(is_not, mine.values(), map(theirs.get, mine)))
        return other / count if count else 1.0

    def _measure(self, layout: Layout) -> int:
        root, length = dict(self.value), 0
        for part in layout.parts:
            entries = root.get(part.field)
            if isinstance(entries, dict) and entries:
                del root[part.field]
                sample = list(entries.values())[:: -(-len(entries) // _SAMPLES)]
                length += len(_to_json(sample)) * len(entries) // len(sample)
        return _ALL * (length + len(_to_json(root)))

    def __reduce__(self) -> tuple[object, ...]:
        return _from_text, (self.text,)

    def _make_text(self) -> str:
        """Put the text together of what is known and what is new."""
        if self._layout is None:
            return _to_json(self.value)
        shape, pieces, fields = self._layout.value_shape, {}, []
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


def _fields(fields: dict[str, Value]) -> tuple[bytes, ...]:
    """Return the text of some fields, behind a comma."""
    return (b",", _to_json(fields)[1:-1].encode()) if fields else ()


@lru_cache(maxsize=2048)  # most documents have the same
def _key(key: str) -> bytes:
    return f"{_to_json(key)}:".encode()


def _from_text(text: bytes) -> Content:
    return Content(text=text)


@dataclass
class _Document:
    contents: OrderedDict[str, Content] = field(default_factory=OrderedDict)  # by the ids of their values
    size: int = 0  # of all of them

    def measure(self) -> int:
        """Return about how many bytes they take together: those that follow one another share what did not change."""
        contents = list(self.contents.values())
        return contents[-1].size + sum(older.size_beside(newer) for older, newer in pairwise(contents))


class ContentCache:
    """The contents that were read or written lately; bounded, and safe to use from any thread.

    Args:
        limit: So many bytes they may take.
        exactness: Remembers which of them have files that are exact; None: who reads a value looks at them.
    """

    def __init__(self, limit: int = 128 * 2**20, exactness: Exactness | None = None) -> None:
        self._limit = limit
        self._exactness = exactness
        self._size = 0
        self._documents: OrderedDict[tuple[str, str], _Document] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Content | None:
        """Return the content kept under a key, or None."""
        collection, name, value_id = key
        with self._lock:
            document = self._documents.get((collection, name))
            if document is None:
                return None
            self._documents.move_to_end((collection, name))
            return document.contents.get(value_id)

    def are_exact(self, key: Key, entries: Sequence[Sequence[bytes]]) -> bool:
        """Whether the texts of a value's entries, field by field, are exact beyond doubt: known to be, or looked at."""
        from gitstate.format import quick  # pydantic takes a while, and whoever asks for a text needs it anyway

        is_known = bool(entries) and self._exactness is not None and self._exactness.knows(*key)
        return is_known or all(map(quick.are_values, entries))

    def put(self, key: Key, content: Content) -> None:
        """Keep a content, whose files were written here or found to be exact, and let those go that were not asked for
        the longest.
        """
        collection, name, value_id = key
        size = content.size  # what takes long is done before the lock is taken
        if self._exactness is not None:
            self._exactness.note(*key, size)
        with self._lock:
            document = self._documents.setdefault((collection, name), _Document())
            self._documents.move_to_end((collection, name))
            document.contents[value_id] = content
            if len(document.contents) > _KEPT:
                document.contents.popitem(last=False)
            size = document.measure()
            self._size += size - document.size
            document.size = size
            while self._size > self._limit:
                self._size -= self._documents.popitem(last=False)[1].size

    def clear(self) -> None:
        """Let all of them go."""
        with self._lock:
            self._documents.clear()
            self._size = 0

    def forget(self) -> None:
        """Let all of them go, and what is remembered of them. Raises OSError: the disk refused."""
        self.clear()
        if self._exactness is not None:
            self._exactness.forget()
