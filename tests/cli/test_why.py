"""The verbs blame, bisect and next."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Gitstate, revisions
from tests.cli.test_terminal import COLUMNS, on_terminal


def test_blame_shows_who_set_a_value_and_what_stood_there_before(gitstate: Gitstate, store: Path) -> None:
    gitstate("restore", "nightly", "~1", "--sheets", "2", "--store", store)
    newest = revisions(store)[::-1]
    rows = gitstate("blame", "nightly", "sheets.2.status", "--store", store).out.splitlines()
    assert [row.split()[0] for row in rows] == ["revision", newest[0][:10], newest[1][:10]]
    assert "(removed)  nightly: restored sheet 2" in rows[1]
    assert '"failed"   nightly: sheet 2 failed' in rows[2]
    ran = gitstate("blame", "night", "/sheets/2/status", "-n", "1", "--store", store)
    assert (len(ran.out.splitlines()), ran.err) == (2, "The newest 1 of 2.\n")
    ran = gitstate("blame", "nightly", "sheets.2.status", "--at", "~1", "--store", store)
    assert len(ran.out.splitlines()) == 2


def test_blame_as_json_holds_the_values(gitstate: Gitstate, store: Path) -> None:
    gitstate("restore", "nightly", "~1", "--sheets", "2", "--store", store)
    found = json.loads(gitstate("blame", "nightly", "sheets.2.status", "--json", "--store", store).out)
    assert (found["job"], found["pointer"]) == ("nightly", "/sheets/2/status")
    removed, failed = found["settings"]
    assert removed.keys() == {"checkpoint"}
    assert (failed["value"], failed["checkpoint"]["event"]) == ("failed", "saved")


def test_bisect_finds_since_when(gitstate: Gitstate, store: Path) -> None:
    newest = revisions(store)[::-1]
    ran = gitstate("bisect", "nightly", "sheets.*.status == 'failed'", "--store", store)
    assert [row.split()[:2] for row in ran.out.splitlines()[1:]] == [
        ["before", newest[1][:10]],
        ["first", newest[0][:10]],
    ]
    assert f"gitstate diff --store {store} nightly {newest[1][:10]} {newest[0][:10]}" in ran.err
    ran = gitstate("bisect", "nightly", "total_sheets == 3", "--store", store)
    assert [row.split()[0] for row in ran.out.splitlines()[1:]] == ["first"]
    found = json.loads(gitstate("bisect", "nightly", "sheets.2.attempt_count > 0", "--json", "--store", store).out)
    assert (found["found"]["revision"], found["before"]["revision"]) == (newest[0], newest[1])
    assert (found["looked_at"], found["never"]) == (3, [])


def test_bisect_that_finds_nothing_exits_with_1_and_names_what_never_was(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("bisect", "nightly", "status == failed", "--store", store)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines()[0] == "It holds at none of 3 checkpoints."
    assert ran.err.splitlines()[1].startswith("Nothing stood at /failed in what was")
    ran = gitstate("bisect", "nightly", "sheets.2.attempt_count > 5", "--json", "--store", store)
    assert (ran.status, json.loads(ran.out)["found"]) == (1, None)
    assert gitstate("bisect", "nightly", "sheets.2.status", "--at", "~1", "--store", store).status == 1


def test_next_says_why(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("next", "nightly", "--store", store)
    assert ran.out == (
        "next sheet  2\n"
        "why         it failed, after 1 attempt, and is tried again\n"
        "\n"
        "sheets  status     why not\n"
        "     1  completed  it is completed\n"
    )
    assert gitstate("next", "nightly", "--at", "~2", "--store", store).out.startswith("next sheet  1\n")
    assert json.loads(gitstate("next", "nightly", "--json", "--store", store).out) == {
        "job": "nightly",
        "sheet": 2,
        "reason": "it failed, after 1 attempt, and is tried again",
        "passed_over": [{"sheet": 1, "status": "completed", "reason": "it is completed"}],
    }
    assert gitstate("next", "weekly", "--store", store).out.splitlines()[:2] == [
        "next sheet  none",
        "why         the job is completed",
    ]
    assert gitstate("next", "none", "--store", store).out.startswith("next sheet  1\nwhy         the job has no state")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["blame", "none", "status"], 3, "there is no job 'none'"),
        (["blame", "nightly", "/nothing"], 3, "nothing ever stood at /nothing of job 'nightly'"),
        (["blame", "nightly", "/a~2"], 2, "is no JSON pointer"),
        (["blame", "nightly", "status", "--at", "~7"], 3, "does not go back"),
        (["bisect", "nightly", "status ="], 2, "is no expression"),
        (["bisect", "none", "status"], 3, "there is no job 'none'"),
        (["next", "nightly", "--at", "~7"], 3, "does not go back"),
    ],
)
def test_what_has_no_answer_is_an_error(
    gitstate: Gitstate, store: Path, arguments: list[str], status: int, says: str
) -> None:
    ran = gitstate(*arguments, "--store", store)
    assert (ran.status, ran.out) == (status, "")
    assert says in ran.err


def test_on_a_terminal_of_80_columns(gitstate: Gitstate, store: Path) -> None:
    gitstate("pin", "nightly", "a-name-that-is-long", "--store", store)
    gitstate("fork", "nightly", "second", "--store", store)
    gitstate("delete", "weekly", "--store", store)
    for verb in (
        ["blame", "nightly", "sheets.2"],
        ["bisect", "nightly", "sheets.2.status"],
        ["next", "nightly"],
        ["log", "nightly", "--graph"],
        ["log", "nightly"],
        ["pin", "nightly"],
        ["list", "--deleted"],
    ):
        status, shown = on_terminal("--store", store, *verb, NO_COLOR="1")
        table = [line for line in shown.splitlines() if not line.startswith("To see")]
        assert status == 0, verb
        assert len(table) > 1 and max(map(len, table)) <= COLUMNS, f"{verb}: {shown}"
