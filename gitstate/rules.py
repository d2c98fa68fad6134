"""Rules that say how fields of your own models are merged, for ``GitStateBackend(..., rules={"/cost_cents": add})``.

A rule is asked where both sides changed a place, each in its way. It is given a :class:`Place`, with ``base``, ``ours``
and ``theirs``, and returns a :class:`Merge` with the value, or None where it has no opinion: then objects are merged
key by key, and anything else is a conflict. A rule of your own must be symmetric and must not look at a clock, or
machines would not come to the same state; :func:`follow` and :func:`newer` make rules that choose a side.
"""

from gitstate.values.joins import earlier, follow, higher, later, members, newer, unite
from gitstate.values.merge import ABSENT, Merge, Place, Rule
from gitstate.values.merge import add_deltas as add

__all__ = [
    "ABSENT",
    "Merge",
    "Place",
    "Rule",
    "add",
    "earlier",
    "follow",
    "higher",
    "later",
    "members",
    "newer",
    "saved_later",
    "unite",
]

saved_later = follow(newer("updated_at"))
"""Take a field of the job from the side that was saved later."""
