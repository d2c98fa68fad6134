"""The verbs remote, clone, sync, fetch and push."""

import asyncio
import json
import os
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gitstate import GitStateBackend
from tests.cli.conftest import COMMAND, Gitstate
from tests.git import git


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "hub.git")
    return tmp_path / "hub.git"


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "main").strip()


def rename(store: Path, text: str, job: str = "nightly") -> None:
    async def work() -> None:
        async with GitStateBackend(store, create=False) as backend:
            state = await backend.load(job)
            assert state is not None
            state.job_name = text
            await backend.save(state)

    asyncio.run(work())


def told(text: str) -> Any:
    return json.loads(text)


def test_from_one_machine_to_another_and_back(gitstate: Gitstate, store: Path, hub: Path, tmp_path: Path) -> None:
    listed = gitstate("remote", "list", "--store", store)
    assert (listed.status, listed.out) == (0, "") and listed.err.startswith("There are no remotes. To add one: ")
    added = gitstate("remote", "add", "origin", hub, "--store", store)
    assert (added.status, added.err) == (
        0,
        f"Added the remote origin. To sync with it: gitstate sync --store {store} origin\n",
    )
    assert gitstate("remote", "list", "--store", store).out.splitlines() == [
        "remote  ahead  behind  url",
        f"origin                 {hub}",
    ]
    assert gitstate("fetch", "--store", store).err == "origin has no branch main yet.\n"
    ran = gitstate("sync", "--store", store)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err == f"Synced with origin: pushed 5 commits; both are at {head(store)[:10]}.\n"
    ran = gitstate("clone", hub, "laptop")
    assert (ran.status, ran.err) == (0, f"Cloned the store to {tmp_path / 'laptop'}.\n")
    assert (tmp_path / "laptop/jobs/weekly/job.json").exists()
    assert git(tmp_path / "laptop", "status", "--porcelain", "--branch") == "## main...origin/main\n"
    assert gitstate("skip", "nightly", "3", "--store", "laptop").status == 0
    assert gitstate("push", "--store", "laptop").err == (
        f"Pushed 1 commit to origin, which is at {head(hub)[:10]} now.\n"
    )
    assert gitstate("push", "--store", "laptop").err == f"origin is up to date, at {head(hub)[:10]}.\n"
    assert gitstate("delete", "weekly", "--yes", "--store", store).status == 0
    ran = gitstate("push", "--store", store)
    assert ran.status == 13 and "gitstate sync" in ran.err
    fetched = gitstate("fetch", "--store", store)
    assert fetched.err == f"Fetched 1 commit from origin, which is at {head(hub)[:10]}.\n"
    assert gitstate("fetch", "--store", store).err.startswith("origin has nothing that is not here")
    assert gitstate("remote", "list", "--store", store).out.splitlines()[1].split() == ["origin", "1", "1", str(hub)]
    ran = gitstate("sync", "--store", store)
    assert ran.out.splitlines() == ["job      result          what", "nightly  fast-forwarded"]
    assert ran.err == f"Synced with origin: pushed 2 commits, fetched 1 commit; both are at {head(hub)[:10]}.\n"
    assert gitstate("sync", "--store", store).err == f"origin is up to date, at {head(hub)[:10]}.\n"
    ran = gitstate("sync", "--store", "laptop", "--json")
    report = told(ran.out)
    assert report["jobs"] == [
        {"job_id": "weekly", "result": "deleted", "detail": "", "conflicts": [], "revision": None, "author": None}
    ]
    assert (report["pushed"], report["fetched"], report["clean"]) == (0, 2, True)
    assert gitstate("remote", "remove", "origin", "--store", store).err == "Removed the remote origin.\n"
    assert gitstate("sync", "--store", store).status == 3


