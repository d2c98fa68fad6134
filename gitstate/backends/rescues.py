"""States that were kept aside: what is told of one, what it is compared with, and what it is merged from.

A state that was refused is merged from what it was based on then. One that lost a merge is another matter: the rest of
it is in the job already, and only the places at which it lost are not. So its base is the state itself with what won at
those places.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from gitstate.backends import executions
from gitstate.backends.restoring import put
from gitstate.backends.rewound import value_of
from gitstate.engine.beyond import meeting
from gitstate.errors import CorruptionError, InvalidInputError, UnsupportedError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store import rescues
from gitstate.store.documents import Snapshot
from gitstate.store.store import Store
from gitstate.values import pointer
from gitstate.values.canonical import Value
from gitstate.values.merge import ABSENT, Slot

__all__ = ["Based", "Rescue", "base_of", "based"]

_UNREADABLE = (CorruptionError, UnsupportedError)


@dataclass(frozen=True)
class Rescue:
    """A state that was kept aside.

    ``name`` is what people call it, ``ref`` and ``revision`` its ref and commit. ``reason`` is ``refused`` (a save that
    could not be merged), ``parked`` (it lost where two histories were joined), ``invalid`` (it came from elsewhere and
    is no state) or ``by hand``. ``places`` are the pointers that could not be merged, ``against`` is the commit at
    which the job kept its own state. ``status``, ``progress`` and ``execution``, the id of an execution that goes with
    it, are as its commit says, ``is_job_there`` tells of now.
    """

    name: str
    ref: str
    job_id: str
    revision: str
    base: str | None
    reason: str
    places: tuple[str, ...]
    against: str | None
    time: datetime
    author: str
    subject: str
    status: str | None
    progress: str | None
    execution: int | None
    is_job_there: bool

    @classmethod
    def of(cls, aside: rescues.Rescue, *, is_job_there: bool) -> "Rescue":
        """Return what is told of a rescue."""
        said = aside.revision.message
        return cls(
            name=aside.name,
            ref=aside.ref,
            job_id=aside.document,
            revision=aside.commit,
            base=aside.base,
            reason=aside.reason,
            places=aside.conflicts,
            against=aside.against,
            time=aside.time,
            author=aside.author,
            subject=said.subject,
            status=said.get(message.STATUS),
            progress=said.get(message.PROGRESS),
            execution=executions.integer(said.get(message.EXECUTION)),
            is_job_there=is_job_there,
        )


class Based(NamedTuple):
    """What a rescue is merged from: a value, ABSENT if there was no job, and the revision since which it may have moved
    on; None where nobody knows.
    """

    value: Slot
    since: str | None


def base_of(store: Store, aside: rescues.Rescue) -> str | None:
    """Return the commit at which the state of a rescue began to be another than that of the job; None: nobody knows."""
    if aside.reason not in (rescues.PARKED, rescues.INVALID):
        return aside.base
    if aside.base is None or aside.against is None:
        return None
    try:
        met = meeting(store.reader.source, aside.base, aside.against)
    except _UNREADABLE:  # one of the two was cleared away, or what the commit says is forged
        return None
    return met[0] if len(met) == 1 else None


def based(store: Store, found: rescues.Rescues, aside: rescues.Rescue) -> Based | None:
    """Return what a rescue is merged from; None: nobody knows, or it cannot be read."""
    if aside.reason == rescues.PARKED:
        won = _at(found, aside, aside.against)
        return (
            None if won is None else Based(_with_what_won(found.snapshot(aside), won, aside.conflicts), aside.against)
        )
    base = base_of(store, aside)
    if base is None:
        return None
    try:
        then, revision = found.at_revision(aside.document, base), found.revision(base)
        value: Slot = ABSENT if then is None else then.content().value
    except _UNREADABLE:
        return None
    is_made_for_it = revision.message.get(message.EVENT) == Event.RESCUED
    return Based(value, next(iter(revision.parents), None) if is_made_for_it else base)


def _at(found: rescues.Rescues, aside: rescues.Rescue, revision: str | None) -> dict[str, Value] | None:
    """Return the value of a rescue's job at a revision; None: there is none that can be read."""
    try:
        return None if revision is None else value_of(found.at_revision(aside.document, revision))
    except _UNREADABLE:
        return None


def _with_what_won(lost: Snapshot, won: dict[str, Value], places: tuple[str, ...]) -> dict[str, Value]:
    """Return the state that lost with what won at the places at which it did."""
    value: dict[str, Any] = lost.content().value
    for place in places:
        try:
            parts = pointer.parse(place)
            value = put(value, parts, pointer.get(won, parts), parts) if parts else won
        except InvalidInputError:  # the place is in nothing that both have; no pointer at all, if it is forged
            continue
    return value
