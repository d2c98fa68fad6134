"""The operations that are counted, each warm: what is made once has been made."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.engine import background, gitindex, trees
from gitstate.engine import git as engine_git
from gitstate.engine.git import GitEngine
from gitstate.engine.objects import DIRECTORY, Commit, GitObject, ObjectId, TreeEntry
from gitstate.engine.repository import open_repository
from gitstate.engine.spares import Spares
from gitstate.format import names
from gitstate.format.codec import Codec
from gitstate.format.layout import Layout
from gitstate.format.version import FormatVersion
from gitstate.store import views
from gitstate.store.index import indexes
from tests.bench.work import change, mark, output, state_of
from tests.budgets.meter import Meter, Work
from tests.clocks import Clock
from tests.conftest import GIT_CONFIG
from tests.servers import bare

__all__ = ["LINES", "STORES", "measure", "still"]

LINES = 8
"""Of output in a sheet."""
_WARM_UP = 9  # publishes: by then the ring of files that are used again is full
_TIMES = 3  # that each is done; the last one counts
_EXECUTION = 24_000  # bytes of prompt and output
_FAR_OFF = 1e6  # seconds

Action: TypeAlias = Callable[[], object]


@dataclass(frozen=True)
class _Kind:
    sheets: int
    jobs: int
    fanout: int
    worktree: bool


STORES = {
    "20 sheets": _Kind(20, 1, 0, worktree=True),
    "1,000 sheets": _Kind(1000, 1, 0, worktree=True),
    "1 job": _Kind(20, 1, 2, worktree=False),
    "10,000 jobs": _Kind(20, 10_000, 2, worktree=False),
}
"""Each beside one that is larger in one respect."""


def measure(store: str, folder: Path) -> dict[str, Work]:
    """Do each operation in a store of a kind, in a new folder, and return what it took."""
    kind = STORES[store]
    folder.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patches:
        still(patches, folder / "home")
        make_store(folder / "state", kind.jobs, kind.sheets, kind.fanout, bare=not kind.worktree)
        asyncio.run(_index(folder / "state", kind))
        meter = Meter(patches)
        try:
            return asyncio.run(_Life(meter, folder, kind).lived())
        finally:
            meter.close()
            shutil.rmtree(folder)  # there is no need to verify ten thousand jobs


async def _index(path: Path, kind: _Kind) -> None:
    """Have the index made, which takes a while, and longer where each call of a function is looked at."""
    async with GitStateBackend(path, worktree=kind.worktree) as backend:
        await backend.query_jobs()


def still(patches: pytest.MonkeyPatch, home: Path) -> None:
    """Let nothing depend on the time, the machine, and what a thread does in between: that is counted by itself."""
    home.mkdir()
    (home / ".gitconfig").write_text(GIT_CONFIG)
    Clock(patches)
    for module, name in ((background, "_SECONDS"), (indexes, "_DELAY"), (views, "_DELAY")):
        patches.setattr(module, name, _FAR_OFF)
    patches.setattr(engine_git, "delay", lambda journal: _FAR_OFF)
    patches.setattr(Spares, "are_due", False)  # a checkpoint makes them
    patches.setattr(gitindex.GitIndex, "_written", property(lambda index: (1 << 32) - 1))  # no file is as young as it
    git = shutil.which("git")
    assert git is not None
    for name in list(os.environ):
        patches.delenv(name)
    for name, value in {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.path.dirname(git)}.items():
        patches.setenv(name, value)


class _Life:
    """What is done with one store, in order.

    Args:
        meter: Counts.
        folder: Where it is, and where others are made.
        kind: What it is like.
    """

    def __init__(self, meter: Meter, folder: Path, kind: _Kind) -> None:
        self._meter = meter
        self._folder = folder
        self._kind = kind
        self._turns = count()
        self._done: dict[str, Work] = {}

    async def lived(self) -> dict[str, Work]:
        self._backend = backend = GitStateBackend(self._folder / "state", worktree=self._kind.worktree)
        try:
            await self._load()
            for _ in range(_WARM_UP):
                await self._save()
            await self._path()
            await self._reading()
            await self._background()
            await self._exchange()
        finally:
            await backend.close()
        return self._done

    async def _path(self) -> None:
        """What callers wait for."""
        backend, job_id, turns, text = self._backend, _job_id(0), self._turns, output(0, 500)[:_EXECUTION]
        await self._counted("save", lambda: backend.save(self._state), before=self._change)
        await self._counted("mark", lambda: backend.mark_sheet_status(job_id, *mark(self._kind.sheets, next(turns))))

        async def record() -> None:
            prompt, said = (f"{next(turns):04d}\n{part}" for part in (text[:4000], text[4000:]))
            await backend.record_execution(job_id, 3, 1, prompt, said, 0, 1.5)

        await self._counted("execution", record)

    async def _reading(self) -> None:
        backend = self._backend
        await self._counted("load", lambda: backend.load(_job_id(0)))
        await self._counted("list", backend.query_jobs)
        opened: list[GitStateBackend] = []

        async def open_and_load() -> None:
            opened.append(GitStateBackend(self._folder / "state", worktree=self._kind.worktree))
            await opened[-1].load(_job_id(0))

        async def close() -> None:
            while opened:
                await opened.pop().close()

        await self._counted("open, load", open_and_load, before=close)
        await close()

    async def _background(self) -> None:
        """What nobody waits for, and what takes the processor all the same."""
        store = self._backend.store
        await self._load()
        await self._backend.flush()
        await self._counted("index", store._indexes._update, before=self._save)
        if self._kind.worktree:
            await self._counted("view", store._views.show, before=self._save)
        await self._counted("checkpoint", self._tidy, before=partial(self._save, 8))

    async def _exchange(self) -> None:
        backend = self._backend
        state = self._folder / "state"
        remote = bare(self._folder / "remote.git", source=state / ".git" if self._kind.worktree else state)
        await backend.add_remote("origin", str(remote))
        await backend.sync()
        await self._counted("sync, nothing", backend.sync)
        await self._counted("sync, a save", backend.sync, before=self._save)

    async def _counted(self, name: str, work: Action, *, before: Action = lambda: None) -> None:
        """Count an operation, the last of some times that it is done, so that all that is kept has been kept."""
        for _ in range(_TIMES):
            self._tidy()  # the journal has room for some saves of a thousand sheets
            await _done(before())
            with self._meter.counting() as self._done[name]:
                await _done(work())

    def _tidy(self) -> None:
        self._backend.store._engine._tidy(False)  # type: ignore[attr-defined]  # it is one of git

    async def _load(self) -> None:
        loaded = await self._backend.load(_job_id(0))
        assert loaded is not None
        self._state = loaded

    def _change(self) -> None:
        change(self._state, next(self._turns), LINES)

    async def _save(self, times: int = 1) -> None:
        for _ in range(times):
            self._change()
            await self._backend.save(self._state)


async def _done(found: object) -> None:
    if isinstance(found, Awaitable):
        await found


def make_store(folder: Path, jobs: int, sheets: int, fanout: int, *, bare: bool) -> None:
    """Make a store that holds so many jobs, in one commit; all but the first are alike, and have no sheets."""
    codec = Codec(CheckpointState)
    engine = GitEngine(open_repository(folder, bare=bare))
    try:
        objects: dict[ObjectId, GitObject] = {}
        places: dict[str, bytes | TreeEntry | None] = {"gitstate.json": FormatVersion(fanout=fanout).to_bytes()}

        def put(state: CheckpointState) -> None:
            files = Layout(shape=codec.shape).split(codec.encode(state))
            made = trees.edit(engine, None, files)
            objects.update((item.id, item) for item in made.objects)
            fan, name = names.fan(state.job_id, fanout), names.encode(state.job_id)
            places["/".join(filter(None, ("jobs", fan, name)))] = TreeEntry(DIRECTORY, made.id)

        put(state_of(_job_id(0), sheets, LINES))
        other = CheckpointState(job_id="other", job_name="Another", total_sheets=sheets)
        for number in range(1, jobs):
            put(other.model_copy(update={"job_id": _job_id(number)}))
        made = trees.edit(engine, None, places)
        objects.update((item.id, item) for item in made.objects)
        who = engine.signature()
        commit = Commit(made.id, (), who, who, b"jobs\n").to_object()
        with engine.lock():
            engine.publish([*objects.values(), commit], expected=None, new=commit.id, note="jobs")
    finally:
        engine.close()


def _job_id(number: int) -> str:
    return f"job-{number:05d}"
