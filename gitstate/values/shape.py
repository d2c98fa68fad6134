"""What is known of a value before it is seen: its type, and the order of the fields of its objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

__all__ = ["ABSENT", "ANY", "Absent", "Shape", "Slot", "Value"]

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
"""What JSON can say. Exactly these types: a subclass would come back as another type than it went in."""


class Absent(Enum):
    """The type of :data:`ABSENT`: there is nothing at this place. It is not None, which is a value."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
Slot: TypeAlias = "Value | Absent"
"""What stands at a place of a value, or that nothing does."""


@dataclass(frozen=True)
class Shape:
    """What is known of the objects of a value.

    ``fields`` are an object's known keys, in the order in which they are written. ``inner`` holds the shapes of entries
    by key; ``each`` is the shape of every other entry of an object and of every item of a list.
    """

    fields: tuple[str, ...] = ()
    inner: Mapping[str, "Shape"] = field(default_factory=dict)
    each: "Shape | None" = None

    def order(self, keys: Mapping[str, object]) -> list[str]:
        """Return the keys of an object in canonical order: known fields first, all others by code point."""
        if not self.fields:
            return sorted(keys)
        known = [name for name in self.fields if name in keys]
        return known if len(known) == len(keys) else known + sorted(keys.keys() - set(known))

    def entry(self, key: str) -> "Shape":
        """Return the shape of an object's entry."""
        return self.inner.get(key) or self.each or ANY


ANY = Shape()
"""The shape of a value of which nothing is known."""
