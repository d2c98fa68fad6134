"""Many processes at once on one store, with upkeep of ours and of a person: what was acknowledged is there, once."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.git import fsck, git
from tests.survival.histories import Call, check

WORKER = """
import asyncio, json, random, subprocess, sys, time
from gitstate import GitStateBackend

folder, who, left, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
chance = random.Random(seed)

def tell(kind, begin, **facts):
    print(json.dumps({"who": str(who), "kind": kind, "begin": begin, "end": time.monotonic_ns(), **facts}), flush=True)

async def main():
    global left
    while left:
        async with GitStateBackend(folder) as backend:
            for _ in range(min(left, chance.randrange(10, 60))):
                left -= 1
                begin, luck = time.monotonic_ns(), chance.random()
                if luck < 0.45:
                    await backend.mark_sheet_status("shared", who, "in_progress")
                    tell("add", begin, counter=f"sheet {who}")
                elif luck < 0.7:
                    state = await backend.load("shared")
                    begin = time.monotonic_ns()
                    state.total_retry_count += 1
                    await backend.save(state)
                    tell("add", begin, counter="retries")
                elif luck < 0.98:
                    state = await backend.load("shared")
                    seen = {f"sheet {number}": sheet.attempt_count for number, sheet in state.sheets.items()}
                    tell("read", begin, seen={**seen, "retries": state.total_retry_count})
                elif who == 1:
                    commands = (["gc", "--prune=now", "-q"], ["repack", "-adq"], ["multi-pack-index", "write"])
                    subprocess.run(["git", "-C", folder, *chance.choice(commands)], capture_output=True)
                else:
                    await asyncio.to_thread(backend.store.gc)

asyncio.run(main())
"""


async def prepare(folder: Path, sheets: int) -> None:
    async with GitStateBackend(folder) as backend:
        await backend.save(CheckpointState(job_id="shared", job_name="shared", total_sheets=sheets))


async def counters(folder: Path) -> dict[str, int]:
    async with GitStateBackend(folder) as backend:
        state = await backend.load("shared")
        assert state is not None
        seen = {f"sheet {number}": sheet.attempt_count for number, sheet in state.sheets.items()}
        return {**seen, "retries": state.total_retry_count}


def race(folder: Path, processes: int, calls_each: int, seed: int) -> list[Call]:
    """Let processes work at once; return their calls, when the history is right."""
    asyncio.run(prepare(folder, processes))
    before = int(git(folder, "rev-list", "--count", "main"))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(who), str(calls_each), str(seed + who)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for who in range(1, processes + 1)
    ]
    calls: list[Call] = []
    for worker in workers:
        said, errors = worker.communicate(timeout=600)
        assert worker.returncode == 0, errors
        calls += [Call(**json.loads(line)) for line in said.splitlines()]
    commits = int(git(folder, "rev-list", "--count", "main")) - before
    assert check(calls, asyncio.run(counters(folder)), commits) == []
    fsck(folder)
    return calls


def test_four_processes_agree_on_what_happened(tmp_path: Path) -> None:
    calls = race(tmp_path / "state", 4, 100, seed=1)
    assert {"add", "read"} == {call.kind for call in calls}
    assert len(calls) > 350  # the others were upkeep


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_eight_processes_agree_on_what_happened(tmp_path: Path, seed: int) -> None:
    race(tmp_path / "state", 8, 3000, seed=100 * seed)


GOOD = [
    Call("1", "add", 0, 10, "a"),
    Call("2", "add", 5, 20, "a"),
    Call("1", "read", 11, 12, seen={"a": 1}),
    Call("1", "read", 21, 22, seen={"a": 2}),
]


def test_a_good_history_is_good() -> None:
    assert check(GOOD, {"a": 2}, 2) == []


@pytest.mark.parametrize(
    ("calls", "final", "commits", "fault"),
    [
        (GOOD, {"a": 1}, 2, "a is 1 in the end, after 2 additions"),
        (GOOD, {"a": 2}, 3, "2 additions were acknowledged, 3 commits are there"),
        ([*GOOD, Call("3", "read", 30, 31, seen={"a": 1})], {"a": 2}, 2, "3 read a as 1 when it was from 2 to 2"),
        ([*GOOD, Call("3", "read", 1, 2, seen={"a": 2})], {"a": 2}, 2, "3 read a as 2 when it was from 0 to 1"),
        (
            [*GOOD[:2], Call("1", "read", 6, 7, seen={"a": 2}), Call("1", "read", 8, 9, seen={"a": 1})],
            {"a": 2},
            2,
            "1 read a as 1 after 2",
        ),
    ],
    ids=["lost", "doubled", "stale", "too early", "back"],
)
def test_a_bad_history_is_found_out(calls: list[Call], final: dict[str, int], commits: int, fault: str) -> None:
    assert check(calls, final, commits) == [fault]
