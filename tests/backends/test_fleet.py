"""Several machines by way of a bare repository: how far they are apart, and the jobs of all of them."""

import os
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, InMemoryStateBackend, errors
from gitstate.backends.fleet_jobs import Fleet, FleetJob
from tests.clocks import Clock
from tests.git import git

HERE = socket.gethostname()


def job(name: str = "nightly") -> CheckpointState:
    return CheckpointState(job_id=name, job_name=name.title(), total_sheets=3)


async def run_sheet(backend: GitStateBackend, sheet: int, name: str = "nightly", *, host: str | None = None) -> None:
    """Save a job twice: a sheet begins, and is completed."""
    state = await backend.load(name) or job(name)
    state.mark_sheet_started(sheet)
    if host is not None:
        state.pid, state.host = os.getpid(), host
    await backend.save(state)
    state.mark_sheet_completed(sheet)
    await backend.save(state)


class Machines:
    """Two machines, ``here`` and ``there``, that both know the job ``nightly``; and a hub between them."""

    def __init__(self, here: GitStateBackend, there: GitStateBackend, hub: Path) -> None:
        self.here = here
        self.there = there
        self.hub = hub

    async def run_there(self, sheet: int, name: str = "nightly", **options: Any) -> None:
        """Save there, and let it be seen here."""
        await run_sheet(self.there, sheet, name, **options)
        await self.there.sync()
        await self.here.fetch()


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[Machines]:
    hub = tmp_path / "hub.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "hub.git")
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(GitStateBackend(tmp_path / "here"))
        await run_sheet(here, 1)
        await here.add_remote("origin", str(hub))
        await here.sync()
        there = await stack.enter_async_context(await GitStateBackend.clone(str(hub), tmp_path / "there"))
        yield Machines(here, there, hub)


def by_id(fleet: Fleet) -> dict[str, FleetJob]:
    return {each.job_id: each for each in fleet.jobs}


async def only(backend: GitStateBackend, **options: Any) -> FleetJob:
    (found,) = (await backend.fleet(**options)).jobs
    return found


# The lag


async def test_nothing_is_apart_after_a_sync(machines: Machines) -> None:
    lag = await machines.here.lag()
    assert (lag.commits, lag.saves, lag.unmerged, lag.since, lag.seconds) == (0, 0, 0, None, 0.0)
    assert lag.tip == machines.here.store.head()
    assert not lag.is_diverged
    assert lag.background is None


