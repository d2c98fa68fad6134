"""A store whose folder lags behind its branch, and a person who edits and commits there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitstate.store.store import Store
from tests.git import fsck, git
from tests.store.test_store import value_of, write
from tests.stores import NOTES

__all__ = ["Desk", "desk"]


class Desk:
    """A store whose folder lags until :meth:`catch_up`, and a person who works there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with Store.open(path) as store:
            self._save(store, "a", m=0, n=0)
            self._save(store, "b", m=0, n=0)
        self.store = Store.open(path, worktree=False)

    def save(self, document: str, **fields: int) -> None:
        self._save(self.store, document, **fields)

    def _save(self, store: Store, document: str, **fields: int) -> None:
        store.submit(NOTES, document, write({"id": document, "sheets": {"1": {}}, **fields})).result()

    def edit(self, document: str, **fields: int) -> None:
        """Change fields in the file that the folder shows."""
        file = self.path / f"notes/{document}/job.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields, indent=2) + "\n")

    def git(self, *words: str) -> str:
        return git(self.path, *words)

    def value(self, document: str) -> dict[str, Any] | None:
        value = value_of(self.store, document)
        return None if value is None else {key: value[key] for key in value if key not in ("id", "sheets")}

    def catch_up(self) -> None:
        self.store.flush()
        assert self.git("status", "--porcelain") == ""


# A fixture of the modules that name it: ``desk = lagging.desk``.


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store")
    yield desk
    desk.store.close()
    assert desk.git("status", "--porcelain") == ""
    fsck(desk.path)
