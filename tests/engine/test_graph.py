"""History of a place, against ``git log -- place`` on the same commits."""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine import graph, trees
from gitstate.engine.graph import Place
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Commit, GitObject, Kind, ObjectId, Signature, Tree
from gitstate.errors import CorruptionError


class History:
    """Commits made one by one, each a minute younger."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.time = 0
        self.step = 60

    def commit(self, *parents: ObjectId, says: str = "", **files: str) -> ObjectId:
        return self._commit(parents, says, {path: text.encode() for path, text in files.items()})

    def remove(self, parent: ObjectId, path: str) -> ObjectId:
        return self._commit((parent,), "", {path: None})

    def _commit(self, parents: tuple[ObjectId, ...], says: str, changes: trees.Changes) -> ObjectId:
        self.time += self.step
        who = Signature("a", "a@example.org", self.time)
        base = graph.read(self.engine, parents[0]).tree if parents else None
        edited = trees.edit(self.engine, base, changes)
        message = b"commit %d" % self.time + (f" about {says}\n".encode() if says else b"")
        made = Commit(edited.id, parents, who, who, message).to_object()
        self.engine.publish([*edited.objects, made], expected=self.engine.head(), new=made.id, note="")
        return made.id

    def locate(self, path: str) -> Callable[[ObjectId], ObjectId | None]:
        def locate(root: ObjectId) -> ObjectId | None:
            entry = trees.find(self.engine, root, path)
            return None if entry is None else entry.id

        return locate

    def of(self, start: ObjectId, path: str, is_elsewhere: Callable[[bytes], bool] = lambda _: False) -> list[ObjectId]:
        place = Place(self.locate(path), is_elsewhere)
        return [found for found, _ in graph.history(self.engine, start, place)]


def test_only_commits_that_changed_the_place_count() -> None:
    history = History()
    one = history.commit(a="1")
    two = history.commit(one, b="1")
    three = history.commit(two, a="2")
    assert history.of(three, "a") == [three, one]
    assert history.of(three, "b") == [two]
    assert history.of(three, "c") == []


def test_a_merge_that_took_one_side_whole_is_passed_over() -> None:
    history = History()
    root = history.commit(a="0")
    ours = history.commit(root, a="1")
    theirs = history.commit(root, b="1")
    merge = history.commit(ours, theirs, b="1")
    assert history.of(merge, "a") == [ours, root]
    assert history.of(merge, "b") == [theirs]


def test_what_was_done_on_a_side_of_which_a_merge_took_nothing_is_told() -> None:
    history = History()
    root = history.commit(a="0")
    ours = history.commit(root, a="1")
    lost = history.commit(root, a="2")
    theirs = history.commit(lost, b="1")
    merge = history.commit(ours, theirs, b="1")
    assert history.of(merge, "a") == [lost, ours, root]
    place = Place(history.locate("a"), takes_sides=True)
    assert [each for each, _ in graph.history(history.engine, merge, place)] == [ours, root]


def test_a_life_begins_on_each_side_where_the_place_was_made() -> None:
    history = History()
    root = history.commit(a="0", b="0")
    gone = history.remove(root, "a")
    again = history.commit(gone, a="1")
    kept = history.commit(root, b="1")
    changed = history.commit(kept, a="2")
    merge = history.commit(again, changed, a="3", b="1")
    place = Place(history.locate("a"), in_one_life=True)
    assert [each for each, _ in graph.history(history.engine, again, place)] == [again]
    assert [each for each, _ in graph.history(history.engine, gone, place)] == [gone, root]
    assert [each for each, _ in graph.history(history.engine, merge, place)] == [merge, changed, again, root]
    assert history.of(merge, "a") == [merge, changed, again, gone, root]


def test_a_merge_that_claims_to_be_about_the_place_counts_if_it_brought_something() -> None:
    history = History()
    root = history.commit(a="0")
    ours = history.commit(root, b="1")
    theirs = history.commit(root, a="1")
    merge = history.commit(ours, theirs, a="1", says="all")
    place = Place(history.locate("a"), claims=lambda commit: b"about all" in commit.message)
    assert [each for each, _ in graph.history(history.engine, merge, place)] == [merge, theirs, root]
    place = Place(history.locate("b"), claims=lambda commit: b"about all" in commit.message)
    assert [each for each, _ in graph.history(history.engine, merge, place)] == [ours]


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
    place = Place(history.locate("a"), claims=lambda commit: commit.message == b"commit 120")
    claimed = graph.history(history.engine, two, place)
    assert [found for found, _ in claimed] == [two, one]
    elsewhere = history.commit(two, b="1")
    beside = history.commit(two)
    merge = history.commit(elsewhere, beside)
    claimed = graph.history(history.engine, merge, Place(history.locate("a"), claims=lambda _: True))
    assert [found for found, _ in claimed] == [beside, two, one], "no claim counts for what changed something else"


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


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans(), st.sampled_from("ab"), st.integers(0, 2)),
        max_size=30,
    ),
    st.lists(st.integers(0, 1)),
    st.booleans(),
)
def test_commits_of_one_second_come_children_first(
    steps: list[tuple[int, int, bool, str, int]], seconds: list[int], in_one_life: bool
) -> None:
    history = History()
    history.step = 0
    made = [history.commit(a="0", b="0")]
    for number, (left, right, merge, name, text) in enumerate(steps):
        history.step = seconds[number] if number < len(seconds) else 0
        parents = [made[left % len(made)], *([made[right % len(made)]] if merge else [])]
        made.append(history.commit(*dict.fromkeys(parents), says=str(number), **{name: str(text)}))
    order = [commit_id for commit_id, _ in graph.walk(history.engine, made[-1])]
    assert sorted(order, key=made.index, reverse=True) == sorted(set(order), key=made.index, reverse=True)
    for commit_id in order:
        for parent in graph.read(history.engine, commit_id).parents:
            assert order.index(parent) > order.index(commit_id)
    place = Place(history.locate("a"), elsewhere("a"), in_one_life=in_one_life)
    found = [commit_id for commit_id, _ in graph.history(history.engine, made[-1], place)]
    assert [commit_id for commit_id in order if commit_id in found] == found or in_one_life


def elsewhere(path: str) -> Callable[[bytes], bool]:
    return lambda text: b" about " in text and f" about {path}\n".encode() not in text


_STEPS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans(), st.sampled_from("ab"), st.integers(0, 2)),
    max_size=30,
)


@given(_STEPS, st.integers(1, 4))
def test_commits_that_say_what_they_are_about_are_passed_over_together(
    steps: list[tuple[int, int, bool, str, int]], stretch: int
) -> None:
    history = History()
    made = [history.commit(a="0", b="0")]
    for left, right, merge, name, text in steps:
        parents = [made[left % len(made)], *([made[right % len(made)]] if merge else [])]
        says = "" if text == 0 else name  # some say nothing
        made.append(history.commit(*dict.fromkeys(parents), says=says, **{name: str(text)}))
    with mock.patch.object(graph, "_STRETCH", stretch):
        for path in "abc":
            assert history.of(made[-1], path, elsewhere(path)) == history.of(made[-1], path)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), max_size=30), st.integers(1, 6))
def test_one_that_lies_is_found_unless_another_took_it_back(changes: list[tuple[str, int]], stretch: int) -> None:
    history = History()
    made = [history.commit(a="0", b="0")]
    for name, text in changes:
        made.append(history.commit(made[-1], says="b", **{name: str(text)}))  # of those that change "a" all lie
    with mock.patch.object(graph, "_STRETCH", stretch):
        found, whole = history.of(made[-1], "a", elsewhere("a")), history.of(made[-1], "a")
    assert [commit for commit in whole if commit in found] == found
    values = [text for name, text in [("a", 0), *changes] if name == "a"]
    if len(set(values)) == len(values):
        assert found == whole


def test_a_long_stretch_reads_few_trees() -> None:
    history = History()
    head = history.commit(says="a", a="1")
    for number in range(300):
        head = history.commit(head, says="b", b=str(number))
    with count_reads(history.engine) as read:
        assert len(history.of(head, "a", elsewhere("a"))) == 1
    assert read["tree"] <= 4
    assert read["commit"] <= 303


@contextmanager
def count_reads(engine: MemoryEngine) -> Iterator[Counter[str]]:
    counted: Counter[str] = Counter()
    read, tree = engine.read, engine.tree

    def counting_read(object_id: ObjectId, kind: Kind) -> bytes:
        counted[kind] += 1
        return read(object_id, kind)

    def counting_tree(tree_id: ObjectId) -> Tree:
        counted["tree"] += 1
        return tree(tree_id)

    with mock.patch.object(engine, "read", counting_read), mock.patch.object(engine, "tree", counting_tree):
        yield counted


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
