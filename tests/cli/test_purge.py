"""The verb purge."""

import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Gitstate, revisions
from tests.git import fsck, git
from tests.remains import holders

SECRET = "hunter2/x-y"


@pytest.fixture
def store(store: Path) -> Path:
    """The store of all tests, in which ``nightly`` said a secret."""
    file = store / "jobs/nightly/sheets/0002.json"
    file.write_text(file.read_text().replace("no space left", f"no space left for {SECRET}"))
    git(store, "commit", "-qam", f"said {SECRET}")
    return store


def test_a_plan_is_shown_and_its_token_carries_it_out(gitstate: Gitstate, store: Path) -> None:
    old = git(store, "rev-parse", "main")
    ran = gitstate("purge", "weekly", "--store", store)
    assert ran.status == 0
    assert ran.out.splitlines()[:3] == [
        "jobs      weekly",
        f"commits   1 of 6 written anew, 1 dropped; what is before {revisions(store, 'weekly')[0][:10]} keeps its id",
        "moved     refs/heads/main",
    ]
    said, confirm = ran.err.splitlines()
    assert said == "Nothing was written. To have just this done, say the same once more, with:"
    assert git(store, "rev-parse", "main") == old
    assert gitstate("purge", "weekly", *confirm.split(), "--dry-run", "--store", store) == ran
    done = gitstate("purge", "weekly", *confirm.split(), "--store", store)
    assert (done.status, done.out) == (0, "")
    assert done.err.startswith("Purged: 1 commit written anew, 1 dropped; ")
    assert holders(store / ".git", b"weekly") == []
    assert git(store, "ls-tree", "--name-only", "HEAD", "jobs/") == "jobs/nightly\n"
    assert gitstate("purge", "weekly", *confirm.split(), "--store", store).status == 3
    fsck(store)


def test_a_value_is_never_shown(gitstate: Gitstate, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = gitstate("purge", "--value", SECRET, "--json", "--store", store)
    plan = json.loads(ran.out)
    assert (plan["done"], plan["rewritten"], plan["files"]) == (False, 1, {"jobs/nightly/sheets/0002.json": 1})
    shown = gitstate("purge", "--value", SECRET, "--store", store)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    done = gitstate("purge", "--value", "-", "--confirm", plan["token"], "--json", "--store", store)
    report = json.loads(done.out)
    assert (report["done"], report["new_head"], report["stayed"]) == (True, plan["new_head"], [])
    assert report["removed"] > 0
    assert SECRET not in ran.out + ran.err + shown.out + shown.err + done.out + done.err
    assert holders(store / ".git", SECRET.encode()) == []
    assert git(store, "rev-parse", "main").strip() == plan["new_head"]
    assert git(store, "status", "--porcelain") == ""
    assert "no space left for [purged]" in (store / "jobs/nightly/sheets/0002.json").read_text()
    gone = gitstate("purge", "--value", SECRET, "--store", store)
    assert gone.status == 3
    assert SECRET not in gone.err


def test_nothing_that_is_printed_can_be_run_as_it_is(gitstate: Gitstate, store: Path) -> None:
    git(store, "remote", "add", "origin", "https://me:secret@example.org/a.git")
    git(store, "update-ref", "refs/remotes/origin/main", "main")
    git(store, "branch", "backup")
    ran = gitstate("purge", "weekly", "--store", store)
    token = ran.err.split()[-1]
    assert "remote    origin (https://example.org/a.git) still has it: main" in ran.out
    assert "stays     refs/heads/backup: " in ran.out
    done = gitstate("purge", "weekly", "--confirm", token, "--store", store)
    text = ran.out + ran.err + done.err
    assert "Remote origin (https://example.org/a.git) still has it: main." in done.err
    assert "me:secret" not in text
    for word in ("git push", "gitstate purge", "--force", "filter-repo", "gc --prune"):
        assert word not in text
    git(store, "branch", "-D", "backup")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 2, "name what to purge: jobs, --value, --pattern or --kind"),
        (["none"], 3, "no commit of the store has anything of 'none'"),
        (["--value", "abc"], 2, "4 characters or more"),
        (["--value", "nowhere"], 3, "nowhere in the store"),
        (["--pattern", "("], 2, "no regular expression"),
        (["--value", "nightly"], 2, "if it is a part of a job's id, purge that job"),
        (["weekly", "--confirm", "0123456789abcdef"], 5, "something moved since the plan"),
    ],
)
def test_what_cannot_be_done_is_refused(
    gitstate: Gitstate, store: Path, arguments: list[str], status: int, says: str
) -> None:
    head = git(store, "rev-parse", "main")
    ran = gitstate("purge", *arguments, "--store", store)
    assert (ran.status, ran.out) == (status, "")
    assert says in ran.err
    assert git(store, "rev-parse", "main") == head


def test_edits_are_in_the_way(gitstate: Gitstate, store: Path) -> None:
    (store / "jobs/nightly/job.json").write_text("{}")
    ran = gitstate("purge", "weekly", "--store", store)
    assert ran.status == 6
    assert "jobs/nightly/job.json; nothing was written" in ran.err
    git(store, "checkout", "-q", "--", ".")
