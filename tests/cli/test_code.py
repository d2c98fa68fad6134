"""Which commit of a project ran, in the log and by itself."""

import asyncio
import json
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.cli.conftest import Gitstate
from tests.git import git
from tests.projects import make_project, photograph, quietly


async def _save(folder: Path, branch: str, code: Path | None = None) -> None:
    async with GitStateBackend(folder, branch=branch, code=code) as backend:
        await backend.save(CheckpointState(job_id="nightly", job_name="nightly", total_sheets=1))


@pytest.fixture
def project(tmp_path: Path, gitstate: Gitstate, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with state: a checkpoint at its commit, and one with an edited file."""
    made = make_project(tmp_path / "project")
    quietly(made, "restore", "README")
    assert gitstate("init", "--branch", "gitstate", made).status == 0
    asyncio.run(_save(made, "gitstate"))
    (made / "README").write_text("edited")
    asyncio.run(_save(made, "gitstate"))
    monkeypatch.chdir(made / "src")
    return made


def test_the_log_has_a_column_for_it(gitstate: Gitstate, project: Path) -> None:
    head = git(project, "rev-parse", "HEAD").strip()
    for words in (["log", "nightly"], ["log", "nightly", "--graph"]):
        lines = gitstate(*words).out.splitlines()
        assert "  code  " in lines[0]
        assert [f"  {head[:10]} dirty  " in lines[1], f"  {head[:10]}        " in lines[2]] == [True, True]
    told = json.loads(gitstate("log", "nightly", "--json").out)
    assert [(each["code"], each["code_dirty"]) for each in told] == [(head, True), (head, False)]
    found = json.loads(gitstate("log", "nightly", "--json", "--trailer", f"Gitstate-Code: {head}").out)
    assert [each["revision"] for each in found] == [told[1]["revision"]]
    assert len(json.loads(gitstate("log", "nightly", "--json", "--trailer", "Gitstate-Code").out)) == 2
    gitstate("pin", "nightly", "release")
    assert gitstate("log", "nightly").out.splitlines()[0].split() == ["revision", "time", "pins", "code", "what"]


def test_show_code(gitstate: Gitstate, project: Path) -> None:
    head = git(project, "rev-parse", "HEAD").strip()
    ran = gitstate("show", "--code", "night")
    assert (ran.status, ran.err) == (0, f"To see it: git -C {project} show {head[:10]}\n")
    fields = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert fields["code"] == head and fields["dirty"].startswith("yes")
    assert (fields["subject"], fields["author"]) == ("Begin", "A Tester <tester@example.org>")
    assert fields["project"] == str(project)
    ran = gitstate("show", "nightly", "--code", "--at", "~1", "--json")
    told = json.loads(ran.out)
    assert (told["job"], told["code"], told["code_dirty"], told["project"]) == ("nightly", head, False, str(project))
    assert (told["subject"], told["author"], told["email"]) == ("Begin", "A Tester", "tester@example.org")
    assert set(told) == {
        *("job", "revision", "code", "code_dirty", "project", "subject", "author", "email", "time"),
    }


def test_a_verb_that_writes_carries_it_too(gitstate: Gitstate, project: Path) -> None:
    before = photograph(project)
    assert gitstate("rollback", "nightly", "~1").status == 0
    told = json.loads(gitstate("show", "--code", "nightly", "--json").out)
    assert told["code"] == git(project, "rev-parse", "HEAD").strip() and told["code_dirty"] is True
    assert photograph(project) == before


def test_it_is_carried_too_where_a_linked_worktree_shows_the_state(
    gitstate: Gitstate, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(project, "rev-parse", "HEAD").strip()
    git(project, "worktree", "add", "-q", str(tmp_path / "state"), "gitstate")
    for number, folder in enumerate((project, tmp_path / "state")):
        monkeypatch.chdir(folder)
        assert gitstate("fork", "nightly", f"copy-{number}").status == 0
        told = json.loads(gitstate("show", "--code", f"copy-{number}", "--json").out)
        assert (told["code"], told["code_dirty"], told["project"]) == (head, True, str(project))
    git(project, "worktree", "remove", str(tmp_path / "state"))


def test_a_checkpoint_that_carries_none(gitstate: Gitstate, store: Path) -> None:
    assert "code" not in gitstate("log", "nightly", "--store", store).out
    ran = gitstate("show", "--code", "nightly", "--store", store)
    assert (ran.status, ran.out) == (3, "")
    assert "of job 'nightly' does not say which code ran" in ran.err and "hint: " in ran.err
    assert gitstate("show", "--code", "none", "--store", store).status == 3


def test_state_elsewhere_finds_the_project_of_the_current_folder_or_the_one_that_is_named(
    gitstate: Gitstate, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    asyncio.run(_save(state, "main", project))
    assert json.loads(gitstate("show", "--code", "nightly", "--store", state, "--json").out)["project"] == str(project)
    monkeypatch.chdir(tmp_path)
    ran = gitstate("show", "--code", "nightly", "--store", state)
    assert ran.status == 0 and ran.err.startswith("No project that was looked into has this commit")
    assert git(project, "rev-parse", "HEAD").strip() in ran.out
    monkeypatch.setenv("GITSTATE_CODE", str(project))
    assert json.loads(gitstate("show", "--code", "nightly", "--store", state, "--json").out)["subject"] == "Begin"
    assert gitstate("rollback", "nightly", "~0", "--store", state).status in (0, 3)
    assert gitstate("fork", "nightly", "again", "--store", state).status == 0
    assert json.loads(gitstate("show", "--code", "again", "--store", state, "--json").out)["code_dirty"] is True
    monkeypatch.setenv("GITSTATE_CODE", str(tmp_path / "none"))
    ran = gitstate("list", "--store", state)
    assert ran.status == 2 and "lies in no git repository" in ran.err
