"""Other ways to keep the state of a job, each doing the same work as ``GitStateBackend``: durable when it returns.

Every peer takes whole :class:`gitstate.CheckpointState` objects and gives them back validated.
"""

import asyncio
import json
import os
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

import aiosqlite

from gitstate import CheckpointState, GitStateBackend, SheetState, SheetStatus
from tests.bench.work import mark_in

__all__ = ["BUSY", "GitCommand", "GitState", "GitStateNormal", "JsonFile", "Peer", "Sqlite"]

BUSY = 60.0  # seconds for which SQLite waits for another process


class Peer(ABC):
    """One way to keep states in a folder of its own."""

    name: str
    keeps_executions = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    async def open(self) -> None:
        """Open what is in the folder, or make it."""

    @abstractmethod
    async def close(self) -> None:
        """Close it."""

    @abstractmethod
    async def save(self, state: CheckpointState, sheet: int) -> None:
        """Save a state of which ``sheet`` and fields of the job changed."""

    @abstractmethod
    async def load(self, job_id: str) -> CheckpointState:
        """Load and validate a state."""

    @abstractmethod
    async def list_jobs(self) -> list[CheckpointState]:
        """Load and validate all states."""

    async def mark(self, job_id: str, sheet: int, status: SheetStatus) -> None:
        """Change the status of one sheet of a stored job: load it, change it and save it, if there is no better way."""
        state = await self.load(job_id)
        mark_in(state, sheet, status)
        await self.save(state, sheet)

    async def record(self, job_id: str, sheet: int, attempt: int, prompt: str, output: str) -> None:
        """Add an execution to the history of a job, where ``keeps_executions``."""
        raise NotImplementedError


class GitState(Peer):
    """This project."""

    name = "gitstate"
    durability = "full"
    worktree = True

    async def open(self) -> None:
        self.backend = GitStateBackend(self.folder, durability=self.durability, worktree=self.worktree)

    async def close(self) -> None:
        await self.backend.close()

    async def save(self, state: CheckpointState, sheet: int) -> None:
        await self.backend.save(state)

    async def load(self, job_id: str) -> CheckpointState:
        state = await self.backend.load(job_id)
        assert state is not None
        return state

    async def list_jobs(self) -> list[CheckpointState]:
        return await self.backend.list_jobs()

    async def mark(self, job_id: str, sheet: int, status: SheetStatus) -> None:
        await self.backend.mark_sheet_status(job_id, sheet, status)

    async def record(self, job_id: str, sheet: int, attempt: int, prompt: str, output: str) -> None:
        await self.backend.record_execution(job_id, sheet, attempt, prompt, output, 0, 1.5)


class GitStateNormal(GitState):
    """This project, syncing every few saves: the one peer that is not durable when it returns."""

    name = "gitstate, durability normal"
    durability = "normal"


class JsonFile(Peer):
    """The whole state in one file: written beside, synced, renamed, its folder synced."""

    name = "JSON file, fsync"
    keeps_executions = False

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def save(self, state: CheckpointState, sheet: int) -> None:
        path = self.folder / f"{state.job_id}.json"
        with open(f"{path}.tmp", "wb") as file:  # noqa: ASYNC230 - what is measured is the file, not the hop
            file.write(state.model_dump_json(indent=2).encode())
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{path}.tmp", path)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    async def load(self, job_id: str) -> CheckpointState:
        return CheckpointState.model_validate_json((self.folder / f"{job_id}.json").read_bytes())

    async def list_jobs(self) -> list[CheckpointState]:
        return [CheckpointState.model_validate_json(path.read_bytes()) for path in self.folder.glob("*.json")]


