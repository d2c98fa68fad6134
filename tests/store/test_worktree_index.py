"""git's index after refreshes: cached trees are right, whatever people staged; caches that we drop come back."""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitstate.engine.gitindex import GitIndex
from gitstate.store.worktree import Refreshed
from tests.store.desks import FILES, JOB, SHEET, Desk

PATHS = [
    "a", "a/b", "a/b/c", "a/b0", "a.b", "d/e", "ü/x", "jobs/long-name/job.json", "jobs/x/job.json", "jobs/x/sheets/1",
    "jobs/x/sheets/2", "jobs/x/sheets/10", "jobs/y/job.json", "jobs/y/sheets/1",
]  # fmt: skip
STEPS = ["save"] * 6 + [
    "add",
    "untrack",
    "intend",
    "commit",
    "commit",
    "reset",
    "hard",
    "write_tree",
    "version",
    "drop",
]


class Shelf:
    """A desk whose index is compared with one of the same entries that has no cached trees."""

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.desk = Desk(path)
        self.random = random.Random(seed)
        self.copy = path.parent / "copy"

    def git_with(self, data: bytes, *words: str, status: int | None = 0) -> str:
        """Run git with another index."""
        self.copy.write_bytes(data)
        environment = os.environ | {"GIT_INDEX_FILE": str(self.copy), "GIT_TEST_CHECK_CACHE_TREE": "1"}
        done = subprocess.run(
            ["git", *words], cwd=self.desk.path, env=environment, capture_output=True, text=True, check=False
        )
        assert status in (None, done.returncode), done.stderr
        return f"{done.returncode} {done.stdout}"

    def check(self) -> GitIndex:
        """Let git judge the cached trees."""
        data = (self.desk.path / ".git/index").read_bytes()
        index = GitIndex.parse(data)
        plain = index.to_bytes()
        assert b"TREE" not in plain[-200:]
        self.git_with(data, "update-index", "--force-write-index")  # git verifies what is known
        self.git_with(data, "fsck")
        for words in [("write-tree",), ("diff", "--cached", "--name-status", "HEAD"), ("status", "--porcelain")]:
            assert self.git_with(data, *words, status=None) == self.git_with(plain, *words, status=None), words
        return index

    def step(self) -> None:
        path = self.random.choice(PATHS)
        getattr(self, self.random.choice(STEPS))(path)

    def save(self, path: str) -> None:
        changes: dict[str, bytes | None] = {}
        for other in self.random.sample(PATHS, 4):
            below = [name for name in changes if name.startswith(other + "/") or other.startswith(name + "/")]
            if not below:
                changes[other] = self.random.choice([None, b"A\n", b"B\n", b"%d\n" % self.random.randrange(9)])
        self.desk.save(changes)
        self.desk.refresh()
        self.check()

    def add(self, path: str) -> None:
        if not any(parent.is_file() for parent in (self.desk.path / path).parents):
            if not (self.desk.path / path).is_dir():
                self.desk.put(path, b"edit %d\n" % self.random.randrange(9))
            self.desk.git("add", path)

    def untrack(self, path: str) -> None:
        self.desk.git("rm", "-rq", "--cached", "--ignore-unmatch", path)

    def intend(self, path: str) -> None:
        if not (self.desk.path / path).exists() and not any(p.is_file() for p in (self.desk.path / path).parents):
            self.desk.put(path, b"")
            self.desk.git("add", "-N", path)

    def commit(self, path: str) -> None:
        self.desk.git("commit", "-q", "-m", "by hand", "--allow-empty")

    def reset(self, path: str) -> None:
        self.desk.git("reset", "-q")

    def hard(self, path: str) -> None:
        self.desk.git("reset", "-q", "--hard", self.random.choice(["HEAD", "HEAD~1"]))
        self.desk.git("clean", "-fdq")

    def write_tree(self, path: str) -> None:
        self.desk.git("write-tree")

    def version(self, path: str) -> None:
        self.desk.git("update-index", "--index-version", self.random.choice("24"))

    def drop(self, path: str) -> None:
        (self.desk.path / ".git/index").unlink(missing_ok=True)


