"""The peer that takes a second to import, and is therefore apart from the others."""

import json
from typing import Any

import aiosqlite
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from gitstate import CheckpointState
from tests.bench.peers import BUSY, Peer

__all__ = ["LangGraph"]


class LangGraph(Peer):
    """LangGraph's AsyncSqliteSaver, one thread a job, the whole state in one channel."""

    name = "LangGraph AsyncSqliteSaver"

    async def open(self) -> None:
        self.connection = await aiosqlite.connect(self.folder / "state.db", timeout=BUSY)
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
        found = await self.saver.aget_tuple(self._config(job_id))
        assert found is not None
        return CheckpointState.model_validate_json(json.dumps(found.checkpoint["channel_values"]["state"]))

    async def list_jobs(self) -> list[CheckpointState]:
        newest: dict[str, Any] = {}
        async for found in self.saver.alist(None):
            newest.setdefault(found.config["configurable"]["thread_id"], found.checkpoint["channel_values"]["state"])
        return [CheckpointState.model_validate_json(json.dumps(value)) for value in newest.values()]

    async def record(self, job_id: str, sheet: int, attempt: int, prompt: str, output: str) -> None:
        values = {"prompt": prompt, "output": output, "exit_code": 0, "duration": 1.5}
        config = self._config(job_id)
        config["configurable"]["checkpoint_id"] = f"{self.step:032d}"
        await self.saver.aput_writes(config, [("execution", values)], f"sheet {sheet}, attempt {attempt}")

    @staticmethod
    def _config(job_id: str) -> Any:
        return {"configurable": {"thread_id": job_id, "checkpoint_ns": ""}}
