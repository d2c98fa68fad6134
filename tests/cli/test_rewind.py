"""The verbs rollback, restore, undelete, undo, fork and forks."""

import asyncio
import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from gitstate import GitStateBackend
from tests.cli.conftest import Gitstate, revisions


def shown(gitstate: Gitstate, store: Path, job: str = "nightly") -> dict[str, Any]:
    state: dict[str, Any] = json.loads(gitstate("show", job, "--json", "--store", store).out)
    return state


def way_back(err: str) -> list[str]:
    return shlex.split(err.strip().rpartition("To take it back: ")[2])[1:]


def test_rollback_says_what_it_did_and_how_to_take_it_back(gitstate: Gitstate, store: Path) -> None:
    first, *_ = revisions(store)
    before = shown(gitstate, store)
    ran = gitstate("rollback", "nightly", first[:10], "-m", "once more", "--store", store)
    made = revisions(store)[-1]
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        f"Rolled job nightly back to {first[:10]}: it was running, 1/3 done, now it is pending, 0/3 done.",
        f"Revision {made[:10]}. To take it back: gitstate undo --store {store} nightly",
    ]
    assert shown(gitstate, store)["sheets"] == {}
    assert gitstate(*way_back(ran.err)).status == 0
    assert shown(gitstate, store) == before


def test_rollback_to_what_is_there_says_so(gitstate: Gitstate, store: Path) -> None:
    *_, last = revisions(store)
    ran = gitstate("rollback", "nightly", last, "--store", store)
    assert (ran.status, ran.err) == (0, "Nothing to change: job nightly is like that already.\n")
    assert revisions(store)[-1] == last


def test_a_dry_run_prints_the_changes_and_writes_nothing(gitstate: Gitstate, store: Path) -> None:
    made = revisions(store)
    ran = gitstate("rollback", "nightly", made[0], "--dry-run", "--store", store)
    assert ran.status == 0 and revisions(store) == made
    head, *rows = [line.split() for line in ran.out.splitlines()]
    assert head == ["place", "before", "after"]
    assert ["~", "/status", '"running"', '"pending"'] in rows
    assert any(row[:2] == ["-", "/sheets/1"] for row in rows)
    assert "Nothing was written" in ran.err


def test_json_tells_all_of_it(gitstate: Gitstate, store: Path) -> None:
    made = revisions(store)
    head = revisions(store, "weekly")[-1]  # the store's last commit
    told = json.loads(gitstate("rollback", "nightly", made[0], "--json", "--store", store).out)
    assert told | {"patch": 0} == {
        "job": "nightly",
        "event": "rolled-back",
        "revision": revisions(store)[-1],
        "previous": head,
        "source": made[0],
        "before": {"status": "running", "completed_sheets": 1, "total_sheets": 3},
        "after": {"status": "pending", "completed_sheets": 0, "total_sheets": 3},
        "patch": 0,
        "undo": f"gitstate undo --store {store} nightly",
    }
    assert {"op": "replace", "path": "/status", "value": "pending"} in told["patch"]
    dry = json.loads(gitstate("undo", "--dry-run", "--json", "--store", store).out)
    assert (dry["revision"], dry["undo"], dry["after"]["status"]) == (None, None, "running")


def test_restore_brings_sheets_and_places_back(gitstate: Gitstate, store: Path) -> None:
    made = revisions(store)
    ran = gitstate("restore", "nightly", made[0], "--sheets", "2", "--store", store)
    assert ran.status == 0 and ran.err.startswith(f"Restored a part of job nightly from {made[0][:10]}: it was running")
    assert shown(gitstate, store)["sheets"].keys() == {"1"}
    back = gitstate("restore", "nightly", made[-1], "--pointer", "/sheets/2", "--store", store)
    assert back.status == 0 and shown(gitstate, store)["sheets"]["2"]["error_message"] == "no space left\non device"
    wrong = gitstate("restore", "nightly", made[0], "--store", store)
    assert wrong.status == 2 and "--sheets" in wrong.err and "--pointer" in wrong.err


