"""The verb init, and which store a verb works on."""

import asyncio
import json
import subprocess
from pathlib import Path

import click
import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.cli.stores import use
from tests.cli.conftest import COMMAND, Gitstate
from tests.git import git
from tests.projects import make_project, photograph


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
    assert gitstate("list", "--store", "here").status == 0, "the repository names it"
    assert gitstate("list", "--store", "here", "--branch", "main").status == 3


def test_a_new_store_is_where_store_says(gitstate: Gitstate, tmp_path: Path) -> None:
    assert gitstate("--store", "here", "init").status == 0
    assert (tmp_path / "here/gitstate.json").is_file() and not (tmp_path / "gitstate.json").exists()
    assert gitstate("--store", "twin", "clone", "here").status == 0
    assert (tmp_path / "twin/gitstate.json").is_file()
    for words in (["init", "there"], ["clone", "here", "there"]):
        ran = gitstate("--store", "here", *words)
        assert ran.status == 2 and "'there'" in ran.err and "'here'" in ran.err
    assert not (tmp_path / "there").exists()


def test_init_as_json_says_what_is_there_now(gitstate: Gitstate, tmp_path: Path) -> None:
    ran = gitstate("init", "--bare", "--branch", "state", "--json", "state.git")
    assert (ran.status, ran.err) == (0, "")
    made = {"path": str(tmp_path / "state.git"), "branch": "state", "bare": True, "created": True}
    made["taken_over"] = None
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


def test_init_in_a_project(gitstate: Gitstate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "project")
    before, config = photograph(project), (project / ".git/config").read_text()
    monkeypatch.chdir(project / "src")
    ran = gitstate("init", "..")
    assert ran.status == 9 and "such as gitstate" in ran.err
    ran = gitstate("list", "--store", "..", "--branch", "none")
    assert ran.status == 3 and "`gitstate init --branch gitstate`" in ran.err
    ran = gitstate("init", "..", "--branch", "gitstate")
    assert (ran.status, ran.err) == (0, f"Made a store in {project}\n")
    assert (project / ".git/config").read_text() == config + "[gitstate]\n\tbranch = gitstate\n"
    ran = gitstate("list")
    assert (ran.status, ran.err) == (0, "The store holds no jobs.\n")
    assert gitstate("init", "..").err == f"{project} is a store already\n"
    assert photograph(project) == before


def test_the_nearest_name_of_a_branch_counts(
    gitstate: Gitstate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "project")
    for name in ("one", "two"):
        assert gitstate("init", "--branch", name, project).status == 0
    monkeypatch.chdir(project)
    git(project, "update-ref", "refs/heads/empty", "main")
    assert gitstate("list").status == 0
    git(project, "config", "gitstate.branch", "empty")
    ran = gitstate("list")
    assert ran.status == 9 and "the branch one holds one" in ran.err
    monkeypatch.setenv("GITSTATE_BRANCH", "two")
    assert gitstate("list").status == 0, "the variable before the configuration"
    assert gitstate("list", "--branch", "empty").status == 9, "the option before the variable"
    git(project, "config", "gitstate.branch", "a..b")
    monkeypatch.delenv("GITSTATE_BRANCH")
    ran = gitstate("list")
    assert ran.status == 2 and "cannot be the name of a branch" in ran.err


def test_init_in_a_clone_of_a_project(gitstate: Gitstate, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    gitstate("init", "--branch", "gitstate", project)
    git(tmp_path, "clone", "-q", "project", "clone")
    ran = gitstate("list", "--store", "clone")
    assert ran.status == 9 and "hint: origin/gitstate holds one: `gitstate init --branch gitstate`" in ran.err
    ran = gitstate("list", "--store", "clone", "--branch", "gitstate")
    assert ran.status == 3 and "`git branch gitstate origin/gitstate` or `gitstate init --branch gitstate`" in ran.err
    ran = gitstate("init", "--branch", "gitstate", "clone")
    assert ran.err == f"Made the branch gitstate of origin/gitstate in {tmp_path / 'clone'}\n"
    assert gitstate("list", "--store", "clone").status == 0
    ids = [git(tmp_path / name, "rev-parse", "gitstate") for name in ("project", "clone")]
    assert ids[0] == ids[1]


def test_completion_finds_the_branch(gitstate: Gitstate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "project")
    gitstate("init", "--branch", "gitstate", project)
    asyncio.run(_save(project))
    monkeypatch.chdir(project)
    monkeypatch.setenv("COMP_WORDS", "gitstate show ")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("_GITSTATE_COMPLETE", "bash_complete")
    words = subprocess.run([*COMMAND], capture_output=True, text=True, check=False)
    assert "nightly" in words.stdout, words


async def _save(project: Path) -> None:
    async with GitStateBackend(project, branch="gitstate") as backend:
        await backend.save(CheckpointState(job_id="nightly", job_name="nightly", total_sheets=1))


@pytest.mark.parametrize("option", ["--store", "--branch", "--proposal"])
def test_an_option_that_is_empty_names_no_store(gitstate: Gitstate, store: Path, option: str) -> None:
    ran = gitstate("list", "--store", store, option, "")
    assert (ran.status, ran.out) == (2, "")
    assert f"'{option}': it is empty" in ran.err
