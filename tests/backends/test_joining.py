"""Jobs of two machines, joined: executions, rollbacks, what follows from both, and what histories tell afterwards."""

import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, SheetStatus
from gitstate.format.message import Message
from gitstate.store.batch import Joined
from gitstate.store.histories import JoinedHistories, OnConflict, join, told
from tests.backends.conftest import agree_on_jobs
from tests.clocks import Clock
from tests.git import fsck, git

Work = Callable[[GitStateBackend], Awaitable[object]]


class Machines:
    """Two clones of one store."""

    def __init__(self, folder: Path) -> None:
        self.here, self.there = folder / "here", folder / "there"

    async def begin(self, *works: Work) -> None:
        await self._do(self.here, works)
        shutil.copytree(self.here, self.there)
        shutil.rmtree(self.there / ".git/gitstate")

    async def apart(self, here: Work | list[Work], there: Work | list[Work]) -> None:
        for folder, works in ((self.here, here), (self.there, there)):
            await self._do(folder, works if isinstance(works, list) else [works])

    async def _do(self, folder: Path, works: Any) -> None:
        async with GitStateBackend(folder) as backend:
            for work in works:
                await work(backend)

    async def take_in(self, on_conflict: OnConflict = "park") -> JoinedHistories:
        """Merge what is there into what is here, and see that the other way gives the same tree."""
        git(self.here, "fetch", "-q", str(self.there), "main:refs/remotes/there/main")
        async with GitStateBackend(self.here) as backend:
            store = backend.store
            ours, theirs = store.head(), git(self.here, "rev-parse", "refs/remotes/there/main").strip()
            joined = join(store.reader, [backend._jobs], ours, theirs, on_conflict=on_conflict)
            if on_conflict == "park":
                assert join(store.reader, [backend._jobs], theirs, ours, on_conflict="park").tree == joined.tree
            said = Message("merged there", *told(joined))
            agree_on_jobs(backend)
            store.submit_merge(lambda *_: Joined(joined.tree, joined.objects, said, theirs)).result()
            agree_on_jobs(backend)
        fsck(self.here)
        return joined


@pytest.fixture(params=[0, 60])
def machines(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    Clock(monkeypatch, step=timedelta(seconds=request.param))  # all in one second, or each commit in one of its own
    return Machines(tmp_path)


async def create(backend: GitStateBackend) -> None:
    await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=3))


def mark(sheet: int, status: SheetStatus) -> Work:
    return lambda backend: backend.mark_sheet_status("nightly", sheet, status)


def execute(sheet: int, attempt: int, text: str | None, code: int = 0, **more: Any) -> Work:
    return lambda backend: backend.record_execution("nightly", sheet, attempt, text, text, code, **more)


def save(change: Callable[[CheckpointState], object]) -> Work:
    async def work(backend: GitStateBackend) -> None:
        state = await backend.load("nightly")
        assert state is not None
        change(state)
        await backend.save(state)

    return work


async def loaded(path: Path) -> CheckpointState:
    async with GitStateBackend(path) as backend:
        state = await backend.load("nightly")
        assert state is not None
        return state


async def executions(path: Path) -> list[tuple[int, int, str | None, int | None]]:
    """What is told of executions, whichever way it is asked for, by a backend that was just opened and one that was
    asked before.
    """
    async with GitStateBackend(path) as backend:
        for _ in range(2):
            found = await backend.get_execution_history("nightly", limit=100)
            assert await backend.get_execution_history_count("nightly") == len(found)
            numbers = await backend.get_job_statistics("nightly")
            assert numbers["total_executions"] == len(found)
            assert numbers["successful_executions"] == sum(each["exit_code"] == 0 for each in found)
            told = {each.execution_id for each in await backend.attempts("nightly")}
            assert {each["id"] for each in found} <= told
        return [(each["sheet_num"], each["attempt_num"], each["output"], each["exit_code"]) for each in found]


def payload(path: Path, sheet: int) -> list[str]:
    folder = f"HEAD:jobs/nightly/executions/{sheet:04}"
    return [git(path, "show", f"{folder}/{name}") for name in git(path, "show", folder).split()[2:]]


