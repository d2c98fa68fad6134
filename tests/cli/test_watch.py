"""The verbs watch and top: in a pipe, and on a terminal."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from unittest import mock

import pytest
import rich

from gitstate import CheckpointState, GitStateBackend, SheetStatus
from gitstate.cli import top
from tests.cli.conftest import COMMAND, Gitstate
from tests.cli.test_terminal import COLUMNS, Terminal


async def go_on(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        state = await backend.load("nightly")
        assert state is not None
        state.mark_sheet_started(2)
        await backend.save(state)
        await backend.record_execution("nightly", 2, 2, output="done")
        await backend.mark_sheet_status("weekly", 1, SheetStatus.COMPLETED)


def test_watch_prints_what_comes_and_goes_on_behind_its_cursor(gitstate: Gitstate, store: Path) -> None:
    first = json.loads(gitstate("log", "weekly", "--json", "--store", store).out)[0]["revision"]
    with subprocess.Popen(
        [*COMMAND, "watch", "--since", first, "-n", "2", "--json", "--store", store], stdout=subprocess.PIPE, text=True
    ) as process:
        asyncio.run(go_on(store))
        assert process.stdout is not None
        told = [json.loads(line) for line in process.stdout]
        assert process.wait(20) == 0
    assert [(each["job"], each["event"]) for each in told] == [("nightly", "saved"), ("nightly", "execution")]
    rest = gitstate("watch", "--since", told[0]["cursor"], "-n", "2", "--store", store)
    lines = rest.out.splitlines()
    assert len(lines) == 2 and lines[0].startswith(told[1]["revision"][:10] + "  ")
    assert lines[1].endswith("  weekly: saved (1/1 done)")
    one = gitstate("watch", "week", "--since", first, "-n", "1", "--store", store)
    assert one.out == lines[1] + "\n"


def test_watch_names_the_job_of_what_people_committed(gitstate: Gitstate, store: Path) -> None:
    file = store / "jobs/nightly/job.json"
    file.write_text(file.read_text().replace("Nightly report", "Mine"))
    subprocess.run(["git", "-C", store, "commit", "-qam", "Rename it"], check=True)
    assert gitstate("watch", "--since", "HEAD", "-n", "1", "none", "--store", store).status == 3
    ran = gitstate("watch", "nightly", "--since", "~1", "-n", "1", "--store", store)
    assert ran.out.endswith("  nightly: Rename it\n")
    assert gitstate("watch", "--since", "~1", "-n", "1", "--store", store).status == 2


def test_watch_can_be_interrupted(store: Path) -> None:
    command: list[str | Path] = [*COMMAND, "watch", "nightly", "--since", "~1", "--store", store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert (process.wait(20), process.stderr.read()) == (130, "\n")


def running(store: Path, *jobs: str, pid: int | None = None) -> None:
    async def fill() -> None:
        async with GitStateBackend(store) as backend:
            for job_id in jobs:
                state = CheckpointState(job_id=job_id, job_name=job_id, total_sheets=4)
                state.mark_sheet_completed(1)
                state.mark_sheet_started(2)
                state.set_running_pid(pid)
                await backend.save(state)

    asyncio.run(fill())


def test_top_in_a_pipe_prints_the_jobs_that_run_once(gitstate: Gitstate, store: Path) -> None:
    running(store, "deploy")
    ran = gitstate("top", "--store", store)
    lines = [re.split(r"\s{2,}", line.strip()) for line in ran.out.splitlines()]
    assert lines[0] == ["job", "status", "done", "sheet", "ago", "process", "last"]
    assert [line[0] for line in lines[1:]] == ["deploy", "nightly"]
    deploy = lines[1]
    assert deploy[:4] == ["deploy", "running", "1/4", "2"] and re.fullmatch(r"\d+ s", deploy[4])
    assert deploy[5:] == [f"{os.getpid()}@{socket.gethostname()}", "created, 2 sheets changed"]
    ran = gitstate("top", "--all", "--store", store)
    assert [line.split()[0] for line in ran.out.splitlines()[1:]] == ["deploy", "weekly", "nightly"]


def test_top_as_json_is_an_array_printed_once(gitstate: Gitstate, store: Path) -> None:
    running(store, "deploy")
    deploy, nightly = json.loads(gitstate("top", "--json", "--store", store).out)
    assert (deploy["id"], deploy["status"], deploy["current_sheet"]) == ("deploy", "running", 2)
    assert (deploy["completed_sheets"], deploy["total_sheets"]) == (1, 4)
    assert (deploy["pid"], deploy["host"]) == (os.getpid(), socket.gethostname())
    assert deploy["last"] | {"pins": []} == json.loads(gitstate("log", "deploy", "--json", "--store", store).out)[0]
    assert datetime.fromisoformat(deploy["updated_at"]) and nightly["pid"] is None
    everyone = json.loads(gitstate("top", "--all", "--json", "--store", store).out)
    assert [job["id"] for job in everyone] == ["deploy", "weekly", "nightly"]


def test_top_says_when_nothing_runs(gitstate: Gitstate, tmp_path: Path) -> None:
    gitstate("init", tmp_path / "state")
    for arguments, said in (
        ([], "No job is running; --all shows the others.\n"),
        (["--all"], "The store holds no jobs.\n"),
    ):
        ran = gitstate("top", *arguments, "--store", tmp_path / "state")
        assert (ran.status, ran.out, ran.err) == (0, "", said)


async def test_top_reads_only_the_jobs_that_changed(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        board = top._Board(backend, every=True)
        collecting = asyncio.create_task(board.collect(backend.watch()))
        await asyncio.sleep(0)
        await board.fill()
        with (
            mock.patch.object(backend, "load", wraps=backend.load) as load,
            mock.patch.object(backend, "list_jobs", wraps=backend.list_jobs) as list_jobs,
        ):
            await board.refresh()
            for number in range(3):
                await backend.record_execution("nightly", 1, number + 1)
            await backend.delete("weekly")
            async with asyncio.timeout(20):
                while len(board._changed) < 2:  # noqa: ASYNC110  # the board has no event to wait for
                    await asyncio.sleep(0.02)
            await board.refresh()
            assert sorted(call.args for call in load.call_args_list) == [("nightly",), ("weekly",)]
            assert list_jobs.call_count == 0
        assert [(row.job_id, row.event) for row in board.rows()] == [("nightly", "executed sheet 1, attempt 3")]
    await collecting  # it ends with the backend


async def test_top_draws_no_more_rows_than_the_screen_has(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def table(rows: list[top._Row]) -> None:
        drawn.append(len(rows))
        raise RuntimeError("drawn")

    monkeypatch.setattr(top, "_table", table)
    monkeypatch.setattr(rich.get_console(), "_height", 1)
    async with GitStateBackend(store) as backend:
        board = top._Board(backend, every=True)
        await board.fill()
        assert len(board.rows()) == 2
        with pytest.raises(RuntimeError, match="drawn"):
            await top.show_live(backend, every=True)
    assert drawn == [1]


def shown_once(terminal: Terminal, holds: Callable[[str], bool]) -> str:
    """Wait until the newest picture is as expected, and return it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        picture = terminal.read().rpartition("job ")[2]
        if holds(picture):
            return picture
    raise AssertionError(f"never shown; at last:\n{picture}")


