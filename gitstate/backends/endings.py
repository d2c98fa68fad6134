"""Attempts that ended: a save says so in its trailers, without being asked, so that history has them all."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from gitstate.backends.statuses import RUNNING, SheetStatus
from gitstate.backends.subjects import attempt_of, sheets_of, status_of
from gitstate.format import message
from gitstate.format.message import Message

__all__ = ["Ended", "ended", "ending_trailers", "endings_of"]

_OUTCOMES = (SheetStatus.COMPLETED.value, SheetStatus.FAILED.value)
_RUNNING = tuple(status.value for status in RUNNING)
_TOLD = 50  # so many attempts that ended are named by one commit
_LARGE = 10**18
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")  # below that
_SECONDS = re.compile(r"[0-9][0-9.e+-]{0,39}")


@dataclass(frozen=True)
class Ended:
    """An attempt at a sheet that ended: ``status`` is ``completed`` or ``failed``, ``seconds`` None if unknown."""

    sheet: int
    attempt: int
    status: str
    seconds: float | None


def ended(before: Mapping[str, Any] | None, after: Mapping[str, Any], changed: Iterable[str]) -> list[Ended]:
    """Return the attempts that ended between two values of a job, by sheet.

    These are the sheets that are completed or failed now and were running before, or were begun once more since. A job
    that was not there before, or could not be read, tells nothing.

    Args:
        before: The job before.
        after: The job now.
        changed: The keys of the sheets that have another status or attempt.
    """
    if before is None:
        return []
    old, new = sheets_of(before), sheets_of(after)
    found = (_ended(key, old.get(key), new[key]) for key in changed)
    return sorted((each for each in found if each is not None), key=lambda each: each.sheet)


def ending_trailers(found: Iterable[Ended]) -> tuple[tuple[str, str], ...]:
    """Return the trailers that tell of attempts that ended, of 50 at most."""
    told = [(message.ENDED, f"{each.sheet} {each.attempt} {each.status}{_written(each.seconds)}") for each in found]
    return tuple(told[:_TOLD])


def endings_of(said: Message) -> tuple[Ended, ...]:
    """Return the attempts that ended by the trailers of a commit, one of each sheet, as far as they can be read."""
    return _endings(tuple(said.all(message.ENDED))) if said.get(message.ENDED) is not None else ()


@lru_cache(maxsize=1024)  # most say the same as one of another job, or as when they were asked last
def _endings(texts: tuple[str, ...]) -> tuple[Ended, ...]:
    found: dict[int, Ended] = {}
    for text in texts:
        sheet, attempt, status, seconds = (*text.split(" "), "", "", "", "")[:4]
        if _NUMBER.fullmatch(sheet) and _NUMBER.fullmatch(attempt) and status in _OUTCOMES:
            found.setdefault(int(sheet), Ended(int(sheet), int(attempt), status, _read(seconds)))
    return tuple(found.values())


def _ended(key: str, before: Any, after: Any) -> Ended | None:
    status, attempt = status_of(after), attempt_of(after)
    if status not in _OUTCOMES or not (status_of(before) in _RUNNING or attempt > attempt_of(before)):
        return None
    attempt = max(attempt, 1)  # other models may not count them
    if not _NUMBER.fullmatch(key) or attempt >= _LARGE:
        return None
    return Ended(int(key), attempt, str(status), _seconds(after))


def _seconds(sheet: Mapping[str, Any]) -> float | None:
    """Return how long the last attempt took: as the sheet says, or from its start to its end."""
    said = sheet.get("execution_duration_seconds")
    if isinstance(said, int | float) and not isinstance(said, bool):
        return _sane(said)
    try:
        start, end = (datetime.fromisoformat(sheet[name]) for name in ("started_at", "completed_at"))
        return _sane(round((end - start).total_seconds(), 3))
    except (KeyError, TypeError, ValueError):
        return None


def _sane(seconds: float) -> float | None:
    try:
        return float(seconds) if seconds >= 0 and math.isfinite(seconds) else None
    except OverflowError:
        return None


def _written(seconds: float | None) -> str:
    return "" if seconds is None else f" {seconds!r}"


def _read(text: str) -> float | None:
    try:
        return _sane(float(text)) if _SECONDS.fullmatch(text) else None
    except ValueError:
        return None