def test_undelete_and_its_dry_run(gitstate: Gitstate, store: Path) -> None:
    before, made = shown(gitstate, store), revisions(store)
    gitstate("delete", "nightly", "--store", store)
    dry = gitstate("undelete", "nightly", "--at", made[-1], "--dry-run", "--store", store)
    assert dry.status == 0 and "the job" in dry.out
    assert gitstate("show", "nightly", "--store", store).status == 3
    ran = gitstate("undelete", "nightly", "--store", store)
    assert ran.status == 0 and ran.err.startswith("Brought job nightly back: now it is running, 1/3 done.")
    assert shown(gitstate, store) == before
    assert gitstate("undelete", "nightly", "--store", store).status == 4
    assert gitstate("undelete", "none", "--store", store).status == 3


def test_undo_without_a_job_takes_the_last_thing_back(gitstate: Gitstate, store: Path) -> None:
    assert gitstate("undo", "--store", store).status == 3
    gitstate("delete", "weekly", "--store", store)
    ran = gitstate("undo", "--store", store)
    assert ran.status == 0 and "of job weekly" in ran.err
    assert shown(gitstate, store, "weekly")["status"] == "completed"


def test_where_the_job_moved_on_an_undo_is_a_conflict(gitstate: Gitstate, store: Path) -> None:
    gitstate("rollback", "nightly", revisions(store)[0], "--store", store)
    run_it(store, pid=2**22 + 1)  # no system has such a process
    made = revisions(store)
    ran = gitstate("undo", "nightly", "--store", store)
    assert ran.status == 6 and "/sheets/1" in ran.err and "gitstate restore" in ran.err
    assert revisions(store) == made


def test_a_running_job_is_left_alone(gitstate: Gitstate, store: Path) -> None:
    made = revisions(store)
    run_it(store)
    ran = gitstate("rollback", "nightly", made[0], "--store", store)
    assert ran.status == 7 and f"process {os.getpid()}" in ran.err and "--force" in ran.err
    assert gitstate("rollback", "nightly", made[0], "--force", "--store", store).status == 0


def run_it(store: Path, pid: int | None = None) -> None:
    async def save() -> None:
        async with GitStateBackend(store) as backend:
            state = await backend.load("nightly")
            assert state is not None
            state.mark_sheet_started(1)
            state.set_running_pid(pid)
            await backend.save(state)

    asyncio.run(save())


def test_fork_and_the_tree_of_forks(gitstate: Gitstate, store: Path) -> None:
    made = revisions(store)
    ran = gitstate("fork", "nightly", "second", "--at", made[1], "--from-sheet", "2", "--store", store)
    assert ran.status == 0 and ran.err.splitlines()[0].startswith("Forked job second from nightly: ")
    assert gitstate("fork", "second", "third", "--store", store).status == 0
    assert gitstate("fork", "nightly", "fourth", "--store", store).status == 0
    tree = gitstate("forks", "third", "--store", store)
    rows = [re.split(r"(?<=\w)  +", line)[0] for line in tree.out.splitlines()]
    assert rows == ["job", "nightly", "├── second", "│   └── third", "└── fourth"]
    told = json.loads(gitstate("forks", "third", "--json", "--store", store).out)
    assert [told["job"], *(each["job"] for each in told["forks"])] == ["nightly", "second", "fourth"]
    assert told["forks"][0]["at"] == made[1]
    assert gitstate("fork", "nightly", "weekly", "--store", store).status == 4
    assert gitstate("fork", "nightly", "new", "--from-sheet", "9", "--store", store).status == 2
    assert gitstate(*way_back(ran.err)).status == 0
    assert gitstate("show", "second", "--store", store).status == 3


HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202ex\n../y"


@pytest.mark.parametrize("verb", ["fork", "forks", "rollback", "delete", "undelete", "undo"])
def test_control_characters_never_reach_the_terminal(gitstate: Gitstate, store: Path, verb: str) -> None:
    first = revisions(store)[0]
    gitstate("fork", "nightly", HOSTILE, "--at", first, "--store", store)
    rest = {"fork": [HOSTILE + "2"], "rollback": [first], "undelete": ["--at", first]}.get(verb, [])
    ran = gitstate(verb, HOSTILE, *rest, "--store", store)
    assert all(line.isprintable() for line in (ran.out + ran.err).split("\n"))
    assert (ran.out + ran.err).strip()
