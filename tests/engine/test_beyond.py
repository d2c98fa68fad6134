"""What one commit has in its history and others have not, against sets of ancestors; and how little is read for it."""

from itertools import pairwise
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine import graph
from gitstate.engine.beyond import beyond, independent, joining, meeting
from gitstate.engine.objects import ObjectId
from tests.engine.test_graph import History

_SHAPES = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=2, unique=True), min_size=6, max_size=14)
_CLOCKS = st.just(list[int]()) | st.lists(st.integers(-15, 15), min_size=14, max_size=14)


class Shaped(History):
    """A history of the given shape: for each commit how far back its parents are; and how many minutes
    each clock is wrong."""

    def __init__(self, shape: list[list[int]], clocks: list[int]) -> None:
        super().__init__()
        self.time = 3600
        self.made: list[ObjectId] = []
        self.ancestors: dict[ObjectId, set[ObjectId]] = {}
        for number, back in enumerate(shape):
            true = self.time
            self.time += 60 * (clocks[number] if clocks else 0)
            parents = [self.made[number - each] for each in back if each <= number]
            made = self.commit(*parents, f=str(number))
            self.time = true + 60
            self.made.append(made)
            self.ancestors[made] = {made}.union(*(self.ancestors[parent] for parent in parents))

    def has(self, *commits: ObjectId) -> set[ObjectId]:
        return set().union(*(self.ancestors[each] for each in commits))


@settings(max_examples=500)
@given(_SHAPES, _CLOCKS, st.data())
def test_it_is_the_difference_of_the_ancestors_whatever_the_clocks_say(
    shape: list[list[int]], clocks: list[int], data: st.DataObject
) -> None:
    history = Shaped(shape, clocks)
    head = data.draw(st.sampled_from(history.made))
    some = data.draw(st.lists(st.sampled_from(history.made), min_size=1, max_size=3))
    seen = independent(history.engine, some)
    distinct = dict.fromkeys(some)
    assert list(seen) == [each for each in distinct if not any(each in history.has(o) - {o} for o in distinct)]
    found = beyond(history.engine, head, seen)
    assert len(found) == len(set(found)) and set(found) == history.has(head) - history.has(*seen)
    places = {commit_id: place for place, commit_id in enumerate(found)}
    for commit_id in found:
        for parent in graph.read(history.engine, commit_id).parents:
            assert places.get(parent, -1) < places[commit_id], "parents come first"


@settings(max_examples=200)
@given(_SHAPES, _CLOCKS, st.data())
def test_histories_meet_at_what_both_have_and_nothing_later_does(
    shape: list[list[int]], clocks: list[int], data: st.DataObject
) -> None:
    history = Shaped(shape, clocks)
    one, other = (data.draw(st.sampled_from(history.made)) for _ in range(2))
    common = history.has(one) & history.has(other)
    last = {each for each in common if not any(each in history.has(later) - {later} for later in common)}
    found = meeting(history.engine, one, other)
    assert set(found) == last and len(found) == len(last)


@settings(max_examples=500)
@given(_SHAPES, _CLOCKS, st.data())
def test_histories_come_together_at_a_commit_that_has_both_and_none_of_whose_parents_has(
    shape: list[list[int]], clocks: list[int], data: st.DataObject
) -> None:
    history = Shaped(shape, clocks)
    head, one, other = (data.draw(st.sampled_from(history.made)) for _ in range(3))
    found = joining(history.engine, head, one, other)
    if one in history.has(other) or other in history.has(one) or not {one, other} <= history.has(head):
        assert found is None
    else:
        assert found is not None and found in history.has(head)
        assert {one, other} <= history.has(found)
        parents = graph.read(history.engine, found).parents
        assert not any({one, other} <= history.has(parent) for parent in parents)


def reads(history: History, head: ObjectId, *seen: ObjectId) -> tuple[int, int]:
    """Return how many commits are beyond, and how many were read."""
    with mock.patch.object(history.engine, "read", wraps=history.engine.read) as read:
        return len(beyond(history.engine, head, seen)), read.call_count


def test_only_what_is_new_is_read_in_a_line_also_when_all_is_of_one_second() -> None:
    history = History()
    line = [history.commit(f="0")]
    for number in range(1, 200):
        history.time -= 60
        line.append(history.commit(line[-1], f=str(number)))
    assert reads(history, line[-1], line[-2]) == (1, 2)
    found, read = reads(history, line[-1], line[-11])
    assert found == 10 and read < 40


def test_a_merge_is_read_back_to_where_its_sides_part() -> None:
    history = History()
    line = [history.commit(f="0")]
    for number in range(1, 100):
        line.append(history.commit(line[-1], f=str(number)))
    side = history.commit(line[90], g="1")
    merge = history.commit(line[-1], side, g="1")
    found, read = reads(history, merge, line[-1])
    assert found == 2 and read < 15
    assert beyond(history.engine, merge, [line[-1]]) == [side, merge]


def test_what_was_seen_on_an_abandoned_side_costs_nothing_further_on() -> None:
    history = History()
    line = [history.commit(f="0")]
    abandoned = history.commit(line[0], g="1")
    for number in range(1, 100):
        line.append(history.commit(line[-1], f=str(number)))
    for before, after in pairwise(line[90:]):
        assert reads(history, after, before, abandoned) == (1, 3)


def test_a_history_of_its_own_is_new_whole() -> None:
    history = History()
    ours = [history.commit(f="0")]
    for number in range(1, 20):
        ours.append(history.commit(ours[-1], f=str(number)))
    theirs = history.commit(g="0")
    merge = history.commit(ours[-1], theirs, g="0")
    assert beyond(history.engine, merge, [ours[-1]]) == [theirs, merge]
