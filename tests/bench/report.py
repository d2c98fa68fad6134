"""A run as tables for people, and as JSON."""

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.results import Figure, Results, Target, Unit

__all__ = ["as_json", "machine", "new_file_ms", "print_figures", "print_machine", "print_targets"]

_STATISTICS = ("median", "p99", "mean")
_WIDTH = 66


def machine(folder: Path) -> dict[str, Any]:
    """Return what the numbers depend on: the machine, and what a sync and a new file cost in ``folder``."""
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return {
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "git": git,
        "sqlite": sqlite3.sqlite_version,
        "load_average": round(os.getloadavg()[0], 2),
        "append_and_fsync_ms": round(_sync_cost(folder / "appended", os.O_APPEND) * 1000, 3),
        "overwrite_with_dsync_ms": round(_sync_cost(folder / "overwritten", os.O_DSYNC) * 1000, 3),
        "new_file_ms": new_file_ms(folder),
    }


def new_file_ms(folder: Path) -> float:
    """Return the median milliseconds of making a file: many times as much after somebody removed thousands."""
    costs = []
    for number in range(200):
        begin = time.perf_counter()
        os.close(os.open(folder / f"new-{time.monotonic_ns()}-{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        costs.append(time.perf_counter() - begin)
    return round(statistics.median(costs) * 1000, 3)


def _sync_cost(path: Path, flag: int) -> float:
    """Return the median seconds of a write of 4 KB: the disk's share in every save."""
    path.write_bytes(b"\0" * 2**20)
    costs = []
    file = os.open(path, os.O_WRONLY | flag)
    os.fsync(file)
    for turn in range(100):
        begin = time.perf_counter()
        os.pwrite(file, b"\1" * 4096, turn * 4096)
        if flag == os.O_APPEND:
            os.fsync(file)
        costs.append(time.perf_counter() - begin)
    os.close(file)
    return statistics.median(costs)


def print_machine(about: dict[str, Any]) -> None:
    """Print what the numbers depend on."""
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items()))


def print_figures(results: Results) -> None:
    """Print a table for each kind of work: each peer's numbers, and its median over that of gitstate."""
    for work, peers in results.works().items():
        unit = next(iter(peers.values())).unit
        names = _STATISTICS if unit is Unit.MS else _STATISTICS[:1]
        heads = "".join(f"{name:>11}" for name in (*names, "x gitstate"))
        print(f"\n{f'{work} ({unit.label})':<{_WIDTH}}{heads}")
        for peer, series in peers.items():
            cells = "".join(f"{series.statistic(name) * unit.scale:>11.3f}" for name in names)
            ratio = results.ratio(Figure(work, peer), Figure(work))
            print(f"  {peer:<{_WIDTH - 2}}{cells}" + (f"{ratio.median:>11.2f}" if ratio is not None else ""))


def print_targets(results: Results, targets: Sequence[Target]) -> None:
    """Print each target that was measured: the ratio, its range over the rounds, and whether it was reached."""
    print(f"\n{'target':<78}{'ratio':>8}{'over the rounds':>18}{'asked':>9}{'stretch':>9}")
    for target in targets:
        ratio = results.ratio(target.top, target.bottom)
        if ratio is None:
            continue
        stretch = "" if target.stretch is None else target.bound(target.stretch)
        over = f"{ratio.least:.2f} to {ratio.greatest:.2f}"
        print(
            f"{target!s:<78}{ratio.median:>8.2f}{over:>18}{target.bound(target.limit):>9}{stretch:>9}"
            f"  {_verdict(target, ratio.median)}"
        )


def _verdict(target: Target, value: float) -> str:
    if not target.holds(value, target.limit):
        return "NOT REACHED"
    return "reached" if target.stretch is None or not target.holds(value, target.stretch) else "stretch reached"


def as_json(about: dict[str, Any], results: Results, targets: Sequence[Target]) -> str:
    """Return the whole run: the machine, every figure in its unit, and every target that was measured."""
    figures = [
        {
            "work": work,
            "peer": peer,
            "unit": series.unit.label,
            "samples": len(series.samples()),
            **{name: series.statistic(name) * series.unit.scale for name in _STATISTICS},
            "medians_of_rounds": [series.statistic("median", turn) * series.unit.scale for turn in series.rounds],
        }
        for work, peers in results.works().items()
        for peer, series in peers.items()
    ]
    reached = []
    for target in targets:
        ratio = results.ratio(target.top, target.bottom)
        if ratio is not None:
            reached.append(
                {
                    "target": str(target),
                    "ratio": ratio.median,
                    "least": ratio.least,
                    "greatest": ratio.greatest,
                    "asked": target.bound(target.limit),
                    "stretch": None if target.stretch is None else target.bound(target.stretch),
                    "verdict": _verdict(target, ratio.median),
                }
            )
    return json.dumps({"machine": about, "figures": figures, "targets": reached}, indent=2) + "\n"
