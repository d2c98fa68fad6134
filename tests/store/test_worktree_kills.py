"""A refresh is killed at each of its steps, and the next one makes the view whole."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitstate.engine import gitindex
from gitstate.engine.locks import LockFile
from gitstate.store import folder as folder_module
from gitstate.store import worktree as worktree_module
from gitstate.store.folder import Folder
from gitstate.store.view_record import ViewRecord
from gitstate.store.worktree import Refreshed, Worktree
from tests.store.desks import JOB, SHEET, Desk


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, and the lock files of the dead stay."""


STEPS = [  # what a refresh does, and how often the test below has it do so
    (ViewRecord, "write", 2),
    (Folder, "write", 3),
    (Folder, "remove", 2),
    (folder_module, "_write_new", 3),
    (gitindex.GitIndex, "put", 1),
    (worktree_module._Checkout, "settle_racy", 1),
    (Worktree, "_write_index", 1),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name", "nth"),
    [(owner, name, nth) for owner, name, times in STEPS for nth in range(1, times + 1)],
    ids=[f"{name}-{nth}" for _, name, times in STEPS for nth in range(1, times + 1)],
)
def test_a_refresh_that_was_killed_is_finished_by_the_next(
    shown: Desk, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, nth: int, after: bool
) -> None:
    shown.put("mine", b"mine\n")
    shown.save({JOB: b"job 2\n", SHEET: None, "gitstate.json": None, "a": b"a\n", "b/c": b"c\n"})
    real, calls = getattr(owner, name), 0

    def killed(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth and not after:
            raise Killed
        done = real(*arguments, **options)
        if calls == nth:
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        patch.setattr(folder_module, "_unlink", lambda parent, beside: None)  # nobody tidies up after a SIGKILL
        patch.setattr(LockFile, "__exit__", lambda *_: None)
        with pytest.raises(Killed):
            shown.refresh()
    shown.save({JOB: b"job 1\n", "b/c": None, "d": b"d\n"})  # back to what it was, away with what came
    again = Desk(shown.path)
    assert again.refresh().kept == []
    assert again.status() == ["?? mine"]
    (again.path / "mine").unlink()
    again.check_clean()
    again.engine.close()


def test_a_lock_file_of_the_dead_is_removed_when_nothing_else_is_due(shown: Desk) -> None:
    own = shown.path / ".git/gitstate/view/own-1-1"
    own.write_bytes(b"")
    os.link(own, shown.path / ".git" / "index.lock")
    assert shown.refresh() == Refreshed()
    shown.check_clean()


def test_a_process_that_is_really_killed(shown: Desk) -> None:
    """SIGKILL at some moments of a refresh of many files; the next one makes the view whole."""
    script = (
        "import sys; from pathlib import Path; from tests.store.desks import Desk\n"
        "desk = Desk(Path(sys.argv[1])); print('ready', flush=True); desk.refresh(); print('done', flush=True)"
    )
    for delay in (0.0, 0.005, 0.02, 0.04):
        shown.save({f"jobs/{number}/job.json": b"%f\n" % delay for number in range(200)})
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(shown.path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        refreshed = shown.refresh()
        assert refreshed.kept == [] and refreshed.pending == ""
        shown.check_clean()
