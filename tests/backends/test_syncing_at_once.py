"""Sync while others save and push: nothing is lost, and all come to one commit."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from gitstate import GitStateBackend, SheetStatus
from gitstate.engine.wire.transport import Outgoing, Transport
from tests.backends.machines import first, head, job, run_sheet, two
from tests.git import git


@contextmanager
def meanwhile(work: Any, times: int = 1) -> Iterator[list[int]]:
    """Let something happen between what a remote says of itself and what it gets."""
    push, count = Transport.push, [0]

    def pushed(self: Transport, plan: Any, *more: Any, **options: Any) -> Any:
        def planned(there: Any) -> Outgoing | None:
            outgoing: Outgoing | None = plan(there)
            if outgoing is not None and count[0] < times:
                count[0] += 1
                work()
            return outgoing

        return push(self, planned, *more, **options)

    Transport.push = pushed  # type: ignore[method-assign]
    try:
        yield count
    finally:
        Transport.push = push  # type: ignore[method-assign]


def save_elsewhere(folder: Path, hub: Path, number: int) -> None:
    """Let a person save something and push it, with nothing but git."""
    path = folder / "notes" / f"{number}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{number}\n")
    git(folder, "pull", "-q", "--no-rebase", str(hub), "main")
    git(folder, "add", "notes")
    git(folder, "commit", "-qm", f"note {number}")
    git(folder, "push", "-q", str(hub), "HEAD:main")


async def test_a_remote_that_moves_at_the_last_moment_is_merged_once_more(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await first(tmp_path / "one", hub, stack)
        git(tmp_path, "clone", "-q", str(hub), "person")
        await run_sheet(one, 1)
        numbers = iter(range(3))
        with meanwhile(lambda: save_elsewhere(tmp_path / "person", hub, next(numbers)), times=3) as count:
            report = await one.sync()
        assert count == [3] and report.rounds > 3
        assert head(hub) == head(tmp_path / "one") == report.head
        assert git(tmp_path / "one", "ls-tree", "-r", "--name-only", "main", "notes").split() == [
            f"notes/{number}.txt" for number in range(3)
        ]


async def test_saves_go_on_while_a_sync_is_at_work(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        for sheet in range(1, 6):
            await run_sheet(other, sheet)
        await other.sync()

        async def save_much() -> None:
            for number in range(15):
                await one.save(job(f"job-{number}"))

        await asyncio.gather(save_much(), *(one.sync() for _ in range(3)))
        await one.sync()
        await other.sync()
        assert head(hub) == head(tmp_path / "one") == head(tmp_path / "other")
        assert len(await other.list_jobs()) == 16


async def test_many_machines_on_their_own_and_shared_jobs_come_to_one_commit(tmp_path: Path, hub: Path) -> None:
    dice = random.Random(7)
    async with AsyncExitStack() as stack:
        machines = [await first(tmp_path / "m0", hub, stack, "first")]
        await machines[0].save(job("shared", 20))
        await machines[0].sync()
        for number in range(1, 4):
            clone = await GitStateBackend.clone(str(hub), tmp_path / f"m{number}")
            machines.append(await stack.enter_async_context(clone))

        async def work(number: int, backend: GitStateBackend) -> None:
            await backend.save(job(f"own-{number}"))
            for step in range(5):
                await backend.mark_sheet_status("shared", number * 5 + step + 1, SheetStatus.COMPLETED)
                if dice.random() < 0.6:
                    await backend.sync()

        await asyncio.gather(*(work(number, backend) for number, backend in enumerate(machines)))
        for backend in (*machines, *machines):
            await backend.sync()
        assert {head(tmp_path / f"m{number}") for number in range(4)} == {head(hub)}
        for backend in machines:
            assert (await backend.sync()).is_up_to_date
            state = await backend.load("shared")
            assert state is not None and sorted(state.sheets) == list(range(1, 21))
            assert len(await backend.list_jobs()) == 6
