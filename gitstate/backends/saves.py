"""What a save makes of a job: created, replaced, saved as it is, or merged with what others saved meanwhile."""

import json
import logging
from typing import Any

from gitstate.backends.lineage import Picture
from gitstate.backends.rules import JOB_RULES
from gitstate.backends.subjects import message_for, told
from gitstate.errors import ConflictError, CorruptionError, StateCorruptionError
from gitstate.format.codec import Codec
from gitstate.format.message import Event
from gitstate.store.documents import Draft, Edit, Snapshot
from gitstate.values.canonical import Value, equal
from gitstate.values.merge import merge3

__all__ = ["edit_for"]

_log = logging.getLogger("gitstate")
_LISTED = 10  # so many conflicts are named in the message of the error


def edit_for(codec: Codec[Any], job_id: str, ours: dict[str, Value], picture: Picture) -> Edit:
    """Return the write that saves the value ``ours``, of which ``picture`` was taken.

    The write raises ConflictError when the job moved since the state was loaded in a way that cannot be merged.
    """

    def edit(current: Snapshot | None) -> Draft:
        base = picture.base()
        theirs, note = _readable(current)
        if theirs is None:
            if base is not None and current is None:
                note = "the job had been deleted meanwhile; what was saved here survives"
                _log.warning("job %r: %s", job_id, note)
            event = Event.CREATED if current is None else Event.SAVED
            return _draft(job_id, event, None, ours, picture, note)
        if base is None or current is None or current.text() == base.text or equal(theirs, json.loads(base.text)):
            return _draft(job_id, Event.SAVED, theirs, ours, picture)
        value = _merged(codec, job_id, _normal(codec, json.loads(base.text)), ours, theirs)
        event = Event.SAVED if equal(value, ours) else Event.MERGED
        return _draft(job_id, event, theirs, value, picture)

    return edit


def _readable(current: Snapshot | None) -> tuple[dict[str, Value] | None, str]:
    """Return the value that stands there, or None and why it cannot be read: then the save replaces it."""
    if current is None:
        return None, ""
    try:
        return current.value(), ""
    except StateCorruptionError as error:
        _log.warning("replaced by a save, and still in the history: %s", error)
        return None, f"Replaces a state that could not be read: {error.message}"


def _merged(
    codec: Codec[Any], job_id: str, base: dict[str, Value], ours: dict[str, Value], theirs: dict[str, Value]
) -> dict[str, Value]:
    merge = merge3(base, ours, theirs, JOB_RULES)
    if merge.conflicts:
        pointers = [conflict.pointer for conflict in merge.conflicts]
        listed = ", ".join(pointers[:_LISTED]) + (", ..." if len(pointers) > _LISTED else "")
        raise ConflictError(
            f"job {job_id!r} was changed by somebody else at the same places: {listed}",
            conflicts=merge.conflicts,
            hint="load it again, decide which side is right, and save that",
        )
    value: dict[str, Any] = merge.value  # type: ignore[assignment]  # three objects merge to an object
    try:
        codec.decode(value)
    except CorruptionError as error:
        raise ConflictError(
            f"job {job_id!r} was changed by somebody else, and both changes together are no state: {error.message}",
            hint="load it again, make your change there, and save that",
        ) from error
    return value


def _normal(codec: Codec[Any], value: dict[str, Value]) -> dict[str, Value]:
    """Return a stored value as the model says it: defaults filled in, so that only real changes differ from it."""
    try:
        normal: dict[str, Any] = codec.encode(codec.decode(value))  # type: ignore[assignment]  # as above
    except CorruptionError:
        return value
    return normal


def _draft(
    job_id: str,
    event: Event,
    before: dict[str, Value] | None,
    value: dict[str, Value],
    picture: Picture,
    note: str = "",
) -> Draft:
    text = told(before, value) + (", merged" if event is Event.MERGED else "")
    return Draft(message_for(job_id, event, text, value, body=note), value=value, observer=picture)
