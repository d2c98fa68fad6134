"""The folder follows the branch by itself, together and off the write path."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitstate.store import views
from gitstate.store.store import Store
from gitstate.store.worktree import Refreshed, Worktree
from tests.git import git
from tests.store.test_store import write
from tests.stores import NOTES


def until(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def number(path: Path | None) -> int:
    assert path is not None
    file = path / "notes/a/job.json"
    return int(json.loads(file.read_text())["n"]) if file.exists() else -1


def save(store: Store, n: int) -> None:
    store.submit(NOTES, "a", write({"id": "a", "n": n})).result()


def test_the_folder_shows_a_save_a_moment_later(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        for n in range(3):
            save(store, n)
            assert until(lambda n=n: number(store.path) == n)  # type: ignore[misc]
        assert git(tmp_path / "store", "status", "--porcelain") == ""


def test_saves_are_shown_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refreshes: list[float] = []
    take = Worktree.take

    def counted(self: Worktree, *asked: Any) -> Refreshed:
        refreshes.append(time.monotonic())
        return take(self, *asked)

    with Store.open(tmp_path / "store") as store:
        monkeypatch.setattr(Worktree, "take", counted)
        begun = time.monotonic()
        for n in range(200):
            save(store, n)
        took = time.monotonic() - begun
        assert len(refreshes) <= took / views._DELAY + 1
        assert until(lambda: number(tmp_path / "store") == 199)


def test_a_store_without_a_prompt_view_shows_nothing_until_it_is_flushed(tmp_path: Path) -> None:
    Store.open(tmp_path / "store").close()
    with Store.open(tmp_path / "store", worktree=False) as store:
        save(store, 1)
        time.sleep(2 * views._DELAY)
        assert number(tmp_path / "store") == -1
        store.flush()
        assert number(tmp_path / "store") == 1


def test_git_has_the_index_for_itself_after_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Worktree] = []
    take = Worktree.take

    def noted(self: Worktree, *asked: Any) -> Refreshed:
        looked.append(self)
        return take(self, *asked)

    monkeypatch.setattr(views, "_DELAY", 0.1)
    with Store.open(tmp_path / "store") as store:
        for n in range(3):
            save(store, n)
            store.flush()
            with monkeypatch.context() as patch:
                patch.setattr(Worktree, "take", noted)
                git(tmp_path / "store", "commit", "-q", "--allow-empty", "-m", "by a person")
                time.sleep(0.3)  # a refresh that was due for the save would take the index from a git that merges
            assert looked == []
            assert number(store.path) == n


def test_a_save_is_shown_that_came_during_a_refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = Worktree.take
    saves = iter([2])

    def late(self: Worktree, *asked: Any) -> Refreshed:
        done = take(self, *asked)
        for n in saves:
            save(store, n)
        return done

    monkeypatch.setattr(views, "_DELAY", 0.1)
    with Store.open(tmp_path / "store") as store:
        save(store, 1)
        with monkeypatch.context() as patch:
            patch.setattr(Worktree, "take", late)
            store.flush()
            assert until(lambda: number(store.path) == 2)


def test_trouble_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[Worktree] = []

    def pending(self: Worktree, *_: object) -> Refreshed:
        tried.append(self)
        return Refreshed(pending="a merge is unfinished")

    with Store.open(tmp_path / "store") as store:
        with monkeypatch.context() as patch:
            patch.setattr(Worktree, "take", pending)
            patch.setattr(views, "_DELAY", 0.01)
            for n in range(3):
                save(store, n)
                assert until(lambda n=n: len(tried) > n)  # type: ignore[misc]
        assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
            "the worktree is left to the next refresh: a merge is unfinished"
        ]