class Sqlite(Peer):
    """The job's fields and the changed sheet upserted in one transaction: WAL, synchronous FULL, one connection, one
    lock around a transaction.
    """

    name = "aiosqlite, WAL, FULL"

    async def open(self) -> None:
        self.connection = await aiosqlite.connect(self.folder / "state.db", timeout=BUSY)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, fields TEXT)",
            "CREATE TABLE IF NOT EXISTS sheets (job_id TEXT, num INTEGER, fields TEXT, PRIMARY KEY (job_id, num))",
            "CREATE TABLE IF NOT EXISTS executions (id INTEGER PRIMARY KEY, job_id TEXT, num INTEGER, attempt INTEGER,"
            " prompt TEXT, output TEXT, exit_code INTEGER, duration REAL, executed_at TEXT DEFAULT CURRENT_TIMESTAMP)",
        ):
            await self.connection.execute(statement)
        await self.connection.commit()
        self.known: set[str] = set()
        self.lock = asyncio.Lock()

    async def close(self) -> None:
        await self.connection.close()

    async def save(self, state: CheckpointState, sheet: int) -> None:
        numbers = [sheet] if state.job_id in self.known else list(state.sheets)
        rows = [(state.job_id, number, state.sheets[number].model_dump_json()) for number in numbers]
        await self._write(state.job_id, state.model_dump_json(exclude={"sheets"}), rows)
        self.known.add(state.job_id)

    async def load(self, job_id: str) -> CheckpointState:
        job = await self._job(job_id)
        rows = await self.connection.execute_fetchall("SELECT num, fields FROM sheets WHERE job_id = ?", (job_id,))
        return self._state(job, [(number, fields) for number, fields in rows])

    async def list_jobs(self) -> list[CheckpointState]:
        sheets: dict[str, list[tuple[int, str]]] = {}
        for job_id, number, fields in await self.connection.execute_fetchall("SELECT job_id, num, fields FROM sheets"):
            sheets.setdefault(job_id, []).append((number, fields))
        jobs = await self.connection.execute_fetchall("SELECT job_id, fields FROM jobs")
        return [self._state(fields, sheets.get(job_id, [])) for job_id, fields in jobs]

    async def mark(self, job_id: str, sheet: int, status: SheetStatus) -> None:
        """Read and write no other sheet."""
        query = "SELECT fields FROM sheets WHERE job_id = ? AND num = ?"
        ((fields,),) = await self.connection.execute_fetchall(query, (job_id, sheet))
        state = CheckpointState.model_validate_json(await self._job(job_id))
        state.sheets[sheet] = SheetState.model_validate_json(fields)
        mark_in(state, sheet, status)
        row = job_id, sheet, state.sheets[sheet].model_dump_json()
        await self._write(job_id, state.model_dump_json(exclude={"sheets"}), [row])

    async def record(self, job_id: str, sheet: int, attempt: int, prompt: str, output: str) -> None:
        async with self.lock:
            await self.connection.execute(
                "INSERT INTO executions (job_id, num, attempt, prompt, output, exit_code, duration)"
                " VALUES (?, ?, ?, ?, ?, 0, 1.5)",
                (job_id, sheet, attempt, prompt, output),
            )
            await self.connection.commit()

    async def _job(self, job_id: str) -> str:
        ((fields,),) = await self.connection.execute_fetchall("SELECT fields FROM jobs WHERE job_id = ?", (job_id,))
        return str(fields)

    async def _write(self, job_id: str, job: str, sheets: list[tuple[str, int, str]]) -> None:
        async with self.lock:
            await self.connection.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?)", (job_id, job))
            await self.connection.executemany("INSERT OR REPLACE INTO sheets VALUES (?, ?, ?)", sheets)
            await self.connection.commit()

    @staticmethod
    def _state(fields: str, sheets: list[tuple[int, str]]) -> CheckpointState:
        inner = ",".join(f'"{number}":{sheet}' for number, sheet in sheets)
        return CheckpointState.model_validate_json(f'{fields[:-1]},"sheets":{{{inner}}}}}')


class GitCommand(Peer):
    """The git command line: the files that changed are written, then ``git add`` and ``git commit``."""

    name = "git add + git commit"

    async def open(self) -> None:
        if not (self.folder / ".git").exists():
            self._git("init", "-q")
        self.known: set[str] = set()

    async def close(self) -> None:
        pass

    async def save(self, state: CheckpointState, sheet: int) -> None:
        folder = self.folder / "jobs" / state.job_id
        (folder / "sheets").mkdir(parents=True, exist_ok=True)
        (folder / "job.json").write_text(state.model_dump_json(indent=2, exclude={"sheets"}))
        for number in [sheet] if state.job_id in self.known else list(state.sheets):
            (folder / f"sheets/{number:04d}.json").write_text(state.sheets[number].model_dump_json(indent=2))
        self.known.add(state.job_id)
        self._commit(state.job_id, "saved")

    async def load(self, job_id: str) -> CheckpointState:
        folder = self.folder / "jobs" / job_id
        job = json.loads((folder / "job.json").read_bytes())
        job["sheets"] = {int(path.stem): json.loads(path.read_bytes()) for path in (folder / "sheets").iterdir()}
        return CheckpointState.model_validate_json(json.dumps(job))

    async def list_jobs(self) -> list[CheckpointState]:
        return [await self.load(path.name) for path in (self.folder / "jobs").iterdir()]

    async def record(self, job_id: str, sheet: int, attempt: int, prompt: str, output: str) -> None:
        folder = self.folder / "jobs" / job_id / "executions" / f"{sheet:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prompt.txt").write_text(prompt)
        (folder / "output.txt").write_text(output)
        self._commit(job_id, f"sheet {sheet}, attempt {attempt}")

    def _commit(self, job_id: str, what: str) -> None:
        self._git("add", "-A", f"jobs/{job_id}")
        self._git("-c", "core.fsync=all", "-c", "gc.auto=0", "commit", "-q", "-m", f"{job_id}: {what}")

    def _git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True)
