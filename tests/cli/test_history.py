"""The verb log."""

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import Gitstate

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
    assert newest.keys() == {"revision", "time", "author", "event", "subject", "status", "progress", "message"}
    assert (newest["event"], newest["status"], newest["progress"]) == ("saved", "running", "1/3")
    assert (oldest["event"], oldest["author"], len(oldest["revision"])) == ("created", "A Tester", 40)


def test_log_shows_what_people_committed(gitstate: Gitstate, store: Path) -> None:
    file = store / "jobs/nightly/job.json"
    file.write_text(file.read_text().replace("Nightly report", "Mine"))
    subprocess.run(["git", "-C", store, "commit", "-qam", "Rename it"], check=True)
    newest = json.loads(gitstate("log", "nightly", "-n", "1", "--json", "--store", store).out)[0]
    assert (newest["event"], newest["subject"]) == ("edited", "Rename it")
