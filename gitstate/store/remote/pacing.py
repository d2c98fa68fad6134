"""When the next sync is due: reckoned from what was saved, and from how the last ones went. It reads no clock."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from gitstate.errors import InvalidInputError, SyncError, UnreachableError

__all__ = ["Pace", "Schedule"]

_LONGEST = 300.0  # seconds between two tries, however often they failed
_SHORTEST = 1.0  # seconds after the first failure, also where saves are hardly gathered
_LASTING = 120.0  # and after one that people must mend: servers shut out who keeps showing a wrong password
_LONGEST_REST = 60.0  # seconds after a sync that took at least as long


@dataclass(frozen=True)
class Pace:
    """How often to sync.

    Args:
        delay: Seconds from a save to the sync that takes it along, with all that is saved meanwhile.
        interval: Seconds between two syncs that look for what others saved, whether something was saved here or not;
            None: only saves lead to a sync.

    Raises:
        InvalidInputError: There is no such pace.
    """

    delay: float = 5.0
    interval: float | None = None

    def __post_init__(self) -> None:
        for name, seconds, least in (("delay", self.delay, 0.0), ("interval", self.interval, 1.0)):
            if seconds is None and name == "interval":
                continue
            is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not (is_number and least <= float(seconds or 0.0) <= 86400 * 365):
                raise InvalidInputError(f"the {name} of a sync is seconds from {least:g} up, not {seconds!r}")


class Schedule:
    """Says when a sync is due. Times are seconds of a clock that only goes forward.

    A save is due ``delay`` seconds after it, unless an earlier one that waits takes it along. After a sync there is a
    rest as long as it took, so that a slow line is not busy all the time; after a failure a longer one each time, up to
    five minutes and never twice the same, so that a fleet does not come back all at once. A success ends that.

    Args:
        pace: How often.
        jitter: Gives a number between two.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        jitter: Callable[[float, float], float] = random.uniform,  # no secret
    ) -> None:
        self._pace = pace
        self._jitter = jitter
        self._saved: float | None = None  # when the first save was made that waits
        self._taken: float | None = None  # and the first of those that the sync takes along which is at work
        self._begun = 0.0
        self._rest_ends = 0.0
        self._look: float | None = None  # when it is time to look for what others saved
        self.failures = 0  # since the last success

    @property
    def is_waiting(self) -> bool:
        """Whether something was saved that no sync has taken along."""
        return self._saved is not None

    @property
    def due(self) -> float | None:
        """When the next sync is due, None if nothing asks for one."""
        wanted = [self._look] if self._look is not None else []
        wanted += [self._saved + self._pace.delay] if self._saved is not None else []
        return max(min(wanted), self._rest_ends) if wanted else None

    def look_at(self, now: float) -> None:
        """Say that what others saved is wanted now, and from then on as often as the pace says."""
        self._look = now if self._pace.interval is not None else None

    def saved(self, now: float) -> None:
        """Say that something was saved."""
        self._saved = now if self._saved is None else self._saved

    def is_time_to_look(self, now: float) -> bool:
        """Whether it is time to look for what others saved."""
        return self._look is not None and self._look <= now

    def begun(self, now: float) -> None:
        """Say that a sync begins: it takes along all that was saved up to now."""
        self._begun = now
        self._taken, self._saved = self._saved, None

    def spared(self) -> None:
        """Say that it was not needed: another process was faster."""
        self._taken = None

    def given_up(self) -> None:
        """Say that there is no time left for what waits."""
        self._saved = None

    def succeeded(self, now: float) -> None:
        """Say that it succeeded."""
        self.failures = 0
        self._taken = None
        self._rest_ends = now + min(now - self._begun, _LONGEST_REST)
        if self._pace.interval is not None:
            self._look = now + self._pace.interval * self._jitter(0.9, 1.1)

    def failed(self, now: float, error: BaseException) -> None:
        """Say that it failed: what it was to take along waits again."""
        self.failures += 1
        waiting = [each for each in (self._taken, self._saved) if each is not None]
        self._taken, self._saved = None, min(waiting) if waiting else None
        is_lasting = isinstance(error, SyncError) and not isinstance(error, UnreachableError)
        first = max(self._pace.delay, _LASTING if is_lasting else _SHORTEST)
        rest = min(first * 2.0 ** min(self.failures - 1, 20), _LONGEST)
        self._rest_ends = now + rest * self._jitter(0.5, 1.0)

    def cleared(self) -> None:
        """Say that a sync elsewhere succeeded, so that there is nothing to wait for."""
        self.failures = 0
        self._rest_ends = 0.0
