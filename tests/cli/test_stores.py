"""The verb init, and which store a verb works on."""

import asyncio
import json
import subprocess
from pathlib import Path

import click
import pytest

from gitstate.cli.stores import use
from tests.cli.conftest import Gitstate


def test_init_makes_a_store_that_git_reads(gitstate: Gitstate, tmp_path: Path) -> None:
    ran = gitstate("init", "state")
    assert (ran.status, ran.out, ran.err) == (0, "", f"Made a store in {tmp_path / 'state'}\n")
    assert (tmp_path / "state/gitstate.json").is_file()
    subprocess.run(["git", "-C", tmp_path / "state", "fsck", "--strict"], check=True)
    assert gitstate("init", "state").err == f"{tmp_path / 'state'} is a store already\n"


def test_init_bare(gitstate: Gitstate, tmp_path: Path) -> None:
    assert gitstate("init", "--bare", "state.git").status == 0
    assert (tmp_path / "state.git/HEAD").is_file() and not (tmp_path / "state.git/gitstate.json").exists()
    assert gitstate("list", "--store", "state.git").status == 0


def test_init_on_another_branch(gitstate: Gitstate, tmp_path: Path) -> None:
    assert gitstate("init", "--branch", "state", "here").status == 0
    names = subprocess.run(["git", "-C", tmp_path / "here", "branch", "--format=%(refname:short)"], capture_output=True)
    assert names.stdout == b"state\n"
    assert gitstate("list", "--store", "here", "--branch", "state").status == 0
    assert gitstate("list", "--store", "here").status == 3


def test_init_as_json_says_what_is_there_now(gitstate: Gitstate, tmp_path: Path) -> None:
    ran = gitstate("init", "--bare", "--branch", "state", "--json", "state.git")
    assert (ran.status, ran.err) == (0, "")
    made = {"path": str(tmp_path / "state.git"), "branch": "state", "bare": True, "created": True}
    assert json.loads(ran.out) == made
    assert json.loads(gitstate("init", "--branch", "state", "--json", "state.git").out) == made | {"created": False}


def test_init_refuses_what_is_not_ours(gitstate: Gitstate, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert gitstate("init", "file").status == 2
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    ran = gitstate("init", "full")
    assert ran.status != 0 and [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_a_store_is_found_from_the_current_folder_upwards(
    gitstate: Gitstate, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store / "jobs/nightly/sheets")
    assert "nightly" in gitstate("list").out


def test_where_no_store_is(gitstate: Gitstate) -> None:
    ran = gitstate("list")
    assert (ran.status, ran.out) == (3, "")
    assert ran.err.startswith("error: there is no store here") and "\nhint: " in ran.err
    ran = gitstate("list", "--store", "none")
    assert ran.status == 3 and not Path("none").exists()


def test_the_nearest_name_of_a_store_counts(
    gitstate: Gitstate, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gitstate("init", "other")
    monkeypatch.setenv("GITSTATE_STORE", str(store))
    monkeypatch.chdir(tmp_path / "other")
    assert "nightly" in gitstate("list").out, "the variable before the folder"
    assert gitstate("list", "--store", tmp_path / "other").out == "", "the option before the variable"
    assert gitstate("--store", store, "list", "--store", tmp_path / "other").out == "", "after the verb before the verb"


@pytest.mark.parametrize(
    ("error", "told"), [(asyncio.InvalidStateError("invalid state"), False), (OSError("no"), True)]
)
def test_an_answer_that_finds_nobody_after_an_interrupt_is_not_told(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, told: bool
) -> None:
    async def work(_: object) -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "in a callback", "exception": error})

    monkeypatch.setenv("GITSTATE_STORE", str(store))
    with click.Context(click.Command("any")):
        use(work)
    assert ("in a callback" in caplog.text) == told
