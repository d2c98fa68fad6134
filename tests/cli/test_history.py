"""The verb log."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest

from gitstate import GitStateBackend, SheetStatus
from tests.cli.conftest import COMMAND, Gitstate, Ran, revisions

SUBJECTS = [
    "nightly: sheet 2 failed (1/3 done)",
    "nightly: sheet 1 completed (1/3 done)",
    "nightly: created (0/3 done)",
]


def test_log_lists_the_newest_first(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("log", "nightly", "--store", store)
    assert [line.split("  ")[-1] for line in ran.out.splitlines()] == ["what", *SUBJECTS]
    revision = ran.out.splitlines()[1].split()[0]
    shown = subprocess.run(["git", "-C", store, "show", "-s", "--format=%s", revision], capture_output=True, text=True)
    assert shown.stdout.strip() == SUBJECTS[0]


def test_log_can_be_limited(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("log", "nightly", "-n", "2", "--store", store)
    assert len(ran.out.splitlines()) == 3 and "newest 2" in ran.err
    assert gitstate("log", "nightly", "-n", "4", "--store", store).err == ""


def test_log_as_json_is_one_array(gitstate: Gitstate, store: Path) -> None:
    checkpoints = json.loads(gitstate("log", "nightly", "--json", "--store", store).out)
    assert [checkpoint["subject"] for checkpoint in checkpoints] == SUBJECTS
    newest, _, oldest = checkpoints
    told = {"revision", "time", "author", "event", "subject", "status", "progress", "message", "ended", "pins"}
    told |= {"code", "code_dirty"}
    assert newest.keys() == told
    assert (newest["event"], newest["status"], newest["progress"]) == ("saved", "running", "1/3")
    assert (oldest["event"], oldest["author"], len(oldest["revision"])) == ("created", "A Tester", 40)


def test_log_shows_what_people_committed(gitstate: Gitstate, store: Path) -> None:
    file = store / "jobs/nightly/job.json"
    file.write_text(file.read_text().replace("Nightly report", "Mine"))
    subprocess.run(["git", "-C", store, "commit", "-qam", "Rename it"], check=True)
    newest = json.loads(gitstate("log", "nightly", "-n", "1", "--json", "--store", store).out)[0]
    assert (newest["event"], newest["subject"]) == ("edited", "Rename it")


def subjects(ran: Ran) -> list[str]:
    return [line.split("  ")[-1] for line in ran.out.splitlines()[1:]]


def test_log_can_be_filtered(gitstate: Gitstate, store: Path) -> None:
    for arguments, expected in (
        (["--before", "~0"], SUBJECTS[1:]),
        (["--after", "~2"], SUBJECTS[:2]),
        (["--before", "~0", "--after", "~2"], SUBJECTS[1:2]),
        (["--at", "~1"], SUBJECTS[1:]),
        (["--event", "created"], SUBJECTS[2:]),
        (["--event", "created", "--event", "saved", "-n", "2"], SUBJECTS[:2]),
        (["--after", "an hour ago"], SUBJECTS),
    ):
        assert subjects(gitstate("log", "nightly", *arguments, "--store", store)) == expected, arguments
    ran = gitstate("log", "nightly", "--before", "an hour ago", "--store", store)
    assert (ran.status, ran.out, ran.err) == (0, "", "No checkpoint is like that.\n")


def test_the_beginning_of_an_id_names_a_job_if_no_other_begins_so(gitstate: Gitstate, store: Path) -> None:
    assert subjects(gitstate("log", "n", "--store", store)) == SUBJECTS
    gitstate("fork", "nightly", "night", "--store", store)
    assert len(subjects(gitstate("log", "night", "--store", store))) == 1
    ran = gitstate("log", "ni", "--store", store)
    assert (ran.status, ran.err) == (3, "error: there is no job 'ni'\nhint: it may be 'night', 'nightly'\n")
    gitstate("delete", "night", "--store", store)
    assert len(subjects(gitstate("log", "night", "--store", store))) == 2, "what was deleted is meant by its whole id"


def test_pins_stand_beside_the_checkpoints(gitstate: Gitstate, store: Path) -> None:
    gitstate("pin", "nightly", "first", "~2", "--store", store)
    gitstate("pin", "nightly", "start", "~2", "--store", store)
    lines = gitstate("log", "nightly", "--store", store).out.splitlines()
    assert lines[0].split() == ["revision", "time", "pins", "what"]
    assert lines[3].split("  ")[2:] == ["first, start", SUBJECTS[2]]
    assert json.loads(gitstate("log", "nightly", "--json", "--store", store).out)[2]["pins"] == ["first", "start"]


def test_the_graph_has_a_lane_for_each_fork(gitstate: Gitstate, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gitstate("fork", "nightly", "second", "--at", "~1", "--store", store)
    gitstate("rollback", "nightly", "~2", "--store", store)
    ran = gitstate("log", "second", "--graph", "--store", store)
    lanes = [line[:5].rstrip() for line in ran.out.splitlines()]
    # What was done within a second has no order, but a fork comes above what it began as.
    assert lanes[0] == "" and lanes[-3:] == ["├─╯", "●", "●"]
    assert sorted(lane.strip("│ ") for lane in lanes[1:-3]) == ["●", "●", "●"]
    assert sum("second: forked from nightly" in line and "●" in line for line in ran.out.splitlines()) == 1
    monkeypatch.setattr("gitstate.cli.history.draws_lines", lambda: False)
    ran = gitstate("log", "nightly", "--graph", "--after", "~3", "--store", store)
    # The fork has the bound's time, and so is left out where it was made within the same second.
    rows = [line for line in ran.out.splitlines() if "*" in line[:5] and "second: forked" not in line]
    assert [line[-20:] for line in rows] == [
        each[-20:] for each in ["nightly: rolled back to " + revisions(store)[0][:10] + " (0/3 done)", *SUBJECTS[:2]]
    ]
    assert "|_/" in ran.out
    ran = gitstate("log", "nightly", "--graph", "-n", "4", "--store", store)
    assert sum("*" in line[:5] for line in ran.out.splitlines()) == 4
    assert ran.err == "The newest 4 only.\n"


def test_the_graph_as_json_has_the_job_and_the_parent_of_each_checkpoint(gitstate: Gitstate, store: Path) -> None:
    gitstate("fork", "nightly", "second", "--at", "~1", "--store", store)
    gitstate("pin", "second", "begun", "--store", store)
    first, second, third = revisions(store)
    rows = json.loads(gitstate("log", "nightly", "--graph", "--json", "--store", store).out)
    parents = {(row["job"], row["revision"]): row["parent"] for row in rows}
    [forked] = [row for row in rows if row["job"] == "second"]
    assert parents == {
        ("nightly", third): second,
        ("nightly", second): first,
        ("nightly", first): None,
        ("second", forked["revision"]): second,
    }
    assert forked["pins"] == ["begun"]
    plain = json.loads(gitstate("log", "second", "--json", "--store", store).out)
    assert [forked] == [{**each, "job": "second", "parent": second} for each in plain]
    ran = gitstate("log", "second", "--graph", "--json", "-n", "1", "--after", "~1", "--store", store)
    assert ran.status == 3, "the fork itself has but one revision"
    ran = gitstate("log", "nightly", "--graph", "--json", "-n", "1", "--event", "forked", "--store", store)
    assert (json.loads(ran.out), ran.err) == ([forked], "")
    ran = gitstate("log", "nightly", "--graph", "--json", "--event", "deleted", "--store", store)
    assert (json.loads(ran.out), ran.err) == ([], "")


def test_the_graph_refuses_a_bound_before_the_job(gitstate: Gitstate, store: Path) -> None:
    earlier = revisions(store)[0]  # the job weekly came after it
    plain = gitstate("log", "weekly", "--before", earlier, "--store", store)
    assert plain.status == 3 and "there was no job 'weekly' at revision" in plain.err
    assert gitstate("log", "weekly", "--graph", "--before", earlier, "--store", store) == plain
    ran = gitstate("log", "weekly", "--graph", "--before", "an hour ago", "--store", store)
    assert (ran.status, ran.out, ran.err) == (0, "", "No checkpoint is like that.\n")


def test_the_graph_of_a_deleted_job_without_forks_is_one_lane(gitstate: Gitstate, store: Path) -> None:
    gitstate("delete", "nightly", "--store", store)
    ran = gitstate("log", "nightly", "--graph", "--store", store)
    assert ran.status == 0
    assert subjects(ran) == ["nightly: deleted", *SUBJECTS]
    assert all(line.startswith("●  ") for line in ran.out.splitlines()[1:])


def test_follow_shows_what_comes_until_the_job_is_over(store: Path) -> None:
    command = [*COMMAND, "log", "nightly", "--follow", "-n", "1", "--json"]
    with subprocess.Popen([*command, "--store", store], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["subject"] == SUBJECTS[0]

        async def go_on() -> None:
            async with GitStateBackend(store) as backend:
                await backend.mark_sheet_status("weekly", 1, SheetStatus.COMPLETED)
                state = await backend.load("nightly")
                assert state is not None
                for sheet in (2, 3):
                    state.mark_sheet_started(sheet)
                    await backend.save(state)
                    state.mark_sheet_completed(sheet)
                    await backend.save(state)

        asyncio.run(go_on())
        shown = [json.loads(line)["subject"] for line in process.stdout]
        assert process.wait(20) == 0
    assert shown == [
        "nightly: sheet 2 in_progress, attempt 2 (1/3 done)",
        "nightly: sheet 2 completed, attempt 2 (2/3 done)",
        "nightly: sheet 3 in_progress (2/3 done)",
        "nightly: sheet 3 completed (3/3 done)",
    ]


def test_follow_of_a_job_that_is_over_shows_its_last_checkpoints_and_ends(gitstate: Gitstate, store: Path) -> None:
    gitstate("delete", "nightly", "--store", store)
    ran = gitstate("log", "nightly", "--follow", "-n", "2", "--store", store)
    assert ran.status == 0
    assert [line.split("  ")[-1] for line in ran.out.splitlines()] == [SUBJECTS[0], "nightly: deleted"]
    ran = gitstate("log", "weekly", "--follow", "--event", "created", "--store", store)
    assert len(ran.out.splitlines()) == 1


def test_follow_shows_what_the_filters_let_through_however_much_comes_at_once(store: Path) -> None:
    async def go_on(attempts: range) -> None:
        async with GitStateBackend(store) as backend:
            for attempt in attempts:
                await backend.record_execution("nightly", 2, attempt)
            if attempts.stop > 2:
                state = await backend.load("nightly")
                assert state is not None
                state.mark_job_failed("no space left")
                await backend.save(state)

    asyncio.run(go_on(range(1, 2)))
    command = [*COMMAND, "log", "nightly", "--follow", "--event", "execution", "--after", "1 hour ago", "--json"]
    with subprocess.Popen([*command, "--store", store], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline())]  # it follows from here on
        asyncio.run(go_on(range(2, 151)))
        told += [json.loads(line) for line in process.stdout]
        assert process.wait(20) == 0
    assert [each["subject"].split(", ")[1] for each in told] == [
        f"attempt {number} (1/3 done)" for number in range(1, 151)
    ]


def test_follow_can_be_interrupted(store: Path) -> None:
    command: list[str | Path] = [*COMMAND, "log", "nightly", "--follow", "--store", store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert SUBJECTS[2] in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert (process.wait(20), process.stderr.read()) == (130, "\n")


def test_log_of_what_trailers_say(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("log", "nightly", "--store", store, "--trailer", "Gitstate-Failed: 2", "--json")
    assert [each["subject"] for each in json.loads(ran.out)] == ["nightly: sheet 2 failed (1/3 done)"]
    ran = gitstate("log", "nightly", "--store", store, "--trailer", "Other")
    assert (ran.status, ran.out, ran.err) == (0, "", "No checkpoint is like that.\n")
    assert gitstate("log", "nightly", "--store", store, "--trailer", "no key").status == 2
    assert gitstate("log", "nightly", "--store", store, "--trailer", "Gitstate-Failed", "--follow").status == 2
