"""Canonical JSON: equal values of one shape give equal bytes, so that a change shows as the lines that changed.

UTF-8, an indent of two spaces, LF, one newline at the end, no NaN or Infinity; the order of keys is the shape's. A lone
surrogate, which UTF-8 cannot say, is written as ``\\udXXX``. The grammar is that of RFC 8259.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from json.encoder import encode_basestring  # in C
from math import isfinite
from typing import Any

from gitstate.errors import CorruptionError, UnstorableError
from gitstate.values.pointer import Parts, to_text
from gitstate.values.shape import ANY, Shape, Value

__all__ = ["ANY", "MAX_DEPTH", "Shape", "Value", "arranged", "dumps", "equal", "loads"]

MAX_DEPTH = 128
"""So many objects and lists may lie in one another: well below what Python's stack and pydantic's parser (200) bear."""

_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def dumps(value: Value, shape: Shape = ANY) -> bytes:
    """Return a value as canonical JSON.

    Raises:
        UnstorableError: JSON cannot keep the value exactly; ``pointer`` names the place.
    """
    try:
        text = _text(value, shape, "\n") + "\n"
        try:
            return text.encode()
        except UnicodeEncodeError:
            if _SURROGATE_PAIR.search(text) is None:
                return text.encode(errors="backslashreplace")
    except (TypeError, ValueError, RecursionError):
        pass
    parts, reason = _flaw(value, ()) or ((), "it is nested too deeply for the stack that is left")
    pointer = to_text(parts)
    raise UnstorableError(
        f"the value at {ascii(pointer)[1:-1] or 'the top'} cannot be stored: {reason}", pointer=pointer
    )


def arranged(value: Value, shape: Shape = ANY) -> Value:
    """Return a value with the keys of its objects in the order in which :func:`dumps` writes them."""
    if isinstance(value, dict):
        return {key: arranged(value[key], shape.entry(key)) for key in shape.order(value)}
    if isinstance(value, list):
        each = shape.each or ANY
        return [arranged(item, each) for item in value]
    return value


def loads(data: bytes) -> Value:
    """Return the value that a JSON text stands for, canonical or not.

    Raises:
        CorruptionError: It is not UTF-8 or not JSON, says a key twice, holds a number that Python cannot, or is nested
            deeper than :data:`MAX_DEPTH`. The message says where; the caller adds of which file.
    """
    try:
        value: Value = _DECODER.decode(data.decode())
        # No text is nested deeper than it has brackets: counting them is quick.
        if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
            _check_depth(value, MAX_DEPTH)
    except json.JSONDecodeError as error:
        raise CorruptionError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorruptionError(f"not UTF-8 at line {line}, byte {error.start}") from error
    except RecursionError as error:
        raise CorruptionError(f"nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise CorruptionError(f"not a value: {error}") from error
    return value


def equal(a: Value, b: Value) -> bool:
    """Tell whether two values are the same, types and bits: 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, (str, int)):
        return a == b
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return False
        for key, item in a.items():  # noqa: SIM110  # a loop takes two thirds of the time of all(), and merges live on it
            if not equal(item, b[key]):
                return False
        return True
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return isinstance(a, float) and isinstance(b, float) and a.hex() == b.hex()


def _float_text(value: float) -> str:
    if not isfinite(value):
        raise ValueError(value)
    return float.__repr__(value)


_SCALARS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: int.__repr__,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    float: _float_text,
}


def _text(value: Value, shape: Shape, newline: str) -> str:
    """Return the JSON text of a value; ``newline`` is a line break with the indent of the line it stands on."""
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        return scalar(value)
    if len(newline) > 2 * MAX_DEPTH:
        raise RecursionError
    inner = newline + "  "
    if kind is dict:
        lines = []
        for key in shape.order(value):  # type: ignore[arg-type]  # mypy does not see that it is a dict
            item = value[key]  # type: ignore[index, call-overload]  # as above
            scalar = _SCALARS.get(type(item))  # most entries are scalars: worth saving the call
            text = scalar(item) if scalar is not None else _text(item, shape.entry(key), inner)
            lines.append(f"{encode_basestring(key)}: {text}")
        return f"{{{inner}{f',{inner}'.join(lines)}{newline}}}" if lines else "{}"
    if kind is list:
        each = shape.each or ANY
        lines = [_text(item, each, inner) for item in value]  # type: ignore[union-attr]  # as above
        return f"[{inner}{f',{inner}'.join(lines)}{newline}]" if lines else "[]"
    raise TypeError(kind)


def _flaw(value: object, parts: Parts) -> tuple[Parts, str] | None:
    """Find the first place that cannot be stored, and say why."""
    if len(parts) >= MAX_DEPTH and isinstance(value, (dict, list)):
        return parts, f"objects and lists lie in one another more than {MAX_DEPTH} levels deep"
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                return parts, f"the key {key!r} is no text"
            if _SURROGATE_PAIR.search(key):
                return parts, f"a surrogate pair in the key {key!r} would come back as one character"
            if (found := _flaw(item, (*parts, key))) is not None:
                return found
        return None
    if type(value) is list:
        flaws = (_flaw(item, (*parts, str(index))) for index, item in enumerate(value))
        return next((found for found in flaws if found is not None), None)
    reason = _scalar_flaw(value)
    return None if reason is None else (parts, reason)


def _scalar_flaw(value: object) -> str | None:
    if isinstance(value, str) and _SURROGATE_PAIR.search(value):
        return "a surrogate pair would come back as one character"
    scalar = _SCALARS.get(type(value))
    if scalar is None:
        return f"JSON has no {type(value).__name__}"
    try:
        scalar(value)
    except ValueError:
        return f"JSON has no {value!r}" if isinstance(value, float) else "the integer has too many digits for Python"
    return None


def _unique(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} stands there twice in one object")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:40]} is out of range")
    return number


def _check_depth(value: Value, levels: int) -> None:
    if isinstance(value, (dict, list)):
        if not levels:
            raise RecursionError
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, levels - 1)


def _no_constant(text: str) -> Value:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)
