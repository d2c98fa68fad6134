"""What was measured, and how it compares: samples of each round, their statistics, ratios and targets."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Figure", "Ratio", "Results", "Series", "Target", "Unit"]


class Unit(Enum):
    """What a number counts: its name, and by what to multiply for people."""

    MS = "ms", 1000.0
    RATE = "saves/s", 1.0
    KB = "KB/save", 1 / 1024
    MB = "MB", 1 / 1024**2
    COUNT = "saves", 1.0

    @property
    def label(self) -> str:
        """The name."""
        return self.value[0]

    @property
    def scale(self) -> float:
        """What a sample (seconds, saves a second, bytes) is multiplied by."""
        return self.value[1]


@dataclass
class Series:
    """The samples of one peer at one kind of work, round by round."""

    unit: Unit
    rounds: dict[int, list[float]] = field(default_factory=dict)

    def samples(self) -> list[float]:
        """Return the samples of all rounds."""
        return [sample for samples in self.rounds.values() for sample in samples]

    def statistic(self, name: str, turn: int | None = None) -> float:
        """Return the ``median``, ``mean`` or ``p99`` of a round, or of all samples."""
        samples = self.samples() if turn is None else self.rounds[turn]
        if name == "p99":
            return sorted(samples)[min(len(samples) - 1, int(len(samples) * 0.99))]
        return statistics.median(samples) if name == "median" else statistics.fmean(samples)

    def spread(self) -> float | None:
        """Return how the medians of the rounds differ: their median absolute deviation, as a share of their median.

        None: there was one round, or there is nothing to have a share of.
        """
        medians = [self.statistic("median", turn) for turn in self.rounds]
        middle = statistics.median(medians)
        if len(medians) < 2 or not middle:
            return None
        return statistics.median([abs(each - middle) for each in medians]) / middle


@dataclass(frozen=True)
class Figure:
    """One number of the run: of which work, which peer, and which statistic of its samples."""

    work: str
    peer: str = "gitstate"
    statistic: str = "median"

    def __str__(self) -> str:
        return self.peer if self.statistic == "median" else f"{self.statistic} of {self.peer}"


@dataclass(frozen=True)
class Ratio:
    """How two figures compare: the median of the ratios of all rounds that have both, the least and the greatest."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Target:
    """What a figure must reach, divided by another one or, without one, as it is (in its unit).

    ``limit`` is at most allowed, or with ``at_least`` asked for; ``stretch`` is the ambition.
    """

    top: Figure
    bottom: Figure | None
    limit: float
    stretch: float | None = None
    at_least: bool = False

    def __str__(self) -> str:
        if self.bottom is None:
            return f"{self.top.work}: {self.top}"
        if self.bottom.work == self.top.work:
            return f"{self.top.work}: {self.top} / {self.bottom}"
        return f"{self.top.work} / {self.bottom.work}: {self.top}"

    def bound(self, limit: float) -> str:
        """Return a limit as people read it."""
        return f"{'>=' if self.at_least else '<='} {limit:g}"

    def holds(self, value: float, limit: float) -> bool:
        """Whether a value keeps to a limit."""
        return value >= limit if self.at_least else value <= limit


class Results:
    """All samples of a run."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Series] = {}

    def add(self, work: str, peer: str, turn: int, samples: Iterable[float], unit: Unit = Unit.MS) -> None:
        """Add samples: seconds, saves a second, or bytes a save."""
        series = self._series.setdefault((work, peer), Series(unit))
        series.rounds.setdefault(turn, []).extend(samples)

    def works(self) -> dict[str, dict[str, Series]]:
        """Return the series by work and peer, in the order in which they were measured first."""
        found: dict[str, dict[str, Series]] = {}
        for (work, peer), series in self._series.items():
            found.setdefault(work, {})[peer] = series
        return found

    def ratio(self, top: Figure, bottom: Figure | None) -> Ratio | None:
        """Return how two figures compare, each round by itself, since a shared machine changes from round to round.

        Without ``bottom`` the figure stands alone, in its unit. None: it was not measured.
        """
        over = self._series.get((top.work, top.peer))
        under = None if bottom is None else self._series.get((bottom.work, bottom.peer))
        if over is None or (bottom is not None and under is None):
            return None
        if bottom is None or under is None:
            values = [over.statistic(top.statistic, turn) * over.unit.scale for turn in over.rounds]
        else:
            values = [
                over.statistic(top.statistic, turn) / under.statistic(bottom.statistic, turn)
                for turn in over.rounds
                if turn in under.rounds and under.statistic(bottom.statistic, turn)
            ]
        return _ratio(values)


def _ratio(values: Sequence[float]) -> Ratio | None:
    return Ratio(statistics.median(values), min(values), max(values)) if values else None
