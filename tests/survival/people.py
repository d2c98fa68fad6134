"""A person who uses the real git in the folder of a store into which a process keeps saving."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from gitstate import CheckpointState, GitStateBackend
from gitstate.engine.locks import StoreLock
from tests.git import fsck, git
from tests.survival.keeper import JOBS

__all__ = ["Person", "prepare"]

ROOT = Path(__file__).parents[2]
SOON = 20.0  # seconds in which whatever somebody waits for must have happened
OTHER = "by hand"  # a job that only the person changes

# What git says when somebody was faster, or holds what it needs; it changed nothing then, and may be called again. Of a
# stash that is quiet it says nothing.
_AGAIN = re.compile(
    r"index\.lock|cannot lock ref|Could not reset index file|could not write index|[Uu]nable to write new index"
    r"|would be overwritten|not uptodate|unstaged changes|uncommitted changes|[Ll]ocal changes|could not detach HEAD"
    r"|unable to (update|refresh) the index|cannot update the ref"
)


def prepare(folder: Path) -> None:
    """Make a store with jobs, files of the person's own, and a side branch that edits the job nobody saves."""

    async def fill() -> None:
        async with GitStateBackend(folder) as backend:
            for job in (*JOBS, OTHER):
                await backend.save(CheckpointState(job_id=job, job_name=job, total_sheets=5000))

    asyncio.run(fill())
    (folder / "README.md").write_text("What this is.\n")
    git(folder, "add", "README.md")
    git(folder, "commit", "-qm", "Say what this is")
    git(folder, "branch", "elsewhere")


