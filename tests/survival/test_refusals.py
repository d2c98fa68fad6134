"""Saves that are refused, by processes that race, die, or meet a disk that refuses or a cut of the power: each state
that a caller was told is kept is whole.
"""

import asyncio
import errno
import json
import os
import random
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, ConflictError, GitStateBackend
from gitstate.engine import journal
from gitstate.errors import GitStateError
from gitstate.store.rescues import FOLDER
from tests.git import fsck, git
from tests.survival.calls import Calls, Note
from tests.survival.checks import history, leftovers
from tests.survival.power import Record, cuts
from tests.survival.test_errors import Refusal
from tests.survival.test_kills import Death, fresh, moments, run_until
from tests.survival.workloads import Answer, new_state


async def two_copies(backend: GitStateBackend, number: int) -> tuple[CheckpointState, CheckpointState]:
    """Return two copies of a job, both changed at one place."""
    one, two = await backend.load("job"), await backend.load("job")
    assert one is not None and two is not None
    one.metadata["x"], two.metadata["x"] = f"saved {number}", f"refused {number}"
    two.metadata["whole"] = "x" * 1000
    return one, two


async def refuse(backend: GitStateBackend, number: int) -> ConflictError:
    """Save one of two copies, and have the other one refused."""
    one, two = await two_copies(backend, number)
    await backend.save(one)
    with pytest.raises(ConflictError) as caught:
        await backend.save(two)
    return caught.value


def refusing(folder: Path, answered: Answer, *, count: int = 1, durability: str = "full") -> None:
    async def work() -> None:
        async with GitStateBackend(folder, durability=durability) as backend:
            if await backend.load("job") is None:
                await backend.save(new_state("job"))
            for number in range(count):
                answered((await refuse(backend, number)).rescue.removeprefix(FOLDER + "job/"))

    asyncio.run(work())


def saving(folder: Path, answered: Answer) -> None:
    """The first half of that, which other tests look at."""

    async def work() -> None:
        async with GitStateBackend(folder) as backend:
            one, _ = await two_copies(backend, 0)
            await backend.save(one)
            answered(backend.store.head())

    asyncio.run(work())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "state"
    refusing(folder, lambda _: None, count=0)
    return folder


def kept(folder: Path, acknowledged: list[str]) -> None:
    """Check that what was told to be kept is there and whole, and that the next save is refused and kept at once."""

    async def work() -> None:
        async with GitStateBackend(folder) as backend:
            found = await backend.rescues("job")
            assert set(acknowledged) <= {each.revision for each in found}
            for each in found:
                value: Any = (await backend.show_rescue(each.name)).value
                assert value["metadata"]["x"].startswith("refused") and value["metadata"]["whole"] == "x" * 1000
                history(folder, each.revision)
            assert (await refuse(backend, 100)).rescue
            assert (await backend.verify()).ok

    asyncio.run(work())


@pytest.mark.parametrize("torn", [False, True], ids=["before", "torn"])
def test_a_process_that_dies_while_it_is_refused_leaves_nothing_or_everything(
    prepared: Path, scratch: Path, torn: bool
) -> None:
    healthy, half = Death(0, torn=torn), Death(0, torn=torn)
    for death, work in ((half, saving), (healthy, refusing)):
        with Calls(scratch, death):
            work(fresh(prepared, scratch / work.__name__), lambda _: None)
    kills, known = 0, set(pairwise(half.kinds))
    new = [n for n in moments(healthy.kinds) if (*healthy.kinds[max(0, n - 2) : n],) not in known]
    for number in new if torn else new[::2]:
        folder = fresh(prepared, scratch / str(number))
        killed, acknowledged = run_until(Death(number, torn=torn), folder, refusing)
        kept(folder, acknowledged)
        assert leftovers(folder) == []
        if number % 10 == 0:
            fsck(folder)
        shutil.rmtree(folder)
        kills += killed
    assert kills > (2 if torn else 10)


