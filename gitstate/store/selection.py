"""Which documents are asked for by what they say of themselves, and what is told of each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gitstate.values.canonical import Value

__all__ = ["ORDERS", "Selected", "Selection", "Summary", "facts_of"]

ORDERS = ("saved", "created", "name", "id")
"""By what documents can be sorted: by a time the newest comes first, by a text it is as in a dictionary."""


@dataclass(frozen=True)
class Summary:
    """What a document says of itself.

    Args:
        facts: What is shown of it.
        name: What it is called.
        state: How it stands, in a word.
        saved: When it says that it was saved last, in seconds since 1970; 0 if it does not.
        created: When it says that it was made.
        failed: How many of its entries failed.
        errors: The texts of its errors.
    """

    facts: dict[str, Value]
    name: str = ""
    state: str | None = None
    saved: float = 0.0
    created: float = 0.0
    failed: int = 0
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Which documents are asked for, and in which order.

    Args:
        states: Only those that stand so.
        name: Only those whose id or name this pattern matches: ``*``, ``?`` and ``[abc]``.
        since: Only those that were saved then or later, in seconds since 1970.
        until: Only those that were saved before.
        failed: Only those in which at least so many entries failed.
        error: Only those with this text in an error, in whatever case.
        order: One of :data:`ORDERS`.
        reverse: The other way round.
        after: Only those behind this place, which :attr:`Selected.place` gave.
        limit: So many at most; None: all.
    """

    states: tuple[str, ...] | None = None
    name: str | None = None
    since: float | None = None
    until: float | None = None
    failed: int = 0
    error: str | None = None
    order: str = ORDERS[0]
    reverse: bool = False
    after: "tuple[float | str, str] | None" = None
    limit: int | None = None


class Selected(NamedTuple):
    """A document that was asked for: what it says of itself, as JSON text, and where it stands in the order."""

    document: str
    text: str
    place: tuple[float | str, str]

    @property
    def facts(self) -> Mapping[str, Value]:
        """What it says of itself; nobody may change that."""
        return facts_of(self.text)


@lru_cache(maxsize=4096)  # a dashboard asks again and again, and of most documents nothing has changed
def facts_of(text: str) -> Mapping[str, Value]:
    """Return the facts that a text says. They belong to all who ask for them."""
    facts: dict[str, Value] = json.loads(text)
    return facts
