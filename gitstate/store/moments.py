"""Moments: times as people name them, such as ``2026-03-01 12:30``, ``yesterday`` or ``2 hours ago``."""

import re
from datetime import UTC, datetime, timedelta

from gitstate import clock

__all__ = ["moment"]

_ISO = re.compile(r"[0-9]{4}-(?:[0-9]{2}-[0-9]{2}|W[0-9]{2}(?:-[0-9])?)(?:[T ].+)?", re.DOTALL)
"""A date with its dashes, and what may be a time. Without dashes it could be a commit: ``20260301``."""

# Shells take 2.hours.ago and 2-hours-ago as one word without quotes.
_AGO = re.compile(r"(?:(an?)[\s._-]+|([0-9]+(?:\.[0-9]+)?)[\s._-]*)([a-z]+)[\s._-]+ago", re.ASCII | re.IGNORECASE)
_UNITS = {
    name: timedelta(seconds=seconds)
    for seconds, names in (
        (1, "s sec secs second seconds"),
        (60, "m min mins minute minutes"),
        (3_600, "h hour hours"),
        (86_400, "d day days"),
        (7 * 86_400, "w week weeks"),
        (30 * 86_400, "month months"),
        (365 * 86_400, "year years"),
    )
    for name in names.split()
}
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def moment(text: str, now: datetime) -> datetime | None:
    """Return the moment that a text names, in UTC, or None if it names none. No text raises.

    ISO 8601 with dashes (a date alone is its first moment; without an offset it is UTC), ``now``, ``today`` and
    ``yesterday`` (the first moments of these days in UTC), or so much time ago: ``2 hours ago``, ``an hour ago``,
    ``1.5h ago``, ``2.hours.ago``; a month is 30 days, a year 365. Case does not count. What lies before the earliest
    time that there is, such as ``9999 years ago``, is that time.

    Args:
        text: What a person wrote.
        now: The time, aware, from which is counted.
    """
    text = text.strip()
    now = now.astimezone(UTC)
    if _ISO.fullmatch(text.upper()):
        return _iso(text.upper())
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    match text.lower():
        case "now":
            return now
        case "today":
            return today
        case "yesterday":
            return _before(today, 1, timedelta(days=1))
    ago = _AGO.fullmatch(text)
    if ago is None or (unit := _UNITS.get(ago[3].lower())) is None:
        return None
    return _before(now, 1 if ago[1] else float(ago[2]), unit)


def _iso(text: str) -> datetime | None:
    try:
        return clock.aware(datetime.fromisoformat(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _before(moment: datetime, count: float, unit: timedelta) -> datetime:
    try:
        return moment - count * unit
    except OverflowError:
        return _EARLIEST
