"""What a save makes of a job: created, replaced, saved as it is, or merged with what others saved meanwhile."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gitstate.backends.checked import Checked
from gitstate.backends.endings import ended, ending_trailers
from gitstate.backends.executions import Recording, Written
from gitstate.backends.lineage import Picture
from gitstate.backends.redaction import Redaction
from gitstate.backends.rewound import rewound_since
from gitstate.backends.rules import REWIND_RULES
from gitstate.backends.strangers import as_said, kept, stamped
from gitstate.backends.subjects import message_for, told
from gitstate.errors import ConflictError, CorruptionError, StaleError, StateCorruptionError
from gitstate.format.codec import Codec
from gitstate.format.message import Event
from gitstate.store.content import Content
from gitstate.store.documents import Draft, Edit, Snapshot
from gitstate.values.canonical import Value, equal
from gitstate.values.merge import Rules, merge3
from gitstate.words import several

__all__ = ["edit_for", "normal", "on_base"]

_log = logging.getLogger("gitstate")
_LISTED = 10  # so many conflicts are named in the message of the error


def edit_for(
    codec: Codec[Any],
    checked: Checked,
    redaction: Redaction,
    picture: Picture,
    execution: Recording | None = None,
    was_purged: Callable[[str], bool] = lambda _: False,
) -> Edit:
    """Return the write that saves what ``picture`` shows, a value that ``codec`` encoded, and records an execution.

    The write raises ConflictError when the job moved since the state was loaded in a way that cannot be merged, and
    StaleError when the job was purged since; ``was_purged`` tells that of a revision.
    """
    return _Save(codec, checked, redaction, picture, execution, was_purged).edit


@dataclass(frozen=True)
class _Save:
    """One save: its drafts, as :func:`edit_for` has it; it observes what becomes of them."""

    codec: Codec[Any]
    checked: Checked
    redaction: Redaction
    picture: Picture
    execution: Recording | None
    was_purged: Callable[[str], bool]
    merged: bool = False

    def edit(self, current: Snapshot | None) -> Draft:
        """Draft what becomes of the job as it is now."""
        base, ours = self.picture.base(), self.picture.content
        if base is not None and current is not None and base.value_id == current.value_id:
            return self._on_top(base, current)
        self._refuse_if_purged(base)
        theirs, note = _readable(current)
        if theirs is None:
            if base is not None and current is None:
                note = "the job had been deleted meanwhile; what was saved here survives"
                _log.warning("job %r: %s", self.picture.document, note)
            event = Event.CREATED if current is None else Event.SAVED
            return self._draft(event, None, ours, note)
        if base is None or current is None:
            return self._draft(Event.SAVED, theirs, ours)
        if equal(theirs, base.content.value):
            return self._on_top(base, current)
        return self._joined(base, current, theirs)

    def _on_top(self, base: Picture, current: Snapshot) -> Draft:
        """Draft what is saved on top of the base: nothing that the model does not know goes with that."""
        ours = self.picture.content
        if not self.codec.forgets:
            return self._draft(Event.SAVED, base.content.value, ours)
        stored = current.content().value
        value = on_base(self.codec, base, stored, ours.value)
        return self._draft(Event.SAVED, stored, ours if value is ours.value else Content(value=value))

    def _joined(self, base: Picture, current: Snapshot, theirs: dict[str, Value]) -> Draft:
        """Draft what ours is together with what others saved since the base."""
        codec, ours = self.codec, self.picture.content
        rules = REWIND_RULES if rewound_since(current, base.revision) else current.collection.rules
        began = normal(codec, base.content.value, ours.value)
        said: Any = as_said(theirs, base.content.value, began, ours.value)
        began, said = self.redaction.value(codec, began), self.redaction.value(codec, said)  # as ours is
        value = _merged(codec, self.picture.document, began, ours.value, said, rules)
        if equal(value, ours.value):
            return self._draft(Event.SAVED, theirs, ours)
        merged = replace(self, merged=True)
        return merged._draft(Event.MERGED, theirs, Content(value=stamped(value, ours.value)))

    def _refuse_if_purged(self, base: Picture | None) -> None:
        loaded = None if base is None or base.is_on_its_way else base.revision
        if loaded is not None and self.was_purged(loaded):
            raise StaleError(
                f"job {self.picture.document!r} was purged from the store since this state was loaded or saved last, "
                "and is not brought back by it",
                hint="end what still works on it; to begin the job anew, save a state that was made since the purge",
            )

    def _draft(self, event: Event, before: dict[str, Value] | None, value: Content, note: str = "") -> Draft:
        """Draft the commit that makes ``value`` out of ``before``."""
        text, changed = told(before, value.value)
        recording = self.execution
        trailers, attachments = Written() if recording is None else recording.written
        trailers += ending_trailers(ended(before, value.value, changed))
        if recording is not None and str(recording.record.sheet_num) not in changed:
            executed = recording.record.told
            text = executed if text == "saved" else f"{text}, {executed}"
        if event is Event.MERGED:
            text += ", merged"
        message = message_for(self.picture.document, event, text, value.value, body=note, trailers=trailers)
        return Draft(message, value=value, attachments=attachments, observer=self)

    def applied(self, value_id: str, revision: str) -> None:
        """A save behind this one is based on it. What was merged is not what the picture shows."""
        self.checked.add(value_id)
        self.picture.stand(None if self.merged else value_id, revision)
        self.picture.is_on_its_way = True

    def withdrawn(self) -> None:
        """Take that back."""
        self.picture.withdraw()

    def published(self) -> None:
        """The picture shows what is there to stay."""
        self.picture.publish()


def on_base(codec: Codec[Any], base: Picture, stored: dict[str, Value], ours: dict[str, Value]) -> dict[str, Value]:
    """Return what a state becomes on top of its base, which the store has as ``stored``: itself, and with it what its
    model does not look at.
    """
    if not codec.forgets:
        return ours
    began = normal(codec, stored, ours) if base.encoded is None else base.content.value
    return stamped(kept(codec, ours, began, stored), ours)


def _readable(current: Snapshot | None) -> tuple[dict[str, Value] | None, str]:
    """Return the value that stands there, or None and why it cannot be read: then the save replaces it."""
    if current is None:
        return None, ""
    try:
        return current.content().value, ""
    except StateCorruptionError as error:
        _log.warning("replaced by a save, and still in the history: %s", error)
        return None, f"Replaces a state that could not be read: {error.message}"


def _merged(
    codec: Codec[Any],
    job_id: str,
    base: dict[str, Value],
    ours: dict[str, Value],
    theirs: dict[str, Value],
    rules: Rules,
) -> dict[str, Value]:
    merge = merge3(base, ours, theirs, rules)
    if merge.conflicts:
        pointers = [conflict.pointer for conflict in merge.conflicts]
        raise ConflictError(
            f"job {job_id!r} was changed by somebody else at the same places: {several(pointers, _LISTED)}",
            conflicts=merge.conflicts,
            hint="load it again, decide which side is right, and save that",
        )
    value: dict[str, Any] = merge.value  # type: ignore[assignment]  # three objects merge to an object
    try:
        codec.check(value, ours)
    except CorruptionError as error:
        raise ConflictError(
            f"job {job_id!r} was changed by somebody else, and both changes together are no state: {error.message}",
            hint="load it again, make your change there, and save that",
        ) from error
    return value


def normal(codec: Codec[Any], value: dict[str, Value], ours: dict[str, Value]) -> dict[str, Value]:
    """Return a stored value as the model says it: defaults filled in, so that only real changes differ from it."""
    try:
        known: dict[str, Any] = codec.normal(value, ours)  # type: ignore[assignment]  # as above
    except CorruptionError:
        return value
    return known