async def test_executions_of_both_sides_are_told_and_the_files_are_those_of_the_latest_attempt(
    machines: Machines,
) -> None:
    await machines.begin(create, mark(1, SheetStatus.IN_PROGRESS), execute(1, 1, "before", 1))
    await machines.apart(
        [mark(1, SheetStatus.FAILED), mark(1, SheetStatus.IN_PROGRESS), execute(1, 2, "here"), execute(2, 1, "mine")],
        [execute(1, 1, "there"), execute(3, 1, "theirs"), execute(3, 2, None)],
    )
    joined = await machines.take_in()
    assert [each.result for each in joined.outcomes] == ["merged"]
    assert sorted(await executions(machines.here), key=repr) == [
        (1, 1, "before", 1),
        (1, 1, "there", 0),
        (1, 2, "here", 0),
        (2, 1, "mine", 0),
        (3, 1, "theirs", 0),
        (3, 2, None, 0),
    ]
    assert payload(machines.here, 1) == ["here", "here"]
    assert payload(machines.here, 2) == ["mine", "mine"]


@pytest.mark.parametrize("text", ["there", None])
async def test_executions_are_told_also_if_nothing_of_their_side_is_left(machines: Machines, text: str | None) -> None:
    await machines.begin(create, mark(1, SheetStatus.IN_PROGRESS), execute(1, 1, "before"))
    await machines.apart(
        [mark(1, SheetStatus.FAILED), mark(1, SheetStatus.IN_PROGRESS), execute(1, 2, "here")],
        [execute(1, 1, text, 3)],
    )
    await machines.take_in()
    assert git(machines.here, "rev-parse", "HEAD:jobs/nightly") == git(machines.here, "rev-parse", "HEAD~:jobs/nightly")
    assert sorted(await executions(machines.here), key=repr) == sorted(
        [(1, 1, "before", 0), (1, 1, text, 3), (1, 2, "here", 0)], key=repr
    )


async def test_what_was_executed_while_the_job_was_deleted_elsewhere_is_told(machines: Machines) -> None:
    await machines.begin(create, execute(1, 1, "before"))
    await machines.apart(
        [execute(1, 2, "gone"), lambda backend: backend.delete("nightly"), create, execute(1, 1, "anew")],
        [execute(2, 1, "there"), mark(2, SheetStatus.COMPLETED)],
    )
    await machines.take_in()
    found = await executions(machines.here)
    assert "gone" not in {output for _, _, output, _ in found}, "it was of the life that ended"
    assert {output for _, _, output, _ in found} >= {"before", "anew", "there"}
    async with GitStateBackend(machines.here) as backend:
        events = [each.event for each in await backend.history("nightly")]
        assert events.count("execution") == 4
        assert "deleted" in events


async def test_last_sheets_that_are_done_apart_complete_the_job(machines: Machines) -> None:
    await machines.begin(create, mark(1, SheetStatus.COMPLETED), *(mark(n, SheetStatus.IN_PROGRESS) for n in (2, 3)))
    await machines.apart(mark(2, SheetStatus.COMPLETED), mark(3, SheetStatus.SKIPPED))
    joined = await machines.take_in()
    state = await loaded(machines.here)
    assert (state.status.value, state.get_progress(), joined.losers) == ("completed", (3, 3), ())


async def test_two_results_of_one_attempt_are_parked_and_nothing_contradicts_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch, step=timedelta(minutes=1))
    machines = Machines(tmp_path)
    await machines.begin(create, mark(1, SheetStatus.COMPLETED), mark(2, SheetStatus.IN_PROGRESS))
    await machines.apart(mark(2, SheetStatus.COMPLETED), mark(2, SheetStatus.FAILED))
    joined = await machines.take_in()
    state = await loaded(machines.here)
    assert state.sheets[2].status is SheetStatus.FAILED
    assert state.last_completed_sheet == 1, "that followed from what lost"
    assert {each.pointer for each in joined.outcomes[0].conflicts} >= {"/sheets/2/status"}
    (loser,) = joined.losers
    async with GitStateBackend(machines.here) as backend:
        lost = await backend.load("nightly", at=loser.revision)
        assert lost is not None and lost.sheets[2].status is SheetStatus.COMPLETED
        assert lost.last_completed_sheet == 2


