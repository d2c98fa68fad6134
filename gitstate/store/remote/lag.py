"""How far a store and a remote are apart, as far as that is known here: nobody is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gitstate import clock
from gitstate.engine import graph
from gitstate.engine.ancestry import Ancestry
from gitstate.engine.base import Source
from gitstate.engine.objects import ObjectId
from gitstate.format.message import Message
from gitstate.store import walks
from gitstate.store.documents import Collection
from gitstate.store.reader import Reader
from gitstate.store.remote.autosync import SyncState
from gitstate.store.remote.outcomes import Standing

__all__ = ["Lag", "measured", "touched"]


@dataclass(frozen=True)
class Lag:
    """How far a store and a remote are apart.

    Args:
        remote: The remote.
        tip: Where its branch stood when it was seen last; None: it was never seen, and all that is here is unpushed.
        seen: When that was; None: nobody knows.
        commits: How many commits are here and not there.
        saves: How many of them are no merges.
        since: When the oldest of these saves was made.
        seconds: How long ago that is; 0.0 if there is none.
        unmerged: How many commits were there and are not here.
        background: How the sync in the background goes; None: there is none.
    """

    remote: str
    tip: ObjectId | None
    seen: datetime | None
    commits: int
    saves: int
    since: datetime | None
    seconds: float
    unmerged: int
    background: SyncState | None = None

    @property
    def is_diverged(self) -> bool:
        """Whether both moved: a sync merges them."""
        return bool(self.commits and self.unmerged)


def measured(
    source: Source,
    remote: str,
    standing: Standing,
    *,
    seen: datetime | None = None,
    background: SyncState | None = None,
) -> Lag:
    """Return the lag of a remote.

    Args:
        source: Where the commits are.
        remote: The remote.
        standing: How the store stands to it.
        seen: When it was seen last.
        background: How the sync in the background goes.

    Raises:
        CorruptionError: A commit is missing or damaged.
    """
    ahead = standing.ahead
    ancestry = Ancestry(source, ahead[-1]) if ahead else None
    sketches = [ancestry.get(commit_id) for commit_id in reversed(ahead)] if ancestry else []
    times = [sketch.time for sketch in sketches if len(sketch.parents) < 2]
    since = clock.moment(min(times)) if times else None
    return Lag(
        remote=remote,
        tip=standing.tip,
        seen=seen,
        commits=len(ahead),
        saves=len(times),
        since=since,
        seconds=0.0 if since is None else max(0.0, (clock.now() - since).total_seconds()),
        unmerged=len(standing.behind),
        background=background,
    )


def touched(reader: Reader, collection: Collection, commits: Sequence[ObjectId]) -> dict[str, list[ObjectId]]:
    """Return the documents that commits made, changed or deleted, each with those that did so in the order given.

    Merges are left out: they bring together what others did.

    Raises:
        CorruptionError: A commit or tree is missing or damaged.
    """
    found: dict[str, list[ObjectId]] = {}
    for commit_id in commits:
        commit = graph.read(reader.source, commit_id)
        if len(commit.parents) < 2:
            for document in walks.touched(reader, collection, commit, Message.parse(commit.message)):
                found.setdefault(document, []).append(commit_id)
    return found
