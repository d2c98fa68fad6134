"""How deep a JSON text goes, told from its bytes: no value is made of it, so that no text takes more than a look."""

import re

__all__ = ["is_deeper"]

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[{]+|[\]}]+")


def is_deeper(data: bytes, levels: int) -> bool:
    """Whether objects and lists lie in one another more than ``levels`` deep; the text need not be right."""
    if data.count(b"{") + data.count(b"[") <= levels:
        return False
    depth = 0
    for found in _BRACKETS.finditer(_STRING.sub(b"", data)):
        depth += len(found[0]) if found[0][0] in b"[{" else -len(found[0])
        if depth > levels:
            return True
    return False
