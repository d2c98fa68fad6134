"""A purge that is killed at any change of a file: the store is the old one or the new one, and the next one ends it."""

import asyncio
import shutil
from pathlib import Path

import pytest

from gitstate import GitStateBackend
from gitstate.errors import NotFoundError
from tests.backends.purging import NAME, purge, work
from tests.git import fsck, git
from tests.remains import holders
from tests.survival.calls import Calls
from tests.survival.checks import copy
from tests.survival.forks import fork
from tests.survival.test_kills import KILLED, Death, moments

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

KILLS = 6  # for each way: with all moments the test would take minutes


async def prepare(folder: Path) -> str:
    """Make a store, and return the token of the plan that purges a job from it."""
    async with GitStateBackend(folder) as backend:
        await work(backend, "weekly", sheets=1)
        await work(backend, NAME, sheets=1)
        await backend.pin(NAME, "mine")
        await backend.pin("weekly", "good")
        await backend.propose("x")
        await work(backend, "weekly", sheets=1)
    async with GitStateBackend(folder, branch="proposals/x") as backend:
        await work(backend, "weekly", sheets=1)
    git(folder, "update-ref", "refs/remotes/origin/main", "main")
    async with GitStateBackend(folder) as backend:
        return (await backend.plan_purge([NAME])).token


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("ended_by", ["purge", "verify"])
def test_it_is_old_or_new_and_the_next_one_ends_it(
    tmp_path: Path, torn: bool, ended_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = tmp_path / "prepared"
    token = asyncio.run(prepare(prepared))
    old = git(prepared, "rev-parse", "main").strip()

    def purging(folder: Path, _: object) -> None:
        async def work_on() -> None:
            async with GitStateBackend(folder) as backend:
                await backend.purge([NAME], confirm=token)

        with monkeypatch.context() as hidden:  # what git does cannot be watched
            hidden.setattr("gitstate.engine.cgit.shutil.which", lambda _: None)
            asyncio.run(work_on())

    healthy = Death(0, torn=torn)
    folder = copy(prepared, tmp_path / "healthy")
    with Calls(tmp_path, healthy):
        purging(folder, None)
    wanted = {line for line in git(folder, "for-each-ref").splitlines() if "remotes" not in line}
    new = git(folder, "rev-parse", "main").strip()
    found = moments(healthy.kinds)
    stride = max(1, len(found) // KILLS)
    states = set()
    for number in [*found[(torn + 2 * (ended_by == "verify")) % stride :: stride], found[-1]]:
        folder = copy(prepared, tmp_path / str(number))
        assert fork(Death(number, torn=torn), folder, purging)[0] in (0, KILLED)
        head = git(folder, "rev-parse", "main").strip()
        assert head in (old, new)
        states.add(head)
        asyncio.run(end(folder, ended_by if head == new else "purge"))
        assert {line for line in git(folder, "for-each-ref").splitlines() if "remotes" not in line} == wanted
        assert holders(folder / ".git", NAME.encode()) == [], f"killed at {number}"
        assert git(folder, "status", "--porcelain") == ""
        assert not (folder / ".git/gitstate/purge").exists()
        fsck(folder)
        shutil.rmtree(folder)
    assert states == {old, new}


async def end(folder: Path, how: str) -> None:
    if how == "purge":
        try:
            await purge(folder, NAME)
        except NotFoundError:
            return  # there was nothing left to do
    async with GitStateBackend(folder) as backend:
        assert (await backend.verify(repair=True)).ok
        assert (await backend.verify()).problems == ()
