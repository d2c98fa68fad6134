"""What all ways back share: the account of what one did, the refusal while the job runs, files of an older snapshot."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

from gitstate.backends.statuses import runs_here
from gitstate.backends.subjects import message_for
from gitstate.errors import BusyError, ExistsError, JobNotFoundError, StateCorruptionError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.documents import Draft, Snapshot
from gitstate.store.walks import walk
from gitstate.values.canonical import Value
from gitstate.words import short

__all__ = [
    "GOES_BACK",
    "Planner",
    "Rewound",
    "busy",
    "files_of",
    "refuse_if_running",
    "refuse_if_there",
    "rewound_since",
    "rollback",
    "standing",
    "undelete",
    "value_of",
]

GOES_BACK = (Event.ROLLED_BACK, Event.RESTORED, Event.UNDONE, Event.RESET)
"""The events with which something older became the present: what came before counts no more."""


@dataclass(frozen=True)
class Rewound:
    """What a way back did, or would do.

    ``revision`` is the commit that it made, None when nothing was written: it was a dry run, or there was nothing to
    change. ``previous`` is the commit before it. ``source`` is the commit whose state, or a part of it, was brought
    back; of an undo the commit that was taken back. ``before`` and ``after`` are the values of the job, None where
    there is none or it cannot be read. They belong to the store; do not change them.
    """

    job_id: str
    event: str
    source: str | None
    previous: str | None
    before: dict[str, Value] | None
    after: dict[str, Value] | None
    revision: str | None = None


Planner: TypeAlias = Callable[[Snapshot | None], tuple[Rewound, Draft | None]]
"""What a way back makes of a job as it is now, and the draft of its commit; None: there is nothing to change."""


def value_of(snapshot: Snapshot | None) -> dict[str, Value] | None:
    """Return the value of a job, or None where there is none or it cannot be read."""
    try:
        return None if snapshot is None else snapshot.content().value
    except StateCorruptionError:
        return None


def refuse_if_running(job_id: str, current: Snapshot | None, *, force: bool) -> None:
    """Raise BusyError when a process of this host runs the job, unless it is forced."""
    value: dict[str, Any] = value_of(current) or {}
    if not force and runs_here(SimpleNamespace(**value)):
        then = "stop it first; or use --force (force=True): its next save is then refused where both changed"
        raise busy(job_id, value["pid"], then)


def standing(job_id: str, current: Snapshot | None, *, force: bool) -> Snapshot:
    """Return a job as it stands, which is to be changed.

    Raises:
        JobNotFoundError: There is no such job now.
        BusyError: A process of this host runs it, and it is not forced.
    """
    if current is None:
        raise JobNotFoundError(f"there is no job {job_id!r} now", hint="`gitstate undelete` brings it back")
    refuse_if_running(job_id, current, force=force)
    return current


def busy(job_id: str, pid: int | None, hint: str) -> BusyError:
    """Return the error that says that a process of this host runs a job."""
    return BusyError(f"job {job_id!r} is running: process {pid} of this host is alive; nothing was changed", hint=hint)


def refuse_if_there(job_id: str, current: Snapshot | None) -> None:
    """Raise ExistsError when there is a job that shall be brought back."""
    if current is not None:
        raise ExistsError(
            f"job {job_id!r} is not deleted; nothing was changed", hint="`gitstate rollback` goes back in its history"
        )


def rewound_since(current: Snapshot, revision: str | None) -> bool:
    """Tell whether somebody went back with a job, or applied a proposal to it, since a revision of it; None: nobody
    knows since when.
    """
    if revision is None:
        return False
    words = [f"{message.EVENT}: {event}".encode() for event in GOES_BACK] + [f"{message.PROPOSAL}: ".encode()]
    since = walk(current.source, current.revision, until=revision, holding=words)
    told = (found.message for found in since)
    return any(
        current.document in each.all(message.JOB)
        and (each.get(message.EVENT) in GOES_BACK or each.get(message.PROPOSAL) is not None)
        for each in told
    )


def files_of(older: Snapshot, current: Snapshot | None, *, attachments: bool = False) -> dict[str, bytes | None]:
    """Return the files to write and to remove so that a job has the value of an older snapshot, byte for byte.

    Works on the files alone, so also where what stands there now cannot be read as a state.

    Args:
        older: The snapshot whose value is wanted.
        current: What stands there now.
        attachments: Whether its attachments are wanted as well.
    """
    layout = older.collection.layout
    entries = older.files()
    wanted = [path for path in entries if layout.owns(path) or (attachments and layout.attached(path))]
    there = {} if current is None else current.files()
    written = {path: older.read(path) for path in wanted if there.get(path) != entries[path]}
    return written | {path: None for path in there if layout.owns(path) and path not in entries}


def rollback(job_id: str, older: Snapshot, source: str, *, note: str, force: bool) -> Planner:
    """Return the plan that makes the state of an older snapshot that of the job again."""

    def plan(current: Snapshot | None) -> tuple[Rewound, Draft | None]:
        current = standing(job_id, current, force=force)
        event, after = Event.ROLLED_BACK, older.content().value
        done = Rewound(job_id, event.value, source, current.revision, value_of(current), after)
        files = files_of(older, current)
        if not files:
            return done, None
        trailers = ((message.SOURCE, source),)
        told = message_for(job_id, event, f"rolled back to {short(source)}", after, body=note, trailers=trailers)
        return done, Draft(told, attachments=files)

    return plan


def undelete(job_id: str, older: Snapshot, source: str, *, note: str) -> Planner:
    """Return the plan that brings a deleted job back, with its attachments."""

    def plan(current: Snapshot | None) -> tuple[Rewound, Draft | None]:
        refuse_if_there(job_id, current)
        event, after = Event.RESTORED, older.content().value
        trailers = ((message.SOURCE, source),)
        told = message_for(
            job_id, event, f"undeleted, as it was at {short(source)}", after, body=note, trailers=trailers
        )
        done = Rewound(job_id, event.value, source, None, None, after)
        return done, Draft(told, attachments=files_of(older, None, attachments=True))

    return plan
