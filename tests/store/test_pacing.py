"""When the next sync is due."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.errors import AccessDeniedError, InvalidInputError, RejectedError, UnreachableError
from gitstate.store.remote.pacing import Pace, Schedule

DOWN = UnreachableError("nobody answers")


def longest(_: float, most: float) -> float:
    return most


def schedule(delay: float = 5.0, interval: float | None = None) -> Schedule:
    return Schedule(Pace(delay, interval), jitter=longest)


def sync(planned: Schedule, now: float, *, took: float = 0.0, error: Exception | None = None) -> None:
    planned.begun(now)
    if error is None:
        planned.succeeded(now + took)
    else:
        planned.failed(now + took, error)


def test_nothing_is_due_before_something_was_saved() -> None:
    assert schedule().due is None


def test_the_first_save_that_waits_says_when() -> None:
    planned = schedule()
    for now in (10.0, 11.0, 14.9):
        planned.saved(now)
    assert planned.due == 15.0


def test_what_is_saved_while_a_sync_is_at_work_waits_for_the_next_one() -> None:
    planned = schedule()
    planned.saved(10.0)
    planned.begun(15.0)
    assert not planned.is_waiting
    planned.saved(15.5)
    planned.succeeded(16.0)
    assert planned.due == 20.5


def test_after_a_sync_there_is_a_rest_as_long_as_it_took() -> None:
    planned = schedule()
    planned.saved(0.0)
    sync(planned, 5.0, took=20.0)
    planned.saved(26.0)
    assert planned.due == 45.0
    sync(planned, 45.0, took=3600.0)
    planned.saved(3646.0)
    assert planned.due == 3645.0 + 60.0


def test_failures_rest_longer_each_time_and_a_success_ends_that() -> None:
    planned, now, rests = schedule(), 100.0, []
    planned.saved(95.0)
    for _ in range(9):
        sync(planned, now, error=DOWN)
        assert planned.due is not None
        rests.append(planned.due - now)
        now = planned.due
    assert rests == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
    sync(planned, now)
    assert (planned.due, planned.failures) == (None, 0)
    planned.saved(now + 1)
    assert planned.due == now + 6


def test_what_only_people_can_mend_is_not_tried_every_few_seconds() -> None:
    for error in (AccessDeniedError("no"), RejectedError("no")):
        planned = schedule()
        planned.saved(0.0)
        sync(planned, 5.0, error=error)
        assert planned.due == 125.0


def test_a_sync_elsewhere_that_succeeded_ends_the_rest() -> None:
    planned = schedule()
    planned.saved(0.0)
    for now in (5.0, 20.0, 50.0):
        sync(planned, now, error=DOWN)
    planned.cleared()
    assert planned.due == 5.0  # it is late, so at once


def test_what_others_saved_is_looked_for_now_and_after_each_interval() -> None:
    planned = schedule(interval=60.0)
    assert planned.due is None
    planned.look_at(7.0)
    assert planned.is_time_to_look(7.0)
    sync(planned, 7.0)
    assert planned.due == pytest.approx(7.0 + 66.0)
    planned.saved(20.0)
    assert planned.due == 25.0
    assert not planned.is_time_to_look(25.0)


def test_without_an_interval_nobody_looks() -> None:
    planned = schedule()
    planned.look_at(7.0)
    assert planned.due is None


def test_tries_of_a_fleet_do_not_fall_together() -> None:
    def rest() -> float:
        planned = Schedule(Pace())
        planned.saved(0.0)
        sync(planned, 5.0, error=DOWN)
        return planned.due or 0.0

    rests = {rest() for _ in range(20)}
    assert len(rests) > 10
    assert all(7.5 <= each <= 10.0 for each in rests)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, True, "5", None])
def test_a_delay_that_is_none_is_refused(seconds: object) -> None:
    with pytest.raises(InvalidInputError, match="the delay of a sync"):
        Pace(seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, "60"])
def test_an_interval_that_is_none_is_refused(seconds: object) -> None:
    with pytest.raises(InvalidInputError, match="the interval of a sync"):
        Pace(5.0, seconds)  # type: ignore[arg-type]


steps = st.lists(st.tuples(st.sampled_from(["save", "sync", "fail", "elsewhere"]), st.floats(0.0, 1000.0)), max_size=40)


@given(steps, st.floats(0.0, 100.0))
def test_what_was_saved_is_due_until_a_sync_took_it_along(taken: list[tuple[str, float]], delay: float) -> None:
    planned, now, unsynced = Schedule(Pace(delay)), 0.0, False
    for step, later in taken:
        now += later
        if step == "save":
            planned.saved(now)
            unsynced = True
        elif step == "elsewhere":
            planned.cleared()
        else:
            planned.begun(now)
            if step == "sync":
                planned.succeeded(now)
                unsynced = False
            else:
                planned.failed(now, DOWN)
        assert planned.is_waiting == unsynced
        assert (planned.due is not None) == unsynced
        if planned.due is not None:
            assert planned.due <= now + max(delay, 300.0)
