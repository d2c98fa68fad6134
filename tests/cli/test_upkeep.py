"""The verbs that look after a store."""

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import Gitstate
from tests.stores import leave_damaged


def test_verify_says_what_it_looked_at(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("verify", "--store", store)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "Checked 5 revisions, 29 objects and 2 jobs: all is well.\n"


def test_verify_lists_what_is_wrong(gitstate: Gitstate, store: Path) -> None:
    leave_damaged(store)
    (store / "jobs/nightly/sheets/0001.json").unlink()
    job = store / "jobs/weekly/job.json"
    job.write_text(job.read_text().replace('"total_sheets": 1', '"total_sheets": "many"'))
    subprocess.run(["git", "-C", store, "commit", "-qam", "oops"], check=True)
    ran = gitstate("verify", "--store", store)
    assert ran.status == 12
    lines = ran.out.splitlines()
    assert [line.split()[:3] for line in lines[0:-1:3]] == [
        ["error", "document", "jobs/nightly"],
        ["error", "document", "jobs/weekly"],
    ]
    assert "0001.json is missing" in lines[1] and "total_sheets" in lines[4]
    assert lines[2] == lines[5].replace("weekly", "nightly") and lines[2].startswith("    hint: load an earlier")
    assert "lost or wrong" in lines[-1]


def test_verify_as_json_is_one_object(gitstate: Gitstate, store: Path) -> None:
    assert json.loads(gitstate("verify", "--json", "--store", store).out) == {
        "ok": True,
        "revisions": 5,
        "objects": 29,
        "documents": 2,
        "problems": [],
        "rescues": 0,
    }
    leave_damaged(store)
    (store / "jobs/nightly/job.json").write_text("{")
    subprocess.run(["git", "-C", store, "commit", "-qam", "oops"], check=True)
    ran = gitstate("verify", "--json", "--repair", "--store", store)
    report = json.loads(ran.out)
    assert (ran.status, report["ok"], report["revisions"]) == (12, False, 6)
    (problem,) = report["problems"]
    assert problem.keys() == {"kind", "place", "what", "hint", "severity", "repaired", "revision", "author"}
    head = subprocess.run(["git", "-C", store, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert (problem["revision"], problem["author"]) == (head.stdout.strip(), "A Tester")
    assert f"made by {problem['revision'][:10]} of A Tester, " in problem["what"]
    assert (problem["kind"], problem["severity"], problem["repaired"]) == ("document", "error", False)


def test_gc_packs_the_store(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("gc", "--store", store)
    assert (ran.status, ran.err) == (0, "")
    assert "1 after" in ran.out and "KB before" in ran.out
    assert len(list((store / ".git/objects/pack").glob("*.pack"))) == 1
    report = json.loads(gitstate("gc", "--json", "--store", store).out)
    assert (report["packs_before"], report["packs_after"]) == (1, 1)
    assert gitstate("verify", "--store", store).out.endswith("all is well.\n")


def test_repair_mends_what_is_derived(gitstate: Gitstate, store: Path) -> None:
    (store / ".git/index").write_bytes(b"nonsense")
    left = store / ".git/objects/pack/tmp_pack_gitstate_1_1"
    left.write_bytes(b"PACK")
    ran = gitstate("verify", "--store", store)
    assert ran.status == 0, "nothing is lost"
    assert [line.split()[:3] for line in ran.out.splitlines()[0:-1:3]] == [
        ["warning", "leftover", "objects/pack/tmp_pack_gitstate_1_1"],
        ["warning", "view", "index"],
    ]
    assert ran.out.count("--repair") == 2
    ran = gitstate("verify", "--repair", "--store", store)
    assert [line.split()[0] for line in ran.out.splitlines()[0:-1:2]] == ["repaired", "repaired"]
    assert not left.exists()
    assert subprocess.run(["git", "status", "--porcelain"], cwd=store, capture_output=True).stdout == b""
    assert gitstate("verify", "--store", store).out.count("\n") == 1


def test_reshard_moves_the_jobs_and_history_goes_on(gitstate: Gitstate, store: Path) -> None:
    before = gitstate("show", "nightly", "--json", "--store", store).out
    log = gitstate("log", "nightly", "--store", store).out
    ran = gitstate("reshard", "2", "--store", store)
    assert (ran.status, ran.out, ran.err) == (0, "", "Moved all jobs; the fanout is 2.\n")
    assert (store / "jobs/2/a/nightly/job.json").is_file() and not (store / "jobs/nightly").exists()
    assert gitstate("show", "nightly", "--json", "--store", store).out == before
    assert gitstate("log", "nightly", "--store", store).out == log
    oldest = log.splitlines()[-1].split()[0]
    assert gitstate("show", "nightly", "--at", oldest, "--store", store).status == 0
    assert gitstate("reshard", "2", "--store", store).err == "The fanout is 2 already.\n"
    assert gitstate("verify", "--store", store).status == 0


def test_reshard_refuses_impossible_numbers(gitstate: Gitstate, store: Path) -> None:
    assert gitstate("reshard", "5", "--store", store).status == 2
    assert gitstate("reshard", "--store", store).status == 2


def test_reshard_as_json(gitstate: Gitstate, store: Path) -> None:
    def commit(name: str) -> str:
        return subprocess.check_output(["git", "-C", store, "rev-parse", name], text=True).strip()

    told = json.loads(gitstate("reshard", "2", "--json", "--store", store).out)
    assert told == {
        "event": "resharded",
        "revision": commit("HEAD"),
        "previous": commit("HEAD~1"),
        "before": {"fanout": 0},
        "after": {"fanout": 2},
        "moved": 2,
    }
    told = json.loads(gitstate("reshard", "2", "--json", "--store", store).out)
    assert (told["revision"], told["before"], told["after"], told["moved"]) == (None, {"fanout": 2}, {"fanout": 2}, 0)


def test_a_dry_run_of_reshard_moves_nothing(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("reshard", "2", "--dry-run", "--store", store)
    assert (ran.status, ran.out) == (0, "2 jobs would move; the fanout is 0 and would be 2.\n")
    assert ran.err == "Nothing was written, this was a dry run.\n"
    told = json.loads(gitstate("reshard", "2", "--dry-run", "--json", "--store", store).out)
    assert (told["revision"], told["previous"], told["moved"]) == (None, None, 2)
    assert (store / "jobs/nightly/job.json").is_file()
    assert gitstate("reshard", "0", "--dry-run", "--store", store).err == "The fanout is 0 already.\n"
