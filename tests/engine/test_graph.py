"""History of a place, against ``git log -- place`` on the same commits."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine import graph, trees
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Commit, GitObject, ObjectId, Signature
from gitstate.errors import CorruptionError


class History:
    """Commits made one by one, each a minute younger."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.time = 0

    def commit(self, *parents: ObjectId, **files: str) -> ObjectId:
        self.time += 60
        who = Signature("a", "a@example.org", self.time)
        base = graph.read(self.engine, parents[0]).tree if parents else None
        edited = trees.edit(self.engine, base, {path: text.encode() for path, text in files.items()})
        made = Commit(edited.id, parents, who, who, b"commit %d" % self.time).to_object()
        self.engine.publish([*edited.objects, made], expected=self.engine.head(), new=made.id, note="")
        return made.id

    def of(self, start: ObjectId, path: str) -> list[ObjectId]:
        def locate(root: ObjectId) -> ObjectId | None:
            entry = trees.find(self.engine, root, path)
            return None if entry is None else entry.id

        return [found for found, _ in graph.history(self.engine, start, locate, lambda _: False)]


def test_only_commits_that_changed_the_place_count() -> None:
    history = History()
    one = history.commit(a="1")
    two = history.commit(one, b="1")
    three = history.commit(two, a="2")
    assert history.of(three, "a") == [three, one]
    assert history.of(three, "b") == [two]
    assert history.of(three, "c") == []


def test_a_merge_that_took_one_side_whole_is_passed_over_with_the_other_side() -> None:
    history = History()
    root = history.commit(a="0")
    ours = history.commit(root, a="1")
    theirs = history.commit(root, b="1")
    merge = history.commit(ours, theirs, b="1")
    assert history.of(merge, "a") == [ours, root]
    assert history.of(merge, "b") == [theirs]


def test_a_merge_that_joined_both_sides_counts() -> None:
    history = History()
    root = history.commit(a="0")
    ours, theirs = history.commit(root, a="1"), history.commit(root, a="2")
    merge = history.commit(ours, theirs, a="3")
    assert history.of(merge, "a") == [merge, theirs, ours, root]


def test_a_commit_that_changed_nothing_counts_when_it_says_so() -> None:
    history = History()
    one = history.commit(a="1")
    two = history.commit(one)

    def locate(root: ObjectId) -> ObjectId | None:
        entry = trees.find(history.engine, root, "a")
        return None if entry is None else entry.id

    claimed = graph.history(history.engine, two, locate, lambda commit: commit.message == b"commit 120")
    assert [found for found, _ in claimed] == [two, one]
    elsewhere = history.commit(two, b="1")
    merge = history.commit(elsewhere, history.commit(two))
    claimed = graph.history(history.engine, merge, locate, lambda _: True)
    assert [found for found, _ in claimed] == [two, one], "no claim counts for what changed something else"


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans(), st.sampled_from("ab"), st.integers(0, 2)))
)
def test_every_commit_is_met_at_most_once_and_children_first(steps: list[tuple[int, int, bool, str, int]]) -> None:
    history = History()
    made = [history.commit(a="0", b="0")]
    for left, right, merge, name, text in steps:
        parents = [made[left % len(made)], *([made[right % len(made)]] if merge else [])]
        made.append(history.commit(*dict.fromkeys(parents), **{name: str(text)}))
    found = history.of(made[-1], "a")
    assert len(found) == len(set(found))
    assert sorted(found, key=made.index, reverse=True) == found
    if len(made) > 1 and not any(merge for _, _, merge, _, _ in steps):
        assert found[-1] == made[0]


def test_an_object_that_cannot_be_read_is_named() -> None:
    engine = MemoryEngine()
    tree, commit = GitObject("tree", b"no tree"), GitObject("commit", b"no commit")
    engine.publish([tree, commit], expected=None, new=commit.id, note="damage")
    with pytest.raises(CorruptionError, match=f"tree {tree.id}: its bytes are no tree"):
        trees.read(engine, tree.id)
    with pytest.raises(CorruptionError, match=f"commit {commit.id}: its bytes are no commit"):
        graph.read(engine, commit.id)


def test_git_log_says_the_same(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for number in range(12):
        (tmp_path / "ab"[number % 3 == 0]).write_text(str(number))
        subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
        subprocess.run(["git", "commit", "-qm", str(number)], cwd=tmp_path, check=True)
    command = ["git", "log", "--format=%s", "--", "b"]
    theirs = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    history = History()
    head = history.commit(**{"ab"[True]: "0"})
    ours = {head: "0"}
    for number in range(1, 12):
        head = history.commit(head, **{"ab"[number % 3 == 0]: str(number)})
        ours[head] = str(number)
    assert [ours[found] for found in history.of(head, "b")] == theirs
