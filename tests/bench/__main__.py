"""``make bench``: save, load and list of gitstate beside other ways to keep state, in one interleaved run.

Each round lets every peer do one life cycle, in an order that rotates; what is printed are medians over all rounds and
their ratio to gitstate. Absolute times say little on a shared machine, ratios of one run do.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from gitstate import CheckpointState, SheetState
from tests.bench.peers import PEERS, Peer

Times = dict[tuple[str, str], list[float]]
"""Seconds of each single call, by peer and kind of work."""


def state_of(job_id: str, sheets: int) -> CheckpointState:
    """Return a job of realistic size, half of its sheets done: about a kilobyte a sheet."""
    state = CheckpointState(job_id=job_id, job_name="Nightly review", total_sheets=sheets)
    for number in range(1, sheets + 1):
        state.sheets[number] = SheetState(sheet_num=number, metadata={"prompt": f"review part {number} of the code"})
        if number <= sheets // 2:
            state.mark_sheet_started(number)
            state.mark_sheet_completed(number)
            state.sheets[number].stdout_tail = f"file {number} was read and found in order\n" * 12
    return state


def change(state: CheckpointState, turn: int) -> int:
    """Do to a state what a step of a job does, and return the number of the sheet."""
    number = state.total_sheets // 2 + 1 + turn % (state.total_sheets // 2)
    state.mark_sheet_started(number)
    state.sheets[number].stdout_tail = f"turn {turn}: " + "a line of output\n" * 25
    return number


async def timed(times: Times, peer: Peer, work: str, call: Callable[[], Awaitable[object]]) -> None:
    """Time one call."""
    begin = time.perf_counter()
    await call()
    times.setdefault((peer.name, work), []).append(time.perf_counter() - begin)


async def life(times: Times, peer: Peer, sheets: int, saves: int, jobs: int) -> None:
    """Let a peer save one job many times, load it known and cold, and list many jobs."""
    await peer.open()
    state = state_of("nightly", sheets)
    await peer.save(state, 1)
    for turn in range(saves):
        number = change(state, turn)
        await timed(times, peer, "save", lambda number=number: peer.save(state, number))  # type: ignore[misc]  # bound
    for _ in range(10):
        await timed(times, peer, "load, known", lambda: peer.load("nightly"))
    for number in range(jobs):
        await peer.save(state_of(f"job-{number}", sheets), 1)
    await timed(times, peer, "list, known", peer.list_jobs)
    await peer.close()
    await peer.open()
    await timed(times, peer, "load, cold", lambda: peer.load("nightly"))
    await peer.close()
    await peer.open()
    await timed(times, peer, "list, cold", peer.list_jobs)
    await peer.close()


def sync_cost(folder: Path) -> float:
    """Return the median seconds of a 4 KB write with fsync here: the disk's share in every row."""
    costs = []
    with open(folder / "probe", "wb") as file:
        for _ in range(50):
            begin = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            costs.append(time.perf_counter() - begin)
    return statistics.median(costs)


def report(times: Times) -> None:
    """Print a table for each kind of work."""
    for work in ("save", "load, known", "load, cold", "list, known", "list, cold"):
        ours = statistics.median(times["gitstate", work])
        print(f"\n{work:<30}{'median ms':>12}{'p99 ms':>10}{'x gitstate':>12}")
        for peer in PEERS:
            taken = sorted(times[peer.name, work])
            median, p99 = statistics.median(taken), taken[min(len(taken) - 1, int(len(taken) * 0.99))]
            print(f"  {peer.name:<28}{median * 1000:>12.3f}{p99 * 1000:>10.2f}{median / ours:>12.2f}")


def main() -> None:
    """Run the rounds and print the tables."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sheets", type=int, default=20)
    parser.add_argument("--saves", type=int, default=40, help="saves of one job in a round")
    parser.add_argument("--jobs", type=int, default=100, help="jobs in the list")
    options = parser.parse_args()
    times: Times = {}
    with tempfile.TemporaryDirectory(prefix="gitstate-bench-") as name:
        home = Path(name) / "home"
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\n\tname = Bench\n\temail = bench@example.org\n")
        os.environ |= {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
        print(f"{options.rounds} rounds, {options.sheets} sheets, {options.saves} saves, {options.jobs} jobs listed")
        print(f"a 4 KB write with fsync: {sync_cost(Path(name)) * 1000:.3f} ms; load average {os.getloadavg()[0]:.1f}")
        for turn in range(options.rounds):
            order = [PEERS[(turn + place) % len(PEERS)] for place in range(len(PEERS))]
            for kind in order:
                peer = kind(Path(name) / f"{turn}-{kind.__name__}")
                asyncio.run(life(times, peer, options.sheets, options.saves, options.jobs))
            print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
        report(times)


if __name__ == "__main__":
    main()
