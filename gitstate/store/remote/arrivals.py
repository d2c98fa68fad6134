"""A fetch: what a remote has and the store has not, checked as a whole before a ref is at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gitstate.engine import graph
from gitstate.engine.beyond import beyond
from gitstate.engine.objects import ObjectId
from gitstate.engine.transfer.incoming import Incoming
from gitstate.errors import UnsupportedError, UnsupportedFormatError, UntrustedError
from gitstate.store.purge import refuse_brought_back, refuse_purged
from gitstate.store.reader import FORMAT_FILE
from gitstate.store.remote.companions import Difference
from gitstate.store.remote.links import Link
from gitstate.store.remote.outcomes import Companion
from gitstate.store.sizes import owned

__all__ = ["Arrived", "fetch"]


@dataclass
class Arrived:
    """What a fetch brought: where the remote's branch stands (None: it has none, or nobody asked), how many commits are
    new here, and what became of companions.
    """

    tip: ObjectId | None = None
    before: ObjectId | None = None
    fetched: int = 0
    there: Mapping[str, ObjectId] = field(default_factory=dict)
    companions: list[Companion] = field(default_factory=list)


def fetch(link: Link, head: ObjectId | None) -> Arrived:
    """Fetch the remote's branch, and the companions that are missing here, and take them in if all is well.

    Only the refs move that say what the remote has, and companions are made. Companions that do not pass are left out.

    Args:
        link: The remote.
        head: Ours, whose history is complete and was checked; None: there is none yet.

    Raises:
        SyncError: The remote cannot be talked to, or what it sends is not to be trusted, with the reason.
        UnsupportedError: The remote's branch is no store, or one of a newer format.
        ClosedError: The store is about to be closed.
    """
    first = _Arrival(link, head, others=True)
    try:
        return first.run()
    except UntrustedError as error:
        if not first.left_out:
            raise
        why = error.message
    second = _Arrival(link, head, others=False)
    arrived = second.run()  # if it was the branch, this says so
    arrived.companions += [Companion(ref, each, "refused", why) for ref, each in second.left_out.items()]
    return arrived


class _Arrival:
    def __init__(self, link: Link, head: ObjectId | None, *, others: bool) -> None:
        self._link = link
        self._heads = [] if head is None else [head]
        self._others = others
        self._difference = Difference()
        self.arrived = Arrived(before=link.seen())

    @property
    def left_out(self) -> Mapping[str, ObjectId]:
        """The companions that the remote has and the store has not."""
        return self._difference.fetch

    def run(self) -> Arrived:
        """Fetch, check, take in."""
        link = self._link
        with link.parts.engine.lock():
            pass  # a store that cannot be written says so before anything is fetched
        with Incoming(link.parts.repository) as incoming:
            there = link.call(lambda: link.fetching.fetch(self._choose, self._haves(), incoming.write, link.progress))
            self.arrived.there = there
            tips = self._tips()
            if tips:
                link.call(lambda: incoming.index(link.progress))
                self._check(incoming, tips)
                incoming.admit()
            self._note()
        return self.arrived

    def _haves(self) -> Sequence[ObjectId]:
        return [each for head in self._heads for each in self._link.haves(head)]

    def _choose(self, there: Mapping[str, ObjectId]) -> Sequence[ObjectId]:
        link = self._link
        link.check_open()
        self.arrived.tip = there.get(link.ref)
        self._difference = link.companions.compare(there, is_same=link.is_same(self.arrived.tip))
        return [each for each in self._tips() if link.parts.engine.peeled(each) is None]

    def _tips(self) -> list[ObjectId]:
        """Return what is new, and has to be checked. What is here already may have been fetched by anybody."""
        tip = self.arrived.tip
        tips = [] if tip is None or self._is_ours(tip) else [tip]
        if self._others:
            tips += self._difference.fetch.values()
        return list(dict.fromkeys(tips))

    def _is_ours(self, tip: ObjectId) -> bool:
        engine = self._link.parts.engine
        return bool(self._heads) and engine.peeled(tip) is not None and not beyond(engine, tip, self._heads)

    def _check(self, incoming: Incoming, tips: Sequence[ObjectId]) -> None:
        """Refuse what is no complete, well-made history of a store, or has what was purged."""
        link = self._link
        link.check_open()
        incoming.check(tips, self._heads, owned(each.name for each in link.parts.collections.values()))
        reader = link.parts.reader.over(incoming.source)
        tip = self.arrived.tip
        if tip is not None:
            try:
                reader.format(graph.root(incoming.source, tip))
            except UnsupportedFormatError as error:
                raise UnsupportedFormatError(f"{link.branch}: {error.message}", hint=error.hint) from None
            except UnsupportedError:
                raise UnsupportedError(
                    f"{link.branch} is no store: {FORMAT_FILE} is missing at {tip[:12]}; it was left alone",
                    hint="name the branch that holds the state with --branch, or choose another remote",
                ) from None
        if tip is not None and tip in tips:
            for head in self._heads:
                refuse_purged(reader, head, tip)
        others = [incoming.commit(each) for each in tips if each != tip]
        for head in (*self._heads, *([] if tip is None else [tip])):
            refuse_brought_back(reader, head, others)

    def _note(self) -> None:
        """Let refs stand at what is here now."""
        link, arrived = self._link, self.arrived
        if arrived.tip is not None:
            link.note(arrived.tip, "fetch")
            if self._heads:  # else it is a clone, and nobody asks how many
                arrived.fetched = len(beyond(link.parts.engine, arrived.tip, self._heads))
        if self._others:
            here = {ref: link.parts.engine.peeled(each) for ref, each in self._difference.fetch.items()}
            arrived.companions += link.companions.take({ref: each for ref, each in here.items() if each is not None})
        arrived.companions += link.companions.differing(self._difference)
        link.companions.note_seen(self._difference.seen)
        link.companions.note_unseen(self._difference.unseen)
