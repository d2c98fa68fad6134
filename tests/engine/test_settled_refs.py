"""Which commit a branch is put to after a cut of the power, by what is left of it, of its log and of the journal."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitstate.engine import settling, trees
from gitstate.engine.base import Engine
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Commit, ObjectId
from tests.engine.conftest import OpenEngine, Reboot, content, git, packs_of, save
from tests.git import loose, unpack

REF = "refs/heads/main"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def log_of(folder: Path) -> Path:
    return folder / ".git/logs" / REF


def put(folder: Path, commit: str) -> None:
    """Let the file of the branch be as it was at a commit."""
    (folder / ".git" / REF).unlink()
    (folder / ".git" / REF).write_text(commit + "\n")


def forget_records(folder: Path) -> None:
    """Let no record of the journal have reached the disk."""
    journal = folder / ".git/gitstate/journal"
    journal.write_bytes(journal.read_bytes()[:8192])


def by_hand(folder: Path, text: bytes = b"by hand") -> str:
    """Commit a file as a person does, with objects in files of their own."""
    git(folder, "reset", "-q", "--hard")
    (folder / "theirs").write_bytes(text)
    git(folder, "add", "theirs")
    git(folder, "commit", "-q", "-m", "by hand")
    return git(folder, "rev-parse", "main").strip()


@pytest.mark.parametrize("saves", [1, 3])
@pytest.mark.parametrize("old", [0, 1, 2, -1])
def test_a_branch_that_is_as_it_was_some_saves_ago_goes_to_the_last_one(
    open_engine: OpenEngine, folder: Path, reboot: Reboot, saves: int, old: int
) -> None:
    first = open_engine()
    made = [save(first, {"a": b"%d" % n}) for n in range(3)]
    first.close()  # the journal begins at the third commit
    second = open_engine()
    made += [save(second, {"a": b"%d" % n}) for n in range(3, 3 + saves)]
    put(folder, made[old])
    log_of(folder).write_text("")  # it did not reach the disk either
    reboot()
    assert open_engine().head() == made[-1]
    assert content(open_engine(), "a") == b"%d" % (2 + saves)


def test_what_was_acknowledged_counts_where_the_log_lacks_its_end(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    engine = open_engine()
    made = [save(engine, {"a": b"%d" % n}) for n in range(5)]
    (folder / ".git" / REF).write_bytes(b"")
    lines = log_of(folder).read_text().splitlines(keepends=True)
    log_of(folder).write_text("".join(lines[:2]))
    reboot()
    assert open_engine().head() == made[-1]


def test_a_reset_before_the_restart_stays(open_engine: OpenEngine, folder: Path, reboot: Reboot) -> None:
    engine = open_engine()
    made = [save(engine, {"a": b"%d" % n}) for n in range(5)]
    git(folder, "reset", "-q", "--hard", "HEAD~2")
    reboot()
    assert open_engine().head() == made[2]


def test_a_commit_that_no_log_names_stays(open_engine: OpenEngine, folder: Path, reboot: Reboot) -> None:
    engine = open_engine()
    for n in range(3):
        save(engine, {"a": b"%d" % n})
    git(folder, "config", "core.logAllRefUpdates", "false")
    lines = log_of(folder).read_bytes()
    theirs = by_hand(folder)
    log_of(folder).write_bytes(lines)
    reboot()
    again = open_engine()
    assert again.head() == theirs
    assert again.settled == []


def test_without_records_and_log_the_branch_goes_where_it_was_known_to_be_on_the_disk(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    first = open_engine()
    made = [save(first, {"a": b"%d" % n}) for n in range(3)]
    first.close()
    save(open_engine(durable=False), {"a": b"lost"})
    forget_records(folder)
    (folder / ".git" / REF).write_bytes(bytes(41))
    log_of(folder).write_bytes(bytes(300))
    reboot()
    assert open_engine().head() == made[-1]


@pytest.mark.parametrize("kind", ["blob", "tree", "commit"])
@pytest.mark.parametrize("how", ["empty", "gone"])
def test_a_commit_of_which_one_object_is_lost_is_not_whole(
    open_engine: OpenEngine, folder: Path, reboot: Reboot, caplog: pytest.LogCaptureFixture, kind: str, how: str
) -> None:
    engine = open_engine()
    made = save(engine, {"a": b"ours"})
    theirs = by_hand(folder)
    lost = loose(folder, {"blob": "main:theirs", "tree": "main^{tree}", "commit": "main"}[kind])
    lost.unlink()
    if how == "empty":
        lost.touch(mode=0o444)
    reboot()
    with caplog.at_level(logging.WARNING, "gitstate"):
        again = open_engine(check=False)
    assert again.head() == made
    assert [(found.was, found.now, found.lost) for found in again.settled] == [(theirs, made, (theirs,))]
    assert f"{REF} was at {theirs} and is put to {made}" in caplog.messages
    assert f"{REF}: the revision {theirs} is lost, not all of it reached the disk" in caplog.messages
    if how == "empty":
        lost.unlink()  # git knows of no file for an object that is empty
    assert git(folder, "reflog", "--format=%H", "main").split() == [made, made]


def test_a_file_that_a_commit_does_not_change_and_a_submodule_need_not_be_there(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    engine = open_engine(check=False)
    save(engine, {"old": b"old"})
    save(engine, {"a": b"1"})
    engine.close()
    unpack(folder)
    git(folder, "reset", "-q", "--hard")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},elsewhere")
    git(folder, "commit", "-q", "-m", "a submodule")
    theirs = git(folder, "rev-parse", "main").strip()
    loose(folder, "main:old").unlink()  # a disk may lose it at any time: no cut of the power did
    reboot()
    again = open_engine(check=False)
    assert again.head() == theirs
    assert again.settled == []


@pytest.mark.parametrize("saves", [0, 1, 2])
def test_what_was_broken_before_is_not_held_against_what_came_after(
    open_engine: OpenEngine, folder: Path, reboot: Reboot, saves: int
) -> None:
    first = open_engine(check=False)
    made = [save(first, {"a": b"%d" % n}) for n in range(5)]
    first.close()
    unpack(folder)
    for lost in [loose(folder, revision) for revision in (made[1], f"{made[1]}:a")]:
        lost.unlink()
    second = open_engine(check=False)
    made += [save(second, {"a": b"%d" % n}) for n in range(5, 5 + saves)]
    reboot()
    again = open_engine(check=False)
    assert again.head() == made[-1]
    assert again.settled == []
    assert content(again, "a") == b"%d" % (4 + saves)


def test_a_lock_file_that_somebody_held_when_the_power_was_cut_goes(
    open_engine: OpenEngine, folder: Path, reboot: Reboot
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    git(folder, "branch", "-m", "main", "trunk")
    git(folder, "symbolic-ref", REF, "refs/heads/trunk")
    lock = folder / ".git/refs/heads/trunk.lock"
    lock.write_bytes(b"of a git that is dead")
    reboot()
    again = open_engine(ref_timeout=0.0)
    assert not lock.exists()
    assert save(again, {"a": b"2"}) == again.head()


def test_each_time_that_something_was_settled_is_told(
    open_engine: OpenEngine, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine()
    made = [save(engine, {"a": b"1"})]
    for n in range(2):
        made.append(save(engine, {"a": b"%d" % n}))
        (folder / ".git" / REF).write_bytes(b"")
        assert engine.head() == made[-1]
    assert [(found.ref, found.was, found.now) for found in engine.settled] == [(REF, None, each) for each in made[1:]]
    assert caplog.messages == [f"{REF} was at no commit and is put to {each}" for each in made[1:]]


@pytest.mark.parametrize("seconds", [30, 3600])
def test_a_pack_is_looked_at_if_it_may_be_younger_than_what_is_known_to_be_on_the_disk(
    open_engine: OpenEngine, folder: Path, reboot: Reboot, seconds: int
) -> None:
    """The clock of files may be behind; and not all that a store has is read after a restart."""
    engine = open_engine()
    for n in range(3):
        save(engine, {"a": b"%d" % n})
    engine.close()
    torn = folder / f".git/objects/pack/pack-{'0' * 40}.pack"
    size = packs_of(folder)[0].stat().st_size
    began = os.stat(folder / ".git/gitstate/journal").st_mtime
    for file in (torn, torn.with_suffix(".idx")):
        file.write_bytes(bytes(size))
        os.utime(file, (began - seconds, began - seconds))
    reboot()
    open_engine()
    assert torn.exists() == torn.with_suffix(".idx").exists() == (seconds > 60)
    for file in (torn, torn.with_suffix(".idx")):
        file.unlink(missing_ok=True)


# What is whole, said once more: the slow and simple way.

Shape = tuple[list[list[int]], set[int], set[int], list[int]]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Draw the parents of some commits, which of them lack something, which are believed, and which are asked for."""
    count = draw(st.integers(1, 8))
    parents = [draw(st.lists(st.integers(0, n - 1), max_size=2, unique=True)) if n else [] for n in range(count)]
    numbers = st.integers(0, count - 1)
    return parents, draw(st.sets(numbers, max_size=3)), draw(st.sets(numbers, max_size=2)), draw(st.lists(numbers))


