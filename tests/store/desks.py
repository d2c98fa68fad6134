"""A branch without a store, and the worktree that shows it, with a person and the real git at hand."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from gitstate.engine import graph, trees
from gitstate.engine.git import GitEngine
from gitstate.engine.objects import Commit, GitObject
from gitstate.engine.repository import open_repository
from gitstate.store.worktree import Refreshed, Worktree

__all__ = ["FILES", "JOB", "SHEET", "Desk"]

JOB = "jobs/nightly/job.json"
SHEET = "jobs/nightly/sheets/0001.json"
FILES: dict[str, bytes | None] = {"gitstate.json": b"{}\n", JOB: b"job 1\n", SHEET: b"sheet 1\n"}


class Desk:
    """A store's branch without a store: saves publish trees, and the view follows when it is told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repository = open_repository(path)
        self.engine = GitEngine(self.repository)
        self.view = Worktree(self.repository, self.engine, patience=0.1)

    def save(self, changes: Mapping[str, bytes | None]) -> None:
        """Commit some files, as the writer does."""
        edited = trees.edit(self.engine, self.tree(), changes)
        self.publish(edited.id, edited.objects)

    def publish(self, tree: str, objects: list[GitObject]) -> None:
        head, who = self.engine.head(), self.engine.signature()
        commit = Commit(tree, () if head is None else (head,), who, who, b"a save\n").to_object()
        with self.engine.lock():
            self.engine.publish([*objects, commit], expected=head, new=commit.id, note="a save")

    def tree(self) -> str | None:
        head = self.engine.head()
        return None if head is None else graph.read(self.engine, head).tree

    def refresh(self) -> Refreshed:
        return self.view.refresh()

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.path, check=True, capture_output=True, text=True)
        return done.stdout

    def status(self) -> list[str]:
        return self.git("status", "--porcelain").splitlines()

    def read(self, path: str) -> bytes:
        return (self.path / path).read_bytes()

    def put(self, path: str, content: bytes) -> None:
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(content)

    def check_clean(self) -> None:
        """Nothing differs between the head, git's index and the files, and no file of ours is left over."""
        assert self.status() == []
        assert self.git("write-tree").strip() == self.tree()
        assert self.git("diff-files") == ""  # the stats are right too, git need not read the files
        assert not (self.path / ".git" / "index.lock").exists()
        assert list(self.path.rglob(".gitstate-*")) == []
