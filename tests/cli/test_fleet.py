"""The verb fleet."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Gitstate
from tests.cli.test_sync import head, rename
from tests.cli.test_terminal import COLUMNS, on_terminal
from tests.git import git


@pytest.fixture
def laptop(gitstate: Gitstate, store: Path, tmp_path: Path) -> Path:
    """Another machine, which ran ``nightly`` and made ``theirs``; here ``nightly`` was renamed."""
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "hub.git")
    gitstate("remote", "add", "origin", tmp_path / "hub.git", "--store", store)
    gitstate("sync", "--store", store)
    gitstate("clone", tmp_path / "hub.git", "laptop")
    laptop = tmp_path / "laptop"
    gitstate("fork", "nightly", "theirs", "--store", laptop)
    rename(laptop, "over there")
    gitstate("sync", "--store", laptop)
    rename(store, "over here")
    return laptop


def lines(text: str) -> list[str]:
    """Return the lines of an output, with single spaces, as they are when everything was a second ago: the store was
    filled once, for all tests.
    """
    return [re.sub(r"\b\d+ (?:s|min)\b", "1 s", re.sub(" +", " ", line)) for line in text.splitlines()]


def told(gitstate: Gitstate, *arguments: str | Path) -> Any:
    ran = gitstate("fleet", "--json", *arguments)
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def test_what_was_seen_last_and_what_is_seen_after_a_fetch(gitstate: Gitstate, store: Path, laptop: Path) -> None:
    ran = gitstate("fleet", "--store", store)
    assert ran.status == 0
    assert lines(ran.out) == [
        "job host status done ago push merge what",
        "nightly A Tester running 1/3 1 s 1",
        "weekly A Tester completed 1/1 1 s",
    ]
    assert lines(ran.err) == ["origin was seen 1 s ago; 1 save unpushed, the oldest of 1 s ago."]
    before = head(store)
    ran = gitstate("fleet", "--fetch", "--store", store)
    assert ran.status == 0
    assert lines(ran.out) == [
        "job host status done ago push merge what",
        "nightly A Tester running 1/3 1 s 1 1 changed on both sides",
        "theirs A Tester paused 1/3 1 s 1 not here yet",
        "weekly A Tester completed 1/1 1 s",
    ]
    assert lines(ran.err) == [
        "origin was seen 1 s ago; 1 save unpushed, the oldest of 1 s ago; 2 commits of it unmerged."
    ]
    assert head(store) == before
    gitstate("sync", "--store", store)
    ran = gitstate("fleet", "--store", store)
    assert "1 put aside" in ran.out  # of the two names one had to go
    assert lines(ran.err) == ["origin was seen 1 s ago, and nothing is on one side alone."]


def test_json(gitstate: Gitstate, store: Path, laptop: Path) -> None:
    found = told(gitstate, "--fetch", "--store", store)
    (remote,) = found["remotes"]
    assert (remote["remote"], remote["unpushed_saves"], remote["unmerged_commits"]) == ("origin", 1, 2)
    assert (remote["diverged"], remote["error"], remote["tip"]) == (True, None, head(laptop))
    jobs = {job["id"]: job for job in found["jobs"]}
    assert list(jobs) == ["nightly", "theirs", "weekly"]
    nightly = jobs["nightly"]
    assert (nightly["unpushed"], nightly["unmerged"], nightly["diverged"], nightly["source"]) == (1, 1, True, None)
    assert nightly["name"] == "over here"
    assert jobs["theirs"]["source"] == "origin"
    assert jobs["theirs"]["remotes"] == [
        {"remote": "origin", "unpushed": 0, "unmerged": 1, "here": False, "there": True}
    ]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], ["nightly", "theirs", "weekly"]),
        (["--status", "running"], ["nightly"]),
        (["--status", "running", "--status", "completed"], ["nightly", "weekly"]),
        (["--name", "the*"], ["theirs"]),
        (["--name", "over*"], ["nightly"]),
        (["--host", "A *"], ["nightly", "theirs", "weekly"]),
        (["--host", "gpu-*"], []),
        (["--unsynced"], ["nightly", "theirs"]),
        (["--remote", "origin"], ["nightly", "theirs", "weekly"]),
    ],
)
def test_jobs_are_chosen(gitstate: Gitstate, store: Path, laptop: Path, options: list[str], ids: list[str]) -> None:
    gitstate("fetch", "--store", store)
    assert [job["id"] for job in told(gitstate, "--store", store, *options)["jobs"]] == ids


def test_silent_jobs_are_marked(gitstate: Gitstate, store: Path, laptop: Path) -> None:
    assert "silent" not in gitstate("fleet", "--store", store).out
    ran = gitstate("fleet", "--store", store, "--stale", "0s")
    assert [line.split()[0] for line in ran.out.splitlines() if line.endswith("silent")] == ["nightly"]


def test_offline(gitstate: Gitstate, store: Path, laptop: Path, tmp_path: Path) -> None:
    gitstate("fetch", "--store", store)
    (tmp_path / "hub.git").rename(tmp_path / "away.git")
    ran = gitstate("fleet", "--fetch", "--store", store)
    assert ran.status == 13
    assert "theirs" in ran.out
    assert ran.err.splitlines()[0].startswith("error: origin could not be fetched from: ")
    ran = gitstate("fleet", "--fetch", "--json", "--store", store)
    assert ran.status == 13
    assert json.loads(ran.out)["remotes"][0]["error"]["code"] == "no-repository"
    assert gitstate("fleet", "--store", store).status == 0


def test_without_remotes_and_without_jobs(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    ran = gitstate("fleet", "--store", store)
    assert ran.status == 0
    assert lines(ran.out)[1:] == [
        "weekly A Tester completed 1/1 1 s",
        "nightly A Tester running 1/3 1 s",
    ]
    assert ran.err == f"There are no remotes. To add one: gitstate remote add --store {store} origin URL\n"
    gitstate("init", tmp_path / "empty")
    assert gitstate("fleet", "--store", tmp_path / "empty").err.splitlines()[0] == "There are no jobs."
    assert gitstate("fleet", "--store", store, "--status", "paused").err.splitlines()[0] == "No job is like that."
    assert gitstate("fleet", "--store", store, "--status", "Paused").err.startswith(
        "No job is like that; Paused is none "
    )


def test_a_remote_that_was_never_seen(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    gitstate("remote", "add", "backup", tmp_path / "hub.git", "--store", store)
    ran = gitstate("fleet", "--store", store)
    assert ran.err == "backup was never seen, so that its jobs are not shown; --fetch looks.\n"


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [(["--stale", "soon"], 2, "--stale: 'soon' is no duration"), (["--remote", "nobody"], 3, "nobody")],
)
def test_what_cannot_be_meant(gitstate: Gitstate, store: Path, options: list[str], status: int, says: str) -> None:
    ran = gitstate("fleet", "--store", store, *options)
    assert (ran.status, ran.out) == (status, "")
    assert says in ran.err


def test_on_a_terminal_of_80_columns(gitstate: Gitstate, store: Path, laptop: Path) -> None:
    gitstate("fetch", "--store", store)
    status, shown = on_terminal("--store", store, "fleet", NO_COLOR="1")
    assert status == 0
    table = shown.splitlines()[:4]
    assert all(len(line) <= COLUMNS for line in table), table
    assert table[1].startswith("nightly  A Tester  running")