def made_of(engine: Engine, parents: Iterable[list[int]]) -> list[ObjectId]:
    made: list[ObjectId] = []
    for number, numbers in enumerate(parents):
        edited = trees.edit(engine, None, {"file": b"%d" % number})
        who = engine.signature()
        commit = Commit(edited.id, tuple(made[each] for each in numbers), who, who, b"%d\n" % number).to_object()
        with engine.lock():
            engine.publish([*edited.objects, commit], expected=engine.head(), new=commit.id, note="made")
        made.append(commit.id)
    return made


@given(shapes())
@example(([[], [], [0, 1]], {0}, set(), [1, 2]))  # of a merge one side is known to be whole, and the other one is not
def test_a_commit_is_whole_if_all_is_that_it_follows_up_to_what_is_believed(shape: Shape) -> None:
    parents, lacking, believed, asked = shape
    engine = MemoryEngine()
    made = made_of(engine, parents)
    for number in lacking:
        del engine._objects[trees.edit(engine, None, {"file": b"%d" % number}).objects[0].id]

    def is_whole(number: int) -> bool:
        before = [each for each in parents[number] if each not in believed]
        return number not in lacking and (number in believed or all(map(is_whole, before)))

    whole = settling._Whole(engine, {made[number] for number in believed})
    for number in asked:
        assert (made[number] in whole) == is_whole(number)
    if asked:
        assert settling._ancestors(engine, made[asked[0]]) == {made[each] for each in following(parents, asked[0])}


def following(parents: list[list[int]], number: int) -> set[int]:
    return {number}.union(*(following(parents, each) for each in parents[number]))
