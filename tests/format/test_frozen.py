"""Pictures: whatever changes in an object is seen, at any depth, and what did not change is not encoded again."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretStr

from gitstate.format.frozen import UNLIKE, freeze, same


class Color(Enum):
    RED = "red"
    MANY = ["red", "blue"]  # noqa: RUF012 - one that can change is what is tested


@dataclass
class Spot:
    x: Any = 0
    y: Any = None


@dataclass(slots=True)
class Slotted:
    x: Any = 0


class Node(BaseModel):
    model_config = ConfigDict(extra="allow")
    first: Any = None
    second: Any = None
    _own: Any = PrivateAttr(default=None)


def node(first: Any, second: Any, own: Any, extra: dict[str, Any]) -> Node:
    made = Node(**extra)
    made.first, made.second, made._own = first, second, own  # validation would copy them
    return made


ATOMS = st.sampled_from(
    [None, True, 1, 1.0, -0.0, 0.0, math.nan, 2**70, "a", "", b"b", Color.RED, datetime(2026, 1, 1, tzinfo=UTC),
     timedelta(1), Decimal("1.0"), UUID(int=1), PurePosixPath("a")]
)  # fmt: skip
ITEMS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", 1, None]), inner, max_size=3)
        | st.sets(st.integers(0, 5), max_size=3)
        | st.lists(inner, max_size=3).map(deque)
        | st.lists(inner, max_size=2).map(tuple)
        | st.builds(Spot, inner, inner)
        | st.builds(Slotted, inner)
        | st.builds(node, inner, inner, inner, st.dictionaries(st.sampled_from(["new", "more"]), inner, max_size=2))
    ),
    max_leaves=10,
)
NODES = st.builds(node, ITEMS, ITEMS, ITEMS, st.dictionaries(st.sampled_from(["new", "more"]), ITEMS, max_size=2))


def rename(item: dict[Any, Any], key: object) -> None:
    item[f"{key}?"] = item.pop(key)


def changes(item: Any) -> Iterator[Callable[[], Any]]:
    """Yield ways to change an object, and what lies in it, in place."""
    new = object  # no other object is like it
    if isinstance(item, dict):
        yield lambda: item.update({"brand new": None})
        for key, value in item.items():
            yield partial(item.pop, key)
            yield partial(item.update, {key: new()})
            yield partial(rename, item, key)
            yield from changes(value)
    elif isinstance(item, (list, deque)):
        yield lambda: item.append(None)
        for index, value in enumerate(item):
            yield partial(item.__delitem__, index)
            yield partial(item.__setitem__, index, new())
            yield from changes(value)
    elif isinstance(item, set):
        yield lambda: item.add(new())
        for member in item:
            yield partial(item.remove, member)
    elif isinstance(item, tuple):
        for value in item:
            yield from changes(value)
    elif isinstance(item, (Spot, Slotted, Node)):
        names = {"Spot": ("x", "y"), "Slotted": ("x",), "Node": ("first", "second", "_own")}[type(item).__name__]
        for name in names:
            yield partial(setattr, item, name, new())
            yield from changes(getattr(item, name))
        if isinstance(item, Node):
            yield from changes(item.__pydantic_extra__)


@given(NODES, st.data())
def test_every_change_is_seen(item: Node, data: st.DataObject) -> None:
    picture = freeze(item)
    assert same(picture, item)
    data.draw(st.sampled_from(list(changes(item))))()
    assert not same(picture, item)


@given(ITEMS)
def test_what_did_not_change_is_seen_to_be_the_same(item: Any) -> None:
    assert same(freeze(item), item)


class Plain(BaseModel):
    first: Any = None


@given(ITEMS)
def test_another_model_that_holds_the_very_same_is_the_same(content: Any) -> None:
    item = Plain()
    item.first = content
    assert same(freeze(item), item.model_copy())


TWINS = [(1, True), (1, 1.0), (0.0, -0.0), ("red", Color.RED), (None, math.nan), (1, Decimal(1)), ([], ()), ({}, [])]


@pytest.mark.parametrize("where", ["first", "second", "_own", "extra"])
@pytest.mark.parametrize(("before", "after"), [*TWINS, *[(after, before) for before, after in TWINS]])
def test_equal_is_not_the_same(where: str, before: Any, after: Any) -> None:
    item = Node(extra=None)
    setattr(item, where, {"deep": [before]})
    picture = freeze(item)
    getattr(item, where)["deep"][0] = after
    assert not same(picture, item)


def test_members_that_moved_from_one_object_to_the_next_are_seen() -> None:
    first, second = [1, 2], [3]
    item = Node(first=None)
    item.first = {"a": first, "b": second}
    picture = freeze(item)
    second.insert(0, first.pop())
    assert not same(picture, item)


def test_entries_that_moved_from_one_dictionary_to_the_next_are_seen() -> None:
    first, second = {1: 2}, {3: 4}
    item = Node(first=None)
    item.first = [first, second]
    picture = freeze(item)
    second.clear()
    first |= {1: 3, 2: 4}
    assert not same(picture, item)


@pytest.mark.parametrize("kind", [list, dict, set, deque])
def test_what_was_empty_and_is_not_any_more_is_seen(kind: type[Any]) -> None:
    item = Node(first=None)
    item.first = {"deep": [kind(), kind()]}
    picture = freeze(item)
    assert same(picture, item)
    second = item.first["deep"][1]
    second.update({1: 1}) if kind is dict else second.add(1) if kind is set else second.append(1)
    assert not same(picture, item)


def test_an_object_that_became_one_of_another_class_is_seen() -> None:
    class Other(Node):
        pass

    item = Node(first=Node())
    picture = freeze(item)
    item.first.__class__ = Other
    assert not same(picture, item)


def test_an_attribute_that_was_never_set_is_none() -> None:
    item = Node(first=Slotted.__new__(Slotted))
    picture = freeze(item)
    assert same(picture, item)
    item.first.x = 1
    assert not same(picture, item)


def test_an_attribute_of_another_name_is_seen() -> None:
    item = Plain()
    picture = freeze(item)
    item.__dict__["other"] = item.__dict__.pop("first")
    assert not same(picture, item)


def test_the_order_of_a_dictionary_counts() -> None:
    item = Node(new=1)
    item.first = {"a": 1, "b": 1}
    picture = freeze(item)
    item.first["a"] = item.first.pop("a")
    assert not same(picture, item)


class Callback:
    def __call__(self) -> None: ...


class Listed(list[int]):
    pass


class WithSlot(BaseModel):
    __slots__ = ("hidden",)


class Zone(tzinfo):
    pass


@dataclass
class ListSpot(list[int]):
    x: int = 0


UNKNOWN = [
    object(), Callback(), Listed(), WithSlot(), SecretStr("a"), bytearray(b"a"), Color.MANY, ListSpot(),
    datetime(2026, 1, 1, tzinfo=Zone()), iter([]),  # type: ignore[abstract]  # to Python it is not
]  # fmt: skip


@pytest.mark.parametrize("thing", UNKNOWN, ids=lambda thing: type(thing).__name__)
def test_what_is_not_known_is_never_the_same(thing: Any) -> None:
    assert freeze(thing) is UNLIKE
    item = Node()
    item.first = {"deep": [(thing,)]}
    assert freeze(item) is UNLIKE
    assert not same(UNLIKE, item)
    assert not same(UNLIKE, UNLIKE)


def test_what_lies_in_itself_or_too_deep_has_no_picture() -> None:
    item = Node()
    item.first = [item]
    assert freeze(item) is UNLIKE
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert freeze(deep) is UNLIKE


def test_another_class_or_another_object() -> None:
    class Other(Node):
        pass

    item = Node(first=1)
    picture = freeze(item)
    assert not same(picture, Other(first=1))
    assert not same(picture, Node(first=2))
    assert not same(picture, Node.__new__(Node))
    assert same(freeze([1]), copy([1])) is False


def test_a_model_that_was_never_made_to_the_end_is_another() -> None:
    picture = freeze(Node(first=1))
    bare = Node.__new__(Node)
    object.__setattr__(bare, "__dict__", dict.fromkeys(picture.names or ()))
    assert not same(picture, bare)
