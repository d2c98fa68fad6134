"""Saves, people, the real git and deaths in random order: no edit is lost, and every other file follows the head."""

import random
import subprocess
from pathlib import Path

import pytest

from gitstate.engine import trees
from gitstate.store import folder as folder_module
from gitstate.store.worktree import Worktree
from tests.store.desks import Desk
from tests.store.test_worktree_kills import Killed

PATHS = ["a", "b", "d/e", "jobs/x/job.json", "jobs/x/sheets/1", "jobs/x/sheets/2", "jobs/y/job.json"]
STEPS = ["save"] * 3 + ["refresh"] * 2 + ["edit"] * 2 + ["delete", "add", "commit", "reset", "restore", "kill"]


class Bench:
    """A desk, and what the person at it has edited and not committed: content by path, None for a deleted file."""

    def __init__(self, path: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.desk = Desk(path)
        self.desk.save({"gitstate.json": b"{}\n"})
        self.edits: dict[str, bytes | None] = {}
        self.log: list[tuple[str, str]] = []

    def step(self) -> None:
        name, path = self.random.choice(STEPS), self.random.choice(PATHS)
        self.log.append((name, path))
        getattr(self, name)(path)

    def save(self, path: str) -> None:
        contents = [None, b"A\n", b"B\n", b"save %d\n" % len(self.log)]
        self.desk.save({other: self.random.choice(contents) for other in self.random.sample(PATHS, 3)})

    def edit(self, path: str) -> None:
        self.edits[path] = b"edit %d\n" % len(self.log)
        self.desk.put(path, self.edits[path] or b"")

    def delete(self, path: str) -> None:
        if (self.desk.path / path).exists():
            (self.desk.path / path).unlink()
            self.edits[path] = None

    def add(self, path: str) -> None:
        if (self.desk.path / path).exists():
            self.desk.git("add", path)

    def commit(self, path: str) -> None:
        self.forget(self.tracked())
        self.desk.git("commit", "-q", "-a", "-m", "by hand", "--allow-empty")

    def reset(self, path: str) -> None:
        count = len(self.desk.git("rev-list", "--first-parent", "HEAD").split())
        before = self.tracked()
        self.desk.git("reset", "-q", "--hard", f"HEAD~{min(self.random.choice([0, 0, 1, 2]), count - 1)}")
        self.forget(before | self.tracked())

    def restore(self, path: str) -> None:
        if self.desk.git("ls-tree", "HEAD", path):
            self.desk.git("checkout", "-q", "HEAD", "--", path)
            self.edits.pop(path, None)

    def kill(self, path: str) -> None:
        """Die in the middle of a refresh, if it has a middle; then refresh as another process."""
        left = self.random.randrange(1, 5)

        def dying(real: object) -> object:
            def call(*arguments: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return real(*arguments)  # type: ignore[operator]

            return call

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folder_module, "_write_new", dying(folder_module._write_new))
            patch.setattr(Worktree, "_write_index", dying(Worktree._write_index))
            try:
                self.desk.refresh()
            except Killed:
                self.desk.view = Worktree(self.desk.repository, self.desk.engine)
        self.refresh(path)

    def refresh(self, path: str) -> None:
        refreshed = self.desk.refresh()
        assert refreshed.pending == ""
        for edited, content in self.edits.items():
            if content is not None:
                assert self.desk.read(edited) == content, (edited, self.log)
        for shown, entry in trees.files(self.desk.engine, self.desk.tree()):
            if shown not in self.edits:
                assert self.desk.read(shown) == self.desk.engine.read(entry.id, "blob"), (shown, self.log)

    def tracked(self) -> set[str]:
        return set(self.desk.git("ls-files", "-z").split("\0"))

    def forget(self, paths: set[str]) -> None:
        self.edits = {path: content for path, content in self.edits.items() if path not in paths}


@pytest.mark.parametrize("seed", range(12))
def test_edits_stay_and_the_rest_follows(tmp_path: Path, seed: int) -> None:
    bench = Bench(tmp_path / "store", seed)
    bench.refresh("")
    for _ in range(60):
        bench.step()
    desk = bench.desk
    desk.git("reset", "-q", "--hard")
    desk.git("clean", "-fdq")
    desk.save({"end": b"end\n"})
    desk.refresh()
    desk.check_clean()
    desk.engine.close()
    subprocess.run(["git", "fsck", "--strict"], cwd=desk.path, check=True, capture_output=True)
