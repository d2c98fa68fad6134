"""Rescues of the documents that did not make it whole when two histories were joined.

The commit of such a rescue is made of nothing but the revision that lost and of what it lost against: no clock and no
machine has a part in it. So two machines that park the same state make the same commit, and the same ref.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from gitstate.engine import graph
from gitstate.engine.base import Engine
from gitstate.engine.objects import Commit, GitObject, ObjectId, Signature
from gitstate.errors import InvalidInputError, StaleError
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store import history
from gitstate.store.documents import Collection
from gitstate.store.reader import Reader
from gitstate.store.rescues import INVALID, PARKED, Rescue, Rescues, named, place, trailers
from gitstate.store.trails import Trail
from gitstate.words import several

__all__ = ["Losing", "Parked", "keep_losers"]

_STANDING = (message.STATUS, message.PROGRESS, message.FAILED, message.SKIPPED)
_LISTED = 3  # so many pointers stand in a subject
_MINUTES = 24 * 60


class Losing(NamedTuple):
    """A document whose state at a revision did not make it whole, why, at which pointers, and a revision of the side
    that kept its own.
    """

    collection: Collection
    document: str
    revision: ObjectId
    reason: str = PARKED
    conflicts: tuple[str, ...] = ()
    against: ObjectId | None = None


class Parked(NamedTuple):
    """A rescue, and whether it was not there before."""

    rescue: Rescue
    is_new: bool


def keep_losers(engine: Engine, reader: Reader, losers: Iterable[Losing]) -> list[Parked]:
    """Keep what lost, durably, each once; to do it again changes nothing. Call it outside of the engine's lock.

    What lost, and what that lost against, is in each case the document's own last revision at the one that is given.

    Raises:
        InvalidInputError: There is no such document at a revision.
        CorruptionError: A commit or tree is missing or damaged.
        BusyError: Another process did not let go of the store in time.
        StorageError: The disk refused; some of them may be there.
    """
    return [_keep(engine, reader, loser) for loser in losers]


def _keep(engine: Engine, reader: Reader, loser: Losing) -> Parked:
    made = _commit(reader, loser)
    ref = place(loser.document, made.id)
    is_new = engine.ref(ref) != made.id
    if is_new:
        try:
            engine.create_ref(ref, made.id, objects=[made])
        except StaleError:  # another process was faster
            if engine.ref(ref) != made.id:
                raise
            is_new = False
    return Parked(Rescues(engine, reader, loser.collection).at(ref), is_new)


def _commit(reader: Reader, loser: Losing) -> GitObject:
    own = _own(reader, loser, loser.revision)
    if reader.snapshot(loser.collection, loser.document, own) is None:
        raise InvalidInputError(f"there is no {loser.document!r} at revision {loser.revision[:12]} that could be kept")
    lost = graph.read(reader.source, own)
    said = Message.parse(lost.message)
    facts = [(loser.collection.trailer, loser.document), (message.EVENT, Event.RESCUED.value)]
    if said.get(loser.collection.trailer) == loser.document:
        facts += said.first(_STANDING).items()
    pointers = sorted(dict.fromkeys(loser.conflicts))
    against = None if loser.against is None else _own(reader, loser, loser.against)
    facts += trailers(loser.reason, pointers, against)
    told = Message(f"{named(loser.document)}: kept aside, {_why(loser.reason, pointers)}", trailers=tuple(facts))
    return Commit(lost.tree, (own,), _sane(lost.author), _sane(lost.committer), told.to_bytes()).to_object()


def _own(reader: Reader, loser: Losing, revision: ObjectId) -> ObjectId:
    """Return the document's own last revision at one: the same on machines that merge at different commits."""
    trail = Trail(loser.collection, loser.document, revision, limit=1)
    own = next((each.id for each in history.revisions(reader, trail)), revision)
    there, here = (reader.snapshot(loser.collection, loser.document, each) for each in (own, revision))
    alike = there is not None and here is not None and there.tree == here.tree
    return own if alike else revision


def _why(reason: str, pointers: list[str]) -> str:
    if reason == INVALID:
        return "it is no state"
    places = several([each or "the whole" for each in pointers], _LISTED)
    return f"it lost at {places}" if places else "it lost"


def _sane(who: Signature) -> Signature:
    """Return a signature as git would write it: other programs wrote times and zones that are none."""
    return replace(who, time=max(who.time, 0), offset=who.offset if abs(who.offset) < _MINUTES else 0)