async def test_a_rollback_against_other_work_is_a_conflict_and_who_came_last_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch, step=timedelta(minutes=1))
    machines = Machines(tmp_path)
    await machines.begin(create, mark(1, SheetStatus.COMPLETED), mark(2, SheetStatus.COMPLETED))
    await machines.apart(
        mark(3, SheetStatus.COMPLETED),
        lambda backend: backend.rollback("nightly", "~1"),
    )
    joined = await machines.take_in()
    state = await loaded(machines.here)
    assert {number: sheet.status.value for number, sheet in state.sheets.items()} == {1: "completed"}
    assert (state.last_completed_sheet, state.status.value) == (1, "pending")
    assert [(each.result, each.document) for each in joined.outcomes] == [("parked", "nightly")]
    async with GitStateBackend(machines.here) as backend:
        lost = await backend.load("nightly", at=joined.losers[0].revision)
        assert lost is not None and lost.status.value == "completed"


async def test_a_rollback_that_nobody_contradicts_is_taken(machines: Machines) -> None:
    await machines.begin(create, mark(1, SheetStatus.COMPLETED), mark(2, SheetStatus.COMPLETED))
    other = CheckpointState(job_id="other", job_name="Other", total_sheets=1)
    await machines.apart(lambda backend: backend.save(other), lambda backend: backend.rollback("nightly", "~1"))
    joined = await machines.take_in()
    assert {each.document: each.result for each in joined.outcomes} == {
        "nightly": "fast-forwarded",
        "other": "up to date",
    }
    assert (await loaded(machines.here)).last_completed_sheet == 1


async def test_a_history_has_what_both_sides_did_and_names_count_it(machines: Machines) -> None:
    await machines.begin(create)
    await machines.apart(
        [mark(1, SheetStatus.IN_PROGRESS), mark(1, SheetStatus.COMPLETED)],
        [mark(2, SheetStatus.IN_PROGRESS), mark(2, SheetStatus.FAILED)],
    )
    await machines.take_in()
    async with GitStateBackend(machines.here) as backend:
        found = await backend.history("nightly")
        assert found[0].event == "merged"
        assert len(found) == 6
        order = git(machines.here, "log", "--date-order", "--format=%H", "--", "jobs/nightly").split()
        assert {each.revision for each in found} == set(order)
        for number, checkpoint in enumerate(found):
            at, by_id = [await backend.load("nightly", at=name) for name in (f"~{number}", checkpoint.revision)]
            assert at is not None and at == by_id
        agree_on_jobs(backend)
        await backend.mark_sheet_status("nightly", 3, SheetStatus.COMPLETED)
        agree_on_jobs(backend)
        known = backend.store._indexes.of(backend._jobs)
        with known.database.open() as connection:
            said = known.revisions.last_message(connection, "nightly")
        assert said is not None and said.get("Gitstate-Progress") == "2/3", "no state needs to be read for that"
        blame = await backend.blame("nightly", "/sheets/2/status")
        assert blame.settings[0].checkpoint.subject.startswith("nightly: sheet 2 failed")


def test_a_merge_makes_right_what_follows_without_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    from gitstate import clock
    from gitstate.backends.joining import JOB_JOINING

    monkeypatch.setattr(clock, "now", lambda: pytest.fail("a clock"))
    job: dict[str, Any] = {"job_id": "a", "status": "paused", "total_sheets": 1, "sheets": {"1": {"status": "skipped"}}}
    apart = [{**job, "sheets": {}}, {**job, "status": "pending", "sheets": {}}]
    assert JOB_JOINING.repaired(job, *apart)["completed_at"] == "1970-01-01T00:00:00Z"
    dated = {**job, "updated_at": "2026-01-01T00:00:00Z"}
    assert JOB_JOINING.repaired(dated, *apart)["completed_at"] == dated["updated_at"]
    assert JOB_JOINING.repaired(job, job, {}) is job, "it was so on one side"


@pytest.mark.parametrize(
    ("path", "ours", "theirs", "side"),
    [
        ("executions/0002/output.txt", 2, 1, "ours"),
        ("executions/0010/output.txt", 2, 1, None),
        ("executions/0002/output.txt", 1, 2, "theirs"),
        ("executions/0002/output.txt", 1, 1, None),
        ("executions/notes.txt", 2, 1, None),
        ("executions/0002/output.txt", "x", 1, "theirs"),
    ],
)
def test_which_files_of_an_execution_are_the_latest(path: str, ours: Any, theirs: Any, side: str | None) -> None:
    from gitstate.backends.joining import JOB_JOINING

    sides: list[Any] = [{"sheets": {"2": {"attempt_count": each}}} for each in (ours, theirs)]
    assert JOB_JOINING.latest(path, *sides) == side
