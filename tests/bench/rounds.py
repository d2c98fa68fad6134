"""A run: its sizes, its scratch folders, and rounds in which the peers take turns in an order that rotates."""

import math
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.bench.results import Results

__all__ = ["FULL", "TINY", "WARM_UP", "Run", "Sizes", "timed"]

T = TypeVar("T")

WARM_UP = 3  # saves of a fresh store that do not count: threads begin, files are made
_LEAST = 2  # rounds of a part that has no time


@dataclass(frozen=True)
class Sizes:
    """How much is measured. The numbers of saves are those of one peer in one round.

    What grows is given as a sequence; the targets are about the greatest, or about ``crowd``.
    """

    rounds: int
    saves: Mapping[int, int]  # by the number of sheets: one, and those of the targets
    crowd: int  # callers, or processes
    callers: Sequence[int]
    processes: Sequence[int]
    saves_of_a_caller: int
    jobs: Sequence[int]  # in the stores
    commits_before: Sequence[int]  # in the stores in which is saved, loaded and looked back
    listed: int  # jobs
    history: int  # saves of which the disk's share is measured
    commits: int  # in the store that is looked back in
    jobs_of_history: int  # in that store
    queried: int  # commits in the store whose index is asked
    jobs_of_queries: int  # in that store
    stretches: int  # of questions to the index, in a round
    kept_up: int  # saves that are new to the index
    viewed: Sequence[int]  # files in the worktrees
    refreshes: int  # of a worktree
    transports: Sequence[str]  # over which is synced
    starts: int  # of a command

    @property
    def small(self) -> int:
        """The sheets of a job of common size."""
        return list(self.saves)[1]


FULL = Sizes(
    rounds=8,
    saves={1: 40, 20: 60, 200: 30, 1000: 12},
    crowd=8,
    callers=(1, 2, 4, 8, 16),
    processes=(1, 2, 4, 8),
    saves_of_a_caller=40,
    jobs=(1, 10, 100, 1_000, 10_000),
    commits_before=(10, 100, 1_000, 10_000, 100_000),
    listed=1_000,
    history=1_000,
    commits=20_000,
    jobs_of_history=200,
    queried=100_000,
    jobs_of_queries=1_000,
    stretches=30,
    kept_up=300,
    viewed=(2_000, 200_000),
    refreshes=5,
    transports=("path", "http", "ssh"),
    starts=3,
)
TINY = Sizes(
    rounds=1,
    saves={1: 2, 4: 3, 6: 2, 8: 2},
    crowd=2,
    callers=(1, 2),
    processes=(1, 2),
    saves_of_a_caller=2,
    jobs=(1, 20),
    commits_before=(10, 40),
    listed=2,
    history=4,
    commits=64,
    jobs_of_history=8,
    queried=200,
    jobs_of_queries=8,
    stretches=2,
    kept_up=5,
    viewed=(40, 80),
    refreshes=2,
    transports=("path",),
    starts=1,
)


@dataclass
class Run:
    """One run. What it leaves in ``folder`` goes at its end and never between rounds: to unlink thousands of files
    makes ext4 without a journal slow at creating others for minutes.
    """

    folder: Path
    sizes: Sizes
    results: Results = field(default_factory=Results)
    until: float = math.inf
    """When, by the monotonic clock, the part that runs begins no more rounds."""
    _folders: int = 0
    _made: dict[str, Path] = field(default_factory=dict)

    def fresh(self) -> Path:
        """Return the path of a folder that nobody used."""
        self._folders += 1
        return self.folder / f"{self._folders:04d}"

    def once(self, what: str, make: Callable[[Path], None]) -> Path:
        """Return the folder of a store that several parts use, made by the first of them."""
        if what not in self._made:
            begin, folder = time.monotonic(), self.fresh()
            make(folder)
            self._made[what] = folder
            print(f"{what}: made in {time.monotonic() - begin:.1f} s", file=sys.stderr)
        return self._made[what]

    def rounds(self, what: str, share: int = 1) -> Iterator[int]:
        """Yield the numbers of the rounds, or of one in ``share`` of them, and tell on stderr how far it is.

        A part whose time is up has two rounds all the same: one alone has no spread.
        """
        count = max(1, self.sizes.rounds // share)
        for turn in range(count):
            begin = time.monotonic()
            if turn >= _LEAST and begin > self.until:
                print(f"{what}: the time is up after {turn} of {count} rounds", file=sys.stderr)
                return
            yield turn
            load = os.getloadavg()[0]
            print(
                f"{what}: round {turn + 1} of {count}, {time.monotonic() - begin:.1f} s, load average {load:.1f}",
                file=sys.stderr,
            )

    @staticmethod
    def rotated(peers: Sequence[T], turn: int) -> list[T]:
        """Return the peers in the order of a round: each is the first as often as any other."""
        return [peers[(turn + place) % len(peers)] for place in range(len(peers))]


async def timed(call: Awaitable[object]) -> float:
    """Return the seconds of one call."""
    begin = time.perf_counter()
    await call
    return time.perf_counter() - begin
