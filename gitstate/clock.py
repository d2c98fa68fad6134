"""What time it is, and what a time means that does not say its zone, or that Python does not know: the one place."""

from datetime import UTC, datetime

__all__ = ["aware", "moment", "now"]

_FIRST, _LAST = -62135596800, 253402300799  # the seconds of the years 1 and 9999; git knows others


def now() -> datetime:
    """Return the time as an aware datetime in UTC, with microseconds."""
    return datetime.now(UTC)


def aware(time: datetime) -> datetime:
    """Return a time as it is, or as one in UTC if it is naive."""
    return time if time.utcoffset() is not None else time.replace(tzinfo=UTC)


def moment(seconds: float) -> datetime:
    """Return the time so many seconds after the beginning of 1970, in UTC; the nearest one that there is."""
    return datetime.fromtimestamp(max(_FIRST, min(seconds, _LAST)), UTC)
