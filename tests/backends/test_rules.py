"""The merge table of jobs: each row of the design, and the laws on states shaped like jobs."""

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.backends.invariants import contradictions
from gitstate.backends.joining import JOB_JOINING
from gitstate.backends.rules import JOB_RULES, REWIND_RULES
from gitstate.values.canonical import equal
from gitstate.values.merge import ABSENT, Merge, Rules, Side, merge3, same

Job = dict[str, Any]
ENDED = ("completed", "failed", "skipped", "cancelled")
FORWARD = ("pending", "ready", "dispatched", "in_progress", "waiting", "retry_scheduled", "fermata")
TIMES = [f"2026-01-01T{hour:02}:00:00Z" for hour in range(10, 16)] + ["2026-01-01T13:30:00+02:00"]


def sheet(status: str = "pending", attempt: int = 0, **fields: Any) -> Job:
    return {"status": status, "attempt_count": attempt, **fields}


def job(*sheets: Job, hour: int = 10, **fields: Any) -> Job:
    numbered = {str(number): {"sheet_num": number, **each} for number, each in enumerate(sheets, 1)}
    return {
        "job_id": "nightly",
        "total_sheets": 10,
        "updated_at": TIMES[hour - 10],
        "sheets": numbered,
        "status": "running",
        **fields,
    }


def both_ways(base: Job, ours: Job, theirs: Job) -> Merge:
    """Merge, and see that the swapped merge says the same."""
    merge, swapped = merge3(base, ours, theirs, JOB_RULES), merge3(base, theirs, ours, JOB_RULES)
    assert {each.pointer for each in merge.conflicts} == {each.pointer for each in swapped.conflicts}
    assert merge.conflicts or equal(merge.value, swapped.value)  # type: ignore[arg-type]  # never absent here
    return merge


def merged(base: Job, ours: Job, theirs: Job) -> Job:
    merge = both_ways(base, ours, theirs)
    assert not merge.conflicts
    assert isinstance(merge.value, dict)
    return merge.value


def merged_sheet(base: Job, ours: Job, theirs: Job) -> Job:
    value: Job = merged(job(base), job(ours, hour=11), job(theirs, hour=12))["sheets"]["1"]
    return value


@pytest.mark.parametrize(
    ("field", "base", "older", "newer", "expected"),
    [
        ("total_retry_count", 3, 5, 4, 6),
        ("rate_limit_waits", ABSENT, 1, 1, 2),
        ("rate_limit_waits", 0, 1, 2, 3),
        ("completed_at", ABSENT, TIMES[5], TIMES[3], TIMES[5]),
        ("started_at", ABSENT, TIMES[2], TIMES[3], TIMES[2]),
        ("last_completed_sheet", 1, 4, 3, 4),
        ("current_sheet", 1, 5, 2, 2),
        ("current_sheet", 1, 5, ABSENT, ABSENT),
        ("error_message", ABSENT, "z", "a", "a"),
        ("error_message", "old", "new", "old", "new"),
        ("status", "pending", "completed", "running", "completed"),
        ("status", "pending", "running", "paused", "paused"),
        ("status", "running", "failed", "cancelled", "cancelled"),
        (
            "error_history",
            [{"id": 1}],
            [{"id": 1}, {"id": 3}],
            [{"id": 1}, {"id": 2}],
            [{"id": 1}, {"id": 2}, {"id": 3}],
        ),
    ],
)
def test_a_field_of_the_job(field: str, base: Any, older: Any, newer: Any, expected: Any) -> None:
    def state(hour: int, item: Any) -> Job:
        return {key: each for key, each in job(hour=hour, **{field: item}).items() if each is not ABSENT}

    value = merged(state(10, base), state(11, older), state(12, newer))
    assert value.get(field, ABSENT) == expected
    assert value["updated_at"] == TIMES[2]


def test_a_pid_stays_with_its_host() -> None:
    base, ours = job(pid=1, host="a"), job(pid=2, host="a", hour=12)
    value = merged(base, ours, job(pid=3, host="b", hour=11))
    assert (value["pid"], value["host"]) == (2, "a")


def test_at_the_same_instant_the_larger_bytes_win() -> None:
    value = merged(job(hour=10), job(hour=11, current_sheet=3), job(hour=11, current_sheet=4))
    assert value["current_sheet"] == 4


