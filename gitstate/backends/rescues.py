"""States that were kept aside: what is told of one, what it is compared with, and what it is merged from."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from gitstate.backends import executions
from gitstate.backends.restoring import put
from gitstate.engine.base import Source
from gitstate.engine.beyond import is_in_history, joining, meeting
from gitstate.errors import CorruptionError, InvalidInputError, UnsupportedError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store import rescues
from gitstate.store.documents import Snapshot
from gitstate.values import pointer
from gitstate.values.canonical import Value, equal
from gitstate.values.merge import ABSENT, Absent, Rules, merge3

__all__ = ["Based", "Rescue", "base_of", "based_on", "join_of", "since_when"]

_UNREADABLE = (CorruptionError, UnsupportedError)
_JOINED = (rescues.PARKED, rescues.INVALID)


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
    """How a rescue is merged into its job: ``began`` is what the job was, ABSENT if it was not there, ``wanted`` what
    it was to become, and ``since`` the commit since which it may have moved on.
    """

    began: dict[str, Value] | Absent
    wanted: dict[str, Value]
    since: str | None


def base_of(source: Source, aside: rescues.Rescue) -> str | None:
    """Return the commit at which the state of a rescue began to be another than that of the job; None: nobody knows."""
    if aside.reason not in _JOINED:
        return aside.base
    if aside.base is None or aside.against is None:
        return None
    try:
        met = meeting(source, aside.base, aside.against)
    except _UNREADABLE:  # one of the two was cleared away, or what the commit says is forged
        return None
    return met[0] if len(met) == 1 else None


def since_when(found: rescues.Rescues, aside: rescues.Rescue) -> str | None:
    """Return the revision of the job that the state of a rescue follows; None: there is none that can be read."""
    try:
        revision = None if aside.base is None else found.revision(aside.base)
        if revision is not None and revision.message.get(message.EVENT) == Event.RESCUED:  # it was made for the rescue
            revision = found.revision(revision.parents[0]) if revision.parents else None
        return revision.id if revision is not None and found.at_revision(aside.document, revision.id) else None
    except _UNREADABLE:
        return None


def based_on(found: rescues.Rescues, aside: rescues.Rescue, current: Snapshot) -> Based | None:
    """Return how a rescue is merged into its job as it is now; None: nobody knows, or it cannot be read.

    What lost where two histories were joined is in the job already, but for what it lost: so the job began as what came
    of that, and was to become what would have come of it with this side in the places in question.
    """
    found, source = found.over(current.source), current.source
    lost, base = found.snapshot(aside).content().value, base_of(source, aside)
    began = _at(found, aside, base)
    if aside.reason not in _JOINED:
        return None if began is None else Based(began, lost, since_when(found, aside))
    joined = join_of(current, aside)
    if joined is None:  # there is one of the sides alone in this history
        if aside.base is not None and is_in_history(source, aside.base, current.revision):
            return Based(lost, lost, aside.base)
        return None if began is None else Based(began, lost, base)
    came, won = _at(found, aside, joined), _at(found, aside, aside.against)
    if not isinstance(came, dict) or not isinstance(won, dict):
        return None
    wanted = _wanted(current.collection.rules, aside, lost, began, came, won)
    return None if wanted is None else Based(came, wanted, joined)


def join_of(current: Snapshot, aside: rescues.Rescue) -> str | None:
    """Return the commit at which what lost and what won came together in the history of a job as it is now."""
    if aside.reason not in _JOINED or aside.base is None or aside.against is None:
        return None
    try:
        return joining(current.source, current.revision, aside.base, aside.against)
    except _UNREADABLE:
        return None


def _at(found: rescues.Rescues, aside: rescues.Rescue, revision: str | None) -> dict[str, Value] | Absent | None:
    """Return the value of a rescue's job at a revision, ABSENT if it was not there; None: it cannot be read."""
    try:
        then = None if revision is None else found.at_revision(aside.document, revision)
        return None if revision is None else ABSENT if then is None else then.content().value
    except _UNREADABLE:
        return None


def _wanted(
    rules: Rules,
    aside: rescues.Rescue,
    lost: dict[str, Value],
    began: dict[str, Value] | Absent | None,
    came: dict[str, Value],
    won: dict[str, Value],
) -> dict[str, Value] | None:
    """Return what would have come of a join with what lost in the places in question; None: that cannot be told."""
    if "" in aside.conflicts:
        return lost
    if not equal(came, won):
        return _with(came, lost, aside.conflicts)  # all else of it was merged
    if began is None:  # what won may have been taken whole, so that more is lost than these places
        return lost if equal(_with(won, lost, aside.conflicts), lost) else None
    merged: dict[str, Any] = merge3(began, lost, won, rules).value  # type: ignore[assignment]  # of objects
    return _with(merged, lost, aside.conflicts)


def _with(value: dict[str, Value], lost: dict[str, Value], places: tuple[str, ...]) -> dict[str, Value]:
    """Return a value with what lost at some places."""
    for place in places:
        with suppress(InvalidInputError):  # it is in nothing that both have: a file beside the value, or it is forged
            parts = pointer.parse(place)
            value = put(value, parts, pointer.get(lost, parts), parts)
    return value
