"""The store's lock, and lock files of the living and the dead."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gitstate.engine import locks, refs
from gitstate.engine.locks import LockFile, StoreLock
from gitstate.engine.objects import Signature
from gitstate.engine.repository import Repository, open_repository
from gitstate.errors import BusyError, CorruptionError, StaleError, StorageError, UnsupportedError
from tests.engine.conftest import OpenEngine, git, save, synced_while

# The children only lock.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

WHO = Signature("A", "a@example.org", 1)
ONE, TWO = "1" * 40, "2" * 40


def test_the_lock_names_who_holds_it(tmp_path: Path) -> None:
    holder, other = StoreLock(tmp_path / "private" / "lock"), StoreLock(tmp_path / "private" / "lock")
    holder.acquire(1)
    with pytest.raises(BusyError, match=f"process {os.getpid()} "):
        other.acquire(0.01)
    holder.release()
    assert other.acquire(1)
    other.release()


def test_a_thread_that_waits_too_long_is_told(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path / "lock")
    lock.acquire(1)
    with pytest.raises(BusyError, match="another thread"):
        lock.acquire(0.01)
    lock.release()


def test_a_lock_file_that_was_removed_keeps_nobody_out_for_ever(tmp_path: Path) -> None:
    one, other = StoreLock(tmp_path / "lock"), StoreLock(tmp_path / "lock")
    one.acquire(1)
    (tmp_path / "lock").unlink()
    other.acquire(1)
    one.release()
    third = StoreLock(tmp_path / "lock")
    with pytest.raises(BusyError):
        third.acquire(0.01)
    other.release()


def test_who_waits_for_a_lock_file_that_is_removed_locks_the_new_one(tmp_path: Path) -> None:
    one, other, third = (StoreLock(tmp_path / "lock") for _ in range(3))
    one.acquire(1)
    before = len(locks._descriptors)
    waiting = threading.Thread(target=other.acquire, args=(10,))
    waiting.start()
    while len(locks._descriptors) < before + 2:  # its place in the queue, and the file that goes
        time.sleep(0.001)
    (tmp_path / "lock").unlink()
    one.release()
    waiting.join()
    with pytest.raises(BusyError):
        third.acquire(0.01)
    other.release()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    held, other = StoreLock(tmp_path / "lock"), StoreLock(tmp_path / "lock")
    held.acquire(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)  # lives until the parent lets go of the pipe
        os._exit(0)
    os.close(reading)
    held.release()
    assert other.acquire(1)
    other.release()
    os.close(writing)
    os.waitpid(child, 0)


def test_a_child_that_outlives_a_holder_that_died_does_not_keep_the_lock(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    holder = os.fork()
    if holder == 0:
        StoreLock(tmp_path / "lock").acquire(1)
        if os.fork() == 0:
            os.close(writing)
            os.read(reading, 1)  # lives until the test lets go of the pipe
        os._exit(0)
    os.close(reading)
    os.waitpid(holder, 0)
    lock = StoreLock(tmp_path / "lock")
    lock.acquire(1)
    lock.release()
    os.close(writing)


def test_the_lock_says_when_its_last_holder_died(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        StoreLock(tmp_path / "lock").acquire(1)
        os._exit(0)
    os.waitpid(child, 0)
    lock = StoreLock(tmp_path / "lock")
    assert not lock.acquire(1)
    lock.release()
    assert lock.acquire(1)
    lock.release()


def test_a_dead_process_s_lock_file_is_removed(repository: Repository) -> None:
    target = repository.common_dir / repository.ref
    child = os.fork()
    if child == 0:
        LockFile(repository.private, target, b"x").__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    assert Path(f"{target}.lock").exists()
    began = time.monotonic()
    refs.swap(repository, repository.ref, expected=None, new=ONE, who=WHO, note="")
    assert time.monotonic() - began < 5
    assert refs.read(repository, repository.ref) == ONE
    assert not Path(f"{target}.lock").exists()
    refs.swap(repository, repository.ref, expected=ONE, new=TWO, who=WHO, note="")
    locks.remove_leftovers(repository.private)
    assert not [name for name in os.listdir(repository.private) if name.startswith("own")]


class Clock:
    """A time that goes on only while somebody sleeps; a git holds a lock file in some stretches of it."""

    def __init__(self, lock: Path, stretches: list[tuple[float, float]]) -> None:
        self._lock = lock
        self._stretches = stretches
        self.now = 0.0
        self.sleep(0.0)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if any(begin <= self.now < end for begin, end in self._stretches):
            self._lock.touch()
        else:
            self._lock.unlink(missing_ok=True)


def test_a_git_that_takes_an_index_several_times_is_waited_for(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lets go of it for a moment in the middle of a merge."""
    target = repository.common_dir / "index"
    clock = Clock(Path(f"{target}.lock"), [(0.0, 0.5), (0.52, 0.9), (0.91, 1.0)])
    monkeypatch.setattr(locks, "time", clock)
    with LockFile(repository.private, target, b"", timeout=2, pause=0.1):
        assert 1.0 <= clock.now < 1.3  # a pause after it was last seen, which is up to a wait before it went
    began = clock.now
    with LockFile(repository.private, target, b"", timeout=2, pause=0.1):
        assert clock.now == began  # nobody was there


