"""One refresh of the worktree after a save of one job, in views of 2,000 and of 200,000 files, beside git.

Git brings its index and two files from one commit to the next, too: with ``git read-tree -m -u``, which trusts its
index as a refresh does, and with ``git reset --hard``, which looks at every file. Each has a clone of its own, filled
by git.
"""

import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gitstate.engine import graph, trees
from gitstate.engine.git import GitEngine
from gitstate.engine.objects import Commit, ObjectId
from gitstate.engine.repository import open_repository
from gitstate.store.worktree import Worktree
from tests.bench.rounds import Run
from tests.git import git

__all__ = ["AFTER", "MERGE", "RESET", "measure", "work"]

MERGE, RESET = "git read-tree -m -u", "git reset --hard"
AFTER = "git status after git's own"
_SHEETS = 19  # a job is as many files and one


class _View:
    """A clone, and commits in it that its worktree does not show yet."""

    def __init__(self, source: Path, folder: Path) -> None:
        subprocess.run(["git", "clone", "-q", "--shared", source, folder], check=True)
        self.folder = folder
        self.engine = GitEngine(open_repository(folder))
        self.worktree = Worktree(open_repository(folder), self.engine)

    def save(self, number: int) -> ObjectId:
        """Commit what a save of a job changes, its own file and one sheet; return the commit before."""
        head, who = self.engine.head(), self.engine.signature()
        assert head is not None
        path, content = _job(number), b'{"turn": %d}\n' % number
        changes = {f"{path}/job.json": content, f"{path}/sheets/0001.json": content}
        edited = trees.edit(self.engine, graph.read(self.engine, head).tree, changes)
        commit = Commit(edited.id, (head,), who, who, b"a save\n").to_object()
        with self.engine.lock():
            self.engine.publish([*edited.objects, commit], expected=head, new=commit.id, note="a save")
        return head


def work(files: int) -> str:
    """Return the name of the work that is measured."""
    return f"refresh of {files:,} files"


def measure(run: Run) -> None:
    """Make the views, and let them take turns."""
    for files in run.sizes.viewed:
        _measure(run, files)


def _measure(run: Run, files: int) -> None:
    source = run.fresh()
    _fill(source, files)
    views = [(name, _View(source, run.fresh())) for name in ("gitstate", MERGE, RESET)]
    views[0][1].worktree.refresh()  # finds that git did all
    steps = run.sizes.refreshes
    for turn in run.rounds(f"view of {files:,} files", share=2):
        for name, view in run.rotated(views, turn):
            run.results.add(work(files), name, turn, [_turn(name, view, turn * steps + step) for step in range(steps)])
        for peer, (_, view) in zip(("gitstate", AFTER), views, strict=False):
            taken = _seconds(partial(_must_be_clean, view.folder))
            run.results.add(f"git status, {files:,} files", peer, turn, [taken])
    for _, view in views:
        view.engine.close()
        assert git(view.folder, "write-tree") == git(view.folder, "rev-parse", "HEAD^{tree}")


def _turn(name: str, view: _View, number: int) -> float:
    """Return the seconds that it takes to show a save."""
    before = view.save(number % 100)
    commands: dict[str, Callable[[], object]] = {
        "gitstate": view.worktree.refresh,
        MERGE: lambda: git(view.folder, "read-tree", "-m", "-u", before, "HEAD"),
        RESET: lambda: git(view.folder, "reset", "-q", "--hard"),
    }
    return _seconds(commands[name])


def _must_be_clean(folder: Path) -> None:
    # Without optional locks: git does not write its index, in which it would trust the files of this second again.
    assert git(folder, "--no-optional-locks", "status", "--porcelain") == ""


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _job(number: int) -> str:
    return f"jobs/{number % 256:02x}/job-{number:05d}"


def _fill(folder: Path, files: int) -> None:
    """Make a bare repository whose head has so many small files, in the places of a store with a fanout of 2."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder], check=True)
    command = ["git", "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE) as importer:
        assert importer.stdin is not None
        who = b"Bench <bench@example.org> 1700000000 +0000"
        importer.stdin.write(b"blob\nmark :1\ndata 3\n{}\n\ncommit refs/heads/main\ncommitter %s\ndata 4\njobs\n" % who)
        for number in range(files // (_SHEETS + 1)):
            names = ["job.json", *(f"sheets/{sheet:04d}.json" for sheet in range(1, _SHEETS + 1))]
            importer.stdin.writelines(f"M 100644 :1 {_job(number)}/{name}\n".encode() for name in names)
    assert importer.returncode == 0
