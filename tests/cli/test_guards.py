"""Guards: what is staged or pushed is checked, and hooks of git refuse what does not validate."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.cli.failures import EXIT_STATUSES, PROBLEMS
from gitstate.errors import ExistsError, InvalidInputError, UnsupportedError
from tests.cli.conftest import COMMAND, Gitstate
from tests.git import git
from tests.stores import leave_damaged

pytestmark = pytest.mark.usefixtures("forked")

_UNSUPPORTED = EXIT_STATUSES[UnsupportedError][0]
_UNKNOWN = 3
_JOB = "jobs/weekly/job.json"
_JOBS = ("nightly", "weekly")
_NIGHTLY = "jobs/nightly/job.json"


def edit(store: Path, path: str = _JOB, old: str = '"total_sheets": 1', new: str = '"total_sheets": "many"') -> None:
    text = (store / path).read_text()
    assert old in text
    (store / path).write_text(text.replace(old, new))


def attempt(folder: Path, *words: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, env=os.environ | {"GIT_EDITOR": "true"} | variables
    )


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
    assert problems(gitstate, store, "--staged") == [("document", _JOB, "/total_sheets")]
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
        ("sed -i 's/weekly/other/' jobs/weekly/job.json", [("document", _JOB, "")]),
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
    git(store, "add", _JOB)
    for version in ("2", "4"):
        git(store, "update-index", "--index-version", version)
        assert problems(gitstate, store, "--staged") == [("document", _JOB, "/total_sheets")]
    git(store, "update-index", "--split-index")
    assert problems(gitstate, store, "--staged") == [("document", _JOB, "/total_sheets")]
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
    assert ("merge", _JOB, "") in problems(gitstate, store, "--staged")
    git(store, "add", "-A")
    assert problems(gitstate, store, "--staged") == [("document", _JOB, "")], "the markers are no JSON"
    git(store, "merge", "--abort")


def test_the_first_commit_can_be_checked(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    git(tmp_path, "init", "-q", "new")
    git(new, "remote", "add", "origin", str(store))
    assert gitstate("verify", "--staged", "--store", new).status == _UNSUPPORTED
    subprocess.run(["cp", "-r", store / "jobs", store / "gitstate.json", new], check=True)
    git(new, "add", "-A")
    assert problems(gitstate, new, "--staged") == []
    edit(new)
    git(new, "add", "-A")
    assert problems(gitstate, new, "--staged") == [("document", _JOB, "/total_sheets")]


def test_another_index_and_another_worktree_are_honoured(
    gitstate: Gitstate, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(store, "worktree", "add", "-q", "-b", "second", tmp_path / "second")
    edit(tmp_path / "second")
    git(tmp_path / "second", "add", "-A")
    assert problems(gitstate, tmp_path / "second", "--staged") == [("document", _JOB, "/total_sheets")]
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
    assert gitstate("verify", "--range", "HEAD", "--branch", "gitstate", "--store", project).status == _UNSUPPORTED
    assert gitstate("verify", "--range", "gitstate", "--branch", "gitstate", "--store", project).status == 0


# Ranges


@pytest.fixture
def history(store: Path) -> Path:
    """A store in which one commit is wrong, by another author, and the next one puts it right."""
    git(store, "tag", "good")
    edit(store)
    git(store, "commit", "-qam", "oops", "--author", "Eve <eve@example.org>")
    git(store, "revert", "--no-edit", "HEAD")
    return store


def test_each_commit_of_a_range_is_checked(gitstate: Gitstate, history: Path) -> None:
    ran = gitstate("verify", "--range", "good..HEAD", "--store", history)
    wrong = git(history, "rev-parse", "HEAD~1").strip()
    lines = ran.out.splitlines()
    assert ran.status == PROBLEMS
    assert lines[0] == f"error  document  jobs/weekly/job.json /total_sheets at revision {wrong[:12]} by Eve"
    assert lines[-1] == "Checked 2 jobs new in 2 revisions: this must not get into the store."
    (problem,) = json.loads(gitstate("verify", "--range", "good..", "--json", "--store", history).out)["problems"]
    assert (problem["revision"], problem["author"], problem["file"]) == (wrong, "Eve", _JOB)
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
    assert ran.status == _UNSUPPORTED and "no store" in ran.err and "gitstate hooks remove" in ran.err


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


# Hooks


def test_a_commit_that_does_not_validate_is_refused(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("hooks", "install", "--store", store)
    names = "pre-commit, pre-merge-commit, pre-receive"
    assert (ran.status, ran.out, ran.err) == (0, "", f"Installed {names} in {store / '.git/hooks'}\n")
    assert gitstate("hooks", "install", "--store", store).err == "The hooks are there already.\n"
    edit(store)
    for words in (["-am", "x"], ["-m", "x", "--", _JOB], ["-m", "x", "--only", _JOB]):
        ran_git = attempt(store, "commit", *words)
        assert ran_git.returncode == 1 and "jobs/weekly/job.json /total_sheets" in ran_git.stderr, words
    (store / "notes.txt").write_text("x")
    git(store, "add", "notes.txt")
    assert attempt(store, "commit", "-m", "only the notes").returncode == 0, "the edit is not staged"
    git(store, "restore", ".")
    edit(store, new='"total_sheets": 2')
    ran_git = attempt(store, "commit", "-am", "fine")
    assert ran_git.returncode == 0 and "Checked" not in ran_git.stderr
    assert git(store, "status", "--porcelain") == ""


def test_a_commit_from_any_folder_or_worktree_is_looked_at(
    gitstate: Gitstate, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gitstate("hooks", "install", "--store", store)
    monkeypatch.setenv("GITSTATE_STORE", str(tmp_path / "nowhere"))
    git(store, "worktree", "add", "-q", "-b", "second", tmp_path / "second")
    for top in (store, tmp_path / "second"):
        edit(top)
        assert "/total_sheets" in attempt(top / "jobs", "commit", "-am", "x").stderr
        ran = attempt(tmp_path, f"--git-dir={top}/.git", f"--work-tree={top}", "commit", "-am", "x")
        assert ran.returncode == 1 and "/total_sheets" in ran.stderr
        edit(top, new='"total_sheets": 2', old='"total_sheets": "many"')
        assert attempt(top / "jobs", "commit", "-qam", "x").returncode == 0
    git(store, "worktree", "remove", "--force", tmp_path / "second")


def test_a_merge_that_does_not_validate_is_refused(gitstate: Gitstate, history: Path) -> None:
    gitstate("hooks", "install", "--pre-commit", "--store", history)
    assert not (history / ".git/hooks/pre-receive").exists()
    git(history, "switch", "-qc", "side", "HEAD~1")
    (history / "notes.txt").write_text("x")
    git(history, "add", "-A")
    git(history, "commit", "-qm", "notes")
    git(history, "switch", "-q", "main")
    git(history, "reset", "-q", "--hard", "good")
    ran = attempt(history, "merge", "--no-edit", "--no-ff", "side")
    assert ran.returncode != 0 and "/total_sheets" in ran.stderr
    git(history, "merge", "--abort")


def test_saves_of_ours_run_no_hooks(gitstate: Gitstate, store: Path) -> None:
    gitstate("hooks", "install", "--store", store)
    (store / ".git/hooks/pre-commit.before-gitstate").write_text("#!/bin/sh\ntouch ran\nexit 1\n")
    (store / ".git/hooks/pre-commit.before-gitstate").chmod(0o755)
    assert gitstate("delete", "--yes", "weekly", "--store", store).status == 0
    assert not (store / "ran").exists()


def test_a_hook_that_was_there_is_kept_and_runs_first(gitstate: Gitstate, store: Path) -> None:
    hook = store / ".git/hooks/pre-commit"
    text = '#!/bin/sh\necho "mine $#" >> ran\ntest ! -e stop\n'
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(text)
    hook.chmod(0o755)
    assert gitstate("hooks", "install", "--store", store).status == 0
    assert hook.with_name("pre-commit.before-gitstate").read_text() == text
    status = json.loads(gitstate("hooks", "status", "--json", "--store", store).out)
    assert status["pre-commit"] == {"standing": "installed", "before": "pre-commit.before-gitstate"}
    edit(store)
    assert attempt(store, "commit", "-qam", "x").returncode == 1
    assert (store / "ran").read_text() == "mine 0\n"
    edit(store, old='"many"', new="2")
    (store / "stop").write_text("")
    assert attempt(store, "commit", "-qam", "x").returncode == 1, "what it refuses is refused"
    (store / "stop").unlink()
    assert attempt(store, "commit", "-qam", "x").returncode == 0
    ran = gitstate("hooks", "remove", "--store", store)
    assert (ran.status, ran.err) == (0, "Removed pre-commit, pre-merge-commit, pre-receive\n")
    assert hook.read_text() == text and not hook.with_name("pre-commit.before-gitstate").exists()
    assert hook.stat().st_mode & 0o111
    assert gitstate("hooks", "remove", "--store", store).err == "No hook of ours was there.\n"


def test_an_edited_hook_is_not_overwritten_and_an_old_one_is_renewed(gitstate: Gitstate, store: Path) -> None:
    gitstate("hooks", "install", "--store", store)
    hook = store / ".git/hooks/pre-commit"
    made = hook.read_text()
    hook.write_text(made + "echo edited\n")
    assert "edited" in gitstate("hooks", "status", "--store", store).out
    for verb in ("install", "remove"):
        ran = gitstate("hooks", verb, "--store", store)
        assert ran.status == EXIT_STATUSES[ExistsError][0] and "--force" in ran.err
        assert hook.read_text().endswith("echo edited\n")
    assert gitstate("hooks", "install", "--force", "--store", store).status == 0
    assert hook.read_text() == made
    hook.chmod(0o644)
    assert gitstate("hooks", "install", "--store", store).err.startswith("Installed pre-commit in")
    assert hook.stat().st_mode & 0o111
    assert gitstate("hooks", "install", "--branch", "other", "--store", store).status == 0
    assert "--branch other" in hook.read_text(), "what it shall do is another thing"
    hook.write_text("#!/bin/sh\n")
    hook.with_name("pre-commit.before-gitstate").write_text("#!/bin/sh\n")
    ran = gitstate("hooks", "install", "--store", store)
    assert ran.status == EXIT_STATUSES[ExistsError][0] and "join them" in ran.err
    assert hook.read_text() == "#!/bin/sh\n"


def test_an_installation_that_was_killed_in_the_middle_is_done_again(gitstate: Gitstate, store: Path) -> None:
    hook = store / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    hook.with_name("pre-commit.before-gitstate").hardlink_to(hook)  # it has its second name, and ours is not there yet
    assert gitstate("hooks", "install", "--store", store).status == 0
    assert hook.with_name("pre-commit.before-gitstate").read_text() == "#!/bin/sh\n" != hook.read_text()
    assert gitstate("hooks", "remove", "--store", store).status == 0
    assert hook.read_text() == "#!/bin/sh\n"


@pytest.mark.parametrize("place", ["../everywhere", ".githooks", ".husky/_"])
def test_where_hooks_lie_in_another_folder_it_refuses(gitstate: Gitstate, store: Path, place: str) -> None:
    git(store, "config", "core.hooksPath", place)
    ran = gitstate("hooks", "install", "--store", store)
    assert ran.status == _UNSUPPORTED and "core.hooksPath" in ran.err and "verify --staged" in ran.err
    assert not (store / place).exists()
    git(store, "config", "core.hooksPath", ".git/hooks")  # as the hint says
    assert gitstate("hooks", "install", "--store", store).status == 0
    edit(store)
    assert attempt(store, "commit", "-qam", "x").returncode == 1
    git(store, "restore", ".")


def test_a_hook_that_finds_no_gitstate_refuses(gitstate: Gitstate, store: Path) -> None:
    gitstate("hooks", "install", "--store", store)
    hook = store / ".git/hooks/pre-commit"
    hook.write_text(hook.read_text().replace(shlex.quote(sys.executable), "/gone/python"))
    edit(store, new='"total_sheets": 2')
    ran = attempt(store, "commit", "-qam", "x", PATH="/usr/bin:/bin")
    assert ran.returncode == 1 and "gitstate is not found" in ran.stderr and "--no-verify" in ran.stderr
    beside = Path(sys.executable).parent
    assert attempt(store, "commit", "-qam", "x", PATH=f"{beside}:/usr/bin:/bin").returncode == 0


def test_no_code_of_the_worktree_is_run_by_a_hook(started: None, gitstate: Gitstate, store: Path) -> None:
    gitstate("hooks", "install", "--store", store)
    for name in ("gitstate", "json", "click"):
        (store / f"{name}.py").write_text("open('ran', 'w').close()\n")
    git(store, "add", "-A")
    git(store, "commit", "-qm", "code")
    assert not (store / "ran").exists()


# Pushes


@pytest.fixture(params=["loose", "packed"])
def server(request: pytest.FixtureRequest, gitstate: Gitstate, store: Path, tmp_path: Path) -> Path:
    """A bare copy of the store that guards itself; a hook that was there notes what it is told."""
    path = tmp_path / "server.git"
    git(tmp_path, "clone", "-q", "--bare", store, path)
    if request.param == "packed":  # git may keep what it takes in as the pack that came
        git(path, "config", "receive.unpackLimit", "1")
    git(store, "remote", "add", "origin", path)
    hook = path / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ncat >> told\n")
    hook.chmod(0o755)
    ran = gitstate("hooks", "install", "--store", path)
    assert ran.err == f"Installed pre-receive in {path / 'hooks'}\n"
    return path


def test_a_push_that_does_not_validate_is_refused(history: Path, server: Path) -> None:
    git(server, "update-ref", "refs/heads/main", git(history, "rev-parse", "good").strip())
    ran = attempt(history, "push", "-q", "origin", "main")
    assert ran.returncode == 1, "one commit on the way is wrong, though the last one is not"
    assert "jobs/weekly/job.json /total_sheets at revision" in ran.stderr and "by Eve" in ran.stderr
    assert git(server, "rev-parse", "main") == git(history, "rev-parse", "good")
    git(history, "reset", "-q", "--hard", "good")
    edit(history, new='"total_sheets": 2')
    git(history, "commit", "-qam", "fine")
    ran = attempt(history, "push", "-q", "origin", "main", "main:refs/heads/new")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert git(server, "rev-parse", "main") == git(history, "rev-parse", "main")
    told = (server / "told").read_text().splitlines()
    assert [line.split()[2] for line in told] == ["refs/heads/main", "refs/heads/main", "refs/heads/new"]
    assert attempt(history, "push", "-q", "origin", ":new", "good").returncode == 0, "what goes, and a tag"


def test_what_is_no_store_may_be_pushed_beside_it_only(store: Path, server: Path) -> None:
    git(store, "switch", "-q", "--orphan", "code")
    (store / "code.py").write_text("x = 1\n")
    git(store, "add", "-A")
    git(store, "commit", "-qm", "code")
    assert attempt(store, "push", "-q", "origin", "code").returncode == 0
    ran = attempt(store, "push", "-q", "-f", "origin", "code:main")
    assert ran.returncode == 1 and "gitstate.json" in ran.stderr
    git(store, "switch", "-q", "main")


def test_a_first_push_is_checked_too(gitstate: Gitstate, history: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.git"
    git(tmp_path, "init", "-q", "--bare", "empty.git")
    assert gitstate("hooks", "install", "--pre-receive", "--store", empty).status == 0
    ran = attempt(history, "push", "-q", empty, "main")
    assert ran.returncode == 1 and "by Eve" in ran.stderr
    assert attempt(history, "push", "-q", empty, "good^{commit}:refs/heads/main").returncode == 0


def test_lines_that_git_would_not_give_are_refused(store: Path) -> None:
    for text in ("x\n", "a b c\n", f"{'0' * 40} {'1' * 40}\n"):
        ran = subprocess.run(
            [*COMMAND, "verify", "--stdin", "--store", store], input=text, capture_output=True, text=True
        )
        assert ran.returncode == 2 and "OLD NEW REF" in ran.stderr
    ran = subprocess.run([*COMMAND, "verify", "--stdin", "--store", store], input="", capture_output=True, text=True)
    assert ran.returncode == 0


def test_a_name_that_no_file_can_have_is_refused(gitstate: Gitstate, history: Path, server: Path) -> None:
    git(server, "update-ref", "refs/heads/main", git(history, "rev-parse", "good").strip())
    git(history, "reset", "-q", "--hard", "good")
    jobs = git(history, "ls-tree", "HEAD").splitlines()
    blob = git(history, "rev-parse", "HEAD:gitstate.json").strip()
    for name in (".git", ".."):
        inner = _made(history, f"100644 blob {blob}\tx\n")
        root = _made(history, "".join(sorted(f"{line}\n" for line in [*jobs, f"040000 tree {inner}\t{name}"])))
        commit = git(history, "commit-tree", "-p", "HEAD", "-m", "odd", root).strip()
        ran = attempt(history, "push", "-q", "origin", f"{commit}:refs/heads/main")
        assert ran.returncode == 1 and f"{name}/x at revision {commit[:12]}" in ran.stderr, ran.stderr


def _made(store: Path, text: str) -> str:
    command = ["git", "mktree", "--missing"]
    return subprocess.run(command, cwd=store, input=text, capture_output=True, text=True, check=True).stdout.strip()


def test_an_annotated_tag_brings_its_commits(history: Path, server: Path) -> None:
    git(server, "update-ref", "refs/heads/main", git(history, "rev-parse", "good").strip())
    git(history, "tag", "-am", "wrong", "wrong", "HEAD~1")
    ran = attempt(history, "push", "-q", "origin", "wrong")
    assert ran.returncode == 1 and "by Eve" in ran.stderr
    git(history, "tag", "-am", "blob", "text", git(history, "rev-parse", "good:gitstate.json").strip())
    assert attempt(history, "push", "-q", "origin", "text").returncode == 0
