"""Codecs refuse what would not come back, and what no model says, and name the place and the reason."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Optional

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    RootModel,
    SecretStr,
    field_serializer,
    model_validator,
)

from gitstate.errors import CorruptionError, InvalidInputError, UnstorableError
from gitstate.format.codec import Codec
from gitstate.values.canonical import Value
from tests.format.test_codec import CODEC, Plain, Spot, round_trip


@dataclass
class Held:
    x: Any


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    number: float = 0
    data: bytes = b""
    secret: SecretStr | None = None
    free: Any = None
    keys: dict[Any, Any] = {}
    inner: Optional["Loose"] = None
    sheets: dict[int, "Loose"] = {}
    held: Held | None = None
    root: RootModel[Any] | None = None


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"number": math.nan}, "/number"),
        ({"number": -math.inf}, "/number"),
        ({"free": {"a": [math.nan]}}, "/free/a/0"),
        ({"extra": math.inf}, "/extra"),
        ({"sheets": {3: Loose(inner=Loose(number=math.nan))}}, "/sheets/3/inner/number"),
        ({"data": b"\xff"}, "/data"),
        ({"inner": Loose(free={"a/b": b"\xff"})}, "/inner/free/a~1b"),
        ({"free": b"text"}, "/free"),
        ({"free": object()}, "/free"),
        ({"free": [1, {"b/c": (0, object())}]}, "/free/1/b~1c/1"),
        ({"secret": SecretStr("a")}, "/secret"),
        ({"free": SecretStr("a")}, "/free"),
        ({"keys": {1: "a", "1": "b"}}, "/keys/1"),
        ({"free": {"x": {1: "a", "1": "b"}}}, "/free/x/1"),
        ({"free": {1: "a"}}, "/free/1"),
        ({"free": datetime(2026, 1, 1, tzinfo=UTC)}, "/free"),
        ({"free": {"a": (1, 2)}}, "/free/a"),
        ({"free": {1, 2}}, "/free"),
        ({"free": Decimal(1)}, "/free"),
        ({"free": PurePosixPath("a")}, "/free"),
        ({"free": 10**5000}, "/free"),
        ({"free": Plain.ONE}, "/free"),
        ({"free": Spot(math.nan)}, "/free/x"),
        ({"held": Held((1, 2))}, "/held/x"),
        ({"root": RootModel[Any]({"a": (1, 2)})}, "/root/a"),
    ],
)
def test_what_cannot_be_kept_names_the_field(fields: dict[str, Any], pointer: str) -> None:
    with pytest.raises(UnstorableError) as caught:
        Codec(Loose).encode(Loose(**fields))
    assert caught.value.pointer == pointer
    assert pointer in caught.value.message


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"number": math.nan}, "JSON has no nan"),
        ({"keys": {1: "a", "1": "b"}}, "two keys of the dictionary are the same as text"),
        ({"free": {1: "a"}}, "the key 1 would come back as text"),
        ({"data": b"\xff"}, "Loose cannot be dumped: "),
        ({"free": (1, 2)}, "a tuple would come back as list"),
        ({"secret": SecretStr("a")}, "a SecretStr does not give its secret away"),
    ],
)
def test_what_cannot_be_kept_is_told_with_the_reason(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnstorableError, match=f"^/[a-z/0-9]+ cannot be stored: {reason}"):
        Codec(Loose).encode(Loose(**fields))


def test_a_root_model_comes_back_with_all_that_it_holds() -> None:
    state = Loose(root=RootModel[Any]({"a": [1, None]}))
    assert round_trip(state).model_dump() == state.model_dump()
    times = RootModel[list[datetime]]([datetime(2026, 1, 1, tzinfo=UTC)])
    assert round_trip(times) == times


def test_a_serializer_that_fails_as_for_a_surrogate_is_asked_twice_and_no_more() -> None:
    class State(BaseModel):
        a: str = ""

        @field_serializer("a")
        def dump(self, a: str) -> bytes:
            asked.append(a)
            return "\u00e9".encode("ascii")

    asked: list[str] = []
    with pytest.raises(UnstorableError, match="/a cannot be stored: State cannot be dumped"):
        Codec(State).encode(State())
    assert len(asked) <= 3  # the third time to find out which field it is


def test_what_a_validator_leaves_out_when_it_is_loaded_is_stored() -> None:
    class State(BaseModel):
        first: Annotated[list[Spot], AfterValidator(lambda items: items[:1])] = []
        count: Annotated[Any, AfterValidator(lambda items: len(items) if isinstance(items, dict) else items)] = 0

    state = State.model_construct(first=[Spot(1.0), Spot(2.0)], count={"a": 1})
    assert Codec(State).encode(state) == {
        "first": [{"x": 1.0, "note": None}, {"x": 2.0, "note": None}],
        "count": {"a": 1},
    }


@pytest.mark.parametrize("model", [int, dict, "Job", 3, None, Loose()])
def test_what_is_no_model_is_refused(model: Any) -> None:
    with pytest.raises(InvalidInputError, match="is no pydantic model"):
        Codec(model)


def test_a_state_that_could_not_be_loaded_again_is_refused() -> None:
    with pytest.raises(UnstorableError, match="loaded again: /number"):
        Codec(Loose).encode(Loose().model_copy(update={"number": "many"}))


def test_a_model_within_itself_is_refused() -> None:
    state = Loose()
    state.inner = state
    with pytest.raises(UnstorableError):
        Codec(Loose).encode(state)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "/needed: Field required"),
        ({"needed": 1}, "/needed: "),
        ({"needed": "\ud800", "alpha": "x"}, "/alpha: "),
        ({"needed": "", "sheets": {"1": {"Number": 1, "status": "green"}}}, "/sheets/1/status: "),
        ([], "the value: "),
        (None, "the value: "),
        ({"a": 1, "b": object()}, "no value"),
    ],
)
def test_what_the_model_refuses_names_the_place(value: Value, reason: str) -> None:
    with pytest.raises(CorruptionError) as caught:
        CODEC.decode(value)
    assert reason in caught.value.message


def test_the_first_reasons_are_told_and_how_many_there_are_more() -> None:
    def told(wrong: int) -> str:
        with pytest.raises(CorruptionError) as caught:
            CODEC.decode({"needed": "", **dict.fromkeys(["zeta", "alpha", "ratio", "data", "names"][:wrong])})
        return caught.value.message

    assert [told(wrong).count("; /") for wrong in (1, 2, 3, 4, 5)] == [0, 1, 2, 2, 2]
    assert [told(wrong).partition("; and ")[2] for wrong in (3, 4, 5)] == ["", "1 more", "2 more"]
    assert "http" not in told(3) and "None" not in told(3)


@pytest.mark.parametrize("text", [b"", b"{", b'{"needed": "\\ud800', b"\xff", b"[" * 10_000])
def test_text_that_is_no_json_is_corrupt(text: bytes) -> None:
    with pytest.raises(CorruptionError):
        CODEC.decode_text(text)


def test_validators_may_raise_anything() -> None:
    class State(BaseModel):
        a: int = 0

        @model_validator(mode="after")
        def fail(self) -> "State":
            raise KeyError("a")

    with pytest.raises(CorruptionError, match="State cannot be made"):
        Codec(State).decode({})
