"""Edits by people at the terminal: status, commit and discard."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Gitstate
from tests.git import git

SHEET = "jobs/nightly/sheets/0002.json"


def edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | fields))


def test_nothing_was_edited(gitstate: Gitstate, store: Path) -> None:
    done = gitstate("status", "--store", store)
    assert (done.status, done.out) == (0, "The folder shows the head, and nothing was edited.\n")
    assert gitstate("commit", "--store", store).err == "Nothing was edited.\n"
    assert gitstate("discard", "--all", "--store", store).err == "Nothing was edited.\n"
    assert json.loads(gitstate("commit", "--json", "--store", store).out) == []


def test_status_tells_what_an_edit_changes(gitstate: Gitstate, store: Path) -> None:
    edit(store / SHEET, status="skipped", note="why")
    (store / "README.md").write_text("of the store")
    git(store, "add", "README.md")
    (store / "notes.txt").write_text("mine")
    done = gitstate("status", "--store", store)
    assert done.status == 0
    assert [line.rstrip() for line in done.out.splitlines()] == [
        "The folder shows the head.",
        "",
        "job nightly: edited",
        f"~  {SHEET}",
        "",
        "   sheet  status             attempts  seconds",
        *[line.rstrip() for line in done.out.splitlines()[6:7]],
        "",
        "   place           before  after",
        '+  /sheets/2/note          "why"',
        "",
        "files of no job",
        "+  README.md  (staged)",
        "",
        "not ours, left alone",
        "   notes.txt",
    ]
    assert "failed -> skipped" in done.out
    assert "gitstate commit" in done.err


def test_status_as_json(gitstate: Gitstate, store: Path) -> None:
    edit(store / SHEET, status="skipped")
    (store / "jobs/weekly/job.json").write_text("{")
    told = json.loads(gitstate("status", "--json", "--store", store).out)
    assert (told["folder"], told["behind"], told["pending"]) == (str(store), 0, "")
    nightly, weekly = told["jobs"]
    assert nightly["files"] == [{"path": SHEET, "what": "changed", "staged": False}]
    assert [change["pointer"] for change in nightly["diff"]["sheets"][0]["changes"]] == ["/sheets/2/status"]
    assert (nightly["problem"], nightly["moved"], nightly["conflicts"], nightly["unknown"]) == ("", False, [], [])
    assert weekly["diff"] is None and weekly["problem"].startswith("jobs/weekly/job.json: ")


def test_status_of_a_bare_store(gitstate: Gitstate, tmp_path: Path) -> None:
    gitstate("init", "--bare", tmp_path / "bare")
    done = gitstate("status", "--store", tmp_path / "bare")
    assert (done.status, done.out) == (0, "The store shows no files: there is nothing to edit.\n")
    assert gitstate("commit", "--store", tmp_path / "bare").status == 2


def test_status_while_git_is_at_work(gitstate: Gitstate, store: Path) -> None:
    git(store, "switch", "-qc", "elsewhere")
    done = gitstate("status", "--store", store)
    assert done.status == 0 and "does not show the head: another branch than main is checked out" in done.out
    assert gitstate("commit", "--store", store).status == 7
    git(store, "switch", "-q", "main")


def test_commit_makes_a_checkpoint(gitstate: Gitstate, store: Path) -> None:
    edit(store / SHEET, status="skipped")
    done = gitstate("commit", "--store", store, "-m", "Not needed")
    assert done.status == 0
    assert done.err.splitlines()[0] == "Committed job nightly: edited."
    assert done.err.splitlines()[1].endswith(f"To take it back: gitstate undo --store {store} nightly")
    assert git(store, "log", "-1", "--format=%s%n%b").splitlines()[:3] == [
        "nightly: sheet 2 skipped, edited (2/3 done)",
        "Not needed",
        "",
    ]
    assert git(store, "status", "--porcelain") == ""
    assert gitstate("undo", "nightly", "--store", store).status == 0


def test_commit_as_json(gitstate: Gitstate, store: Path) -> None:
    shutil.rmtree(store / "jobs/weekly")
    [done] = json.loads(gitstate("commit", "weekly", "--json", "--store", store).out)
    assert (done["job"], done["event"], done["merged"]) == ("weekly", "deleted", False)
    assert done["revision"] == git(store, "rev-parse", "HEAD").strip()
    assert done["undo"] == f"gitstate undelete --store {store} weekly"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "jobs/nightly/sheets/0002.json: "),
        ('{"sheet_num": 2, "status": "almost"}', "jobs/nightly/sheets/0002.json: /sheets/2/status: "),
    ],
)
def test_commit_refuses_what_is_no_state(gitstate: Gitstate, store: Path, content: str, says: str) -> None:
    (store / SHEET).write_text(content)
    done = gitstate("commit", "--store", store)
    assert done.status == 2 and says in done.err and "gitstate discard" in done.err
    assert "problem: " + says in gitstate("status", "--store", store).out
    assert (store / SHEET).read_text() == content


def test_names_are_paths_from_the_current_folder_too(
    gitstate: Gitstate, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        edit(store / f"jobs/nightly/sheets/000{number}.json", note="mine")
    monkeypatch.chdir(store / "jobs/nightly/sheets")
    assert gitstate("commit", "0001.json").status == 0
    assert git(store, "status", "--porcelain") == f" M {SHEET}\n"
    assert gitstate("discard", "../sheets").status == 0
    assert git(store, "status", "--porcelain") == ""
    assert gitstate("commit", "0001.json").status == 3


def test_discard_drops_by_name_and_keeps_what_stood_there(gitstate: Gitstate, store: Path) -> None:
    edit(store / SHEET, status="skipped")
    mine = (store / SHEET).read_bytes()
    (store / "jobs/weekly/job.json").unlink()
    assert gitstate("discard", "--store", store).status == 2
    dry = gitstate("discard", "--all", "--dry-run", "--store", store)
    assert dry.out == f"~  {SHEET}\n-  jobs/weekly/job.json\n" and (store / SHEET).read_bytes() == mine
    done = gitstate("discard", "nightly", "--yes", "--store", store)
    assert done.err.splitlines()[0] == f"Dropped {SHEET}."
    kept = Path(done.err.splitlines()[1].removeprefix("What stood there is kept in "))
    assert (kept / SHEET).read_bytes() == mine
    told = json.loads(gitstate("discard", "--all", "--json", "--store", store).out)
    assert told == {
        "files": [{"path": "jobs/weekly/job.json", "what": "deleted", "staged": False}],
        "kept": None,
        "left": [],
    }
    assert git(store, "status", "--porcelain") == ""


def test_discard_refuses_files_that_are_not_ours(gitstate: Gitstate, store: Path) -> None:
    (store / "notes.txt").write_text("mine")
    done = gitstate("discard", "notes.txt", "--store", store)
    assert done.status == 2 and "notes.txt is not a file of the store" in done.err
    assert gitstate("discard", "nobody", "--store", store).status == 3
    assert (store / "notes.txt").read_text() == "mine"


def test_discard_asks_on_a_terminal(gitstate: Gitstate, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(store / SHEET, status="skipped")
    asked: list[str] = []

    def confirm(question: str, err: bool) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("click.confirm", confirm)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    done = gitstate("discard", "nightly", "--store", store)
    assert (done.status, asked) == (1, ["Drop 1 edit?"]) and SHEET in done.err
    assert git(store, "status", "--porcelain") == f" M {SHEET}\n"


def test_what_somebody_committed_that_is_no_state_is_told_with_the_author(gitstate: Gitstate, store: Path) -> None:
    (store / "jobs/weekly/job.json").write_text("<<<<<<< HEAD\n")
    git(store, "commit", "-qam", "oops", "--author=An Editor <editor@example.org>")
    by = f"made by {git(store, 'rev-parse', '--short=10', 'HEAD').strip()} of An Editor, "
    shown = gitstate("show", "weekly", "--store", store)
    assert shown.status == 8 and by in shown.err
    listed = gitstate("list", "--json", "--store", store)
    assert [job["id"] for job in json.loads(listed.out)] == ["nightly"] and by in listed.err
    checked = gitstate("verify", "--store", store)
    assert checked.status == 12 and by in checked.out
    assert gitstate("rollback", "weekly", "~1", "--store", store).status == 0
    assert gitstate("verify", "--store", store).status == 0


def test_a_diff_of_an_edit_hides_what_every_save_changes(gitstate: Gitstate, store: Path) -> None:
    edit(store / "jobs/nightly/job.json", updated_at="2030-01-01T00:00:00Z")
    assert "/updated_at" not in gitstate("status", "--store", store).out
    assert "/updated_at" in gitstate("status", "--all", "--store", store).out
