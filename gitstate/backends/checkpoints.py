"""Checkpoints: the revisions of a job, in the words of its users."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from gitstate import clock
from gitstate.backends.endings import Ended, endings_of
from gitstate.errors import InvalidInputError, JobNotFoundError, RevisionNotFoundError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.answers import Answers
from gitstate.store.documents import Collection, Revision
from gitstate.store.moments import moment
from gitstate.store.trails import Trail

__all__ = ["Checkpoint", "DeletedJob", "Pin", "events_named", "own_revision", "selected", "trailer_named"]

_CODE = re.compile("([0-9a-f]{40}|[0-9a-f]{64})(?: (.*))?")
_CLOCKS = timedelta(days=1)  # so far back may a clock have been put: history is in the order of commits


@dataclass(frozen=True)
class Checkpoint:
    """A revision of a job: its commit id, when (UTC) and by whom, and what the commit says.

    ``event`` is one of :class:`gitstate.format.message.Event`, or ``edited`` for a commit that somebody made with git;
    ``status`` and ``progress`` (``"2/10"``) are the job's after it; ``message`` is the body of the commit's message;
    ``ended`` are the attempts that ended with it, 50 at most. ``code`` is the commit of the project whose code ran, if
    the checkpoint says so, and ``code_dirty`` whether its files had other changes, None where that is unknown.
    """

    revision: str
    time: datetime
    author: str
    event: str
    subject: str
    status: str | None
    progress: str | None
    message: str
    ended: tuple[Ended, ...] = ()
    code: str | None = None
    code_dirty: bool | None = None

    @classmethod
    def of(cls, job_id: str, revision: Revision) -> "Checkpoint":
        """Return what a revision says of a job; what it says of another job does not count."""
        said = revision.message
        ours = job_id in said.all(message.JOB)
        code, code_dirty = _code(said.get(message.CODE) if ours else None)
        made = object.__new__(cls)  # fields that are frozen, set one by one, take a sixth of a history's time
        made.__dict__.update(
            revision=revision.id,
            time=revision.time,
            author=revision.author,
            event=(said.get(message.EVENT) if ours else None) or Event.EDITED.value,
            subject=said.subject,
            status=said.get(message.STATUS) if ours else None,
            progress=said.get(message.PROGRESS) if ours else None,
            message=said.body,
            ended=endings_of(said) if ours else (),
            code=code,
            code_dirty=code_dirty,
        )
        return made


def _code(said: str | None) -> tuple[str | None, bool | None]:
    """Return the commit that a trailer names, and whether it says that files had other changes."""
    found = _CODE.fullmatch(said or "")
    if found is None:
        return None, None
    return found[1], {None: False, "dirty": True}.get(found[2])


class AskedTrailer(NamedTuple):
    """A trailer that is asked for: its key, and its value if that counts."""

    key: str | None
    value: str | None


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
    named = [events] if isinstance(events, str) or not isinstance(events, Iterable) else list(events)
    unknown = [event for event in named if not isinstance(event, str) or event not in known]
    if unknown:
        raise InvalidInputError(f"there is no event {unknown[0]!r}", hint=f"the events are {', '.join(sorted(known))}")
    return frozenset(named)


def trailer_named(text: str | None) -> AskedTrailer | None:
    """Read ``KEY``, or ``KEY: VALUE`` as it stands in a message. Raises InvalidInputError: it is no text, or no key."""
    if text is None:
        return None
    key, colon, value = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not message.is_key(key):
        raise InvalidInputError(f"{text!r} is no trailer", hint="name one as 'Gitstate-Sheet' or 'Gitstate-Sheet: 3'")
    return AskedTrailer(key, value.strip() if colon else None)


def own_revision(store: Answers, jobs: Collection, job_id: str, at: str | None) -> Revision:
    """Return the job's own last revision at a revision; None is the head.

    Raises:
        JobNotFoundError: There never was such a job.
        RevisionNotFoundError: No revision answers to ``at``, or several do, or the job was not there yet.
    """
    own = next(store.history(jobs, job_id, at, limit=1), None)
    if own is not None:
        return own
    if at is None or next(store.history(jobs, job_id, limit=1), None) is None:
        raise JobNotFoundError(f"there is no job {job_id!r}", hint="`gitstate list` shows which there are")
    raise RevisionNotFoundError(
        f"there was no job {job_id!r} at revision {at!r}", hint="`gitstate log` lists its revisions"
    )


def selected(
    store: Answers,
    jobs: Collection,
    job_id: str,
    *,
    at: str | None = None,
    before: str | datetime | None = None,
    after: str | datetime | None = None,
    events: frozenset[str] | None = None,
    trailer: AskedTrailer | None = None,
    limit: int | None = None,
) -> Iterator[Checkpoint]:
    """Yield the checkpoints of a job that are older than ``before`` and newer than ``after``, newest first.

    These are times, or names of revisions; what only time can tell in a history that is no line, it tells. ``limit``
    says how many are needed as a rule.
    """
    oldest, newest = _bound(store, jobs, job_id, after), _bound(store, jobs, job_id, before)
    said = trailer or _said_by(events) or AskedTrailer(None, None)
    asked = Trail(jobs, job_id, "", key=said.key, value=said.value)
    if isinstance(oldest, Revision) or isinstance(newest, Revision):
        said = AskedTrailer(None, None)  # the bounds may be none of those that are asked for
    revisions = store.history(jobs, job_id, at, key=said.key, value=said.value, limit=limit)
    if isinstance(newest, Revision):
        revisions = _before(store, jobs, job_id, newest, None if at is None else list(revisions))
    elif newest is not None:
        revisions = (revision for revision in revisions if revision.time < newest)
    for revision in _after(store, jobs, job_id, oldest, revisions):
        checkpoint = Checkpoint.of(job_id, revision)
        if asked.holds(revision.message) and (events is None or checkpoint.event in events):
            yield checkpoint


def _said_by(events: frozenset[str] | None) -> AskedTrailer | None:
    """Return the trailer that all commits with an event have; None where there is none."""
    event = next(iter(events)) if events is not None and len(events) == 1 else Event.EDITED
    return None if event == Event.EDITED else AskedTrailer(message.EVENT, event)


def _before(
    store: Answers, jobs: Collection, job_id: str, newest: Revision, among: list[Revision] | None
) -> Iterator[Revision]:
    """Return the revisions that are older than one, of all or of those that another one has in its history."""
    older = islice(store.history(jobs, job_id, newest.id), 1, None)
    if among is None or any(revision.id == newest.id for revision in among):
        return older
    if among and any(revision.id == among[0].id for revision in older):
        return iter(among)
    return (revision for revision in among if revision.time < newest.time)


def _after(
    store: Answers, jobs: Collection, job_id: str, oldest: Revision | datetime | None, revisions: Iterator[Revision]
) -> Iterator[Revision]:
    """Yield those of some revisions that are newer than one, or than a time."""
    if isinstance(oldest, Revision):
        newer: list[Revision] = []
        for revision in revisions:
            if revision.id == oldest.id:
                yield from newer
                return
            newer.append(revision)
        if newer and not any(revision.id == newer[0].id for revision in store.history(jobs, job_id, oldest.id)):
            yield from (revision for revision in newer if revision.time > oldest.time)
        return
    for revision in revisions:
        if oldest is not None and revision.time < oldest - _CLOCKS:
            return
        if oldest is None or revision.time > oldest:
            yield revision


def _bound(store: Answers, jobs: Collection, job_id: str, name: str | datetime | None) -> Revision | datetime | None:
    """Return the time that a bound names, or the job's own revision."""
    if isinstance(name, datetime):
        return clock.aware(name)
    time = moment(name, clock.now()) if isinstance(name, str) else None
    return time if time is not None or name is None else own_revision(store, jobs, job_id, name)
