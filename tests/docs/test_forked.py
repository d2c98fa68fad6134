"""A command that is forked is like one that was started."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.docs.shell import environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere commands are started")


def run(forking: dict[str, str], folder: Path, command: str, **variables: str) -> tuple[int, str, str]:
    ran = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=forking | variables, capture_output=True, text=True, timeout=60
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        "gitstate list",
        "gitstate list --json",
        "gitstate show nobody",
        "gitstate nonsense",
        "gitstate --version",
        "gitstate --help | head -n 1; echo ${PIPESTATUS[0]}",
        "gitstate list >out; cat out",
        "gitstate list >>out 2>&1; gitstate list >>out 2>&1; cat out",
        "gitstate list >&-",
        "cd /; gitstate list; pwd",
        "GITSTATE_STORE=/nowhere gitstate list",
        "echo jobs/a/job.json | xargs -n 1 gitstate textconv",
        "umask 077; gitstate init new; stat -c %a new/.git/config",
        "python -m gitstate list",
        "python -P -m gitstate.cli.main show nobody",
        "python -P -c 'import sys; print(sys.argv, sys.path[0])' -m gitstate",
        "LC_ALL=C gitstate list",
        "PYTHONUTF8=0 gitstate list",
    ],
)
def test_it_says_and_does_the_same(forking: dict[str, str], tmp_path: Path, command: str) -> None:
    def said(name: str, variables: dict[str, str]) -> tuple[int, str, str]:
        folder = tmp_path / name
        folder.mkdir()
        assert run(forking, folder, "gitstate init .")[0] == 0
        status, out, err = run(variables, folder, command)
        return status, out.replace(name, "folder"), err.replace(name, "folder")

    assert said("forked", forking) == said("started", environment())


@contextmanager
def watching(forking: dict[str, str], folder: Path) -> "Iterator[subprocess.Popen[str]]":
    """A command that has begun, and goes on until it is ended."""
    with GitStateBackend(folder).store as store:
        begun = store.head()
    command = ["gitstate", "watch", "--since", begun]
    with subprocess.Popen(command, cwd=folder, env=forking, stdout=subprocess.PIPE, text=True) as process:

        async def save() -> None:
            async with GitStateBackend(folder) as backend:
                await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=1))

        asyncio.run(save())
        assert process.stdout is not None and "nightly" in process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_signals_are_passed_on(forking: dict[str, str], tmp_path: Path, number: int, status: int) -> None:
    with watching(forking, tmp_path / "state") as process:
        process.send_signal(number)
        assert process.wait(30) == status


def test_who_is_killed_takes_the_child_along(forking: dict[str, str], tmp_path: Path) -> None:
    with watching(forking, tmp_path / "state") as process:
        process.kill()
        process.wait()
        assert process.stdout is not None
        assert process.stdout.read() == "", "it would wait for ever if a child still had the other end"
