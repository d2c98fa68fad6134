"""The verbs propose, review and apply, and --proposal."""

import json
import os
import shlex
import socket
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, GitStateBackend
from tests.cli.conftest import Gitstate, revisions
from tests.git import git


def branches(store: Path) -> list[str]:
    return git(store, "branch", "--format=%(refname:short)").split()


def proposed(gitstate: Gitstate, store: Path, name: str = "x") -> None:
    assert gitstate("propose", name, "--store", store).status == 0
    assert gitstate("--proposal", name, "--store", store, "skip", "nightly", "3", "-m", "no region").status == 0


def told(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value


def test_a_proposal_from_its_beginning_to_its_end(gitstate: Gitstate, store: Path) -> None:
    head = git(store, "rev-parse", "main").strip()
    assert gitstate("propose", "--store", store).err.startswith(
        "There are no proposals. To begin one: gitstate propose"
    )
    ran = gitstate("propose", "x", "--store", store)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        f"Proposal x begins at {head[:10]}.",
        f"Change it with --proposal x; then: gitstate review --store {store} x",
    ]
    changed = gitstate("skip", "--proposal", "x", "nightly", "3", "--store", store)
    assert changed.status == 0
    assert f"gitstate undo --store {store} --branch proposals/x nightly" in changed.err
    assert git(store, "rev-parse", "main").strip() == head
    listed = gitstate("propose", "--store", store).out.splitlines()
    assert listed[0].split() == ["proposal", "ahead", "behind", "time", "author", "jobs", "what"]
    assert listed[1].split()[:3] == ["x", "1", "0"] and listed[1].endswith("nightly: skipped sheet 3 (2/3 done)")
    review = gitstate("review", "x", "--store", store)
    assert review.status == 0 and "verdict      can be applied" in review.out
    assert "skipped" in review.out and "job  nightly" in review.out
    dry = gitstate("apply", "x", "--dry-run", "--store", store)
    assert (dry.status, dry.out) == (0, review.out) and "dry run" in dry.err
    assert git(store, "rev-parse", "main").strip() == head
    done = gitstate("apply", "x", "-m", "as said on Monday", "--store", store)
    made = git(store, "rev-parse", "main").strip()
    assert done.err.splitlines() == [
        "Applied proposal x to 1 job: nightly.",
        f"Revision {made[:10]}. To take it back: gitstate undo --store {store} nightly",
    ]
    assert branches(store) == ["main"]
    log = gitstate("log", "nightly", "--store", store).out
    assert "proposal x: nightly: skipped sheet 3" in log
    assert gitstate("undo", "nightly", "--store", store).status == 0
    assert gitstate("show", "nightly", "--store", store).out.count("skipped") == 0


def test_what_moved_is_told_and_the_exit_status_is_that_of_apply(gitstate: Gitstate, store: Path) -> None:
    proposed(gitstate, store)
    gitstate("skip", "nightly", "3", "-m", "somebody else", "--store", store)
    review = gitstate("review", "x", "--store", store)
    assert review.status == 5
    assert "what it relied on, and is no longer so" in review.out and "/sheets/3" in review.out
    assert "nightly: skipped sheet 3" in review.out and "as it was when the proposal began" in review.out
    ran = gitstate("apply", "x", "--store", store)
    assert ran.status == 5 and "/sheets/3 of job 'nightly' (by" in ran.err and "branch" not in ran.err
    assert branches(store) == ["main", "proposals/x"]
    page = gitstate("review", "x", "--markdown", "--store", store)
    assert page.status == 5 and page.out.startswith("## Proposal <code>x</code>\n\n**cannot be applied")
    assert "| <code>nightly</code> | <code>/sheets/3</code> |" in page.out
    found = told(gitstate("review", "x", "--json", "--store", store).out)
    assert (found["state"], found["jobs"], len(found["outdated"])) == ("moved", [], 1)
    [moved] = found["moved"]
    assert (moved["job"], moved["place"], moved["now"]["error_message"]) == ("nightly", "/sheets/3", "somebody else")
    assert "relied" not in moved and moved["by"]["revision"] == revisions(store)[-1]


