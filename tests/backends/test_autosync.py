"""Saves that are synced in the background: with a bare repository on this disk, and with servers that are not there."""

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend, errors
from tests.git import git
from tests.servers import daemon, proxy

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def job(name: str = "nightly") -> CheckpointState:
    return CheckpointState(job_id=name, job_name=name, total_sheets=100)


@pytest.fixture
def path(tmp_path: Path, hub: Path) -> Path:
    """A store that has the hub for a remote, which has nothing yet."""
    path = tmp_path / "state"

    async def make() -> None:
        async with GitStateBackend(path) as backend:
            await backend.add_remote("origin", str(hub))

    asyncio.run(make())
    return path


def tip(folder: Path) -> str:
    """Return where a repository's branch stands, if it has one."""
    with suppress(subprocess.CalledProcessError):
        return git(folder, "rev-parse", "-q", "--verify", "refs/heads/main").strip()
    return ""


async def until(holds: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return True
        await asyncio.sleep(0.02)
    return False


def move(path: Path, to: Path) -> None:
    path.rename(to)


def syncing(path: Path, **options: Any) -> GitStateBackend:
    return GitStateBackend(path, sync="after-save", **{"sync_delay": 0.05, **options})


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_save_gets_there_by_itself(path: Path, hub: Path) -> None:
    async with syncing(path) as backend:
        for number in range(3):
            await backend.save(job(f"job-{number}"))
            assert await until(lambda: tip(hub) == backend.store.head())

        async def is_settled() -> bool:
            lag = await backend.lag()
            return lag.background is not None and not (lag.background.is_running or lag.background.is_waiting)

        assert await until(is_settled)
        lag = await backend.lag()
        assert (lag.saves, lag.unmerged) == (0, 0)
        assert lag.background is not None
        assert lag.background.succeeded is not None
        assert (lag.background.failure, lag.background.failing_since) == (None, None)


async def test_saves_go_together(path: Path, hub: Path) -> None:
    async with syncing(path, sync_delay=3600.0) as backend:
        for number in range(20):
            await backend.save(job(f"job-{number}"))
        lag = await backend.lag()
        assert lag.saves == 21
        assert lag.background is not None and lag.background.is_waiting
        assert lag.background.next_try is not None
        assert tip(hub) == ""
        head = backend.store.head()
    assert tip(hub) == head  # the last thing that close does


async def test_flush_does_not_sync(path: Path, hub: Path) -> None:
    async with syncing(path, sync_delay=3600.0, sync_at_close=0.0) as backend:
        await backend.save(job())
        await backend.flush()
    assert tip(hub) == ""


async def test_what_an_earlier_run_could_not_bring_there_goes_with_the_next(path: Path, hub: Path) -> None:
    async with GitStateBackend(path) as backend:
        await backend.save(job())
    async with syncing(path) as backend:
        assert await until(lambda: tip(hub) == backend.store.head())


async def test_what_others_saved_comes_along(path: Path, hub: Path, tmp_path: Path) -> None:
    async with syncing(path) as backend:
        await backend.save(job("ours"))
        assert await until(lambda: tip(hub) == backend.store.head())
        async with await GitStateBackend.clone(str(hub), tmp_path / "other") as other:
            await other.save(job("theirs"))
            await other.sync()
        await backend.save(job("more"))
        assert await until(lambda: tip(hub) == backend.store.head())
        assert await backend.load("theirs") is not None


async def test_offline_is_normal(path: Path, hub: Path, caplog: pytest.LogCaptureFixture) -> None:
    away = hub.with_name("away.git")
    async with syncing(path) as backend:
        move(hub, away)
        for number in range(5):
            await backend.save(job(f"job-{number}"))

        async def fails() -> bool:
            state = (await backend.lag()).background
            return state is not None and state.failures > 0

        assert await until(fails)
        lag = await backend.lag()
        assert lag.saves == 6
        assert lag.background is not None and lag.background.failure is not None
        assert lag.background.failure.code == "no-repository"
        assert lag.background.failing_since is not None and lag.background.next_try is not None
        move(away, hub)
        await backend.sync()
        state = (await backend.lag()).background
        assert state is not None and (state.failing_since, state.failures) == (None, 0)
        await backend.save(job("back"))
        assert await until(lambda: tip(hub) == backend.store.head())
    assert [text.partition(":")[0].partition(";")[0] for text in warnings(caplog)] == [
        "syncing with origin fails",
        "syncing with origin works again",
    ]


async def test_a_remote_that_is_not_there_is_refused_at_once(path: Path) -> None:
    with pytest.raises(errors.NotFoundError, match="backup"):
        syncing(path, sync_remote="backup")
    async with GitStateBackend(path) as backend:  # nothing of it is left
        await backend.save(job())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sync": "always"}, "no way 'always' to sync"),
        ({"sync": True}, "no way True to sync"),
        ({"sync_delay": -1}, "the delay of a sync"),
        ({"sync_delay": "soon"}, "the delay of a sync"),
        ({"sync_at_close": -1}, "a patience is seconds"),
        ({"sync_at_close": float("nan")}, "a patience is seconds"),
    ],
)
async def test_what_cannot_be_meant(path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.InvalidInputError, match=says):
        GitStateBackend(path, **{"sync": "after-save", **options})


