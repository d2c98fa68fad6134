"""One caller: saves, marks and executions of a job of 1 to 1,000 sheets, and saves of one that holds little; and
saves with a large output, with credentials looked for in it and without. Beside them, what the disk alone takes.
"""

import asyncio
import resource
import time

from gitstate import GitStateBackend
from tests.bench import machine
from tests.bench.langgraph import LangGraph
from tests.bench.libgit import Pygit2
from tests.bench.peers import GitCommand, GitState, GitStateNormal, JsonFile, Peer, Sqlite
from tests.bench.rounds import WARM_UP, Run, timed
from tests.bench.work import LINES, change, execution, mark, output, state_of

__all__ = ["KEPT", "LOOKED_INTO", "measure"]

LOOKED_INTO = "save, 20 KB of output"
KEPT = "gitstate, redact=False"

_PEERS: tuple[type[Peer], ...] = (GitState, GitStateNormal, JsonFile, Sqlite, LangGraph)
_SLOW: tuple[type[Peer], ...] = (Pygit2, GitCommand)  # make and remove many files: they come last, and not each time
_SELDOM = 3
_SHARE = 4  # and do so many times fewer saves


def measure(run: Run) -> None:
    """Let every peer save, mark and record in each round, in a folder of its own."""
    small, often = run.sizes.small, run.sizes.saves[run.sizes.small]
    for turn in run.rounds("save"):
        _disk_alone(run, turn)
        for sheets, saves in run.sizes.saves.items():
            for kind in run.rotated(_PEERS, turn):
                asyncio.run(_life(run, turn, kind(run.fresh()), sheets, saves))
        for kind in run.rotated(_PEERS, turn):
            asyncio.run(_lean_life(run, turn, kind(run.fresh()), small, often))
        asyncio.run(_looked_into(run, turn, small, 3 * often))  # a few hundredths are to be told apart
        if turn % _SELDOM == 0:
            for sheets, saves in run.sizes.saves.items():
                for kind in run.rotated(_SLOW, turn // _SELDOM):
                    asyncio.run(_life(run, turn, kind(run.fresh()), sheets, max(2, saves // _SHARE)))


def _disk_alone(run: Run, turn: int) -> None:
    """Measure what no save that is durable can do without."""
    folder = run.fresh()
    folder.mkdir()
    for way in (machine.APPEND, machine.OVERWRITE):
        run.results.add(machine.SYNC, way, turn, machine.sync_costs(folder, way))


async def _life(run: Run, turn: int, peer: Peer, sheets: int, saves: int) -> None:
    await peer.open()
    await _saves(run, turn, peer, sheets, saves)
    few = max(2, saves // 2)
    marks = [await timed(peer.mark("nightly", *mark(sheets, step))) for step in range(few)]
    run.results.add(f"mark, {sheets:,} sheets", peer.name, turn, marks)
    if peer.keeps_executions:
        records = [await timed(peer.record("nightly", sheets, step + 1, *execution(step))) for step in range(few)]
        run.results.add(f"record_execution, {sheets:,} sheets", peer.name, turn, records)
    await peer.close()


async def _lean_life(run: Run, turn: int, peer: Peer, sheets: int, saves: int) -> None:
    await peer.open()
    await _saves(run, turn, peer, sheets, saves, lines=0)
    await peer.close()


async def _saves(run: Run, turn: int, peer: Peer, sheets: int, saves: int, lines: int = LINES) -> None:
    state = state_of("nightly", sheets, lines)
    await peer.save(state, 1)
    for step in range(WARM_UP):
        await peer.save(state, change(state, step, lines))
    begin = _cpu_seconds()
    taken = [await timed(peer.save(state, change(state, step, lines))) for step in range(WARM_UP, WARM_UP + saves)]
    used = (_cpu_seconds() - begin) / saves
    what = f"{sheets:,} sheets" + ("" if lines else ", no output")
    run.results.add(f"save, {what}", peer.name, turn, taken)
    run.results.add(f"processor time of a change and its save, {what}", peer.name, turn, [used])


async def _looked_into(run: Run, turn: int, sheets: int, saves: int) -> None:
    """Save a job with outputs of 20 KB, in turn where they are looked into and where they are not."""
    kept, looked = (GitStateBackend(run.fresh(), redact=redact) for redact in (False, True))
    backends = {KEPT: (kept, state_of("nightly", sheets)), GitState.name: (looked, state_of("nightly", sheets))}
    taken: dict[str, list[float]] = {name: [] for name in backends}
    for step in range(WARM_UP + saves):
        # Each is first as often as the other, of the saves that begin a sheet as of those that complete one.
        for name, (backend, state) in list(backends.items())[:: 1 if step // 2 % 2 else -1]:
            sheet = change(state, step)
            told = {"sheet_num": sheet, "attempt_num": step + 1, "output": f"{step}\n{output(step % 10, 300)}"}
            seconds = await timed(backend.save(state, execution=told))
            taken[name] += [seconds] if step >= WARM_UP else []
    for name, (backend, _) in backends.items():
        run.results.add(LOOKED_INTO, name, turn, taken[name])
        await backend.close()


def _cpu_seconds() -> float:
    """Return what all threads of this process and its ended children used: other programs do not change that."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
