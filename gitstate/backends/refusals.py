"""What a refused save leaves behind: the state that was handed to it, kept whole as a rescue.

That is done in the writer's thread before the caller gets its error, so that it is also done for one that went away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitstate.backends.executions import Written
from gitstate.backends.saves import on_base
from gitstate.backends.subjects import message_for
from gitstate.errors import CorruptionError, GitStateError
from gitstate.format.message import Event
from gitstate.words import several

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitstate.backends.executions import Recording
    from gitstate.backends.lineage import Picture
    from gitstate.errors import ConflictError
    from gitstate.format.codec import Codec
    from gitstate.store.documents import Draft, Edit, Snapshot
    from gitstate.store.rescues import Rescue, Rescues
    from gitstate.values.canonical import Value

__all__ = ["Refusal"]

_VOLATILE = ("updated_at",)  # each try to save has another one
_LISTED = 3  # so many places stand in a subject


class Refusal:
    """What becomes of a save that cannot be merged.

    Args:
        rescues: Gives the rescues of the store.
        codec: That of the states.
        picture: What was handed to the save.
        execution: What it would have recorded.
    """

    def __init__(
        self,
        rescues: Callable[[], Rescues],
        codec: Codec[Any],
        picture: Picture,
        execution: Recording | None,
    ) -> None:
        self._rescues = rescues
        self._codec = codec
        self._picture = picture
        self._execution = execution
        self._against: str | None = None  # where the job stood that the save met

    def watch(self, edit: Edit) -> Edit:
        """Return the same write, of which is known afterwards what it met."""

        def watched(current: Snapshot | None) -> Draft | None:
            self._against = None if current is None else current.revision
            return edit(current)

        return watched

    def keep(self, error: ConflictError) -> None:
        """Keep the state, and say in the error where it is; or why it is not."""
        try:
            kept = self._keep(error)
        except (GitStateError, OSError) as failure:
            error.message += f"; and the refused state could not be kept aside: {failure}"
        else:
            error.rescue = kept.ref
            error.hint += (
                f"; what was refused is kept: `gitstate rescue diff {kept.name}` shows it, "
                f"`gitstate rescue apply {kept.name}` brings it back"
            )

    def _keep(self, error: ConflictError) -> Rescue:
        rescues, base, document = self._rescues(), self._picture.base(), self._picture.document
        if base is None:  # then nothing is ever refused
            return rescues.keep(document, self._draft(error, {}), None, volatile=_VOLATILE)
        stored = base.content.value
        try:
            there = rescues.at_revision(document, base.revision) if base.revision else None
            if there is not None and base.value_id == there.value_id:
                draft = self._draft(error, there.content().value)
                return rescues.keep(document, draft, base.revision, volatile=_VOLATILE)
            # A save that was merged is not what the commit has.
            return rescues.keep(document, self._draft(error, stored), base.revision, stored, volatile=_VOLATILE)
        except CorruptionError:  # somebody cleared the commit away; what it held is known
            return rescues.keep(document, self._draft(error, stored), None, stored, volatile=_VOLATILE)

    def _draft(self, error: ConflictError, stored: dict[str, Value]) -> Draft:
        from gitstate.store.content import Content
        from gitstate.store.documents import Draft
        from gitstate.store.rescues import REFUSED, trailers

        ours, base = self._picture.content.value, self._picture.base()
        value = ours if base is None else on_base(self._codec, base, stored, ours)
        pointers = [conflict.pointer for conflict in error.conflicts]
        executed, attachments = Written() if self._execution is None else self._execution.written
        facts = (*trailers(REFUSED, pointers, self._against), *executed)
        told = message_for(self._picture.document, Event.RESCUED, _told(pointers), value, trailers=facts)
        return Draft(told, value=Content(value=value), attachments=attachments)


def _told(pointers: list[str]) -> str:
    places = several([each or "the whole" for each in pointers], _LISTED)
    return f"kept aside, refused at {places}" if places else "kept aside, refused"
