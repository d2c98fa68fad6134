"""The verbs of rescue, and where else rescues are told of."""

import asyncio
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitstate import CheckpointState, ConflictError, GitStateBackend
from gitstate.backends.rescues import Rescue
from tests.cli.conftest import Gitstate, revisions
from tests.cli.test_completion import offered
from tests.git import git


def refuse(store: Path, job_id: str = "nightly", **mine: Any) -> Rescue:
    """Have a save refused, and return what was kept."""

    async def work() -> Rescue:
        async with GitStateBackend(store) as backend:
            if await backend.load(job_id) is None:
                await backend.save(CheckpointState(job_id=job_id, job_name=job_id, total_sheets=2))
            one, two = await backend.load(job_id), await backend.load(job_id)
            assert one is not None and two is not None
            one.metadata["owner"] = f"theirs {len(await backend.rescues())}"
            two.metadata |= {"owner": "mine", **mine}
            two.mark_sheet_started(two.total_sheets)
            await backend.save(one)
            with pytest.raises(ConflictError) as caught:
                await backend.save(two)
            return next(each for each in await backend.rescues() if each.ref == caught.value.rescue)

    return asyncio.run(work())


def told(text: str) -> Any:
    return json.loads(text)


def test_what_was_refused_is_listed_shown_and_compared(gitstate: Gitstate, store: Path) -> None:
    assert gitstate("rescue", "list", "--store", store).err == "Nothing is kept aside.\n"
    assert gitstate("rescue", "list", "--json", "--store", store).out == "[]\n"
    kept = refuse(store)
    ran = gitstate("rescue", "list", "--store", store)
    assert ran.out.splitlines()[0].split() == ["rescue", "why", "status", "done", "time", "by", "places"]
    assert ran.out.splitlines()[1].split()[:3] == [kept.name, "refused", "running"]
    (row,) = told(gitstate("rescue", "list", "night", "--json", "--store", store).out)
    expected = {"rescue": kept.name, "ref": kept.ref, "job": "nightly", "revision": kept.revision, "reason": "refused"}
    assert row | expected == row
    assert (row["places"], row["job_exists"], row["progress"]) == (["/metadata/owner"], True, "1/3")
    assert gitstate("rescue", "list", "weekly", "--store", store).err == "Nothing of job weekly is kept aside.\n"
    assert gitstate("rescue", "list", "nobody", "--store", store).status == 3
    shown = gitstate("rescue", "show", "nightly", "--store", store)
    assert shown.status == 0 and "why       a save was refused" in shown.out and "in_progress" in shown.out
    data = told(gitstate("rescue", "show", kept.name, "--json", "--store", store).out)
    assert (data["rescue"], data["state"]["metadata"]) == (row, {"owner": "mine"})
    assert told(gitstate("show", "nightly", "--at", kept.revision, "--json", "--store", store).out)["metadata"] == {
        "owner": "mine"
    }
    assert gitstate("show", "nightly", "--at", kept.revision[:9], "--store", store).status == 0
    found = told(gitstate("rescue", "diff", kept.name, "--json", "--store", store).out)
    assert found["after"]["checkpoint"]["event"] == "rescued"
    assert any(each.get("before") == "theirs 0" for each in found["fields"])
    base = told(gitstate("rescue", "diff", kept.name, "--base", "--format", "patch", "--store", store).out)
    assert {"op": "add", "path": "/metadata/owner", "value": "mine"} in base
    unified = gitstate("rescue", "diff", kept.revision[:8], "--format", "unified", "--store", store).out
    assert '-    "owner": "theirs 0"' in unified and '+    "owner": "mine"' in unified
    assert "/metadata/owner" in gitstate("rescue", "diff", kept.name, "--store", store).out
    assert gitstate("rescue", "show", "nothing", "--store", store).status == 3


def test_a_rescue_is_applied_as_a_person_decides(gitstate: Gitstate, store: Path) -> None:
    kept = refuse(store)
    ran = gitstate("rescue", "apply", "nightly", "--store", store)
    assert ran.status == 6 and "/metadata/owner" in ran.err and "--on-conflict" in ran.err
    dry = gitstate("rescue", "apply", "nightly", "--on-conflict", "rescue", "--dry-run", "--store", store)
    assert dry.status == 0 and "/metadata/owner" in dry.out and "dry run" in dry.err and "dropped" not in dry.err
    keep = gitstate("rescue", "apply", "nightly", "--on-conflict", "job", "--keep", "-m", "why", "--store", store)
    made = revisions(store)[-1]
    assert keep.err.splitlines() == [
        f"Applied rescue {kept.name} to job nightly: it was running, 1/3 done, now it is running, 1/3 done.",
        f"Revision {made[:10]}. To take it back: gitstate undo --store {store} nightly",
        "The rescue stays: it was to be kept.",
    ]
    assert gitstate("rescue", "apply", "nightly", "--store", store).status == 4
    done = gitstate("rescue", "apply", "nightly", "--replace", "--json", "--store", store)
    data = told(done.out)
    assert (data["event"], data["source"], data["kept"]) == ("restored", kept.revision, None)
    assert (data["rescue"]["rescue"], data["revision"]) == (kept.name, revisions(store)[-1])
    assert shlex.split(data["undo"])[:2] == ["gitstate", "undo"]
    assert gitstate("undo", "nightly", "--store", store).status == 0
    assert gitstate("rescue", "list", "--json", "--store", store).out == "[]\n"
    assert gitstate("rescue", "apply", "nightly", "--store", store).status == 3


