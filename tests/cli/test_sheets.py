"""The verbs skip and reset."""

import json
from pathlib import Path

from tests.cli.conftest import Gitstate, revisions


def test_skip_says_what_it_did(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("skip", "nightly", "3", "-m", "not needed", "--store", store)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        "Skipped sheet 3 of job nightly: it was running, 1/3 done, now it is running, 2/3 done.",
        f"Revision {revisions(store)[-1][:10]}. To take it back: gitstate undo --store {store} nightly",
    ]
    assert "not needed" in gitstate("show", "nightly", "--store", store).out
    assert gitstate("undo", "nightly", "--store", store).status == 0
    again = gitstate("skip", "nightly", "2", "3", "--json", "--store", store)
    assert json.loads(again.out)["after"] == {"status": "completed", "completed_sheets": 3, "total_sheets": 3}


def test_reset_and_its_dry_run(gitstate: Gitstate, store: Path) -> None:
    made = revisions(store, "weekly")
    dry = gitstate("reset", "weekly", "1", "--dry-run", "--store", store)
    assert dry.status == 0 and "/sheets/1/status" in dry.out and revisions(store, "weekly") == made
    ran = gitstate("reset", "weekly", "1", "--store", store)
    assert ran.err.startswith("Reset sheet 1 of job weekly: it was completed, 1/1 done, now it is pending, 0/1 done.")
    assert "Nothing to change" in gitstate("reset", "weekly", "1", "--store", store).err


def test_sheets_that_cannot_be_meant(gitstate: Gitstate, store: Path) -> None:
    assert gitstate("skip", "nightly", "--store", store).status == 2
    assert gitstate("skip", "nightly", "4", "--store", store).status == 2
    assert gitstate("skip", "nightly", "1", "--store", store).status == 2
    assert gitstate("reset", "nigh", "1", "--store", store).status == 3
