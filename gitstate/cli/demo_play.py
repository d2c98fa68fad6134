"""What the demo does, step by step, and what it checks after each: the store and the files, never that it came by."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Timer
from typing import Any

import click

from gitstate import CheckpointState, GitStateBackend, JobStatus, SheetStatus
from gitstate.cli import demo_work
from gitstate.cli.demo_job import JOB
from gitstate.cli.output import clean, coloured

__all__ = ["Play"]

Told = dict[str, Any]
"""A line that the job told: ``event``, ``sheet``, ``attempt``, ``total``."""

Progress = Callable[[int, int], AbstractContextManager[Callable[[str, int], None]]]
"""From how many sheets there are and are done, to something that shows what a sheet does."""

_TIME_LIMIT = 120.0  # seconds for one run of the job


class Play:
    """One performance of the demo in a folder of its own.

    Args:
        place: An empty folder; it gets the store and the reports.
        source: The folder whose text files are indexed; None for our own documents.
        root: Where the files of ``plan`` lie.
        plan: Which files each sheet reads.
        pace: Seconds that the job rests within each sheet.
        job: The command that runs the job.
    """

    def __init__(
        self,
        place: Path,
        source: Path | None,
        root: Path,
        plan: dict[int, list[str]],
        pace: float,
        job: Sequence[str] = (sys.executable, "-m", "gitstate.cli.demo_job"),
    ) -> None:
        self.store = place / "state"
        self.reports = place / "reports"
        self.failures = 0
        self._source = source
        self._root = root
        self._plan = plan
        self._pace = pace
        self._job = tuple(job)
        self._victim = len(plan) // 2 + 1  # the sheet in which the job is killed

    def run(self, progress: Progress) -> None:
        """Perform it; ``failures`` says how many checks failed."""
        self.reports.mkdir()
        total = len(self._plan)
        files = sum(map(len, self._plan.values()))
        self._say(f"A job of {total} sheets indexes the {files} text files of {self._root}.")
        self._say("Its state is kept in git. It will be killed in the middle:\n")
        with progress(total, 0) as show:
            told, status = self._work(show, kill_at=self._victim)
        self._check(f"SIGKILL ended the job in the middle of sheet {self._victim}", status == -signal.SIGKILL)
        asyncio.run(self._after_the_kill(told))

        written = self._written()
        self._say("\nThe same job is started again:\n")
        with progress(total, self._victim - 1) as show:
            told, status = self._work(show)
        self._check("the job ended by itself", status == 0)
        asyncio.run(self._after_the_end(told, written))

        self._say("\nNow its state is deleted, and recovered from the reports that it wrote:\n")
        asyncio.run(self._recovery())
        self._show_history(asyncio.run(self._history()))

    def _work(self, show: Callable[[str, int], None], kill_at: int | None = None) -> tuple[list[Told], int]:
        """Run the job until it ends, or kill it once it has begun a sheet; return what it told and how it ended."""
        arguments = [str(self.store), str(self._source or ""), str(self.reports), str(self._pace)]
        told: list[Told] = []
        with subprocess.Popen([*self._job, *arguments], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own module
            limit = Timer(_TIME_LIMIT, process.kill)
            limit.start()
            try:
                for line in process.stdout or ():
                    told.append(json.loads(line))
                    if told[-1]["event"] == "started" and told[-1]["sheet"] == kill_at:
                        process.kill()
                    show(told[-1]["event"], told[-1]["sheet"])
            except BaseException:
                process.kill()
                raise
            finally:
                limit.cancel()
        return told, process.returncode

    async def _after_the_kill(self, told: list[Told]) -> None:
        done = list(range(1, self._victim))
        async with GitStateBackend(self.store) as backend:
            state = await backend.load(JOB)
            following = await backend.get_next_sheet(JOB)
        reported = [line["sheet"] for line in told if line["event"] == "completed"]
        self._check("the store has every sheet that was reported as completed", _completed(state) == reported == done)
        interrupted = state is not None and state.sheets[self._victim].status is SheetStatus.IN_PROGRESS
        self._check(
            f"it shows sheet {self._victim} as in progress, and the job as paused", interrupted and _paused(state)
        )
        self._check(f"the next sheet is {self._victim}", following == self._victim)

    async def _after_the_end(self, told: list[Told], written: dict[str, tuple[int, int]]) -> None:
        async with GitStateBackend(self.store) as backend:
            state = await backend.load(JOB)
            executions = await backend.get_execution_history(JOB)
        begun = (told[0]["sheet"], told[0]["attempt"]) if told else None
        self._check(f"it resumed at sheet {self._victim}, as attempt 2", begun == (self._victim, 2))
        self._check(f"all {len(self._plan)} sheets are completed, and so is the job", self._is_complete(state))
        attempts = {} if state is None else {number: sheet.attempt_count for number, sheet in state.sheets.items()}
        expected = {number: 2 if number == self._victim else 1 for number in self._plan}
        untouched = written.items() <= self._written().items()
        self._check("no finished sheet was done again", attempts == expected and untouched)
        right = {number: demo_work.report(number, self._root, names) for number, names in self._plan.items()}
        found = {path.name: path.read_text(encoding="utf-8") for path in self.reports.glob(demo_work.PATTERN)}
        reports = {demo_work.report_name(number): text for number, text in right.items()}
        self._check("every report says what it should", found == reports)
        recorded = {execution["sheet_num"]: execution["output"] for execution in executions}
        self._check(
            "the history holds each execution once, with its output",
            recorded == right and len(executions) == len(right),
        )

    async def _recovery(self) -> None:
        total, where = len(self._plan), (str(self.reports), demo_work.PATTERN)
        async with GitStateBackend(self.store) as backend:
            deleted = await backend.delete(JOB)
            self._check("the state is gone", deleted and await backend.load(JOB) is None)
            last = await backend.infer_state_from_artifacts(JOB, *where)
            self._check(f"the reports tell that sheet {total} was the last", last == total)
            await backend.recover(JOB, *where, total_sheets=total, job_name="Index of terms")
        async with GitStateBackend(self.store) as backend:
            self._check("the recovered job is complete", self._is_complete(await backend.load(JOB)))

    async def _history(self) -> list[tuple[str, str]]:
        async with GitStateBackend(self.store) as backend:
            return [(checkpoint.revision, checkpoint.subject) for checkpoint in await backend.history(JOB)]

    def _show_history(self, history: list[tuple[str, str]]) -> None:
        """Show what git says of the store: its log back to the kill, and the commit of the sheet's second attempt."""
        subjects = [subject for _, subject in history]
        killed = next((at for at, told in enumerate(subjects) if f"sheet {self._victim} in_progress (" in told), 0)
        again = next((revision for revision, told in history if f"sheet {self._victim}, attempt 2" in told), "HEAD")
        git = shutil.which("git")
        if git is None:
            self._say("\nThere is no git command here; these are the checkpoints as we read them:\n")
            for revision, subject in history[: killed + 1]:
                self._say(f"{revision[:7]} {subject}")
            return
        for arguments in (["log", "--oneline", "-n", str(killed + 1)], ["show", "--stat", again[:10]]):
            self._say(f"\n$ git {' '.join(arguments)}")
            ran = subprocess.run(  # noqa: S603  # git, with arguments of ours
                [git, "-C", str(self.store), "--no-pager", *arguments], capture_output=True, text=True, errors="replace"
            )
            self._say(ran.stdout.rstrip("\n"))
            if ran.returncode != 0:
                self._check(f"git {arguments[0]} reads the store: {ran.stderr.strip()}", False)

    def _is_complete(self, state: CheckpointState | None) -> bool:
        if state is None or state.status is not JobStatus.COMPLETED:
            return False
        return _completed(state) == list(self._plan) and state.get_next_sheet() is None

    def _written(self) -> dict[str, tuple[int, int]]:
        """Return the reports that are there, each with what changes when it is written again."""
        stats = {path.name: path.stat() for path in self.reports.glob(demo_work.PATTERN)}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}

    def _check(self, text: str, holds: bool) -> None:
        self.failures += not holds
        mark = coloured("ok    ", "green", sys.stdout) if holds else coloured("FAILED", "red", sys.stdout)
        click.echo(f"  {mark} {clean(text)}")

    def _say(self, text: str) -> None:
        for line in text.split("\n"):
            click.echo(clean(line))


def _completed(state: CheckpointState | None) -> list[int]:
    sheets = {} if state is None else state.sheets
    return sorted(number for number, sheet in sheets.items() if sheet.status is SheetStatus.COMPLETED)


def _paused(state: CheckpointState | None) -> bool:
    return state is not None and state.status is JobStatus.PAUSED
