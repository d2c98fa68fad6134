"""The verb that looks for credentials."""

import asyncio
import json
from pathlib import Path

from gitstate import CheckpointState, GitStateBackend
from tests.cli.conftest import Gitstate, revisions
from tests.credentials import credential
from tests.git import git

TOKEN = credential("anthropic-key", 1)[0]


def hold(store: Path, **options: bool) -> None:
    """Let a job hold a credential for one save."""

    async def work() -> None:
        async with GitStateBackend(store, redact=options.get("redact", False)) as backend:
            state = CheckpointState(job_id="nightly", job_name="Nightly report", total_sheets=3)
            state.metadata["key"] = TOKEN
            await backend.save(state)
            state.metadata.clear()
            await backend.save(state)

    asyncio.run(work())


def test_nothing_is_found(gitstate: Gitstate, store: Path) -> None:
    hold(store, redact=True)
    ran = gitstate("scan", "--store", store)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.startswith("Found no credentials of known formats in 7 revisions")
    assert json.loads(gitstate("scan", "--json", "--store", store).out)["ok"] is True


def test_what_is_found_is_named_and_not_shown(gitstate: Gitstate, store: Path) -> None:
    hold(store)
    ran = gitstate("scan", "--store", store)
    held = revisions(store)[-2]
    assert ran.status == 12
    heading, line = ran.out.splitlines()
    assert heading.split() == ["kind", "begins", "job", "where", "first", "by", "on", "last"]
    assert line.split()[:3] == ["anthropic-key", "sk-a…", "nightly"]
    assert line.split()[3].startswith("jobs/nightly/job.json:")
    assert (line.split()[4], line.split()[-1]) == (held[:10], held[:10])
    assert "Found 1 credential in" in ran.err and "gitstate purge" in ran.err
    assert TOKEN[:12] not in ran.out + ran.err


def test_as_json(gitstate: Gitstate, store: Path) -> None:
    hold(store)
    ran = gitstate("scan", "--json", "--store", store)
    report = json.loads(ran.out)
    held = revisions(store)[-2]
    assert (ran.status, report["ok"], report["revisions"], report["unreadable"]) == (12, False, 7, [])
    (found,) = report["found"]
    time = git(store, "log", "-1", "--format=%cI", held).strip()
    one = {"revision": held, "author": "A Tester", "time": time.replace("Z", "+00:00")}
    assert found | {"line": 0} == {
        "kind": "anthropic-key",
        "excerpt": "sk-a…",
        "job_id": "nightly",
        "path": "jobs/nightly/job.json",
        "line": 0,
        "pointer": "/metadata/key",
        "first": one,
        "last": one,
        "is_there": False,
    }
    shown = git(store, "show", f"{held}:jobs/nightly/job.json").splitlines()
    assert TOKEN in shown[found["line"] - 1]
    assert TOKEN[:12] not in ran.out + ran.err


def test_where_to_look(gitstate: Gitstate, store: Path) -> None:
    hold(store)
    held = revisions(store)[-2]
    assert gitstate("scan", "--at", "HEAD", "--store", store).status == 0
    assert gitstate("scan", "--at", held, "--store", store).status == 12
    assert gitstate("scan", "--since", held, "--store", store).status == 0
    assert gitstate("scan", "--all", "--store", store).status == 12
    assert gitstate("scan", "--at", held, "--all", "--store", store).status == 2
    assert gitstate("scan", "--since", "no such", "--store", store).status == 3


def test_patterns(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("scan", "--pattern", "disk=no space [a-z]+", "--json", "--store", store)
    assert [found["kind"] for found in json.loads(ran.out)["found"]] == ["disk"]
    for wrong in ("disk", "disk=", "disk=(", "=x", "disk=x*"):
        assert gitstate("scan", "--pattern", wrong, "--store", store).status == 2


def test_the_command_line_redacts_unless_the_repository_says_otherwise(gitstate: Gitstate, store: Path) -> None:
    for setting, expected in (("true", "[redacted: anthropic-key]"), ("off", TOKEN)):
        git(store, "config", "gitstate.redact", setting)
        assert gitstate("rollback", "nightly", "~1", "-m", f"why {TOKEN}", "--store", store).status == 0
        assert f"why {expected}" in git(store, "log", "-1", "--format=%B")


def test_a_guard_warns_of_what_a_person_is_about_to_commit(gitstate: Gitstate, store: Path) -> None:
    path = store / "jobs/weekly/job.json"
    path.write_text(path.read_text().replace('"job_name": "weekly"', f'"job_name": "with {TOKEN}"'))
    (store / "notes.txt").write_text(f"one\ntwo {TOKEN}\n")
    git(store, "add", "-A")
    ran = gitstate("verify", "--staged", "--store", store)
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0] == "warning  secret  jobs/weekly/job.json /job_name"
    assert lines[1] == "    it holds a credential: anthropic-key, in line 3" and "git add" in lines[2]
    assert lines[3] == "warning  secret  notes.txt"
    assert lines[4] == "    it holds a credential: anthropic-key, in line 2"
    assert lines[-1] == "Checked 1 job as staged: all is well."
    git(store, "commit", "-qm", "mine")
    ran = gitstate("verify", "--range", "HEAD~1..HEAD", "--json", "--store", store)
    report = json.loads(ran.out)
    assert (ran.status, report["ok"]) == (0, True)
    told = [(each["kind"], each["file"], each["author"]) for each in report["problems"]]
    assert told == [("secret", "jobs/weekly/job.json", "A Tester"), ("secret", "notes.txt", "A Tester")]
    assert TOKEN[:12] not in ran.out
    git(store, "config", "gitstate.redact", "false")
    assert json.loads(gitstate("verify", "--range", "HEAD~1..HEAD", "--json", "--store", store).out)["problems"] == []
