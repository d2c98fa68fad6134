"""What goes through a pager, on a real terminal, and what does not."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.cli.conftest import COMMAND
from tests.cli.test_terminal import COLUMNS, on_terminal

PIPE = 1 << 16  # bytes that a pipe takes before its reader reads


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """The file into which the pager below writes what it was given to show."""
    return tmp_path / "seen"


@pytest.fixture
def pager(tmp_path: Path, seen: Path) -> str:
    """A pager that shows nothing and writes what it was given, and its environment, to files."""
    return _script(tmp_path / "pager", f"env >'{seen}.env'; exec cat >'{seen}'")


@pytest.fixture
def tall(tmp_path: Path) -> Path:
    """A store with one job, of which there is more to show than a pipe takes."""
    path = tmp_path / "tall"
    asyncio.run(_fill(path))
    return path


async def _fill(path: Path) -> None:
    async with GitStateBackend(path) as backend:
        await backend.save(
            CheckpointState(job_id="tall", job_name="tall", total_sheets=1, error_message="x" * 4 * PIPE)
        )


def _script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_the_pager_gets_what_the_terminal_would_show(store: Path, pager: str, seen: Path) -> None:
    for verb in (["list"], ["diff", "nightly"], ["forks", "nightly"]):
        plain, paged = (on_terminal("--store", store, *verb, GITSTATE_PAGER=each) for each in ("", pager))
        assert paged == (0, ""), verb
        assert seen.read_text() == plain[1], verb
        assert "\x1b[" in plain[1] and max(map(len, plain[1].splitlines())) <= COLUMNS + len("\x1b[1m\x1b[0m") * 6


def test_notes_go_where_the_data_goes(store: Path, pager: str, seen: Path) -> None:
    assert on_terminal("--store", store, "log", "nightly", "-n", "1", GITSTATE_PAGER=pager) == (0, "")
    assert seen.read_text().endswith("\nThe newest 1 only; there may be more.\n")


@pytest.mark.parametrize(("own", "expected"), [({}, "FRX"), ({"LESS": "S"}, "S")])
def test_less_is_told_to_leave_short_text_alone_unless_somebody_tells_it_more(
    store: Path, pager: str, seen: Path, own: dict[str, str], expected: str
) -> None:
    on_terminal("--store", store, "list", GITSTATE_PAGER=pager, **own)
    assert f"LESS={expected}" in Path(f"{seen}.env").read_text().splitlines()


@pytest.mark.skipif(not shutil.which("less"), reason="there is no less")
def test_less_shows_short_text_and_is_gone(store: Path) -> None:
    plain = on_terminal("--store", store, "list")
    status, shown = on_terminal("--store", store, "list", GITSTATE_PAGER="less")
    assert status == 0 and [line for line in shown.splitlines() if "weekly" in line or "nightly" in line]
    for line in plain[1].splitlines():
        assert line in shown


def test_the_pager_of_everybody_comes_second(store: Path, pager: str, seen: Path) -> None:
    on_terminal("--store", store, "list", PAGER=pager)
    assert "nightly" in seen.read_text()
    seen.unlink()
    on_terminal("--store", store, "list", PAGER=pager, GITSTATE_PAGER="cat")
    assert not seen.exists()


def test_a_pager_may_have_arguments_or_be_a_line_for_the_shell(store: Path, tmp_path: Path) -> None:
    status, shown = on_terminal("--store", store, "list", GITSTATE_PAGER="head -n 1", NO_COLOR="1")
    assert (status, shown.split()) == (0, ["job", "status", "done", "saved", "error"])
    status, shown = on_terminal("--store", store, "list", GITSTATE_PAGER="cat | head -n 1", NO_COLOR="1")
    assert (status, shown.split()) == (0, ["job", "status", "done", "saved", "error"])


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--no-pager"], {}),
        ([], {"TERM": "dumb"}),
        ([], {"GITSTATE_PAGER": "", "PAGER": "{pager}"}),
        ([], {"GITSTATE_PAGER": "cat"}),
        ([], {"GITSTATE_PAGER": "/no/such/pager"}),
        ([], {"GITSTATE_PAGER": "'never closed"}),
    ],
)
def test_without_a_pager_the_terminal_shows_it(
    store: Path, pager: str, seen: Path, options: list[str], variables: dict[str, str]
) -> None:
    variables = {"GITSTATE_PAGER": pager} | {name: text.format(pager=pager) for name, text in variables.items()}
    status, shown = on_terminal(*options, "--store", store, "list", **variables)
    assert status == 0 and "nightly" in shown and "weekly" in shown
    assert not seen.exists()


def test_what_goes_to_a_pipe_goes_through_no_pager(store: Path, pager: str, seen: Path) -> None:
    environment = os.environ | {"GITSTATE_PAGER": pager, "TERM": "xterm"}
    ran = subprocess.run(
        [*COMMAND, "--store", store, "list"], env=environment, capture_output=True, text=True, check=True
    )
    assert "nightly" in ran.stdout and not seen.exists()


def test_the_exit_status_is_that_of_the_verb(store: Path, tmp_path: Path, pager: str, seen: Path) -> None:
    failing = _script(tmp_path / "failing", "cat >/dev/null; exit 7")
    assert on_terminal("--store", store, "list", GITSTATE_PAGER=failing) == (0, "")
    assert on_terminal("--store", store, "diff", "nightly", "--exit-code", GITSTATE_PAGER=failing) == (1, "")
    status, shown = on_terminal("--store", store, "show", "none", GITSTATE_PAGER=pager)
    assert status == 3 and "there is no job 'none'" in shown
    assert not seen.exists(), "an error needs no pager"


def test_to_quit_the_pager_early_is_no_error(tall: Path, tmp_path: Path) -> None:
    quitter = _script(tmp_path / "quitter", "exec head -c 2")
    status, shown = on_terminal("--store", tall, "show", "tall", "--json", GITSTATE_PAGER=quitter)
    assert (status, shown) == (0, "{\n")


def test_ctrl_c_is_the_pagers_business(store: Path, tmp_path: Path) -> None:
    asking = _script(tmp_path / "asking", "trap 'echo caught; exit 0' INT; cat >/dev/null; printf 'more]:'; sleep 30")
    status, shown = on_terminal("--store", store, "list", GITSTATE_PAGER=asking, answer="\x03")
    assert (status, shown.replace("^C", "")) == (0, "more]:caught\n")


def test_ctrl_c_while_there_is_more_to_come_waits_for_the_pager(tall: Path, tmp_path: Path) -> None:
    asking = _script(tmp_path / "asking", "trap 'echo caught; exit 0' INT; printf 'more]:'; sleep 30")
    status, shown = on_terminal("--store", tall, "show", "tall", "--json", GITSTATE_PAGER=asking, answer="\x03")
    assert status in (0, 130), "it may see the signal, or else the pager go"
    assert shown.replace("^C", "").strip() == "more]:caught"


def test_the_terminal_is_paged_in_its_own_encoding(tmp_path: Path, pager: str, seen: Path) -> None:
    asyncio.run(_fill_named(tmp_path / "state", "größer→"))
    on_terminal("--store", tmp_path / "state", "list", "--json", GITSTATE_PAGER=pager, PYTHONIOENCODING="latin-1")
    text = seen.read_bytes().decode("latin-1")
    assert "größer\\u2192" in text and json.loads(text)[0]["id"] == "größer→"


async def _fill_named(path: Path, job_id: str) -> None:
    async with GitStateBackend(path) as backend:
        await backend.save(CheckpointState(job_id=job_id, job_name=job_id, total_sheets=1))


def test_the_pager_module_is_light() -> None:
    code = "import sys, gitstate.cli.pager; sys.exit('subprocess' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
