"""A backend driven at random beside the model of its history: everything that writes."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gitstate import CheckpointState, InMemoryStateBackend, JobStatus, SheetStatus
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import (
    ConflictError,
    ExistsError,
    InvalidInputError,
    JobNotFoundError,
    NotFoundError,
)
from tests.backends.history_model import (
    Entry,
    Json,
    Log,
    both_ran,
    one_sided,
    same,
)
from tests.clocks import Clock

__all__ = ["ACTIONS", "JOBS", "NAMES", "SELDOM", "SHEETS", "Action", "WritingMachine"]

Action: TypeAlias = tuple[str, int]

JOBS = st.sampled_from(["a/b.c ~1@x", "nightly", "a/b.c ~1@x", "Ä"])
NAMES = st.sampled_from(["good", "Größe_2", "v1.0-x"])
SHEETS = st.integers(1, 4)
NOTES: tuple[Any, ...] = (None, 1, 1.0, True, "ä\nb", [1, {"x": None}])  # what metadata hold
STEPS = ["start", "complete", "fail", "skip", "note", "forget", "pause", "run", "end", "cancel", "name"]
ACTIONS = st.tuples(st.sampled_from(STEPS), st.integers(1, 6))
MARKED = st.sampled_from(
    [
        SheetStatus.COMPLETED,
        SheetStatus.FAILED,
        SheetStatus.IN_PROGRESS,
        SheetStatus.SKIPPED,
        SheetStatus.PENDING,
        SheetStatus.CANCELLED,
    ]
)
SELDOM = st.sampled_from([False, False, False, True])


def act(state: CheckpointState, action: Action) -> None:
    """Change a state as a program does."""
    what, number = action
    sheet = min(number, state.total_sheets)
    match what:
        case "start":
            state.mark_sheet_started(sheet)
        case "complete":
            state.mark_sheet_completed(sheet, execution_duration_seconds=0.5)
        case "fail":
            state.mark_sheet_failed(sheet, f"error {number}", exit_code=1)
        case "skip":
            state.mark_sheet_skipped(sheet, "not today")
        case "note":
            state.metadata = state.metadata | {"ab"[number % 2]: NOTES[number - 1]}
        case "forget":
            state.sheets = {key: each for key, each in state.sheets.items() if key != sheet}
        case "pause":
            state.mark_job_paused()
        case "run":
            state.status = JobStatus.RUNNING
            state.set_running_pid()
        case "end":
            state.mark_job_failed("it ended")
        case "cancel":
            state.status = JobStatus.CANCELLED
        case "name":
            state.job_name = f"name {number}"


class Held(NamedTuple):
    """A state of earlier, what its next save starts from, and the number of the commit at which the job was that."""

    state: CheckpointState
    base: Json
    number: int


class WritingMachine(RuleBasedStateMachine):
    """Saves, marks, deletes, goes back and pins; each step that writes is checked against what stood there before."""

    def open(self) -> RewindBackend:
        return InMemoryStateBackend()

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.patches = pytest.MonkeyPatch()
        self.clock = Clock(self.patches)
        self.backend = self.open()
        self.log = Log(self.backend.store.head())
        self.held: list[Held] = []
        # A life to begin with, so that there is a past from the first step on.
        for job in ("nightly", "Ä", "a/b.c ~1@x"):
            self.save_new(job, 3, 0, [], hold=False)
            self.save_changed(job, [("start", 1), ("complete", 1), ("start", 2)], hold=job != "Ä")
        self.delete("Ä")
        self.save_changed("nightly", [("fail", 2), ("note", 4)], hold=False)

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(call)

    def jobs(self) -> list[str]:
        return sorted({each.job for each in self.log.entries})

    # What comes of a call

    def refused(self, call: Coroutine[Any, Any, Any], error: type[Exception]) -> None:
        """Make a call that must be refused with exactly this error, and change nothing."""
        with pytest.raises(error) as caught:
            self.run(call)
        assert type(caught.value) is error
        self.nothing_changed()

    def nothing_changed(self) -> None:
        assert self.backend.store.head() == self.log.head

    def wrote(self, job: str, event: str, **more: Any) -> Entry:
        """Take note of the one commit that a call made."""
        made = next(self.backend.store.walk())
        assert made.parents == (self.log.head,)
        snapshot = self.backend.store.load(self.backend._jobs, job)
        plain = None if snapshot is None else snapshot.value()
        state = None if plain is None else CheckpointState.model_validate(plain).model_dump(mode="json")
        entry = self.log.add(job, made.id, event, self.clock.now, plain, state=state, **more)
        self.clock.now += timedelta(milliseconds=1)
        return entry

    def name(self, data: st.DataObject, job: str) -> tuple[str, int]:
        """Draw the name of a revision; return the number of the commit that it means, too."""
        name, number = data.draw(st.sampled_from(list(self.log.names(job))), label="revision")
        return name, number

    # What a job does

    @rule(units=st.sampled_from([{"seconds": 0.4}, {"seconds": 1}, {"hours": 1}, {"days": 2}, {"seconds": -90}]))
    def time_passes(self, units: dict[str, float]) -> None:
        self.clock.now += timedelta(**units)

    @rule(job=JOBS, total=SHEETS, last=st.integers(0, 3), actions=st.lists(ACTIONS, max_size=3), hold=st.booleans())
    def save_new(self, job: str, total: int, last: int, actions: list[Action], hold: bool) -> None:
        state = CheckpointState(job_id=job, job_name=job, total_sheets=total, last_completed_sheet=min(last, total))
        for action in actions:
            act(state, action)
        event = "created" if self.log.plain(job) is None else "saved"
        self.run(self.backend.save(state))
        self.saved(state, event, hold)

    def saved(self, state: CheckpointState, event: str, hold: bool) -> None:
        """Check that a state stands there as it was handed to save."""
        dumped = state.model_dump(mode="json")
        entry = self.wrote(state.job_id, event)
        assert same(entry.state, dumped)
        self.held = [*self.held, Held(state, dumped, entry.number)][-3:] if hold else self.held

    @rule(job=JOBS, actions=st.lists(ACTIONS, min_size=1, max_size=3), hold=st.booleans())
    def save_changed(self, job: str, actions: list[Action], hold: bool) -> None:
        """Save a job after each of some actions, as its own program does."""
        state = self.run(self.backend.load(job))
        for action in actions if state is not None else ():
            act(state, action)
            self.run(self.backend.save(state))
            self.saved(state, "saved", hold and action == actions[-1])

    @rule(job=JOBS)
    def load_and_hold(self, job: str) -> None:
        state = self.run(self.backend.load(job))
        if state is not None:
            self.held = [*self.held, Held(state, state.model_dump(mode="json"), len(self.log.entries))][-3:]

    @precondition(lambda self: self.held)
    @rule(index=st.integers(0, 2), actions=st.lists(ACTIONS, min_size=1, max_size=2))
    def save_held(self, index: int, actions: list[Action]) -> None:
        """Save an object whose job may have moved since: both changes are there, or a conflict and nothing."""
        held = self.held.pop(index % len(self.held))
        state, base, job = held.state, held.base, held.state.job_id
        for action in actions:
            act(state, action)
        theirs = self.log.state(job)
        may_conflict = theirs is not None and not same(theirs, base)
        try:
            self.run(self.backend.save(state))
        except ConflictError as error:
            assert may_conflict and error.conflicts
            self.nothing_changed()
            self.held.append(held)
            return
        ours = state.model_dump(mode="json")
        if theirs is None or not may_conflict:
            self.saved(state, "created" if theirs is None else "saved", hold=True)
            return
        merged = self.run(self.backend.load(job)).model_dump(mode="json")
        one_sided(base, ours, theirs, merged)
        since = {each.event for each in self.log.of(job) if each.number > held.number}
        if since & {"rolled-back", "restored", "undone"}:
            assert not both_ran(base, ours, theirs)
        entry = self.wrote(job, "saved" if same(merged, ours) else "merged")
        assert same(entry.state, merged)
        self.held.append(Held(state, ours, entry.number))

    @rule(job=JOBS, sheet=SHEETS, status=MARKED, error=st.sampled_from([None, "no luck"]))
    def mark(self, job: str, sheet: int, status: SheetStatus, error: str | None) -> None:
        call = self.backend.mark_sheet_status(job, sheet, status, error)
        before = self.log.state(job)
        if before is None or sheet > before["total_sheets"]:
            self.refused(call, JobNotFoundError if before is None else InvalidInputError)
            return
        state = CheckpointState.model_validate(before)
        match status:
            case SheetStatus.COMPLETED:
                state.mark_sheet_completed(sheet)
            case SheetStatus.FAILED:
                state.mark_sheet_failed(sheet, error or "")
            case SheetStatus.IN_PROGRESS:
                state.mark_sheet_started(sheet)
            case SheetStatus.SKIPPED:
                state.mark_sheet_skipped(sheet, error)
            case _:
                state.sheet(sheet).status = status
                state.sheet(sheet).error_message = error or state.sheet(sheet).error_message
        state.updated_at = self.clock.now
        self.run(call)
        assert same(self.wrote(job, "sheet").state, state.model_dump(mode="json"))

    @rule(job=JOBS)
    def delete(self, job: str) -> None:
        there = self.log.plain(job) is not None
        assert self.run(self.backend.delete(job)) is there
        if there:
            self.wrote(job, "deleted")

    @rule(job=JOBS, sheet=SHEETS, output=st.sampled_from([None, "", "done\n"]))
    def execute(self, job: str, sheet: int, output: str | None) -> None:
        call = self.backend.record_execution(job, sheet, 1, "do it", output, 0, 1.5)
        before = self.log.plain(job)
        if before is None:
            self.refused(call, JobNotFoundError)
            return
        execution = self.run(call)
        assert same(self.wrote(job, "execution", execution=execution).plain, before)

    @rule(data=st.data(), job=JOBS, name=NAMES, named=st.booleans(), remove=SELDOM)
    def pin(self, data: st.DataObject, job: str, name: str, named: bool, remove: bool) -> None:
        pins = self.log.pins.setdefault(job, {})
        if remove:
            pinned = pins.pop(name, None)
            call = self.backend.unpin(job, name)
            if pinned is None:
                self.refused(call, NotFoundError)
            else:
                assert self.run(call).revision == pinned.revision
            return
        at, number = self.name(data, job) if named else (None, None)
        own = self.log.standing(job, number)
        call = self.backend.pin(job, name, at)
        if own is None:
            self.refused(call, JobNotFoundError)
        elif pins.get(name, own) is not own:
            self.refused(call, ExistsError)
        else:
            assert self.run(call).revision == own.revision
            pins[name] = own
        self.nothing_changed()

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            self.run(self.backend.close())
            self.runner.close()
            self.patches.undo()