def test_a_rescue_is_dropped_and_taken_back(gitstate: Gitstate, store: Path) -> None:
    kept = refuse(store)
    dry = gitstate("rescue", "drop", kept.name, "--dry-run", "--store", store)
    assert dry.err == f"This would drop rescue {kept.name}. Nothing was written, this was a dry run.\n"
    ran = gitstate("rescue", "drop", kept.name, "--store", store)
    assert (ran.status, ran.out, ran.err.splitlines()[0]) == (0, "", f"Dropped rescue {kept.name}.")
    assert git(store, "for-each-ref", "refs/gitstate") == ""
    subprocess.run(shlex.split(ran.err.splitlines()[1].partition(": ")[2]), check=True)
    gone = told(gitstate("rescue", "drop", kept.ref, "--yes", "--json", "--store", store).out)
    assert (gone["rescue"], gone["dropped"]) == (kept.name, True)
    assert gitstate("rescue", "drop", kept.name, "--store", store).status == 3


def test_lists_and_verify_tell_of_rescues(gitstate: Gitstate, store: Path) -> None:
    assert gitstate("list", "--store", store).out.splitlines()[0].split()[-1] == "error"
    assert [each["rescues"] for each in told(gitstate("list", "--json", "--store", store).out)] == [0, 0]
    refuse(store)
    refuse(store, more=1)
    refuse(store, "gone")
    listed = gitstate("list", "--store", store).out.splitlines()
    assert listed[0].split() == ["job", "status", "done", "saved", "rescues", "error"]
    rows = {each["id"]: each["rescues"] for each in told(gitstate("list", "--json", "--store", store).out)}
    assert rows == {"nightly": 2, "weekly": 0, "gone": 1}
    assert gitstate("delete", "gone", "--store", store).status == 0
    (gone,) = told(gitstate("list", "--deleted", "--json", "--store", store).out)
    assert gone["rescues"] == 1
    assert "rescues" in gitstate("list", "--deleted", "--store", store).out
    assert "rescues" not in told(gitstate("list", "--at", "now", "--json", "--store", store).out)[0]
    assert ", with 3 rescues: all is well" in gitstate("verify", "--store", store).out
    assert told(gitstate("verify", "--json", "--store", store).out)["rescues"] == 3
    assert "the job is gone" in gitstate("rescue", "list", "--store", store).out
    assert gitstate("rescue", "apply", "gone", "--store", store).status == 0
    assert gitstate("show", "gone", "--store", store).status == 0


def test_what_is_no_rescue_is_named(gitstate: Gitstate, store: Path) -> None:
    head = git(store, "rev-parse", "HEAD").strip()
    git(store, "update-ref", f"refs/gitstate/rescue/other/{head}", head)
    ran = gitstate("rescue", "list", "--store", store)
    assert ran.status == 0 and f"refs/gitstate/rescue/other/{head}" in ran.err
    assert "warning" not in gitstate("list", "--store", store).err
    checked = gitstate("verify", "--store", store)
    assert checked.status == 0 and "warning  rescue  refs/gitstate/rescue/other/" in checked.out


def test_what_is_no_state_is_shown_as_it_stands(gitstate: Gitstate, store: Path) -> None:
    (store / "jobs/weekly/job.json").write_text('{"job_id": "weekly", "total_sheets": "many"}')
    (store / "jobs/weekly/sheets/0001.json").unlink()
    git(store, "commit", "-qam", "broken")
    broken = git(store, "rev-parse", "HEAD").strip()
    git(store, "reset", "-q", "--hard", "HEAD^")
    git(store, "update-ref", f"refs/gitstate/rescue/weekly/{broken}", broken)
    ran = gitstate("rescue", "show", "weekly", "--store", store)
    assert ran.status == 0 and '"total_sheets": "many"' in ran.out and "It is no state: job.json" in ran.err
    assert gitstate("rescue", "apply", "weekly", "--replace", "--store", store).status == 8
    git(store, "update-ref", "-d", f"refs/gitstate/rescue/weekly/{broken}")


@pytest.mark.parametrize("verb", ["show", "diff", "apply", "drop"])
def test_names_of_rescues_are_completed(store: Path, verb: str) -> None:
    kept = refuse(store)
    other = refuse(store, "a/b")
    found = offered("--store", store, "rescue", verb, "")
    assert found.keys() == {kept.name, other.name}
    assert found[kept.name] == kept.subject
    assert offered("rescue", "list", "--store", store, "night").keys() == {"nightly"}
