"""Several machines save and sync at random while the network and the servers fail: in the end all hold everything."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.git import fsck, git
from tests.networks import Networks
from tests.servers import bare, daemon, proxy, ssh, web
from tests.survival.machine import SHARED, own_job, token

ROOT = Path(__file__).parents[2]
NAMES = ("anna", "ben", "cleo", "dora")
LONGEST = 300.0  # seconds that a machine may take
ROUNDS = 8  # so many times may each sync until all are the same
_UP, _DOWN = (0.3, 1.2), (0.05, 0.3)  # seconds for which a server lives, and is dead
_CUT = 0.3  # of the connections are cut
_LONGEST_LIFE = 60_000  # bytes of a connection that is cut


class Server:
    """A server at a port that changes each time that it was killed and is started again."""

    def __init__(self, start: Callable[[], Any], seed: int) -> None:
        self._start = start
        self._random = Random(seed)
        self._done = threading.Event()
        self._port = 1  # nobody listens there
        self.lives = 0

    def port(self) -> int:
        """Return where it is at this moment; it may be dead."""
        return self._port

    def live(self, *, steadily: bool = False) -> None:
        """Live and die until told to end."""
        while not self._done.is_set():
            with self._start() as self._port:
                self.lives += 1
                self._done.wait(None if steadily else self._random.uniform(*_UP))
            self._done.wait(self._random.uniform(*_DOWN))

    def end(self) -> None:
        self._done.set()


@contextmanager
def living(start: Callable[[], Any], seed: int) -> Iterator[Server]:
    """Let a server live and die while the block runs."""
    server = Server(start, seed)
    thread = threading.Thread(target=server.live, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.end()
        thread.join(30)


@contextmanager
def _daemon_port(root: Path) -> Iterator[int]:
    with daemon(root) as url:
        yield int(url.rpartition(":")[2])


@contextmanager
def _web_port(root: Path) -> Iterator[int]:
    with web(root) as there:
        yield there.port


def begin(folder: Path) -> Path:
    """Make a bare repository that holds the shared jobs, and a clone of it for each machine."""
    there = bare(folder / "root/state.git")

    async def fill() -> None:
        async with GitStateBackend(folder / NAMES[0]) as backend:
            for job in SHARED:
                await backend.save(CheckpointState(job_id=job, job_name=job, total_sheets=1000))
            await backend.add_remote("origin", str(there))
            await backend.sync()

    asyncio.run(fill())
    for name in NAMES[1:]:
        git(folder, "clone", "-q", str(there), name)
    return there


def work(folder: Path, saves: int, prefix: Callable[[str], list[str]] = lambda name: []) -> dict[str, list[Any]]:
    """Let all machines save so many times, side by side, and return what each of them told."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with ExitStack() as stack:
        running = {}
        for number, name in enumerate(NAMES):
            command = [*prefix(name), sys.executable, "-m", "tests.survival.machine"]
            words = [str(folder / name), str(folder / f"{name}.log"), name, str(saves), str(number)]
            process = subprocess.Popen(
                [*command, *words],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.callback(process.kill)
            running[name] = stack.enter_context(process)
        for process in running.values():
            said, _ = process.communicate(timeout=LONGEST)
            assert process.returncode == 0, said
    told = {name: (folder / f"{name}.log").read_text().splitlines() for name in NAMES}
    return {name: [json.loads(line) for line in lines] for name, lines in told.items()}


def all_is_there(folder: Path, there: Path, told: dict[str, list[Any]]) -> None:
    """Sync until all are the same, then look for every save that was acknowledged."""
    head = asyncio.run(become_one(folder, there))
    history = set(git(there, "rev-list", "main").split())
    saves = [(name, line) for name, lines in told.items() for line in lines if "revision" in line]
    assert {line["revision"] for _, line in saves} <= history
    for name in NAMES:
        asyncio.run(holds(folder / name, head, saves, told))
        assert git(folder / name, "status", "--porcelain") == ""
    fsck(there)


async def become_one(folder: Path, there: Path) -> str:
    for _ in range(ROUNDS):
        heads = set()
        for name in NAMES:
            async with GitStateBackend(folder / name) as backend:
                await backend.sync(str(there))  # not by the network, which is down by now
                heads.add(backend.store.head())
        if heads == {git(there, "rev-parse", "main").strip()}:
            return heads.pop()
    raise AssertionError(f"after {ROUNDS} rounds they are at {heads}")


async def holds(folder: Path, head: str, saves: list[tuple[str, Any]], told: dict[str, list[Any]]) -> None:
    """Check that a machine has the marks of all saves, in the states or in what was kept aside."""
    async with GitStateBackend(folder) as backend:
        assert backend.store.head() == head
        states = {state.job_id: state for state in await backend.list_jobs()}
        for job in (*SHARED, *map(own_job, NAMES)):
            mine = [(name, line["number"]) for name, line in saves if line["job"] == job]
            missing = {token(*each) for each in mine} - states[job].metadata.keys() if mine else set()
            assert not missing, f"{job}: {missing}"
            assert job not in states or states[job].total_retry_count == len(mine)
        refused = {line["conflict"] for lines in told.values() for line in lines if "conflict" in line}
        assert None not in refused
        assert refused <= {each.ref for each in await backend.rescues()}
        assert (await backend.verify()).ok


def unexpected(told: dict[str, list[Any]]) -> list[Any]:
    """Return what machines told that a bad network does not explain."""
    return [line for lines in told.values() for line in lines if "unexpected" in line]


@pytest.mark.parametrize("saves", [20, pytest.param(200, marks=pytest.mark.long)])
def test_machines_behind_connections_that_are_cut_and_servers_that_die(tmp_path: Path, saves: int) -> None:
    there = begin(tmp_path)
    random = Random(saves)

    def cut() -> int | None:
        return random.randrange(_LONGEST_LIFE) if random.random() < _CUT else None

    with ExitStack() as stack:
        use = stack.enter_context
        git_server = use(living(lambda: _daemon_port(there.parent), 1))
        web_server = use(living(lambda: _web_port(there.parent), 2))
        addresses = {
            "anna": f"git://127.0.0.1:{use(proxy(git_server.port, cut_after=cut)).port}/state.git",
            "ben": f"http://127.0.0.1:{use(proxy(web_server.port, cut_after=cut)).port}/state.git",
            "cleo": _by_ssh(use, tmp_path / "ssh", there),
            "dora": str(there),
        }
        for name, address in addresses.items():
            git(tmp_path / name, "remote", "set-url", "origin", address)
        told = work(tmp_path, saves)
    assert git_server.lives > 1
    assert web_server.lives > 1
    assert not unexpected(told)
    all_is_there(tmp_path, there, told)


def _by_ssh(use: Callable[[Any], Any], scratch: Path, there: Path) -> str:
    """Return how to come there by SSH, or by the path where there is no sshd."""
    if not Path("/usr/sbin/sshd").exists():
        return str(there)
    server = use(ssh(scratch))
    patches = use(pytest.MonkeyPatch.context())
    patches.setenv("GIT_SSH_COMMAND", server.command)
    return f"{server.url}{there}"


@pytest.mark.skipif(not Networks.are_permitted(), reason="this needs the right to make network namespaces")
@pytest.mark.parametrize("saves", [20, pytest.param(200, marks=pytest.mark.long)])
def test_machines_on_a_network_whose_links_go_down(tmp_path: Path, saves: int) -> None:
    there = begin(tmp_path)
    done = threading.Event()
    random = Random(saves)
    with Networks(NAMES) as networks, networks.daemon(there.parent) as address:
        for name in NAMES:
            git(tmp_path / name, "remote", "set-url", "origin", f"{address}/state.git")

        def fail() -> None:
            while not done.wait(random.uniform(*_UP)):
                name = random.choice(NAMES)
                networks.set(name, up=False)
                done.wait(random.uniform(*_DOWN))
                networks.set(name, up=True)

        thread = threading.Thread(target=fail, daemon=True)
        thread.start()
        try:
            told = work(tmp_path, saves, networks.inside)
        finally:
            done.set()
            thread.join(10)
    assert not unexpected(told)
    all_is_there(tmp_path, there, told)
