"""Backends driven at random beside a model that is a list of values: whatever is asked of the past is compared."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from gitstate import GitStateBackend
from gitstate.backends.forks import Fork
from gitstate.backends.rewind import RewindBackend
from gitstate.errors import JobNotFoundError, NotFoundError, RevisionNotFoundError
from gitstate.values import diff
from gitstate.values.shape import ABSENT as NOTHING
from tests.backends.history_machine import JOBS, NAMES
from tests.backends.history_model import ABSENT, EXPRESSIONS, Entry, next_of, progress_of, same
from tests.backends.history_rewinding import RewindingMachine
from tests.git import fsck

EVENTS = ["created", "saved", "sheet", "execution", "deleted", "rolled-back", "restored", "undone", "forked", "merged"]
BLAMED = ["", "/status", "/sheets", "/sheets/1", "/sheets/2/attempt_count", "/metadata/a", "/metadata/b/1/x", "/pid"]


class HistoryMachine(RewindingMachine):
    """Looks back between the writes."""

    @invariant()
    def the_head_is_the_model(self) -> None:
        for job in self.jobs():
            state = self.run(self.backend.load(job))
            assert same(None if state is None else state.model_dump(mode="json"), self.log.state(job))

    def shown(self, job: str, at: str) -> Any:
        state = self.run(self.backend.load(job, at=at))
        return None if state is None else state.model_dump(mode="json")

    @rule(data=st.data(), job=JOBS)
    def look_back(self, data: st.DataObject, job: str) -> None:
        name, number = self.name(data, job)
        then = self.log.state(job, number)
        assert same(self.shown(job, name), then)
        assert self.run(self.backend.explain_next(job, name)).sheet == next_of(then)

    @rule(job=JOBS, name=NAMES)
    def steps_back_and_what_names_nothing(self, job: str, name: str) -> None:
        states = self.log.states(job)
        for back, entry in enumerate(states):
            assert same(self.shown(job, f"~{back}"), entry.state)
        self.refused(self.backend.load(job, at=f"~{len(states)}"), RevisionNotFoundError)
        if name not in self.log.pins.get(job, {}):
            self.refused(self.backend.load(job, at=name), RevisionNotFoundError)
        if all(each.plain is not None for each in self.log.of(job)):
            self.refused(self.backend.load(job, at="@deleted"), RevisionNotFoundError)
        self.refused(self.backend.load(job, at="2026-02-28"), RevisionNotFoundError)

    @rule(
        data=st.data(),
        job=JOBS,
        limit=st.none() | st.integers(1, 4),
        events=st.none() | st.sets(st.sampled_from(EVENTS), min_size=1),
        bounds=st.tuples(*[st.sampled_from([None, None, "revision", "time"])] * 2),
        named=st.booleans(),
    )
    def history(
        self,
        data: st.DataObject,
        job: str,
        limit: int | None,
        events: set[str] | None,
        bounds: tuple[str | None, str | None],
        named: bool,
    ) -> None:
        at, number = self.name(data, job) if named else (None, None)
        before, of_newest = self.bound(data, job, bounds[0])
        after, of_oldest = self.bound(data, job, bounds[1])
        call = self.backend.history(job, limit, before=before, after=after, events=events, at=at)
        if of_newest is None or of_oldest is None:
            self.refused(call, RevisionNotFoundError)
            return
        entries = [
            each
            for each in self.log.of(job, number)[::-1]
            if (before is None or of_newest(each) < 0)
            and (after is None or of_oldest(each) > 0)
            and (events is None or each.event in events)
        ][:limit]
        found = self.run(call)
        assert [(each.revision, each.event, each.time) for each in found] == [
            (each.revision, each.event, each.time) for each in entries
        ]
        assert [each.progress for each in found] == [told_progress(each) for each in entries]

    def bound(self, data: st.DataObject, job: str, kind: str | None) -> tuple[Any, Callable[[Entry], int] | None]:
        """Draw a bound of a history, and what tells whether an entry is before (-1) or after (1) it.

        None instead of that: the job was not there yet.
        """
        if kind is None:
            return None, lambda entry: 0
        if kind == "time":
            time: datetime = data.draw(st.sampled_from([each.time for each in self.log.entries])) + timedelta(
                seconds=data.draw(st.sampled_from([0, -1, 0.5]))
            )
            return data.draw(st.sampled_from([time, time.isoformat()])), lambda entry: sign(entry.time, time)
        names = [each for each in self.log.names(job) if ":" not in each[0]]  # a time is no revision here
        name, number = data.draw(st.sampled_from(names), label="bound")
        own = self.log.standing(job, number)
        return name, None if own is None else lambda entry: sign(entry.number, own.number)

    @rule(data=st.data(), job=JOBS)
    def diff_leads_there_and_back(self, data: st.DataObject, job: str) -> None:
        (a, one), (b, other) = self.name(data, job), self.name(data, job)
        before, after = self.log.plain(job, one), self.log.plain(job, other)
        if before is None and after is None:
            self.refused(self.backend.diff(job, a, b), JobNotFoundError)
            return
        sides = [NOTHING if side is None else side for side in (before, after)]
        changes = self.run(self.backend.diff(job, a, b, volatile=True)).changes
        assert (not changes) == same(before, after)
        assert diff.apply(changes, sides[0]) == sides[1]
        assert diff.apply(diff.invert(changes), sides[1]) == sides[0]

    @rule(
        data=st.data(),
        job=JOBS,
        place=st.sampled_from(BLAMED),
        text=st.sampled_from(sorted(EXPRESSIONS)),
        called=st.booleans(),
    )
    def trace(self, data: st.DataObject, job: str, place: str, text: str, called: bool) -> None:
        at, number = self.name(data, job)
        self.blame(job, at, number, place)
        self.bisect(job, at, number, text, called=called)

    def blame(self, job: str, at: str, number: int, place: str) -> None:
        expected = self.log.blame(job, place, number)
        call = self.backend.blame(job, place, at=at)
        if not expected:
            self.refused(call, NotFoundError if self.log.of(job, number) else self.missing(job))
            return
        settings = self.run(call).settings
        assert [each.checkpoint.revision for each in settings] == [revision for revision, _ in expected]
        found = [ABSENT if each.value is NOTHING else each.value for each in settings]
        assert all(same(value, wanted) for value, (_, wanted) in zip(found, expected, strict=True))

    def missing(self, job: str) -> type[NotFoundError]:
        """What is said of a job that was not there yet, and of one that never was."""
        return RevisionNotFoundError if self.log.of(job) else JobNotFoundError

    def bisect(self, job: str, at: str, number: int, text: str, *, called: bool) -> None:
        call = self.backend.bisect(job, EXPRESSIONS[text] if called else text, at=at)
        if not self.log.of(job, number):
            self.refused(call, self.missing(job))
            return
        told = self.run(call)
        found, before = (None if each is None else each.revision for each in (told.found, told.before))
        assert (found, before, told.looked_at) == self.log.first_with(job, EXPRESSIONS[text], number)

    @rule(data=st.data(), job=JOBS)
    def tell(self, data: st.DataObject, job: str) -> None:
        self.of_one_job(job)
        self.forks(job)
        there = {job: state for job in self.jobs() if (state := self.log.state(job)) is not None}
        assert self.run(self.backend.job_ids()) == sorted(there)
        assert self.run(self.backend.job_ids("a")) == sorted(job for job in there if job.startswith("a"))
        self.listed(None, there)
        if self.log.entries:
            entry = data.draw(st.sampled_from(self.log.entries))
            states = {job: self.log.state(job, entry.number) for job in self.jobs()}
            self.listed(entry.revision, {job: state for job, state in states.items() if state is not None})
        gone = [(each.job_id, each.checkpoint.revision) for each in self.run(self.backend.deleted_jobs())]
        assert gone == [(each.job, each.revision) for each in self.log.deleted()]
        for each in self.run(self.backend.deleted_jobs()):
            last = self.log.state(each.job_id, self.log.of(each.job_id)[-1].number - 1)
            assert last is not None
            assert (each.status, each.progress) == (last["status"], "{}/{}".format(*progress_of(last)))

    def listed(self, at: str | None, expected: dict[str, Any]) -> None:
        found = self.run(self.backend.list_jobs(at=at))
        assert {state.job_id: state.model_dump(mode="json") for state in found} == expected
        times = [state.updated_at for state in found]
        assert times == sorted(times, reverse=True)

    def of_one_job(self, job: str) -> None:
        found = self.run(self.backend.explain_next(job)).sheet
        assert found == self.run(self.backend.get_next_sheet(job)) == next_of(self.log.state(job))
        executions = self.run(self.backend.get_execution_history(job))
        assert [each["id"] for each in executions] == self.log.executions(job)
        assert self.run(self.backend.get_execution_history_count(job)) == len(executions)
        pins = [(pin.name, pin.revision) for pin in self.run(self.backend.pins(job))]
        assert pins == sorted((name, entry.revision) for name, entry in self.log.pins.get(job, {}).items())

    def forks(self, job: str) -> None:
        made = self.log.forks()
        known = {*made, *(origin for each in made.values() for origin in each.origin or ())}
        if job not in known and self.log.plain(job) is None:
            self.refused(self.backend.forks(job), JobNotFoundError)
            return
        root = self.run(self.backend.forks(job))
        edges = [*self.edges(root)]
        jobs = [root.job_id, *(each.job_id for each in edges)]
        assert root.origin is None and job in jobs and len(set(jobs)) == len(jobs)
        # Where jobs were forked from one another in a circle, which is the root is not said.
        assert root.job_id not in made or made[root.job_id].origin[0] in jobs  # type: ignore[index]
        below = {child for child, entry in made.items() if entry.origin and entry.origin[0] in jobs} - {root.job_id}
        assert {each.job_id for each in edges} == below
        for each in edges:
            entry = made[each.job_id]
            assert ((each.origin, each.at), each.revision, each.time) == (entry.origin, entry.revision, entry.time)
            state = self.log.state(each.job_id)
            assert each.status == (None if state is None else state["status"])

    def edges(self, tree: Fork) -> list[Fork]:
        """Return the forks in a tree; each names its origin, and the oldest come first."""
        found: list[Fork] = []
        for fork in tree.forks:
            assert fork.origin == tree.job_id
            found += [fork, *self.edges(fork)]
        numbers = [self.log.forks()[fork.job_id].number for fork in tree.forks]
        assert numbers == sorted(numbers)
        return found

    def everything_stands(self) -> None:
        """Check that every revision, ever, is what it was when it was written, and that the store is sound."""
        for entry in self.log.entries:
            assert same(self.shown(entry.job, entry.revision), entry.state)
        for job in self.jobs():
            found = [(each.revision, each.event) for each in self.run(self.backend.history(job))]
            assert found == [(each.revision, each.event) for each in self.log.of(job)[::-1]]
        assert self.run(self.backend.verify()).ok

    def teardown(self) -> None:
        if hasattr(self, "backend") and sys.exc_info()[0] is None:
            self.everything_stands()
        super().teardown()


class GitHistoryMachine(HistoryMachine):
    """The same on a repository, opened anew now and then."""

    def open(self) -> RewindBackend:
        self.folder = Path(tempfile.mkdtemp(prefix="gitstate-machine-"))
        return GitStateBackend(self.folder / "store", durability="normal")

    @rule()
    def reopen(self) -> None:
        self.run(self.backend.close())
        self.backend = GitStateBackend(self.folder / "store", durability="normal")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            fsck(self.folder / "store")
            shutil.rmtree(self.folder)


def sign(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def told_progress(entry: Entry) -> str | None:
    return None if entry.state is None else "{}/{}".format(*progress_of(entry.state))


TestHistoryInMemory = HistoryMachine.TestCase
TestHistoryInMemory.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestHistoryOnGit = GitHistoryMachine.TestCase
TestHistoryOnGit.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)


@pytest.mark.long
@pytest.mark.parametrize(("machine", "examples"), [(HistoryMachine, 1000), (GitHistoryMachine, 100)])
def test_long_histories(machine: type[HistoryMachine], examples: int) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=60, deadline=None))
