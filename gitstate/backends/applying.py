"""How a state that was kept aside comes back into its job: merged by the rules, as if it were saved now, or whole."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from gitstate.backends import executions
from gitstate.backends.checked import Checked
from gitstate.backends.endings import ended, ending_trailers
from gitstate.backends.executions import ExecutionRecord
from gitstate.backends.rescues import Based, based
from gitstate.backends.restoring import followed, now_text
from gitstate.backends.rewound import Planner, Rewound, files_of, refuse_if_running, rewound_since, short, value_of
from gitstate.backends.rules import JOB_RULES, REWIND_RULES
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
from gitstate.values.canonical import Value, equal
from gitstate.values.merge import ABSENT, Conflict, merge3

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
    aside: rescues.Rescue
    state: Snapshot
    based: Based | None
    execution: ExecutionRecord | None
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
        self._refuse_if_applied(current)
        before = current.content().value
        value, is_chosen = self._merged(current, before)
        changes = not equal(value, before)
        if changes:
            value = followed(before, value) if is_chosen else value
            value = value | ({"updated_at": now_text()} if "updated_at" in value else {})
            self._check(value)
        done = self._done(Event.RESTORED if is_chosen else Event.MERGED, current, value)
        if not changes and self.execution is None:
            return done, None
        content = Content(value=value) if changes else None
        trailers = ending_trailers(ended(before, value, told(before, value).changed))
        return done, self._draft(done, told(before, value).text, value, trailers, content=content)

    def _replacing(self, current: Snapshot | None) -> tuple[Rewound, Draft | None]:
        after = self.state.content().value
        done = self._done(Event.RESTORED, current, after)
        files = files_of(self.state, current, attachments=current is None)
        if not files and self.execution is None:
            return done, None
        # A job that was gone goes on with the executions that it had.
        since = None if self.based is None or self.based.value is ABSENT else self.based.since
        trailers = ((message.SOURCE, since),) if current is None and since is not None else ()
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
        executed, attached = ((), {}) if self.execution is None else self.execution.written()
        words = [f"applied rescue {short(self.aside.commit)}", *([text] if text not in ("", "saved") else [])]
        words += [] if self.execution is None else [self.execution.told]
        said = message_for(
            self.aside.document,
            Event(done.event),
            ", ".join(words),
            value,
            body=self.note,
            trailers=((message.APPLIED, self.aside.commit), *trailers, *executed),
        )
        return Draft(said, value=content, attachments={**(files or {}), **attached}, observer=self.checked)

    def _refuse_if_applied(self, current: Snapshot) -> None:
        """Raise ExistsError if the job has it already: a process may have died before it dropped the rescue."""
        since = None if self.based is None else self.based.since
        words = f"{message.APPLIED}: {self.aside.commit}".encode()
        for revision in walk(current.source, current.revision, until=since, holding=[words]):
            if revision.message.get(message.APPLIED) == self.aside.commit:
                raise ExistsError(
                    f"rescue {self.aside.name} was applied before, by {short(revision.id)}; nothing was changed",
                    hint="`gitstate rescue drop` removes it; --replace makes it the state once more",
                )

    def _merged(self, current: Snapshot, theirs: dict[str, Value]) -> tuple[dict[str, Value], bool]:
        """Return what comes of both, and whether that took a choice of sides."""
        if self.based is None:
            raise InvalidInputError(
                f"it is not known what rescue {self.aside.name} is based on, so it cannot be merged",
                hint="`gitstate rescue diff` shows it; --replace makes it the state as a whole",
            )
        ours, base = self.state.content().value, self.based.value
        said: Any = theirs
        if isinstance(base, dict):  # what the models say differs by more than what anybody changed
            known = normal(self.codec, base, ours)
            began = known if not self.codec.forgets else kept(self.codec, known, known, base)
            base, said = began, as_said(theirs, base, began, ours)
        went_back = self.based.since is not None and rewound_since(current, self.based.since)
        rules = REWIND_RULES if went_back else JOB_RULES
        merge = merge3(base, ours, said, rules)
        if merge.conflicts and self.on_conflict == "fail":
            raise self._conflict(merge.conflicts)
        chosen = merge3(base, said, ours, rules) if merge.conflicts and self.on_conflict == "job" else merge
        value: dict[str, Any] = chosen.value  # type: ignore[assignment]  # objects merge to an object
        return (theirs if equal(value, said) else stamped(value, ours)), bool(merge.conflicts)

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
        listed = ", ".join(places[:_LISTED]) + (", ..." if len(places) > _LISTED else "")
        return ConflictError(
            f"rescue {self.aside.name} and the job changed the same places: {listed}; nothing was changed",
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
    return _Application(
        codec,
        checked,
        aside,
        found.snapshot(aside),
        based(store, found, aside),
        _execution_of(store, found, aside) if aside.reason == rescues.REFUSED else None,
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
    texts = said.payload(store, collection)
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
