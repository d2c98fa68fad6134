"""What else the machine did while something was measured."""

import os
import resource
import time
from pathlib import Path
from typing import Any

__all__ = ["Noise"]

_STAT = Path("/proc/stat")  # Linux alone has it
_STEAL = 7  # which number of its first line is the time that the host gave to other machines
_IDLE = (3, 4)  # and which ones are idle and waiting
_GUEST = 8  # from here on the numbers are parts of others


class Noise:
    """Begins with the measurement, and tells at its end how busy the machine was with other things."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._ticks = _ticks()
        self._own = _own_seconds()

    def told(self) -> dict[str, Any]:
        """Return how long it took; the load average; and, where the system tells, the shares of all processor time
        that other programs used and that the host took away.
        """
        told: dict[str, Any] = {
            "seconds": round(time.monotonic() - self._begin, 1),
            "load_average": round(os.getloadavg()[0], 2),
        }
        spent = [after - before for before, after in zip(self._ticks, _ticks(), strict=False)]
        if total := sum(spent):
            own = (_own_seconds() - self._own) * os.sysconf("SC_CLK_TCK")
            others = total - own - spent[_STEAL] - sum(spent[place] for place in _IDLE)
            told["others_percent"] = _percent(others, total)
            told["steal_percent"] = _percent(spent[_STEAL], total)
        return told


def _ticks() -> list[int]:
    """Return the processor time of the machine by kind, in ticks, or nothing."""
    try:
        with _STAT.open() as file:
            return [int(word) for word in file.readline().split()[1:]][:_GUEST]
    except OSError:
        return []


def _own_seconds() -> float:
    """Return the processor time of this process and of its children that ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _percent(part: float, total: float) -> float:
    return round(100 * max(0.0, part) / total, 1)
