"""Processes and threads at one index, and when it is brought up to date."""

import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from gitstate.store.index import indexes, line
from gitstate.store.store import Store
from gitstate.store.trails import Trail
from tests.store import indexed
from tests.store.indexed import DOCUMENTS, agree, fill, walked
from tests.store.test_naming import put
from tests.stores import NOTES

soon_in_bulk = indexed.soon_in_bulk
store = indexed.store


def _indexed(folder: Path) -> int:
    """How many revisions are in it by now."""
    with closing(sqlite3.connect(folder / ".git/gitstate/index-main-notes.db")) as database:
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:
            return 0  # it is only about to be made
        count: int = database.execute("SELECT count(*) FROM revisions").fetchone()[0]
        return count


def test_a_store_that_writes_brings_it_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "store"
    monkeypatch.setattr(indexes, "_DELAY", 0.01)
    with Store.open(folder) as store:
        fill(store)
        end = time.monotonic() + 20
        while _indexed(folder) < 16 and time.monotonic() < end:
            time.sleep(0.01)
        assert _indexed(folder) == 16, "nobody asked, and nobody closed the store"


def test_what_was_written_last_is_in_it_when_the_store_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        fill(store)
    assert _indexed(folder) == 16
    with Store.open(folder) as store:
        assert agree(store, *DOCUMENTS) == 3


def test_what_takes_long_is_left_to_who_asks_and_not_tried_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        fill(store)
    monkeypatch.setattr(indexes, "_AT_MOST", 10)
    with Store.open(folder) as store:
        fill(store)
    assert _indexed(folder) == 16
    with monkeypatch.context() as patch, Store.open(folder) as store:
        patch.setattr(line, "steps", None)  # raises when it is called
        put(store, None, "a", 1)
    with Store.open(folder) as store:
        assert agree(store, *DOCUMENTS) == 3
        put(store, None, "a", 2)
    assert _indexed(folder) == 33


def test_a_forked_child_leaves_it_to_the_parent(store: Store) -> None:
    fill(store)
    agree(store, "a")
    child = os.fork()
    if child == 0:
        os._exit(0 if store._indexes.of(NOTES).revisions.revisions(Trail(NOTES, "a", "1" * 40)) is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert agree(store, *DOCUMENTS) == 3


_WRITER = """
import sys
from gitstate.store.store import Store
from tests.store.test_naming import put
from tests.stores import NOTES
with Store.open(sys.argv[1]) as store:
    for number in range(25):
        put(store, None, sys.argv[2], number)
        list(store.history(NOTES, "a"))
"""


def test_writers_readers_and_somebody_who_removes_it(tmp_path: Path) -> None:
    folder, path = tmp_path / "store", tmp_path / "store/.git/gitstate/index-main-notes.db"
    with Store.open(folder) as store:
        fill(store)
        command = [sys.executable, "-c", textwrap.dedent(_WRITER), str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        writers = [subprocess.Popen([*command, document], env=environment) for document in ("a", "b/c")]
        dice = random.Random(1)
        while any(writer.poll() is None for writer in writers):
            if dice.random() < 0.1:
                for suffix in dice.sample(["", "-wal", "-shm"], 2):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
            start = store.head()
            for document in DOCUMENTS[:2]:
                found = [revision.id for revision in store.history(NOTES, document, start)]
                assert found == walked(store._reader, document, start)
        assert [writer.wait() for writer in writers] == [0, 0]
        agree(store, *DOCUMENTS)


def test_threads_share_it(store: Store) -> None:
    fill(store)
    wrong: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(20):
                agree(store, *DOCUMENTS)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(20):
        put(store, None, "a", number)
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_that_opens_the_store_again_does_without_it(store: Store, tmp_path: Path) -> None:
    fill(store)
    agree(store, "a")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with Store.open(tmp_path / "store") as own:
                code = agree(own, *DOCUMENTS)
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert agree(store, *DOCUMENTS) == 3