@pytest.mark.parametrize("seed", range(6))
def test_cached_trees_are_right_whatever_is_staged(tmp_path: Path, seed: int) -> None:
    shelf = Shelf(tmp_path / "store", seed)
    for number in range(3):
        shelf.desk.save({"first": b"%d\n" % number})
        shelf.desk.refresh()
    for _ in range(30):
        shelf.step()
    shelf.hard("")
    shelf.save("")
    assert shelf.check().cached_trees()[0] == shelf.desk.tree()
    shelf.desk.check_clean()
    shelf.desk.engine.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """A shelf that shows a job."""
    shelf = Shelf(tmp_path / "store")
    shelf.desk.save(FILES | {"jobs/weekly/job.json": b"1\n"})
    shelf.desk.refresh()
    yield shelf
    shelf.desk.engine.close()


def known(shelf: Shelf) -> dict[str, str]:
    """Return the id of each directory that the index has, "invalid" where it is not known."""
    shown: dict[str, str] = {}

    def walk(tree: object, path: str) -> None:
        shown[path] = tree.id if tree.count >= 0 else "invalid"  # type: ignore[attr-defined]
        for name, below in tree.below.items():  # type: ignore[attr-defined]
            walk(below, f"{path}/{name}".strip("/"))

    trees = shelf.check()._trees
    if trees is not None:
        walk(trees, "")
    return shown


def of_head(shelf: Shelf) -> dict[str, str]:
    lines = shelf.desk.git("ls-tree", "-rdt", "HEAD").splitlines()
    return {"": shelf.desk.tree() or ""} | {line.split("\t")[1]: line.split()[2] for line in lines}


def test_a_clean_view_has_all_trees_from_the_first_refresh_on(shelf: Shelf) -> None:
    assert known(shelf) == of_head(shelf)
    changes: list[dict[str, bytes | None]] = [
        {JOB: b"job 2\n", SHEET: b"sheet 2\n"},
        {"jobs/new/job.json": b"1\n", "jobs/new/sheets/0001.json": b"1\n"},
        {SHEET: None},  # and its folder
        {"jobs/weekly/job.json": None, "jobs/weekly/job.json/part": b"x\n"},
        {"jobs/weekly/job.json": b"1\n", "jobs/weekly/job.json/part": None},
        {"jobs/new/job.json": None, "jobs/new/sheets/0001.json": None},
        {"jobs/b/job.json": b"1\n", "jobs/aaa/job.json": b"1\n", "zz/x": b"1\n", "z/x": b"1\n"},
    ]
    for change in changes:
        shelf.desk.save(change)
        shelf.desk.refresh()
        assert known(shelf) == of_head(shelf), change
        shelf.desk.check_clean()
    ours = GitIndex.parse((shelf.desk.path / ".git/index").read_bytes())._trees
    shelf.desk.git("read-tree", "HEAD")
    theirs = GitIndex.parse((shelf.desk.path / ".git/index").read_bytes())._trees
    assert ours is not None and theirs is not None and len(ours.below) > 1  # some longer, some shorter
    ours.below["jobs"].below["weekly"].below  # noqa: B018 - reads it, so that the ones above are written anew
    assert ours.to_bytes() == theirs.to_bytes()


def test_what_is_staged_makes_its_folders_unknown_and_no_others(shelf: Shelf) -> None:
    shelf.desk.put(SHEET, b"staged\n")
    shelf.desk.git("add", SHEET)
    shelf.desk.save({SHEET: b"sheet 2\n", "jobs/weekly/job.json": b"2\n", "jobs/new/job.json": b"1\n"})
    assert shelf.desk.refresh() == Refreshed(written=["jobs/new/job.json", "jobs/weekly/job.json"], kept=[SHEET])
    invalid = {"", "jobs", "jobs/nightly", "jobs/nightly/sheets"}
    assert known(shelf) == of_head(shelf) | dict.fromkeys(invalid, "invalid")
    shelf.desk.git("commit", "-qm", "by hand")
    shelf.desk.save({JOB: b"job 2\n"})
    shelf.desk.refresh()
    assert known(shelf) == of_head(shelf)


def test_an_intended_file_that_the_head_gets_is_its_file(shelf: Shelf) -> None:
    shelf.desk.put("jobs/weekly/new", b"")
    shelf.desk.git("add", "-N", "jobs/weekly/new")
    shelf.desk.save({"jobs/weekly/new": b"", JOB: b"job 2\n"})
    assert shelf.desk.refresh() == Refreshed(written=[JOB])
    shelf.check()
    shelf.desk.check_clean()


