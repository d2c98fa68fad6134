"""Checkpoints: the revisions of a job, in the words of its users."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gitstate import clock
from gitstate.errors import InvalidInputError, RevisionNotFoundError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.documents import Collection, Revision
from gitstate.store.moments import moment
from gitstate.store.store import Store

__all__ = ["Checkpoint", "DeletedJob", "Pin", "events_named", "selected"]

_CLOCKS = timedelta(days=1)  # so far back may a clock have been put: history is in the order of commits


@dataclass(frozen=True)
class Checkpoint:
    """A revision of a job: its commit id, when (UTC) and by whom, and what the commit says.

    ``event`` is one of :class:`gitstate.format.message.Event`, or ``edited`` for a commit that somebody made with git;
    ``status`` and ``progress`` (``"2/10"``) are the job's after it; ``message`` is the body of the commit's message.
    """

    revision: str
    time: datetime
    author: str
    event: str
    subject: str
    status: str | None
    progress: str | None
    message: str

    @classmethod
    def of(cls, job_id: str, revision: Revision) -> "Checkpoint":
        """Return what a revision says of a job; what it says of another job does not count."""
        said = revision.message
        ours = said.get(message.JOB) == job_id
        return cls(
            revision=revision.id,
            time=revision.time,
            author=revision.author,
            event=(said.get(message.EVENT) if ours else None) or Event.EDITED.value,
            subject=said.subject,
            status=said.get(message.STATUS) if ours else None,
            progress=said.get(message.PROGRESS) if ours else None,
            message=said.body,
        )


@dataclass(frozen=True)
class DeletedJob:
    """A job that is there no more: the checkpoint that deleted it, and its status and progress before that.

    These are None where its last state cannot be read.
    """

    job_id: str
    checkpoint: Checkpoint
    status: str | None
    progress: str | None


@dataclass(frozen=True)
class Pin:
    """A name for a checkpoint of a job, and the id of its commit. To git it is a tag."""

    job_id: str
    name: str
    revision: str


def events_named(events: str | Iterable[str] | None) -> frozenset[str] | None:
    """Return the events that a caller asks for; None: any. Raises InvalidInputError: there is no such event."""
    if events is None:
        return None
    known = frozenset(event.value for event in Event)
    named = frozenset([events] if isinstance(events, str) else events)
    unknown = sorted(str(event) for event in named if event not in known)
    if unknown:
        raise InvalidInputError(f"there is no event {unknown[0]!r}", hint=f"the events are {', '.join(sorted(known))}")
    return named


def selected(
    store: Store,
    jobs: Collection,
    job_id: str,
    *,
    at: str | None = None,
    before: str | datetime | None = None,
    after: str | datetime | None = None,
    events: frozenset[str] | None = None,
) -> Iterator[Checkpoint]:
    """Yield the checkpoints of a job that are older than ``before`` and newer than ``after``, newest first.

    These are times, or names of revisions; what only time can tell in a history that is no line, it tells.
    """
    oldest, newest = _bound(store, jobs, job_id, after), _bound(store, jobs, job_id, before)
    start = at
    if isinstance(newest, Revision) and (at is None or not _is_within(store, jobs, job_id, at, newest)):
        start = newest.id
    if isinstance(oldest, Revision) and start is not None and _is_within(store, jobs, job_id, start, oldest):
        return
    for revision in store.history(jobs, job_id, start):
        if isinstance(oldest, Revision):
            if revision.id == oldest.id or revision.time < oldest.time - _CLOCKS:
                return
        elif oldest is not None and revision.time <= oldest:
            if revision.time < oldest - _CLOCKS:
                return
            continue
        if isinstance(newest, Revision) and revision.id == newest.id:
            continue
        if isinstance(newest, datetime) and revision.time >= newest:
            continue
        checkpoint = Checkpoint.of(job_id, revision)
        if events is None or checkpoint.event in events:
            yield checkpoint


def _is_within(store: Store, jobs: Collection, job_id: str, name: str, revision: Revision) -> bool:
    """Tell whether a job's history as it was at a name is all in that of a revision of it."""
    own = next(store.history(jobs, job_id, name), None)
    if own is None:
        return True
    for each in store.history(jobs, job_id, revision.id):
        if each.id == own.id:
            return True
        if each.time < own.time - _CLOCKS:
            break
    return False


def _bound(store: Store, jobs: Collection, job_id: str, name: str | datetime | None) -> Revision | datetime | None:
    """Return the time that a bound names, or the job's own revision."""
    if isinstance(name, datetime):
        return name if name.tzinfo is not None else name.replace(tzinfo=UTC)
    if name is None or (isinstance(name, str) and (time := moment(name, clock.now())) is not None):
        return None if name is None else time
    own = next(store.history(jobs, job_id, name), None)
    if own is None:
        raise RevisionNotFoundError(
            f"there was no job {job_id!r} at revision {name!r}", hint="`gitstate log` lists its revisions"
        )
    return own
