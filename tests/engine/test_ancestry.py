"""Commits read in bulk are those read one by one, and a walk misses none, whatever the bulk leaves out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitstate.engine import ancestry, graph
from gitstate.engine.ancestry import Ancestry
from gitstate.engine.base import Engine
from gitstate.engine.git import GitEngine
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Commit, ObjectId, Signature
from gitstate.engine.repository import open_repository
from gitstate.errors import CorruptionError
from tests.engine.conftest import OpenEngine, git, save


@pytest.fixture(autouse=True)
def _soon_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ancestry, "_ONE_BY_ONE", 3)


def walked(engine: Engine) -> list[tuple[ObjectId, ObjectId, tuple[ObjectId, ...], int]]:
    head = engine.head()
    assert head is not None
    return [(commit_id, *sketch[:3]) for commit_id, sketch in graph.walk(engine, head)]


def expected(engine: Engine, folder: Path) -> list[tuple[ObjectId, ObjectId, tuple[ObjectId, ...], int]]:
    lines = git(folder, "log", "--format=%H|%T|%P|%ct").splitlines()
    parts = [line.split("|") for line in lines]
    return [(commit, tree, tuple(parents.split()), int(time)) for commit, tree, parents, time in parts]


def test_a_walk_meets_what_git_log_lists(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine, folder = open_engine(), tmp_path / "store"
    for number in range(12):
        save(engine, {"a": b"%d" % number}, note=f"change {number}\n\nGitstate-Job: j{number}")
    assert walked(engine) == expected(engine, folder)
    texts = [sketch.text for _, sketch in graph.walk(engine, engine.head() or "")]
    assert all(b"Gitstate-Job: j%d\n" % number in text for number, text in enumerate(reversed(texts)))
    git(folder, "repack", "-adq")
    git(folder, "config", "core.pager", "false")
    git(folder, "replace", "HEAD~2", "HEAD~5")  # others may see other commits; we never do
    assert len(walked(engine)) == 12
    git(folder, "replace", "-d", git(folder, "rev-parse", "HEAD~2").strip())


def test_a_walk_without_git_meets_the_same(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    for number in range(12):
        save(engine, {"a": b"%d" % number})
    with_git = walked(engine)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert list(engine.commits(with_git[0][0])) == []
        assert walked(engine) == with_git


def test_bulk_that_git_cannot_read_is_read_one_by_one_and_named(open_engine: OpenEngine, tmp_path: Path) -> None:
    folder = tmp_path / "loose"
    git(tmp_path, "init", "-q", "-b", "main", "loose")
    made = []
    for number in range(8):
        git(folder, "commit", "-q", "--allow-empty", "-m", str(number))
        made.append(git(folder, "rev-parse", "HEAD").strip())
    lost = folder / ".git/objects" / made[2][:2] / made[2][2:]
    lost.unlink()
    engine = GitEngine(open_repository(folder))
    met = []
    with pytest.raises(CorruptionError, match=made[2]):
        for commit_id, _ in graph.walk(engine, made[-1]):
            met.append(commit_id)
    assert met == made[:2:-1]
    engine.close()


class Half(MemoryEngine):
    """Gives in bulk what it is told to."""

    given: tuple[ObjectId, ...] = ()

    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        for commit_id in self.given:
            yield commit_id, self.read(commit_id, "commit")


@pytest.mark.parametrize("given", [slice(0, 0), slice(4, 6), slice(None, None, -1), slice(None, None, 2)])
def test_bulk_may_come_in_any_order_and_lack_what_it_wants(given: slice) -> None:
    engine = Half()
    made = [save(engine, {"a": b"%d" % number}) for number in range(10)]
    engine.given = tuple(made[given])
    assert [commit_id for commit_id, _ in graph.walk(engine, made[-1])] == made[::-1]


def test_a_commit_may_be_asked_for_again() -> None:
    engine = MemoryEngine()
    made = [save(engine, {"a": b"%d" % number}) for number in range(8)]
    read = Ancestry(engine, made[-1])
    assert [read.get(commit) for commit in made] == [read.get(commit) for commit in made]


def test_odd_headers_are_read_too() -> None:
    engine = MemoryEngine()
    first = save(engine, {"a": b"1"})
    tree = graph.read(engine, first).tree
    who = Signature("a", "a@example.org", 1234567890)
    body = Commit(tree, (first,), who, who, b"m").to_object().body
    signed = body.replace(b"\n\nm", b"\ngpgsig -----BEGIN\n tree x\n parent y\n -----END\nencoding latin-1\n\nm")
    odd = body.replace(b"author ", b"mergetag x\nauthor ", 1)
    for each in (body, signed, odd):
        sketch = ancestry.sketch(each)
        assert (sketch.tree, sketch.parents, sketch.time) == (tree, (first,), 1234567890)


def test_an_abandoned_walk_leaves_no_process_and_no_folder(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    engine = open_engine()
    for number in range(12):
        save(engine, {"a": b"%d" % number})
    stream = engine.commits(engine.head() or "")
    next(stream)
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    stream.close()  # type: ignore[attr-defined]  # a generator
    assert list((tmp_path / "tmp").iterdir()) == []