def test_top_on_a_terminal_is_live_until_ctrl_c(store: Path) -> None:
    running(store, "d\x1b[31m")
    with Terminal("--store", store, "top", NO_COLOR="1") as terminal:
        shown_once(terminal, lambda picture: "nightly" in picture and "1/4" in picture)
        assert "d\\x1b[31m" in terminal.read() and "\x1b[31m" not in terminal.read()
        asyncio.run(go_on(store))
        shown_once(terminal, lambda picture: "executed" in picture)
        sleeper = subprocess.Popen(["sleep", "60"])
        try:
            running(store, "third", pid=sleeper.pid)
            shown_once(terminal, lambda picture: "third" in picture)
        finally:
            sleeper.kill()
            sleeper.wait()
        shown_once(terminal, lambda picture: "third" not in picture and "nightly" in picture)
        terminal.write("\x03")
        assert terminal.wait() == 130
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.read()).replace("\r", "\n").replace("^C", "").splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert "\x1b[?25h" in terminal.read(), "the cursor is shown again"


def test_top_on_a_dumb_terminal_prints_once(store: Path) -> None:
    with Terminal("--store", store, "top", TERM="dumb") as terminal:
        assert terminal.wait() == 0
    assert terminal.read().count("nightly") == 1


@pytest.mark.parametrize("verb", ["watch", "top"])
def test_without_a_store_they_say_so(gitstate: Gitstate, verb: str) -> None:
    assert gitstate(verb).status == 3
