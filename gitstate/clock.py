"""What time it is: the one place that asks."""

from datetime import UTC, datetime

__all__ = ["now"]


def now() -> datetime:
    """Return the time as an aware datetime in UTC, with microseconds."""
    return datetime.now(UTC)
