"""How the numbers move when what is stored, or who saves, becomes more: figures of the parts, as curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench import callers, commits, jobs, processes, stores
from tests.bench.results import Results, Unit
from tests.bench.rounds import Sizes

__all__ = ["PARTS", "Curve", "as_data", "curves"]

PARTS = ("callers", "processes", "jobs", "commits", "save")
"""The parts that measure the points of the curves."""


@dataclass(frozen=True)
class Curve:
    """What is measured while something grows: for each size of that, the name of the work."""

    name: str
    grows: str
    works: Mapping[int, str]
    unit: Unit = Unit.MS


def curves(sizes: Sizes) -> list[Curve]:
    """Return the curves of a run."""
    tenths = [sizes.queried * tenth // 10 for tenth in range(1, 11)]
    return [
        Curve("save of a job with more sheets", "sheets", {count: f"save, {count:,} sheets" for count in sizes.saves}),
        Curve("save in a store of more jobs", "jobs", {count: jobs.work(count) for count in sizes.jobs}),
        *(
            Curve(f"{what} after more commits", "commits", {n: commits.work(what, n) for n in sizes.commits_before})
            for what in commits.WORKS
        ),
        _throughput("callers in one process", "callers", {count: callers.work(count) for count in sizes.callers}),
        _throughput("processes on one store", "processes", {n: processes.work(n) for n in sizes.processes}),
        Curve("memory of a process that saves", "saves", {n: stores.memory_after(n) for n in tenths}, Unit.MB),
    ]


def _throughput(name: str, grows: str, crowds: Mapping[int, str]) -> Curve:
    return Curve(name, grows, {count: f"throughput, {crowd}" for count, crowd in crowds.items()}, Unit.RATE)


def as_data(curve: Curve, results: Results) -> dict[str, Any] | None:
    """Return a curve as data: a line for each peer that has two points or more. None: there is none."""
    works = results.works()
    lines: dict[str, list[dict[str, float]]] = {}
    for size, work in curve.works.items():
        for peer, series in works.get(work, {}).items():
            medians = [series.statistic("median", turn) * curve.unit.scale for turn in series.rounds]
            point = {"size": size, "median": series.statistic("median") * curve.unit.scale}
            lines.setdefault(peer, []).append({**point, "least": min(medians), "greatest": max(medians)})
    found = [{"peer": peer, "points": points} for peer, points in lines.items() if len(points) > 1]
    return {"curve": curve.name, "grows": curve.grows, "unit": curve.unit.label, "lines": found} if found else None
