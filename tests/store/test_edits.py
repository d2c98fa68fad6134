"""Which files of the worktree count as edited, compared with what the real git says."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitstate.format.message import Message
from gitstate.store import edits as edits_module
from gitstate.store.documents import Draft
from gitstate.store.edited import put_aside
from gitstate.store.folder import Folder
from gitstate.store.store import Store
from gitstate.values.shape import Value
from tests.git import fsck, git
from tests.stores import NOTES


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with twenty jobs, which its folder shows."""
    with Store.open(tmp_path / "state") as opened:
        for number in range(20):
            put(opened, f"job {number}", number)
        opened.flush()
        yield opened
    fsck(tmp_path / "state")


def put(store: Store, job: str, value: int) -> None:
    sheets: dict[str, Value] = {str(number): {"n": value} for number in range(1, 4)}
    draft = Draft(Message("a save"), value={"id": job, "n": value, "sheets": sheets})
    store.submit(NOTES, job, lambda _: draft).result()


def folder_of(store: Store) -> Path:
    assert store.path is not None
    return store.path


def edited(store: Store) -> dict[str, bool]:
    """Return the paths of all edits, and whether they are staged."""
    found = store.folder.find(NOTES)
    assert found.pending == ""
    documents = {edit.path: edit.staged for each in found.documents for edit in each.edits}
    return documents | {edit.path: edit.staged for edit in found.files}


def told_by_git(folder: Path) -> dict[str, bool]:
    """Return what git calls changed: with files that it does not know in the folders of jobs."""
    lines = git(folder, "-c", "core.fileMode=false", "status", "--porcelain", "--no-renames", "-uall", "-z")
    told = {line[3:]: line[0] not in " ?" for line in lines.split("\0") if line}
    unknown = {line[3:] for line in lines.split("\0") if line.startswith("??")}
    return {path: staged for path, staged in told.items() if path not in unknown or path.startswith("notes/job%20")}


def patiently(folder: Path, *words: str) -> None:
    """Run git as people do, who call it again when the folder is just being brought to the head."""
    for _ in range(50):
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
        if "index.lock" not in done.stderr:
            break
        time.sleep(0.02)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", range(12))
def test_edits_are_what_git_calls_changed(store: Store, seed: int) -> None:
    folder, dice = folder_of(store), random.Random(seed)
    for _ in range(25):
        job, sheet = f"job {dice.randrange(22)}", dice.randrange(5)
        base = folder / "notes" / job.replace(" ", "%20")
        path = base / ("job.json" if sheet == 0 else f"sheets/{sheet:04}.json")
        act = dice.choice(["edit", "edit", "same", "delete", "stage", "unstage", "touch", "save", "refresh", "other"])
        if act in ("edit", "same"):
            path.parent.mkdir(parents=True, exist_ok=True)
            old = path.read_bytes() if path.exists() else b"{}"
            path.write_bytes(
                old if act == "same" else old.replace(b"{", b"{ ", 1) if dice.random() < 0.5 else b"#" * len(old)
            )
        elif act == "delete":
            path.unlink(missing_ok=True)
        elif act == "stage":
            patiently(folder, "add", "-A", "notes")
        elif act == "unstage":
            patiently(folder, "reset", "-q")
        elif act == "touch" and path.exists():
            path.touch()
        elif act == "save":
            put(store, job, dice.randrange(1000))
        elif act == "refresh":
            store.flush()
        elif act == "other":
            (folder / f"other{dice.randrange(3)}.txt").write_text("mine")
    found = edited(store)
    assert found == told_by_git(folder)


def test_unchanged_files_are_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(store)
    # As after some time: what git's index says of the files is older than it is itself.
    later = (folder / ".git/index").stat().st_mtime_ns + 5_000_000_000
    for _ in range(2):
        git(folder, "update-index", "--refresh")
        os.utime(folder / ".git/index", ns=(later, later))
    (folder / "notes/job%203/job.json").write_bytes(b"{}")
    read: list[str] = []
    true_read = Folder.read

    def noting(self: Folder, path: str) -> object:
        read.append(path)
        return true_read(self, path)

    monkeypatch.setattr(Folder, "read", noting)
    assert list(edited(store)) == ["notes/job%203/job.json"]
    assert set(read) <= {"notes/job%203/job.json"}


def test_the_base_of_an_edit_stays_what_it_began_at(store: Store) -> None:
    folder = folder_of(store)
    path = "notes/job%203/sheets/0001.json"
    first = (folder / path).read_bytes()
    (folder / path).write_bytes(b'{"n": "mine"}')
    for value in (100, 200):
        [document] = store.folder.find(NOTES).documents
        assert document.bases == {path: first}
        put(store, "job 3", value)
    [document] = store.folder.find(NOTES).documents
    assert (document.document, document.folder, document.bases) == ("job 3", "notes/job%203", {path: first})


@pytest.mark.parametrize("options", [["--split-index"], ["--index-version", "4"]])
def test_other_kinds_of_indexes(store: Store, options: list[str]) -> None:
    folder = folder_of(store)
    git(folder, "update-index", *options)
    (folder / "notes/job%203/job.json").unlink()
    assert edited(store) == {"notes/job%203/job.json": False}


def test_what_a_sparse_checkout_leaves_out_is_no_edit(store: Store) -> None:
    folder = folder_of(store)
    git(folder, "sparse-checkout", "set", "--no-cone", "/gitstate.json", "/notes/job%203")
    assert not (folder / "notes/job%204").exists()
    assert edited(store) == {}


def test_a_fresh_clone_has_no_edits(store: Store, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(folder_of(store)), "clone")
    with Store.open(tmp_path / "clone") as clone:
        assert edited(clone) == {}
        (folder_of(clone) / "notes/job%203/job.json").write_bytes(b"{}")
        assert edited(clone) == {"notes/job%203/job.json": False}


def test_a_nested_repository_is_not_looked_into(store: Store) -> None:
    folder = folder_of(store)
    (folder / "notes/nested").mkdir()
    git(folder / "notes/nested", "init", "-q")
    (folder / "notes/nested/job.json").write_bytes(b"{}")
    found = store.folder.find(NOTES)
    assert (found.documents, found.others) == ((), ("notes/nested/",))


def test_odd_names(store: Store) -> None:
    folder = folder_of(store)
    (folder / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    (folder / "a\nb").write_bytes(b"x")
    git(folder, "add", "a\nb")
    found = store.folder.find(NOTES)
    assert [edit.path for edit in found.files] == ["a\nb"] and found.others == ("caf\udce9",)


def test_a_view_that_lags_says_by_how_much(store: Store) -> None:
    folder = folder_of(store)
    (folder / ".git/index.lock").write_bytes(b"")
    for value in range(3):
        put(store, "job 3", 1000 + value)
    found = store.folder.find(NOTES)
    assert found.behind == 3 and "index" in found.pending
    (folder / ".git/index.lock").unlink()
    found = store.folder.find(NOTES)
    assert (found.behind, found.pending) == (0, "")


def test_what_is_put_aside_stays_where_a_clock_was_put_back(tmp_path: Path) -> None:
    edit = edits_module.Edit("a", None, None, b"mine")
    for year in range(2999, 2970, -1):
        kept = put_aside(tmp_path, [edit], lambda _: b"", datetime(year, 1, 1, tzinfo=UTC))
        assert kept is not None and (kept / "a").read_bytes() == b"mine"
    assert len(os.listdir(tmp_path / "discarded")) == 20
