"""Plain git that understands states: what it shows of them, and how it merges them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gitstate import CheckpointState, GitStateBackend
from gitstate.backends.models import SheetState
from gitstate.cli.failures import EXIT_STATUSES
from gitstate.errors import ExistsError, InvalidInputError, UnsupportedError
from tests.cli.conftest import Gitstate
from tests.git import git

pytestmark = pytest.mark.usefixtures("forked")

_BLOCK = """\
# gitstate: what follows is written by `gitstate attributes install`
jobs/**/job.json diff=gitstate merge=gitstate
jobs/**/sheets/*.json diff=gitstate merge=gitstate
# gitstate: end
"""


def config(store: Path) -> str:
    return (store / ".git/config").read_text()


def attempt(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run git where it may fail; no editor is opened."""
    environment = os.environ | {"GIT_EDITOR": "true"}
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, env=environment)


def change(store: Path, what: Callable[[CheckpointState], object], job: str = "nightly") -> None:
    async def run() -> None:
        async with GitStateBackend(store) as backend:
            state = await backend.load(job)
            assert state is not None
            what(state)
            await backend.save(state)

    asyncio.run(run())


def load(store: Path, job: str = "nightly") -> CheckpointState:
    async def run() -> CheckpointState | None:
        async with GitStateBackend(store) as backend:
            return await backend.load(job)

    state = asyncio.run(run())
    assert state is not None
    return state


def start(sheet: int) -> Callable[[CheckpointState], object]:
    return lambda state: state.mark_sheet_started(sheet)


def complete(sheet: int) -> Callable[[CheckpointState], object]:
    def what(state: CheckpointState) -> None:
        state.mark_sheet_started(sheet)
        state.mark_sheet_completed(sheet)

    return what


def fail(sheet: int, why: str) -> Callable[[CheckpointState], object]:
    def what(state: CheckpointState) -> None:
        state.mark_sheet_started(sheet)
        state.mark_sheet_failed(sheet, why)

    return what


@pytest.fixture
def clones(gitstate: Gitstate, store: Path) -> tuple[Path, Path]:
    """A store, and a clone of it in which git understands states."""
    clone = store.with_name("clone")
    git(store, "clone", "-q", store, clone)
    assert gitstate("attributes", "install", "--store", clone).status == 0
    return store, clone


def test_installing_keeps_what_is_there_and_twice_changes_nothing(gitstate: Gitstate, store: Path) -> None:
    info = store / ".git/info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("*.png binary")
    git(store, "config", "diff.gitstate.xfuncname", "^x")
    before = config(store)
    ran = gitstate("attributes", "install", "--store", store)
    assert (ran.status, ran.out, ran.err) == (0, "", f"git understands states now; told in {info / 'attributes'}.\n")
    assert (info / "attributes").read_text() == _BLOCK + "*.png binary"
    after = config(store)
    assert gitstate("attributes", "install", "--store", store).err == "git understands states already.\n"
    assert json.loads(gitstate("attributes", "install", "--json", "--store", store).out) == {
        "changed": False,
        "attributes": True,
        "shared": False,
        "diff": True,
        "merge": True,
    }
    assert config(store) == after
    assert gitstate("attributes", "status", "--store", store).out.split() == [
        *("attributes", "yes", "shared", "no", "diff", "yes", "merge", "yes")
    ]
    assert git(store, "check-attr", "merge", "jobs/nightly/job.json") == "jobs/nightly/job.json: merge: gitstate\n"
    assert "unspecified" in git(store, "check-attr", "merge", "jobs/nightly/notes.json")
    assert gitstate("attributes", "remove", "--store", store).status == 0
    assert (info / "attributes").read_text() == "*.png binary"
    assert "textconv" not in config(store) and "driver" not in config(store) and "xfuncname" in config(store)
    assert before.splitlines()[0] in config(store)
    assert gitstate("attributes", "remove", "--store", store).err == "Nothing was there.\n"
    assert git(store, "status", "--porcelain") == ""


def test_what_a_person_set_is_not_overwritten(gitstate: Gitstate, store: Path) -> None:
    git(store, "config", "merge.gitstate.driver", "mine %A")
    before = config(store)
    ran = gitstate("attributes", "install", "--store", store)
    assert ran.status == EXIT_STATUSES[ExistsError][0] and "'mine %A'" in ran.err
    assert "git config --unset-all merge.gitstate.driver" in ran.err
    assert config(store) == before and not (store / ".git/info/attributes").exists()
    assert gitstate("attributes", "remove", "--store", store).err == "Nothing was there.\n"
    assert config(store) == before


def test_half_a_block_is_not_guessed_at(gitstate: Gitstate, store: Path) -> None:
    (store / ".git/info").mkdir(exist_ok=True)
    (store / ".git/info/attributes").write_text(_BLOCK.replace("# gitstate: end\n", "*.x binary\n"))
    ran = gitstate("attributes", "install", "--store", store)
    assert ran.status == EXIT_STATUSES[InvalidInputError][0] and "last one" in ran.err
    assert (store / ".git/info/attributes").read_text().endswith("*.x binary\n")


def test_attributes_can_be_shared(gitstate: Gitstate, store: Path, tmp_path: Path) -> None:
    ran = gitstate("attributes", "install", "--shared", "--store", store)
    assert ran.status == 0 and "Commit .gitattributes" in ran.err
    assert (store / ".gitattributes").read_text() == _BLOCK
    git(store, "add", ".gitattributes")
    git(store, "commit", "-qm", "Understand states")
    assert "/status = completed" in git(store, "show", "HEAD~1", "--", "jobs/weekly/sheets")
    assert json.loads(gitstate("attributes", "status", "--json", "--store", store).out)["shared"]
    assert gitstate("attributes", "remove", "--store", store).status == 0
    assert not (store / ".gitattributes").exists()
    gitstate("init", "--bare", tmp_path / "bare")
    ran = gitstate("attributes", "install", "--shared", "--store", tmp_path / "bare")
    assert ran.status == EXIT_STATUSES[UnsupportedError][0] and "bare" in ran.err
    assert gitstate("attributes", "install", "--store", tmp_path / "bare").status == 0
    assert gitstate("attributes", "status", "--store", tmp_path / "nothing").status == 3


def test_without_git_there_is_nothing_to_set_up(
    gitstate: Gitstate, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = gitstate("attributes", "install", "--store", store)
    assert ran.status == EXIT_STATUSES[UnsupportedError][0] and "there is no git here" in ran.err


def test_git_shows_fields(gitstate: Gitstate, store: Path) -> None:
    gitstate("attributes", "install", "--store", store)
    shown = git(store, "diff", "HEAD~2", "HEAD~1", "--", "jobs/nightly")
    assert "\n+/error_message =\n+    | no space left\n+    | on device\n" in shown
    assert "/total_retry_count = 1\n" in shown
    assert '"total_retry_count": 1' in git(store, "diff", "--no-textconv", "HEAD~2", "HEAD~1")
    assert "+/status = failed" in git(store, "log", "-p", "--", "jobs/nightly/sheets/0002.json")
    assert "/status = failed" in git(store, "blame", "jobs/nightly/sheets/0002.json")
    (store / "jobs/weekly/job.json").write_text("{oops\n")
    assert "+{oops" in git(store, "diff")
    git(store, "restore", ".")


def test_textconv_prints_what_is_no_json_as_it_is(gitstate: Gitstate, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"b": [1, {"c": "d"}]}')
    assert gitstate("textconv", tmp_path / "a.json").out == "/b/0 = 1\n/b/1/c = d\n"
    for text in ("", "no JSON\r\n", '{"a": 1', "[" * 500):
        (tmp_path / "x").write_bytes(text.encode())
        ran = gitstate("textconv", tmp_path / "x")
        assert (ran.status, ran.out.encode()) == (0, text.encode())
    assert gitstate("textconv", tmp_path / "gone").status == 10


@pytest.mark.parametrize("verb", ["textconv", "merge-driver"])
def test_what_git_runs_for_each_file_imports_little(tmp_path: Path, verb: str) -> None:
    (tmp_path / "a.json").write_text("{}")
    files = [str(tmp_path / "a.json")]
    words = [verb, *files] if verb == "textconv" else [verb, *files * 3, "jobs/nightly/notes.json"]
    heavy = ["pydantic", "rich", "asyncio", "sqlite3"]
    code = (
        f"import sys, gitstate.cli.main as main\nstatus = main.run({words})\n"
        f"sys.exit(repr([name for name in {heavy} if name in sys.modules]) + str(status))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.stderr.strip() == "[]0"


def test_a_pull_of_two_clones_that_both_saved_merges_by_field(gitstate: Gitstate, clones: tuple[Path, Path]) -> None:
    store, clone = clones
    change(store, complete(3))
    change(store, lambda state: state.metadata.update({"here": 1}))
    change(clone, fail(1, "again"))
    change(clone, lambda state: state.metadata.update({"there": 2}))
    both = [load(store), load(clone)]
    git(clone, "pull", "-q", "--no-rebase", "--no-edit")
    merged = load(clone)
    assert merged.sheets[3] == both[0].sheets[3] and merged.sheets[1] == both[1].sheets[1]
    assert merged.total_retry_count == 2 and merged.metadata == {"here": 1, "there": 2}
    assert merged.updated_at == max(state.updated_at for state in both) and merged.last_completed_sheet == 3
    assert git(clone, "status", "--porcelain") == ""
    assert gitstate("verify", "--store", clone).status == 0
    assert "Merge branch" in gitstate("log", "nightly", "--store", clone).out
    text = (clone / "jobs/nightly/job.json").read_bytes()
    change(clone, lambda state: state.metadata.update({"there": 3}))
    assert (clone / "jobs/nightly/job.json").read_bytes().count(b"\n") == text.count(b"\n"), "it was canonical"


def test_sheets_that_were_begun_on_either_side_are_both_there(gitstate: Gitstate, tmp_path: Path) -> None:
    store, clone = tmp_path / "a", tmp_path / "b"

    async def make() -> None:
        async with GitStateBackend(store) as backend:
            await backend.save(CheckpointState(job_id="nightly", job_name="Nightly", total_sheets=9))

    asyncio.run(make())
    git(store, "clone", "-q", store, clone)
    gitstate("attributes", "install", "--store", clone)
    for sheet in (1, 2, 5):
        change(store, complete(sheet))
    for sheet in (1, 2, 7):
        change(clone, complete(sheet))
    git(clone, "pull", "-q", "--no-rebase", "--no-edit")
    assert json.loads((clone / "jobs/nightly/job.json").read_text())["sheets"] == {"numbers": "1-2,5,7"}
    assert sorted(load(clone).sheets) == [1, 2, 5, 7]
    assert load(clone).sheets[1].attempt_count == 1


def test_a_conflict_has_markers_around_the_fields_alone(gitstate: Gitstate, clones: tuple[Path, Path]) -> None:
    store, clone = clones
    change(store, complete(2))
    change(store, lambda state: setattr(state, "job_name", "Here"))
    change(clone, fail(2, "out of memory"))
    change(clone, lambda state: setattr(state, "job_name", "There"))
    ran = attempt(clone, "pull", "--no-rebase", "--no-edit")
    assert ran.returncode == 1
    assert "jobs/nightly/job.json: both sides changed /job_name\n" in ran.stderr
    assert "jobs/nightly/sheets/0002.json: both sides changed /sheets/2/status\n" in ran.stderr
    text = (clone / "jobs/nightly/job.json").read_text()
    assert text.count("<<<<<<<") == 1 == text.count(">>>>>>>")
    assert '=======\n  "job_name": "Here",\n>>>>>>>' in text and '  "total_retry_count": 2,' in text
    sheet = (clone / "jobs/nightly/sheets/0002.json").read_text()
    assert '  "status": "failed",\n' in sheet.partition("=======")[0]
    assert '  "status": "completed",\n' in sheet.partition("=======")[2]
    git(clone, "checkout", "--theirs", "jobs/nightly/sheets")
    lines = [line for line in text.splitlines() if line[0] not in "<=>" and "There" not in line]
    (clone / "jobs/nightly/job.json").write_text("\n".join(lines) + "\n")
    git(clone, "commit", "-qam", "Decide")
    state = load(clone)
    assert (state.job_name, state.sheets[2].status.value, state.total_retry_count) == ("Here", "completed", 2)


def test_a_fork_of_a_job_that_is_deleted_is_not_taken_for_it(gitstate: Gitstate, clones: tuple[Path, Path]) -> None:
    store, clone = clones
    change(store, lambda state: setattr(state, "job_name", "Changed"))
    gitstate("fork", "nightly", "copy", "--store", clone)
    gitstate("delete", "nightly", "--yes", "--store", clone)
    before = git(clone, "show", "HEAD:jobs/copy/job.json")
    ran = attempt(clone, "pull", "--no-rebase", "--no-edit")
    assert ran.returncode == 1 and "git takes two jobs for one that was renamed" in ran.stderr
    assert "<<<<<<<" in (clone / "jobs/copy/job.json").read_text()
    git(clone, "merge", "--abort")
    ran = attempt(clone, "pull", "--no-rebase", "--no-edit", "-s", "recursive", "-X", "no-renames")
    assert ran.returncode == 1 and "deleted in HEAD and modified" in ran.stdout  # git's own conflict, of the right job
    assert (clone / "jobs/copy/job.json").read_text() == before
    git(clone, "merge", "--abort")


@pytest.mark.parametrize("way", ["rebase", "cherry-pick", "stash"])
def test_other_ways_to_merge_use_it_too(clones: tuple[Path, Path], way: str) -> None:
    store, clone = clones
    change(store, complete(3))
    git(clone, "fetch", "-q")
    if way == "stash":
        job = clone / "jobs/nightly/job.json"
        job.write_text(job.read_text().replace('"total_retry_count": 1', '"total_retry_count": 5'))
        git(clone, "stash", "-q")
        git(clone, "merge", "-q", "--ff-only", "origin/main")
        git(clone, "stash", "pop", "-q")
        git(clone, "commit", "-qam", "Count")
        assert load(clone).total_retry_count == 5
    else:
        change(clone, fail(1, "again"))
        git(
            clone,
            *(["rebase", "-q", "origin/main"] if way == "rebase" else ["cherry-pick", "-x", "origin/main"]),
        )
        assert load(clone).total_retry_count == 2
    assert load(clone).sheets[3].status.value == "completed"


def test_a_merge_of_merges_counts_each_change_once(clones: tuple[Path, Path]) -> None:
    store, clone = clones
    git(store, "config", "--add", "include.path", str(clone / ".git/config"))
    (store / ".git/info").mkdir(exist_ok=True)
    (store / ".git/info/attributes").write_text(_BLOCK)
    change(store, fail(1, "here"))
    change(clone, fail(3, "there"))
    git(clone, "fetch", "-q")
    git(store, "fetch", "-q", clone, "main:theirs")
    git(clone, "merge", "-q", "--no-edit", "origin/main")
    git(store, "merge", "-q", "--no-edit", "theirs")
    change(store, fail(1, "here once more"))
    change(clone, fail(3, "there once more"))
    git(clone, "pull", "-q", "--no-rebase", "--no-edit")
    assert load(clone).total_retry_count == 5


def test_files_that_are_not_ours_are_merged_line_by_line(gitstate: Gitstate, tmp_path: Path) -> None:
    def run(path: str, *texts: str) -> tuple[int, str]:
        names = [tmp_path / name for name in ("base", "ours", "theirs")]
        for name, text in zip(names, texts, strict=True):
            name.write_text(text)
        ran = gitstate("merge-driver", *names, path, "--ours-label", "%X")
        return ran.status, (tmp_path / "ours").read_text()

    assert run("notes.txt", "a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n") == (0, "A\nb\nC\n")
    assert run("jobs/a/job.json", "a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n") == (0, "A\nb\nC\n")
    status, text = run("jobs/a/notes.json", '{"a": 1}\n', '{"a": 2}\n', '{"a": 3}\n')
    assert (status, text) == (1, '<<<<<<< ours\n{"a": 2}\n=======\n{"a": 3}\n>>>>>>> theirs\n')
    assert run("jobs/a/job.json", "", '{"a": 1}\n', '{"b": 3}\n') == (0, '{\n  "a": 1,\n  "b": 3\n}\n')
    assert run("jobs/3/f/a/sheets/0001.json", "{}", '{"a": 1}', '{"a": 2}')[0] == 1
    assert (
        run("jobs/a/job.json", '{"x": 1}', '{"x": 2, "sheets": {"numbers": "1-999999999"}}', '{"x": 1, "y": 1}')[0] == 1
    )


def test_a_driver_that_cannot_work_stops_git_and_says_why(gitstate: Gitstate, tmp_path: Path) -> None:
    ran = gitstate("merge-driver", tmp_path / "a", tmp_path / "b", tmp_path / "c", "jobs/a/job.json")
    assert ran.status == 129 and "No such file" in ran.err
    for name in "abc":
        (tmp_path / name).write_bytes(b"\0" + name.encode())
    ran = gitstate("merge-driver", tmp_path / "a", tmp_path / "b", tmp_path / "c", "x.bin")
    assert ran.status == 129 and "binary" in ran.err and (tmp_path / "b").read_bytes() == b"\0b"


def test_without_gitstate_git_goes_on_line_by_line(clones: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    store, clone = clones
    change(store, lambda state: setattr(state, "job_name", "Here"))
    change(clone, complete(3))
    text = config(clone).replace(sys.executable, "/gone/python")
    (clone / ".git/config").write_text(text)
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    assert '"status": "completed"' in git(clone, "log", "-p", "-n", "1")
    ran = attempt(clone, "pull", "-q", "--no-rebase", "--no-edit")
    assert ran.returncode == 1, "both sides changed updated_at"
    assert (clone / "jobs/nightly/job.json").read_text().count("<<<<<<<") == 1
    git(clone, "merge", "--abort")


def test_no_code_of_the_worktree_is_run(started: None, clones: tuple[Path, Path]) -> None:
    store, clone = clones
    change(store, complete(3))
    change(clone, fail(1, "again"))
    for name in ("gitstate", "json"):
        (clone / f"{name}.py").write_text("open('run', 'w').close()\n")
    git(clone, "pull", "-q", "--no-rebase", "--no-edit")
    git(clone, "log", "-p", "-n", "3")
    assert not (clone / "run").exists()


def test_no_name_of_a_file_is_run(clones: tuple[Path, Path]) -> None:
    store, clone = clones
    folder = "jobs/$(touch ran);`touch ran`'\"; touch ran; #"
    for path, number in ((store, 0), (clone, 0), (store, 1), (clone, 2)):
        (path / folder).mkdir(exist_ok=True)
        text = {"job_id": "x", "base": 1} | ({"here": 1} if number == 1 else {"there": 2} if number == 2 else {})
        (path / folder / "job.json").write_text(json.dumps(text, indent=2) + "\n")
        if number or path == store:
            git(path, "add", "-A")
            git(path, "commit", "-qm", str(number))
        if not number and path == store:
            git(clone, "pull", "-q")
    ran = attempt(clone, "pull", "-q", "--no-rebase", "--no-edit")
    assert ran.returncode in (0, 1) and not list(clone.rglob("ran")), ran.stderr
    git(clone, "diff", "HEAD~1")
    git(clone, "log", "-p", "-n", "3")
    assert not list(clone.rglob("ran")) and not list(store.rglob("ran"))


def test_a_driver_that_breaks_leaves_it_to_git(clones: tuple[Path, Path], tmp_path: Path) -> None:
    store, clone = clones
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho No module named gitstate >&2\nexit 1\n")
    broken.chmod(0o755)
    (clone / ".git/config").write_text(config(clone).replace(sys.executable, str(broken)))
    change(store, lambda state: setattr(state, "job_name", "Here"))
    change(clone, complete(3))
    ran = attempt(clone, "pull", "-q", "--no-rebase", "--no-edit")
    assert ran.returncode == 1 and "<<<<<<<" in (clone / "jobs/nightly/job.json").read_text()
    git(clone, "merge", "--abort")


def test_two_new_jobs_of_one_name_are_merged_or_conflict(gitstate: Gitstate, clones: tuple[Path, Path]) -> None:
    async def make(path: Path, name: str, number: int) -> None:
        async with GitStateBackend(path) as backend:
            state = CheckpointState(job_id="new", job_name=name, total_sheets=3)
            state.sheets[number] = SheetState(sheet_num=number)
            await backend.save(state)

    store, clone = clones
    asyncio.run(make(store, "New", 1))
    asyncio.run(make(clone, "New", 2))
    git(clone, "pull", "-q", "--no-rebase", "--no-edit")
    assert sorted(load(clone, "new").sheets) == [1, 2]