def test_the_forms_of_a_review(gitstate: Gitstate, store: Path) -> None:
    proposed(gitstate, store)
    page = gitstate("review", "x", "--markdown", "--store", store).out
    assert page.startswith("## Proposal <code>x</code>\n\n**can be applied**")
    assert "### Job <code>nightly</code>" in page and "| + | <code>3</code> | <code>none &#8594; skipped</code>" in page
    assert gitstate("review", "x", "--format", "markdown", "--store", store).out == page
    patch = told(gitstate("review", "x", "--format", "patch", "--store", store).out)
    assert [op["path"] for op in patch["nightly"] if op["op"] == "add"] == ["/sheets/3"]
    unified = gitstate("review", "x", "--format", "unified", "--store", store).out
    assert "+++ b/jobs/nightly/sheets/0003.json" in unified and '+  "status": "skipped",' in unified
    found = told(gitstate("review", "x", "--json", "--store", store).out)
    assert found["state"] == "applicable" and found["jobs"][0]["sheets"][0]["sheet"] == "3"
    assert found["proposal"]["jobs"] == ["nightly"] and found["moved"] == []


def test_no_text_of_a_state_or_of_a_person_breaks_the_page(gitstate: Gitstate, store: Path) -> None:
    gitstate("propose", "x", "--store", store)
    evil = "|</code><script>`@everyone`\n\n## Approved"
    assert gitstate("--proposal", "x", "skip", "nightly", "3", "-m", evil, "--store", store).status == 0
    gitstate("skip", "nightly", "3", "-m", evil + "!", "--store", store)
    page = gitstate("review", "x", "--markdown", "--store", store).out
    assert "<script>" not in page and "@everyone" not in page and "\n## Approved" not in page


def test_json_of_what_was_done(gitstate: Gitstate, store: Path) -> None:
    begun = told(gitstate("propose", "x", "--json", "--store", store).out)
    assert begun["branch"] == "refs/heads/proposals/x" and begun["ahead"] == 0
    gitstate("--proposal", "x", "reset", "nightly", "2", "--store", store)
    [listed] = json.loads(gitstate("propose", "--json", "--store", store).out)
    assert (listed["proposal"], listed["ahead"], listed["jobs"]) == ("x", 1, ["nightly"])
    dry = told(gitstate("apply", "x", "--json", "--dry-run", "--store", store).out)
    assert (dry["revision"], dry["jobs"], dry["contained"]) == (None, ["nightly"], False)
    done = told(gitstate("apply", "x", "--json", "--keep", "--store", store).out)
    assert done == {
        "proposal": "x",
        "tip": listed["revision"],
        "revision": git(store, "rev-parse", "main").strip(),
        "jobs": ["nightly"],
        "contained": False,
        "kept": "it was to be kept",
    }
    again = gitstate("apply", "x", "--store", store)
    assert again.status == 0 and again.err.splitlines() == [
        "Nothing to apply: proposal x has no commit that is not in the store's history.",
        f"To drop it: gitstate propose --store {store} --delete x",
    ]
    gone = told(gitstate("propose", "x", "--delete", "--json", "--store", store).out)
    assert gone["deleted"] and gone["revision"] == listed["revision"]


def test_a_dropped_proposal_can_be_made_again(gitstate: Gitstate, store: Path) -> None:
    proposed(gitstate, store)
    tip = git(store, "rev-parse", "proposals/x").strip()
    dry = gitstate("propose", "x", "--delete", "--dry-run", "--store", store)
    assert dry.status == 0 and tip[:10] in dry.err and "proposals/x" in branches(store)
    ran = gitstate("propose", "x", "--delete", "--yes", "--store", store)
    assert ran.err.splitlines()[0] == f"Dropped proposal x, which stood at {tip[:10]}."
    assert branches(store) == ["main"]
    back = shlex.split(ran.err.strip().rpartition("To take it back: ")[2])[1:]
    assert gitstate(*back).status == 0
    assert git(store, "rev-parse", "proposals/x").strip() == tip


