"""Taking back what a person did to a job, and keeping what the job did since."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gitstate.backends.restoring import checked, followed
from gitstate.backends.rewound import GOES_BACK, Planner, Rewound, files_of, refuse_if_running, rewound_since, value_of
from gitstate.backends.rules import UNDO_RULES
from gitstate.backends.subjects import message_for
from gitstate.errors import ConflictError, InvalidInputError, JobNotFoundError, NotFoundError, StaleError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.content import Content
from gitstate.store.documents import Collection, Draft, Revision, Snapshot
from gitstate.store.store import Store
from gitstate.values.canonical import Value, equal
from gitstate.values.merge import ABSENT, Conflict, merge3
from gitstate.words import several, short

if TYPE_CHECKING:
    from gitstate.format.codec import Codec

__all__ = ["last_operation", "undo"]

_OPERATIONS = (*GOES_BACK, Event.SKIPPED, Event.FORKED, Event.DELETED, Event.EDITED)
_LISTED = 10  # so many jobs and places are named in an error


def last_operation(store: Store, collection: Collection, job_id: str | None) -> tuple[str, Revision]:
    """Return the last thing that a person did to a job, or to any, and which job it was.

    Raises:
        JobNotFoundError: There never was such a job.
        NotFoundError: There is nothing to take back.
        InvalidInputError: It changed several jobs, and none was named.
    """
    found = _of_any(store, collection) if job_id is None else _of_one(store, collection, job_id)
    if (last := next(found, None)) is not None:
        return last
    where = "in the store" if job_id is None else f"to job {job_id!r}"
    raise NotFoundError(
        f"nobody did anything {where} that could be taken back",
        hint="`gitstate log` shows what happened; `gitstate rollback` goes back to any of it",
    )


def undo(
    codec: "Codec[Any]",
    job_id: str,
    operation: Revision,
    sides: tuple[Snapshot | None, Snapshot | None],
    seen: str,
    *,
    note: str,
    force: bool,
) -> Planner:
    """Return the plan that takes an operation back.

    Args:
        codec: That of the job's states.
        job_id: The job.
        operation: What is taken back.
        sides: The job before and after it.
        seen: The head at which it was the last operation.
        note: Why.
        force: Also while the job is running.
    """
    before, after = sides
    event = Event.UNDONE

    def plan(current: Snapshot | None) -> tuple[Rewound, Draft | None]:
        refuse_if_running(job_id, current, force=force)
        if current is not None and rewound_since(current, seen):
            raise StaleError(f"somebody just went back with job {job_id!r}; nothing was changed", hint="try again")
        files: dict[str, bytes | None] = {}
        value: dict[str, Value] | None = None
        if _value_id(current) != _value_id(after):
            value = _merged(codec, job_id, operation, before, after, current)
        elif before is not None:
            files = files_of(before, current, attachments=current is None)
        result = value_of(before) if value is None else value
        previous = None if current is None else current.revision
        done = Rewound(job_id, event.value, operation.id, previous, value_of(current), result)
        if (value is not None and equal(value, done.before)) or (before is not None and value is None and not files):
            return done, None
        text = f"undid {short(operation.id)}, {_event(job_id, operation)}"
        told = message_for(job_id, event, text, result, body=note, trailers=((message.UNDOES, operation.id),))
        content = None if value is None else Content(value=value)
        return done, Draft(told, value=content, attachments=files, delete=result is None)

    return plan


def _merged(
    codec: "Codec[Any]",
    job_id: str,
    operation: Revision,
    before: Snapshot | None,
    after: Snapshot | None,
    current: Snapshot | None,
) -> dict[str, Value]:
    base, ours, theirs = (ABSENT if side is None else side.content().value for side in (after, current, before))
    merge = merge3(base, ours, theirs, UNDO_RULES)
    if base is ABSENT or ours is ABSENT or theirs is ABSENT:
        conflicts: tuple[Conflict, ...] = (Conflict("", base, ours, theirs),)
        where = "the job as a whole"
    else:
        conflicts = merge.conflicts
        where = several([conflict.pointer for conflict in conflicts], _LISTED)
    if conflicts:
        raise ConflictError(
            f"job {job_id!r} moved on since {short(operation.id)} where that changed it: {where}; nothing was changed",
            conflicts=conflicts,
            hint="`gitstate restore` brings back what you choose, `gitstate rollback` all",
        )
    value: dict[str, Any] = merge.value  # type: ignore[assignment]  # three objects merge to an object
    if equal(value, ours):  # type: ignore[arg-type]  # not absent
        return value
    return checked(codec, job_id, followed(ours, value))  # type: ignore[arg-type]  # as above


def _of_one(store: Store, collection: Collection, job_id: str) -> Iterator[tuple[str, Revision]]:
    there = False
    for revision in store.history(collection, job_id):
        there = True
        if _is_operation(job_id, revision):
            yield job_id, revision
    if not there:
        raise JobNotFoundError(f"there is no job {job_id!r}", hint="`gitstate list` shows which there are")


def _of_any(store: Store, collection: Collection) -> Iterator[tuple[str, Revision]]:
    for revision in store.walk():
        named = revision.message.all(message.JOB)
        if not _is_operation(named[0] if named else None, revision):
            continue
        jobs = store.changed(collection, revision)  # what a trailer says of a job that did not change does not count
        if named:
            jobs = [job for job in jobs if job in named]
        if len(jobs) > 1:
            named_ones = several(list(map(repr, jobs)), _LISTED)
            raise InvalidInputError(f"commit {short(revision.id)} changed several jobs: {named_ones}", hint="name one")
        if jobs:
            yield jobs[0], revision


def _is_operation(job_id: str | None, revision: Revision) -> bool:
    applied = (message.PROPOSAL, message.APPLIED)
    return _event(job_id, revision) in _OPERATIONS or any(revision.message.get(key) is not None for key in applied)


def _event(job_id: str | None, revision: Revision) -> str:
    """Return what a revision did to a job; without a word of ours somebody edited it with git."""
    said = revision.message
    return (said.get(message.EVENT) if job_id in said.all(message.JOB) else None) or Event.EDITED.value


def _value_id(snapshot: Snapshot | None) -> str | None:
    return None if snapshot is None else snapshot.value_id
