"""A save in stores of one job to 10,000 jobs, all with a fanout of 2."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

from gitstate import CheckpointState
from gitstate.format import names
from gitstate.format.codec import Codec
from gitstate.format.layout import Layout
from gitstate.format.version import FormatVersion
from tests.bench.peers import GitState
from tests.bench.rounds import WARM_UP, Run, timed
from tests.bench.work import change, state_of

__all__ = ["make_store", "measure", "work"]

_FANOUT = 2
_SHEETS = 20
_LINES = 8  # of output in a sheet: ten thousand jobs are made


class _Bare(GitState):
    worktree = False  # the view of 10,000 jobs is not what is measured


def work(jobs: int) -> str:
    """Return what a save in a store of so many jobs is called."""
    return f"save in a store of {jobs:,} job{'s' if jobs > 1 else ''}"


def measure(run: Run) -> None:
    """Make the stores, and let them take turns."""
    stores = [(jobs, run.fresh()) for jobs in run.sizes.jobs]
    for jobs, folder in stores:
        make_store(folder, jobs)
    saves = run.sizes.saves_of_a_caller
    for turn in run.rounds("jobs"):
        for jobs, folder in run.rotated(stores, turn):
            asyncio.run(_save(run, turn, work(jobs), folder, [0] * saves))
        jobs, folder = stores[-1]
        others = [(turn * saves + step) % jobs for step in range(saves)]
        asyncio.run(_save(run, turn, f"{work(jobs)}, each time another", folder, others))


async def _save(run: Run, turn: int, name: str, folder: Path, jobs: list[int]) -> None:
    peer = _Bare(folder)
    await peer.open()
    states = {number: await peer.load(_job_id(number)) for number in {0, *jobs}}
    for step in range(WARM_UP):
        await peer.save(states[0], change(states[0], step, _LINES))
    taken = [
        await timed(peer.save(states[number], change(states[number], WARM_UP + turn * len(jobs) + step, _LINES)))
        for step, number in enumerate(jobs)
    ]
    run.results.add(name, peer.name, turn, taken)
    await peer.close()


def _job_id(number: int) -> str:
    return f"job-{number:05d}"


def make_store(folder: Path, jobs: int) -> None:
    """Make a bare store that holds so many jobs, in two commits, by ``git fast-import``."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder], check=True)
    command = ["git", "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE) as importer:
        assert importer.stdin is not None
        importer.stdin.write(_commit("a new store") + _file("gitstate.json", FormatVersion(fanout=_FANOUT).to_bytes()))
        importer.stdin.write(_commit(f"{jobs} jobs"))
        for path, data in _files(jobs):
            importer.stdin.write(_file(path, data))
    assert importer.returncode == 0


def _files(jobs: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of all jobs: those of the first, with another id in each."""
    codec = Codec(CheckpointState)
    files = Layout(shape=codec.shape).split(codec.encode(state_of(_job_id(0), _SHEETS, _LINES)))
    for job_id in map(_job_id, range(jobs)):
        folder = f"jobs/{names.fan(job_id, _FANOUT)}/{names.encode(job_id)}"
        for path, data in files.items():
            yield f"{folder}/{path}", data.replace(_job_id(0).encode(), job_id.encode())


def _commit(subject: str) -> bytes:
    who = "Bench <bench@example.org> 1700000000 +0000"
    return f"commit refs/heads/main\ncommitter {who}\ndata {len(subject)}\n{subject}\n".encode()


def _file(path: str, data: bytes) -> bytes:
    return f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n"
