"""The filters and orders of list."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Gitstate
from tests.git import git
from tests.stores import leave_damaged


def listed(gitstate: Gitstate, store: Path, *options: str) -> list[str]:
    ran = gitstate("list", "--json", "--store", store, *options)
    assert (ran.status, ran.err) == (0, "")
    return [job["id"] for job in json.loads(ran.out)]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], ["weekly", "nightly"]),
        (["--reverse"], ["nightly", "weekly"]),
        (["--sort", "id"], ["nightly", "weekly"]),
        (["--sort", "name", "--reverse"], ["weekly", "nightly"]),
        (["-n", "1"], ["weekly"]),
        (["--sort", "created"], ["weekly", "nightly"]),
        (["--until", "now"], ["weekly", "nightly"]),
        (["--name", ""], []),
        (["--status", "running"], ["nightly"]),
        (["--status", "running", "--status", "completed"], ["weekly", "nightly"]),
        (["--name", "n*"], ["nightly"]),
        (["--name", "* report"], ["nightly"]),
        (["--failed", "1"], ["nightly"]),
        (["--failed", "2"], []),
        (["--error", "NO SPACE"], ["nightly"]),
        (["--since", "1.hour.ago"], ["weekly", "nightly"]),
        (["--until", "1 hour ago"], []),
        (["--stale", "10m"], []),
        (["--stale", "0s"], ["nightly"]),
    ],
)
def test_jobs_are_chosen_and_sorted(gitstate: Gitstate, store: Path, options: list[str], ids: list[str]) -> None:
    assert listed(gitstate, store, *options) == ids


def test_none_of_the_jobs_is_like_that(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("list", "--store", store, "--status", "paused")
    assert (ran.status, ran.out, ran.err) == (0, "", "No job is like that.\n")


def test_a_status_that_may_be_mistyped_is_told(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("list", "--store", store, "--status", "Running")
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.startswith("No job is like that; Running is none of pending, running,")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--since", "soon"], "--since: 'soon' is no time, such as"),
        (["--stale", "10"], "--stale: '10' is no duration, such as 10m"),
        (["--limit", "0"], "--limit"),
        (["--sort", "size"], "size"),
        (["--failed", "-1"], "--failed"),
        (["--deleted", "--failed", "1"], "takes no filter"),
        (["--at", "now", "--sort", "id"], "takes no filter"),
    ],
)
def test_what_cannot_be_meant(gitstate: Gitstate, store: Path, options: list[str], says: str) -> None:
    ran = gitstate("list", "--store", store, *options)
    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err


@pytest.mark.parametrize("verb", [["list"], ["top", "--all"]])
def test_a_store_in_which_no_job_can_be_read_does_not_look_empty(
    gitstate: Gitstate, store: Path, verb: list[str]
) -> None:
    for job in ("nightly", "weekly"):
        (store / f"jobs/{job}/job.json").write_text("{}\n")
    git(store, "commit", "-qam", "Break both")
    leave_damaged(store)
    ran = gitstate(*verb, "--store", store)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.count("left out of the list: ") == 2
    assert ran.err.endswith("The store holds no job that can be read; `gitstate verify` tells more.\n")
