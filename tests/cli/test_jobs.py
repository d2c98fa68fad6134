"""The verbs list, show and delete."""

import asyncio
import json
import os
import shlex
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.cli.conftest import Gitstate
from tests.git import git
from tests.stores import leave_damaged


def test_list_shows_the_job_that_was_saved_last_first(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("list", "--store", store)
    head, *rows = [line.split() for line in ran.out.splitlines()]
    assert head == ["job", "status", "done", "saved", "error"]
    assert [row[:3] for row in rows] == [["weekly", "completed", "1/1"], ["nightly", "running", "1/3"]]
    assert (ran.status, ran.err) == (0, "")


def test_list_as_json_is_one_array(gitstate: Gitstate, store: Path) -> None:
    weekly, nightly = json.loads(gitstate("--store", store, "list", "--json").out)
    assert nightly.keys() == weekly.keys() == {
        *("id", "name", "status", "total_sheets", "completed_sheets", "failed_sheets", "last_completed_sheet"),
        *("created_at", "updated_at", "completed_at", "error_message", "rescues"),
    }  # fmt: skip
    assert (nightly["id"], nightly["name"], nightly["status"]) == ("nightly", "Nightly report", "running")
    assert (nightly["completed_sheets"], nightly["total_sheets"], nightly["completed_at"]) == (1, 3, None)


def test_list_of_an_empty_store(gitstate: Gitstate) -> None:
    gitstate("init")
    ran = gitstate("list")
    assert (ran.status, ran.out, ran.err) == (0, "", "The store holds no jobs.\n")
    assert json.loads(gitstate("list", "--json").out) == []


def test_show_tells_the_job_and_its_sheets(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("show", "nightly", "--store", store)
    facts, sheets = ran.out.split("\n\n")
    assert [line.split()[0] for line in facts.splitlines()] == ["job", "name", "status", "created", "started", "saved"]
    head, first, second = sheets.splitlines()
    assert head.split() == ["sheet", "status", "attempts", "seconds", "completed", "error"]
    assert first.split()[:4] == ["1", "completed", "1", "1.2"]
    assert second.endswith(r"no space left\non device"), "a line break of an error text is shown as an escape"


async def test_show_as_json_is_what_the_model_dumps(gitstate: Gitstate, store: Path) -> None:
    async with GitStateBackend(store) as backend:
        state = await backend.load("nightly")
    assert state is not None
    assert json.loads(gitstate_in_thread(gitstate, store)) == state.model_dump(mode="json")


def gitstate_in_thread(gitstate: Gitstate, store: Path) -> str:
    """Run the verb beside the running event loop: it starts one of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(gitstate, "show", "nightly", "--json", "--store", store).result().out


def test_show_at_a_revision(gitstate: Gitstate, store: Path) -> None:
    first = git(store, "log", "--format=%h", "--reverse", "--", "jobs/nightly").split()[0]
    state = json.loads(gitstate("show", "nightly", "--at", first, "--json", "--store", store).out)
    assert (state["status"], state["sheets"]) == ("pending", {})


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["show", "none"], 3, "there is no job 'none'"),
        (["log", "none"], 3, "there is no job 'none'"),
        (["delete", "none"], 3, "there is no job 'none'"),
        (["show", "nightly", "--at", "0123456789"], 3, "0123456789"),
        (["show", "nightly", "--at", "yesterday"], 3, "'nightly' is younger than"),
        (["show", "nightly", "--at", "last-week"], 3, "'last-week' of 'nightly'; newest: "),
        (["show", "nihgtly"], 3, "it may be 'nightly'"),
        (["list", "--at", "~1"], 2, "'~1' counts the revisions of one document"),
        (["list", "--at", "now", "--deleted"], 2, "takes no --at"),
        (["log", "nightly", "--graph", "--at", "~1"], 2, "takes no --at"),
        (["log", "nightly", "--follow", "--at", "~1"], 2, "takes no --graph"),
        (["log", "nightly", "--event", "gone"], 2, "--event"),
        (["show", ""], 2, "empty"),
        (["show"], 2, "Missing argument"),
        (["log", "nightly", "-n", "0"], 2, "-n"),
        (["shwo"], 2, "No such command"),
    ],
)
def test_what_cannot_be_shown_is_an_error(
    gitstate: Gitstate, store: Path, arguments: list[str], status: int, says: str
) -> None:
    ran = gitstate("--store", store, *arguments)
    assert (ran.status, ran.out) == (status, "")
    assert ran.err.startswith("error: ") and says in ran.err and len(ran.err.splitlines()) <= 2


def test_a_corrupt_job_is_an_error_of_its_own(gitstate: Gitstate, store: Path) -> None:
    leave_damaged(store)
    (store / "jobs/nightly/job.json").write_text("{")
    git(store, "commit", "-qam", "Break it")
    ran = gitstate("show", "nightly", "--store", store)
    assert ran.status == 8 and "nightly" in ran.err and "job.json" in ran.err
    listed = gitstate("list", "--store", store)
    assert "weekly" in listed.out and "nightly" not in listed.out
    assert listed.err.startswith("warning: ") and "nightly" in listed.err


def test_delete_keeps_history_and_says_how_to_get_the_job_back(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("delete", "nightly", "--store", store)
    assert (ran.status, ran.out) == (0, "")
    assert not (store / "jobs/nightly").exists()
    assert gitstate("show", "nightly", "--store", store).status == 3
    assert "deleted" in gitstate("log", "nightly", "--store", store).out
    command = shlex.split(ran.err.splitlines()[-1].partition(": ")[2])
    assert command == ["gitstate", "undelete", "--store", str(store), "nightly"]
    assert gitstate(*command[1:]).status == 0
    assert json.loads(gitstate("show", "nightly", "--json", "--store", store).out)["status"] == "running"


def test_delete_in_a_bare_store(gitstate: Gitstate, tmp_path: Path) -> None:
    asyncio.run(_save_hostile(tmp_path / "bare", "-job", worktree=False))
    ran = gitstate("delete", "--store", tmp_path / "bare", "--", "-job")
    assert (ran.status, len(ran.err.splitlines())) == (0, 2)
    command = shlex.split(ran.err.splitlines()[-1].partition(": ")[2])
    assert gitstate(*command[1:]).status == 0
    assert gitstate("show", "--store", tmp_path / "bare", "--", "-job").status == 0


HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202ex\n../y"


def test_control_characters_never_reach_the_terminal(gitstate: Gitstate, tmp_path: Path) -> None:
    asyncio.run(_save_hostile(tmp_path / "state", HOSTILE))
    for verb in (["list"], ["show", HOSTILE], ["log", HOSTILE], ["list", "--json"], ["show", HOSTILE, "--json"]):
        ran = gitstate("--store", tmp_path / "state", *verb)
        assert ran.status == 0
        assert all(line.isprintable() for line in (ran.out + ran.err).split("\n")), verb
    assert json.loads(ran.out)["job_id"] == HOSTILE
    missing = gitstate("--store", tmp_path / "state", "show", HOSTILE + "2")
    assert missing.status == 3 and missing.err.count("\n") <= 2 and "\x1b" not in missing.err
    gone = gitstate("--store", tmp_path / "state", "delete", HOSTILE)
    assert gone.status == 0 and "\x1b" not in gone.err


def test_a_job_id_of_undecodable_bytes(gitstate: Gitstate, tmp_path: Path) -> None:
    odd = b"job-\xff".decode(errors="surrogateescape")  # as arguments of a process arrive
    asyncio.run(_save_hostile(tmp_path / "state", odd))
    ran = gitstate("--store", tmp_path / "state", "show", odd, "--json")
    assert ran.status == 0 and json.loads(ran.out)["job_id"] == odd
    assert gitstate("--store", tmp_path / "state", "list", "--json").status == 0


def test_delete_as_json_says_what_was_done_and_how_to_take_it_back(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("delete", "nightly", "--json", "--store", store)
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "job": "nightly",
        "event": "deleted",
        "revision": git(store, "rev-parse", "HEAD").strip(),
        "before": {"status": "running", "completed_sheets": 1, "total_sheets": 3},
        "after": None,
        "undo": f"gitstate undelete --store {store} nightly",
    }


def test_a_dry_run_of_delete_deletes_nothing(gitstate: Gitstate, store: Path) -> None:
    head = git(store, "rev-parse", "HEAD")
    ran = gitstate("delete", "nightly", "--dry-run", "--store", store)
    assert (ran.status, ran.out) == (0, "job     nightly\nstatus  running, 1/3 done\n")
    assert ran.err == "It would be deleted. Nothing was written, this was a dry run.\n"
    told = json.loads(gitstate("delete", "nightly", "--dry-run", "--json", "--store", store).out)
    assert (told["before"]["status"], told["revision"], told["undo"]) == ("running", None, None)
    assert gitstate("delete", "none", "--dry-run", "--store", store).status == 3
    assert git(store, "rev-parse", "HEAD") == head


def test_a_job_that_runs_is_deleted_by_force_alone(gitstate: Gitstate, tmp_path: Path) -> None:
    store = tmp_path / "state"
    asyncio.run(_save_running(store))
    ran = gitstate("delete", "nightly", "--store", store)
    assert ran.status == 7 and f"process {os.getpid()} of this host is alive" in ran.err and "--force" in ran.err
    assert gitstate("delete", "nightly", "--dry-run", "--store", store).status == 0
    assert (store / "jobs/nightly").exists()
    assert gitstate("delete", "nightly", "--force", "--store", store).status == 0
    assert not (store / "jobs/nightly").exists()


def test_a_job_that_cannot_be_read_can_be_deleted(gitstate: Gitstate, store: Path) -> None:
    (store / "jobs/nightly/job.json").write_text("{")
    git(store, "commit", "-qam", "Break it")
    ran = gitstate("delete", "nightly", "--dry-run", "--store", store)
    assert ran.out == "job     nightly\nstatus  no state that could be read\n"
    told = json.loads(gitstate("delete", "nightly", "--json", "--store", store).out)
    assert told["before"] is None and told["revision"] == git(store, "rev-parse", "HEAD").strip()
    assert not (store / "jobs/nightly").exists()


async def _save_hostile(path: Path, job_id: str, *, worktree: bool = True) -> None:
    async with GitStateBackend(path, worktree=worktree) as backend:
        await backend.save(CheckpointState(job_id=job_id, job_name=job_id, total_sheets=1, error_message=job_id))


async def _save_running(path: Path) -> None:
    async with GitStateBackend(path) as backend:
        state = CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=1)
        state.mark_sheet_started(1)
        state.set_running_pid()
        await backend.save(state)