async def test_the_end_waits_no_longer_than_it_was_told_for_a_server_that_says_nothing(
    path: Path, hub: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with daemon(hub.parent) as url, proxy(int(url.rpartition(":")[2].strip("/")), stall_after=0) as silent:
        git(path, "remote", "set-url", "origin", f"git://127.0.0.1:{silent.port}/hub.git")
        backend = syncing(path, sync_at_close=0.3)
        await backend.save(job())
        assert await until(lambda: silent.connections > 0)
        begun = time.monotonic()
        await backend.save(job("while it hangs"))
        assert time.monotonic() - begun < 5.0
        begun = time.monotonic()
        await backend.close()
        assert time.monotonic() - begun < 10.0
    assert warnings(caplog) == [
        "the last sync with origin did not end in 0.3 s; what was saved is here, and the next sync takes it along"
    ]
    git(path, "remote", "set-url", "origin", str(hub))
    async with syncing(path) as backend:
        assert await until(lambda: tip(hub) == backend.store.head())


async def test_saves_are_not_slower_while_a_sync_waits_for_the_network(path: Path, hub: Path) -> None:
    async def usual(backend: GitStateBackend) -> float:
        times = []
        for number in range(20):
            begun = time.perf_counter()
            await backend.save(job(f"job-{number}"))
            times.append(time.perf_counter() - begun)
        return sorted(times)[10]

    async with GitStateBackend(path) as backend:
        without = await usual(backend)
    with daemon(hub.parent) as url, proxy(int(url.rpartition(":")[2].strip("/")), drip=0.02) as slow:
        git(path, "remote", "set-url", "origin", f"git://127.0.0.1:{slow.port}/hub.git")
        async with syncing(path, sync_at_close=0.0) as backend:
            assert await until(lambda: slow.connections > 0)
            during = await usual(backend)
            assert tip(hub) == ""
            assert (await backend.lag()).background is not None
            assert tip(hub) == "" or slow.connections > 1
    assert during < 5 * without + 0.1


PROGRAM = """
import asyncio, sys
from gitstate import CheckpointState, GitStateBackend

async def main():
    backend = GitStateBackend(sys.argv[1], sync="after-save", sync_delay=3600.0)
    await backend.save(CheckpointState(job_id="last", job_name="last", total_sheets=1))
    return backend

forgotten = asyncio.run(main())
print("saved", flush=True)
"""


def test_a_program_that_ends_without_a_word_syncs_for_the_last_time(path: Path, hub: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, path], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "saved\n", "")
    assert tip(hub) == tip(path)
    assert git(hub, "log", "-1", "--format=%s").startswith("last: ")


async def test_a_backend_that_was_forgotten_syncs_what_waits(path: Path, hub: Path) -> None:
    backend: GitStateBackend | None = syncing(path, sync_delay=0.5)
    assert backend is not None
    await backend.save(job())
    head = backend.store.head()
    backend = None
    assert await until(lambda: tip(hub) == head)


def closed_by_a_child(backend: GitStateBackend) -> int:
    """Let a forked child close its copy of a backend; return its exit status."""
    child = os.fork()
    if not child:
        with suppress(BaseException):
            backend.store.close()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def test_a_forked_child_syncs_nothing_and_ends(path: Path, hub: Path) -> None:
    async with syncing(path, sync_delay=3600.0) as backend:
        await backend.save(job())
        assert closed_by_a_child(backend) == 0
        assert tip(hub) == ""
        head = backend.store.head()
    assert tip(hub) == head


WRITER = """
import asyncio, sys
from gitstate import CheckpointState, GitStateBackend

async def main():
    async with GitStateBackend(sys.argv[1], sync="after-save", sync_delay=0.05) as backend:
        for number in range(10):
            await backend.save(CheckpointState(job_id=f"{sys.argv[2]}-{number}", job_name="x", total_sheets=1))
            await asyncio.sleep(0.02)

asyncio.run(main())
"""


def test_processes_that_sync_one_store_do_not_get_in_each_others_way(path: Path, hub: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, name], stderr=subprocess.PIPE, text=True)
        for name in "abc"
    ]
    said = [each.communicate(timeout=120)[1] for each in running]
    assert [(each.returncode, text) for each, text in zip(running, said, strict=True)] == [(0, "")] * 3
    assert tip(hub) == tip(path)
    assert git(path, "rev-list", "--count", "main").strip() == "31"


async def test_a_store_without_sync_has_no_thread_and_no_state(path: Path) -> None:
    async with GitStateBackend(path) as backend:
        await backend.save(job())
        assert (await backend.lag()).background is None