def test_who_held_back_takes_an_index_in_the_end(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    target = repository.common_dir / "index"
    clock = Clock(Path(f"{target}.lock"), [(0.0, 1.95)])
    monkeypatch.setattr(locks, "time", clock)
    with LockFile(repository.private, target, b"", timeout=2, pause=0.1):
        assert clock.now < 2.1
    clock = Clock(Path(f"{target}.lock"), [(0.0, 5.0)])
    monkeypatch.setattr(locks, "time", clock)
    with pytest.raises(BusyError, match="more than 2 s"):
        LockFile(repository.private, target, b"", timeout=2, pause=0.1).__enter__()
    assert 2 < clock.now < 2.2


def test_a_dead_process_s_target_is_never_taken_for_a_lock(repository: Repository) -> None:
    target = repository.common_dir / "index"

    def replace(content: bytes) -> None:
        with LockFile(repository.private, target, content) as lock:
            lock.replace()
        assert target.read_bytes() == content

    replace(b"1")
    os.link(target, repository.private / "own-1-1")  # killed after the rename
    replace(b"2")
    replace(b"3")
    assert os.listdir(repository.private) == []


_KILLED = """
import os, sys
from pathlib import Path
os.getpid = lambda: 7  # as in a container, where a program may have one number each time that it is started
from gitstate.engine.locks import LockFile
private, target = map(Path, sys.argv[1:])
with LockFile(private, target, b"x") as lock:
    [own] = private.glob("own-*")
    lock.replace()
    os.link(target, own)  # killed after the rename
    os._exit(7)
"""


def test_no_file_of_the_dead_is_in_the_way_of_a_process_with_the_same_number(repository: Repository) -> None:
    for target in ("one", "other"):
        words: list[str | Path] = [sys.executable, "-c", _KILLED, repository.private, repository.common_dir / target]
        assert subprocess.run(words, check=False).returncode == 7
        (repository.common_dir / target).rename(repository.common_dir / f"{target}.kept")
        [own] = repository.private.glob("own-*")
        own.rename(repository.common_dir / own.name)
    made = {path.name for path in repository.common_dir.glob("own-*")}
    assert len(made) == 2, "the second one would have found its name taken"


def test_a_lock_file_that_a_person_removes_hides_no_error(repository: Repository) -> None:
    target = repository.common_dir / "index"
    with pytest.raises(KeyError, match="what went wrong"), LockFile(repository.private, target, b""):
        Path(f"{target}.lock").unlink()
        raise KeyError("what went wrong")
    assert os.listdir(repository.private) == []


def test_a_ref_s_file_is_used_again_only_when_nothing_else_has_it(repository: Repository, tmp_path: Path) -> None:
    target = repository.common_dir / repository.ref
    refs.swap(repository, repository.ref, expected=None, new=ONE, who=WHO, note="")
    copy = tmp_path / "somebody's copy"
    os.link(target, copy)
    inodes = set()
    before, after = ONE, TWO
    for _ in range(20):
        refs.swap(repository, repository.ref, expected=before, new=after, who=WHO, note="")
        assert refs.read(repository, repository.ref) == after
        before, after = after, before
        inodes.add(target.stat().st_ino)
    assert copy.read_text() == ONE + "\n"
    assert len(inodes) == 7
    held = target.open()  # a reader that is slow: some changes later it reads a commit that was there
    refs.swap(repository, repository.ref, expected=before, new=after, who=WHO, note="")
    with held:
        assert held.read() == before + "\n"


def test_files_of_a_ref_are_used_by_turns_and_whoever_changed_it_is_noticed(repository: Repository) -> None:
    target, private = repository.common_dir / repository.ref, repository.private

    def change(before: str | None, after: str) -> str:
        refs.swap(repository, repository.ref, expected=before, new=after, who=WHO, note="")
        return next(path.name for path in private.glob("ring-*") if path.samefile(target))

    change(None, ONE)
    used = [change(before, after) for before, after in [(ONE, TWO), (TWO, ONE)] * 8]
    assert used[8:] == used[:8]
    assert len(set(used)) == 8
    before, last = target.stat().st_ino, used[-1]
    copy = private / "copy"
    copy.write_text(ONE + "\n")
    os.replace(copy, target)  # as git does
    for number, name in enumerate(used[-8:]):  # several are written in one tick of the clock
        os.utime(private / name, ns=(number, number))
    assert change(ONE, TWO) == used[-8]
    assert target.stat().st_ino != before
    assert (private / last).read_text() == ONE + "\n"  # whoever opened it reads what was there


def test_a_symbolic_branch_moves_what_it_points_to(repository: Repository) -> None:
    refs.swap(repository, "refs/heads/real", expected=None, new=ONE, who=WHO, note="")
    link = repository.common_dir / "refs/heads/link"
    for number, points_to in enumerate(["refs/heads/real", "refs/heads/new/one"]):
        link.write_text(f"ref: {points_to}\n")
        refs.swap(repository, "refs/heads/link", expected=None if number else ONE, new=TWO, who=WHO, note="")
        assert link.read_text() == f"ref: {points_to}\n"
        assert refs.read(repository, points_to) == TWO
    assert not list((repository.common_dir / "refs").rglob("*.lock"))


def test_a_living_git_s_lock_file_is_waited_for_and_named(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(ref_timeout=0.05)
    head = save(engine, {"a": b"1"})
    lock = tmp_path / "store/.git/refs/heads/main.lock"
    lock.touch()
    with pytest.raises(BusyError, match=str(lock)):
        save(engine, {"a": b"2"})
    assert engine.head() == head
    assert lock.exists()
    patient = open_engine(ref_timeout=10)
    timer = threading.Timer(0.05, lock.unlink)
    timer.start()
    save(patient, {"a": b"3"})
    timer.join()


def test_a_stale_swap_changes_nothing(repository: Repository) -> None:
    refs.swap(repository, repository.ref, expected=None, new=ONE, who=WHO, note="made")
    for expected in (None, TWO):
        with pytest.raises(StaleError):
            refs.swap(repository, repository.ref, expected=expected, new=TWO, who=WHO, note="late")
    assert refs.read(repository, repository.ref) == ONE
    assert (
        repository.common_dir / "logs" / repository.ref
    ).read_text() == f"{'0' * 40} {ONE} A <a@example.org> 1 +0000\tgitstate: made\n"


def test_a_note_of_many_lines_is_one_line_of_the_reflog(repository: Repository) -> None:
    refs.swap(repository, repository.ref, expected=None, new=ONE, who=WHO, note="a\nb\r\n\tc \ud800")
    assert (repository.git_dir / "logs/HEAD").read_text().endswith("\tgitstate: a b c \\ud800\n")


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
@pytest.mark.parametrize(("there", "wanted"), [("a", "a/b"), ("a/b", "a")])
def test_a_branch_in_the_way_of_another_is_refused(
    open_engine: OpenEngine, tmp_path: Path, there: str, wanted: str, packed: bool
) -> None:
    save(open_engine(), {"a": b"1"})
    git(tmp_path / "store", "branch", there)
    if packed:
        git(tmp_path / "store", "pack-refs", "--all")
    repository = open_repository(tmp_path / "store", branch=wanted)
    with pytest.raises(UnsupportedError, match=wanted):
        refs.swap(repository, repository.ref, expected=None, new=ONE, who=WHO, note="")
    git(tmp_path / "store", "branch", "-D", there)
    head = refs.read(repository, "refs/heads/main")
    assert head is not None
    refs.swap(repository, repository.ref, expected=None, new=head, who=WHO, note="")
    assert git(tmp_path / "store", "rev-parse", wanted) == head + "\n"


@pytest.mark.parametrize("damage", [b"", b"\0" * 41, b"ref: ../../etc/passwd\n", b"ref: refs/heads/main\n"])
def test_a_ref_that_cannot_be_read_is_named(repository: Repository, damage: bytes) -> None:
    path = repository.common_dir / repository.ref
    path.write_bytes(damage)
    with pytest.raises(CorruptionError, match="main"):
        refs.read(repository, repository.ref)


def test_a_packed_value_is_never_given_for_a_ref_that_cannot_be_opened(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    git(tmp_path / "store", "pack-refs", "--all")
    save(engine, {"a": b"2"})
    from gitstate.engine import files

    def no_more_files(path: Path) -> bytes:
        raise OSError(24, "Too many open files", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(files, "read", no_more_files)
        with pytest.raises(StorageError, match="Too many open files"):
            engine.head()


def test_a_lock_whose_folder_went_away_works_when_it_is_back_and_touches_nobodys_files(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "private"
    folder.parent.mkdir()
    lock = StoreLock(folder / "lock")
    lock.acquire(1)
    lock.release()
    folder.parent.rename(tmp_path / "moved")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            lock.acquire(1)
        others = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]  # they get the numbers of what was closed
    (tmp_path / "moved").rename(folder.parent)
    assert lock.acquire(1)
    lock.release()
    lock.close()
    for fd in others:
        os.fstat(fd)
        os.close(fd)


@pytest.mark.parametrize("durable", [None, True, False])
def test_what_a_lock_file_holds_is_on_the_disk_before_it_has_its_name(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool | None
) -> None:
    target, lock_file = tmp_path / "file", tmp_path / "file.lock"
    synced, unnamed = synced_while(monkeypatch), synced_while(monkeypatch, lambda: not lock_file.exists())
    options = {} if durable is None else {"durable": durable}
    with LockFile(repository.private, target, b"text", **options) as lock:
        inode = lock_file.stat().st_ino
        assert not target.exists()
        lock.replace()
    waited = [inode, repository.private.stat().st_ino, tmp_path.stat().st_ino]
    assert synced == unnamed == ([] if durable is False else waited)
    assert (target.read_bytes(), target.stat().st_ino, target.stat().st_nlink) == (b"text", inode, 1)


def test_a_lock_file_that_replaced_nothing_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    before = sorted(path.name for path in repository.private.iterdir())
    with LockFile(repository.private, tmp_path / "file", b"text"):
        assert (tmp_path / "file.lock").read_bytes() == b"text"
    (tmp_path / "file.lock").write_bytes(b"of a living git")
    with pytest.raises(BusyError), LockFile(repository.private, tmp_path / "file", b"text", timeout=0):
        pass
    assert (tmp_path / "file.lock").read_bytes() == b"of a living git"
    assert sorted(path.name for path in repository.private.iterdir()) == before


def test_a_lock_that_another_takes_right_after_the_replacement_is_not_taken_from_it(
    repository: Repository, tmp_path: Path
) -> None:
    with LockFile(repository.private, tmp_path / "file", b"text") as lock:
        lock.replace()
        (tmp_path / "file.lock").write_bytes(b"of a living git")
    assert (tmp_path / "file.lock").read_bytes() == b"of a living git"
