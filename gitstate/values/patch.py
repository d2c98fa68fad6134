"""JSON Patch (RFC 6902): changes as operations that other programs can apply."""

from collections.abc import Iterable

from gitstate.values.diff import Change
from gitstate.values.shape import ABSENT, Value

__all__ = ["patch"]


def patch(changes: Iterable[Change]) -> list[Value]:
    """Return changes as the operations ``add``, ``remove`` and ``replace``, to be applied in their order."""
    return [_operation(change) for change in changes]


def _operation(change: Change) -> dict[str, Value]:
    if change.after is ABSENT:
        return {"op": "remove", "path": change.pointer}
    return {"op": "add" if change.before is ABSENT else "replace", "path": change.pointer, "value": change.after}