def test_errors(gitstate: Gitstate, store: Path) -> None:
    proposed(gitstate, store)
    assert gitstate("propose", "x", "--store", store).status == 4
    assert gitstate("propose", "x/y", "--store", store).status == 4
    assert gitstate("propose", "a..b", "--store", store).status == 2
    assert gitstate("propose", "y", "--from", "1234567", "--store", store).status == 3
    assert gitstate("propose", "--delete", "--store", store).status == 2
    assert gitstate("propose", "x", "--delete", "--from", "~1", "--store", store).status == 2
    for verb in ("review", "apply"):
        ran = gitstate(verb, "none", "--store", store)
        assert ran.status == 3 and "the proposals: x" in ran.err
    missing = gitstate("--proposal", "none", "--store", store, "skip", "nightly", "3")
    assert missing.status == 3 and "there is no proposal 'none'" in missing.err and "gitstate propose" in missing.err
    assert branches(store) == ["main", "proposals/x"]


async def _running(store: Path) -> None:
    async with GitStateBackend(store) as backend:
        state: CheckpointState | None = await backend.load("nightly")
        assert state is not None
        state.mark_sheet_started(2)
        state.pid, state.host = os.getpid(), socket.gethostname()
        await backend.save(state)


def test_a_running_job_is_named_and_not_changed_as_a_whole(gitstate: Gitstate, store: Path) -> None:
    import asyncio

    asyncio.run(_running(store))
    gitstate("propose", "x", "--store", store)
    first = revisions(store)[0]
    assert gitstate("--proposal", "x", "rollback", "nightly", first, "--force", "--store", store).status == 0
    review = gitstate("review", "x", "--store", store)
    assert review.status == 7 and "without --force" in review.out and "running      nightly" in review.out
    assert gitstate("apply", "x", "--store", store).status == 7
    assert gitstate("apply", "x", "--force", "--store", store).status == 0


def test_a_job_that_would_contradict_itself(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    git(store, "worktree", "add", "-q", "-b", "proposals/x", str(tmp_path / "x"))
    sheet = tmp_path / "x/jobs/weekly/sheets/0001.json"
    sheet.write_text(sheet.read_text().replace('"completed"', '"pending"'))
    git(tmp_path / "x", "commit", "-qam", "by hand")
    review = gitstate("review", "x", "--store", store)
    assert review.status == 2 and "the job is completed, and 1 of its 1 sheets are not done" in review.out
    assert gitstate("apply", "x", "--store", store).status == 2
    forced = gitstate("apply", "x", "--force", "--store", store)
    assert forced.status == 0 and "Its branch stays: the branch of proposal 'x' is checked out in" in forced.err


def test_the_folder_that_shows_a_proposal_is_kept_up(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    gitstate("propose", "x", "--store", store)
    git(store, "worktree", "add", "-q", str(tmp_path / "x"), "proposals/x")
    assert gitstate("--proposal", "x", "skip", "nightly", "3", "--store", store).status == 0
    assert '"skipped"' in (tmp_path / "x/jobs/nightly/sheets/0003.json").read_text()
    assert git(tmp_path / "x", "status", "--porcelain") == "" == git(store, "status", "--porcelain")
    assert not (store / "jobs/nightly/sheets/0003.json").exists()
    inside = gitstate("--branch", "proposals/x", "log", "nightly", "--store", tmp_path / "x")
    assert inside.status == 0 and "skipped sheet 3" in inside.out


@pytest.mark.parametrize("bare", [True, False])
def test_a_bare_store_has_proposals_too(gitstate: Gitstate, store: Path, tmp_path: Path, bare: bool) -> None:
    path = store
    if bare:
        path = tmp_path / "bare.git"
        git(tmp_path, "clone", "-q", "--bare", str(store), str(path))
    proposed(gitstate, path)
    assert gitstate("apply", "x", "--store", path).status == 0
    assert git(path, "log", "-1", "--format=%s", "main").startswith("proposal x: ")
    assert git(path, "show", "main:jobs/nightly/sheets/0003.json").count('"skipped"') == 1