def test_an_index_of_which_git_forgot_the_trees_stays_so(shelf: Shelf) -> None:
    path = shelf.desk.path / ".git/index"
    path.write_bytes(GitIndex.parse(path.read_bytes()).to_bytes())
    shelf.desk.save({JOB: b"job 2\n"})
    shelf.desk.refresh()
    assert known(shelf) == {}
    shelf.desk.check_clean()


def test_a_tree_that_only_the_index_named_may_be_gone(shelf: Shelf) -> None:
    shelf.desk.put("staged", b"staged\n")
    shelf.desk.git("add", "staged")
    lost = shelf.desk.git("write-tree").strip()
    assert known(shelf)[""] == lost
    (shelf.desk.path / ".git/objects" / lost[:2] / lost[2:]).unlink()
    shelf.desk.save({JOB: b"job 2\n"})
    assert shelf.desk.refresh() == Refreshed(written=[JOB])
    assert known(shelf) == of_head(shelf) | {"": "invalid"}
    assert shelf.desk.status() == ["A  staged"]


def test_a_folder_that_cannot_be_shown_whole_is_not_the_heads(shelf: Shelf) -> None:
    before = of_head(shelf)
    shelf.desk.save({"jobs/weekly/.git": b"no\n", JOB: b"job 2\n"})
    assert shelf.desk.refresh().skipped == ["jobs/weekly/.git"]
    kept = {"": "invalid", "jobs": "invalid", "jobs/weekly": before["jobs/weekly"]}  # the last is what the index has
    assert known(shelf) == of_head(shelf) | kept


# Other caches

# Answers a monitor's question in version 2 of the protocol: nothing changed but what stands in a file.
MONITOR = "#!/bin/sh\nprintf 'token\\0'; cat .git/changed 2>/dev/null\n"


@pytest.mark.parametrize(
    ("extensions", "settings"),
    [
        ([b"UNTR"], {"core.untrackedCache": "true"}),
        ([b"FSMN"], {"core.fsmonitor": ".git/monitor"}),
        ([b"FSMN", b"UNTR"], {"core.fsmonitor": ".git/monitor", "core.untrackedCache": "true"}),
        ([b"EOIE", b"IEOT"], {"index.threads": "2", "index.recordEndOfIndexEntries": "true"}
         | {"index.recordOffsetTable": "true"}),
        ([b"link"], {"core.splitIndex": "true", "splitIndex.maxPercentChange": "100"}),
        ([b"UNTR"], {"feature.manyFiles": "true"}),  # and version 4
    ],
)  # fmt: skip
def test_git_sees_everything_after_its_caches_were_dropped(
    shelf: Shelf, extensions: list[bytes], settings: dict[str, str]
) -> None:
    desk = shelf.desk
    monitor = desk.path / ".git/monitor"
    monitor.write_text(MONITOR)
    monitor.chmod(0o755)
    for name, value in settings.items():
        desk.git("config", name, value)
    before: list[str] = []
    for number in range(3):
        desk.git("update-index", "--force-write-index")
        assert desk.status() == before and desk.status() == before  # what git finds out it writes down
        data = (desk.path / ".git/index").read_bytes()
        assert [name for name in extensions if name not in data] == []
        desk.save({JOB: b"job %d\n" % number, f"jobs/{number}/job.json": b"1\n", SHEET: b"x" * number or None})
        desk.put(f"jobs/{number}/mine", b"mine\n")
        desk.put("jobs/weekly/job.json", b"edited %d\n" % number)
        (desk.path / ".git/changed").write_text("jobs/weekly/job.json\0" + f"jobs/{number}/\0")
        desk.refresh()
        before = [" M jobs/weekly/job.json", *(f"?? jobs/{each}/mine" for each in range(number + 1))]
        assert sorted(desk.status()) == before
        assert desk.git("write-tree").strip() == desk.tree()
        assert b"link" in extensions or known(shelf) == of_head(shelf)  # git split it again
    subprocess.run(["git", "fsck", "--strict"], cwd=desk.path, check=True, capture_output=True)
