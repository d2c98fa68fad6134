"""Guards: what is staged, or new in a range of commits, is checked."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.cli.failures import EXIT_STATUSES, PROBLEMS
from gitstate.errors import InvalidInputError
from tests.cli.conftest import Gitstate
from tests.cli.mistakes import JOB, UNSUPPORTED, attempt, edit, put_right
from tests.git import git
from tests.stores import leave_damaged

pytestmark = pytest.mark.usefixtures("forked")

_UNKNOWN = 3
_JOBS = ("nightly", "weekly")
_NIGHTLY = "jobs/nightly/job.json"

history = pytest.fixture(put_right)


def problems(gitstate: Gitstate, store: Path, *words: str) -> list[tuple[str, str, str]]:
    """Return kind, file and pointer of what a check finds, and hold it to its exit status."""
    ran = gitstate("verify", *words, "--json", "--store", store)
    report = json.loads(ran.out)
    assert ran.status == (0 if report["ok"] else PROBLEMS)
    return [(each["kind"], each["file"], each["pointer"]) for each in report["problems"]]


# What is staged


def test_what_is_staged_is_named_with_file_and_field(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("verify", "--staged", "--store", store)
    assert (ran.status, ran.out, ran.err) == (0, "Checked 0 jobs as staged: all is well.\n", "")
    edit(store)
    assert problems(gitstate, store, "--staged") == [], "it is not staged yet"
    git(store, "add", "-A")
    ran = gitstate("verify", "--staged", "--store", store)
    assert ran.status == PROBLEMS
    lines = ran.out.splitlines()
    assert lines[0] == "error  document  jobs/weekly/job.json /total_sheets"
    assert "valid integer" in lines[1] and "git add" in lines[2]
    assert lines[3] == "Checked 1 job as staged: this must not get into the store."
    assert problems(gitstate, store, "--staged") == [("document", JOB, "/total_sheets")]
    git(store, "commit", "-qm", "oops")
    leave_damaged(store)
    assert problems(gitstate, store, "--staged") == [], "what is there already is not looked at"
    assert gitstate("verify", "--staged", "--quiet", "--store", store).out == ""


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("rm jobs/nightly/sheets/0001.json", [("document", "jobs/nightly/sheets/0001.json", "")]),
        ("echo '{' > jobs/nightly/sheets/0001.json", [("document", "jobs/nightly/sheets/0001.json", "")]),
        ("rm jobs/nightly/job.json", [("document", "jobs/nightly/job.json", "")]),
        ("ln -s /etc/passwd jobs/nightly/link", [("place", "jobs/nightly/link", "")]),
        ("ln -sf ../weekly/job.json jobs/nightly/job.json", [("place", _NIGHTLY, ""), ("document", _NIGHTLY, "")]),
        ("rm gitstate.json", [("format", "gitstate.json", "")]),
        ("echo '{\"format\": 99}' > gitstate.json", [("format", "gitstate.json", "")]),
        ('echo \'{"format": 1, "fanout": 2}\' > gitstate.json', [("place", f"jobs/{job}", "") for job in _JOBS]),
        ("mv jobs/nightly jobs/other", [("document", "jobs/other/job.json", "")]),
        ("mkdir -p jobs/a/b && cp jobs/weekly/job.json jobs/a/b", []),
        ("rm -r jobs/nightly", []),
        ("echo text > notes.txt; ln -s notes.txt link", []),
        ("echo more > jobs/nightly/notes.txt", []),
        ("sed -i 's/weekly/other/' jobs/weekly/job.json", [("document", JOB, "")]),
    ],
)
def test_what_is_wrong_with_what_is_staged(
    gitstate: Gitstate, store: Path, command: str, found: list[tuple[str, str, str]]
) -> None:
    subprocess.run(["sh", "-ec", command], cwd=store, check=True)
    git(store, "add", "-A")
    seen = problems(gitstate, store, "--staged")
    assert seen == found
    git(store, "reset", "-q", "--hard")


def test_any_kind_of_index_is_read(gitstate: Gitstate, store: Path) -> None:
    edit(store)
    (store / "new.txt").write_text("x")
    git(store, "add", "-N", "new.txt")
    git(store, "add", JOB)
    for version in ("2", "4"):
        git(store, "update-index", "--index-version", version)
        assert problems(gitstate, store, "--staged") == [("document", JOB, "/total_sheets")]
    git(store, "update-index", "--split-index")
    assert problems(gitstate, store, "--staged") == [("document", JOB, "/total_sheets")]
    git(store, "update-index", "--no-split-index")
    (store / ".git/index").write_bytes(b"nonsense")
    assert gitstate("verify", "--staged", "--store", store).status == 8
    (store / ".git/index").unlink()
    git(store, "reset", "-q", "--hard")


def test_a_merge_that_is_not_finished_is_told(gitstate: Gitstate, store: Path) -> None:
    git(store, "switch", "-qc", "other")
    edit(store, old='"job_name": "weekly"', new='"job_name": "there"')
    git(store, "commit", "-qam", "there")
    git(store, "switch", "-q", "main")
    edit(store, old='"job_name": "weekly"', new='"job_name": "here"')
    git(store, "commit", "-qam", "here")
    assert attempt(store, "merge", "other").returncode == 1
    assert ("merge", JOB, "") in problems(gitstate, store, "--staged")
    git(store, "add", "-A")
    assert problems(gitstate, store, "--staged") == [("document", JOB, "")], "the markers are no JSON"
    git(store, "merge", "--abort")


def test_the_first_commit_can_be_checked(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    git(tmp_path, "init", "-q", "new")
    git(new, "remote", "add", "origin", str(store))
    assert gitstate("verify", "--staged", "--store", new).status == UNSUPPORTED
    subprocess.run(["cp", "-r", store / "jobs", store / "gitstate.json", new], check=True)
    git(new, "add", "-A")
    assert problems(gitstate, new, "--staged") == []
    edit(new)
    git(new, "add", "-A")
    assert problems(gitstate, new, "--staged") == [("document", JOB, "/total_sheets")]


def test_another_index_and_another_worktree_are_honoured(
    gitstate: Gitstate, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(store, "worktree", "add", "-q", "-b", "second", tmp_path / "second")
    edit(tmp_path / "second")
    git(tmp_path / "second", "add", "-A")
    assert problems(gitstate, tmp_path / "second", "--staged") == [("document", JOB, "/total_sheets")]
    assert problems(gitstate, store, "--staged") == []
    monkeypatch.setenv("GIT_DIR", str(store / ".git/worktrees/second"))
    assert gitstate("verify", "--staged").status == PROBLEMS
    monkeypatch.setenv("GIT_DIR", str(store / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(store / ".git/worktrees/second/index"))
    assert gitstate("verify", "--staged").status == PROBLEMS
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    git(store, "worktree", "remove", "--force", tmp_path / "second")


def test_a_project_with_state_on_another_branch_is_left_alone(gitstate: Gitstate, tmp_path: Path) -> None:
    project = tmp_path / "project"
    git(tmp_path, "init", "-q", "project")
    (project / "code.py").write_text("x = 1\n")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "code")

    async def save() -> None:
        async with GitStateBackend(project, branch="gitstate") as backend:
            await backend.save(CheckpointState(job_id="a", job_name="a", total_sheets=1))

    asyncio.run(save())
    (project / "code.py").write_text("x = 2\n")
    git(project, "add", "-A")
    assert gitstate("verify", "--staged", "--branch", "gitstate", "--store", project).status == 0
    assert gitstate("hooks", "install", "--branch", "gitstate", "--store", project).status == 0
    git(project, "commit", "-qm", "more code")
    assert gitstate("verify", "--range", "HEAD", "--branch", "gitstate", "--store", project).status == UNSUPPORTED
    assert gitstate("verify", "--range", "gitstate", "--branch", "gitstate", "--store", project).status == 0


# Ranges


def test_each_commit_of_a_range_is_checked(gitstate: Gitstate, history: Path) -> None:
    ran = gitstate("verify", "--range", "good..HEAD", "--store", history)
    wrong = git(history, "rev-parse", "HEAD~1").strip()
    lines = ran.out.splitlines()
    assert ran.status == PROBLEMS
    assert lines[0] == f"error  document  jobs/weekly/job.json /total_sheets at revision {wrong[:12]} by Eve"
    assert lines[-1] == "Checked 2 jobs new in 2 revisions: this must not get into the store."
    (problem,) = json.loads(gitstate("verify", "--range", "good..", "--json", "--store", history).out)["problems"]
    assert (problem["revision"], problem["author"], problem["file"]) == (wrong, "Eve", JOB)
    for span in ("HEAD", "HEAD~1..HEAD", "@~1..@", "good", wrong[:8] + "..main", f"{wrong}..refs/heads/main"):
        assert problems(gitstate, history, "--range", span) == [], span
    for span in ("HEAD~1", "HEAD^", wrong, wrong[:7], "good..HEAD~1"):
        assert len(problems(gitstate, history, "--range", span)) == 1, span
    ran = gitstate("verify", "--range", "HEAD..good", "--store", history)
    assert (ran.status, ran.err) == (0, "There is no commit in HEAD..good.\n")


def test_what_a_merge_brings_is_told_once(gitstate: Gitstate, history: Path) -> None:
    git(history, "switch", "-qc", "side", "good")
    edit(history, "jobs/nightly/job.json", '"total_sheets": 3', '"total_sheets": 0')
    git(history, "commit", "-qam", "side")
    git(history, "switch", "-q", "main")
    git(history, "merge", "-q", "--no-edit", "side")
    leave_damaged(history)
    assert problems(gitstate, history, "--range", "main~1..main") == [
        ("document", "jobs/nightly/job.json", "/total_sheets")
    ]
    assert len(problems(gitstate, history, "--range", "good..main")) == 2


@pytest.mark.parametrize(
    ("span", "status"),
    [
        ("nothing", _UNKNOWN),
        ("HEAD..nothing", _UNKNOWN),
        ("HEAD~99", _UNKNOWN),
        ("HEAD^2", _UNKNOWN),
        ("0" * 40, 8),
        ("A...B", EXIT_STATUSES[InvalidInputError][0]),
        ("a..b..c", EXIT_STATUSES[InvalidInputError][0]),
        ("", EXIT_STATUSES[InvalidInputError][0]),
        ("--all", EXIT_STATUSES[InvalidInputError][0]),
        ("HEAD:jobs", _UNKNOWN),
        ("../config", _UNKNOWN),
        ("config", _UNKNOWN),
        ("a b", _UNKNOWN),
    ],
)
def test_ranges_that_cannot_be_meant(gitstate: Gitstate, store: Path, span: str, status: int) -> None:
    ran = gitstate("verify", f"--range={span}", "--store", store)
    assert ran.status == status and ran.err.startswith("error: ") and ran.out == "", ran.err


def test_what_excludes_one_another(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    assert gitstate("verify", "--staged", "--range", "HEAD", "--store", store).status == 2
    assert gitstate("verify", "--staged", "--repair", "--store", store).status == 2
    git(tmp_path, "init", "-q", "project")
    (tmp_path / "project/x").write_text("x")
    git(tmp_path / "project", "add", "-A")
    git(tmp_path / "project", "commit", "-qm", "x")
    ran = gitstate("verify", "--range", "HEAD", "--store", tmp_path / "project")
    assert ran.status == UNSUPPORTED and "no store" in ran.err and "gitstate hooks remove" in ran.err


def test_only_what_differs_is_read(gitstate: Gitstate, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gitstate.engine.reader import ObjectReader

    edit(store, old='"job_name": "weekly"', new='"job_name": "other"')
    git(store, "commit", "-qam", "other")
    read, real = [], ObjectReader.read

    def reading(self: ObjectReader, object_id: str, kind: str) -> bytes:
        read.append((kind, object_id))
        return real(self, object_id, kind)  # type: ignore[arg-type]  # a kind

    monkeypatch.setattr(ObjectReader, "read", reading)
    assert problems(gitstate, store, "--range", "HEAD") == []
    blobs = {object_id for kind, object_id in read if kind == "blob"}
    nightly = git(store, "ls-tree", "-r", "--format=%(objectname)", "HEAD", "jobs/nightly").split()
    assert blobs and not blobs & set(nightly)
