"""The order of keys that several values agree on, so that what is made of them stands as they have it.

Values of a model that is not known here have its order in them. Where they leave a choice, a known shape decides.
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import pairwise

from gitstate.values.shape import ANY, Shape, Slot, Value

__all__ = ["woven"]


def woven(values: Sequence[Slot], known: Shape = ANY) -> Shape:
    """Return a shape in which the keys of some values, none of which is there in full, stand in the order of each.

    Args:
        values: The values, of one place. Those that are no objects or lists say nothing.
        known: Where two keys stand together in none of the values, or these disagree, its order counts.
    """
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        keys = {key: None for value in objects for key in value}
        held = {key: [value[key] for value in objects if key in value] for key in keys}
        inner = {key: woven(items, known.entry(key)) for key, items in held.items()}
        return Shape(fields=tuple(_order(objects, known.order(keys))), inner=inner)
    items: list[Value] = [item for value in values if isinstance(value, list) for item in value]
    return Shape(each=woven(items, known.each or ANY)) if items else ANY


def _order(objects: Sequence[dict[str, Value]], preferred: list[str]) -> list[str]:
    """Return all keys so that none comes before one that precedes it in an object; the preferred one where several can.

    Keys that precede one another, in different objects, come as they are preferred.
    """
    rank = {key: place for place, key in enumerate(preferred)}
    pairs = [pair for value in objects for pair in pairwise(value)]
    if all(rank[before] < rank[after] for before, after in pairs):
        return preferred
    followers: dict[str, list[str]] = {key: [] for key in preferred}
    awaited = dict.fromkeys(preferred, 0)
    for before, after in dict.fromkeys(pairs):
        followers[before].append(after)
        awaited[after] += 1
    order: list[str] = []
    left, rest = set(preferred), iter(preferred)
    free = [rank[key] for key in preferred if not awaited[key]]  # sorted, so it is a heap
    while left:
        key = preferred[heappop(free)] if free else next(key for key in rest if key in left)  # in a circle none is free
        left.remove(key)
        order.append(key)
        for after in followers[key]:
            awaited[after] -= 1
            if not awaited[after] and after in left:
                heappush(free, rank[after])
    return order
