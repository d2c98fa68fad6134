"""Three clones of a store that change the same jobs and sync, with us and with plain git, beside a model of fields."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from gitstate import CheckpointState, GitStateBackend, SheetStatus
from gitstate.cli import main
from gitstate.errors import GitStateError
from tests.backends.clones_model import COUNTER, NAME, TIME, Clone, Fields, Jobs, disagreed, fits
from tests.git import fsck, git

pytestmark = pytest.mark.usefixtures("forked")

CLONES = ("anna", "ben", "cleo")
WHO = st.sampled_from(CLONES)
JOBS = st.sampled_from(["nightly", "a/b.c", "weekly"])
SHEETS = 3
MARKED = st.sampled_from([SheetStatus.COMPLETED, SheetStatus.FAILED, SheetStatus.SKIPPED])
ROUNDS = 6  # so many times may each clone sync until all are the same


class ClonesMachine(RuleBasedStateMachine):
    """Every merge is checked against the three sides it was made of; in the end all clones are one."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="gitstate-clones-"))
        self.remote = self.folder / "remote.git"
        git(self.folder, "init", "-q", "--bare", str(self.remote))
        self.there: Jobs = {}  # what the remote holds
        self.clones = {name: Clone() for name in CLONES}
        self.acknowledged: list[str] = []
        self.rewound: set[str] = set()  # jobs that somebody brought back to an older state, at any time
        self.count = 0
        self.backends: dict[str, GitStateBackend] = {}
        for name in CLONES:
            if self.backends:
                git(self.folder, "clone", "-q", str(self.remote), name)
            else:
                git(self.folder, "init", "-q", "-b", "main", name)
            # Two that delete a job in the same second would make one commit, if they were the same person.
            git(self.folder / name, "config", "user.name", name)
            self.backends[name] = backend = GitStateBackend(self.folder / name, durability="normal")
            if name == CLONES[0]:
                git(self.folder / name, "remote", "add", "origin", str(self.remote))
                self.save(name, "nightly")
                self.save(name, "weekly")
                self.run(backend.sync())
                self.meet(name, self.clones[name].jobs)
            else:
                self.meet(name, self.there)
            assert main.run(["attributes", "install", "--store", str(self.folder / name)]) == 0

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(call)

    def next(self) -> int:
        self.count += 1
        return self.count

    def meet(self, name: str, jobs: Jobs) -> None:
        """Say that a clone and the remote hold the same."""
        self.there = jobs
        self.clones[name] = Clone(dict(jobs), dict(jobs))

    # What a clone does alone

    @rule(name=WHO, job=JOBS)
    def save(self, name: str, job: str) -> None:
        """Change what only this clone changes, and what counts."""
        state = self.state(name, job)
        state.metadata[name] = self.next()
        state.total_retry_count += 1
        self.saved(name, state)

    @rule(name=WHO, job=JOBS)
    def rename(self, name: str, job: str) -> None:
        """Change what the others change too."""
        state = self.state(name, job)
        state.job_name = f"name {self.next()}"
        self.saved(name, state)

    def state(self, name: str, job: str) -> CheckpointState:
        found: CheckpointState | None = self.run(self.backends[name].load(job))
        return found or CheckpointState(job_id=job, job_name=job, total_sheets=SHEETS)

    def saved(self, name: str, state: CheckpointState) -> None:
        self.run(self.backends[name].save(state))
        self.took_place(name, state.job_id)

    @rule(name=WHO, job=JOBS, sheet=st.integers(1, SHEETS), status=MARKED)
    def mark(self, name: str, job: str, sheet: int, status: SheetStatus) -> None:
        if job in self.clones[name].jobs:
            self.run(self.backends[name].mark_sheet_status(job, sheet, status))
            self.took_place(name, job)

    @rule(name=WHO, job=JOBS)
    def rollback(self, name: str, job: str) -> None:
        if job in self.clones[name].jobs:
            try:
                self.run(self.backends[name].rollback(job, "~1"))
            except GitStateError as error:  # there is no older one, or it is the same
                assert error.code in ("revision-not-found", "invalid-input", "job-not-found"), error
                return
            self.took_place(name, job)
            self.rewound.add(job)

    @rule(name=WHO, job=JOBS)
    def delete(self, name: str, job: str) -> None:
        self.run(self.backends[name].delete(job))
        self.took_place(name, job)

    @rule(name=WHO, job=JOBS)
    def fork(self, name: str, job: str) -> None:
        if job in self.clones[name].jobs:
            new = f"{job} fork {self.next()}"
            self.run(self.backends[name].fork(job, new))
            self.took_place(name, new)

    def took_place(self, name: str, job: str) -> None:
        """Take note of what a clone did to a job; all other jobs must be as they were."""
        self.acknowledged.append(self.backends[name].store.head())
        before, after = self.clones[name].jobs, self.held(name)
        assert {key: each for key, each in after.items() if key != job} == {
            key: each for key, each in before.items() if key != job
        }
        self.clones[name].jobs = after

    def held(self, name: str) -> Jobs:
        """Return what a clone holds, as the model has it."""
        return {state.job_id: _fields(state) for state in self.run(self.backends[name].list_jobs())}

    # What clones do with one another

    @rule(name=WHO)
    def sync(self, name: str) -> None:
        clone, backend = self.clones[name], self.backends[name]
        parked = disagreed(clone.agreed, clone.jobs, self.there)
        report = self.run(backend.sync())
        found = self.held(name)
        assert fits(clone.agreed, clone.jobs, self.there, found, self.rewound) == ""
        told = {outcome.document for outcome in report.outcomes if outcome.result == "parked"}
        assert parked <= told, (parked, report)
        rescued = {each.job_id for each in self.run(backend.rescues())}
        assert told <= rescued
        assert self.on_remote() == backend.store.head()
        self.meet(name, found)

    def on_remote(self) -> str:
        return git(self.remote, "rev-parse", "main").strip()

    @rule(name=WHO)
    def push(self, name: str) -> None:
        """A person pushes with plain git."""
        self.run(self.backends[name].flush())
        command = ["git", "push", "-q", "origin", "main"]
        done = subprocess.run(command, cwd=self.folder / name, capture_output=True, text=True)
        if done.returncode == 0:
            assert self.on_remote() == self.backends[name].store.head()
            self.meet(name, self.clones[name].jobs)
        else:
            assert "[rejected]" in done.stderr, done.stderr

    @rule(name=WHO)
    def pull(self, name: str) -> None:
        """A person pulls with plain git, which merges by our driver; where it cannot, they give up."""
        self.run(self.backends[name].flush())
        clone, folder = self.clones[name], self.folder / name
        command = [
            "git",
            "pull",
            "-q",
            "--no-rebase",
            "--no-edit",
            "-s",
            "recursive",
            "-X",
            "no-renames",
            "origin",
            "main",
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            assert "CONFLICT" in done.stdout, [done.stdout, done.stderr, git(folder, "status")]
            git(folder, "merge", "--abort")
            assert self.held(name) == clone.jobs
            return
        found = self.held(name)
        assert fits(clone.agreed, clone.jobs, self.there, found, self.rewound) == ""
        self.clones[name].jobs, self.clones[name].agreed = found, dict(self.there)

    # In the end

    def become_one(self) -> None:
        for _ in range(ROUNDS):
            for name in CLONES:
                self.sync(name)
            heads = {backend.store.head() for backend in self.backends.values()}
            if heads == {self.on_remote()}:
                break
        assert heads == {self.on_remote()}
        for name in CLONES:
            report = self.run(self.backends[name].sync())
            assert (report.head, report.pushed, report.fetched) == (self.on_remote(), 0, 0)
        history = set(git(self.remote, "rev-list", "main").split())
        assert set(self.acknowledged) <= history
        for name, backend in self.backends.items():
            assert self.run(backend.verify()).ok, name
            self.run(backend.close())
            assert git(self.folder / name, "status", "--porcelain") == ""
        fsck(self.remote)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            try:
                if sys.exc_info()[0] is None:
                    self.become_one()
            finally:
                for backend in self.backends.values():
                    self.run(backend.close())
                self.runner.close()
                shutil.rmtree(self.folder)


def _fields(state: CheckpointState) -> Fields:
    """Return what the model knows of a job."""
    sheets = {f"sheet {number}": sheet.status.value for number, sheet in state.sheets.items()}
    own = {NAME: state.job_name, COUNTER: state.total_retry_count, TIME: state.updated_at}
    return {**own, **state.metadata, **sheets}


TestClones = ClonesMachine.TestCase
TestClones.settings = settings(max_examples=6, stateful_step_count=20, deadline=None)


@pytest.mark.long
def test_long_lives_of_clones() -> None:
    run_state_machine_as_test(ClonesMachine, settings=settings(max_examples=150, stateful_step_count=50, deadline=None))
