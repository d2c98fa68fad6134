"""Moments: times as people name them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitstate.store.moments import moment

NOW = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-02-03", "2026-02-03T00:00:00+00:00"),
        ("2026-02-03T04:05", "2026-02-03T04:05:00+00:00"),
        ("2026-02-03 04:05:06", "2026-02-03T04:05:06+00:00"),
        ("2026-02-03 04:05:06Z", "2026-02-03T04:05:06+00:00"),
        ("2026-02-03T04:05:06.789+02:00", "2026-02-03T02:05:06.789000+00:00"),
        ("2026-02-03t04:05z", "2026-02-03T04:05:00+00:00"),
        ("2026-01-01T00:30-01:00", "2026-01-01T01:30:00+00:00"),
        ("2026-W09-7", "2026-03-01T00:00:00+00:00"),
        ("  2026-02-03\n", "2026-02-03T00:00:00+00:00"),
        ("now", "2026-03-01T12:30:15.250000+00:00"),
        ("today", "2026-03-01T00:00:00+00:00"),
        ("Yesterday", "2026-02-28T00:00:00+00:00"),
        ("2 hours ago", "2026-03-01T10:30:15.250000+00:00"),
        ("an hour ago", "2026-03-01T11:30:15.250000+00:00"),
        ("a minute ago", "2026-03-01T12:29:15.250000+00:00"),
        ("A.Week.Ago", "2026-02-22T12:30:15.250000+00:00"),
        ("3 days ago", "2026-02-26T12:30:15.250000+00:00"),
        ("1 day ago", "2026-02-28T12:30:15.250000+00:00"),
        ("2h ago", "2026-03-01T10:30:15.250000+00:00"),
        ("90s ago", "2026-03-01T12:28:45.250000+00:00"),
        ("10M AGO", "2026-03-01T12:20:15.250000+00:00"),
        ("2 w ago", "2026-02-15T12:30:15.250000+00:00"),
        ("15 min ago", "2026-03-01T12:15:15.250000+00:00"),
        ("15 sec ago", "2026-03-01T12:30:00.250000+00:00"),
        ("1.5 hours ago", "2026-03-01T11:00:15.250000+00:00"),
        ("1.5.hours.ago", "2026-03-01T11:00:15.250000+00:00"),
        ("2.hours.ago", "2026-03-01T10:30:15.250000+00:00"),
        ("2-hours-ago", "2026-03-01T10:30:15.250000+00:00"),
        ("2_hours_ago", "2026-03-01T10:30:15.250000+00:00"),
        ("2   hours\tago", "2026-03-01T10:30:15.250000+00:00"),
        ("1 month ago", "2026-01-30T12:30:15.250000+00:00"),
        ("1 year ago", "2025-03-01T12:30:15.250000+00:00"),
        ("0 seconds ago", "2026-03-01T12:30:15.250000+00:00"),
    ],
)
def test_the_moments_that_texts_name(text: str, meant: str) -> None:
    found = moment(text, NOW)
    assert found is not None
    assert found.isoformat() == meant
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-02",
        "20260301",
        "20260301T120000",
        "2026-02-30",
        "2026-02-03T",
        "2026-02-03T25:00",
        "2026-02-03x04:05",
        "0000-01-01",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-14:00",
        "\u0662\u0660\u0662\u0666-\u0660\u0662-\u0660\u0663",
        "PT2H",
        "2h",
        "2 ago",
        "ago",
        "hours ago",
        "ahour ago",
        "-2 hours ago",
        "2 fortnights ago",
        "2 hours",
        "1.x hours ago",
        ".5 hours ago",
        "\u0662 hours ago",
        "2 hours ago today",
        "tomorrow",
        "noon",
        "HEAD",
        "3f2a9c1",
        "2026-02-03 04:05\ud800",
        "2026-02-03\x0004:05",
    ],
)
def test_other_texts_name_no_moment(text: str) -> None:
    assert moment(text, NOW) is None


@pytest.mark.parametrize("text", ["9999 years ago", f"{10**30} days ago", "9" * 5000 + " s ago"])
def test_before_all_time_is_the_earliest_time(text: str) -> None:
    assert moment(text, NOW) == EARLIEST


def test_no_day_was_before_the_first() -> None:
    assert moment("yesterday", EARLIEST) == EARLIEST


def test_days_are_those_of_utc() -> None:
    now = datetime(2026, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=3)))
    assert moment("now", now) == now
    assert moment("today", now) == datetime(2026, 2, 28, tzinfo=UTC)
    assert moment("yesterday", now) == datetime(2026, 2, 27, tzinfo=UTC)


OFFSETS = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))


def in_utc(time: datetime) -> datetime | None:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return None


@given(st.datetimes(timezones=st.just(UTC) | OFFSETS), st.sampled_from(" Tt"))
def test_what_is_printed_is_read_back(time: datetime, separator: str) -> None:
    found = moment(time.isoformat(separator), NOW)
    assert found == in_utc(time)
    assert found is None or found.tzinfo is UTC


@given(st.datetimes())
def test_a_time_without_an_offset_is_utc(time: datetime) -> None:
    assert moment(str(time), NOW) == time.replace(tzinfo=UTC)


DATES = st.sampled_from(["2026-02-03", "9999-12-31", "T", " ", "04:05", "+02:00", "Z", "W09", "now", "today"])
WORDS = DATES | st.sampled_from(["2", "1.5", "an", "a", "hours", "h", "s", "month", " ago", "ago", ".", "-", "_"])


@given(st.text(st.characters(exclude_categories=())) | st.lists(WORDS, max_size=6).map("".join))
@example("2026-02-03 \ud800")
def test_no_text_raises(text: str) -> None:
    found = moment(text, NOW)
    assert found is None or found.tzinfo is UTC


@given(
    st.integers(0, 10**5),
    st.sampled_from(["seconds", "minutes", "hours", "days", "weeks"]),
    st.sampled_from([" ", ".", "-", "_"]),
)
def test_so_much_time_ago(count: int, unit: str, between: str) -> None:
    assert moment(between.join([str(count), unit, "ago"]), NOW) == NOW - timedelta(**{unit: count})


@given(st.timedeltas(timedelta(0), NOW - datetime(2, 1, 1, tzinfo=UTC)))
def test_seconds_are_counted_to_the_second(time: timedelta) -> None:
    seconds = time // timedelta(seconds=1)
    assert moment(f"{seconds}s ago", NOW) == NOW - timedelta(seconds=seconds)
