"""Tells how much of the core the tests reach: ``make coverage`` measures it, ``python -m tests.covered`` tells.

The core is all below the command line. Of a branch each way counts: a condition that was only ever true is half
covered. The run fails where fewer branches of the core are covered than :data:`LEAST`.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["CORE", "LEAST", "Covered", "by_floor", "missed", "table"]

CORE = ("values", "format", "engine", "store", "backends")
LEAST = 95.0
"""Percent of the branches of the core."""


class Covered(NamedTuple):
    """What was met of some modules, as counts."""

    lines: int = 0
    met_lines: int = 0
    branches: int = 0
    met_branches: int = 0

    def __add__(self, other: "Covered") -> "Covered":  # type: ignore[override]  # no longer tuple: these are counts
        """Return both together."""
        return Covered(*(a + b for a, b in zip(self, other, strict=True)))

    def of_lines(self) -> float:
        """Return the percentage of lines."""
        return 100.0 * self.met_lines / self.lines if self.lines else 100.0

    def of_branches(self) -> float:
        """Return the percentage of branches."""
        return 100.0 * self.met_branches / self.branches if self.branches else 100.0


def by_floor(files: Mapping[str, Any]) -> dict[str, Covered]:
    """Return what was met of each floor of the core, from the ``files`` of a report of coverage's as JSON."""
    floors = dict.fromkeys(CORE, Covered())
    for name, found in files.items():
        package, floor, *_ = [*Path(name).parts, ""]
        counts = found["summary"]
        if package == "gitstate" and floor in floors:
            floors[floor] += Covered(
                counts["num_statements"], counts["covered_lines"], counts["num_branches"], counts["covered_branches"]
            )
    return floors


def table(floors: Mapping[str, Covered]) -> list[str]:
    """Return the lines of the table."""
    rows = [*floors.items(), ("the core", sum(floors.values(), Covered()))]
    told = [
        f"{name:<10}{of.lines:>8}{of.of_lines():>8.1f} %{of.branches:>9}{of.of_branches():>8.1f} %" for name, of in rows
    ]
    return [f"{'floor':<10}{'lines':>8}{'met':>10}{'branches':>9}{'met':>10}", *told]


def missed(files: Mapping[str, Any]) -> Iterator[str]:
    """Yield, for each module of which something was not met, the lines, and the ways between lines that were."""
    for name, found in sorted(files.items()):
        lines = found["missing_lines"]
        ways = [
            f"{start}->{end if end > 0 else 'end'}"
            for start, end in found["missing_branches"]
            if start not in lines and end not in lines
        ]
        if lines or ways:
            yield f"{name}: {', '.join([*_ranges(lines), *ways])}"


def _ranges(numbers: Iterable[int]) -> Iterator[str]:
    """Yield numbers that rise, those that follow each other as one range."""
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        first, *more = [number for _, number in group]
        yield f"{first}-{more[-1]}" if more else str(first)


def main() -> int:
    """Print what the data of coverage's in this folder say; return 1 where it is too little."""
    from coverage import Coverage

    measured = Coverage()
    measured.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        included = [f"gitstate/{floor}/*" for floor in CORE]
        measured.json_report(outfile=str(report), include=included)
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    floors = by_floor(files)
    print(*missed(files), "", *table(floors), sep="\n")
    reached = sum(floors.values(), Covered()).of_branches()
    if reached < LEAST:
        print(f"\nof the core's branches {reached:.1f} % are covered, and {LEAST:.0f} % shall be", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
