"""Stores that can be read and not written: everything that reads works and leaves no trace, all else is refused."""

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.cli.main import run
from gitstate.errors import GitStateError, ReadOnlyError
from tests.disks import READ_ONLY, ReadOnly
from tests.git import git

Call = Callable[[GitStateBackend], Awaitable[object]]


async def _watched(backend: GitStateBackend) -> object:
    first = (await backend.history("nightly"))[-1].revision
    async for new in backend.watch(since=first):
        return new.checkpoint.subject
    return None


async def _exported(backend: GitStateBackend) -> object:
    return [record async for record in backend.executions("nightly")]


async def _edited(backend: GitStateBackend) -> object:
    found = await backend.edits()
    return found.behind, found.pending, found.jobs, found.files, found.others


READS: dict[str, Call] = {
    "load": lambda b: b.load("nightly"),
    "load at": lambda b: b.load("nightly", at="~1"),
    "list": lambda b: b.list_jobs(),
    "page": lambda b: b.job_page(),
    "history": lambda b: b.history("nightly"),
    "diff": lambda b: b.diff("nightly"),
    "blame": lambda b: b.blame("nightly", "/metadata/n"),
    "pins": lambda b: b.pins("nightly"),
    "executions": lambda b: b.get_execution_history("nightly"),
    "statistics": lambda b: b.get_job_statistics("nightly"),
    "verify": lambda b: b.verify(),
    "watch": _watched,
    "export": _exported,
    "edits": _edited,
    "flush": lambda b: b.flush(),
}
WRITES: dict[str, Call] = {
    "save": lambda b: b.save(CheckpointState(job_id="new", job_name="new", total_sheets=1)),
    "delete": lambda b: b.delete("nightly"),
    "pin": lambda b: b.pin("nightly", "release"),
    "rollback": lambda b: b.rollback("nightly", "~1"),
    "reshard": lambda b: b.reshard(1),
    "fetch": lambda b: b.fetch(b.store.identity.rpartition(":")[0]),
    "execution": lambda b: b.record_execution("nightly", 1, 1),
    "gc": lambda b: asyncio.to_thread(b.store.gc),
}
COMMANDS = [
    *("list", "show nightly", "log nightly", "log nightly --graph", "next nightly", "diff nightly", "verify"),
    *("attempts nightly", "blame nightly /metadata/n", "forks nightly", "export", "pin nightly", "top"),
    *("watch --since ~1 -n 1 nightly", "bisect nightly metadata.n>1", "status"),
]


async def _fill(folder: Path, **options: Any) -> None:
    async with GitStateBackend(folder, **options) as backend:
        state = CheckpointState(job_id="nightly", job_name="nightly", total_sheets=2)
        for number in range(3):
            state.metadata["n"] = number
            await backend.save(state)
        await backend.record_execution("nightly", 1, 1, "prompt", "output", 0, 1.5)


async def _answers(folder: Path, calls: dict[str, Call]) -> dict[str, object]:
    """Return what each call says, an error as itself."""
    said: dict[str, object] = {}
    async with GitStateBackend(folder, create=False) as backend:
        for name, call in calls.items():
            try:
                said[name] = await call(backend)
            except GitStateError as error:
                said[name] = error
    return said


def _files(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture(params=["store", "bare", "never opened", "project"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store of each kind that can be put on a medium that is then read-only."""
    store = tmp_path / "store"
    asyncio.run(_fill(store, worktree=request.param != "bare"))
    if request.param == "never opened":
        shutil.rmtree(store / ".git/gitstate")
        git(store, "reset", "-q", "--hard", "HEAD~1")  # and its view has no record
    if request.param == "project":
        git(store, "checkout", "-q", "--orphan", "work")
    return store


@pytest.mark.parametrize("way", READ_ONLY.values(), ids=READ_ONLY)
def test_reading_works_and_leaves_no_trace(
    folder: Path, way: ReadOnly, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    warm = folder.with_name("warm")
    shutil.copytree(folder, warm)
    expected = asyncio.run(_answers(warm, READS))  # also so that all is imported before rights are given up
    asyncio.run(_answers(warm, WRITES))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    caplog.clear()
    with way(folder) as place:
        before = _files(place)
        said = asyncio.run(_answers(place, READS))
        assert _files(place) == before
        refused = asyncio.run(_answers(place, WRITES))
        assert _files(place) == before
    expected["verify"] = said["verify"]  # it says that it could not look at leftovers
    assert said["verify"].ok  # type: ignore[attr-defined]
    assert said == expected
    for name, error in refused.items():
        assert isinstance(error, ReadOnlyError), (name, error)
        assert "can be read, but not written" in str(error) and error.hint
    assert not caplog.messages


def test_the_command_line_says_what_cannot_be_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def say(place: Path, command: str) -> tuple[int, str, str]:
        status = run([*command.split(), "--store", str(place)])
        out, err = capfd.readouterr()
        return status, out, err.replace(str(place), "STORE")

    warm = folder.with_name("warm")
    shutil.copytree(folder, warm)
    expected = {command: say(warm, command) for command in COMMANDS}
    assert {status for status, _, _ in expected.values()} == {0}, expected
    say(warm, "delete nightly")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with READ_ONLY["permissions"](folder) as place:
        for command in COMMANDS:
            status, out, err = say(place, command)
            assert (status, err) == (0, expected[command][2]), command
            assert out == expected[command][1] or command == "verify", command
        status, out, err = say(place, "delete nightly")
        assert (status, out) == (10, "")
        assert err.startswith("error: the store in STORE") and "can be read, but not written: Permission" in err
        status, out, _ = say(place, "list --json")
        assert [job["id"] for job in json.loads(out)] == ["nightly"]


def test_edits_of_a_folder_that_cannot_be_written_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    asyncio.run(_fill(store))
    job = store / "jobs/nightly/job.json"
    job.write_text(job.read_text().replace('"n": 2', '"n": 7'))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    calls: dict[str, Call] = {
        "commit": lambda backend: backend.commit_edits("nightly"),
        "discard": lambda backend: backend.discard_edits("nightly"),
        "edits": _edited,
    }
    with READ_ONLY["permissions"](store) as place:
        said = asyncio.run(_answers(place, calls))
    found: Any = said.pop("edits")
    assert found[:2] == (0, "") and [each.job_id for each in found[2]] == ["nightly"]
    for error in said.values():
        assert isinstance(error, ReadOnlyError) and "can be read, but not written" in str(error) and error.hint
    assert '"n": 7' in job.read_text()
