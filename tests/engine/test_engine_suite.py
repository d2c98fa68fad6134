"""What every engine promises."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gitstate.engine import graph, trees
from gitstate.engine.base import Engine
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Commit, GitObject, parse_commit
from gitstate.errors import BusyError, CorruptionError, StaleError, UnsupportedError
from tests.engine.conftest import content, save, save_locked


def test_a_new_engine_has_no_head(engine: Engine) -> None:
    assert engine.head() is None


def test_what_was_published_is_read(engine: Engine) -> None:
    blob, empty = GitObject("blob", b"\0 any bytes \xff"), GitObject("blob", b"")
    with engine.lock():
        first = save_locked(engine, {"a": b"1"})
        engine.publish([blob, empty], expected=first, new=first, note="objects alone")
    assert engine.head() == first
    assert engine.read(blob.id, "blob") == blob.body
    assert engine.read(empty.id, "blob") == b""
    assert parse_commit(engine.read(first, "commit")).message == b"a change\n"


def test_each_publish_follows_the_one_before(engine: Engine) -> None:
    first = save(engine, {"a": b"1", "d/b": b"2"})
    second = save(engine, {"a": b"3"})
    assert engine.head() == second
    assert parse_commit(engine.read(second, "commit")).parents == (first,)
    assert (content(engine, "a"), content(engine, "d/b")) == (b"3", b"2")


@pytest.mark.parametrize("wrong", [None, "1" * 40], ids=["absent", "elsewhere"])
def test_a_publish_that_expects_another_head_changes_nothing(engine: Engine, wrong: str | None) -> None:
    first = save(engine, {"a": b"1"})
    stray = GitObject("blob", b"stray")
    with engine.lock(), pytest.raises(StaleError):
        engine.publish([stray], expected=wrong, new="2" * 40, note="stale")
    assert engine.head() == first
    with pytest.raises(CorruptionError):
        engine.read(stray.id, "blob")
    save(engine, {"a": b"2"})


def test_a_branch_that_is_not_there_cannot_be_expected_somewhere(engine: Engine) -> None:
    with engine.lock(), pytest.raises(StaleError):
        engine.publish([], expected="1" * 40, new="2" * 40, note="stale")
    assert engine.head() is None


def test_a_missing_object_is_named(engine: Engine) -> None:
    save(engine, {"a": b"1"})
    with pytest.raises(CorruptionError, match="1" * 40):
        engine.read("1" * 40, "blob")


def test_an_object_of_another_kind_is_named(engine: Engine) -> None:
    commit = save(engine, {"a": b"1"})
    with pytest.raises(CorruptionError, match=commit):
        engine.read(commit, "tree")


def test_commits_are_found_by_their_first_digits(engine: Engine) -> None:
    made = [save(engine, {"a": b"%d" % n}) for n in range(5)]
    for commit in made:
        assert engine.find(commit) == [commit]
        assert engine.find(commit[:7]) == [commit]
        assert engine.find(commit[:13]) == [commit]
    tree = parse_commit(engine.read(made[0], "commit")).tree
    assert engine.find(tree) == []
    assert engine.find("0" * 40) == []


def test_an_object_tells_whether_it_is_a_commit(engine: Engine) -> None:
    first = save(engine, {"a": b"1"})
    tree = parse_commit(engine.read(first, "commit")).tree
    assert [engine.peeled(each) for each in (first, tree, "1" * 40)] == [first, None, None]


def test_threads_that_lock_lose_nothing(engine: Engine) -> None:
    def work(number: int) -> None:
        for n in range(10):
            save(engine, {f"{number}/{n}": b"x"})
            content(engine, f"{number}/{n}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [content(engine, f"{number}/{n}") for number in range(4) for n in range(10)] == [b"x"] * 40


def test_a_ref_that_is_not_the_branch_moves_where_it_is_expected(engine: Engine) -> None:
    name = "refs/remotes/origin/main"
    first, second = save(engine, {"a": b"1"}), save(engine, {"a": b"2"})
    with pytest.raises(StaleError):
        engine.move_ref(name, expected=first, new=second, note="not there")
    assert engine.ref(name) is None
    engine.move_ref(name, expected=None, new=first, note="made")
    with pytest.raises(StaleError):
        engine.move_ref(name, expected=None, new=second, note="there already")
    with pytest.raises(StaleError):
        engine.move_ref(name, expected=second, new=first, note="elsewhere")
    assert engine.ref(name) == first
    engine.move_ref(name, expected=first, new=second, note="moved")
    assert (engine.ref(name), engine.head(), engine.refs("refs/remotes/")) == (second, second, [name])
    with pytest.raises(UnsupportedError):
        engine.move_ref(f"{name}/x", expected=None, new=first, note="in its way")


def aside(engine: Engine, files: dict[str, bytes], parent: str) -> tuple[str, list[GitObject]]:
    """Return a commit that follows another one on no branch, and the objects that are new with it."""
    edited = trees.edit(engine, graph.read(engine, parent).tree, files)
    who = engine.signature()
    commit = Commit(edited.id, (parent,), who, who, b"aside\n").to_object()
    return commit.id, [*edited.objects, commit]


def test_a_ref_comes_with_the_objects_that_it_needs(engine: Engine) -> None:
    head = save(engine, {"a": b"1"})
    name, other = "refs/gitstate/rescue/nightly/one", "refs/gitstate/rescue/nightly/two"
    commit, objects = aside(engine, {"a": b"aside", "d/b": b"new"}, head)
    engine.create_ref(name, commit, objects=objects)
    assert (engine.ref(name), engine.head()) == (commit, head)
    root = graph.read(engine, commit).tree
    entry = trees.find(engine, root, "d/b")
    assert entry is not None and engine.read(entry.id, "blob") == b"new"
    assert engine.find(commit[:12]) == [commit]
    engine.create_ref(other, commit, objects=objects)  # which are there already
    second, more = aside(engine, {"a": b"twice"}, commit)
    with pytest.raises(StaleError):
        engine.create_ref(name, second, objects=more)
    with pytest.raises(CorruptionError):
        engine.read(second, "commit")
    with pytest.raises(UnsupportedError):
        engine.create_ref(f"{name}/x", second, objects=more)
    assert engine.refs("refs/gitstate/") == [name, other]
    engine.delete_ref(name, expected=commit)
    engine.create_ref(name, second, objects=more)
    assert (engine.ref(name), content(engine, "a")) == (second, b"1")


def test_close_may_be_called_twice(engine: Engine) -> None:
    save(engine, {"a": b"1"})
    engine.close()
    engine.close()


def test_in_memory_a_thread_that_waits_too_long_is_told() -> None:
    engine = MemoryEngine(lock_timeout=0.05)
    with engine.lock(), ThreadPoolExecutor(1) as pool, pytest.raises(BusyError, match=r"for more than 0\.05 s"):
        pool.submit(save, engine, {"a": b"1"}).result()
    assert save(engine, {"a": b"1"}) == engine.head()
    assert "nothing to pack" in str(engine.gc())
    assert engine.checked_out("refs/heads/main") is None
