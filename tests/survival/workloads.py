"""Work for a store that crosses everything it does: saves of jobs, marks, executions, deletes, reopening."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from gitstate import CheckpointState, GitStateBackend

__all__ = ["Answer", "big_state", "life", "new_state", "one_save"]

Answer = Callable[[str], object]
"""Takes the commit at which the store stood when a write was answered."""


def new_state(job_id: str, sheets: int = 3) -> CheckpointState:
    return CheckpointState(job_id=job_id, job_name=job_id, total_sheets=sheets)


def big_state(job_id: str, size: int) -> CheckpointState:
    """Return a state of so many bytes that zlib cannot make much smaller."""
    state = new_state(job_id)
    state.metadata["noise"] = "".join(chr(0x4E00 + (n * 7919 + n * n * 31) % 20000) for n in range(size // 3))
    return state


async def one_save(backend: GitStateBackend, job_id: str, number: int) -> None:
    """Save a job once more, as someone does who knows nothing of it but what is stored."""
    state = await backend.load(job_id) or new_state(job_id)
    state.metadata["saves"] = number
    await backend.save(state)


def life(folder: Path, answered: Answer, *, saves: int = 36, durability: str = "full") -> None:
    """Two jobs, an execution, a deletion, saves at once, a state that is too large for the journal, and reopening."""
    asyncio.run(_life(folder, answered, saves, durability))


async def _life(folder: Path, answered: Answer, saves: int, durability: str) -> None:
    async with GitStateBackend(folder, durability=durability) as backend:

        def told() -> None:
            answered(backend.store.head())

        told()
        for number in range(saves // 2):
            await one_save(backend, f"job-{number % 2}", number)
            told()
        await backend.record_execution("job-0", 1, 1, prompt="Do it.", output="Done.", exit_code=0)
        told()
        await asyncio.gather(*(one_save(backend, f"job-{number}", 100) for number in range(4)))
        told()
        await backend.delete("job-3")
        told()
    async with GitStateBackend(folder, durability=durability) as backend:
        await backend.save(big_state("large", 500_000))
        told()
        for number in range(saves // 2, saves):
            await one_save(backend, f"job-{number % 2}", number)
            told()
        await backend.flush()
    async with GitStateBackend(folder, durability=durability) as backend:
        await one_save(backend, "job-0", saves)  # alone in its checkpoint, which joins it with no other
        told()
