"""The answers stay, whatever becomes of the index's file: damaged, removed, held, or not to be written."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gitstate.store.index import database
from gitstate.store.store import Store
from tests.git import git
from tests.store import indexed
from tests.store.indexed import DOCUMENTS, agree, fill, walked
from tests.store.test_naming import put
from tests.stores import NOTES

soon_in_bulk = indexed.soon_in_bulk
store = indexed.store


def _removed(path: Path) -> None:
    path.unlink()


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def _without_a_table(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE touched")
    database.close()


@pytest.mark.parametrize("damage", [_removed, _garbage, _emptied, _torn, _newer, _without_a_table])
@pytest.mark.parametrize("in_use", [True, False])
def test_whatever_becomes_of_the_file_the_answers_stay(
    tmp_path: Path, damage: Callable[[Path], None], in_use: bool
) -> None:
    path = tmp_path / "store/.git/gitstate/index-main-notes.db"
    with Store.open(tmp_path / "store") as store:
        fill(store)
        agree(store, *DOCUMENTS)
        if in_use:
            damage(path)
            agree(store, *DOCUMENTS)
            put(store, None, "a", 50)
            agree(store, *DOCUMENTS)
    if not in_use:
        damage(path)
    with Store.open(tmp_path / "store") as store:
        agree(store, *DOCUMENTS)
        put(store, None, "a", 51)
        agree(store, *DOCUMENTS)
    with Store.open(tmp_path / "store") as store:
        assert agree(store, *DOCUMENTS) == 3, "it was made anew"


def test_a_file_that_somebody_holds_is_not_waited_for_long(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PATIENCE", 0.05)
    fill(store)
    agree(store, "a")
    put(store, None, "a", 50)
    store._indexes.of(NOTES).database.close()
    holder = sqlite3.connect(tmp_path / "store/.git/gitstate/index-main-notes.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert agree(store, *DOCUMENTS) == 0
    holder.execute("ROLLBACK")
    holder.close()
    assert agree(store, *DOCUMENTS) == 3


def test_what_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        fill(store)
    path = tmp_path / "store/.git/gitstate/index-main-notes.db"
    path.unlink(missing_ok=True)
    path.mkdir()
    with Store.open(tmp_path / "store") as store:
        assert agree(store, *DOCUMENTS) == 0
    path.rmdir()


@pytest.mark.parametrize("damage", [_removed, _garbage, _torn, _without_a_table])
def test_what_becomes_of_it_between_two_pages_changes_nothing(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "store/.git/gitstate/index-main-notes.db"
    with Store.open(tmp_path / "store") as store:
        fill(store, 45)
        expected = walked(store._reader, "a", store.head())
        found = store.history(NOTES, "a")
        read = [next(found).id, next(found).id]
        store._indexes.of(NOTES).database.close()
        damage(path)
        read += [revision.id for revision in found]
        assert read == expected
        found = store.history(NOTES, "a")
        read = [next(found).id]
        git(tmp_path / "store", "update-ref", "refs/heads/main", "HEAD~9")
        list(store.history(NOTES, "a"))  # makes it anew
        assert read + [revision.id for revision in found] == expected


def test_nobody_waits_again_for_a_file_that_is_held(store: Store, tmp_path: Path) -> None:
    fill(store)
    agree(store, "a")
    put(store, None, "a", 50)
    store.flush()
    with closing(sqlite3.connect(tmp_path / "store/.git/gitstate/index-main-notes.db", isolation_level=None)) as holder:
        store._indexes._keeper.stop()
        holder.execute("BEGIN IMMEDIATE")
        put(store, None, "a", 51)
        began = time.monotonic()
        agree(store, *DOCUMENTS)  # many questions
        assert time.monotonic() - began < 6, "2 s, and then no more"
        holder.execute("ROLLBACK")
    assert agree(store, *DOCUMENTS) == 3


@pytest.mark.parametrize("suffixes", [["-wal"], ["-shm"], ["-wal", "-shm"], [""]])
def test_files_that_are_removed_while_they_are_in_use_are_noticed(
    store: Store, tmp_path: Path, suffixes: list[str]
) -> None:
    fill(store)
    agree(store, *DOCUMENTS)
    path = tmp_path / "store/.git/gitstate/index-main-notes.db"
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink()
    assert agree(store, *DOCUMENTS) == 3
    assert all(path.with_name(path.name + suffix).exists() for suffix in ("", "-wal", "-shm"))
    with Store.open(tmp_path / "store") as other:
        put(other, None, "a", 1)
        assert agree(other, *DOCUMENTS) == 3
    assert agree(store, *DOCUMENTS) == 3