@pytest.mark.parametrize(
    ("base", "loser", "winner"),
    [
        (("in_progress", 1), ("waiting", 1), ("completed", 1)),
        (("in_progress", 1), ("failed", 1), ("in_progress", 2)),
        (("in_progress", 1), ("completed", 1), ("pending", 2)),
        (("pending", 0), ("ready", 0), ("dispatched", 0)),
        (("failed", 1), ("retry_scheduled", 1), ("in_progress", 2)),
        (("in_progress", 2), ("in_progress", 2), ("pending", 2)),  # one side alone may go back
        (("in_progress", 1), ("in_progress", 1), ("in_progress", 2)),
    ],
)
def test_the_run_of_a_sheet_goes_forward_and_its_fields_follow(
    base: tuple[str, int], loser: tuple[str, int], winner: tuple[str, int]
) -> None:
    start: dict[str, Any] = {"exit_code": 0, "other": 0, "metadata": {}}
    lost = sheet(*loser, exit_code=1, other=1, error_message="lost", metadata={"a": 1})
    won = sheet(*winner, exit_code=2, other=2, metadata={"b": 1})
    value = merged_sheet(sheet(*base, **start), lost, won)
    assert (value["status"], value["attempt_count"], value["exit_code"], value["other"]) == (*winner, 2, 2)
    assert value["metadata"] == {"a": 1, "b": 1}
    same_attempt_one_mover = base == loser and base[1] == winner[1]
    assert ("error_message" in value) == same_attempt_one_mover  # a run is never told with the error of another


def test_different_fields_of_one_run_are_both_kept() -> None:
    base = sheet("in_progress", 1, metadata={}, validation_details=[{"rule": "a"}])
    ours = base | {"metadata": {"x": 1}, "validation_details": [{"rule": "a"}, {"rule": "c"}], "started_at": TIMES[2]}
    theirs = base | {"stdout_tail": "t", "validation_details": [{"rule": "a"}, {"rule": "b"}], "started_at": TIMES[1]}
    value = merged_sheet(base, ours, theirs)
    assert value == {"sheet_num": 1} | base | {
        "metadata": {"x": 1},
        "stdout_tail": "t",
        "started_at": TIMES[1],
        "validation_details": [{"rule": "a"}, {"rule": "b"}, {"rule": "c"}],
    }


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "pointers"),
    [
        # Two results of one attempt: all that tells of the run conflicts, the rest merges.
        (sheet("in_progress", 1), sheet("completed", 1, exit_code=0, a=1), sheet("failed", 1, exit_code=1, b=1),
         ["/sheets/1/exit_code", "/sheets/1/status"]),
        (sheet("in_progress", 1), sheet("failed", 1, exit_code=2), sheet("failed", 1, exit_code=1),
         ["/sheets/1/exit_code"]),
        # A rollback against another change.
        (sheet("completed", 2), sheet("pending", 1), sheet("in_progress", 3),
         ["/sheets/1/attempt_count", "/sheets/1/status"]),
        (sheet("completed", 2), sheet("completed", 1), sheet("failed", 2),
         ["/sheets/1/attempt_count", "/sheets/1/status"]),
        (sheet("completed", 1), sheet("pending", 1), sheet("in_progress", 2),
         ["/sheets/1/attempt_count", "/sheets/1/status"]),
        # Statuses of another model, of which nobody knows which is further.
        (sheet("one", 1), sheet("two", 1), sheet("three", 1), ["/sheets/1/status"]),
        # What people wrote by hand is never settled by who was faster.
        (sheet("pending", 1, metadata={}), sheet("failed", 1, metadata={"n": 1}), sheet("ready", 1, metadata={"n": 2}),
         ["/sheets/1/metadata/n"]),
    ],
)  # fmt: skip  # one case a line reads better
def test_what_cannot_be_decided_is_a_conflict(base: Job, ours: Job, theirs: Job, pointers: list[str]) -> None:
    merge = both_ways(job(base), job(ours, hour=11), job(theirs, hour=12))
    assert sorted(each.pointer for each in merge.conflicts) == pointers


def test_a_job_that_was_rolled_back_is_not_pushed_forward() -> None:
    merge = both_ways(job(last_completed_sheet=5), job(last_completed_sheet=2), job(last_completed_sheet=6))
    assert [each.pointer for each in merge.conflicts] == ["/last_completed_sheet"]


def test_a_changed_sheet_survives_its_removal_and_is_reported() -> None:
    merge = both_ways(job(sheet()), job(hour=11), job(sheet("completed", 1), hour=12))
    assert [each.pointer for each in merge.conflicts] == ["/sheets/1"]
    assert merge.value["sheets"]["1"]["status"] == "completed"  # type: ignore[index, call-overload]  # it is an object


def test_the_last_two_sheets_finished_apart_complete_the_job() -> None:
    base = job(sheet("in_progress", 1), sheet("in_progress", 1), total_sheets=2)
    ours = job(sheet("completed", 1), sheet("in_progress", 1), total_sheets=2, hour=11)
    theirs = job(sheet("in_progress", 1), sheet("skipped", 1), total_sheets=2, hour=12)
    value = merged(base, ours, theirs)
    assert (value["status"], value["completed_at"]) == ("completed", TIMES[2])
    assert merged(base, ours, theirs | {"status": "paused"})["status"] == "paused"


