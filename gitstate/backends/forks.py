"""Forks: new jobs that begin as a checkpoint of another one, and the tree that they make."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitstate.backends.restoring import checked, followed, reset
from gitstate.backends.rewound import Planner, Rewound, value_of
from gitstate.backends.statuses import JobStatus
from gitstate.backends.subjects import message_for, progress
from gitstate.errors import ExistsError, InvalidInputError, JobNotFoundError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.content import Content
from gitstate.store.documents import Collection, Draft, Revision, Snapshot
from gitstate.store.store import Store
from gitstate.words import short

if TYPE_CHECKING:
    from gitstate.format.codec import Codec

__all__ = ["Fork", "fork", "forks"]

_ANEW = tuple(f"{message.EVENT}: {event}\n".encode() for event in (Event.CREATED, Event.RECOVERED))


@dataclass(frozen=True)
class Fork:
    """A job in a tree of forks.

    ``origin`` is the job that it was forked from, ``at`` the revision at which, ``revision`` the commit that did it,
    and ``time`` when; all None of the job at the root. ``status`` and ``progress`` (``"2/10"``) are those of now, or
    of the revision that was asked for; None where the job was deleted or cannot be read. ``forks`` are what was forked
    from it, the oldest first.
    """

    job_id: str
    origin: str | None
    at: str | None
    revision: str | None
    time: datetime | None
    status: str | None
    progress: str | None
    forks: tuple["Fork", ...]


def fork(
    codec: "Codec[Any]", origin: Snapshot, source: str, job_id: str, *, from_sheet: int | None, note: str
) -> Planner:
    """Return the plan that makes a new job of a snapshot of another one."""

    def plan(current: Snapshot | None) -> tuple[Rewound, Draft | None]:
        if current is not None:
            raise ExistsError(f"job {job_id!r} is there; nothing was changed", hint="choose another id, or delete it")
        event, value = Event.FORKED, _begun(origin, job_id, from_sheet)
        after = checked(codec, job_id, value)
        text = f"forked from {origin.document} at {short(source)}"
        text += f", from sheet {from_sheet} on" if from_sheet is not None else ""
        trailers = ((message.ORIGIN, f"{origin.document}@{source}"),)
        told = message_for(job_id, event, text, after, body=note, trailers=trailers)
        return Rewound(job_id, event.value, source, None, None, after), Draft(told, value=Content(value=after))

    return plan


def forks(store: Store, collection: Collection, job_id: str, at: str | None) -> Fork:
    """Return the whole tree of forks in which a job stands, or stood ``at`` a revision, from its root.

    Raises:
        JobNotFoundError: There is no such job, and no fork of it.
        RevisionNotFoundError: No revision answers to ``at``, or several do.
    """
    start = store.resolve(at, collection, job_id)
    made = _made(store, collection, start)
    origins = {origin for origin, _, _ in made.values()}
    if job_id not in made and job_id not in origins and store.snapshot(collection, job_id, start) is None:
        raise JobNotFoundError(f"there is no job {job_id!r}", hint="`gitstate list` shows which there are")
    above = [job_id]
    while above[-1] in made and made[above[-1]][0] not in above:  # a job that was deleted may be forked from its fork
        above.append(made[above[-1]][0])

    def drawn(job: str, path: tuple[str, ...]) -> Fork:
        origin, at, revision = made[job] if path else (None, None, None)
        below = [child for child, (parent, _, _) in made.items() if parent == job and child not in (*path, job)]
        status, done = _standing(store.snapshot(collection, job, start))
        return Fork(
            job_id=job,
            origin=origin,
            at=at,
            revision=None if revision is None else revision.id,
            time=None if revision is None else revision.time,
            status=status,
            progress=done,
            forks=tuple(drawn(child, (*path, job)) for child in reversed(below)),
        )

    return drawn(above[-1], ())


def _made(store: Store, collection: Collection, start: str) -> dict[str, tuple[str, str, Revision]]:
    """Return the forks by their ids: origin, the revision at which, and the commit that made each."""
    made: dict[str, tuple[str, str, Revision]] = {}
    anew: dict[str, list[Revision]] = {}  # commits that say that they made a job of nothing

    def is_birth(job_id: str, revision: Revision) -> bool:  # or the trailers lie
        was_there = (store.snapshot(collection, job_id, commit) is not None for commit in revision.parents)
        return not any(was_there) and store.snapshot(collection, job_id, revision.id) is not None

    for revision in store.walk(message.ORIGIN.encode(), *_ANEW, start=start):
        job_id, origin = revision.message.get(message.JOB), _origin(revision)
        if job_id is None or job_id in made:
            continue
        if origin is None:
            anew.setdefault(job_id, []).append(revision)
        elif is_birth(job_id, revision) and not any(is_birth(job_id, later) for later in anew.get(job_id, ())):
            made[job_id] = (*origin, revision)
    return made


def _begun(origin: Snapshot, job_id: str, from_sheet: int | None) -> dict[str, Any]:
    """Return the value with which a fork begins: not running, and if asked for with its last sheets open."""
    value: dict[str, Any] = origin.content().value
    job = {name: field for name, field in value.items() if name not in ("pid", "host")} | {"job_id": job_id}
    if job.get("status") == JobStatus.RUNNING:
        job["status"] = JobStatus.PAUSED.value
    if from_sheet is not None:
        total = job.get("total_sheets")
        number = isinstance(from_sheet, int) and not isinstance(from_sheet, bool)
        if not number or not isinstance(total, int) or not 1 <= from_sheet <= total:
            raise InvalidInputError(
                f"job {origin.document!r} has no sheet {from_sheet!r}", hint=f"its sheets are 1 to {total}"
            )
        job = reset(job, from_sheet)
    return followed(job, job)


def _origin(revision: Revision) -> tuple[str, str] | None:
    """Return the job and the revision that a fork was made of."""
    job, at, commit = (revision.message.get(message.ORIGIN) or "").rpartition("@")
    return (job, commit) if job and at else None


def _standing(snapshot: Snapshot | None) -> tuple[str | None, str | None]:
    value: dict[str, Any] | None = value_of(snapshot)
    if value is None:
        return None, None
    done, total = progress(value)
    return str(value.get("status")), f"{done}/{total}"
