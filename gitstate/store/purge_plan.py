"""What a purge shall remove, what that comes to, and what came of it: all of it as data."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from gitstate.engine.objects import ObjectId
from gitstate.engine.purging import RefMove
from gitstate.format.erasing import Eraser
from gitstate.store.documents import Collection

__all__ = ["HeldBy", "Progress", "PurgePlan", "PurgeReport", "RemoteHolder", "Wanted", "token"]

Progress = Callable[[str, int, int], None]
"""Is told now and then at what the work is, how much of that is done, and of how much."""

_DIGITS = 16  # of a token


@dataclass(frozen=True)
class Wanted:
    """What shall be gone: documents of a collection, and what an eraser erases from all that stays."""

    collection: Collection
    documents: tuple[str, ...] = ()
    eraser: Eraser | None = None


@dataclass(frozen=True)
class RemoteHolder:
    """A remote: its address without a password, and which of its branches had what is purged when they were last seen;
    none: it was not seen there.
    """

    name: str
    url: str
    branches: tuple[str, ...]


@dataclass(frozen=True)
class HeldBy:
    """Something here that still has what is purged, and is not touched: what it is, and what is to be done."""

    what: str
    hint: str


@dataclass(frozen=True)
class PurgePlan:
    """What a purge would do.

    ``token`` stands for just this; it is given back to have it done. ``head`` is where the store stands, ``new_head``
    where it would: the same on every clone that stands there and purges the same. Of ``commits`` that were looked at,
    ``rewritten`` would be others and ``dropped`` would go; all before ``oldest`` keep their ids. ``jobs`` are those
    that would go. ``files`` counts by path how many contents would be changed. ``moved`` and ``deleted`` are refs;
    ``unreachable`` counts the objects to which nothing leads even now, and that would go as well.
    """

    token: str
    head: ObjectId
    new_head: ObjectId
    commits: int
    rewritten: int
    dropped: int
    oldest: tuple[ObjectId, ...]
    moved: tuple[str, ...]
    deleted: tuple[str, ...]
    remotes: tuple[RemoteHolder, ...]
    jobs: tuple[str, ...] = ()
    files: dict[str, int] = field(default_factory=dict)
    held: tuple[HeldBy, ...] = ()
    unreachable: int = 0


@dataclass(frozen=True)
class PurgeReport:
    """What a purge did: the plan that was carried out, how many objects went from the disk, and the refs that somebody
    moved meanwhile, which stayed.
    """

    plan: PurgePlan
    removed: int
    stayed: tuple[str, ...]


def token(moves: Sequence[RefMove], documents: Sequence[str]) -> str:
    """Return what stands for a plan. It tells nothing of what is to be erased: that is nowhere in what comes of it."""
    text = json.dumps([sorted(moves), sorted(documents)])
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
