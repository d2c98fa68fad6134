"""How messages and subjects name several things, and show a text that may hold anything: the one place."""

from collections.abc import Sequence

__all__ = ["SHORT_ID", "counted", "printable", "several", "short"]

SHORT_ID = 10
"""Digits of a commit id that subjects and tables show; any four or more that are unique name a revision."""


def counted(number: int, word: str) -> str:
    """Return a number of things: ``1 job``, ``2 jobs``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def several(names: Sequence[str], most: int) -> str:
    """Return some names in a row, the first ones of many: ``a, b, ...``."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def short(commit_id: str) -> str:
    """Return the digits of a commit id that people see."""
    return commit_id[:SHORT_ID]


def printable(text: str) -> str:
    """Return a text with every character that is not printable written as an escape.

    A job id or an error text may hold line breaks, terminal control sequences or bidirectional overrides.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text
    )
