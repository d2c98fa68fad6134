"""Codecs: every model comes back whole, or is refused before anything is written."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import TypeAliasType

from gitstate.format.codec import Codec
from gitstate.values import canonical
from gitstate.values.canonical import ANY, Shape


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Plain(Enum):
    ONE = 1
    TWO = "two"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Pair(NamedTuple):
    left: int
    right: str


@dataclass(frozen=True)
class Spot:
    x: float
    note: str | None = None


class Sheet(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    number: int = Field(alias="Number", serialization_alias="NUMBER")
    status: Color = Color.RED
    note: str | None = None
    kept: str | None = "not none by default"
    details: list[dict[str, Any]] | None = None


class Everything(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", ser_json_bytes="base64", val_json_bytes="base64")

    zeta: str = ""
    alpha: int = 0
    when: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    day: date | None = None
    span: timedelta = timedelta()
    ratio: float = 0.0
    plain: Plain = Plain.ONE
    level: Level = Level.LOW
    data: bytes = b""
    sheets: dict[int, Sheet] = {}
    sheet: Sheet | None = None
    needed: str | None
    names: set[str] = set()
    frozen: frozenset[int | str] = frozenset()
    pair: tuple[int, str] | None = None
    named: Pair | None = None
    queue: deque[int] = deque()
    money: Decimal = Decimal(0)
    key: UUID = UUID(int=0)
    path: Path = Path()
    kind: Literal["a", 1] = "a"
    spot: Spot | None = None
    by_color: dict[Color, float] = {}
    free: dict[str, Any] = {}
    either: int | str | None = None
    secret: int = Field(0, exclude=True)
    _private: int = PrivateAttr(0)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own advice
    @property
    def twice(self) -> int:
        return 2 * self.alpha


CODEC = Codec(Everything)
# A high surrogate alone: two halves side by side would be one character, which the canonical form refuses.
TEXTS = st.text(max_size=5) | st.sampled_from(["", "\ud800", "a\udfffb", "\U000f0000\ud800", "é", "\0", "𝄞", "\u2028"])
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1.0, -0.0, 1e300, 5e-324])
INTEGERS = st.integers() | st.sampled_from([2**63, -(2**70), 10**40])
FREE = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
)
ZONES: st.SearchStrategy[Any] = st.sampled_from([None, UTC, timezone(timedelta(hours=-5, minutes=-30))])
TIMES = st.datetimes(min_value=datetime(1900, 1, 1), timezones=ZONES)  # noqa: DTZ001 - that is what the strategy takes
EXTRA = st.dictionaries(st.sampled_from(["new", "later"]), FREE)
SHEETS = st.builds(
    lambda extra, **fields: Sheet(**fields, **extra),
    EXTRA,
    Number=INTEGERS,
    status=st.sampled_from(Color),
    note=st.none() | st.text(max_size=3),
    kept=st.none() | st.just("x"),
    details=st.none() | st.lists(st.dictionaries(TEXTS, FREE, max_size=2), max_size=2),
)
STATES = st.builds(
    lambda extra, **fields: Everything(**fields, **extra),
    EXTRA,
    zeta=TEXTS,
    alpha=INTEGERS,
    when=TIMES,
    day=st.none() | st.dates(),
    span=st.timedeltas(timedelta(-1000), timedelta(1000)),
    ratio=FLOATS,
    plain=st.sampled_from(Plain),
    level=st.sampled_from(Level),
    data=st.binary(max_size=4),
    sheets=st.dictionaries(st.integers(), SHEETS, max_size=3),
    sheet=st.none() | SHEETS,
    needed=st.none() | TEXTS,
    names=st.sets(TEXTS, max_size=4),
    frozen=st.frozensets(st.integers() | st.sampled_from("ab1"), max_size=4),
    pair=st.none() | st.tuples(INTEGERS, TEXTS),
    named=st.none() | st.builds(Pair, INTEGERS, TEXTS),
    queue=st.lists(INTEGERS, max_size=3).map(deque),
    money=st.decimals(allow_nan=False, allow_infinity=False, places=3),
    key=st.uuids(),
    path=st.sampled_from([Path("a/b"), Path("/é"), Path("a\udc80")]),
    kind=st.sampled_from(["a", 1]),
    spot=st.none() | st.builds(Spot, FLOATS, st.none() | TEXTS),
    by_color=st.dictionaries(st.sampled_from(Color), FLOATS),
    free=st.dictionaries(TEXTS, FREE, max_size=3),
    either=st.none() | INTEGERS | TEXTS,
)


def same(a: Any, b: Any) -> bool:
    """Equal with types and bits, also within containers."""
    if isinstance(a, dict):
        return type(a) is type(b) and a.keys() == b.keys() and all(same(item, b[key]) for key, item in a.items())
    if isinstance(a, (list, tuple, deque)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return isinstance(b, float) and a.hex() == b.hex()
    return type(a) is type(b) and bool(a == b)


def round_trip(instance: BaseModel) -> BaseModel:
    codec = Codec(type(instance))
    value = codec.encode(instance)
    stored = canonical.loads(canonical.dumps(value, codec.shape))
    assert canonical.equal(stored, value)
    assert canonical.equal(codec.encode(codec.decode(stored)), value)
    return codec.decode(stored)


@given(STATES)
@example(Everything(needed=None))
@example(Everything(needed="\U000f0005\udbff"))  # the private character is one that would stand for a surrogate
@example(Everything(needed="\U000effff\ud801", zeta="\U000f0800"))
@example(Everything(needed=None, spot=Spot(1.0, "\ud800")))
def test_a_model_comes_back_whole(state: Everything) -> None:
    before = state.model_dump()
    assert same(round_trip(state).model_dump(), before)
    assert same(state.model_dump(), before), "encoding changed the model"


@given(STATES)
def test_the_same_model_gives_the_same_bytes(state: Everything) -> None:
    copy = state.model_copy(deep=True)
    copy.names = {*reversed([*state.names])}
    copy.free = dict(reversed(state.free.items()))
    assert canonical.dumps(CODEC.encode(copy), CODEC.shape) == canonical.dumps(CODEC.encode(state), CODEC.shape)


def test_what_is_stored_and_what_is_not() -> None:
    state = Everything(needed=None, sheets={1: Sheet(Number=1)}, secret=5, later=None, free={"a": None})
    state._private = 7
    value = CODEC.encode(state)
    assert isinstance(value, dict)
    assert value["sheets"] == {"1": {"number": 1, "status": "red", "kept": "not none by default"}}
    assert (value["needed"], value["later"], value["free"]) == (None, None, {"a": None})
    assert not value.keys() & {"secret", "twice", "_private", "day", "sheet", "either"}
    assert "alpha" in value


def test_a_value_shares_nothing_with_its_model() -> None:
    state = Everything(needed=None, free={"a": [1]})
    value = CODEC.encode(state)
    state.free["a"].append(2)
    assert isinstance(value, dict)
    assert value["free"] == {"a": [1]}


@pytest.mark.parametrize("name", ["number", "Number"])
def test_fields_are_loaded_by_name_and_alias(name: str) -> None:
    assert Codec(Sheet).decode({name: 3}).number == 3


def test_models_that_forbid_extra_fields_and_have_other_aliases() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True, serialize_by_alias=True, validate_by_name=False)
        a: int = Field(validation_alias=AliasChoices("A", "AA"))
        b: datetime | None = Field(default=None, alias="B")

    state = Strict.model_validate({"A": 1, "B": datetime(2026, 1, 1, tzinfo=UTC)})
    assert same(round_trip(state).model_dump(), state.model_dump())
    assert Codec(Strict).decode({"AA": 1}).a == 1
    assert Codec(Strict).encode(state) == {"a": 1, "b": "2026-01-01T00:00:00Z"}


def test_enums_by_value_that_were_not_validated() -> None:
    class State(BaseModel):
        model_config = ConfigDict(use_enum_values=True)
        plain: Plain = Plain.TWO

    assert Codec(State).encode(State()) == {"plain": "two"}
    assert round_trip(State(plain=Plain.ONE)) == State(plain=Plain.ONE)


def test_a_field_that_was_set_without_validation() -> None:
    sheet = Sheet(Number=1).model_copy(update={"status": "blue"})
    assert round_trip(sheet) == Sheet(Number=1, status=Color.BLUE)


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    content: T


class Names(RootModel[dict[str, Sheet]]):
    pass


class Tree(BaseModel):
    name: str
    children: list["Tree"] = []
    left: Optional["Tree"] = None


def test_generic_root_and_recursive_models() -> None:
    assert round_trip(Box[Sheet](content=Sheet(Number=1))) == Box[Sheet](content=Sheet(Number=1))
    names = Names({"a": Sheet(Number=1)})
    assert round_trip(names) == names
    tree = Tree(name="a", children=[Tree(name="b", left=Tree(name="c"))])
    assert round_trip(tree) == tree
    assert Codec(Tree).encode(tree) == {
        "name": "a",
        "children": [{"name": "b", "children": [], "left": {"name": "c", "children": []}}],
    }


def test_models_with_serializers_and_validators_of_their_own() -> None:
    class State(BaseModel):
        model_config = ConfigDict(frozen=True)
        tags: list[str] = []
        total: int = 0
        hidden: dict[str, int] = {}

        @field_serializer("tags")
        def join(self, tags: list[str]) -> str:
            return ",".join(tags)

        @field_validator("tags", mode="before")
        @classmethod
        def part(cls, tags: Any) -> Any:
            return tags.split(",") if isinstance(tags, str) else tags

        @field_serializer("hidden")
        def visible(self, hidden: dict[str, int]) -> dict[str, int]:
            return {key: number for key, number in hidden.items() if not key.startswith("_")}

        @model_validator(mode="after")
        def count(self) -> "State":
            object.__setattr__(self, "total", len(self.tags))
            return self

    state = State(tags=["a", "b"], hidden={"a": 1, "_b": 2})
    assert Codec(State).encode(state) == {"tags": "a,b", "total": 2, "hidden": {"a": 1}}
    assert Codec(State).encode(State(tags=["a"])) == {"tags": "a", "total": 1, "hidden": {}}
    assert Codec(State).decode({"tags": "a,b"}) == State(tags=["a", "b"])


def test_an_object_that_is_no_model_but_is_dumped_as_one() -> None:
    class State(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        at: Annotated[
            Fraction,
            PlainSerializer(lambda at: {"over": at.numerator, "under": at.denominator}),
            BeforeValidator(lambda at: Fraction(at["over"], at["under"]) if isinstance(at, dict) else at),
        ] = Fraction(1)
        odd: list[int] = []

        @field_serializer("odd")
        def only_odd(self, numbers: list[int]) -> list[int]:
            return [number for number in numbers if number % 2]

    state = State(at=Fraction(2, 3), odd=[1, 2, 3])
    assert Codec(State).encode(state) == {"at": {"over": 2, "under": 3}, "odd": [1, 3]}
    assert round_trip(state) == State(at=Fraction(2, 3), odd=[1, 3])


def test_a_model_that_dumps_itself() -> None:
    class State(BaseModel):
        a: int = 1

        @model_serializer
        def dump(self) -> dict[str, Any]:
            return {"a": self.a, "said": "by itself"}

    assert Codec(State).encode(State(a=2)) == {"a": 2, "said": "by itself"}
    assert round_trip(State(a=2)) == State(a=2)


def test_the_shape_is_the_order_of_the_fields() -> None:
    class Inner(BaseModel):
        z: int = 0
        a: int = 0

    class Outer(BaseModel):
        b: dict[int, Inner] = {}
        a: Annotated[list[Inner] | None, Field()] = None
        c: Inner | dict[str, Inner] = {}
        d: tuple[Inner, ...] = ()
        e: dict[str, Any] = {}
        f: Optional["Outer"] = None

    Outer.model_rebuild(_types_namespace={"Outer": Outer})
    shape, inner = Codec(Outer).shape, Shape(fields=("z", "a"))
    assert shape.fields == ("b", "a", "c", "d", "e", "f")
    assert shape.entry("b").entry("7") == inner
    assert shape.entry("a").each == inner
    assert shape.entry("c") is ANY
    assert shape.entry("d").each == inner
    assert shape.entry("e") is ANY
    assert shape.entry("f") is shape


Alias = TypeAliasType("Alias", dict[str, Sheet])


class Roots(RootModel[list["Roots"]]):
    pass


def test_the_shape_of_what_is_said_in_other_words() -> None:
    class Outer(BaseModel):
        alias: Alias = {}
        noted: Annotated[dict[str, Sheet], Field(description="x")] = {}
        root: Names = Names({})
        boxed: Box[Sheet] | None = None
        several: tuple[Sheet, int] | None = None
        text: str = ""
        bare: dict = {}  # type: ignore[type-arg]  # as people write it
        words: list[str] = []
        roots: Roots = Roots([])

    shape, sheet = Codec(Outer).shape, Codec(Sheet).shape
    assert sheet.fields == ("number", "status", "note", "kept", "details")
    for name in ("alias", "noted", "root"):
        assert shape.entry(name).entry("a") == sheet
    assert shape.entry("boxed").entry("content") == sheet
    assert shape.entry("several").each == sheet
    for name in ("text", "bare", "words", "roots"):
        assert shape.entry(name).entry("a") is ANY
