"""The index answers as a walk does, or not at all, whatever becomes of the history and whoever wrote it."""

import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitstate import errors
from gitstate.store.index import revisions
from gitstate.store.store import Store
from tests.git import git
from tests.store import indexed
from tests.store.indexed import DOCUMENTS, agree, fill, walked
from tests.store.test_naming import put
from tests.stores import NOTES

soon_in_bulk = indexed.soon_in_bulk
store = indexed.store


def test_executions_deletions_moves_and_other_people_s_files(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    fill(store)
    assert agree(store, *DOCUMENTS, "never") == 4
    attached = [each.attached for each in store.history(NOTES, "b/c", key="Gitstate-Event", attached=True)]
    assert sum(map(bool, attached)) == 1, "as many as executions"
    put(store, None, "a", None, "deleted")
    fill(store)
    store.reshard(2, NOTES)
    fill(store)
    store.flush()
    (folder / "README.md").write_text("mine\n")
    (folder / "notes/mine").mkdir()
    (folder / "notes/mine/file").write_text("no document\n")
    odd = folder / "notes" / "\x02" / ("1" * 40)
    odd.parent.mkdir()
    odd.write_text("a name that parts commits\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "my files")
    fill(store)
    assert agree(store, *DOCUMENTS, "mine", "never") == 5
    starts = git(folder, "rev-list", "--first-parent", "main").split()
    assert agree(store, "a", "b/c", starts=starts) == 2 * len(starts)


def test_a_document_that_a_merge_changed_is_known_from_the_head(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    fill(store)
    store.flush()
    git(folder, "checkout", "-qb", "side", "HEAD~4")
    (folder / "notes/a/job.json").write_text('{"id": "a", "n": 100}\n')
    git(folder, "commit", "-qam", "by hand")
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-q", "-X", "theirs", "--no-edit", "side")
    assert agree(store, *DOCUMENTS) == 3
    fill(store, 6)
    assert agree(store, *DOCUMENTS) == 3
    merge = git(folder, "rev-list", "--merges", "-1", "HEAD").strip()
    between, base, side = (git(folder, "rev-parse", f"{merge}{way}").strip() for way in ("^1~1", "^2^", "^2"))
    assert agree(store, *DOCUMENTS, starts=[merge, base]) == 6
    assert agree(store, *DOCUMENTS, starts=[between, side]) == 0, "there it is walked"


def test_a_store_that_goes_on_from_another_s_merge_weaves_in_its_own_side(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    fill(store, 24)
    git(folder, "clone", "-q", ".", "../other")
    assert agree(store, *DOCUMENTS) == 3
    with Store.open(tmp_path / "other") as other:
        for number in range(8):
            put(other, None, DOCUMENTS[number % 2], 100 + number)
    fill(store, 6)
    assert agree(store, *DOCUMENTS) == 3
    store.flush()
    git(tmp_path / "other", "fetch", "-q")
    git(tmp_path / "other", "merge", "-q", "-X", "ours", "--no-edit", "origin/main")
    git(folder, "pull", "-q", "--ff-only", "../other", "main")
    with monkeypatch.context() as patch:
        patch.setattr(revisions, "_EMPTY", ["SELECT nothing_of_this_name"])  # it is not made anew
        assert agree(store, *DOCUMENTS) == 3
    fill(store, 6)
    assert agree(store, *DOCUMENTS) == 3


@pytest.mark.parametrize("move", [["reset", "-q", "--hard", "HEAD~5"], ["commit", "-q", "--amend", "-m", "mine"]])
def test_a_history_that_a_person_rewrote(store: Store, tmp_path: Path, move: list[str]) -> None:
    fill(store)
    agree(store, *DOCUMENTS)
    store.flush()
    git(tmp_path / "store", *move)
    assert agree(store, *DOCUMENTS) == 3
    fill(store)
    assert agree(store, *DOCUMENTS) == 3


def test_another_process_s_commits_are_taken_in(store: Store, tmp_path: Path) -> None:
    fill(store)
    assert agree(store, *DOCUMENTS) == 3
    with Store.open(tmp_path / "store") as other:
        fill(other, 20)
        assert agree(other, *DOCUMENTS) == 3
    assert agree(store, *DOCUMENTS) == 3


def test_without_git_it_is_made_too(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 20)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert agree(store, *DOCUMENTS) == 3


def test_names_that_look_like_what_git_says_between_them(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    fill(store)
    store.flush()
    (folder / "notes/a/job.json\n").write_text("not the root file\n")
    (folder / "notes/mine").mkdir()
    (folder / "notes/mine/job.json\n").write_text("no document\n")
    for odd in ("\x02é", "\x02abc", "\x02" + "1" * 40, "D", "\x02" + "1" * 39 + "\n"):
        (folder / "notes" / odd).write_text("a name that parts commits\n")
        (folder / "notes/a/job.json").write_text(f'{{"id": "a", "n": {len(odd)}00}}\n')
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "by hand")
    (folder / "notes/a/job.json\n").unlink()
    git(folder, "commit", "-qam", "by hand")
    assert agree(store, *DOCUMENTS, "mine") == 4


@pytest.mark.parametrize("size", [150, 330, 800])
def test_a_git_that_dies_while_it_speaks(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    fill(store, 20)
    program = tmp_path / "bin/git"
    program.parent.mkdir()
    real = shutil.which("git")
    program.write_text(f'#!/bin/sh\n[ "$1" = log ] || exec {real} "$@"\n{real} "$@" | head -c {size}\nkill -9 $$\n')
    program.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        assert agree(store, *DOCUMENTS) == 3


def test_an_answer_is_of_one_moment(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    start = store.head()
    expected = walked(store._reader, "a", start)
    bounds = revisions._bounds

    def and_then_somebody_rewrites_history(connection: sqlite3.Connection, *asked: Any) -> object:
        found = bounds(connection, *asked)
        with monkeypatch.context() as patch:
            patch.setattr(revisions, "_bounds", bounds)
            git(tmp_path / "store", "update-ref", "refs/heads/main", "HEAD~9")
            with Store.open(tmp_path / "store") as other:
                fill(other)
                agree(other, "a")
        return found

    agree(store, "a")
    with monkeypatch.context() as patch:
        patch.setattr(revisions, "_bounds", and_then_somebody_rewrites_history)
        assert [each.id for each in store.history(NOTES, "a", start)] == expected
    agree(store, *DOCUMENTS)


def test_a_document_that_went_with_a_change_of_the_format_file(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    fill(store)
    store.flush()
    (folder / "gitstate.json").write_bytes((folder / "gitstate.json").read_bytes() + b"\n")
    git(folder, "rm", "-q", "notes/a/job.json")
    git(folder, "commit", "-qam", "by hand")
    for number in range(2):
        (folder / "notes/a").mkdir(exist_ok=True)
        (folder / "notes/a/README").write_text(f"{number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "by hand")
    assert agree(store, *DOCUMENTS) == 3


@pytest.mark.parametrize("hint", ["0" * 40, "a blob"])
def test_where_the_tree_that_it_names_is_none_the_way_to_it_is_gone(store: Store, tmp_path: Path, hint: str) -> None:
    fill(store)
    blob = git(tmp_path / "store", "rev-parse", "HEAD:gitstate.json").strip()
    newest = next(store.history(NOTES, "a"))
    assert newest.tree is not None
    lying = replace(newest, tree=blob if hint == "a blob" else hint)
    there = store.snapshot(NOTES, "a", newest.id)
    assert store.after(NOTES, "a", newest) == store.after(NOTES, "a", lying) == there is not None


def test_a_store_that_is_closed_tells_of_no_deleted_documents(store: Store) -> None:
    store.close()
    with pytest.raises(errors.ClosedError):
        store.deleted(NOTES)


@pytest.mark.parametrize("wrong", ["{", '{"id": "a"}'])
def test_a_document_whose_cut_folder_does_not_tell_its_id(store: Store, tmp_path: Path, wrong: str) -> None:
    folder, long = tmp_path / "store", DOCUMENTS[2]
    fill(store)
    store.flush()
    root = folder / NOTES.folder(long, 0) / "job.json"
    right = root.read_text()
    for text in (wrong, f"{wrong}\n", right):
        root.write_text(text)
        git(folder, "commit", "-qam", "by hand")
    assert agree(store, *DOCUMENTS) == 2
    before = git(folder, "rev-parse", "HEAD~1").strip()
    assert [snapshot.document for snapshot in store.documents(NOTES, before)].count("a") == 1


def test_who_goes_on_to_read_a_history_when_the_store_is_closed_opens_no_file(store: Store) -> None:
    fill(store, 45)
    expected = walked(store._reader, "a", store.head())
    found = store.history(NOTES, "a")
    read = [next(found).id]
    store.close()
    assert read + [revision.id for revision in found] == expected
    assert store._indexes.of(NOTES).database._connection is None


def test_a_clone_that_nobody_wrote_to_has_one_too(store: Store, tmp_path: Path) -> None:
    fill(store)
    git(tmp_path, "clone", "-q", "store", "clone")
    with Store.open(tmp_path / "clone", create=False) as clone:
        assert agree(clone, *DOCUMENTS) == 3
