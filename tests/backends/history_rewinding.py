"""A backend driven at random beside the model of its history: everything that goes back."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import rule

from gitstate import CheckpointState, SheetStatus
from gitstate.backends.models import SheetState
from gitstate.backends.rewound import Rewound
from gitstate.errors import (
    BusyError,
    ConflictError,
    ExistsError,
    InvalidInputError,
    JobNotFoundError,
    NotFoundError,
    RevisionNotFoundError,
)
from tests.backends.history_machine import ACTIONS, JOBS, SELDOM, SHEETS, Action, WritingMachine
from tests.backends.history_model import (
    ABSENT,
    FOLLOWING,
    Entry,
    Json,
    at_place,
    both_ran,
    is_busy,
    next_of,
    one_sided,
    progress_of,
    put_at,
    records,
    reopened,
    runs,
    same,
)

__all__ = ["RewindingMachine"]

Error: TypeAlias = type[Exception] | None

PLACES = st.sampled_from(
    [
        "/metadata",
        "/metadata/a",
        "/metadata/b",
        "/sheets",
        "/sheets/1",
        "/sheets/2",
        "/sheets/2/status",
        "/sheets/1/metadata",
        "/error_message",
        "/status",
        "/job_name",
    ]
)


def counted(number: int) -> Json:
    """Return the record of a sheet that has none and is done, as it would be stored."""
    return {"sheet_num": number, "status": "completed"}


def implied(number: int) -> Json:
    """Return the record of a sheet that has none and is done, as a model has it."""
    return SheetState(sheet_num=number, status=SheetStatus.COMPLETED).model_dump(mode="json")


class RewindingMachine(WritingMachine):
    """Brings older states back; each is checked against what the job was then and what it was before."""

    def went_back(
        self,
        job: str,
        event: str,
        call: Callable[[bool], Coroutine[Any, Any, Rewound]],
        *,
        dry: bool,
        early: Error = None,
        late: Error = None,
        busy: bool = False,
        may_conflict: bool = False,
        **more: Any,
    ) -> tuple[Rewound, Entry | None] | None:
        """Make a call that brings something back; return what it told and the commit, None where it was refused.

        Args:
            job: The job that it changes.
            event: What the commit says.
            call: The call; it takes whether it is a dry run.
            dry: Whether to make a dry run first, which must change nothing and tell the same.
            early: The error that must come of it.
            late: The error that must come of it unless the job runs.
            busy: Whether the job runs and the call is not forced.
            may_conflict: Whether a conflict is right too.
            more: What else the log keeps of the commit.
        """
        told: Rewound | None = None
        problem = early or late
        if dry and problem is not None:
            self.refused(call(True), problem)
        elif dry:
            try:
                told = self.run(call(True))
            except ConflictError:
                assert may_conflict
            self.nothing_changed()
        problem = early or (BusyError if busy else late)
        if problem is not None:
            self.refused(call(False), problem)
            return None
        try:
            done: Rewound = self.run(call(False))
        except ConflictError as error:
            assert may_conflict and told is None and error.conflicts
            self.nothing_changed()
            return None
        assert not dry or (told is not None and told.revision is None)
        assert told is None or same([told.before, told.after], [done.before, done.after])
        assert (done.job_id, done.event) == (job, event)
        assert same(done.before, self.log.plain(job))
        if done.revision is None:
            self.nothing_changed()
            assert same(done.after, done.before)
            return done, None
        there = self.log.plain(job) is not None
        assert done.previous == (self.log.head if there else None)
        entry = self.wrote(job, event, **more)
        assert entry.revision == done.revision
        assert same(done.after, entry.plain)
        return done, entry

    @rule(data=st.data(), job=JOBS, force=st.booleans(), dry=SELDOM)
    def rollback(self, data: st.DataObject, job: str, force: bool, dry: bool) -> None:
        name, number = self.name(data, job)
        older, now = self.log.standing(job, number), self.log.plain(job)
        then = self.log.plain(job, number)
        early: Error = RevisionNotFoundError if then is None else JobNotFoundError if now is None else None
        told = self.went_back(
            job,
            "rolled-back",
            lambda dry: self.backend.rollback(job, name, message="why", force=force, dry_run=dry),
            dry=dry,
            early=early,
            busy=is_busy(now) and not force,
        )
        if told is not None and older is not None:
            assert told[0].source == older.revision
            assert (told[1] is None) == same(now, then)
            assert same(self.log.plain(job), then)

    @rule(data=st.data(), job=JOBS, sheets=st.sets(SHEETS, min_size=1), force=st.booleans(), dry=SELDOM)
    def restore_sheets(self, data: st.DataObject, job: str, sheets: set[int], force: bool, dry: bool) -> None:
        name, number = self.name(data, job)
        then, now = self.log.state(job, number), self.log.state(job)
        beyond = now is not None and max(sheets) > now["total_sheets"]
        told = self.went_back(
            job,
            "restored",
            lambda dry: self.backend.restore(job, name, sheets=sorted(sheets), force=force, dry_run=dry),
            dry=dry,
            early=RevisionNotFoundError if then is None else JobNotFoundError if now is None else None,
            late=InvalidInputError if beyond else None,
            busy=is_busy(now) and not force,
        )
        if told is None or then is None or now is None:
            return
        chosen = {str(sheet) for sheet in sheets}
        wanted = {key: each for key, each in records(now, implied).items() if key not in chosen}
        wanted |= {key: each for key, each in records(then, implied).items() if key in chosen}
        after = self.log.state(job)
        assert after is not None and same(records(after, implied), wanted)
        before, source = told[0].before, self.log.plain(job, number)
        assert before is not None and source is not None
        stored, wanted = records(before, counted), records(source, counted)
        assert (told[1] is None) == all(same(stored.get(key), wanted.get(key)) for key in chosen)
        self.only_what_follows_changed(now, after)

    @rule(data=st.data(), job=JOBS, place=PLACES, force=st.booleans(), dry=SELDOM)
    def restore_place(self, data: st.DataObject, job: str, place: str, force: bool, dry: bool) -> None:
        name, number = self.name(data, job)
        then, now = self.log.plain(job, number), self.log.plain(job)
        there = now is not None and at_place(now, place.rpartition("/")[0]) is not ABSENT
        wanted = at_place(then, place)
        nothing = wanted is ABSENT and at_place(now, place) is ABSENT
        told = self.went_back(
            job,
            "restored",
            lambda dry: self.backend.restore(job, name, pointers=place, force=force, dry_run=dry),
            dry=dry,
            early=RevisionNotFoundError if then is None else JobNotFoundError if now is None else None,
            late=InvalidInputError if nothing or not there else None,
            busy=is_busy(now) and not force,
        )
        if told is None or now is None:
            return
        after, before, state = self.log.plain(job), self.log.state(job), CheckpointState.model_validate
        assert (told[1] is None) == same(wanted, at_place(now, place))
        assert after is not None and before is not None and same(at_place(after, place), wanted)
        expected = state(put_at(now, place, wanted)).model_dump(mode="json")
        self.only_what_follows_changed(expected, before, moved=not same(runs(now), runs(after)))

    def only_what_follows_changed(self, before: Json, after: Json, *, moved: bool | None = None) -> None:
        """Check a job whose sheets were brought back: what follows is right, and the other fields are as they were."""
        moved = not same(runs(before), runs(after)) if moved is None else moved
        free = {"sheets", "updated_at"} | (FOLLOWING if moved else set())
        if not after["sheets"]:
            free |= {"last_completed_sheet"}
        assert same(*({key: job[key] for key in job.keys() - free} for job in (before, after)))
        if moved:
            self.what_follows_is_right(after, before)

    def what_follows_is_right(self, after: Json, *before: Json) -> None:
        """Check what follows from the sheets of a job; that it was cancelled stays."""
        done, total = progress_of(after)
        completed = [int(key) for key, (status, _) in runs(after).items() if status == "completed"]
        assert after["last_completed_sheet"] == max(completed, default=0)
        assert (after["status"] == "completed") == (done == total and after["status"] != "cancelled")
        assert after["status"] != "cancelled" or any(job["status"] == "cancelled" for job in before)
        assert after["completed_at"] is None or after["status"] not in ("pending", "paused")
        assert after["completed_at"] is not None or after["status"] != "completed"
        current = after["sheets"].get(str(after["current_sheet"]))
        assert after["current_sheet"] is None or (current and current["status"] == "in_progress")

    @rule(job=JOBS, any_job=SELDOM, force=st.booleans(), dry=SELDOM, actions=st.lists(ACTIONS, max_size=2))
    def undo(self, job: str, any_job: bool, force: bool, dry: bool, actions: list[Action]) -> None:
        """Take something back, after some progress since or none."""
        self.save_changed(job, actions, hold=False)
        operation = self.log.last_operation(None if any_job else job)
        if operation is None:
            call = self.backend.undo(None if any_job else job, force=force, dry_run=dry)
            self.refused(call, NotFoundError if any_job or self.log.of(job) else JobNotFoundError)
            return
        job = operation.job
        now, before = self.log.standing(job), self.log.before(operation)
        assert now is not None
        was = None if before is None else before.plain
        untouched = same(now.plain, operation.plain)
        whole = None in (now.plain, was, operation.plain)
        told = self.went_back(
            job,
            "undone",
            lambda dry: self.backend.undo(None if any_job else job, force=force, dry_run=dry),
            dry=dry,
            late=ConflictError if whole and not untouched else None,
            busy=is_busy(now.plain) and not force,
            may_conflict=not untouched,
            began=before.number if before is not None and now.plain is None else None,
        )
        if told is None:
            return
        assert told[0].source == operation.revision
        after = self.log.state(job)
        if untouched:
            assert same(self.log.plain(job), was)
        elif before and before.state and operation.state and now.state and after:
            one_sided(operation.state, now.state, before.state, after)
            assert not both_ran(operation.state, now.state, before.state)
            if not same(runs(now.state), runs(after)):
                self.what_follows_is_right(after, before.state, now.state)

    @rule(data=st.data(), job=JOBS, named=st.booleans(), dry=SELDOM)
    def undelete(self, data: st.DataObject, job: str, named: bool, dry: bool) -> None:
        own = self.log.of(job)
        there, gone = self.log.plain(job) is not None, [each for each in own if each.plain is None]
        name, number = self.name(data, job) if named else (None, gone[-1].number - 1 if gone else 0)
        source = self.log.standing(job, number)
        if name is not None:
            missing: Error = RevisionNotFoundError if source is None or source.plain is None else None
        else:
            missing = ExistsError if there else None if own else JobNotFoundError
        told = self.went_back(
            job,
            "restored",
            lambda dry: self.backend.undelete(job, name, dry_run=dry),
            dry=dry,
            early=missing or (ExistsError if there else None),
            began=None if source is None else source.number,
        )
        if told is not None and source is not None:
            assert told[0].source == source.revision and told[1] is not None
            assert same(told[1].plain, source.plain)

    @rule(data=st.data(), job=JOBS, new=JOBS, named=st.booleans(), first=st.none() | SHEETS, dry=SELDOM)
    def fork(self, data: st.DataObject, job: str, new: str, named: bool, first: int | None, dry: bool) -> None:
        name, number = self.name(data, job) if named else (None, None)
        source = self.log.standing(job, number)
        then = None if source is None else source.state
        missing: Error = (RevisionNotFoundError if named else JobNotFoundError) if then is None else None
        beyond = first is not None and then is not None and first > then["total_sheets"]
        told = self.went_back(
            new,
            "forked",
            lambda dry: self.backend.fork(job, new, name, from_sheet=first, dry_run=dry),
            dry=dry,
            early=missing or (ExistsError if self.log.plain(new) is not None else None),
            late=InvalidInputError if beyond else None,
            origin=None if source is None else (job, source.revision),
        )
        if told is None or source is None or then is None:
            return
        assert told[0].source == source.revision
        made = self.log.state(new)
        assert made is not None
        expected = then | {"job_id": new, "pid": None, "host": None, "updated_at": made["updated_at"]}
        if then["status"] == "running":
            expected["status"] = "paused"
        if first is None:
            assert same(made, expected)
            return
        sheets = {key: reopened(each) if int(key) >= first else each for key, each in then["sheets"].items()}
        assert same(made["sheets"], sheets)
        assert same(*({key: each[key] for key in each.keys() - FOLLOWING - {"sheets"}} for each in (made, expected)))
        below = [status in ("completed", "skipped", "cancelled") for status in self.statuses(then, first)]
        assert made["status"] in ("paused", "pending") and next_of(made) == (first if all(below) else next_of(made))
        assert made["completed_at"] is made["current_sheet"] is made["error_message"] is None or not all(below)

    def statuses(self, job: Json, below: int) -> list[str | None]:
        """Return the statuses of the sheets below one; None of one without a record."""
        return [runs(job).get(str(number), (None, 0))[0] for number in range(1, below)]
