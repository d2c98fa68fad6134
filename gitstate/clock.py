"""What time it is, and what a time means that does not say its zone: the one place that knows."""

from datetime import UTC, datetime

__all__ = ["aware", "now"]


def now() -> datetime:
    """Return the time as an aware datetime in UTC, with microseconds."""
    return datetime.now(UTC)


def aware(time: datetime) -> datetime:
    """Return a time as it is, or as one in UTC if it is naive."""
    return time if time.utcoffset() is not None else time.replace(tzinfo=UTC)
