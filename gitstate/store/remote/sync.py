"""Sync: push; where the remote has moved, fetch, merge and push again. Until both have the same.

Nothing is forced on either side. The head moves to histories that are complete and were checked, as any other write
does; the remote's branch goes on to what has all of it in its history. The network is never waited for under a lock. So
a sync that is killed leaves nothing half done, and the next one goes on from there.
"""

import random
from collections.abc import Iterable

from gitstate.engine import graph, trees
from gitstate.engine.beyond import is_in_history, meeting
from gitstate.engine.objects import ObjectId
from gitstate.errors import DivergedError
from gitstate.format.message import Message
from gitstate.store.batch import Joined, Onward
from gitstate.store.documents import Collection
from gitstate.store.histories import DocumentOutcome, JoinedHistories, OnConflict, join, told
from gitstate.store.parking import Losing, Parked, keep_losers
from gitstate.store.reader import FORMAT_FILE, Reader
from gitstate.store.remote import arrivals, departures
from gitstate.store.remote.departures import Look
from gitstate.store.remote.links import Link
from gitstate.store.remote.outcomes import Companion, Outcome, SyncReport, worst
from gitstate.store.rescues import INVALID, PARKED

__all__ = ["sync"]

_ROUNDS = 12  # how often a remote may move while we merge what it had
_OUTSIDE = 5  # how often the head may move while we merge outside of the lock; then it is done inside
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0  # seconds between two rounds, at most
_NAMED = 3  # so many documents are named in the subject of a merge


class _MovedError(Exception):
    """The head moved on while the merge was made."""


def sync(link: Link, *, on_conflict: OnConflict = "park") -> SyncReport:
    """Bring the store and a remote to one commit.

    Args:
        link: The remote.
        on_conflict: What becomes of documents that cannot be merged; see :func:`gitstate.store.histories.join`.

    Raises:
        ConflictError: Something cannot be merged, and ``on_conflict`` says that this shall fail; nothing was merged.
        RejectedError: The remote refused its branch, for a hook or a rule.
        DivergedError: The histories have nothing in common; or the remote moved each time that something was merged.
        UntrustedError: What the remote has is not to be trusted; nothing was taken in.
        SyncError: The remote cannot be talked to.
        UnsupportedError: The remote's branch is no store, or one of a newer format.
        ClosedError: The store is about to be closed.
    """
    return _Sync(link, on_conflict).run()


class _Sync:
    def __init__(self, link: Link, on_conflict: OnConflict) -> None:
        self._link = link
        self._parts = link.parts
        self._on_conflict: OnConflict = on_conflict
        self._before = ""
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self._companions: dict[str, Companion] = {}
        self._settled: set[str] = set()  # companions that were sent, or refused: no use to wait for these
        self._clashes: dict[str, None] = {}
        self._fetched = self._pushed = 0

    def run(self) -> SyncReport:
        self._link.settle()
        self._before = self._parts.reader.head()
        last, others = Look(self._before), True
        for number in range(1, _ROUNDS + 1):
            look = departures.push(self._link, others=others)
            self._tell(look.companions)
            if not look.rejected:
                if self._is_level(look):
                    return self._report(look, number)
            elif look.is_final(last):
                departures.refuse_rejected(self._link, look)
            others = others and not (look.rejected and look.sent_others)  # they may be what was refused
            last = look
            self._wait(number)
        departures.refuse_rejected(self._link, last)
        raise DivergedError(
            f"{self._link.branch} moved each of the {_ROUNDS} times that it was merged",
            hint="many sync at the same moment: sync again",
        )

    def _tell(self, companions: Iterable[Companion]) -> None:
        for each in companions:
            known = self._companions.get(each.ref)
            if known is None or known.fate != "kept":  # that it was sent then is a matter of course
                self._companions[each.ref] = each
            if each.fate != "kept":
                self._settled.add(each.ref)

    def _wait(self, number: int) -> None:
        """Give others a chance: who meets here again and again waits for another time each."""
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**number)
        self._link.pause(random.uniform(0.0, longest) if number > 1 else 0.0)  # noqa: S311 - it keeps no secret

    def _is_level(self, look: Look) -> bool:
        """Take in what the remote has and we have not; return whether it has all that is here."""
        self._pushed += look.pushed
        difference, companions = look.difference, self._link.companions
        is_fetched = look.is_beyond or bool(difference.fetch)
        if is_fetched:
            arrived = arrivals.fetch(self._link, self._parts.reader.head())
            self._fetched += arrived.fetched
            self._tell(arrived.companions)
            look.tip = arrived.tip
            if arrived.tip is not None:
                self._join(arrived.tip)
            difference = companions.compare(arrived.there, is_same=self._link.is_same(arrived.tip))
        self._tell([*companions.drop(difference.drop_here), *companions.differing(difference)])
        waiting = {*difference.send, *difference.drop_there} - self._settled
        return not is_fetched or (look.tip in (look.head, self._parts.reader.head()) and not waiting)

    def _join(self, theirs: ObjectId) -> None:
        """Merge what was fetched, and is complete, into the head, as one write."""
        made: dict[str, ObjectId] = {}  # rescues, also those of merges that did not come to be
        for attempt in range(_OUTSIDE + 1):
            self._link.check_open()
            ours = self._parts.reader.head()
            if is_in_history(self._parts.engine, theirs, ours):
                return
            merge = _Merge(self._link, ours, theirs, self._on_conflict, may_stay=attempt < _OUTSIDE)
            self._put_aside(merge, made)
            try:
                published = self._parts.writer.submit_merge(merge.edit).result()
            except _MovedError:
                continue
            kept = self._put_aside(merge, made)
            if published is not None:
                self._drop({ref: commit_id for ref, commit_id in made.items() if ref not in kept})
            for outcome in map(Outcome.of, merge.joined.outcomes):
                key = outcome.collection, outcome.document
                self._outcomes[key] = worst(self._outcomes.get(key), outcome)
            self._clashes |= dict.fromkeys(merge.joined.clashes)
            return

    def _put_aside(self, merge: "_Merge", made: dict[str, ObjectId]) -> set[str]:
        """Keep what a merge leaves behind, and note what was not there before; return the refs."""
        parked = merge.put_aside()
        made |= {each.rescue.ref: each.rescue.commit for each in parked if each.is_new}
        self._tell(Companion(each.rescue.ref, each.rescue.commit, "kept", each.rescue.document) for each in parked)
        return {each.rescue.ref for each in parked}

    def _drop(self, refs: dict[str, ObjectId]) -> None:
        """Drop what was kept for merges that others did not let come to be."""
        self._link.companions.drop(refs)
        for ref in refs:
            del self._companions[ref]

    def _report(self, look: Look, rounds: int) -> SyncReport:
        return SyncReport(
            self._link.name,
            self._before,
            look.tip or look.head,
            self._pushed,
            self._fetched,
            tuple(self._outcomes[key] for key in sorted(self._outcomes)),
            tuple(self._companions[ref] for ref in sorted(self._companions)),
            tuple(self._clashes),
            rounds,
        )