def test_a_disk_that_refuses_is_told_of_and_hides_no_conflict(prepared: Path, scratch: Path) -> None:
    async def meet(folder: Path, fate: Refusal | None) -> tuple[bool, list[str]]:
        """Be refused with the same state until it is kept; return whether it was said that it is not, and what is."""
        told = False
        async with GitStateBackend(folder) as backend:
            one, two = await two_copies(backend, 0)
            await backend.save(one)
            calls = Calls(scratch, fate) if fate is not None else None
            if calls is not None:
                calls.__enter__()
            try:
                for _ in range(3):
                    try:
                        await backend.save(two)
                    except ConflictError as error:
                        assert [each.pointer for each in error.conflicts] == ["/metadata/x"]
                        if error.rescue:
                            return told, [error.rescue.removeprefix(FOLDER + "job/")]
                        assert "could not be kept aside" in str(error)
                        told = True
                    except GitStateError:
                        continue  # it was refused before it was looked at
            finally:
                if calls is not None:
                    calls.__exit__()
        raise AssertionError("it was refused once only")

    healthy = Refusal(0, errno.ENOSPC, plausible=False)
    asyncio.run(meet(fresh(prepared, scratch / "healthy"), healthy))
    counts = 0
    for number in moments(healthy.kinds):
        folder = fresh(prepared, scratch / str(number))
        told, acknowledged = asyncio.run(meet(folder, Refusal(number, errno.ENOSPC, plausible=False)))
        kept(folder, acknowledged)
        assert leftovers(folder) == []
        counts += told
        shutil.rmtree(folder)
    assert counts > 3


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_a_cut_of_the_power_takes_nothing_that_was_kept(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with Calls(disk) as calls:
        refusing(disk / "state", calls.note, count=3, durability=durability)
    known = Record(calls, tuple(calls.steps), ())
    monkeypatch.setattr(journal, "boot_id", lambda: "another")
    notes = [end for end, step in enumerate(known.steps, 1) if isinstance(step, Note)]
    ends = sorted({*notes, *random.Random(1).sample(range(notes[0], len(known.steps)), 15)})
    for number, cut in enumerate(cuts(known, ends, singles=1, mixtures=1)):
        folder = scratch / f"cut-{number}"
        cut.image.write(folder)
        acknowledged = [step.what for step in known.steps[: cut.end] if isinstance(step, Note)]
        try:
            kept(folder / "state", acknowledged)
        except Exception as error:
            raise AssertionError(f"after step {cut.end}, lost {cut.lost}") from error
        shutil.rmtree(folder)


WORKER = """
import asyncio, json, sys
from gitstate import ConflictError, GitStateBackend

folder, who, saves = sys.argv[1], sys.argv[2], int(sys.argv[3])

async def main():
    async with GitStateBackend(folder) as backend:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(saves):
            state = await backend.load("shared")
            if number % 2:
                await asyncio.sleep(0.05)  # so that others come between, on a busy machine too
            mine = f"{who}-{number}"
            state.metadata["last"] = mine
            state.metadata[mine] = mine
            try:
                await backend.save(state)
                print(json.dumps(["saved", mine, ""]), flush=True)
            except ConflictError as error:
                print(json.dumps(["refused", mine, error.rescue]), flush=True)

asyncio.run(main())
"""


def test_four_processes_whose_saves_conflict_lose_no_state(tmp_path: Path) -> None:
    folder = tmp_path / "state"

    async def prepare() -> None:
        async with GitStateBackend(folder) as backend:
            await backend.save(new_state("shared"))

    asyncio.run(prepare())
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(who), "50"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for who in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told: list[tuple[str, str, str]] = []
    for worker in workers:
        said, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
        told += [tuple(json.loads(line)) for line in said.splitlines()]
    refused = {mine: ref for what, mine, ref in told if what == "refused"}
    saved = [mine for what, mine, _ in told if what == "saved"]
    assert len(refused) > 10 and all(refused.values()), "each of them is kept"
    assert set(git(folder, "for-each-ref", "--format=%(refname)", FOLDER).split()) == set(refused.values())

    async def check() -> None:
        async with GitStateBackend(folder) as backend:
            now = await backend.load("shared")
            assert now is not None and set(saved) == now.metadata.keys() - {"last"}
            for mine, ref in refused.items():
                whole: Any = (await backend.show_rescue(ref)).value
                assert (whole["metadata"]["last"], whole["metadata"][mine]) == (mine, mine)
                assert (whole["job_id"], whole["total_sheets"]) == ("shared", 3)
            report = await backend.verify()
            assert (report.ok, report.rescues) == (True, len(refused))

    asyncio.run(check())
    fsck(folder)
    assert os.listdir(folder / ".git/objects/pack")
