"""How messages and subjects name several things: the one place."""

from collections.abc import Sequence

__all__ = ["counted", "several"]


def counted(number: int, word: str) -> str:
    """Return a number of things: ``1 job``, ``2 jobs``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def several(names: Sequence[str], most: int) -> str:
    """Return some names in a row, the first ones of many: ``a, b, ...``."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
