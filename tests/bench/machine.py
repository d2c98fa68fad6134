"""The machine: what it is, and what a sync and a new file cost on its disk."""

import os
import platform
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

__all__ = ["APPEND", "OVERWRITE", "SYNC", "about", "state", "sync_costs"]

SYNC = "4 KB on this disk"
APPEND, OVERWRITE = "append, fsync", "overwrite, O_DSYNC"

_TIMES = 50


def about(folder: Path) -> dict[str, Any]:
    """Return what the numbers depend on: the machine, and what a sync and a new file cost in ``folder``."""
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return {
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "git": git,
        "sqlite": sqlite3.sqlite_version,
        **state(folder),
    }


def state(folder: Path) -> dict[str, float]:
    """Return what changes in a run: the load, and what syncs and a new file cost in ``folder``."""
    folder.mkdir(exist_ok=True)
    return {
        "load_average": round(os.getloadavg()[0], 2),
        "append_and_fsync_ms": _median_ms(sync_costs(folder, APPEND)),
        "overwrite_with_dsync_ms": _median_ms(sync_costs(folder, OVERWRITE)),
        "new_file_ms": _new_file_ms(folder),
    }


def _new_file_ms(folder: Path) -> float:
    """Return the median milliseconds of making a file: many times as much after somebody removed thousands."""
    costs = []
    for number in range(4 * _TIMES):
        begin = time.perf_counter()
        os.close(os.open(folder / f"new-{time.monotonic_ns()}-{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        costs.append(time.perf_counter() - begin)
    return _median_ms(costs)


def sync_costs(folder: Path, way: str) -> list[float]:
    """Return the seconds of durable writes of 4 KB, as ``APPEND`` or ``OVERWRITE``: the disk's share in every save."""
    flag = os.O_APPEND if way == APPEND else os.O_DSYNC
    path = folder / f"synced-{time.monotonic_ns()}"
    path.write_bytes(b"\0" * 2**20)
    costs = []
    file = os.open(path, os.O_WRONLY | flag)
    os.fsync(file)
    for turn in range(_TIMES):
        begin = time.perf_counter()
        os.pwrite(file, b"\1" * 4096, turn * 4096)
        if flag == os.O_APPEND:
            os.fsync(file)
        costs.append(time.perf_counter() - begin)
    os.close(file)
    return costs


def _median_ms(costs: list[float]) -> float:
    return round(statistics.median(costs) * 1000, 3)
