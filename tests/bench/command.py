"""``make bench``: gitstate beside other ways to keep state, in one run of rounds in which they take turns.

Absolute times say little on a shared machine; what counts is the ratio of two peers in the same round.
"""

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import callers, disk, history, jobs, processes, queries, reading, report, saving, syncing, view
from tests.bench.rounds import FULL, Run
from tests.bench.targets import targets

__all__ = ["PARTS", "main"]

# In this order: who makes and removes many files comes last.
PARTS = {
    "callers": callers.measure,
    "processes": processes.measure,
    "jobs": jobs.measure,
    "read": reading.measure,
    "history": history.measure,
    "queries": queries.measure,
    "sync": syncing.measure,
    "save": saving.measure,
    "disk": disk.measure,
    "view": view.measure,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts, and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; all without one")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="more rounds, steadier ratios (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where stores are made: a disk, not memory (the system's own)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, too")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    sizes = dataclasses.replace(FULL, rounds=options.rounds)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gitstate-bench-", dir=options.folder) as name:
        _use_home(Path(name) / "home")
        about = report.machine(Path(name))
        report.print_machine(about)
        run = Run(Path(name), sizes)
        for part, measure in PARTS.items():
            if part in options.parts or not options.parts:
                measure(run)
        report.print_figures(run.results)
        report.print_targets(run.results, targets(sizes))
        ended = f"load average {os.getloadavg()[0]:.2f}, new file ms {report.new_file_ms(Path(name))}"
        print(f"\n{time.monotonic() - begin:.0f} s; at the end: {ended}")
        if options.json:
            options.json.write_text(report.as_json(about, run.results, targets(sizes)), encoding="utf-8")


def _use_home(home: Path) -> None:
    """Let git find nothing of the user's configuration."""
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Bench\n\temail = bench@example.org\n")
    os.environ |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
