"""``make bench``: gitstate beside other ways to keep state, in one run of rounds in which they take turns.

Absolute times say little on a shared machine; what counts is the ratio of two peers in the same round.
"""

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import (
    callers,
    commits,
    disk,
    export,
    growth,
    history,
    jobs,
    machine,
    processes,
    queries,
    reading,
    report,
    saving,
    starting,
    stores,
    syncing,
    view,
)
from tests.bench.noise import Noise
from tests.bench.rounds import FULL, Run
from tests.bench.targets import targets

__all__ = ["GROUPS", "LIMIT", "PARTS", "Part", "main"]

LIMIT = 15 * 60
"""Seconds of a whole run."""


class Part(NamedTuple):
    """What measures, and the seconds after which it begins no more rounds, on a slow machine."""

    measure: Callable[[Run], object]
    seconds: int


# In this order: who makes and removes many files comes last.
PARTS = {
    "start": Part(starting.measure, 20),
    "callers": Part(callers.measure, 75),
    "processes": Part(processes.measure, 65),
    "jobs": Part(jobs.measure, 60),
    "read": Part(reading.measure, 50),
    "history": Part(history.measure, 70),
    "memory": Part(stores.to_ask, 240),  # it makes the store of the next one
    "queries": Part(queries.measure, 70),
    "sync": Part(syncing.measure, 60),
    "commits": Part(commits.measure, 50),
    "save": Part(saving.measure, 65),
    "disk": Part(disk.measure, 25),
    "view": Part(view.measure, 50),
}
GROUPS = {"growth": growth.PARTS}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts, and print what was measured."""
    options = _options(arguments)
    sizes = dataclasses.replace(FULL, rounds=options.rounds)
    with tempfile.TemporaryDirectory(prefix="gitstate-bench-", dir=options.folder) as name:
        _use_home(Path(name) / "home")
        about = machine.about(Path(name) / "probes")
        report.print_machine(about)
        run = Run(Path(name), sizes)
        told: dict[str, dict[str, Any]] = {}
        try:
            _measure(run, _chosen(options.parts), told)
        finally:  # what a part has measured is not lost when another one fails, or at Ctrl-C
            about["at_the_end"] = machine.state(Path(name) / "probes")
            _tell(run, about, told, options)


def _tell(run: Run, about: dict[str, Any], told: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    """Print a run, and write and draw it where that is asked for."""
    asked = targets(run.sizes)
    result = export.as_json(about, told, run.sizes, run.results, asked)
    if options.json:
        options.json.write_text(result, encoding="utf-8")
    report.print_figures(run.results)
    report.print_targets(run.results, asked)
    report.print_parts(told)
    print()
    seconds = sum(noise["seconds"] for noise in told.values())
    report.print_machine({"seconds": round(seconds), **about["at_the_end"]})
    if options.plot:
        from tests.bench import plot  # here: nothing else needs what draws

        plot.draw(result, options.plot)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = [*PARTS, *GROUPS]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(names)}; all without one")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="more rounds, steadier ratios (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where stores are made: a disk, not memory (the system's own)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, too")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw the result there, as PNG and SVG")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(names):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"there is no folder {options.json.parent} to write the result to")
    if options.rounds < 1:
        parser.error("there is no run of less than one round")
    return options


def _chosen(names: Sequence[str]) -> list[str]:
    """Return the parts that names of parts and of groups mean, in their order; all of them without a name."""
    meant = {part for name in names or PARTS for part in GROUPS.get(name, (name,))}
    return [part for part in PARTS if part in meant]


def _measure(run: Run, parts: Sequence[str], told: dict[str, dict[str, Any]]) -> None:
    """Run parts, and tell of each how long it took and what else the machine did."""
    more = max(1.0, run.sizes.rounds / FULL.rounds)
    for part in parts:
        noise, run.until = Noise(), time.monotonic() + PARTS[part].seconds * more
        try:
            PARTS[part].measure(run)
        finally:
            told[part] = noise.told()


def _use_home(home: Path) -> None:
    """Let git find nothing of the user's configuration."""
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Bench\n\temail = bench@example.org\n")
    os.environ |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each command that starts compiles its modules anew
