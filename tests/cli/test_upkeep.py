"""The verbs that look after a store."""

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import Gitstate
from tests.stores import leave_damaged


def test_verify_says_what_it_looked_at(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("verify", "--store", store)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err == "5 revisions, 29 objects and 2 jobs were checked: all is well.\n"


def test_verify_lists_what_is_wrong(gitstate: Gitstate, store: Path) -> None:
    leave_damaged(store)
    (store / "jobs/nightly/sheets/0001.json").unlink()
    job = store / "jobs/weekly/job.json"
    job.write_text(job.read_text().replace('"total_sheets": 1', '"total_sheets": "many"'))
    subprocess.run(["git", "-C", store, "commit", "-qam", "oops"], check=True)
    ran = gitstate("verify", "--store", store)
    assert ran.status == 12
    assert [line.split()[:3] for line in ran.out.splitlines()] == [
        ["severity", "kind", "where"],
        ["error", "document", "jobs/nightly"],
        ["error", "document", "jobs/weekly"],
    ]
    assert "0001.json is missing" in ran.out and "total_sheets" in ran.out
    assert "hint: load an earlier revision" in ran.err and "lost or wrong" in ran.err


def test_verify_as_json_is_one_object(gitstate: Gitstate, store: Path) -> None:
    assert json.loads(gitstate("verify", "--json", "--store", store).out) == {
        "ok": True,
        "revisions": 5,
        "objects": 29,
        "documents": 2,
        "problems": [],
    }
    leave_damaged(store)
    (store / "jobs/nightly/job.json").write_text("{")
    subprocess.run(["git", "-C", store, "commit", "-qam", "oops"], check=True)
    ran = gitstate("verify", "--json", "--repair", "--store", store)
    report = json.loads(ran.out)
    assert (ran.status, report["ok"], report["revisions"]) == (12, False, 6)
    (problem,) = report["problems"]
    assert problem.keys() == {"kind", "place", "what", "hint", "severity", "repaired"}
    assert (problem["kind"], problem["severity"], problem["repaired"]) == ("document", "error", False)