def test_what_was_put_aside_has_an_exit_status(gitstate: Gitstate, store: Path, hub: Path) -> None:
    gitstate("remote", "add", "origin", hub, "--store", store)
    gitstate("sync", "--store", store)
    gitstate("clone", hub, "laptop")
    rename(store, "of the one")
    gitstate("sync", "--store", store)
    rename(Path("laptop"), "of the other")
    failed = gitstate("sync", "--on-conflict", "fail", "--store", "laptop")
    assert failed.status == 6 and "/job_name" in failed.err
    ran = gitstate("sync", "--store", "laptop")
    assert ran.status == 14
    assert "parked" in ran.out and "/job_name" in ran.out
    assert "rescue nightly/" in ran.err
    assert gitstate("sync", "--store", "laptop").status == 0


def test_a_clone_from_what_the_user_calls_otherwise(
    gitstate: Gitstate, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{tmp_path}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "mine:")
    assert gitstate("clone", "mine:hub.git", "here").status == 0
    assert git(tmp_path / "here", "config", "remote.origin.url").strip() == "mine:hub.git"
    assert gitstate("sync", "--store", "here").status == 0 and head(hub) == head(tmp_path / "here")


def test_a_clone_that_fails_leaves_nothing(gitstate: Gitstate, store: Path, hub: Path, tmp_path: Path) -> None:
    ran = gitstate("clone", tmp_path / "nowhere.git", "a/b/c")
    assert ran.status == 13 and not (tmp_path / "a").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("x")
    assert gitstate("clone", store, "full").status == 4
    assert os.listdir(tmp_path / "full") == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    ran = gitstate("clone", store, "empty", "--branch", "other")
    assert ran.status == 3 and "main" in ran.err
    assert os.listdir(tmp_path / "empty") == []
    assert gitstate("clone", store, "empty", "--json").status == 0
    ran = gitstate("clone", hub)
    assert ran.status == 0 and "is empty: made a new store" in ran.err
    assert gitstate("sync", "--store", "hub").status == 0 and head(hub) == head(tmp_path / "hub")
    ran = gitstate("clone", "ext::sh -c touch% x", "z")
    assert ran.status == 2 and not (tmp_path / "x").exists()


def test_a_remote_without_a_repository_is_told_in_a_line(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    gitstate("remote", "add", "origin", tmp_path / "nowhere.git", "--store", store)
    for verb in ("sync", "fetch", "push"):
        ran = gitstate(verb, "--store", store)
        assert ran.status == 13 and len(ran.err.splitlines()) == 2 and "nowhere.git" in ran.err
    ran = gitstate("remote", "add", "origin", "elsewhere", "--store", store)
    assert ran.status == 4
    assert gitstate("sync", "--timeout", "0", "--store", store).status == 2


def test_watch_syncs_what_is_saved_until_ctrl_c(gitstate: Gitstate, store: Path, hub: Path) -> None:
    gitstate("remote", "add", "origin", hub, "--store", store)
    command = [*COMMAND, "sync", "--watch", "--delay", "0.1", "--every", "1", "--json", "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert told(process.stdout.readline())["pushed"] == 5
            rename(store, "another name")
            until = time.monotonic() + 20
            while head(hub) != head(store) and time.monotonic() < until:
                time.sleep(0.05)
            assert head(hub) == head(store)
            hub.rename(hub.with_name("gone"))
            failed = next(found for line in process.stdout if "error" in (found := told(line)))
            assert failed["error"] == "no-repository" and datetime.fromisoformat(failed["time"]).tzinfo is not None
            assert "T" in failed["time"], "as all times in JSON"
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130


@pytest.mark.parametrize("verb", ["sync", "clone"])
def test_ctrl_c_ends_what_waits(gitstate: Gitstate, store: Path, tmp_path: Path, verb: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"git://127.0.0.1:{server.getsockname()[1]}/x"
        gitstate("remote", "add", "origin", url, "--store", store)
        words = {"sync": ["sync", "--store", str(store)], "clone": ["clone", url, str(tmp_path / "a/b")]}
        command = [*COMMAND, *words[verb]]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                server.settimeout(20)
                connection, _ = server.accept()
                begun = time.monotonic()
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=20)
                assert time.monotonic() - begun < 5
                connection.close()
            finally:
                process.kill()
    assert process.returncode == 130
    assert not (tmp_path / "a").exists()
