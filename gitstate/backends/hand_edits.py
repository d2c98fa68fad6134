"""What an edit that a person made in the folder makes of a job: checked, merged with what was saved since, drafted."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gitstate.backends.endings import ended, ending_trailers
from gitstate.backends.restoring import now_text
from gitstate.backends.rewound import rewound_since, value_of
from gitstate.backends.rules import REWIND_RULES
from gitstate.backends.subjects import message_for, told
from gitstate.errors import ConflictError, CorruptionError, GitStateError, InvalidInputError
from gitstate.format.codec import Codec
from gitstate.format.edited import EditedValues, edited_values
from gitstate.format.message import Event
from gitstate.store.content import Content
from gitstate.store.documents import Collection, Draft, Snapshot
from gitstate.store.edited import DocumentEdits, refuse_odd
from gitstate.store.edits import Edit
from gitstate.store.store import Store
from gitstate.store.worktree import is_one_of
from gitstate.values import pointer
from gitstate.values.canonical import Value, equal
from gitstate.values.diff import diff
from gitstate.values.merge import ABSENT, Conflict, Rules, merge3
from gitstate.words import several

__all__ = ["HandEdit", "Plan"]

_LISTED = 10  # so many places are named in an error
_FAR = 1000  # revisions of a job that are looked at for the one at which an edit began

_Object = dict[str, Value]


@dataclass(frozen=True)
class Plan:
    """What an edit makes of a job.

    ``draft`` is that of the commit; None: the head has it all. ``merged`` says whether the head moved since the edit
    began, so that both were merged.
    """

    event: Event
    draft: Draft | None
    merged: bool = False


@dataclass(frozen=True)
class HandEdit:
    """An edit of a job, beside the head.

    Args:
        codec: That of the job's states.
        store: Where the job is.
        jobs: The collection of jobs.
        edited: What was edited.
        note: Why, for the message of the commit.
    """

    codec: Codec[Any]
    store: Store
    jobs: Collection
    edited: DocumentEdits
    note: str = ""

    def values(self, current: Snapshot | None) -> EditedValues:
        """Return the value before the edit and after it.

        Raises:
            InvalidInputError: After it there is no value.
        """
        for edit in self.edited.edits:
            refuse_odd(edit)
        own = self._own()
        bases = {inner: self.edited.bases.get(edit.path) for inner, edit in own.items()}
        try:
            return edited_values(
                self.jobs.layout, self._files(current), bases, {inner: edit.data for inner, edit in own.items()}
            )
        except CorruptionError as error:
            raise self._refused(error.message) from error

    def plan(self, current: Snapshot | None) -> Plan:
        """Return what is to be committed.

        Raises:
            InvalidInputError: It would be no state.
            ConflictError: It cannot be merged with what was done to the job since the edit began.
        """
        moved = self.moved(current)
        if current is None and any(edit.base is not None for edit in self.edited.edits):
            return self._after_deletion()
        if moved and self._removes_all():
            raise ConflictError(
                f"job {self.edited.document!r} was saved since its files were removed; nothing was committed",
                hint="`gitstate delete` deletes it as it is; `gitstate discard` brings the files back",
            )
        values = self.values(current)
        attachments = self._attachments(current)
        if not self._own():
            if not attachments:
                return Plan(Event.EDITED, None, bool(moved))
            return Plan(Event.EDITED, self._drafted(current, None, attachments), bool(moved))
        if values.value is None:
            about = message_for(self.edited.document, Event.DELETED, "deleted", None, body=self.note)
            return Plan(Event.DELETED, Draft(about, attachments=attachments, delete=True))
        self.check(values.value)
        result = self._merged(current, values.base, values.value, moved=bool(moved))
        ours = value_of(current)
        if ours is not None and equal(ours, result) and not attachments:
            return Plan(Event.EDITED, None, bool(moved))
        event = Event.CREATED if current is None else Event.EDITED
        return Plan(event, self._drafted(current, result, attachments), bool(moved))

    def moved(self, current: Snapshot | None) -> list[str]:
        """Return the paths of the edits under which the head moved."""
        there = {} if current is None else current.files()
        return [
            edit.path for edit in self.edited.edits if not is_one_of(there.get(self.edited.inner(edit)), {edit.base})
        ]

    def unknown(self, values: EditedValues) -> tuple[str, ...]:
        """Return the places that the edit made and the model does not know: they mean nothing to it."""
        if values.value is None:
            return ()
        try:
            kept: Any = self.codec.normal(values.value, {})
        except GitStateError:
            return ()
        dropped = {
            each.pointer for each in diff(values.value, kept) if each.after is ABSENT and each.before is not None
        }
        came = {each.pointer for each in diff(ABSENT if values.base is None else values.base, values.value)}
        return tuple(sorted(each for each in dropped if any(f"{each}/".startswith(f"{place}/") for place in came)))

    def check(self, value: _Object) -> None:
        """Raise InvalidInputError where a value is no state of the job."""
        job_id = self.edited.document
        try:
            self.codec.decode(value)
        except CorruptionError as error:
            path = self.jobs.layout.path_of(pointer.parse(error.pointer))
            raise self._refused(f"{path}: {error.message}") from error
        if value.get("job_id") != job_id:
            raise self._refused(
                f"job.json: /job_id: it is {value.get('job_id')!r}, and the folder is that of {job_id!r}"
            )

    def _merged(self, current: Snapshot | None, base: _Object | None, theirs: _Object, *, moved: bool) -> _Object:
        if base is not None and not equal(base, theirs) and equal(base.get("updated_at"), theirs.get("updated_at")):
            # It is a change of now: the rules ask for the side that changed last.
            theirs = {**theirs, "updated_at": now_text()} if isinstance(theirs.get("updated_at"), str) else theirs
        ours = value_of(current)
        if current is None or ours is None or not moved or (base is not None and equal(base, ours)):
            return theirs
        if base is None:
            if equal(theirs, ours):
                return ours
            raise self._conflict("the job as a whole", ())
        merge = merge3(base, ours, theirs, self._rules(current))
        if merge.conflicts:
            pointers = [conflict.pointer or "the job as a whole" for conflict in merge.conflicts]
            raise self._conflict(several(pointers, _LISTED), merge.conflicts)
        value: Any = merge.value
        try:
            self.codec.check(value, {})
        except CorruptionError as error:
            raise self._conflict(f"both together are no state: {error.message}", ()) from error
        result: _Object = value
        return result

    def _rules(self, current: Snapshot) -> Rules:
        """Return the rules: nobody who went back since the edit began is overruled."""
        began = self._began()
        is_known = began is not None and not rewound_since(current, began)
        return self.jobs.rules if is_known else REWIND_RULES

    def _began(self) -> str | None:
        """Return the newest revision at which the files held what they did when the edit began."""
        for revision in islice(self.store.history(self.jobs, self.edited.document), _FAR):
            snapshot = self.store.snapshot(self.jobs, self.edited.document, revision.id)
            if snapshot is not None and not self.moved(snapshot):
                return revision.id
        return None

    def _after_deletion(self) -> Plan:
        if any(edit.data is not None for edit in self.edited.edits):
            raise ConflictError(
                f"job {self.edited.document!r} was deleted since it was edited; nothing was committed",
                hint="`gitstate undelete` brings it back, then commit; or discard the edit",
            )
        return Plan(Event.DELETED, None, True)

    def _drafted(self, current: Snapshot | None, value: _Object | None, attachments: dict[str, bytes | None]) -> Draft:
        before, note, text = value_of(current), self.note, "edited"
        changed: list[str] = []
        if value is not None and current is not None and before is None:
            note = "\n\n".join(filter(None, (note, "Replaces a state that could not be read.")))
        elif value is not None:
            said, changed = told(before, value)
            text = said if current is None else "edited" if said == "saved" else f"{said}, edited"
        after = value if value is not None else before
        trailers = ending_trailers(ended(before, after or {}, changed))
        event = Event.CREATED if current is None else Event.EDITED
        about = message_for(self.edited.document, event, text, after, body=note, trailers=trailers)
        return Draft(about, value=None if value is None else Content(value=value), attachments=attachments)

    def _attachments(self, current: Snapshot | None) -> dict[str, bytes | None]:
        """Return the files beside the value that are to be written, or removed."""
        there = {} if current is None else current.files()
        changes: dict[str, bytes | None] = {}
        for edit in self.edited.edits:
            inner = self.edited.inner(edit)
            if self._owns(inner) or is_one_of(there.get(inner), {edit.found}):
                continue
            if not is_one_of(there.get(inner), {edit.base}):
                raise self._conflict(edit.path, ())
            changes[inner] = edit.data
        return changes

    def _removes_all(self) -> bool:
        """Whether the job's own file was removed, and no other file of the value was written."""
        own = self._own()
        return self.jobs.layout.root in own and all(edit.found is None for edit in own.values())

    def _own(self) -> dict[str, Edit]:
        """Return the edits of the files of the value, by their path in the job's folder."""
        return {inner: edit for edit in self.edited.edits if self._owns(inner := self.edited.inner(edit))}

    def _conflict(self, places: str, conflicts: Sequence[Conflict]) -> ConflictError:
        return ConflictError(
            f"job {self.edited.document!r} was changed by somebody else since it was edited, at the same places: "
            f"{places}; nothing was committed",
            conflicts=conflicts,
            hint="`gitstate diff` shows what they did; make your files fit, or discard the edit",
        )

    def _refused(self, reason: str) -> InvalidInputError:
        return InvalidInputError(
            f"{self.edited.folder}/{reason}; nothing was committed",
            hint="correct the file, or drop the edit with `gitstate discard`",
        )

    def _owns(self, path: str) -> bool:
        return self.jobs.layout.owns(path)

    def _files(self, current: Snapshot | None) -> dict[str, bytes]:
        """Return the files of the value as the head has them; links and submodules are none."""
        if current is None:
            return {}
        found = ((path, entry) for path, entry in current.entries if self._owns(path) and entry.is_file)
        return {path: current.source.read(entry.id, "blob") for path, entry in found}
