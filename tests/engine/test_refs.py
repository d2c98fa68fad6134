"""Refs other than the branch: made once, read through tags, removed wherever git keeps them."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from gitstate.engine import files, refs
from gitstate.engine.base import Engine
from gitstate.engine.git import GitEngine
from gitstate.engine.repository import open_repository
from gitstate.errors import BusyError, CorruptionError, GitStateError, StaleError, StorageError, UnsupportedError
from tests.engine.conftest import OpenEngine, git, packs_of, save
from tests.engine.test_engine_suite import aside

GOOD = "refs/tags/jobs/nightly/good"


def test_a_ref_is_made_once_listed_and_removed(engine: Engine) -> None:
    one, two = save(engine, {"a": b"1"}), save(engine, {"a": b"2"})
    assert engine.ref(GOOD) is None
    assert engine.refs("refs/tags/jobs/") == []
    engine.create_ref(GOOD, one)
    engine.create_ref("refs/tags/jobs/nightly/a", two)
    engine.create_ref("refs/tags/jobs/weekly/a", two)
    assert engine.ref(GOOD) == one
    assert engine.refs("refs/tags/jobs/nightly/") == ["refs/tags/jobs/nightly/a", GOOD]
    with pytest.raises(StaleError, match=one):
        engine.create_ref(GOOD, two)
    with pytest.raises(StaleError):
        engine.delete_ref(GOOD, expected=two)
    with pytest.raises(StaleError):
        engine.delete_ref("refs/tags/jobs/nightly/none", expected=two)
    with pytest.raises(UnsupportedError, match="choose another name"):
        engine.create_ref(f"{GOOD}/more", one)
    with pytest.raises(UnsupportedError, match="choose another name"):
        engine.create_ref("refs/tags/jobs/nightly", one)
    assert engine.ref(GOOD) == one
    engine.delete_ref(GOOD, expected=one)
    assert engine.ref(GOOD) is None
    engine.create_ref(GOOD, two)
    assert engine.ref(GOOD) == two
    assert engine.head() == two


def test_of_threads_that_make_one_ref_a_single_one_does(engine: Engine) -> None:
    commits = [save(engine, {"a": b"%d" % number}) for number in range(8)]
    made: list[str] = []

    def work(commit: str) -> None:
        try:
            engine.create_ref(GOOD, commit)
            made.append(commit)
        except StaleError:
            pass

    threads = [threading.Thread(target=work, args=(commit,)) for commit in commits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [engine.ref(GOOD)]


def test_git_sees_them_and_tags_that_git_made_are_read(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine, folder = open_engine(), tmp_path / "store"
    one, two = save(engine, {"a": b"1"}), save(engine, {"a": b"2"})
    engine.create_ref(GOOD, one)
    assert git(folder, "rev-parse", "jobs/nightly/good").strip() == one
    git(folder, "tag", "-a", "-m", "with a word", "told", two)
    git(folder, "tag", "-a", "-m", "of a tag", "twice", "told")
    git(folder, "tag", "file", "HEAD:a")
    assert (engine.ref("refs/tags/told"), engine.ref("refs/tags/twice")) == (two, two)
    assert engine.ref("refs/tags/file") is None
    git(folder, "pack-refs", "--all")
    assert engine.refs("refs/tags/") == ["refs/tags/file", GOOD, "refs/tags/told", "refs/tags/twice"]
    assert (engine.ref(GOOD), engine.ref("refs/tags/twice")) == (one, two)
    engine.delete_ref("refs/tags/told", expected=two)
    assert git(folder, "tag").split() == ["file", "jobs/nightly/good", "twice"]
    engine.delete_ref(GOOD, expected=one)
    engine.create_ref(GOOD, two)
    git(folder, "pack-refs", "--all")
    assert engine.ref(GOOD) == two
    engine.delete_ref(GOOD, expected=two)
    assert git(folder, "for-each-ref", "--format=%(refname)", "refs/tags/jobs") == ""


def test_a_living_git_is_waited_for_and_named(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(ref_timeout=0.1)
    one = save(engine, {"a": b"1"})
    engine.create_ref(GOOD, one)
    git(tmp_path / "store", "pack-refs", "--all")
    for name in (GOOD, "packed-refs"):
        lock = tmp_path / "store/.git" / f"{name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
        with pytest.raises(BusyError, match=lock.name):
            engine.delete_ref(GOOD, expected=one)
        lock.unlink()
        assert engine.ref(GOOD) == one
    engine.delete_ref(GOOD, expected=one)
    lock = tmp_path / "store/.git" / f"{GOOD}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    with pytest.raises(BusyError, match=r"more than 0\.1 s"):
        engine.create_ref(GOOD, one)
    lock.unlink()


@pytest.mark.parametrize("end", ["", "\r\n"])
def test_a_list_of_refs_that_a_person_s_editor_wrote_loses_a_line_too(
    open_engine: OpenEngine, tmp_path: Path, end: str
) -> None:
    engine = open_engine(tmp_path / "repo")
    one = save(engine, {"a": b"1"})
    for name in (GOOD, "refs/tags/jobs/nightly/worse"):
        engine.create_ref(name, one)
    git(tmp_path / "repo", "pack-refs", "--all")
    packed = tmp_path / "repo/.git/packed-refs"
    packed.write_bytes(packed.read_bytes().rstrip(b"\n") + end.encode())
    engine.delete_ref("refs/tags/jobs/nightly/worse", expected=one)
    assert engine.refs("refs/tags/") == [GOOD]
    assert packed.read_bytes().endswith(f"{one} {GOOD}\n".encode())


def test_a_name_outlives_the_branch_and_git_s_clean_up(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine, folder = open_engine(), tmp_path / "store"
    one, two = save(engine, {"a": b"1"}), save(engine, {"a": b"2"})
    engine.create_ref(GOOD, two)
    git(folder, "update-ref", "refs/heads/main", one)
    git(folder, "reflog", "expire", "--expire=now", "--all")
    git(folder, "gc", "-q", "--prune=now")
    assert engine.ref(GOOD) == two
    assert engine.read(two, "commit")


RESCUE = "refs/gitstate/rescue/nightly/one"


def test_what_comes_with_a_ref_outlives_a_clean_up_in_the_middle(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, folder = open_engine(), tmp_path / "store"
    head = save(engine, {"a": b"1"})
    commit, objects = aside(engine, {"a": b"aside"}, head)
    create = refs.create

    def late(*words: Any, **named: Any) -> None:
        git(folder, "gc", "-q", "--prune=now")
        create(*words, **named)

    monkeypatch.setattr(refs, "create", late)
    engine.create_ref(RESCUE, commit, objects=objects)
    assert not list((folder / ".git/objects/pack").glob("*.keep"))
    engine.close()
    git(folder, "gc", "-q", "--prune=now")
    assert git(folder, "show", f"{RESCUE}:a") == "aside"
    assert git(folder, "for-each-ref", "--format=%(objectname)", RESCUE).strip() == commit


@pytest.mark.parametrize("step", ["open", "write", "rename", "link", "fsync"])
def test_a_ref_that_the_disk_refuses_leaves_nothing_behind(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    engine, folder = open_engine(tmp_path / "repo"), tmp_path / "repo"
    head = save(engine, {"a": b"1"})
    engine.create_ref("refs/tags/first", head)  # nothing that is put off is still to be done
    refused = 0
    for number in range(1, 8):
        commit, objects = aside(engine, {"a": b"aside %d" % number}, head)
        name, left = f"{RESCUE}{number}", [number]
        packs = packs_of(folder)
        real = getattr(os, step)

        def once(*words: Any, _real: Any = real, _left: list[int] = left, **named: Any) -> Any:
            _left[0] -= 1
            if _left[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
            return _real(*words, **named)

        with monkeypatch.context() as patch:
            patch.setattr(os, step, once)
            try:
                engine.create_ref(name, commit, objects=objects)
            except StorageError:
                refused += 1
                if engine.ref(name) is None:  # else only the sync of its folder failed
                    assert packs_of(folder) == packs
        engine.create_ref(f"{name}-again", commit, objects=objects)
        assert engine.ref(f"{name}-again") == commit
    assert refused


@pytest.mark.parametrize("step", ["rename", "unlink"])
def test_what_a_dead_process_did_with_a_ref_is_finished_by_the_next_one(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """It dies with a lock of its own, or when the ref is there and its private name as well."""
    engine, folder = open_engine(), tmp_path / "store"
    head = save(engine, {"a": b"1"})

    class Dead(BaseException):
        pass

    def die(path: Any, *_: Any) -> None:
        raise Dead

    with monkeypatch.context() as patch:
        if step == "rename":
            patch.setattr(os, "rename", die)
            patch.setattr(os, "unlink", die)
        else:
            patch.setattr("gitstate.engine.locks.LockFile._let_go", die)
        with pytest.raises(Dead):
            engine.create_ref("refs/tags/one", head)
    left = {"rename": ["one.lock"], "unlink": ["one"]}[step]
    assert [path.name for path in (folder / ".git/refs/tags").iterdir()] == left
    private = list((folder / ".git/gitstate").glob("own-*"))
    assert len(private) == 1
    other = open_engine()
    told = [problem.place for problem in other.check()]
    assert told == (["refs/tags/one.lock"] if step == "rename" else [])
    save(other, {"a": b"2"})
    assert not private[0].exists()
    assert [path.name for path in (folder / ".git/refs/tags").iterdir()] == ([] if step == "rename" else left)
    if step == "rename":
        other.create_ref("refs/tags/one", head)
    assert other.ref("refs/tags/one") == head


def test_a_name_of_something_lost_is_an_error_that_names_it(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(check=False)
    save(engine, {"a": b"1"})
    lost = "1" * 40
    (tmp_path / "store/.git/refs/tags").mkdir(parents=True, exist_ok=True)
    (tmp_path / "store/.git/refs/tags/lost").write_text(f"{lost}\n")
    with pytest.raises(CorruptionError, match=lost):
        engine.ref("refs/tags/lost")
    with pytest.raises(GitStateError, match=lost):
        engine.delete_ref("refs/tags/lost", expected=lost)


BRANCH = "refs/heads/proposals/team/x"


def test_a_branch_begins_with_a_log_and_is_gone_with_it(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "state")
    one = save(engine, {"a": b"1"})
    engine.create_ref(BRANCH, one, note="branch: Created from here")
    with pytest.raises(StaleError):
        engine.create_ref(BRANCH, one, note="once more")
    assert "branch: Created from here" in git(tmp_path / "state", "reflog", "show", BRANCH)
    git(tmp_path / "state", "branch", "proposals/team/y", "main")
    for packed in (False, True):
        if packed:
            git(tmp_path / "state", "pack-refs", "--all")
            engine.create_ref(BRANCH, one, note="again")
        engine.delete_ref(BRANCH, expected=one)
        assert engine.ref(BRANCH) is None
        logs = tmp_path / "state/.git/logs/refs/heads"
        assert not (logs / "proposals/team/x").exists() and (logs / "proposals/team/y").exists()
    engine.delete_ref("refs/heads/proposals/team/y", expected=one)
    assert sorted(path.name for path in logs.iterdir()) == ["main"]
    engine.create_ref("refs/heads/proposals/team", one, note="in the place of a folder")
    assert git(tmp_path / "state", "branch", "--format=%(refname:short)").split() == ["main", "proposals/team"]


def test_a_ref_moves_whose_folder_git_removed_when_it_packed_it(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "state")
    one = save(engine, {"a": b"1"})
    engine.create_ref(BRANCH, one, note="branch: Created from here")
    git(tmp_path / "state", "pack-refs", "--all")
    assert not (tmp_path / "state/.git" / BRANCH).parent.exists()
    branch = GitEngine(open_repository(tmp_path / "state", branch=BRANCH.removeprefix("refs/heads/"), create=False))
    try:
        two = save(branch, {"a": b"2"})
        assert (branch.head(), engine.head()) == (two, one)
    finally:
        branch.close()


def test_what_file_systems_leave_among_refs_is_none(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    folder = tmp_path / "store/.git/refs/heads"
    for name in (".nfs000000000001", ".DS_Store"):
        (folder / name).write_bytes(b"\0\0")
    (folder / "main.lock").write_bytes(b"a living git's")
    repository = open_repository(tmp_path / "store")
    assert engine.refs("refs/") == [*refs.names(repository)] == ["refs/heads/main"]
    (folder / "main.lock").unlink()
    open_engine().close()


def test_it_is_known_where_a_branch_is_checked_out(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "state")
    save(engine, {"a": b"1"})
    engine.create_ref(BRANCH, engine.head() or "", note="a branch")
    assert engine.checked_out(BRANCH) is None
    assert engine.checked_out("refs/heads/main") == str(tmp_path / "state")
    git(tmp_path / "state", "worktree", "add", "-q", str(tmp_path / "x"), "proposals/team/x")
    assert engine.checked_out(BRANCH) == str(tmp_path / "x")
    linked = open_repository(tmp_path / "x", branch="proposals/team/x", create=False)
    assert refs.checked_out(linked, BRANCH) == str(tmp_path / "x")
    assert refs.checked_out(linked, "refs/heads/main") == str(tmp_path / "state")
    (tmp_path / "x").rename(tmp_path / "away")
    assert engine.checked_out(BRANCH) is None  # as `git worktree prune` has it
    (tmp_path / "away").rename(tmp_path / "x")
    git(tmp_path / "x", "checkout", "-q", "--detach")
    assert engine.checked_out(BRANCH) is None


def test_a_ref_that_moved_is_not_removed(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    one, two = save(engine, {"a": b"1"}), save(engine, {"a": b"2"})
    engine.create_ref(GOOD, one)
    repository = open_repository(tmp_path / "store")
    for expected in (two, None):
        with engine.lock(), pytest.raises(StaleError, match=f"is at {one}, not at"):
            refs.delete(repository, GOOD, expected=expected)
    assert engine.ref(GOOD) == one


def test_a_list_of_refs_that_is_none_is_named(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(check=False)
    save(engine, {"a": b"1"})
    (tmp_path / "store/.git/packed-refs").write_text("# pack-refs with: peeled\nno ref at all\n")
    with pytest.raises(CorruptionError, match="packed-refs has a line that is no ref") as told:
        engine.refs("refs/tags/")
    assert "git fsck" in told.value.hint


@pytest.mark.parametrize("packed", [True, False])
def test_a_ref_is_not_made_where_others_lie_packed_or_not(
    open_engine: OpenEngine, tmp_path: Path, packed: bool
) -> None:
    engine = open_engine()
    one = save(engine, {"a": b"1"})
    engine.create_ref("refs/tags/a/b", one)
    if packed:
        git(tmp_path / "store", "pack-refs", "--all")
    for name in ("refs/tags/a", "refs/tags/a/b/c"):
        with pytest.raises(UnsupportedError, match="choose another name"):
            engine.create_ref(name, one)
    for name in ("refs/tags/ab", "refs/tags/a/bc"):
        engine.create_ref(name, one)
    assert engine.refs("refs/tags/") == ["refs/tags/a/b", "refs/tags/a/bc", "refs/tags/ab"]


@pytest.mark.parametrize("to", ["HEAD", "refs/../../secret", "/etc/passwd", "refs/heads/../../config"])
def test_a_symbolic_ref_leads_to_refs_alone(open_engine: OpenEngine, tmp_path: Path, to: str) -> None:
    engine = open_engine(check=False)
    one = save(engine, {"a": b"1"})
    link = tmp_path / "store/.git/refs/heads/link"
    repository = open_repository(tmp_path / "store")
    link.write_text("ref: refs/heads/main\n")
    assert refs.read(repository, "refs/heads/link") == one
    assert refs.target(repository, "refs/heads/link") == "refs/heads/main"
    link.write_text(f"ref: {to}\n")
    with pytest.raises(CorruptionError, match="which is no ref") as told:
        refs.read(repository, "refs/heads/link")
    assert "symbolic-ref" in told.value.hint
    assert refs.target(repository, "refs/heads/link") == "refs/heads/link"


def test_symbolic_refs_in_a_circle_are_damage(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(check=False)
    save(engine, {"a": b"1"})
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / f"store/.git/refs/heads/{name}").write_text(f"ref: refs/heads/{other}\n")
    repository = open_repository(tmp_path / "store")
    with pytest.raises(CorruptionError, match="does not end"):
        refs.read(repository, "refs/heads/one")
    assert refs.target(repository, "refs/heads/one") in {"refs/heads/one", "refs/heads/two"}


def test_a_branch_that_a_bare_repository_begins_with_is_checked_out_nowhere(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    engine = open_engine()
    engine.create_ref(BRANCH, save(engine, {"a": b"1"}), note="a branch")
    engine.close()
    git(tmp_path, "clone", "-q", "--mirror", "store", "bare")
    git(tmp_path / "bare", "worktree", "add", "-q", str(tmp_path / "x"), "proposals/team/x")
    linked = open_repository(tmp_path / "x", branch="proposals/team/x", create=False)
    assert refs.checked_out(linked, BRANCH) == str(tmp_path / "x")
    assert refs.checked_out(linked, "refs/heads/main") is None


@pytest.mark.parametrize("durable", [None, True, False])
def test_a_move_is_told_and_waited_for_if_so_asked_and_makes_no_new_file(
    open_engine: OpenEngine, tmp_path: Path, durable: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, store = open_engine(), tmp_path / "store/.git"
    one, two = save(engine, {"a": b"1"}), save(engine, {"a": b"2"})
    engine.create_ref(BRANCH, one, note="a branch")
    before = (store / BRANCH).stat().st_ino
    synced: list[int] = []
    monkeypatch.setattr(files, "sync", lambda fd: synced.append(os.fstat(fd).st_ino))
    monkeypatch.setattr(files, "sync_directory", lambda path: synced.append(os.stat(path).st_ino))
    options: dict[str, Any] = {} if durable is None else {"durable": durable}
    with engine.lock():
        refs.swap(
            open_repository(tmp_path / "store"),
            BRANCH,
            expected=one,
            new=two,
            who=engine.signature(),
            note="on",
            **options,
        )
    rings = {path.stat().st_ino for path in (store / "gitstate").glob("ring-*")}
    now = (store / BRANCH).stat()
    assert {before, now.st_ino} < rings and now.st_nlink == 2
    folders = [(store / "gitstate").stat().st_ino, (store / BRANCH).parent.stat().st_ino]
    assert synced == ([] if durable is False else [now.st_ino, *folders])
    assert (store / "logs" / BRANCH).read_text().splitlines()[-1].startswith(f"{one} {two} ")


def test_what_is_waited_for_last_stops_a_move_before_it_began(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine, store = open_engine(), tmp_path / "store/.git"
    one, two = save(engine, {"a": b"1"}), save(engine, {"a": b"2"})
    engine.create_ref(BRANCH, one, note="a branch")
    log = (store / "logs" / BRANCH).read_bytes()

    def refuse() -> None:
        assert (store / f"{BRANCH}.lock").read_text() == two + "\n", "all else is ready"
        assert (store / "logs" / BRANCH).read_bytes() == log
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    repository, who = open_repository(tmp_path / "store"), engine.signature()
    with engine.lock(), pytest.raises(OSError, match=os.strerror(errno.EIO)):
        refs.swap(repository, BRANCH, expected=one, new=two, who=who, note="on", ready=refuse)
    assert engine.ref(BRANCH) == one and (store / "logs" / BRANCH).read_bytes() == log
    assert not (store / f"{BRANCH}.lock").exists()
    with engine.lock(), pytest.raises(StaleError):
        refs.swap(repository, BRANCH, expected=two, new=one, who=who, note="on", ready=refuse)


def test_of_a_log_that_goes_the_folders_go_that_it_leaves_empty(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine, logs = open_engine(), tmp_path / "store/.git/logs/refs"
    one = save(engine, {"a": b"1"})
    for name in ("refs/gitstate/a/b/c", "refs/gitstate/a/d"):
        engine.create_ref(name, one, note="made")
    engine.delete_ref("refs/gitstate/a/b/c", expected=one)
    assert [path.name for path in (logs / "gitstate/a").iterdir()] == ["d"]
    engine.delete_ref("refs/gitstate/a/d", expected=one)
    assert not any((logs / "gitstate").iterdir()), "the first folder stays, as in git"


def test_a_ref_is_made_in_the_place_of_empty_folders(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    one = save(engine, {"a": b"1"})
    for folder in ("a/b/c", "a/d"):
        (tmp_path / "store/.git/refs/tags" / folder).mkdir(parents=True)
    engine.create_ref("refs/tags/a", one)
    assert engine.ref("refs/tags/a") == one


def test_a_ref_is_put_back_whose_folder_is_gone(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    one = save(engine, {"a": b"1"})
    with engine.lock():
        refs.restore(open_repository(tmp_path / "store"), BRANCH, one, who=engine.signature(), note="again")
    assert engine.ref(BRANCH) == one


def test_a_folder_that_another_process_makes_at_the_same_time_will_do(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    one = save(engine, {"a": b"1"})
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "isdir", lambda _: False)
        engine.create_ref("refs/tags/a", one)
    assert engine.ref("refs/tags/a") == one


def test_a_project_is_no_store_and_a_branch_that_is_there_or_damaged_is_one(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    engine, store = open_engine(check=False), tmp_path / "store"
    empty = open_repository(tmp_path / "empty")
    refs.refuse_a_project(empty)
    save(engine, {"a": b"1"})
    refs.refuse_a_project(open_repository(store))
    git(store, "branch", "-m", "main", "work")
    with pytest.raises(UnsupportedError, match="refs/heads/work, and no refs/heads/main"):
        refs.refuse_a_project(open_repository(store))
    (store / ".git/refs/heads/main").write_bytes(b"")
    refs.refuse_a_project(open_repository(store))
