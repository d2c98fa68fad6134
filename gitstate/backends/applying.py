"""How a state that was kept aside comes back into its job: merged by the rules, as if it were saved now, or whole."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, cast

from gitstate.backends import executions
from gitstate.backends.checked import Checked
from gitstate.backends.endings import ended, ending_trailers
from gitstate.backends.executions import ExecutionRecord, Recording, Written
from gitstate.backends.invariants import contradicts_anew
from gitstate.backends.payloads import Payloads
from gitstate.backends.redaction import Redaction
from gitstate.backends.rescues import Based, based_on, join_of, since_when
from gitstate.backends.restoring import followed, now_text, put, repaired
from gitstate.backends.rewound import Planner, Rewound, files_of, refuse_if_running, rewound_since, value_of
from gitstate.backends.rules import REWIND_RULES
from gitstate.backends.saves import normal
from gitstate.backends.strangers import as_said, kept, stamped
from gitstate.backends.subjects import message_for, told
from gitstate.errors import ConflictError, CorruptionError, ExistsError, InvalidInputError
from gitstate.format import message
from gitstate.format.codec import Codec
from gitstate.format.message import Event
from gitstate.store import rescues
from gitstate.store.content import Content
from gitstate.store.documents import Draft, Snapshot
from gitstate.store.store import Store
from gitstate.store.walks import walk
from gitstate.values import pointer
from gitstate.values.canonical import Value, equal
from gitstate.values.merge import ABSENT, Conflict, merge3
from gitstate.words import several, short

__all__ = ["OnConflict", "application"]

OnConflict: TypeAlias = Literal["fail", "rescue", "job"]
"""What becomes of places that the rescue and the job both changed: it is an error, or one side counts."""

_CHOICES: tuple[OnConflict, ...] = ("fail", "rescue", "job")
_LISTED = 10  # so many places are named in an error


@dataclass(frozen=True)
class _Application:
    """How a rescue comes back into its job."""

    codec: Codec[Any]
    checked: Checked
    found: rescues.Rescues
    aside: rescues.Rescue
    state: Snapshot
    execution: Recording | None
    on_conflict: OnConflict
    replace: bool
    note: str
    force: bool

    def plan(self, current: Snapshot | None) -> tuple[Rewound, Draft | None]:
        """Return what becomes of the job as it is now; see :data:`Planner`."""
        if self.replace or self.on_conflict == "rescue":
            refuse_if_running(self.aside.document, current, force=self.force)
        if current is None or self.replace:
            return self._replacing(current)
        based = based_on(self.found, self.aside, current)
        self._refuse_if_applied(current, None if based is None else based.since)
        before = current.content().value
        value, files, is_chosen = self._merged(based, current, before)
        if not is_chosen and contradicts_anew(value, before, self.state.content().value):
            value = repaired(value)  # as what follows from both sides of a sync, which neither could know
        changes = not equal(value, before)
        if changes:
            value = followed(before, value) if is_chosen else value
            value = value | ({"updated_at": now_text()} if "updated_at" in value else {})
            self._check(value)
        done = self._done(Event.RESTORED if is_chosen else Event.MERGED, current, value)
        if not changes and not files and self.execution is None:
            return done, None
        content = Content(value=value) if changes else None
        trailers = ending_trailers(ended(before, value, told(before, value).changed))
        return done, self._draft(done, told(before, value).text, value, trailers, content=content, files=files)

    def _replacing(self, current: Snapshot | None) -> tuple[Rewound, Draft | None]:
        after = self.state.content().value
        done = self._done(Event.RESTORED, current, after)
        files = files_of(self.state, current, attachments=current is None)
        if not files and self.execution is None:
            return done, None
        # A job that was gone goes on with the executions that it had.
        since = since_when(self.found, self.aside) if current is None else None
        trailers = () if since is None else ((message.SOURCE, since),)
        return done, self._draft(done, "", after, trailers, files=files)

    def _done(self, event: Event, current: Snapshot | None, after: dict[str, Value]) -> Rewound:
        previous = None if current is None else current.revision
        return Rewound(self.aside.document, event.value, self.aside.commit, previous, value_of(current), after)

    def _draft(
        self,
        done: Rewound,
        text: str,
        value: dict[str, Value],
        trailers: tuple[tuple[str, str], ...],
        *,
        content: Content | None = None,
        files: dict[str, bytes | None] | None = None,
    ) -> Draft:
        executed, attached = Written() if self.execution is None else self.execution.written
        words = [f"applied rescue {short(self.aside.commit)}", *([text] if text not in ("", "saved") else [])]
        words += [] if self.execution is None else [self.execution.record.told]
        said = message_for(
            self.aside.document,
            Event(done.event),
            ", ".join(words),
            value,
            body=self.note,
            trailers=((message.APPLIED, self.aside.commit), *trailers, *executed),
        )
        return Draft(said, value=content, attachments={**(files or {}), **attached}, observer=self.checked)

    def _refuse_if_applied(self, current: Snapshot, since: str | None) -> None:
        """Raise ExistsError if the job has it already: a process may have died before it dropped the rescue."""
        words = f"{message.APPLIED}: {self.aside.commit}".encode()
        for revision in walk(current.source, current.revision, until=since, holding=[words]):
            if revision.message.get(message.APPLIED) == self.aside.commit:
                raise ExistsError(
                    f"rescue {self.aside.name} was applied before, by {short(revision.id)}; nothing was changed",
                    hint="`gitstate rescue drop` removes it; --replace makes it the state once more",
                )

    def _merged(
        self, based: Based | None, current: Snapshot, theirs: dict[str, Value]
    ) -> tuple[dict[str, Value], dict[str, bytes | None], bool]:
        """Return what comes of both as value and as files beside it, and whether that took a choice of sides."""
        if based is None:
            raise InvalidInputError(
                f"it is not known what rescue {self.aside.name} is based on, so it cannot be merged",
                hint="`gitstate rescue diff` shows it; --replace makes it the state as a whole",
            )
        began, ours, said = based.began, based.wanted, cast("Any", theirs)
        if isinstance(began, dict):  # what the models say differs by more than what anybody changed
            stored, known = began, normal(self.codec, began, ours)
            began = known if not self.codec.forgets else kept(self.codec, known, known, stored)
            said = as_said(theirs, stored, began, ours)
        rules = REWIND_RULES if rewound_since(current, based.since) else current.collection.rules
        merge = merge3(began, ours, said, rules)
        files, clashes = self._files(current)
        conflicts = (*merge.conflicts, *clashes)
        if conflicts and self.on_conflict == "fail":
            raise self._conflict(conflicts)
        value: dict[str, Any] = merge.value  # type: ignore[assignment]  # objects merge to an object
        for each in merge.conflicts:
            parts, slot = pointer.parse(each.pointer), each.ours if self.on_conflict == "rescue" else each.theirs
            value = put(value, parts, slot, parts)
        return (theirs if equal(value, said) else stamped(value, ours)), files, bool(conflicts)

    def _files(self, current: Snapshot) -> tuple[dict[str, bytes | None], list[Conflict]]:
        """Return the files beside the value, and not ours, that lost and come back, and those that clash once more."""
        joined, layout = join_of(current, self.aside), current.collection.layout
        then = None if joined is None else self.found.over(current.source).at_revision(current.document, joined)
        mine, there, before = ({} if each is None else each.files() for each in (self.state, current, then))
        files: dict[str, bytes | None] = {}
        clashes: list[Conflict] = []
        for path in (place[1:] for place in self.aside.conflicts if then is not None):
            if path not in mine or layout.owns(path) or layout.attached(path) or mine[path] == there.get(path):
                continue
            is_as_it_came = there.get(path) == before.get(path)
            if not is_as_it_came:
                clashes.append(Conflict(f"/{path}", ABSENT, ABSENT, ABSENT))
            if is_as_it_came or self.on_conflict == "rescue":
                files[path] = self.state.read(path)
        return files, clashes

    def _check(self, value: dict[str, Value]) -> None:
        try:
            self.codec.check(value, {})
        except CorruptionError as error:
            raise InvalidInputError(
                f"rescue {self.aside.name} and the job together are no state, so nothing was changed: {error.message}",
                hint="--replace makes the rescue the state as a whole",
            ) from error

    def _conflict(self, conflicts: tuple[Conflict, ...]) -> ConflictError:
        places = [each.pointer or "the job as a whole" for each in conflicts]
        return ConflictError(
            f"rescue {self.aside.name} and the job changed the same places: {several(places, _LISTED)}; nothing was "
            "changed",
            conflicts=conflicts,
            rescue=self.aside.ref,
            hint="with --on-conflict rescue, or job, that side counts there; with --replace the rescue everywhere",
        )


def application(
    store: Store,
    found: rescues.Rescues,
    aside: rescues.Rescue,
    codec: Codec[Any],
    checked: Checked,
    redaction: Redaction,
    *,
    on_conflict: OnConflict,
    replace: bool,
    note: str,
    force: bool,
) -> Planner:
    """Return the plan that brings a rescue back into its job.

    Args:
        store: Where the job is.
        found: The rescues of its jobs.
        aside: The rescue, which holds a state.
        codec: That of the states.
        checked: Learns which values are states.
        redaction: Replaces credentials in what was to be recorded.
        on_conflict: What counts where the job moved on at the same places.
        replace: Whether the rescue becomes the state as a whole.
        note: Why.
        force: Also where a running job is changed at a person's choice.

    Raises:
        InvalidInputError: ``on_conflict`` is none of the choices.
        CorruptionError: A commit, tree or file is missing or damaged.
    """
    if on_conflict not in _CHOICES:
        raise InvalidInputError(f"there is no {on_conflict!r} on a conflict", hint=f"use one of {', '.join(_CHOICES)}")
    executed = _execution_of(store, found, aside) if aside.reason == rescues.REFUSED else None
    return _Application(
        codec,
        checked,
        found,
        aside,
        found.snapshot(aside),
        None if executed is None else Recording(executed, redaction),
        on_conflict,
        replace,
        note,
        force,
    ).plan


def _execution_of(store: Store, found: rescues.Rescues, aside: rescues.Rescue) -> ExecutionRecord | None:
    """Return the execution that a refused save would have recorded, if nothing recorded it since."""
    collection = found.snapshot(aside).collection
    said = executions.recorded_by(collection, aside.document, aside.revision)
    if said is None or said.id in executions.ids(store, collection, aside.document):
        return None
    texts = Payloads(store, collection).of(said, aside.revision)
    try:
        return ExecutionRecord(
            sheet_num=said.sheet_num or 0,
            attempt_num=said.attempt_num or 0,
            prompt=texts["prompt"],
            output=texts["output"],
            exit_code=said.exit_code,
            duration_seconds=said.duration_seconds,
            executed_at=None if said.executed_at is None else datetime.fromisoformat(said.executed_at),
            id=said.id,
        )
    except InvalidInputError:  # it does not say what it is of; no save of ours does so
        return None
