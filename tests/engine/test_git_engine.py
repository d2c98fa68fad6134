"""The engine among people's git commands: each reads what the other wrote."""

import errno
import os
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from gitstate.engine import files
from gitstate.engine.git import GitEngine
from gitstate.engine.journal import Journal
from gitstate.engine.objects import GitObject, Kind, parse_commit
from gitstate.engine.packfolder import MappedPack
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import open_repository
from gitstate.errors import ClosedError, CorruptionError, StaleError, StorageError
from tests.engine.conftest import OpenEngine, content, git, packs_of, save
from tests.git import loose, unpack


def test_plain_git_reads_log_and_reflog(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    made = [save(engine, {"a": b"%d" % n}, f"change {n}") for n in range(3)]
    folder = tmp_path / "store"
    assert git(folder, "log", "--format=%H %s").split("\n")[:3] == [
        f"{commit} change {n}" for n, commit in reversed(list(enumerate(made)))
    ]
    for log in ("main", "HEAD"):
        assert git(folder, "reflog", "--format=%H %gs", log).splitlines() == [
            f"{commit} gitstate: change {n}" for n, commit in reversed(list(enumerate(made)))
        ]
    assert git(folder, "log", "-1", "--format=%an %ae") == "A Tester tester@example.org\n"
    assert git(folder, "show", "main:a") == "2"


@pytest.mark.parametrize(
    "command",
    [
        ["pack-refs", "--all"],
        ["gc", "--prune=now", "--quiet"],
        ["repack", "-a", "-d", "-q"],
        ["multi-pack-index", "write"],
        ["commit-graph", "write", "--reachable"],
        ["prune", "--expire=now"],
    ],
    ids=lambda command: command[0],
)
def test_git_may_tidy_up_between_publishes(open_engine: OpenEngine, tmp_path: Path, command: list[str]) -> None:
    engine, reader = open_engine(), open_engine()
    for n in range(4):
        commit = save(engine, {"a": b"%d" % n, f"files/{n}": b"x"})
        assert reader.head() == commit
        git(tmp_path / "store", *command)
        assert content(reader, "a") == b"%d" % n
        assert content(reader, "files/0") == b"x"
        assert reader.find(commit[:10]) == [commit]
    assert git(tmp_path / "store", "rev-list", "--count", "main") == "4\n"


def test_a_persons_commit_is_followed(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    head = save(engine, {"a": b"1"})
    folder = tmp_path / "store"
    git(folder, "reset", "--hard", "-q")
    git(folder, "commit", "--allow-empty", "-q", "-m", "by hand")
    with engine.lock(), pytest.raises(StaleError):
        engine.publish([], expected=head, new=head, note="late")
    save(engine, {"b": b"2"})
    assert git(folder, "log", "--format=%s").split("\n")[:3] == ["a change", "by hand", "a change"]


def test_the_same_objects_are_published_again_after_a_reset(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    first = save(engine, {"a": b"1"})
    second = save(engine, {"a": b"2"})
    git(tmp_path / "store", "update-ref", "refs/heads/main", first)
    git(tmp_path / "store", "reflog", "expire", "--expire=now", "--all")
    git(tmp_path / "store", "gc", "--prune=now", "-q")
    assert save(engine, {"a": b"2"}) is not None  # in the same second it is `second` again, which git just removed
    assert content(open_engine(), "a") == b"2"
    assert git(tmp_path / "store", "rev-list", "--count", "main") == "2\n"
    assert second


def test_a_symbolic_branch_moves_what_it_points_to(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    folder = tmp_path / "store"
    git(folder, "branch", "-m", "main", "other")
    git(folder, "symbolic-ref", "refs/heads/main", "refs/heads/other")
    head = save(engine, {"a": b"2"})
    assert git(folder, "rev-parse", "other") == head + "\n"
    assert git(folder, "symbolic-ref", "refs/heads/main") == "refs/heads/other\n"


def test_a_hundred_small_publishes_leave_few_packs(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    for n in range(100):
        save(engine, {"a": b"%d" % n})
    patience = time.monotonic() + 20
    while len(packs_of(tmp_path / "store")) > 45:
        assert time.monotonic() < patience, "nobody joins them"
        time.sleep(0.05)
    assert git(tmp_path / "store", "rev-list", "--count", "main") == "100\n"
    assert content(open_engine(), "a") == b"99"


def test_two_engines_of_one_process_exclude_each_other(open_engine: OpenEngine) -> None:
    one, other = open_engine(), open_engine(lock_timeout=0.05)
    assert one.identity == other.identity
    with one.lock(), pytest.raises(Exception, match="holds it"), other.lock():
        pytest.fail("both hold it")


def test_a_closed_engine_says_so(open_engine: OpenEngine) -> None:
    engine = open_engine()
    head = save(engine, {"a": b"1"})
    engine.close()
    tree = git_tree(engine, head)
    with pytest.raises(ClosedError):
        engine.read(tree, "blob")


def git_tree(engine: GitEngine, commit: str) -> str:
    return engine.read(commit, "commit")[5:45].decode()  # from memory: no file is needed


def test_a_clone_has_everything(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1", "d/e/f": b"2"})
    subprocess.run(["git", "clone", "-q", str(tmp_path / "store"), str(tmp_path / "clone")], check=True)
    assert (tmp_path / "clone" / "d" / "e" / "f").read_bytes() == b"2"
    assert content(open_engine(tmp_path / "clone"), "a") == b"1"


def test_it_looks_first_into_the_pack_that_held_the_last_object(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_engine()
    commits = [save(writer, {"a": b"%d" % n}) for n in range(8)]
    reader = ObjectReader(open_repository(tmp_path / "store", create=False))
    asked: list[object] = []
    look = MappedPack.place_of

    def noting(pack: MappedPack, name: bytes) -> object:
        asked.append(pack)
        return look(pack, name)

    monkeypatch.setattr(MappedPack, "place_of", noting)
    with closing(reader):
        for commit in commits:
            tree = parse_commit(reader.read(commit, "commit")).tree
            asked.clear()
            reader.read(tree, "tree")
            assert len(asked) == 1


def test_what_was_read_lately_is_not_read_again(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits and trees up to a size, for a large one would push all others out; and no files."""
    commit = save(open_engine(), {"small/file": b"1"} | {f"large/{number:080}": b"1" for number in range(2000)})
    reader = ObjectReader(open_repository(tmp_path / "store", create=False), cache_bytes=1 << 20)
    read: list[int] = []
    inflate = MappedPack.read

    def noting(pack: MappedPack, place: int) -> object:
        read.append(place)
        return inflate(pack, place)

    monkeypatch.setattr(MappedPack, "read", noting)
    with closing(reader):
        root = reader.tree(parse_commit(reader.read(commit, "commit")).tree)
        small, large = root["small"].id, root["large"].id
        wanted: list[tuple[str, Kind, int]] = [
            (commit, "commit", 0),
            (small, "tree", 1),
            (large, "tree", 2),
            (reader.tree(small)["file"].id, "blob", 2),
        ]
        reader.forget()
        reader.read(commit, "commit")
        for object_id, kind, times in wanted:
            read.clear()
            assert reader.read(object_id, kind) == reader.read(object_id, kind)
            assert len(read) == times


def test_of_many_packs_it_opens_the_youngest_alone_to_read_the_head(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_engine()
    for number in range(8):
        save(writer, {"a": b"%d" % number})
    for number, pack in enumerate(sorted(packs_of(tmp_path / "store"), key=lambda path: path.stat().st_mtime_ns)):
        os.utime(pack, (number, number))  # else some may be of the same moment
    asked: set[str] = set()
    look = MappedPack.place_of

    def noting(pack: MappedPack, name: bytes) -> object:
        asked.add(pack.name)
        return look(pack, name)

    monkeypatch.setattr(MappedPack, "place_of", noting)
    reader = open_engine()
    head = reader.head()
    assert head is not None
    reader.read(head, "commit")
    assert len(packs_of(tmp_path / "store")) == 8 and len(asked) == 1


@pytest.mark.parametrize("few", [1, 100], ids=["by C git", "from packs"])
def test_bodies_are_read_in_groups_and_checked(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("gitstate.engine.reader._FEW", few)
    commit = save(open_engine(), {str(number): b"%d" % number for number in range(4)})
    engine = open_engine()
    ids = [GitObject("blob", b"%d" % number).id for number in range(4)]
    groups = [[ids[0], ids[1], ids[0]], [], [commit, ids[2]], ["1" * 40, ids[3], ids[1]]]
    expected = [{0, 1}, set(), {2}, {1, 3}]
    found = list(engine.bodies(groups, "blob"))
    assert len(found) == len(groups)
    for group, bodies, numbers in zip(groups, found, expected, strict=True):
        assert {each: bodies[each] for each in group if each in bodies} == {ids[n]: b"%d" % n for n in numbers}
    assert list(engine.bodies([], "blob")) == []
    engine.close()
    with pytest.raises(ClosedError):
        next(engine.bodies(groups, "blob"))


@pytest.mark.parametrize("few", [1, 100], ids=["by C git", "from packs"])
def test_bodies_that_are_not_what_their_ids_say_are_left_out(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("gitstate.engine.reader._FEW", few)
    save(open_engine(check=False), {"a": b"1", "b": b"2"})
    unpack(tmp_path / "store")
    lost = loose(tmp_path / "store", "HEAD:a")
    lost.chmod(0o644)
    lost.write_bytes(loose(tmp_path / "store", "HEAD:b").read_bytes())
    engine = open_engine(check=False)
    bad, good = (GitObject("blob", body).id for body in (b"1", b"2"))
    for bodies in engine.bodies([[bad, good], [good, bad]], "blob"):
        assert bodies.keys() <= {good}
    with pytest.raises(CorruptionError, match=bad):
        engine.read_all([good, bad], "blob")


@pytest.mark.parametrize("few", [2, 100], ids=["by C git", "from packs"])
def test_what_is_read_in_bulk_is_checked_and_then_at_hand(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("gitstate.engine.reader._FEW", few)
    commit = save(open_engine(), {str(number): b"%d" % number for number in range(4)})
    engine = open_engine()
    tree = parse_commit(engine.read(commit, "commit")).tree
    ids = [GitObject("blob", b"%d" % number).id for number in range(4)]
    assert [item.id for item in engine.bulk([tree, *ids, *ids])] == [tree, *ids]
    assert [item.id for item in engine.bulk([tree, *ids])] == ids, "the tree is at hand by now"
    assert [item.id for item in engine.bulk([*ids[:2], "1" * 40, *ids[2:]])] == ids[:2]
    assert [item.body for item in engine.bulk(ids[:1])] == [b"0"]


def test_packs_are_written_into_spare_files_once_there_are_some(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine, spare = open_engine(), tmp_path / "store" / ".git" / "gitstate" / "spare"
    save(engine, {"a": b"0"})
    engine._tidy(False)
    assert not spare.exists(), "the first one of a branch waits for the disk"
    for n in range(3):
        save(engine, {"a": b"%d" % n, "b": b"x"})
    engine._tidy(False)
    there = {path.stat().st_ino for path in spare.iterdir()}
    assert len(there) == 48
    save(engine, {"a": b"3"})
    newest = max(packs_of(tmp_path / "store"), key=lambda path: path.stat().st_mtime_ns)
    for path in (newest, newest.with_suffix(".idx")):
        assert path.stat().st_ino in there
        assert path.stat().st_mode & 0o222 == 0
    assert len(list(spare.iterdir())) == 46
    engine.close()
    assert len(list(spare.iterdir())) == 46, "the next process finds them"


def test_who_saves_often_need_not_wait_for_a_checkpoint_to_have_spare_files(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    engine, spare = open_engine(), tmp_path / "store" / ".git" / "gitstate" / "spare"
    for n in range(8):
        save(engine, {"a": b"%d" % n})
    assert not spare.exists()
    save(engine, {"a": b"8"})
    end = time.monotonic() + 10
    while len(list(spare.iterdir()) if spare.exists() else []) < 128 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(list(spare.iterdir())) == 128
    assert len(packs_of(tmp_path / "store")) == 9, "there was no checkpoint"


def test_the_branch_moves_when_the_record_is_on_the_disk_and_the_pack_is_in_its_place(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, store = open_engine(), tmp_path / "store"
    head, sync_content = save(engine, {"a": b"0"}), files.sync_content
    seen: list[tuple[str | None, int]] = []

    def look(fd: int) -> None:
        seen.append((engine.head(), len(packs_of(store))))
        sync_content(fd)

    monkeypatch.setattr(files, "sync_content", look)
    save(engine, {"a": b"1"})
    assert seen[-1] == (head, 2)

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    shown = engine.head()
    monkeypatch.setattr(files, "sync_content", refuse)
    with pytest.raises(StorageError):
        save(engine, {"a": b"2"})
    monkeypatch.setattr(files, "sync_content", sync_content)
    assert engine.head() == shown and len(packs_of(store)) == 2
    journal = Journal(store / ".git/gitstate/journal")
    journal.refresh()
    assert [record.after for record in journal.records] == [shown], "not what was refused"
    journal.close()
    save(engine, {"a": b"3"})
    assert content(engine, "a") == b"3"
