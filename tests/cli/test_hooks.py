"""Hooks of git refuse commits, merges and pushes that do not validate."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gitstate.cli.failures import EXIT_STATUSES
from gitstate.errors import ExistsError
from tests.cli.conftest import COMMAND, Gitstate
from tests.cli.mistakes import JOB, UNSUPPORTED, attempt, edit, put_right
from tests.git import git

pytestmark = pytest.mark.usefixtures("forked")

history = pytest.fixture(put_right)


# Commits, merges, and the hooks themselves


def test_a_commit_that_does_not_validate_is_refused(gitstate: Gitstate, store: Path) -> None:
    ran = gitstate("hooks", "install", "--store", store)
    names = "pre-commit, pre-merge-commit, pre-receive"
    assert (ran.status, ran.out, ran.err) == (0, "", f"Installed {names} in {store / '.git/hooks'}\n")
    assert gitstate("hooks", "install", "--store", store).err == "The hooks are there already.\n"
    edit(store)
    for words in (["-am", "x"], ["-m", "x", "--", JOB], ["-m", "x", "--only", JOB]):
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
    assert ran.status == UNSUPPORTED and "core.hooksPath" in ran.err and "verify --staged" in ran.err
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
