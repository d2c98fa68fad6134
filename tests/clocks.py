"""A clock that goes as a test says."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from gitstate import clock
from gitstate.engine import identity, memory

__all__ = ["Clock"]


class Clock:
    """The time of all stores of a test. It takes the place of the module ``time`` where that is asked.

    Args:
        patches: What undoes that.
        step: How much later it is with each commit.
    """

    localtime = staticmethod(time.localtime)

    def __init__(self, patches: pytest.MonkeyPatch, *, step: timedelta = timedelta(0)) -> None:
        self.now = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
        self._step = step
        for module in (memory, identity):
            patches.setattr(module, "time", self)
        patches.setattr(clock, "now", lambda: self.now)

    def time(self) -> float:
        self.now += self._step
        return self.now.timestamp()