async def test_saves_are_counted_from_the_oldest_that_is_not_there(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    await run_sheet(machines.here, 2)
    saved = clock.now
    clock.now += timedelta(minutes=5)
    await run_sheet(machines.here, 3)
    lag = await machines.here.lag()
    assert (lag.commits, lag.saves, lag.seconds) == (4, 4, 300.0)
    assert lag.since == saved
    await machines.here.sync()
    assert (await machines.here.lag()).saves == 0


def commit_at(folder: Path, when: str) -> str:
    """Make a commit of a time that git itself refuses, and return its id."""
    tree, parent = git(folder, "rev-parse", "main^{tree}", "main").split()
    who = f"A <a@b> {when} +0000"
    text = f"tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\nodd\n\nGitstate-Job: nightly\n"
    (folder.parent / "commit").write_text(text)
    made = git(folder, "hash-object", "-t", "commit", "-w", "--literally", "../commit").strip()
    git(folder, "update-ref", "refs/heads/main", made)
    return made


@pytest.mark.parametrize("when", ["9" * 18, "-" + "9" * 18])
async def test_times_that_are_none_stop_nothing(machines: Machines, when: str) -> None:
    odd = commit_at(machines.hub.parent / "here", when)
    assert (await machines.here.lag()).saves == 1
    assert (await only(machines.here)).unpushed == 1
    assert [each.revision for each in await machines.here.history("nightly", 10)].count(odd) == 1


async def test_a_merge_is_a_commit_and_no_save(machines: Machines) -> None:
    await run_sheet(machines.here, 2)
    await machines.run_there(3)
    lag = await machines.here.lag()
    assert (lag.commits, lag.saves, lag.unmerged, lag.is_diverged) == (2, 2, 2, True)
    git(machines.hub, "config", "receive.denyNonFastForwards", "true")
    hook = machines.hub / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(errors.RejectedError):
        await machines.here.sync()
    lag = await machines.here.lag()
    assert (lag.saves, lag.unmerged) == (2, 0)
    assert lag.commits == 3


async def test_of_a_remote_that_was_never_seen_all_is_unpushed(machines: Machines, tmp_path: Path) -> None:
    await machines.here.add_remote("backup", str(tmp_path / "nowhere"))
    lag = await machines.here.lag("backup")
    assert (lag.tip, lag.seen, lag.saves) == (None, None, 3)
    with pytest.raises(errors.NotFoundError):
        await machines.here.lag("nobody")


async def test_when_a_remote_was_seen(machines: Machines) -> None:
    async def seen() -> float:
        lag = await machines.here.lag()
        assert lag.seen is not None
        return (datetime.now(UTC) - lag.seen).total_seconds()

    assert await seen() < 30
    log = machines.here.store.path / ".git/logs/refs/remotes/origin/main"  # type: ignore[operator]
    note = machines.here.store.path / ".git/gitstate/seen/origin"  # type: ignore[operator]
    hour_ago = time.time() - 3600
    os.utime(note, (hour_ago, hour_ago))
    log.write_text(re.sub("> [0-9]+ ", f"> {int(hour_ago) - 60} ", log.read_text()))
    assert 3590 < await seen() < 3660
    await machines.here.fetch()
    assert await seen() < 30


async def test_a_fetch_with_git_counts(machines: Machines) -> None:
    path = machines.here.store.path
    assert path is not None
    note = path / ".git/gitstate/seen/origin"
    note.unlink()
    log = path / ".git/logs/refs/remotes/origin/main"
    log.unlink()
    assert (await machines.here.lag()).seen is None
    git(path, "fetch", "-q")
    assert (await machines.here.lag()).seen is not None


async def test_a_backend_in_memory_has_no_remotes() -> None:
    async with InMemoryStateBackend() as backend:
        assert not hasattr(backend, "lag")
        assert not hasattr(backend, "fleet")


# The jobs of all machines


async def test_a_job_that_is_alike_on_both_sides(machines: Machines) -> None:
    found = await only(machines.here)
    assert (found.job_id, found.name, found.status, found.done, found.total) == ("nightly", "Nightly", "running", 1, 3)
    (standing,) = found.standings
    assert (standing.remote, standing.unpushed, standing.unmerged) == ("origin", 0, 0)
    assert standing.is_here and standing.is_there
    assert (found.source, found.author, found.is_stale, found.rescues) == ("", "A Tester", False, 0)


async def test_what_is_here_and_not_there(machines: Machines) -> None:
    await run_sheet(machines.here, 2)
    await machines.here.save(job("new"))
    found = by_id(await machines.here.fleet())
    assert (found["nightly"].unpushed, found["nightly"].unmerged, found["nightly"].done) == (2, 0, 2)
    assert found["nightly"].source == ""
    assert (found["new"].unpushed, found["new"].standings[0].is_there) == (1, False)


async def test_what_is_there_and_not_here(machines: Machines) -> None:
    await machines.run_there(2)
    await machines.run_there(1, "theirs", host="gpu-1")
    before = machines.here.store.head()
    fleet = await machines.here.fleet()
    found = by_id(fleet)
    assert (found["nightly"].unpushed, found["nightly"].unmerged, found["nightly"].done) == (0, 2, 2)
    assert found["nightly"].source == "origin"
    theirs = found["theirs"]
    assert (theirs.host, theirs.source, theirs.status, theirs.unmerged) == ("gpu-1", "origin", "running", 2)
    assert (theirs.standings[0].is_here, theirs.standings[0].is_there) == (False, True)
    assert fleet.remotes[0].unmerged == 4
    assert machines.here.store.head() == before
    assert await machines.here.load("theirs") is None


async def test_where_both_sides_moved_the_later_save_is_shown(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    await run_sheet(machines.here, 2)
    clock.now += timedelta(hours=1)
    await machines.run_there(3)
    found = await only(machines.here)
    assert (found.unpushed, found.unmerged, found.is_diverged) == (2, 2, True)
    assert (found.source, found.saved) == ("origin", clock.now)
    clock.now += timedelta(hours=1)
    await run_sheet(machines.here, 3)
    found = await only(machines.here)
    assert (found.source, found.saved, found.unpushed) == ("", clock.now, 4)
    await machines.here.sync()
    found = await only(machines.here)
    assert (found.unpushed, found.unmerged, found.is_diverged) == (0, 0, False)


async def test_jobs_that_one_side_deleted(machines: Machines) -> None:
    await machines.run_there(1, "weekly")
    await machines.here.sync()
    await machines.here.delete("nightly")
    await machines.there.delete("weekly")
    await machines.there.sync()
    await machines.here.fetch()
    found = by_id(await machines.here.fleet())
    nightly, weekly = found["nightly"], found["weekly"]
    assert (nightly.unpushed, nightly.standings[0].is_here, nightly.source) == (1, False, "origin")
    assert (weekly.unmerged, weekly.standings[0].is_there, weekly.source) == (1, False, "")
    await machines.here.sync()
    assert (await machines.here.fleet()).jobs == ()


async def test_what_only_a_merge_changed_is_on_one_side_alone(machines: Machines) -> None:
    await run_sheet(machines.here, 2)
    await machines.run_there(3)
    hook = machines.hub / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(errors.RejectedError):
        await machines.here.sync()
    found = await only(machines.here)
    assert (found.unpushed, found.unmerged) == (2, 0)


async def test_commits_of_people_count_too(machines: Machines) -> None:
    path = machines.there.store.path
    assert path is not None
    await machines.there.close()  # else it may hold git's index at that moment
    file = path / "jobs/nightly/job.json"
    file.write_text(file.read_text().replace("Nightly", "By hand"))
    git(path, "commit", "-qam", "by hand")
    git(path, "push", "-q")
    await machines.here.fetch()
    found = await only(machines.here)
    assert (found.unmerged, found.name, found.source) == (1, "By hand", "origin")


async def test_a_job_that_is_no_state_there_says_so_and_hides_nothing(machines: Machines) -> None:
    path = machines.there.store.path
    assert path is not None
    await machines.there.close()
    (path / "jobs/broken").mkdir()
    (path / "jobs/broken/job.json").write_text("oops\n")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "oops")
    git(path, "push", "-q")
    await machines.here.fetch()
    found = by_id(await machines.here.fleet())
    assert found["nightly"].status == "running"
    assert found["broken"].status is None
    assert "job.json" in (found["broken"].error or "")
    git(path, "rm", "-q", "-r", "jobs/broken")
    git(path, "commit", "-qm", "away")
    git(path, "push", "-q")


async def test_several_remotes(machines: Machines, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "backup.git")
    await machines.here.add_remote("backup", str(tmp_path / "backup.git"))
    fleet = await machines.here.fleet()
    assert [each.remote for each in fleet.remotes] == ["backup", "origin"]
    assert [each.remote for each in fleet.jobs[0].standings] == ["origin"]  # the other one was never seen
    await machines.here.sync("backup")
    await run_sheet(machines.here, 2)
    await machines.here.sync("backup")
    found = await only(machines.here)
    assert {each.remote: each.unpushed for each in found.standings} == {"backup": 0, "origin": 2}
    assert found.unpushed == 2
    (standing,) = (await only(machines.here, remote="backup")).standings
    assert (standing.remote, standing.unpushed) == ("backup", 0)
    assert len((await only(machines.here, remote=["origin", "backup", "origin"])).standings) == 2


async def test_fetch_first(machines: Machines) -> None:
    await run_sheet(machines.there, 2)
    await machines.there.sync()
    assert (await only(machines.here)).unmerged == 0
    assert (await only(machines.here, fetch=True)).unmerged == 2


async def test_offline_it_shows_what_was_seen_last_and_says_what_is_wrong(machines: Machines) -> None:
    await machines.run_there(2)
    machines.hub.rename(machines.hub.with_name("away"))
    fleet = await machines.here.fleet(fetch=True)
    machines.hub.with_name("away").rename(machines.hub)
    assert fleet.jobs[0].unmerged == 2
    assert fleet.failures["origin"].code == "no-repository"
    assert fleet.remotes[0].seen is not None


async def test_a_remote_that_has_no_store_hides_nothing(machines: Machines, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "code")
    git(tmp_path / "code", "commit", "-q", "--allow-empty", "-m", "code")
    await machines.here.add_remote("code", str(tmp_path / "code"))
    fleet = await machines.here.fleet(fetch=True)
    assert fleet.failures["code"].code == "unsupported"
    assert [each.job_id for each in fleet.jobs] == ["nightly"]


async def test_without_remotes_the_jobs_are_those_that_are_here(tmp_path: Path) -> None:
    async with GitStateBackend(tmp_path / "alone") as backend:
        await backend.save(job())
        fleet = await backend.fleet()
        assert [each.job_id for each in fleet.jobs] == ["nightly"]
        assert (fleet.remotes, fleet.jobs[0].standings, fleet.jobs[0].unpushed) == ((), (), 0)


async def test_rescues_are_counted(machines: Machines) -> None:
    for backend, name in ((machines.here, "ours"), (machines.there, "theirs")):
        state = await backend.load("nightly")
        assert state is not None
        state.job_name = name
        await backend.save(state)
    await machines.there.sync()
    await machines.here.sync()
    assert (await only(machines.here)).rescues == 1


# Jobs that are silent


async def test_a_job_that_is_running_and_silent_is_stale(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    await run_sheet(machines.here, 2, host=HERE)
    clock.now += timedelta(minutes=9)
    assert not (await only(machines.here)).is_stale
    clock.now += timedelta(minutes=1)
    assert (await only(machines.here)).is_stale
    assert not (await only(machines.here, stale=3600)).is_stale
    assert (await only(machines.here, stale=timedelta(seconds=1))).is_stale


async def test_a_job_elsewhere_is_silent_by_the_time_at_which_the_remote_was_seen(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    await machines.run_there(2, host="gpu-1")
    saved = (await only(machines.here)).saved
    assert saved is not None
    clock = Clock(monkeypatch)
    clock.now = saved + timedelta(hours=5)  # nobody looked meanwhile
    assert not (await only(machines.here)).is_stale
    await machines.here.sync()
    assert not (await only(machines.here)).is_stale
    note = machines.here.store.path / ".git/gitstate/seen/origin"  # type: ignore[operator]
    later = (saved + timedelta(hours=2)).timestamp()
    os.utime(note, (later, later))
    assert (await only(machines.here)).is_stale


async def test_a_completed_job_is_never_stale(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    state = await machines.here.load("nightly")
    assert state is not None
    for sheet in (2, 3):
        state.mark_sheet_started(sheet)
        state.mark_sheet_completed(sheet)
    await machines.here.save(state)
    clock = Clock(monkeypatch)
    clock.now = datetime.now(UTC) + timedelta(days=9)
    found = await only(machines.here)
    assert (found.status, found.is_stale) == ("completed", False)


@pytest.mark.parametrize("stale", ["soon", float("nan"), object()])
async def test_what_is_no_duration_is_refused(machines: Machines, stale: Any) -> None:
    with pytest.raises(errors.InvalidInputError, match="no time to be silent"):
        await machines.here.fleet(stale=stale)


async def test_an_unknown_remote_is_an_error(machines: Machines) -> None:
    with pytest.raises(errors.NotFoundError, match="nobody"):
        await machines.here.fleet("nobody")