class _Merge:
    """One merge of the remote's history. What it leaves behind is put aside before it is published, so that nothing is
    lost at whatever moment this process dies.
    """

    def __init__(
        self, link: Link, ours: ObjectId, theirs: ObjectId, on_conflict: OnConflict, *, may_stay: bool
    ) -> None:
        self._link = link
        self._ours = ours
        self._theirs = theirs
        self._on_conflict: OnConflict = on_conflict
        self._may_stay = may_stay
        self._aside: JoinedHistories | None = None  # whose losers were put aside
        self._parked: list[Parked] = []
        self.joined = self._join(link.parts.reader, ours)

    def _join(self, reader: Reader, ours: ObjectId) -> JoinedHistories:
        collections = list(self._link.parts.collections.values())
        alone = _beside_nothing(reader, collections, ours, self._theirs)
        return alone or join(reader, collections, ours, self._theirs, on_conflict=self._on_conflict)

    def put_aside(self) -> list[Parked]:
        """Keep what did not make it whole; once more if another head than the one that was expected was merged."""
        if self.joined is not self._aside:
            self._aside = self.joined
            parts, heads = self._link.parts, {"ours": self._theirs, "theirs": self._ours}
            losing = [
                Losing(
                    each.collection,
                    each.document,
                    each.revision,
                    PARKED if each.conflicts else INVALID,
                    tuple(conflict.pointer for conflict in each.conflicts),
                    heads[each.side],
                )
                for each in self.joined.losers
            ]
            self._parked = keep_losers(parts.engine, parts.reader, losing)
        return self._parked

    def edit(self, reader: Reader, tip: ObjectId) -> Joined | Onward | None:
        """Give the writer what to publish, under its lock."""
        if tip != self._ours:
            if self._may_stay:
                raise _MovedError
            if is_in_history(reader.source, self._theirs, tip):
                return None
            self._ours, self.joined = tip, self._join(reader, tip)
        if self.joined.is_up_to_date:
            return None
        if self.joined.is_fast_forward:
            return Onward(self._theirs, f"sync: fast-forward to {self._link.branch}")
        return Joined(self.joined.tree, self.joined.objects, self._message(), self._theirs)

    def _message(self) -> Message:
        """Say what was merged, and what was decided of it."""
        changed = [each.document for each in self.joined.outcomes if each.result != "up to date"]
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        what = f": {', '.join(changed[:_NAMED])}{more}" if changed else ""
        body, trailers = told(self.joined)
        return Message(f"sync: merged {self._link.branch}{what}", body, trailers)


def _beside_nothing(
    reader: Reader, collections: Iterable[Collection], ours: ObjectId, theirs: ObjectId
) -> JoinedHistories | None:
    """Join two histories that have nothing in common where one of them holds nothing yet but that it is a store; None:
    they have, or both hold something.

    So a store that was made before anybody told it of a remote takes in what that has.
    """
    source = reader.source
    roots = {head: graph.root(source, head) for head in (ours, theirs)}
    blank = [head for head in (theirs, ours) if trees.read(source, roots[head]).keys() <= {FORMAT_FILE}]
    if not blank or meeting(source, ours, theirs):
        return None
    if blank[0] == theirs:
        return JoinedHistories(roots[ours])
    news = ((each, document) for each in collections for document, _, _ in reader.differing(each, None, roots[theirs]))
    return JoinedHistories(roots[theirs], outcomes=tuple(DocumentOutcome(*each, "created") for each in news))
