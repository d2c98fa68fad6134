"""What a proposed change relied on: each rule, and the laws on states that are drawn."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.backends.invariants import contradictions, new_contradictions
from gitstate.backends.relying import changed_places, moved_places, unmet
from gitstate.backends.restoring import repaired
from gitstate.backends.rules import JOB_RULES
from gitstate.values.merge import ABSENT, merge3, same

Job = dict[str, Any]


def sheet(status: str = "pending", attempt: int = 0, **fields: Any) -> Job:
    return {"status": status, "attempt_count": attempt, **fields}


def job(*sheets: Job, **fields: Any) -> Job:
    numbered = {str(number): {"sheet_num": number, **each} for number, each in enumerate(sheets, 1)}
    return {"job_id": "nightly", "total_sheets": 3, "status": "paused", "sheets": numbered, **fields}


BASE = job(sheet("completed", 1), sheet("failed", 2), sheet(), updated_at="2026-01-01T10:00:00Z", total_retry_count=2)


def changed(**places: Any) -> Job:
    """Return the base with other values at places that are written ``sheets_3_status``."""
    value = copy.deepcopy(BASE)
    for place, item in places.items():
        holder: Any = value
        parts = place.split("__")
        for part in parts[:-1]:
            holder = holder[part]
        if item is ABSENT:
            holder.pop(parts[-1], None)
        else:
            holder[parts[-1]] = item
    return value


@pytest.mark.parametrize(
    ("now", "wanted", "moved"),
    [
        (changed(), changed(sheets__3__status="skipped"), []),
        (changed(updated_at="later"), changed(sheets__3__status="skipped", updated_at="x"), []),
        (changed(sheets__1__note="new"), changed(sheets__3__status="skipped"), []),
        (changed(sheets__3__attempt_count=1), changed(sheets__3__status="skipped"), ["/sheets/3/attempt_count"]),
        (changed(sheets__3__status="completed"), changed(sheets__3__note="x"), ["/sheets/3/status"]),
        (changed(sheets__3__status="skipped"), changed(sheets__3__status="skipped"), []),
        (changed(sheets__3__status="skipped"), changed(sheets__3__status="skipped", metadata="x"), []),
        (changed(metadata="other"), changed(metadata="x"), ["/metadata"]),
        (changed(metadata="x"), changed(metadata="x", sheets__3__status="skipped"), []),
        (changed(total_retry_count=3), changed(total_retry_count=3, metadata="x"), ["/total_retry_count"]),
        (changed(sheets__1__note="new"), changed(status="completed"), ["/sheets/1/note"]),
        (changed(pid=17), changed(status="completed"), ["/pid"]),
        (changed(updated_at="later"), changed(status="completed"), []),
        (
            changed(sheets__3=ABSENT),
            changed(sheets__3__status="skipped"),
            ["/sheets/3/status", "/sheets/3/attempt_count"],
        ),
        (ABSENT, changed(sheets__3__status="skipped"), [""]),
        (changed(metadata="x"), ABSENT, ["/metadata"]),
        (changed(), ABSENT, []),
        (ABSENT, ABSENT, []),
    ],
)
def test_each_rule(now: Any, wanted: Any, moved: list[str]) -> None:
    found = moved_places(BASE, now, wanted, whole=False)
    assert [each.pointer for each in found] == moved


def test_a_change_as_a_whole_relies_on_everything_but_times() -> None:
    wanted = changed(sheets__3__status="skipped")
    now = changed(sheets__1__note="new", updated_at="later", sheets__2__updated_at="later")
    assert [each.pointer for each in moved_places(BASE, now, wanted, whole=True)] == ["/sheets/1/note"]
    assert moved_places(ABSENT, ABSENT, wanted, whole=True) == []
    assert moved_places(ABSENT, wanted, wanted, whole=True) == []
    assert [each.pointer for each in moved_places(ABSENT, now, wanted, whole=True)] == [""]


STATUSES = st.sampled_from(["pending", "in_progress", "completed", "failed", "skipped"])
SHEETS = st.builds(sheet, STATUSES, st.integers(0, 2), note=st.sampled_from(["a", "b"]))
JOBS = st.builds(
    lambda sheets, status, last, note, retries: job(
        *sheets, status=status, last_completed_sheet=last, note=note, total_retry_count=retries
    ),
    st.lists(SHEETS, max_size=3),
    st.sampled_from(["paused", "running", "completed"]),
    st.integers(0, 3),
    st.sampled_from(["x", "y"]),
    st.integers(0, 2),
)
SLOTS = st.just(ABSENT) | JOBS


@given(SLOTS, SLOTS, SLOTS, st.booleans())
def test_what_holds_is_merged_as_it_was_proposed(base: Any, now: Any, wanted: Any, whole: bool) -> None:
    if moved_places(base, now, wanted, whole=whole):
        return
    merge = merge3(base, now, wanted, JOB_RULES)
    if not merge.conflicts and not unmet(base, merge.value, wanted):
        for place in changed_places(base, now):  # and of what came meanwhile nothing was lost
            if place not in changed_places(base, wanted):
                assert place in changed_places(base, merge.value) or _follows(merge.value, now, place)


def _follows(merged: Any, now: Any, place: tuple[str, ...]) -> bool:
    """Whether a job was completed by both sides together."""
    return bool(merged.get("status") == "completed" != now.get("status"))


@given(SLOTS, SLOTS, st.booleans())
def test_a_job_that_stood_still_is_no_obstacle_and_neither_is_one_that_is_there(
    base: Any, wanted: Any, whole: bool
) -> None:
    assert moved_places(base, base, wanted, whole=whole) == []
    assert moved_places(base, wanted, wanted, whole=whole) == []


@given(JOBS)
def test_a_job_that_was_made_right_contradicts_itself_in_nothing_that_was_repaired(value: Job) -> None:
    known = {"open", "done", "process", "watermark", "current"}
    assert not known & contradictions(repaired(value)).keys()
    assert new_contradictions(value, value) == []


def test_contradictions_are_told_by_what_they_are() -> None:
    value = job(sheet("completed", 1), sheet(), status="completed", last_completed_sheet=2, pid=7, current_sheet=2)
    value["sheets"]["9"] = {"sheet_num": 8, "status": "in_progress"}
    assert contradictions(value).keys() == {"open", "process", "number", "range", "watermark", "current", "idle"}
    assert new_contradictions({"pid": 3, "status": "paused"}, {"pid": 4, "status": "failed"}) == []
    assert not same(value, BASE)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"sheets": []},
        {"sheets": {"1": 3, "x": None}},
        {"sheets": {"9" * 5000: sheet("completed")}},
        {"total_sheets": "9"},
    ],
)
def test_odd_values_are_no_error(value: Job) -> None:
    contradictions(value)
    assert moved_places(value, value, BASE, whole=False) == []
