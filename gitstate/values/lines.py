"""A value as lines that people read and line diffs compare: ``pointer = value``, one place a line.

Different values have different lines, but for a list and an object with the list's indexes as keys. A text stands there
as it is, unless it could be taken for something else; one of several lines follows its pointer, indented, each line
after a bar.
"""

import json
import re
from collections.abc import Iterator

from gitstate.values.canonical import Value
from gitstate.values.pointer import Parts, to_text

__all__ = ["lines"]

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?)", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]")  # begins a number, or what looks like one
_WORDS = ("null", "true", "false")


def lines(value: Value) -> Iterator[str]:
    """Yield the lines of a value, without line breaks, in the order of its keys."""
    yield from _lines(value, ())


def _lines(value: Value, parts: Parts) -> Iterator[str]:
    name = _printable(to_text(parts))
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _lines(item, (*parts, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _lines(item, (*parts, str(index)))
    elif isinstance(value, str) and "\n" in value:
        yield f"{name} ="
        yield from (f"    | {line}" if line.isprintable() else f"    {_quoted(line)}" for line in value.split("\n"))
    else:
        shown = _text(value) if isinstance(value, str) else json.dumps(value)
        yield f"{name} = {shown}".lstrip(" ")


def _text(text: str) -> str:
    time = _TIME.fullmatch(text)
    if time is not None:
        return f"{time[1]} {time[2]}"
    is_plain = text.isprintable() and text == text.strip() and not text.startswith(('"', "{", "["))
    if is_plain and text and text not in _WORDS and not _NUMBER.match(text):
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    """Return a text as JSON, with an escape for each character that is not printable."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in quoted)


def _printable(pointer: str) -> str:
    """Return a pointer as it is, or as JSON where that could be misread."""
    return (
        pointer if pointer.isprintable() and " = " not in pointer and not pointer.endswith(" =") else _quoted(pointer)
    )