def test_eight_workers_that_each_mark_their_sheet_never_conflict() -> None:
    start = job(*(sheet() for _ in range(8)), last_completed_sheet=0, total_retry_count=0, total_sheets=9)
    head = start
    for number in range(1, 9):
        ours = copy.deepcopy(start)
        ours |= {
            "updated_at": TIMES[number % 7],
            "current_sheet": number,
            "pid": number,
            "last_completed_sheet": number,
        }
        ours |= {"total_retry_count": 1}
        ours["sheets"][str(number)] |= {"status": "completed", "attempt_count": 1}
        head = merged(start, ours, head)
    assert all(each["status"] == "completed" for each in head["sheets"].values())
    assert (head["last_completed_sheet"], head["total_retry_count"]) == (8, 8)


SHEETS = st.fixed_dictionaries(
    {"status": st.sampled_from([*FORWARD, *ENDED, "odd"]), "attempt_count": st.integers(0, 3)},
    optional={
        "error_message": st.sampled_from(["a", "b"]),
        "completed_at": st.sampled_from(TIMES),
        "metadata": st.dictionaries(st.sampled_from("xy"), st.integers(0, 2)),
        "validation_details": st.lists(st.builds(dict, rule=st.sampled_from("pq")), max_size=2),
        "unknown": st.integers(0, 2) | st.lists(st.booleans(), max_size=1),
    },
)
JOBS = st.fixed_dictionaries(
    {
        "job_id": st.just("nightly"),
        "total_sheets": st.integers(1, 3),
        "updated_at": st.sampled_from(TIMES),
        "status": st.sampled_from(["pending", "running", "completed", "failed", "paused"]),
        "sheets": st.dictionaries(st.sampled_from("123"), SHEETS),
        "total_retry_count": st.integers(0, 3),
        "last_completed_sheet": st.integers(0, 3),
    },
    optional={
        "pid": st.integers(1, 3),
        "host": st.sampled_from("ab"),
        "current_sheet": st.integers(1, 3) | st.none(),
        "error_message": st.sampled_from(["", "x"]),
        "metadata": st.dictionaries(st.sampled_from("xy"), st.integers(0, 2)),
        "run_history": st.lists(st.integers(0, 5), max_size=3),
    },
)


@given(JOBS, JOBS)
def test_no_change_one_change_and_the_same_change_are_taken(base: Job, changed: Job) -> None:
    for sides in ((changed, base), (base, changed), (changed, changed)):
        assert merge3(base, *sides, JOB_RULES) == Merge(changed)


@given(JOBS, JOBS, JOBS)
def test_swapping_the_sides_swaps_only_their_names(base: Job, ours: Job, theirs: Job) -> None:
    both_ways(base, ours, theirs)


@given(JOBS, JOBS, JOBS, st.sampled_from([JOB_RULES, REWIND_RULES]), st.sampled_from(["ours", "theirs"]))
def test_what_is_settled_is_the_same_whoever_is_ours(
    base: Job, ours: Job, theirs: Job, rules: Rules, wins: Side
) -> None:
    other: Side = "theirs" if wins == "ours" else "ours"
    merge = merge3(base, ours, theirs, rules, wins=wins)
    swapped = merge3(base, theirs, ours, rules, wins=other)
    assert same(merge.value, swapped.value)
    assert isinstance(merge.value, dict)
    right = JOB_JOINING.repaired(merge.value, ours, theirs)
    assert equal(right, JOB_JOINING.repaired(merge.value, theirs, ours))
    odd = {"watermark", "current", "open", "done"} & contradictions(right).keys()
    assert odd <= contradictions(ours).keys() | contradictions(theirs).keys()


@given(JOBS, JOBS, JOBS)
def test_no_sheet_is_lost_and_none_goes_back(base: Job, ours: Job, theirs: Job) -> None:
    merge = merge3(base, ours, theirs, JOB_RULES)
    sheets: Job = merge.value["sheets"]  # type: ignore[assignment, index, call-overload]  # it is an object
    conflicts = {each.pointer for each in merge.conflicts}
    for number in base["sheets"].keys() | ours["sheets"].keys() | theirs["sheets"].keys():
        before, here, there = (each["sheets"].get(number) for each in (base, ours, theirs))
        if number not in sheets:
            assert None in (here, there)  # somebody removed it, and the other had not touched it
            assert before in (here or before, there or before)
        elif here and there and not any(pointer.startswith(f"/sheets/{number}") for pointer in conflicts):
            runs = [run(here), run(there)]
            assert run(sheets[number]) in runs  # never a mix of two runs
            if before is None or run(before) not in runs:
                assert rank(sheets[number]) == max(rank(here), rank(there))


def run(value: Job) -> tuple[int, str]:
    return value["attempt_count"], value["status"]


def rank(value: Job) -> tuple[int, int]:
    order = ["odd", *FORWARD]
    return value["attempt_count"], len(order) if value["status"] in ENDED else order.index(value["status"])


def test_every_pair_of_statuses_is_decided_or_reported() -> None:
    for ours, theirs in itertools.combinations([*FORWARD, *ENDED], 2):
        merge = both_ways(job(), job(sheet(ours, 1)), job(sheet(theirs, 1)))
        assert bool(merge.conflicts) == (ours in ENDED and theirs in ENDED), (ours, theirs)
