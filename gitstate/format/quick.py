"""A look at JSON texts with pydantic's parser, in half the time of Python's: whether they are exact beyond doubt."""

import re
from collections.abc import Sequence
from math import isfinite

from pydantic_core import from_json

from gitstate.values.canonical import MAX_DEPTH, Value

__all__ = ["are_values"]

_KEY_ENDS = re.compile(rb'"[ \t\n\r]*:')
_LOOKED_INTO = frozenset({dict, list, float})


def are_values(texts: Sequence[bytes]) -> bool:
    """Whether each of some texts certainly is one that :func:`gitstate.values.canonical.loads` takes.

    False says nothing: the parser does not take all that are (it knows no lone surrogates). Of what it takes besides,
    all is looked for: the second of two equal keys, numbers that are out of range, and what is nested too deeply.
    """
    try:
        values: list[Value] = [from_json(text, allow_inf_nan=False) for text in texts]
    except ValueError:
        return False
    keys = _keys_in(values)
    if keys is None:
        return False
    # Each key of a text ends so. Where something else does too, there may be more of them than there are keys, but
    # never fewer; and where a key stands twice in one object, there are fewer keys.
    ends = sum([len(_KEY_ENDS.findall(text)) for text in texts])
    return ends == keys or sum([_is_unescaped(end) for text in texts for end in _KEY_ENDS.finditer(text)]) == keys


def _keys_in(values: list[Value]) -> int | None:
    """Return how many keys all objects in some values have; None: one is nested too deeply, or a number is none."""
    keys = depth = 0
    while values:
        below: list[Value] = []
        for item in values:
            if type(item) is dict:
                keys += len(item)
                below += [entry for entry in item.values() if type(entry) in _LOOKED_INTO]
            elif type(item) is list:
                below += [entry for entry in item if type(entry) in _LOOKED_INTO]
            elif type(item) is float and not isfinite(item):
                return None
        values = below
        depth += 1
    return None if depth > MAX_DEPTH else keys


def _is_unescaped(quote: re.Match[bytes]) -> bool:
    start = quote.start()
    before = quote.string[:start]
    return (start - len(before.rstrip(b"\\"))) % 2 == 0
