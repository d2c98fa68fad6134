"""A save, a load, and the history of a job that nobody saved lately, in stores of 10 to 100,000 commits."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gitstate import CheckpointState, GitStateBackend
from gitstate.backends.subjects import message_for
from gitstate.format.codec import Codec
from gitstate.format.layout import Layout
from gitstate.format.message import Event
from gitstate.format.version import FormatVersion
from tests.bench.rounds import WARM_UP, Run, timed
from tests.bench.work import change, state_of
from tests.git import git

__all__ = ["GIT", "WORKS", "measure", "work"]

WORKS = ("save", "load", "history of an old job")
GIT = "git log"

_JOBS = 10
_SHEETS = 20
_LINES = 8  # of output in a sheet
_SAVES = 15
_LOADS = 5
_COPIED = 1_000  # commits of a store that a few saves would make another
_OLD = "job-old"
_TURN = "turn 00000000"  # stands where a later commit has its own number


def work(what: str, commits: int) -> str:
    """Return what one of the works is called in a store of so many commits."""
    return f"{what}, {commits:,} commits"


def measure(run: Run) -> None:
    """Make the stores, as a repository is that git has packed, and let them take turns."""
    stores = [(commits, run.fresh()) for commits in run.sizes.commits_before]
    for commits, folder in stores:
        _make(folder, commits)
        asyncio.run(_index(folder))
    for turn in run.rounds("commits", share=2):
        for commits, folder in run.rotated(stores, turn):
            name = partial(work, commits=commits)
            run.results.add(name(WORKS[2]), GIT, turn, [_git_log(folder)])
            if commits <= _COPIED:
                folder = shutil.copytree(folder, run.fresh())
            asyncio.run(_visit(run, turn, folder, [name(what) for what in WORKS]))


async def _visit(run: Run, turn: int, folder: Path, names: list[str]) -> None:
    save, load, history = names
    for _ in range(_LOADS):
        async with GitStateBackend(folder, create=False) as backend:
            run.results.add(load, "gitstate", turn, [await timed(backend.load("job-1"))])
            run.results.add(history, "gitstate", turn, [await timed(backend.history(_OLD))])
    async with GitStateBackend(folder, create=False) as backend:
        state = await backend.load("job-0")
        assert state is not None
        for step in range(WARM_UP + _SAVES):
            change(state, turn * _SAVES + step, _LINES)
            seconds = await timed(backend.save(state))
            run.results.add(save, "gitstate", turn, [seconds] if step >= WARM_UP else [])


def _git_log(folder: Path) -> float:
    begin = time.perf_counter()
    assert git(folder, "log", "--format=%H %ct %an %B", "--", f"jobs/{_OLD}")
    return time.perf_counter() - begin


async def _index(folder: Path) -> None:
    """Let the store read its history, which is measured elsewhere."""
    async with GitStateBackend(folder, create=False) as backend:
        assert len(await backend.history(_OLD)) == 1


def _make(folder: Path, commits: int) -> None:
    """Make a bare store of so many commits of some jobs, and of one job that was saved once, by ``git fast-import``."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder], check=True)
    command = ["git", "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE) as importer:
        assert importer.stdin is not None
        importer.stdin.writelines(_history(commits))
    assert importer.returncode == 0


def _history(commits: int) -> Iterator[bytes]:
    version = {"gitstate.json": FormatVersion().to_bytes()}
    yield _commit(0, b"a new store\n", version)
    yield _commit(1, *_created(_OLD))
    jobs = [_created(f"job-{number}") for number in range(_JOBS)]
    for number in range(commits - 2):
        message, files = jobs[number % _JOBS]
        turn = number // _JOBS
        if turn:
            sheet = f"sheets/{1 + turn % (_SHEETS // 2):04d}.json"
            own = f"turn {turn:08d}".encode()
            job = f"jobs/job-{number % _JOBS}"
            files = {path: files[path].replace(_TURN.encode(), own) for path in (f"{job}/job.json", f"{job}/{sheet}")}
        yield _commit(2 + number, message, files)


def _created(job_id: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the message and the files of a job's commit, with a place for the number of a turn in each file."""
    state = state_of(job_id, _SHEETS, _LINES)
    state.metadata["turn"] = _TURN
    for sheet in state.sheets.values():
        sheet.stdout_tail = f"{_TURN}\n{sheet.stdout_tail}"
    codec = Codec(CheckpointState)
    value = codec.encode(state)
    assert isinstance(value, dict)
    files = Layout(shape=codec.shape).split(value)
    message = message_for(job_id, Event.SAVED, "saved", value).to_bytes()
    return message, {f"jobs/{job_id}/{path}": data for path, data in files.items()}


def _commit(number: int, message: bytes, files: dict[str, bytes]) -> bytes:
    who = f"Bench <bench@example.org> {1_700_000_000 + number} +0000"
    head = f"commit refs/heads/main\ncommitter {who}\ndata {len(message)}\n".encode() + message
    return head + b"".join(
        f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n" for path, data in files.items()
    )
