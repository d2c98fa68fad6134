"""Other ways to keep the state of a job, each doing the same work as ``GitStateBackend``: durable when it returns.

Every peer takes whole :class:`gitstate.CheckpointState` objects and gives them back validated.
"""

import json
import os
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import aiosqlite
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from gitstate import CheckpointState, GitStateBackend

__all__ = ["PEERS", "Peer"]


class Peer(ABC):
    """One way to keep states in a folder of its own."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

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


class GitState(Peer):
    """This project."""

    name = "gitstate"

    async def open(self) -> None:
        self.backend = GitStateBackend(self.folder)

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


class JsonFile(Peer):
    """The whole state in one file: written beside, synced, renamed, its folder synced."""

    name = "JSON file, fsync"

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
    """The job's fields and the changed sheet upserted in one transaction: WAL, synchronous FULL, one connection."""

    name = "aiosqlite, WAL, FULL"

    async def open(self) -> None:
        self.connection = await aiosqlite.connect(self.folder / "state.db")
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, fields TEXT)",
            "CREATE TABLE IF NOT EXISTS sheets (job_id TEXT, num INTEGER, fields TEXT, PRIMARY KEY (job_id, num))",
        ):
            await self.connection.execute(statement)
        await self.connection.commit()
        self.known: set[str] = set()

    async def close(self) -> None:
        await self.connection.close()

    async def save(self, state: CheckpointState, sheet: int) -> None:
        job = state.model_dump_json(exclude={"sheets"})
        numbers = [sheet] if state.job_id in self.known else list(state.sheets)
        rows = [(state.job_id, number, state.sheets[number].model_dump_json()) for number in numbers]
        await self.connection.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?)", (state.job_id, job))
        await self.connection.executemany("INSERT OR REPLACE INTO sheets VALUES (?, ?, ?)", rows)
        await self.connection.commit()
        self.known.add(state.job_id)

    async def load(self, job_id: str) -> CheckpointState:
        async with self.connection.execute("SELECT fields FROM jobs WHERE job_id = ?", (job_id,)) as cursor:
            row = await cursor.fetchone()
        assert row is not None
        rows = await self.connection.execute_fetchall("SELECT num, fields FROM sheets WHERE job_id = ?", (job_id,))
        return self._state(row[0], [(number, fields) for number, fields in rows])

    async def list_jobs(self) -> list[CheckpointState]:
        sheets: dict[str, list[tuple[int, str]]] = {}
        for job_id, number, fields in await self.connection.execute_fetchall("SELECT job_id, num, fields FROM sheets"):
            sheets.setdefault(job_id, []).append((number, fields))
        jobs = await self.connection.execute_fetchall("SELECT job_id, fields FROM jobs")
        return [self._state(fields, sheets.get(job_id, [])) for job_id, fields in jobs]

    @staticmethod
    def _state(fields: str, sheets: list[tuple[int, str]]) -> CheckpointState:
        inner = ",".join(f'"{number}":{sheet}' for number, sheet in sheets)
        return CheckpointState.model_validate_json(f'{fields[:-1]},"sheets":{{{inner}}}}}')


class LangGraph(Peer):
    """LangGraph's AsyncSqliteSaver, one thread a job, the whole state in one channel."""

    name = "LangGraph AsyncSqliteSaver"

    async def open(self) -> None:
        self.connection = await aiosqlite.connect(self.folder / "state.db")
        await self.connection.execute("PRAGMA synchronous=FULL")
        self.saver = AsyncSqliteSaver(self.connection)
        await self.saver.setup()
        self.step = 0

    async def close(self) -> None:
        await self.connection.close()

    async def save(self, state: CheckpointState, sheet: int) -> None:
        checkpoint = empty_checkpoint()
        self.step += 1
        # Its ids are made from the clock; ours sort in the order of the saves.
        checkpoint["id"] = f"{self.step:032d}"
        checkpoint["channel_values"] = {"state": state.model_dump(mode="json")}
        await self.saver.aput(self._config(state.job_id), checkpoint, {"source": "loop", "step": self.step}, {})

    async def load(self, job_id: str) -> CheckpointState:
        found = await self.saver.aget_tuple(self._config(job_id))  # type: ignore[arg-type]  # a plain dict will do
        assert found is not None
        return CheckpointState.model_validate_json(json.dumps(found.checkpoint["channel_values"]["state"]))

    async def list_jobs(self) -> list[CheckpointState]:
        newest: dict[str, Any] = {}
        async for found in self.saver.alist(None):
            newest.setdefault(found.config["configurable"]["thread_id"], found.checkpoint["channel_values"]["state"])
        return [CheckpointState.model_validate_json(json.dumps(value)) for value in newest.values()]

    @staticmethod
    def _config(job_id: str) -> Any:
        return {"configurable": {"thread_id": job_id, "checkpoint_ns": ""}}


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
        self._git("add", "-A", f"jobs/{state.job_id}")
        self._git("-c", "core.fsync=all", "-c", "gc.auto=0", "commit", "-q", "-m", f"{state.job_id}: saved")

    async def load(self, job_id: str) -> CheckpointState:
        folder = self.folder / "jobs" / job_id
        job = json.loads((folder / "job.json").read_bytes())
        job["sheets"] = {int(path.stem): json.loads(path.read_bytes()) for path in (folder / "sheets").iterdir()}
        return CheckpointState.model_validate_json(json.dumps(job))

    async def list_jobs(self) -> list[CheckpointState]:
        return [await self.load(path.name) for path in (self.folder / "jobs").iterdir()]

    def _git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True)


PEERS: tuple[type[Peer], ...] = (GitState, JsonFile, Sqlite, LangGraph, GitCommand)