class Person:
    """Works in a folder while a process saves, and knows what must come of it.

    Args:
        folder: The store.
        log: Where the process writes what was acknowledged.
        seed: Decides how long the person waits in between.
    """

    def __init__(self, folder: Path, log: Path, seed: int = 0) -> None:
        self.folder = folder
        self.random = Random(seed)
        self.names: dict[str, str] = {}  # what the person called jobs, and committed
        self.files: dict[str, str] = {}  # what their own files must hold in the end
        self.status: set[str] = set()  # what git must call changed in the end
        self.given_up: set[tuple[str, int]] = set()  # saves that the person asked git to drop
        self.allowed: set[str] = set()  # errors that they may cause
        self.refused = 0  # how often git said that somebody was faster
        self.count = 0
        self._log = log
        self._keeper: subprocess.Popen[str] | None = None

    # The process

    @contextmanager
    def beside_a_process(self) -> Iterator[None]:
        """Let the process save while the block runs; then it must end by itself, without an error."""
        command = [sys.executable, "-m", "tests.survival.keeper", str(self.folder), str(self._log)]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        ) as self._keeper:
            try:
                self.wait(1)
                yield
                self.wait(1)
                said, _ = self._keeper.communicate("stop\n", timeout=60)
                assert self._keeper.returncode == 0, said
                self.said = said
            finally:
                self._keeper.kill()

    def told(self) -> list[dict[str, Any]]:
        """Return what the process wrote down, without the line that it is at."""
        if not self._log.exists():
            return []
        return [json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def saves(self) -> list[tuple[str, int]]:
        """Return the saves that were acknowledged."""
        return [(line["job"], line["number"]) for line in self.told() if "error" not in line]

    def errors(self) -> list[dict[str, Any]]:
        return [line for line in self.told() if "error" in line]

    def wait(self, rounds: int) -> None:
        """Wait until each job was saved so many times more."""
        goal, end = len(self.told()) + rounds * len(JOBS), time.monotonic() + SOON
        while len(self.told()) < goal:
            assert self._keeper is not None
            assert self._keeper.poll() is None, self._keeper.communicate()[0]
            assert time.monotonic() < end, f"no save in {SOON} seconds: {self.told()[-3:]}"
            time.sleep(0.005)

    def idle(self) -> None:
        """Wait as a person does: sometimes the folder is brought to the head meanwhile, sometimes it lags."""
        self.wait(self.random.choice([0, 1, 3, 12]))

    @contextmanager
    def while_it_pauses(self) -> Iterator[None]:
        """Let the process save nothing for a moment, and the folder catch up."""
        flag = Path(f"{self._log}.pause")
        flag.touch()
        try:
            end = time.monotonic() + SOON
            while self._lags():
                assert time.monotonic() < end, self.git("status", "--porcelain")
                time.sleep(0.05)
            yield
        finally:
            flag.unlink()

    def _lags(self) -> bool:
        before = len(self.told())
        time.sleep(0.1)
        shown = json.loads((self.folder / ".git/gitstate/view/shown").read_text())["head"]
        if len(self.told()) != before:
            return True
        # Where nothing was written since the person's own git, nothing is due.
        return shown != self.git("rev-parse", "main").strip() and bool(
            self.git("diff", "--name-only", "HEAD", "--", "jobs")
        )

    # Plain git

    def git(self, *words: str, folder: Path | None = None) -> str:
        """Run git, and again as long as it says that somebody was faster; that it fails otherwise is an error."""
        end = time.monotonic() + SOON
        while True:
            done = self.attempt(*words, folder=folder)
            if done.returncode == 0:
                return done.stdout
            said = done.stdout + done.stderr
            assert _AGAIN.search(said) or not said, f"git {' '.join(words)}: {said}"
            assert time.monotonic() < end, f"git {' '.join(words)} took never: {said}"
            self.refused += 1
            time.sleep(0.01)

    def attempt(self, *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run git once, whatever becomes of it."""
        command = ["git", "-c", "advice.detachedHead=false", *words]
        return subprocess.run(command, cwd=folder or self.folder, capture_output=True, text=True, check=False)

    def install_attributes(self) -> None:
        """Let git merge states by field: line by line, what lies close together is in conflict."""
        command = [sys.executable, "-m", "gitstate", "--store", str(self.folder), "attributes", "install"]
        subprocess.run(command, check=True, capture_output=True)

    def rename(self, job: str) -> str:
        """Call a job something else in its file, as an editor does that sees when the file changed under it."""
        self.count += 1
        name = f"{job}, called so for the {self.count}. time"
        path = self.folder / "jobs" / job.replace(" ", "%20") / "job.json"
        lock = StoreLock(self.folder / ".git/gitstate/view/lock")
        lock.acquire(SOON)
        try:
            beside = path.with_name(".edited")
            beside.write_text(re.sub(r'(?<="job_name": )".*?"', json.dumps(name), path.read_text()))
            beside.rename(path)
        finally:
            lock.release()
            lock.close()
        return name

    def note(self) -> None:
        """Keep notes of their own: a tracked file that is edited, one that is staged, one that git does not know."""
        for path, text, status in (
            ("README.md", "Edited, and not committed.\n", " M"),
            ("todo.txt", "Staged, and not committed.\n", "A "),
            ("notes/today.txt", "Known to nobody.\n", "??"),
        ):
            (self.folder / path).parent.mkdir(exist_ok=True)
            (self.folder / path).write_text(text)
            self.files[path] = text
            self.status.add(f"{status} {'notes/' if status == '??' else path}")
        self.git("add", "todo.txt")

    def branch_that_edits(self, name: str) -> None:
        """Make a branch off the head with a commit that edits the job nobody saves, in a folder of its own."""
        self.count += 1
        beside = self.folder.parent / f"beside-{self.count}"
        self.git("worktree", "add", "-q", "-B", name, str(beside), "main")
        path = beside / "jobs" / OTHER.replace(" ", "%20") / "job.json"
        path.write_text(
            path.read_text().replace(f'"job_name": "{self.names.get(OTHER, OTHER)}"', f'"job_name": "{self.count}"')
        )
        self.git("commit", "-qam", f"Call it {self.count}", folder=beside)
        self.git("worktree", "remove", str(beside))
        self.names[OTHER] = str(self.count)

    def give_up(self) -> None:
        """Note which saves git has just dropped from the branch: its reflog says which commits these are."""
        log = (self.folder / ".git/logs/refs/heads/main").read_text().splitlines()
        before, after = next(line.split()[:2] for line in reversed(log) if "\treset: moving to HEAD~" in line)
        had, has = (self._marks(commit) for commit in (before, after))
        self.given_up |= {save for save in had if save not in has}

    def _marks(self, commit: str) -> set[tuple[str, int]]:
        """Return the saves that left their mark in a commit."""
        files = self.git("ls-tree", "-r", "--name-only", commit, "jobs/growing/sheets/").split()
        nightly, weekly = (json.loads(self.git("show", f"{commit}:jobs/{job}/job.json")) for job in JOBS[:2])
        counted = [save for save in self.saves() if save[0] == "nightly" and save not in self.given_up]
        return {
            *(("growing", int(Path(file).stem)) for file in files),
            *(("weekly", number) for number in weekly["metadata"].values()),
            *counted[: nightly["total_retry_count"]],
        }

    # What must hold

    def check(self) -> None:
        """Everything that was acknowledged and not given up is there, and all that is the person's."""
        fsck(self.folder)
        assert all(error["hint"] for error in self.errors()), self.errors()
        assert [error for error in self.errors() if error["error"] not in self.allowed] == []
        found = asyncio.run(self._states())
        expected = [save for save in self.saves() if save not in self.given_up]
        numbers = {job: [number for known, number in expected if known == job] for job in JOBS}
        nightly, weekly, growing = (found[job] for job in JOBS)
        assert [f"save {number}" for number in numbers["weekly"]] == sorted(
            weekly.metadata, key=lambda name: int(name.split()[1])
        )
        assert sorted(growing.sheets) == numbers["growing"]
        assert {sheet.status for sheet in growing.sheets.values()} == {"completed"}
        assert nightly.metadata == {"saves": numbers["nightly"][-1]}
        assert nightly.total_retry_count == len(numbers["nightly"])
        assert {job: state.job_name for job, state in found.items()} == {job: job for job in found} | self.names
        assert {path: (self.folder / path).read_text() for path in self.files} == self.files
        assert set(git(self.folder, "status", "--porcelain").splitlines()) == self.status
        assert git(self.folder, "symbolic-ref", "HEAD") == "refs/heads/main\n"

    async def _states(self) -> dict[str, CheckpointState]:
        async with GitStateBackend(self.folder) as backend:
            report = await backend.verify()
            assert report.problems == ()
            states = {job: await backend.load(job) for job in (*JOBS, OTHER)}
            return {job: state for job, state in states.items() if state is not None}
