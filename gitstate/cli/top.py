"""A table of the jobs that run, with what happened last: live on a terminal, or once, or as data."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.git import GitStateBackend
from gitstate.backends.states import laid_to_rest, updated_at
from gitstate.backends.statuses import JobStatus
from gitstate.backends.watching import NewCheckpoint
from gitstate.cli.history import checkpoint_json
from gitstate.cli.listing import no_jobs
from gitstate.cli.output import ago, clean, colour_of, note, print_json, print_table
from gitstate.errors import StateCorruptionError
from gitstate.format import message

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["show_json", "show_live", "show_once"]

_EVERY = 0.5  # seconds between two pictures
_WALKED = 2000  # newest commits in which the last checkpoints of jobs are looked for, once
_BAR = 10  # columns of a progress bar


@dataclass(frozen=True)
class _Row:
    """A job as the table shows it."""

    job_id: str
    status: str
    done: int
    total: int
    sheet: str
    event: str
    ago: str
    process: str


class _Board:
    """The jobs of a store as they are now. Only those that changed are read again."""

    def __init__(self, backend: GitStateBackend, *, every: bool) -> None:
        self._backend = backend
        self._every = every
        self._states: dict[str, Any] = {}
        self._last: dict[str, Checkpoint] = {}
        self._changed: dict[str, Checkpoint] = {}

    async def fill(self) -> None:
        """Read all jobs."""
        self._states = {state.job_id: state for state in await self._backend.list_jobs()}
        shown = {state.job_id for state in self._shown()}
        self._last = await asyncio.to_thread(self._last_checkpoints, shown)

    async def collect(self, news: AsyncIterator[NewCheckpoint]) -> None:
        """Take note of what changes, as long as the store is open."""
        async for new in news:
            self._changed[new.job_id] = new.checkpoint

    async def refresh(self) -> None:
        """Read the jobs that changed since the last time, and look which processes are gone."""
        changed, self._changed = self._changed, {}
        self._last |= changed
        for job_id in changed:
            try:
                self._states[job_id] = await self._backend.load(job_id)
            except StateCorruptionError:
                self._states[job_id] = None
        self._states = {job: laid_to_rest(state) for job, state in self._states.items() if state is not None}

    def rows(self) -> list[_Row]:
        """Return what the table shows, the job that was saved last first."""
        return [self._row(state) for state in self._sorted()]

    def facts(self) -> list[dict[str, Any]]:
        """Return the same as data."""
        return [self._facts(state) for state in self._sorted()]

    def _sorted(self) -> list[Any]:
        return sorted(self._shown(), key=updated_at, reverse=True)

    def _shown(self) -> Iterator[Any]:
        return (state for state in self._states.values() if self._every or state.status == JobStatus.RUNNING)

    def _row(self, state: Any) -> _Row:
        last = self._last.get(state.job_id)
        done, total = state.get_progress()
        process = "" if state.pid is None else f"{state.pid}@{state.host}" if state.host else str(state.pid)
        return _Row(
            job_id=clean(state.job_id),
            status=state.status.value,
            done=done,
            total=total,
            sheet="" if state.current_sheet is None else str(state.current_sheet),
            event="" if last is None else clean(_told(state.job_id, last)),
            ago=ago(updated_at(state) if last is None else last.time),
            process=clean(process),
        )

    def _facts(self, state: Any) -> dict[str, Any]:
        last = self._last.get(state.job_id)
        done, total = state.get_progress()
        return {
            "id": state.job_id,
            "status": state.status.value,
            "completed_sheets": done,
            "total_sheets": total,
            "current_sheet": state.current_sheet,
            "pid": state.pid,
            "host": state.host,
            "updated_at": updated_at(state).isoformat(),
            "last": None if last is None else checkpoint_json(last),
        }

    def _last_checkpoints(self, job_ids: set[str]) -> dict[str, Checkpoint]:
        """Return the last checkpoint of each job, of those that are among the newest commits and say so."""
        found: dict[str, Checkpoint] = {}
        for revision in islice(self._backend.store.walk(), _WALKED):
            job_id = revision.message.get(message.JOB)
            if job_id in job_ids and job_id not in found:
                found[job_id] = Checkpoint.of(job_id, revision)
            if len(found) == len(job_ids):
                break
        return found


async def show_once(backend: GitStateBackend, *, every: bool) -> None:
    """Print the table."""
    board = _Board(backend, every=every)
    await board.fill()
    rows = board.rows()
    if not rows:
        note(await no_jobs(backend) if every else "No job is running; --all shows the others.")
        return
    print_table(
        ("job", "status", ">done", ">sheet", ">ago", "process", "last"),
        [(r.job_id, r.status, f"{r.done}/{r.total}", r.sheet, r.ago, r.process, r.event) for r in rows],
    )


async def show_json(backend: GitStateBackend, *, every: bool) -> None:
    """Print what the table shows as a JSON array."""
    board = _Board(backend, every=every)
    await board.fill()
    print_json(board.facts())


async def show_live(backend: GitStateBackend, *, every: bool) -> None:
    """Show the table, and keep it up to date until somebody ends it."""
    from rich import get_console
    from rich.live import Live

    screen = get_console()

    def table() -> "Table":
        return _table(board.rows()[: screen.height])  # a terminal shows no more, and thousands take a second to draw

    board = _Board(backend, every=every)
    news = backend.watch()  # before the jobs are read, so that nothing happens in between
    await board.fill()
    collecting = asyncio.create_task(board.collect(news))
    try:
        with Live(table(), console=screen, auto_refresh=False, vertical_overflow="ellipsis") as live:
            while not collecting.done():
                await board.refresh()
                live.update(table(), refresh=True)
                await asyncio.wait([collecting], timeout=_EVERY)
            await collecting
    finally:
        collecting.cancel()
        await asyncio.wait([collecting])
        await news.aclose()


def _table(rows: list[_Row]) -> "Table":
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True, header_style="bold")
    table.add_column("job", no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column("status", no_wrap=True, min_width=7)
    table.add_column("progress", no_wrap=True, width=_BAR)
    table.add_column("done", no_wrap=True, justify="right", min_width=4)
    table.add_column("sheet", no_wrap=True, justify="right", min_width=5)
    table.add_column("last", no_wrap=True, overflow="ellipsis", ratio=4)
    table.add_column("ago", no_wrap=True, justify="right", min_width=5)
    table.add_column("process", no_wrap=True, overflow="ellipsis", ratio=2)
    for row in rows:
        table.add_row(
            Text(row.job_id),
            Text(row.status, style=colour_of(row.status)),
            ProgressBar(total=max(row.total, 1), completed=row.done, width=_BAR),
            f"{row.done}/{row.total}",
            row.sheet,
            Text(row.event),
            row.ago,
            Text(row.process),
        )
    if not rows:
        table.add_row(Text("no job"), "", "", "", "", "", "", "")
    return table


def _told(job_id: str, checkpoint: Checkpoint) -> str:
    """Return what a checkpoint did, without what other columns say: the job, and how much is done."""
    subject = checkpoint.subject.removeprefix(f"{job_id}: ")
    done = f" ({checkpoint.progress} done)"
    return subject.removesuffix(done)
